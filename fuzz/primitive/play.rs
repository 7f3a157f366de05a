//! Threads that are played one after another on one thread.
//!
//! The real thread is thread 0 until [`as_thread`] says otherwise. A played thread that sleeps
//! calls the program back, which does what the others do meanwhile; threads end in the reverse
//! order of their beginning, as calls do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread::LocalKey;
use std::time::Duration;

/// Threads that can be played.
pub(crate) const THREADS: usize = 8;

std::thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    static SLEEP: RefCell<Option<Sleep>> = const { RefCell::new(None) };
}

/// Where a thread sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bed {
    /// In the driver, at most so long.
    Driver(Option<Duration>),
    Condvar,
}

/// What the program does while a thread sleeps; asked with it, whether that was woken.
pub(crate) type Sleep = Rc<dyn Fn(Bed, &dyn Fn() -> bool)>;

/// Runs `f` with `sleep` for all threads in it that sleep.
pub(crate) fn with_sleep<R>(sleep: Sleep, f: impl FnOnce() -> R) -> R {
    SLEEP.set(Some(sleep));
    let result = f();
    SLEEP.set(None);
    result
}

/// The current thread sleeps, until the program lets it go on.
pub(super) fn sleep(bed: Bed, is_woken: &dyn Fn() -> bool) {
    let sleep = SLEEP.with_borrow(Clone::clone).expect("no thread of this program sleeps");
    sleep(bed, is_woken);
}

/// Which thread is played.
pub(crate) fn current() -> usize {
    CURRENT.get()
}

/// Runs `f` as thread `number`, which is not in the middle of anything else.
pub(crate) fn as_thread<R>(number: usize, f: impl FnOnce() -> R) -> R {
    let outer = Restore(CURRENT.replace(number));
    let result = f();
    drop(outer);
    result
}

struct Restore(usize);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// A value for each played thread.
pub(crate) struct Local<T: 'static>(LocalKey<[T; THREADS]>);

impl<T> Local<T> {
    pub(crate) const fn new(values: LocalKey<[T; THREADS]>) -> Self {
        Self(values)
    }

    pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.0.with(|values| f(&values[current()]))
    }
}

/// Declares locals of played threads, as [`std::thread_local`] does of real ones.
macro_rules! played_locals {
    ($($vis:vis static $name:ident: $type:ty = const $value:block;)+) => {
        $($vis static $name: $crate::primitive::play::Local<$type> = {
            ::std::thread_local! {
                static VALUES: [$type; $crate::primitive::play::THREADS] =
                    const { [const $value; $crate::primitive::play::THREADS] };
            }
            $crate::primitive::play::Local::new(VALUES)
        };)+
    };
}
pub(crate) use played_locals as thread_local;
