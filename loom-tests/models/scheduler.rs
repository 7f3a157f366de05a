//! The scheduler as a whole: workers that run, sleep, are woken and leave; threads in `block_on`.
//! S1 to S7.

use std::future::poll_fn;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use loom::thread::{self, spawn};

pub(super) use super::runtime::{Runtime, Signal, spawn_on};
use super::support::{Gate, Noted, NotesDrop, Tracked, block_on};
use crate::driver::{Direction, Registration};
use crate::harness::model;
use crate::primitive::Arc;
use crate::primitive::atomic::{AtomicUsize, trust_drops};
use crate::primitive::poller::Endpoint;
use crate::scheduler::guest;

impl Runtime {
    /// A runtime whose workers have gone to sleep already. What comes before is not explored.
    pub(super) fn asleep(workers: usize, guests: usize) -> Self {
        loom::stop_exploring();
        let runtime = Self::start(workers, guests);
        let awake = || {
            let mut counters = runtime.shared.counters().take(workers);
            counters.any(|counters| counters.parks.load(Relaxed) == 0)
        };
        while awake() {
            thread::yield_now();
        }
        // The last of them has said that it sleeps; let it do so.
        thread::yield_now();
        loom::explore();
        runtime
    }

    pub(super) fn end(self) {
        self.shared.close();
        self.join();
    }

    /// [`Runtime::end`], of which nothing is explored.
    pub(super) fn end_quietly(self) {
        loom::stop_exploring();
        self.end();
    }
}

model! {
    #[preemptions = 2]
    fn a_task_from_outside_runs_on_a_sleeping_worker() {
        let runtime = Runtime::start(1, 0);
        let output = block_on(runtime.spawn(async { Tracked::new() })).unwrap();
        assert_eq!(output.count(), 1);
        runtime.end_quietly();
    }
    catches
        "idle: no second look",
        "idle: no fence after a push",
        "idle: no fence after announcing sleep",
        "park: the sleeper in the driver is not woken"
}

model! {
    /// T5 and S6: the waker is the last to touch the scheduler, which goes as soon as it can.
    #[preemptions = 2]
    fn a_scheduler_outlives_a_foreign_wake() {
        let runtime = Runtime::start(1, 0);
        let gate = Gate::new();
        let handle = runtime.spawn(Gate::wait(&gate));
        let waker = spawn(move || gate.open());
        runtime.end();
        waker.join().unwrap();
        assert!(handle.is_finished());
    }
    catches "shutdown: visitors are not waited for"
}

model! {
    #[preemptions = 2]
    fn a_task_spawned_as_the_scheduler_closes_ends_one_way_or_another() {
        let runtime = Runtime::start(1, 0);
        let shared = Arc::clone(&runtime.shared);
        let spawner = spawn(move || {
            let mut handle = spawn_on(&shared, std::future::pending::<()>());
            drop(shared);
            let result = block_on(poll_fn(|cx| std::pin::Pin::new(&mut handle).poll(cx)));
            assert!(result.unwrap_err().is_cancelled());
        });
        runtime.end();
        spawner.join().unwrap();
    }
    catches "owned: bind without looking at closed"
}

model! {
    /// The destructor of one aborted future wakes another task.
    #[preemptions = 2]
    fn a_future_that_wakes_others_as_it_is_dropped_ends_with_them() {
        struct OpensOnDrop(Arc<Gate>);

        impl Drop for OpensOnDrop {
            fn drop(&mut self) {
                self.0.open();
            }
        }

        let runtime = Runtime::start(1, 0);
        let gate = Gate::new();
        let woken = runtime.spawn(Gate::wait(&gate));
        let opens = OpensOnDrop(gate);
        let waking = runtime.spawn(async move {
            let _opens = opens;
            std::future::pending::<()>().await;
        });
        runtime.end();
        assert!(woken.is_finished() && waking.is_finished());
    }
    catches "task: an abort during the run is overlooked"
}

