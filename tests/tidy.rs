//! The arrows of the house, and the numbers in its comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with its level: a room imports only from lower ones.
const LEVELS: [(&str, u32); 17] = [
    ("primitive", 0),
    ("lifecycle", 1),
    ("driver", 1),
    ("scheduler", 2),
    ("blocking", 2),
    ("runtime", 3),
    ("time", 4),
    ("io", 4),
    ("task", 4),
    ("sync", 4),
    ("net", 4),
    ("fs", 4),
    ("process", 4),
    ("signal", 4),
    ("jobs", 4),
    ("macros", 4),
    ("lib", 5),
];

/// The arrows between rooms of one level.
const BESIDE: [(&str, &str); 9] = [
    ("task", "time"),
    ("net", "io"),
    ("net", "time"),
    ("net", "task"),
    ("fs", "io"),
    ("process", "io"),
    ("signal", "io"),
    ("jobs", "io"),
    ("jobs", "time"),
];

/// Every file of `src`, with the room that it is in.
fn sources() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&src).unwrap();
                let room = inside.iter().next().unwrap().to_str().unwrap();
                let room = room.trim_end_matches(".rs").to_owned();
                found.push((room, path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(found.len() > 30, "this is not the source: {found:?}");
    found
}

/// The code of a file, without comments and without what macros write for other crates.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n").replace("$crate::", "")
}

/// The rooms that `code` names, by `crate::room` or inside `crate::{..}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (_, rest) in
        code.match_indices("crate::").map(|(at, found)| (at, &code[at + found.len()..]))
    {
        let Some(list) = rest.strip_prefix('{') else {
            rooms.extend(words(rest).next());
            continue;
        };
        let mut depth = 0;
        for item in list.split_inclusive(['{', '}', ',']) {
            if depth == 0 {
                rooms.extend(words(item).next());
            }
            depth += i32::from(item.ends_with('{')) - i32::from(item.ends_with('}'));
            if depth < 0 {
                break;
            }
        }
    }
    rooms
}

/// The words of a text: identifiers, or citations such as `T3`.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.split(move |c| !is_part(c)).filter(|word| !word.is_empty()).map(str::to_owned)
}

#[test]
fn a_room_imports_only_from_lower_rooms() {
    let levels = BTreeMap::from(LEVELS);
    let mut wrong = Vec::new();
    for (room, path, text) in sources() {
        let level = levels.get(room.as_str()).unwrap_or_else(|| panic!("no such room: {room}"));
        for other in imports(&code(&text)).into_iter().filter(|other| *other != room) {
            let is_lower = levels.get(other.as_str()).is_some_and(|other| other < level);
            if !is_lower && !BESIDE.contains(&(room.as_str(), other.as_str())) {
                wrong.push(format!("{}: crate::{other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not point down:\n{}", wrong.join("\n"));
}

/// Whether a word is a citation: one capital letter, then a number.
fn is_citation(word: &str) -> bool {
    let (letter, number) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
    letter.chars().all(|c| c.is_ascii_uppercase()) && number.parse::<u32>().is_ok()
}

/// The invariants of all rooms: letter and number, in the order in which they stand.
///
/// They are defined where a line of a module's comment begins with them: `//! - **T3** ..`.
fn invariants(sources: &[(String, PathBuf, String)]) -> Vec<String> {
    let lines = sources.iter().flat_map(|(_, _, text)| text.lines());
    let lines = lines.filter_map(|line| line.strip_prefix("//! "));
    let lines = lines.map(|line| line.trim_start_matches(['-', '*', ' ']));
    let names = lines.filter_map(|line| words(line).next().filter(|name| line.starts_with(name)));
    names.filter(|name| is_citation(name)).collect()
}

#[test]
fn the_invariants_of_each_letter_are_numbered_from_one_without_gaps() {
    let mut numbers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for name in invariants(&sources()) {
        let (letter, number) = name.split_at(1);
        numbers.entry(letter.to_owned()).or_default().push(number.parse().unwrap());
    }
    assert!(numbers.len() >= 4, "the rooms' invariants were not found: {numbers:?}");
    for (letter, found) in numbers {
        assert!(found.iter().copied().eq(1..=found.len() as u32), "{letter}: {found:?}");
    }
}

#[test]
fn every_invariant_that_a_comment_cites_is_one() {
    let sources = sources();
    let defined = BTreeSet::from_iter(invariants(&sources));
    let mut wrong = Vec::new();
    for (_, path, text) in &sources {
        for (number, line) in text.lines().enumerate() {
            let comment = line.split_once("//").map_or("", |(_, comment)| comment);
            for name in words(comment).filter(|name| is_citation(name) && !defined.contains(name)) {
                wrong.push(format!("{}:{}: {name}", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "citations of no invariant:\n{}", wrong.join("\n"));
}

/// The text of every file of the models.
fn models() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("loom-tests/models");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .map(|file| format!("// {}\n{}", file.display(), fs::read_to_string(&file).unwrap()))
        .collect()
}

#[test]
fn every_model_that_a_comment_cites_exists() {
    let models = models();
    let mut wrong = Vec::new();
    for (_, path, text) in sources() {
        // As one line: citations run over line ends.
        let text = text.replace("//", " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for cited in text.split("models/").skip(1) {
            let Some((file, rest)) = cited.split_once(".rs") else { continue };
            if !models.contains(&format!("/{file}.rs\n")) {
                wrong.push(format!("{}: models/{file}.rs", path.display()));
            }
            let name = rest.strip_prefix(" `").and_then(|rest| rest.split('`').next());
            if name.is_some_and(|name| !models.contains(&format!("fn {name}("))) {
                wrong.push(format!("{}: models/{file}.rs {name:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "citations of no model:\n{}", wrong.join("\n"));
}

#[test]
fn the_source_knows_nothing_of_loom() {
    for (_, path, text) in sources() {
        for line in code(&text).lines() {
            assert!(!(line.contains("cfg") && line.contains("loom")), "{}", path.display());
        }
    }
}
