//! How one thread sleeps: a token is never lost, in the driver or beside it.

use loom::thread::spawn;

use super::park::{Parker, Slept};
use crate::driver::Driver;
use crate::harness::model;
use crate::primitive::Arc;
use crate::primitive::cell::UnsafeCell;
use crate::primitive::lock::{Condvar, Mutex, end_waits_for_nothing};

fn driver() -> Arc<Driver> {
    Arc::new(Driver::new(1).unwrap())
}

/// Parks until there is a token; in the driver, other things may end the sleep.
fn park(parker: &Parker, driver: &Driver) {
    parker.park(driver);
}

model! {
    fn a_thread_that_sleeps_in_the_driver_is_woken() {
        let (driver, parker) = (driver(), Arc::new(Parker::new()));
        let (turning, sleeping) = (Arc::clone(&driver), Arc::clone(&parker));
        let sleeper = spawn(move || park(&sleeping, &turning));
        parker.unpark(&driver);
        sleeper.join().unwrap();
    }
    catches "park: the sleeper in the driver is not woken"
}

model! {
    fn a_thread_that_sleeps_beside_the_driver_is_woken() {
        let (driver, parker) = (driver(), Arc::new(Parker::new()));
        let turn = driver.try_lock().unwrap();
        let (turning, sleeping) = (Arc::clone(&driver), Arc::clone(&parker));
        let sleeper = spawn(move || {
            assert_eq!(sleeping.park(&turning), Slept::Beside);
        });
        parker.unpark(&driver);
        sleeper.join().unwrap();
        drop(turn);
    }
    catches "park: notify without the lock"
}

model! {
    /// The driver is given up while the sleeper decides where to sleep: it may sleep there or
    /// beside it, and is woken in either.
    fn a_token_is_not_lost_as_the_driver_changes_hands() {
        let (driver, parker) = (driver(), Arc::new(Parker::new()));
        let turn = driver.try_lock().unwrap();
        let (turning, sleeping) = (Arc::clone(&driver), Arc::clone(&parker));
        let sleeper = spawn(move || park(&sleeping, &turning));
        drop(turn);
        parker.unpark(&driver);
        sleeper.join().unwrap();
    }
    catches
        "park: the sleeper in the driver is not woken",
        "park: notify without the lock"
}

model! {
    /// Two threads wake it for two reasons: it may see both at once, but not none.
    fn two_tokens_are_at_least_one() {
        let (driver, parker) = (driver(), Arc::new(Parker::new()));
        let turn = driver.try_lock().unwrap();
        let (turning, waking) = (Arc::clone(&driver), Arc::clone(&parker));
        let waker = spawn(move || waking.unpark(&turning));
        parker.unpark(&driver);
        parker.park(&driver);
        waker.join().unwrap();
        drop(turn);
    }
    catches "park: a second token takes the first away"
}

/// Another thread writes and leaves a token; who takes it reads. Somebody else is in the driver
/// meanwhile, or nobody.
fn wake_sees_what_was_done_before(is_driver_taken: bool) {
    let (driver, parker) = (driver(), Arc::new(Parker::new()));
    let turn = is_driver_taken.then(|| driver.try_lock().unwrap());
    let written = Arc::new(UnsafeCell::new(0));
    let (turning, waking) = (Arc::clone(&driver), Arc::clone(&parker));
    let writing = Arc::clone(&written);
    let waker = spawn(move || {
        // SAFETY: loom checks that nobody else is here.
        writing.with_mut(|written| unsafe { *written = 1 });
        waking.unpark(&turning);
    });
    parker.park(&driver);
    // SAFETY: loom checks that nobody else is here.
    assert_eq!(written.with(|written| unsafe { *written }), 1);
    waker.join().unwrap();
    drop(turn);
}

model! {
    /// What was done before the token was left is seen by who takes it.
    fn who_was_woken_sees_what_was_done_before() {
        wake_sees_what_was_done_before(true);
    }
    catches "park: a token without Release"
}

model! {
    /// The same where nothing but the token orders: it comes as the thread goes to the driver.
    fn who_was_woken_on_the_way_to_the_driver_sees_what_was_done_before() {
        wake_sees_what_was_done_before(false);
    }
    catches "park: a token without Release"
}

model! {
    /// The system may end a wait for nothing; the sleep goes on, and its token is not missed.
    fn a_wake_for_nothing_does_not_end_the_sleep() {
        let (driver, parker) = (driver(), Arc::new(Parker::new()));
        end_waits_for_nothing(1);
        let was_left = Arc::new(Mutex::new(false));
        let (sleeping, leaving) = (Arc::clone(&parker), Arc::clone(&was_left));
        let sleeper = spawn(move || {
            sleeping.park_on_condvar();
            assert!(*leaving.lock(), "nobody left a token yet");
        });
        *was_left.lock() = true;
        parker.unpark(&driver);
        sleeper.join().unwrap();
    }
    catches
        "park: a spurious wake ends the sleep",
        "park: notify without the lock"
}

model! {
    /// A waker may fire when all is over: the token is left, and the thread need not turn again.
    fn a_thread_is_woken_though_the_driver_has_ended() {
        let (driver, parker) = (driver(), Arc::new(Parker::new()));
        let (turning, sleeping) = (Arc::clone(&driver), Arc::clone(&parker));
        let woken = Arc::new(Mutex::new(false));
        let wakes = Arc::clone(&woken);
        let sleeper = spawn(move || {
            // The end of the driver is an event too.
            while !*wakes.lock() {
                sleeping.park(&turning);
            }
        });
        driver.shutdown();
        *woken.lock() = true;
        parker.unpark(&driver);
        sleeper.join().unwrap();
    }
    catches "park: the sleeper in the driver is not woken"
}
