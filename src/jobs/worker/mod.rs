//! The other side: a process that runs jobs, from its first statement to its end.
//!
//! # PROTOCOL
//!
//! ```text
//!             1         2          3           4
//!   exec ─► diverted ─► configured ─► idle ◄──────► running
//!               │            │         │ 6             │ 7
//!               └─────5──────┴────► ended ◄────────────┘
//!
//! 1 init                    its mark names the socket on its standard input
//! 2 Receiver::config        the pool's first frame
//! 3 prepare                 limits, digest, `job_init` functions, hello
//! 4 Link::next, Link::reply one job at a time, in the order in which they came
//! 5 fail_start              with a frame that says why
//! 6 serve                   the pool shut its sending half down
//! 7 watchdog::start         the pool is gone: SIGKILL, to all of the process group
//! ```
//!
//! A job costs three calls to the system: one that waits for it, one that receives it, one that sends
//! what it came to; of jobs that were sent ahead, several come with one. What a job came to is sent before the next
//! one starts: nobody waits for a job behind his own, and none dies of it.

#[forbid(unsafe_code)]
mod context;
mod limits;
#[forbid(unsafe_code)]
mod link;
#[forbid(unsafe_code)]
pub(crate) mod mark;
#[forbid(unsafe_code)]
mod panics;
#[forbid(unsafe_code)]
mod receiver;
#[forbid(unsafe_code)]
mod watchdog;

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::io::{fcntl_dupfd_cloexec, ioctl_fionbio};
use rustix::process::getpid;
use rustix::thread::gettid;

pub use context::{cancelled, emit, is_worker, progress};
use link::{Assigned, Link, Reply};
use mark::Mark;
use panics::{Ended, Unsent};
use receiver::Receiver;

use super::frame::{self, Config, Failure, Hello, Kind, VERSION};
use super::registry;

/// The least descriptor that is none of the standard ones.
const DESCRIPTOR_MIN: i32 = 3;

/// Why a process that was started as a worker is none.
const ELSEWHERE: &str = "the worker did not begin where it should: a pool in a test needs \
                         `#[tenter::test]`, and `tenter::jobs::init()` is for the beginning of `main`";

/// The test of this program through which its workers come in.
static TEST: OnceLock<&'static str> = OnceLock::new();

/// Makes this process a worker, if a [`ProcessPool`](crate::jobs::ProcessPool) started it as one.
///
/// It belongs at the very beginning of `main`: what stands before it runs in every worker too. In
/// a worker it does not return. `#[tenter::main]` and `#[tenter::test]` call it by themselves.
///
/// In a worker it closes every descriptor that was inherited, but for the standard ones.
///
/// # Examples
///
/// ```
/// fn main() {
///     tenter::jobs::init();
///     // Only the parent comes here.
///     assert!(!tenter::jobs::is_worker());
/// }
/// ```
#[allow(clippy::needless_doctest_main)]
pub fn init() {
    if let Some(mark) = mark::own() {
        // A test that calls this by hand is on another thread, and not at the beginning.
        work(&mark, gettid() == getpid());
    }
}

/// Like [`init`], at the beginning of the test that the test harness calls `name`: it is how
/// workers of this test program come in.
pub(crate) fn enter_test(name: &'static str) {
    TEST.get_or_init(|| name);
    if let Some(mark) = mark::own() {
        // Another test's worker, or one of a test without the attribute, runs what it should not.
        work(&mark, mark.test == name);
    }
}

/// A test of this program whose first statement is [`enter_test`], if one has run.
pub(crate) fn test_name() -> Option<&'static str> {
    TEST.get().copied()
}

