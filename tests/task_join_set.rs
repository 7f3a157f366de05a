//! `JoinSet`: tasks whose outputs are taken as they come.

mod support;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::StreamExt;
use support::{
    Child, Drops, Gate, LIMIT, expect_success, for_each_worker_count, runtime, until, watch, within,
};
use tenter::task::Builder;
use tenter::{JoinSet, Runtime, yield_now};

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

/// A runtime with one worker, which is never helped: what it runs ends to the last step before the
/// next begins.
fn one_after_the_other() -> Runtime {
    let runtime = Runtime::builder().worker_threads(1).blocked_after(None).build().unwrap();
    watch(runtime.handle());
    runtime
}

/// Suspends the task until so many are left on such a runtime.
async fn left(count: usize) {
    until(|| tenter::Handle::current().metrics().live_tasks() == count).await;
    tenter::spawn(async {}).await.unwrap();
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
fn every_output_is_returned_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let mut set = JoinSet::new();
                for n in 0..1000 {
                    set.spawn(async move {
                        for _ in 0..n % 5 {
                            yield_now().await;
                        }
                        n
                    });
                }
                let mut seen = Vec::new();
                while let Some(result) = set.join_next().await {
                    seen.push(result.unwrap());
                    assert_eq!(set.len(), 1000 - seen.len());
                }
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..1000));
                assert!(set.is_empty());
            });
        });
    });
}

#[test]
fn outputs_come_in_the_order_in_which_the_tasks_end() {
    within(LIMIT, || {
        one_after_the_other().block_on(async {
            let gates: Vec<Gate> = (0..20).map(|_| Gate::new()).collect();
            let mut set: JoinSet<usize> = JoinSet::new();
            for (index, gate) in gates.iter().cloned().enumerate() {
                set.spawn(async move {
                    gate.pass().await;
                    index
                });
            }
            // Each ends before the next may.
            for step in 0..20 {
                gates[step * 7 % 20].open();
                left(19 - step).await;
            }
            for step in 0..20 {
                assert_eq!(set.join_next().await.unwrap().unwrap(), step * 7 % 20);
            }
        });
    });
}

#[test]
fn an_empty_set_has_no_next() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let mut set = JoinSet::<()>::new();
            assert!(set.join_next().await.is_none());
            assert!(set.try_join_next().is_none());
            set.spawn(async {});
            assert!(set.join_next().await.is_some());
            assert!(set.join_next().await.is_none());
            set.shutdown().await;
        });
    });
}

#[test]
fn try_join_next_does_not_wait_and_does_not_depend_on_the_budget() {
    within(LIMIT, || {
        let runtime = one_after_the_other();
        let task = runtime.spawn(async {
            let gate = Gate::new();
            let mut set = JoinSet::new();
            for _ in 0..1000 {
                let gate = gate.clone();
                set.spawn(async move { gate.pass().await });
            }
            assert!(set.try_join_next().is_none());
            gate.open();
            left(1).await;
            let mut taken = 0;
            while let Some(result) = set.try_join_next() {
                result.unwrap();
                taken += 1;
            }
            taken
        });
        assert_eq!(runtime.block_on(task).unwrap(), 1000);
    });
}

#[test]
fn trying_does_not_take_the_place_of_who_waits() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let _entered = runtime.enter();
        let gate = Gate::new();
        let mut set = JoinSet::new();
        let pass = gate.clone();
        set.spawn(async move { pass.pass().await });
        let (wakes, waker) = Wakes::waker();
        assert!(set.poll_join_next(&mut Context::from_waker(&waker)).is_pending());
        assert!(set.try_join_next().is_none());
        gate.open();
        support::wait_until(|| wakes.count() == 1);
        assert!(set.try_join_next().is_some());
    });
}