model! {
    #[preemptions = 2]
    fn two_threads_can_close_the_scheduler_at_once() {
        let runtime = Runtime::start(1, 0);
        let shared = Arc::clone(&runtime.shared);
        let other = spawn(move || shared.close());
        runtime.end();
        other.join().unwrap();
    }
    catches "shutdown: the sleepers are not woken"
}

model! {
    #[preemptions = 2]
    fn a_guest_that_runs_the_last_task_lets_the_workers_go() {
        let runtime = Runtime::asleep(1, 1);
        let shared = Arc::clone(&runtime.shared);
        let closer = spawn(move || shared.close());
        let shared = Arc::clone(&runtime.shared);
        let main = async move {
            assert!(spawn_on(&shared, std::future::pending::<()>()).await.is_err());
        };
        guest::block_on(&runtime.shared, main, || ());
        for thread in runtime.threads {
            thread.join().unwrap();
        }
        closer.join().unwrap();
    }
    catches "shutdown: who runs the last task tells nobody"
}

/// What a task returns: whoever waits at the gate does so until it is dropped.
struct Returned {
    gate: Arc<Gate>,
    _on_drop: NotesDrop,
}

impl Drop for Returned {
    fn drop(&mut self) {
        self.gate.open();
    }
}

model! {
    /// Who ends a runtime, and finds no task left and no guest that runs any, finds dropped what
    /// the tasks returned.
    fn what_a_guest_drops_is_dropped_when_no_guest_is_left() {
        let runtime = Runtime::start(0, 1);
        let (gate, noted) = (Gate::new(), Noted::new());
        let returned = Returned { gate: Arc::clone(&gate), _on_drop: noted.on_drop() };
        let shared = Arc::clone(&runtime.shared);
        let main = async move {
            spawn_on(&shared, async { returned }).detach();
            let closer = spawn(move || {
                shared.close();
                if shared.owned().is_empty() && shared.guests() == 0 {
                    noted.check();
                }
            });
            Gate::wait(&gate).await;
            closer
        };
        let closer = guest::block_on(&runtime.shared, main, || ());
        closer.join().unwrap();
        runtime.end_quietly();
    }
    catches "idle: a guest that stops releases nothing"
}

model! {
    #[preemptions = 2]
    fn a_guest_is_woken_by_another_thread() {
        let runtime = Runtime::start(0, 1);
        let gate = Gate::new();
        let main = Gate::wait(&gate);
        let opener = spawn(move || gate.open());
        assert_eq!(guest::block_on(&runtime.shared, main, || ()).count(), 1);
        opener.join().unwrap();
        runtime.end_quietly();
    }
    catches "guest: a wake does not unpark"
}

model! {
    #[preemptions = 2]
    fn a_thread_without_a_place_is_woken_by_another_thread() {
        // Its parker is in one of std's `Arc`s, as a `Wake` must be.
        trust_drops();
        let runtime = Runtime::start(0, 0);
        let gate = Gate::new();
        let main = Gate::wait(&gate);
        let opener = spawn(move || gate.open());
        assert_eq!(guest::block_on(&runtime.shared, main, || ()).count(), 1);
        opener.join().unwrap();
        runtime.end_quietly();
    }
    catches "park: notify without the lock"
}

model! {
    /// The second wake may find the mark of the first, and wakes nobody: what was written before
    /// it must be visible to the poll that answers both.
    #[preemptions = 2]
    fn a_main_future_sees_what_was_written_before_each_wake() {
        trust_drops();
        let runtime = Runtime::start(0, 0);
        let written = Arc::new(AtomicUsize::new(0));
        let mut waking = None;
        let main = poll_fn(|cx| {
            if waking.is_none() {
                let (writing, waker) = (Arc::clone(&written), cx.waker().clone());
                waking = Some(spawn(move || {
                    waker.wake_by_ref();
                    writing.store(1, Relaxed);
                    waker.wake();
                }));
            }
            if written.load(Relaxed) == 1 { Poll::Ready(()) } else { Poll::Pending }
        });
        guest::block_on(&runtime.shared, main, || ());
        waking.unwrap().join().unwrap();
        runtime.end_quietly();
    }
    catches "guest: a wake that is one too many writes nothing"
}

