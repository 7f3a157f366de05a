//! A process that was started.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::{self, ExitStatus, Output};
use std::task::{Context, Poll};

use futures_lite::future;

use crate::io::{Async, AsyncRead, AsyncReadExt, Interest};
use crate::primitive::Arc;
use crate::runtime::Handle;

use super::kid::Kid;
use super::life::Life;
use super::{ChildStderr, ChildStdin, ChildStdout, reaper};

/// A process that was started by [`Command::spawn`](super::Command::spawn).
///
/// Dropped before its end was awaited, it goes on running, and is reaped when it ends; with
/// [`Command::kill_on_drop`](super::Command::kill_on_drop) it is killed. No zombie is left in
/// either case, whether or not the runtime is still there.
///
/// # Examples
///
/// ```
/// use tenter::io::{AsyncReadExt, AsyncWriteExt};
/// use tenter::process::{Command, Stdio};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut cat =
///         Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
///     let mut stdin = cat.stdin.take().expect("it is a pipe");
///     stdin.write_all(b"meow").await?;
///     drop(stdin);
///     let mut said = String::new();
///     cat.stdout.take().expect("it is a pipe").read_to_string(&mut said).await?;
///     assert_eq!(said, "meow");
///     assert!(cat.wait().await?.success());
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub struct Child {
    /// The pipe to its standard input, if that was made [`piped`](process::Stdio::piped).
    pub stdin: Option<ChildStdin>,
    /// The pipe from its standard output, if that was made [`piped`](process::Stdio::piped).
    pub stdout: Option<ChildStdout>,
    /// The pipe from its standard error, if that was made [`piped`](process::Stdio::piped).
    pub stderr: Option<ChildStderr>,
    life: Life<Kid>,
    /// Its pidfd, with the driver, until it is reaped, by this or by somebody else.
    watch: Option<Async<Arc<OwnedFd>>>,
    kill_on_drop: bool,
}

impl Child {
    /// Takes a process that was just started; on failure it is killed and reaped.
    pub(super) fn new(
        mut child: process::Child,
        program: String,
        handle: &Handle,
        kill_on_drop: bool,
    ) -> io::Result<Self> {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let entry = handle.enter_child(child.id(), program);
        let mut kid = Kid::new(child, entry);
        let pidfd = kid.open();
        let mut child = Self {
            stdin: None,
            stdout: None,
            stderr: None,
            life: Life::new(kid),
            watch: None,
            // Until it is whole.
            kill_on_drop: true,
        };
        let driver = handle.driver();
        match pidfd? {
            Some(pidfd) => child.watch = Some(Async::with_driver(pidfd, Arc::clone(driver))),
            // `wait` tells.
            None => child.life.lose(),
        }
        child.stdin = stdin.map(|pipe| ChildStdin::new(pipe, driver)).transpose()?;
        child.stdout = stdout.map(|pipe| ChildStdout::new(pipe, driver)).transpose()?;
        child.stderr = stderr.map(|pipe| ChildStderr::new(pipe, driver)).transpose()?;
        child.kill_on_drop = kill_on_drop;
        Ok(child)
    }

    /// The process's number, until its end was awaited: then it may be that of another.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.life.running().map(Kid::id)
    }

    /// Waits until the process has ended, and returns its status.
    ///
    /// [`stdin`](Child::stdin) is closed first, if it is still here, so that a child that reads
    /// its input to the end gets there. Once the process has ended this returns the same status
    /// each time.
    ///
    /// # Errors
    ///
    /// - `ECHILD` if somebody else has reaped the child; see the [module](super#who-else-waits).
    /// - [`io::ErrorKind::Other`] if the runtime was shut down and the child still runs.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: only the closing of `stdin` is not undone.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        poll_fn(|cx| self.poll_end(cx)).await
    }

    /// The status of a process that has ended, and `None` while it runs.
    ///
    /// It does not close [`stdin`](Child::stdin).
    ///
    /// # Errors
    ///
    /// - `ECHILD` if somebody else has reaped the child.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.life.try_end();
        self.clear_up();
        status
    }

    /// Waits until the process has ended, and returns all that it wrote to its pipes.
    ///
    /// What is not a pipe, or was taken, comes out empty. It ends when the child has, and when both
    /// pipes are closed, also by processes that the child may have left behind.
    ///
    /// # Errors
    ///
    /// - Those of [`wait`](Child::wait).
    /// - The system's, if a pipe cannot be read.
    ///
    /// # Cancel safety
    ///
    /// What was read is lost, and the child is dropped.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        // Together: a child that fills one of them waits for who reads the other.
        let (stdout, stderr) = future::try_zip(read_all(stdout), read_all(stderr)).await?;
        let status = self.wait().await?;
        Ok(Output { status, stdout, stderr })
    }

    /// Kills the process and waits until it has ended.
    ///
    /// That it ended before is no error; [`wait`](Child::wait) tells how.
    ///
    /// # Errors
    ///
    /// - Those of [`start_kill`](Child::start_kill) and of [`wait`](Child::wait).
    ///
    /// # Cancel safety
    ///
    /// Once polled it has killed the process.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }

    /// Kills the process, with SIGKILL, and does not wait.
    ///
    /// That it ended before is no error.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::PermissionDenied`] if the child runs as somebody else by now.
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.life.running_mut().map_or(Ok(()), Kid::kill)
    }

    /// Sends a signal to the process, and never to another that has got its number.
    ///
    /// `signal` is a number, or a [`SignalKind`](crate::signal::unix::SignalKind).
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::InvalidInput`] if there is no such signal.
    /// - `ESRCH` if the child's end was awaited before.
    /// - [`io::ErrorKind::PermissionDenied`] if the child runs as somebody else by now.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::process::ExitStatusExt;
    /// use tenter::process::Command;
    /// use tenter::signal::unix::SignalKind;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// tenter::run(async {
    ///     let mut child = Command::new("sleep").arg("1000").spawn()?;
    ///     child.signal(SignalKind::terminate())?;
    ///     let status = child.wait().await?;
    ///     assert_eq!(status.signal(), Some(SignalKind::terminate().as_raw_value()));
    ///     std::io::Result::Ok(())
    /// })?
    /// # }
    /// ```
    pub fn signal(&self, signal: impl Into<i32>) -> io::Result<()> {
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        self.life.running().ok_or_else(gone)?.signal(signal.into())
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let Self { life, watch, .. } = self;
        let polled = match watch {
            Some(watch) => {
                life.poll_end(|attempt| watch.poll_io(cx, Interest::READABLE, |_| attempt()))
            }
            // It is reaped: this tells again.
            None => life.poll_end(|attempt| Poll::Ready(attempt())),
        };
        self.clear_up();
        polled
    }

    /// Closes the pidfd of a child that is reaped.
    fn clear_up(&mut self) {
        if self.life.running().is_none() {
            self.watch = None;
        }
    }
}

async fn read_all<R: AsyncRead + Unpin>(pipe: Option<R>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.kill_on_drop {
            // Who may not kill it leaves it running.
            let _ = self.start_kill();
        }
        // Out of the driver before the reaper has it.
        self.watch = None;
        if let Some(kid) = self.life.abandon() {
            reaper::adopt(kid);
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id())
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("kill_on_drop", &self.kill_on_drop)
            .finish_non_exhaustive()
    }
}

// Nothing here is half done between two calls that a panic could interrupt.
impl UnwindSafe for Child {}
impl RefUnwindSafe for Child {}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<Child>();
    assert::<ChildStdin>();
    assert::<ChildStdout>();
    assert::<ChildStderr>();
};
