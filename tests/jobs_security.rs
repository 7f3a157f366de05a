//! What workers may do with what they have: descriptors, memory in common, their process group.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::hint::spin_loop;
use std::io::IoSlice;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::{fs, process, thread};

use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, recv, sendmsg,
};
use support::{
    Child, LIMIT, apart, descriptors, expect_success, is_alive, socket, sockets, until, watchdog,
};
use tenter::Runtime;
use tenter::jobs::{Call, JobError, ProcessPool};

/// A limit for jobs that nobody else ends: what they sent leaves the pool waiting for the rest.
const SOON: Duration = Duration::from_millis(500);

/// What a job does that has sent something.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Next {
    Return,
    Exit,
    Spin,
}

impl Next {
    fn act(self) {
        match self {
            Self::Return => (),
            Self::Exit => process::exit(0),
            Self::Spin => loop {
                spin_loop();
            },
        }
    }
}

#[tenter::job]
fn id() -> u32 {
    process::id()
}

#[tenter::job]
fn echoes(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// Sends descriptors along with garbage.
#[tenter::job]
fn sends_descriptors(count: usize) {
    let null = fs::File::open("/dev/null").expect("it is there");
    let all = vec![null.as_fd(); count];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&all)), "200 fit");
    // Half a header of a good frame, so that the pool waits for more of it, and reads again.
    for bytes in [[0x88, 0, 0, 0], [0; 4]] {
        let bytes = [IoSlice::new(&bytes)];
        sendmsg(socket(), &bytes, &mut ancillary, SendFlags::empty()).expect("the socket takes it");
    }
    process::exit(0);
}

#[tenter::job]
fn closes_its_socket(next: Next) {
    for socket in sockets() {
        // SAFETY: none: it is the worker's, and that is what is tried.
        unsafe { rustix::io::close(socket) };
    }
    next.act();
}

#[tenter::job]
fn shuts_its_socket_down(next: Next) {
    let _ = rustix::net::shutdown(socket(), Shutdown::Both);
    next.act();
}

#[tenter::job]
fn replaces_its_socket() -> u32 {
    let (own, _other) = UnixStream::pair().expect("there are sockets");
    for socket in sockets() {
        // SAFETY: none: it is the worker's, and that is what is tried.
        let mut socket = ManuallyDrop::new(unsafe { owned(socket) });
        rustix::io::dup2(&own, &mut socket).expect("both are open");
    }
    7
}

#[tenter::job]
fn closes_everything() {
    for descriptor in 0..1024 {
        // SAFETY: none: they are others', and that is what is tried.
        unsafe { rustix::io::close(descriptor) };
    }
}

/// Takes what the pool sends it next, so that the worker never sees it.
#[tenter::job]
fn steals_what_comes() {
    thread::spawn(|| {
        let mut bytes = [0; 1000];
        while recv(socket(), &mut bytes[..], RecvFlags::empty())
            .is_ok_and(|(received, _)| received > 0)
        {}
    });
}

/// Tries to make the memory shorter that it has in common with the pool; says how that went.
#[tenter::job]
fn shrinks_the_slab(bytes: Vec<u8>) -> Vec<String> {
    let mut tried = Vec::new();
    for folder in ["/proc/self/fd", "/proc/self/map_files"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            if !target.to_string_lossy().starts_with("/memfd:") {
                continue;
            }
            let opened = fs::OpenOptions::new().read(true).write(true).open(entry.path());
            let Ok(file) = opened else { continue };
            tried.push(format!("{:?}", rustix::fs::ftruncate(&file, 0)));
            tried.push(format!("{:?}", rustix::fs::ftruncate(&file, 1 << 40)));
        }
    }
    drop(bytes);
    tried
}

#[tenter::job]
fn kills_its_group() {
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
}

/// Leaves a thread behind that never ends.
#[tenter::job]
fn leaves_a_thread() {
    thread::spawn(|| {
        loop {
            tenter::jobs::progress(0.5);
            thread::sleep(Duration::from_micros(100));
        }
    });
}

