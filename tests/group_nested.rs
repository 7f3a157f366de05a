//! Groups in groups: the outer one ends when everything inside has, dropped halfway or not.

mod group_support;
mod support;

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_lite::FutureExt;
use group_support::{Run, for_one_and_for_two, in_one_and_in_two};
use support::{Gate, Pair};
use tenter::task::GroupHandle;
use tenter::{Handle, TaskGroup, spawn, task_group, yield_now};

type Group = TaskGroup<String>;

#[test]
fn groups_in_groups_return_from_the_inside_out() {
    in_one_and_in_two(async |run| {
        let value = task_group(async |outer: &Group| {
            let inner = outer.spawn({
                let run = run.clone();
                async move {
                    let inner = task_group(async |inner: &Group| {
                        for _ in 0..10 {
                            let tracked = run.drops.tracked();
                            inner.spawn(async move {
                                yield_now().await;
                                tracked.touch();
                                Ok(())
                            });
                        }
                        Ok(1)
                    })
                    .await;
                    assert_eq!(run.drops.count(), 10);
                    Ok(inner.unwrap())
                }
            });
            // And one in the body itself.
            let two = task_group(async |inner: &Group| {
                assert_eq!((outer.len(), inner.len()), (1, 0));
                Ok(2)
            })
            .await
            .unwrap();
            Ok(inner.await.unwrap() + two)
        })
        .await;
        assert_eq!(value.unwrap(), 3);
    });
}

/// A closure that has started, and so cannot be cancelled, in `group`.
fn hold(group: &Group, held: &Pair, ended: &Arc<AtomicBool>) {
    let (held, ended) = (held.clone(), ended.clone());
    group.spawn_blocking(move || {
        held.hold();
        ended.store(true, Ordering::SeqCst);
        Ok(())
    });
}

/// Lets the held ones go in a moment in which the outer group waits for nothing else.
fn release_later(held: &Pair, run: &Run, tracked: usize) {
    let (held, run) = (held.clone(), run.clone());
    spawn(async move {
        support::until(|| run.drops.count() == tracked).await;
        yield_now().await;
        held.released.open();
    })
    .detach();
}

#[test]
fn a_group_waits_for_the_tasks_of_a_group_that_its_task_left_behind() {
    in_one_and_in_two(async |run| {
        let (held, ended) = (Pair::new(), Arc::new(AtomicBool::new(false)));
        let error = task_group(async |outer: &Group| {
            outer.spawn({
                let (held, ended, tracked) = (held.clone(), ended.clone(), run.drops.tracked());
                async move {
                    task_group(async |inner: &Group| {
                        hold(inner, &held, &ended);
                        Ok(())
                    })
                    .await
                    .unwrap();
                    tracked.touch();
                    Ok(())
                }
            });
            held.arrived.pass().await;
            release_later(&held, &run, 1);
            Err::<(), _>("over".to_owned())
        })
        .await
        .unwrap_err();
        assert!(ended.load(Ordering::SeqCst), "the outer group did not wait");
        assert_eq!(error.failures().len(), 1);
    });
}

#[test]
fn a_group_waits_for_the_tasks_of_a_group_that_its_body_left_behind() {
    in_one_and_in_two(async |run| {
        let (held, ended) = (Pair::new(), Arc::new(AtomicBool::new(false)));
        let value = task_group(async |_: &Group| {
            let tracked = run.drops.tracked();
            let inner = task_group(async |inner: &Group| {
                hold(inner, &held, &ended);
                let () = pending().await;
                tracked.touch();
                Ok(None)
            });
            let left = async {
                held.arrived.pass().await;
                Ok(Some("dropped"))
            };
            let left = inner.or(left).await.unwrap();
            release_later(&held, &run, 1);
            Ok(left)
        })
        .await;
        assert!(ended.load(Ordering::SeqCst), "the outer group did not wait");
        assert_eq!(value.unwrap(), Some("dropped"));
    });
}

#[test]
fn a_group_waits_through_groups_that_are_gone_in_between() {
    fn nest(
        depth: usize,
        held: Pair,
        ended: Arc<AtomicBool>,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        Box::pin(async move {
            task_group(async |group: &Group| {
                if depth == 0 {
                    hold(group, &held, &ended);
                } else {
                    group.spawn(nest(depth - 1, held, ended));
                }
                Ok(())
            })
            .await
            .map_err(|error| error.to_string())
        })
    }
    in_one_and_in_two(async |run| {
        let (held, ended) = (Pair::new(), Arc::new(AtomicBool::new(false)));
        let value = task_group(async |outer: &Group| {
            let task = outer.spawn(nest(1000, held.clone(), ended.clone()));
            held.arrived.pass().await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            // All but the closure's own group are on their way out, or gone.
            release_later(&held, &run, 0);
            Ok(outer.len())
        })
        .await;
        assert_eq!(value.unwrap(), 0);
        assert!(ended.load(Ordering::SeqCst), "the outer group did not wait");
    });
}

