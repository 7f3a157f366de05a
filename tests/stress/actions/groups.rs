//! Groups: nothing of one is left when it returns, and no failure is lost.

use std::sync::Arc;
use std::time::Duration;

use tenter::task::{GroupError, GroupHandle, TaskGroup, task_group};
use tenter::time::timeout;

use crate::ensure;
use crate::ledger::{BODY, End, Planned, Record, Token};
use crate::outside::Delay;
use crate::plan::{Group, Step, Stop};
use crate::world::{Ctx, Enclosing, Members};

use super::{blocking, perform};

type Started = (Arc<Record>, GroupHandle<Token>);

pub(super) async fn has_group(ctx: Ctx, plan: Group) {
    let members = Members::inside(ctx.group.as_ref());
    let stop = plan.stop;
    let group = task_group(async |group: &TaskGroup<Planned>| {
        let enclosing = Enclosing { group: group.clone(), members: members.clone() };
        body(Ctx { world: ctx.world.clone(), group: Some(enclosing) }, plan).await
    });
    let result = match stop {
        Stop::Timeout(after) => match timeout(after, group).await {
            Ok(result) => result,
            // Its tasks are aborted, and nobody waits for them here.
            Err(_) => return,
        },
        Stop::Nothing | Stop::Cancel(_) | Stop::CancelAfter(_) => group.await,
    };
    for record in members.all() {
        ensure!(record.is_dropped(), "{record} outlives its group");
    }
    if let Err(error) = result {
        check_error(&ctx, stop, error);
    }
}

fn check_error(ctx: &Ctx, stop: Stop, error: GroupError<Planned>) {
    let has_deadline = matches!(stop, Stop::CancelAfter(_));
    ensure!(!error.is_timed_out() || has_deadline, "a group without a deadline is timed out");
    let is_for_nothing = error.failures().is_empty() && !error.is_timed_out();
    ensure!(!is_for_nothing, "a group fails for no reason: {error:?}");
    for failure in error.failures() {
        match (failure.error(), failure.panic_message()) {
            (Some(Planned(BODY)), None) => ensure!(failure.is_body(), "{failure:?} is the body's"),
            (Some(planned), None) => ctx.world.ledger.failure_seen(&format!("{planned:?}")),
            (None, Some(message)) => ctx.world.ledger.failure_seen(message),
            _ => crate::verdict::violation(format_args!("{failure:?} is no failure")),
        }
    }
}

/// The body of the group that `ctx` is in.
async fn body(ctx: Ctx, plan: Group) -> Result<(), Planned> {
    let Some(Enclosing { group, members }) = ctx.group.clone() else { return Ok(()) };
    let mut started: Vec<Started> = Vec::new();
    for task in plan.tasks {
        let (probe, record) = ctx.member(task);
        members.add(&record);
        started.push((record, group.spawn(probe)));
    }
    for (steps, end) in plan.closures {
        started.push(closure(&ctx, &group, &members, steps, end));
    }
    match plan.stop {
        Stop::Cancel(delay) => cancel_outside(&ctx, delay, &group),
        Stop::CancelAfter(after) => group.cancel_after(after.max(Duration::from_nanos(1))),
        Stop::Nothing | Stop::Timeout(_) => {}
    }
    perform(ctx, plan.body).await;
    if plan.joins {
        for (record, handle) in started {
            let result = handle.await;
            record.ended_in_group(result);
        }
    }
    // Of a body that is run by no task, an error that nobody takes goes to standard error.
    let can_fail = tenter::task::id().is_some();
    if plan.body_fails && can_fail { Err(Planned(BODY)) } else { Ok(()) }
}

fn closure(
    ctx: &Ctx,
    group: &TaskGroup<Planned>,
    members: &Members,
    steps: Vec<Step>,
    end: End,
) -> Started {
    let inner = ctx.clone();
    let (errand, record) = ctx.world.errand(end, move || blocking::run(&inner, steps));
    members.add(&record);
    (record, group.spawn_blocking(move || errand.call()))
}

fn cancel_outside(ctx: &Ctx, delay: Delay, group: &TaskGroup<Planned>) {
    let group = group.clone();
    ctx.world.once_outside(delay, move || group.cancel());
}