#[test]
fn who_waits_is_woken_once_for_many_that_end() {
    within(LIMIT, || {
        let runtime = one_after_the_other();
        let _entered = runtime.enter();
        let gate = Gate::new();
        let mut set: JoinSet<()> = (0..100)
            .map(|_| {
                let gate = gate.clone();
                async move { gate.pass().await }
            })
            .collect();
        let (wakes, waker) = Wakes::waker();
        assert!(set.poll_join_next(&mut Context::from_waker(&waker)).is_pending());
        gate.open();
        runtime.block_on(left(0));
        for _ in 0..100 {
            let next = set.poll_join_next(&mut Context::from_waker(&waker));
            assert!(matches!(next, Poll::Ready(Some(Ok(())))));
        }
        assert_eq!(wakes.count(), 1);
    });
}

#[test]
fn the_last_who_waits_is_woken() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let _entered = runtime.enter();
        let gate = Gate::new();
        let pass = gate.clone();
        let mut set = JoinSet::new();
        set.spawn(async move { pass.pass().await });
        let (first, first_waker) = Wakes::waker();
        let (last, last_waker) = Wakes::waker();
        assert!(set.poll_join_next(&mut Context::from_waker(&first_waker)).is_pending());
        assert!(set.poll_join_next(&mut Context::from_waker(&last_waker)).is_pending());
        // The set has forgotten the first.
        assert_eq!(Arc::strong_count(&first), 2);
        gate.open();
        support::wait_until(|| last.count() == 1);
        assert_eq!(first.count(), 0);
    });
}

#[test]
fn a_panic_of_a_task_is_its_result() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        runtime.block_on(async {
            let mut set = JoinSet::new();
            let task = set.spawn(async { panic!("one of them") });
            let error = set.join_next().await.unwrap().unwrap_err();
            assert!(error.is_panic() && error.id() == task.id());
            let (): () = match set.join_next_with_id().await {
                None => (),
                Some(result) => result.unwrap().1,
            };
        });
        drop(runtime);
        assert!(heard.lock().unwrap().is_empty());
    });
}

#[test]
fn results_have_the_ids_of_their_tasks() {
    within(LIMIT, || {
        one_after_the_other().block_on(async {
            let mut set = JoinSet::new();
            let ids: Vec<_> = (0..10).map(|n| (set.spawn(ready(n)).id(), n)).collect();
            for _ in 0..5 {
                let (id, n) = set.join_next_with_id().await.unwrap().unwrap();
                assert!(ids.contains(&(id, n)));
            }
            left(0).await;
            for _ in 0..5 {
                let (id, n) = set.try_join_next_with_id().unwrap().unwrap();
                assert!(ids.contains(&(id, n)));
            }
        });
    });
}

#[test]
fn aborted_tasks_stay_in_the_set_until_they_are_taken() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let drops = Drops::new();
                let mut set = JoinSet::new();
                let first = set.spawn(ready(1));
                until(|| first.is_finished()).await;
                for _ in 0..10 {
                    let tracked = drops.tracked();
                    set.spawn(async move {
                        tracked.touch();
                        pending().await
                    });
                }
                set.abort_all();
                assert_eq!(set.len(), 11);
                let (mut returned, mut cancelled) = (0, 0);
                while let Some(result) = set.join_next().await {
                    match result {
                        Ok(output) => returned += output,
                        Err(error) => cancelled += i32::from(error.is_cancelled()),
                    }
                }
                assert_eq!((returned, cancelled, drops.count()), (1, 10, 10));
            });
        });
    });
}

#[test]
fn one_of_them_can_be_aborted() {
    within(LIMIT, || {
        runtime(2).block_on(async {
            let mut set = JoinSet::new();
            let task = set.spawn(pending::<()>());
            task.abort();
            assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_shutdown_of_the_set_waits_until_every_future_is_dropped() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let drops = Drops::new();
                let mut set = JoinSet::new();
                for n in 0..1000 {
                    let tracked = drops.tracked();
                    set.spawn(async move {
                        tracked.touch();
                        if n % 2 == 0 {
                            pending::<()>().await;
                        }
                    });
                }
                set.shutdown().await;
                assert_eq!(drops.count(), 1000);
                assert!(set.is_empty());
            });
        });
    });
}

