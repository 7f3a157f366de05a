//! `argued.txt`: the mutants that no model can catch, and why the line stays.
//!
//! An entry is the key of a mutant, as a survivor is reported, and below it, indented, the
//! argument. `FILE: *` stands for every call in a file that no model passes over.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::mutant::Mutant;

/// What is argued, by key.
#[derive(Debug)]
pub(crate) struct Argued {
    entries: BTreeMap<String, String>,
}

impl Argued {
    /// # Errors
    ///
    /// The file cannot be read, or an entry lacks its argument.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string());
        text.and_then(|text| Self::parse(&text))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut entries: BTreeMap<String, String> = BTreeMap::new();
        let mut key = None;
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        for line in lines {
            if line.starts_with(' ') {
                let key = key.as_ref().ok_or("an argument for nothing")?;
                let argument = entries.get_mut(key).expect("it was entered");
                argument.extend([line.trim(), " "]);
            } else {
                let name = line.trim_end().to_owned();
                if entries.insert(name.clone(), String::new()).is_some() {
                    return Err(format!("argued twice: {name}"));
                }
                key = Some(name);
            }
        }
        match entries.iter().find(|(_, argument)| argument.is_empty()) {
            Some((key, _)) => Err(format!("no argument: {key}")),
            None => Ok(Self { entries }),
        }
    }

    /// Whether there is an argument for this one.
    pub(crate) fn has(&self, mutant: &Mutant) -> bool {
        self.entries.keys().any(|key| is_about(key, mutant))
    }

    /// The entries that are about none of all mutants.
    pub(crate) fn unknown<'a>(&'a self, all: &[Mutant]) -> Vec<&'a str> {
        let keys = self.entries.keys().map(String::as_str);
        keys.filter(|key| !all.iter().any(|mutant| is_about(key, mutant))).collect()
    }
}

fn is_about(key: &str, mutant: &Mutant) -> bool {
    match key.strip_suffix(": *") {
        Some(file) => mutant.is_unreached() && mutant.file() == file,
        None => mutant.key == key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_arguments_of_several_lines() {
        let argued =
            Argued::parse("# why\n\nsrc/a.rs, f: g(); [acquire]\n  It\n  must.\n").unwrap();
        assert_eq!(argued.entries["src/a.rs, f: g(); [acquire]"], "It must. ");
    }

    #[test]
    fn an_entry_without_argument_or_twice_and_an_argument_for_nothing_are_errors() {
        for text in ["key\n", "key\n other\nlast\n", "  why\n", "key\n why\nkey\n why\n"] {
            assert!(Argued::parse(text).is_err(), "{text:?}");
        }
    }
}
