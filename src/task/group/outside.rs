//! What a group needs of the runtime: whom to tell, and the clock.

use std::panic::Location;
use std::task::{Poll, Waker};
use std::time::Instant;

use crate::driver::{Closed, Timer};
use crate::lifecycle::{Id, UnobservedHook};
use crate::runtime::Handle;

pub(crate) use crate::runtime::report;

/// Whom to tell of a failure that nobody takes.
pub(crate) fn hook() -> Option<UnobservedHook> {
    Handle::try_current().map(|handle| handle.unobserved_hook())
}

/// Tells the user of tasks that do not end though they were cancelled.
#[cold]
pub(crate) fn report_waiting(location: &Location<'_>, waits_for: &[Id]) {
    let tasks = Handle::try_current().map(|handle| handle.tasks()).unwrap_or_default();
    let names: String = waits_for
        .iter()
        .map(|id| match tasks.iter().find(|task| task.id() == *id) {
            Some(task) => format!("\n  {task}"),
            None => format!("\n  task {id}"),
        })
        .collect();
    report(format_args!(
        "the task group made at {location} is cancelled and still waits for {} of its tasks, \
         which do not come to an await point:{names}",
        waits_for.len()
    ));
}

/// A timer that tells of its trouble instead of panicking as [`Sleep`](crate::time::Sleep) does,
/// and costs no budget.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// What it is set for. Without a timer: there is no runtime whose time would come.
    set: Option<(Instant, Option<Timer>)>,
}

/// What an [`Alarm`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rings {
    NotYet,
    Now,
    /// The runtime has shut down, or there is none.
    Never,
}

impl Alarm {
    /// Whether `at` has passed; if not, `waker` is woken when it has.
    pub(crate) fn poll(&mut self, at: Instant, waker: &Waker) -> Rings {
        let timer = match &mut self.set {
            Some((set_for, timer)) if *set_for == at => timer,
            set => {
                if at <= Instant::now() {
                    return Rings::Now;
                }
                let timer =
                    Handle::with_timers(|driver, shard| driver.insert_timer(shard, at, waker));
                let timer = timer.and_then(Result::ok);
                let rings = if timer.is_some() { Rings::NotYet } else { Rings::Never };
                *set = Some((at, timer));
                return rings;
            }
        };
        match timer.as_mut().map(|timer| timer.poll(waker)) {
            Some(Poll::Pending) => Rings::NotYet,
            Some(Poll::Ready(Ok(()))) => Rings::Now,
            Some(Poll::Ready(Err(Closed))) => {
                *timer = None;
                Rings::Never
            }
            None => Rings::Never,
        }
    }
}
