//! What the process can count itself.

use std::fs;

use tenter::Handle;

use crate::allocations;

/// Totals so far.
pub(crate) struct Cost {
    allocations: u64,
    /// Times that a thread gave up its core to wait, the monitor's left out: it waits by the clock.
    switches: u64,
    noop_wakes: u64,
}

impl Cost {
    /// What the process and the runtime have used so far.
    pub(crate) fn now(runtime: &Handle) -> Self {
        let noop_wakes = runtime.metrics().noop_wakes();
        let switches = switches();
        Self { allocations: allocations::count(), switches, noop_wakes }
    }

    /// Prints what has been used since, a line a measure.
    pub(crate) fn print_since(&self, runtime: &Handle) {
        // Before anything else is allocated.
        let allocations = allocations::count() - self.allocations;
        let now = Self::now(runtime);
        println!("allocations {allocations}");
        println!("switches {}", now.switches.saturating_sub(self.switches));
        println!("noop_wakes {}", now.noop_wakes - self.noop_wakes);
    }
}

fn switches() -> u64 {
    let threads = fs::read_dir("/proc/self/task").expect("procfs is mounted");
    let statuses = threads.filter_map(|it| fs::read_to_string(it.ok()?.path().join("status")).ok());
    statuses
        .filter(|status| !status.starts_with("Name:\ttenter-monitor"))
        .filter_map(|status| {
            let rest = status.split_once("\nvoluntary_ctxt_switches:")?.1;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}
