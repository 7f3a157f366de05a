//! Rows about what a runtime takes while nothing happens.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use super::timers::NEVER;
use super::{Outcome, in_task};
use crate::clock::{Usage, resident_bytes};
use crate::peers::Peer;
use crate::sample::Metric;

/// Tasks that may be queued at once, so that the queues' own memory stays small.
const QUEUED_MAX: usize = 100;
const IDLE_TASKS: usize = 1_000;
/// Until a runtime that was just busy is idle, its monitors too.
const SETTLE: Duration = Duration::from_millis(500);

/// [`Parked`] futures that were polled.
static PARKED: AtomicUsize = AtomicUsize::new(0);

/// A future of 16 bytes that is polled once.
pub(crate) struct Parked(u64, bool);

impl Parked {
    pub(crate) fn new(value: usize) -> Parked {
        Parked(value as u64, false)
    }
}

impl Future for Parked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if !self.1 {
            self.1 = true;
            black_box(self.0);
            PARKED.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Pending
    }
}

pub(crate) fn bytes_per_task<P: Peer>(peer: &P, ops: usize) -> Outcome {
    const { assert!(size_of::<Parked>() == 16) };
    let bytes = in_task(peer, async move {
        park_tasks::<P>(QUEUED_MAX).await;
        let before = resident_bytes();
        park_tasks::<P>(ops).await;
        resident_bytes() - before
    });
    let mut outcome = Outcome::of(ops);
    outcome.extra.push((Metric::Bytes, bytes as f64 / ops as f64));
    outcome
}

/// Spawns `count` tasks that park, and returns when all have.
async fn park_tasks<P: Peer>(count: usize) {
    let mut expected = PARKED.load(Ordering::Relaxed);
    for index in 0..count {
        P::spawn_detached(Parked::new(index));
        expected += 1;
        let bound = if index + 1 == count { 0 } else { QUEUED_MAX };
        while expected - PARKED.load(Ordering::Relaxed) > bound {
            P::yield_now().await;
        }
    }
}

/// An operation is a second. The thread outside sleeps so many milliseconds, and the runtime
/// should too.
pub(crate) fn idle_cpu<P: Peer>(peer: &P, milliseconds: usize) -> Outcome {
    in_task(peer, async {
        park_tasks::<P>(IDLE_TASKS).await;
        P::spawn_detached(P::sleep(NEVER));
    });
    thread::sleep(SETTLE);
    let before = others_usage();
    let start = Instant::now();
    thread::sleep(Duration::from_millis(milliseconds as u64));
    let wall = start.elapsed();
    let used = others_usage() - before;

    let seconds = wall.as_secs_f64();
    let mut outcome = Outcome::of(1);
    outcome.extra.push((Metric::CpuNs, used.cpu_ns as f64 / seconds));
    outcome.extra.push((Metric::Switches, used.switches as f64 / seconds));
    outcome
}

/// What the other threads have used: the calling one measures.
fn others_usage() -> Usage {
    Usage::of_process() - Usage::of_thread()
}
