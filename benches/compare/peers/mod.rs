//! Who is compared: the runtimes, behind one trait, by static dispatch; in [`processes`] the pools
//! of worker processes, behind another.
//!
//! What a runtime does is its own (tasks, timers, sockets, blocking pool, yielding); what it does
//! not is the same for all (channels, the load on a server, the clock).

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) mod floor;
pub(crate) mod processes;
mod smol;
mod tenter;
mod tokio;

pub(crate) use smol::Smol;
pub(crate) use tenter::Tenter;
pub(crate) use tokio::Tokio;

/// Who runs a row. In the order of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Tenter,
    Tokio,
    Smol,
    Procspawn,
    /// Python's `ProcessPoolExecutor`.
    Python,
    Floor,
}

impl Runtime {
    pub(crate) const ALL: [Runtime; 6] = [
        Runtime::Tenter,
        Runtime::Tokio,
        Runtime::Smol,
        Runtime::Procspawn,
        Runtime::Python,
        Runtime::Floor,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::Tenter => "tenter",
            Runtime::Tokio => "tokio",
            Runtime::Smol => "smol",
            Runtime::Procspawn => "procspawn",
            Runtime::Python => "python",
            Runtime::Floor => "floor",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Runtime> {
        Runtime::ALL.into_iter().find(|runtime| runtime.name() == name)
    }
}

/// A runtime. Functions without `self` are called from inside one of its tasks.
pub(crate) trait Peer: Sized + 'static {
    /// Spawns from threads that are not the runtime's.
    type Handle: Clone + Send + Sync + 'static;
    /// The output of a task, in time.
    type Join<T: Send + 'static>: Future<Output = T> + Send + Unpin + 'static;
    type Listener: Send + Sync + 'static;
    type Stream: Send + 'static;

    /// A runtime with `workers` worker threads and its driver.
    fn new(workers: usize) -> io::Result<Self>;

    /// Runs `future` on the calling thread as the runtime's main future.
    fn block_on<F: Future>(&self, future: F) -> F::Output;

    fn handle(&self) -> Self::Handle;

    /// The number of wakes so far after which a worker found nothing to do, if it is counted.
    fn noop_wakes(&self) -> Option<u64>;

    fn spawn_on<F>(handle: &Self::Handle, future: F) -> Self::Join<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static;

    fn spawn<F>(future: F) -> Self::Join<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static;

    fn spawn_detached<F>(future: F)
    where
        F: Future<Output: Send + 'static> + Send + 'static;

    fn spawn_blocking<T, F>(closure: F) -> impl Future<Output = T> + Send
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    fn yield_now() -> impl Future<Output = ()> + Send;

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> + Send;

    fn bind(address: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    fn local_addr(listener: &Self::Listener) -> io::Result<SocketAddr>;

    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    fn read(
        stream: &mut Self::Stream,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;

    fn write_all(
        stream: &mut Self::Stream,
        bytes: &[u8],
    ) -> impl Future<Output = io::Result<()>> + Send;

    fn read_file(path: &Path) -> impl Future<Output = io::Result<Vec<u8>>> + Send;

    /// Opens a file and reads it to its end, `buffer` by `buffer`; returns its length.
    fn read_in_pieces(
        path: &Path,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;

    fn copy_file(from: &Path, to: &Path) -> impl Future<Output = io::Result<u64>> + Send;
}
