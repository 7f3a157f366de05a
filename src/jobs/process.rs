//! One worker's process: started, signalled and reaped. All that is Linux's own is here, in `slab`
//! and in `worker`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};

use crate::io::uninterrupted;
use crate::primitive::Arc;
use crate::primitive::lock::Mutex;

use super::builder::{Output, Settings};
use super::worker::{self, mark};

/// How long a process that is dropped may take to die before a thread of its own waits for it.
const DEATH_WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The running program, also after its file was replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// A worker's process until it is reaped; dropped before, it is killed and reaped.
pub(crate) struct Process {
    pid: Pid,
    /// `None` in the end of `drop`.
    child: Option<Child>,
    /// `None` once it is with the driver.
    pidfd: Option<Arc<OwnedFd>>,
    leash: Arc<Leash>,
    status: Option<ExitStatus>,
}

/// The parent's ends of what connects it with a worker that was just started.
pub(crate) struct Spawned {
    pub(crate) process: Process,
    pub(crate) socket: UnixStream,
    /// The reading ends of its output pipes.
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: OwnedFd,
    /// What is to become its standard output, and has to be sent.
    pub(crate) stdout_to_send: Option<OwnedFd>,
}

/// The right to signal a worker, for whoever holds a reference.
///
/// A process id means this worker until the worker is reaped, and then it may mean anyone. So the
/// id is here only from start to reaping, and it is used under the lock.
#[derive(Debug, Default)]
pub(crate) struct Leash {
    state: Mutex<State>,
}

/// Whether a worker could be signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    /// It was, or it is gone, or not there yet.
    Done,
    /// The system does not let this process signal it.
    Refused,
}

#[derive(Debug, Default)]
struct State {
    process: Option<(Pid, Arc<OwnedFd>)>,
    /// It was killed, perhaps before it was started.
    is_killed: bool,
}

impl Leash {
    /// Kills the worker and what it has started; at once when it starts, if it has not yet.
    pub(crate) fn kill(&self) -> Killed {
        let mut state = self.state.lock();
        state.is_killed = true;
        state.signal(Signal::KILL)
    }

    /// Sends a signal to the worker and what it has started, if it is there.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = self.state.lock().signal(signal);
    }

    /// The worker's process id, while it is there.
    pub(crate) fn pid(&self) -> Option<u32> {
        let state = self.state.lock();
        state.process.as_ref().map(|(pid, _)| pid.as_raw_nonzero().get().unsigned_abs())
    }

    fn attach(&self, pid: Pid, pidfd: Arc<OwnedFd>) {
        let mut state = self.state.lock();
        state.process = Some((pid, pidfd));
        if state.is_killed {
            let _ = state.signal(Signal::KILL);
        }
    }
}

impl State {
    fn signal(&self, signal: Signal) -> Killed {
        let Some((pid, pidfd)) = &self.process else { return Killed::Done };
        // Each fails if there is nobody left, which is as well. The process may have left its
        // group, and the group may have outlived the process.
        let sent = pidfd_send_signal(pidfd, signal);
        // Somebody else may have reaped the worker, by waiting for any child or by ignoring
        // SIGCHLD. Then the number is free.
        if is_unreaped(pidfd) {
            let _ = kill_process_group(*pid, signal);
        }
        if sent == Err(rustix::io::Errno::PERM) { Killed::Refused } else { Killed::Done }
    }
}

/// Starts a worker; takes about half a millisecond of this thread, whatever this process's size, if
/// the program is in memory.
///
/// There is no hook between fork and exec, and so the standard library does not fork: it uses
/// `posix_spawn`. What a hook would do, the worker does.
pub(crate) fn spawn(settings: &Settings, leash: &Arc<Leash>) -> io::Result<Spawned> {
    let (socket, theirs) = UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    let (mark, mark_value) = mark::for_child(theirs.as_fd(), worker::test_name())?;

    let mut command = match &settings.worker_exe {
        Some(path) => Command::new(path),
        None => Command::new(OWN_PROGRAM),
    };
    if settings.env_clear {
        command.env_clear();
    }
    for (name, value) in &settings.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env(mark, mark_value);
    if let Some(folder) = &settings.current_dir {
        command.current_dir(folder);
    }
    let (stdout, stdout_writer) = match settings.output {
        Output::Forward => (None, None),
        Output::Capture(_) => {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            (Some(reader), Some(writer))
        }
    };
    let mut stdout_to_send = None;
    if let Some(test) = worker::test_name() {
        // The test harness of the worker runs this test alone, whose first statement makes it a
        // worker. What the harness prints before that is nobody's output.
        command.args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]);
        command.stdout(Stdio::null());
        stdout_to_send = match stdout_writer {
            Some(writer) => Some(writer),
            None => Some(io::stdout().as_fd().try_clone_to_owned()?),
        };
    } else {
        command.arg0(name_of(settings));
        command.stdout(stdout_writer.map_or_else(Stdio::inherit, Stdio::from));
    }
    let (stderr, stderr_writer) = pipe_with(PipeFlags::CLOEXEC)?;
    command.stdin(OwnedFd::from(theirs)).stderr(stderr_writer).process_group(0);

    let child = command.spawn()?;
    // The command holds the child's ends; as long as it does, they never end.
    drop(command);
    let process = Process::new(child, leash)?;
    Ok(Spawned { process, socket, stdout, stderr, stdout_to_send })
}

