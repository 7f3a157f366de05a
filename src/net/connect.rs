//! Connecting to the best of several addresses: Happy Eyeballs (RFC 8305).
//!
//! The addresses are tried in their order, with the two families in turn. Each attempt has 250 ms
//! for itself, less if it fails; then the next begins beside it. The first that succeeds is taken,
//! and the others are closed.

use std::collections::VecDeque;
use std::fmt::Write;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::time::{Sleep, sleep};

use super::addrs::SocketAddrs;
use super::{TcpSocket, TcpStream};

/// How long an attempt is alone, the "Connection Attempt Delay" that the RFC recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to one of `addrs`.
///
/// # Errors
///
/// - That of the one address, as it came.
/// - Of several: the kind of the failure that came last, and a message with all of them.
/// - [`io::ErrorKind::InvalidInput`] if there is no address.
pub(super) async fn connect(mut addrs: SocketAddrs) -> io::Result<TcpStream> {
    match (addrs.next(), addrs.len()) {
        (None, _) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to"))
        }
        (Some(only), 0) => attempt(only).await,
        (Some(first), _) => {
            let mut race = Race::new(in_turn(first, addrs), attempt);
            poll_fn(|cx| race.poll(cx)).await
        }
    }
}

async fn attempt(addr: SocketAddr) -> io::Result<TcpStream> {
    TcpSocket::new_for(&addr)?.connect(addr).await
}

/// Orders addresses so that the families alternate, from that of the first.
fn in_turn(first: SocketAddr, rest: SocketAddrs) -> VecDeque<SocketAddr> {
    let (mut like_first, mut others) = (VecDeque::from([first]), VecDeque::new());
    for addr in rest {
        let family = if addr.is_ipv4() == first.is_ipv4() { &mut like_first } else { &mut others };
        family.push_back(addr);
    }
    let mut ordered = VecDeque::with_capacity(like_first.len() + others.len());
    while !(like_first.is_empty() && others.is_empty()) {
        ordered.extend(like_first.pop_front());
        ordered.extend(others.pop_front());
    }
    ordered
}

/// The attempts to connect to several addresses.
struct Race<F, A> {
    start: A,
    waiting: VecDeque<SocketAddr>,
    running: Vec<(SocketAddr, Pin<Box<F>>)>,
    failed: Vec<(SocketAddr, io::Error)>,
    /// Until the next attempt.
    delay: Sleep,
}

impl<F, A> Race<F, A>
where
    F: Future<Output = io::Result<TcpStream>>,
    A: Fn(SocketAddr) -> F,
{
    fn new(waiting: VecDeque<SocketAddr>, start: A) -> Race<F, A> {
        let delay = sleep(ATTEMPT_DELAY);
        Race { start, waiting, running: Vec::new(), failed: Vec::new(), delay }
    }

    /// Polls every attempt, and begins the next if it is due.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        // Ends: each round but the last takes an address from those that wait.
        loop {
            let failed_before = self.failed.len();
            if let Some(stream) = self.poll_running(cx) {
                return Poll::Ready(Ok(stream));
            }
            if self.waiting.is_empty() {
                return match self.running.is_empty() {
                    true => Poll::Ready(Err(summary(&self.failed))),
                    false => Poll::Pending,
                };
            }
            let is_due = self.running.is_empty() || failed_before < self.failed.len();
            if !is_due && Pin::new(&mut self.delay).poll(cx).is_pending() {
                return Poll::Pending;
            }
            if let Some(addr) = self.waiting.pop_front() {
                self.running.push((addr, Box::pin((self.start)(addr))));
                self.delay.reset(Instant::now() + ATTEMPT_DELAY);
            }
        }
    }

    /// Polls the attempts; moves those that failed, and returns the stream of the first that did
    /// not.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<TcpStream> {
        let mut at = 0;
        while let Some((addr, attempt)) = self.running.get_mut(at) {
            match attempt.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(stream)) => return Some(stream),
                Poll::Ready(Err(error)) => {
                    self.failed.push((*addr, error));
                    // Dropped here: its socket is closed before another is opened.
                    drop(self.running.remove(at));
                }
            }
        }
        None
    }
}

/// One error that says what became of each address.
fn summary(failed: &[(SocketAddr, io::Error)]) -> io::Error {
    let kind = failed.last().map_or(io::ErrorKind::Other, |(_, error)| error.kind());
    let mut message = String::from("no address could be connected to");
    for (at, (addr, error)) in failed.iter().enumerate() {
        let separator = if at == 0 { ": " } else { "; " };
        // Writing to a string does not fail.
        let _ = write!(message, "{separator}{addr}: {error}");
    }
    io::Error::new(kind, message)
}
