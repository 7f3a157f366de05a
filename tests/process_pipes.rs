//! The pipes of children: every byte, in both directions at once, and no more waiting than needed.
#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Write};
use std::os::fd::{AsFd, OwnedFd};

use futures_lite::future::{poll_once, zip};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use support::{LIMIT, process_state, runtime, until, within};
use tenter::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tenter::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// A program that says what it is told.
fn cat() -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Bytes of which no two blocks are alike, made a block at a time.
struct Pattern {
    block: Vec<u8>,
    number: usize,
}

impl Pattern {
    fn new() -> Self {
        let block = (0..256 << 10).map(|n: u32| (n.wrapping_mul(167) >> 3) as u8).collect();
        let mut pattern = Self { block, number: 0 };
        pattern.block[..8].fill(0);
        pattern
    }

    fn next_block(&mut self) {
        self.number += 1;
        self.block[..8].copy_from_slice(&self.number.to_le_bytes());
    }
}

/// Writes so many blocks' bytes, and closes the pipe.
async fn write_pattern(mut pipe: ChildStdin, total: usize) {
    let mut pattern = Pattern::new();
    for _ in 0..total / pattern.block.len() {
        pipe.write_all(&pattern.block).await.unwrap();
        pattern.next_block();
    }
    pipe.close().await.unwrap();
}

/// Reads to the end, compares each byte with what was written, and returns how many came.
async fn read_pattern(mut pipe: ChildStdout) -> usize {
    let mut buffer = vec![0; 256 << 10];
    let (mut pattern, mut within) = (Pattern::new(), 0);
    loop {
        let read = pipe.read(&mut buffer).await.unwrap();
        if read == 0 {
            return pattern.number * pattern.block.len() + within;
        }
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let expected = &pattern.block[within..];
            let (part, after) = rest.split_at(rest.len().min(expected.len()));
            assert!(part == &expected[..part.len()], "harmed in block {}", pattern.number);
            (rest, within) = (after, within + part.len());
            if within == pattern.block.len() {
                pattern.next_block();
                within = 0;
            }
        }
    }
}

