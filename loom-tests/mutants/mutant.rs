//! The mutants: which there are, and which models are to catch each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::source::{Place, Sources};
use crate::suite::Model;
use crate::verdict::{SEEDED, WEAKEN};

/// The part of a call that no model passes over: all of it.
const UNREACHED: &str = "unreached";

/// What a mutant is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Seeded,
    Orderings,
    Steps,
}

/// One line of the shipped code, broken in one way.
pub(crate) struct Mutant {
    pub(crate) kind: Kind,
    place: Place,
    /// What the environment says to turn it on.
    pub(crate) value: String,
    /// What it is called in `argued.txt`; it has no line number.
    pub(crate) key: String,
    /// Who is to catch it, the fastest first, with the time that each takes as it is.
    pub(crate) models: Vec<(String, Duration)>,
}

/// What is to be run, and what is wrong before it is.
pub(crate) struct Plan {
    pub(crate) mutants: Vec<Mutant>,
    pub(crate) problems: Vec<String>,
    /// Models that name no seeded bug.
    pub(crate) idle: Vec<String>,
}

/// All mutants.
///
/// # Errors
///
/// Sources and models do not fit together.
pub(crate) fn plan(
    sources: &Sources,
    models: &[Model],
    catches: &BTreeMap<String, Vec<String>>,
) -> Result<Plan, String> {
    let mut mutants = seeded(sources, models, catches)?;
    let bugs: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.value).collect();
    let unknown = catches.keys().filter(|bug| !bugs.contains(bug));
    let problems =
        unknown.map(|bug| format!("a model names a bug that nobody seeded: {bug}")).collect();
    let busy: BTreeSet<_> = catches.values().flatten().collect();
    let idle = models.iter().filter(|model| !busy.contains(&model.test));
    let idle = idle.map(|model| model.test.clone()).collect();
    mutants.extend(recorded(sources, models)?);
    mutants.extend(unreached(sources, &mutants)?);
    number(&mut mutants);
    Ok(Plan { mutants, problems, idle })
}

/// The switches. All models that name one are to catch it.
fn seeded(
    sources: &Sources,
    models: &[Model],
    catches: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<Mutant>, String> {
    let times: BTreeMap<_, _> = models.iter().map(|model| (&model.test, model.time)).collect();
    // A bug may take several switches.
    let switches: BTreeMap<_, _> =
        sources.switches()?.into_iter().map(|(place, bug)| (bug, place)).collect();
    let mutant = |(bug, place): (String, Place)| {
        let tests = catches.get(&bug).into_iter().flatten();
        let models = tests.map(|test| (test.clone(), times.get(test).copied().unwrap_or_default()));
        let models = models.collect();
        Mutant { kind: Kind::Seeded, place, key: bug.clone(), value: bug, models }
    };
    Ok(switches.into_iter().map(mutant).collect())
}

/// What the models have passed over. One model that passes over it is to catch it.
fn recorded(sources: &Sources, models: &[Model]) -> Result<Vec<Mutant>, String> {
    let mut by_speed: Vec<_> = models.iter().collect();
    by_speed.sort_by_key(|model| model.time);
    let mut passed: BTreeMap<(Place, String), Vec<(String, Duration)>> = BTreeMap::new();
    for model in by_speed {
        for name in &model.passes {
            let found = split(name).ok_or_else(|| format!("a record of nothing: {name}"))?;
            passed.entry(found).or_default().push((model.test.clone(), model.time));
        }
    }
    let mutant = |((place, part), models): ((Place, String), _)| {
        let kind = match part.as_str() {
            "atomic" | "notify" | "all" => Kind::Steps,
            _ => Kind::Orderings,
        };
        let Place { file, line, column } = &place;
        let value = format!("{file}:{line}:{column} {part}");
        let described = sources.describe(&place).ok_or_else(|| format!("not there: {value}"))?;
        Ok(Mutant { kind, key: format!("{described} [{part}]"), place, value, models })
    };
    passed.into_iter().map(mutant).collect()
}

/// The calls with a strong ordering that no model has passed over.
fn unreached(sources: &Sources, mutants: &[Mutant]) -> Result<Vec<Mutant>, String> {
    let is_ordering = |mutant: &&Mutant| mutant.kind == Kind::Orderings;
    let reached: BTreeSet<_> =
        mutants.iter().filter(is_ordering).map(|mutant| mutant.place.clone()).collect();
    let strong: BTreeSet<_> = sources.strong_calls().into_iter().collect();
    if let Some(place) = reached.difference(&strong).next() {
        return Err(format!("a call that is not found in the source: {place:?}"));
    }
    let mutant = |place: Place| {
        let described = sources.describe(&place).ok_or_else(|| format!("not there: {place:?}"))?;
        let value = format!("{}:{}:{} {UNREACHED}", place.file, place.line, place.column);
        let key = format!("{described} [{UNREACHED}]");
        Ok(Mutant { kind: Kind::Orderings, place, value, key, models: Vec::new() })
    };
    strong.difference(&reached).cloned().map(mutant).collect()
}

/// Tells apart what is described in the same way.
fn number(mutants: &mut [Mutant]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for mutant in mutants {
        let times = seen.entry(mutant.key.clone()).or_default();
        *times += 1;
        if *times > 1 {
            mutant.key = format!("{} #{times}", mutant.key);
        }
    }
}

/// The place and the part of `src/room/file.rs:12:34 part`.
fn split(name: &str) -> Option<(Place, String)> {
    let (place, part) = name.split_once(' ')?;
    let (place, column) = place.rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    let (line, column) = (line.parse().ok()?, column.parse().ok()?);
    Some((Place { file: file.to_owned(), line, column }, part.to_owned()))
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Seeded, Self::Orderings, Self::Steps];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seeded => "seeded",
            Self::Orderings => "orderings",
            Self::Steps => "steps",
        }
    }
}

impl Mutant {
    /// The folder of `src` that it is in.
    pub(crate) fn room(&self) -> &str {
        let file = &self.place.file;
        let inside = file.strip_prefix("src/").unwrap_or(file);
        inside.split('/').next().unwrap_or(inside)
    }

    pub(crate) fn file(&self) -> &str {
        &self.place.file
    }

    pub(crate) fn is_unreached(&self) -> bool {
        self.kind != Kind::Seeded && self.models.is_empty()
    }

    /// Whether every model that names it is to catch it, and not just one.
    pub(crate) fn is_for_all(&self) -> bool {
        self.kind == Kind::Seeded
    }

    /// The variable that turns it on.
    pub(crate) fn variable(&self) -> &'static str {
        if self.kind == Kind::Seeded { SEEDED } else { WEAKEN }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.value.contains(name) || self.key.contains(name) || self.room().contains(name)
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9} {:9} {}", self.kind.name(), self.room(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_place_and_part() {
        let place = Place { file: "src/a.rs".to_owned(), line: 12, column: 3 };
        assert_eq!(split("src/a.rs:12:3 acquire"), Some((place, "acquire".to_owned())));
        assert_eq!(split("src/a.rs:12 acquire"), None);
        assert_eq!(split("src/a.rs:12:3"), None);
    }
}
