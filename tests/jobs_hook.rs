//! Programs that are not what the pool takes them for: other builds, and such as never ask.

mod support;

use std::env;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{LIMIT, expect_success, watchdog, within};
use tenter::Runtime;
use tenter::jobs::{JobError, ProcessPool, SpawnError};

#[tenter::job]
fn nothing() {}

/// An example of this package, which cargo builds beside its tests.
fn example(name: &str) -> PathBuf {
    let own = env::current_exe().unwrap();
    let folder = own.ancestors().nth(2).expect("tests are in a folder of the profile's");
    let path = folder.join("examples").join(name);
    assert!(path.exists(), "{path:?}: build it with `cargo build --examples`");
    path
}

#[tenter::test]
async fn a_program_with_other_jobs_is_another_build() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).worker_exe(example("jobs")).build().unwrap();
    let error = pool.run(nothing::job()).await.unwrap_err();
    assert!(matches!(&error, JobError::Spawn(SpawnError::DifferentBuild)), "{error:?}");
    assert!(error.to_string().contains("another build"), "{error}");
}

/// Says to this program that it is the worker that does not know it.
const ROLE: &str = "TENTER_TEST_NO_HOOK";

// No `#[tenter::test]`: that has the hook.
#[test]
fn a_worker_that_makes_a_pool_before_it_was_asked_is_refused_one() {
    const NAME: &str = "a_worker_that_makes_a_pool_before_it_was_asked_is_refused_one";
    if env::var_os(ROLE).is_some() {
        let runtime = Runtime::new().unwrap();
        let _entered = runtime.enter();
        let error = ProcessPool::new().unwrap_err();
        assert!(matches!(&error, SpawnError::HookNotCalled), "{error:?}");
        assert!(error.to_string().contains("tenter::jobs::init()"), "{error}");
        println!("refused");
        return;
    }
    within(LIMIT, || {
        // What a pool does when it starts a worker.
        let (_ours, theirs) = UnixStream::pair().unwrap();
        let inode = rustix::fs::fstat(theirs.as_fd()).unwrap().st_ino;
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(ROLE, "yes")
            .env("TENTER_JOBS_WORKER", format!("1:{inode}:1"))
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .output()
            .unwrap();
        expect_success(&output);
        assert!(String::from_utf8_lossy(&output.stdout).contains("refused"), "{output:?}");
    });
}
