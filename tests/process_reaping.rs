//! No zombie is left, whatever becomes of the handle, its task and its runtime.
#![cfg(target_os = "linux")]

mod support;

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fs, io, thread};

use futures_lite::future::poll_once;
use rustix::process::Signal;
use support::{
    Child as Process, Gate, LIMIT, STACK, children, descriptors, expect_success, is_alive, kill,
    limit_addresses, process_state, runtime, threads_named, unlimit_addresses, until, wait_until,
    within,
};
use tenter::io::AsyncReadExt;
use tenter::process::{Child, ChildStdin, Command, Stdio};

/// Runs a test in a process of its own, whose children are all those of the test.
macro_rules! alone {
    ($body:expr) => {
        alone!(Process::new(), $body)
    };
    ($process:expr, $body:expr) => {
        expect_success(&$process.run(|| {
            within(LIMIT, $body);
            within(LIMIT, || wait_until(|| children().is_empty() && reapers() == 0));
        }))
    };
}

/// Threads that reap.
fn reapers() -> usize {
    threads_named("tenter-reaper")
}

/// A program that runs until its input ends, in this process's hands.
fn cat() -> (Child, ChildStdin, u32) {
    let mut child = command().spawn().unwrap();
    let (stdin, id) = (child.stdin.take().unwrap(), child.id().unwrap());
    (child, stdin, id)
}

/// The same, killed with its handle.
fn mortal() -> (Child, ChildStdin, u32) {
    let mut child = command().kill_on_drop(true).spawn().unwrap();
    let (stdin, id) = (child.stdin.take().unwrap(), child.id().unwrap());
    (child, stdin, id)
}

fn command() -> Command {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command
}

#[test]
fn a_child_whose_handle_was_dropped_runs_on_and_is_reaped() {
    alone!(|| {
        runtime(1).block_on(async {
            let (child, stdin, id) = cat();
            drop(child);
            assert!(is_alive(id));
            until(|| reapers() == 1).await;
            drop(stdin);
            until(|| process_state(id).is_none()).await;
            until(|| reapers() == 0).await;
        });
    });
}

#[test]
fn a_child_that_had_ended_needs_no_reaper() {
    alone!(|| {
        runtime(1).block_on(async {
            let (child, stdin, id) = cat();
            drop(stdin);
            until(|| process_state(id) == Some('Z')).await;
            drop(child);
            assert_eq!(process_state(id), None);
            assert_eq!(reapers(), 0);
        });
    });
}

#[test]
fn a_child_is_killed_with_its_handle_if_told_so() {
    alone!(|| {
        runtime(1).block_on(async {
            let (child, _stdin, id) = mortal();
            drop(child);
            until(|| process_state(id).is_none()).await;

            // Also one that is stopped, and one that waits in vain.
            let (child, _stdin, id) = mortal();
            child.signal(libc::SIGSTOP).unwrap();
            until(|| process_state(id) == Some('T')).await;
            drop(child);
            until(|| process_state(id).is_none()).await;

            let (mut child, _stdin, id) = mortal();
            assert!(poll_once(child.wait()).await.is_none());
            drop(child);
            until(|| process_state(id).is_none()).await;
        });
    });
}

#[test]
fn a_child_is_killed_with_the_task_that_is_aborted() {
    alone!(|| {
        runtime(2).block_on(async {
            let (mut child, _stdin, id) = mortal();
            let waits = Gate::new();
            let task = {
                let waits = waits.clone();
                tenter::spawn(async move {
                    assert!(poll_once(child.wait()).await.is_none());
                    waits.open();
                    child.wait().await
                })
            };
            waits.pass().await;
            task.abort();
            assert!(task.await.expect_err("it was aborted").is_cancelled());
            until(|| process_state(id).is_none()).await;
        });
    });
}

#[test]
fn a_child_is_killed_by_a_panic() {
    alone!(|| {
        runtime(1).block_on(async {
            let mut id = 0;
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let (_child, _stdin, number) = mortal();
                id = number;
                std::panic::resume_unwind(Box::new("on purpose"));
            }));
            assert!(panicked.is_err());
            until(|| process_state(id).is_none()).await;
        });
    });
}

