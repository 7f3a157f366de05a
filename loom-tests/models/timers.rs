//! Timers: nobody sleeps past one, none is lost to a race of its owner with who fires it. D5, D6.

use std::future::poll_fn;
use std::time::Duration;

use loom::thread::spawn;

use super::support::{Parker, block_on};
use crate::driver::{Driver, Timer};
use crate::harness::model;
use crate::primitive::Arc;
use crate::primitive::poller::{instant, let_time_pass_to};

/// Shards: one worker's, and the one of all other threads.
const SHARDS: usize = 2;
const WORKER: usize = 0;
const OTHERS: usize = 1;

const SOON: u64 = 1_000_000;
const LATER: u64 = 1_000_000_000;

fn driver() -> Arc<Driver> {
    Arc::new(Driver::new(SHARDS).unwrap())
}

/// Sets a timer that wakes `parker`.
fn set(driver: &Driver, shard: usize, ns: u64, parker: &Arc<Parker>) -> Timer {
    driver.insert_timer(shard, instant(ns), &Parker::waker(parker)).unwrap()
}

fn turn(driver: &Driver) {
    driver.try_lock().expect("one thread turns").turn(Some(Duration::ZERO));
}

/// Sleeps in the driver, again and again, until it woke `parker`.
fn turn_until_woken(driver: &Driver, parker: &Parker) {
    while parker.wakes() == 0 {
        driver.try_lock().expect("one thread turns").turn(None);
    }
}

model! {
    /// A worker sets a timer while another sleeps in the driver, and goes to sleep elsewhere.
    fn nobody_sleeps_past_the_timer_of_a_worker_that_sleeps_elsewhere() {
        let driver = driver();
        let parker = Parker::new();
        let (sleeping, waking) = (Arc::clone(&driver), Arc::clone(&parker));
        let sleeper = spawn(move || turn_until_woken(&sleeping, &waking));
        let timer = set(&driver, WORKER, SOON, &parker);
        driver.check_sleeper();
        let_time_pass_to(LATER);
        parker.park();
        sleeper.join().unwrap();
        drop(timer);
    }
    catches
        "driver: fence before looking at the sleeper",
        "driver: fence after announcing sleep",
        "driver: look again after announcing sleep"
}

model! {
    fn nobody_sleeps_past_the_timer_of_a_thread_that_is_no_worker() {
        let driver = driver();
        let parker = Parker::new();
        let (sleeping, waking) = (Arc::clone(&driver), Arc::clone(&parker));
        let sleeper = spawn(move || turn_until_woken(&sleeping, &waking));
        let timer = set(&driver, OTHERS, SOON, &parker);
        let_time_pass_to(LATER);
        parker.park();
        sleeper.join().unwrap();
        drop(timer);
    }
    catches
        "driver: fence before looking at the sleeper",
        "driver: fence after announcing sleep",
        "driver: look again after announcing sleep"
}

model! {
    fn a_deadline_in_the_past_ends_the_sleep() {
        let driver = driver();
        let parker = Parker::new();
        let (sleeping, waking) = (Arc::clone(&driver), Arc::clone(&parker));
        let sleeper = spawn(move || turn_until_woken(&sleeping, &waking));
        let timer = set(&driver, OTHERS, 0, &parker);
        parker.park();
        sleeper.join().unwrap();
        drop(timer);
    }
    catches
        "driver: look again after announcing sleep",
        "driver: look at the sleeper after setting a timer"
}

model! {
    /// L2: the timer and the driver hold the shard, and go at once.
    fn the_last_to_hold_a_shard_frees_it() {
        let driver = driver();
        let parker = Parker::new();
        let timer = set(&driver, WORKER, SOON, &parker);
        let owner = spawn(move || drop(timer));
        drop(driver);
        owner.join().unwrap();
        assert_eq!(Arc::strong_count(&parker), 1, "the waker is gone");
    }
    catches "timers: unlock without Release"
}

model! {
    fn a_timer_dropped_as_others_fire_leaves_nothing_behind() {
        let driver = driver();
        let (due, dropped) = (Parker::new(), Parker::new());
        let first = set(&driver, WORKER, SOON, &due);
        let second = set(&driver, WORKER, SOON, &due);
        let third = set(&driver, WORKER, 2 * LATER, &dropped);
        let_time_pass_to(LATER);
        let turning = Arc::clone(&driver);
        let turner = spawn(move || turn(&turning));
        drop(second);
        drop(third);
        turner.join().unwrap();
        assert_eq!(Arc::strong_count(&dropped), 1, "the waker is gone");
        assert!(matches!(due.wakes(), 1 | 2));
        drop(first);
    }
    catches "timers: a dropped timer stays set"
}