/// # Safety
///
/// 1. Nobody else closes the descriptor.
unsafe fn owned(descriptor: RawFd) -> OwnedFd {
    // SAFETY: 1: it is the caller's.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Bytes without a meaning, the same for the same seed.
fn garbage(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn pool() -> ProcessPool {
    ProcessPool::builder().workers(1).breaker(1_000_000).build().expect("a pool starts")
}

/// Runs a job that must fail, by the worker's death or the pool's distrust; the next one runs.
async fn is_refused(pool: &ProcessPool, what: &str, call: Call<()>) -> JobError {
    let worker = pool.run(id::job()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let error = pool.run(call).await.expect_err(what);
    assert!(
        matches!(error, JobError::Protocol { .. } | JobError::Died { .. }),
        "{what}: {error:?}"
    );
    until(|| !is_alive(worker)).await;
    let next = pool.run(id::job()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_ne!(next, worker, "{what}");
    error
}

#[tenter::test]
async fn descriptors_that_a_worker_sends_do_not_stay_in_the_parent() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            let runtime = Runtime::builder().worker_threads(2).build().expect("a runtime starts");
            runtime.block_on(async {
                let pool = pool();
                pool.run(id::job()).await.unwrap();
                let before = descriptors();
                for count in [1, 10, 200] {
                    for _ in 0..5 {
                        let what = format!("{count} descriptors");
                        is_refused(&pool, &what, sends_descriptors::job(count)).await;
                    }
                }
                until(|| descriptors() <= before).await;
            });
        });
    }));
}

#[tenter::test]
async fn a_job_that_closes_its_socket_costs_itself() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    is_refused(&pool, "closed, returns", closes_its_socket::job(Next::Return)).await;
    is_refused(&pool, "closed, exits", closes_its_socket::job(Next::Exit)).await;
    is_refused(&pool, "shut down, returns", shuts_its_socket_down::job(Next::Return)).await;
    is_refused(&pool, "shut down, spins", shuts_its_socket_down::job(Next::Spin)).await;
    is_refused(&pool, "everything closed", closes_everything::job().timeout(LIMIT)).await;
    // Who closes it and spins keeps it open: the worker's watchdog waits at it.
    let error = pool.run(closes_its_socket::job(Next::Spin).timeout(SOON)).await.unwrap_err();
    assert!(!matches!(error, JobError::Panicked { .. }), "{error:?}");
    let error = pool.run(replaces_its_socket::job().timeout(SOON)).await.unwrap_err();
    assert!(!matches!(error, JobError::Panicked { .. }), "{error:?}");
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn a_worker_that_swallows_its_jobs_costs_those() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    pool.run(steals_what_comes::job()).await.unwrap();
    let mut tries = 0;
    while pool.run(id::job().timeout(SOON)).await.is_err() {
        tries += 1;
        assert!(tries < 10, "the worker was killed at the first");
    }
}

#[tenter::test]
async fn the_memory_in_common_keeps_its_size() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let bytes = garbage(3, 1 << 20);
    for _ in 0..3 {
        let tried = pool.run(shrinks_the_slab::job(bytes.clone())).await.unwrap();
        println!("{tried:?}");
        assert!(tried.iter().all(|result| result.starts_with("Err")), "{tried:?}");
        assert_eq!(pool.run(echoes::job(bytes.clone())).await.unwrap(), bytes);
    }
}

#[tenter::test]
async fn a_job_that_kills_its_group_kills_its_own() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(2).build().unwrap();
    let error = pool.run(kills_its_group::job()).await.unwrap_err();
    assert!(matches!(error, JobError::Died { signal: Some(9), .. }), "{error:?}");
    assert_eq!(pool.metrics().deaths(), 1);
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn a_thread_that_a_job_leaves_behind_is_in_nobodys_way() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    for _ in 0..3 {
        pool.run(leaves_a_thread::job()).await.unwrap();
    }
    for n in 0..200 {
        let bytes = garbage(n, 1000 * n as usize);
        assert_eq!(pool.run(echoes::job(bytes.clone())).await.unwrap(), bytes);
    }
    assert_eq!(pool.metrics().failed(), 0);
}
