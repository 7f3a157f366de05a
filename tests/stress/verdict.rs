//! What is said when something is not as it must be, and who notices that nothing happens.

use std::backtrace::Backtrace;
use std::fmt;
use std::io::{Write, stderr};
use std::panic::PanicHookInfo;
use std::process::abort;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::ledger;
use crate::plan::Seed;
use crate::world::World;

/// How long a dump may take: it takes locks that may be what hangs.
const DUMP_LIMIT: Duration = Duration::from_secs(5);

/// Lines of a dump at most.
const LINES: usize = 60;

/// Fails the run unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            $crate::verdict::violation(format_args!($($text)+));
        }
    };
}

/// The program that runs.
struct Current {
    seed: Seed,
    /// What is left of it may have to be dropped while it is looked at.
    world: Weak<World>,
    since: Instant,
    step: &'static str,
}

static CURRENT: Mutex<Option<Current>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<Current>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on it is this program's fault.
pub(crate) fn begin(seed: Seed, world: &Arc<World>) {
    let (world, since) = (Arc::downgrade(world), Instant::now());
    *current() = Some(Current { seed, world, since, step: "starting" });
}

/// Where the program is now, for a dump.
pub(crate) fn set_step(step: &'static str) {
    if let Some(current) = &mut *current() {
        current.step = step;
    }
}

pub(crate) fn end() {
    *current() = None;
}

/// Says what is wrong, with the seed and the state of the books, and ends the process.
pub(crate) fn violation(what: fmt::Arguments<'_>) -> ! {
    say(format_args!("\nVIOLATION: {what}\n{}", Backtrace::force_capture()));
    dump_within_limit();
    abort()
}

/// Ends the process if a program takes longer than this.
pub(crate) fn start_watchdog(patience: Duration) {
    let watch = move || {
        // Ends with the process.
        loop {
            thread::sleep(patience.min(Duration::from_secs(1)));
            let hangs = current().as_ref().is_some_and(|it| it.since.elapsed() > patience);
            if hangs {
                say(format_args!("\nA HANG: the program is not done after {patience:?}"));
                dump_within_limit();
                abort()
            }
        }
    };
    thread::Builder::new().name("watchdog".into()).spawn(watch).expect("a watchdog starts");
}

/// Says nothing of planned panics, and takes any other for what it is.
pub(crate) fn hear_panics() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let text = info.payload().downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| info.payload().downcast_ref::<&str>().copied());
        let message = text.unwrap_or("a panic whose payload is no text");
        let may_close = || {
            let world = current().as_ref().and_then(|it| it.world.upgrade());
            world.is_some_and(|world| world.is_ending()) && is_closed_timer(message)
        };
        if ledger::planned(message).is_none() && !may_close() {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            violation(format_args!("a panic that was not planned, at {place}: {message}"));
        }
    }));
}

/// Whether it is the panic of a timer that outlives its runtime.
pub(crate) fn is_closed_timer(message: &str) -> bool {
    message.starts_with("a timer was polled after its runtime was shut down")
}

fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(stderr(), "{text}");
}

/// On a thread of its own, for it takes locks.
fn dump_within_limit() {
    let (done, dumped) = mpsc::channel();
    thread::spawn(move || {
        dump();
        done.send(())
    });
    let _ = dumped.recv_timeout(DUMP_LIMIT);
}

fn dump() {
    let found = current().as_ref().map(|it| (it.seed, it.step, it.world.upgrade()));
    let Some((seed, step, world)) = found else { return };
    say(format_args!(
        "{step}; the program runs alone, again and again, with\n    \
         cargo test{} --test stress -- --seconds 60 {seed}",
        if cfg!(debug_assertions) { "" } else { " --release" }
    ));
    let Some(world) = world else { return };
    let records = world.ledger.all();
    let open: Vec<_> = records.iter().filter(|record| !record.is_dropped()).collect();
    say(format_args!("{} tasks, {} of them not dropped", records.len(), open.len()));
    for record in open.iter().take(LINES) {
        let lost = record.seen.load(Ordering::Relaxed) < record.wakes.load(Ordering::Relaxed);
        say(format_args!("  {record}{}", if lost { ", WOKEN AND NOT POLLED" } else { "" }));
    }
    let (is_ending, orders) = (world.is_ending(), world.orders());
    say(format_args!("the runtime is ended: {is_ending}, orders outside: {orders}"));
    let handle = &world.handle;
    let tasks = handle.tasks();
    say(format_args!("the runtime knows {} tasks: {:?}", tasks.len(), handle.metrics()));
    tasks.iter().take(LINES).for_each(|task| say(format_args!("  {task}")));
}
