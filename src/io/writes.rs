//! Writes on the blocking pool, one after another, each complete when its system call is.
//!
//! A write takes a copy of the data to the pool and stays pending until the call has returned. If
//! its future is dropped before, nobody knows whether the call happens, and the stream traits do
//! not say whether the next `poll_write` is the same write or another. It does not matter: the
//! data is kept. A write that begins with the same bytes is told what became of them, as if it had
//! been the one; before any other, what was dropped has happened or not, and is over.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::hop::{Exit, Hop};

/// Bytes that one write takes at most: what a call's copy may cost.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// A buffer larger than this is given back when the stream is flushed.
const KEPT_BYTES: usize = 64 * 1024;

/// What a write call did.
#[derive(Debug)]
pub(crate) struct Written {
    /// Bytes that were written.
    pub(crate) len: usize,
    /// The position behind them, where there is one.
    pub(crate) position: u64,
}

/// The writes of one stream.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// The write that is on the pool.
    hop: Option<Hop<Finished>>,
    /// One that has returned, and that no `poll_write` was told of.
    unclaimed: Option<Finished>,
    /// The buffer for the next one.
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Finished {
    result: io::Result<Written>,
    /// What was to be written.
    data: Vec<u8>,
}

impl Writes {
    /// Waits for the write that is on the pool, and returns the position behind it.
    ///
    /// # Errors
    ///
    /// - `Other` if the runtime was shut down before it began, or no thread could be started for it.
    pub(crate) fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<u64>>> {
        let Some(hop) = &mut self.hop else { return Poll::Ready(Ok(None)) };
        let finished = ready!(Pin::new(hop).poll(cx));
        self.hop = None;
        let finished = finished?;
        let position = finished.result.as_ref().ok().map(|written| written.position);
        self.unclaimed = Some(finished);
        Poll::Ready(Ok(position))
    }

    /// Takes what became of a write that is settled, if it was of the first bytes of `bufs`.
    ///
    /// # Errors
    ///
    /// - The error of that write, whichever it was.
    pub(crate) fn claim(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        let Some(Finished { result, data }) = self.unclaimed.take() else { return Ok(None) };
        let is_same = starts_with(bufs, &data);
        self.buffer = data;
        let written = result?;
        Ok(is_same.then_some(written.len))
    }

    /// Returns the error of a write that is settled, and gives a large buffer back.
    ///
    /// # Errors
    ///
    /// - That error, once.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        match self.unclaimed.take_if(|finished| finished.result.is_err()) {
            Some(finished) => finished.result.map(drop),
            None => Ok(()),
        }
    }

    /// Forgets a write that is settled and went well; the error of another stays for the next who
    /// asks.
    pub(crate) fn forget_success(&mut self) {
        self.unclaimed.take_if(|finished| finished.result.is_ok());
    }

    /// Takes the first bytes of `bufs` to the pool, with none there; `write` gets them.
    pub(crate) fn start(
        &mut self,
        exit: Exit,
        bufs: &[IoSlice<'_>],
        mut write: impl FnMut(&[u8]) -> io::Result<Written> + Send + 'static,
    ) {
        debug_assert!(self.hop.is_none(), "one write at a time");
        let mut data = std::mem::take(&mut self.buffer);
        data.clear();
        data.reserve(total(bufs).min(CHUNK_BYTES));
        for buf in bufs {
            let room = CHUNK_BYTES - data.len();
            data.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        self.hop = Some(Hop::new(exit, move || {
            let result = uninterrupted(|| write(&data));
            // Its share in the file goes before anybody hears of the end.
            drop(write);
            Ok(Finished { result, data })
        }));
    }
}

impl Drop for Writes {
    /// The data was handed over: it is written, if the runtime lives to do it.
    fn drop(&mut self) {
        if let Some(hop) = self.hop.take() {
            hop.detach();
        }
    }
}

/// Bytes of all.
pub(crate) fn total(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().fold(0, |sum, buf| sum.saturating_add(buf.len()))
}

/// Whether `data` is what `bufs` begins with.
fn starts_with(bufs: &[IoSlice<'_>], mut data: &[u8]) -> bool {
    for buf in bufs {
        let (front, rest) = data.split_at(data.len().min(buf.len()));
        if front != &buf[..front.len()] {
            return false;
        }
        data = rest;
    }
    data.is_empty()
}

/// Repeats a call that a signal interrupted.
pub(crate) fn uninterrupted<R>(mut f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    // Ends: a signal is somebody's doing, each time.
    loop {
        match f() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
