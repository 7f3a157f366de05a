//! The lessons of asyncio: each is in the index, and its tests are run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the lessons share.
const SHARED: [&str; 3] = ["clock", "log", "play"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/asyncio")
}

fn lessons() -> BTreeSet<String> {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let names = sources.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let lessons: BTreeSet<_> = names.filter(|name| !SHARED.contains(&name.as_str())).collect();
    assert!(lessons.len() >= 16, "these are not the lessons: {lessons:?}");
    lessons
}

#[test]
fn every_lesson_is_in_the_index_with_its_command() {
    let index = fs::read_to_string(folder().join("README.md")).unwrap();
    for lesson in lessons() {
        let is_there = index.lines().any(|line| {
            line.contains(&format!("]({lesson}.rs)"))
                && line.contains(&format!("`cargo run --example asyncio_{lesson}`"))
        });
        assert!(is_there, "{lesson} is not in the index");
    }
    let listed = index.matches("`cargo run --example ").count();
    assert_eq!(listed, lessons().len(), "the index has lessons that are not there");
}

#[test]
fn every_lesson_is_an_example_whose_tests_are_run() {
    let manifest = fs::read_to_string(env!("CARGO_MANIFEST_PATH")).unwrap();
    let entries: Vec<&str> = manifest.split("[[example]]").skip(1).collect();
    for lesson in lessons() {
        let path = format!("path = \"examples/asyncio/{lesson}.rs\"");
        let entry = entries.iter().find(|entry| entry.contains(&path));
        let entry = entry.unwrap_or_else(|| panic!("{lesson} is no example"));
        assert!(entry.contains(&format!("name = \"asyncio_{lesson}\"")), "{entry}");
        assert!(entry.contains("test = true"), "the tests of {lesson} are not run");
        let source = fs::read_to_string(folder().join(format!("{lesson}.rs"))).unwrap();
        assert!(source.contains("#[test]") || source.contains("#[tenter::test]"), "{lesson}");
        assert!(source.contains("//! ```python\n"), "{lesson} has no twin");
    }
}
