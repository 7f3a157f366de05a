//! Rows about tasks: spawned, joined, woken, stolen.

use std::hint::black_box;
use std::thread;

use futures_lite::future;

use super::{Outcome, in_task};
use crate::oneshot;
use crate::peers::Peer;

/// Tasks that exist at once where a row spawns many.
pub(crate) const BATCH: usize = 10_000;
const OUTSIDE_THREADS: usize = 4;
pub(crate) const YIELDING_TASKS: usize = 200;
pub(crate) const PINGS_AT_ONCE: usize = 1_000;
const SENDERS: usize = 8;
const CHANNEL_CAPACITY: usize = 64;
pub(crate) const TREE_DEPTH: u32 = 14;
const SKEWED_AT_ONCE: usize = 1_000;

pub(crate) fn spawn_local<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let batches = ops.div_ceil(BATCH);
    in_task(peer, async move {
        let mut tasks = Vec::with_capacity(BATCH);
        for _ in 0..batches {
            tasks.extend((0..BATCH).map(|index| P::spawn(async move { black_box(index) })));
            for task in tasks.drain(..) {
                task.await;
            }
        }
    });
    Outcome::of(batches * BATCH)
}

pub(crate) fn spawn_remote<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let batches = ops.div_ceil(BATCH);
    spawn_from_outside::<P>(&peer.handle(), batches);
    Outcome::of(batches * BATCH)
}

pub(crate) fn spawn_remote_multi<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let batches = ops.div_ceil(BATCH * OUTSIDE_THREADS);
    let handle = peer.handle();
    thread::scope(|scope| {
        for _ in 0..OUTSIDE_THREADS {
            scope.spawn(|| spawn_from_outside::<P>(&handle, batches));
        }
    });
    Outcome::of(batches * BATCH * OUTSIDE_THREADS)
}

/// The waiting is not the runtime's: a thread outside parks until the next output is there.
fn spawn_from_outside<P: Peer>(handle: &P::Handle, batches: usize) {
    let mut tasks = Vec::with_capacity(BATCH);
    for _ in 0..batches {
        tasks.extend((0..BATCH).map(|index| P::spawn_on(handle, async move { black_box(index) })));
        future::block_on(async {
            for task in tasks.drain(..) {
                task.await;
            }
        });
    }
}

pub(crate) fn yield_many<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let yields = ops.div_ceil(YIELDING_TASKS);
    in_task(peer, async move {
        let tasks: Vec<_> =
            (0..YIELDING_TASKS).map(|_| P::spawn(yield_often::<P>(yields))).collect();
        for task in tasks {
            task.await;
        }
    });
    Outcome::of(yields * YIELDING_TASKS)
}

async fn yield_often<P: Peer>(yields: usize) {
    for _ in 0..yields {
        P::yield_now().await;
    }
}

pub(crate) fn ping_pong<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let batches = ops.div_ceil(PINGS_AT_ONCE);
    in_task(peer, async move {
        let mut pings = Vec::with_capacity(PINGS_AT_ONCE);
        for _ in 0..batches {
            pings.extend((0..PINGS_AT_ONCE).map(|_| P::spawn(ping::<P>())));
            for ping in pings.drain(..) {
                ping.await;
            }
        }
    });
    Outcome::of(batches * PINGS_AT_ONCE)
}

async fn ping<P: Peer>() {
    let (ping, pinged) = oneshot::channel();
    let (pong, ponged) = oneshot::channel();
    P::spawn_detached(async move {
        let value: u64 = pinged.await;
        pong.send(value);
    });
    ping.send(1);
    ponged.await;
}

pub(crate) fn chained_spawn<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let (done, end) = oneshot::channel();
    in_task(peer, async move {
        chain::<P>(ops, done);
        end.await;
    });
    Outcome::of(ops)
}

fn chain<P: Peer>(left: usize, done: oneshot::Sender<()>) {
    match left.checked_sub(1) {
        Some(left) => P::spawn_detached(async move { chain::<P>(left, done) }),
        None => done.send(()),
    }
}

