//! Rows about a second thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use crate::rows::Outcome;
use crate::rows::blocking::{CLOSURES_AT_ONCE, latency_outcome, wake_times};

/// One thread takes boxed closures from a channel, and tells when a batch is done.
pub(crate) fn blocking_noop(ops: usize) -> Outcome {
    let batches = ops.div_ceil(CLOSURES_AT_ONCE);
    let (sender, receiver) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let pool = thread::spawn(move || receiver.into_iter().for_each(|closure| closure()));
    let (done, batch_done) = mpsc::channel();
    for _ in 0..batches {
        for index in 0..CLOSURES_AT_ONCE {
            let done = (index + 1 == CLOSURES_AT_ONCE).then(|| done.clone());
            let closure = move || {
                if let Some(done) = done {
                    done.send(()).expect("the batch is waited for");
                }
            };
            sender.send(Box::new(closure)).expect("the pool waits for closures");
        }
        batch_done.recv().expect("the last closure of the batch runs");
    }
    drop(sender);
    pool.join().expect("no closure panics");
    Outcome::of(batches * CLOSURES_AT_ONCE)
}

/// One thread parks, the other wakes it: a futex call each.
pub(crate) fn wake_latency(ops: usize) -> Outcome {
    let wakes = Arc::new(Wakes::default());
    let waiter = thread::spawn({
        let wakes = Arc::clone(&wakes);
        move || wakes.record_latencies()
    });
    wake_times(ops, || {
        wakes.send(Instant::now());
        waiter.thread().unpark();
    });
    // ORDERING: Release. Pairs with the Acquire in `record_latencies`: the last wake is seen.
    wakes.ended.store(true, Ordering::Release);
    waiter.thread().unpark();
    latency_outcome(waiter.join().expect("the waiter does not panic"))
}

#[derive(Default)]
struct Wakes {
    sent: Mutex<Option<Instant>>,
    ended: AtomicBool,
}

impl Wakes {
    /// If the one before is still there, the waiter was away for a whole pause: that one counts.
    fn send(&self, at: Instant) {
        self.sent.lock().expect("nothing panics with the lock").get_or_insert(at);
    }

    fn record_latencies(&self) -> Vec<u64> {
        let mut latencies = Vec::new();
        // ORDERING: Acquire. Pairs with the Release after the last wake.
        while !self.ended.load(Ordering::Acquire) {
            thread::park();
            let sent = self.sent.lock().expect("nothing panics with the lock").take();
            latencies.extend(sent.map(|sent| sent.elapsed().as_nanos() as u64));
        }
        latencies
    }
}
