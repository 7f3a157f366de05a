//! Sockets, TCP, UDP and Unix, and name resolution.
//!
//! | to | look at |
//! |---|---|
//! | connect over TCP, to the best of several addresses | [`TcpStream::connect`] |
//! | accept connections | [`TcpListener`], [`UnixListener`]; as a stream: [`Incoming`] |
//! | set options before a TCP socket connects or listens | [`TcpSocket`] |
//! | send and receive datagrams, one by one or in batches | [`UdpSocket`], [`UnixDatagram`] |
//! | talk to processes of this machine, and know who they are | [`UnixStream`] |
//! | pass descriptors to them | [`UnixStream`], [`UnixDatagram`] |
//! | read in one task and write in another | [`TcpStream::into_split`], [`OwnedReadHalf`] |
//! | turn names into addresses | [`lookup_host`], [`ToSocketAddrs`] |
//!
//! A literal address is taken as it is; a name goes to the system's resolver on the blocking pool.
//!
//! Streams implement [`AsyncRead`](crate::io::AsyncRead) and [`AsyncWrite`](crate::io::AsyncWrite)
//! both by value and for references, so that one task may read while another writes. A read or a
//! write through one of these traits, and every method whose name begins with `poll_`, remembers
//! *one* task a direction: where several tasks wait for one direction of one socket, use the
//! `async` methods ([`TcpStream::readable`] with [`TcpStream::try_read`], [`TcpListener::accept`],
//! [`UdpSocket::recv_from`]), which remember all of them.
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

#[forbid(unsafe_code)]
mod acceptor;
#[forbid(unsafe_code)]
mod addrs;
#[forbid(unsafe_code)]
mod backoff;
#[forbid(unsafe_code)]
mod connect;
#[forbid(unsafe_code)]
mod duplex;
#[forbid(unsafe_code)]
mod forward;
#[forbid(unsafe_code)]
mod listener;
#[forbid(unsafe_code)]
mod methods;
#[forbid(unsafe_code)]
mod pauses;
#[forbid(unsafe_code)]
mod socket;
#[forbid(unsafe_code)]
mod split;
#[forbid(unsafe_code)]
mod stream;
#[forbid(unsafe_code)]
mod sys;
#[forbid(unsafe_code)]
mod udp;
mod unix;

pub use acceptor::Incoming;
pub use addrs::{SocketAddrs, ToSocketAddrs, lookup_host};
pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use stream::TcpStream;
pub use udp::UdpSocket;
#[cfg(target_os = "linux")]
pub use unix::UCred;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
