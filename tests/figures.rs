//! What operations cost, where that can be counted without a tool: allocations, context switches,
//! writes that wake a thread, threads that are woken. `.ci/figures` counts the rest.
//!
//! What a thread does is counted on that thread, so that tests may run side by side. On a machine
//! that is busy enough a task may move to another thread or a thread be late; that is rare, and a
//! cost that came with every operation would show in every attempt.

mod allocations;
mod support;

use std::fs;
use std::future::{pending, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use support::{LIMIT, within};
use tenter::net::{TcpListener, TcpStream};
use tenter::task::{JoinSet, TaskGroup, task_group};
use tenter::time::{sleep, timeout};
use tenter::{Runtime, spawn, spawn_blocking, yield_now};

/// Operations of one attempt.
const TIMES: u64 = 1000;

/// What all of them together may cost beside: queues that grow.
const BESIDE: u64 = TIMES / 20;

/// Wakes of one attempt, the spawn among them.
const WAKES: u64 = 100;

const ATTEMPTS: usize = 5;
const NEVER: Duration = Duration::from_secs(600);

/// What this thread has used for something.
struct Used {
    allocations: u64,
    /// Times that it gave up its core to wait.
    switches: u64,
    /// Calls of `write`: here, those that wake a thread in the driver.
    writes: u64,
}

impl Used {
    fn by(operate: impl FnOnce()) -> Self {
        let switches = || number("/proc/thread-self/status", "voluntary_ctxt_switches:");
        let writes = || number("/proc/thread-self/io", "syscw:");
        let before = (switches(), writes());
        // Last and first, since looking allocates.
        let allocations = allocations::made();
        operate();
        let allocations = allocations::made() - allocations;
        Self { allocations, switches: switches() - before.0, writes: writes() - before.1 }
    }
}

/// The number behind `label` in a file of procfs.
fn number(file: &str, label: &str) -> u64 {
    let text = fs::read_to_string(file).expect("procfs is mounted, and counts");
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.expect("it has the line").trim().parse().expect("a number")
}

/// The least that one of several attempts has used.
fn least(cost: impl Fn(&Used) -> u64, mut operate: impl FnMut()) -> u64 {
    operate();
    (0..ATTEMPTS).map(|_| cost(&Used::by(&mut operate))).min().expect("there are attempts")
}

/// The main future does it so many times, and each may allocate so often.
#[track_caller]
fn allocates_at_most(each: u64, operate: impl AsyncFn()) {
    let runtime = support::runtime(1);
    let allocations = least(
        |used| used.allocations,
        || {
            runtime.block_on(async {
                for _ in 0..TIMES {
                    operate().await;
                }
            });
        },
    );
    assert!(allocations <= each * TIMES + BESIDE, "{allocations} for {TIMES} times");
}

#[test]
fn a_task_is_one_allocation() {
    within(LIMIT, || {
        allocates_at_most(1, async || spawn(async {}).await.unwrap());
        allocates_at_most(1, async || {
            spawn(pending::<()>()).cancel().await;
        });
        allocates_at_most(1, async || spawn_blocking(|| ()).await.unwrap());
    });
}

#[test]
fn yields_wakes_and_timers_allocate_nothing() {
    within(LIMIT, || {
        allocates_at_most(0, yield_now);
        allocates_at_most(0, async || {
            assert!(future::poll_once(pin!(sleep(NEVER))).await.is_none());
        });
        allocates_at_most(0, async || timeout(NEVER, yield_now()).await.unwrap());
        allocates_at_most(0, async || {
            let mut is_first = true;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
        });
    });
}

#[test]
fn a_task_of_a_set_or_a_group_is_two_allocations() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let set = || {
            runtime.block_on(async {
                let mut set = JoinSet::new();
                for _ in 0..TIMES {
                    set.spawn(async {});
                    set.join_next().await.unwrap().unwrap();
                }
            });
        };
        let allocations = least(|used| used.allocations, set);
        assert!(allocations <= 2 * TIMES + BESIDE, "{allocations} for {TIMES} tasks of a set");
        let group = || {
            let group = task_group(async |group: &TaskGroup<()>| {
                for _ in 0..TIMES {
                    group.spawn(async { Ok(()) }).await.unwrap();
                }
                Ok(())
            });
            runtime.block_on(group).unwrap();
        };
        let allocations = least(|used| used.allocations, group);
        assert!(allocations <= 2 * TIMES + BESIDE, "{allocations} for {TIMES} tasks of a group");
    });
}

#[test]
fn an_echo_over_an_open_connection_allocates_nothing() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let (mut client, mut server) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (client, listener.accept().await.unwrap().0)
        });
        let allocations = least(
            |used| used.allocations,
            || {
                runtime.block_on(async {
                    let mut message = [7; 64];
                    for _ in 0..TIMES {
                        client.write_all(&message).await.unwrap();
                        server.read_exact(&mut message).await.unwrap();
                        server.write_all(&message).await.unwrap();
                        client.read_exact(&mut message).await.unwrap();
                    }
                });
            },
        );
        assert!(allocations <= BESIDE, "{allocations} for {TIMES} echoes");
    });
}

