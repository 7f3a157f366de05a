//! Task locals: who sees which value, and when.

mod support;

use std::future::pending;
use std::sync::{Arc, Mutex};

use support::{Drops, Gate, LIMIT, for_each_worker_count, within};
use tenter::task::TaskState;
use tenter::{spawn, yield_now};

tenter::task_local! {
    static NUMBER: u32;
    static TEXT: String;
    static TRACKED: support::Tracked;
}

#[test]
fn a_value_is_seen_inside_its_scope_and_only_there() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let task = runtime.spawn(async {
                assert!(NUMBER.try_with(|_| ()).is_err());
                let inside = NUMBER.scope(7, async {
                    yield_now().await;
                    NUMBER.with(|number| *number)
                });
                assert_eq!(inside.await, 7);
                assert!(NUMBER.try_with(|_| ()).is_err());
            });
            runtime.block_on(task).unwrap();
        });
    });
}

#[test]
fn an_inner_scope_hides_the_outer_one_until_it_ends() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let task = runtime.spawn(NUMBER.scope(1, async {
                assert_eq!(NUMBER.get(), 1);
                let inner = NUMBER.scope(2, async {
                    yield_now().await;
                    assert_eq!(NUMBER.get(), 2);
                    assert_eq!(NUMBER.sync_scope(3, || NUMBER.get()), 3);
                    assert_eq!(NUMBER.get(), 2);
                });
                inner.await;
                assert_eq!(NUMBER.get(), 1);
            }));
            runtime.block_on(task).unwrap();
        });
    });
}

#[test]
fn keys_do_not_mix() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        runtime.block_on(NUMBER.scope(
            4,
            TEXT.scope("four".to_owned(), async {
                yield_now().await;
                assert_eq!((NUMBER.get(), TEXT.get().as_str()), (4, "four"));
                assert!(TRACKED.try_with(|_| ()).is_err());
            }),
        ));
    });
}

#[test]
fn a_spawned_task_and_a_closure_do_not_inherit_the_value() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(NUMBER.scope(5, async {
                let task = spawn(async { NUMBER.try_with(|_| ()) });
                assert!(task.await.unwrap().is_err());
                let closure = tenter::spawn_blocking(|| NUMBER.try_with(|_| ()));
                assert!(closure.await.unwrap().is_err());
            }));
        });
    });
}

#[test]
fn tasks_that_take_turns_on_one_thread_each_see_their_own_value() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let tasks = (0..100).map(|n| {
                    spawn(NUMBER.scope(n, async move {
                        for _ in 0..20 {
                            assert_eq!(NUMBER.get(), n);
                            yield_now().await;
                        }
                    }))
                });
                for task in tasks.collect::<Vec<_>>() {
                    task.await.unwrap();
                }
            });
        });
    });
}

/// Notes the value of `NUMBER` when it is dropped.
struct Notes(Arc<Mutex<Vec<Option<u32>>>>);

impl Drop for Notes {
    fn drop(&mut self) {
        let number = NUMBER.try_with(|number| *number).ok();
        self.0.lock().unwrap().push(number);
    }
}

#[test]
fn the_value_is_seen_in_the_futures_drop_however_it_ends() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let seen: Arc<Mutex<Vec<Option<u32>>>> = Arc::default();
            let ended = Notes(seen.clone());
            let task = runtime.spawn(NUMBER.scope(1, async move {
                yield_now().await;
                drop(ended);
            }));
            runtime.block_on(task).unwrap();

            let kept = Notes(seen.clone());
            let task = runtime.spawn(NUMBER.scope(2, async move {
                let _kept = &kept;
                pending::<()>().await;
            }));
            support::wait_until(|| task.state() == TaskState::Suspended);
            runtime.block_on(task.cancel());

            let kept = Notes(seen.clone());
            let task = runtime.spawn(NUMBER.scope(3, async move {
                let _kept = kept;
                yield_now().await;
                panic!("on purpose");
            }));
            assert!(runtime.block_on(task).unwrap_err().is_panic());

            let kept = Notes(seen.clone());
            let task = runtime.spawn(NUMBER.scope(4, async move {
                let _kept = &kept;
                pending::<()>().await;
            }));
            support::wait_until(|| task.state() == TaskState::Suspended);
            drop((task, runtime));
            assert_eq!(*seen.lock().unwrap(), [Some(1), Some(2), Some(3), Some(4)]);
        });
    });
}

#[test]
fn a_value_is_dropped_once_with_its_scope() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let task = runtime.spawn(TRACKED.scope(drops.tracked(), async {
                yield_now().await;
                TRACKED.with(support::Tracked::touch);
            }));
            runtime.block_on(task).unwrap();
            assert_eq!(drops.count(), 1);

            let task = runtime.spawn(TRACKED.scope(drops.tracked(), pending::<()>()));
            runtime.block_on(task.cancel());
            assert_eq!(drops.count(), 2);

            drop(TRACKED.scope(drops.tracked(), async {}));
            assert_eq!(drops.count(), 3);
        });
    });
}

#[test]
fn a_panic_inside_a_scope_leaves_no_value_behind_on_the_thread() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let task = runtime.spawn(NUMBER.scope(6, async {
            assert_eq!(NUMBER.get(), 0, "on purpose");
        }));
        support::wait_until(|| task.is_finished());
        let next = runtime.spawn(async { NUMBER.try_with(|_| ()) });
        support::wait_until(|| next.is_finished());
        assert!(runtime.block_on(next).unwrap().is_err());
        assert!(runtime.block_on(task).unwrap_err().is_panic());
    });
}

#[test]
fn a_task_that_moves_between_threads_takes_its_value_along() {
    within(LIMIT, || {
        let runtime = support::runtime(4);
        let gates: Vec<Gate> = (0..200).map(|_| Gate::new()).collect();
        let task = runtime.spawn(NUMBER.scope(8, {
            let gates = gates.clone();
            async move {
                for gate in gates {
                    gate.pass().await;
                    assert_eq!(NUMBER.get(), 8);
                }
            }
        }));
        gates.iter().for_each(Gate::open);
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn tasks_do_not_see_the_scope_around_a_block_on() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let sees = |runtime: &tenter::Runtime| {
            runtime.block_on(async {
                let tasks =
                    (0..200).map(|_| tenter::spawn(async { NUMBER.try_with(|_| ()).is_ok() }));
                let mut seen = 0;
                for task in tasks.collect::<Vec<_>>() {
                    seen += u32::from(task.await.unwrap());
                }
                (NUMBER.get(), seen)
            })
        };
        assert_eq!(NUMBER.sync_scope(9, || sees(&runtime)), (9, 0));
    });
}

#[test]
fn with_outside_a_scope_panics_with_advice() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let error = runtime.block_on(runtime.spawn(async { NUMBER.get() })).unwrap_err();
        assert!(error.to_string().contains("scope"), "{error}");
    });
}
