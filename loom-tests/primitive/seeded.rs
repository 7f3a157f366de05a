//! Seeded bugs, turned on by name.
//!
//! One process runs one model with one bug (see [`crate::harness`]), so the name comes from the
//! environment and is the same for every thread of the model.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::verdict::SEEDED;

static CONSULTED: AtomicBool = AtomicBool::new(false);

/// Whether the seeded bug `name` is in force.
pub(crate) fn is(name: &str) -> bool {
    let on = active() == Some(name);
    if on {
        CONSULTED.store(true, Ordering::Relaxed);
    }
    on
}

/// For models: the bug that this process was started with.
pub(crate) fn active() -> Option<&'static str> {
    static ACTIVE: OnceLock<Option<String>> = OnceLock::new();
    ACTIVE.get_or_init(|| std::env::var(SEEDED).ok()).as_deref()
}

/// For models: whether the shipped code ever asked for the active bug.
pub(crate) fn was_consulted() -> bool {
    CONSULTED.load(Ordering::Relaxed)
}