#[test]
fn a_shutdown_of_the_set_reports_panics() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        runtime.block_on(async {
            let mut set = JoinSet::new();
            let task = set.spawn(async { panic!("before it was aborted") });
            until(|| task.is_finished()).await;
            set.shutdown().await;
            assert_eq!(*heard.lock().unwrap(), ["before it was aborted"]);
        });
    });
}

#[test]
fn a_shutdown_of_the_set_can_be_given_up_and_begun_again() {
    within(LIMIT, || {
        let runtime = runtime(2);
        runtime.block_on(async {
            let gate = Gate::new();
            let (pass, started) = (gate.clone(), Gate::new());
            let start = started.clone();
            let mut set = JoinSet::new();
            set.spawn_blocking(move || {
                start.open();
                pass.wait();
            });
            started.pass().await;
            for _ in 0..3 {
                let shutdown = pin!(set.shutdown());
                assert!(shutdown.poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            assert_eq!(set.len(), 1);
            gate.open();
            set.shutdown().await;
            assert!(set.is_empty());
        });
    });
}

#[test]
fn dropping_the_set_aborts_its_tasks_and_reports_their_panics() {
    within(LIMIT, || {
        let (runtime, heard) = listening();
        runtime.block_on(async {
            let drops = Drops::new();
            let tracked = drops.tracked();
            let mut set = JoinSet::new();
            let task = set.spawn(async { panic!("nobody looked") });
            until(|| task.is_finished()).await;
            set.spawn(async move {
                tracked.touch();
                pending().await
            });
            drop(set);
            until(|| drops.count() == 1).await;
            assert_eq!(*heard.lock().unwrap(), ["nobody looked"]);
        });
    });
}

#[test]
fn detached_tasks_run_on() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let (gate, done) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
                let mut set = JoinSet::new();
                for _ in 0..10 {
                    let (gate, done) = (gate.clone(), Arc::clone(&done));
                    set.spawn(async move {
                        gate.pass().await;
                        done.fetch_add(1, Ordering::SeqCst);
                        0
                    });
                }
                set.detach_all();
                assert!(set.is_empty() && set.join_next().await.is_none());
                // Those that are here now are not taken for those that were.
                let hold = Gate::new();
                let pass = hold.clone();
                set.spawn(async move {
                    pass.pass().await;
                    1
                });
                gate.open();
                until(|| done.load(Ordering::SeqCst) == 10).await;
                assert!(set.try_join_next().is_none());
                hold.open();
                assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
            });
        });
    });
}

#[test]
fn who_waits_by_hand_hears_that_the_tasks_were_detached() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let _entered = runtime.enter();
        let mut set = JoinSet::new();
        set.spawn(pending::<()>());
        let (wakes, waker) = Wakes::waker();
        assert!(set.poll_join_next(&mut Context::from_waker(&waker)).is_pending());
        set.detach_all();
        assert_eq!(wakes.count(), 1);
        assert!(matches!(set.poll_join_next(&mut Context::from_waker(&waker)), Poll::Ready(None)));
    });
}

#[test]
fn join_next_can_be_given_up_at_any_time() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let mut set: JoinSet<usize> = (0..500)
                    .map(|n| async move {
                        for _ in 0..n % 7 {
                            yield_now().await;
                        }
                        n
                    })
                    .collect();
                let mut sum = 0;
                while !set.is_empty() {
                    tenter::select! {
                        Some(result) = set.join_next() => sum += result.unwrap(),
                        () = yield_now() => {}
                    }
                }
                assert_eq!(sum, 499 * 500 / 2);
            });
        });
    });
}

