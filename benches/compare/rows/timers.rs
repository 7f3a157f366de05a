//! Rows about timers: those that fire, and those that never do.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_lite::future;

use super::{Outcome, in_task};
use crate::peers::Peer;
use crate::sample::Metric;

/// From the first deadline to the last but one: closer than any runtime could wake for each.
pub(crate) const SPREAD: Duration = Duration::from_millis(20);
/// From there to the last, whose lateness is measured: alone, and at no whole millisecond.
pub(crate) const LAST_AFTER: Duration = Duration::from_micros(80_300);
pub(crate) const NEVER: Duration = Duration::from_secs(60);
const CANCELLERS: usize = 4;

pub(crate) fn fire<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let lateness = in_task(peer, async move {
        let first = Instant::now() + lead(ops);
        let sleepers: Vec<_> =
            (0..ops).map(|index| P::spawn(lateness::<P>(first + offset(index, ops)))).collect();
        let last = P::spawn(lateness::<P>(first + SPREAD + LAST_AFTER));
        let mut sum = Duration::ZERO;
        for sleeper in sleepers {
            sum += sleeper.await;
        }
        (sum, last.await)
    });
    lateness_outcome(ops, lateness)
}

async fn lateness<P: Peer>(deadline: Instant) -> Duration {
    P::sleep_until(deadline).await;
    Instant::now().checked_duration_since(deadline).expect("no timer fires early")
}

/// From the summed lateness of the burst, and that of the last timer.
pub(crate) fn lateness_outcome(ops: usize, (sum, last): (Duration, Duration)) -> Outcome {
    let mut outcome = Outcome::of(ops);
    outcome.extra.push((Metric::MeanLateNs, sum.as_nanos() as f64 / ops as f64));
    outcome.extra.push((Metric::LateNs, last.as_nanos() as f64));
    outcome
}

/// From the spawn of the first sleeper to the first deadline: all are asleep by then.
pub(crate) fn lead(sleepers: usize) -> Duration {
    Duration::from_millis(20) + Duration::from_micros(5) * sleepers as u32
}

/// Deadlines in an order that is neither sorted nor random from run to run.
pub(crate) fn offset(index: usize, of: usize) -> Duration {
    const STRIDE: usize = 7_919;
    let place = (index * STRIDE) % of;
    SPREAD.mul_f64(place as f64 / of as f64)
}

pub(crate) fn cancel<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let each = ops.div_ceil(CANCELLERS);
    in_task(peer, async move {
        let tasks: Vec<_> = (0..CANCELLERS).map(|_| P::spawn(cancel_many::<P>(each))).collect();
        for task in tasks {
            task.await;
        }
    });
    Outcome::of(each * CANCELLERS)
}

async fn cancel_many<P: Peer>(count: usize) {
    const BETWEEN_YIELDS: usize = 64;
    for index in 0..count {
        let mut sleep = pin!(P::sleep(NEVER));
        assert!(future::poll_once(sleep.as_mut()).await.is_none());
        if index % BETWEEN_YIELDS == 0 {
            P::yield_now().await;
        }
    }
}
