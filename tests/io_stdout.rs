//! Standard output and standard error.
//!
//! Each test runs its body in a child process, and is at the other end of that one's output.

mod folder;
mod support;

use std::any::type_name_of_val;
use std::fs::{self, File};
use std::future::Future;
use std::io::{ErrorKind, IoSlice, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::process::{Child as Process, Command, Stdio, exit};
use std::task::{Context, Waker};

use folder::Folder;
use support::{Child, Journal, LIMIT, note, within};
use tenter::Runtime;
use tenter::io::{AsyncWriteExt, stderr, stdout};

/// Where the body finds the path of the test's journal.
const JOURNAL: &str = "TENTER_TEST_JOURNAL";

/// Starts `body` in a child with this output. In the child it does not return.
fn child(output: impl Into<Stdio>, errors: impl Into<Stdio>, body: impl FnOnce()) -> Started {
    let test = type_name_of_val(&body);
    let (test, _) = test.split_once("::{{closure}}").expect("it is a test's closure");
    let (_, test) = test.split_once("::").expect("tests are in a crate");
    if Child::is_this() {
        within(LIMIT, body);
        say("done");
        folder::remove_all();
        exit(0);
    }
    let journal = Journal::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=2"]);
    command.env("TENTER_TEST_CHILD", test).env(JOURNAL, journal.path());
    let process = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().unwrap();
    Started { process, journal }
}

/// A child that runs.
struct Started {
    process: Process,
    journal: Journal,
}

impl Started {
    /// Waits for the child's end, which must be a good one.
    #[track_caller]
    fn ends(mut self) {
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        assert_eq!(self.journal.count("done"), 1, "{:?}", self.journal.lines());
    }
}

/// Tells the test something, otherwise than by the output.
fn say(line: &str) {
    note(&std::env::var(JOURNAL).unwrap(), line);
}

fn runtime() -> Runtime {
    // It says nothing itself of what takes long.
    let runtime = Runtime::builder().worker_threads(2).blocked_after(None).build().unwrap();
    support::watch(runtime.handle());
    runtime
}

/// Runs `main` in a runtime that writes nothing itself, nor as it ends.
fn run(main: impl Future<Output = ()>) {
    let runtime = runtime();
    runtime.block_on(main);
    runtime.shutdown_background();
}

/// One end of a socket, as an output, and the other.
fn socket() -> (OwnedFd, UnixStream) {
    let (one, other) = UnixStream::pair().unwrap();
    (one.into(), other)
}

#[test]
fn what_is_written_is_there_when_the_write_returns() {
    let folder = Folder::new();
    let (out, err) = (folder.path("out"), folder.path("err"));
    let outputs = (File::create(&out).unwrap(), File::create(&err).unwrap());
    let started = child(outputs.0, outputs.1, || {
        run(async {
            let before = fs::metadata("/dev/stdout").unwrap().len();
            stdout().write_all(b"to the output\n").await.unwrap();
            assert_eq!(fs::metadata("/dev/stdout").unwrap().len(), before + 14);
            let parts = [IoSlice::new(b"to the "), IoSlice::new(b"errors\n")];
            let mut errors = stderr();
            assert_eq!(errors.write_vectored(&parts).await.unwrap(), 14);
            assert_eq!(errors.write(b"").await.unwrap(), 0);
            errors.close().await.unwrap();
            errors.write_all(b"still open\n").await.unwrap();
        });
    });
    started.ends();
    assert!(fs::read_to_string(out).unwrap().contains("to the output\n"));
    assert_eq!(fs::read_to_string(err).unwrap(), "to the errors\nstill open\n");
}

/// Whether standard output would take something now.
fn is_ready_for_output() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let output = std::io::stdout();
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&output, PollFlags::OUT)], Some(&zero)).unwrap() > 0
}

#[test]
fn an_output_that_nobody_reads_does_not_hold_up_the_end() {
    let (output, unread) = socket();
    let started = child(output, Stdio::inherit(), || {
        let runtime = runtime();
        let writing = runtime.spawn(async {
            let mut output = stdout();
            // Until the end of the runtime is the write's error, or the task's.
            while output.write_all(&[b'x'; 100_000]).await.is_ok() {}
        });
        // Once the socket is full the write does not return.
        support::wait_until(|| !is_ready_for_output());
        let report = runtime.shutdown(std::time::Duration::MAX);
        assert!(report.is_clean(), "{report}");
        drop(writing);
    });
    started.ends();
    drop(unread);
}

#[test]
fn an_output_that_was_closed_at_the_other_end_is_an_error() {
    let (output, other) = socket();
    drop(other);
    let started = child(Stdio::null(), output, || {
        run(async {
            let error = stderr().write(b"x").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        });
    });
    started.ends();
}

#[test]
fn an_output_that_is_full_is_the_error_of_the_write() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let started = child(Stdio::null(), full(), || {
        run(async {
            let mut errors = stderr();
            for _ in 0..3 {
                let error = errors.write(b"x").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::StorageFull);
                errors.flush().await.unwrap();
            }
        });
    });
    started.ends();
}

#[test]
fn an_output_that_somebody_made_non_blocking_is_written_to_all_the_same() {
    let (output, mut other) = socket();
    let same = output.try_clone().unwrap();
    rustix::io::ioctl_fionbio(&same, true).unwrap();
    drop(same);
    let started = child(Stdio::null(), output, || {
        run(async {
            stderr().write_all(&[b'x'; 2_000_000]).await.unwrap();
        });
    });
    let mut all = Vec::new();
    other.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 2_000_000);
    started.ends();
}

#[test]
fn a_write_that_was_dropped_comes_before_the_next() {
    let (output, mut other) = socket();
    let started = child(Stdio::null(), output, || {
        run(async {
            let mut errors = stderr();
            for _ in 0..100 {
                let write = pin!(errors.write(b"dropped "));
                let polled = write.poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(polled, std::task::Poll::Pending | std::task::Poll::Ready(Ok(8))));
                errors.write_all(b"kept ").await.unwrap();
            }
        });
    });
    let mut all = String::new();
    other.read_to_string(&mut all).unwrap();
    assert_eq!(all, "dropped kept ".repeat(100));
    started.ends();
}
