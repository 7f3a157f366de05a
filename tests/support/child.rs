//! Tests that need a process of their own: for its environment, its limits, its standard error,
//! or because nothing else may run in it.

use std::env;
use std::process::{Command, Output, Stdio, exit};

use super::function_name;

/// Says to this program that it is the child of the test that it names.
const ROLE: &str = "TENTER_TEST_CHILD";

/// A process that runs a part of a test.
#[derive(Debug, Default)]
pub(crate) struct Child {
    variables: Vec<(String, Option<String>)>,
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

    /// Runs `body` in the child, which is this program run again for this one test, and returns
    /// what became of it. In the child it does not return.
    pub(crate) fn run(self, body: impl FnOnce()) -> Output {
        let test = function_name(&body);
        if env::var(ROLE).is_ok_and(|role| role == test) {
            body();
            exit(0);
        }
        let mut command = Command::new(env::current_exe().expect("this program has a path"));
        command.args(["--exact", &test, "--nocapture", "--test-threads=2"]);
        command.env(ROLE, &test).stdin(Stdio::null());
        for (name, value) in self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.output().expect("this program starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("running 1 test"), "no test is called {test}: {text}");
        output
    }
}

/// Fails with all that the child said, unless it ended well.
#[track_caller]
pub(crate) fn expect_success(output: &Output) {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n---- stdout\n{out}\n---- stderr\n{err}", output.status);
}
