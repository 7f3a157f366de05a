//! Polls that are stuck, the monitor's help, and reliefs that come and go.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex as Plain};

use shuttle::thread;

use super::support::{
    Runtime, Signal, below, block_on, dawdle, one_in, pass_time, sleep, spawn_on,
};
use crate::harness::program;
use crate::lifecycle::JoinHandle;
use crate::primitive::thread::{Builder, fail_starts};
use crate::scheduler::{Shared, context, relief};

const WORKERS: usize = 2;
const RELIEFS: usize = 2;

/// Tasks that are stuck at once, and leave one thread to the others.
const STUCK: usize = WORKERS + RELIEFS - 1;
const SLEEPERS: usize = 4;

/// What the monitor does by chance, before it sees to everything.
const WHIMS: usize = 12;

/// Rounds in which it sees to everything, at most: if tasks are stuck then, they are for good.
const ROUNDS: usize = 1000;

/// Threads of reliefs. std's lock: it is held over no place to switch threads.
type Threads = Arc<Plain<Vec<thread::JoinHandle<()>>>>;

/// Lets the scheduler start reliefs, as long as it is there.
fn allow_reliefs(shared: &Arc<Shared>) -> Threads {
    let threads = Threads::default();
    let (weak, starting) = (Arc::downgrade(shared), Arc::clone(&threads));
    shared.set_starter(Box::new(move |number| {
        let shared = weak.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let thread = Builder::new().spawn(move || relief::run(&shared, number))?;
        starting.lock().unwrap().push(thread);
        Ok(())
    }));
    threads
}

/// A task whose poll waits for another task, which is behind it in the queue or the slot.
fn stuck(shared: &Arc<Shared>) -> JoinHandle<()> {
    let inner = Arc::clone(shared);
    let steps_aside = one_in(2);
    spawn_on(shared, async move {
        let done = Signal::new();
        let given = Arc::clone(&done);
        let behind = spawn_on(&inner, async move { given.give() });
        if one_in(2) {
            spawn_on(&inner, async {}).detach();
        }
        if steps_aside {
            context::aside(|| done.wait());
        } else {
            done.wait();
        }
        behind.await.unwrap();
    })
}

/// What the monitor does now and then, in any order.
fn follow_a_whim(shared: &Shared) {
    match below(6) {
        0 => shared.rescue(below(WORKERS)),
        1 => shared.turn_for_others(shared.driver().now()),
        2 => shared.set_alert(one_in(2)),
        3 => shared.retire_reliefs(1 + below(RELIEFS), |_| one_in(2)),
        _ => {
            if one_in(4) {
                fail_starts(1);
            }
            shared.start_relief(RELIEFS);
        }
    }
}

/// What it does for those who wait behind somebody who is stuck.
fn see_to_everything(shared: &Shared) {
    shared.start_relief(RELIEFS);
    for index in 0..WORKERS + RELIEFS {
        shared.rescue(index);
    }
    shared.turn_for_others(shared.driver().now());
}

program! {
    /// Tasks that wait for one another in the middle of their polls all end, since what is behind
    /// them is run by somebody else; timers go on; and reliefs that are started, sent home or
    /// surprised by the end leave.
    fn what_is_behind_stuck_polls_runs_elsewhere() {
        let runtime = Runtime::start(WORKERS, 0);
        let reliefs = allow_reliefs(&runtime.shared);
        let mut tasks: Vec<_> = (0..STUCK).map(|_| stuck(&runtime.shared)).collect();
        tasks.extend((0..SLEEPERS).map(|_| {
            let shared = Arc::clone(&runtime.shared);
            runtime.spawn(async move { assert!(sleep(&shared).await, "a timer is refused") })
        }));
        let clock = pass_time();
        let shared = Arc::clone(&runtime.shared);
        let have_ended = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&have_ended);
        let monitor = thread::spawn(move || {
            for _ in 0..WHIMS {
                dawdle(10);
                follow_a_whim(&shared);
            }
            for _ in 0..ROUNDS {
                if watched.load(Relaxed) {
                    break;
                }
                dawdle(4);
                see_to_everything(&shared);
            }
        });
        for task in tasks {
            block_on(task).unwrap();
        }
        have_ended.store(true, Relaxed);
        if one_in(2) {
            monitor.join().unwrap();
            runtime.end();
        } else {
            runtime.end();
            monitor.join().unwrap();
        }
        clock.join().unwrap();
        let threads = std::mem::take(&mut *reliefs.lock().unwrap());
        for thread in threads {
            thread.join().unwrap();
        }
    }
    catches
        "relief: one that cannot start keeps its place",
        "monitor: it leaves the slot alone",
        "aside: the thread stays a worker",
}
