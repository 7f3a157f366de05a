//! Tables in Markdown.

use std::fmt::Write;

use crate::args::Plan;
use crate::peers::Runtime;
use crate::rows::{Goal, Group, Target};
use crate::run::Compared;
use crate::sample::Metric;

/// What the runtimes' rows have besides their own metrics.
const OF_RUNTIMES: &[(&str, Metric)] = &[
    ("Wall time per operation", Metric::WallNs),
    ("Latency, median", Metric::P50Ns),
    ("Latency, 99 of 100 below", Metric::P99Ns),
    ("Timers of a burst late by, mean", Metric::MeanLateNs),
    ("Last timer, alone, late by", Metric::LateNs),
    ("Operations a second", Metric::OpsPerSecond),
    ("Context switches per operation (voluntary)", Metric::Switches),
    ("No-op wakes per operation, where they are counted", Metric::NoopWakes),
    ("System calls per operation, under strace", Metric::Syscalls),
];
const OF_PROCESSES: &[(&str, Metric)] = &[
    ("Processor time per job, of the pool's own process", Metric::CpuNs),
    ("Context switches per job (voluntary), of the pool's own process", Metric::Switches),
    ("System calls per job, of all processes, under strace", Metric::Syscalls),
];

/// Everything that was measured, as tables.
pub(crate) fn markdown(plan: &Plan, rows: &[Compared]) -> String {
    let mut text =
        format!("# {} workers, {} rounds by turns, medians\n", plan.workers, plan.rounds);
    for group in Group::ALL {
        let rows: Vec<&Compared> = rows.iter().filter(|row| row.row.group() == group).collect();
        if rows.is_empty() {
            continue;
        }
        let others = match group {
            Group::Runtimes => {
                costs(&mut text, plan, &rows);
                OF_RUNTIMES
            }
            Group::Processes => {
                processes(&mut text, plan, &rows);
                OF_PROCESSES
            }
        };
        for &(title, metric) in others {
            table(&mut text, plan, group, &rows, title, metric);
        }
    }
    text
}
/// The runtimes' main table: each row's own metric, and its target.
fn costs(text: &mut String, plan: &Plan, rows: &[&Compared]) {
    text.push_str("\n## Processor time per operation, or what the row says\n\n");
    text.push_str("In parentheses: how many times better than tokio.\n\n");
    let runtimes: Vec<Runtime> = plan.runtimes(Group::Runtimes).collect();
    head(text, &runtimes, &["target"]);
    for compared in rows {
        for goal in compared.row.goals {
            let mut cells = vec![format!("{}{}", compared.row.name, note(goal.metric))];
            cells.extend(runtimes.iter().map(|&runtime| cell(compared, runtime, goal.metric)));
            cells.extend([target(compared, goal), compared.row.what.to_owned()]);
            line(text, &cells);
        }
    }
}

/// The worker processes' main table: each metric that matters, and its target.
fn processes(text: &mut String, plan: &Plan, rows: &[&Compared]) {
    text.push_str("\n## Jobs in worker processes\n\n");
    text.push_str("In parentheses: how many times better than procspawn.\n\n");
    let runtimes: Vec<Runtime> = plan.runtimes(Group::Processes).collect();
    head(text, &runtimes, &["tenter of the floor", "target"]);
    for compared in rows {
        for goal in compared.row.goals {
            let mut cells = vec![format!("{} {}", compared.row.name, label(goal.metric))];
            cells.extend(runtimes.iter().map(|&runtime| cell(compared, runtime, goal.metric)));
            let of_floor = compared.of_floor(Runtime::Tenter, goal.metric);
            cells.push(of_floor.map_or("-".to_owned(), |ratio| format!("{ratio:.2} ×")));
            cells.extend([target(compared, goal), compared.row.what.to_owned()]);
            line(text, &cells);
        }
    }
}

/// What follows a row's name in the runtimes' table and chart, unless it is what it costs.
pub(crate) fn note(metric: Metric) -> &'static str {
    match metric {
        Metric::WallNs => " (wall time)",
        Metric::P50Ns => " p50",
        Metric::P99Ns => " p99",
        _ => "",
    }
}

