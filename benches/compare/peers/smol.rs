//! The smol stack as `smol` puts it together: async-executor on threads that turn async-io's
//! reactor while they wait, and blocking's pool.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use async_executor::{Executor, Task};
use async_io::{Async, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use super::Peer;

/// Global, as in `smol::spawn`: one process measures one runtime.
static EXECUTOR: Executor<'static> = Executor::new();

pub(crate) struct Smol;

impl Peer for Smol {
    type Handle = &'static Executor<'static>;
    type Join<T: Send + 'static> = Task<T>;
    type Listener = Async<TcpListener>;
    type Stream = Async<TcpStream>;

    fn new(workers: usize) -> io::Result<Smol> {
        for worker in 0..workers {
            thread::Builder::new()
                .name(format!("smol-{worker}"))
                .spawn(|| async_io::block_on(EXECUTOR.run(future::pending::<()>())))?;
        }
        Ok(Smol)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_io::block_on(future)
    }

    fn handle(&self) -> Self::Handle {
        &EXECUTOR
    }

    /// Not counted.
    fn noop_wakes(&self) -> Option<u64> {
        None
    }

    fn spawn_on<F>(handle: &Self::Handle, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        handle.spawn(future)
    }

    fn spawn<F>(future: F) -> Task<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        EXECUTOR.spawn(future)
    }

    fn spawn_detached<F>(future: F)
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        EXECUTOR.spawn(future).detach();
    }

    fn spawn_blocking<T, F>(closure: F) -> impl Future<Output = T> + Send
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        blocking::unblock(closure)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        future::yield_now()
    }

    async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }

    async fn sleep_until(deadline: Instant) {
        Timer::at(deadline).await;
    }

    async fn bind(address: SocketAddr) -> io::Result<Self::Listener> {
        Async::<TcpListener>::bind(address)
    }

    fn local_addr(listener: &Self::Listener) -> io::Result<SocketAddr> {
        listener.get_ref().local_addr()
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        let (stream, _) = listener.accept().await?;
        Ok(stream)
    }

    async fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer).await
    }

    async fn write_all(stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await
    }

    // What `async-fs` does.
    async fn read_file(path: &Path) -> io::Result<Vec<u8>> {
        let path = path.to_owned();
        blocking::unblock(move || std::fs::read(path)).await
    }

    async fn read_in_pieces(path: &Path, buffer: &mut [u8]) -> io::Result<usize> {
        let path = path.to_owned();
        let file = blocking::unblock(move || std::fs::File::open(path)).await?;
        let mut file = blocking::Unblock::new(file);
        let mut read = 0;
        loop {
            match file.read(buffer).await? {
                0 => return Ok(read),
                len => read += len,
            }
        }
    }

    async fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
        let (from, to) = (from.to_owned(), to.to_owned());
        blocking::unblock(move || std::fs::copy(from, to)).await
    }
}
