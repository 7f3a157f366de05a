//! Programs: started, waited for, signalled, and refused.
#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_lite::future::{self, poll_once};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getgid, getrlimit, getuid, setrlimit, umask};
use support::{
    Child as Process, LIMIT, apart, children, descriptors, expect_success, is_alive, process_state,
    runtime, until, within, write_program,
};
use tenter::io::AsyncReadExt;
use tenter::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio};
use tenter::signal::unix::SignalKind;

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// A command for a line of shell.
fn sh(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    command
}

/// A program that runs until its input ends or it is killed.
fn cat() -> Command {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A folder for a test's files, which goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("process-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_program_is_started_and_its_status_awaited() {
    run(async {
        let mut child = sh("exit 7").spawn().unwrap();
        let id = child.id().expect("it was not waited for");
        assert!(process_state(id).is_some());
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
        assert_eq!(child.id(), None);
        assert_eq!(process_state(id), None, "it was not reaped");
        assert!(sh("true").status().await.unwrap().success());
        assert_eq!(sh("kill -9 $$").status().await.unwrap().signal(), Some(9));
    });
}

#[test]
fn a_wait_tells_the_same_again() {
    run(async {
        let mut child = sh("exit 3").spawn().unwrap();
        let status = child.wait().await.unwrap();
        assert_eq!(child.wait().await.unwrap(), status);
        assert_eq!(child.try_wait().unwrap(), Some(status));
        child.start_kill().unwrap();
        child.kill().await.unwrap();
        assert_eq!(child.wait().await.unwrap(), status);
        let gone = child.signal(SignalKind::terminate()).expect_err("it is nobody's any more");
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
    });
}

