//! Panics of jobs: collected for the pool, where the default hook would print them.
//!
//! The hook is asked on the thread that panics, before it unwinds. There it knows the place, and
//! can walk the stack; what it finds waits in the thread for [`catch`].

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};

use crate::jobs::frame::Panic;
use crate::primitive::{contain, contain_drop, thread_local};

/// The place of a panic that went on from another thread, or past a hook of the job's own.
const UNKNOWN: &str = "an unknown place";

thread_local! {
    /// Of the thread that runs [`catch`], while it does.
    static COLLECTOR: RefCell<Option<Collector>> = const { RefCell::new(None) };
}

struct Collector {
    /// Whether a walk of the stack is wanted, which takes milliseconds.
    backtrace: bool,
    found: Option<Found>,
}

struct Found {
    message: String,
    location: String,
    backtrace: Option<String>,
}

/// Ends a job from within, without a panic's noise: an item that can not be sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// It is so many bytes long.
    TooLarge(u64),
    /// It can not be encoded, and why.
    Refused(String),
}

/// How a job ended that did not return.
#[derive(Debug)]
pub(super) enum Ended {
    /// It panicked.
    Panicked(Panic),
    /// It was ended by [`unwind`].
    Unsent(Unsent),
}

/// Puts the collecting hook in front of the one that is there. Other threads keep that one.
pub(super) fn install() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // A process that aborts on panics has no later moment to tell of them.
        if cfg!(panic = "abort") || !collect(info) {
            default(info);
        }
    }));
}

/// Runs `f`, which is a job or prepares for some.
pub(super) fn catch<R>(backtrace: bool, f: impl FnOnce() -> R) -> Result<R, Ended> {
    COLLECTOR.set(Some(Collector { backtrace, found: None }));
    let outcome = contain(f);
    let found = COLLECTOR.take().and_then(|collector| collector.found);
    outcome.map_err(|payload| match payload.downcast::<Unsent>() {
        Ok(unsent) => Ended::Unsent(*unsent),
        Err(payload) => Ended::Panicked(describe(payload, found)),
    })
}

/// Unwinds to [`catch`], which hands `unsent` out.
pub(super) fn unwind(unsent: Unsent) -> ! {
    panic::resume_unwind(Box::new(unsent))
}

fn describe(payload: Box<dyn Any + Send>, found: Option<Found>) -> Panic {
    let message = text(&*payload).to_owned();
    contain_drop(move || drop(payload));
    // What was found may be of an earlier panic, which the job caught by itself.
    match found.filter(|found| found.message == message) {
        Some(found) => Panic::new(&message, &found.location, found.backtrace.as_deref()),
        None => Panic::new(&message, UNKNOWN, None),
    }
}

/// Collects a panic, if this thread runs [`catch`], and it is the first that it sees.
fn collect(info: &PanicHookInfo<'_>) -> bool {
    let collect = |collector: &RefCell<Option<Collector>>| {
        let mut collector = collector.try_borrow_mut().ok()?;
        let Collector { backtrace, found } = collector.as_mut()?;
        if let Some(earlier) = found.as_ref() {
            // A second one may be what aborts the process: now both are to be seen.
            eprintln!("a job panicked at {}:\n{}", earlier.location, earlier.message);
        }
        let is_first = found.is_none();
        *found = Some(Found {
            message: text(info.payload()).to_owned(),
            location: info.location().map_or_else(|| UNKNOWN.to_owned(), ToString::to_string),
            backtrace: backtrace.then(|| Backtrace::force_capture().to_string()),
        });
        Some(is_first)
    };
    COLLECTOR.try_with(collect).ok().flatten().unwrap_or(false)
}

/// What a panic says, where that is text.
fn text(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&'static str>().copied();
    let formatted = || payload.downcast_ref::<String>().map(String::as_str);
    literal.or_else(formatted).unwrap_or("a panic whose payload is no text")
}
