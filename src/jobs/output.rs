//! What workers print: passed on, or handed to a function line by line.
//!
//! A worker's output is read as it comes and no faster than it is taken away: when whoever reads
//! it is slow the pipe fills, and the worker waits. What is kept here is bounded.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use crate::driver::Driver;
use crate::io::{Async, Interest};
use crate::lifecycle::budget;
use crate::primitive::contain_drop;
use crate::primitive::lock::Mutex;
use crate::runtime::Handle;

use super::builder::{Output, Sink};

/// Bytes that one read takes at most.
const READ_BYTES: usize = 8 * 1024;

/// Reads of one poll at most.
const READS_MAX: usize = 8;

/// Bytes that [`Capture::drain`] takes at most: what a pipe can hold unless its bound was raised.
const DRAIN_BYTES_MAX: usize = 1 << 20;

/// Bytes of one line at most; what is longer comes in pieces.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that wait to be written to standard error, above which no more are read.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Stack of the thread that writes, for a debug build too.
const STACK_BYTES: usize = 128 * 1024;

/// Bytes of the last lines at most, for errors.
const TAIL_BYTES_MAX: usize = 4 * 1024;

/// Lines of the last lines at most.
const TAIL_LINES_MAX: usize = 20;

/// A line that a worker wrote; see [`Builder::capture_output`](super::Builder::capture_output).
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use tenter::jobs::ProcessPool;
///
/// #[tenter::job]
/// fn greet(name: String) {
///     println!("hello {name}");
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let (sender, lines) = mpsc::channel();
///     let pool = ProcessPool::builder()
///         .capture_output(move |line| {
///             let _ = sender.send((line.pid, line.to_str_lossy().into_owned()));
///         })
///         .build()
///         .unwrap();
///     pool.run(greet::job("Ada".into())).await.unwrap();
///     let (pid, line) = tenter::spawn_blocking(move || lines.recv()).await.unwrap().unwrap();
///     assert_ne!(pid, std::process::id());
///     assert_eq!(line, "hello Ada");
/// }
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct OutputLine<'a> {
    /// The worker's process id.
    pub pid: u32,
    /// The number, counted from the pool's start, of the job that the worker had when the line
    /// was read.
    pub job: Option<u64>,
    /// Where the worker wrote it to.
    pub stream: OutputStream,
    /// The line, without its newline. One of more than 64 KiB comes in pieces.
    pub line: &'a [u8],
}

/// One of a worker's two ways to print.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use tenter::jobs::{OutputStream, ProcessPool};
///
/// #[tenter::job]
/// fn compute() {
///     println!("a result");
///     eprintln!("a warning");
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let (sender, warnings) = mpsc::channel();
///     let pool = ProcessPool::builder()
///         .capture_output(move |line| {
///             if line.stream == OutputStream::Stderr {
///                 let _ = sender.send(line.to_str_lossy().into_owned());
///             }
///         })
///         .build()
///         .unwrap();
///     pool.run(compute::job()).await.unwrap();
///     let warning = tenter::spawn_blocking(move || warnings.recv()).await.unwrap();
///     assert_eq!(warning.unwrap(), "a warning");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl<'a> OutputLine<'a> {
    /// The line as text, with replacement characters for what is none.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.line)
    }
}

impl fmt::Debug for OutputLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputLine")
            .field("pid", &self.pid)
            .field("job", &self.job)
            .field("stream", &self.stream)
            .field("line", &self.to_str_lossy())
            .finish()
    }
}

/// The reading end of one of a worker's output pipes.
pub(crate) struct Capture {
    pipe: Async<OwnedFd>,
    has_ended: bool,
    tail: Tail,
    to: To,
}

/// Where it goes.
enum To {
    Lines(Lines),
    Stderr(Forward),
}

impl Capture {
    /// Takes the reading end of the pipe that the worker `pid` has as its `stream`.
    pub(crate) fn new(
        pipe: OwnedFd,
        pid: u32,
        stream: OutputStream,
        output: &Output,
        forwarder: &Arc<Forwarder>,
    ) -> io::Result<Self> {
        // Of this end alone: the worker's writes still wait.
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let to = match output {
            Output::Forward => To::Stderr(Forward { to: Arc::clone(forwarder), end: 0 }),
            Output::Capture(sink) => {
                To::Lines(Lines { pid, stream, sink: Arc::clone(sink), partial: Vec::new() })
            }
        };
        let pipe = Async::with_driver(pipe, crate::primitive::Arc::clone(&forwarder.driver));
        Ok(Self { pipe, has_ended: false, tail: Tail::default(), to })
    }

