//! A clock that all but stands still: a nanosecond goes by from one look at it to the next.
//!
//! What a runtime does by the clock (a busy worker looks at the driver, the monitor at the workers)
//! would be done more often on a slow machine, and most of all under valgrind. So this program
//! brings a `clock_gettime` of its own, which std finds before the one of the C library. Waits take
//! their time nevertheless: that is the kernel's clock.

use std::ffi::c_int;
use std::mem;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

use libc::{CLOCK_MONOTONIC, RTLD_NEXT, c_void, clockid_t, timespec};

/// What the clock shows, in nanoseconds; 0 while it goes.
static SHOWN_NS: AtomicU64 = AtomicU64::new(0);

type ClockGettime = unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int;

/// Stops the clock, for good.
pub(crate) fn stop() {
    advance(Duration::from_secs(1_000_000));
}

/// Moves the hands of a clock that was stopped.
pub(crate) fn advance(by: Duration) {
    SHOWN_NS.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
}

/// The C library's function, for this program.
///
/// # Safety
///
/// 1. `time` points to a `timespec` that may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    if clock != CLOCK_MONOTONIC || SHOWN_NS.load(Ordering::Relaxed) == 0 {
        // SAFETY: 1: the caller's duty.
        return unsafe { real()(clock, time) };
    }
    let shown = Duration::from_nanos(SHOWN_NS.fetch_add(1, Ordering::Relaxed));
    let shown = timespec { tv_sec: shown.as_secs() as _, tv_nsec: shown.subsec_nanos() as _ };
    // SAFETY: 1.
    unsafe { time.write(shown) };
    0
}

/// What the C library has under this name.
fn real() -> ClockGettime {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    let mut found = REAL.load(Ordering::Relaxed);
    if found.is_null() {
        // SAFETY: the name ends in a zero byte.
        found = unsafe { libc::dlsym(RTLD_NEXT, c"clock_gettime".as_ptr()) };
        assert!(!found.is_null(), "the C library has a clock");
        REAL.store(found, Ordering::Relaxed);
    }
    // SAFETY: it is not null, and this is the function's type.
    unsafe { mem::transmute::<*mut c_void, ClockGettime>(found) }
}