#[test]
fn an_error_inside_comes_out_through_every_group() {
    in_one_and_in_two(async |run| {
        let here = [Gate::new(), Gate::new()];
        let error = task_group(async |outer: &Group| {
            outer.spawn(run.stays::<Result<(), _>>(&here[0]));
            outer.spawn({
                let (run, here) = (run.clone(), here.clone());
                async move {
                    let inner = task_group(async |inner: &Group| {
                        inner.spawn(run.stays::<Result<(), _>>(&here[1]));
                        here[0].pass().await;
                        here[1].pass().await;
                        inner.spawn(async { Err::<(), _>("innermost".to_owned()) });
                        Ok(())
                    });
                    inner.await.map_err(|error| error.into_first_error().unwrap())
                }
            });
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(error.errors().collect::<Vec<_>>(), ["innermost"]);
        assert_eq!(run.drops.count(), 2);
    });
}

#[test]
fn cancelling_a_group_leaves_a_group_inside_its_body_alone() {
    in_one_and_in_two(async |_run| {
        let value = task_group(async |outer: &Group| {
            outer.cancel();
            let inner = task_group(async |inner: &Group| {
                let task = inner.spawn(async {
                    yield_now().await;
                    Ok(7)
                });
                Ok(task.await.unwrap())
            });
            inner.await.map_err(|error| error.to_string())
        });
        assert_eq!(value.await.unwrap(), 7);
    });
}

#[test]
fn what_is_spawned_beside_a_group_is_not_waited_for() {
    in_one_and_in_two(async |run| {
        let here = Gate::new();
        let mut beside = None;
        task_group(async |_: &Group| {
            // A task of nobody, and the group in it.
            let (run, here_inside) = (run.clone(), here.clone());
            beside = Some(spawn(async move {
                task_group(async |inner: &Group| {
                    inner.spawn(run.stays::<Result<(), _>>(&here_inside));
                    Ok(())
                })
                .await
            }));
            here.pass().await;
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(run.drops.count(), 0);
        let beside = beside.unwrap();
        assert!(!beside.is_finished());
        assert!(beside.cancel().await.is_none());
        support::until(|| run.drops.count() == 1).await;
    });
}

#[test]
fn tasks_that_a_closure_runs_in_block_on_are_not_of_its_group() {
    for_one_and_for_two(|run, runtime| {
        let here = Gate::new();
        let (here_inside, drops) = (here.clone(), run.clone());
        runtime.block_on(async {
            task_group(async |group: &Group| {
                let handle = Handle::current();
                group.spawn_blocking(move || {
                    handle.block_on(async move {
                        // Runs on this thread, inside of the closure, and is nobody's.
                        let beside = spawn(async move {
                            task_group(async |inner: &Group| {
                                inner.spawn(drops.stays::<Result<(), _>>(&here_inside));
                                Ok(())
                            })
                            .await
                        });
                        beside.detach();
                        here.pass().await;
                    });
                    Ok(())
                });
                Ok(())
            })
            .await
            .unwrap();
            assert_eq!(run.drops.count(), 0, "the group waited for what is not its own");
        });
        drop(runtime);
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn a_group_in_block_on_of_a_closure_is_inside_of_the_closures_group() {
    in_one_and_in_two(async |run| {
        let (held, ended) = (Pair::new(), Arc::new(AtomicBool::new(false)));
        task_group(async |outer: &Group| {
            let handle = Handle::current();
            let (held_inside, ended) = (held.clone(), ended.clone());
            outer.spawn_blocking(move || {
                handle.block_on(async {
                    let inner = task_group(async |inner: &Group| {
                        hold(inner, &held_inside, &ended);
                        pending::<Result<(), _>>().await
                    });
                    let left = async {
                        held_inside.arrived.pass().await;
                        Ok(())
                    };
                    inner.or(left).await.unwrap();
                });
                Ok(())
            });
            held.arrived.pass().await;
            release_later(&held, &run, 0);
            Ok(())
        })
        .await
        .unwrap();
        assert!(ended.load(Ordering::SeqCst), "the outer group did not wait");
    });
}

#[test]
fn a_tree_of_groups_ends_whole_when_one_leaf_fails() {
    fn grow(
        depth: usize,
        run: Run,
        leaves: Arc<AtomicUsize>,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        Box::pin(async move {
            let tracked = run.drops.tracked();
            let outcome = task_group(async |group: &Group| {
                if depth > 0 {
                    for _ in 0..3 {
                        group.spawn(grow(depth - 1, run.clone(), leaves.clone()));
                    }
                } else if leaves.fetch_add(1, Ordering::SeqCst) + 1 == 243 {
                    return Err("the last leaf".to_owned());
                } else {
                    drop::<GroupHandle<()>>(group.spawn(run.stays(&Gate::new())));
                }
                Ok(())
            })
            .await;
            tracked.touch();
            outcome.map_err(|error| error.into_first_error().unwrap())
        })
    }
    in_one_and_in_two(async |run| {
        let leaves = Arc::new(AtomicUsize::new(0));
        let error = grow(5, run.clone(), leaves).await.unwrap_err();
        assert_eq!(error, "the last leaf");
        // 364 in the tree, one below each leaf that stayed, and nothing is left of them.
        assert_eq!(run.drops.count(), 364 + 242);
    });
}
