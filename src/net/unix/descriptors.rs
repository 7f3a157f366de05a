//! Messages with descriptors in them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{self, SocketAddr};

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrAny, recvmsg, sendmsg, sendmsg_addr,
};

use crate::driver::Direction;
use crate::net::duplex::Duplex;

use super::addr::{from_rustix, to_rustix};
use super::{UnixDatagram, UnixStream};

/// Descriptors that one message can have (`SCM_MAX_FD`).
const DESCRIPTORS_MAX: usize = 253;

/// Room for as many.
const SPACE: usize = cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// Room for what else a message may bring, if the socket was told so by its options: credentials,
/// a time, a security label. The system stores it before the descriptors.
const OTHERS_SPACE: usize = 512;

/// Descriptors. Linux only.
impl UnixStream {
    /// Sends `data`, and copies of `fds` with its first byte.
    ///
    /// It may send only the beginning of `data` and returns how much: the descriptors went with it,
    /// and what is left is to be written without them.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::InvalidInput`] if there are more than 253 descriptors, or some and no
    ///   data: a stream has nothing else to attach them to.
    /// - The system's, among them `ETOOMANYREFS` if too many are on their way.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was sent.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io::Read;
    /// use std::os::fd::AsFd;
    /// use tenter::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// tenter::run(async {
    ///     let (one, other) = UnixStream::pair()?;
    ///     let file = File::open("/dev/zero")?;
    ///     one.send_with_fds(b"a file", &[file.as_fd()]).await?;
    ///
    ///     let mut text = [0; 16];
    ///     let (len, mut fds) = other.recv_with_fds(&mut text, 1).await?;
    ///     assert_eq!(&text[..len], b"a file");
    ///     let mut file = File::from(fds.remove(0));
    ///     file.read_exact(&mut text)?;
    ///     assert_eq!(text, [0; 16]);
    ///     std::io::Result::Ok(())
    /// })?
    /// # }
    /// ```
    pub async fn send_with_fds(&self, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        check_count(fds)?;
        match (data.is_empty(), fds.is_empty()) {
            (true, true) => return Ok(0),
            (true, false) => return Err(invalid("descriptors without data on a stream")),
            (false, _) => {}
        }
        let send = |stream: &net::UnixStream| send_message(stream.as_fd(), data, fds, None);
        self.as_async().op(Direction::Write, send).await
    }

    /// Receives bytes, and at most `max` descriptors that were sent with them.
    ///
    /// What lies behind a message with descriptors never comes in one call with it; what lies
    /// before it may. The descriptors are closed on `exec`. 0 bytes are the end of the stream, or an
    /// empty `buf`.
    ///
    /// What else comes with a message, because the socket's options ask for it, such as credentials
    /// and times, is passed over. `SO_PASSPIDFD` is not for this: it adds a descriptor to each
    /// message that nobody closes.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::InvalidData`] if a message came with more than `max` descriptors.
    /// - `EMFILE` if the process has no room for one of them.
    /// - The system's.
    ///
    /// In the first two cases the bytes that came with them are lost, and all of the descriptors
    /// are closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was received.
    pub async fn recv_with_fds(
        &self,
        buf: &mut [u8],
        max: usize,
    ) -> io::Result<(usize, Vec<OwnedFd>)> {
        if buf.is_empty() {
            return Ok((0, Vec::new()));
        }
        let receive = |stream: &net::UnixStream| receive_message(stream.as_fd(), buf, max);
        let received = self.as_async().op(Direction::Read, receive).await?;
        Ok((received.len, received.descriptors))
    }
}

