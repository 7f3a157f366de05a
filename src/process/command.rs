//! What is to be started, and how.

use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, ExitStatus, Output, Stdio};

use crate::runtime::Handle;

use super::{Child, reaper};

/// A program to start, with its arguments and all that it is to find.
///
/// It is [`std::process::Command`] in everything but how its children are waited for: it
/// inherits standard input, output and error, the environment and the current folder, unless told
/// otherwise. One command may be started any number of times.
///
/// # Starting blocks for a moment
///
/// [`spawn`](Command::spawn), [`status`](Command::status) and [`output`](Command::output) start the
/// program during the call, on the caller's thread. That takes the system about a millisecond;
/// with [`pre_exec`](Command::pre_exec), [`uid`](Command::uid) and a few others it has to copy the
/// tables of this process's memory, and takes longer the more there is. Who starts programs by
/// the hundred does it in [`spawn_blocking`](crate::spawn_blocking).
///
/// # Examples
///
/// ```
/// use tenter::process::Command;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let status = Command::new("sh").args(["-c", "exit 3"]).status().await?;
///     assert_eq!(status.code(), Some(3));
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct Command {
    std: process::Command,
    kill_on_drop: bool,
    /// Which of standard input, output and error were set by the user.
    is_set: [bool; 3],
}

/// What it is about: the builder methods of [`std::process::Command`].
impl Command {
    /// A command for `program`, which is looked for in `PATH` if it is a plain name.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        process::Command::new(program).into()
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.std.args(args);
        self
    }

    /// Sets the first argument of all, which is the program's name unless told otherwise.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg0(arg);
        self
    }

    /// Sets an environment variable.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std.env(name, value);
        self
    }

    /// Sets environment variables.
    pub fn envs(
        &mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        self.std.envs(variables);
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.std.env_remove(name);
        self
    }

    /// Removes every environment variable, those of this process too.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// Sets the folder in which the program starts.
    pub fn current_dir(&mut self, folder: impl AsRef<Path>) -> &mut Self {
        self.std.current_dir(folder);
        self
    }

    /// Sets the standard input.
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.std.stdin(stdin);
        self.is_set[0] = true;
        self
    }

    /// Sets the standard output.
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.std.stdout(stdout);
        self.is_set[1] = true;
        self
    }

    /// Sets the standard error.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.std.stderr(stderr);
        self.is_set[2] = true;
        self
    }

    /// Sets the user that the program runs as.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.std.uid(id);
        self
    }

    /// Sets the group that the program runs as.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.std.gid(id);
        self
    }

    /// Sets the process group of the child; 0 is a new one, of which it is the leader.
    ///
    /// Ctrl-C reaches the processes of the terminal's group, and so not a child with a group of
    /// its own.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.std.process_group(group);
        self
    }

    /// Has `f` called in the child, after the fork and before the program starts.
    ///
    /// See [`std::os::unix::process::CommandExt::pre_exec`].
    ///
    /// # Safety
    ///
    /// 1. `f` calls only what is safe between fork and exec in a program with many threads: no
    ///    allocation, no lock.
    /// 2. It leaves the descriptors alone that it does not own.
    pub unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Self
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: the duties are those of `std`, and the caller's.
        unsafe { self.std.pre_exec(f) };
        self
    }

    /// Sets whether the program is killed when its [`Child`] is dropped before it has ended; it is
    /// not, unless told otherwise.
    ///
    /// That is so too when the child goes with its task or its runtime, or with the future of
    /// [`status`](Command::status) or [`output`](Command::output). What the program has started
    /// itself is not killed.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Self {
        self.kill_on_drop = kill;
        self
    }

    /// The standard library's command, for what it tells and has no method here.
    #[must_use]
    pub fn as_std(&self) -> &process::Command {
        &self.std
    }

    /// The standard library's command, to set what has no method here.
    ///
    /// Where it sets standard input, output or error, [`output`](Command::output) does not know of
    /// it.
    pub fn as_std_mut(&mut self) -> &mut process::Command {
        &mut self.std
    }

    /// The standard library's command, without [`kill_on_drop`](Command::kill_on_drop).
    #[must_use]
    pub fn into_std(self) -> process::Command {
        self.std
    }
}

/// What starts it.
impl Command {
    /// Starts the program.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::NotFound`], [`io::ErrorKind::PermissionDenied`] and others of the system
    ///   if the program cannot be started, or the folder is not there.
    /// - [`io::ErrorKind::InvalidInput`] if there is a NUL in an argument or variable.
    /// - The system's, if it has no descriptor left for the child. If the program was running by
    ///   then, it is killed.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime; nothing is started then.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        let handle = Handle::current();
        reaper::retry();
        let child = self.std.spawn()?;
        let program = self.std.get_program().to_string_lossy().into_owned();
        Child::new(child, program, &handle, self.kill_on_drop)
    }

    /// Starts the program, and waits in the future until it has ended.
    ///
    /// Pipes are closed at once.
    ///
    /// # Errors
    ///
    /// - Those of [`spawn`](Command::spawn) and of [`Child::wait`], by the future.
    ///
    /// # Panics
    ///
    /// The call panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// The program was started by the call, and goes on running when the future is dropped, unless
    /// [`kill_on_drop`](Command::kill_on_drop) says otherwise.
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + Send + use<> {
        let child = self.spawn();
        async {
            let mut child = child?;
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            child.wait().await
        }
    }

    /// Starts the program, and collects in the future what it writes, until it has ended.
    ///
    /// Standard output and error are pipes, and standard input is empty, unless they were set.
    ///
    /// # Errors
    ///
    /// - Those of [`spawn`](Command::spawn) and of [`Child::wait_with_output`], by the future.
    ///
    /// # Panics
    ///
    /// The call panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// As that of [`status`](Command::status); what the program wrote is lost.
    #[track_caller]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + Send + use<> {
        self.default_stdio([Stdio::null, Stdio::piped, Stdio::piped]);
        let child = self.spawn();
        // Started again by `spawn`, it inherits.
        self.default_stdio([Stdio::inherit; 3]);
        async { child?.wait_with_output().await }
    }

    /// Sets what the user has not.
    fn default_stdio(&mut self, [stdin, stdout, stderr]: [fn() -> Stdio; 3]) {
        let [stdin_is_set, stdout_is_set, stderr_is_set] = self.is_set;
        if !stdin_is_set {
            self.std.stdin(stdin());
        }
        if !stdout_is_set {
            self.std.stdout(stdout());
        }
        if !stderr_is_set {
            self.std.stderr(stderr());
        }
    }
}

/// Standard input, output and error count as not set.
impl From<process::Command> for Command {
    fn from(std: process::Command) -> Self {
        Self { std, kill_on_drop: false, is_set: [false; 3] }
    }
}
