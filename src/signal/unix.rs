//! Signals by their kind, as Unix knows them.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::io::{Async, Interest};
use crate::primitive::Arc;
use crate::runtime::Handle;

use super::handler::Listener;

/// Listens for signals of this kind, from this call on.
///
/// What such a signal does otherwise, it no longer does; see [`signal`](super) for this, for what
/// is counted, and for the handlers of others.
///
/// The listener belongs to the runtime in which it is made, or outside of one to that in which it
/// is first polled. It takes one descriptor.
///
/// # Errors
///
/// - [`io::ErrorKind::InvalidInput`] if there is no such signal, if it cannot be caught (SIGKILL,
///   SIGSTOP), or if it tells of a fault of the program (SIGSEGV, SIGBUS, SIGFPE, SIGILL), to
///   which a handler must not return.
/// - The system's, if it has no descriptor left.
///
/// # Examples
///
/// ```no_run
/// use tenter::signal::unix::{SignalKind, signal};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut hangups = signal(SignalKind::hangup())?;
///     while let Some(()) = hangups.recv().await {
///         println!("reading the configuration again");
///     }
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let listener = Listener::new(kind.0)?;
    let watch = Handle::try_current().map(|handle| watch(&listener, &handle)).transpose()?;
    Ok(Signal { kind, listener, watch })
}

/// Has the driver of a runtime watch the bell. A driver takes a descriptor once, so each listener
/// has one of its own.
fn watch(listener: &Listener, handle: &Handle) -> io::Result<Async<OwnedFd>> {
    let bell = listener.bell().try_clone_to_owned()?;
    Ok(Async::with_driver(bell, Arc::clone(handle.driver())))
}

/// A listener for signals of one kind; made by [`signal`](signal()).
///
/// It is also a [`Stream`] of its deliveries. Dropping the last listener for a signal puts back what
/// the signal did before.
///
/// # Examples
///
/// ```
/// use rustix::process::{getpid, kill_process};
/// use tenter::signal::unix::{SignalKind, signal};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut resized = signal(SignalKind::window_change())?;
///     kill_process(getpid(), rustix::process::Signal::WINCH)?;
///     assert_eq!(resized.recv().await, Some(()));
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[must_use = "the signal does nothing at all while nobody looks at its listener"]
pub struct Signal {
    kind: SignalKind,
    listener: Listener,
    /// `None` if it was made outside a runtime and not polled yet.
    watch: Option<Async<OwnedFd>>,
}

impl Signal {
    /// Waits for the next delivery.
    ///
    /// `None` says that nothing will wake this listener any more: the runtime was shut down (or its
    /// driver could not watch one more descriptor). What was delivered before is handed out first.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime, if the listener was made outside one too.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a delivery is either returned or still to come.
    pub async fn recv(&mut self) -> Option<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the next delivery; see [`recv`](Signal::recv).
    ///
    /// # Panics
    ///
    /// As [`recv`](Signal::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_delivery(cx).map(Result::ok)
    }

    /// Polls for the next delivery, and says why there will be none.
    pub(super) fn poll_delivery(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let bell = match &self.watch {
            Some(bell) => bell,
            None => self.watch.insert(watch(&self.listener, &Handle::current())?),
        };
        self.listener.poll_take(|take| bell.poll_io(cx, Interest::READABLE, |_| take()))
    }
}

impl Stream for Signal {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_recv(cx)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("kind", &self.kind).finish_non_exhaustive()
    }
}

// Nothing here is half done between two calls that a panic could interrupt.
impl UnwindSafe for Signal {}
impl RefUnwindSafe for Signal {}

/// Which signal.
///
/// [`SignalKind::from_raw`] makes those that have no function here, real-time signals among them.
///
/// # Examples
///
/// ```
/// use tenter::signal::unix::SignalKind;
///
/// assert_eq!(SignalKind::from_raw(15), SignalKind::terminate());
/// assert_eq!(i32::from(SignalKind::hangup()), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

impl SignalKind {
    /// The signal of this number.
    ///
    /// Whether there is one that can be caught is for [`signal`](signal()) to say.
    #[must_use]
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// The number of the signal.
    #[must_use]
    pub const fn as_raw_value(&self) -> i32 {
        self.0
    }

    /// SIGALRM: a timer of the system has run out. It ends the program by default.
    #[must_use]
    pub const fn alarm() -> Self {
        Self(libc::SIGALRM)
    }

    /// SIGCHLD: a child has ended, or was stopped. It does nothing by default.
    #[must_use]
    pub const fn child() -> Self {
        Self(libc::SIGCHLD)
    }

    /// SIGHUP: the terminal is gone; for daemons, a request to read their configuration again. It
    /// ends the program by default.
    #[must_use]
    pub const fn hangup() -> Self {
        Self(libc::SIGHUP)
    }

    /// SIGINT: somebody pressed Ctrl-C. It ends the program by default.
    #[must_use]
    pub const fn interrupt() -> Self {
        Self(libc::SIGINT)
    }

    /// SIGIO: a descriptor can go on. It ends the program by default.
    #[must_use]
    pub const fn io() -> Self {
        Self(libc::SIGIO)
    }

    /// SIGPIPE: something was written to a pipe that nobody reads. The standard library has it
    /// ignored from the start.
    #[must_use]
    pub const fn pipe() -> Self {
        Self(libc::SIGPIPE)
    }

    /// SIGQUIT: somebody pressed Ctrl-\\. It ends the program, with a core dump, by default.
    #[must_use]
    pub const fn quit() -> Self {
        Self(libc::SIGQUIT)
    }

    /// SIGTERM: a request to end. It ends the program by default.
    #[must_use]
    pub const fn terminate() -> Self {
        Self(libc::SIGTERM)
    }

    /// SIGUSR1: means what the program says. It ends the program by default.
    #[must_use]
    pub const fn user_defined1() -> Self {
        Self(libc::SIGUSR1)
    }

    /// SIGUSR2: means what the program says. It ends the program by default.
    #[must_use]
    pub const fn user_defined2() -> Self {
        Self(libc::SIGUSR2)
    }

    /// SIGWINCH: the terminal's window has another size. It does nothing by default.
    #[must_use]
    pub const fn window_change() -> Self {
        Self(libc::SIGWINCH)
    }
}

impl From<i32> for SignalKind {
    fn from(number: i32) -> Self {
        Self::from_raw(number)
    }
}

impl From<SignalKind> for i32 {
    fn from(kind: SignalKind) -> Self {
        kind.as_raw_value()
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<Signal>();
    assert::<SignalKind>();
};
