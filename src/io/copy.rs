//! Copies from readers to writers.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::lifecycle::budget;

/// Bytes that one direction of a copy holds at most.
const BUFFER_BYTES: usize = 32 * 1024;

/// Copies everything from `reader` to `writer`, flushes, and returns how many bytes there were.
///
/// The copy ends where the reader ends; the writer is not closed. When the reader has to wait,
/// what was written so far is flushed first, so that a buffer in the writer holds nobody up.
/// References work on both sides: `copy(&stream, &mut buffer)`.
///
/// # Errors
///
/// - Whatever the reader or the writer returns, as it came.
/// - [`io::ErrorKind::WriteZero`] if the writer takes no bytes.
///
/// # Cancel safety
///
/// Not cancel safe: up to 32 KiB that were read and not yet written are lost with the future.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut to = Vec::new();
///     assert_eq!(tenter::io::copy(&b"four"[..], &mut to).await?, 4);
///     assert_eq!(to, b"four");
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub async fn copy<R, W>(reader: R, writer: W) -> io::Result<u64>
where
    R: AsyncRead,
    W: AsyncWrite,
{
    let (mut reader, mut writer) = (pin!(reader), pin!(writer));
    let mut pump = Pump::new();
    poll_fn(|cx| pump.poll(cx, reader.as_mut(), writer.as_mut())).await
}

/// Copies in both directions between `a` and `b` until both have ended, and returns how many bytes
/// went from `a` to `b` and from `b` to `a`.
///
/// Where one side ends, the other's write half is closed, and the opposite direction goes on: half
/// closed connections are passed along as such.
///
/// # Errors
///
/// The first error of either side, as it came; the other direction ends with it.
///
/// # Cancel safety
///
/// Not cancel safe: up to 32 KiB a direction that were read and not yet written are lost with the
/// future.
///
/// # Examples
///
/// ```
/// use tenter::io::{self, AsyncReadExt, AsyncWriteExt};
/// use tenter::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let proxy = TcpListener::bind("127.0.0.1:0").await?;
///     let server = TcpListener::bind("127.0.0.1:0").await?;
///     let mut client = TcpStream::connect(proxy.local_addr()?).await?;
///     let (mut front, _) = proxy.accept().await?;
///     let mut back = TcpStream::connect(server.local_addr()?).await?;
///     let (mut stream, _) = server.accept().await?;
///
///     let copying = tenter::spawn(async move {
///         io::copy_bidirectional(&mut front, &mut back).await
///     });
///     client.write_all(b"request").await?;
///     client.close().await?;
///     let mut request = String::new();
///     stream.read_to_string(&mut request).await?;
///     stream.write_all(b"reply!").await?;
///     drop(stream);
///     assert_eq!(copying.await??, (7, 6));
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub async fn copy_bidirectional<A, B>(a: &mut A, b: &mut B) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (mut forth, mut back) = (Transfer::new(), Transfer::new());
    let mut is_back_first = true;
    poll_fn(|cx| {
        // LIVENESS: each begins in its turn, since one that never has to wait leaves the other none
        // of the budget.
        // Test: tests/io_copy `a_direction_that_never_waits_leaves_the_other_its_turn`.
        is_back_first = !is_back_first;
        let (a, b) = (&mut *a, &mut *b);
        let (forth, back) = if is_back_first {
            let back = back.poll(cx, Pin::new(b), Pin::new(a))?;
            (forth.poll(cx, Pin::new(a), Pin::new(b))?, back)
        } else {
            let forth = forth.poll(cx, Pin::new(a), Pin::new(b))?;
            (forth, back.poll(cx, Pin::new(b), Pin::new(a))?)
        };
        match (forth, back) {
            (Poll::Ready(forth), Poll::Ready(back)) => Poll::Ready(Ok((forth, back))),
            _ => Poll::Pending,
        }
    })
    .await
}

/// One direction of a two-way copy.
enum Transfer {
    /// Bytes still come.
    Copying(Pump),
    /// The reader has ended; the writer is being closed.
    Closing(u64),
    /// The writer is closed.
    Done(u64),
}

impl Transfer {
    fn new() -> Transfer {
        Transfer::Copying(Pump::new())
    }

    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        if let Transfer::Copying(pump) = self {
            *self = Transfer::Closing(ready!(pump.poll(cx, reader, writer.as_mut()))?);
        }
        if let Transfer::Closing(copied) = *self {
            ready!(writer.as_mut().poll_close(cx))?;
            *self = Transfer::Done(copied);
        }
        match *self {
            Transfer::Done(copied) => Poll::Ready(Ok(copied)),
            _ => unreachable!("a transfer that has copied and closed is done"),
        }
    }
}

/// A buffer between a reader and a writer.
struct Pump {
    buffer: Box<[u8]>,
    /// The bytes of `buffer` that were read and not yet written.
    start: usize,
    end: usize,
    copied: u64,
    /// The reader has ended.
    ended: bool,
    /// The writer got bytes since it was last flushed.
    unflushed: bool,
}

impl Pump {
    fn new() -> Pump {
        Pump {
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            copied: 0,
            ended: false,
            unflushed: false,
        }
    }

    /// Moves bytes until one side has to wait or the reader ends. The loop ends because budget
    /// does, whatever reader and writer are.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        loop {
            let charge = ready!(budget::poll_spend(cx));
            if self.start == self.end && !self.ended {
                match reader.as_mut().poll_read(cx, &mut self.buffer) {
                    Poll::Ready(Ok(0)) => self.ended = true,
                    Poll::Ready(Ok(read)) => (self.start, self.end) = (0, read),
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(writer.poll_flush(cx))?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                }
            }
            while self.start < self.end {
                let written =
                    ready!(writer.as_mut().poll_write(cx, &self.buffer[self.start..self.end]))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += written;
                self.copied += written as u64;
                self.unflushed = true;
            }
            if self.ended {
                ready!(writer.as_mut().poll_flush(cx))?;
                return Poll::Ready(Ok(self.copied));
            }
            charge.made_progress();
        }
    }
}