    /// Passes on what has come, as the output of `job`, and arranges for the task to be polled
    /// when there is more. Ready when the worker has closed its end, and ever after.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, job: Option<u64>) -> Poll<()> {
        for _ in 0..READS_MAX {
            if self.has_ended {
                return Poll::Ready(());
            }
            if let To::Stderr(forward) = &self.to {
                ready!(forward.poll_room(cx));
            }
            let mut buffer = [0; READ_BYTES];
            let read = self
                .pipe
                .poll_io(cx, Interest::READABLE, |pipe| Ok(rustix::io::read(pipe, &mut buffer)?));
            match ready!(read) {
                Ok(len) if len > 0 => self.pass(&buffer[..len], job),
                // No error of a pipe goes away by waiting.
                Ok(_) | Err(_) => self.end(job),
            }
        }
        budget::yield_behind_others(cx);
        Poll::Pending
    }

    /// Passes on what has come, as the output of `job`, which is about to end: what it wrote
    /// before its result is in the pipe before the result is in the socket.
    ///
    /// Does nothing where nobody asks for jobs.
    pub(crate) fn catch_up(&mut self, job: Option<u64>) {
        if matches!(self.to, To::Lines(_)) {
            self.read_present(job);
        }
    }

    /// Passes on what a dead worker left, without waiting.
    pub(crate) fn drain(&mut self, job: Option<u64>) {
        self.read_present(job);
        self.end(job);
    }

    /// Waits until all that was passed on has been written.
    ///
    /// That may be never: nobody has to read this process's standard error.
    pub(crate) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.to {
            To::Lines(_) => Poll::Ready(()),
            To::Stderr(forward) => forward.poll_written(cx),
        }
    }

    /// The last lines that came.
    pub(crate) fn tail(&self) -> String {
        self.tail.to_text()
    }

    /// Reads until nothing is there, or much was.
    fn read_present(&mut self, job: Option<u64>) {
        for _ in 0..DRAIN_BYTES_MAX / READ_BYTES {
            if self.has_ended {
                return;
            }
            let mut buffer = [0; READ_BYTES];
            match rustix::io::read(self.pipe.get_ref(), &mut buffer) {
                Ok(0) => self.end(job),
                Ok(len) => self.pass(&buffer[..len], job),
                Err(rustix::io::Errno::INTR) => {}
                // Nothing there; or an error, which `poll` meets too.
                Err(_) => return,
            }
        }
    }

    fn pass(&mut self, bytes: &[u8], job: Option<u64>) {
        self.tail.push(bytes);
        match &mut self.to {
            To::Lines(lines) => lines.push(bytes, job),
            To::Stderr(forward) => forward.push(bytes),
        }
    }

    fn end(&mut self, job: Option<u64>) {
        self.has_ended = true;
        if let To::Lines(lines) = &mut self.to {
            lines.finish(job);
        }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}

/// Cuts output into lines.
struct Lines {
    pid: u32,
    stream: OutputStream,
    sink: Sink,
    /// The beginning of a line whose end has not come; at most [`LINE_BYTES_MAX`].
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8], job: Option<u64>) {
        // Ends: each round takes bytes.
        while !bytes.is_empty() {
            // Never an error: a slice has none. And it finds newlines faster than a loop here.
            let _bytes_read = bytes.read_until(b'\n', &mut self.partial);
            let is_whole = self.partial.ends_with(b"\n");
            if is_whole {
                self.partial.pop();
            }
            // Ends: each round makes it shorter.
            while self.partial.len() > LINE_BYTES_MAX {
                self.emit(&self.partial[..LINE_BYTES_MAX], job);
                self.partial.drain(..LINE_BYTES_MAX);
            }
            if is_whole {
                self.emit(&self.partial, job);
                self.partial.clear();
            }
        }
    }

    /// Gives away a last line that has no newline.
    fn finish(&mut self, job: Option<u64>) {
        if !self.partial.is_empty() {
            self.emit(&self.partial, job);
            self.partial.clear();
        }
    }

    fn emit(&self, line: &[u8], job: Option<u64>) {
        let line = OutputLine { pid: self.pid, job, stream: self.stream, line };
        contain_drop(|| (self.sink)(line));
    }
}

