//! The task that keeps one worker: starts it, takes what it sends, watches the clock for it, and
//! buries it.
//!
//! Jobs do not pass through here on their way to the worker: who gives a worker a job writes it to
//! the socket. The keeper is awake when the worker has said something, has printed something, or
//! has died, when a deadline has come, and when somebody nudges it.

mod clock;
mod frames;

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

use crate::driver::Direction;
use crate::io::{Async, Interest};
use crate::lifecycle::budget;
use crate::primitive::Arc;
use crate::time::{after, sleep_until, timeout};

use super::builder::{Output, Settings};
use super::codec::Body;
use super::dispatch::{Batch, Death, Dispatch, Key, Link as _, deliver};
use super::error::{JobError, SpawnError};
use super::frame::{self, Config, Decoder, Kind};
use super::link::Link;
use super::output::{Capture, OutputStream};
use super::pool::Processes;
use super::process::{self, Process};
use super::registry;
use super::request::Request;
use super::unread::has_unread;

use clock::Clock;
use frames::{Copying, Lost};

pub(crate) use frames::{CREDIT_BATCH, push_credit};

type Pool = Dispatch<Processes>;
type Job = super::dispatch::Job<Request>;

/// How long a keeper waits until its worker's last words are written.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// Bytes that are taken from a dead worker's socket at most: what it can hold unless somebody
/// still writes to it.
const DRAIN_BYTES_MAX: usize = 4 << 20;

/// Reads of one poll at most: half a megabyte, of which the frames take up to a millisecond.
const READS_MAX: usize = 4;

/// The task's state. Dropped before its time, which is when the runtime ends, it ends the pool.
pub(crate) struct Keeper {
    pool: Arc<Pool>,
    key: Key,
    link: Arc<Link>,
    decoder: Decoder,
    worker: Option<Worker>,
    is_over: bool,
    is_lingering: bool,
}

/// The worker, once it has a process.
struct Worker {
    process: Process,
    pidfd: Async<Arc<OwnedFd>>,
    socket: Arc<Async<UnixStream>>,
    stdout: Option<Capture>,
    stderr: Capture,
    clock: Clock,
    is_ready: bool,
    /// Why it is not going to be ready.
    trouble: Option<SpawnError>,
    /// How its side of the socket has ended.
    end: Option<End>,
    /// The job whose items are taken for nobody, and how many since it was told of more.
    untold: (u64, u64),
    /// A large body that is being copied; nothing is taken from the socket meanwhile.
    copying: Option<Copying>,
    /// The process has ended, and what it has sent is taken without waiting.
    is_draining: bool,
    /// Replies that are to be delivered when the next jobs are on their way.
    replies: Vec<(Arc<Job>, Result<Body, JobError>)>,
}

/// How a worker's side of the socket has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It had read everything.
    Clean,
    /// It had not (Linux: `ECONNRESET`).
    Unread,
}

impl Keeper {
    pub(crate) fn new(pool: Arc<Pool>, key: Key, link: Arc<Link>) -> Self {
        let decoder = Decoder::new(frame::Direction::ToParent);
        Self { pool, key, link, decoder, worker: None, is_over: false, is_lingering: false }
    }

    fn settings(&self) -> &Settings {
        &self.pool.host().settings
    }

    /// The whole life of a worker.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the pool is closed and the worker killed and reaped.
    pub(crate) async fn keep(mut self) {
        let pause = match self.start() {
            Ok(()) => {
                if poll_fn(|cx| self.poll_life(cx)).await.is_err() {
                    // The runtime ends, and with it the pool.
                    return;
                }
                // J4: nothing new for it, then what it had sent, then what it had not read.
                self.pool.dying(self.key);
                poll_fn(|cx| self.poll_copy(cx)).await;
                self.bury()
            }
            Err(error) => {
                self.is_over = true;
                let now = Instant::now();
                self.pool.start_failed(self.key, SpawnError::from(error), false, now)
            }
        };
        if let Some(until) = pause {
            sleep_until(until).await;
            self.pool.start_workers(Instant::now());
        }
        if let Some(Worker { stderr, .. }) = self.worker.take() {
            // Its last words are on their way. Who does not read them is not waited for.
            let _ = timeout(LINGER_MAX, poll_fn(|cx| stderr.poll_written(cx))).await;
        }
    }