#[test]
fn a_wait_that_is_dropped_can_be_repeated() {
    run(async {
        let mut child = cat().spawn().unwrap();
        let stdin = child.stdin.take();
        for _ in 0..3 {
            assert!(poll_once(child.wait()).await.is_none());
            assert_eq!(child.try_wait().unwrap(), None);
        }
        drop(stdin);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn a_wait_wakes_when_the_program_ends() {
    run(async {
        for _ in 0..20 {
            let mut child = cat().spawn().unwrap();
            let stdin = child.stdin.take();
            let waiting = tenter::spawn(async move { child.wait().await });
            tenter::yield_now().await;
            drop(stdin);
            assert!(waiting.await.unwrap().unwrap().success());
        }
    });
}

#[test]
fn a_wait_closes_the_input_first() {
    run(async {
        let mut child = cat().spawn().unwrap();
        assert!(child.wait().await.unwrap().success());
        let status = cat().status().await.unwrap();
        assert!(status.success());
    });
}

#[test]
fn try_wait_reaps_what_has_ended_and_leaves_the_input_open() {
    run(async {
        let mut child = cat().spawn().unwrap();
        let id = child.id().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        assert!(child.stdin.is_some());
        drop(child.stdin.take());
        until(|| child.try_wait().unwrap().is_some()).await;
        assert_eq!(process_state(id), None);
    });
}

#[test]
fn kill_kills_and_waits() {
    run(async {
        let mut child = cat().spawn().unwrap();
        let id = child.id().unwrap();
        child.kill().await.unwrap();
        assert_eq!(process_state(id), None);
        assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn any_signal_can_be_sent() {
    run(async {
        let numbers = [libc::SIGTERM, libc::SIGUSR1, libc::SIGKILL, libc::SIGRTMIN() + 3];
        for number in numbers {
            let mut child = cat().spawn().unwrap();
            child.signal(number).unwrap();
            assert_eq!(child.wait().await.unwrap().signal(), Some(number));
        }
        let mut child = cat().spawn().unwrap();
        for number in [0, -1, i32::MAX, i32::MIN, libc::SIGRTMAX() + 1, libc::SIGRTMIN() - 1] {
            let error = child.signal(number).expect_err("there is no such signal");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}");
        }
        child.signal(SignalKind::from_raw(libc::SIGSTOP)).unwrap();
        until(|| process_state(child.id().unwrap()) == Some('T')).await;
        assert_eq!(child.try_wait().unwrap(), None, "it is stopped and has not ended");
        child.kill().await.unwrap();
    });
}

#[test]
fn output_collects_both_pipes_whichever_fills_first() {
    run(async {
        // Far more than a pipe holds, of the one before the other.
        let line = "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; echo end; exit 5";
        for line in [line.to_owned(), line.replace(">&2", "").replace("zero;", "zero >&2;")] {
            let output = sh(&line).output().await.unwrap();
            assert_eq!(output.status.code(), Some(5));
            assert_eq!(output.stdout.len() + output.stderr.len(), 2_000_004);
            assert!(output.stdout.ends_with(b"end\n"));
        }
    });
}

#[test]
fn output_sets_only_what_the_user_did_not() {
    run(async {
        // The input is empty and not the test's own.
        let output = sh("cat; readlink /proc/self/fd/0").output().await.unwrap();
        assert_eq!(text(&output), "/dev/null\n");
        let output = sh("echo out; echo err >&2").stdout(Stdio::null()).output().await.unwrap();
        assert_eq!((output.stdout, output.stderr), (vec![], b"err\n".to_vec()));

        // Afterwards the command is as it was.
        let mut command = sh("test $# = 0 && echo said; true");
        assert_eq!(text(&command.output().await.unwrap()), "said\n");
        let child = command.args(["name", "again"]).spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
    });
}

#[test]
fn a_command_says_what_the_program_finds() {
    run(async {
        let folder = Folder::new("finds");
        let mut command = Command::new("sh");
        command
            .arg0("name")
            .arg("-c")
            .args(["pwd; echo $0 $A-$B-$C; ps -o pgid= $$ 2>/dev/null || true; echo $PPID"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("A", "a")
            .envs([("B", "b"), ("C", "c")])
            .env_remove("C")
            .current_dir(&folder.0);
        let output = command.output().await.unwrap();
        let text = text(&output);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], folder.0.to_str().unwrap());
        assert!(lines[1].ends_with("a-b-"), "{text}");
        assert_eq!(*lines.last().unwrap(), std::process::id().to_string());
        assert_eq!(command.as_std().get_program(), "sh");
        assert_eq!(command.as_std_mut().get_args().count(), 2);
        assert_eq!(command.into_std().get_program(), "sh");
    });
}

fn set_umask() -> io::Result<()> {
    umask(Mode::from_raw_mode(0o123));
    Ok(())
}

#[test]
fn a_command_sets_group_user_and_what_runs_before() {
    run(async {
        let mut command = sh("cat /proc/self/stat; umask");
        command.uid(getuid().as_raw()).gid(getgid().as_raw()).process_group(0);
        // SAFETY: 1: it makes one system call. 2: that is of no descriptor.
        unsafe { command.pre_exec(set_umask) };
        let output = text(&command.output().await.unwrap());
        let (stat, umask) = output.split_once('\n').unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let (parent, group) = (fields[1], fields[2]);
        assert_eq!(parent, group, "the shell leads its group");
        assert_eq!(umask.trim(), "0123");

        let mut command = sh("true");
        // SAFETY: 1, 2: it does nothing.
        unsafe { command.pre_exec(|| Err(io::Error::from_raw_os_error(libc::EXDEV))) };
        let error = command.spawn().expect_err("what runs before may refuse");
        assert_eq!(error.raw_os_error(), Some(libc::EXDEV));
    });
}

#[test]
fn a_command_can_be_started_many_times() {
    run(async {
        let mut command = sh("exit 1");
        for _ in 0..10 {
            assert_eq!(command.status().await.unwrap().code(), Some(1));
        }
        let mut command = Command::from(std::process::Command::new("true"));
        assert!(command.status().await.unwrap().success());
    });
}

#[test]
fn what_cannot_be_started_is_an_error_of_its_kind() {
    run(async {
        let folder = Folder::new("refused");
        let file = |name: &str, mode, text: &str| {
            let path = folder.0.join(name);
            write_program(&path, mode, text);
            path
        };
        let not_executable = file("data", 0o644, "#!/bin/sh\n");
        let no_program = file("nonsense", 0o755, "\x01\x02\x03");
        let no_interpreter = file("script", 0o755, "#!/no/such/shell\n");
        let errors = [
            (Command::new("/no/such/program").spawn(), ErrorKind::NotFound),
            (Command::new("no-such-program-anywhere").spawn(), ErrorKind::NotFound),
            (Command::new("").spawn(), ErrorKind::NotFound),
            (Command::new(no_interpreter).spawn(), ErrorKind::NotFound),
            (sh("true").current_dir("/no/such/folder").spawn(), ErrorKind::NotFound),
            (Command::new(not_executable).spawn(), ErrorKind::PermissionDenied),
            (Command::new(&folder.0).spawn(), ErrorKind::PermissionDenied),
            (Command::new("sh").arg("a\0b").spawn(), ErrorKind::InvalidInput),
            (Command::new("s\0h").spawn(), ErrorKind::InvalidInput),
            (sh("true").env("A", "a\0b").spawn(), ErrorKind::InvalidInput),
            (sh("true").current_dir("a\0b").spawn(), ErrorKind::InvalidInput),
        ];
        for (number, (result, kind)) in errors.into_iter().enumerate() {
            assert_eq!(result.expect_err("it is refused").kind(), kind, "case {number}");
        }
        let error = Command::new(&no_program).spawn().expect_err("it is no program");
        assert_eq!(error.raw_os_error(), Some(libc::ENOEXEC));
        let long = "x".repeat(10_000_000);
        let error = sh("true").arg(long).spawn().expect_err("it is too long");
        assert_eq!(error.raw_os_error(), Some(libc::E2BIG));
        assert!(Command::new(&no_program).status().await.is_err());
        assert!(Command::new(&no_program).output().await.is_err());
    });
}

#[test]
fn nothing_is_started_outside_a_runtime() {
    let output = Process::new().run(|| {
        within(LIMIT, || {
            assert!(catch_unwind(|| apart(|| sh("true").spawn().map(drop))).is_err());
            assert!(catch_unwind(|| apart(|| drop(sh("true").status()))).is_err());
            assert!(catch_unwind(|| apart(|| drop(sh("true").output()))).is_err());
            assert_eq!(children(), []);
        });
    });
    expect_success(&output);
}

#[test]
fn a_child_is_waited_for_anywhere() {
    within(LIMIT, || {
        let (one, other) = (runtime(1), runtime(1));
        let mut child = one.block_on(async { cat().spawn().unwrap() });
        // By a task of another runtime, and then by no runtime at all.
        let stdin = child.stdin.take();
        let (polled, mut child) = other
            .block_on(other.spawn(async move {
                let polled = poll_once(child.wait()).await.is_none();
                (polled, child)
            }))
            .unwrap();
        assert!(polled);
        drop(stdin);
        assert!(future::block_on(child.wait()).unwrap().success());
    });
}

#[test]
fn a_wait_ends_with_its_runtime_and_tells_of_an_end_that_it_finds() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let mut child = runtime.block_on(async { cat().spawn().unwrap() });
        let stdin = child.stdin.take();
        assert!(runtime.block_on(poll_once(child.wait())).is_none());
        let id = child.id().unwrap();
        drop(runtime);
        let error = future::block_on(child.wait()).expect_err("nobody can wait");
        assert_eq!(error.kind(), ErrorKind::Other);
        assert!(is_alive(id));
        child.start_kill().unwrap();
        support::wait_until(|| !is_alive(id));
        drop(stdin);
        let status = future::block_on(child.wait()).unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn a_child_that_runs_when_the_runtime_is_shut_down_is_named() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let (mut child, ended) = runtime.block_on(async {
            let child = cat().spawn().unwrap();
            let mut ended = cat().spawn().unwrap();
            ended.wait().await.unwrap();
            (child, ended)
        });
        let report = runtime.shutdown(Duration::from_secs(5));
        let children: Vec<_> =
            report.children().iter().map(|it| (it.pid(), it.program())).collect();
        assert_eq!(children, [(child.id().unwrap(), "cat")]);
        child.start_kill().unwrap();
        drop(ended);
    });
}

#[test]
fn running_out_of_descriptors_is_an_error_that_leaves_nothing_behind() {
    let output = Process::new().run(|| {
        run(async {
            let start = |stdio: fn() -> Stdio| {
                let mut command = Command::new("sleep");
                command.arg("1000").stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn()
            };
            // What is opened once is open.
            start(Stdio::piped).unwrap().kill().await.unwrap();
            let before = descriptors();
            let limit = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..limit }).unwrap();
            // The program starts, and then there is no descriptor to wait for it with. Other
            // attempts fail earlier, each with one descriptor more than the one before.
            for (stdio, failures) in [(Stdio::inherit as fn() -> Stdio, 1), (Stdio::piped, 6)] {
                // Ends: now and then the monitor has a descriptor while these are counted.
                loop {
                    // Ends: there are 64.
                    let mut filling: Vec<_> =
                        std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
                    let mut failed = 0;
                    let mut child = loop {
                        match start(stdio) {
                            Ok(child) => break child,
                            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EMFILE)),
                        }
                        failed += 1;
                        drop(filling.pop().expect("64 are enough"));
                    };
                    child.kill().await.unwrap();
                    drop((child, filling));
                    until(|| children().is_empty() && descriptors() == before).await;
                    if failed >= failures {
                        break;
                    }
                }
            }
        });
    });
    expect_success(&output);
}

