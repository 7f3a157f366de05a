//! `CancelToken`: cancellation that is asked for.

mod support;

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use support::{Child, Drops, Gate, LIMIT, expect_success, for_each_worker_count, runtime, within};
use tenter::task::{Cancelled, CancelledOwned, DropGuard, RunUntil};
use tenter::{CancelToken, yield_now};

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn waker() -> (Arc<Self>, Waker) {
        let this = Arc::new(Self::default());
        (Arc::clone(&this), Waker::from(this))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn clones_are_the_same_token() {
    let token = CancelToken::new();
    let clone = token.clone();
    assert!(!token.is_cancelled() && !clone.is_cancelled());
    clone.cancel();
    assert!(token.is_cancelled() && clone.is_cancelled());
    token.cancel();
    assert!(token.is_cancelled());
    assert_eq!(format!("{token:?}"), "CancelToken { is_cancelled: true, .. }");
}

#[test]
fn a_child_is_cancelled_with_its_parent_and_not_the_other_way_round() {
    let parent = CancelToken::new();
    let (first, second) = (parent.child(), parent.child());
    let grandchild = first.child();
    first.cancel();
    assert!(first.is_cancelled() && grandchild.is_cancelled());
    assert!(!parent.is_cancelled() && !second.is_cancelled());
    parent.cancel();
    assert!(second.is_cancelled());
}

#[test]
fn a_child_of_a_cancelled_token_is_cancelled() {
    let token = CancelToken::new();
    token.cancel();
    let child = token.child();
    assert!(child.is_cancelled() && child.child().is_cancelled());
    assert!(poll(&mut child.cancelled()).is_ready());
}

#[test]
fn a_grandchild_hears_of_its_grandparent_when_the_token_between_is_gone() {
    let top = CancelToken::new();
    let bottom = top.child().child().child();
    let (wakes, waker) = Wakes::waker();
    let mut waiting = bottom.cancelled();
    assert!(poll_with(&mut waiting, &waker).is_pending());
    top.cancel();
    assert!(bottom.is_cancelled());
    assert_eq!(wakes.count(), 1);
    assert!(poll(&mut waiting).is_ready());
}

#[test]
fn a_child_outlives_its_parent() {
    let child = CancelToken::new().child();
    assert!(!child.is_cancelled());
    child.cancel();
    assert!(child.is_cancelled());
}

#[test]
fn everybody_who_waits_is_woken_once() {
    let token = CancelToken::new();
    let child = token.child();
    let (wakes, waker) = Wakes::waker();
    let mut waiting: Vec<_> = (0..100).map(|_| token.cancelled()).collect();
    waiting.extend((0..100).map(|_| child.cancelled()));
    for future in &mut waiting {
        for _ in 0..3 {
            assert!(poll_with(future, &waker).is_pending());
        }
    }
    token.cancel();
    token.cancel();
    assert_eq!(wakes.count(), 200);
    assert!(waiting.iter_mut().all(|future| poll(future).is_ready()));
    drop(waiting);
    // The token has kept no waker.
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

#[test]
fn the_last_waker_of_a_future_is_the_one_that_is_woken() {
    let token = CancelToken::new();
    let ((first, first_waker), (last, last_waker)) = (Wakes::waker(), Wakes::waker());
    let mut waiting = token.cancelled();
    assert!(poll_with(&mut waiting, &first_waker).is_pending());
    assert!(poll_with(&mut waiting, &last_waker).is_pending());
    assert_eq!(Arc::strong_count(&first), 2);
    token.cancel();
    assert_eq!((first.count(), last.count()), (0, 1));
}

#[test]
fn a_future_that_is_dropped_is_not_woken_and_leaves_nothing() {
    let token = CancelToken::new();
    let (wakes, waker) = Wakes::waker();
    for _ in 0..1000 {
        let mut waiting = token.cancelled();
        assert!(poll_with(&mut waiting, &waker).is_pending());
    }
    let mut owned = token.clone().cancelled_owned();
    assert!(poll_with(&mut owned, &waker).is_pending());
    drop(owned);
    assert_eq!(Arc::strong_count(&wakes), 2);
    token.cancel();
    assert_eq!(wakes.count(), 0);
}

#[test]
fn all_marks_are_set_before_the_first_is_woken() {
    struct Looks(CancelToken, AtomicUsize);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(usize::from(self.0.is_cancelled()), Ordering::SeqCst);
        }
    }
    let parent = CancelToken::new();
    let children: Vec<_> = (0..10).map(|_| parent.child()).collect();
    let looks: Vec<_> = children
        .iter()
        .rev()
        .map(|other| Arc::new(Looks(other.clone(), AtomicUsize::new(0))))
        .collect();
    let mut waiting: Vec<_> = children.iter().map(CancelToken::cancelled).collect();
    for (future, looks) in waiting.iter_mut().zip(&looks) {
        assert!(poll_with(future, &Waker::from(Arc::clone(looks))).is_pending());
    }
    parent.cancel();
    assert!(looks.iter().all(|looks| looks.1.load(Ordering::SeqCst) == 1));
}

#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    let token = CancelToken::new();
    let child = token.child();
    let (wakes, waker) = Wakes::waker();
    let mut waiting: Vec<_> = (0..4).map(|_| token.cancelled()).collect();
    waiting.extend((0..4).map(|_| child.cancelled()));
    for (index, future) in waiting.iter_mut().enumerate() {
        let panics = Waker::from(Arc::new(Panics));
        let waker = if index % 2 == 0 { &panics } else { &waker };
        assert!(poll_with(future, waker).is_pending());
    }
    token.cancel();
    assert_eq!(wakes.count(), 4);
}

