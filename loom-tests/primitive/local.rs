//! `thread_local!` with one value a thread of the engine: loom, or shuttle.

use crate::engine::thread;

/// [`std::thread::LocalKey`] on the engine's.
pub(crate) struct LocalKey<T: 'static>(pub(crate) thread::LocalKey<T>);

impl<T: 'static> LocalKey<T> {
    pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.0.with(f)
    }

    pub(crate) fn try_with<R>(
        &'static self,
        f: impl FnOnce(&T) -> R,
    ) -> Result<R, thread::AccessError> {
        self.0.try_with(f)
    }
}

impl<T: 'static> LocalKey<std::cell::Cell<T>> {
    pub(crate) fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub(crate) fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(std::cell::Cell::get)
    }

    pub(crate) fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    pub(crate) fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(std::cell::Cell::take)
    }
}

/// [`std::thread_local!`] on [`LocalKey`].
macro_rules! engine_thread_local {
    ($($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr);* $(;)?) => {
        $(
            $(#[$attr])*
            $vis static $name: $crate::primitive::local::LocalKey<$t> =
                $crate::primitive::local::LocalKey($crate::engine::thread::LocalKey {
                    init: (|| $init) as fn() -> $t,
                    _p: std::marker::PhantomData,
                });
        )*
    };
}
pub(crate) use engine_thread_local as thread_local;
