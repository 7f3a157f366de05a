//! Groups: who ends, fails, is cancelled or comes late, and the group that waits for all of them.

use std::future::{pending, poll_fn, ready};
use std::panic::{Location, resume_unwind};
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicBool as Flag, AtomicUsize as Count, Ordering::Relaxed};
use std::task::{Poll, Waker};

use loom::thread::spawn as thread;

use super::support::{Bench, Noted, Tracked, block_on, poll_with};
use crate::harness::model;
use crate::lifecycle::AbortHandle;
use crate::primitive::{Arc, contain};
use crate::task::group::child::{Child, Ticket};
use crate::task::group::error::GroupError;
use crate::task::group::inner::Inner;
use crate::task::group::{context, scope};

/// What a group has of the runtime, here: a hook that counts, and a clock that stands still.
pub(crate) mod outside {
    use std::cell::Cell;
    use std::panic::Location;
    use std::sync::Arc;
    use std::task::Waker;
    use std::time::Instant;

    use crate::lifecycle::{Id, UnobservedHook};

    std::thread_local! {
        /// All threads of a model are on one real thread.
        static TOLD: Cell<usize> = const { Cell::new(0) };
    }

    /// For models: how often a hook was called since this was asked last.
    pub(crate) fn told() -> usize {
        TOLD.take()
    }

    pub(crate) fn hook() -> Option<UnobservedHook> {
        Some(Arc::new(|_| TOLD.set(TOLD.get() + 1)))
    }

    pub(crate) fn report(line: std::fmt::Arguments<'_>) {
        unreachable!("every failure is of a task, and has a hook: {line}");
    }

    pub(crate) fn report_waiting(_: &Location<'_>, _: &[Id]) {
        unreachable!("no time passes");
    }

    #[derive(Default)]
    pub(crate) struct Alarm;

    #[derive(PartialEq, Eq)]
    pub(crate) enum Rings {
        NotYet,
        Now,
        Never,
    }

    impl Alarm {
        pub(crate) fn poll(&mut self, _: Instant, _: &Waker) -> Rings {
            Rings::NotYet
        }
    }
}

type Group = Arc<Inner<u32>>;

/// A group inside of the one that the caller runs in.
fn group() -> Group {
    outside::told();
    Inner::new(context::enclosing().as_ref(), Location::caller())
}

/// What `TaskGroup::spawn` does.
fn spawn<F>(bench: &Bench, group: &Group, future: F) -> AbortHandle
where
    F: Future<Output = Result<(), u32>> + 'static,
{
    let (ticket, admission) = Ticket::new(group);
    let join = bench.spawn(Child::new(future, ticket));
    match admission {
        Some(admission) => admission.admit(join.abort_handle()),
        None => join.abort(),
    }
    join.abort_handle()
}

fn wait<T>(group: &Group, body: Result<T, u32>) -> Result<T, GroupError<u32>> {
    block_on(scope::run(group, ready(body)))
}

/// A future that stays until it is dropped.
fn stays(noted: &Noted) -> impl Future<Output = Result<(), u32>> + use<> {
    let on_drop = noted.on_drop();
    async move {
        let _on_drop = on_drop;
        pending().await
    }
}

model! {
    /// G4.
    fn the_last_task_to_end_wakes_the_group() {
        let (bench, group) = (Bench::new(), group());
        let tracked = Tracked::new();
        let output = tracked.clone();
        spawn(&bench, &group, async move {
            drop(output);
            Ok(())
        });
        let task = bench.pop().unwrap();
        let worker = thread(move || task.run());
        assert!(wait(&group, Ok(())).is_ok());
        assert_eq!(tracked.count(), 1);
        worker.join().unwrap();
    }
    catches "group: the last to leave wakes nobody", "group: it does not wait for tasks"
}

model! {
    /// G4.
    fn a_group_that_begins_to_wait_as_its_last_task_ends_sees_that() {
        let (bench, group) = (Bench::new(), group());
        spawn(&bench, &group, ready(Ok(())));
        group.ledger.end_body();
        let task = bench.pop().unwrap();
        let worker = thread(move || task.run());
        block_on(poll_fn(|cx| match group.ledger.look(cx.waker()).is_closed {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }));
        worker.join().unwrap();
    }
    catches "group: the waker is stored after the look"
}

model! {
    /// G1.
    fn a_group_that_returns_has_left_no_future() {
        let (bench, group, noted) = (Bench::new(), group(), Noted::new());
        let task = spawn(&bench, &group, stays(&noted));
        let runner = Arc::clone(&bench);
        let worker = thread(move || {
            task.abort();
            runner.drain();
        });
        assert!(wait(&group, Ok(())).is_ok());
        noted.check();
        worker.join().unwrap();
    }
    catches "group: a cancelled task leaves before its future is dropped"
}

model! {
    /// G5: nothing is noted behind the back of a group that has returned.
    fn a_group_that_returns_has_every_failure() {
        let (bench, group) = (Bench::new(), group());
        let failed = StdArc::new(Count::new(0));
        for error in 0..2 {
            let failed = StdArc::clone(&failed);
            spawn(&bench, &group, async move {
                failed.fetch_add(1, Relaxed);
                Err(error)
            });
        }
        let [one, other] = [(); 2].map(|()| bench.pop().unwrap());
        let worker = thread(move || one.run());
        other.run();
        let error = wait(&group, Ok(())).unwrap_err();
        worker.join().unwrap();
        // The later one was aborted, or ran already.
        assert_eq!(error.failures().len(), failed.load(Relaxed));
        assert_eq!(outside::told(), 0);
    }
    catches
        "group: a task leaves before its failure is noted",
        "group: it keeps the first failure only"
}

