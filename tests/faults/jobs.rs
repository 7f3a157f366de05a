//! Worker processes: started, spoken to, and given memory.

use libc::{
    EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ETOOMANYREFS, SYS_memfd_create, SYS_mmap,
    SYS_pidfd_open, SYS_pipe2, SYS_recvfrom, SYS_sendmsg, SYS_sendto, SYS_socketpair, SYS_wait4,
    SYS_waitid,
};
use rustix::process::Signal;
use tenter::Runtime;
use tenter::jobs::{JobError, ProcessPool, SpawnError};

use crate::injector::{Call, Fault, POLLS, inject, scenario};
use crate::support::{apart, children, descriptors, kill, until};

/// Bytes that no frame has room for: they go through shared memory.
const BULKY: usize = 200_000;
/// Bytes that are copied by a thread of their own.
const LARGE: usize = 4 << 20;

#[tenter::job]
fn double(number: u32) -> u32 {
    number * 2
}

#[tenter::job]
fn id() -> u32 {
    std::process::id()
}

#[tenter::job]
fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

fn runtime() -> Runtime {
    Runtime::builder().worker_threads(2).build().unwrap()
}

fn pool() -> ProcessPool {
    ProcessPool::builder().workers(..=1).build().unwrap()
}

/// What starting a worker needs, each refused once.
fn refused_starts() -> [(Fault, i32); 6] {
    [
        (Fault::error(&[SYS_socketpair], EMFILE), EMFILE),
        (Fault::error(&[SYS_pipe2], ENFILE), ENFILE),
        (Fault::no_process(EAGAIN), EAGAIN),
        (Fault::no_process(ENOMEM), ENOMEM),
        (Fault::error(&[SYS_pidfd_open], EMFILE), EMFILE),
        (Fault::error(&[SYS_pidfd_open], ENOMEM), ENOMEM),
    ]
}

#[tenter::test]
async fn a_job_waits_for_another_try_when_its_worker_cannot_be_started_once() {
    scenario(|| {
        apart(|| {
            let faults = inject(refused_starts().map(|(fault, _)| fault));
            for fault in faults {
                runtime().block_on(async {
                    let pool = pool();
                    fault.strike(1);
                    assert_eq!(pool.run(double::job(21)).await.unwrap(), 42);
                    assert_eq!(fault.struck(), 1);
                });
            }
        })
    });
}

#[tenter::test]
async fn a_job_for_which_no_worker_can_be_started_says_why_and_leaves_nothing() {
    scenario(|| {
        apart(|| {
            let errors = refused_starts().map(|(_, error)| error);
            let faults = inject(refused_starts().map(|(fault, _)| fault));
            for (fault, error) in faults.iter().zip(errors) {
                runtime().block_on(async {
                    let before = descriptors();
                    let pool = pool();
                    fault.strike_always();
                    match pool.run(double::job(21)).await {
                        Err(JobError::Spawn(SpawnError::Io(why))) => {
                            assert_eq!(why.raw_os_error(), Some(error));
                        }
                        other => panic!("{other:?}"),
                    }
                    fault.strike(0);
                    until(|| children().is_empty()).await;
                    until(|| descriptors() <= before).await;
                });
            }
        })
    });
}

#[tenter::test]
async fn a_job_for_whose_arguments_there_is_no_memory_fails_alone() {
    scenario(|| {
        apart(|| {
            let shared = |call: &Call| call.arg(3) & libc::MAP_SHARED as u64 != 0;
            let faults = inject([
                Fault::error(&[SYS_memfd_create], EMFILE),
                Fault::error(&[SYS_memfd_create], ENOMEM),
                Fault::error(&[SYS_mmap], ENOMEM).when(shared),
            ]);
            runtime().block_on(async {
                for fault in faults {
                    let pool = pool();
                    assert_eq!(pool.run(double::job(1)).await.unwrap(), 2);
                    fault.strike(1);
                    let refused = pool.run(length::job(vec![0; BULKY])).await.unwrap_err();
                    assert!(matches!(refused, JobError::Spawn(SpawnError::Io(_))), "{refused:?}");
                    assert_eq!(pool.run(length::job(vec![0; BULKY])).await.unwrap(), BULKY);
                }
            });
        })
    });
}

