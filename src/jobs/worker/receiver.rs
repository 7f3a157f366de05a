//! What comes from the pool: bytes that are frames, and descriptors that belong to some of them.

use std::collections::VecDeque;
use std::io;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use crate::jobs::frame::{Config, Decoder, Direction, Kind};

/// Descriptors that may have arrived without their frames.
const DESCRIPTORS_MAX: usize = 4;

/// The reading half of a worker's socket.
#[derive(Debug)]
pub(super) struct Receiver {
    /// Where the frames are taken from.
    pub(super) decoder: Decoder,
    /// In the order of the frames that they belong to. The system delivers one no later than the
    /// first byte that it was sent with.
    pub(super) descriptors: VecDeque<OwnedFd>,
}

/// How long to wait for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until some come.
    Block,
    /// Not at all.
    Never,
}

/// What one call to the system brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Received {
    /// Bytes, for the decoder.
    Bytes,
    /// Nothing, and it was not to wait.
    Nothing,
    /// The end: nothing comes any more.
    End,
}

impl Receiver {
    /// A receiver of nothing so far.
    pub(super) fn new() -> Self {
        Self { decoder: Decoder::new(Direction::ToWorker), descriptors: VecDeque::new() }
    }

    /// Receives once from `socket`, which blocks.
    ///
    /// # Errors
    ///
    /// - `InvalidData`: more descriptors came than there can be frames for.
    /// - What the system says.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>, wait: Wait) -> io::Result<Received> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = match wait {
            Wait::Block => RecvFlags::CMSG_CLOEXEC,
            Wait::Never => RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
        };
        if wait == Wait::Block {
            wait_for_bytes(socket)?;
        }
        // Ends: a signal interrupts a call once.
        let message = loop {
            let mut spare = [IoSliceMut::new(self.decoder.spare())];
            match recvmsg(socket, &mut spare, &mut control, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                // What we sent last was not read, and never will be.
                Err(Errno::CONNRESET) => return Ok(Received::End),
                other => break other?,
            }
        };
        self.keep_descriptors(&mut control)?;
        if message.flags.contains(ReturnFlags::CTRUNC) {
            return Err(invalid("more descriptors than one at a time"));
        }
        if message.bytes == 0 {
            return Ok(Received::End);
        }
        self.decoder.advance(message.bytes);
        Ok(Received::Bytes)
    }

    fn keep_descriptors(&mut self, control: &mut RecvAncillaryBuffer<'_>) -> io::Result<()> {
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if self.descriptors.len() > DESCRIPTORS_MAX {
            return Err(invalid("descriptors without frames"));
        }
        Ok(())
    }

    /// Waits for the first frame, and the standard output that it may bring; `None` at the end.
    ///
    /// # Errors
    ///
    /// - `InvalidData`: it is another one, or malformed.
    /// - What the system says.
    pub(super) fn config(
        &mut self,
        socket: BorrowedFd<'_>,
    ) -> io::Result<Option<(Config, Option<OwnedFd>)>> {
        // Ends: with the first frame, or with the socket.
        let config: Config = loop {
            if let Some(frame) = self.decoder.next().map_err(invalid)? {
                if frame.header.kind != Kind::Config {
                    return Err(invalid("a worker was not told first what it is to be"));
                }
                break frame.message().map_err(invalid)?;
            }
            if self.receive(socket, Wait::Block)? == Received::End {
                return Ok(None);
            }
        };
        let stdout = match config.has_stdout {
            true => Some(self.descriptor()?),
            false => None,
        };
        Ok(Some((config, stdout)))
    }

    /// Takes the descriptor of the frame that was taken last.
    ///
    /// # Errors
    ///
    /// - `InvalidData`: none came with it.
    pub(super) fn descriptor(&mut self) -> io::Result<OwnedFd> {
        self.descriptors.pop_front().ok_or_else(|| invalid("a frame without its descriptor"))
    }
}

/// Waits until there is something to receive, or the end.
///
/// Receiving would wait by itself. But whoever sleeps in `recvmsg` on a Unix socket is also woken
/// when the other side has read what this one sent, for there is room then; `poll` is not. It is one
/// call more for each job and one change of context less: a no-op takes 10.5 µs rather than 13.2.
fn wait_for_bytes(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut watched = [PollFd::new(&socket, PollFlags::IN)];
    // Ends: a signal interrupts a call once.
    loop {
        match poll(&mut watched, None) {
            Err(Errno::INTR) => {}
            result => return result.map(drop).map_err(io::Error::from),
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
