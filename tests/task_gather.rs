//! `gather` and `try_gather`: many futures, all results.

mod support;

use std::error::Error;
use std::fmt::Debug;
use std::future::{Future, pending, ready};
use std::num::ParseIntError;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use support::{Drops, Gate, LIMIT, for_each_worker_count, runtime, watch, within};
use tenter::task::{Gather, GatherError, TryGather};
use tenter::{Runtime, gather, try_gather, yield_now};

/// A future of one type for different tests.
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn boxed<T>(future: impl Future<Output = T> + Send + 'static) -> Boxed<T> {
    Box::pin(future)
}

/// A runtime with two workers, and what nobody looked at in it.
fn listening() -> (Runtime, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&heard);
    let mut builder = Runtime::builder();
    let builder = builder.worker_threads(2).on_unobserved(move |unobserved| {
        hook.lock().unwrap().push(unobserved.message().to_owned());
    });
    let runtime = builder.build().unwrap();
    watch(runtime.handle());
    (runtime, heard)
}

#[test]
fn results_come_in_the_order_of_the_futures() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let results = runtime.block_on(gather((0..100).map(|n| async move {
                for _ in n..100 {
                    yield_now().await;
                }
                n
            })));
            let values: Vec<i32> = results.into_iter().map(Result::unwrap).collect();
            assert!(values.into_iter().eq(0..100));
        });
    });
}

#[test]
fn nothing_and_one_and_a_hundred_thousand_are_gathered() {
    within(LIMIT, || {
        let runtime = runtime(2);
        for count in [0, 1, 100_000_usize] {
            let results = runtime.block_on(gather((0..count).map(ready)));
            assert!(results.into_iter().map(Result::unwrap).eq(0..count));
            let futures = (0..count).map(|n| ready(Ok::<_, ()>(n)));
            assert!(runtime.block_on(try_gather(futures)).unwrap().into_iter().eq(0..count));
        }
    });
}

#[test]
fn the_futures_run_at_the_same_time() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let arrived = Arc::new(AtomicUsize::new(0));
            let everybody = |_| {
                let arrived = Arc::clone(&arrived);
                async move {
                    arrived.fetch_add(1, Ordering::Relaxed);
                    while arrived.load(Ordering::Relaxed) < 500 {
                        yield_now().await;
                    }
                }
            };
            let results = runtime.block_on(gather((0..500).map(everybody)));
            assert!(results.iter().all(Result::is_ok));
        });
    });
}

#[test]
fn a_panic_is_the_error_in_its_place() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        let results = runtime.block_on(gather([
            boxed(async { 1 }),
            boxed(async { panic!("the second") }),
            boxed(async { 3 }),
        ]));
        assert_eq!(results[0].as_ref().unwrap(), &1);
        assert!(results[1].as_ref().unwrap_err().is_panic());
        assert!(results[1].as_ref().unwrap_err().to_string().contains("the second"));
        assert_eq!(results[2].as_ref().unwrap(), &3);
        assert!(heard.lock().unwrap().is_empty());
    });
}

#[test]
fn nothing_is_spawned_before_the_first_poll() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let drops = Drops::new();
        let tracked = drops.tracked();
        let _entered = runtime.enter();
        let future = gather([async move { tracked.touch() }]);
        assert_eq!(runtime.handle().metrics().live_tasks(), 0);
        assert_eq!(format!("{future:?}"), "Gather { to_spawn: 1, running: 0, ended: 0 }");
        drop(future);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn tasks_are_said_to_be_spawned_where_gather_is_called() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        let line = Arc::new(Mutex::new(0));
        let gate = Gate::new();
        runtime.block_on(async {
            let hold = gate.clone();
            *line.lock().unwrap() = line!() + 1;
            let mut gathered = Box::pin(gather([async move { hold.pass().await }]));
            assert!(poll(&mut gathered).is_pending());
            let tasks = tenter::Handle::current().tasks();
            let place = format!("task_gather.rs:{}", line.lock().unwrap());
            assert!(tasks.iter().any(|task| task.to_string().contains(&place)), "{tasks:?}");
            gate.open();
            gathered.await;
        });
        assert!(heard.lock().unwrap().is_empty());
    });
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_pending_gather_that_is_dropped_aborts_its_tasks() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            runtime.block_on(async {
                let hold = |_| {
                    let tracked = drops.tracked();
                    async move {
                        tracked.touch();
                        pending::<Result<(), ()>>().await
                    }
                };
                let mut all = gather((0..10).map(hold));
                assert!(poll(&mut all).is_pending());
                let mut all_or_none = try_gather((0..10).map(hold));
                assert!(poll(&mut all_or_none).is_pending());
                drop((all, all_or_none));
                support::until(|| drops.count() == 20).await;
            });
        });
    });
}

#[test]
fn a_panic_that_a_dropped_gather_did_not_return_is_reported() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        runtime.block_on(async {
            let mut all = gather([boxed(pending::<()>()), boxed(async { panic!("unseen") })]);
            assert!(poll(&mut all).is_pending());
            support::until(|| tenter::Handle::current().metrics().live_tasks() == 1).await;
            drop(all);
            support::until(|| heard.lock().unwrap().len() == 1).await;
            assert_eq!(*heard.lock().unwrap(), ["unseen"]);
        });
    });
}

