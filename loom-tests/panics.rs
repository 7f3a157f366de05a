//! Panics that nobody meant: the shipped code contains those of users, and with them the engine's
//! and the assertions of models.
//!
//! A model that means to panic calls [`std::panic::resume_unwind`], which no hook sees.

use std::cell::Cell;
use std::sync::Once;

std::thread_local! {
    /// Panics since somebody last looked. All threads of a model are on one real thread.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Counts panics from now on; `tell` says before each what else is to be known of it.
pub(crate) fn note(tell: fn()) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            tell();
            before(info);
        }));
    });
    PANICS.set(0);
}

/// Panics if there was one since the last call.
pub(crate) fn expect_none() {
    assert_eq!(PANICS.take(), 0, "a panic was contained that nobody meant");
}
