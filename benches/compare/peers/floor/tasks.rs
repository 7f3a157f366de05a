//! Rows about tasks.

use std::hint::black_box;
use std::task::{Context, Waker};

use super::deque::{self, Task};
use crate::clock::resident_bytes;
use crate::oneshot;
use crate::rows::Outcome;
use crate::rows::memory::Parked;
use crate::rows::tasks::{
    BATCH, PINGS_AT_ONCE, TREE_DEPTH, YIELDING_TASKS, reply_to_all, trade, tree_nodes,
};
use crate::sample::Metric;

pub(crate) fn spawn_local(ops: usize) -> Outcome {
    let batches = ops.div_ceil(BATCH);
    for _ in 0..batches {
        for index in 0..BATCH {
            deque::push(async move {
                black_box(index);
            });
        }
        deque::run();
    }
    Outcome::of(batches * BATCH)
}

pub(crate) fn yield_many(ops: usize) -> Outcome {
    let yields = ops.div_ceil(YIELDING_TASKS);
    for _ in 0..YIELDING_TASKS {
        deque::push(async move {
            for _ in 0..yields {
                deque::yield_now().await;
            }
        });
    }
    deque::run();
    Outcome::of(yields * YIELDING_TASKS)
}

pub(crate) fn ping_pong(ops: usize) -> Outcome {
    let batches = ops.div_ceil(PINGS_AT_ONCE);
    for _ in 0..batches {
        for _ in 0..PINGS_AT_ONCE {
            deque::push(ping());
        }
        deque::run();
    }
    Outcome::of(batches * PINGS_AT_ONCE)
}

async fn ping() {
    let (ping, pinged) = oneshot::channel();
    let (pong, ponged) = oneshot::channel();
    deque::push(async move {
        let value: u64 = pinged.await;
        pong.send(value);
    });
    ping.send(1);
    ponged.await;
}

pub(crate) fn chained_spawn(ops: usize) -> Outcome {
    chain(ops);
    deque::run();
    Outcome::of(ops)
}

fn chain(left: usize) {
    if let Some(left) = left.checked_sub(1) {
        deque::push(async move { chain(left) });
    }
}

pub(crate) fn round_trips(ops: usize) -> Outcome {
    let (request, requests) = async_channel::bounded(1);
    let (reply, replies) = async_channel::bounded(1);
    deque::push(trade(ops, request, replies));
    deque::push(reply_to_all(requests, reply));
    deque::run();
    Outcome::of(ops)
}

pub(crate) fn fork_join(ops: usize) -> Outcome {
    let trees = ops.div_ceil(tree_nodes());
    for _ in 0..trees {
        deque::push(async { assert_eq!(node(TREE_DEPTH).await, 1 << TREE_DEPTH) });
        deque::run();
    }
    Outcome::of(trees * tree_nodes())
}

/// One allocation and one poll a node; the deque is not needed.
async fn node(depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    let left = Box::pin(node(depth - 1)).await;
    let right = Box::pin(node(depth - 1)).await;
    left + right
}

pub(crate) fn bytes_per_task(ops: usize) -> Outcome {
    let mut tasks: Vec<Option<Task>> = Vec::new();
    tasks.resize_with(ops, || None);
    let mut cx = Context::from_waker(Waker::noop());
    let before = resident_bytes();
    for (index, place) in tasks.iter_mut().enumerate() {
        let mut task: Task = Box::pin(Parked::new(index));
        assert!(task.as_mut().poll(&mut cx).is_pending());
        *place = Some(task);
    }
    let bytes = resident_bytes() - before;
    let mut outcome = Outcome::of(ops);
    outcome.extra.push((Metric::Bytes, bytes as f64 / ops as f64));
    outcome
}