/// Writes what the workers of a pool say to this process's standard error, which may be a pipe that
/// nobody reads.
///
/// On a thread of its own that nobody waits for, not even the end of the runtime. It is started when
/// there is something to write, and ends when there is not.
///
/// ```text
///   Forward::push ──► waiting ──► Forwarder::write ──► standard error
/// ```
pub(crate) struct Forwarder {
    driver: crate::primitive::Arc<Driver>,
    state: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Bytes that ever came, and that are written; lost ones count as written.
    pushed: u64,
    written: u64,
    /// A thread has been given some bytes and will look again.
    is_writing: bool,
    /// Who waits for room, or for the end.
    wakers: Vec<Waker>,
}

/// What one worker has to say.
struct Forward {
    to: Arc<Forwarder>,
    /// What [`Waiting::written`] is when all of it is written.
    end: u64,
}

impl Waiting {
    fn wait(&mut self, waker: &Waker) {
        // It is a task's waker, whose clone is ours.
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }
}

impl Forwarder {
    pub(crate) fn new(handle: &Handle) -> Arc<Self> {
        let driver = crate::primitive::Arc::clone(handle.driver());
        Arc::new(Self { driver, state: Mutex::default() })
    }

    fn start_writing(self: &Arc<Self>) {
        let to = Arc::clone(self);
        let thread = thread::Builder::new().name("tenter-stderr".to_owned());
        if thread.stack_size(STACK_BYTES).spawn(move || to.write()).is_err() {
            // There is no thread to be had: what waits is lost.
            let mut state = self.state.lock();
            state.bytes.clear();
            state.written = state.pushed;
            state.is_writing = false;
            let wakers = mem::take(&mut state.wakers);
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Writes what waits, and what has come to wait meanwhile.
    fn write(self: Arc<Self>) {
        // Ends: when nobody says anything for the time of a write.
        loop {
            let mut state = self.state.lock();
            state.written = state.pushed - state.bytes.len() as u64;
            let bytes = mem::take(&mut state.bytes);
            state.is_writing = !bytes.is_empty();
            let wakers = mem::take(&mut state.wakers);
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
            if bytes.is_empty() {
                return;
            }
            // Standard error that is closed or full is nothing to tell anyone about.
            let _ = io::stderr().lock().write_all(&bytes);
        }
    }
}

impl Forward {
    /// Waits until there is room for more.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.to.state.lock();
        if state.bytes.len() < WAITING_BYTES_MAX {
            return Poll::Ready(());
        }
        // LIVENESS: under the lock, which `write` takes to empty `bytes` and to find the waker.
        state.wait(cx.waker());
        Poll::Pending
    }

    /// Waits until nothing is left to write.
    fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.to.state.lock();
        if state.written >= self.end {
            return Poll::Ready(());
        }
        // LIVENESS: under the lock, which `write` takes to say how far it is.
        state.wait(cx.waker());
        Poll::Pending
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut state = self.to.state.lock();
        state.bytes.extend_from_slice(bytes);
        state.pushed += bytes.len() as u64;
        self.end = state.pushed;
        if !mem::replace(&mut state.is_writing, true) {
            drop(state);
            self.to.start_writing();
        }
    }
}

