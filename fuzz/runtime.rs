//! The runtime, as far as timers know it.

use std::cell::RefCell;

use crate::driver::Driver;
use crate::primitive::Arc;

std::thread_local! {
    /// The driver of the current runtime, and the shard of the current thread.
    static TIMERS: RefCell<Option<(Arc<Driver>, usize)>> = const { RefCell::new(None) };
}

/// Who knows the runtime of the current thread.
pub(crate) struct Handle;

impl Handle {
    pub(crate) fn with_timers<R>(f: impl FnOnce(&Driver, usize) -> R) -> Option<R> {
        let (driver, shard) = TIMERS.with_borrow(Clone::clone)?;
        Some(f(&driver, shard))
    }
}

/// Runs `f` where timers are set in this shard of this driver.
pub(crate) fn with_shard<R>(driver: &Arc<Driver>, shard: usize, f: impl FnOnce() -> R) -> R {
    TIMERS.set(Some((Arc::clone(driver), shard)));
    let result = f();
    TIMERS.set(None);
    result
}
