//! The writing side of one worker: frames in the order in which the worker got its jobs, and as
//! much of them as its socket takes at once.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, Waker};
use std::thread;

use rustix::io::retry_on_intr;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};

use crate::driver::Direction;
use crate::io::Async;
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::{Mutex, MutexGuard};
use crate::primitive::{Arc, PlainCounter, contain_drop};

use super::codec::Body;
use super::dispatch;
use super::frame::{self, Header, INLINE_MAX, Kind};
use super::process::{Killed, Leash};
use super::request::Request;
use super::slab::Slab;

type Job = dispatch::Job<Request>;

/// Bytes that are gathered for one write, about.
const WRITE_BYTES: usize = 64 * 1024;

/// Bytes that a worker may leave unread; two jobs and some.
const UNREAD_BYTES_MAX: usize = 4 * WRITE_BYTES;

/// Stack of a thread that copies, for a debug build too.
const STACK_BYTES: usize = 128 * 1024;

/// Bytes of a body that are copied to or from the slab where they are needed. More are copied by a
/// thread of its own: memory that was never touched takes a millisecond for a few MiB.
const COPY_BYTES_MAX: usize = 2 << 20;

/// A worker, as everybody but its keeper reaches it.
pub(crate) struct Link {
    leash: Arc<Leash>,
    outbox: Mutex<Outbox>,
    keeper: Mutex<Option<Waker>>,
    is_nudged: AtomicBool,
}

/// What is on its way to the worker.
struct Outbox {
    traffic: Arc<Traffic>,
    /// `None` before the worker is there, and when it is gone.
    socket: Option<Arc<Async<UnixStream>>>,
    /// Frames that the socket has not taken; `written` bytes of the first are gone.
    bytes: Vec<u8>,
    written: usize,
    /// Descriptors, each with the place in `bytes` that it goes with.
    descriptors: VecDeque<(usize, OwnedFd)>,
    /// `None` also while a large body is copied.
    slab: Option<Arc<Slab>>,
    /// A job's body is being copied to the slab, and its frame is written then.
    is_copying: bool,
    /// Frames of the job that is being copied, to come behind its own.
    behind_copy: Vec<u8>,
    /// Where the last `SlabFree` in `bytes` ends: until that is written the worker has no right to
    /// the slab.
    free_end: usize,
    /// The last frame is a job.
    last_is_job: bool,
    /// A job for which there is no memory to share, and why.
    refused: Option<(u64, io::Error)>,
    /// The worker is to be told that nothing follows.
    is_ending: bool,
}

/// Bytes of bodies that a pool has sent and received.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) inline: PlainCounter,
    pub(crate) slab: PlainCounter,
}

/// Adds to a counter that orders nothing.
pub(crate) fn add(counter: &PlainCounter, bytes: usize) {
    counter.fetch_add(bytes as u64, Ordering::Relaxed);
}

impl Link {
    pub(crate) fn new(traffic: Arc<Traffic>) -> Self {
        Self {
            leash: Arc::default(),
            outbox: Mutex::new(Outbox::new(traffic)),
            keeper: Mutex::new(None),
            is_nudged: AtomicBool::new(false),
        }
    }

    pub(crate) fn leash(&self) -> &Arc<Leash> {
        &self.leash
    }

    /// The worker is there: what is written goes to it.
    pub(crate) fn connect(&self, socket: Arc<Async<UnixStream>>) {
        self.outbox.lock().socket = Some(socket);
    }

    /// The worker is gone. Tells whether a job was the last that was written to it, and whether
    /// part of that is still here.
    pub(crate) fn disconnect(&self) -> Gone {
        let mut outbox = self.outbox.lock();
        outbox.socket = None;
        outbox.slab = None;
        Gone { last_is_job: outbox.last_is_job, is_cut: outbox.has_bytes() || outbox.is_copying }
    }

    /// Has `waker` woken by [`nudge`](dispatch::Link::nudge), from now on.
    pub(crate) fn set_keeper(&self, waker: &Waker) {
        let mut keeper = self.keeper.lock();
        if !keeper.as_ref().is_some_and(|known| known.will_wake(waker)) {
            // It is a task's waker, whose clone and drop are ours.
            *keeper = Some(waker.clone());
        }
    }

    /// Whether there was a nudge since the last time this was asked.
    pub(crate) fn take_nudge(&self) -> bool {
        // ORDERING: Relaxed. The flag only saves the keeper a look under the ledger's lock, which
        // orders what it sees there; the wake that follows the flag orders the flag.
        self.is_nudged.load(Ordering::Relaxed) && self.is_nudged.swap(false, Ordering::Relaxed)
    }

