//! By hand: a process a worker, a socketpair to each, threads that wait in `read`, and messages of
//! 64 bytes that mean nothing. One MiB goes through memory that both have mapped, by one copy into
//! it and one out of it each way.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::process::{self, Child, Stdio};
use std::thread;
use std::time::Instant;

use rustix::fs::{MemfdFlags, memfd_create};

use super::{MIB, Pool, Recovery, hang, latencies};
use crate::args::Command;
use crate::shared::Shared;

/// Bytes of a message, of which the first says what it is.
const MESSAGE: usize = 64;
/// Messages to one worker at once, at most.
const WINDOW_MAX: usize = 32;
const NOOP: u8 = 0;
const ECHO: u8 = 1;
const HANG: u8 = 2;

pub(crate) struct Floor {
    workers: Vec<Worker>,
    /// Messages to one worker at once.
    window: usize,
}

impl Pool for Floor {
    fn start(workers: usize, ahead: usize) -> io::Result<Floor> {
        let workers = (0..workers).map(|_| Worker::start()).collect::<io::Result<_>>()?;
        Ok(Floor { workers, window: ahead + 1 })
    }

    fn noop(&mut self, jobs: usize) -> Vec<u64> {
        let worker = &mut self.workers[0];
        latencies(jobs, || worker.round_trip(1).expect("the worker answers"))
    }

    fn noop_many(&mut self, jobs: usize) {
        let window = self.window;
        let round_trips = jobs.div_ceil(self.workers.len() * window);
        thread::scope(|scope| {
            for worker in &mut self.workers {
                scope.spawn(move || {
                    for _ in 0..round_trips {
                        worker.round_trip(window).expect("the worker answers");
                    }
                });
            }
        });
    }

    fn echo(&mut self, jobs: usize) -> Vec<u64> {
        let worker = &mut self.workers[0];
        let mut bytes = vec![7; MIB];
        let latencies = latencies(jobs, || worker.echo(&mut bytes).expect("the worker answers"));
        assert!(bytes.iter().all(|&byte| byte == 7));
        latencies
    }

    fn recover(&mut self, jobs: usize) -> Vec<Recovery> {
        let worker = &mut self.workers[0];
        let recover = |_| {
            worker.die().expect("it ends, by the killer");
            let error_seen = Instant::now();
            *worker = Worker::start().expect("a process can be started");
            worker.round_trip(1).expect("the worker answers");
            Recovery { error_seen, next_done: Instant::now() }
        };
        (0..jobs).map(recover).collect()
    }
}

/// A process that answers, killed with its handle.
struct Worker {
    process: Child,
    socket: UnixStream,
    /// [`MIB`] bytes of memory that the process has too.
    shared: Shared,
}

impl Worker {
    fn start() -> io::Result<Worker> {
        let (socket, its_socket) = UnixStream::pair()?;
        let file = File::from(memfd_create("tenter-compare", MemfdFlags::CLOEXEC)?);
        let shared = Shared::new(&file, MIB)?;
        let process = process::Command::new("/proc/self/exe")
            .args(Command::Answer.args())
            .stdin(Stdio::from(OwnedFd::from(its_socket)))
            .stdout(Stdio::from(file))
            .spawn()?;
        Ok(Worker { process, socket, shared })
    }

    /// Sends so many messages at once, and waits for the answers.
    fn round_trip(&mut self, messages: usize) -> io::Result<()> {
        self.trade(&mut [NOOP; MESSAGE * WINDOW_MAX][..MESSAGE * messages])
    }

    fn echo(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.shared.write(bytes);
        self.trade(&mut [ECHO; MESSAGE])?;
        self.shared.read(bytes);
        Ok(())
    }

    /// Waits for the end of the process, which comes from elsewhere.
    fn die(&mut self) -> io::Result<()> {
        self.socket.write_all(&[HANG; MESSAGE])?;
        assert_eq!(self.socket.read(&mut [0])?, 0, "it does not answer");
        Ok(())
    }

    fn trade(&mut self, messages: &mut [u8]) -> io::Result<()> {
        self.socket.write_all(messages)?;
        self.socket.read_exact(messages)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both do nothing, or fail, if it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is a worker: answers on standard input, a socket, until that ends. Standard output is the
/// file of the memory that is shared.
///
/// # Errors
///
/// - Whatever the socket or the file reports.
pub(crate) fn answer() -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut shared = Shared::new(&file, MIB)?;
    let mut bytes = vec![0; MIB];
    let mut messages = [0; MESSAGE * WINDOW_MAX];
    loop {
        let count = socket.read(&mut messages)?;
        match messages[0] {
            _ if count == 0 => return Ok(()),
            ECHO => {
                shared.read(&mut bytes);
                // The compiler would see that the memory has these bytes already.
                shared.write(black_box(&bytes));
            }
            HANG => hang(parent_id()),
            _ => {}
        }
        socket.write_all(&messages[..count])?;
    }
}