#[test]
fn a_panic_is_reported_once_wherever_the_dropped_gather_has_come_to() {
    within(LIMIT, || {
        for looks in 0..3 {
            let (runtime, heard) = listening();
            runtime.block_on(async {
                let mut all = gather([
                    boxed(async { 0 }),
                    boxed(async { panic!("unseen") }),
                    boxed(pending()),
                    boxed(async { panic!("behind it") }),
                ]);
                assert!(poll(&mut all).is_pending());
                support::until(|| tenter::Handle::current().metrics().live_tasks() == 1).await;
                for _ in 0..looks {
                    assert!(poll(&mut all).is_pending());
                }
                drop(all);
            });
            drop(runtime);
            let mut heard = heard.lock().unwrap();
            heard.sort_unstable();
            assert_eq!(*heard, ["behind it", "unseen"]);
        }
    });
}

#[test]
fn a_failure_that_panicked_is_reported_if_a_try_gather_does_not_return_it() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        let [started, open] = [(); 2].map(|()| Gate::new());
        let (starts, waits, hold) = (started.clone(), started.clone(), open.clone());
        // A task, as the thread of `block_on` may be the one that waits.
        let task = runtime.spawn(async move {
            let mut all = try_gather::<_, (), &str>([
                boxed(async move {
                    waits.pass().await;
                    panic!("unseen")
                }),
                boxed(async move {
                    // The thread waits, not the task: it cannot be cancelled here.
                    starts.open();
                    hold.wait();
                    Ok(())
                }),
            ]);
            let mut looked = vec![poll(&mut all).is_pending()];
            let mut seen = String::new();
            support::until(|| {
                looked.push(poll(&mut all).is_pending());
                seen = format!("{all:?}");
                !seen.ends_with("failed: 0 }")
            })
            .await;
            drop(all);
            open.open();
            (looked, seen)
        });
        let (looked, seen) = runtime.block_on(task).unwrap();
        assert!(looked.into_iter().all(|is_pending| is_pending));
        assert_eq!(seen, "TryGather { to_spawn: 0, running: 1, failed: 1 }");
        drop(runtime);
        assert_eq!(*heard.lock().unwrap(), ["unseen"]);
    });
}

#[test]
fn an_error_of_a_gather_that_nobody_looks_at_is_not_reported_again() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        let results = runtime.block_on(gather([boxed(async { panic!("handed out") })]));
        drop::<Vec<Result<(), _>>>(results);
        let fails = boxed(async { panic!("handed out too") });
        let error = runtime.block_on(try_gather::<_, (), &str>([fails])).unwrap_err();
        drop(error);
        drop(runtime);
        assert!(heard.lock().unwrap().is_empty());
    });
}

#[test]
fn the_first_error_cancels_the_rest_and_waits_until_they_have_ended() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let futures: Vec<Boxed<Result<(), &str>>> = (0..20)
                .map(|n| {
                    let tracked = drops.tracked();
                    boxed(async move {
                        tracked.touch();
                        match n {
                            7 => Err("the eighth"),
                            _ => pending().await,
                        }
                    })
                })
                .collect();
            let error = runtime.block_on(try_gather(futures)).unwrap_err();
            assert_eq!(drops.count(), 20);
            assert_eq!((error.index(), error.error()), (7, Some(&"the eighth")));
            assert!(!error.is_panic() && !error.is_cancelled() && error.join_error().is_none());
            assert_eq!(error.others().len(), 0);
            assert_eq!(error.to_string(), "future 7 failed: the eighth");
            assert_eq!(error.into_error().unwrap(), "the eighth");
        });
    });
}

#[test]
fn a_panic_cancels_the_rest_too() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        let futures: [Boxed<Result<(), &str>>; 2] =
            [boxed(pending()), boxed(async { panic!("and ends it all") })];
        let error = runtime.block_on(try_gather(futures)).unwrap_err();
        assert_eq!((error.index(), error.error()), (1, None));
        assert!(error.is_panic() && error.join_error().unwrap().is_panic());
        assert!(error.to_string().ends_with("panicked: and ends it all"), "{error}");
        assert!(error.into_error().unwrap_err().is_panic());
        assert!(heard.lock().unwrap().is_empty());
    });
}

/// Fails as it is dropped.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

