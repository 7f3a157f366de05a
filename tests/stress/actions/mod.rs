//! The actions of a plan, carried out.

mod blocking;
mod children;
mod groups;
mod jobs;
mod many;
mod pool_io;
mod shares;
mod simple;
mod spawning;
mod streams;
mod time;
mod tokens;

use std::io;

use futures_lite::future::{self, FutureExt};

use crate::ensure;
use crate::plan::Action;
use crate::probe::Boxed;
use crate::world::Ctx;

pub(crate) use spawning::release_kept;

/// The future that does it. It is boxed: actions are nested.
pub(crate) fn perform(ctx: Ctx, action: Action) -> Boxed {
    match action {
        Action::All(actions) => Box::pin(async move {
            for action in actions {
                perform(ctx.clone(), action).await;
            }
        }),
        Action::Yield(times) => Box::pin(simple::yields(times)),
        Action::Compute(spins) => Box::pin(simple::computes(spins)),
        Action::Spend(units) => Box::pin(simple::spends(units)),
        Action::WakeSelf(times, style) => Box::pin(simple::wakes_itself(times, style)),
        Action::KeepWaker => Box::pin(simple::keeps_waker(ctx)),
        Action::Signal(delay, style) => Box::pin(simple::waits_for_signal(ctx, delay, style)),
        Action::Knock(times) => Box::pin(simple::is_knocked(ctx, times)),
        Action::Block(delay) => Box::pin(blocking::blocks(ctx, delay)),
        Action::BlockForTask => Box::pin(blocking::blocks_for_task(ctx)),
        Action::InPlace(steps) => Box::pin(blocking::in_place(ctx, steps)),
        Action::Blocking { steps, end, fate } => {
            Box::pin(blocking::spawns_closure(ctx, steps, end, fate))
        }
        Action::Spawn { task, via, fate } => Box::pin(spawning::spawns(ctx, *task, via, fate)),
        Action::Select(one, other) => Box::pin(perform(ctx.clone(), *one).or(perform(ctx, *other))),
        Action::Join(actions) => Box::pin(joins(ctx, actions)),
        Action::Local(value, inner) => Box::pin(simple::has_local(ctx, value, *inner)),
        Action::Sleep { first, resets, moves } => Box::pin(time::sleeps(ctx, first, resets, moves)),
        Action::Timeout(after, inner) => Box::pin(time::is_limited(ctx, after, *inner)),
        Action::Beat { period, ticks, missed } => Box::pin(time::beats(period, ticks, missed)),
        Action::Gather { tasks, limit } => Box::pin(many::gathers(ctx, tasks, limit)),
        Action::TryGather(tasks) => Box::pin(many::tries_to_gather(ctx, tasks)),
        Action::AsCompleted { tasks, take } => Box::pin(many::takes_as_completed(ctx, tasks, take)),
        Action::Set { tasks, end } => Box::pin(many::has_set(ctx, tasks, end)),
        Action::Shield(task, limit) => Box::pin(many::shields(ctx, *task, limit)),
        Action::Group(group) => Box::pin(groups::has_group(ctx, *group)),
        Action::Tokens { seed, nodes, delay } => Box::pin(tokens::cancels(ctx, seed, nodes, delay)),
        Action::Lock { tasks, rounds, aborted } => {
            Box::pin(shares::locks(ctx, tasks, rounds, aborted))
        }
        Action::Permits { tasks, permits, rounds } => {
            Box::pin(shares::asks_permits(ctx, tasks, permits, rounds))
        }
        Action::Channel { senders, messages, room } => {
            Box::pin(shares::sends(ctx, senders, messages, room))
        }
        Action::Stream(exchange) => Box::pin(streams::exchanges(ctx, exchange)),
        Action::Datagrams { seed, count, kind } => {
            Box::pin(streams::datagrams(ctx, seed, count, kind))
        }
        Action::File { seed, bytes } => Box::pin(pool_io::has_file(ctx, seed, bytes)),
        Action::Child { seed, kind } => Box::pin(children::has_child(ctx, seed, kind)),
        Action::Jobs { seed, calls, workers, end } => {
            Box::pin(jobs::runs_jobs(ctx, seed, calls, workers, end))
        }
    }
}

/// All of them in one task, side by side.
async fn joins(ctx: Ctx, actions: Vec<Action>) {
    let mut all: Boxed = Box::pin(future::ready(()));
    for action in actions {
        let (one, rest) = (perform(ctx.clone(), action), all);
        all = Box::pin(async move {
            tenter::join!(one, rest);
        });
    }
    all.await;
}

/// The value; `None` if the runtime is ending, and anything else is a violation.
fn expect_io<T>(ctx: &Ctx, what: &str, result: io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            ensure!(ctx.is_ending(), "{what}: {error:?}");
            None
        }
    }
}
