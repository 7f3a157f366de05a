//! A worker's end of the socket, shared by its main thread and by those that jobs start.
//!
//! There is no thread that reads. Whoever needs to know something reads, under the reader's lock:
//! the main loop for its next job, a job that was asked to look, or that cannot go on before the
//! pool says so. Jobs that are met on the way wait in a queue for the main loop.
//!
//! Whoever holds the reader's lock may take the writer's, and nobody takes them the other way
//! round. The pool always reads, so a write that blocks ends.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::process::{Pid, Signal, getpid, kill_process};

use super::receiver::{Received, Receiver, Wait};
use crate::jobs::codec::Body;
use crate::jobs::frame::{self, CREDIT_START, Config, Header, INLINE_MAX, Kind, Panic};
use crate::jobs::registry::{self, Entry};
use crate::jobs::slab::Slab;
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::primitive::lock::Mutex;

/// Room in the writer's buffer that is kept from one frame to the next.
const BUFFER_KEPT: usize = 16 * 1024;

/// This worker's end, from its configuration on.
static LINK: OnceLock<Link> = OnceLock::new();

/// A worker's end of the socket.
#[derive(Debug)]
pub(super) struct Link {
    pid: Pid,
    socket: OwnedFd,
    config: Config,
    reader: Mutex<Reader>,
    writer: Mutex<Writer>,
    /// Whether the job that runs was asked to stop.
    is_cancelled: AtomicBool,
    /// Items that the job which runs may still emit.
    credit: AtomicU64,
    /// Bits of the newest progress of the job which runs, if it was not sent; else a NaN's.
    progress: AtomicU64,
}

#[derive(Debug)]
struct Reader {
    receiver: Receiver,
    /// Jobs that were sent ahead.
    queue: VecDeque<Assigned>,
    /// The job that runs, or ran last.
    job: Option<u64>,
    slab: Option<Slab>,
    /// Whether the pool still has to copy a body of ours out of the slab.
    is_slab_lent: bool,
    /// Whether nothing comes any more.
    is_ended: bool,
}

#[derive(Debug)]
struct Writer {
    buffer: Vec<u8>,
    /// The job that runs: nothing is sent for one that has been answered.
    job: Option<Current>,
}

/// The job that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    id: u64,
    /// Which function it is.
    pub(super) entry: &'static Entry,
}

/// A job to run.
#[derive(Debug)]
pub(super) struct Assigned {
    id: u64,
    /// Which function it is.
    pub(super) entry: &'static Entry,
    /// Its arguments.
    pub(super) body: Body,
    is_cancelled: bool,
}

/// What a job came to.
#[derive(Debug)]
pub(super) enum Reply {
    /// It returned this.
    Done(Body),
    /// It returned, or emitted, something of so many bytes.
    TooLarge(u64),
    /// Its arguments or what it returned or emitted could not be coded, and why.
    Refused(String),
    /// It panicked.
    Panicked(Panic),
}

/// Whether the system took a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Sent {
    /// All of it.
    All,
    /// Nothing: the socket is full.
    Nothing,
}

/// Bits that are no progress.
fn no_progress() -> u64 {
    f64::NAN.to_bits()
}

