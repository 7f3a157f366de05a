//! Standard output and standard error, written to by the blocking pool.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

use crate::lifecycle::budget;

use super::hop::Exit;
use super::writes::{Writes, Written, total};

/// The standard output of this process.
///
/// A write is complete when its system call is: nothing is kept in a buffer. What `print!` keeps in
/// the standard library's, up to the end of a line, comes later. Any number of values may be made;
/// writes of several of them come in any order, each as it is, as far as the system does that.
///
/// The end of the runtime does not wait for a write to a pipe or a terminal whose reader has
/// stopped reading.
///
/// # Cancel safety
///
/// A write whose future is dropped may still happen; the value's next write or flush waits for it.
/// A write of the same bytes right after it is taken for it.
///
/// # Examples
///
/// ```
/// use tenter::io::{self, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async { io::stdout().write_all(b"hello\n").await })?
/// # }
/// ```
pub struct Stdout(Output);

/// The standard error of this process; otherwise as [`Stdout`].
pub struct Stderr(Output);

/// The standard output of this process; see [`Stdout`].
///
/// # Examples
///
/// ```
/// use tenter::io::{self, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut stdout = io::stdout();
///     assert_eq!(stdout.write(b"hello\n").await?, 6);
///     stdout.flush().await
/// })?
/// # }
/// ```
#[must_use]
pub fn stdout() -> Stdout {
    Stdout(Output::new(|| io::stdout().as_fd().try_clone_to_owned()))
}

/// The standard error of this process; see [`Stderr`].
///
/// # Examples
///
/// ```
/// use tenter::io::{self, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut stderr = io::stderr();
///     assert_eq!(stderr.write(b"warning: all is well\n").await?, 21);
///     stderr.flush().await
/// })?
/// # }
/// ```
#[must_use]
pub fn stderr() -> Stderr {
    Stderr(Output::new(|| io::stderr().as_fd().try_clone_to_owned()))
}

/// What is behind both.
struct Output {
    open: fn() -> io::Result<OwnedFd>,
    /// Opened by the first write.
    file: Option<(Arc<File>, Exit)>,
    writes: Writes,
}

impl Output {
    fn new(open: fn() -> io::Result<OwnedFd>) -> Output {
        Output { open, file: None, writes: Writes::default() }
    }

    /// The file, and what the end of the runtime does about a write to it.
    ///
    /// # Errors
    ///
    /// - What the system says if it is closed, or there are no descriptors left.
    fn file(&mut self) -> io::Result<(Arc<File>, Exit)> {
        if self.file.is_none() {
            let file = File::from((self.open)()?);
            let exit = if file.metadata()?.is_file() { Exit::Waits } else { Exit::Abandons };
            self.file = Some((Arc::new(file), exit));
        }
        match &self.file {
            Some((file, exit)) => Ok((Arc::clone(file), *exit)),
            None => unreachable!("it was opened just now"),
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if total(bufs) == 0 {
            return Poll::Ready(Ok(0));
        }
        let charge = ready!(budget::poll_spend(cx));
        // Ends: the second time round, the write that is settled is this one.
        loop {
            let _position = ready!(self.writes.poll_settle(cx))?;
            if let Some(written) = self.writes.claim(bufs)? {
                charge.made_progress();
                return Poll::Ready(Ok(written));
            }
            let (file, exit) = self.file()?;
            self.writes.start(exit, bufs, move |data| {
                Ok(Written { len: write(&file, data)?, position: 0 })
            });
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _position = ready!(self.writes.poll_settle(cx))?;
        Poll::Ready(self.writes.check())
    }
}

/// Writes, and waits for room where somebody has put the descriptor into non-blocking mode.
fn write(mut file: &File, data: &[u8]) -> io::Result<usize> {
    // Ends: as soon as there is room.
    loop {
        match file.write(data) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_room(file)?,
            result => return result,
        }
    }
}

#[cfg(target_os = "linux")]
fn wait_for_room(file: &File) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    poll(&mut [PollFd::new(file, PollFlags::OUT)], None)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn wait_for_room(_file: &File) -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

macro_rules! output {
    ($($type:ident)*) => {
        $(
            /// Closing flushes, and leaves the descriptor open.
            impl AsyncWrite for $type {
                fn poll_write(
                    mut self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    buf: &[u8],
                ) -> Poll<io::Result<usize>> {
                    self.0.poll_write(cx, &[IoSlice::new(buf)])
                }

                fn poll_write_vectored(
                    mut self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    bufs: &[IoSlice<'_>],
                ) -> Poll<io::Result<usize>> {
                    self.0.poll_write(cx, bufs)
                }

                fn poll_flush(
                    mut self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                ) -> Poll<io::Result<()>> {
                    self.0.poll_flush(cx)
                }

                fn poll_close(
                    mut self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                ) -> Poll<io::Result<()>> {
                    self.0.poll_flush(cx)
                }
            }

            impl fmt::Debug for $type {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.debug_struct(stringify!($type)).finish_non_exhaustive()
                }
            }

            // What a panic could interrupt are the pool's calls, and they have no part in this.
            impl UnwindSafe for $type {}
            impl RefUnwindSafe for $type {}

            const _: () = {
                const fn assert<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
                assert::<$type>();
            };
        )*
    };
}

output!(Stdout Stderr);
