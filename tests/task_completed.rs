//! `as_completed`: each result as soon as it is there.

mod support;

use std::future::{Future, pending, ready};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_lite::{Stream, StreamExt};
use support::{Drops, Gate, LIMIT, for_each_worker_count, runtime, watch, within};
use tenter::task::AsCompleted;
use tenter::{Runtime, as_completed};

fn poll<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn results_come_in_the_order_in_which_the_tasks_end() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let gates: Vec<Gate> = (0..50).map(|_| Gate::new()).collect();
            let wait = |(index, gate): (usize, &Gate)| {
                let gate = gate.clone();
                async move {
                    gate.pass().await;
                    index * 10
                }
            };
            let mut results = as_completed(gates.iter().enumerate().map(wait));
            runtime.block_on(async {
                for step in 0..50 {
                    // Every number below 50, in another order.
                    let next = (step * 7 + 3) % 50;
                    gates[next].open();
                    let (index, result) = AsCompleted::next(&mut results).await.unwrap();
                    assert_eq!((index, result.unwrap()), (next, next * 10));
                    assert_eq!(results.len(), 49 - step);
                }
                assert!(AsCompleted::next(&mut results).await.is_none());
                assert!(results.is_empty());
            });
        });
    });
}

#[test]
fn it_is_a_stream() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let stream = as_completed((0..1000_usize).map(ready));
        assert_eq!(Stream::size_hint(&stream), (1000, Some(1000)));
        let mut seen: Vec<usize> = runtime.block_on(
            stream
                .map(|(index, result)| {
                    assert_eq!(index, result.unwrap());
                    index
                })
                .collect(),
        );
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..1000));
    });
}

#[test]
fn a_panic_is_the_error_of_its_future_and_the_others_go_on() {
    within(LIMIT, || {
        let runtime = runtime(2);
        runtime.block_on(async {
            let mut results = as_completed((0..3).map(|n| async move {
                assert!(n != 1, "the middle one");
                n
            }));
            let mut panics = Vec::new();
            let mut sum = 0;
            while let Some((index, result)) = AsCompleted::next(&mut results).await {
                match result {
                    Ok(n) => sum += n,
                    Err(error) => panics.push((index, error.to_string())),
                }
            }
            assert_eq!(sum, 2);
            assert_eq!(panics.len(), 1);
            assert!(panics[0].0 == 1 && panics[0].1.contains("the middle one"), "{panics:?}");
        });
    });
}

#[test]
fn waiting_for_the_next_can_be_given_up() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let gate = Gate::new();
        let hold = gate.clone();
        runtime.block_on(async {
            let mut results = as_completed([async move { hold.pass().await }]);
            for _ in 0..3 {
                let mut next = Box::pin(AsCompleted::next(&mut results));
                assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            gate.open();
            assert!(AsCompleted::next(&mut results).await.unwrap().1.is_ok());
        });
    });
}

#[test]
fn a_panic_is_handed_out_or_reported_and_never_both() {
    within(LIMIT, || {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&heard);
        let mut builder = Runtime::builder();
        let builder = builder.worker_threads(1).on_unobserved(move |unobserved| {
            hook.lock().unwrap().push(unobserved.message().to_owned());
        });
        let runtime = builder.build().unwrap();
        watch(runtime.handle());
        let taken = runtime.block_on(async {
            let mut results = as_completed((0..3).map(|n| async move { panic!("panic {n}") }));
            let (index, result) = AsCompleted::next(&mut results).await.unwrap();
            support::until(|| tenter::Handle::current().metrics().live_tasks() == 0).await;
            let _: Result<(), _> = result;
            index
        });
        drop(runtime);
        let mut expected: Vec<String> = (0..3).map(|n| format!("panic {n}")).collect();
        expected.remove(taken);
        let mut heard = heard.lock().unwrap();
        heard.sort_unstable();
        assert_eq!(*heard, expected);
    });
}

#[test]
fn dropping_it_aborts_what_is_still_running() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            runtime.block_on(async {
                let mut results = as_completed((0..10).map(|n| {
                    let tracked = drops.tracked();
                    async move {
                        tracked.touch();
                        if n != 4 {
                            pending::<()>().await;
                        }
                    }
                }));
                assert_eq!(AsCompleted::next(&mut results).await.unwrap().0, 4);
                drop(results);
                support::until(|| drops.count() == 10).await;
            });
        });
    });
}

#[test]
fn without_futures_it_ends_at_once_anywhere() {
    let mut nothing = as_completed::<[std::future::Ready<()>; 0]>([]);
    assert!(matches!(poll(&mut nothing), Poll::Ready(None)));
    assert!(matches!(poll(&mut nothing), Poll::Ready(None)));
}

#[test]
#[should_panic(expected = "there is no runtime on this thread")]
fn outside_a_runtime_it_panics() {
    let _ = poll(&mut as_completed([ready(())]));
}

#[test]
fn a_shutdown_is_the_end_of_its_tasks() {
    within(LIMIT, || {
        let (inner, outer) = (runtime(1), runtime(1));
        let mut results = as_completed([pending::<()>(), pending()]);
        {
            let _entered = inner.enter();
            assert!(poll(&mut results).is_pending());
        }
        drop(inner);
        outer.block_on(async {
            for _ in 0..2 {
                let (_, result) = AsCompleted::next(&mut results).await.unwrap();
                assert!(result.unwrap_err().is_cancelled());
            }
            assert!(AsCompleted::next(&mut results).await.is_none());
        });
    });
}

#[test]
fn it_is_what_it_should_be() {
    fn assert<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + std::fmt::Debug>() {}
    assert::<AsCompleted<std::future::Ready<i32>>>();
}
