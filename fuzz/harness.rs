//! What every program is run in.

use std::cell::Cell;
use std::sync::Once;

use crate::meter;

std::thread_local! {
    /// Panics of this thread since the program began.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Runs one program.
///
/// Shipped code contains the panics of users, and with them those of what checks it here, so
/// panics are counted. A program that means to panic calls [`std::panic::resume_unwind`], which
/// no hook sees.
pub(crate) fn run(program: impl FnOnce()) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
    PANICS.set(0);
    program();
    assert_eq!(PANICS.take(), 0, "a panic was contained that the program did not mean");
}

/// [`run`], for programs all of whose memory is freed at their end.
pub(crate) fn run_to_the_last_byte(program: impl FnOnce()) {
    run(|| {
        // Made once, and kept.
        crate::primitive::poller::instant(0);
        crate::primitive::seeded::is("");
        let before = meter::held();
        program();
        assert_eq!(meter::held() - before, 0, "bytes are left");
    });
}
