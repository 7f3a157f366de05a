//! Tests that need a process of their own: for its environment, its limits, its standard error,
//! or because nothing else may run in it.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{self, ChildStdout, Command, ExitStatus, Output, Stdio, exit};

use super::function_name;

/// Says to this program that it is the child of the test that it names.
const ROLE: &str = "TENTER_TEST_CHILD";

/// A process that runs a part of a test.
#[derive(Debug, Default)]
pub(crate) struct Child {
    variables: Vec<(String, Option<String>)>,
    stderr: Option<Stdio>,
}

impl Child {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether this process is one.
    pub(crate) fn is_this() -> bool {
        env::var_os(ROLE).is_some()
    }

    /// Sets an environment variable of the child.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// Takes an environment variable from the child.
    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.variables.push((name.to_owned(), None));
        self
    }

    /// Sets where the child's standard error goes.
    pub(crate) fn stderr(mut self, stderr: Stdio) -> Self {
        self.stderr = Some(stderr);
        self
    }

    /// Runs `body` in the child, which is this program run again for this one test, and returns
    /// what became of it. In the child it does not return.
    pub(crate) fn run(self, body: impl FnOnce()) -> Output {
        let test = play(body);
        let output = self.command(&test).output().expect("this program starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("running 1 test"), "no test is called {test}: {text}");
        output
    }

    /// Starts `body` in the child and leaves it running. In the child it does not return.
    pub(crate) fn start(self, body: impl FnOnce()) -> Running {
        let test = play(body);
        let mut command = self.command(&test);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("this program starts");
        let stdout = process.stdout.take().expect("it is a pipe");
        Running { process, stdout: BufReader::new(stdout) }
    }

    fn command(self, test: &str) -> Command {
        let mut command = Command::new(env::current_exe().expect("this program has a path"));
        command.args(["--exact", test, "--nocapture", "--test-threads=2"]);
        command.env(ROLE, test).stdin(Stdio::null());
        if let Some(stderr) = self.stderr {
            command.stderr(stderr);
        }
        for (name, value) in self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

/// Runs `body` and ends the process if this is the child, else returns the test's name.
fn play(body: impl FnOnce()) -> String {
    let test = function_name(&body);
    if env::var(ROLE).is_ok_and(|role| role == test) {
        body();
        exit(0);
    }
    test
}

/// A child that runs, and is killed with this value.
#[derive(Debug)]
pub(crate) struct Running {
    process: process::Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Blocks the thread until the child has printed a line that begins with `label`, and returns
    /// the rest of it.
    pub(crate) fn line_of(&mut self, label: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.stdout.read_line(&mut line).expect("what the child prints is text");
            assert!(read > 0, "the child ended without a word of {label}");
            if let Some(rest) = line.trim_end().strip_prefix(label) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Takes the pipe from the child's standard error, if it has one.
    pub(crate) fn stderr(&mut self) -> process::ChildStderr {
        self.process.stderr.take().expect("standard error is a pipe")
    }

    /// Kills the child.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.process.kill().expect("it is a child, and not waited for");
        self.wait()
    }

    /// Blocks the thread until the child has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("it is a child")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Fails with all that the child said, unless it ended well.
#[track_caller]
pub(crate) fn expect_success(output: &Output) {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n---- stdout\n{out}\n---- stderr\n{err}", output.status);
}
