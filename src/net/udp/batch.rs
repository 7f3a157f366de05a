//! Several datagrams a call.
//!
//! One readiness, then one system call a datagram, until the next would have to wait. The calls
//! that move several at once (`recvmmsg`, `sendmmsg`) would save the entries into the kernel, a
//! small part of what a datagram costs, and lose errors that come in the middle.

use std::io;
use std::net::SocketAddr;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::driver::Direction;
use crate::primitive::lock::Mutex;

use super::UdpSocket;

/// Datagrams that one call moves at most, whatever it is given: others want to run too.
const BATCH_MAX: usize = 128;

/// The errors that ended a batch behind its first datagram: to receive, and to send.
///
/// The system has told them, and will not do so again: the next batch returns them.
#[derive(Debug)]
pub(super) struct Deferred {
    received: Mutex<Option<io::Error>>,
    sent: Mutex<Option<io::Error>>,
}

impl Deferred {
    pub(super) fn new() -> Deferred {
        Deferred { received: Mutex::new(None), sent: Mutex::new(None) }
    }
}

// An error is there or taken.
impl UnwindSafe for Deferred {}
impl RefUnwindSafe for Deferred {}

/// Does `op` for 0, 1, and so on up to `len`, until it fails. Returns how often it did not.
fn batch(
    deferred: &Mutex<Option<io::Error>>,
    len: usize,
    mut op: impl FnMut(usize) -> io::Result<()>,
) -> io::Result<usize> {
    if let Some(error) = deferred.lock().take() {
        return Err(error);
    }
    let mut done = 0;
    while done < len.min(BATCH_MAX) {
        match op(done) {
            Ok(()) => done += 1,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if done == 0 => return Err(error),
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    *deferred.lock() = Some(error);
                }
                break;
            }
        }
    }
    Ok(done)
}

/// Batches.
impl UdpSocket {
    /// Receives the datagrams that are there, at most one for each of `bufs`, and waits for the
    /// first of them. Returns how many there were.
    ///
    /// `received` is cleared, and then has for each datagram its length and who sent it. Each is
    /// cut to its buffer as with [`recv`](UdpSocket::recv). With no `bufs` it returns 0 at once;
    /// with more than 128, it uses the first 128.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](UdpSocket::recv). An error behind the first datagram ends the batch, and
    /// the next call returns it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was received.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenter::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// tenter::run(async {
    ///     let server = UdpSocket::bind("127.0.0.1:0").await?;
    ///     let client = UdpSocket::bind("127.0.0.1:0").await?;
    ///     let to = server.local_addr()?;
    ///     let datagrams = [("one", to), ("two", to), ("three", to)];
    ///     assert_eq!(client.send_many_to(&datagrams).await?, 3);
    ///
    ///     let (mut bufs, mut received) = ([[0; 1500]; 16], Vec::new());
    ///     let count = server.recv_many_from(&mut bufs, &mut received).await?;
    ///     for ((len, from), buf) in received.iter().zip(&bufs) {
    ///         println!("{from}: {:?}", &buf[..*len]);
    ///     }
    ///     assert!(1 <= count && count <= 3);
    ///     std::io::Result::Ok(())
    /// })?
    /// # }
    /// ```
    pub async fn recv_many_from<B: AsMut<[u8]>>(
        &self,
        bufs: &mut [B],
        received: &mut Vec<(usize, SocketAddr)>,
    ) -> io::Result<usize> {
        received.clear();
        if bufs.is_empty() {
            return Ok(0);
        }
        let receive = |socket: &std::net::UdpSocket| {
            batch(&self.deferred.received, bufs.len(), |at| {
                received.push(socket.recv_from(bufs[at].as_mut())?);
                Ok(())
            })
        };
        self.io.op(Direction::Read, receive).await
    }

    /// Sends datagrams, each to its address, in their order, until the next would have to wait;
    /// waits for room for the first of them. Returns how many were sent.
    ///
    /// With no `datagrams` it returns 0 at once; at most 128 are sent by one call.
    ///
    /// # Errors
    ///
    /// Those of [`send`](UdpSocket::send). An error behind the first datagram ends the batch, and
    /// the next call that sends a batch returns it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was sent.
    pub async fn send_many_to<B: AsRef<[u8]>>(
        &self,
        datagrams: &[(B, SocketAddr)],
    ) -> io::Result<usize> {
        self.send_batch(datagrams.len(), |socket, at| {
            let (datagram, addr) = &datagrams[at];
            socket.send_to(datagram.as_ref(), addr)
        })
        .await
    }

    /// Sends datagrams to the peer that the socket is connected to; otherwise like
    /// [`send_many_to`](UdpSocket::send_many_to).
    pub async fn send_many<B: AsRef<[u8]>>(&self, datagrams: &[B]) -> io::Result<usize> {
        self.send_batch(datagrams.len(), |socket, at| socket.send(datagrams[at].as_ref())).await
    }

    async fn send_batch(
        &self,
        len: usize,
        mut send: impl FnMut(&std::net::UdpSocket, usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if len == 0 {
            return Ok(0);
        }
        let send = |socket: &std::net::UdpSocket| {
            batch(&self.deferred.sent, len, |at| send(socket, at).map(drop))
        };
        self.io.op(Direction::Write, send).await
    }
}