#[test]
fn the_set_may_move_between_tasks_while_it_is_waited_for() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let gate = Gate::new();
                let pass = gate.clone();
                let mut set = JoinSet::new();
                set.spawn(async move { pass.pass().await });
                let first = tenter::spawn(async move {
                    let is_pending = poll_fn(|cx| Poll::Ready(set.poll_join_next(cx).is_pending()));
                    assert!(is_pending.await);
                    set
                });
                let mut set = first.await.unwrap();
                let second = tenter::spawn(async move { set.join_next().await });
                gate.open();
                assert!(second.await.unwrap().unwrap().is_ok());
            });
        });
    });
}

#[test]
fn join_all_returns_every_output() {
    within(LIMIT, || {
        runtime(2).block_on(async {
            let set: JoinSet<i32> = (0..100).map(ready).collect();
            let mut outputs = set.join_all().await;
            outputs.sort_unstable();
            assert!(outputs.into_iter().eq(0..100));
            assert!(JoinSet::<()>::new().join_all().await.is_empty());
        });
    });
}

#[test]
fn join_all_goes_on_with_a_panic_and_aborts_the_others() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let drops = Drops::new();
        let tracked = drops.tracked();
        let task = runtime.spawn(async move {
            let mut set = JoinSet::new();
            set.spawn(async move {
                tracked.touch();
                pending().await
            });
            set.spawn(async { panic!("the other") });
            set.join_all().await
        });
        let error = runtime.block_on(task).unwrap_err();
        assert!(error.to_string().ends_with("panicked: the other"), "{error}");
        runtime.block_on(until(|| drops.count() == 1));
        let task = runtime.spawn(async {
            let mut set = JoinSet::new();
            set.spawn(pending::<()>()).abort();
            set.join_all().await
        });
        let error = runtime.block_on(task).unwrap_err();
        assert!(error.to_string().contains("was cancelled"), "{error}");
    });
}

#[test]
fn closures_and_named_tasks_and_those_of_other_runtimes_may_be_in_it() {
    within(LIMIT, || {
        let (here, there) = (runtime(1), runtime(1));
        here.block_on(async {
            let mut set = JoinSet::new();
            set.spawn_blocking(|| "closure".to_owned());
            set.spawn_blocking_on(|| "closure there".to_owned(), there.handle());
            set.spawn_on(async { "task there".to_owned() }, there.handle());
            let name = || tenter::task::name().unwrap();
            Builder::new().name("named").spawn_into(&mut set, async move { name() });
            Builder::new().name("named closure").spawn_blocking_into(&mut set, name);
            set.extend([ready("extended".to_owned())]);
            let mut outputs = set.join_all().await;
            outputs.sort_unstable();
            let expected =
                ["closure", "closure there", "extended", "named", "named closure", "task there"];
            assert_eq!(outputs, expected);
        });
    });
}

#[test]
fn tasks_are_said_to_be_spawned_where_the_set_is_told_to() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let mut set = JoinSet::new();
            let line = line!() + 1;
            set.spawn(pending::<()>());
            set.extend([pending::<()>()]);
            let more = JoinSet::<()>::from_iter([pending()]);
            Builder::new().name("fourth").spawn_into(&mut set, pending());
            let tasks = tenter::Handle::current().tasks();
            for line in line..line + 4 {
                let place = format!("task_join_set.rs:{line}:");
                assert!(tasks.iter().any(|task| task.to_string().contains(&place)), "{tasks:?}");
            }
            drop(more);
        });
    });
}

#[test]
fn it_is_a_stream_that_goes_on_after_it_was_empty() {
    within(LIMIT, || {
        runtime(2).block_on(async {
            let mut set: JoinSet<i32> = (0..10).map(ready).collect();
            assert_eq!(futures_lite::Stream::size_hint(&set), (10, Some(10)));
            let mut sum = 0;
            while let Some(result) = set.next().await {
                sum += result.unwrap();
            }
            assert_eq!(sum, 45);
            set.spawn(ready(1));
            assert_eq!(set.next().await.unwrap().unwrap(), 1);
        });
    });
}

