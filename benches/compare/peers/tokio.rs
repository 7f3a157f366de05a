//! tokio, multi_thread.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Peer;

pub(crate) struct Tokio(tokio::runtime::Runtime);

impl Peer for Tokio {
    type Handle = tokio::runtime::Handle;
    type Join<T: Send + 'static> = Join<T>;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn new(workers: usize) -> io::Result<Tokio> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
            .map(Tokio)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn handle(&self) -> Self::Handle {
        self.0.handle().clone()
    }

    #[cfg(tokio_unstable)]
    fn noop_wakes(&self) -> Option<u64> {
        let metrics = self.0.metrics();
        Some((0..metrics.num_workers()).map(|worker| metrics.worker_noop_count(worker)).sum())
    }

    /// tokio counts them only when everything is built with `--cfg tokio_unstable`.
    #[cfg(not(tokio_unstable))]
    fn noop_wakes(&self) -> Option<u64> {
        None
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
        Join(tokio::spawn(future))
    }

    fn spawn_detached<F>(future: F)
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        drop(tokio::spawn(future));
    }

    fn spawn_blocking<T, F>(closure: F) -> impl Future<Output = T> + Send
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Join(tokio::task::spawn_blocking(closure))
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> + Send {
        tokio::time::sleep_until(deadline.into())
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
        tokio::fs::read(path).await
    }

    async fn read_in_pieces(path: &Path, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = tokio::fs::File::open(path).await?;
        let mut read = 0;
        loop {
            match file.read(buffer).await? {
                0 => return Ok(read),
                len => read += len,
            }
        }
    }

    async fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
        tokio::fs::copy(from, to).await
    }
}

/// A join handle that passes panics on.
pub(crate) struct Join<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|joined| joined.expect("no row panics or aborts"))
    }
}