#[tenter::test]
async fn a_large_argument_is_copied_where_there_is_no_thread_for_it() {
    scenario(|| {
        apart(|| {
            let [fault] = inject([Fault::no_thread()]);
            runtime().block_on(async {
                let pool = pool();
                assert_eq!(pool.run(double::job(1)).await.unwrap(), 2);
                fault.strike_always();
                assert_eq!(pool.run(length::job(vec![0; LARGE])).await.unwrap(), LARGE);
                assert!(fault.struck() > 0);
            });
        })
    });
}

#[tenter::test]
async fn calls_to_a_worker_that_signals_interrupt_are_repeated() {
    scenario(|| {
        apart(|| {
            let [sends, receives] = inject([
                Fault::error(&[SYS_sendto, SYS_sendmsg], EINTR),
                Fault::error(&[SYS_recvfrom], EINTR),
            ]);
            runtime().block_on(async {
                let pool = pool();
                for number in 0..20 {
                    sends.strike(10);
                    receives.strike(10);
                    assert_eq!(pool.run(double::job(number)).await.unwrap(), number * 2);
                }
                assert_eq!((sends.struck(), receives.struck()), (200, 200));
            });
        })
    });
}

#[tenter::test]
async fn a_worker_whose_wait_signals_interrupt_is_killed_and_reaped() {
    scenario(|| {
        apart(|| {
            let [waits, looks, polls] = inject([
                Fault::error(&[SYS_wait4], EINTR),
                Fault::error(&[SYS_waitid], EINTR),
                Fault::error(&POLLS, EINTR),
            ]);
            let strike = || {
                waits.strike(20);
                looks.strike(20);
            };
            let runtime = runtime();
            let pool = runtime.block_on(async {
                let pool = pool();
                let worker = pool.run(id::job()).await.unwrap();
                strike();
                kill(worker, Signal::KILL);
                until(|| children().is_empty()).await;
                assert_ne!(pool.run(id::job()).await.unwrap(), worker);
                // And one that the end of the runtime finds alive.
                strike();
                polls.strike(5);
                pool
            });
            drop(runtime);
            drop(pool);
            assert_eq!((waits.struck(), looks.struck(), polls.struck()), (40, 40, 5));
            assert!(children().is_empty());
        })
    });
}

#[tenter::test]
async fn a_worker_that_cannot_be_written_to_is_replaced_and_the_job_runs_there() {
    scenario(|| {
        apart(|| {
            let errors = [ENOBUFS, ENOMEM];
            let faults =
                inject(errors.map(|error| Fault::error(&[SYS_sendto, SYS_sendmsg], error)));
            runtime().block_on(async {
                let pool = pool();
                for fault in faults {
                    let worker = pool.run(id::job()).await.unwrap();
                    fault.strike(1);
                    let other = pool.run(id::job()).await.unwrap();
                    assert_ne!(worker, other);
                    assert_eq!(fault.struck(), 1);
                }
            });
        })
    });
}

#[tenter::test]
async fn a_worker_that_cannot_be_sent_a_descriptor_is_replaced_and_the_job_runs_there() {
    scenario(|| {
        apart(|| {
            let [fault] = inject([Fault::error(&[SYS_sendmsg], ETOOMANYREFS)]);
            runtime().block_on(async {
                let pool = pool();
                // With its configuration goes its standard output, with large bodies their memory.
                fault.strike(1);
                let worker = pool.run(id::job()).await.unwrap();
                assert_eq!(fault.struck(), 1);
                fault.strike(1);
                assert_eq!(pool.run(length::job(vec![0; BULKY])).await.unwrap(), BULKY);
                assert_eq!(fault.struck(), 2);
                assert_ne!(pool.run(id::job()).await.unwrap(), worker);
            });
        })
    });
}
