//! Faults, and how they are brought about.
//!
//! [`inject`] stops system calls of the calling thread, and of those that it starts from then on,
//! at the [border](crate::border), whoever makes them: the standard library through the C library,
//! or others directly. A thread that was started before, and is not stopped itself, answers each:
//! with an error or a value in the place of the call, or by letting it go on.
//!
//! That stays for as long as the process, and so each test does it in a [`Child`], by
//! [`scenario`]. What the process starts itself is never struck nor counted.
//!
//! The answering thread neither allocates nor takes a lock: a thread that it has not answered may
//! hold one.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::process::exit;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use libc::{EAGAIN, SYS_clone, SYS_clone3, c_int, c_long};

pub(crate) use crate::border::Call;
use crate::border::{Listener, Verdict};
use crate::support::{Child, LIMIT, expect_success, within};

/// Calls that start a thread or a process.
const STARTS: [c_long; 2] = [SYS_clone, SYS_clone3];

/// Calls by which a thread waits for descriptors, but for those of the driver.
#[cfg(target_arch = "x86_64")]
pub(crate) const POLLS: [c_long; 2] = [libc::SYS_poll, libc::SYS_ppoll];
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const POLLS: [c_long; 1] = [libc::SYS_ppoll];

/// Runs `body` in a process of its own, which has to end well.
pub(crate) fn scenario(body: impl FnOnce()) {
    within(LIMIT, || expect_success(&Child::new().run(body)));
}

/// Puts the faults in force for this thread and for those that it starts, until the process ends.
///
/// Each call is counted by every fault that it concerns, and answered by the first that takes it.
///
/// # Panics
///
/// Panics if the system does not let this process stop its own calls: then nothing is tested.
pub(crate) fn inject<const N: usize>(faults: [Fault; N]) -> [Arc<Fault>; N] {
    assert!(Child::is_this(), "calls are stopped for as long as the process: see `scenario`");
    let faults = faults.map(Arc::new);
    let mut numbers: Vec<_> = faults.iter().flat_map(|fault| fault.calls.clone()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let handed_over = Arc::new(OnceLock::new());
    let has_begun = Arc::new(AtomicBool::new(false));
    let (receiver, own, begins) =
        (Arc::clone(&handed_over), faults.to_vec(), Arc::clone(&has_begun));
    thread::spawn(move || {
        begins.store(true, Ordering::Relaxed);
        // It does not sleep until it has the listener: what would wake it may be stopped.
        let listener: &Listener = loop {
            match receiver.get() {
                None => thread::yield_now(),
                Some(listener) => break listener,
            }
        };
        loop {
            if let Err(error) = listener.answer(|call| decide(&own, call)) {
                give_up(&error);
            }
        }
    });
    // It begins while nothing is stopped: a sanitizer takes locks at the start of a thread.
    while !has_begun.load(Ordering::Relaxed) {
        thread::yield_now();
    }
    let listener = Listener::install(&numbers).unwrap_or_else(|error| {
        panic!(
            "these tests need seccomp user notification, by which a process may stop its own \
             system calls (Linux 5.5, and no sandbox that forbids it; EBUSY says that somebody \
             stops this process's calls already): {error}"
        )
    });
    handed_over.set(listener).expect("it is the only one");
    faults
}

/// Says why, and ends the process: nobody is answered any more, and all would hang.
///
/// It neither allocates nor takes a lock, as whoever has one may be among those who hang.
fn give_up(error: &io::Error) -> ! {
    let mut text = [0; 100];
    let mut rest = &mut text[..];
    let number = error.raw_os_error().unwrap_or_default();
    let _ = writeln!(rest, "stopped calls cannot be answered any more: error {number}");
    let left = rest.len();
    let _ = rustix::io::write(io::stderr(), &text[..text.len() - left]);
    exit(101);
}

/// What a call is answered. Neither allocates nor takes a lock.
fn decide(faults: &[Arc<Fault>], call: &Call) -> Verdict {
    let mut taken = None;
    for fault in faults.iter().filter(|fault| fault.counts(call)) {
        if taken.is_none() && fault.takes() {
            taken = Some(fault);
        }
    }
    let Some(fault) = taken else { return Verdict::Pass };
    match fault.answer {
        Answer::Error(error) => Verdict::Return(-i64::from(error)),
        Answer::ErrorAfter(error) => {
            call.perform(u64::MAX);
            Verdict::Return(-i64::from(error))
        }
        Answer::Value(value) => Verdict::Return(value),
        Answer::Short(bytes) => Verdict::Return(call.perform(bytes)),
        Answer::Late => {
            while !fault.is_released.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(100));
            }
            Verdict::Pass
        }
    }
}

/// What a call gets in the place of its own answer.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// This error, and nothing is done.
    Error(c_int),
    /// This error, though all is done.
    ErrorAfter(c_int),
    /// This value, and nothing is done.
    Value(i64),
    /// What comes of it with a buffer of at most so many bytes.
    Short(u64),
    /// Its own, once [`Fault::release`] was called.
    Late,
}

/// Calls of one kind, and what some of them get.
///
/// It strikes nothing until it is told to.
#[derive(Debug)]
pub(crate) struct Fault {
    calls: Vec<c_long>,
    when: fn(&Call) -> bool,
    answer: Answer,
    /// The only descriptor that it is about, or -1.
    fd: AtomicI32,
    /// The one that `seen` is about: the thread that counts learns of another by its next call.
    seen_fd: AtomicI32,
    /// Calls that pass before the first that is struck.
    skip: AtomicU64,
    /// Calls that are still to be struck.
    left: AtomicU64,
    seen: AtomicU64,
    struck: AtomicU64,
    is_released: AtomicBool,
}

