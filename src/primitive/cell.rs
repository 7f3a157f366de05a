//! A cell for data that a protocol guards, with the closure interface that loom can check.

/// [`std::cell::UnsafeCell`], reached only through closures.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T: ?Sized>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// Wraps `value`.
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    /// Runs `f` on a pointer that it may write through.
    ///
    /// Dereferencing the pointer is the unsafe step; the caller's protocol owes that nobody
    /// else reads or writes meanwhile.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
