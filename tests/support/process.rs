//! What `/proc` says about this process and others.

use std::fs;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// Bytes of memory addresses for the stacks of threads of which one is to find no room.
///
/// Half of it is room for what a few threads map meanwhile, as they start: glibc's malloc takes
/// 128 MiB for each, and gives half of it back. It is no more than the system gives to a machine
/// with little memory at once.
pub(crate) const STACK: usize = 1 << 30;

/// Open descriptors of this process, but for those by which it looks at itself: at the list of
/// them, and at a thread, which the monitor does where a poll takes long.
pub(crate) fn descriptors() -> usize {
    let own = format!("/proc/{}/", std::process::id());
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is there").flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter(|target| !target.starts_with(&own)).count()
}

/// Threads of this process.
pub(crate) fn threads() -> usize {
    // Not by counting `/proc/self/task`: the list ends early where a thread ends meanwhile.
    status("Threads:")
}

/// Threads of this process whose name begins like this; the system keeps 15 bytes of it.
pub(crate) fn threads_named(prefix: &str) -> usize {
    // Ends: the list lacks some only where a thread ends as it is read.
    loop {
        let tasks = fs::read_dir("/proc/self/task").expect("/proc is there");
        let names = tasks.flatten().map(|task| fs::read_to_string(task.path().join("comm")));
        let names: Vec<_> = names.collect();
        if names.len() >= threads() {
            return names.into_iter().flatten().filter(|name| name.starts_with(prefix)).count();
        }
    }
}

/// Waits for something that comes by itself but leaves no trace to wait on; the watchdog bounds it.
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Suspends the task until the condition holds; the watchdog bounds it.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tenter::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The state of a process as one letter, such as `Z` of a zombie; `None` where there is none.
pub(crate) fn process_state(process: u32) -> Option<char> {
    stat(process).map(|(state, _parent)| state)
}

/// Whether every thread of a process is stopped: a signal reaches one after the other.
pub(crate) fn is_stopped(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return false };
    let stats =
        threads.map(|thread| thread.and_then(|it| fs::read_to_string(it.path().join("stat"))));
    let mut states = stats.map(|stat| stat.ok().and_then(|stat| state_and_parent(&stat)));
    states.all(|found| found.is_some_and(|(state, _parent)| state == 'T'))
}

/// Whether a process of this id can still do something.
pub(crate) fn is_alive(process: u32) -> bool {
    process_state(process).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The children of this process, zombies among them.
pub(crate) fn children() -> Vec<u32> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let processes = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(|process| stat(*process).is_some_and(|(_, parent)| parent == own)).collect()
}

/// State and parent of a process.
fn stat(process: u32) -> Option<(char, u32)> {
    state_and_parent(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn state_and_parent(stat: &str) -> Option<(char, u32)> {
    // The name, in parentheses, may have spaces and parentheses in it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Writes a file that is going to be executed.
///
/// By another process: what this one has open for writing a child has too, that another thread has
/// just forked, until it executes its program; and meanwhile the file is busy (`ETXTBSY`).
pub(crate) fn write_program(path: &Path, mode: u32, text: &str) {
    let script = r#"printf %s "$3" > "$1" && chmod "$2" "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(path).arg(format!("{mode:o}")).arg(text);
    assert!(command.status().expect("there is a shell").success());
}

/// The numbers of this process's sockets.
pub(crate) fn sockets() -> Vec<RawFd> {
    descriptors_of("socket:")
}

/// The numbers of this process's eventfds.
pub(crate) fn eventfds() -> Vec<RawFd> {
    descriptors_of("anon_inode:[eventfd]")
}

/// The descriptors of this process of one kind, which is how the names begin that the system has
/// for them.
fn descriptors_of(kind: &str) -> Vec<RawFd> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd").expect("/proc is there") {
        let path = entry.expect("it is listed").path();
        let target = fs::read_link(&path).unwrap_or_default();
        if target.to_string_lossy().starts_with(kind) {
            let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            found.push(number.expect("a number"));
        }
    }
    found
}

/// The first socket of this process, which stays open for as long as it lives.
pub(crate) fn socket() -> BorrowedFd<'static> {
    let socket = sockets()[0];
    // SAFETY: the caller says that it stays open: it is a job, and this is its worker's.
    unsafe { BorrowedFd::borrow_raw(socket) }
}

/// Sends a signal to a process, which may be gone already.
pub(crate) fn kill(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let _ = kill_process(process.expect("processes have positive ids"), signal);
}

/// Lets this process have `bytes` more of memory addresses than it has now.
pub(crate) fn limit_addresses(bytes: usize) {
    set_limit_of_addresses(Some((status("VmSize:") * 1024 + bytes) as u64));
}

/// Takes back [`limit_addresses`].
pub(crate) fn unlimit_addresses() {
    set_limit_of_addresses(getrlimit(Resource::As).maximum);
}

fn set_limit_of_addresses(current: Option<u64>) {
    let limit = Rlimit { current, ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit).expect("it is no more than the maximum");
}

/// The most bytes of memory that this process ever had resident.
pub(crate) fn memory_peak() -> usize {
    status("VmHWM:") * 1024
}

/// A number in the status of this process; of memory it is in kilobytes.
fn status(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is there");
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.expect("the status has a line with this number")
}
