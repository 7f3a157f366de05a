//! Tables in Markdown.

use std::fmt::Write;

use crate::args::Plan;
use crate::peers::Runtime;
use crate::run::Compared;
use crate::sample::Metric;

/// Everything that was measured, as tables.
pub(crate) fn markdown(plan: &Plan, rows: &[Compared]) -> String {
    let mut text = format!(
        "# {} workers, {} rounds by turns, medians\n\n\
         In parentheses: how many times better than tokio.\n",
        plan.workers, plan.rounds
    );
    costs(&mut text, plan, rows);
    for (title, metric) in [
        ("Wall time per operation", Metric::WallNs),
        ("Latency, median", Metric::P50Ns),
        ("Latency, 99 of 100 below", Metric::P99Ns),
        ("Timers of a burst late by, mean", Metric::MeanLateNs),
        ("Last timer, alone, late by", Metric::LateNs),
        ("Operations a second", Metric::OpsPerSecond),
        ("Context switches per operation (voluntary)", Metric::Switches),
        ("No-op wakes per operation, where they are counted", Metric::NoopWakes),
        ("System calls per operation, under strace", Metric::Syscalls),
    ] {
        table(&mut text, plan, rows, title, metric);
    }
    text
}

/// The main table: each row's own metric, and its target.
fn costs(text: &mut String, plan: &Plan, rows: &[Compared]) {
    text.push_str("\n## Processor time per operation, or what the row says\n\n| row |");
    for runtime in &plan.runtimes {
        write!(text, " {} |", runtime.name()).expect("a string can be written");
    }
    text.push_str(" target | operation |\n|---|");
    text.push_str(&"---:|".repeat(plan.runtimes.len() + 1));
    text.push_str("---|\n");
    for compared in rows {
        let row = compared.row;
        let note = if row.metric == Metric::WallNs { " (wall time)" } else { "" };
        write!(text, "| {}{note} |", row.name).expect("a string can be written");
        for &runtime in &plan.runtimes {
            write!(text, " {} |", cell(compared, runtime, row.metric))
                .expect("a string can be written");
        }
        writeln!(text, " {} | {} |", target(compared), row.what).expect("a string can be written");
    }
}

/// The row's target, and whether it is met.
fn target(compared: &Compared) -> String {
    let Some(target) = compared.row.target else { return "zero".to_owned() };
    match compared.ratio(Runtime::Tenter, compared.row.metric) {
        Some(ratio) if ratio >= target => format!("{target} ✓"),
        Some(_) => format!("{target} ✗"),
        None => target.to_string(),
    }
}

/// A table of one metric, with the rows that have it.
fn table(text: &mut String, plan: &Plan, rows: &[Compared], title: &str, metric: Metric) {
    let measured = |compared: &&Compared| {
        plan.runtimes.iter().any(|&runtime| compared.median(runtime, metric).is_some())
    };
    let mut rows = rows.iter().filter(measured).peekable();
    if rows.peek().is_none() {
        return;
    }
    write!(text, "\n## {title}\n\n| row |").expect("a string can be written");
    for runtime in &plan.runtimes {
        write!(text, " {} |", runtime.name()).expect("a string can be written");
    }
    write!(text, "\n|---|{}\n", "---:|".repeat(plan.runtimes.len()))
        .expect("a string can be written");
    for compared in rows {
        write!(text, "| {} |", compared.row.name).expect("a string can be written");
        for &runtime in &plan.runtimes {
            write!(text, " {} |", cell(compared, runtime, metric))
                .expect("a string can be written");
        }
        text.push('\n');
    }
}

/// The value and its ratio to tokio's, or why there is none.
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
        Some(ratio) if runtime != Runtime::Tokio => format!("{value} ({ratio:.2})"),
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
        | Metric::LateNs => format_ns(value),
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