/// What it does.
impl Fault {
    /// `calls` fail with `error`.
    pub(crate) fn error(calls: &[c_long], error: c_int) -> Self {
        Self::new(calls, Answer::Error(error))
    }

    /// `calls` fail with `error` after they were done.
    pub(crate) fn error_after(calls: &[c_long], error: c_int) -> Self {
        Self::new(calls, Answer::ErrorAfter(error))
    }

    /// `calls` return `value` and do nothing.
    pub(crate) fn value(calls: &[c_long], value: i64) -> Self {
        Self::new(calls, Answer::Value(value))
    }

    /// `calls`, whose third argument is a length, move at most `bytes`.
    pub(crate) fn short(calls: &[c_long], bytes: u64) -> Self {
        Self::new(calls, Answer::Short(bytes))
    }

    /// `calls` begin when [`Fault::release`] says so. All that other faults stop is late too.
    pub(crate) fn late(calls: &[c_long]) -> Self {
        Self::new(calls, Answer::Late)
    }

    /// No thread can be started.
    pub(crate) fn no_thread() -> Self {
        Self::error(&STARTS, EAGAIN).when(Call::starts_a_thread)
    }

    /// No process can be started, with `error` as the reason.
    pub(crate) fn no_process(error: c_int) -> Self {
        Self::error(&STARTS, error).when(|call| !call.starts_a_thread())
    }

    /// `calls` are counted, and nothing happens to them.
    pub(crate) fn counter(calls: &[c_long]) -> Self {
        Self::new(calls, Answer::Late)
    }

    fn new(calls: &[c_long], answer: Answer) -> Self {
        Self {
            calls: calls.to_vec(),
            when: |_| true,
            answer,
            fd: AtomicI32::new(-1),
            seen_fd: AtomicI32::new(-1),
            skip: AtomicU64::new(0),
            left: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            struck: AtomicU64::new(0),
            is_released: AtomicBool::new(false),
        }
    }

    /// It is about calls for which `when` holds, and about no others.
    pub(crate) fn when(self, when: fn(&Call) -> bool) -> Self {
        Self { when, ..self }
    }
}

/// When it does that.
impl Fault {
    /// From now on it is about calls whose first argument is this descriptor, and counts anew.
    pub(crate) fn only(&self, fd: &impl AsRawFd) -> &Self {
        self.fd.store(fd.as_raw_fd(), Ordering::Relaxed);
        self
    }

    /// Strikes the next `times` calls.
    pub(crate) fn strike(&self, times: u64) {
        self.strike_after(0, times);
    }

    /// Lets `skip` calls pass and strikes the next `times`.
    pub(crate) fn strike_after(&self, skip: u64, times: u64) {
        self.is_released.store(false, Ordering::Relaxed);
        self.skip.store(skip, Ordering::Relaxed);
        // ORDERING: Release. Pairs with Acquire in `takes`: with what was set before.
        self.left.store(times, Ordering::Release);
    }

    /// Strikes every call from now on, until told otherwise.
    pub(crate) fn strike_always(&self) {
        self.strike(u64::MAX);
    }

    /// Lets those go on that are held, and those to come.
    pub(crate) fn release(&self) {
        self.left.store(0, Ordering::Relaxed);
        self.is_released.store(true, Ordering::Relaxed);
    }

    /// Calls that were made since [`inject`] or [`Fault::only`], struck or not.
    pub(crate) fn calls(&self) -> u64 {
        // ORDERING: Acquire. Pairs with Release in `counts`: with the number that is about it.
        if self.seen_fd.load(Ordering::Acquire) == self.fd.load(Ordering::Relaxed) {
            self.seen.load(Ordering::Relaxed)
        } else {
            0
        }
    }

    /// Calls that were struck.
    pub(crate) fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }

    /// Counts a call that it concerns. One thread alone asks.
    fn counts(&self, call: &Call) -> bool {
        let fd = self.fd.load(Ordering::Relaxed);
        if self.seen_fd.load(Ordering::Relaxed) != fd {
            self.seen.store(0, Ordering::Relaxed);
            // ORDERING: Release. Pairs with Acquire in `calls`.
            self.seen_fd.store(fd, Ordering::Release);
        }
        let is_of_this = fd < 0 || fd == call.arg(0) as RawFd;
        let concerns = self.calls.contains(&call.number()) && is_of_this && (self.when)(call);
        self.seen.fetch_add(u64::from(concerns), Ordering::Relaxed);
        concerns
    }

    /// Whether a call that it concerns is struck. One thread alone asks.
    fn takes(&self) -> bool {
        // ORDERING: Acquire. Pairs with Release in `strike_after`.
        let left = self.left.load(Ordering::Acquire);
        if left == 0 {
            return false;
        }
        let skip = self.skip.load(Ordering::Relaxed);
        if skip > 0 {
            self.skip.store(skip - 1, Ordering::Relaxed);
            return false;
        }
        // It fails if the test has changed its mind in this moment.
        let next = left - u64::from(left != u64::MAX);
        let relaxed = Ordering::Relaxed;
        let takes = self.left.compare_exchange(left, next, relaxed, relaxed).is_ok();
        self.struck.fetch_add(u64::from(takes), relaxed);
        takes
    }
}
