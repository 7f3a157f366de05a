//! Fairness and scale of the scheduler: everybody's turn comes.

mod support;

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;

use support::{Gate, LIMIT, Pair, for_each_worker_count, within};
use tenter::task::{TaskState, consume_budget};
use tenter::{JoinHandle, Runtime, spawn, yield_now};

/// Holds the only worker until the answer is released, so that what is spawned meanwhile queues.
fn hold_worker(runtime: &Runtime) -> Pair {
    let held = Pair::new();
    let inside = held.clone();
    runtime.spawn(async move { inside.hold() }).detach();
    held.arrived.wait();
    held
}

fn wait_for<T>(tasks: &[JoinHandle<T>]) {
    support::wait_until(|| tasks.iter().all(JoinHandle::is_finished));
}

#[test]
fn two_tasks_that_yield_on_one_worker_alternate() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let noted = order.clone();
        // Spawned by a task of the worker, so that both are due on it before the first runs.
        let parent = runtime.spawn(async move {
            let tasks = [1, 2].map(|name| {
                let noted = noted.clone();
                spawn(async move {
                    for _ in 0..1000 {
                        noted.lock().unwrap().push(name);
                        yield_now().await;
                    }
                })
            });
            for task in tasks {
                task.await.unwrap();
            }
        });
        support::wait_until(|| parent.is_finished());
        let order = order.lock().unwrap();
        assert_eq!(order.len(), 2000);
        let repeats = order.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert_eq!(repeats, 0, "{repeats} times a task ran twice in a row");
    });
}

#[test]
fn a_task_that_yields_for_ever_does_not_starve_one_from_outside() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let yielding: Vec<_> = (0..3)
            .map(|_| {
                runtime.spawn(async {
                    loop {
                        yield_now().await;
                    }
                })
            })
            .collect();
        for n in 0..100 {
            let task = runtime.spawn(async move { n });
            support::wait_until(|| task.is_finished());
        }
        yielding.iter().for_each(|task: &JoinHandle<()>| task.abort());
        wait_for(&yielding);
    });
}

#[test]
fn a_task_that_wakes_itself_for_ever_does_not_starve_others() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let waking = runtime.spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        for n in 0..100 {
            let task = runtime.spawn(async move {
                yield_now().await;
                spawn(async move { n }).await.unwrap()
            });
            support::wait_until(|| task.is_finished());
        }
        waking.abort();
        support::wait_until(|| waking.is_finished());
    });
}

#[test]
fn two_tasks_that_wake_each_other_for_ever_do_not_starve_the_queue() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let stop = Arc::new(AtomicBool::new(false));
        // Both live in the slot: each wakes the other and waits.
        let (to_b, from_a) = async_channel::bounded::<()>(1);
        let (to_a, from_b) = async_channel::bounded::<()>(1);
        let stopped = stop.clone();
        let a = runtime.spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                to_b.send(()).await.unwrap();
                from_b.recv().await.unwrap();
            }
        });
        let b = runtime.spawn(async move {
            while from_a.recv().await.is_ok() {
                if to_a.send(()).await.is_err() {
                    break;
                }
            }
        });
        let ran = Gate::new();
        // In the local queue of the same worker, and in the inject queue.
        let queued = runtime.spawn({
            let ran = ran.clone();
            async move {
                for _ in 0..100 {
                    yield_now().await;
                }
                ran.open();
            }
        });
        ran.wait();
        let outside = runtime.spawn(async { 1 });
        support::wait_until(|| outside.is_finished());
        stop.store(true, Ordering::Relaxed);
        wait_for(&[a, b, queued]);
    });
}

