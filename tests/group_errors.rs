//! What a group failed with, as the caller and the handles of its tasks see it.

mod group_support;
mod support;

use std::error::Error;
use std::fmt::Debug;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, panic_any};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::FutureExt;
use futures_lite::future::poll_once;
use group_support::in_one_and_in_two;
use support::{Gate, Pair, until};
use tenter::task::{Builder, Failure, GroupError, GroupHandle, TaskState};
use tenter::{TaskGroup, task_group};

type Group = TaskGroup<String>;

const fn is_all<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Debug>() {}

#[test]
fn public_types_can_be_sent_shared_moved_and_shown() {
    type OnlySend = std::cell::Cell<u32>;

    is_all::<TaskGroup<OnlySend>>();
    is_all::<GroupHandle<OnlySend>>();
    is_all::<GroupError<String>>();
    is_all::<Failure<String>>();
    const fn is_error<T: Error + Send + Sync + 'static>() {}
    is_error::<GroupError<io::Error>>();
}

/// A group in which two closures fail and one panics, one after the other: once they have started
/// they run to their end, cancelled or not.
async fn three_failures() -> GroupError<String> {
    task_group(async |group: &Group| {
        let held = [Pair::new(), Pair::new(), Pair::new()];
        let [one, two, three] = held.clone();
        let closures: [GroupHandle<()>; 3] = [
            Builder::new().name("one").spawn_blocking_in(group, move || {
                one.hold();
                Err("1 is wrong".to_owned())
            }),
            group.spawn_blocking(move || {
                two.hold();
                panic_any("2 is worse")
            }),
            Builder::new().name("three").spawn_blocking_in(group, move || {
                three.hold();
                Err("3 is late".to_owned())
            }),
        ];
        // Not of the group, which the first failure cancels.
        tenter::spawn(async move {
            for held in &held {
                held.arrived.pass().await;
            }
            for (held, closure) in held.iter().zip(&closures) {
                held.released.open();
                until(|| closure.is_finished()).await;
            }
        })
        .detach();
        pending::<Result<(), _>>().await
    })
    .await
    .unwrap_err()
}

#[test]
fn failures_are_kept_in_the_order_in_which_they_happened() {
    in_one_and_in_two(async |run| {
        let error = three_failures().await;
        assert!(!error.is_timed_out());
        let names: Vec<_> = error.failures().iter().map(Failure::name).collect();
        assert_eq!(names, [Some("one"), None, Some("three")]);
        assert_eq!(error.errors().collect::<Vec<_>>(), ["1 is wrong", "3 is late"]);
        assert_eq!(error.panics().collect::<Vec<_>>(), ["2 is worse"]);
        let is_panic: Vec<_> = error.failures().iter().map(Failure::is_panic).collect();
        assert_eq!(is_panic, [false, true, false]);
        assert!(error.failures().iter().all(|failure| !failure.is_body()));
        let mut ids: Vec<_> =
            error.failures().iter().map(|failure| failure.id().unwrap()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        assert!(run.told().is_empty());
    });
}

#[test]
fn the_text_of_an_error_has_every_failure_with_name_and_place() {
    in_one_and_in_two(async |_run| {
        let error = three_failures().await;
        let text = error.to_string();
        let ids: Vec<_> = error.failures().iter().map(|failure| failure.id().unwrap()).collect();
        let places: Vec<_> = error.failures().iter().map(Failure::location).collect();
        assert!(places.iter().all(|place| place.file().ends_with("group_errors.rs")));
        assert_eq!(
            text,
            format!(
                "3 tasks failed: task {} 'one' spawned at {} failed: 1 is wrong; task {} spawned \
                 at {} panicked: 2 is worse; task {} 'three' spawned at {} failed: 3 is late",
                ids[0], places[0], ids[1], places[1], ids[2], places[2]
            )
        );
        let debug = format!("{error:?}");
        assert!(debug.contains("1 is wrong") && debug.contains("2 is worse"), "{debug}");
    });
}

#[test]
fn the_parts_of_an_error_can_be_taken() {
    in_one_and_in_two(async |_run| {
        assert_eq!(three_failures().await.into_first_error().unwrap(), "1 is wrong");
        let first = three_failures().await.into_first().unwrap();
        assert_eq!(first.error().unwrap(), "1 is wrong");
        let first = first.try_into_panic().unwrap_err();
        assert_eq!(first.panic_message(), None);
        assert_eq!(first.try_into_error().unwrap(), "1 is wrong");
        let [_, second, _] = <[_; 3]>::try_from(three_failures().await.into_failures()).unwrap();
        assert_eq!(second.error(), None);
        assert_eq!(second.panic_message(), Some("2 is worse"));
        let second = second.try_into_error().unwrap_err();
        let payload = second.try_into_panic().unwrap();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"2 is worse"));
    });
}

