//! What went wrong once: workers that are not listened to, a parent that has no more threads,
//! descriptors or readers, and pools that are left alone.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod folder;
mod support;

use std::hint::spin_loop;
use std::io::{IoSlice, Write, stderr};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{self, Stdio, exit};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use folder::Folder;
use futures_lite::future::{block_on, poll_once};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use support::{
    Child, Journal, LIMIT, STACK, apart, expect_success, is_stopped, kill, limit_addresses,
    memory_peak, note, socket, sockets, threads_named, until, wait_for_note, watchdog,
};
use tenter::jobs::{Call, JobError, ProcessPool, SpawnError};
use tenter::net::UnixListener;
use tenter::{Handle, Runtime};

/// What a parent may have in memory at most, whatever its workers send.
const MEMORY_MAX: usize = 128 << 20;

/// A limit for a worker that sends without an end, and is not found out.
const FLOOD_MAX: Duration = Duration::from_secs(10);

/// A grace that no job of these tests needs.
const LONG: Duration = Duration::from_secs(50);

/// Bytes that no frame has room for: they go through shared memory.
const BULKY: usize = 200_000;

/// Bytes that a thread is to copy that may block.
const LARGE: usize = 8 << 20;

/// Numbers of frames to the pool.
const NEED_SLAB: u8 = 0x87;
const ITEM: u8 = 0x89;

/// The number of a pool's first job.
const FIRST: u64 = 1;

#[tenter::job]
fn id() -> u32 {
    process::id()
}

#[tenter::job]
fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

#[tenter::job]
fn ones(len: usize) -> Vec<u8> {
    vec![1; len]
}

#[tenter::job]
fn prints_a_line(n: u32) -> u32 {
    writeln!(stderr(), "job {n}").expect("the pool takes it");
    n
}

#[tenter::job]
fn holds(journal: &str) -> u32 {
    note(journal, "held");
    wait_for_note(journal, "go");
    process::id()
}

/// Passes the worker's end of its socket on to who listens at `path`.
#[tenter::job]
fn passes_its_socket_on(path: &str) {
    let listener = UnixStream::connect(path).expect("somebody listens");
    let sockets = [socket()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&sockets)));
    let byte = [IoSlice::new(b"x")];
    sendmsg(&listener, &byte, &mut ancillary, SendFlags::empty()).expect("it takes it");
}

/// Writes `first` to the worker's socket and then `again`, for as long as somebody reads there.
#[tenter::job]
fn floods(first: Vec<u8>, again: Vec<u8>) {
    flood(&first, &again);
}

/// The same, of a job that may emit.
#[tenter::job(emits = u64)]
fn floods_as_items(first: Vec<u8>, again: Vec<u8>) {
    flood(&first, &again);
}

fn flood(first: &[u8], again: &[u8]) {
    let again = again.repeat(1000);
    let mut is_read = send(first);
    while is_read {
        is_read = send(&again);
    }
    loop {
        spin_loop();
    }
}

/// Writes all of it to the worker's socket; tells whether somebody still reads there.
fn send(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::net::send(socket(), bytes, SendFlags::NOSIGNAL) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR | Errno::AGAIN) => thread::yield_now(),
            Err(_) => return false,
        }
    }
    true
}

/// A frame: kind, flags, job, number, payload.
fn frame(kind: u8, flags: u8, id: u64, extra: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, flags, 0, 0];
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(extra.to_le_bytes());
    bytes.extend(payload);
    bytes
}

fn pool() -> ProcessPool {
    ProcessPool::builder().workers(1).build().expect("a pool starts")
}

fn runtime() -> Runtime {
    Runtime::builder().worker_threads(2).build().expect("a runtime starts")
}

/// Runs `call` as a pool's first job, which is told from its worker's other sins; the next runs.
async fn is_found_out<T>(what: &str, call: Call<(), T>) {
    let pool = pool();
    let error = pool.run(call.timeout(FLOOD_MAX)).await.expect_err(what);
    let JobError::Protocol { message, .. } = &error else { panic!("{what}: {error:?}") };
    assert!(!message.contains("does not run"), "{what}: {error:?}");
    assert!(pool.run(id::job()).await.is_ok(), "{what}");
}

/// Runs `body` on a runtime in a process of its own, which must not have had much memory then.
fn bounded(body: impl Future<Output = ()> + Send) {
    apart(|| {
        runtime().block_on(body);
        assert!(memory_peak() < MEMORY_MAX, "{}", memory_peak());
    });
}

#[tenter::test]
async fn items_that_nobody_takes_do_not_drown_the_parent() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        bounded(async {
            let slab = frame(NEED_SLAB, 0, 0, 8, &[]);
            let in_slab = frame(ITEM, 1, FIRST, 0, &8_u64.to_le_bytes());
            let inline = frame(ITEM, 0, FIRST, 0, &[0; 8]);
            let call = floods::job(Vec::new(), inline);
            is_found_out("items of a job that has none", call).await;
            let call = floods::job(slab.clone(), in_slab.clone());
            is_found_out("items in the slab of a job that has none", call).await;
            let call = floods_as_items::job(slab, in_slab);
            is_found_out("items in a slab that it was not given back", call).await;
        });
    }));
}