#[test]
fn children_of_a_runtime_that_is_dropped_are_reaped() {
    alone!(|| {
        let runtime = runtime(2);
        let ((mortal_id, cat_id), (mortal_stdin, cat_stdin)) = runtime.block_on(async {
            let (mut one, one_stdin, one_id) = mortal();
            let (mut other, other_stdin, other_id) = cat();
            let waits = Gate::new();
            drop(tenter::spawn(async move { one.wait().await }));
            let waiting = waits.clone();
            drop(tenter::spawn(async move {
                assert!(poll_once(other.wait()).await.is_none());
                waiting.open();
                other.wait().await
            }));
            waits.pass().await;
            ((one_id, other_id), (one_stdin, other_stdin))
        });
        drop(runtime);
        wait_until(|| process_state(mortal_id).is_none());
        assert!(is_alive(cat_id), "it was not to be killed");
        drop((mortal_stdin, cat_stdin));
        wait_until(|| process_state(cat_id).is_none());
    });
}

#[test]
fn a_handle_may_outlive_the_runtime() {
    alone!(|| {
        let runtime = runtime(1);
        let (child, stdin, id) = runtime.block_on(async { cat() });
        let (other, _stdin, other_id) = runtime.block_on(async { mortal() });
        drop(runtime);
        drop((child, other));
        wait_until(|| process_state(other_id).is_none());
        assert!(is_alive(id));
        drop(stdin);
        wait_until(|| process_state(id).is_none());
    });
}

#[test]
fn the_futures_of_status_and_output_may_be_dropped() {
    alone!(|| {
        runtime(1).block_on(async {
            let mut sleep = Command::new("sleep");
            sleep.arg("1000").stdout(Stdio::null());
            drop(sleep.status());
            let left = children();
            assert_eq!(left.len(), 1, "it runs on");
            kill(left[0], Signal::KILL);
            until(|| children().is_empty()).await;

            sleep.kill_on_drop(true);
            drop(sleep.status());
            let output = sleep.output();
            assert!(poll_once(output).await.is_none());
            until(|| children().is_empty()).await;
        });
    });
}

#[test]
fn a_crowd_of_orphans_is_reaped_by_one_thread_that_goes() {
    const ORPHANS: usize = 100;
    alone!(|| {
        let runtime = runtime(2);
        let started: Vec<_> = runtime.block_on(async { (0..ORPHANS).map(|_| cat()).collect() });
        let (mut handles, mut pipes) = (Vec::new(), Vec::new());
        for (child, stdin, _) in started {
            handles.push(child);
            pipes.push(stdin);
        }
        let later = handles.split_off(ORPHANS / 2);
        let droppers = [handles, later].map(|handles| thread::spawn(move || drop(handles)));
        droppers.into_iter().for_each(|dropper| dropper.join().unwrap());
        wait_until(|| reapers() == 1);
        // The first to come is the last to end.
        while pipes.len() > 1 {
            pipes.pop();
        }
        wait_until(|| children().len() == 1);
        assert_eq!(reapers(), 1);
        drop(pipes);
        wait_until(|| children().is_empty() && reapers() == 0);
    });
}

#[test]
fn orphans_come_while_the_reaper_goes() {
    alone!(|| {
        runtime(2).block_on(async {
            let droppers: Vec<_> = (0..2)
                .map(|_| {
                    tenter::spawn(async {
                        for _ in 0..100 {
                            drop(mortal());
                            tenter::yield_now().await;
                        }
                    })
                })
                .collect();
            for dropper in droppers {
                dropper.await.unwrap();
            }
            until(|| children().is_empty() && reapers() == 0).await;
        });
    });
}

