//! Cancelling a group: by a call, by its deadline, from inside and from outside.

mod group_support;
mod support;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::future::poll_once;
use group_support::{for_one_and_for_two, in_one_and_in_two};
use support::{Gate, Pair, until};
use tenter::task::GroupHandle;
use tenter::time::{sleep, timeout};
use tenter::{TaskGroup, spawn, task_group, yield_now};

type Group = TaskGroup<String>;

const SOON: Duration = Duration::from_millis(1);

#[test]
fn cancel_aborts_every_task_and_the_body_goes_on() {
    in_one_and_in_two(async |run| {
        let here = [Gate::new(), Gate::new()];
        let value = task_group(async |group: &Group| {
            let tasks: Vec<GroupHandle<()>> =
                here.iter().map(|here| group.spawn(run.stays(here))).collect();
            here[0].pass().await;
            assert!(!group.is_cancelled());
            group.cancel();
            group.cancel();
            assert!(group.is_cancelled());
            for task in tasks {
                assert!(task.await.unwrap_err().is_cancelled());
            }
            assert!(group.is_empty());
            yield_now().await;
            Ok("it went on")
        })
        .await;
        assert_eq!(value.unwrap(), "it went on");
        assert_eq!(run.drops.count(), 2);
    });
}

#[test]
fn what_is_spawned_into_a_cancelled_group_never_runs() {
    in_one_and_in_two(async |run| {
        let ran = Arc::new(AtomicBool::new(false));
        task_group(async |group: &Group| {
            group.cancel();
            for _ in 0..100 {
                let (inside, tracked) = (ran.clone(), run.drops.tracked());
                let task = group.spawn(async move {
                    inside.store(true, Ordering::SeqCst);
                    tracked.touch();
                    Ok(())
                });
                let (inside, tracked) = (ran.clone(), run.drops.tracked());
                let closure = group.spawn_blocking(move || {
                    inside.store(true, Ordering::SeqCst);
                    tracked.touch();
                    Ok(())
                });
                yield_now().await;
                assert!(task.await.unwrap_err().is_cancelled());
                assert!(closure.await.unwrap_err().is_cancelled());
            }
            Ok(())
        })
        .await
        .unwrap();
        assert!(!ran.load(Ordering::SeqCst));
        assert_eq!(run.drops.count(), 200);
    });
}

