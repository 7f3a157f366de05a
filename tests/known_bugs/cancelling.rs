//! Bugs about what is cancelled, and what is not.

use std::future::{pending, ready};
use std::panic::resume_unwind;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use tenter::sync::channel;
use tenter::time::{sleep, timeout, timeout_at};
use tenter::{Builder, TaskGroup, shield, spawn, task_group, yield_now};

use crate::quiet;
use crate::support::{Gate, Holds, LIMIT, Pair, apart, wait_until, within};

/// Far enough that it does not come.
const FAR: Duration = Duration::from_secs(3600);

/// CPython's asyncio, bpo-37658: `wait_for` loses the result; python/asyncio #343: an item is lost.
///
/// `wait_for(queue.get(), timeout)` met its deadline as the item came. The inner task had taken the
/// item from the queue and was done; `wait_for` cancelled it, which did nothing any more, and raised
/// the timeout. Nobody ever saw the item.
///
/// Here there is no inner task: the future that is limited is polled first, and what it returned is
/// returned, whatever the time is; one that is dropped has taken nothing.
#[test]
fn a_timeout_takes_no_message_with_it() {
    const MESSAGES: u64 = 2000;
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = quiet(workers);
            let body = async {
                assert_eq!(timeout(Duration::ZERO, ready(1)).await, Ok(1));
                assert_eq!(timeout_at(Instant::now(), ready(2)).await, Ok(2));
                let (sender, receiver) = channel::bounded(1);
                // One timeout at least: before it there is no message.
                let timed_out = Gate::new();
                let begins = timed_out.clone();
                let producer = spawn(async move {
                    begins.pass().await;
                    for message in 0..MESSAGES {
                        sleep(Duration::from_micros(message % 60)).await;
                        sender.send(message).await.unwrap();
                    }
                });
                let (mut expected, mut timeouts) = (0, 0);
                while expected < MESSAGES {
                    match timeout(Duration::from_micros(30), receiver.recv()).await {
                        Ok(message) => {
                            assert_eq!(message, Ok(expected));
                            expected += 1;
                        }
                        Err(_) => {
                            timeouts += 1;
                            timed_out.open();
                        }
                    }
                }
                producer.await.unwrap();
                println!("{timeouts} timeouts among {MESSAGES} messages");
            };
            block_on(runtime.spawn(body)).unwrap();
        }
    });
}

/// CPython's asyncio, #86296 (bpo-42130): `wait_for` can hide cancellation.
///
/// A task was cancelled just as the future in its `wait_for` was done. `wait_for` caught the
/// cancellation, saw the result, and returned that: the task went on as if nobody had cancelled it,
/// and who had, waited for its end in vain.
///
/// Here the mark of an abort stays in the task's word, and nothing inside the task can take it back:
/// the future is dropped at its next await point, or instead of its next poll (arrow 5, T7).
#[test]
fn an_abort_is_not_hidden_by_a_timeout_that_ends_at_that_moment() {
    within(LIMIT, || {
        for workers in [1, 2] {
            let runtime = quiet(workers);
            for _ in 0..200 {
                let gate = Gate::new();
                let task = runtime.spawn({
                    let gate = gate.clone();
                    async move {
                        timeout(FAR, gate.pass()).await.unwrap();
                        // A cancelled task does not get beyond this, however far it came.
                        pending::<()>().await;
                    }
                });
                wait_until(|| gate.waiting() == 1);
                let start = Barrier::new(2);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        start.wait();
                        gate.open();
                    });
                    start.wait();
                    task.abort();
                });
                assert!(block_on(task).unwrap_err().is_cancelled());
            }
        }
    });
}

/// CPython's asyncio, #116720: a nested `TaskGroup` can silently swallow the cancellation request
/// from its parent `TaskGroup`.
///
/// A task of the outer group was in an inner group, and failures came in both at once. Each group
/// cancelled the task; the inner one took both requests for its own, and took them back as it ended.
/// The task went on after it, and the outer group waited for a task that nobody told to stop.
///
/// Here a group aborts its tasks (G3), and an inner group has no way to undo that.
#[test]
fn a_group_does_not_take_the_cancel_of_the_group_around_it_for_its_own() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = quiet(workers);
            for _ in 0..100 {
                let (inner_fails, outer_fails) = (Gate::new(), Gate::new());
                let both = {
                    let (inner_fails, outer_fails) = (inner_fails.clone(), outer_fails.clone());
                    runtime.spawn(task_group(async move |outer: &TaskGroup<Group>| {
                        let nests = async move {
                            let inner = task_group(async |inner: &TaskGroup<Group>| {
                                drop(inner.spawn(fail_at(inner_fails, Group::Inner)));
                                Ok(())
                            });
                            inner.await.unwrap_err();
                            // Here the cancel of the outer group must end it.
                            pending::<Result<(), _>>().await
                        };
                        drop(outer.spawn(nests));
                        drop(outer.spawn(fail_at(outer_fails, Group::Outer)));
                        Ok(())
                    }))
                };
                wait_until(|| inner_fails.waiting() + outer_fails.waiting() == 2);
                let start = Barrier::new(2);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        start.wait();
                        inner_fails.open();
                    });
                    start.wait();
                    outer_fails.open();
                });
                let error = block_on(both).unwrap().unwrap_err();
                assert_eq!(error.errors().collect::<Vec<_>>(), [&Group::Outer]);
            }
        }
    });
}