#[tenter::test]
async fn a_worker_that_never_reads_its_credit_is_found_out() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        bounded(async {
            let inline = frame(ITEM, 0, FIRST, 0, &[0; 8]);
            let call = floods_as_items::job(Vec::new(), inline);
            is_found_out("items beyond the credit", call).await;
        });
    }));
}

/// A standard error that is full, and its other end, which nobody reads.
fn stuck_stderr() -> (Stdio, UnixStream) {
    let (mut writer, reader) = UnixStream::pair().expect("there are sockets");
    writer.set_nonblocking(true).expect("it is a socket");
    for block in [4096, 1] {
        while writer.write(&vec![b'x'; block]).is_ok() {}
    }
    writer.set_nonblocking(false).expect("it is a socket");
    (OwnedFd::from(writer).into(), reader)
}

#[tenter::test]
async fn a_standard_error_that_nobody_reads_takes_one_thread_and_holds_up_no_job() {
    let _watchdog = watchdog(LIMIT);
    let (stderr, _reader) = stuck_stderr();
    let mut child = Child::new().stderr(stderr).start(|| {
        apart(|| {
            let mut builder = Runtime::builder();
            builder.worker_threads(2).max_blocking_threads(8).blocked_after(None);
            builder.build().expect("a runtime starts").block_on(async {
                let pool = ProcessPool::builder().workers(1).max_jobs(1).build().unwrap();
                for n in 1..=12 {
                    println!("ran {:?}", pool.run(prints_a_line::job(n)).await);
                }
                println!("blocking {:?}", tenter::spawn_blocking(|| 1).await);
                // Not by a return: the thread that writes is not going to end.
                exit(0);
            });
        });
    });
    for n in 1..=12 {
        assert_eq!(child.line_of("ran"), format!("Ok({n})"));
    }
    assert_eq!(child.line_of("blocking"), "Ok(1)");
    assert!(child.wait().success());
}

#[tenter::test]
async fn dropping_futures_that_wait_for_room_leaves_those_that_stay() {
    let _watchdog = watchdog(LIMIT);
    const ALL: usize = 120_000;
    const STAY: usize = 100;
    let journal = Journal::new();
    let pool = ProcessPool::builder().workers(1).max_queued(1).build().unwrap();
    let holding = tenter::spawn(pool.run(holds::job(journal.path())));
    journal.has("held").await;
    // Apart: a task would have to yield between so many.
    let (stay, dropped) = apart(|| {
        let mut runs: Vec<_> = (0..ALL).map(|_| pool.run(id::job())).collect();
        for run in &mut runs {
            assert!(block_on(poll_once(run)).is_none(), "the worker is held");
        }
        let (mut stay, mut go) = (Vec::new(), Vec::new());
        for (n, run) in runs.into_iter().enumerate() {
            if n % (ALL / STAY) == 7 { stay.push(run) } else { go.push(run) }
        }
        let dropped = go.len();
        // The last first, and some in the middle before.
        go.drain(ALL / 2..ALL / 2 + 1000);
        while go.pop().is_some() {}
        (stay, dropped)
    });
    assert_eq!((stay.len(), dropped), (STAY, ALL - STAY));
    journal.note("go");
    let worker = holding.await.unwrap().unwrap();
    for run in stay {
        assert_eq!(run.await.unwrap(), worker);
    }
    assert_eq!(pool.run(id::job()).await.unwrap(), worker);
    // The one that held the worker, those that stayed, and the last.
    assert_eq!(pool.metrics().completed(), 1 + STAY as u64 + 1);
    assert_eq!((pool.metrics().queued(), pool.metrics().running()), (0, 0));
}

#[tenter::test]
async fn large_bodies_are_copied_where_no_blocking_thread_can_be_had() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            let mut builder = Runtime::builder();
            // No thread of the blocking pool fits under the limit below.
            builder.worker_threads(2).thread_stack_size(STACK);
            builder.blocking_keep_alive(Duration::from_millis(1));
            let runtime = builder.build().expect("a runtime starts");
            runtime.block_on(async {
                let pool = pool();
                let worker = pool.run(id::job()).await.unwrap();
                until(|| threads_named("tenter-blocking") == 0).await;
                limit_addresses(STACK / 2);
                assert!(tenter::spawn_blocking(|| ()).await.is_err(), "there is a thread");
                assert_eq!(pool.run(length::job(vec![1; LARGE])).await.unwrap(), LARGE);
                assert_eq!(pool.run(ones::job(LARGE)).await.unwrap(), [1; LARGE]);
                assert_eq!(pool.run(length::job(vec![1; 8])).await.unwrap(), 8);
                assert_eq!(pool.run(id::job()).await.unwrap(), worker);
            });
        });
    }));
}