#[test]
fn one_failure_is_told_without_a_count_and_the_bodys_with_the_groups_place() {
    in_one_and_in_two(async |_run| {
        let line = line!() + 1;
        let error = task_group(async |_: &Group| Err::<(), _>("no".to_owned())).await.unwrap_err();
        let failure = &error.failures()[0];
        assert_eq!(failure.location().line(), line);
        let place = failure.location();
        assert_eq!(error.to_string(), format!("the body of the group made at {place} failed: no"));
    });
}

#[test]
fn the_source_of_an_error_is_that_of_the_first_failure() {
    in_one_and_in_two(async |_run| {
        let error: GroupError<io::Error> = task_group(async |group| {
            group.spawn(async { Err::<(), _>(io::Error::other("the disk is full")) });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "the disk is full");
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert!(error.to_string().contains("the disk is full"));

        let panicked = task_group(async |group: &TaskGroup<io::Error>| {
            group.spawn_blocking::<(), _>(|| panic_any("no source"));
            Ok(())
        });
        assert!(panicked.await.unwrap_err().source().is_none());

        let late = task_group(async |group: &TaskGroup<io::Error>| {
            group.cancel_after(Duration::ZERO);
            pending::<io::Result<()>>().await
        });
        let late = late.await.unwrap_err();
        assert!(late.source().is_none());
        assert_eq!(late.to_string(), "the group's deadline has passed");
        assert_eq!(io::Error::from(late).kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn an_error_with_a_debug_text_that_panics_is_told_all_the_same() {
    struct Nasty;
    impl Debug for Nasty {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic_any("in Debug")
        }
    }
    impl Drop for Nasty {
        fn drop(&mut self) {
            panic_any("in Drop")
        }
    }
    in_one_and_in_two(async |run| {
        let (held, failed) = (Pair::new(), Arc::new(Mutex::new(None)));
        let mut group = Box::pin(task_group(async |group| {
            let holder = held.clone();
            group.spawn_blocking(move || {
                holder.hold();
                Ok(())
            });
            held.arrived.pass().await;
            let task: GroupHandle<()> = group.spawn(async { Err(Nasty) });
            *failed.lock().unwrap() = Some(task);
            Ok(())
        }));
        let has_failed =
            until(|| failed.lock().unwrap().as_ref().is_some_and(|it| it.is_finished()));
        let ended = async {
            drop((&mut group).await);
            unreachable!("the closure keeps it");
        };
        has_failed.or(ended).await;
        drop(group);
        held.released.open();
        assert_eq!(run.messages(), ["an error whose `Debug` panics"]);
    });
}

#[test]
fn a_handle_gives_what_its_task_returned_or_says_why_not() {
    in_one_and_in_two(async |_run| {
        let mut handles = Vec::new();
        let error = task_group(async |group: &Group| {
            let held = [Pair::new(), Pair::new(), Pair::new()];
            let closures: [fn() -> Result<u32, String>; 3] =
                [|| Ok(7), || Err("failed".to_owned()), || panic_any("panicked")];
            for (held, f) in held.clone().into_iter().zip(closures) {
                handles.push(Builder::new().name("a closure").spawn_blocking_in(
                    group,
                    move || {
                        held.hold();
                        f()
                    },
                ));
            }
            for held in &held {
                held.arrived.pass().await;
            }
            handles.push(group.spawn(pending::<Result<u32, _>>()));
            for held in &held {
                held.released.open();
            }
            pending::<Result<(), _>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(error.failures().len(), 2);
        let states: Vec<_> = handles.iter().map(GroupHandle::state).collect();
        let completed = TaskState::Completed;
        assert_eq!(states, [completed, completed, completed, TaskState::Cancelled]);
        assert!(handles.iter().all(GroupHandle::is_finished));
        assert_eq!(handles[0].name(), Some("a closure"));
        assert_eq!(handles[3].name(), None);
        let ids: Vec<_> = handles.iter().map(GroupHandle::id).collect();
        let mut results = Vec::new();
        for handle in handles {
            results.push(handle.await);
        }
        let cancelled = results.pop().unwrap().unwrap_err();
        assert!(cancelled.is_cancelled() && !cancelled.is_failed() && !cancelled.is_panic());
        let panicked = results.pop().unwrap().unwrap_err();
        assert!(panicked.is_panic() && !panicked.is_failed() && !panicked.is_cancelled());
        assert_eq!(panicked.to_string(), format!("task {} panicked: panicked", ids[2]));
        assert_eq!(*panicked.into_panic().downcast::<String>().unwrap(), "panicked");
        let failed = results.pop().unwrap().unwrap_err();
        assert!(failed.is_failed() && !failed.is_panic() && !failed.is_cancelled());
        assert_eq!(failed.id(), ids[1]);
        let text = format!("task {} failed, and its group has the error", ids[1]);
        assert_eq!(failed.to_string(), text);
        assert!(failed.try_into_panic().is_err());
        assert_eq!(results.pop().unwrap().unwrap(), 7);
    });
}

#[test]
fn a_handle_can_be_awaited_by_reference_and_gives_its_output_once() {
    in_one_and_in_two(async |_run| {
        let result = task_group(async |group: &Group| {
            let gate = Gate::new();
            let opened = gate.clone();
            let mut task = group.spawn(async move {
                opened.pass().await;
                Ok(vec![1])
            });
            assert!(poll_once(&mut task).await.is_none());
            assert!(!task.is_finished());
            gate.open();
            assert_eq!((&mut task).await.unwrap(), [1]);
            assert!(task.is_finished());
            let again = AssertUnwindSafe(&mut task).catch_unwind().await;
            assert!(again.is_err());
            task.abort();
            Ok(())
        });
        result.await.unwrap();
    });
}

#[test]
fn names_ids_and_places_are_those_of_the_spawn() {
    in_one_and_in_two(async |_run| {
        let mut spawned = None;
        let line = line!() + 2;
        let error = task_group(async |group: &Group| {
            spawned = Some(group.spawn(async { Err::<(), _>("no".to_owned()) }));
            Ok(())
        })
        .await
        .unwrap_err();
        let failure = &error.failures()[0];
        assert_eq!(failure.id(), Some(spawned.unwrap().id()));
        assert_eq!(failure.location().line(), line);

        let line = line!() + 2;
        let error = task_group(async |group: &Group| {
            Builder::new().name("named").spawn_in(group, async {
                assert_eq!(tenter::task::name().as_deref(), Some("named"));
                Err::<(), _>("no".to_owned())
            });
            Ok(())
        })
        .await
        .unwrap_err();
        let failure = &error.failures()[0];
        assert_eq!((failure.name(), failure.location().line()), (Some("named"), line));
        assert!(format!("{failure:?}").contains("named"));
    });
}