    /// Writes frames that are none of a job.
    ///
    /// [`Kind::Cancel`] and [`Kind::Credit`] are of a job but do not start one.
    pub(crate) fn control(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut outbox = self.outbox.lock();
        if outbox.is_copying {
            write(&mut outbox.behind_copy);
            return;
        }
        outbox.last_is_job = false;
        write(&mut outbox.bytes);
        self.send(outbox);
    }

    /// Appends frames that go with the next write, or with [`Link::push`].
    pub(crate) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut outbox = self.outbox.lock();
        outbox.last_is_job = false;
        write(&mut outbox.bytes);
    }

    /// Whether more waits to be written than jobs can account for: the worker does not read.
    pub(crate) fn is_overfull(&self) -> bool {
        let outbox = self.outbox.lock();
        outbox.bytes.len() - outbox.written > UNREAD_BYTES_MAX
    }

    /// Writes what was appended, if it has not gone with something else.
    pub(crate) fn push(&self) {
        let outbox = self.outbox.lock();
        if outbox.has_bytes() {
            self.send(outbox);
        }
    }

    /// Writes a frame that a descriptor goes with.
    pub(crate) fn control_with(&self, descriptor: OwnedFd, write: impl FnOnce(&mut Vec<u8>)) {
        let mut outbox = self.outbox.lock();
        outbox.last_is_job = false;
        outbox.attach(descriptor);
        write(&mut outbox.bytes);
        self.send(outbox);
    }

    /// Gives the worker memory for bodies of `len` bytes.
    ///
    /// # Errors
    ///
    /// The system has no such memory.
    pub(crate) fn grow_slab(&self, len: usize) -> io::Result<()> {
        let mut outbox = self.outbox.lock();
        outbox.last_is_job = false;
        outbox.grow_slab(len)?;
        self.send(outbox);
        Ok(())
    }

    /// Takes the shared memory, out of which a body of `len` bytes is to be read, `len_max` at most.
    ///
    /// # Errors
    ///
    /// There is no such memory.
    pub(crate) fn lend_slab(&self, len: u64, len_max: usize) -> Result<Lent, String> {
        let mut outbox = self.outbox.lock();
        if outbox.written < outbox.free_end {
            return Err("a body in a slab that it was not given back".to_owned());
        }
        let slab = outbox.slab.take().ok_or("a body in a slab that is not there")?;
        match usize::try_from(len).ok().filter(|len| *len <= slab.len().min(len_max)) {
            Some(len) => {
                add(&outbox.traffic.slab, len);
                Ok(Lent { slab, len })
            }
            None => Err("a body that is longer than it may be".to_owned()),
        }
    }

    /// Gives the shared memory back, which the worker may write again.
    pub(crate) fn return_slab(&self, lent: Lent) {
        let mut outbox = self.outbox.lock();
        if outbox.socket.is_some() {
            outbox.slab = Some(lent.slab);
        }
        outbox.last_is_job = false;
        frame::encode(&Header::new(Kind::SlabFree), &mut outbox.bytes);
        outbox.free_end = outbox.bytes.len();
    }

    /// Takes the job that could not be written for want of memory, if there is one.
    pub(crate) fn take_refused(&self) -> Option<(u64, io::Error)> {
        self.outbox.lock().refused.take()
    }

    /// Tells the worker that nothing follows, when all is written.
    pub(crate) fn end(&self) {
        let mut outbox = self.outbox.lock();
        outbox.is_ending = true;
        self.send(outbox);
    }

    /// Goes on with what the socket did not take, when it can; ready when all is written.
    ///
    /// It says whether there was anything: then there may be jobs that had to wait.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut outbox = self.outbox.lock();
        if !outbox.has_bytes() {
            return Poll::Ready(false);
        }
        let Some(socket) = outbox.socket.clone() else { return Poll::Ready(false) };
        let polled = socket.poll_op(cx, Direction::Write, |socket| outbox.write(socket));
        polled.map(|result| {
            outbox.after(result);
            true
        })
    }

    /// Writes the frame of a job whose body was copied, and what had to wait for it.
    fn copied(&self, job: &Job, slab: Slab) {
        let mut outbox = self.outbox.lock();
        outbox.is_copying = false;
        outbox.push_in_slab(job, slab);
        let behind = std::mem::take(&mut outbox.behind_copy);
        outbox.last_is_job = behind.is_empty();
        outbox.bytes.extend_from_slice(&behind);
        self.send(outbox);
        // There may be jobs behind it.
        dispatch::Link::<Request>::nudge(self);
    }

    /// Writes what the socket takes. What it does not, the keeper goes on with.
    fn send(&self, mut outbox: MutexGuard<'_, Outbox>) {
        // A worker that is gone takes no frames; its keeper will see what it missed.
        let Some(socket) = outbox.socket.clone() else { return };
        let result = socket.try_op(Direction::Write, |socket| outbox.write(socket));
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            drop(outbox);
            dispatch::Link::<Request>::nudge(self);
        } else {
            outbox.after(result);
        }
    }
}