model! {
    fn a_timer_polled_by_another_task_as_it_fires_wakes_the_other() {
        let driver = driver();
        let (first, second) = (Parker::new(), Parker::new());
        let mut timer = set(&driver, WORKER, SOON, &first);
        let_time_pass_to(LATER);
        let turning = Arc::clone(&driver);
        let turner = spawn(move || turn(&turning));
        if timer.poll(&Parker::waker(&second)).is_pending() {
            second.park();
            assert!(timer.poll(std::task::Waker::noop()).is_ready());
        }
        turner.join().unwrap();
    }
    catches "timers: no look at a timer whose waker was replaced"
}

model! {
    /// The owner of a `Sleep` moves it on as it fires: it fires for the old deadline, and says so,
    /// or it waits for the new one.
    fn a_timer_postponed_as_it_fires_fires_once() {
        let driver = driver();
        let parker = Parker::new();
        let mut timer = set(&driver, WORKER, SOON, &parker);
        let_time_pass_to(2 * SOON);
        let turning = Arc::clone(&driver);
        let turner = spawn(move || turn(&turning));
        let waits = timer.postpone(instant(LATER));
        turner.join().unwrap();
        assert_eq!(parker.wakes(), usize::from(!waits));
        let_time_pass_to(2 * LATER);
        turn(&driver);
        assert_eq!(parker.wakes(), 1);
        assert!(timer.poll(std::task::Waker::noop()).is_ready());
    }
    catches "timers: a fired timer keeps its waker"
}

model! {
    fn who_waits_for_a_timer_as_the_driver_ends_gets_an_error() {
        let driver = driver();
        let closing = Arc::clone(&driver);
        let closer = spawn(move || closing.shutdown());
        let parker = Parker::new();
        if let Ok(mut timer) = driver.insert_timer(OTHERS, instant(SOON), &Parker::waker(&parker)) {
            let ended = block_on(poll_fn(|cx| timer.poll(cx.waker())));
            assert!(ended.is_err(), "time stands still");
        }
        closer.join().unwrap();
    }
    catches "timers: refuse after shutdown"
}

model! {
    /// Whoever fires the shard tells its next deadline, and with it that of a timer set meanwhile.
    fn a_timer_set_as_its_shard_fires_is_told_of() {
        let driver = driver();
        let (due, later) = (Parker::new(), Parker::new());
        let first = set(&driver, WORKER, SOON, &due);
        let_time_pass_to(2 * SOON);
        let turning = Arc::clone(&driver);
        let turner = spawn(move || turn(&turning));
        let second = set(&driver, WORKER, LATER, &later);
        turner.join().unwrap();
        assert_eq!((due.wakes(), later.wakes()), (1, 0));
        assert!(driver.next_deadline() < 2 * LATER, "the next to sleep would sleep past it");
        let_time_pass_to(2 * LATER);
        turn(&driver);
        assert_eq!(later.wakes(), 1);
        drop((first, second));
    }
    catches "timers: what fires tells the next deadline without the lock"
}

model! {
    /// Cancelled and set again, in the same place of the wheel perhaps, while it fires.
    fn a_timer_that_is_set_again_as_it_fires_fires_for_the_new_deadline() {
        let driver = driver();
        let (first, second) = (Parker::new(), Parker::new());
        let timer = set(&driver, WORKER, SOON, &first);
        let_time_pass_to(2 * SOON);
        let turning = Arc::clone(&driver);
        let turner = spawn(move || turn(&turning));
        drop(timer);
        let mut timer = set(&driver, WORKER, LATER, &second);
        turner.join().unwrap();
        assert!(timer.poll(&Parker::waker(&second)).is_pending(), "it is early");
        assert_eq!(second.wakes(), 0);
        let_time_pass_to(2 * LATER);
        turn(&driver);
        assert_eq!(second.wakes(), 1);
        assert!(timer.poll(std::task::Waker::noop()).is_ready());
    }
    catches "timers: a fired timer keeps its waker"
}