#[test]
fn the_body_can_wait_for_the_cancel() {
    in_one_and_in_two(async |run| {
        let value = task_group(async |group: &Group| {
            let inside = group.clone();
            group.spawn(async move {
                yield_now().await;
                inside.cancel();
                Ok(())
            });
            group.spawn(run.stays::<Result<(), _>>(&Gate::new()));
            let mut dropped = Box::pin(group.cancelled());
            assert!(poll_once(&mut dropped).await.is_none() || group.is_cancelled());
            drop(dropped);
            let mut other = Box::pin(group.cancelled());
            let is_told = poll_once(&mut other).await.is_some();
            group.cancelled().await;
            if !is_told {
                other.await;
            }
            // Once cancelled, for ever.
            group.cancelled().await;
            Ok("told")
        })
        .await;
        assert_eq!(value.unwrap(), "told");
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn a_group_is_cancelled_from_outside_through_a_clone() {
    in_one_and_in_two(async |run| {
        let (here, given) = (Gate::new(), Pair::new());
        let kept = Arc::new(std::sync::Mutex::new(None));
        let outside = spawn({
            let (given, kept, here) = (given.clone(), kept.clone(), here.clone());
            async move {
                given.arrived.pass().await;
                here.pass().await;
                let group: Group = kept.lock().unwrap().take().unwrap();
                group.cancel();
            }
        });
        task_group(async |group: &Group| {
            group.spawn(run.stays::<Result<(), _>>(&here));
            *kept.lock().unwrap() = Some(group.clone());
            given.arrived.open();
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(run.drops.count(), 1);
        outside.await.unwrap();
    });
}

#[test]
fn cancelling_a_group_that_has_ended_does_nothing() {
    in_one_and_in_two(async |_run| {
        let group = task_group(async |group: &Group| Ok(group.clone())).await.unwrap();
        group.cancel();
        group.cancel_after(Duration::ZERO);
        assert!(!group.is_cancelled());
    });
}

#[test]
fn at_the_deadline_tasks_and_body_are_cancelled_and_waited_for() {
    in_one_and_in_two(async |run| {
        let error = task_group(async |group: &Group| {
            group.cancel_after(SOON);
            (0..10).for_each(|_| drop(group.spawn(run.stays::<Result<(), _>>(&Gate::new()))));
            let tracked = run.drops.tracked();
            let () = pending().await;
            tracked.touch();
            Ok(())
        })
        .await
        .unwrap_err();
        assert!(error.is_timed_out());
        assert!(error.failures().is_empty());
        assert_eq!(run.drops.count(), 11);
    });
}

#[test]
fn a_deadline_passes_while_the_group_waits_for_its_tasks() {
    in_one_and_in_two(async |run| {
        let here = Gate::new();
        let error = task_group(async |group: &Group| {
            group.spawn(run.stays::<Result<(), _>>(&here));
            group.cancel_after(SOON);
            Ok("too early")
        })
        .await
        .unwrap_err();
        assert!(error.is_timed_out());
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn a_deadline_that_is_set_late_and_by_a_task_counts() {
    in_one_and_in_two(async |run| {
        let error = task_group(async |group: &Group| {
            let inside = group.clone();
            group.spawn(async move {
                until(|| inside.len() == 2).await;
                inside.cancel_after(Duration::ZERO);
                Ok(())
            });
            group.spawn(run.stays::<Result<(), _>>(&Gate::new()));
            Ok(())
        })
        .await
        .unwrap_err();
        assert!(error.is_timed_out());
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn a_deadline_that_does_not_come_changes_nothing() {
    in_one_and_in_two(async |_run| {
        for far in [Duration::from_secs(3600), Duration::MAX] {
            let value = task_group(async |group: &Group| {
                group.cancel_after(far);
                group.spawn(async {
                    sleep(SOON).await;
                    Ok(())
                });
                Ok(3)
            });
            assert_eq!(value.await.unwrap(), 3);
        }
    });
}

#[test]
fn a_later_call_replaces_the_deadline() {
    in_one_and_in_two(async |_run| {
        let value = task_group(async |group: &Group| {
            group.cancel_after(SOON);
            group.cancel_after(Duration::MAX);
            sleep(SOON * 20).await;
            Ok(group.is_cancelled())
        });
        assert!(!value.await.unwrap());
        let error = task_group(async |group: &Group| {
            group.cancel_after(Duration::from_secs(3600));
            yield_now().await;
            group.cancel_after(SOON);
            pending::<Result<(), _>>().await
        });
        assert!(error.await.unwrap_err().is_timed_out());
    });
}

#[test]
fn failures_beside_a_deadline_are_kept() {
    in_one_and_in_two(async |_run| {
        let error = task_group(async |group: &Group| {
            let (inside, started) = (group.clone(), Gate::new());
            let starts = started.clone();
            // Once it has started it cannot be cancelled, and so fails afterwards.
            group.spawn_blocking(move || {
                starts.open();
                futures_lite::future::block_on(inside.cancelled());
                Err::<(), _>("too late anyway".to_owned())
            });
            started.pass().await;
            group.cancel_after(SOON);
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        assert!(error.is_timed_out());
        assert_eq!(error.errors().collect::<Vec<_>>(), ["too late anyway"]);
        let text = "the group's deadline has passed, and task ";
        assert!(error.to_string().starts_with(text), "{error}");
    });
}

#[test]
fn a_body_that_is_ready_at_once_beats_a_deadline_that_has_passed() {
    in_one_and_in_two(async |_run| {
        let value = task_group(async |group: &Group| {
            group.cancel_after(Duration::ZERO);
            Ok(1)
        });
        assert_eq!(value.await.unwrap(), 1);
    });
}

#[test]
#[should_panic(expected = "there is no runtime")]
fn a_deadline_outside_a_runtime_panics() {
    let _ = futures_lite::future::block_on(task_group(async |group: &Group| {
        group.cancel_after(SOON);
        Ok(())
    }));
}

#[test]
fn a_timeout_around_a_group_drops_it_and_its_tasks_go_by_themselves() {
    in_one_and_in_two(async |run| {
        let here = Gate::new();
        let group = task_group(async |group: &Group| {
            group.spawn(run.stays::<Result<(), _>>(&here));
            Ok(())
        });
        assert!(timeout(SOON, group).await.is_err());
        until(|| run.drops.count() == 1).await;
        assert!(run.told().is_empty());
    });
}

#[test]
fn a_shutdown_is_the_end_of_a_groups_time() {
    for_one_and_for_two(|run, runtime| {
        let (here, handle) = (Gate::new(), runtime.handle().clone());
        std::thread::scope(|scope| {
            let group = scope.spawn(|| {
                handle.block_on(task_group(async |group: &Group| {
                    group.cancel_after(Duration::from_secs(3600));
                    group.spawn(run.stays::<Result<(), _>>(&here));
                    pending::<Result<(), _>>().await
                }))
            });
            here.wait();
            // Its deadline may not be in the wheel yet: then it never gets there.
            drop(runtime);
            assert!(group.join().unwrap().unwrap_err().is_timed_out());
        });
        assert_eq!(run.drops.count(), 1);
    });
}

#[test]
fn a_task_that_is_always_ready_does_not_keep_the_deadline_away() {
    in_one_and_in_two(async |_run| {
        let error = task_group(async |group: &Group| {
            group.cancel_after(SOON);
            group.spawn(async {
                loop {
                    tenter::task::consume_budget().await;
                }
                #[expect(unreachable_code, reason = "it is what the task returns")]
                Ok(())
            });
            loop {
                tenter::task::consume_budget().await;
            }
            #[expect(unreachable_code, reason = "it is what the body returns")]
            Ok(())
        })
        .await
        .unwrap_err();
        assert!(error.is_timed_out());
    });
}