/// What a metric is called in the processes' table and chart.
pub(crate) fn label(metric: Metric) -> &'static str {
    match metric {
        Metric::P50Ns => "p50",
        Metric::P99Ns => "p99",
        Metric::OpsPerSecond => "jobs/s",
        Metric::ErrorNs => "error",
        Metric::NextNs => "next job",
        _ => metric.name(),
    }
}

/// A goal's target, and whether it is met.
fn target(compared: &Compared, goal: &Goal) -> String {
    let target = match goal.target {
        Target::Ratio(ratio) => ratio.to_string(),
        Target::Zero => "zero".to_owned(),
        Target::OfFloor(most) => format!("{most} × floor"),
        Target::Value(value) => format_value(goal.metric, value),
        Target::Open => "-".to_owned(),
    };
    match compared.meets(goal) {
        Some(true) => format!("{target} ✓"),
        Some(false) => format!("{target} ✗"),
        None => target,
    }
}

/// A table of one metric, with the rows that have it.
fn table(
    text: &mut String,
    plan: &Plan,
    group: Group,
    rows: &[&Compared],
    title: &str,
    metric: Metric,
) {
    let runtimes: Vec<Runtime> = plan.runtimes(group).collect();
    let measured = |compared: &&&Compared| {
        runtimes.iter().any(|&runtime| compared.median(runtime, metric).is_some())
    };
    let mut rows = rows.iter().filter(measured).peekable();
    if rows.peek().is_none() {
        return;
    }
    write!(text, "\n## {title}\n\n").expect("a string can be written");
    head(text, &runtimes, &[]);
    for compared in rows {
        let mut cells = vec![compared.row.name.to_owned()];
        cells.extend(runtimes.iter().map(|&runtime| cell(compared, runtime, metric)));
        line(text, &cells);
    }
}

/// A table's head: the rows' names, a column a runtime, and others; a last one explains where there
/// are others.
fn head(text: &mut String, runtimes: &[Runtime], others: &[&str]) {
    let mut cells = vec!["row".to_owned()];
    cells.extend(runtimes.iter().map(|runtime| runtime.name().to_owned()));
    cells.extend(others.iter().map(|&title| title.to_owned()));
    let numbers = "---:|".repeat(cells.len() - 1);
    let mut rule = format!("|---|{numbers}");
    if !others.is_empty() {
        cells.push("operation".to_owned());
        rule.push_str("---|");
    }
    line(text, &cells);
    text.push_str(&rule);
    text.push('\n');
}

fn line(text: &mut String, cells: &[String]) {
    writeln!(text, "| {} |", cells.join(" | ")).expect("a string can be written");
}

/// The value and its ratio to the baseline's, or why there is none.
fn cell(compared: &Compared, runtime: Runtime, metric: Metric) -> String {
    let Some(result) = compared.result(runtime) else {
        return "-".to_owned();
    };
    if result.failure.is_some() {
        return "failed".to_owned();
    }
    let Some(value) = result.medians.value(metric) else {
        return "-".to_owned();
    };
    let value = format_value(metric, value);
    match compared.ratio(runtime, metric) {
        Some(ratio) if runtime != compared.row.group().baseline() => {
            format!("{value} ({ratio:.2})")
        }
        _ => value,
    }
}

pub(crate) fn format_value(metric: Metric, value: f64) -> String {
    match metric {
        Metric::WallNs
        | Metric::CpuNs
        | Metric::P50Ns
        | Metric::P99Ns
        | Metric::MeanLateNs
        | Metric::LateNs
        | Metric::ErrorNs
        | Metric::NextNs => format_ns(value),
        Metric::Switches | Metric::NoopWakes => format!("{value:.4}"),
        Metric::Syscalls => format!("{value:.2}"),
        Metric::OpsPerSecond => format!("{value:.0}"),
        Metric::Bytes => format!("{value:.0} B"),
    }
}

fn format_ns(ns: f64) -> String {
    match ns {
        1e9.. => format!("{:.2} s", ns / 1e9),
        1e6.. => format!("{:.2} ms", ns / 1e6),
        1e4.. => format!("{:.1} µs", ns / 1e3),
        1e3.. => format!("{:.2} µs", ns / 1e3),
        _ => format!("{ns:.0} ns"),
    }
}