model! {
    /// G3: the body is dropped too.
    fn a_failure_cancels_the_others_and_the_body() {
        let (bench, group, noted) = (Bench::new(), group(), Noted::new());
        spawn(&bench, &group, stays(&noted));
        bench.drain();
        spawn(&bench, &group, ready(Err(1)));
        let runner = Arc::clone(&bench);
        let worker = thread(move || runner.drain());
        let error = block_on(scope::run(&group, pending::<Result<(), _>>())).unwrap_err();
        noted.check();
        assert_eq!(error.into_first_error(), Some(1));
        worker.join().unwrap();
    }
    catches "group: a failure cancels nobody"
}

model! {
    /// G3.
    fn a_task_that_comes_as_the_group_is_cancelled_is_aborted() {
        let (bench, group, noted) = (Bench::new(), group(), Noted::new());
        let other = Arc::clone(&group);
        let canceller = thread(move || other.ledger.cancel());
        spawn(&bench, &group, stays(&noted));
        canceller.join().unwrap();
        bench.drain();
        noted.check();
        assert!(wait(&group, Ok(())).is_ok());
    }
    catches "group: a task that comes late is not aborted"
}

model! {
    /// G4.
    fn who_waits_for_the_cancel_hears_of_it() {
        let group = group();
        let other = Arc::clone(&group);
        let canceller = thread(move || other.ledger.cancel());
        block_on(group.ledger.cancelled());
        assert!(group.ledger.is_cancelled());
        canceller.join().unwrap();
    }
    catches "group: who watches looks at nothing"
}

model! {
    /// G2: it waits for the late one, or does not take it.
    fn a_task_that_comes_as_the_group_ends_is_waited_for_or_refused() {
        let (bench, group) = (Bench::new(), group());
        spawn(&bench, &group, ready(Ok(())));
        let task = bench.pop().unwrap();
        let worker = thread(move || task.run());
        group.ledger.end_body();
        let was_closed = group.ledger.look(Waker::noop()).is_closed;
        spawn(&bench, &group, ready(Ok(())));
        assert!(!was_closed || group.ledger.len() == 0);
        bench.drain();
        worker.join().unwrap();
        assert_eq!(group.ledger.len(), 0);
    }
    catches "group: a closed group takes tasks"
}

model! {
    /// G5: the hook hears of what nobody can take any more, once.
    fn a_failure_of_a_group_that_is_dropped_is_told_once() {
        let (bench, group) = (Bench::new(), group());
        let has_failed = StdArc::new(Flag::new(false));
        let fails = StdArc::clone(&has_failed);
        spawn(&bench, &group, async move {
            fails.store(true, Relaxed);
            Err(1)
        });
        let task = bench.pop().unwrap();
        let worker = thread(move || task.run());
        let mut future = Box::pin(scope::run(&group, ready(Ok(()))));
        let taken = match poll_with(&mut future, Waker::noop()) {
            Poll::Ready(result) => result.unwrap_err().errors().count(),
            Poll::Pending => 0,
        };
        drop(future);
        worker.join().unwrap();
        // It was aborted, or somebody has its failure.
        assert_eq!(taken + outside::told(), usize::from(has_failed.load(Relaxed)));
    }
    catches "group: failures are kept for nobody"
}

model! {
    /// The panic goes on when the tasks have ended.
    fn a_panic_of_the_body_waits_for_the_tasks() {
        let (bench, group, noted) = (Bench::new(), group(), Noted::new());
        spawn(&bench, &group, stays(&noted));
        bench.drain();
        let body = async { resume_unwind(Box::new("the body")) };
        let mut future = Box::pin(scope::run::<(), _, _>(&group, body));
        let first = contain(|| poll_with(&mut future, Waker::noop()));
        let runner = Arc::clone(&bench);
        let worker = thread(move || runner.drain());
        let panic = match first {
            Ok(_) => contain(|| block_on(future)).unwrap_err(),
            Err(panic) => panic,
        };
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the body"));
        noted.check();
        worker.join().unwrap();
    }
    catches "group: a panic of the body is not held back"
}

model! {
    /// G6: a task that is aborted leaves its own group's tasks behind, to the group around.
    fn a_group_waits_for_the_tasks_of_groups_inside() {
        let (bench, outer, noted) = (Bench::new(), group(), Noted::new());
        let (own, grandchild) = (Arc::clone(&bench), noted.clone());
        let child = spawn(&bench, &outer, async move {
            let inner = group();
            spawn(&own, &inner, stays(&grandchild));
            drop((own, grandchild));
            scope::run(&inner, ready(Ok(()))).await.map_err(|_| 1)
        });
        bench.drain();
        let runner = Arc::clone(&bench);
        let worker = thread(move || {
            child.abort();
            runner.drain();
        });
        assert!(wait(&outer, Ok(())).is_ok());
        noted.check();
        worker.join().unwrap();
    }
    catches
        "group: no seat in the group around",
        "group: it does not wait for groups inside"
}
