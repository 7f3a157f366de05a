//! Every sample, for programs.

use serde_json::{Map, Value, json};

use crate::args::Plan;
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
    let mut runtimes = Map::new();
    for result in &compared.results {
        let mut value = runtime_result(result);
        value["ratio_to_tokio"] = compared.ratio(result.runtime, row.metric).into();
        runtimes.insert(result.runtime.name().to_owned(), value);
    }
    json!({
        "row": row.name,
        "operation": row.what,
        "operations_per_round": plan.ops(row),
        "ratio_of": row.metric.name(),
        "target_ratio": row.target,
        "runtimes": runtimes,
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
