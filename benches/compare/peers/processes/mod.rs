//! The pools of worker processes, each used as its own users would: `tenter`'s from a task, the
//! others from a thread that waits.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) mod floor;
mod procspawn;
pub(crate) mod python;
mod tenter;

pub(crate) use self::floor::Floor;
pub(crate) use self::procspawn::Procspawn;
pub(crate) use self::tenter::Tenter;

/// Bytes that travel each way in the row about large jobs.
pub(crate) const MIB: usize = 1024 * 1024;
/// Jobs under way at once in the rows about throughput.
pub(crate) const IN_FLIGHT: usize = 500;
/// From the moment when a job has told that it runs to its worker's end: all are asleep by then.
const BEFORE_KILL: Duration = Duration::from_millis(1);

/// A pool of worker processes that are up, or come up with the first jobs.
pub(crate) trait Pool: Sized {
    /// `ahead` jobs may be sent to a worker that is not done yet; 0 where that is not the row.
    ///
    /// # Errors
    ///
    /// - Whatever the start of the pool reports.
    fn start(workers: usize, ahead: usize) -> io::Result<Self>;

    /// Runs jobs that do nothing, one after another, and returns the latency of each in
    /// nanoseconds.
    fn noop(&mut self, jobs: usize) -> Vec<u64>;

    /// Runs jobs that do nothing, [`IN_FLIGHT`] at once.
    fn noop_many(&mut self, jobs: usize);

    /// Runs jobs that take and return [`MIB`] bytes, one after another, and returns the latency of
    /// each in nanoseconds.
    fn echo(&mut self, jobs: usize) -> Vec<u64>;

    /// Runs jobs that [`hang`], each followed by one that does nothing. The pool must have one
    /// worker, and this process a killer.
    fn recover(&mut self, jobs: usize) -> Vec<Recovery>;
}

/// How a pool saw the end of a worker by SIGKILL.
pub(crate) struct Recovery {
    /// When its job had ended in an error.
    pub(crate) error_seen: Instant,
    /// When the job after that was done.
    pub(crate) next_done: Instant,
}

/// Starts a thread that kills the worker processes whose jobs call [`hang`], and tells when.
///
/// # Errors
///
/// - The socket's, on which workers tell that they run; a process has it only once.
pub(crate) fn start_killer() -> io::Result<mpsc::Receiver<Instant>> {
    let socket = UnixDatagram::bind_addr(&killer_address(process::id())?)?;
    let (sender, killed) = mpsc::channel();
    thread::spawn(move || {
        let mut pid = [0; 4];
        while socket.recv(&mut pid).is_ok() {
            thread::sleep(BEFORE_KILL);
            let pid = Pid::from_raw(i32::from_ne_bytes(pid)).expect("no process is number 0");
            // Before the kill, which may leave this thread no processor until all is over.
            if sender.send(Instant::now()).is_err() {
                break;
            }
            kill_process(pid, Signal::KILL).expect("a worker that hangs is there");
        }
    });
    Ok(killed)
}

/// A job that tells the process `parent`, which has [started a killer](start_killer), that it runs,
/// and then never ends.
fn hang(parent: u32) {
    let address = killer_address(parent).expect("the name is short enough");
    let socket = UnixDatagram::unbound().expect("a worker may have one more descriptor");
    socket
        .send_to_addr(&process::id().to_ne_bytes(), &address)
        .expect("the thread that kills has bound its socket");
    loop {
        thread::park();
    }
}

/// A name without a file: workers inherit no descriptor of it.
fn killer_address(parent: u32) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("tenter-compare-{parent}"))
}

/// Calls `job` so many times and returns how long each call took, in nanoseconds.
fn latencies(jobs: usize, mut job: impl FnMut()) -> Vec<u64> {
    let time = |_| {
        let start = Instant::now();
        job();
        start.elapsed().as_nanos() as u64
    };
    (0..jobs).map(time).collect()
}
