//! What one task does by itself, or with the threads outside.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::ensure;
use crate::oneshot::{self, Style, signal};
use crate::outside::{Delay, Progress};
use crate::plan::Action;
use crate::world::{Ctx, Kept};

use super::perform;

tenter::task_local! {
    static LOCAL: u64;
}

pub(super) async fn yields(times: u8) {
    for _ in 0..times {
        tenter::yield_now().await;
    }
}

pub(super) async fn computes(spins: u32) {
    (0..spins).for_each(|_| std::hint::spin_loop());
}

pub(super) async fn spends(units: u16) {
    for _ in 0..units {
        tenter::task::consume_budget().await;
    }
}

/// Wakes itself while it is polled, and so is polled again.
pub(super) async fn wakes_itself(times: u8, style: Style) {
    for _ in 0..times {
        let mut was_woken = false;
        poll_fn(|cx| {
            if was_woken {
                return Poll::Ready(());
            }
            was_woken = true;
            oneshot::wake(cx.waker().clone(), style);
            Poll::Pending
        })
        .await;
    }
}

pub(super) async fn keeps_waker(ctx: Ctx) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    ctx.world.kept.lock().unwrap().push(Kept::Waker(waker));
}

pub(super) async fn waits_for_signal(ctx: Ctx, delay: Delay, style: Style) {
    let (firer, signal) = signal(style);
    ctx.world.once_outside(delay, move || firer.fire(()));
    ensure!(signal.await.is_some(), "a signal came without its value");
}

/// Runs an action in the scope of a task local, and looks at it before and after every poll.
pub(super) async fn has_local(ctx: Ctx, value: u64, inner: Action) {
    let mut inner = perform(ctx, inner);
    let looks = move |when: &str| {
        let found = LOCAL.try_with(|found| *found).ok();
        ensure!(found == Some(value), "{when} a poll: {found:?} in the place of {value}");
    };
    let watched = poll_fn(move |cx| {
        looks("before");
        let polled = inner.as_mut().poll(cx);
        looks("after");
        polled
    });
    let outer = LOCAL.try_with(|found| *found).ok();
    LOCAL.scope(value, watched).await;
    ensure!(LOCAL.try_with(|found| *found).ok() == outer, "a task local outlives its scope");
}

/// A door: what knocks writes a number and wakes, and the task reads it at every poll.
#[derive(Default)]
struct Door {
    sent: AtomicU64,
    seen: AtomicU64,
    waker: Mutex<Option<Waker>>,
    is_gone: AtomicBool,
}

struct Knocked {
    door: Arc<Door>,
    times: u64,
}

impl Future for Knocked {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = self.door.waker.lock().unwrap();
        let is_same = waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        let replaced = if is_same { None } else { waker.replace(cx.waker().clone()) };
        drop(waker);
        drop(replaced);
        // Relaxed: it is the wake that must make the number visible to the poll after it.
        let seen = self.door.sent.load(Ordering::Relaxed);
        self.door.seen.store(seen, Ordering::Relaxed);
        if seen == self.times { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Knocked {
    fn drop(&mut self) {
        self.door.is_gone.store(true, Ordering::Relaxed);
        let waker = self.door.waker.lock().unwrap().take();
        drop(waker);
    }
}

/// Is woken so often by a thread outside, each time only after the poll for the last one.
pub(super) async fn is_knocked(ctx: Ctx, times: u16) {
    let door = Arc::new(Door::default());
    let knocked = Knocked { door: door.clone(), times: times.into() };
    ctx.world.outside(Delay::None, move || {
        let sent = door.sent.load(Ordering::Relaxed);
        if door.is_gone.load(Ordering::Relaxed) || sent == u64::from(times) {
            return Progress::Done;
        }
        let waker = door.waker.lock().unwrap().clone();
        if let Some(waker) = waker.filter(|_| door.seen.load(Ordering::Relaxed) == sent) {
            door.sent.store(sent + 1, Ordering::Relaxed);
            waker.wake();
        }
        Progress::Again
    });
    knocked.await;
}