pub(crate) fn cross_wake<P: Peer>(peer: &P, ops: usize) -> Outcome {
    in_task(peer, async move {
        let (request, requests) = async_channel::bounded(1);
        let (reply, replies) = async_channel::bounded(1);
        let replier = P::spawn(reply_to_all(requests, reply));
        trade(ops, request, replies).await;
        replier.await;
    });
    Outcome::of(ops)
}

/// The requester is the main future, which is no task.
pub(crate) fn main_rpc<P: Peer>(peer: &P, ops: usize) -> Outcome {
    peer.block_on(async {
        let (request, requests) = async_channel::bounded(1);
        let (reply, replies) = async_channel::bounded(1);
        let replier = P::spawn(reply_to_all(requests, reply));
        trade(ops, request, replies).await;
        replier.await;
    });
    Outcome::of(ops)
}

pub(crate) async fn trade(
    round_trips: usize,
    request: async_channel::Sender<usize>,
    replies: async_channel::Receiver<usize>,
) {
    for index in 0..round_trips {
        request.send(index).await.expect("the replier lives until the requester ends");
        let reply = replies.recv().await.expect("the replier lives until the requester ends");
        assert_eq!(reply, index);
    }
}

pub(crate) async fn reply_to_all(
    requests: async_channel::Receiver<usize>,
    reply: async_channel::Sender<usize>,
) {
    while let Ok(request) = requests.recv().await {
        if reply.send(request).await.is_err() {
            return;
        }
    }
}

pub(crate) fn mpsc_contended<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let each = ops.div_ceil(SENDERS);
    in_task(peer, async move {
        let (sender, receiver) = async_channel::bounded(CHANNEL_CAPACITY);
        for _ in 0..SENDERS {
            let sender = sender.clone();
            P::spawn_detached(async move {
                for index in 0..each {
                    sender.send(index).await.expect("the receiver outlives the senders");
                }
            });
        }
        drop(sender);
        let mut received = 0;
        while receiver.recv().await.is_ok() {
            received += 1;
        }
        assert_eq!(received, each * SENDERS);
    });
    Outcome::of(each * SENDERS)
}

pub(crate) fn fork_join<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let trees = ops.div_ceil(tree_nodes());
    in_task(peer, async move {
        for _ in 0..trees {
            assert_eq!(node::<P>(TREE_DEPTH).await, 1 << TREE_DEPTH);
        }
    });
    Outcome::of(trees * tree_nodes())
}

/// The nodes below the root.
pub(crate) const fn tree_nodes() -> usize {
    (1 << (TREE_DEPTH + 1)) - 2
}

/// Counts the leaves below, one task a node.
#[expect(clippy::manual_async_fn, reason = "the bound breaks the cycle of asking whether it is")]
fn node<P: Peer>(depth: u32) -> impl Future<Output = u64> + Send + 'static {
    async move {
        if depth == 0 {
            return 1;
        }
        let left = P::spawn(node::<P>(depth - 1));
        let right = P::spawn(node::<P>(depth - 1));
        left.await + right.await
    }
}

pub(crate) fn skewed<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let batches = ops.div_ceil(SKEWED_AT_ONCE);
    in_task(peer, async move {
        let mut tasks = Vec::with_capacity(SKEWED_AT_ONCE);
        for _ in 0..batches {
            tasks.extend((0..SKEWED_AT_ONCE).map(|index| {
                let steps = if index % 16 == 0 { 50_000 } else { 1_000 };
                P::spawn(async move { black_box(work(steps)) })
            }));
            for task in tasks.drain(..) {
                task.await;
            }
        }
    });
    Outcome::of(batches * SKEWED_AT_ONCE)
}

/// About a nanosecond a step, and no memory.
fn work(steps: u64) -> u64 {
    (0..steps).fold(1, |state: u64, step| {
        black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step))
    })
}