    fn start(&mut self) -> io::Result<()> {
        // Half a millisecond, on this thread: others are free to take its tasks, and a thread for
        // what blocks may never be, if those wait for jobs.
        let mut spawned = process::spawn(self.settings(), self.link.leash())?;
        let pid = spawned.process.pid();
        let output = &self.settings().output;
        let forwarder = &self.pool.host().forwarder;
        let capture = |pipe, stream| Capture::new(pipe, pid, stream, output, forwarder);
        let stdout = match spawned.stdout {
            Some(pipe) => Some(capture(pipe, OutputStream::Stdout)?),
            None => None,
        };
        let stderr = capture(spawned.stderr, OutputStream::Stderr)?;
        let socket = Arc::new(Async::new_nonblocking(spawned.socket)?);
        let pidfd = spawned.process.take_pidfd().ok_or(io::ErrorKind::NotFound)?;
        self.link.connect(Arc::clone(&socket));
        self.configure(spawned.stdout_to_send);
        let mut clock = Clock::new();
        clock.wake_by(after(clock.born, self.settings().start_timeout));
        self.worker = Some(Worker {
            process: spawned.process,
            pidfd: Async::new_nonblocking(pidfd)?,
            socket,
            stdout,
            stderr,
            clock,
            is_ready: false,
            trouble: None,
            end: None,
            untold: (0, 0),
            copying: None,
            is_draining: false,
            replies: Vec::new(),
        });
        Ok(())
    }

    /// Tells the worker what it is to be.
    fn configure(&self, stdout: Option<OwnedFd>) {
        let settings = self.settings();
        let config = Config {
            version: frame::VERSION,
            digest: registry::digest(),
            memory_limit: settings.memory_limit,
            niceness: settings.niceness,
            backtrace: settings.backtrace,
            max_message: settings.max_message as u64,
            has_stdout: stdout.is_some(),
        };
        let write = |bytes: &mut Vec<u8>| frame::encode_message(Kind::Config, 0, &config, bytes);
        match stdout {
            Some(stdout) => self.link.control_with(stdout, write),
            None => self.link.control(write),
        }
    }

    /// Does what there is to do; ready when the process has ended, or the runtime does.
    fn poll_life(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // LIVENESS: the waker is left before the ledger is looked at. A nudge that comes later
        // finds it, one that came earlier is seen now.
        self.link.set_keeper(cx.waker());
        let Some(worker) = &mut self.worker else { return Poll::Ready(Ok(())) };
        let seen = Seen { pool: &self.pool, key: self.key, link: &self.link };
        worker.poll_output(cx, &seen);
        worker.take_refused(&seen);
        worker.poll_socket(cx, &mut self.decoder, &seen);
        if self.link.take_nudge() {
            worker.look_again(&seen, Instant::now());
        }
        // Ends: the socket is full, or there is nothing more to write.
        while let Poll::Ready(true) = self.link.poll_write(cx) {
            self.pool.flush(self.key, &self.link);
        }
        worker.poll_clock(cx, &seen);
        worker.pidfd.poll_io(cx, Interest::READABLE, process::check_ended)
    }

    /// Waits for a body that is being copied.
    fn poll_copy(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.set_keeper(cx.waker());
        let Some(worker) = &mut self.worker else { return Poll::Ready(()) };
        let seen = Seen { pool: &self.pool, key: self.key, link: &self.link };
        worker.poll_copy(&seen)
    }

    /// Sees to all that a dead worker leaves; tells how long no other is to be started.
    fn bury(&mut self) -> Option<Instant> {
        let worker = self.worker.as_mut()?;
        let seen = Seen { pool: &self.pool, key: self.key, link: &self.link };
        worker.take_refused(&seen);
        worker.drain(&mut self.decoder, &seen);
        let gone = self.link.disconnect();
        let status = worker.process.reap();
        let job = self.pool.head(self.key).map(|head| head.id);
        worker.stdout.iter_mut().for_each(|stdout| stdout.drain(job));
        worker.stderr.drain(job);
        let (signal, code) = process::signal_and_code(status);
        let stderr = worker.stderr.tail();
        let now = Instant::now();
        self.is_over = true;
        self.is_lingering = true;
        self.pool.linger();
        if worker.is_ready {
            let is_unread = gone.is_cut || worker.end == Some(End::Unread);
            let last_unread = gone.last_is_job && is_unread;
            self.pool.died(self.key, &Death { signal, code, stderr, last_unread }, now);
            None
        } else {
            let exited = SpawnError::Exited { signal, code, stderr };
            let trouble = worker.trouble.take().unwrap_or(exited);
            let is_final = !matches!(trouble, SpawnError::Exited { .. } | SpawnError::Io(_));
            self.pool.start_failed(self.key, trouble, is_final, now)
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if !self.is_over {
            let now = Instant::now();
            // Every worker is killed before any is waited for.
            self.pool.close_now(now);
            self.link.disconnect();
            self.worker = None;
            self.pool.died(self.key, &Death::default(), now);
        }
        if self.is_lingering {
            self.pool.lingered(Instant::now());
        }
    }
}

/// What a keeper sees of the pool.
struct Seen<'a> {
    pool: &'a Arc<Pool>,
    key: Key,
    link: &'a Arc<Link>,
}

