//! The end, in the middle of everything.

use std::future::pending;
use std::sync::{Arc, Mutex as Plain};

use shuttle::thread;

use super::support::{
    Books, Entry, Gate, Runtime, below, block_on, close, dawdle, one_in, pass_time, read, sleep,
    spawn_on, up_to, yield_now,
};
use crate::harness::program;
use crate::lifecycle::JoinHandle;
use crate::primitive::poller::Endpoint;
use crate::scheduler::{Shared, guest};

const WORKERS: usize = 3;
const SPAWNERS: usize = 2;

/// Tasks that one thread spawns.
const TASKS: usize = 6;
const BYTES: usize = 4;

/// What tasks wait for, and the books about them.
struct World {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    /// Where something may arrive. std's lock: it is held over no place to switch threads.
    sockets: Plain<Vec<Endpoint>>,
    futures: Arc<Books>,
    /// All tasks end by themselves, so that it may close when there is none.
    is_calm: bool,
}

/// Spawns one more task as it is dropped, and opens the gate.
struct Parting(Arc<World>, Entry);

impl Drop for Parting {
    fn drop(&mut self) {
        let entry = self.0.futures.entry();
        let last = spawn_on(&self.0.shared, async move {
            let _entry = entry;
            yield_now().await;
        });
        last.detach();
        self.0.gate.open();
    }
}

impl World {
    /// A task that may never end by itself.
    fn spawn(self: &Arc<Self>) -> JoinHandle<()> {
        let parting = Parting(Arc::clone(self), self.futures.entry());
        let kind = if self.is_calm { 4 } else { below(6) };
        spawn_on(&self.shared, async move {
            let world = &parting.0;
            match kind {
                0 => pending().await,
                1 => world.gate.wait().await,
                2 => _ = sleep(&world.shared).await,
                3 => {
                    let socket = Endpoint::new();
                    world.sockets.lock().unwrap().push(socket);
                    _ = read(world.shared.driver(), socket, BYTES).await;
                }
                4 => yield_now().await,
                _ => {
                    let inner = world.futures.entry();
                    let inner = spawn_on(&world.shared, async move {
                        let _inner = inner;
                        pending::<()>().await;
                    });
                    assert!(inner.await.unwrap_err().is_cancelled());
                }
            }
        })
    }
}

impl World {
    /// Sends something to sockets that there are.
    fn send(&self) {
        for _ in 0..TASKS * SPAWNERS {
            dawdle(6);
            let socket = {
                let sockets = self.sockets.lock().unwrap();
                sockets.get(below(sockets.len().max(1))).copied()
            };
            if let Some(socket) = socket {
                socket.arrive(up_to(BYTES));
            }
        }
    }
}

program! {
    /// Every task ends, every handle learns of it, every future is dropped once, the workers
    /// leave, and so does the guest: whatever runs, sleeps, is spawned or is woken as it closes.
    fn a_runtime_that_closes_at_any_moment_leaves_nothing_behind() {
        let runtime = Runtime::start(WORKERS, 1);
        let world = Arc::new(World {
            shared: Arc::clone(&runtime.shared),
            gate: Gate::new(),
            sockets: Plain::default(),
            futures: Books::new(),
            is_calm: one_in(4),
        });
        let spawners = [(); SPAWNERS].map(|()| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let mut tasks = Vec::new();
                for _ in 0..up_to(TASKS) {
                    dawdle(4);
                    tasks.push(world.spawn());
                }
                for task in tasks {
                    if let Err(error) = block_on(task) {
                        assert!(error.is_cancelled(), "{error}");
                    }
                }
            })
        });
        let peers = Arc::clone(&world);
        let peer = thread::spawn(move || peers.send());
        let clock = pass_time();
        let closers = [(); 2].map(|()| {
            let shared = Arc::clone(&runtime.shared);
            thread::spawn(move || {
                dawdle(60);
                close(&shared);
            })
        });
        let inside = Arc::clone(&world);
        let main = async move {
            let inner = inside.spawn();
            inside.gate.wait().await;
            _ = inner.await;
        };
        guest::block_on(&runtime.shared, main, || ());
        let others = spawners.into_iter().chain(closers).chain([peer, clock]);
        for thread in others {
            thread.join().unwrap();
        }
        runtime.join();
        world.futures.assert_balanced("futures");
    }
    catches
        "shutdown: who runs the last task tells nobody",
        "shutdown: tasks are aborted before none binds any more",
        "owned: bind without looking at closed",
}
