//! `shield`: a future that is not cancelled with who waits for it.

mod support;

use std::future::{Future, pending, ready};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use support::{Drops, Gate, LIMIT, for_each_worker_count, runtime, watch, within};
use tenter::task::Shield;
use tenter::{Runtime, select, shield};

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn it_returns_what_the_future_does() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            assert_eq!(runtime.block_on(shield(async { 1 })).unwrap(), 1);
            let error = runtime.block_on(shield(async { panic!("inside") })).unwrap_err();
            assert!(error.is_panic() && error.to_string().contains("inside"));
        });
    });
}

#[test]
fn the_future_runs_on_when_the_task_that_waits_is_aborted() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (gate, started, done) = (Gate::new(), Gate::new(), Gate::new());
            let waiter = {
                let (gate, started, done) = (gate.clone(), started.clone(), done.clone());
                runtime.spawn(async move {
                    let work = shield(async move {
                        started.open();
                        gate.pass().await;
                        done.open();
                    });
                    work.await.unwrap();
                })
            };
            runtime.block_on(async {
                started.pass().await;
                assert_eq!(waiter.cancel().await, None);
                gate.open();
                done.pass().await;
            });
        });
    });
}

#[test]
fn the_future_runs_on_when_another_branch_is_first() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let (gate, done) = (Gate::new(), Gate::new());
        let (pass, finished) = (gate.clone(), done.clone());
        runtime.block_on(async {
            select! {
                biased;
                _ = shield(async move { pass.pass().await; finished.open() }) => unreachable!(),
                () = ready(()) => {}
            }
            gate.open();
            done.pass().await;
        });
    });
}

#[test]
fn what_is_never_polled_is_never_begun() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let drops = Drops::new();
        let tracked = drops.tracked();
        let _entered = runtime.enter();
        let never = shield(async move { tracked.touch() });
        assert!(format!("{never:?}").starts_with("Shield(not spawned, from tests/task_shield.rs"));
        assert_eq!(runtime.handle().metrics().live_tasks(), 0);
        drop(never);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_future_that_runs_on_alone_is_not_silent_when_it_panics() {
    within(LIMIT, || {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&heard);
        let mut builder = Runtime::builder();
        let builder = builder.worker_threads(1).on_unobserved(move |unobserved| {
            let line = unobserved.location().line();
            hook.lock().unwrap().push((line, unobserved.message().to_owned()));
        });
        let runtime = builder.build().unwrap();
        watch(runtime.handle());
        let line = line!() + 2;
        runtime.block_on(async {
            let mut work = shield(async {
                tenter::yield_now().await;
                panic!("alone")
            });
            let _pending: Poll<Result<(), _>> = poll(&mut work);
        });
        runtime.block_on(support::until(|| heard.lock().unwrap().len() == 1));
        assert_eq!(*heard.lock().unwrap(), [(line, "alone".to_owned())]);
    });
}

#[test]
fn an_output_that_nobody_takes_is_dropped() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let drops = Drops::new();
        let gate = Gate::new();
        let (tracked, pass) = (drops.tracked(), gate.clone());
        runtime.block_on(async {
            let mut work = shield(async move {
                pass.pass().await;
                tracked
            });
            assert!(poll(&mut work).is_pending());
            drop(work);
            assert_eq!(drops.count(), 0);
            gate.open();
            support::until(|| drops.count() == 1).await;
        });
    });
}

#[test]
fn a_shutdown_cancels_what_is_shielded() {
    within(LIMIT, || {
        let (inner, outer) = (runtime(1), runtime(1));
        let drops = Drops::new();
        let tracked = drops.tracked();
        let mut work = shield(async move {
            tracked.touch();
            pending::<()>().await;
        });
        {
            let _entered = inner.enter();
            assert!(poll(&mut work).is_pending());
        }
        drop(inner);
        assert_eq!(drops.count(), 1);
        assert!(outer.block_on(work).unwrap_err().is_cancelled());
    });
}

#[test]
fn outside_a_runtime_it_panics_and_keeps_the_future() {
    let drops = Drops::new();
    let tracked = drops.tracked();
    let mut work = shield(async move { tracked.touch() });
    let outside = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut work)));
    let message = *outside.unwrap_err().downcast::<&str>().unwrap();
    assert!(message.contains("no runtime"), "{message}");
    assert_eq!(drops.count(), 0);
    within(LIMIT, || runtime(1).block_on(work)).unwrap();
    assert_eq!(drops.count(), 1);
}

#[test]
fn it_is_what_it_should_be() {
    fn assert<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + std::fmt::Debug>() {}
    assert::<Shield<std::future::Ready<i32>>>();
}
