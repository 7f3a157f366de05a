//! Keeping the panics of users' code where they are.
//!
//! What a panic says was printed by the panic hook before it gets here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `f`, which is user code or may call some, and hands its panic back.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Runs `f`, whose panic means nothing to anyone here.
pub(crate) fn contain_drop(f: impl FnOnce()) {
    // The payload is the user's too.
    if let Err(payload) = contain(f) {
        if let Err(second) = contain(|| drop(payload)) {
            // A payload whose own destructor panics could go on like this for ever.
            std::mem::forget(second);
        }
    }
}
