//! Threads, and what the system tells one of another.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::thread::{Builder, JoinHandle, current, yield_now};

use std::time::Duration;

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::Read;
    use std::mem::MaybeUninit;
    use std::time::Duration;

    thread_local! {
        /// A thread in `block_on` says it each time.
        static NUMBER: u64 = u64::from(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
    }

    pub(super) fn number() -> u64 {
        // A thread whose locals are gone is not asked for.
        NUMBER.try_with(|number| *number).unwrap_or(0)
    }

    pub(super) fn cpu_time(number: u64) -> Option<Duration> {
        // How the kernel numbers the clock of one thread's time on a core: the thread's number,
        // complemented, over three bits that say which clock.
        const OF_THREAD: libc::clockid_t = 0b110;
        let number = libc::clockid_t::try_from(number).ok().filter(|&number| number > 0)?;
        let clock = (!number << 3) | OF_THREAD;
        let mut time = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: `time` has room for what the call writes; any number may be asked for.
        let failed = unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0;
        if failed {
            return None;
        }
        // SAFETY: a call that did not fail has written it.
        let time = unsafe { time.assume_init() };
        Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
    }

    pub(super) fn is_waiting(number: u64) -> Option<bool> {
        // The start of the line is enough: the state follows the name, which is short.
        let mut line = [0; 64];
        let mut file = File::open(format!("/proc/self/task/{number}/stat")).ok()?;
        let len = file.read(&mut line).ok()?;
        // The name stands in parentheses, and may have some in it.
        let end = line[..len].iter().rposition(|&byte| byte == b')')?;
        line[..len].get(end + 2).map(|&state| state != b'R')
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    pub(super) fn number() -> u64 {
        0
    }

    pub(super) fn cpu_time(_number: u64) -> Option<Duration> {
        None
    }

    pub(super) fn is_waiting(_number: u64) -> Option<bool> {
        None
    }
}

/// The number by which others can ask for the current thread; 0 if they cannot.
pub(crate) fn number() -> u64 {
    system::number()
}

/// The time that cores have spent on a thread of this process, if the system tells.
pub(crate) fn cpu_time(number: u64) -> Option<Duration> {
    system::cpu_time(number)
}

/// Whether a thread of this process waits for something other than a core, if the system tells.
pub(crate) fn is_waiting(number: u64) -> Option<bool> {
    system::is_waiting(number)
}