impl Seen<'_> {
    fn settings(&self) -> &Settings {
        &self.pool.host().settings
    }

    fn head_id(&self) -> Option<u64> {
        self.pool.head(self.key).map(|head| head.id)
    }
}

impl Worker {
    fn poll_output(&mut self, cx: &mut Context<'_>, seen: &Seen<'_>) {
        let job = match seen.settings().output {
            Output::Forward => None,
            Output::Capture(_) => seen.head_id(),
        };
        // The end of a pipe is not the end of the worker.
        if let Some(stdout) = &mut self.stdout {
            let _ = stdout.poll(cx, job);
        }
        let _ = self.stderr.poll(cx, job);
    }

    /// Takes what the worker has sent.
    fn poll_socket(&mut self, cx: &mut Context<'_>, decoder: &mut Decoder, seen: &Seen<'_>) {
        if self.copying.is_some() {
            if self.poll_copy(seen).is_pending() {
                return;
            }
            self.take_frames(decoder, seen);
        }
        // With another body to copy nothing is read: there may be no room for it.
        if self.end.is_some() || self.copying.is_some() {
            return;
        }
        for _ in 0..READS_MAX {
            if self.end.is_some() {
                break;
            }
            let spare = decoder.spare();
            let asked = spare.len();
            let polled = self.socket.poll_stream(cx, Direction::Read, asked, |socket| {
                Ok(recv(socket, &mut *spare, RecvFlags::DONTWAIT)?.0)
            });
            let Poll::Ready(result) = polled else { return };
            self.received(result, decoder);
            self.take_frames(decoder, seen);
            if self.copying.is_some() {
                return;
            }
        }
        if self.end.is_none() {
            // LIVENESS: a flood leaves some of the budget to the clock, which ends it.
            // Test: tests/jobs_frames `a_flood_that_is_faster_than_its_parent_is_timed_out`.
            return budget::yield_behind_others(cx);
        }
        // Without its socket it is of no use, unless it was told to end.
        if self.clock.end_by.is_none() {
            seen.pool.dying(seen.key);
            seen.link.kill();
        }
    }

    /// Takes what a dead worker had sent.
    fn drain(&mut self, decoder: &mut Decoder, seen: &Seen<'_>) {
        if self.end.is_some() {
            return;
        }
        self.is_draining = true;
        // Those that a body had to be copied for before.
        self.take_frames(decoder, seen);
        let mut left = DRAIN_BYTES_MAX;
        while self.end.is_none() && left > 0 {
            let spare = decoder.spare();
            let result = recv(self.socket.get_ref(), &mut *spare, RecvFlags::DONTWAIT);
            if result == Err(rustix::io::Errno::AGAIN) {
                // Somebody else has its end open: a child that another thread of this process has
                // just forked, until it executes its program.
                if has_unread(self.socket.get_ref()).unwrap_or(false) {
                    self.end = Some(End::Unread);
                }
                return;
            }
            left = left.saturating_sub(*result.as_ref().map_or(&0, |(_, len)| len));
            self.received(result.map(|(len, _)| len).map_err(io::Error::from), decoder);
            self.take_frames(decoder, seen);
        }
    }

    fn received(&mut self, result: io::Result<usize>, decoder: &mut Decoder) {
        match result {
            Ok(len @ 1..) => decoder.advance(len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                self.end = Some(End::Unread);
            }
            Ok(0) | Err(_) => self.end = Some(End::Clean),
        }
    }

    /// Takes the frames that have arrived as a whole.
    fn take_frames(&mut self, decoder: &mut Decoder, seen: &Seen<'_>) {
        let mut batch = seen.pool.batch(seen.key);
        let taken = loop {
            if self.copying.is_some() {
                break Ok(());
            }
            match decoder.next() {
                Ok(Some(frame)) => {
                    if let Err(lost) = self.take_frame(&frame, &mut batch, seen) {
                        break Err(lost);
                    }
                }
                Ok(None) => break Ok(()),
                Err(malformed) => break Err(malformed.into()),
            }
        };
        self.conclude(batch, taken, seen);
    }

    /// Does what follows from what was taken.
    fn conclude(&mut self, batch: Batch<'_, Processes>, taken: Result<(), Lost>, seen: &Seen<'_>) {
        let now = Instant::now();
        if let Err(lost) = taken {
            // Before anything is given out: this worker gets no more.
            self.lose(lost, seen, now);
        }
        // What it gets next is on its way before anybody is woken for what it has done.
        let has_finished = batch.settle(now);
        seen.link.push();
        for (job, end) in self.replies.drain(..) {
            deliver(job, end);
        }
        if has_finished {
            self.weigh(seen, now);
        }
    }
}
