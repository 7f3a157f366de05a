//! Standard input: what is read of it, and what a read leaves behind.
//!
//! Each test runs its body in a child process, and is at the other end of that one's input.

mod folder;
mod support;

use std::any::type_name_of_val;
use std::fs::{self, File};
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio, exit};
use std::task::{Context, Waker};

use folder::Folder;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use support::{Child, LIMIT, Pair, threads_named, until, within};
use tenter::io::{AsyncBufReadExt, AsyncReadExt, Stdin, stdin};
use tenter::{Builder, Runtime};

/// A child that runs the body of a test.
struct Other {
    process: process::Child,
    stdout: BufReader<ChildStdout>,
}

impl Other {
    /// Runs `body` in a child with this input. In the child it does not return.
    fn new(input: impl Into<Stdio>, body: impl FnOnce()) -> Other {
        let test = type_name_of_val(&body);
        let (test, _) = test.split_once("::{{closure}}").expect("it is a test's closure");
        let (_, test) = test.split_once("::").expect("tests are in a crate");
        if Child::is_this() {
            say("begins");
            within(LIMIT, body);
            folder::remove_all();
            exit(0);
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=2"]);
        command.env("TENTER_TEST_CHILD", test).stdin(input).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut other = Other { process, stdout };
        other.says("begins");
        other
    }

    fn stdin(&mut self) -> ChildStdin {
        self.process.stdin.take().unwrap()
    }

    /// Waits until the child has said this.
    #[track_caller]
    fn says(&mut self, expected: &str) {
        let mut line = String::new();
        loop {
            line.clear();
            let len = self.stdout.read_line(&mut line).unwrap();
            assert!(len > 0, "the child ended without saying {expected:?}");
            if let Some(said) = line.strip_prefix("child: ") {
                return assert_eq!(said.trim_end(), expected);
            }
        }
    }

    /// Waits for the child's end, which must be a good one.
    #[track_caller]
    fn ends(mut self) {
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Tells the test something.
fn say(text: &str) {
    println!("child: {text}");
}

fn runtime() -> Runtime {
    support::runtime(2)
}

/// Polls a read once, which must be pending, and drops it.
fn drop_pending_read(stdin: &mut Stdin) {
    let mut buffer = [0; 64];
    let read = pin!(stdin.read(&mut buffer));
    assert!(read.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Both ends of a terminal; the first is the one to type at.
fn terminal() -> (File, OwnedFd) {
    let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&main).unwrap();
    unlockpt(&main).unwrap();
    let name = ptsname(&main, Vec::new()).unwrap();
    let other = fs::OpenOptions::new().read(true).write(true).open(name.to_str().unwrap());
    (File::from(main), other.unwrap().into())
}

async fn read_line(input: &mut tenter::io::BufReader<Stdin>) -> String {
    let mut line = String::new();
    input.read_line(&mut line).await.unwrap();
    line
}

#[test]
fn lines_come_as_they_are_written_and_the_end_comes_after_them() {
    let mut other = Other::new(Stdio::piped(), || {
        runtime().block_on(async {
            let mut input = tenter::io::BufReader::new(stdin());
            loop {
                let line = read_line(&mut input).await;
                say(line.trim_end());
                if line.is_empty() {
                    return;
                }
            }
        });
    });
    let mut stdin = other.stdin();
    for line in ["one", "two", "three"] {
        writeln!(stdin, "{line}").unwrap();
        other.says(line);
    }
    drop(stdin);
    other.says("");
    other.ends();
}

#[test]
fn a_read_that_is_dropped_loses_no_byte_and_leaves_no_thread() {
    let mut other = Other::new(Stdio::piped(), || {
        let runtime = Builder::new().worker_threads(2).thread_name("own").build().unwrap();
        runtime.block_on(async {
            let mut input = stdin();
            drop_pending_read(&mut input);
            drop_pending_read(&mut input);
            assert_eq!(threads_named("own-blocking"), 0);
            drop(input);
            say("dropped");
            let mut buffer = [0; 4];
            stdin().read_exact(&mut buffer[..2]).await.unwrap();
            stdin().read_exact(&mut buffer[2..]).await.unwrap();
            assert_eq!(&buffer, b"abcd");
            assert_eq!(stdin().read(&mut buffer).await.unwrap(), 1);
            assert_eq!(stdin().read(&mut buffer).await.unwrap(), 0);
        });
    });
    let mut stdin = other.stdin();
    other.says("dropped");
    stdin.write_all(b"abcde").unwrap();
    drop(stdin);
    other.ends();
}

#[test]
fn a_pending_read_does_not_hold_up_the_end() {
    let (_typing, terminal) = terminal();
    let (_one, socket) = UnixStream::pair().unwrap();
    for input in [Stdio::piped(), Stdio::from(terminal), Stdio::from(OwnedFd::from(socket))] {
        let mut other = Other::new(input, || {
            let runtime = runtime();
            let reading = runtime.spawn(async { stdin().read(&mut [0; 64]).await });
            // Its second poll would only come with input.
            support::wait_until(|| reading.state() == tenter::task::TaskState::Suspended);
            let report = runtime.shutdown(std::time::Duration::MAX);
            assert!(report.is_clean(), "{report}");
            say("ended");
        });
        let _open = other.process.stdin.take();
        other.says("ended");
        other.ends();
    }
}

#[test]
fn a_terminal_gives_its_lines_and_its_end() {
    let (mut typing, terminal) = terminal();
    let mut other = Other::new(terminal, || {
        runtime().block_on(async {
            let mut input = stdin();
            drop_pending_read(&mut input);
            let mut input = tenter::io::BufReader::new(input);
            say("ready");
            for _ in 0..3 {
                say(read_line(&mut input).await.trim_end());
            }
            // A line that is not ended is none: the terminal keeps it.
            say(&format!("end {}", read_line(&mut input).await.len()));
        });
    });
    other.says("ready");
    for line in ["one", "two", ""] {
        typing.write_all(format!("{line}\n").as_bytes()).unwrap();
        other.says(line);
    }
    // What the end of a file is typed as.
    typing.write_all(b"\x04").unwrap();
    other.says("end 0");
    other.ends();
}

#[test]
fn a_file_is_read_and_what_is_not_taken_is_left_for_others() {
    let folder = Folder::new();
    fs::write(folder.path("input"), "0123456789rest").unwrap();
    let mut other = Other::new(File::open(folder.path("input")).unwrap(), || {
        let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (mut one, mut two) = (stdin(), stdin());
            let mut buffer = [0; 4];
            // Pending for sure while the pool's only thread is held.
            let held = Pair::new();
            let holding = held.clone();
            runtime.spawn_blocking(move || holding.hold()).detach();
            held.arrived.pass().await;
            drop_pending_read(&mut one);
            held.released.open();
            one.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"0123");
            two.read_exact(&mut buffer[..3]).await.unwrap();
            assert_eq!(&buffer[..3], b"456");
            // The first has read the file, and must see that the second took some.
            one.read_exact(&mut buffer[..3]).await.unwrap();
            assert_eq!(&buffer[..3], b"789");
        });
        // Another program goes on where this one is.
        let output = Command::new("cat").stdin(Stdio::inherit()).output().unwrap();
        say(std::str::from_utf8(&output.stdout).unwrap());
    });
    other.says("rest");
    other.ends();
}

#[test]
fn a_file_that_grows_is_read_on() {
    let folder = Folder::new();
    let path = folder.path("input");
    fs::write(&path, "first\n").unwrap();
    let mut other = Other::new(File::open(&path).unwrap(), || {
        runtime().block_on(async {
            let mut input = stdin();
            let mut buffer = [0; 64];
            assert_eq!(input.read(&mut buffer).await.unwrap(), 6);
            assert_eq!(input.read(&mut buffer).await.unwrap(), 0);
            say("end");
            until(|| fs::metadata("/dev/stdin").unwrap().len() > 6).await;
            assert_eq!(input.read(&mut buffer).await.unwrap(), 7);
            say("more");
        });
    });
    other.says("end");
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"second\n").unwrap();
    other.says("more");
    other.ends();
}

