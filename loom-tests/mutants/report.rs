//! The table at the end: what became of the mutants of each room.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::mutant::Kind;
use crate::run::{Outcome, Outlived};

/// What became of the mutants, counted.
pub(crate) struct Report<'a> {
    rows: BTreeMap<(&'a str, Kind), Row>,
}

#[derive(Clone, Copy, Default)]
struct Row {
    mutants: usize,
    caught: usize,
    argued: usize,
    survived: usize,
    stale: usize,
    unclear: usize,
    time: Duration,
}

impl<'a> Report<'a> {
    pub(crate) fn new(results: &'a [Outlived<'_>]) -> Self {
        let mut rows: BTreeMap<_, Row> = BTreeMap::new();
        for result in results {
            let row = rows.entry((result.mutant.room(), result.mutant.kind)).or_default();
            row.mutants += 1;
            row.time += result.time;
            row.unclear += result.unclear;
            match result.outcome {
                Outcome::Caught => row.caught += 1,
                Outcome::Argued => row.argued += 1,
                Outcome::Survived => row.survived += 1,
                Outcome::Stale => row.stale += 1,
            }
        }
        Self { rows }
    }

    /// Whether there is something, and nothing has survived, nor the argument for it.
    pub(crate) fn is_well(&self) -> bool {
        !self.rows.is_empty() && self.rows.values().all(|row| row.survived + row.stale == 0)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:10} {:10} {:>7} {:>7} {:>7} {:>9} {:>6} {:>8} {:>8}",
            "room", "kind", "mutants", "caught", "argued", "survived", "stale", "unclear", "time"
        )?;
        let mut sums: BTreeMap<Kind, Row> = BTreeMap::new();
        for ((room, kind), row) in &self.rows {
            write_row(f, room, *kind, row)?;
            sums.entry(*kind).or_default().add(row);
        }
        for (kind, row) in &sums {
            write_row(f, "all", *kind, row)?;
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, room: &str, kind: Kind, row: &Row) -> fmt::Result {
    let Row { mutants, caught, argued, survived, stale, unclear, time } = row;
    let seconds = time.as_secs_f64();
    writeln!(
        f,
        "{room:10} {:10} {mutants:7} {caught:7} {argued:7} {survived:9} {stale:6} {unclear:8} \
         {seconds:6.1} s",
        kind.name()
    )
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.mutants += other.mutants;
        self.caught += other.caught;
        self.argued += other.argued;
        self.survived += other.survived;
        self.stale += other.stale;
        self.unclear += other.unclear;
        self.time += other.time;
    }
}
