//! The monitor: it is awake when others are, it leaves the driver to somebody, and it moves tasks
//! without losing them. S8, S9.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize as Count, Ordering::Relaxed};
use std::time::Duration;

use loom::thread::{self, spawn};

use super::scheduler::{Runtime, Signal, spawn_on};
use super::support::{Parker, Tracked, block_on, poll_with};
use crate::driver::{Direction, Registration};
use crate::harness::model;
use crate::lifecycle::JoinHandle;
use crate::primitive::Arc;
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::let_time_pass;
use crate::primitive::poller::{Endpoint, instant, let_time_pass_to};
use crate::scheduler::monitor::{self, BlockedPoll, Monitor};

const SOON: u64 = 1_000_000;
const LATER: u64 = 1_000_000_000;

/// A monitor, and one worker of which nothing is left but whether it is awake.
struct Watch {
    monitor: Monitor,
    is_awake: AtomicBool,
    /// It is a relief, which has come.
    is_relief: AtomicBool,
}

impl Watch {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            monitor: Monitor::new(),
            is_awake: AtomicBool::new(false),
            is_relief: AtomicBool::new(false),
        })
    }

    fn wake_up(&self) {
        self.is_awake.store(true, Ordering::Relaxed);
        self.monitor.note_awake();
    }

    fn fall_asleep(&self) {
        self.is_awake.store(false, Ordering::Relaxed);
    }

    /// The monitor's sleep.
    fn sleep(&self) -> bool {
        self.monitor.sleep(|| self.is_awake.load(Ordering::Relaxed), || None)
    }
}

model! {
    /// S8: the worker is awake in the end, so the monitor's sleep ends, however often it begins.
    fn the_monitor_does_not_sleep_while_a_worker_runs() {
        let watch = Watch::new();
        let other = Arc::clone(&watch);
        let sleeper = spawn(move || other.sleep() && other.sleep());
        watch.wake_up();
        watch.fall_asleep();
        watch.wake_up();
        assert!(sleeper.join().unwrap(), "nobody ended it");
    }
    catches
        "monitor: no fence when a worker wakes",
        "monitor: no fence before it looks who is awake",
        "monitor: it sleeps without a look who is awake",
        "monitor: it is woken without the lock"
}

model! {
    /// S8: one of them wakes it, and the other may find it asleep once more.
    fn two_workers_that_wake_at_once_wake_the_monitor() {
        let watch = Watch::new();
        let (first, second) = (Arc::clone(&watch), Arc::clone(&watch));
        let sleeper = spawn(move || first.sleep() && first.sleep());
        let worker = spawn(move || second.wake_up());
        watch.wake_up();
        worker.join().unwrap();
        assert!(sleeper.join().unwrap(), "nobody ended it");
    }
    catches
        "monitor: no fence when a worker wakes",
        "monitor: no fence before it looks who is awake"
}

model! {
    /// S13: it is woken, or its sleep has an end, so that it comes to send the relief home.
    fn the_monitor_does_not_sleep_for_good_while_a_relief_is_there() {
        let (watch, seen) = (Watch::new(), Signal::new());
        let (other, sees) = (Arc::clone(&watch), Arc::clone(&seen));
        let sleeper = spawn(move || {
            let is_awake = || other.is_awake.load(Ordering::Relaxed);
            let deadline = || {
                other.is_relief.load(Ordering::Relaxed).then(|| {
                    sees.give();
                    instant(SOON)
                })
            };
            other.monitor.sleep(is_awake, deadline);
            sees.give();
        });
        watch.is_relief.store(true, Ordering::Relaxed);
        watch.wake_up();
        watch.fall_asleep();
        seen.wait();
        watch.monitor.end();
        sleeper.join().unwrap();
    }
    catches "monitor: it looks for reliefs before it says that it sleeps"
}

model! {
    fn the_monitor_that_sleeps_is_told_of_the_end() {
        let watch = Watch::new();
        let other = Arc::clone(&watch);
        let sleeper = spawn(move || {
            while other.sleep() {
                // The worker is awake: it looks after it, and sees that it sleeps.
                thread::yield_now();
            }
        });
        watch.wake_up();
        watch.fall_asleep();
        watch.monitor.end();
        sleeper.join().unwrap();
    }
    catches "monitor: who ends it tells nobody"
}

model! {
    /// It is between two looks, and a worker wakes it that thought it asleep.
    fn the_monitor_that_pauses_is_told_of_the_end() {
        let watch = Watch::new();
        let other = Arc::clone(&watch);
        let pausing = spawn(move || {
            while other.monitor.pause(Duration::from_millis(5)) {
                if !other.sleep() {
                    break;
                }
            }
        });
        let_time_pass();
        watch.wake_up();
        watch.monitor.end();
        pausing.join().unwrap();
    }
    catches "monitor: who ends it tells nobody"
}

model! {
    /// S8, with a real worker: its long poll lasts until the monitor is awake.
    fn a_worker_that_was_woken_wakes_the_monitor() {
        let runtime = Runtime::asleep(1, 0);
        let signal = Signal::new();
        let (shared, given) = (Arc::clone(&runtime.shared), Arc::clone(&signal));
        let monitor = spawn(move || {
            assert!(shared.monitor_sleep(instant(SOON)), "nobody ended it");
            given.give();
        });
        let task = runtime.spawn(async move { signal.wait() });
        monitor.join().unwrap();
        block_on(task).unwrap();
        runtime.end_quietly();
    }
    catches
        "monitor: a worker that wakes does not say so",
        "monitor: no fence when a worker wakes",
        "monitor: no fence before it looks who is awake"
}

