//! Spawning a task, by one of many ways, and what is done with its handle.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_lite::future::{block_on, poll_once};
use tenter::task::Builder;

use crate::ensure;
use crate::oneshot::{Style, signal};
use crate::outside::Delay;
use crate::plan::{Fate, Task, Via};
use crate::world::{Ctx, Joiner, Kept, World};

use super::perform;

pub(super) async fn spawns(ctx: Ctx, task: Task, via: Via, fate: Fate) {
    if let (Via::Group, Some(enclosing)) = (via, &ctx.group) {
        let (probe, record) = ctx.member(task);
        enclosing.members.add(&record);
        let handle = enclosing.group.spawn(probe);
        if let Fate::Abort(_) | Fate::AbortOutside(_) | Fate::Cancel(_) = fate {
            handle.abort();
        }
        return;
    }
    let (probe, record) = ctx.task(task);
    let handle = match via {
        Via::Here | Via::Group => tenter::spawn(probe),
        Via::Handle => ctx.world.handle.spawn(probe),
        Via::Named => Builder::new().name(format!("named {}", record.number)).spawn(probe),
        Via::Detached => {
            record.failure_counts.store(true, Ordering::Relaxed);
            let abort = tenter::spawn_detached(probe);
            if let Fate::Abort(before) | Fate::Cancel(before) = fate {
                perform(ctx.clone(), *before).await;
                record.ask_abort();
                abort.abort();
            }
            return;
        }
        Via::Outside(delay) => {
            let (firer, signal) = signal(Style::ByValue);
            let handle = ctx.world.handle.clone();
            ctx.world.once_outside(delay, move || firer.fire(handle.spawn(probe)));
            match signal.await {
                Some(handle) => handle,
                None => unreachable!("it is fired with the handle"),
            }
        }
    };
    let_go(ctx.clone(), Joiner::new(&ctx.world, record, handle), fate).await;
}

/// Does with a handle what the plan says.
pub(super) async fn let_go(ctx: Ctx, mut joiner: Joiner, fate: Fate) {
    match fate {
        Fate::Join => joiner.join().await,
        Fate::JoinAfter(action) => {
            perform(ctx, *action).await;
            joiner.join().await;
        }
        Fate::DetachReporting => {
            joiner.record.failure_counts.store(true, Ordering::Relaxed);
            joiner.handle.detach_reporting();
        }
        Fate::Detach => joiner.handle.detach(),
        Fate::PollAndDrop => {
            if let Some(result) = poll_once(&mut joiner.handle).await {
                joiner.record.ended(result, ctx.is_ending());
            }
        }
        Fate::Abort(before) => {
            perform(ctx, *before).await;
            joiner.abort();
            joiner.join().await;
        }
        Fate::AbortOutside(delay) => {
            abort_outside(&ctx, delay, &joiner);
            joiner.join().await;
        }
        Fate::Cancel(before) => {
            perform(ctx, *before).await;
            joiner.cancel().await;
        }
        Fate::JoinOutside => ctx.world.clone().thread(move || block_on(joiner.join())),
        Fate::Keep => {
            let mut kept = ctx.world.kept.lock().unwrap();
            kept.push(Kept::Abort(joiner.handle.abort_handle()));
            kept.push(Kept::Join(joiner));
        }
    }
}

fn abort_outside(ctx: &Ctx, delay: Delay, joiner: &Joiner) {
    let (record, abort) = (joiner.record.clone(), joiner.handle.abort_handle());
    ctx.world.once_outside(delay, move || {
        record.ask_abort();
        abort.abort();
    });
}

/// Uses what was kept once more, and drops it: tasks have ended, and so has the runtime.
pub(crate) fn release_kept(world: &Arc<World>) {
    let kept = std::mem::take(&mut *world.kept.lock().unwrap());
    for kept in kept {
        match kept {
            Kept::Waker(waker) => waker.wake(),
            Kept::Abort(abort) => abort.abort(),
            Kept::Join(joiner) => {
                ensure!(joiner.handle.is_finished(), "{} outlives its runtime", joiner.record);
                block_on(joiner.join());
            }
        }
    }
}
