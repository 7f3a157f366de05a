//! One sample: the metrics that one process measured on one row.

use std::collections::BTreeMap;
use std::io;

/// What is measured. Everything but the latencies and rates is per operation of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    WallNs,
    CpuNs,
    Switches,
    NoopWakes,
    Syscalls,
    P50Ns,
    P99Ns,
    MeanLateNs,
    LateNs,
    OpsPerSecond,
    Bytes,
    ErrorNs,
    NextNs,
}

impl Metric {
    pub(crate) const ALL: [Metric; 13] = [
        Metric::WallNs,
        Metric::CpuNs,
        Metric::Switches,
        Metric::NoopWakes,
        Metric::Syscalls,
        Metric::P50Ns,
        Metric::P99Ns,
        Metric::MeanLateNs,
        Metric::LateNs,
        Metric::OpsPerSecond,
        Metric::Bytes,
        Metric::ErrorNs,
        Metric::NextNs,
    ];

    /// The name on the wire between processes and in the JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Metric::WallNs => "wall_ns",
            Metric::CpuNs => "cpu_ns",
            Metric::Switches => "context_switches",
            Metric::NoopWakes => "noop_wakes",
            Metric::Syscalls => "system_calls",
            Metric::P50Ns => "p50_ns",
            Metric::P99Ns => "p99_ns",
            Metric::MeanLateNs => "mean_late_ns",
            Metric::LateNs => "last_late_ns",
            Metric::OpsPerSecond => "ops_per_second",
            Metric::Bytes => "bytes",
            Metric::ErrorNs => "error_ns",
            Metric::NextNs => "next_ns",
        }
    }

    /// Whether more is better: of rates alone.
    pub(crate) fn is_rate(self) -> bool {
        self == Metric::OpsPerSecond
    }

    fn from_name(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

/// The metrics of one run of a row, or the medians of several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(BTreeMap<Metric, f64>);

impl Sample {
    pub(crate) fn set(&mut self, metric: Metric, value: f64) {
        self.0.insert(metric, value);
    }

    pub(crate) fn value(&self, metric: Metric) -> Option<f64> {
        self.0.get(&metric).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Metric, f64)> + '_ {
        self.0.iter().map(|(&metric, &value)| (metric, value))
    }

    /// Prints the sample for [`Sample::parse`] of the process that started this one.
    pub(crate) fn print(&self) {
        for (metric, value) in self.iter() {
            println!("{} {value}", metric.name());
        }
    }

    /// Reads what [`Sample::print`] wrote.
    ///
    /// # Errors
    ///
    /// - `InvalidData`: a line is no metric with its value.
    pub(crate) fn parse(text: &str) -> io::Result<Sample> {
        let mut sample = Sample::default();
        for line in text.lines() {
            let (metric, value) = parse_line(line).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("no metric in {line:?}"))
            })?;
            sample.set(metric, value);
        }
        Ok(sample)
    }

    /// Reads what a program in another language wrote: objects in JSON, one a line.
    ///
    /// # Errors
    ///
    /// - `InvalidData`: a line is no object, or has a member that is no metric with its value.
    pub(crate) fn parse_json(text: &str) -> io::Result<Sample> {
        let mut sample = Sample::default();
        for line in text.lines() {
            let members: BTreeMap<String, f64> = serde_json::from_str(line)?;
            for (name, value) in members {
                let metric = Metric::from_name(&name).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("no metric: {name:?}"))
                })?;
                sample.set(metric, value);
            }
        }
        Ok(sample)
    }

    /// The median of every metric that occurs in `samples`.
    pub(crate) fn medians(samples: &[Sample]) -> Sample {
        let mut medians = Sample::default();
        for metric in Metric::ALL {
            let mut values: Vec<f64> = samples.iter().filter_map(|s| s.value(metric)).collect();
            if !values.is_empty() {
                medians.set(metric, median(&mut values));
            }
        }
        medians
    }
}

fn parse_line(line: &str) -> Option<(Metric, f64)> {
    let (name, value) = line.split_once(' ')?;
    Some((Metric::from_name(name)?, value.parse().ok()?))
}

/// The middle value, or the mean of the two middle ones. `values` must not be empty.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// The value below which `share` (0 to 1) of `values` lie. `values` must not be empty.
pub(crate) fn percentile(values: &mut [u64], share: f64) -> f64 {
    values.sort_unstable();
    let index = (values.len() - 1) as f64 * share;
    values[index.round() as usize] as f64
}
