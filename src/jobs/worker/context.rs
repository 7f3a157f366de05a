//! What a job can ask and tell while it runs, from any of its threads.

use std::any::type_name;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::link::Link;
use super::panics::{self, Unsent};
use crate::jobs::codec::Body;
use crate::primitive::atomic::{AtomicU64, Ordering};

/// How old may be what [`cancelled`] knows: a look at the socket costs a call to the system.
const LOOK_EVERY: Duration = Duration::from_micros(50);

/// How often [`progress`] is told.
const TELL_EVERY: Duration = Duration::from_millis(10);

/// Whether this process is a worker of a [`ProcessPool`](crate::jobs::ProcessPool).
///
/// # Examples
///
/// ```
/// # tenter::jobs::init();
/// assert!(!tenter::jobs::is_worker());
/// ```
#[must_use]
pub fn is_worker() -> bool {
    Link::get().is_some()
}

/// Whether the job was asked to stop: its [`soft_timeout`](crate::jobs::Call::soft_timeout) has passed.
///
/// Cheap enough for an inner loop: it asks the system at most once in 50 µs. Any thread of the job
/// may call it. Always `false` outside a worker.
///
/// # Examples
///
/// ```
/// use tenter::jobs;
///
/// /// Stops early with what it has.
/// #[tenter::job]
/// fn count(to: u64) -> u64 {
///     (0..to).take_while(|_| !jobs::cancelled()).count() as u64
/// }
///
/// # jobs::init();
/// // In this process nobody asks.
/// assert_eq!(count(1000), 1000);
/// ```
#[must_use]
pub fn cancelled() -> bool {
    static LOOKED_NS: AtomicU64 = AtomicU64::new(0);
    let Some(link) = Link::get() else { return false };
    if !link.is_cancelled() && is_due(&LOOKED_NS, LOOK_EVERY) {
        link.look();
    }
    link.is_cancelled()
}

/// Tells how far the job is, for [`on_progress`](crate::jobs::Call::on_progress) in the parent.
///
/// Never waits. What is told less than 10 ms after the last, or while the socket is full, is left
/// out; the very last comes with the result. Any thread of the job may call it. Does nothing
/// outside a worker, or with a `fraction` that is infinite or no number.
///
/// # Examples
///
/// ```
/// use tenter::jobs;
///
/// #[tenter::job]
/// fn sum(numbers: Vec<u64>) -> u64 {
///     let mut sum = 0;
///     for (index, number) in numbers.iter().enumerate() {
///         sum += number;
///         jobs::progress(index as f64 / numbers.len() as f64);
///     }
///     sum
/// }
///
/// # jobs::init();
/// assert_eq!(sum(vec![1, 2, 3]), 6);
/// ```
pub fn progress(fraction: f64) {
    static TOLD_NS: AtomicU64 = AtomicU64::new(0);
    let Some(link) = Link::get() else { return };
    if fraction.is_finite() {
        link.tell_progress(fraction, is_due(&TOLD_NS, TELL_EVERY));
    }
}

/// Sends an item to the [`JobStream`](crate::jobs::JobStream) of the job.
///
/// Waits while more than a few items are on their way: the reader sets the pace. An item longer
/// than [`max_message`](crate::jobs::Builder::max_message), or one that cannot be encoded, ends the job
/// with that error. Any thread of the job may call it. Drops the item outside a worker.
///
/// # Panics
///
/// Panics if the job does not declare that it emits items of type `T`.
///
/// # Examples
///
/// ```
/// use tenter::jobs;
///
/// #[tenter::job(emits = String)]
/// fn find(text: String, word: String) -> u64 {
///     let lines = text.lines().filter(|line| line.contains(&word));
///     lines.map(|line| jobs::emit(line.to_owned())).count() as u64
/// }
///
/// # jobs::init();
/// // In this process nobody reads.
/// assert_eq!(find("a\nb\nab".to_owned(), "a".to_owned()), 2);
/// ```
#[track_caller]
pub fn emit<T: Serialize + 'static>(item: T) {
    let Some(link) = Link::get() else { return };
    // Between two jobs there is nobody to emit to.
    let Some(job) = link.current() else { return };
    let name = job.entry.name;
    match job.entry.emits.map(|declared| declared()) {
        Some(declared) if declared == type_name::<T>() => {}
        Some(declared) => panic!("`{name}` emits `{declared}`, not `{}`", type_name::<T>()),
        None => panic!("`{name}` emits nothing: `#[tenter::job(emits = {})]`", type_name::<T>()),
    }
    let item = Body::of(item).unwrap_or_else(|error| panics::unwind(Unsent::Refused(error)));
    let len = item.wire_len() as u64;
    if len > link.config().max_message {
        panics::unwind(Unsent::TooLarge(len));
    }
    link.emit(job, &item);
}

/// Whether `every` has passed since the moment in `last_ns`, which then becomes this one. Of
/// several threads that ask at once, one is told so.
fn is_due(last_ns: &AtomicU64, every: Duration) -> bool {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    // Never zero, which stands for never.
    let now_ns = start.elapsed().as_nanos() as u64 + 1;
    // Relaxed: the clock alone decides, and nothing else is read by it.
    let seen_ns = last_ns.load(Ordering::Relaxed);
    let is_due = seen_ns == 0 || now_ns.saturating_sub(seen_ns) >= every.as_nanos() as u64;
    is_due
        && last_ns.compare_exchange(seen_ns, now_ns, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}