/// Descriptors. Linux only.
impl UnixDatagram {
    /// Sends a datagram, with copies of `fds`, to the socket that this one is connected to.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::InvalidInput`] if there are more than 253 descriptors.
    /// - `ETOOMANYREFS` if too many are on their way.
    /// - Those of [`send`](UnixDatagram::send).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was sent.
    pub async fn send_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        check_count(fds)?;
        let send = |socket: &net::UnixDatagram| send_message(socket.as_fd(), buf, fds, None);
        self.as_async().op(Direction::Write, send).await
    }

    /// Sends a datagram, with copies of `fds`, to the socket named `addr`; otherwise like
    /// [`send_with_fds`](UnixDatagram::send_with_fds).
    pub async fn send_to_with_fds(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
        addr: &SocketAddr,
    ) -> io::Result<usize> {
        check_count(fds)?;
        self.patiently(|socket| send_message(socket.as_fd(), buf, fds, Some(addr))).await
    }

    /// Receives a datagram, and at most `max` descriptors that came with it, closed on `exec`.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::InvalidData`] if it came with more than `max` descriptors.
    /// - `EMFILE` if the process has no room for one of them.
    /// - The system's.
    ///
    /// In the first two cases the datagram is lost, and all of its descriptors are closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was received.
    pub async fn recv_with_fds(
        &self,
        buf: &mut [u8],
        max: usize,
    ) -> io::Result<(usize, Vec<OwnedFd>)> {
        let received = self.receive_with_fds(buf, max).await?;
        Ok((received.len, received.descriptors))
    }

    /// Receives a datagram with descriptors, and tells who sent it; otherwise like
    /// [`recv_with_fds`](UnixDatagram::recv_with_fds).
    pub async fn recv_from_with_fds(
        &self,
        buf: &mut [u8],
        max: usize,
    ) -> io::Result<(usize, Vec<OwnedFd>, SocketAddr)> {
        let received = self.receive_with_fds(buf, max).await?;
        Ok((received.len, received.descriptors, from_rustix(received.from)?))
    }

    async fn receive_with_fds(&self, buf: &mut [u8], max: usize) -> io::Result<Received> {
        let receive = |socket: &net::UnixDatagram| receive_message(socket.as_fd(), buf, max);
        self.as_async().op(Direction::Read, receive).await
    }
}

/// What one call received.
#[derive(Debug)]
struct Received {
    len: usize,
    descriptors: Vec<OwnedFd>,
    from: Option<SocketAddrAny>,
}

/// Refuses what no message can have.
fn check_count(fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    match fds.len() <= DESCRIPTORS_MAX {
        true => Ok(()),
        false => Err(invalid("more than 253 descriptors in one message")),
    }
}

/// Sends `data` and `fds`, to the socket's peer or to another one.
fn send_message(
    socket: BorrowedFd<'_>,
    data: &[u8],
    fds: &[BorrowedFd<'_>],
    to: Option<&SocketAddr>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(fds));
        debug_assert!(fits, "there is room for as many as `check_count` lets pass");
    }
    let data = [IoSlice::new(data)];
    let sent = match to {
        None => sendmsg(socket, &data, &mut control, SendFlags::NOSIGNAL),
        Some(to) => sendmsg_addr(socket, &to_rustix(to)?, &data, &mut control, SendFlags::NOSIGNAL),
    };
    Ok(sent?)
}

/// Receives into `buf`, and at most `max` descriptors, which are closed on `exec`.
///
/// # Errors
///
/// - [`io::ErrorKind::InvalidData`] if more came.
/// - `EMFILE` if the process has no room for one of them.
/// - What the system says.
///
/// In the first two cases the message is lost, and all of its descriptors are closed.
fn receive_message(socket: BorrowedFd<'_>, buf: &mut [u8], max: usize) -> io::Result<Received> {
    let max = max.min(DESCRIPTORS_MAX);
    let mut space = [MaybeUninit::uninit(); SPACE + OTHERS_SPACE];
    let room = cmsg_space!(ScmRights(max)) + OTHERS_SPACE;
    let mut control = RecvAncillaryBuffer::new(&mut space[..room]);
    let mut data = [IoSliceMut::new(buf)];
    let message = recvmsg(socket, &mut data, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = part {
            descriptors.extend(fds);
        }
    }
    // With nothing else in the room more than `max` fit in.
    if max < descriptors.len() {
        return Err(too_many());
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        // There was room for more, in the message: so there was none in the process.
        let is_full = descriptors.len() < max;
        return Err(if is_full { Errno::MFILE.into() } else { too_many() });
    }
    Ok(Received { len: message.bytes, descriptors, from: message.address })
}

fn too_many() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message with more descriptors than asked for")
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