#[test]
fn many_tasks_one_after_the_other_leave_nothing_behind() {
    within(LIMIT, || {
        // Alone: the memory is that of the whole process.
        expect_success(&Child::new().run(|| {
            within(LIMIT, || {
                let runtime = runtime(2);
                let task = runtime.spawn(async {
                    let mut set = JoinSet::new();
                    for round in 0..200_000 {
                        set.spawn(ready([0_u8; 256]));
                        if round % 2 == 0 {
                            set.detach_all();
                        } else {
                            assert_eq!(set.join_next().await.unwrap().unwrap()[0], 0);
                        }
                    }
                });
                let before = support::memory_peak();
                runtime.block_on(task).unwrap();
                let grown = support::memory_peak().saturating_sub(before);
                // Half of the outputs alone would be 25 MB.
                assert!(grown < 20 << 20, "{grown}");
            });
        }));
    });
}

#[test]
fn a_waker_that_panics_does_no_harm_to_the_set() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    within(LIMIT, || {
        let runtime = runtime(1);
        let _entered = runtime.enter();
        let gate = Gate::new();
        let mut set = JoinSet::new();
        for _ in 0..2 {
            let gate = gate.clone();
            set.spawn(async move { gate.pass().await });
        }
        let waker = Waker::from(Arc::new(Panics));
        assert!(set.poll_join_next(&mut Context::from_waker(&waker)).is_pending());
        gate.open();
        assert!(runtime.block_on(set.join_next()).unwrap().is_ok());
        assert!(runtime.block_on(set.join_next()).unwrap().is_ok());
    });
}

#[test]
fn an_output_whose_destructor_panics_does_no_harm_to_the_set() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    within(LIMIT, || {
        runtime(2).block_on(async {
            let mut set: JoinSet<Option<Panics>> = JoinSet::new();
            set.spawn(async { Some(Panics) });
            set.shutdown().await;
            let task = set.spawn(async { Some(Panics) });
            until(|| task.is_finished()).await;
            set.detach_all();
            set.spawn(async { None });
            assert!(set.join_next().await.unwrap().unwrap().is_none());
        });
    });
}

#[test]
fn the_set_outlives_its_runtime() {
    within(LIMIT, || {
        let (inner, outer) = (runtime(2), runtime(1));
        let mut set = JoinSet::new();
        set.spawn_on(pending::<()>(), inner.handle());
        let handle = inner.handle().clone();
        drop(inner);
        set.spawn_on(pending(), &handle);
        for _ in 0..2 {
            let result = outer.block_on(set.join_next()).unwrap();
            assert!(result.unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_task_that_waits_for_its_set_is_freed_with_its_runtime() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let drops = Drops::new();
        let (inner, outer) = (drops.tracked(), drops.tracked());
        let started = Gate::new();
        let start = started.clone();
        runtime
            .spawn(async move {
                let mut set = JoinSet::new();
                set.spawn(async move {
                    inner.touch();
                    start.open();
                    pending::<()>().await;
                });
                set.join_next().await;
                outer.touch();
            })
            .detach();
        started.wait();
        drop(runtime);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn outside_a_runtime_nothing_is_spawned() {
    let mut set = JoinSet::new();
    let outside = catch_unwind(AssertUnwindSafe(|| set.spawn(async {})));
    assert!(outside.is_err() && set.is_empty());
    let outside = catch_unwind(|| [ready(())].into_iter().collect::<JoinSet<()>>());
    assert!(outside.is_err());
}

#[test]
fn it_is_what_it_should_be() {
    fn assert<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + std::fmt::Debug + Default>() {}
    assert::<JoinSet<Cell<i32>>>();
    assert_eq!(format!("{:?}", JoinSet::<()>::new()), "JoinSet({})");
}
