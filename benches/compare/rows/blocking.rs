//! Rows about threads: the blocking pool, and a wake from outside.

use std::thread;
use std::time::{Duration, Instant};

use super::{Outcome, in_task};
use crate::peers::Peer;
use crate::sample::{Metric, percentile};

pub(crate) const CLOSURES_AT_ONCE: usize = 64;
/// Long enough for every worker to be asleep again.
const BETWEEN_WAKES: Duration = Duration::from_micros(400);

pub(crate) fn noop<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let batches = ops.div_ceil(CLOSURES_AT_ONCE);
    in_task(peer, async move {
        for _ in 0..batches {
            let closures: Vec<_> =
                (0..CLOSURES_AT_ONCE).map(|_| P::spawn_blocking(|| ())).collect();
            for closure in closures {
                closure.await;
            }
        }
    });
    Outcome::of(batches * CLOSURES_AT_ONCE)
}

pub(crate) fn wake_latency<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let (sender, receiver) = async_channel::bounded::<Instant>(1);
    let waker = thread::spawn(move || {
        wake_times(ops, || {
            // Full if the runtime was away for a whole pause: then that wake is the one measured.
            let _ = sender.try_send(Instant::now());
        });
    });
    let latencies = in_task(peer, async move {
        let mut latencies = Vec::with_capacity(ops);
        while let Ok(sent) = receiver.recv().await {
            latencies.push(sent.elapsed().as_nanos() as u64);
        }
        latencies
    });
    waker.join().expect("the thread outside does not panic");
    latency_outcome(latencies)
}

/// Calls `wake` so many times, with a pause before each in which a runtime goes to sleep.
pub(crate) fn wake_times(times: usize, wake: impl Fn()) {
    for _ in 0..times {
        thread::sleep(BETWEEN_WAKES);
        wake();
    }
}

pub(crate) fn latency_outcome(mut latencies: Vec<u64>) -> Outcome {
    let mut outcome = Outcome::of(latencies.len());
    for (metric, share) in [(Metric::P50Ns, 0.5), (Metric::P99Ns, 0.99)] {
        outcome.extra.push((metric, percentile(&mut latencies, share)));
    }
    outcome
}
