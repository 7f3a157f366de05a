//! The end: failures are reported once by whoever comes last, and a scheduler that closes lets
//! everybody go.

use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize as Count, Ordering::Relaxed};

use loom::thread::spawn;

use super::scheduler::{Runtime, spawn_on};
use super::support::Bench;
use crate::driver::{Direction, Registration};
use crate::harness::model;
use crate::lifecycle::{JoinHandle, TaskState};
use crate::primitive::Arc;
use crate::primitive::lock::Mutex;
use crate::primitive::poller::Endpoint;
use crate::scheduler::{Shared, guest};

model! {
    /// T3: the panic is the handle's until that is gone, then the runner's.
    fn a_panic_is_reported_once_though_its_handle_goes_meanwhile() {
        let bench = Bench::new();
        let handle = bench.spawn(async { resume_unwind(Box::new("a reason")) });
        let notified = bench.pop().unwrap();
        let other = spawn(move || drop::<JoinHandle<()>>(handle));
        notified.run();
        other.join().unwrap();
        assert_eq!(bench.reports(), 1);
    }
    catches
        "join: a handle that goes late leaves the output",
        "task: leave the output to a handle that is gone"
}

model! {
    fn a_panic_is_reported_once_though_its_task_is_cancelled_meanwhile() {
        let bench = Bench::new();
        let polls = std::sync::Arc::new(Count::new(0));
        let polled = std::sync::Arc::clone(&polls);
        let handle = bench.spawn(async move {
            polled.fetch_add(1, Relaxed);
            resume_unwind(Box::new("a reason"))
        });
        let notified = bench.pop().unwrap();
        let closing = Arc::clone(&bench);
        let other = spawn(move || {
            closing.owned().close();
            closing.owned().abort_all();
            drop::<JoinHandle<()>>(handle);
        });
        notified.run();
        other.join().unwrap();
        // An abort that came first leaves nothing to report.
        assert_eq!(bench.reports(), polls.load(Relaxed));
        assert!(bench.owned().is_empty());
    }
    catches "join: a handle that goes late leaves the output"
}

model! {
    /// The error of a task whose handle was left as its own waker.
    fn an_error_is_reported_once_though_its_handle_goes_meanwhile() {
        let bench = Bench::new();
        let handle = bench.spawn(async { Err::<(), _>("a reason") });
        let notified = bench.pop().unwrap();
        let reports = std::sync::Arc::new(Count::new(0));
        let counted = std::sync::Arc::clone(&reports);
        let other = spawn(move || {
            handle.on_end(move |_, output| {
                assert_eq!(output, Some(Err("a reason")));
                counted.fetch_add(1, Relaxed);
            });
        });
        notified.run();
        other.join().unwrap();
        assert_eq!(reports.load(Relaxed), 1);
    }
    catches
        "join: the lock is open while the waker is left",
        "join: wait for a complete task"
}

/// Spawns, when it is dropped, a task that waits for ever.
struct SpawnsOnDrop {
    shared: Arc<Shared>,
    spawned: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Drop for SpawnsOnDrop {
    fn drop(&mut self) {
        let handle = spawn_on(&self.shared, pending());
        *self.spawned.lock() = Some(handle);
    }
}

model! {
    /// S5: nothing binds once the tasks in the list are aborted.
    #[preemptions = 2]
    fn what_a_task_spawns_as_it_is_cancelled_does_not_hold_up_the_end() {
        let runtime = Runtime::start(1, 0);
        let spawned = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&runtime.shared);
        let spawns = SpawnsOnDrop { shared, spawned: Arc::clone(&spawned) };
        runtime
            .spawn(async move {
                let _spawns = spawns;
                pending::<()>().await;
            })
            .detach();
        runtime.end();
        let spawned = spawned.lock().take().unwrap();
        assert_eq!(spawned.state(), TaskState::Cancelled);
    }
    catches "shutdown: tasks are aborted before none binds any more"
}

model! {
    /// S5: who is woken by the end sees it.
    #[preemptions = 2]
    fn a_worker_that_falls_asleep_as_the_scheduler_closes_leaves() {
        Runtime::start(1, 0).end();
    }
    catches
        "shutdown: the sleepers are woken before there is something to see",
        "shutdown: the sleepers are not woken"
}

model! {
    /// The main future of a thread in `block_on` is no task, so nobody aborts it: it goes on, and
    /// what it waits for ends with an error.
    #[preemptions = 1]
    fn a_main_future_that_waits_for_a_socket_outlives_the_shutdown() {
        let runtime = Runtime::asleep(1, 1);
        let registration = Registration::new(Arc::clone(runtime.shared.driver()));
        let socket = Endpoint::new();
        let shared = Arc::clone(&runtime.shared);
        let closer = spawn(move || {
            shared.close();
            shared.driver().shutdown();
        });
        let main = poll_fn(|cx| registration.poll_ready(socket.fd(), cx, Direction::Read));
        assert!(guest::block_on(&runtime.shared, main, || ()).is_err());
        closer.join().unwrap();
        runtime.end();
    }
    catches "driver: its end wakes nobody"
}
