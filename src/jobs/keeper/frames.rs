//! What a worker says, frame by frame.

use std::io;
use std::task::Poll;
use std::time::Instant;

use crate::primitive::lock::Mutex;
use crate::primitive::{Arc, contain_drop};

use super::{End, Seen, Worker};
use crate::jobs::codec::{self, Body};
use crate::jobs::dispatch::{Batch, Doom, Link as _, NoCredit, NotRunning};
use crate::jobs::error::{JobError, SpawnError};
use crate::jobs::frame::{self, Failure, Frame, Header, Hello, Kind, Malformed, Panic};
use crate::jobs::link::{self, Lent, Link, on_a_thread};
use crate::jobs::pool::Processes;
use crate::jobs::registry;

/// Items that are taken before the worker is told of as many more.
pub(crate) const CREDIT_BATCH: u64 = 16;

/// A large body on its way out of the slab.
pub(super) struct Copying {
    /// Of the frame that it belongs to.
    header: Header,
    lent: Lent,
    body: Arc<Mutex<Option<Result<Body, String>>>>,
}

/// The copying of a body, which is done when this is dropped: by a thread of its own, or where none
/// can be had, at once.
struct Read {
    lent: Lent,
    link: Arc<Link>,
    body: Arc<Mutex<Option<Result<Body, String>>>>,
}

impl Drop for Read {
    fn drop(&mut self) {
        let body = self.lent.read();
        *self.body.lock() = Some(body);
        self.link.nudge();
    }
}

/// What a worker did that no worker does.
pub(super) struct Lost(pub(super) String);

impl From<codec::Malformed> for Lost {
    fn from(malformed: codec::Malformed) -> Self {
        Lost(malformed.to_string())
    }
}

impl From<Malformed> for Lost {
    fn from(malformed: Malformed) -> Self {
        Lost(malformed.to_string())
    }
}

impl From<NoCredit> for Lost {
    fn from(_: NoCredit) -> Self {
        Lost("it sent more items than it was allowed".to_owned())
    }
}

impl From<NotRunning> for Lost {
    fn from(_: NotRunning) -> Self {
        Lost("it spoke of a job that it does not run".to_owned())
    }
}

/// What each frame means.
impl Worker {
    pub(super) fn take_frame(
        &mut self,
        frame: &Frame<'_>,
        batch: &mut Batch<'_, Processes>,
        seen: &Seen<'_>,
    ) -> Result<(), Lost> {
        let Header { kind, id, extra, .. } = frame.header;
        if !self.is_ready {
            return self.take_greeting(frame, seen);
        }
        match kind {
            Kind::Done | Kind::Item => {
                let is_item = kind == Kind::Item;
                if is_item || frame.header.slab {
                    // Before anything is copied for a job that it does not run, or that has no
                    // items.
                    let job = seen.pool.running(seen.key, id)?;
                    if is_item && !job.payload().emits {
                        return Err(Lost("it sent an item of a job that has none".to_owned()));
                    }
                }
                match self.body(frame, seen)? {
                    Some(body) => self.take_body(&frame.header, body, batch, seen),
                    None => Ok(()),
                }
            }
            Kind::Panicked => {
                let Panic { message, location, backtrace } = frame.message()?;
                let error = JobError::Panicked { message, location, backtrace };
                self.finish(id, Err(error), batch)
            }
            Kind::Refused => {
                let error = JobError::Codec { message: frame.text() };
                self.finish(id, Err(error), batch)
            }
            Kind::TooLarge => {
                let limit = seen.settings().max_message as u64;
                let error = JobError::TooLarge { bytes: extra, limit };
                self.finish(id, Err(error), batch)
            }
            Kind::NeedSlab => {
                let max = seen.settings().max_message;
                let len = usize::try_from(extra).ok().filter(|len| *len <= max);
                let len = len.ok_or_else(|| Lost("it asked for too much memory".to_owned()))?;
                seen.head_id().ok_or(NotRunning)?;
                seen.link.grow_slab(len).map_err(|error| Lost(format!("no memory: {error}")))
            }
            Kind::Progress => {
                let job = seen.pool.running(seen.key, id)?;
                if let Some(progress) = &job.payload().options.progress {
                    contain_drop(|| progress(f64::from_bits(extra)));
                }
                Ok(())
            }
            _ => Err(Lost("it greeted again".to_owned())),
        }
    }

    /// The first frame: it is ready, or says why not.
    fn take_greeting(&mut self, frame: &Frame<'_>, seen: &Seen<'_>) -> Result<(), Lost> {
        match frame.header.kind {
            Kind::Hello => {
                let hello: Hello = frame.message()?;
                if hello.version != frame::VERSION || hello.digest != registry::digest() {
                    self.give_up(SpawnError::DifferentBuild, seen);
                    return Ok(());
                }
                self.is_ready = true;
                let now = Instant::now();
                // Its age counts from here: a worker that takes longer to start than it may live
                // has its turn as well.
                self.clock.born = now;
                seen.pool.ready(seen.key, now);
                self.look_at_clock(seen, now);
                Ok(())
            }
            Kind::Failed => {
                let trouble = match frame.message()? {
                    Failure::DifferentBuild => SpawnError::DifferentBuild,
                    Failure::Init(message) => SpawnError::Init { message },
                    Failure::Text(text) => SpawnError::from(io::Error::other(text)),
                };
                self.give_up(trouble, seen);
                Ok(())
            }
            _ => Err(Lost("it did not greet".to_owned())),
        }
    }

