//! The halves of a stream.

use std::net::Shutdown;
use std::{error, fmt, io};

use crate::driver::Direction;
use crate::io::{Interest, Readable, Ready, Writable};
use crate::primitive::Arc;

use super::TcpStream;
use super::duplex::Duplex;
use super::forward::{forward_read, forward_write};

/// The half of a stream that reads, by reference; made by [`TcpStream::split`] and
/// [`UnixStream::split`](super::UnixStream::split).
///
/// # Examples
///
/// ```
/// use tenter::io::{AsyncReadExt, AsyncWriteExt};
/// use tenter::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let (mut ours, theirs) = UnixStream::pair()?;
///     tenter::spawn(async move { tenter::io::copy(&theirs, &theirs).await }).detach();
///
///     let (mut reader, mut writer) = ours.split();
///     let mut echo = [0; 5];
///     tenter::try_join!(writer.write_all(b"hello"), reader.read_exact(&mut echo))?;
///     assert_eq!(&echo, b"hello");
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct ReadHalf<'a, S: Duplex = TcpStream> {
    stream: &'a S,
}

/// The half of a stream that writes, by reference; made by [`TcpStream::split`] and
/// [`UnixStream::split`](super::UnixStream::split).
///
/// Closing it shuts the write half of the connection down; dropping it does nothing.
///
/// There is an example at [`ReadHalf`].
#[derive(Debug)]
pub struct WriteHalf<'a, S: Duplex = TcpStream> {
    stream: &'a S,
}

/// The half of a stream that reads; made by [`TcpStream::into_split`] and
/// [`UnixStream::into_split`](super::UnixStream::into_split).
///
/// # Examples
///
/// ```
/// use tenter::io::{AsyncReadExt, AsyncWriteExt};
/// use tenter::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let (ours, theirs) = UnixStream::pair()?;
///     tenter::spawn(async move { tenter::io::copy(&theirs, &theirs).await }).detach();
///
///     let (mut reader, mut writer) = ours.into_split();
///     // The half is dropped there, and the other end sees the end of the stream.
///     let writing = tenter::spawn(async move { writer.write_all(b"hello").await });
///     let mut echo = String::new();
///     reader.read_to_string(&mut echo).await?;
///     assert_eq!(echo, "hello");
///     writing.await??;
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf<S: Duplex = TcpStream> {
    stream: Arc<S>,
}

/// The half of a stream that writes; made by [`TcpStream::into_split`] and
/// [`UnixStream::into_split`](super::UnixStream::into_split).
///
/// Closing it shuts the write half of the connection down, and so does dropping it; see
/// [`forget`](OwnedWriteHalf::forget). The descriptor is closed with the second half.
///
/// There is an example at [`OwnedReadHalf`].
#[derive(Debug)]
pub struct OwnedWriteHalf<S: Duplex = TcpStream> {
    stream: Arc<S>,
    shutdown_on_drop: bool,
}

pub(super) fn borrow<S: Duplex>(stream: &S) -> (ReadHalf<'_, S>, WriteHalf<'_, S>) {
    (ReadHalf { stream }, WriteHalf { stream })
}

pub(super) fn own<S: Duplex>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Arc::new(stream);
    let reader = OwnedReadHalf { stream: Arc::clone(&stream) };
    (reader, OwnedWriteHalf { stream, shutdown_on_drop: true })
}

impl<S: Duplex> OwnedReadHalf<S> {
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
    pub fn reunite(self, writer: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
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

impl<S: Duplex> OwnedWriteHalf<S> {
    /// Makes one stream of two halves again; see [`OwnedReadHalf::reunite`].
    ///
    /// # Errors
    ///
    /// - [`ReuniteError`], with both halves in it, if they are not of one stream.
    pub fn reunite(self, reader: OwnedReadHalf<S>) -> Result<S, ReuniteError<S>> {
        reader.reunite(self)
    }

    /// Drops the half without shutting the connection's write half down.
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }
}

impl<S: Duplex> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            // That the connection is gone already is nothing to report.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

macro_rules! reading {
    ($type:ty) => {
        /// What both halves know and what reads; each is the method of the stream.
        impl<S: Duplex> $type {
            /// Waits until the stream is readable; see [`TcpStream::readable`].
            pub fn readable(&self) -> Readable<'_, S::Std> {
                self.stream.as_async().readable()
            }

            /// Waits for one direction of `interest`; see [`TcpStream::ready`].
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.stream.as_async().ready(interest).await
            }

            /// Reads what is there, without waiting; see [`TcpStream::try_read`].
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream.try_read(buf)
            }

            /// Reads without taking; see [`TcpStream::peek`].
            pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
                if buf.is_empty() {
                    return Ok(0);
                }
                self.stream.as_async().op(Direction::Read, |stream| S::peek_now(stream, buf)).await
            }

            /// The address of this end.
            pub fn local_addr(&self) -> io::Result<S::Addr> {
                self.stream.local_addr()
            }

            /// The address of the other end.
            pub fn peer_addr(&self) -> io::Result<S::Addr> {
                self.stream.peer_addr()
            }
        }

        impl<S: Duplex> AsRef<S> for $type {
            fn as_ref(&self) -> &S {
                &self.stream
            }
        }

        forward_read!([S: Duplex] $type, this => &*this.stream);
    };
}

macro_rules! writing {
    ($type:ty) => {
        /// What both halves know and what writes; each is the method of the stream.
        impl<S: Duplex> $type {
            /// Waits until the stream is writable; see [`TcpStream::writable`].
            pub fn writable(&self) -> Writable<'_, S::Std> {
                self.stream.as_async().writable()
            }

            /// Waits for one direction of `interest`; see [`TcpStream::ready`].
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.stream.as_async().ready(interest).await
            }

            /// Writes what there is room for, without waiting; see [`TcpStream::try_write`].
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.stream.try_write(buf)
            }

            /// The address of this end.
            pub fn local_addr(&self) -> io::Result<S::Addr> {
                self.stream.local_addr()
            }

            /// The address of the other end.
            pub fn peer_addr(&self) -> io::Result<S::Addr> {
                self.stream.peer_addr()
            }
        }

        impl<S: Duplex> AsRef<S> for $type {
            fn as_ref(&self) -> &S {
                &self.stream
            }
        }

        forward_write!([S: Duplex] $type, this => &*this.stream);
    };
}

reading!(OwnedReadHalf<S>);
reading!(ReadHalf<'_, S>);
writing!(OwnedWriteHalf<S>);
writing!(WriteHalf<'_, S>);

/// The halves given to `reunite` are not of one stream; here they are back.
#[derive(Debug)]
pub struct ReuniteError<S: Duplex = TcpStream>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S: Duplex> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of one stream")
    }
}

impl<S: Duplex> error::Error for ReuniteError<S> {}

const _: () = {
    use super::UnixStream;

    const fn assert<T: Send + Sync + Unpin + fmt::Debug>() {}
    assert::<ReadHalf<'static>>();
    assert::<WriteHalf<'static>>();
    assert::<OwnedReadHalf>();
    assert::<OwnedWriteHalf>();
    assert::<ReuniteError>();
    assert::<OwnedReadHalf<UnixStream>>();
    assert::<OwnedWriteHalf<UnixStream>>();
};
