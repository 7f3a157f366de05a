//! What this process has used so far: processor time and context switches.

use std::mem::MaybeUninit;
use std::ops::Sub;

use rustix::time::{ClockId, clock_gettime};

/// What a process or thread has used, or, as a difference, used between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time of all threads.
    pub(crate) cpu_ns: u64,
    /// Context switches because a thread had nothing to do.
    pub(crate) switches: u64,
}

impl Usage {
    /// The usage of this process, children not counted.
    pub(crate) fn of_process() -> Usage {
        Usage::of(ClockId::ProcessCPUTime, libc::RUSAGE_SELF)
    }

    /// The usage of the calling thread.
    pub(crate) fn of_thread() -> Usage {
        Usage::of(ClockId::ThreadCPUTime, libc::RUSAGE_THREAD)
    }

    fn of(clock: ClockId, who: libc::c_int) -> Usage {
        let time = clock_gettime(clock);
        Usage {
            cpu_ns: time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
            switches: voluntary_switches(who),
        }
    }
}

impl Sub for Usage {
    type Output = Usage;

    fn sub(self, earlier: Usage) -> Usage {
        Usage {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            switches: self.switches.saturating_sub(earlier.switches),
        }
    }
}

/// The resident set of this process in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs is mounted");
    let pages = statm.split_whitespace().nth(1).expect("statm has a second field");
    pages.parse::<u64>().expect("a number of pages") * rustix::param::page_size() as u64
}

fn voluntary_switches(who: libc::c_int) -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to writable memory of the right type, which outlives the call.
    let refused = unsafe { libc::getrusage(who, usage.as_mut_ptr()) };
    assert_eq!(refused, 0, "getrusage of oneself cannot fail");
    // SAFETY: it was zeroed, and all zeroes is a `rusage`; the call above filled it besides.
    let usage = unsafe { usage.assume_init() };
    usage.ru_nvcsw as u64
}