#[test]
fn a_child_finds_no_descriptor_of_its_parent() {
    run(async {
        let list = || {
            let mut command = std::process::Command::new("ls");
            command.arg("/proc/self/fd");
            command
        };
        let mut other = cat().spawn().unwrap();
        let ours = Command::from(list()).output().await.unwrap();
        // Those that this process was started with, if it was.
        let inherited = list().stdin(Stdio::null()).output().unwrap();
        assert_eq!(ours.stdout, inherited.stdout);
        let pidfd = fs::read_dir("/proc/self/fd").unwrap().filter(|it| {
            let target = fs::read_link(it.as_ref().unwrap().path());
            target.is_ok_and(|target| target.to_string_lossy().contains("pidfd"))
        });
        assert!(pidfd.count() >= 1, "there is one to be inherited");
        let mut said = String::new();
        let mut child = Command::new("sh");
        child.args(["-c", "readlink /proc/self/fd/*"]).stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
        assert!(!said.contains("pidfd") && !said.contains("event"), "{said}");
        child.wait().await.unwrap();
        other.kill().await.unwrap();
    });
}

#[test]
fn nothing_stays_open_after_the_end() {
    let output = Process::new().run(|| {
        run(async {
            sh("true").output().await.unwrap();
            let before = descriptors();
            let mut children = Vec::new();
            for _ in 0..10 {
                let mut child = sh("true").spawn().unwrap();
                assert_eq!(descriptors(), before + 1, "the pidfd alone");
                child.wait().await.unwrap();
                assert_eq!(descriptors(), before);
                children.push(child);
            }
            for _ in 0..10 {
                sh("echo").output().await.unwrap();
            }
            assert_eq!(descriptors(), before);
        });
    });
    expect_success(&output);
}