/// What the worker is called in a list of processes.
fn name_of(settings: &Settings) -> String {
    let own = std::env::current_exe().ok();
    let path = settings.worker_exe.as_deref().or(own.as_deref());
    let name = path.and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    format!("{name}: worker of {}", std::process::id())
}

impl Process {
    fn new(child: Child, leash: &Arc<Leash>) -> io::Result<Self> {
        let pid = Pid::from_child(&child);
        let leash = Arc::clone(leash);
        // Until it is reaped the number is its own.
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                let pidfd = Arc::new(pidfd);
                leash.attach(pid, Arc::clone(&pidfd));
                let pidfd = Some(pidfd);
                Ok(Self { pid, child: Some(child), pidfd, leash, status: None })
            }
            Err(error) => {
                // Its socket is about to close: it has hardly begun, and ends.
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The descriptor that is readable when the process has ended; to be taken once.
    pub(crate) fn take_pidfd(&mut self) -> Option<Arc<OwnedFd>> {
        self.pidfd.take()
    }

    /// Reaps the process, which has ended, after killing what it had started.
    ///
    /// The status is `None` if somebody else has reaped it, by waiting for any child.
    pub(crate) fn reap(&mut self) -> Option<ExitStatus> {
        let mut state = self.leash.state.lock();
        let _ = state.signal(Signal::KILL);
        let child = self.child.as_mut()?;
        match uninterrupted(|| child.try_wait()) {
            // Not yet: its drop waits for it.
            Ok(None) => {}
            // Reaped, by this or by another's wait.
            Ok(status) => {
                self.status = status;
                state.process = None;
            }
            Err(_) => state.process = None,
        }
        self.status
    }

    /// Bytes of memory that the process has in use.
    pub(crate) fn rss(&self) -> io::Result<u64> {
        let statm = io::read_to_string(File::open(format!("/proc/{}/statm", self.pid()))?)?;
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
        Ok(pages.saturating_mul(rustix::param::page_size() as u64))
    }
}

/// Whether the process is there, or has died and was not reaped: its number is its own.
fn is_unreaped(pidfd: &OwnedFd) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options)).is_ok()
}

/// Whether the process of `pidfd` has ended: `WouldBlock` if not, for [`Async::poll_io`].
///
/// [`Async::poll_io`]: crate::io::Async::poll_io
pub(crate) fn check_ended(pidfd: &Arc<OwnedFd>) -> io::Result<()> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options)) {
        Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
        Ok(Some(_)) => Ok(()),
        // Somebody has reaped it.
        Err(rustix::io::Errno::CHILD) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Signal and exit code of a status.
pub(crate) fn signal_and_code(status: Option<ExitStatus>) -> (Option<i32>, Option<i32>) {
    (status.and_then(|status| status.signal()), status.and_then(|status| status.code()))
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.leash.pid().is_none() {
            return;
        }
        let _ = self.leash.kill();
        let is_dead = match pidfd_open(self.pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                let mut watched = [PollFd::new(&pidfd, PollFlags::IN)];
                matches!(retry_on_intr(|| poll(&mut watched, Some(&DEATH_WAIT))), Ok(1..))
            }
            Err(_) => false,
        };
        if is_dead {
            self.reap();
            return;
        }
        // The kernel is still taking it apart. Nobody signals it any more.
        self.leash.state.lock().process = None;
        let Some(mut child) = self.child.take() else { return };
        let reaper = thread::Builder::new().name("tenter-reaper".to_owned());
        // Without a thread it stays a zombie until this process ends.
        let _ = reaper.spawn(move || drop(child.wait()));
    }
}
