//! Bytes to and fro over sockets: what is sent arrives, all of it and in its order.

use std::future::Future;
use std::io::{self, IoSlice};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_lite::future::zip;
use tenter::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tenter::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};

use crate::ensure;
use crate::plan::{Datagrams, Echo, Exchange, Streams, Writes};
use crate::random::{Pattern, Random};
use crate::world::Ctx;

use super::expect_io;

/// Bytes of a datagram at most.
const DATAGRAM_BYTES: u64 = 1500;

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// What TCP's and Unix's streams have in common.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static {
    fn halves(self) -> (Reader, Writer);
    fn by_reference(&self) -> (impl AsyncRead + Send + Unpin, impl AsyncWrite + Send + Unpin);
    fn read_now(&self, buf: &mut [u8]) -> io::Result<usize>;
    fn write_now(&self, buf: &[u8]) -> io::Result<usize>;
    fn can_read(&self) -> impl Future<Output = io::Result<()>> + Send;
    fn can_write(&self) -> impl Future<Output = io::Result<()>> + Send;
    fn end(&self) -> io::Result<()>;
}

macro_rules! stream {
    ($type:ident) => {
        impl Stream for $type {
            fn halves(self) -> (Reader, Writer) {
                let (reader, writer) = self.into_split();
                (Box::new(reader), Box::new(writer))
            }

            fn by_reference(
                &self,
            ) -> (impl AsyncRead + Send + Unpin, impl AsyncWrite + Send + Unpin) {
                (self, self)
            }

            fn read_now(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.try_read(buf)
            }

            fn write_now(&self, buf: &[u8]) -> io::Result<usize> {
                self.try_write(buf)
            }

            async fn can_read(&self) -> io::Result<()> {
                self.readable().await
            }

            async fn can_write(&self) -> io::Result<()> {
                self.writable().await
            }

            fn end(&self) -> io::Result<()> {
                self.shutdown(std::net::Shutdown::Write)
            }
        }
    };
}

stream!(TcpStream);
stream!(UnixStream);

pub(super) async fn exchanges(ctx: Ctx, plan: Exchange) {
    match plan.kind {
        Streams::Tcp => {
            let pair = tcp_pair().await;
            if let Some((near, far)) = expect_io(&ctx, "a TCP connection", pair) {
                echoes(ctx, plan, near, far).await;
            }
        }
        Streams::Unix => {
            let pair = unix_pair().await;
            if let Some((near, far)) = expect_io(&ctx, "a Unix connection", pair) {
                echoes(ctx, plan, near, far).await;
            }
        }
        Streams::UnixPair => {
            if let Some((near, far)) = expect_io(&ctx, "a pair", UnixStream::pair()) {
                echoes(ctx, plan, near, far).await;
            }
        }
    }
}

async fn tcp_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let connecting = TcpStream::connect(listener.local_addr()?);
    let (near, far) = zip(connecting, listener.accept()).await;
    Ok((near?, far?.0))
}

async fn unix_pair() -> io::Result<(UnixStream, UnixStream)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tenter-stress-{}-{number}", std::process::id());
    let name = SocketAddr::from_abstract_name(name)?;
    let listener = UnixListener::bind_addr(&name)?;
    let (near, far) = zip(UnixStream::connect_addr(&name), listener.accept()).await;
    Ok((near?, far?.0))
}

/// Sends a pattern to an echo, and compares what comes back.
async fn echoes<S: Stream>(ctx: Ctx, plan: Exchange, near: S, far: S) {
    let echo = ctx.helper("echo", echo(far, plan.echo, plan.seed));
    // From here on the echo may be gone at any time.
    let is_cut = plan.cut.is_some();
    let (echo, cutter) = (Arc::new(echo), plan.cut);
    if let Some(delay) = cutter {
        let echo = echo.clone();
        ctx.world.once_outside(delay, move || echo.abort());
    }
    let received = match plan.writes_in {
        Writes::OtherTask => {
            let (reader, writer) = near.halves();
            let writing = write(writer, plan.seed, plan.bytes);
            let writer = ctx.helper("writer", async { drop(writing.await) });
            let received = read(reader, plan.seed).await;
            writer.join().await;
            received
        }
        Writes::SameTask => {
            let (reader, writer) = near.by_reference();
            let (received, _either) =
                zip(read(reader, plan.seed), write(writer, plan.seed, plan.bytes)).await;
            received
        }
        Writes::Readiness => {
            let (received, _either) =
                zip(read_ready(&near, plan.seed), write_ready(&near, plan.seed, plan.bytes)).await;
            received
        }
    };
    check(&ctx, received, u64::from(plan.bytes), is_cut);
    if let Ok(echo) = Arc::try_unwrap(echo) {
        echo.join().await;
    }
}

fn check(ctx: &Ctx, received: io::Result<u64>, sent: u64, is_cut: bool) {
    if let Ok(count) = received {
        ctx.world.bytes.fetch_add(count, Ordering::Relaxed);
    }
    let is_whole = received.as_ref().is_ok_and(|count| *count == sent);
    ensure!(is_whole || is_cut || ctx.is_ending(), "of {sent} bytes came back {received:?}");
}

async fn echo<S: Stream>(mut far: S, how: Echo, seed: u64) {
    // Errors are seen at the other end, where bytes are missing.
    let _either = match how {
        Echo::Copy => {
            let (reader, mut writer) = far.halves();
            let copied = copy(reader, &mut writer).await;
            copied.and(writer.close().await)
        }
        Echo::Loop => {
            let mut random = Random::new(seed);
            let mut buffer = vec![0; 1 + random.skewed(20_000) as usize];
            loop {
                let room = 1 + random.below(buffer.len() as u64) as usize;
                match far.read(&mut buffer[..room]).await {
                    Ok(0) => break far.close().await,
                    Ok(count) => {
                        if let Err(error) = far.write_all(&buffer[..count]).await {
                            break Err(error);
                        }
                    }
                    Err(error) => break Err(error),
                }
            }
        }
        Echo::Vectored => echo_vectored(far).await,
    };
}

