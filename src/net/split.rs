//! The halves of a TCP stream.

use std::net::{Shutdown, SocketAddr};
use std::{error, fmt, io};

use crate::io::{Interest, Readable, Ready, Writable};
use crate::primitive::Arc;

use super::TcpStream;
use super::forward::{forward_read, forward_write};

/// The half of a [`TcpStream`] that reads, by reference; made by [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a> {
    stream: &'a TcpStream,
}

/// The half of a [`TcpStream`] that writes, by reference; made by [`TcpStream::split`].
///
/// Closing it shuts the write half of the connection down; dropping it does nothing.
#[derive(Debug)]
pub struct WriteHalf<'a> {
    stream: &'a TcpStream,
}

/// The half of a [`TcpStream`] that reads; made by [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Arc<TcpStream>,
}

/// The half of a [`TcpStream`] that writes; made by [`TcpStream::into_split`].
///
/// Closing it shuts the write half of the connection down, and so does dropping it; see
/// [`forget`](OwnedWriteHalf::forget). The descriptor is closed with the second half.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    shutdown_on_drop: bool,
}

pub(super) fn borrow(stream: &TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf { stream }, WriteHalf { stream })
}

pub(super) fn own(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    let reader = OwnedReadHalf { stream: Arc::clone(&stream) };
    (reader, OwnedWriteHalf { stream, shutdown_on_drop: true })
}

impl OwnedReadHalf {
    /// Makes one stream of two halves again.
    ///
    /// # Errors
    ///
    /// - [`ReuniteError`], with both halves in it, if they are not of one stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenter::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// tenter::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let stream = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (reader, writer) = stream.into_split();
    ///     let _stream: TcpStream = reader.reunite(writer).expect("two halves of one stream");
    ///     std::io::Result::Ok(())
    /// })?
    /// # }
    /// ```
    pub fn reunite(self, writer: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.stream, &writer.stream) {
            return Err(ReuniteError(self, writer));
        }
        writer.forget();
        match Arc::try_unwrap(self.stream) {
            Ok(stream) => Ok(stream),
            Err(_) => unreachable!("nobody but the two halves holds the stream"),
        }
    }
}

impl OwnedWriteHalf {
    /// Makes one stream of two halves again; see [`OwnedReadHalf::reunite`].
    ///
    /// # Errors
    ///
    /// - [`ReuniteError`], with both halves in it, if they are not of one stream.
    pub fn reunite(self, reader: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        reader.reunite(self)
    }

    /// Drops the half without shutting the connection's write half down.
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            // That the connection is gone already is nothing to report.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

macro_rules! reading {
    ($($generics:tt)*) => {
        /// What both halves know and what reads; each is the method of [`TcpStream`].
        impl $($generics)* {
            /// Waits until the stream is readable; see [`TcpStream::readable`].
            pub fn readable(&self) -> Readable<'_, std::net::TcpStream> {
                self.stream.readable()
            }

            /// Waits for one direction of `interest`; see [`TcpStream::ready`].
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.stream.ready(interest).await
            }

            /// Reads what is there, without waiting; see [`TcpStream::try_read`].
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream.try_read(buf)
            }

            /// Reads without taking; see [`TcpStream::peek`].
            pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream.peek(buf).await
            }

            /// The address of this end.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.stream.local_addr()
            }

            /// The address of the other end.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.stream.peer_addr()
            }
        }
    };
}

macro_rules! writing {
    ($($generics:tt)*) => {
        /// What both halves know and what writes; each is the method of [`TcpStream`].
        impl $($generics)* {
            /// Waits until the stream is writable; see [`TcpStream::writable`].
            pub fn writable(&self) -> Writable<'_, std::net::TcpStream> {
                self.stream.writable()
            }

            /// Waits for one direction of `interest`; see [`TcpStream::ready`].
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.stream.ready(interest).await
            }

            /// Writes what there is room for, without waiting; see [`TcpStream::try_write`].
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.stream.try_write(buf)
            }

            /// The address of this end.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.stream.local_addr()
            }

            /// The address of the other end.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.stream.peer_addr()
            }
        }
    };
}

reading!(OwnedReadHalf);
reading!(ReadHalf<'_>);
writing!(OwnedWriteHalf);
writing!(WriteHalf<'_>);

forward_read!(OwnedReadHalf, this => &this.stream);
forward_read!(ReadHalf<'_>, this => this.stream);
forward_write!(OwnedWriteHalf, this => &this.stream);
forward_write!(WriteHalf<'_>, this => this.stream);

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.stream
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.stream
    }
}

/// The halves given to `reunite` are not of one stream; here they are back.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of one stream")
    }
}

impl error::Error for ReuniteError {}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug>() {}
    assert::<ReadHalf<'static>>();
    assert::<WriteHalf<'static>>();
    assert::<OwnedReadHalf>();
    assert::<OwnedWriteHalf>();
    assert::<ReuniteError>();
};
