//! Tasks that do what the seed says: spawn, wait, yield, abort, detach.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use shuttle::thread;

use super::support::{
    Books, Entry, Gate, Runtime, below, block_on, dawdle, one_in, spawn_on, yield_now,
};
use crate::harness::program;
use crate::lifecycle::JoinHandle;
use crate::scheduler::{Shared, guest};

const WORKERS: usize = 3;

/// Tasks that threads spawn which are no workers.
const ROOTS: usize = 8;

/// Tasks that a task spawns at most, and so do these, down to the deepest.
const CHILDREN: usize = 3;
const DEPTH: usize = 2;

/// Things a task does.
const STEPS: usize = 5;

const GATES: usize = 4;

/// What all tasks of one run know.
struct World {
    shared: Arc<Shared>,
    gates: Vec<Arc<Gate>>,
    futures: Arc<Books>,
    outputs: Arc<Books>,
    /// From here on tasks are cancelled by the end of the runtime.
    is_ending: AtomicBool,
}

impl World {
    fn new(shared: Arc<Shared>) -> Arc<Self> {
        let gates = (0..GATES).map(|_| Gate::new()).collect();
        let (futures, outputs) = (Books::new(), Books::new());
        Arc::new(Self { shared, gates, futures, outputs, is_ending: AtomicBool::new(false) })
    }

    /// What a task does. It waits only for gates, which are opened, and for tasks that it
    /// spawned, so it ends.
    async fn live(self: &Arc<Self>, depth: usize) {
        let mut children = Vec::new();
        for _ in 0..1 + below(STEPS) {
            match below(6) {
                0 | 1 if depth > 0 && children.len() < CHILDREN => {
                    children.push(self.spawn(depth - 1));
                }
                2 => self.gates[below(GATES)].wait().await,
                3 => self.gates[below(GATES)].open(),
                4 if !children.is_empty() => {
                    let child = children.swap_remove(below(children.len()));
                    let_go(self, child).await;
                }
                _ => yield_now().await,
            }
        }
        for child in children {
            let_go(self, child).await;
        }
    }

    fn spawn(self: &Arc<Self>, depth: usize) -> JoinHandle<Entry> {
        let life = self.futures.entry();
        let world = Arc::clone(self);
        let future = async move {
            let _life = life;
            world.live(depth).await;
            world.outputs.entry()
        };
        // Boxed: a future that may hold one of its own kind.
        let future: Pin<Box<dyn Future<Output = Entry> + Send>> = Box::pin(future);
        spawn_on(&self.shared, future)
    }
}

/// Lets go of a task, in one of the ways that there are.
async fn let_go(world: &World, task: JoinHandle<Entry>) {
    let is_aborted = match below(4) {
        0 => return task.detach(),
        1 => {
            task.abort();
            true
        }
        _ => false,
    };
    if let Err(error) = task.await {
        assert!(is_aborted || world.is_ending.load(Relaxed), "nobody aborted it: {error}");
        assert!(error.is_cancelled(), "{error}");
    }
}

program! {
    /// Every future is dropped once, every output taken or dropped once, and no task is left,
    /// whoever spawned, woke, aborted or forgot it.
    fn every_task_ends_once_and_nothing_of_it_is_left() {
        let runtime = Runtime::start(WORKERS, 1);
        let world = World::new(Arc::clone(&runtime.shared));
        let threads = [0, 1].map(|_| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let roots: Vec<_> = (0..ROOTS / 2).map(|_| world.spawn(DEPTH)).collect();
                for gate in &world.gates {
                    dawdle(5);
                    gate.open();
                }
                roots.into_iter().for_each(|root| block_on(let_go(&world, root)));
            })
        });
        let inside = Arc::clone(&world);
        guest::block_on(&runtime.shared, async move { inside.live(DEPTH).await }, || ());
        for thread in threads {
            thread.join().unwrap();
        }
        if one_in(2) {
            // What was detached goes on, or is cancelled: both are an end.
            dawdle(20);
        }
        world.is_ending.store(true, Relaxed);
        runtime.end();
        world.futures.assert_balanced("futures");
        world.outputs.assert_balanced("outputs");
        assert!(world.futures.made() >= ROOTS);
    }
    catches
        "task: drop the renotified verdict",
        "idle: no second look",
        "join: an output that was taken is dropped too",
}
