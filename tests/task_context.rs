//! What a task can find out about itself, in its polls and in its drops, and where it is dropped.

mod support;

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::thread;

use support::{Drops, Gate, LIMIT, Pair, Tracked, for_each_worker_count, within};
use tenter::task::{self, TaskState};
use tenter::{Builder, Runtime, spawn, spawn_blocking, yield_now};

fn named_runtime(workers: usize) -> Runtime {
    let runtime = Builder::new().worker_threads(workers).thread_name("own").build().unwrap();
    support::watch(runtime.handle());
    runtime
}

#[test]
fn a_task_knows_its_id_and_its_name() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let _entered = runtime.enter();
            let handle = task::Builder::new().name("worker bee").spawn(async {
                yield_now().await;
                (task::id(), task::name())
            });
            let (id, name) = (handle.id(), handle.name().map(str::to_owned));
            assert_eq!(name.as_deref(), Some("worker bee"));
            assert_eq!(runtime.block_on(handle).unwrap(), (Some(id), name));
        });
    });
}

#[test]
fn a_task_without_a_name_has_none() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let handle = runtime.spawn(async { task::name() });
        assert_eq!(handle.name(), None);
        assert_eq!(runtime.block_on(handle).unwrap(), None);
    });
}

#[test]
fn any_text_can_be_a_task_name() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let _entered = runtime.enter();
        for name in ["", "\0", "ein 'Name' \n mit allem ⏱", &"n".repeat(1 << 20)] {
            let handle = task::Builder::new().name(name).spawn(async { task::name() });
            assert_eq!(runtime.block_on(handle).unwrap().as_deref(), Some(name));
        }
    });
}

#[test]
fn a_closure_knows_its_id_and_its_name() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let _entered = runtime.enter();
        let builder = task::Builder::new().name("closure");
        let handle = builder.spawn_blocking(|| (task::id(), task::name()));
        let id = handle.id();
        let expected = (Some(id), Some("closure".to_owned()));
        assert_eq!(runtime.block_on(handle).unwrap(), expected);
    });
}

#[test]
fn outside_a_task_there_is_no_id_and_no_name() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        assert_eq!((task::id(), task::name()), (None, None));
        // The main future is no task, though tasks run on its thread.
        runtime.block_on(async {
            spawn(yield_now()).await.unwrap();
            assert_eq!((task::id(), task::name()), (None, None));
        });
    });
}

#[test]
fn the_drop_of_a_future_sees_the_tasks_own_id_on_every_path() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let check = |drops: &Drops, id| assert_eq!(drops.only().task, Some(id));
            // Returned.
            let drops = Drops::new();
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move {
                yield_now().await;
                tracked.touch();
            });
            let id = handle.id();
            runtime.block_on(handle).unwrap();
            check(&drops, id);
            // Panicked.
            let drops = Drops::new();
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move {
                let _tracked = tracked;
                yield_now().await;
                panic!("on purpose");
            });
            let id = handle.id();
            assert!(runtime.block_on(handle).is_err());
            check(&drops, id);
            // Cancelled, idle.
            let drops = Drops::new();
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move {
                tracked.touch();
                pending::<()>().await;
            });
            let id = handle.id();
            support::wait_until(|| handle.state() == TaskState::Suspended);
            runtime.block_on(handle.cancel());
            check(&drops, id);
            // At shutdown.
            let drops = Drops::new();
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move {
                tracked.touch();
                pending::<()>().await;
            });
            let id = handle.id();
            support::wait_until(|| handle.state() == TaskState::Suspended);
            drop(runtime);
            check(&drops, id);
        });
    });
}

#[test]
fn a_task_dropped_inside_another_gives_the_other_its_identity_back() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let task = runtime.spawn(async {
                let own = task::id();
                let handle = spawn(async { Drops::new().tracked() });
                while !handle.is_finished() {
                    yield_now().await;
                }
                // Drops the other task's output, and its cell.
                drop(handle);
                assert_eq!(task::id(), own);
                spawn(async {}).await.unwrap();
                assert_eq!(task::id(), own);
            });
            runtime.block_on(task).unwrap();
        });
    });
}

#[test]
fn an_output_that_is_awaited_is_dropped_by_who_awaited_it() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = named_runtime(workers);
            let drops = Drops::new();
            let output = drops.tracked();
            let handle = runtime.spawn(async move { output });
            drop(runtime.block_on(handle).unwrap());
            assert_eq!(drops.only().thread, thread::current().id());
        }
    });
}

#[test]
fn an_output_whose_handle_is_dropped_later_is_dropped_by_the_handles_owner() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = named_runtime(workers);
            let drops = Drops::new();
            let output = drops.tracked();
            let handle = runtime.spawn(async move { output });
            support::wait_until(|| handle.is_finished());
            drop(handle);
            assert_eq!(drops.only().thread, thread::current().id());
        }
    });
}

#[test]
fn an_output_of_a_detached_task_is_dropped_by_its_runner() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = named_runtime(workers);
            let drops = Drops::new();
            let go = Gate::new();
            let handle = runtime.spawn({
                let (output, go) = (drops.tracked(), go.clone());
                async move {
                    go.pass().await;
                    output
                }
            });
            let id = handle.id();
            handle.detach();
            go.open();
            support::wait_until(|| drops.count() == 1);
            let dropped = drops.only();
            assert!(dropped.thread_name.unwrap().starts_with("own"));
            assert_eq!(dropped.task, Some(id));
        }
    });
}

