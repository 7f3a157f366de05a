//! What differs from system to system.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net as unix;

use socket2::{Domain, Protocol, Socket, Type};

/// Accepts one connection, non-blocking and closed on `exec`, in one system call.
#[cfg(target_os = "linux")]
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    use rustix::net::{SocketFlags, acceptfrom_with};

    let (fd, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let stream = TcpStream::from(fd);
    let peer = match peer.map(SocketAddr::try_from) {
        Some(Ok(peer)) => peer,
        _ => stream.peer_addr()?,
    };
    Ok((stream, peer))
}

/// Accepts one connection, non-blocking and closed on `exec`.
#[cfg(not(target_os = "linux"))]
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

/// Accepts one connection, non-blocking and closed on `exec`, in one system call, or in two if the
/// peer has a name.
#[cfg(target_os = "linux")]
pub(super) fn accept_unix(
    listener: &unix::UnixListener,
) -> io::Result<(unix::UnixStream, unix::SocketAddr)> {
    use rustix::net::{SocketFlags, acceptfrom_with};

    let (fd, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let stream = unix::UnixStream::from(fd);
    // Few have a name, and so few pay for a second call.
    let peer = match super::unix::is_unnamed(peer.as_ref()) {
        true => super::unix::unnamed()?,
        false => stream.peer_addr()?,
    };
    Ok((stream, peer))
}

/// Accepts one connection, non-blocking and closed on `exec`.
#[cfg(not(target_os = "linux"))]
pub(super) fn accept_unix(
    listener: &unix::UnixListener,
) -> io::Result<(unix::UnixStream, unix::SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

/// Makes a Unix stream socket, non-blocking and closed on `exec`.
pub(super) fn unix_stream() -> io::Result<Socket> {
    nonblocking(Domain::UNIX, Type::STREAM, None)
}

/// Makes a socket, non-blocking and closed on `exec`.
pub(super) fn nonblocking(
    domain: Domain,
    kind: Type,
    protocol: Option<Protocol>,
) -> io::Result<Socket> {
    #[cfg(target_os = "linux")]
    return Socket::new(domain, kind.nonblocking(), protocol);
    #[cfg(not(target_os = "linux"))]
    {
        let socket = Socket::new(domain, kind, protocol)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

/// Reads without taking, and without waiting.
#[cfg(target_os = "linux")]
pub(super) fn peek_unix(stream: &unix::UnixStream, buf: &mut [u8]) -> io::Result<usize> {
    let (_, len) = rustix::net::recv(stream, buf, rustix::net::RecvFlags::PEEK)?;
    Ok(len)
}

/// Neither the standard library nor `socket2` can do this without unsafe code.
#[cfg(not(target_os = "linux"))]
pub(super) fn peek_unix(_stream: &unix::UnixStream, _buf: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether `error` of a `connect` says that the attempt goes on in the background.
pub(super) fn is_in_progress(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
    // The same on macOS and the BSDs.
    #[cfg(not(target_os = "linux"))]
    const IN_PROGRESS: i32 = 36;

    error.raw_os_error() == Some(IN_PROGRESS) || error.kind() == io::ErrorKind::Interrupted
}

/// Whether `error` says that the process or the system is out of descriptors, or of memory for
/// another one: the connection is still there and can be accepted later.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    // The same on every Unix.
    const TOO_MANY_IN_SYSTEM: i32 = 23;
    const TOO_MANY_IN_PROCESS: i32 = 24;
    #[cfg(target_os = "linux")]
    const NO_BUFFERS: i32 = rustix::io::Errno::NOBUFS.raw_os_error();
    #[cfg(not(target_os = "linux"))]
    const NO_BUFFERS: i32 = 55;

    match error.raw_os_error() {
        Some(code) => {
            code == TOO_MANY_IN_SYSTEM
                || code == TOO_MANY_IN_PROCESS
                || code == NO_BUFFERS
                || error.kind() == io::ErrorKind::OutOfMemory
        }
        None => false,
    }
}
