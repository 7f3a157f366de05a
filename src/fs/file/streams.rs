//! The stream traits of a file.

use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};

use crate::io::{Exit, Hop, total};
use crate::lifecycle::budget;

use super::super::reads::Source;
use super::{File, Position, closed, is_no_position};

impl AsyncRead for File {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_vectored(cx, &mut [IoSliceMut::new(buf)])
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = bufs.iter().fold(0usize, |sum, buf| sum.saturating_add(buf.len()));
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let charge = ready!(budget::poll_spend(cx));
        let file = self.get_mut();
        ready!(file.poll_fill(cx, room))?;
        charge.made_progress();
        let mut read = 0;
        for buf in bufs {
            let data = file.reads.buffered();
            let len = data.len().min(buf.len());
            buf[..len].copy_from_slice(&data[..len]);
            file.advance(len);
            read += len;
        }
        Poll::Ready(Ok(read))
    }
}

impl AsyncBufRead for File {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let charge = ready!(budget::poll_spend(cx));
        let file = self.get_mut();
        ready!(file.poll_fill(cx, 0))?;
        charge.made_progress();
        Poll::Ready(Ok(file.reads.buffered()))
    }

    fn consume(self: Pin<&mut Self>, len: usize) {
        self.get_mut().advance(len);
    }
}

impl AsyncWrite for File {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if total(bufs) == 0 {
            return Poll::Ready(Ok(0));
        }
        let charge = ready!(budget::poll_spend(cx));
        let file = self.get_mut();
        // Ends: the second time round, the write that is settled is this one.
        loop {
            ready!(file.poll_settle(cx))?;
            if let Some(written) = file.writes.claim(bufs)? {
                charge.made_progress();
                return Poll::Ready(Ok(written));
            }
            let write = file.write()?;
            file.changes_place();
            file.writes.start(file.exit, bufs, write);
        }
    }

    /// Waits for a write whose future was dropped; there is nothing else that is not in the file.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let charge = ready!(budget::poll_spend(cx));
        let file = self.get_mut();
        ready!(file.poll_settle(cx))?;
        charge.made_progress();
        Poll::Ready(file.writes.check())
    }

    /// Flushes and closes the file. What the system says to the closing is returned, and the
    /// descriptor is free, if no call that nobody waits for still runs.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let file = self.get_mut();
        if file.closing.is_none() {
            ready!(file.poll_quiet(cx))?;
            file.start_closing();
        }
        let closed = match &mut file.closing {
            Some(hop) => ready!(Pin::new(hop).poll(cx)),
            // Before.
            None => Ok(()),
        };
        file.closing = None;
        Poll::Ready(file.writes.check().and(closed))
    }
}

/// To a place from the start, or from where it is, it takes no call; to one from the end, one.
impl AsyncSeek for File {
    fn poll_seek(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        let charge = ready!(budget::poll_spend(cx));
        let file = self.get_mut();
        ready!(file.poll_settle(cx))?;
        let Position::At { offset, append } = file.place else {
            return file.poll_seek_call(cx, to);
        };
        let offset = match to {
            SeekFrom::Current(0) => {
                file.writes.forget_success();
                return Poll::Ready(file.shared().map(|_| offset));
            }
            SeekFrom::Current(by) => offset.checked_add_signed(by),
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(_) => Some(ready!(file.poll_seek_call(cx, to))?),
        };
        charge.made_progress();
        let Some(offset) = offset.filter(|offset| i64::try_from(*offset).is_ok()) else {
            let text = "invalid seek to a negative or overflowing position";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, text)));
        };
        if file.file.is_none() {
            return Poll::Ready(Err(closed()));
        }
        file.changes_place();
        file.place = Position::At { offset, append };
        Poll::Ready(Ok(offset))
    }
}

impl File {
    /// Waits until there is something to read in the buffer, or the end is reached.
    fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<()>> {
        if self.place.is_at() {
            ready!(self.poll_settle(cx))?;
            self.seek = None;
            self.writes.forget_success();
            if std::mem::take(self.is_stale.get_mut()) {
                self.reads.discard();
            }
        }
        match ready!(self.poll_fill_here(cx, room)) {
            // The kernel's own files may be like that, and then wait as a pipe does.
            Err(error) if self.place.is_at() && is_no_position(&error) => {
                (self.place, self.exit) = (Position::None, Exit::Abandons);
                self.poll_fill_here(cx, room)
            }
            result => Poll::Ready(result),
        }
    }

    fn poll_fill_here(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<()>> {
        let file = self.file.as_ref().ok_or_else(closed)?;
        let position = match self.place {
            Position::At { offset, .. } => Some(offset),
            Position::None => None,
        };
        self.reads.poll_fill(cx, Source { file, exit: self.exit, position }, room)
    }

    /// Hands `len` buffered bytes out.
    fn advance(&mut self, len: usize) {
        self.reads.consume(len);
        if let Position::At { offset, .. } = &mut self.place {
            *offset += len as u64;
        }
    }

    /// What was read ahead is not what comes next.
    fn changes_place(&mut self) {
        self.seek = None;
        self.writes.forget_success();
        if self.place.is_at() {
            self.reads.discard();
        }
    }

    /// Has the system say where `to` is, and, in a file without positions of ours, go there.
    fn poll_seek_call(&mut self, cx: &mut Context<'_>, to: SeekFrom) -> Poll<io::Result<u64>> {
        let file = self.file.as_ref().ok_or_else(closed)?;
        if self.seek.as_ref().is_none_or(|(other, _)| *other != to) {
            let mut by = to;
            if let Position::None = self.place {
                let source = Source { file, exit: self.exit, position: None };
                ready!(self.reads.poll_settle(cx, source))?;
                // The system is ahead by what is in the buffer.
                let ahead = self.reads.buffered().len() as i64;
                if let SeekFrom::Current(by) = &mut by {
                    *by = by.saturating_sub(ahead);
                }
            }
            let file = Arc::clone(file);
            self.seek = Some((to, Hop::new(self.exit, move || (&*file).seek(by))));
        }
        let Some((_, hop)) = &mut self.seek else { unreachable!("it was started just now") };
        let offset = ready!(Pin::new(hop).poll(cx));
        self.seek = None;
        if let (Position::None, Ok(_)) = (self.place, &offset) {
            // It is somewhere else now, if it has places at all.
            self.reads.discard();
        }
        Poll::Ready(offset)
    }
}
