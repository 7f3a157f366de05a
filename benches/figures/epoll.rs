//! `epoll_pwait2` for valgrind, which does not know it.
//!
//! Used only where rustix calls the C library, as `.ci/figures` builds it for valgrind; elsewhere
//! the system call is made directly.

use std::ffi::c_int;

use libc::{epoll_event, sigset_t, timespec};

/// Waits like the real one, but for whole milliseconds.
///
/// # Safety
///
/// 1. `events` points to room for as many as `max`.
/// 2. `timeout` points to a `timespec`, or is null: for ever.
#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: 2.
    let timeout_ms = match unsafe { timeout.as_ref() } {
        Some(timeout) => {
            let ms = timeout.tv_sec * 1_000 + (timeout.tv_nsec + 999_999) / 1_000_000;
            ms.try_into().unwrap_or(c_int::MAX)
        }
        None => -1,
    };
    // SAFETY: 1: the caller's duty.
    unsafe { libc::epoll_pwait(epoll, events, max, timeout_ms, mask) }
}