/// As a child of this process does that another thread has just forked: until it executes its
/// program it has all that this process has open, and the worker's end for a moment was that.
#[tenter::test]
async fn a_job_that_was_not_read_runs_though_somebody_holds_the_dead_workers_socket() {
    let _watchdog = watchdog(LIMIT);
    let folder = Folder::new();
    let path = folder.path("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let pool = pool();
    let worker = pool.run(id::job()).await.unwrap();
    let passed_on = pool.run(passes_its_socket_on::job(path.to_str().unwrap()));
    let (ran, accepted) = tenter::join!(passed_on, listener.accept());
    ran.unwrap();
    let (_, held) = accepted.unwrap().0.recv_with_fds(&mut [0; 8], 1).await.unwrap();
    assert_eq!(held.len(), 1);
    // What it has not read when it dies it never will.
    kill(worker, Signal::STOP);
    until(|| is_stopped(worker)).await;
    let jobs = [(); 2].map(|()| pool.try_run(id::job()).unwrap());
    kill(worker, Signal::KILL);
    for job in jobs {
        assert_ne!(job.await.unwrap(), worker);
    }
    assert_eq!((pool.metrics().deaths(), pool.metrics().retried()), (1, 0));
}

#[tenter::test]
async fn a_job_that_finds_no_descriptor_fails_alone() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            let runtime = Runtime::builder().worker_threads(1).build().expect("a runtime starts");
            let before = sockets();
            // On the runtime's one worker: the keeper has its turn when both jobs are out.
            let jobs = runtime.spawn(async move {
                for _ in 0..20 {
                    let pool = ProcessPool::builder().workers(1).send_ahead(2).build().unwrap();
                    let worker = pool.run(id::job()).await.unwrap();
                    let socket = *sockets().iter().find(|it| !before.contains(it)).unwrap();
                    let allowed = allow_descriptors(Some(3));
                    let bulky = pool.try_run(length::job(vec![1; BULKY])).unwrap();
                    let behind = pool.try_run(id::job()).unwrap();
                    // If it was sent, let there be an answer before the keeper looks.
                    for _ in 0..1000 {
                        thread::yield_now();
                        if has_something_to_read(socket) {
                            break;
                        }
                    }
                    let (error, next) = (bulky.await.unwrap_err(), behind.await);
                    allow_descriptors(allowed);
                    assert!(
                        matches!(error, JobError::Spawn(SpawnError::Io(_))),
                        "{error:?}, and behind it {next:?}"
                    );
                    assert_eq!(next.unwrap(), worker);
                    let len = pool.run(length::job(vec![1; BULKY])).await.unwrap();
                    assert_eq!((len, pool.workers()), (BULKY, vec![worker]));
                    pool.shutdown(LONG).await;
                    drop(pool);
                    until(|| sockets().len() == before.len()).await;
                }
            });
            block_on(jobs).unwrap();
        });
    }));
}

/// Sets how many descriptors this process may have, and tells how many it might.
fn allow_descriptors(current: Option<u64>) -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let after = Rlimit { current, maximum: before.maximum };
    setrlimit(Resource::Nofile, after).expect("it is no more than the maximum");
    before.current
}

fn has_something_to_read(socket: i32) -> bool {
    // SAFETY: it is a socket of a pool that is there.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    rustix::io::ioctl_fionread(socket).is_ok_and(|bytes| bytes > 0)
}

/// Runs jobs with these arguments from as many closures as may block at once.
fn run_from_every_blocking_thread<const N: usize>(lengths: [usize; N]) {
    apart(|| {
        let mut builder = Runtime::builder();
        let runtime = builder.worker_threads(2).max_blocking_threads(N).build().unwrap();
        runtime.block_on(async {
            let (pool, all) = (pool(), Arc::new(Barrier::new(N)));
            let waits = lengths.map(|len| {
                let (pool, all, handle) = (pool.clone(), all.clone(), Handle::current());
                tenter::spawn_blocking(move || {
                    all.wait();
                    handle.block_on(pool.run(length::job(vec![1; len])))
                })
            });
            for (len, wait) in lengths.into_iter().zip(waits) {
                assert_eq!(wait.await.unwrap().unwrap(), len);
            }
        });
    });
}

#[tenter::test]
async fn jobs_run_while_every_blocking_thread_waits_for_one() {
    let _watchdog = watchdog(LIMIT);
    run_from_every_blocking_thread([1, 2]);
    run_from_every_blocking_thread([BULKY]);
}

#[tenter::test]
async fn large_bodies_are_copied_while_every_blocking_thread_waits_for_a_job() {
    let _watchdog = watchdog(LIMIT);
    run_from_every_blocking_thread([LARGE, LARGE + 1]);
}