#[test]
fn a_future_that_returned_is_dropped_by_its_runner_before_the_joiner_is_woken() {
    struct Body(Tracked);
    impl Future for Body {
        type Output = ();
        fn poll(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<()> {
            self.0.touch();
            std::task::Poll::Ready(())
        }
    }
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = named_runtime(workers);
            let drops = Drops::new();
            let handle = runtime.spawn(Body(drops.tracked()));
            support::wait_until(|| handle.is_finished());
            assert!(drops.only().thread_name.unwrap().starts_with("own"));
            runtime.block_on(handle).unwrap();
        }
    });
}

#[test]
fn a_future_that_is_cancelled_at_shutdown_is_dropped_on_a_worker() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = named_runtime(workers);
            let drops = Drops::new();
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move {
                tracked.touch();
                pending::<()>().await;
            });
            support::wait_until(|| handle.state() == TaskState::Suspended);
            drop(runtime);
            assert!(drops.only().thread_name.unwrap().starts_with("own"));
        }
    });
}

#[test]
fn a_future_refused_after_shutdown_is_dropped_by_who_spawned_it() {
    within(LIMIT, || {
        let runtime = named_runtime(2);
        let handle = runtime.handle().clone();
        drop(runtime);
        let drops = Drops::new();
        let tracked = drops.tracked();
        let task = handle.spawn(async move { tracked.touch() });
        assert_eq!(drops.only().thread, thread::current().id());
        assert_eq!(task.state(), TaskState::Cancelled);
    });
}

/// Spawns a task when it is dropped.
struct SpawnsInDrop {
    ran: Gate,
    nested: Arc<Mutex<Vec<tenter::JoinHandle<()>>>>,
}

impl Drop for SpawnsInDrop {
    fn drop(&mut self) {
        let ran = self.ran.clone();
        self.nested.lock().unwrap().push(spawn(async move { ran.open() }));
        spawn_blocking(|| ()).detach();
    }
}

#[test]
fn a_future_that_is_dropped_can_spawn() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (ran, nested) = (Gate::new(), Arc::default());
            let spawns = SpawnsInDrop { ran: ran.clone(), nested: Arc::clone(&nested) };
            let handle = runtime.spawn(async move {
                let _spawns = spawns;
                pending::<()>().await;
            });
            support::wait_until(|| handle.state() == TaskState::Suspended);
            handle.abort();
            ran.wait();
            let task = nested.lock().unwrap().pop().unwrap();
            runtime.block_on(task).unwrap();
        });
    });
}

#[test]
fn a_future_that_is_dropped_at_shutdown_spawns_a_task_that_is_cancelled() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (ran, nested) = (Gate::new(), Arc::default());
            let spawns = SpawnsInDrop { ran: ran.clone(), nested: Arc::clone(&nested) };
            let handle = runtime.spawn(async move {
                let _spawns = spawns;
                pending::<()>().await;
            });
            support::wait_until(|| handle.state() == TaskState::Suspended);
            drop(runtime);
            let task = nested.lock().unwrap().pop().unwrap();
            assert_eq!(task.state(), TaskState::Cancelled);
            assert!(!ran.is_open());
            assert!(futures_lite::future::block_on(task).unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_dump_lists_tasks_and_closures_with_name_place_and_state() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let _entered = runtime.enter();
        let held = Pair::new();
        let suspended = task::Builder::new().name("suspended one").spawn(pending::<()>());
        support::wait_until(|| suspended.state() == TaskState::Suspended);
        let closure = task::Builder::new().name("closure one").spawn_blocking({
            let held = held.clone();
            move || held.hold()
        });
        held.arrived.wait();
        let tasks = runtime.handle().tasks();
        assert_eq!(tasks.len(), 2, "{tasks:?}");
        let of = |id| tasks.iter().find(|task| task.id() == id).unwrap();
        let info = of(suspended.id());
        assert_eq!(info.name(), Some("suspended one"));
        assert_eq!((info.state(), info.is_blocking()), (TaskState::Suspended, false));
        assert!(info.location().file().ends_with("task_context.rs"));
        let info = of(closure.id());
        assert_eq!((info.state(), info.is_blocking()), (TaskState::Running, true));
        let text = info.to_string();
        assert!(text.contains("closure one") && text.contains("task_context.rs"), "{text}");
        held.released.open();
        runtime.block_on(closure).unwrap();
        runtime.block_on(suspended.cancel());
        assert!(runtime.handle().tasks().is_empty());
    });
}

#[test]
fn the_place_of_a_task_is_that_of_the_spawn_whichever_way_it_was_spawned() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let handle = runtime.handle().clone();
        let _entered = runtime.enter();
        let tasks = [
            (runtime.spawn(pending::<()>()), line!()),
            (handle.spawn(pending::<()>()), line!()),
            (spawn(pending::<()>()), line!()),
            (task::Builder::new().spawn(pending::<()>()), line!()),
        ];
        for (task, line) in &tasks {
            let all = handle.tasks();
            let info = all.iter().find(|info| info.id() == task.id()).unwrap();
            assert_eq!(info.location().line(), *line);
            assert!(info.location().file().ends_with("task_context.rs"));
        }
        let held = Pair::new();
        let hold = || {
            let held = held.clone();
            move || held.hold()
        };
        let closures = [
            (runtime.spawn_blocking(hold()), line!()),
            (handle.spawn_blocking(hold()), line!()),
            (spawn_blocking(hold()), line!()),
            (task::Builder::new().spawn_blocking(hold()), line!()),
        ];
        for (task, line) in &closures {
            let all = handle.tasks();
            let info = all.iter().find(|info| info.id() == task.id()).unwrap();
            assert_eq!(info.location().line(), *line);
        }
        held.released.open();
        for (task, _) in closures {
            runtime.block_on(task).unwrap();
        }
    });
}