#[test]
fn a_chain_of_tasks_that_each_spawn_the_next_does_not_starve_the_queue() {
    fn chain(stop: Arc<AtomicBool>, length: Arc<AtomicUsize>) {
        if !stop.load(Ordering::Relaxed) {
            length.fetch_add(1, Ordering::Relaxed);
            spawn(async move { chain(stop, length) }).detach();
        }
    }
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let (stop, length) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let first = (stop.clone(), length.clone());
        runtime.spawn(async move { chain(first.0, first.1) }).detach();
        support::wait_until(|| length.load(Ordering::Relaxed) > 1000);
        let queued = runtime.spawn(async {
            for _ in 0..10 {
                yield_now().await;
            }
        });
        support::wait_until(|| queued.is_finished());
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_task_that_only_awaits_what_is_ready_lets_others_run() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let stop = Arc::new(AtomicBool::new(false));
        let held = hold_worker(&runtime);
        let greedy = runtime.spawn({
            let stop = stop.clone();
            async move {
                let mut rounds = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    // Ready at once, each of them.
                    let ready = spawn(async {});
                    while !ready.is_finished() {
                        yield_now().await;
                    }
                    ready.await.unwrap();
                    rounds += 1;
                }
                rounds
            }
        });
        let other = runtime.spawn({
            let stop = stop.clone();
            async move { stop.store(true, Ordering::Relaxed) }
        });
        held.released.open();
        wait_for(&[other]);
        support::wait_until(|| greedy.is_finished());
    });
}

#[test]
fn a_join_loop_over_finished_tasks_yields_by_itself() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        // Far more than any budget, all finished, so that no await has to wait.
        let finished: Vec<_> = (0..10_000).map(|n| runtime.spawn(async move { n })).collect();
        wait_for(&finished);
        let joining = runtime.spawn(async move {
            let position = Arc::new(AtomicUsize::new(0));
            let looked_at = Arc::clone(&position);
            let other = spawn(async move { looked_at.load(Ordering::Relaxed) });
            for handle in finished {
                handle.await.unwrap();
                position.fetch_add(1, Ordering::Relaxed);
            }
            other.await.unwrap()
        });
        let position = runtime.block_on(joining).unwrap();
        assert!(position < 10_000, "the other task had to wait for all of them");
    });
}

#[test]
fn a_loop_that_consumes_its_budget_yields_by_itself() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let stop = Arc::new(AtomicBool::new(false));
        let held = hold_worker(&runtime);
        let greedy = runtime.spawn({
            let stop = stop.clone();
            async move {
                while !stop.load(Ordering::Relaxed) {
                    consume_budget().await;
                }
            }
        });
        let other = runtime.spawn(async move { stop.store(true, Ordering::Relaxed) });
        held.released.open();
        wait_for(&[greedy, other]);
    });
}

#[test]
fn thousands_of_leaves_in_one_poll_share_one_budget() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let mut left: Vec<_> = (0..2000).map(|_| Box::pin(consume_budget())).collect();
        let mut most = 0;
        let joining = runtime.spawn(poll_fn(move |cx| {
            let before = left.len();
            left.retain_mut(|leaf| leaf.as_mut().poll(cx).is_pending());
            most = most.max(before - left.len());
            if left.is_empty() { Poll::Ready(most) } else { Poll::Pending }
        }));
        assert_eq!(futures_lite::future::block_on(joining).unwrap(), 128);
    });
}

#[test]
fn consuming_the_budget_outside_a_task_does_nothing() {
    within(LIMIT, || {
        futures_lite::future::block_on(async {
            for _ in 0..10_000 {
                assert!(futures_lite::future::poll_once(consume_budget()).await.is_some());
            }
        });
    });
}

#[test]
fn a_main_future_that_only_awaits_what_is_ready_lets_tasks_run() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let stop = Arc::new(AtomicBool::new(false));
            runtime.block_on(async {
                let flag = stop.clone();
                spawn(async move { flag.store(true, Ordering::Relaxed) }).detach();
                while !stop.load(Ordering::Relaxed) {
                    consume_budget().await;
                }
            });
        });
    });
}

