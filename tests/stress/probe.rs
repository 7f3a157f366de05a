//! A future, and a closure, that keep their record.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use crate::ensure;
use crate::ledger::{BellCount, End, Finish, Outcome, Planned, Record, Token, panic_message};

pub(crate) type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future that is watched, and ends as it was planned.
pub(crate) struct Probe {
    record: Arc<Record>,
    future: Boxed,
    end: End,
    /// The waker that counts, if wakes are counted, and the one that it was made for.
    wraps: bool,
    waker: Option<(Waker, Waker)>,
    balance: Balance,
}

impl Probe {
    pub(crate) fn new(record: Arc<Record>, future: Boxed, end: End, wraps: bool) -> Self {
        record.is_wrapped.store(wraps, Ordering::Relaxed);
        Self { record, future, end, wraps, waker: None, balance: Balance::default() }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.wraps {
            return self.future.as_mut().poll(cx);
        }
        let is_due = self.balance.poll_begins(self.record.seen.load(Ordering::Relaxed));
        ensure!(is_due, "{} is polled without a wake: {:?}", self.record, self.balance);
        let waker = match self.waker.take() {
            Some((waker, made_for)) if made_for.will_wake(cx.waker()) => (waker, made_for),
            _ => (bell(&self.record, cx.waker()), cx.waker().clone()),
        };
        let (waker, _) = self.waker.insert(waker);
        let waker = waker.clone();
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        self.balance.poll_ends(self.record.wakes_returned());
        polled
    }
}

impl Future for Probe {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let record = self.record.clone();
        let is_polled = record.is_polled.swap(true, Ordering::Relaxed);
        ensure!(!is_polled, "{record} is polled by two threads at once");
        ensure!(record.finish() == Finish::None, "{record} is polled after its end");
        ensure!(!record.is_dropped(), "{record} is polled after it was dropped");
        record.polls.fetch_add(1, Ordering::Relaxed);
        // Relaxed: it is the wake that must make it visible to the poll after it.
        record.seen.store(record.wakes.load(Ordering::Relaxed), Ordering::Relaxed);
        let polled = self.poll_inner(cx);
        record.is_polled.store(false, Ordering::Relaxed);
        if polled.is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(finish(&record, self.end))
    }
}

/// Whether each poll of a future comes of a wake of its own.
///
/// Poll `k` comes of a wake that took effect after poll `k - 1` had begun, and so had not returned
/// when poll `k - 2` ended. If `r` wakes had returned when poll `i` ended, polls `i + 2` to `k`
/// thus come of `k - i - 1` others, and at least `r + k - i - 1` have begun. That holds from every
/// `i` on: wakes that came together, for one poll, are no credit for polls long after them.
#[derive(Debug, Default)]
struct Balance {
    polls: i64,
    /// The most that `r - i` was so far, the last poll not counted.
    most: i64,
    /// What it was at the end of the last poll.
    last: i64,
}

impl Balance {
    /// A poll begins, and so many wakes have; whether they are enough.
    fn poll_begins(&mut self, wakes: u64) -> bool {
        self.polls += 1;
        let is_due = wakes as i64 - self.polls + 1 >= self.most;
        self.most = self.most.max(self.last);
        is_due
    }

    /// A poll ends, and so many wakes have returned.
    fn poll_ends(&mut self, wakes_returned: u64) {
        self.last = wakes_returned as i64 - self.polls;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let is_polled = self.record.is_polled.load(Ordering::Relaxed);
        ensure!(!is_polled || thread::panicking(), "{} is dropped while it runs", self.record);
        let drops = self.record.drops.fetch_add(1, Ordering::Relaxed);
        ensure!(drops == 0, "{} is dropped again", self.record);
        let was_polled = self.record.polls.load(Ordering::Relaxed) > 0;
        if self.end == End::PanicInDrop && was_polled && !thread::panicking() {
            self.record.finish_with(Finish::Panic);
            panic!("{}", panic_message(&self.record));
        }
    }
}

/// A closure for the blocking pool that is watched, and ends as it was planned.
pub(crate) struct Errand {
    record: Arc<Record>,
    body: Option<Box<dyn FnOnce() + Send>>,
    end: End,
}

impl Errand {
    pub(crate) fn new(record: Arc<Record>, body: Box<dyn FnOnce() + Send>, end: End) -> Self {
        Self { record, body: Some(body), end }
    }

    pub(crate) fn call(mut self) -> Outcome {
        self.record.polls.fetch_add(1, Ordering::Relaxed);
        if let Some(body) = self.body.take() {
            body();
        }
        finish(&self.record, self.end)
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        let drops = self.record.drops.fetch_add(1, Ordering::Relaxed);
        ensure!(drops == 0, "{} is dropped again", self.record);
    }
}

fn finish(record: &Arc<Record>, end: End) -> Outcome {
    match end {
        End::Value | End::PanicInDrop => {
            record.finish_with(Finish::Value);
            Ok(Token::new(record))
        }
        End::Failure => {
            record.finish_with(Finish::Failure);
            Err(Planned(record.number))
        }
        End::Panic => {
            record.finish_with(Finish::Panic);
            panic!("{}", panic_message(record))
        }
    }
}

/// A waker that counts what goes through it.
struct Bell {
    count: BellCount,
    inner: Waker,
}

fn bell(record: &Arc<Record>, inner: &Waker) -> Waker {
    Arc::new(Bell { count: BellCount::new(record), inner: inner.clone() }).into()
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        match Arc::try_unwrap(self) {
            Ok(Self { inner, count }) => {
                count.record().wake_begins();
                inner.wake();
                count.record().wake_returns();
            }
            Err(shared) => shared.wake_by_ref(),
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.count.record().wake_begins();
        self.inner.wake_by_ref();
        self.count.record().wake_returns();
    }
}