#[test]
fn two_readers_at_a_time_get_each_byte_once() {
    let mut other = Other::new(Stdio::piped(), || {
        let runtime = support::runtime(4);
        runtime.block_on(async {
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    tenter::spawn(async {
                        let (mut input, mut all) = (stdin(), Vec::new());
                        let mut buffer = [0; 100];
                        loop {
                            match input.read(&mut buffer).await.unwrap() {
                                0 => return all,
                                len => all.extend_from_slice(&buffer[..len]),
                            }
                        }
                    })
                })
                .collect();
            let mut counts = [0usize; 256];
            for reader in readers {
                for byte in reader.await.unwrap() {
                    counts[usize::from(byte)] += 1;
                }
            }
            assert_eq!(counts, [1000; 256]);
        });
    });
    let mut stdin = other.stdin();
    for _ in 0..1000 {
        let bytes: Vec<u8> = (0..=255).collect();
        stdin.write_all(&bytes).unwrap();
    }
    drop(stdin);
    other.ends();
}

#[test]
fn it_stays_in_blocking_mode_for_those_who_share_it() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let copy = theirs.try_clone().unwrap();
    let mut other = Other::new(theirs, || {
        runtime().block_on(async {
            let mut input = stdin();
            drop_pending_read(&mut input);
            say("read");
            input.read_exact(&mut [0; 4]).await.unwrap();
        });
    });
    other.says("read");
    assert!(!fcntl_getfl(&copy).unwrap().contains(OFlags::NONBLOCK));
    (&ours).write_all(b"data").unwrap();
    other.ends();
}

#[test]
fn runtimes_one_after_another_read_on() {
    let mut other = Other::new(Stdio::piped(), || {
        for round in 0..5 {
            let mut buffer = [0; 2];
            runtime().block_on(async {
                drop_pending_read(&mut stdin());
                say(&round.to_string());
                stdin().read_exact(&mut buffer).await.unwrap();
            });
            assert_eq!(buffer, [b'0' + round; 2]);
        }
    });
    let mut stdin = other.stdin();
    for round in 0..5u8 {
        other.says(&round.to_string());
        stdin.write_all(&[b'0' + round; 2]).unwrap();
    }
    other.ends();
}

#[test]
fn nothing_is_an_end() {
    let other = Other::new(Stdio::null(), || {
        runtime().block_on(async {
            assert_eq!(stdin().read(&mut [0; 9]).await.unwrap(), 0);
            assert_eq!(stdin().read(&mut []).await.unwrap(), 0);
        });
    });
    other.ends();
}

#[test]
fn a_directory_is_an_error() {
    let other = Other::new(File::open("/").unwrap(), || {
        runtime().block_on(async {
            let error = stdin().read(&mut [0; 9]).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::IsADirectory);
        });
    });
    other.ends();
}

#[test]
fn an_input_that_was_closed_is_an_error() {
    let other = Other::new(Stdio::null(), || {
        let runtime = runtime();
        // Last, so that nothing else becomes the input.
        // SAFETY: nobody in this process owns it.
        unsafe { libc::close(0) };
        let error = runtime.block_on(async { stdin().read(&mut [0; 9]).await.unwrap_err() });
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    });
    other.ends();
}
