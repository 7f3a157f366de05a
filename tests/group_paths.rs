//! A group ends when every task of it has: on every path, on one worker and on two.

mod group_support;
mod support;

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_lite::FutureExt;
use group_support::{Run, Told, for_one_and_for_two, in_one_and_in_two};
use support::{Child, Drops, Gate, Journal, LIMIT, Pair, Tracked, has_note, until, within};
use tenter::task::{Builder, GroupError, GroupHandle, TaskState};
use tenter::{TaskGroup, spawn, spawn_blocking, task_group, yield_now};

type Group = TaskGroup<String>;

#[test]
fn a_group_returns_the_value_of_its_body_when_all_tasks_have_returned() {
    in_one_and_in_two(async |run| {
        let sum = Arc::new(AtomicUsize::new(0));
        let value = task_group(async |group: &Group| {
            for n in 1..=100 {
                let (sum, tracked) = (sum.clone(), run.drops.tracked());
                group.spawn(async move {
                    tracked.touch();
                    yield_now().await;
                    sum.fetch_add(n, Ordering::SeqCst);
                    Ok(())
                });
            }
            Ok("the value")
        })
        .await;
        assert_eq!(value.unwrap(), "the value");
        assert_eq!(sum.load(Ordering::SeqCst), 5050);
        assert_eq!(run.drops.count(), 100);
    });
}

#[test]
fn a_group_without_tasks_returns_at_once() {
    in_one_and_in_two(async |_run| {
        assert_eq!(task_group(async |_: &Group| Ok(1)).await.unwrap(), 1);
        let error = task_group(async |_: &Group| Err::<(), _>("no".to_owned())).await.unwrap_err();
        assert_eq!(error.failures().len(), 1);
    });
}