    /// Kills a worker that has lost its mind. Nothing that it says from here on counts.
    pub(super) fn lose(&mut self, Lost(message): Lost, seen: &Seen<'_>, now: Instant) {
        if self.is_ready {
            self.end = Some(End::Clean);
            seen.pool.doom(seen.key, Doom::Protocol(message), now);
        } else {
            let message = format!("it sent what no worker sends: {message}");
            self.give_up(io::Error::new(io::ErrorKind::InvalidData, message).into(), seen);
        }
    }

    /// Kills a worker that is not going to be ready.
    pub(super) fn give_up(&mut self, trouble: SpawnError, seen: &Seen<'_>) {
        self.trouble = Some(trouble);
        self.end = Some(End::Clean);
        seen.link.kill();
    }

    fn finish(
        &mut self,
        id: u64,
        end: Result<Body, JobError>,
        batch: &mut Batch<'_, Processes>,
    ) -> Result<(), Lost> {
        self.stdout.iter_mut().for_each(|stdout| stdout.catch_up(Some(id)));
        self.stderr.catch_up(Some(id));
        if let Some(job) = batch.finish(id, end.is_ok(), Instant::now())? {
            self.replies.push((job, end));
        }
        Ok(())
    }

    /// The body of a frame, copied out of wherever it lies; `None` if that takes a while.
    fn body(&mut self, frame: &Frame<'_>, seen: &Seen<'_>) -> Result<Option<Body>, Lost> {
        let Some(len) = frame.slab_len() else {
            link::add(&seen.pool.host().traffic.inline, frame.payload.len());
            return Ok(Some(Body::from_bytes(frame.payload)?));
        };
        let lent = seen.link.lend_slab(len, seen.settings().max_message).map_err(Lost)?;
        if lent.is_large() && !self.is_draining {
            let read =
                Read { lent: lent.clone(), link: Arc::clone(seen.link), body: Arc::default() };
            let body = Arc::clone(&read.body);
            self.copying = Some(Copying { header: frame.header, lent, body });
            on_a_thread(move || drop(read));
            return Ok(None);
        }
        let body = lent.read();
        seen.link.return_slab(lent);
        body.map(Some).map_err(Lost)
    }

    /// Waits for the body that is being copied, if there is one, and takes it.
    pub(super) fn poll_copy(&mut self, seen: &Seen<'_>) -> Poll<()> {
        let Some(copying) = &self.copying else { return Poll::Ready(()) };
        // LIVENESS: the waker was left with the link before this look; who stores the body nudges
        // the link after it.
        let Some(body) = copying.body.lock().take() else { return Poll::Pending };
        let Some(Copying { header, lent, .. }) = self.copying.take() else {
            return Poll::Ready(());
        };
        seen.link.return_slab(lent);
        let mut batch = seen.pool.batch(seen.key);
        let body = body.map_err(Lost);
        let taken = body.and_then(|body| self.take_body(&header, body, &mut batch, seen));
        self.conclude(batch, taken, seen);
        Poll::Ready(())
    }

    fn take_body(
        &mut self,
        header: &Header,
        body: Body,
        batch: &mut Batch<'_, Processes>,
        seen: &Seen<'_>,
    ) -> Result<(), Lost> {
        match header.kind {
            Kind::Done => self.finish(header.id, Ok(body), batch),
            _ => self.take_item(header.id, body, seen),
        }
    }

    fn take_item(&mut self, id: u64, body: Body, seen: &Seen<'_>) -> Result<(), Lost> {
        let job = seen.pool.running(seen.key, id)?;
        if seen.link.is_overfull() {
            return Err(Lost("it does not read what it is told".to_owned()));
        }
        if job.payload().wants_items {
            return Ok(job.push_item(body)?);
        }
        job.take_credit()?;
        if self.untold.0 != id {
            self.untold = (id, 0);
        }
        self.untold.1 += 1;
        if self.untold.1 == CREDIT_BATCH {
            self.untold.1 = 0;
            job.add_credit(CREDIT_BATCH);
            seen.link.append(|bytes| push_credit(id, CREDIT_BATCH, bytes));
        }
        Ok(())
    }

    /// Replaces the worker if it has grown too large.
    pub(super) fn weigh(&mut self, seen: &Seen<'_>, now: Instant) {
        let Some(max) = seen.settings().max_rss else { return };
        if !self.clock.is_worn && self.process.rss().is_ok_and(|rss| rss > max) {
            self.clock.is_worn = true;
            seen.pool.wear_out(seen.key, now);
        }
    }
}

/// Tells a worker that it may send more items.
pub(crate) fn push_credit(id: u64, extra: u64, bytes: &mut Vec<u8>) {
    frame::encode(&Header { id, extra, ..Header::new(Kind::Credit) }, bytes);
}
