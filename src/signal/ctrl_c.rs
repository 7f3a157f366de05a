//! The signal that everybody knows.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::unix::{Signal, SignalKind, signal};

/// Waits for the next Ctrl-C, that is for SIGINT.
///
/// The signal is caught from this *call* on, before the future is polled for the first time, so
/// that one which comes in between is not missed. It is caught until the last listener for
/// SIGINT is dropped, and this future is one: after `ctrl_c().await` another Ctrl-C ends the
/// program, as users expect who press it twice. A loop that answers every Ctrl-C should keep one
/// [`unix::signal`](signal()) instead.
///
/// # Errors
///
/// - What [`unix::signal`](signal()) returns; the future has it.
/// - [`io::ErrorKind::Other`] if the runtime was shut down.
///
/// # Panics
///
/// The first poll panics outside a runtime, if the call was outside one too.
///
/// # Cancel safety
///
/// A Ctrl-C that came and was not returned is lost with the future. To wait in turns, keep the
/// future and poll it by reference.
///
/// # Examples
///
/// ```no_run
/// use tenter::signal;
///
/// # async fn serve() -> std::io::Result<()> { Ok(()) }
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let server = tenter::spawn(serve());
///     signal::ctrl_c().await?;
///     println!("stopping");
///     server.cancel().await;
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub fn ctrl_c() -> CtrlC {
    let state = match signal(SignalKind::interrupt()) {
        Ok(signal) => State::Listening(signal),
        Err(error) => State::Failed(error),
    };
    CtrlC { state }
}

/// The future of [`ctrl_c`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use tenter::{signal, time};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut beat = time::interval(Duration::from_secs(1));
///     // One future for all rounds: a Ctrl-C between two of them is not missed.
///     let mut ctrl_c = signal::ctrl_c();
///     loop {
///         tenter::select! {
///             tick = beat.tick() => println!("{tick:?}"),
///             pressed = &mut ctrl_c => return pressed,
///         }
///     }
/// })?
/// # }
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct CtrlC {
    state: State,
}

enum State {
    Listening(Signal),
    Failed(io::Error),
    Done,
}

impl Future for CtrlC {
    type Output = io::Result<()>;

    /// # Panics
    ///
    /// Panics if it is polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match &mut self.state {
            State::Listening(signal) => ready!(signal.poll_delivery(cx)),
            State::Failed(_) => Ok(()),
            State::Done => panic!("`ctrl_c` was polled after it was ready"),
        };
        // It no longer listens: the next one ends the program, whoever still holds the future.
        match mem::replace(&mut self.state, State::Done) {
            State::Failed(error) => Poll::Ready(Err(error)),
            _ => Poll::Ready(result),
        }
    }
}

impl fmt::Debug for CtrlC {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CtrlC").finish_non_exhaustive()
    }
}

// A listener has no state that a panic could leave half done.
impl UnwindSafe for CtrlC {}
impl RefUnwindSafe for CtrlC {}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<CtrlC>();
};