#[test]
fn what_else_failed_is_in_the_error() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        let [first_failed, second_runs, third_waits] = [(); 3].map(|()| Gate::new());
        let (failed, runs, waits) =
            (first_failed.clone(), second_runs.clone(), third_waits.clone());
        let futures: Vec<Boxed<Result<u8, String>>> = vec![
            boxed(async { Ok(1) }),
            boxed(async move {
                second_runs.pass().await;
                third_waits.pass().await;
                first_failed.open();
                Err("first".to_owned())
            }),
            boxed(async move {
                // The thread waits, not the task: it cannot be cancelled here.
                runs.open();
                failed.wait();
                Err("second".to_owned())
            }),
            boxed(async move {
                let _fails = PanicsInDrop;
                waits.open();
                pending().await
            }),
        ];
        let error = runtime.block_on(try_gather(futures)).unwrap_err();
        let mut failed: Vec<_> =
            error.others().map(|(index, failure)| (index, failure.is_err())).collect();
        failed.push((error.index(), error.join_error().is_some()));
        failed.sort_unstable();
        // Which of the two errors was first in time is open; the panic came with the cancelling.
        assert_eq!(failed, [(1, false), (2, false), (3, true)]);
        assert!(error.index() < 3);
        assert!(error.to_string().ends_with("(and 2 more)"), "{error}");
        assert_eq!(error.into_failures().len(), 3);
        assert!(heard.lock().unwrap().is_empty());
    });
}

#[test]
fn the_error_of_a_gather_is_an_error() {
    fn is_error(error: &dyn Error) -> Option<String> {
        error.source().map(ToString::to_string)
    }
    within(LIMIT, || {
        let runtime = runtime(1);
        let parse = |text: &'static str| async move { text.parse::<i32>() };
        let error: GatherError<ParseIntError> =
            runtime.block_on(try_gather(["x"].map(parse))).unwrap_err();
        assert_eq!(is_error(&error), None);
        assert_eq!(
            format!("{error:?}"),
            "GatherError([(0, Ok(ParseIntError { kind: InvalidDigit }))])"
        );
        let outer = try_gather([async move { Err::<(), _>(error) }]);
        let outer = runtime.block_on(outer).unwrap_err();
        assert_eq!(
            outer.to_string(),
            "future 0 failed: future 0 failed: invalid digit found in string"
        );
    });
}

#[test]
fn gathering_goes_on_from_task_to_task() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let gate = Gate::new();
        let hold = gate.clone();
        let results = runtime.block_on(async {
            let mut all = gather([async move { hold.pass().await }]);
            assert!(poll(&mut all).is_pending());
            let other = tenter::spawn(all);
            gate.open();
            other.await.unwrap()
        });
        assert!(results[0].is_ok());
    });
}

#[test]
fn a_shutdown_is_the_end_of_what_is_gathered() {
    within(LIMIT, || {
        let (inner, outer) = (runtime(1), runtime(1));
        let (all, some) = {
            let _entered = inner.enter();
            let mut all = gather([pending::<()>()]);
            let mut some = try_gather([pending::<Result<(), ()>>(), pending()]);
            assert!(poll(&mut all).is_pending() && poll(&mut some).is_pending());
            (all, some)
        };
        drop(inner);
        assert!(outer.block_on(all)[0].as_ref().unwrap_err().is_cancelled());
        let error = outer.block_on(some).unwrap_err();
        assert!(error.is_cancelled() && error.others().len() == 0);
    });
}

#[test]
fn after_a_shutdown_everything_is_cancelled() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        let Poll::Ready(results) = poll(&mut gather([ready(1), ready(2)])) else { panic!() };
        assert!(results.iter().all(|result| result.as_ref().unwrap_err().is_cancelled()));
        let Poll::Ready(result) = poll(&mut try_gather([ready(Ok::<_, ()>(1))])) else { panic!() };
        assert!(result.unwrap_err().is_cancelled());
    });
}

#[test]
fn nothing_can_be_gathered_outside_a_runtime() {
    let Poll::Ready(results) = poll(&mut gather::<[std::future::Ready<()>; 0]>([])) else {
        panic!("there is nothing to wait for");
    };
    assert!(results.is_empty());
}

#[test]
#[should_panic(expected = "there is no runtime on this thread")]
fn something_cannot_be_gathered_outside_a_runtime() {
    let _ = poll(&mut gather([ready(())]));
}

#[test]
#[should_panic(expected = "polled after it returned")]
fn a_gather_that_is_done_is_not_polled_again() {
    let mut nothing = gather::<[std::future::Ready<()>; 0]>([]);
    assert!(poll(&mut nothing).is_ready());
    let _ = poll(&mut nothing);
}

#[test]
fn gathering_many_lets_other_tasks_run() {
    within(Duration::from_secs(120), || {
        let runtime = runtime(1);
        let turns = Arc::new(AtomicUsize::new(0));
        let other = Arc::clone(&turns);
        let ticker = runtime.spawn(async move {
            loop {
                other.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        let before = Arc::clone(&turns);
        let task = runtime.spawn(async move {
            let start = before.load(Ordering::Relaxed);
            gather((0..10_000).map(ready)).await;
            before.load(Ordering::Relaxed) - start
        });
        let turns = runtime.block_on(task).unwrap();
        // 10,000 spawns in polls of 128, and others run between two polls.
        assert!(turns >= 10_000 / 128, "{turns}");
        ticker.abort();
    });
}

#[test]
fn the_futures_are_what_they_should_be() {
    fn assert<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    assert::<Gather<std::future::Ready<i32>>>();
    assert::<TryGather<std::future::Ready<Result<(), ()>>, i32, i32>>();
    assert::<GatherError<i32>>();
    fn is_debug<T: Debug>() {}
    is_debug::<Gather<std::future::Ready<i32>>>();
}