#[test]
fn a_waker_may_use_the_token() {
    struct Again(CancelToken);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            self.0.cancel();
            assert!(self.0.child().is_cancelled());
            assert!(poll(&mut self.0.cancelled()).is_ready());
        }
    }
    within(LIMIT, || {
        let token = CancelToken::new();
        let mut waiting = token.cancelled();
        let again = Arc::new(Again(token.clone()));
        assert!(poll_with(&mut waiting, &Waker::from(again)).is_pending());
        token.cancel();
        assert!(poll(&mut waiting).is_ready());
    });
}

#[test]
fn a_long_chain_is_cancelled_and_dropped_on_a_small_stack() {
    within(LIMIT, || {
        let small = thread::Builder::new().stack_size(64 << 10);
        let body = || {
            let root = CancelToken::new();
            let mut chain = vec![root.clone()];
            for _ in 0..100_000 {
                chain.push(chain.last().unwrap().child());
            }
            root.cancel();
            assert!(chain.iter().all(CancelToken::is_cancelled));
            drop(chain);

            // And one that only its last token holds.
            let mut last = CancelToken::new();
            for _ in 0..100_000 {
                last = last.child();
            }
            assert!(!last.is_cancelled());
            drop(last);
        };
        small.spawn(body).unwrap().join().unwrap();
    });
}

#[test]
fn a_million_children_of_one_token_leave_nothing_behind() {
    within(LIMIT, || {
        // Alone: the memory is that of the whole process.
        expect_success(&Child::new().run(|| {
            let token = CancelToken::new();
            drop(token.child());
            let before = support::memory_peak();
            for _ in 0..1_000_000 {
                drop(token.child());
            }
            let grown = support::memory_peak().saturating_sub(before);
            assert!(grown < 32 << 20, "{grown}");
        }));
    });
}

#[test]
fn children_dropped_in_any_order_leave_the_others_in_place() {
    let token = CancelToken::new();
    let mut children: Vec<_> = (0..100).map(|_| token.child()).collect();
    for step in 0..50 {
        children.remove(step * 7 % children.len());
    }
    children.extend((0..25).map(|_| token.child()));
    token.cancel();
    assert!(children.iter().all(CancelToken::is_cancelled));
}

#[test]
fn tasks_on_all_workers_hear_of_it() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let token = CancelToken::new();
            let tasks: Vec<_> = (0..200)
                .map(|n| {
                    let token = if n % 2 == 0 { token.clone() } else { token.child() };
                    runtime.spawn(async move {
                        for _ in 0..n % 5 {
                            yield_now().await;
                        }
                        token.cancelled().await;
                        assert!(token.is_cancelled());
                    })
                })
                .collect();
            runtime.block_on(runtime.spawn(async move { token.cancel() })).unwrap();
            for task in tasks {
                runtime.block_on(task).unwrap();
            }
        });
    });
}

#[test]
fn threads_that_cancel_make_children_and_wait_at_once_agree() {
    within(LIMIT, || {
        for _ in 0..200 {
            let token = CancelToken::new();
            thread::scope(|scope| {
                let child = scope.spawn(|| {
                    let child = token.child();
                    drop(token.child());
                    futures_lite::future::block_on(child.cancelled());
                });
                let waiter = scope.spawn(|| futures_lite::future::block_on(token.cancelled()));
                scope.spawn(|| token.cancel());
                token.cancel();
                assert!(token.is_cancelled());
                child.join().unwrap();
                waiter.join().unwrap();
            });
        }
    });
}

#[test]
fn run_until_returns_the_output_unless_it_is_cancelled() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let token = CancelToken::new();
            assert_eq!(runtime.block_on(token.run_until(ready(1))), Some(1));
            let drops = Drops::new();
            let (tracked, started) = (drops.tracked(), Gate::new());
            let (theirs, start) = (token.clone(), started.clone());
            let task = runtime.spawn(async move {
                let future = async move {
                    tracked.touch();
                    start.open();
                    pending::<i32>().await
                };
                theirs.run_until(future).await
            });
            started.wait();
            token.cancel();
            assert_eq!(runtime.block_on(task).unwrap(), None);
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn run_until_does_not_begin_if_the_token_is_cancelled() {
    let token = CancelToken::new();
    token.cancel();
    let is_polled = Cell::new(false);
    let mut future = pin!(token.run_until(async { is_polled.set(true) }));
    assert!(matches!(poll(&mut future), Poll::Ready(None)));
    assert!(!is_polled.get());
}

#[test]
fn run_until_prefers_an_output_that_is_there() {
    let token = CancelToken::new();
    let gate = Gate::new();
    let mut future = pin!(token.run_until(gate.pass()));
    assert!(poll(&mut future).is_pending());
    gate.open();
    token.cancel();
    assert_eq!(poll(&mut future), Poll::Ready(Some(())));
}

#[test]
fn a_guard_cancels_when_it_is_dropped_unless_it_is_disarmed() {
    let token = CancelToken::new();
    let guard = token.child().drop_guard();
    let child = guard.disarm();
    assert!(!child.is_cancelled());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = token.clone().drop_guard();
        panic!("on the way");
    }));
    assert!(panicked.is_err());
    assert!(token.is_cancelled() && child.is_cancelled());
}

#[test]
fn cancelled_futures_may_be_sent_and_kept() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let token = CancelToken::default();
        let task = runtime.spawn(token.child().cancelled_owned());
        token.cancel();
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn they_are_what_they_should_be() {
    fn assert<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + std::fmt::Debug>() {}
    assert::<CancelToken>();
    assert::<Cancelled<'static>>();
    assert::<CancelledOwned>();
    assert::<DropGuard>();
    assert::<RunUntil<'static, std::future::Ready<()>>>();
}