/// The last bytes that came.
#[derive(Default)]
struct Tail {
    /// Up to twice [`TAIL_BYTES_MAX`], so that it is seldom moved.
    bytes: Vec<u8>,
    /// The first of `bytes` is not the first of a line.
    is_cut: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let part = &bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..];
        self.is_cut |= part.len() < bytes.len();
        if part.len() < bytes.len() {
            self.bytes.clear();
        }
        self.bytes.extend_from_slice(part);
        if self.bytes.len() > 2 * TAIL_BYTES_MAX {
            self.bytes.drain(..self.bytes.len() - TAIL_BYTES_MAX);
            self.is_cut = true;
        }
    }

    /// The last lines as text, without a newline at the end.
    fn to_text(&self) -> String {
        let bytes = &self.bytes[self.bytes.len().saturating_sub(TAIL_BYTES_MAX)..];
        let is_cut = self.is_cut || bytes.len() < self.bytes.len();
        let text = String::from_utf8_lossy(bytes);
        let mut text = text.trim_end();
        if let Some((_, whole)) = text.split_once('\n').filter(|_| is_cut) {
            text = whole;
        }
        // Replacement characters are longer than what they replace.
        let mut start = text.len().saturating_sub(TAIL_BYTES_MAX);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        let text = &text[start..];
        match text.rmatch_indices('\n').nth(TAIL_LINES_MAX - 1) {
            Some((newline, _)) => text[newline + 1..].to_owned(),
            None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    type Seen = Arc<Mutex<Vec<(Option<u64>, Vec<u8>)>>>;

    fn captured(seen: &Seen) -> (OwnedFd, Capture) {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let seen = Arc::clone(seen);
        let sink: Sink = Arc::new(move |line: OutputLine<'_>| {
            seen.lock().push((line.job, line.line.to_vec()));
            assert_ne!(line.line, b"panic");
        });
        let (output, forwarder) = (Output::Capture(sink), Forwarder::new(&Handle::current()));
        let capture = Capture::new(reader, 7, OutputStream::Stderr, &output, &forwarder);
        let capture = capture.expect("a pipe");
        (writer, capture)
    }

    #[test]
    fn lines_come_whole_with_the_job_that_was_on() {
        let seen = Seen::default();
        crate::runtime::run(async {
            let (writer, mut capture) = captured(&seen);
            rustix::io::write(&writer, b"one\npanic\nthr").unwrap();
            capture.catch_up(Some(1));
            rustix::io::write(&writer, b"ee\n\nlast").unwrap();
            drop(writer);
            poll_fn(|cx| capture.poll(cx, Some(2))).await;
            poll_fn(|cx| capture.poll(cx, None)).await;
            assert_eq!(capture.tail(), "one\npanic\nthree\n\nlast");
        })
        .unwrap();
        let expected = [(1, "one"), (1, "panic"), (2, "three"), (2, ""), (2, "last")];
        let expected = expected.map(|(job, line)| (Some(job), line.as_bytes().to_vec()));
        assert_eq!(*seen.lock(), expected);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let seen = Seen::default();
        crate::runtime::run(async {
            let (writer, mut capture) = captured(&seen);
            let writing = crate::runtime::spawn_blocking(move || {
                let mut writer = std::fs::File::from(writer);
                writer.write_all(&[b'x'; 3 * LINE_BYTES_MAX + 1]).unwrap();
                writer.write_all(b"\n").unwrap();
                writer.write_all(&[b'y'; LINE_BYTES_MAX]).unwrap();
                writer.write_all(b"\nz\n").unwrap();
            });
            poll_fn(|cx| capture.poll(cx, None)).await;
            writing.await.unwrap();
        })
        .unwrap();
        let lengths: Vec<_> = seen.lock().iter().map(|(_, line)| line.len()).collect();
        assert_eq!(lengths, [[LINE_BYTES_MAX; 3].as_slice(), &[1, LINE_BYTES_MAX, 1]].concat());
    }

    #[test]
    fn what_a_dead_worker_left_is_passed_on_without_waiting() {
        let seen = Seen::default();
        crate::runtime::run(async {
            let (writer, mut capture) = captured(&seen);
            // A grandchild still has the other end.
            rustix::io::write(&writer, b"one\ntwo").unwrap();
            capture.drain(None);
            assert_eq!(capture.tail(), "one\ntwo");
        })
        .unwrap();
        assert_eq!(seen.lock().len(), 2);
    }

    #[test]
    fn the_tail_is_the_last_whole_lines() {
        let mut tail = Tail::default();
        assert_eq!(tail.to_text(), "");
        for number in 0..100 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        let text = tail.to_text();
        assert_eq!(text.lines().count(), TAIL_LINES_MAX);
        assert!(text.starts_with("line 80\n") && text.ends_with("line 99"), "{text}");
        // Invalid text grows three times when it is replaced.
        tail.push(&[0xff; 10_000]);
        assert!(tail.to_text().len() <= TAIL_BYTES_MAX);
        tail.push(&[b'x'; 3000]);
        tail.push(b"\nwhole\n");
        tail.push(&[b'x'; 3000]);
        assert!(tail.to_text().starts_with("whole\nxxx"));
        assert!(tail.bytes.len() <= 2 * TAIL_BYTES_MAX);
    }
}