#[test]
fn a_child_that_somebody_else_reaped_is_an_error_and_no_hang() {
    let output = Process::new().run(|| {
        run(async {
            // SAFETY: to ignore a signal needs no handler.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            for _ in 0..3 {
                let mut child = cat().spawn().unwrap();
                let error = child.wait().await.expect_err("the system has reaped it");
                assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
                assert_eq!(child.id(), None);
                let again = child.wait().await.expect_err("and it stays so");
                assert_eq!(again.raw_os_error(), Some(libc::ECHILD));
                child.start_kill().unwrap();
            }
        });
    });
    expect_success(&output);
}

#[test]
fn the_types_go_everywhere() {
    fn assert<T: Send + Sync + Unpin + std::fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    fn assert_send<T: Send>(_: &T) {}
    assert::<Child>();
    assert::<ChildStdin>();
    assert::<ChildStdout>();
    assert::<ChildStderr>();
    fn assert_command<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    assert_command::<Command>();
    run(async {
        let (status, output) = (sh("true").status(), sh("true").output());
        assert_send(&status);
        assert_send(&output);
        let (status, output): (io::Result<_>, io::Result<_>) = (status.await, output.await);
        assert!(status.unwrap().success() && output.unwrap().status.success());
        let mut child = cat().spawn().unwrap();
        assert!(format!("{child:?}").contains("Child"));
        let wait = child.wait();
        assert_send(&wait);
        wait.await.unwrap();
    });
}