model! {
    #[preemptions = 2]
    fn a_guest_runs_the_task_that_it_waits_for() {
        let runtime = Runtime::start(0, 1);
        let shared = Arc::clone(&runtime.shared);
        let main = async move { spawn_on(&shared, async { Tracked::new() }).await };
        assert_eq!(guest::block_on(&runtime.shared, main, || ()).unwrap().count(), 1);
        runtime.end_quietly();
    }
    catches "guest: it runs no tasks"
}

model! {
    /// S9: had it slept there, with the worker beside it, nobody would be left to turn.
    #[preemptions = 2]
    fn a_guest_that_leaves_does_not_leave_the_driver_alone() {
        let runtime = Runtime::asleep(1, 1);
        let socket = Endpoint::new();
        let registration = Registration::new(Arc::clone(runtime.shared.driver()));
        let reader = runtime.spawn(async move {
            poll_fn(|cx| registration.poll_ready(socket.fd(), cx, Direction::Read)).await.is_ok()
        });
        let gate = Gate::new();
        let main = Gate::wait(&gate);
        let opener = spawn(move || gate.open());
        guest::block_on(&runtime.shared, main, || ());
        socket.arrive(1);
        assert!(block_on(reader).unwrap());
        opener.join().unwrap();
        runtime.end_quietly();
    }
    catches "guest: it sleeps in the driver"
}

model! {
    /// Work conservation: two tasks come while the one worker that is awake gives up its search.
    /// The first keeps it busy; the second is for the other worker, which must be woken.
    #[preemptions = 1]
    fn a_task_does_not_wait_behind_another_while_a_worker_sleeps() {
        let runtime = Runtime::asleep(2, 0);
        let signal = Signal::new();
        let given = Arc::clone(&signal);
        block_on(runtime.spawn(async {})).unwrap();
        let first = runtime.spawn(async move { given.wait() });
        let second = runtime.spawn(async move { signal.give() });
        block_on(first).unwrap();
        block_on(second).unwrap();
        runtime.end_quietly();
    }
    catches
        "idle: the last searcher does not hand on",
        "idle: who finds work at the second look is no searcher"
}

model! {
    /// S7: while a guest runs tasks nobody is woken for what it queues; then its main future keeps
    /// it busy.
    #[preemptions = 2]
    fn what_a_guest_queued_does_not_wait_for_its_main_future() {
        let runtime = Runtime::asleep(1, 1);
        let signal = Signal::new();
        let gate = Gate::new();
        let opened = Gate::wait(&gate);
        let (shared, given) = (Arc::clone(&runtime.shared), Arc::clone(&signal));
        let main = async move {
            let task = spawn_on(&Arc::clone(&shared), async move {
                // The second takes the slot, and the first goes to the queue.
                spawn_on(&shared, async move { given.give() }).detach();
                spawn_on(&shared, async {}).detach();
                gate.open();
            });
            opened.await;
            signal.wait();
            task.detach();
        };
        guest::block_on(&runtime.shared, main, || ());
        runtime.end_quietly();
    }
    catches "guest: what it leaves is not handed on"
}

model! {
    /// Work conservation: what a task's second wake pushes out of the slot is for a worker that
    /// sleeps, while the task itself goes on.
    #[preemptions = 1]
    fn what_is_pushed_out_of_the_slot_runs_elsewhere() {
        let runtime = Runtime::asleep(2, 0);
        let signal = Signal::new();
        let (shared, given) = (Arc::clone(&runtime.shared), Arc::clone(&signal));
        let waiting = runtime.spawn(async move {
            spawn_on(&shared, async move { given.give() }).detach();
            spawn_on(&shared, async {}).detach();
            signal.wait();
        });
        block_on(waiting).unwrap();
        runtime.end_quietly();
    }
    catches "worker: what leaves the slot wakes nobody"
}

