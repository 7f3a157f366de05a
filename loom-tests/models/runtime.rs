//! A scheduler with threads of its own, and what threads wait for: for models, and for programs.

use std::panic::Location;

use crate::driver::Driver;
use crate::engine::thread;
use crate::lifecycle::{JoinHandle, Place, Unobserved};
use crate::primitive::Arc;
use crate::primitive::lock::{Condvar, Mutex};
use crate::scheduler::{Shared, Worker};

/// A scheduler and the threads of its workers.
pub(super) struct Runtime {
    pub(super) shared: Arc<Shared>,
    pub(super) threads: Vec<thread::JoinHandle<()>>,
}

impl Runtime {
    pub(super) fn start(workers: usize, guests: usize) -> Self {
        let shards = Shared::timer_shards(workers, guests);
        let driver = Arc::new(Driver::new(shards).unwrap());
        let hook = std::sync::Arc::new(|_: &Unobserved<'_>| ());
        let (shared, cores) = Shared::new(workers, guests, driver, hook);
        let threads = cores.into_iter().map(|core| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || Worker::new(shared, core).run())
        });
        let threads = threads.collect();
        Self { shared, threads }
    }

    pub(super) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn_on(&self.shared, future)
    }

    /// Waits for the workers of a scheduler that is closed.
    pub(super) fn join(self) {
        for thread in self.threads {
            thread.join().unwrap();
        }
        assert!(self.shared.owned().is_empty(), "a task outlives the workers");
        assert_eq!(self.shared.queued(), 0, "a task is queued and no worker is left");
    }
}

pub(super) fn spawn_on<F>(shared: &Shared, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    shared.spawn(future, Place::new(Location::caller()))
}

/// What one thread waits for, and another says, without any runtime.
#[derive(Default)]
pub(super) struct Signal {
    given: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub(super) fn give(&self) {
        *self.given.lock() = true;
        self.changed.notify_all();
    }

    pub(super) fn wait(&self) {
        let mut given = self.given.lock();
        while !*given {
            given = self.changed.wait(given);
        }
    }
}
