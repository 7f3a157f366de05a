//! Readiness of any descriptor, and what moves bytes from a reader to a writer.
//!
//! [`Async`] drives anything that has a descriptor: it puts it into non-blocking mode, waits for
//! it in the runtime's driver, and calls it again when it can go on. The streams of
//! [`net`](crate::net) are built on it.
//!
//! The traits are those of `futures-io`, and so the whole ecosystem around them works with every
//! stream here. Their extension traits ([`AsyncReadExt`], [`AsyncWriteExt`], [`AsyncBufReadExt`],
//! [`AsyncSeekExt`]) and buffers are `futures-lite`'s, re-exported so that one `use` suffices:
//!
//! ```
//! use tenter::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
//! use tenter::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! tenter::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let mut client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (server, _) = listener.accept().await?;
//!
//!     client.write_all(b"a line\n").await?;
//!     let mut line = String::new();
//!     BufReader::new(server).read_line(&mut line).await?;
//!     assert_eq!(line, "a line\n");
//!     std::io::Result::Ok(())
//! })?
//! # }
//! ```
//!
//! Every operation spends cooperative budget: a task whose reads never have to wait still lets
//! others run.

#[forbid(unsafe_code)]
mod copy;
mod descriptor;
mod fd;
#[forbid(unsafe_code)]
mod hop;
#[forbid(unsafe_code)]
mod interest;
#[forbid(unsafe_code)]
mod level;
#[forbid(unsafe_code)]
mod readiness;
mod safe;
#[forbid(unsafe_code)]
mod stdin;
#[forbid(unsafe_code)]
mod stdout;
#[forbid(unsafe_code)]
mod streams;
#[forbid(unsafe_code)]
mod writes;

pub use copy::{copy, copy_bidirectional};
pub use descriptor::Async;
pub(crate) use fd::{close, is_append};
pub use futures_lite::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite,
    AsyncWriteExt, BufReader, BufWriter, Cursor, Empty, ReadHalf, Repeat, Sink, WriteHalf, empty,
    repeat, sink, split,
};
pub(crate) use hop::{Exit, Hop};
pub use interest::{Interest, Ready};
pub use readiness::{Readable, Writable};
pub use safe::IoSafe;
pub use std::io::{Error, ErrorKind, Result, SeekFrom};
pub use stdin::{Stdin, stdin};
pub use stdout::{Stderr, Stdout, stderr, stdout};
pub(crate) use writes::{Writes, Written, total, uninterrupted};
