//! The table of `main.rs`, and the tools of this folder, are what they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use libc::{EIO, ENOSYS, SYS_getppid, SYS_pwrite64};
use rustix::process::getppid;

use crate::clock;
use crate::folder::Folder;
use crate::injector::{Fault, inject, scenario};

/// Tests that are about the tools, and not in the table.
const OWN_MODULE: &str = "table";

/// Every test of this folder, as `module::name`.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        for attribute in ["\n#[test]\nfn ", "\n#[tenter::test]\nasync fn "] {
            for rest in text.split(attribute).skip(1) {
                let name = rest.split('(').next().unwrap();
                found.insert(format!("{module}::{name}"));
            }
        }
    }
    found
}

/// The last cell of each row of the table, below its head.
fn rows() -> Vec<String> {
    let lines = include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("//! |"));
    let cells = lines.skip(2).map(|line| line.trim_end_matches('|').rsplit('|').next().unwrap());
    cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn every_row_of_the_table_names_a_test_and_every_test_has_a_row() {
    let rows = rows();
    let listed: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(listed.len(), rows.len(), "a test has two rows");
    let (mut tests, own) = (tests(), format!("{OWN_MODULE}::"));
    tests.retain(|name| !name.starts_with(&own));
    assert!(tests.len() > 50, "these are not the tests: {tests:?}");
    let unlisted: Vec<_> = tests.difference(&listed).collect();
    let missing: Vec<_> = listed.difference(&tests).collect();
    assert!(unlisted.is_empty(), "tests without a row: {unlisted:#?}");
    assert!(missing.is_empty(), "rows without a test: {missing:#?}");
}

#[test]
fn a_fault_strikes_the_calls_that_it_was_told_to_and_counts_all_of_them() {
    scenario(|| {
        let [fault, counter] =
            inject([Fault::value(&[SYS_getppid], 7), Fault::counter(&[SYS_getppid])]);
        let parent = || getppid().unwrap().as_raw_nonzero().get();
        let real = parent();
        fault.strike_after(2, 3);
        let answers: Vec<_> = (0..7).map(|_| parent()).collect();
        assert_eq!(answers, [real, real, 7, 7, 7, real, real]);
        assert_eq!((fault.struck(), fault.calls(), counter.calls()), (3, 8, 8));
    });
}

#[test]
fn a_fault_strikes_threads_that_were_started_after_it_and_processes_never() {
    scenario(|| {
        let [fault] = inject([Fault::value(&[SYS_getppid], 7)]);
        fault.strike_always();
        let of_a_thread = thread::spawn(|| getppid().unwrap().as_raw_nonzero().get());
        assert_eq!(of_a_thread.join().unwrap(), 7);
        let own = std::process::id().to_string();
        let shell = std::process::Command::new("sh").args(["-c", "echo $PPID"]).output().unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap().trim(), own);
    });
}

#[test]
fn a_short_call_moves_what_it_says_and_an_error_after_it_undoes_nothing() {
    use std::os::unix::fs::FileExt;

    scenario(|| {
        let [short, after] =
            inject([Fault::short(&[SYS_pwrite64], 2), Fault::error_after(&[SYS_pwrite64], EIO)]);
        let folder = Folder::new();
        let path = folder.path("file");
        let file = fs::File::create(&path).unwrap();
        short.strike(1);
        assert_eq!(file.write_at(b"short", 0).unwrap(), 2);
        after.strike(1);
        assert_eq!(file.write_at(b"all", 2).unwrap_err().raw_os_error(), Some(EIO));
        assert_eq!(fs::read(&path).unwrap(), b"shall");
    });
}

#[test]
fn a_system_that_forbids_filters_is_named_as_the_reason_and_nothing_passes() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[libc::SYS_seccomp], ENOSYS)]);
        fault.strike(1);
        let refused = std::panic::catch_unwind(|| inject([Fault::counter(&[SYS_getppid])]));
        let payload = refused.unwrap_err();
        let message = payload.downcast_ref::<String>().unwrap();
        assert!(message.contains("seccomp user notification"), "{message}");
    });
}

#[test]
fn the_clock_that_is_stopped_and_set_is_the_one_that_programs_see() {
    clock::scenario(|| {
        let before = Instant::now();
        clock::jump(3600);
        assert!(before.elapsed() >= Duration::from_secs(3600));
        clock::stop();
        let stopped = Instant::now();
        thread::sleep(Duration::from_millis(5));
        assert_eq!(Instant::now(), stopped);
    });
}
