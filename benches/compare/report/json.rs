//! Every sample, for programs.

use serde_json::{Map, Value, json};

use crate::args::Plan;
use crate::peers::Runtime;
use crate::rows::{Goal, Target};
use crate::run::{Compared, RuntimeResult};
use crate::sample::Sample;

/// The plan, and for every row and runtime the samples and their medians.
pub(crate) fn json(plan: &Plan, rows: &[Compared]) -> String {
    let rows: Vec<Value> = rows.iter().map(|row| compared(plan, row)).collect();
    let value = json!({
        "workers": plan.workers,
        "rounds": plan.rounds,
        "quick": plan.quick,
        "processors": std::thread::available_parallelism().map_or(0, |count| count.get()),
        "rows": rows,
    });
    format!("{value:#}\n")
}

fn compared(plan: &Plan, compared: &Compared) -> Value {
    let row = compared.row;
    let runtimes: Map<String, Value> = compared
        .results
        .iter()
        .map(|result| (result.runtime.name().to_owned(), runtime_result(result)))
        .collect();
    let goals: Vec<Value> = row.goals.iter().map(|goal| goal_result(compared, goal)).collect();
    json!({
        "row": row.name,
        "group": row.group().name(),
        "operation": row.what,
        "operations_per_round": plan.ops(row),
        "goals": goals,
        "runtimes": runtimes,
    })
}

/// A metric that matters, its target, and how the runtimes compare in it.
fn goal_result(compared: &Compared, goal: &Goal) -> Value {
    let ratios = |ratio: &dyn Fn(Runtime) -> Option<f64>| -> Map<String, Value> {
        let runtimes = compared.results.iter().map(|result| result.runtime);
        runtimes.map(|runtime| (runtime.name().to_owned(), ratio(runtime).into())).collect()
    };
    let (kind, number) = match goal.target {
        Target::Ratio(ratio) => ("times_better_than_baseline", Some(ratio)),
        Target::Zero => ("zero", None),
        Target::OfFloor(ratio) => ("times_the_floor", Some(ratio)),
        Target::Value(value) => ("value", Some(value)),
        Target::Open => ("open", None),
    };
    json!({
        "metric": goal.metric.name(),
        "target": { "kind": kind, "number": number, "met": compared.meets(goal) },
        "baseline": compared.row.group().baseline().name(),
        "times_better_than_baseline": ratios(&|runtime| compared.ratio(runtime, goal.metric)),
        "times_the_floor": ratios(&|runtime| compared.of_floor(runtime, goal.metric)),
    })
}

fn runtime_result(result: &RuntimeResult) -> Value {
    let samples: Vec<Value> = result.samples.iter().map(sample).collect();
    json!({
        "medians": sample(&result.medians),
        "samples": samples,
        "failure": result.failure,
    })
}

fn sample(sample: &Sample) -> Value {
    sample.iter().map(|(metric, value)| (metric.name().to_owned(), Value::from(value))).collect()
}