/// Round trips between the main future and a task.
fn trade(runtime: &Runtime) {
    runtime.block_on(async {
        let (request, requests) = async_channel::bounded(1);
        let (reply, replies) = async_channel::bounded(1);
        let replier = spawn(async move {
            while let Ok(request) = requests.recv().await {
                reply.send(request).await.unwrap();
            }
        });
        for index in 0..TIMES {
            request.send(index).await.unwrap();
            assert_eq!(replies.recv().await, Ok(index));
        }
        drop(request);
        replier.await.unwrap();
    });
}

#[test]
fn the_main_future_and_a_task_trade_messages_without_a_context_switch() {
    within(LIMIT, || {
        let runtime = support::runtime(2);
        let switches = least(|used| used.switches, || trade(&runtime));
        assert!(switches <= BESIDE, "{switches} for {TIMES} round trips");
    });
}

#[test]
fn the_main_future_and_a_task_trade_messages_without_waking_a_worker() {
    within(LIMIT, || {
        let runtime = support::runtime(2);
        let writes = least(|used| used.writes, || trade(&runtime));
        assert!(writes <= BESIDE, "{writes} for {TIMES} round trips");
        let wakes = || runtime.handle().metrics().wakes();
        let woken = (0..ATTEMPTS).map(|_| {
            let before = wakes();
            trade(&runtime);
            wakes() - before
        });
        let woken = woken.min().unwrap();
        assert!(woken <= BESIDE, "{woken} for {TIMES} round trips");
    });
}

#[test]
fn a_wake_of_an_idle_runtime_is_one_write_and_wakes_one_worker() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let threads = Arc::new(Mutex::new(Vec::new()));
            let list = Arc::clone(&threads);
            let mut builder = tenter::Builder::new();
            builder.worker_threads(workers).on_thread_start(move || {
                let thread = fs::read_link("/proc/thread-self").expect("procfs is mounted");
                list.lock().unwrap().push(Path::new("/proc").join(thread).join("stat"));
            });
            let runtime = builder.build().unwrap();
            support::watch(runtime.handle());
            support::wait_until(|| threads.lock().unwrap().len() == workers);
            let threads = threads.lock().unwrap().clone();
            let sleep = || support::wait_until(|| threads.iter().all(|thread| is_asleep(thread)));

            let writes = least(|used| used.writes, || wake_one_by_one(&runtime, sleep));
            assert!(writes <= WAKES + WAKES / 20, "{writes} for {WAKES} wakes");
            let totals = || {
                let metrics = runtime.handle().metrics();
                [metrics.parks(), metrics.wakes(), metrics.noop_wakes()]
            };
            let attempts = (0..ATTEMPTS).map(|_| {
                let before = totals();
                wake_one_by_one(&runtime, sleep);
                sleep();
                let after = totals();
                [0, 1, 2].map(|index| after[index] - before[index])
            });
            let least = |least: [u64; 3], other: [u64; 3]| {
                [0, 1, 2].map(|index| least[index].min(other[index]))
            };
            let [parks, wakes, noop_wakes] = attempts.reduce(least).expect("there are attempts");
            // A worker that wakes another counts that; who is woken parks again.
            assert!(parks <= WAKES + WAKES / 20, "{parks} parks for {WAKES} wakes");
            assert!(wakes <= WAKES / 20, "{wakes} for {WAKES} wakes");
            assert!(noop_wakes <= WAKES / 20, "{noop_wakes} for {WAKES} wakes");
        }
    });
}

/// Wakes a task from outside, with every thread asleep before.
fn wake_one_by_one(runtime: &Runtime, sleep: impl Fn()) {
    let polls = Arc::new(AtomicU64::new(0));
    let sleeper = Arc::new(Mutex::new(None));
    let (counter, place) = (Arc::clone(&polls), Arc::clone(&sleeper));
    let task = runtime.spawn(poll_fn(move |cx| {
        *place.lock().unwrap() = Some(cx.waker().clone());
        let is_last = counter.fetch_add(1, Ordering::Relaxed) == WAKES - 1;
        if is_last { Poll::Ready(()) } else { Poll::Pending }
    }));
    for woken in 1..WAKES {
        support::wait_until(|| polls.load(Ordering::Relaxed) == woken);
        sleep();
        let waker: Waker = sleeper.lock().unwrap().take().unwrap();
        waker.wake();
    }
    support::wait_until(|| task.is_finished());
}

fn is_asleep(thread: &Path) -> bool {
    let stat = fs::read_to_string(thread).expect("the thread lives");
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S"))
}