#[test]
fn the_error_of_a_task_cancels_the_others_and_the_body() {
    in_one_and_in_two(async |run| {
        let (here, gate) = ([Gate::new(), Gate::new(), Gate::new()], Gate::new());
        let error = task_group(async |group: &Group| {
            here.iter().for_each(|here| drop(group.spawn(run.stays::<Result<(), _>>(here))));
            let failing = gate.clone();
            Builder::new().name("the one").spawn_in(group, async move {
                failing.pass().await;
                Err::<(), _>("it failed".to_owned())
            });
            for here in &here {
                here.pass().await;
            }
            let tracked = run.drops.tracked();
            gate.open();
            pending::<()>().await;
            tracked.touch();
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(run.drops.count(), 4);
        assert_eq!(error.errors().collect::<Vec<_>>(), ["it failed"]);
        assert_eq!(error.failures()[0].name(), Some("the one"));
        assert!(run.told().is_empty());
    });
}

#[test]
fn the_error_of_the_body_cancels_the_tasks() {
    in_one_and_in_two(async |run| {
        let here = [Gate::new(), Gate::new()];
        let error = task_group(async |group: &Group| {
            here.iter().for_each(|here| drop(group.spawn(run.stays::<Result<(), _>>(here))));
            here[0].pass().await;
            Err::<(), _>("the body failed".to_owned())
        })
        .await
        .unwrap_err();
        assert_eq!(run.drops.count(), 2);
        let [failure] = error.failures() else { panic!("{error:?}") };
        assert!(failure.is_body());
        assert_eq!((failure.id(), failure.name()), (None, None));
        assert_eq!(failure.error().unwrap(), "the body failed");
    });
}

#[test]
fn the_panic_of_a_task_cancels_the_others_and_is_kept() {
    in_one_and_in_two(async |run| {
        let (here, gate) = (Gate::new(), Gate::new());
        let error = task_group(async |group: &Group| {
            group.spawn(run.stays::<Result<(), _>>(&here));
            let panicking = gate.clone();
            Builder::new().name("the one").spawn_in::<(), _, _>(group, async move {
                panicking.pass().await;
                panic_any(7_u8);
            });
            here.pass().await;
            gate.open();
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(run.drops.count(), 1);
        let failure = error.into_first().unwrap();
        assert_eq!(failure.name(), Some("the one"));
        assert!(failure.is_panic());
        assert_eq!(failure.try_into_panic().unwrap().downcast_ref::<u8>(), Some(&7));
        assert!(run.told().is_empty());
    });
}

#[test]
fn the_panic_of_the_body_goes_on_when_the_tasks_have_ended() {
    in_one_and_in_two(async |run| {
        let here = [Gate::new(), Gate::new()];
        let group = task_group(async |group: &Group| {
            here.iter().for_each(|here| drop(group.spawn(run.stays::<Result<(), _>>(here))));
            here[1].pass().await;
            panic_any("the body");
            #[expect(unreachable_code, reason = "it is what the body returns")]
            Ok(())
        });
        let panic = AssertUnwindSafe(group).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the body"));
        assert_eq!(run.drops.count(), 2);
        assert!(run.told().is_empty());
    });
}

#[test]
fn a_body_that_panics_before_its_first_await_is_a_body_that_panics() {
    in_one_and_in_two(async |run| {
        let tracked = run.drops.tracked();
        let group = task_group(|group: &Group| {
            group.spawn(async move {
                tracked.touch();
                pending::<Result<(), _>>().await
            });
            panic_any("at once");
            #[expect(unreachable_code, reason = "it is what the body is")]
            async {
                Ok(())
            }
        });
        let panic = AssertUnwindSafe(group).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"at once"));
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn failures_beside_a_panic_of_the_body_are_told_to_the_hook_once_each() {
    in_one_and_in_two(async |run| {
        let (line, here) = (line!() + 2, Gate::new());
        let group = task_group(async |group: &Group| {
            let failed = Builder::new().name("loser").spawn_in(group, {
                let here = here.clone();
                async move {
                    let _guard = OnDrop(Some(|| panic_any("dropped")));
                    here.open();
                    pending::<Result<(), _>>().await
                }
            });
            here.pass().await;
            drop(failed);
            panic_any("the body");
            #[expect(unreachable_code, reason = "it is what the body returns")]
            Ok(())
        });
        let panic = AssertUnwindSafe(group).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the body"));
        let (name, message) = (Some("loser".to_owned()), "dropped".to_owned());
        assert_eq!(run.told(), [Told { name, line, message, is_panic: true }]);
    });
}

/// Calls a closure when it is dropped.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

#[test]
fn a_group_that_is_dropped_aborts_its_tasks_at_once() {
    in_one_and_in_two(async |run| {
        let here = [Gate::new(), Gate::new()];
        let group = task_group(async |group: &Group| {
            here.iter().for_each(|here| drop(group.spawn(run.stays::<Result<(), _>>(here))));
            pending::<Result<(), _>>().await
        });
        let both = async {
            here[0].pass().await;
            here[1].pass().await;
            Ok(())
        };
        group.or(both).await.unwrap();
        // Nobody waits for them; they go by themselves.
        until(|| run.drops.count() == 2).await;
        assert!(run.told().is_empty());
    });
}

#[test]
fn a_group_that_is_dropped_takes_no_task() {
    in_one_and_in_two(async |run| {
        let (handle, late) = (Gate::new(), run.drops.tracked());
        let mut kept = None;
        let group = task_group(async |group: &Group| {
            kept = Some(group.clone());
            handle.open();
            pending::<Result<(), _>>().await
        });
        let opened = async {
            handle.pass().await;
            Ok(())
        };
        group.or(opened).await.unwrap();
        let group = kept.unwrap();
        assert!(group.is_cancelled());
        let refused = group.spawn(async move {
            late.touch();
            unreachable!("it is polled");
            #[expect(unreachable_code, reason = "it is what the task returns")]
            Ok(())
        });
        assert!(refused.await.unwrap_err().is_cancelled());
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn failures_of_a_group_that_is_dropped_are_told_to_the_hook_once_each() {
    in_one_and_in_two(async |run| {
        let (held, tasks) = (Pair::new(), Arc::new(Mutex::new(Vec::new())));
        let line = line!() + 11;
        let mut group = Box::pin(task_group(async |group: &Group| {
            let holder = held.clone();
            group.spawn_blocking(move || {
                holder.hold();
                Ok(())
            });
            held.arrived.pass().await;
            for n in 0..2 {
                let task = Builder::new()
                    .name(format!("task {n}"))
                    .spawn_in(group, async move { Err::<(), _>(format!("error {n}")) });
                tasks.lock().unwrap().push(task);
            }
            Ok(())
        }));
        let all_ended = until(|| {
            let tasks = tasks.lock().unwrap();
            tasks.len() == 2 && tasks.iter().all(GroupHandle::is_finished)
        });
        let ended = async {
            drop((&mut group).await);
            unreachable!("the closure keeps it");
        };
        all_ended.or(ended).await;
        assert!(run.told().is_empty());
        drop(group);
        held.released.open();
        // The first that fails cancels the other, which may have failed as well.
        let tasks = std::mem::take(&mut *tasks.lock().unwrap());
        let mut expected = Vec::new();
        for (n, task) in tasks.into_iter().enumerate() {
            if task.await.unwrap_err().is_failed() {
                let (name, message) = (Some(format!("task {n}")), format!("\"error {n}\""));
                expected.push(Told { name, line, message, is_panic: false });
            }
        }
        assert!(!expected.is_empty());
        assert_eq!(run.told(), expected);
    });
}

#[test]
fn a_shutdown_ends_a_group_and_every_task_of_it() {
    for_one_and_for_two(|run, runtime| {
        let here = [Gate::new(), Gate::new()];
        let own = run.drops.tracked();
        let (inside, run_inside) = (here.clone(), run.clone());
        runtime
            .spawn(async move {
                own.touch();
                task_group(async |group: &Group| {
                    inside.iter().for_each(|here| {
                        drop(group.spawn(run_inside.stays::<Result<(), _>>(here)))
                    });
                    Ok(())
                })
                .await
            })
            .detach();
        here.iter().for_each(Gate::wait);
        drop(runtime);
        assert_eq!(run.drops.count(), 3);
        assert!(run.told().is_empty());
    });
}

#[test]
fn a_group_outside_of_the_tasks_sees_a_shutdown_as_the_end_of_its_tasks() {
    for_one_and_for_two(|run, runtime| {
        let (here, handle) = (Gate::new(), runtime.handle().clone());
        std::thread::scope(|scope| {
            let grouped = scope.spawn(|| {
                handle.block_on(task_group(async |group: &Group| {
                    let task = group.spawn(run.stays::<Result<(), _>>(&here));
                    assert!(task.await.unwrap_err().is_cancelled());
                    let refused = group.spawn(async { Ok(()) });
                    assert!(refused.await.unwrap_err().is_cancelled());
                    Ok("the body ends as it likes")
                }))
            });
            here.wait();
            drop(runtime);
            assert_eq!(grouped.join().unwrap().unwrap(), "the body ends as it likes");
        });
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn a_task_that_ignores_its_cancellation_is_waited_for_and_named() {
    within(LIMIT, || {
        for workers in [1, 2] {
            let journal = Journal::new();
            let mut child = Child::new()
                .env("JOURNAL", journal.path())
                .stderr(std::process::Stdio::piped())
                .start(|| spin(workers));
            let mut text = String::new();
            let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr()));
            while !text.contains("'spinner'") {
                text += &lines.next().expect("the group says whom it waits for").unwrap();
            }
            assert!(text.contains("still waits for 1 of its tasks"), "{text}");
            assert!(text.contains("group_paths.rs"), "{text}");
            assert!(!has_note(journal.path(), "ended"));
            journal.note("go");
            assert!(child.wait().success());
            assert!(has_note(journal.path(), "ended"));
            let rest: Vec<_> = lines.map(Result::unwrap).collect();
            assert!(rest.iter().all(|line| !line.contains("still waits")), "{rest:?}");
        }
    });
}

/// In a process of its own: a group with a task that is never at an await point.
fn spin(workers: usize) {
    let journal = std::env::var("JOURNAL").unwrap();
    let runtime = Run::default().runtime(workers);
    let (spinning, spins) = (Gate::new(), Gate::new());
    let error = runtime.block_on(runtime.spawn({
        let journal = journal.clone();
        task_group(async move |group: &Group| {
            let (path, begun) = (journal.clone(), spinning.clone());
            Builder::new().name("spinner").spawn_in(group, async move {
                begun.open();
                while !has_note(&path, "go") {
                    std::thread::yield_now();
                }
                support::note(&path, "ended");
                Ok(())
            });
            spinning.pass().await;
            spins.open();
            Err::<(), _>("the body has failed".to_owned())
        })
    }));
    assert!(has_note(&journal, "ended"));
    assert_eq!(error.unwrap().unwrap_err().failures().len(), 1);
}

#[test]
fn tasks_spawned_into_a_group_that_is_being_cancelled_are_dropped_unpolled() {
    in_one_and_in_two(async |run| {
        let (here, polled) = (Gate::new(), Arc::new(AtomicBool::new(false)));
        let error = task_group(async |group: &Group| {
            for _ in 0..3 {
                let (group_inside, here) = (group.clone(), here.clone());
                let (late, polled) = (run.drops.tracked(), polled.clone());
                let spawns = OnDrop(Some(move || {
                    group_inside.spawn(async move {
                        polled.store(true, Ordering::SeqCst);
                        late.touch();
                        Ok(())
                    });
                }));
                group.spawn(async move {
                    let _spawns = spawns;
                    here.open();
                    pending::<Result<(), _>>().await
                });
            }
            here.pass().await;
            Err::<(), _>("cancel".to_owned())
        })
        .await
        .unwrap_err();
        assert_eq!(error.failures().len(), 1);
        assert_eq!(run.drops.count(), 3);
        assert!(!polled.load(Ordering::SeqCst));
    });
}

#[test]
fn tasks_that_spawn_tasks_keep_the_group_after_its_body() {
    fn chain(group: &Group, left: usize, tracked: Vec<Tracked>) {
        let clone = group.clone();
        group.spawn(async move {
            yield_now().await;
            if left > 0 {
                chain(&clone, left - 1, tracked);
            } else {
                tracked.iter().for_each(Tracked::touch);
            }
            Ok(())
        });
    }
    in_one_and_in_two(async |run| {
        let tracked = (0..3).map(|_| run.drops.tracked()).collect();
        task_group(async |group: &Group| {
            chain(group, 100, tracked);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(run.drops.count(), 3);
    });
}

#[test]
fn a_group_that_has_ended_takes_no_task() {
    in_one_and_in_two(async |run| {
        let group = task_group(async |group: &Group| Ok(group.clone())).await.unwrap();
        assert!(!group.is_cancelled());
        for _ in 0..10 {
            let (one, other) = (run.drops.tracked(), run.drops.tracked());
            let task = group.spawn(async move {
                one.touch();
                unreachable!("it is polled");
                #[expect(unreachable_code, reason = "it is what the task returns")]
                Ok(())
            });
            let closure = group.spawn_blocking(move || {
                other.touch();
                unreachable!("it is called");
                #[expect(unreachable_code, reason = "it is what the closure returns")]
                Ok(())
            });
            assert!(task.await.unwrap_err().is_cancelled());
            let error = closure.await.unwrap_err();
            assert!(error.is_cancelled(), "{error:?}");
        }
        assert_eq!(run.drops.count(), 20);
        assert_eq!(group.len(), 0);
        assert!(run.told().is_empty());
    });
}

#[test]
fn a_panic_of_a_task_that_was_refused_is_told_to_the_hook() {
    in_one_and_in_two(async |run| {
        let group = task_group(async |group: &Group| Ok(group.clone())).await.unwrap();
        let guard = OnDrop(Some(|| panic_any("refused")));
        let task = group.spawn(async move {
            let _guard = guard;
            Ok(())
        });
        let error = task.await.unwrap_err();
        assert!(error.is_panic() && error.to_string().contains("refused"), "{error}");
        assert_eq!(run.messages(), ["refused"]);
    });
}

#[test]
fn outputs_that_nobody_takes_are_gone_when_the_group_returns() {
    in_one_and_in_two(async |run| {
        let mut kept = Vec::new();
        for _ in 0..200 {
            task_group(async |group: &Group| {
                let one = run.drops.tracked();
                drop(group.spawn(async move { Ok(one) }));
                let other = run.drops.tracked();
                let handle = group.spawn(async move { Ok(other) });
                let third = run.drops.tracked();
                kept.push(group.spawn(async move { Ok(third) }));
                yield_now().await;
                drop(handle);
                Ok(())
            })
            .await
            .unwrap();
            assert_eq!(run.drops.count() % 2, 0);
            assert_eq!(run.drops.count() / 2, kept.len());
        }
        assert!(kept.iter().all(|handle| handle.is_finished()));
        assert!(kept.iter().all(|handle| handle.state() == TaskState::Completed));
        for handle in kept {
            drop(handle.await.unwrap());
        }
        assert_eq!(run.drops.count(), 600);
    });
}

#[test]
fn both_panics_of_a_future_that_panics_and_panics_again_when_dropped_are_kept() {
    in_one_and_in_two(async |_run| {
        let guard = OnDrop(Some(|| panic_any("second")));
        let error = task_group(async |group: &Group| {
            let future = PanicsTwice(guard);
            let handle = group.spawn(future);
            assert!(handle.await.unwrap_err().is_panic());
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(error.panics().collect::<Vec<_>>(), ["first", "second"]);
    });
}

/// Panics in its poll, with a destructor that runs after that.
struct PanicsTwice<F: FnOnce()>(OnDrop<F>);

impl<F: FnOnce() + Unpin> Future for PanicsTwice<F> {
    type Output = Result<(), String>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        panic_any("first")
    }
}

#[test]
fn a_panic_of_a_cancelled_future_as_it_is_dropped_is_a_failure() {
    in_one_and_in_two(async |run| {
        let here = Gate::new();
        let error = task_group(async |group: &Group| {
            let (here_inside, guard) = (here.clone(), OnDrop(Some(|| panic_any("dropped"))));
            let handle = group.spawn(async move {
                let _guard = guard;
                here_inside.open();
                pending::<Result<(), _>>().await
            });
            here.pass().await;
            group.spawn(run.stays::<Result<(), _>>(&Gate::new()));
            handle.abort();
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(error.panics().collect::<Vec<_>>(), ["dropped"]);
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn a_panic_of_the_body_as_it_is_cancelled_goes_on() {
    in_one_and_in_two(async |run| {
        let group = task_group(async |group: &Group| {
            let _guard = OnDrop(Some(|| panic_any("the body, dropped")));
            group.spawn(async { Err::<(), _>("of a task".to_owned()) });
            pending::<Result<(), _>>().await
        });
        let panic = AssertUnwindSafe(group).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the body, dropped"));
        assert_eq!(run.messages(), ["\"of a task\""]);
    });
}

#[test]
fn a_group_waits_for_closures_that_have_started_and_drops_those_that_have_not() {
    for_one_and_for_two(|run, _| {
        let mut builder = tenter::Builder::new();
        let runtime = builder.worker_threads(2).max_blocking_threads(1).build().unwrap();
        support::watch(runtime.handle());
        let (started, go) = (Gate::new(), Gate::new());
        let ended = Arc::new(AtomicBool::new(false));
        let released = runtime.handle().clone();
        let error = runtime.block_on(task_group(async |group: &Group| {
            let (started_inside, go_inside) = (started.clone(), go.clone());
            let (ended, tracked) = (ended.clone(), run.drops.tracked());
            group.spawn_blocking(move || {
                started_inside.open();
                go_inside.wait();
                ended.store(true, Ordering::SeqCst);
                drop(tracked);
                Ok(())
            });
            started.pass().await;
            let queued = run.drops.tracked();
            let queued = group.spawn_blocking(move || {
                queued.touch();
                unreachable!("it was cancelled");
                #[expect(unreachable_code, reason = "it is what the closure returns")]
                Ok(())
            });
            group.cancel();
            let opens = go.clone();
            // From outside the group, which is cancelled.
            released
                .spawn(async move {
                    yield_now().await;
                    opens.open();
                })
                .detach();
            assert!(queued.await.unwrap_err().is_cancelled());
            Err::<(), _>("over".to_owned())
        }));
        assert_eq!(error.unwrap_err().failures().len(), 1);
        assert!(ended.load(Ordering::SeqCst));
        assert_eq!(run.drops.count(), 2);
    });
}

#[test]
fn errors_and_panics_of_closures_are_failures_of_the_group() {
    in_one_and_in_two(async |run| {
        let error = task_group(async |group: &Group| {
            let failed = Builder::new()
                .name("closure")
                .spawn_blocking_in(group, || Err::<(), _>("a closure failed".to_owned()));
            let error = failed.await.unwrap_err();
            assert!(error.is_failed() && !error.is_cancelled() && !error.is_panic());
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(error.failures()[0].name(), Some("closure"));
        assert_eq!(error.errors().collect::<Vec<_>>(), ["a closure failed"]);

        let error = task_group(async |group: &Group| {
            group.spawn(run.stays::<Result<(), _>>(&Gate::new()));
            let panicked = group.spawn_blocking::<(), _>(|| panic_any("a closure panicked"));
            drop(panicked.await);
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(error.panics().collect::<Vec<_>>(), ["a closure panicked"]);
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn a_spawn_outside_a_runtime_panics_and_leaves_the_group_as_it_was() {
    within(LIMIT, || {
        let drops = Drops::new();
        let tracked = drops.tracked();
        let outcome = futures_lite::future::block_on(task_group(async |group: &Group| {
            let spawned = catch_unwind(AssertUnwindSafe(|| {
                group.spawn(async move {
                    tracked.touch();
                    Ok(())
                })
            }));
            assert!(spawned.is_err());
            let spawned = catch_unwind(AssertUnwindSafe(|| group.spawn_blocking(|| Ok(()))));
            assert!(spawned.is_err());
            assert!(group.is_empty());
            Ok("it ends")
        }));
        assert_eq!(outcome.unwrap(), "it ends");
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_group_can_be_awaited_by_another_executor() {
    for_one_and_for_two(|run, runtime| {
        let handle = runtime.handle().clone();
        let error = futures_lite::future::block_on(task_group(async |group: &Group| {
            let entered = handle.enter();
            let here = Gate::new();
            group.spawn(run.stays::<Result<(), _>>(&here));
            group.spawn(async { Err::<(), _>("it failed".to_owned()) });
            drop(entered);
            pending::<Result<(), _>>().await
        }));
        assert_eq!(error.unwrap_err().errors().count(), 1);
        assert_eq!(run.drops.count(), 1);
        drop(runtime);
    });
}

#[test]
fn thousands_of_tasks_end_with_their_group() {
    const TASKS: usize = 20_000;
    in_one_and_in_two(async |run| {
        let error = task_group(async |group: &Group| {
            for _ in 0..TASKS {
                group.spawn(run.stays::<Result<(), _>>(&Gate::new()));
            }
            assert_eq!(group.len(), TASKS);
            group.spawn(async { Err::<(), _>("enough".to_owned()) });
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(error.failures().len(), 1);
        assert_eq!(run.drops.count(), TASKS);
    });
}

#[test]
fn an_aborted_task_is_no_failure() {
    in_one_and_in_two(async |run| {
        let here = Gate::new();
        let value = task_group(async |group: &Group| {
            let task: GroupHandle<()> = group.spawn(run.stays(&here));
            here.pass().await;
            assert_eq!(group.len(), 1);
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            assert!(!group.is_cancelled());
            let task: GroupHandle<()> = group.spawn(run.stays(&here));
            task.abort_handle().abort();
            Ok(1)
        })
        .await;
        assert_eq!(value.unwrap(), 1);
        assert_eq!(run.drops.count(), 2);
    });
}

#[test]
fn a_future_of_a_group_can_be_sent_and_spawned() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    in_one_and_in_two(async |_run| {
        let borrowed = String::from("of the caller's");
        let group = is_send(task_group(async |group: &Group| {
            let len = borrowed.len();
            Ok(group.spawn(async move { Ok(len) }).await.unwrap())
        }));
        assert_eq!(group.await.unwrap(), 15);
        let spawned = spawn(task_group(async |group: &Group| {
            yield_now().await;
            Ok(group.len())
        }));
        assert_eq!(spawned.await.unwrap().unwrap(), 0);
        async fn body(group: &Group) -> Result<usize, String> {
            Ok(group.len())
        }
        assert_eq!(task_group(body).await.unwrap(), 0);
        let result: Result<(), GroupError<String>> = task_group(async |_| Ok(())).await;
        result.unwrap();
        spawn_blocking(|| ()).await.unwrap();
    });
}
