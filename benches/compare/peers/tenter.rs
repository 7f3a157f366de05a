//! `tenter` itself.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use tenter::net::{TcpListener, TcpStream};

use super::Peer;

pub(crate) struct Tenter(tenter::Runtime);

impl Peer for Tenter {
    type Handle = tenter::Handle;
    type Join<T: Send + 'static> = Join<T>;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn new(workers: usize) -> io::Result<Tenter> {
        // A line for each poll that blocks its thread on purpose would drown the tables.
        let mut builder = tenter::Runtime::builder();
        builder.worker_threads(workers).blocked_after(None).build().map(Tenter)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn handle(&self) -> Self::Handle {
        self.0.handle().clone()
    }

    fn noop_wakes(&self) -> Option<u64> {
        Some(self.0.handle().metrics().noop_wakes())
    }

    fn spawn_on<F>(handle: &Self::Handle, future: F) -> Join<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        Join(handle.spawn(future))
    }

    fn spawn<F>(future: F) -> Join<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        Join(tenter::spawn(future))
    }

    fn spawn_detached<F>(future: F)
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        drop(tenter::spawn(future));
    }

    fn spawn_blocking<T, F>(closure: F) -> impl Future<Output = T> + Send
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Join(tenter::spawn_blocking(closure))
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tenter::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        tenter::time::sleep(duration)
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> + Send {
        tenter::time::sleep_until(deadline)
    }

    fn bind(address: SocketAddr) -> impl Future<Output = io::Result<TcpListener>> + Send {
        TcpListener::bind(address)
    }

    fn local_addr(listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        let (stream, _) = listener.accept().await?;
        Ok(stream)
    }

    async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer).await
    }

    async fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await
    }

    async fn read_file(path: &Path) -> io::Result<Vec<u8>> {
        tenter::fs::read(path).await
    }

    async fn read_in_pieces(path: &Path, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = tenter::fs::File::open(path).await?;
        let mut read = 0;
        loop {
            match file.read(buffer).await? {
                0 => return Ok(read),
                len => read += len,
            }
        }
    }

    async fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
        tenter::fs::copy(from, to).await
    }
}

/// A join handle that passes panics on.
pub(crate) struct Join<T>(tenter::JoinHandle<T>);

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|joined| joined.expect("no row panics or aborts"))
    }
}
