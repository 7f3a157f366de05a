//! Workers that have lost their mind, or are somebody else's: what they say costs the job that they
//! have, and nothing else.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::hint::spin_loop;
use std::time::{Duration, Instant};
use std::{process, thread};

use rustix::io::Errno;
use rustix::net::SendFlags;
use support::{
    Child, LIMIT, apart, descriptors, expect_success, is_alive, memory_peak, socket, until,
    watchdog,
};
use tenter::Runtime;
use tenter::jobs::{Call, JobError, ProcessPool};

/// A limit for jobs that nobody else ends: what they sent leaves the pool waiting for the rest.
const SOON: Duration = Duration::from_millis(500);

/// What a parent may have in memory at most, whatever its workers send.
const MEMORY_MAX: usize = 128 << 20;

/// A job that no pool has.
const NO_JOB: u64 = 999_999_999;

/// Numbers of frames to the pool.
const HELLO: u8 = 0x81;
const DONE: u8 = 0x83;
const TOO_LARGE: u8 = 0x86;
const NEED_SLAB: u8 = 0x87;
const PROGRESS: u8 = 0x88;
const ITEM: u8 = 0x89;

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

/// Writes these bytes to the worker's socket.
#[tenter::job]
fn sends(bytes: &[u8], next: Next) {
    send(bytes);
    next.act();
}

/// Writes these bytes to the worker's socket again and again.
#[tenter::job]
fn floods(bytes: Vec<u8>) {
    let block = bytes.repeat(1 + 100_000 / bytes.len());
    while send(&block) {}
    Next::Spin.act();
}

/// Writes all of it to the worker's socket; tells whether somebody still reads there.
fn send(mut bytes: &[u8]) -> bool {
    let socket = socket();
    while !bytes.is_empty() {
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR | Errno::AGAIN) => thread::yield_now(),
            Err(_) => return false,
        }
    }
    true
}

/// A frame's header: kind, flags, length of the payload, job, number.
fn header(kind: u8, flags: u8, len: u32, id: u64, extra: u64) -> Vec<u8> {
    let mut bytes = vec![kind, flags, 0, 0];
    bytes.extend(len.to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(extra.to_le_bytes());
    bytes
}

/// A whole frame.
fn frame(kind: u8, flags: u8, id: u64, extra: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, flags, payload.len() as u32, id, extra);
    bytes.extend(payload);
    bytes
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

/// Runs `body` in a process of its own, on a runtime, and fails if it had more memory than is
/// decent, or has descriptors left that it had not at first.
fn bounded(body: impl Future<Output = ()> + Send) {
    apart(|| {
        let runtime = Runtime::builder().worker_threads(2).build().expect("a runtime starts");
        let before = runtime.block_on(async {
            let pool = pool();
            pool.run(id::job()).await.unwrap();
            pool.shutdown(Duration::MAX).await;
            drop(pool);
            descriptors()
        });
        runtime.block_on(async {
            body.await;
            until(|| descriptors() <= before).await;
        });
        assert!(memory_peak() < MEMORY_MAX, "{}", memory_peak());
    });
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

/// As [`is_refused`], and it was what the worker sent.
async fn is_recognised(pool: &ProcessPool, what: &str, bytes: &[u8]) {
    let error = is_refused(pool, what, sends::job(bytes, Next::Return)).await;
    assert!(matches!(error, JobError::Protocol { .. }), "{what}: {error:?}");
}

#[tenter::test]
async fn garbage_costs_one_job() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        bounded(async {
            let pool = pool();
            for seed in 0..20 {
                for len in [24, 100, 70_000, 1 << 20] {
                    let what = format!("{len} bytes of seed {seed}");
                    is_refused(&pool, &what, sends::job(&garbage(seed, len), Next::Return)).await;
                }
            }
            is_recognised(&pool, "zeros", &[0; 24]).await;
            is_recognised(&pool, "ones", &[255; 24]).await;
        });
    }));
}

#[tenter::test]
async fn a_frame_that_is_cut_short_costs_one_job() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let whole = frame(DONE, 0, NO_JOB, 0, &[0; 1000]);
    for len in [1, 23, 24, 25, 1023] {
        let what = format!("{len} bytes of a frame");
        is_refused(&pool, &what, sends::job(&whole[..len], Next::Exit)).await;
        // While the worker lives the rest may come.
        let call = sends::job(&whole[..len], Next::Spin).timeout(SOON);
        let error = pool.run(call).await.unwrap_err();
        assert!(
            matches!(error, JobError::TimedOut { .. } | JobError::Protocol { .. }),
            "{what}: {error:?}"
        );
        assert!(pool.run(id::job()).await.is_ok(), "{what}");
    }
}