#[test]
fn tasks_spawned_by_one_task_run_on_all_workers() {
    within(LIMIT, || {
        for workers in [2, 4] {
            let runtime = support::runtime(workers);
            // Each holds its thread until all threads have one.
            let barrier = Arc::new(std::sync::Barrier::new(workers));
            let parent = runtime.spawn(async move {
                let children = (0..workers).map(|_| {
                    let barrier = barrier.clone();
                    spawn(async move {
                        barrier.wait();
                        thread::current().id()
                    })
                });
                let children: Vec<_> = children.collect();
                let mut threads = std::collections::HashSet::new();
                for child in children {
                    threads.insert(child.await.unwrap());
                }
                threads.len()
            });
            support::wait_until(|| parent.is_finished());
            assert_eq!(runtime.block_on(parent).unwrap(), workers);
        }
    });
}

#[test]
fn tasks_from_outside_run_on_all_workers() {
    within(LIMIT, || {
        for workers in [2, 4] {
            let runtime = support::runtime(workers);
            for _ in 0..2000 {
                let barrier = Arc::new(std::sync::Barrier::new(workers));
                let tasks = (0..workers).map(|_| {
                    let barrier = barrier.clone();
                    runtime.spawn(async move { barrier.wait().is_leader() })
                });
                wait_for(&tasks.collect::<Vec<_>>());
            }
        }
    });
}

#[test]
fn tasks_woken_together_run_on_all_workers() {
    within(LIMIT, || {
        for workers in [2, 4] {
            let runtime = support::runtime(workers);
            for _ in 0..2000 {
                let gate = Gate::new();
                let barrier = Arc::new(std::sync::Barrier::new(workers));
                let tasks = (0..workers).map(|_| {
                    let (gate, barrier) = (gate.clone(), barrier.clone());
                    runtime.spawn(async move {
                        gate.pass().await;
                        barrier.wait().is_leader()
                    })
                });
                let tasks: Vec<_> = tasks.collect();
                support::wait_until(|| gate.waiting() == workers);
                gate.open();
                wait_for(&tasks);
            }
        }
    });
}

#[test]
fn a_task_that_is_due_while_a_worker_is_held_runs_on_another() {
    within(LIMIT, || {
        let runtime = support::runtime(2);
        let held = hold_worker(&runtime);
        for n in 0..1000 {
            let task = runtime.spawn(async move {
                yield_now().await;
                n
            });
            support::wait_until(|| task.is_finished());
        }
        held.released.open();
    });
}

#[test]
fn a_million_tasks_all_run() {
    within(LIMIT, || {
        let runtime = support::runtime(2);
        let count = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..1_000_000)
            .map(|_| {
                let count = count.clone();
                runtime.spawn(async move {
                    count.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        wait_for(&tasks);
        assert_eq!(count.load(Ordering::Relaxed), 1_000_000);
        assert_eq!(runtime.handle().metrics().live_tasks(), 0);
    });
}

#[test]
fn a_million_tasks_can_wait_at_once_and_are_all_cancelled() {
    within(LIMIT, || {
        let runtime = support::runtime(2);
        let parent = runtime.spawn(async {
            for _ in 0..1_000_000 {
                spawn(pending::<()>()).detach();
            }
        });
        support::wait_until(|| parent.is_finished());
        assert_eq!(runtime.handle().metrics().live_tasks(), 1_000_000);
        let report = runtime.shutdown(std::time::Duration::MAX);
        assert_eq!((report.cancelled(), report.is_clean()), (1_000_000, true));
    });
}

#[test]
fn a_tree_of_tasks_is_joined_from_its_leaves_to_its_root() {
    fn tree(depth: u32) -> std::pin::Pin<Box<dyn Future<Output = usize> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                return 1;
            }
            let (left, right) = (spawn(tree(depth - 1)), spawn(tree(depth - 1)));
            left.await.unwrap() + right.await.unwrap()
        })
    }
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            assert_eq!(runtime.block_on(runtime.spawn(tree(13))).unwrap(), 8192);
        });
    });
}

#[test]
fn an_idle_runtime_polls_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let task = runtime.spawn(pending::<()>());
            support::wait_until(|| task.state() == TaskState::Suspended);
            let before = runtime.handle().metrics().polls();
            (0..1000).for_each(|_| thread::yield_now());
            assert_eq!(runtime.handle().metrics().polls(), before);
        });
    });
}
