//! TCP sockets and name resolution.
//!
//! - [`TcpListener`] accepts connections, [`TcpStream`] is one, [`TcpSocket`] sets options before
//!   either exists.
//! - [`lookup_host`] and [`ToSocketAddrs`] turn names into addresses. A literal address is taken
//!   as it is; a name goes to the system's resolver on the blocking pool.
//!
//! Streams implement [`AsyncRead`](crate::io::AsyncRead) and [`AsyncWrite`](crate::io::AsyncWrite)
//! both by value and for references, so that one task may read while another writes. A read or a
//! write through one of these traits remembers *one* task a direction: where several tasks wait
//! for one direction of one stream, use the `async` methods ([`TcpStream::readable`] with
//! [`TcpStream::try_read`], [`TcpListener::accept`]), which remember all of them.
//!
//! Everything here lives in the runtime in whose context it was made and panics if there is none.
//!
//! # Examples
//!
//! An echo server and its client:
//!
//! ```
//! use tenter::io::{AsyncReadExt, AsyncWriteExt};
//! use tenter::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! tenter::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let addr = listener.local_addr()?;
//!     let server = tenter::spawn(async move {
//!         let (stream, _peer) = listener.accept().await?;
//!         tenter::io::copy(&stream, &stream).await
//!     });
//!
//!     let mut client = TcpStream::connect(addr).await?;
//!     client.write_all(b"hello").await?;
//!     client.close().await?;
//!     let mut echo = String::new();
//!     client.read_to_string(&mut echo).await?;
//!     assert_eq!(echo, "hello");
//!     assert_eq!(server.await??, 5);
//!     std::io::Result::Ok(())
//! })?
//! # }
//! ```

mod addrs;
mod backoff;
mod forward;
mod listener;
mod socket;
mod split;
mod stream;
mod sys;

pub use addrs::{SocketAddrs, ToSocketAddrs, lookup_host};
pub use listener::{Incoming, TcpListener};
pub use socket::TcpSocket;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use stream::TcpStream;