impl Link {
    /// The link of this process, if it is a worker.
    pub(super) fn get() -> Option<&'static Self> {
        LINK.get()
    }

    /// Makes this process a worker at the other end of `socket`, which blocks.
    pub(super) fn set(socket: OwnedFd, config: Config, receiver: Receiver) -> &'static Self {
        LINK.get_or_init(|| Self {
            pid: getpid(),
            socket,
            config,
            reader: Mutex::new(Reader {
                receiver,
                queue: VecDeque::new(),
                job: None,
                slab: None,
                is_slab_lent: false,
                is_ended: false,
            }),
            writer: Mutex::new(Writer { buffer: Vec::new(), job: None }),
            is_cancelled: AtomicBool::new(false),
            credit: AtomicU64::new(0),
            progress: AtomicU64::new(no_progress()),
        })
    }

    /// The socket, for whoever only watches it.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What the pool told this worker first.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The job that runs.
    pub(super) fn current(&self) -> Option<Current> {
        self.writer.lock().job
    }

    /// Waits for the next job and makes it the one that runs; `None` at the end.
    pub(super) fn next(&self) -> Option<Assigned> {
        let mut reader = self.reader.lock();
        // Ends: with a job, or with the socket.
        let job = loop {
            match reader.queue.pop_front() {
                Some(job) => break job,
                None if reader.is_ended => return None,
                None => self.read(&mut reader, Wait::Block),
            }
        };
        reader.job = Some(job.id);
        // Under the reader's lock, like everything that adds to them.
        self.is_cancelled.store(job.is_cancelled, Ordering::Relaxed);
        self.credit.store(CREDIT_START, Ordering::Relaxed);
        self.progress.store(no_progress(), Ordering::Relaxed);
        drop(reader);
        self.writer.lock().job = Some(Current { id: job.id, entry: job.entry });
        Some(job)
    }

    /// Sends what the job that runs came to. From now on none runs.
    pub(super) fn reply(&self, reply: Reply) {
        if getpid() != self.pid {
            // A child that the job has forked, and that came back from it: not its to answer.
            let _ = kill_process(getpid(), Signal::KILL);
        }
        let Some(Current { id, .. }) = self.current() else { return };
        let max = self.config.max_message;
        let sent = match reply {
            Reply::Done(body) if body.wire_len() as u64 <= max => {
                return self.send_body(Kind::Done, id, &body);
            }
            Reply::Done(body) => self.send_too_large(id, body.wire_len() as u64),
            Reply::TooLarge(bytes) => self.send_too_large(id, bytes),
            Reply::Refused(why) => self.send_of(Kind::Refused, id, |out| {
                frame::encode_text(Kind::Refused, id, &why, out);
            }),
            Reply::Panicked(panic) => self.send_of(Kind::Panicked, id, |out| {
                frame::encode_message(Kind::Panicked, id, &panic, out);
            }),
        };
        debug_assert!(sent, "job {id} was answered twice");
    }

    fn send_too_large(&self, id: u64, extra: u64) -> bool {
        self.send_of(Kind::TooLarge, id, |out| {
            frame::encode(&Header { id, extra, ..Header::new(Kind::TooLarge) }, out);
        })
    }

    /// Sends an item of the job that runs; waits for credit, and for the slab if it is large.
    pub(super) fn emit(&self, job: Current, item: &Body) {
        self.take_credit();
        self.send_body(Kind::Item, job.id, item);
    }

    /// Tells how far the job that runs is, if that is due and has not to wait: else it may still be
    /// told together with the reply.
    pub(super) fn tell_progress(&self, fraction: f64, is_due: bool) {
        let bits = fraction.to_bits();
        if is_due && self.try_send_progress(bits) == Sent::All {
            self.progress.store(no_progress(), Ordering::Relaxed);
        } else {
            self.progress.store(bits, Ordering::Relaxed);
        }
    }

    /// Whether the job that runs was asked to stop, as far as is known.
    pub(super) fn is_cancelled(&self) -> bool {
        // Relaxed: it is a flag, and says nothing of other memory.
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Reads what the pool has said meanwhile, unless another thread does.
    pub(super) fn look(&self) {
        let Some(mut reader) = self.reader.try_lock() else { return };
        if !reader.is_ended {
            self.read(&mut reader, Wait::Never);
        }
    }

    fn take_credit(&self) {
        let take = || {
            let less = |credit: u64| credit.checked_sub(1);
            // Relaxed: a counter; the items are ordered by the writer's lock.
            self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
        };
        // Ends: with credit, or with the process.
        while !take() {
            let mut reader = self.reader.lock();
            // Another thread may have read of some meanwhile.
            if self.credit.load(Ordering::Relaxed) == 0 {
                self.read_or_end(&mut reader);
            }
        }
    }

    fn send_body(&self, kind: Kind, id: u64, body: &Body) {
        let len = body.wire_len();
        if len <= INLINE_MAX {
            let _ = self.send_of(kind, id, |out| {
                frame::encode(&Header { id, len: len as u32, ..Header::new(kind) }, out);
                body.segments().for_each(|segment| out.extend_from_slice(segment));
            });
            return;
        }
        let mut reader = self.reader.lock();
        let slab = self.free_slab(&mut reader, len);
        let mut offset = 0;
        for segment in body.segments() {
            slab.write(offset, segment);
            offset += segment.len();
        }
        // What is not sent is not copied out either.
        reader.is_slab_lent = self.send_of(kind, id, |out| {
            frame::encode_in_slab(&Header { id, ..Header::new(kind) }, len as u64, out);
        });
    }

    /// Waits until the slab may be written, and is long enough.
    fn free_slab<'a>(&self, reader: &'a mut Reader, len: usize) -> &'a mut Slab {
        let fits = |reader: &Reader| reader.slab.as_ref().is_some_and(|slab| len <= slab.len());
        // Ends: the pool copies everything out.
        while reader.is_slab_lent {
            self.read_or_end(reader);
        }
        if !fits(reader) {
            reader.slab = None;
            let extra = len as u64;
            let mut request = Vec::new();
            frame::encode(&Header { extra, ..Header::new(Kind::NeedSlab) }, &mut request);
            send_all(self.socket(), &request);
        }
        // Ends: the pool answers with a slab, or the socket ends.
        while reader.slab.is_none() {
            self.read_or_end(reader);
        }
        if !fits(reader) {
            fail("it was given too little shared memory");
        }
        reader.slab.as_mut().unwrap_or_else(|| fail("its shared memory is gone"))
    }

    /// Sends a frame of the job that runs, unless that is not `id` any more; whether it did. From
    /// its last frame on, none runs.
    fn send_of(&self, kind: Kind, id: u64, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut writer = self.writer.lock();
        if writer.job.is_none_or(|job| job.id != id) {
            return false;
        }
        let Writer { buffer, job } = &mut *writer;
        if kind != Kind::Item {
            *job = None;
            let bits = self.progress.swap(no_progress(), Ordering::Relaxed);
            if !f64::from_bits(bits).is_nan() {
                encode_progress(id, bits, buffer);
            }
        }
        encode(buffer);
        send_all(self.socket(), buffer);
        buffer.clear();
        buffer.shrink_to(BUFFER_KEPT);
        true
    }

    fn try_send_progress(&self, bits: u64) -> Sent {
        // Whoever writes at this moment may be waiting for room.
        let Some(writer) = self.writer.try_lock() else { return Sent::Nothing };
        let Some(Current { id, .. }) = writer.job else { return Sent::All };
        let mut bytes = Vec::with_capacity(frame::HEADER_LEN);
        encode_progress(id, bits, &mut bytes);
        match send(&self.socket, &bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            // The rest of a frame that was begun has to follow, under the same lock.
            Ok(sent) => send_all(self.socket(), &bytes[sent..]),
            Err(Errno::AGAIN | Errno::INTR) => return Sent::Nothing,
            Err(_) => gone(),
        }
        Sent::All
    }

    /// Reads once, or ends the process where nothing comes any more.
    fn read_or_end(&self, reader: &mut Reader) {
        self.read(reader, Wait::Block);
        if reader.is_ended {
            process::exit(0);
        }
    }

    /// Reads once and does what the frames say.
    fn read(&self, reader: &mut Reader, wait: Wait) {
        match reader.receiver.receive(self.socket(), wait) {
            Ok(Received::Bytes) => {}
            Ok(Received::Nothing) => return,
            Ok(Received::End) => reader.is_ended = true,
            Err(error) => fail(error),
        }
        if let Err(error) = self.accept(reader) {
            fail(error);
        }
    }

    /// Takes every frame that is there.
    fn accept(&self, reader: &mut Reader) -> io::Result<()> {
        let Reader { receiver, queue, job, slab, is_slab_lent, .. } = reader;
        while let Some(frame) = receiver.decoder.next().map_err(io::Error::other)? {
            let Header { kind, id, extra, .. } = frame.header;
            let is_current = *job == Some(id);
            match kind {
                Kind::Run => queue.push_back(Assigned {
                    id,
                    entry: find(extra)?,
                    body: read_body(frame, slab.as_ref())?,
                    is_cancelled: false,
                }),
                Kind::Cancel if is_current => self.is_cancelled.store(true, Ordering::Relaxed),
                Kind::Cancel => {
                    for ahead in queue.iter_mut().filter(|ahead| ahead.id == id) {
                        ahead.is_cancelled = true;
                    }
                }
                Kind::Credit if is_current => {
                    self.credit.fetch_add(extra, Ordering::Relaxed);
                }
                // The job had ended before its items were read.
                Kind::Credit => {}
                Kind::Slab => *slab = Some(Slab::open(receiver.descriptor()?)?),
                Kind::SlabFree => *is_slab_lent = false,
                _ => return Err(io::Error::other(format!("{kind:?} is out of place"))),
            }
        }
        Ok(())
    }
}

