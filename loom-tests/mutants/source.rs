//! What stands in the sources: the switches, and the calls with an ordering.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Names of calls that take orderings.
const CALLS: [&str; 11] = [
    "load",
    "store",
    "swap",
    "compare_exchange",
    "compare_exchange_weak",
    "fetch_add",
    "fetch_sub",
    "fetch_max",
    "fetch_update",
    "fetch_and",
    "fetch_or",
];

/// Words that make an argument a strong ordering: those of the language, and the variables that
/// hold one.
const STRONG: [&str; 7] = ["Acquire", "Release", "AcqRel", "SeqCst", "acquire", "release", "order"];

/// The files that mutants are made of.
pub(crate) struct Sources {
    files: Vec<File>,
}

struct File {
    /// From the root of the repository.
    path: String,
    text: String,
    /// The text with blanks in the place of comments.
    code: String,
}

/// A place in a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Sources {
    /// # Errors
    ///
    /// A file that cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut files = Vec::new();
        for folder in ["src", "loom-tests/models"] {
            for path in rust_files(&root.join(folder))? {
                let text = fs::read_to_string(&path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                let path = path.strip_prefix(root).expect("it is inside");
                files.push(File::new(path.display().to_string(), text));
            }
        }
        Ok(Self { files })
    }

    /// Every seeded bug, with the place of its switch.
    ///
    /// # Errors
    ///
    /// A switch whose name cannot be read here.
    pub(crate) fn switches(&self) -> Result<Vec<(Place, String)>, String> {
        self.files.iter().map(File::switches).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
    }

    /// Every call of `src` that has an ordering stronger than Relaxed.
    pub(crate) fn strong_calls(&self) -> Vec<Place> {
        let shipped = self.files.iter().filter(|file| file.path.starts_with("src/"));
        shipped.flat_map(File::strong_calls).collect()
    }

    /// What a place is called that stays when lines are added above: the function and the line.
    pub(crate) fn describe(&self, place: &Place) -> Option<String> {
        let file = self.files.iter().find(|file| file.path == place.file)?;
        let lines: Vec<_> = file.text.lines().collect();
        let line = lines.get(place.line.checked_sub(1)?)?.trim();
        let function = lines[..place.line].iter().rev().find_map(|line| function(line))?;
        Some(format!("{}, {function}: {line}", place.file))
    }
}

impl File {
    fn new(path: String, text: String) -> Self {
        let code = without_comments(&text);
        Self { path, text, code }
    }

    fn place(&self, at: usize) -> Place {
        let before = &self.code[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn switches(&self) -> Result<Vec<(Place, String)>, String> {
        let mut switches = Vec::new();
        for (at, call) in self.code.match_indices("seeded::is(") {
            let argument = self.code[at + call.len()..].trim_start();
            let name = argument.strip_prefix('"').and_then(|rest| rest.split_once('"'));
            let place = self.place(at);
            let Some((name, _)) = name else {
                return Err(format!("{}:{}: a switch without a name", self.path, place.line));
            };
            switches.push((place, name.to_owned()));
        }
        Ok(switches)
    }

    fn strong_calls(&self) -> Vec<Place> {
        let bugs = self.bugs();
        let mut found = Vec::new();
        for (open, _) in self.code.match_indices('(') {
            let Some(start) = call_before(&self.code[..open]) else { continue };
            let arguments = in_brackets(&self.code[open..]);
            let is_strong = words(arguments).any(|word| STRONG.contains(&word));
            if is_strong && !bugs.iter().any(|bug| bug.contains(&start)) {
                found.push(self.place(start));
            }
        }
        found
    }

    /// The blocks that run with a seeded bug only.
    fn bugs(&self) -> Vec<Range<usize>> {
        let blocks = self.code.match_indices("if seeded::is(").filter_map(|(at, _)| {
            let start = at + self.code[at..].find('{')?;
            Some(start..start + in_brackets(&self.code[start..]).len())
        });
        blocks.collect()
    }
}

/// Where the name of a call with an ordering starts, if `code` ends with one.
fn call_before(code: &str) -> Option<usize> {
    let start = code.rfind(|c: char| !is_part_of_word(c)).map_or(0, |at| at + 1);
    let (before, name) = code.split_at(start);
    let is_fence = name == "fence" && !before.trim_end().ends_with("fn");
    (is_fence || before.ends_with('.') && CALLS.contains(&name)).then_some(start)
}

/// What stands between the bracket that `code` starts with and the one that closes it.
fn in_brackets(code: &str) -> &str {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' if depth == 1 => return &code[1..at],
            ')' | '}' => depth -= 1,
            _ => {}
        }
    }
    ""
}

/// The name of the function that this line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let (before, rest) = line.split_once("fn ")?;
    let is_head = before.split_whitespace().all(|word| {
        word.starts_with("pub") || ["const", "unsafe", "async", "extern"].contains(&word)
    });
    is_head.then(|| words(rest).next()).flatten()
}

/// The text with every `//` comment blanked, byte for byte.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let end = comment_start(line).unwrap_or(line.len());
        code.push_str(&line[..end]);
        code.extend(line[end..].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
    }
    code
}

/// Where a comment starts in this line; two slashes in a string do not start one.
fn comment_start(line: &str) -> Option<usize> {
    let quotes = |before: &str| before.matches('"').count() - before.matches("\\\"").count();
    line.match_indices("//").map(|(at, _)| at).find(|at| quotes(&line[..*at]) % 2 == 0)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_part_of_word(c)).filter(|word| !word.is_empty())
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The Rust files below `folder`, in order.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let fail = |error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        pub(super) fn wake(&self) { // seeded::is("not: this")
            if !seeded::is("idle: no fence") {
                // fence(Ordering::SeqCst);
                fence(Ordering::SeqCst);
            }
            if seeded::is(
                "idle: long",
            ) {}
            self.count.load(Ordering::Relaxed);
            self.word
                .compare_exchange(a.load(), (b, c), Ordering::AcqRel, Ordering::Relaxed);
            self.token.swap(NONE, order);
            list.swap(one, two);
            if seeded::is("idle: another order") {
                fence(Ordering::AcqRel);
            }
        }
    "#;

    fn sources() -> Sources {
        Sources { files: vec![File::new("src/idle.rs".to_owned(), TEXT.to_owned())] }
    }

    fn place(line: usize, column: usize) -> Place {
        Place { file: "src/idle.rs".to_owned(), line, column }
    }

    #[test]
    fn switches_are_found_where_they_are_code() {
        let switches = sources().switches().unwrap();
        let expected = [
            (place(3, 17), "idle: no fence"),
            (place(7, 16), "idle: long"),
            (place(15, 16), "idle: another order"),
        ];
        assert_eq!(switches, expected.map(|(place, name)| (place, name.to_owned())));
    }

    #[test]
    fn a_switch_without_a_name_is_an_error() {
        let file = File::new(String::new(), "seeded::is(name)".to_owned());
        assert!(file.switches().is_err());
    }

    #[test]
    fn strong_calls_are_found_where_the_compiler_places_them() {
        assert_eq!(sources().strong_calls(), [place(5, 17), place(12, 18), place(13, 24)]);
    }

    #[test]
    fn a_place_is_described_by_function_and_line() {
        let described = sources().describe(&place(5, 17)).unwrap();
        assert_eq!(described, "src/idle.rs, wake: fence(Ordering::SeqCst);");
        assert_eq!(sources().describe(&place(1000, 1)), None);
    }

    #[test]
    fn slashes_in_a_string_are_no_comment() {
        assert_eq!(without_comments("a(\"//\"); // é\n"), "a(\"//\");      \n");
    }
}
