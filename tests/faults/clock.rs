//! A clock that stands still, or jumps.
//!
//! The standard library asks the C library for the time by `clock_gettime`; here is one, for the
//! whole program, that can be stopped and set. The system's own waits go by its own clock.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use libc::{c_int, c_long, clockid_t, timespec};

use crate::support::{Child, LIMIT, expect_success, within};

/// What the monotonic clock shows, in nanoseconds, while it stands still.
static SHOWN_NS: AtomicI64 = AtomicI64::new(0);
/// By how much it is set ahead, in nanoseconds.
static AHEAD_NS: AtomicI64 = AtomicI64::new(0);
static IS_STOPPED: AtomicBool = AtomicBool::new(false);

const SECOND_NS: i64 = 1_000_000_000;

/// How long a scenario may take, by the system's clock. Less than the watchdog gives its parent.
const LIMIT_SECONDS: u32 = 40;

/// Runs `body` in a process of its own, which has to end well, and whose clock may be stopped and
/// set.
pub(crate) fn scenario(body: impl FnOnce()) {
    let mut limit = LIMIT;
    if Child::is_this() {
        // The watchdog goes by the clock that is stopped and set: it never ends this process.
        limit = Duration::from_secs(u32::MAX.into());
        // SAFETY: the call takes a number alone. The signal it brings ends the process.
        unsafe { libc::alarm(LIMIT_SECONDS) };
    }
    within(limit, || expect_success(&Child::new().run(body)));
}

/// Stops the monotonic clock, for this whole process, which is a [`scenario`]'s.
pub(crate) fn stop() {
    SHOWN_NS.store(now_ns(), Ordering::Relaxed);
    // ORDERING: Release. Pairs with Acquire in `now_ns`.
    IS_STOPPED.store(true, Ordering::Release);
}

/// Sets the monotonic clock ahead by so many seconds, for this whole process, which is a
/// [`scenario`]'s.
pub(crate) fn jump(seconds: i64) {
    AHEAD_NS.fetch_add(seconds * SECOND_NS, Ordering::Relaxed);
}

/// What the monotonic clock shows.
fn now_ns() -> i64 {
    // ORDERING: Acquire. Pairs with Release in `stop`.
    if IS_STOPPED.load(Ordering::Acquire) {
        return SHOWN_NS.load(Ordering::Relaxed);
    }
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    system_time(libc::CLOCK_MONOTONIC, &raw mut time);
    time.tv_sec * SECOND_NS + time.tv_nsec + AHEAD_NS.load(Ordering::Relaxed)
}

fn system_time(clock: clockid_t, time: *mut timespec) -> c_long {
    // SAFETY: the system checks both; `time` is what the caller of `clock_gettime` gives.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) }
}

/// The C library's function, in its place.
///
/// # Safety
///
/// 1. `time` is valid for writes, or no pointer at all, of which the system says so.
// SAFETY: it is what the C library has under this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    if clock != libc::CLOCK_MONOTONIC {
        return system_time(clock, time) as c_int;
    }
    let now = now_ns();
    let shown = timespec { tv_sec: now / SECOND_NS, tv_nsec: now % SECOND_NS };
    // SAFETY: 1: nobody asks for the time and has no room for it.
    unsafe { time.write(shown) };
    0
}