#[test]
fn orphans_leave_no_descriptor() {
    alone!(|| {
        runtime(1).block_on(async {
            let (child, stdin, _) = cat();
            drop((child, stdin));
            until(|| children().is_empty() && reapers() == 0).await;
            let before = descriptors();
            for _ in 0..20 {
                let (child, stdin, _) = cat();
                drop((child, stdin));
            }
            until(|| children().is_empty() && reapers() == 0).await;
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn the_system_is_full_of_threads_and_still_no_zombie_stays() {
    alone!(Process::new().env("RUST_MIN_STACK", &STACK.to_string()), || {
        let runtime = runtime(1);
        runtime.block_on(async {
            let (child, stdin, id) = cat();
            limit_addresses(STACK / 2);
            drop(child);
            unlimit_addresses();
            assert_eq!(reapers(), 0, "a thread was started all the same");
            drop(stdin);
            until(|| process_state(id) == Some('Z')).await;
            // The next child is an opportunity.
            Command::new("true").status().await.unwrap();
            assert_eq!(process_state(id), None);
        });
    });
}

/// Ignores SIGCHLD: the system reaps children as they end.
fn ignore_ends() {
    // SAFETY: nobody else in this process depends on what the signal does.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    assert_ne!(before, libc::SIG_ERR);
}

#[test]
fn a_program_that_ignores_sigchld_starts_children_and_learns_no_status() {
    alone!(|| {
        ignore_ends();
        runtime(1).block_on(async {
            let before = descriptors();
            // Some of them are gone before anybody can look.
            for _ in 0..200 {
                let mut child = Command::new("true").spawn().unwrap();
                let error = child.wait().await.expect_err("the system has the status");
                assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
                assert_eq!(child.id(), None);
                child.start_kill().unwrap();
                let error = child.signal(libc::SIGTERM).expect_err("it is gone");
                assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
                let error = child.try_wait().expect_err("as before");
                assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
            }
            // What they say is heard all the same.
            for _ in 0..20 {
                let mut echo = Command::new("echo");
                let mut child = echo.arg("hello").stdout(Stdio::piped()).spawn().unwrap();
                let mut said = String::new();
                child.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
                assert_eq!(said, "hello\n");
                drop(child);
                drop(Command::new("true").kill_on_drop(true).spawn().unwrap());
            }
            until(|| children().is_empty() && reapers() == 0).await;
            assert_eq!(descriptors(), before);
        });
    });
}

/// A process that traces `id` until it is killed, and never waits for it: as long, the process can
/// end, and not be reaped.
fn tracer(id: u32) -> std::process::Child {
    let seize = move || {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: this request takes no addresses.
        match unsafe { libc::ptrace(libc::PTRACE_SEIZE, id, nothing, nothing) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // It does not outlive the test, however that ends.
    let mut command = std::process::Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: one system call may be made between fork and exec.
    unsafe { command.pre_exec(seize) };
    command.spawn().expect("it may be traced")
}

/// A program that runs until its input ends, and may be traced by anybody.
fn traceable() -> (Child, ChildStdin, u32) {
    let allow = || {
        // It fails where the system does not ask for it.
        // SAFETY: this option takes a number.
        let _ = unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
        Ok(())
    };
    let mut command = command();
    // SAFETY: 1: one system call is made. 2: it has to do with no descriptor.
    unsafe { command.pre_exec(allow) };
    let mut child = command.spawn().unwrap();
    let (stdin, id) = (child.stdin.take().unwrap(), child.id().unwrap());
    (child, stdin, id)
}

/// Whether the reaper's thread sleeps.
fn reaper_sleeps() -> bool {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is there");
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let mut states = stats.filter(|stat| stat.contains("(tenter-reaper)"));
    states.any(|stat| stat.contains(") S "))
}

#[test]
fn the_reaper_sleeps_while_a_debugger_holds_an_orphan_that_has_ended() {
    alone!(|| {
        runtime(1).block_on(async {
            let (child, stdin, id) = traceable();
            let mut tracer = tracer(id);
            drop((child, stdin));
            until(|| process_state(id) == Some('Z')).await;
            // Each time that it is looked at, and not once by chance.
            let mut naps = 0;
            until(|| {
                naps = if reaper_sleeps() { naps + 1 } else { 0 };
                naps == 20
            })
            .await;
            assert_eq!(process_state(id), Some('Z'));
            tracer.kill().unwrap();
            tracer.wait().unwrap();
            until(|| process_state(id).is_none() && reapers() == 0).await;
        });
    });
}

#[test]
fn an_orphan_is_reaped_beside_one_that_a_debugger_holds() {
    alone!(|| {
        runtime(1).block_on(async {
            let (held, held_stdin, held_id) = traceable();
            let mut tracer = tracer(held_id);
            drop((held, held_stdin));
            let (child, stdin, id) = cat();
            drop(child);
            until(|| process_state(held_id) == Some('Z') && reaper_sleeps()).await;
            drop(stdin);
            until(|| process_state(id).is_none()).await;
            assert_eq!(process_state(held_id), Some('Z'));
            tracer.kill().unwrap();
            tracer.wait().unwrap();
        });
    });
}

#[test]
fn a_child_that_a_debugger_holds_is_awaited_until_it_is_let_go() {
    alone!(|| {
        runtime(1).block_on(async {
            let (mut child, _stdin, id) = traceable();
            let mut tracer = tracer(id);
            assert!(poll_once(child.wait()).await.is_none());
            kill(id, Signal::KILL);
            until(|| process_state(id) == Some('Z')).await;
            assert!(poll_once(child.wait()).await.is_none());
            let waiting = tenter::spawn(async move { child.wait().await });
            tenter::yield_now().await;
            tracer.kill().unwrap();
            tracer.wait().unwrap();
            assert_eq!(waiting.await.unwrap().unwrap().signal(), Some(libc::SIGKILL));
        });
    });
}
