//! What a program must not leave behind: threads, descriptors, children, memory.

use std::thread;
use std::time::Duration;

use crate::support::{children, descriptors, threads};
use crate::{allocations, ensure, verdict};

/// Programs that are run before memory is looked at: what is made once is there then.
const WARM_UP: u64 = 100;

/// Programs of which the least memory is taken.
const WINDOW: u64 = 50;

/// By how many allocations the least of a window may grow, over the whole run.
///
/// Queues and locks keep something that depends on what there was at once; a program that leaves
/// one allocation behind, again and again, is beyond this after as many programs.
const GROWTH_MAX: isize = 100;

/// Waits for what comes by itself, and leaves no trace to wait on; the watchdog bounds it.
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_micros(50));
    }
}

/// What the process has between two programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    threads: usize,
    descriptors: usize,
}

impl Before {
    pub(crate) fn now() -> Self {
        Self { threads: threads(), descriptors: descriptors() }
    }

    /// Waits until no thread of a program and no child is left.
    pub(crate) fn wait_for_threads(self, had_children: bool) {
        if had_children {
            verdict::set_step("waiting for child processes to end");
            wait_until(|| children().is_empty());
        }
        // By number: one that has just started has no name yet.
        verdict::set_step("waiting for the threads of the runtime to end");
        wait_until(|| threads() <= self.threads);
    }

    /// Waits until no more descriptors are open than there were.
    pub(crate) fn wait_for_descriptors(self) {
        verdict::set_step("waiting for descriptors to be closed");
        wait_until(|| descriptors() <= self.descriptors);
    }
}

/// The least memory that is in use after a program, window by window.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    programs: u64,
    /// Of the window that is not over.
    least: Option<isize>,
    first: Option<isize>,
    last: Option<isize>,
}

impl Memory {
    /// Looks at what is in use now: nothing of a program is.
    pub(crate) fn note(&mut self) {
        self.programs += 1;
        if self.programs <= WARM_UP {
            return;
        }
        let live = allocations::live();
        let least = self.least.map_or(live, |least| least.min(live));
        self.least = Some(least);
        if (self.programs - WARM_UP) % WINDOW == 0 {
            let least = self.least.take();
            match self.first {
                None => self.first = least,
                Some(_) => self.last = least,
            }
        }
    }

    /// By how much the least has grown, if there were programs enough for two windows.
    pub(crate) fn check(&self) -> Option<isize> {
        let growth = self.last? - self.first?;
        ensure!(growth <= GROWTH_MAX, "{growth} allocations more than in the beginning: {self:?}");
        Some(growth)
    }
}
