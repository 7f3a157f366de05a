//! Many tasks at once: gather, sets, shields.

use std::sync::Arc;
use std::time::Duration;

use tenter::task::{Id, JoinError};
use tenter::time::timeout;
use tenter::{JoinSet, as_completed, gather, shield, try_gather};

use crate::ensure;
use crate::ledger::{Outcome, Record};
use crate::plan::{SetEnd, Task};
use crate::probe::Probe;
use crate::world::Ctx;

/// Watched futures, and their records in the same order.
fn probes(ctx: &Ctx, tasks: Vec<Task>) -> (Vec<Probe>, Vec<Arc<Record>>) {
    tasks.into_iter().map(|task| ctx.task(task)).unzip()
}

/// What gives these futures up may leave them aborted.
fn may_abort(records: &[Arc<Record>]) {
    records.iter().for_each(|record| record.ask_abort());
}

pub(super) async fn gathers(ctx: Ctx, tasks: Vec<Task>, limit: Option<Duration>) {
    let (probes, records) = probes(&ctx, tasks);
    // Whoever waits for this action may be aborted, or give it up.
    may_abort(&records);
    let results = match limit {
        None => gather(probes).await,
        Some(limit) => match timeout(limit, gather(probes)).await {
            Ok(results) => results,
            Err(_) => return,
        },
    };
    ensure!(results.len() == records.len(), "gather has {} results", results.len());
    for (result, record) in results.into_iter().zip(records) {
        record.ended(result, ctx.is_ending());
    }
}

pub(super) async fn tries_to_gather(ctx: Ctx, tasks: Vec<Task>) {
    let (probes, records) = probes(&ctx, tasks);
    may_abort(&records);
    match try_gather(probes).await {
        Ok(outputs) => {
            ensure!(outputs.len() == records.len(), "try_gather has {} outputs", outputs.len());
            for (output, record) in outputs.into_iter().zip(records) {
                record.ended(Ok(Ok(output)), ctx.is_ending());
            }
        }
        Err(error) => {
            for (index, failure) in error.into_failures() {
                records[index].ended(failure.map(Err), ctx.is_ending());
            }
        }
    }
}

pub(super) async fn takes_as_completed(ctx: Ctx, tasks: Vec<Task>, take: usize) {
    let (probes, records) = probes(&ctx, tasks);
    may_abort(&records);
    let mut all = as_completed(probes);
    for _ in 0..take {
        let Some((index, result)) = all.next().await else { return };
        records[index].ended(result, ctx.is_ending());
    }
}

/// A set, and the record of each of its tasks by the task's id.
struct Set {
    set: JoinSet<Outcome>,
    records: Vec<(Id, Arc<Record>)>,
}

impl Set {
    fn ended(&self, ctx: &Ctx, result: Result<(Id, Outcome), JoinError>) {
        let id = match &result {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let record = self.records.iter().find(|(other, _)| *other == id);
        match record {
            Some((_, record)) => record.ended(result.map(|it| it.1), ctx.is_ending()),
            None => ensure!(false, "a set gives the result of a task {id} that is not in it"),
        }
    }

    async fn join_all(&mut self, ctx: &Ctx) {
        while let Some(result) = self.set.join_next_with_id().await {
            self.ended(ctx, result);
        }
        ensure!(self.set.is_empty(), "a set that is done is not empty");
    }
}

pub(super) async fn has_set(ctx: Ctx, tasks: Vec<Task>, end: SetEnd) {
    let mut set = Set { set: JoinSet::new(), records: Vec::new() };
    for task in tasks {
        let (probe, record) = ctx.task(task);
        record.ask_abort();
        let abort = set.set.spawn(probe);
        set.records.push((abort.id(), record));
    }
    if let Some(result) = set.set.try_join_next_with_id() {
        set.ended(&ctx, result);
    }
    match end {
        SetEnd::JoinAll => set.join_all(&ctx).await,
        SetEnd::AbortAll => {
            if let Some(result) = set.set.join_next_with_id().await {
                set.ended(&ctx, result);
            }
            set.set.abort_all();
            set.join_all(&ctx).await;
        }
        SetEnd::Shutdown => {
            set.set.shutdown().await;
            for (_, record) in &set.records {
                ensure!(record.is_dropped(), "{record} outlives the shutdown of its set");
            }
        }
        SetEnd::DetachAll => set.set.detach_all(),
        SetEnd::Drop => {}
    }
}

pub(super) async fn shields(ctx: Ctx, task: Task, limit: Duration) {
    let (probe, record) = ctx.task(task);
    // If nobody comes to poll it, it is dropped unspawned.
    record.ask_abort();
    if let Ok(result) = timeout(limit, shield(probe)).await {
        record.ended(result, ctx.is_ending());
    }
}