model! {
    fn the_monitor_leaves_with_the_workers() {
        let runtime = Runtime::start(1, 0);
        let shared = Arc::clone(&runtime.shared);
        let monitor = spawn(move || {
            let report: monitor::BlockedHook = std::sync::Arc::new(|_: &BlockedPoll<'_>| ());
            monitor::run(&shared, None, &report);
        });
        runtime.end();
        monitor.join().unwrap();
    }
    catches "monitor: who ends it tells nobody"
}

/// A task that waits until something comes.
fn read(
    runtime: &Runtime,
    socket: Endpoint,
    then: impl FnOnce() + Send + 'static,
) -> JoinHandle<()> {
    let registration = Registration::new(Arc::clone(runtime.shared.driver()));
    runtime.spawn(async move {
        let arrived = poll_fn(|cx| registration.poll_ready(socket.fd(), cx, Direction::Read)).await;
        assert!(arrived.is_ok());
        then();
    })
}

model! {
    /// S9: it sleeps beside the driver, in which then is nobody.
    #[preemptions = 2]
    fn a_worker_that_found_the_monitor_in_the_driver_comes_back() {
        let runtime = Runtime::start(1, 0);
        let socket = Endpoint::new();
        let reader = read(&runtime, socket, || ());
        runtime.shared.turn_for_others(0);
        socket.arrive(1);
        block_on(reader).unwrap();
        runtime.end_quietly();
    }
    catches "monitor: no look back after its turn"
}

model! {
    /// The worker that slept in the driver is in a long poll, and no other is there. What comes
    /// then for a thread that is no worker is handed out all the same.
    #[preemptions = 1]
    fn what_comes_during_a_long_poll_does_not_wait_for_its_end() {
        let runtime = Runtime::asleep(1, 0);
        loom::stop_exploring();
        let (first, second) = (Endpoint::new(), Endpoint::new());
        let (begun, done) = (Signal::new(), Signal::new());
        let (begins, ends) = (Arc::clone(&begun), Arc::clone(&done));
        let long = read(&runtime, first, move || {
            begins.give();
            ends.wait();
        });
        let registration = Registration::new(Arc::clone(runtime.shared.driver()));
        let woken = Parker::new();
        let mut ready = poll_fn(|cx| registration.poll_ready(second.fd(), cx, Direction::Read));
        assert!(poll_with(&mut ready, &Parker::waker(&woken)).is_pending());
        while !first.is_registered() {
            thread::yield_now();
        }
        // The worker runs until it sleeps.
        thread::yield_now();
        first.arrive(1);
        begun.wait();
        loom::explore();
        second.arrive(1);
        runtime.shared.turn_for_others(0);
        woken.park();
        done.give();
        block_on(long).unwrap();
        runtime.end_quietly();
    }
    catches "monitor: it does not turn the driver"
}

model! {
    /// D6: a task sets a timer and keeps its worker; the other sleeps in the driver.
    #[preemptions = 2]
    fn a_timer_of_a_worker_in_a_long_poll_fires() {
        let runtime = Runtime::asleep(2, 0);
        let (shared, fired) = (Arc::clone(&runtime.shared), Parker::new());
        let long = runtime.spawn(async move {
            let waker = Parker::waker(&fired);
            let driver = shared.driver();
            let timer = driver.insert_timer(shared.timer_shard(), instant(SOON), &waker).unwrap();
            fired.park();
            drop(timer);
        });
        let_time_pass_to(LATER);
        block_on(long).unwrap();
        runtime.end_quietly();
    }
    catches "driver: look at the sleeper after setting a timer"
}

model! {
    /// It waits for the task behind it, for which nobody was woken.
    #[preemptions = 2]
    fn a_task_behind_a_long_poll_runs_elsewhere() {
        let runtime = Runtime::asleep(2, 0);
        let (begun, done) = (Signal::new(), Signal::new());
        let (shared, begins) = (Arc::clone(&runtime.shared), Arc::clone(&begun));
        let long = runtime.spawn(async move {
            let given = Arc::clone(&done);
            spawn_on(&shared, async move { given.give() }).detach();
            begins.give();
            done.wait();
        });
        begun.wait();
        runtime.shared.rescue(0);
        runtime.shared.rescue(1);
        block_on(long).unwrap();
        runtime.end_quietly();
    }
    catches "monitor: it leaves the slot alone"
}

model! {
    /// S1: the poll ends as the monitor looks. One of the two has the task, and the worker that
    /// finds nothing any more does not sleep through it.
    #[preemptions = 2]
    fn a_task_taken_from_its_worker_runs_once() {
        let runtime = Runtime::asleep(1, 0);
        let (shared, runs) = (Arc::clone(&runtime.shared), std::sync::Arc::new(Count::new(0)));
        let counted = std::sync::Arc::clone(&runs);
        let before = runtime.spawn(async move {
            let behind = spawn_on(&shared, async move {
                counted.fetch_add(1, Relaxed);
                Tracked::new()
            });
            [behind]
        });
        runtime.shared.rescue(0);
        let [behind] = block_on(before).unwrap();
        assert_eq!(block_on(behind).unwrap().count(), 1);
        assert_eq!(runs.load(Relaxed), 1);
        runtime.end_quietly();
    }
    catches
        "idle: no fence after a push",
        "idle: no fence after announcing sleep"
}