async fn echo_vectored<S: Stream>(mut far: S) -> io::Result<()> {
    let (mut one, mut other) = ([0; 100], vec![0; 5000]);
    loop {
        let mut buffers = [io::IoSliceMut::new(&mut one), io::IoSliceMut::new(&mut other)];
        let count = far.read_vectored(&mut buffers).await?;
        if count == 0 {
            return far.close().await;
        }
        let in_one = count.min(one.len());
        let (first, second) = (&one[..in_one], &other[..count - in_one]);
        let written = far.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]).await?;
        let in_one = written.min(first.len());
        far.write_all(&first[in_one..]).await?;
        far.write_all(&second[written - in_one..]).await?;
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, seed: u64, bytes: u32) -> io::Result<()> {
    let (mut pattern, mut random) = (Pattern::new(seed), Random::new(!seed));
    let mut left = bytes as usize;
    while left > 0 {
        let count = (1 + random.skewed(40_000) as usize).min(left);
        writer.write_all(&pattern.take(count)).await?;
        left -= count;
    }
    writer.close().await
}

async fn read(mut reader: impl AsyncRead + Unpin, seed: u64) -> io::Result<u64> {
    let (mut pattern, mut random) = (Pattern::new(seed), Random::new(seed ^ 1));
    let mut buffer = vec![0; 1 + random.skewed(30_000) as usize];
    let mut sum = 0;
    loop {
        let room = 1 + random.below(buffer.len() as u64) as usize;
        match reader.read(&mut buffer[..room]).await? {
            0 => return Ok(sum),
            count => {
                let is_next = pattern.continues_with(&buffer[..count]);
                ensure!(is_next, "other bytes came back than were sent, after {sum} of them");
                sum += count as u64;
            }
        }
    }
}

async fn write_ready(stream: &impl Stream, seed: u64, bytes: u32) -> io::Result<()> {
    let all = Pattern::new(seed).take(bytes as usize);
    let mut left = &all[..];
    while !left.is_empty() {
        match stream.write_now(left) {
            Ok(count) => left = &left[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.can_write().await?,
            Err(error) => return Err(error),
        }
        tenter::task::consume_budget().await;
    }
    stream.end()
}

async fn read_ready(stream: &impl Stream, seed: u64) -> io::Result<u64> {
    let mut pattern = Pattern::new(seed);
    let (mut buffer, mut sum) = ([0; 3000], 0);
    loop {
        match stream.read_now(&mut buffer) {
            Ok(0) => return Ok(sum),
            Ok(count) => {
                let is_next = pattern.continues_with(&buffer[..count]);
                ensure!(is_next, "other bytes came back than were sent, after {sum} of them");
                sum += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.can_read().await?,
            Err(error) => return Err(error),
        }
        tenter::task::consume_budget().await;
    }
}

pub(super) async fn datagrams(ctx: Ctx, seed: u64, count: u8, kind: Datagrams) {
    let exchanged = match kind {
        Datagrams::Udp => udp(seed, count).await,
        Datagrams::Unix => unix_datagrams(seed, count).await,
    };
    if let Some(bytes) = expect_io(&ctx, "datagrams", exchanged) {
        ctx.world.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// One at a time there and back: the system loses none of them.
async fn udp(seed: u64, count: u8) -> io::Result<u64> {
    let (near, far) =
        (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    near.connect(far.local_addr()?).await?;
    let echo = async {
        let mut buffer = [0; DATAGRAM_BYTES as usize];
        for _ in 0..count {
            let (count, from) = far.recv_from(&mut buffer).await?;
            far.send_to(&buffer[..count], from).await?;
        }
        io::Result::Ok(())
    };
    let ask = async {
        let (mut pattern, mut random) = (Pattern::new(seed), Random::new(seed));
        let (mut buffer, mut sum) = ([0; DATAGRAM_BYTES as usize], 0);
        for _ in 0..count {
            let sent = pattern.take(random.below(DATAGRAM_BYTES) as usize);
            near.send(&sent).await?;
            let received = near.recv(&mut buffer).await?;
            ensure!(buffer[..received] == sent[..], "another datagram came back than was sent");
            sum += received as u64;
        }
        io::Result::Ok(sum)
    };
    let (asked, echoed) = zip(ask, echo).await;
    echoed.and(asked)
}

/// As fast as they are taken: the system holds the sender up.
async fn unix_datagrams(seed: u64, count: u8) -> io::Result<u64> {
    let (near, far) = UnixDatagram::pair()?;
    let send = async {
        let (mut pattern, mut random) = (Pattern::new(seed), Random::new(seed));
        for _ in 0..count {
            near.send(&pattern.take(random.below(DATAGRAM_BYTES) as usize)).await?;
        }
        io::Result::Ok(())
    };
    let receive = async {
        let (mut pattern, mut random) = (Pattern::new(seed), Random::new(seed));
        let (mut buffer, mut sum) = ([0; DATAGRAM_BYTES as usize], 0);
        for _ in 0..count {
            let sent = pattern.take(random.below(DATAGRAM_BYTES) as usize);
            let received = far.recv(&mut buffer).await?;
            ensure!(buffer[..received] == sent[..], "another datagram came than was sent");
            sum += received as u64;
        }
        io::Result::Ok(sum)
    };
    let (sent, received) = zip(send, receive).await;
    sent.and(received)
}