/// A job whose large body is to be copied to the slab. That is done when this is dropped: by a
/// thread of its own, or where none can be had, by whoever finds that out.
struct Copy {
    link: Arc<Link>,
    job: Arc<Job>,
    slab: Option<Slab>,
}

impl Drop for Copy {
    fn drop(&mut self) {
        let Some(mut slab) = self.slab.take() else { return };
        write_slab(&mut slab, &self.job.payload().body);
        self.link.copied(&self.job, slab);
    }
}

/// The shared memory with a body in it.
#[derive(Clone)]
pub(crate) struct Lent {
    slab: Arc<Slab>,
    len: usize,
}

impl Lent {
    /// Whether reading it takes so long that a thread should do it that may block.
    pub(crate) fn is_large(&self) -> bool {
        self.len > COPY_BYTES_MAX
    }

    /// Reads the body.
    pub(crate) fn read(&self) -> Result<Body, String> {
        let Lent { slab, len } = self;
        let body = Body::read(*len, &mut |range, out| slab.read_to(range.start, range.len(), out));
        body.map_err(|malformed| malformed.to_string())
    }
}

/// How far writing had come when the worker went.
pub(crate) struct Gone {
    pub(crate) last_is_job: bool,
    pub(crate) is_cut: bool,
}

impl dispatch::Link<Request> for Link {
    fn flush(this: &Arc<Self>, take: &mut dyn FnMut() -> Option<Arc<Job>>) {
        let mut outbox = this.outbox.lock();
        let mut is_new = false;
        let mut copy = None;
        // J4: what is not taken was never started.
        // Ends: each round takes a job that the worker was given, and it is given a few.
        while outbox.takes_jobs() {
            // Not the last to hold the job, whose drop is the user's: the ledger does until the
            // worker is buried, for which its keeper needs this lock first.
            let Some(job) = take() else { break };
            is_new = true;
            if job.payload().body.wire_len() <= INLINE_MAX {
                outbox.push_inline(&job);
            } else {
                copy = outbox.push_bulky(this, job);
            }
        }
        let is_refused = outbox.refused.is_some();
        if is_new {
            this.send(outbox);
        } else {
            drop(outbox);
        }
        if let Some(copy) = copy {
            // Without the lock, which it takes.
            on_a_thread(move || drop(copy));
        }
        if is_refused {
            dispatch::Link::<Request>::nudge(&**this);
        }
    }

    fn kill(&self) {
        if self.leash.kill() == Killed::Refused {
            // It runs as another user. Without its socket it ends itself.
            if let Some(socket) = &self.outbox.lock().socket {
                let _ = socket.get_ref().shutdown(Shutdown::Both);
            }
        }
        // The keeper may have no process to see dying yet.
        dispatch::Link::<Request>::nudge(self);
    }

    fn nudge(&self) {
        // ORDERING: Relaxed; see `take_nudge`.
        self.is_nudged.store(true, Ordering::Relaxed);
        let waker = self.keeper.lock().clone();
        if let Some(waker) = waker {
            contain_drop(|| waker.wake());
        }
    }
}

/// Does what takes longer than a task's poll should, on a thread of its own: one of those that may
/// block need not come free, if all of them wait for jobs. Without a thread `f` is dropped.
pub(crate) fn on_a_thread(f: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name("tenter-copy".to_owned());
    let _ = thread.stack_size(STACK_BYTES).spawn(f);
}

/// The frame of a job, but for its body.
fn run_header(job: &Job) -> Header {
    Header { id: job.id(), extra: job.payload().index.into(), ..Header::new(Kind::Run) }
}

fn write_slab(slab: &mut Slab, body: &Body) {
    let mut at = 0;
    for segment in body.segments() {
        slab.write(at, segment);
        at += segment.len();
    }
}

impl Outbox {
    fn new(traffic: Arc<Traffic>) -> Self {
        Self {
            traffic,
            socket: None,
            bytes: Vec::new(),
            written: 0,
            descriptors: VecDeque::new(),
            slab: None,
            is_copying: false,
            behind_copy: Vec::new(),
            free_end: 0,
            last_is_job: false,
            refused: None,
            is_ending: false,
        }
    }

    fn has_bytes(&self) -> bool {
        self.written < self.bytes.len()
    }

    fn attach(&mut self, descriptor: OwnedFd) {
        self.descriptors.push_back((self.bytes.len(), descriptor));
    }

    /// Whether another job may be written behind what is here.
    fn takes_jobs(&self) -> bool {
        let is_full = self.bytes.len() - self.written >= WRITE_BYTES;
        // Nothing comes before a job that is still being copied, or one that is about to fail.
        let is_held_up = self.is_copying || self.refused.is_some();
        self.socket.is_some() && !is_full && !is_held_up
    }

