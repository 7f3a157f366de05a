//! Tasks: spawned, joined, woken, cancelled, all on one thread.

use std::future::pending;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tenter::task::{JoinSet, TaskGroup, task_group};
use tenter::{Runtime, yield_now};

use super::{on_worker, parts};
use crate::{clock, oneshot};

/// Tasks that exist at once where a row spawns many.
const BATCH: usize = 500;
const SENDERS: usize = 8;
const CHANNEL_CAPACITY: usize = 64;
const YIELDING_TASKS: usize = 20;
/// Four to a busy worker's look at the driver.
const LONG_POLL: Duration = Duration::from_micros(100);
/// A tree of 125 nodes, 120 of which are spawned.
const LEAVES: usize = 60;

/// A task spawns a task and joins it, many at once.
pub(super) fn spawn(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        let mut tasks = Vec::with_capacity(BATCH);
        for part in parts(count, BATCH) {
            tasks.extend((0..part).map(|index| tenter::spawn(async move { black_box(index) })));
            for task in tasks.drain(..) {
                task.await.unwrap();
            }
        }
    });
}

/// The same one by one: the task that joins waits each time.
pub(super) fn spawn_await(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for index in 0..count {
            tenter::spawn(async move { black_box(index) }).await.unwrap();
        }
    });
}

/// A thread outside spawns tasks and joins them; meanwhile the worker is held, later the thread.
pub(super) fn spawn_remote(runtime: &Runtime, count: usize) {
    let mut tasks = Vec::with_capacity(BATCH);
    for part in parts(count, BATCH) {
        let (held, is_held) = mpsc::sync_channel(1);
        let (release, is_released) = mpsc::sync_channel::<()>(1);
        let holder = runtime.spawn(async move {
            held.send(()).unwrap();
            is_released.recv().unwrap();
        });
        is_held.recv().unwrap();
        let left = Arc::new(AtomicUsize::new(part));
        let (done, is_done) = mpsc::sync_channel(1);
        tasks.extend((0..part).map(|_| {
            let (left, done) = (Arc::clone(&left), done.clone());
            runtime.spawn(async move {
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    done.send(()).unwrap();
                }
            })
        }));
        release.send(()).unwrap();
        is_done.recv().unwrap();
        futures_lite::future::block_on(async {
            holder.await.unwrap();
            for task in tasks.drain(..) {
                task.await.unwrap();
            }
        });
    }
}

/// One of several tasks yields.
pub(super) fn yields(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        let tasks = (0..YIELDING_TASKS).map(|_| {
            tenter::spawn(async move {
                for _ in 0..count / YIELDING_TASKS {
                    yield_now().await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

/// Polls that take a while each, by the clock: what a busy worker does by it, and what that costs.
pub(super) fn long_polls(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for _ in 0..count {
            clock::advance(LONG_POLL);
            yield_now().await;
        }
    });
}

/// A task spawns another and trades a oneshot each way with it.
pub(super) fn ping_pong(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        let mut pings = Vec::with_capacity(BATCH);
        for part in parts(count, BATCH) {
            pings.extend((0..part).map(|_| tenter::spawn(ping())));
            for ping in pings.drain(..) {
                ping.await.unwrap();
            }
        }
    });
}

async fn ping() {
    let (ping, pinged) = oneshot::channel();
    let (pong, ponged) = oneshot::channel();
    drop(tenter::spawn(async move {
        let value: u64 = pinged.await;
        pong.send(value);
    }));
    ping.send(1);
    ponged.await;
}

/// A task spawns the next and ends.
pub(super) fn chained_spawn(runtime: &Runtime, count: usize) {
    let (done, end) = oneshot::channel();
    on_worker(runtime, async move {
        chain(count, done);
        end.await;
    });
}

fn chain(left: usize, done: oneshot::Sender<()>) {
    match left.checked_sub(1) {
        Some(left) => drop(tenter::spawn(async move { chain(left, done) })),
        None => done.send(()),
    }
}

/// A round trip between two tasks over two channels.
pub(super) fn cross_wake(runtime: &Runtime, count: usize) {
    on_worker(runtime, rpc(count));
}

/// The same between the main future and a task, on the thread in `block_on`.
pub(super) fn main_rpc(runtime: &Runtime, count: usize) {
    runtime.block_on(rpc(count));
}

async fn rpc(count: usize) {
    let (request, requests) = async_channel::bounded(1);
    let (reply, replies) = async_channel::bounded(1);
    let replier = tenter::spawn(async move {
        while let Ok(request) = requests.recv().await {
            reply.send(request).await.unwrap();
        }
    });
    for index in 0..count {
        request.send(index).await.unwrap();
        assert_eq!(replies.recv().await, Ok(index));
    }
    drop(request);
    replier.await.unwrap();
}

/// A message of one of several tasks to one.
pub(super) fn mpsc(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        let (sender, receiver) = async_channel::bounded(CHANNEL_CAPACITY);
        for _ in 0..SENDERS {
            let sender = sender.clone();
            drop(tenter::spawn(async move {
                for index in 0..count / SENDERS {
                    sender.send(index).await.unwrap();
                }
            }));
        }
        drop(sender);
        while receiver.recv().await.is_ok() {}
    });
}

/// A node of a binary tree, a task each.
pub(super) fn fork_join(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for part in parts(count, 2 * LEAVES) {
            assert_eq!(node(part / 2).await, part / 2);
        }
    });
}

/// Counts the leaves below, one task a node.
#[expect(clippy::manual_async_fn, reason = "the bound breaks the cycle of asking whether it is")]
fn node(leaves: usize) -> impl Future<Output = usize> + Send + 'static {
    async move {
        if leaves <= 1 {
            return leaves;
        }
        let left = tenter::spawn(node(leaves / 2));
        let right = tenter::spawn(node(leaves - leaves / 2));
        left.await.unwrap() + right.await.unwrap()
    }
}

/// A task that waits is cancelled, and that is waited for.
pub(super) fn cancel(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for _ in 0..count {
            let task = tenter::spawn(pending::<()>());
            yield_now().await;
            assert_eq!(task.cancel().await, None);
        }
    });
}

/// A task of a set, many at once.
pub(super) fn join_set(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        let mut set = JoinSet::new();
        for part in parts(count, BATCH) {
            for index in 0..part {
                set.spawn(async move { black_box(index) });
            }
            while let Some(output) = set.join_next().await {
                output.unwrap();
            }
        }
    });
}

/// A task of a group, many at once.
pub(super) fn group(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for part in parts(count, BATCH) {
            task_group(async |group: &TaskGroup<()>| {
                for index in 0..part {
                    drop(group.spawn(async move { Ok(black_box(index)) }));
                }
                Ok(())
            })
            .await
            .unwrap();
        }
    });
}

/// A thread enters the runtime for a future that is ready, and leaves it.
pub(super) fn block_on(runtime: &Runtime, count: usize) {
    for index in 0..count {
        runtime.block_on(async { black_box(index) });
    }
}