#[tenter::test]
async fn a_frame_of_an_enormous_length_costs_one_job() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        bounded(async {
            let pool = pool();
            for kind in [HELLO, DONE, ITEM, PROGRESS, NEED_SLAB] {
                for len in [u32::MAX, 1 << 31, 1 << 20] {
                    let bytes = header(kind, 0, len, if kind == HELLO { 0 } else { NO_JOB }, 0);
                    is_recognised(&pool, &format!("{len} bytes of {kind:#x}"), &bytes).await;
                }
            }
            // The length of a body in the slab, that lies in another place.
            for len in [u64::MAX, 1 << 63, 1 << 40, 0, 7] {
                let bytes = frame(DONE, 1, 1, 0, &len.to_le_bytes());
                is_recognised(&pool, &format!("{len} bytes in the slab"), &bytes).await;
            }
            for len in [u64::MAX, 1 << 63, 1 << 40] {
                let bytes = header(NEED_SLAB, 0, 0, 0, len);
                is_recognised(&pool, &format!("a slab of {len} bytes"), &bytes).await;
            }
        });
    }));
}

#[tenter::test]
async fn a_frame_for_a_job_that_the_worker_does_not_have_costs_one_job() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    is_recognised(&pool, "a result", &frame(DONE, 0, NO_JOB, 0, &[0; 8])).await;
    is_recognised(&pool, "an item", &frame(ITEM, 0, NO_JOB, 0, &[0; 8])).await;
    is_recognised(&pool, "a size", &frame(TOO_LARGE, 0, NO_JOB, 5, &[])).await;
    for kind in 0..=255 {
        let bytes = frame(kind, 0, NO_JOB, 0, &[]);
        let what = format!("a frame of kind {kind:#x}");
        if kind == PROGRESS {
            // It may come late, and is worth nothing.
            let _ = pool.run(sends::job(&bytes, Next::Return)).await;
            assert!(pool.run(id::job()).await.is_ok(), "{what}");
        } else {
            is_recognised(&pool, &what, &bytes).await;
        }
    }
}

#[tenter::test]
async fn a_job_that_answers_for_itself_costs_no_job_but_its_own_workers() {
    let _watchdog = watchdog(LIMIT);
    // Whatever numbers its own have: bodies that are good, bad, and absurd.
    let absurd = [u32::MAX.to_le_bytes(), u32::MAX.to_le_bytes()].concat();
    let absurd_bulk = [0_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    let absurd_bulk = [absurd_bulk, u64::MAX.to_le_bytes().to_vec()].concat();
    let bodies = [vec![], vec![0; 8], vec![0; 9], absurd, absurd_bulk, garbage(5, 1000)];
    for number in 0..4 {
        let pool = pool();
        for (n, body) in bodies.iter().enumerate() {
            for kind in [DONE, ITEM] {
                let what = format!("{number}, body {n}, kind {kind:#x}");
                let bytes = frame(kind, 0, number, 0, body);
                let _ = pool.run(sends::job(&bytes, Next::Return).timeout(SOON)).await;
                // The worker says twice that a job is done: the job between may be taken along.
                let mut tries = 0;
                while pool.run(id::job()).await.is_err() {
                    tries += 1;
                    assert!(tries < 3, "{what}");
                }
                assert!(pool.run(id::job()).await.is_ok(), "{what}");
            }
        }
    }
}

#[tenter::test]
async fn a_flood_that_is_faster_than_its_parent_is_timed_out() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let flood = frame(PROGRESS, 0, 1, 0.5_f64.to_bits(), &[]);
    let slow = |_| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(20) {
            spin_loop();
        }
    };
    let error = pool.run(floods::job(flood).on_progress(slow).timeout(SOON)).await.unwrap_err();
    assert!(matches!(error, JobError::TimedOut { .. }), "{error:?}");
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn a_flood_does_not_drown_the_parent_or_the_other_workers() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        bounded(async {
            let pool = ProcessPool::builder().workers(2).build().unwrap();
            let floods = [
                frame(PROGRESS, 0, NO_JOB, 0.5_f64.to_bits(), &[]),
                frame(PROGRESS, 0, 1, 0.5_f64.to_bits(), &[]),
                frame(ITEM, 0, 1, 0, &[0; 60_000]),
                frame(DONE, 0, 1, 0, &[0; 60_000]),
                header(NEED_SLAB, 0, 0, 0, 1 << 20),
                garbage(9, 50_000),
            ];
            for (n, flood) in floods.into_iter().enumerate() {
                let flood = tenter::spawn(pool.run(floods::job(flood).timeout(SOON)));
                for _ in 0..50 {
                    pool.run(id::job()).await.unwrap_or_else(|error| panic!("{n}: {error}"));
                }
                flood.await.unwrap().unwrap_err();
                assert!(pool.run(id::job()).await.is_ok(), "{n}");
            }
        });
    }));
}