    fn push_inline(&mut self, job: &Job) {
        let body = &job.payload().body;
        let len = body.wire_len();
        frame::encode(&Header { len: len as u32, ..run_header(job) }, &mut self.bytes);
        body.segments().for_each(|segment| self.bytes.extend_from_slice(segment));
        add(&self.traffic.inline, len);
        self.last_is_job = true;
    }

    /// Copies a job's body to the slab, and appends its frame; a large one is left to the caller.
    ///
    /// The worker has nothing else: the slab is not in use.
    fn push_bulky(&mut self, link: &Arc<Link>, job: Arc<Job>) -> Option<Copy> {
        let len = job.payload().body.wire_len();
        let grown = self.grow_slab(len);
        let in_use = || io::Error::other("the memory to share is in use");
        let slab =
            grown.and_then(|()| self.slab.take().and_then(Arc::into_inner).ok_or_else(in_use));
        match slab {
            Ok(mut slab) if len <= COPY_BYTES_MAX => {
                write_slab(&mut slab, &job.payload().body);
                self.push_in_slab(&job, slab);
                None
            }
            Ok(slab) => {
                // J4: until its frame is written it was not read.
                self.is_copying = true;
                self.last_is_job = true;
                Some(Copy { link: Arc::clone(link), job, slab: Some(slab) })
            }
            Err(error) => {
                self.refused = Some((job.id(), error));
                self.last_is_job = false;
                None
            }
        }
    }

    /// Appends the frame of a job whose body is in the slab.
    fn push_in_slab(&mut self, job: &Job, slab: Slab) {
        let len = job.payload().body.wire_len();
        self.slab = Some(Arc::new(slab));
        frame::encode_in_slab(&run_header(job), len as u64, &mut self.bytes);
        add(&self.traffic.slab, len);
        self.last_is_job = true;
    }

    /// Makes the slab, or a larger one, if it has not room for `len` bytes.
    fn grow_slab(&mut self, len: usize) -> io::Result<()> {
        if self.slab.as_ref().is_some_and(|slab| slab.len() >= len) {
            return Ok(());
        }
        let (slab, memory) = Slab::create(len)?;
        self.attach(memory);
        let extra = slab.len() as u64;
        frame::encode(&Header { extra, ..Header::new(Kind::Slab) }, &mut self.bytes);
        self.slab = Some(Arc::new(slab));
        Ok(())
    }

    /// Writes until all is gone, the socket is full (`WouldBlock`), or it fails.
    fn write(&mut self, socket: &UnixStream) -> io::Result<()> {
        // Ends: each round writes at least a byte.
        while self.has_bytes() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            let next = self.descriptors.front().map(|(at, _)| *at);
            let sent = if next == Some(self.written) {
                self.write_with_descriptor(socket, flags)?
            } else {
                // Up to where the next descriptor goes.
                let end = next.unwrap_or(self.bytes.len());
                retry_on_intr(|| send(socket, &self.bytes[self.written..end], flags))?
            };
            self.written += sent;
        }
        self.bytes.clear();
        // One large burst shall not weigh for ever.
        self.bytes.shrink_to(4 * WRITE_BYTES);
        self.written = 0;
        self.free_end = 0;
        Ok(())
    }

    /// Writes the frame that the first descriptor goes with, or its beginning, with it.
    fn write_with_descriptor(
        &mut self,
        socket: &UnixStream,
        flags: SendFlags,
    ) -> io::Result<usize> {
        let Some((at, descriptor)) = self.descriptors.front() else { return Ok(0) };
        let end = self.descriptors.get(1).map_or(self.bytes.len(), |(next, _)| *next);
        let descriptors = [descriptor.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fits = control.push(SendAncillaryMessage::ScmRights(&descriptors));
        debug_assert!(fits, "there is room for one descriptor");
        let bytes = [IoSlice::new(&self.bytes[*at..end])];
        let sent = retry_on_intr(|| sendmsg(socket, &bytes, &mut control, flags))?;
        // It went with the first byte.
        self.descriptors.pop_front();
        Ok(sent)
    }

    /// What follows when writing is over, in one way or the other.
    fn after(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => {
                if let Some(socket) = self.socket.as_ref().filter(|_| self.is_ending) {
                    // It fails if the worker has gone already.
                    let _ = socket.get_ref().shutdown(Shutdown::Write);
                }
            }
            // The worker is gone, and its keeper is about to see it. Or the system had no memory for
            // this: then the worker's watchdog finds the socket closed, and kills it with the job
            // that it runs. What is here stays: it tells that the last job was not read.
            Err(_) => {
                if let Some(socket) = self.socket.take() {
                    // It fails if the worker has gone already.
                    let _ = socket.get_ref().shutdown(Shutdown::Both);
                }
            }
        }
    }
}