model! {
    /// One worker takes from the other's queue while both are told to end.
    #[preemptions = 1]
    fn what_is_stolen_as_the_scheduler_closes_ends_too() {
        let runtime = Runtime::asleep(2, 0);
        let shared = Arc::clone(&runtime.shared);
        let tracked = Tracked::new();
        let captured = tracked.clone();
        runtime
            .spawn(async move {
                for value in [captured.clone(), captured] {
                    spawn_on(&shared, async move {
                        let _value = value;
                        std::future::pending::<()>().await;
                    })
                    .detach();
                }
            })
            .detach();
        runtime.end();
        assert_eq!(tracked.count(), 1, "every future is dropped");
    }
    catches "task: an abort during the run is overlooked"
}

model! {
    /// A `block_on` inside a task runs no tasks, and is woken by another thread all the same.
    #[preemptions = 2]
    fn a_main_future_inside_a_task_is_woken_by_another_thread() {
        // Its parker is in one of std's `Arc`s, as a `Wake` must be.
        trust_drops();
        let runtime = Runtime::start(1, 1);
        let gate = Gate::new();
        let (shared, main) = (Arc::clone(&runtime.shared), Gate::wait(&gate));
        let task = runtime.spawn(async move { guest::block_on(&shared, main, || ()).count() });
        let opener = spawn(move || gate.open());
        assert_eq!(block_on(task).unwrap(), 1);
        opener.join().unwrap();
        runtime.end_quietly();
    }
    catches "park: notify without the lock"
}

model! {
    /// S4: a busy worker moves a batch while the searcher that the pushes relied on looks.
    #[preemptions = 1]
    fn a_batch_on_its_way_is_not_overlooked() {
        let runtime = Runtime::asleep(2, 0);
        loom::stop_exploring();
        // One poll, so that the look at the driver and at single tasks does not come just then.
        block_on(runtime.spawn(async {})).unwrap();
        thread::yield_now();
        let (begun, go, done) = (Signal::new(), Signal::new(), Signal::new());
        let (begins, goes, given) = (Arc::clone(&begun), Arc::clone(&go), Arc::clone(&done));
        let busy = async move {
            begins.give();
            goes.wait();
        };
        runtime.spawn(busy).detach();
        begun.wait();
        // The first wakes the other worker; of three a batch is two.
        let first = runtime.spawn(async move { done.wait() });
        runtime.spawn(async move { given.give() }).detach();
        runtime.spawn(async {}).detach();
        go.give();
        loom::explore();
        block_on(first).unwrap();
        runtime.end_quietly();
    }
    catches "worker: a batch is moved and nobody is told"
}

model! {
    /// S7: the second push relies on the search for the first, and a guest would not take it.
    #[preemptions = 1]
    fn what_the_last_searcher_leaves_injected_is_the_workers() {
        let runtime = Runtime::asleep(2, 1);
        let (begun, ran, done) = (Signal::new(), Signal::new(), Signal::new());
        let (begins, runs, ends) = (Arc::clone(&begun), Arc::clone(&ran), Arc::clone(&done));
        let shared = Arc::clone(&runtime.shared);
        let pusher = spawn(move || {
            begun.wait();
            let first = spawn_on(&shared, async move { ran.wait() });
            let second = spawn_on(&shared, async move { runs.give() });
            block_on(first).unwrap();
            block_on(second).unwrap();
            done.give();
        });
        let shared = Arc::clone(&runtime.shared);
        let main = async move {
            let running = spawn_on(&shared, async move {
                begins.give();
                ends.wait();
            });
            running.await.unwrap();
        };
        guest::block_on(&runtime.shared, main, || ());
        pusher.join().unwrap();
        runtime.end_quietly();
    }
    catches "worker: the last searcher leaves to a guest what is injected"
}
