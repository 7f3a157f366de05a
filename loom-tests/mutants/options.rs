//! What the command line asks for.

use std::collections::BTreeSet;

use crate::argued::Argued;
use crate::mutant::{Kind, Mutant};

pub(crate) const USAGE: &str = "\
usage: cargo loom-mutants [--kind seeded|orderings|steps] [--sample | --list] [NAME]

  NAME      only the mutants whose name, place or room contains it
  --kind    only those of one kind; otherwise those seeded and the orderings
  --sample  of each kind one a room
  --list    says what it would run";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) help: bool,
    pub(crate) list: bool,
    sample: bool,
    kind: Option<Kind>,
    name: Option<String>,
}

impl Options {
    /// # Errors
    ///
    /// What is wrong with the arguments.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => options.help = true,
                "--list" => options.list = true,
                "--sample" => options.sample = true,
                "--kind" => {
                    let name = arguments.next().ok_or("--kind lacks its value")?;
                    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
                    options.kind = Some(kind.ok_or_else(|| format!("no such kind: {name}"))?);
                }
                flag if flag.starts_with('-') => return Err(format!("no such option: {flag}")),
                _ if options.name.is_some() => return Err(format!("one name only: {argument}")),
                _ => options.name = Some(argument),
            }
        }
        Ok(options)
    }

    /// Whether nothing is left out that must be caught.
    pub(crate) fn is_everything(&self) -> bool {
        !self.sample && self.kind.is_none() && self.name.is_none()
    }

    /// Those of `mutants` that are asked for.
    pub(crate) fn choose<'a>(&self, mutants: &'a [Mutant], argued: &Argued) -> Vec<&'a Mutant> {
        let asked = mutants.iter().filter(|mutant| {
            self.kind.map_or(mutant.kind != Kind::Steps, |kind| kind == mutant.kind)
                && self.name.as_ref().is_none_or(|name| mutant.contains(name))
        });
        if !self.sample {
            return asked.collect();
        }
        let mut seen = BTreeSet::new();
        asked
            .filter(|mutant| !mutant.models.is_empty() && !argued.has(mutant))
            .filter(|mutant| seen.insert((mutant.kind, mutant.room())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_and_a_name_come_in_any_order() {
        let options = parse("idle --kind seeded --list").unwrap();
        assert_eq!(options.kind, Some(Kind::Seeded));
        assert_eq!(options.name.as_deref(), Some("idle"));
        assert!(options.list && !options.sample && !options.is_everything());
        assert!(parse("").unwrap().is_everything());
    }

    #[test]
    fn what_is_unknown_or_too_much_is_refused() {
        for line in ["--kind", "--kind nonsense", "--nonsense", "idle park", "-v"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