/// All that a worker does, if this is where it is to begin.
fn work(mark: &Mark, is_here: bool) -> ! {
    if !is_here {
        fail_start(rustix::stdio::stdin(), &Failure::text(ELSEWHERE));
    }
    let socket = take_socket().unwrap_or_else(|error| link::fail(error));
    if mark.version != VERSION {
        fail_start(socket.as_fd(), &Failure::DifferentBuild);
    }
    let mut receiver = Receiver::new();
    match receiver.config(socket.as_fd()) {
        Ok(Some((config, stdout))) => {
            let link = Link::set(socket, config, receiver);
            match prepare(link, stdout) {
                Ok(()) => serve(link),
                Err(failure) => fail_start(link.socket(), &failure),
            }
        }
        // The pool has changed its mind.
        Ok(None) => process::exit(0),
        Err(error) => fail_start(socket.as_fd(), &Failure::text(&error.to_string())),
    }
}

/// Moves the socket away from standard input, and closes what else was inherited.
fn take_socket() -> io::Result<OwnedFd> {
    let input = rustix::stdio::stdin();
    let socket = fcntl_dupfd_cloexec(input, DESCRIPTOR_MIN)?;
    ioctl_fionbio(&socket, false)?;
    let nothing = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&nothing)?;
    // SAFETY: 1: this is the first statement of `main`, as `init` demands; those who opened
    // something earlier, before `main`, opened it themselves.
    unsafe { limits::close_inherited(socket.as_fd()) }?;
    Ok(socket)
}

/// Tells the pool why there is no worker, and ends.
fn fail_start(socket: BorrowedFd<'_>, failure: &Failure) -> ! {
    let mut out = Vec::new();
    frame::encode_message(Kind::Failed, 0, failure, &mut out);
    link::send_all(socket, &out);
    process::exit(1)
}

/// Does everything that comes before the first job, and says hello.
fn prepare(link: &'static Link, stdout: Option<OwnedFd>) -> Result<(), Failure> {
    let config = link.config();
    let digest = registry::digest();
    if config.version != VERSION || config.digest != digest {
        return Err(Failure::DifferentBuild);
    }
    limit(link, stdout).map_err(|error| Failure::text(&error.to_string()))?;
    panics::install();
    run_inits(config)?;

    let hello = Hello { version: VERSION, digest, pid: process::id() };
    let mut out = Vec::new();
    frame::encode_message(Kind::Hello, 0, &hello, &mut out);
    link::send_all(link.socket(), &out);
    Ok(())
}

fn limit(link: &'static Link, stdout: Option<OwnedFd>) -> io::Result<()> {
    if let Some(stdout) = stdout {
        rustix::stdio::dup2_stdout(stdout)?;
    }
    watchdog::start(link.socket())?;
    limits::apply(link.config())
}

fn run_inits(config: &Config) -> Result<(), Failure> {
    for init in registry::inits() {
        let why = match panics::catch(config.backtrace, init.run) {
            Ok(()) => continue,
            Err(Ended::Panicked(panic)) => format!("{} at {}", panic.message, panic.location),
            Err(Ended::Unsent(unsent)) => format!("{unsent:?}"),
        };
        return Err(Failure::init(&format!("`{}` panicked: {why}", init.name)));
    }
    Ok(())
}

/// Runs jobs until the pool sends no more.
fn serve(link: &Link) -> ! {
    while let Some(job) = link.next() {
        let reply = run(job, link.config().backtrace);
        // What it printed comes before its end. No call to the system if it printed lines.
        let _ = io::stdout().flush();
        link.reply(reply);
    }
    process::exit(0)
}

fn run(job: Assigned, backtrace: bool) -> Reply {
    let Assigned { entry, body, .. } = job;
    match panics::catch(backtrace, || (entry.run)(body)) {
        Ok(Ok(body)) => Reply::Done(body),
        Ok(Err(error)) => Reply::Refused(error.to_string()),
        Err(Ended::Panicked(panic)) => Reply::Panicked(panic),
        Err(Ended::Unsent(Unsent::TooLarge(bytes))) => Reply::TooLarge(bytes),
        Err(Ended::Unsent(Unsent::Refused(why))) => Reply::Refused(why),
    }
}