#[test]
fn a_gibibyte_goes_through_cat_unharmed() {
    run(async {
        let mut child = cat();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        // Both at once, on two workers.
        let writing = tenter::spawn(write_pattern(stdin, 1 << 30));
        let reading = tenter::spawn(read_pattern(stdout));
        writing.await.unwrap();
        assert_eq!(reading.await.unwrap(), 1 << 30);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn one_task_writes_and_reads_by_turns() {
    run(async {
        let mut child = cat();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let ((), read) = zip(write_pattern(stdin, 16 << 20), read_pattern(stdout)).await;
        assert_eq!(read, 16 << 20);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn sixty_four_children_talk_at_once() {
    const CHILDREN: usize = 64;
    run(async {
        let children: Vec<_> = (0..CHILDREN)
            .map(|number| {
                let mut child = cat();
                let id = child.id().unwrap();
                let task = tenter::spawn(async move {
                    let mut stdin = child.stdin.take().unwrap();
                    let mut stdout = BufReader::new(child.stdout.take().unwrap());
                    let mut line = String::new();
                    for round in 0..20 {
                        let said = format!("{number}: {round}\n");
                        stdin.write_all(said.as_bytes()).await.unwrap();
                        line.clear();
                        stdout.read_line(&mut line).await.unwrap();
                        assert_eq!(line, said);
                    }
                    drop(stdin);
                    let mut rest = Vec::new();
                    stdout.read_to_end(&mut rest).await.unwrap();
                    assert!(rest.is_empty());
                    child.wait().await.unwrap()
                });
                (id, task)
            })
            .collect();
        for (id, task) in children {
            assert!(task.await.unwrap().success());
            assert_eq!(process_state(id), None);
        }
    });
}

#[test]
fn sixty_four_children_end_at_once() {
    run(async {
        let mut ends = Vec::new();
        let waiting: Vec<_> = (0..64)
            .map(|_| {
                let mut child = cat();
                ends.push(child.stdin.take().unwrap());
                tenter::spawn(async move { child.wait_with_output().await.unwrap() })
            })
            .collect();
        tenter::yield_now().await;
        drop(ends);
        for child in waiting {
            let output = child.await.unwrap();
            assert!(output.status.success() && output.stdout.is_empty());
        }
    });
}

#[test]
fn closing_is_the_end_of_input_and_the_last_word() {
    run(async {
        let mut child = cat();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"last").await.unwrap();
        stdin.flush().await.unwrap();
        stdin.close().await.unwrap();
        for bytes in [&b"more"[..], b""] {
            let error = stdin.write(bytes).await.expect_err("it is closed");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        stdin.flush().await.unwrap();
        stdin.close().await.unwrap();
        assert_eq!(stdin.into_owned_fd().expect_err("it is closed").kind(), ErrorKind::BrokenPipe);
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.stdout, b"last");
    });
}

#[test]
fn to_write_to_a_program_that_has_ended_is_an_error() {
    run(async {
        let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        child.wait().await.unwrap();
        let error = stdin.write_all(&[0; 100]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_write_into_a_full_pipe_waits_until_the_program_is_gone() {
    run(async {
        let mut command = Command::new("sleep");
        let mut child = command.arg("1000").stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let full = vec![0; 1 << 20];
        assert!(poll_once(stdin.write_all(&full)).await.is_none());
        let writing = tenter::spawn(async move { stdin.write_all(&full).await });
        child.kill().await.unwrap();
        let error = writing.await.unwrap().expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn empty_and_vectored_calls_do_what_they_say() {
    run(async {
        let mut child = cat();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        assert_eq!(stdin.write(&[]).await.unwrap(), 0);
        assert_eq!(stdin.write_vectored(&[]).await.unwrap(), 0);
        assert_eq!(stdout.read(&mut []).await.unwrap(), 0);
        let parts = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")];
        assert_eq!(stdin.write_vectored(&parts).await.unwrap(), 7);
        let mut said = [0; 7];
        (&stdout).read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"one two");
        assert!(poll_once(stdout.read(&mut said)).await.is_none());
        drop(stdin);
        assert_eq!(stdout.read(&mut said).await.unwrap(), 0);
        assert_eq!(stdout.read(&mut said).await.unwrap(), 0);
        child.wait().await.unwrap();
    });
}

#[test]
fn the_childs_end_is_in_blocking_mode() {
    run(async {
        // The flags are octal, and 4000 is non-blocking.
        let line = "for fd in 0 1 2; do grep flags /proc/self/fdinfo/$fd; done";
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let ours = fcntl_getfl(child.stdout.as_ref().unwrap().as_fd()).unwrap();
        assert!(ours.contains(OFlags::NONBLOCK));
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let flags = said.lines().map(|line| line.split_whitespace().last().unwrap());
        let flags: Vec<_> =
            flags.map(|flags| u32::from_str_radix(flags, 8).expect("octal digits")).collect();
        assert_eq!(flags.len(), 3, "{said}");
        assert!(flags.iter().all(|flags| flags & 0o4000 == 0), "{said}");
    });
}

#[test]
fn a_pipe_goes_on_as_another_programs() {
    run(async {
        let mut one = cat();
        let first = one.stdin.take().unwrap();
        let stdout = Stdio::try_from(one.stdout.take().unwrap()).unwrap();
        let other = Command::new("cat").stdin(stdout).stdout(Stdio::piped()).spawn().unwrap();
        // It sleeps in its read, as it would not if the pipe were in non-blocking mode.
        until(|| process_state(other.id().unwrap()) == Some('S')).await;
        let mut first = first;
        first.write_all(b"through both").await.unwrap();
        drop(first);
        assert!(one.wait().await.unwrap().success());
        let output = other.wait_with_output().await.unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, b"through both");
    });
}

#[test]
fn pipes_of_the_standard_library_are_taken() {
    run(async {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "cat; echo err >&2"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = ChildStdin::from_std(child.stdin.take().unwrap()).unwrap();
        let mut stdout = ChildStdout::from_std(child.stdout.take().unwrap()).unwrap();
        let mut stderr = ChildStderr::from_std(child.stderr.take().unwrap()).unwrap();
        stdin.write_all(b"out").await.unwrap();
        drop(stdin);
        let (mut out, mut err) = (String::new(), String::new());
        stdout.read_to_string(&mut out).await.unwrap();
        stderr.read_to_string(&mut err).await.unwrap();
        assert_eq!((out.as_str(), err.as_str()), ("out", "err\n"));
        assert!(child.wait().unwrap().success());
    });
}

/// Has `stdout` wait, then writes `said` to its other end by one call, and reads until all is there.
async fn read_what_comes_in_parts(stdout: OwnedFd, other: OwnedFd, said: &[u8]) {
    let mut stdout = ChildStdout::from_std(stdout.into()).unwrap();
    let mut buffer = vec![0; 2 * said.len()];
    assert!(poll_once(stdout.read(&mut buffer)).await.is_none());
    assert_eq!(File::from(other.try_clone().unwrap()).write(said).unwrap(), said.len());
    let mut read = Vec::new();
    // Nothing else happens at the other end, which stays open.
    while read.len() < said.len() {
        let len = stdout.read(&mut buffer).await.unwrap();
        read.extend_from_slice(&buffer[..len]);
    }
    assert!(read == said, "harmed");
    assert!(poll_once(stdout.read(&mut buffer)).await.is_none());
}

#[test]
fn a_pipe_in_packet_mode_is_read_to_the_last_packet() {
    run(async {
        let (stdout, other) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::DIRECT).unwrap();
        read_what_comes_in_parts(stdout, other, &[7; 20_000]).await;
    });
}

#[test]
fn a_terminal_is_read_to_the_last_line() {
    run(async {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let other = openpt(flags).unwrap();
        grantpt(&other).unwrap();
        unlockpt(&other).unwrap();
        let stdout = ioctl_tiocgptpeer(&other, flags).unwrap();
        read_what_comes_in_parts(stdout, other, b"one\ntwo\nthree\n").await;
    });
}