/// Whose task failed.
#[derive(Debug, PartialEq)]
enum Group {
    Inner,
    Outer,
}

async fn fail_at(gate: Gate, in_group: Group) -> Result<(), Group> {
    gate.pass().await;
    Err(in_group)
}

/// CPython's asyncio, #155433: a `TaskGroup` swallows cancellations that come from outside of it.
///
/// A group was cancelled by its own `cancel()`, and while it waited for a task that took its time to
/// clean up, a timeout around it passed. The group took that cancellation for its own: the timeout
/// had passed, and nobody was told.
///
/// Here who drops a group's future, a timeout or anybody else, has no need of its consent.
#[test]
fn a_timeout_around_a_group_that_is_cancelled_is_still_one() {
    within(LIMIT, || {
        let runtime = quiet(2);
        let cleans_up = Pair::new();
        let slow = Holds(cleans_up.clone(), ());
        let group = task_group(async move |group: &TaskGroup<()>| {
            let polled = Gate::new();
            let task = {
                let polled = polled.clone();
                async move {
                    let _slow = slow;
                    polled.open();
                    pending::<Result<(), ()>>().await
                }
            };
            drop(group.spawn(task));
            polled.pass().await;
            group.cancel();
            Ok(())
        });
        // Not in `block_on`: it would run the task itself, and be held by its clean-up.
        let late = runtime.spawn(timeout(Duration::from_millis(10), group));
        block_on(late).unwrap().map(drop).unwrap_err();
        cleans_up.arrived.wait();
        cleans_up.released.open();
    });
}

/// CPython's asyncio, #86802: the exception of a shielded task is never retrieved when the outer
/// task is cancelled.
///
/// The task that awaited a `shield` was cancelled; the future inside went on, as it should, and
/// failed. Nobody awaited it any more, and what it raised was lost or reported by chance.
///
/// Here the future inside is a task of its own, and a panic that nobody takes reaches
/// `on_unobserved`, once.
#[test]
fn a_panic_behind_a_shield_whose_waiter_was_cancelled_is_told_once() {
    const ROUNDS: usize = 100;
    within(LIMIT, || {
        let told = Arc::new(Mutex::new(Vec::new()));
        let runtime = {
            let told = told.clone();
            let hook = move |unobserved: &tenter::runtime::Unobserved| {
                told.lock().unwrap().push(unobserved.to_string());
            };
            Builder::new().worker_threads(2).on_unobserved(hook).build().unwrap()
        };
        for _ in 0..ROUNDS {
            let (started, fails) = (Gate::new(), Gate::new());
            let waiter = runtime.spawn({
                let (started, fails) = (started.clone(), fails.clone());
                shield(async move {
                    started.open();
                    fails.pass().await;
                    // A panic without the lines about it.
                    resume_unwind(Box::new("behind the shield"))
                })
            });
            started.wait();
            // The cancel and the panic race for the last words.
            let start = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    fails.open();
                });
                start.wait();
                waiter.abort();
            });
            match block_on(waiter) {
                // The waiter was first, and has it.
                Ok(Err(error)) => {
                    assert!(error.is_panic());
                    told.lock().unwrap().push("behind the shield".into());
                }
                Ok(Ok(())) => unreachable!("it panics"),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        wait_until(|| told.lock().unwrap().len() >= ROUNDS);
        apart(|| drop(runtime));
        let told = told.lock().unwrap();
        assert_eq!(told.len(), ROUNDS);
        assert!(told.iter().all(|text| text.contains("behind the shield")), "{told:?}");
    });
}

/// python/asyncio #164: is it right that a running task can be garbage collected?
///
/// The loop kept weak references to tasks. One that nobody else referred to, for what it waited for
/// referred to it alone, could disappear in the middle of its work.
///
/// Here the list of the runtime holds a count of every task that is not complete (T4), and who holds
/// what it waits for holds a waker, which is another.
#[test]
fn a_task_to_which_nobody_refers_runs_to_its_end() {
    const TASKS: usize = 1000;
    within(LIMIT, || {
        let runtime = quiet(2);
        let (ended, endings) = mpsc::channel();
        for _ in 0..TASKS {
            let ended = ended.clone();
            let task = async move {
                yield_now().await;
                sleep(Duration::from_micros(100)).await;
                spawn(yield_now()).await.unwrap();
                ended.send(()).unwrap();
            };
            runtime.spawn(task).detach();
        }
        drop(ended);
        assert_eq!(endings.iter().count(), TASKS);
    });
}
