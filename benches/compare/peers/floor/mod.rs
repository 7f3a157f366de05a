//! The floor: each row written by hand with the least that could work, on one thread if it can.
//!
//! A task is one allocation, one push to and one pop from a deque, and its polls; I/O is an epoll
//! loop; timers are a sorted set. No handles, no wakers, no second thread unless the row is about
//! one. A row where that would be nothing, or everything, has no floor.

use crate::rows::Outcome;

mod deque;
mod files;
mod tasks;
pub(crate) mod tcp;
mod threads;
mod timers;

/// The row's body, if the floor has the row.
pub(crate) fn body(name: &str) -> Option<fn(usize) -> Outcome> {
    Some(match name {
        "spawn_local" => tasks::spawn_local,
        "yield_many" => tasks::yield_many,
        "ping_pong" => tasks::ping_pong,
        "chained_spawn" => tasks::chained_spawn,
        "cross_wake" | "main_rpc" => tasks::round_trips,
        "fork_join" => tasks::fork_join,
        "timers_fire" => timers::fire,
        "timers_cancel" => timers::cancel,
        "blocking_noop" => threads::blocking_noop,
        "wake_latency" => threads::wake_latency,
        "file_read_4k" => files::read_4k,
        "file_read_1m" => files::read_1m,
        "file_pieces" => files::pieces,
        "file_copy_1g" => files::copy,
        "bytes_per_task" => tasks::bytes_per_task,
        _ => return None,
    })
}
