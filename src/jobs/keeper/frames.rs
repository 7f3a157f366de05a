//! What a worker says, frame by frame.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use crate::primitive::contain_drop;
use crate::runtime::spawn_blocking;
use crate::task::JoinHandle;

use super::{End, Seen, Worker};
use crate::jobs::codec::{self, Body};
use crate::jobs::dispatch::{Batch, Doom, NoCredit, NotRunning};
use crate::jobs::error::{JobError, SpawnError};
use crate::jobs::frame::{self, Failure, Frame, Header, Hello, Kind, Malformed, Panic};
use crate::jobs::pool::Processes;
use crate::jobs::slab::Slab;
use crate::jobs::{link, registry};

/// Items that are taken before the worker is told of as many more.
pub(crate) const CREDIT_BATCH: u64 = 16;

/// A large body on its way out of the slab.
pub(super) struct Copying {
    /// Of the frame that it belongs to.
    header: Header,
    read: JoinHandle<(Slab, Result<Body, String>)>,
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
                if frame.header.slab {
                    // Before anything is copied for a job that it does not run.
                    seen.pool.running(seen.key, id)?;
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
        seen.link.leash().kill();
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
        let lent = seen.link.lend_slab(len).map_err(Lost)?;
        if lent.is_large() && !self.is_draining {
            let read = spawn_blocking(move || lent.read());
            self.copying = Some(Copying { header: frame.header, read });
            return Ok(None);
        }
        let (slab, body) = lent.read();
        seen.link.return_slab(slab);
        body.map(Some).map_err(Lost)
    }

    /// Waits for the body that is being copied, if there is one, and takes it.
    pub(super) fn poll_copy(&mut self, cx: &mut Context<'_>, seen: &Seen<'_>) -> Poll<()> {
        let Some(Copying { header, read }) = &mut self.copying else { return Poll::Ready(()) };
        let copied = ready!(Pin::new(read).poll(cx));
        let header = *header;
        self.copying = None;
        let mut batch = seen.pool.batch(seen.key);
        let taken = match copied {
            Ok((slab, body)) => {
                seen.link.return_slab(slab);
                let body = body.map_err(Lost);
                body.and_then(|body| self.take_body(&header, body, &mut batch, seen))
            }
            // The runtime ends, and this task with it.
            Err(error) => Err(Lost(error.to_string())),
        };
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
        if job.payload().wants_items {
            return match job.push_item(body) {
                Ok(()) => Ok(()),
                Err(NoCredit) => Err(Lost("it sent more items than it was allowed".to_owned())),
            };
        }
        if self.untold.0 != id {
            self.untold = (id, 0);
        }
        self.untold.1 += 1;
        if self.untold.1 == CREDIT_BATCH {
            self.untold.1 = 0;
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
