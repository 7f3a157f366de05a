//! Task locals: values that a task sees in all that it calls, and other tasks do not.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::LocalKey as ThreadLocal;

use pin_project_lite::pin_project;

use super::context;

/// The key of a task local, declared by [`task_local!`](crate::task_local).
///
/// The counterpart of a Python `ContextVar`, with a scope instead of a token to reset. A task
/// spawned inside a scope does not inherit the value: give it a scope of its own.
///
/// # Examples
///
/// ```
/// tenter::task_local! {
///     static REQUEST: u64;
/// }
///
/// # tenter::run(async {
/// /// Not told which request it works for.
/// fn log(text: &str) -> String {
///     REQUEST.with(|request| format!("request {request}: {text}"))
/// }
///
/// let line = REQUEST.scope(7, async { log("begins") }).await;
/// assert_eq!(line, "request 7: begins");
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct LocalKey<T: 'static> {
    #[doc(hidden)]
    pub inner: ThreadLocal<RefCell<Option<T>>>,
}

/// The error of reading a task local outside its scope.
///
/// # Examples
///
/// ```
/// tenter::task_local! {
///     static REQUEST: u64;
/// }
///
/// # tenter::run(async {
/// let error = REQUEST.try_with(|request| *request).unwrap_err();
/// assert_eq!(error.to_string(), "task local read outside its scope");
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task local read outside its scope")
    }
}

impl std::error::Error for AccessError {}

impl<T: 'static> LocalKey<T> {
    /// Runs `future` with the task local set to `value`, which is dropped with it.
    ///
    /// # Panics
    ///
    /// Polling it inside [`LocalKey::with`] of the same key panics.
    ///
    /// # Cancel safety
    ///
    /// As `future`'s.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture { key: self, value: Some(value), future: Some(future) }
    }

    /// Runs `f` with the task local set to `value`.
    ///
    /// # Panics
    ///
    /// Panics inside [`LocalKey::with`] of the same key.
    #[track_caller]
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let mut value = Some(value);
        let _swapped = Swapped::new(self, &mut value);
        f()
    }

    /// Calls `f` with the value.
    ///
    /// # Panics
    ///
    /// Panics outside a scope of this key; [`LocalKey::try_with`] does not.
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("{error}; give the future a value with `scope`"),
        }
    }

    /// Calls `f` with the value.
    ///
    /// # Errors
    ///
    /// - [`AccessError`] outside a scope of this key.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let read = |slot: &RefCell<Option<T>>| slot.borrow().as_ref().map(f);
        self.inner.try_with(read).ok().flatten().ok_or(AccessError)
    }

    /// The value, cloned.
    ///
    /// # Panics
    ///
    /// Panics outside a scope of this key.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }
}

/// Exchanges the thread's value with another's for as long as it lives.
struct Swapped<'a, T: 'static> {
    key: &'static LocalKey<T>,
    other: &'a mut Option<T>,
}

impl<'a, T: 'static> Swapped<'a, T> {
    /// Fails while the value is borrowed, and in a thread whose locals are gone.
    fn try_new(key: &'static LocalKey<T>, other: &'a mut Option<T>) -> Option<Self> {
        // The guard is made after the exchange: one that failed must not be undone.
        swap(key, other).then(|| {
            context::count_local(true);
            Self { key, other }
        })
    }

    #[track_caller]
    fn new(key: &'static LocalKey<T>, other: &'a mut Option<T>) -> Self {
        Self::try_new(key, other).expect(
            "a task local is given a value while `with` borrows it, or on a thread that is ending",
        )
    }
}

impl<T: 'static> Drop for Swapped<'_, T> {
    fn drop(&mut self) {
        // Whatever borrowed the value since has ended: `with` takes a closure.
        let _restored = swap(self.key, self.other);
        context::count_local(false);
    }
}

/// Exchanges the thread's value with `other`, if it is there and not borrowed.
fn swap<T>(key: &'static LocalKey<T>, other: &mut Option<T>) -> bool {
    let swap = |slot: &RefCell<Option<T>>| match slot.try_borrow_mut() {
        Ok(mut value) => {
            std::mem::swap(&mut *value, other);
            true
        }
        Err(_) => false,
    };
    key.inner.try_with(swap).unwrap_or(false)
}

pin_project! {
    /// The future of [`LocalKey::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct TaskLocalFuture<T: 'static, F> {
        key: &'static LocalKey<T>,
        value: Option<T>,
        #[pin]
        future: Option<F>,
    }

    impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
        fn drop(this: Pin<&mut Self>) {
            // The future's own destructor sees the value, as its polls do: where that can be.
            let mut this = this.project();
            let _swapped = Swapped::try_new(this.key, this.value);
            this.future.set(None);
        }
    }
}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _swapped = Swapped::new(this.key, this.value);
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("`TaskLocalFuture` polled after it completed");
        };
        let polled = future.poll(cx);
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
    }
}

impl<T: 'static, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").finish_non_exhaustive()
    }
}

/// Declares task locals.
///
/// # Examples
///
/// ```
/// tenter::task_local! {
///     /// The request that the task serves.
///     static REQUEST: u64;
/// }
///
/// tenter::run(async {
///     REQUEST
///         .scope(7, async {
///             tenter::yield_now().await;
///             assert_eq!(REQUEST.get(), 7);
///         })
///         .await;
///     assert!(REQUEST.try_with(|_| ()).is_err());
/// })
/// .unwrap();
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::task_local!($(#[$attr])* $vis static $name: $type);
        $crate::task_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty) => {
        $(#[$attr])*
        $vis static $name: $crate::task::LocalKey<$type> = {
            ::std::thread_local! {
                static SLOT: ::std::cell::RefCell<::std::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }
            $crate::task::LocalKey { inner: SLOT }
        };
    };
}
