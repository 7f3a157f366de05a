//! The built examples, what they leave behind, and where they write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The variable by which an example's processes are told from those of others.
const RUN: &str = "TENTER_TEST_RUN";

/// The variable that every worker process has.
const WORKER: &str = "TENTER_JOBS_WORKER=";

/// One run of an example.
#[derive(Debug)]
pub(crate) struct Run {
    name: String,
}

impl Run {
    /// A run like no other, and the example's command before it is started.
    pub(crate) fn new(example: &str) -> (Run, Command) {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        // This test is in target/<profile>/deps, and the examples are beside it.
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).expect("the test is in a profile");
        let program = profile.join("examples").join(example);
        assert!(
            program.exists(),
            "{} is missing: `cargo test` without `--test` builds it, and so does `cargo build --examples`",
            program.display(),
        );
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env(RUN, &name);
        (Run { name }, command)
    }

    /// Returns the ids of the worker processes that live.
    pub(crate) fn workers(&self) -> Vec<i32> {
        let run = format!("{RUN}={}", self.name);
        let processes = fs::read_dir("/proc").expect("/proc is there").flatten();
        let is_worker = |environment: &[u8]| {
            let mut variables = environment.split(|byte| *byte == 0);
            let of_run = environment.split(|byte| *byte == 0).any(|it| it == run.as_bytes());
            of_run && variables.any(|it| it.starts_with(WORKER.as_bytes()))
        };
        // One that has ended, and that nobody has waited for, has no environment any more.
        let workers = processes.filter(|process| {
            fs::read(process.path().join("environ")).is_ok_and(|it| is_worker(&it))
        });
        workers.filter_map(|worker| worker.file_name().to_str()?.parse().ok()).collect()
    }
}

/// What an example said on standard error, without reports of polls that took long: on a machine
/// that is busy with other tests any poll may.
pub(crate) fn without_reports(said: &str) -> String {
    said.split_inclusive('\n').filter(|line| !line.contains(" has kept worker ")).collect()
}

/// A folder that is gone after the test.
#[derive(Debug)]
pub(crate) struct TempFolder {
    path: PathBuf,
}

impl TempFolder {
    pub(crate) fn new(name: &str) -> TempFolder {
        let name = format!("{name}-{}", process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        TempFolder { path }
    }

    /// Returns the path of something in the folder, or of the folder for an empty name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.path.to_str().expect("the target folder has a name that is text")
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