fn find(index: u64) -> io::Result<&'static Entry> {
    let entry = u32::try_from(index).ok().and_then(registry::entry);
    entry.ok_or_else(|| io::Error::other(format!("there is no job {index}")))
}

/// Copies a body out of its frame, or out of the slab.
fn read_body(frame: frame::Frame<'_>, slab: Option<&Slab>) -> io::Result<Body> {
    let body = match frame.slab_len() {
        None => Body::from_bytes(frame.payload),
        Some(len) => {
            let slab = slab.filter(|slab| len <= slab.len() as u64);
            let slab = slab.ok_or_else(|| io::Error::other("a body beyond the slab"))?;
            Body::read(len as usize, &mut |range, out| {
                slab.read_to(range.start, range.len(), out);
            })
        }
    };
    body.map_err(|error| io::Error::other(error.to_string()))
}

fn encode_progress(id: u64, bits: u64, out: &mut Vec<u8>) {
    frame::encode(&Header { id, extra: bits, ..Header::new(Kind::Progress) }, out);
}

/// Sends all of `bytes`; ends the process if the pool is gone.
pub(super) fn send_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) {
    // Ends: each call takes some, is interrupted once, or fails.
    while !bytes.is_empty() {
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(_) => gone(),
        }
    }
}

/// Ends a worker that nobody listens to.
fn gone() -> ! {
    process::exit(1)
}

/// Ends a worker that cannot go on, and says why where the pool will find it.
pub(super) fn fail(why: impl Display) -> ! {
    eprintln!("a worker had to end: {why}");
    process::exit(1)
}
