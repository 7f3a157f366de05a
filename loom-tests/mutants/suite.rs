//! The test binary of `loom-tests`, and what it says of its models.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::run::in_parallel;
use crate::verdict::{self, LIST, LISTED, RECORD, SEEDED, Verdict, WEAKEN};

/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// How long a model may take as it is.
const MODEL_TIME_MAX: Duration = Duration::from_secs(300);

/// The test binary.
pub(crate) struct Suite {
    binary: PathBuf,
    /// For what the processes print.
    folder: PathBuf,
    runs: AtomicUsize,
}

/// A model, as it is.
pub(crate) struct Model {
    pub(crate) test: String,
    pub(crate) time: Duration,
    /// The mutants whose line it passes over, as the environment names them.
    pub(crate) passes: BTreeSet<String>,
}

/// What a process has shown.
pub(crate) enum Shown {
    Verdict(Verdict),
    TimedOut,
}

impl Suite {
    /// Builds the binary, as `cargo loom` does.
    ///
    /// # Errors
    ///
    /// It does not compile, or is not found.
    pub(crate) fn build(root: &Path) -> Result<Self, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .current_dir(root)
            .args(["test", "--profile", "loom", "-p", "loom-tests", "--lib", "--no-run"])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo does not run: {error}"))?;
        if !output.status.success() {
            return Err("loom-tests does not compile".to_owned());
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let binary = messages.lines().find_map(executable).ok_or("cargo names no test binary")?;
        let folder = std::env::temp_dir().join(format!("loom-mutants-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { binary: binary.into(), folder, runs: AtomicUsize::new(0) })
    }

    /// Every model, with what it passes over.
    ///
    /// # Errors
    ///
    /// A model that fails as it is.
    pub(crate) fn record(&self) -> Result<Vec<Model>, String> {
        let listing = self.listing(&["--list"], None)?;
        let tests = listing.lines().filter_map(|line| line.strip_suffix(": test"));
        let models: Vec<_> = tests.filter(|test| test.ends_with("::holds")).collect();
        in_parallel(&models, |test| self.record_one(test)).into_iter().collect()
    }

    fn record_one(&self, test: &str) -> Result<Model, String> {
        let path = self.scratch("record");
        let start = Instant::now();
        let (succeeded, output) = self
            .process(test, (RECORD, &path.display().to_string()), MODEL_TIME_MAX)
            .ok_or_else(|| format!("{test} takes too long as it is"))?;
        let time = start.elapsed();
        if !succeeded {
            return Err(format!("{test} fails as it is:\n{output}"));
        }
        let record = fs::read_to_string(&path)
            .map_err(|error| format!("{test} leaves no record: {error}"))?;
        let passes = record.lines().map(str::to_owned).collect();
        Ok(Model { test: test.to_owned(), time, passes })
    }

    /// Each seeded bug that a model names, with those models.
    ///
    /// # Errors
    ///
    /// The binary does not say.
    pub(crate) fn catches(&self) -> Result<BTreeMap<String, Vec<String>>, String> {
        let arguments = ["::catches", "--nocapture", "--test-threads=1"];
        let listing = self.listing(&arguments, Some(LIST))?;
        let mut catches: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in listing.lines().filter_map(|line| line.strip_prefix(LISTED)) {
            let (test, bug) = line.split_once('\t').ok_or("a line without a bug")?;
            catches.entry(bug.to_owned()).or_default().push(test.to_owned());
        }
        Ok(catches)
    }

    fn listing(&self, arguments: &[&str], variable: Option<&str>) -> Result<String, String> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).envs(variable.map(|name| (name, "1")));
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            return Err(format!("{} fails with {arguments:?}:\n{said}", self.binary.display()));
        }
        String::from_utf8(output.stdout).map_err(|error| error.to_string())
    }

    /// Runs a model with a mutant.
    pub(crate) fn run(&self, test: &str, mutant: (&str, &str), time_max: Duration) -> Shown {
        match self.process(test, mutant, time_max) {
            Some((succeeded, output)) => Shown::Verdict(verdict::judge(succeeded, &output)),
            None => Shown::TimedOut,
        }
    }

    /// Whether a process succeeds that runs this one test, and what it prints; `None` if it takes
    /// too long.
    fn process(
        &self,
        test: &str,
        (name, value): (&str, &str),
        time_max: Duration,
    ) -> Option<(bool, String)> {
        let path = self.scratch("output");
        let output = File::create(&path).expect("a file in a folder of our own");
        let errors = output.try_clone().expect("one more descriptor");
        let mut command = Command::new(&self.binary);
        for name in [SEEDED, WEAKEN, RECORD, LIST] {
            command.env_remove(name);
        }
        let mut child = command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env("RUST_BACKTRACE", "0")
            .env(name, value)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("the test binary runs");
        let start = Instant::now();
        // Ends: with the child, at the latest by the kill.
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child of ours") {
                break Some(status);
            }
            if start.elapsed() > time_max {
                child.kill().expect("a child of ours");
                child.wait().expect("a child of ours");
                break None;
            }
            std::thread::sleep(LOOK);
        };
        let text = fs::read(&path).expect("the file is there");
        fs::remove_file(&path).expect("the file is there");
        Some((status?.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    fn scratch(&self, what: &str) -> PathBuf {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{what}-{number}"))
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The path of the test binary, if this message of cargo names it.
fn executable(message: &str) -> Option<String> {
    message.contains(r#""name":"loom_tests""#).then_some(())?;
    let (_, rest) = message.split_once(r#""executable":""#)?;
    let (path, _) = rest.split_once('"')?;
    Some(path.replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_read_from_cargos_message() {
        let message =
            r#"{"target":{"name":"loom_tests"},"executable":"/t/loom_tests-1","fresh":true}"#;
        assert_eq!(executable(message).as_deref(), Some("/t/loom_tests-1"));
        assert_eq!(executable(&message.replace("\"/t/loom_tests-1\"", "null")), None);
        assert_eq!(executable(&message.replace("\"loom_tests\"", "\"loom\"")), None);
    }
}
