//! Very many wakes, from threads that are none of the runtime's: each is followed by a poll.

mod support;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use support::{Gate, LIMIT, for_each_worker_count, within};
use tenter::{JoinHandle, Runtime};

const WAKES: u64 = 1_000_000;

/// What a waking thread writes and the woken task reads.
#[derive(Default)]
struct Mailbox {
    sent: AtomicU64,
    seen: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Mailbox {
    /// Reads the mailbox at every poll, and ends when it has seen `last`.
    async fn read_until(self: Arc<Self>, last: u64) {
        poll_fn(|cx| {
            let mut waker = self.waker.lock().unwrap();
            if waker.is_none() {
                *waker = Some(cx.waker().clone());
            }
            drop(waker);
            // Relaxed: it is the wake that must make the value visible to the poll after it.
            let seen = self.sent.load(Ordering::Relaxed);
            self.seen.store(seen, Ordering::Relaxed);
            if seen == last { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn waker(&self) -> Waker {
        support::wait_until(|| self.waker.lock().unwrap().is_some());
        self.waker.lock().unwrap().clone().unwrap()
    }

    /// Sends `last` values, one wake each, and every `pace` of them waits for its poll.
    fn send_all(&self, last: u64, pace: u64) {
        let waker = self.waker();
        for n in 1..=last {
            self.sent.store(n, Ordering::Relaxed);
            if n % 2 == 0 {
                waker.wake_by_ref();
            } else {
                let copy = waker.clone();
                copy.wake();
            }
            if n % pace == 0 {
                support::wait_until(|| self.seen.load(Ordering::Relaxed) >= n);
            }
        }
    }
}

#[test]
fn a_million_wakes_from_a_foreign_thread_are_each_followed_by_a_poll() {
    within(LIMIT, || {
        let runtime = support::runtime(2);
        let mailbox: Arc<Mailbox> = Arc::default();
        let task = runtime.spawn(mailbox.clone().read_until(WAKES));
        // Some waits for its poll at each 100th, some at none: with and without a sleeper.
        thread::spawn(move || mailbox.send_all(WAKES, 100)).join().unwrap();
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn each_of_many_wakes_of_an_idle_runtime_is_followed_by_a_poll() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let mailbox: Arc<Mailbox> = Arc::default();
            let task = runtime.spawn(mailbox.clone().read_until(20_000));
            thread::spawn(move || mailbox.send_all(20_000, 1)).join().unwrap();
            runtime.block_on(task).unwrap();
        });
    });
}

#[test]
fn wakes_of_the_main_future_from_a_foreign_thread_are_each_followed_by_a_poll() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            for pace in [1, 100] {
                let mailbox: Arc<Mailbox> = Arc::default();
                let sender = mailbox.clone();
                let thread = thread::spawn(move || sender.send_all(10_000 * pace, pace));
                runtime.block_on(mailbox.read_until(10_000 * pace));
                thread.join().unwrap();
            }
        });
    });
}

#[test]
fn wakes_from_many_threads_at_once_lose_nothing() {
    const THREADS: usize = 4;
    const EACH: usize = 50_000;
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (sent, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
            let task = runtime.spawn({
                let (sent, seen, waker) = (sent.clone(), seen.clone(), waker.clone());
                poll_fn(move |cx| {
                    waker.lock().unwrap().get_or_insert_with(|| cx.waker().clone());
                    seen.store(sent.load(Ordering::Relaxed), Ordering::Relaxed);
                    let all = seen.load(Ordering::Relaxed) == THREADS * EACH;
                    if all { Poll::Ready(()) } else { Poll::Pending }
                })
            });
            support::wait_until(|| waker.lock().unwrap().is_some());
            let waker = waker.lock().unwrap().clone().unwrap();
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        for n in 0..EACH {
                            let sent = sent.fetch_add(1, Ordering::Relaxed) + 1;
                            waker.wake_by_ref();
                            if n % 1000 == 0 {
                                support::wait_until(|| seen.load(Ordering::Relaxed) >= sent);
                            }
                        }
                    });
                }
            });
            runtime.block_on(task).unwrap();
        });
    });
}

#[test]
fn a_waker_that_is_woken_after_the_end_does_nothing_a_million_times() {
    within(LIMIT, || {
        let runtime = support::runtime(2);
        let mailbox: Arc<Mailbox> = Arc::default();
        let task = runtime.spawn(mailbox.clone().read_until(0));
        runtime.block_on(task).unwrap();
        let waker = mailbox.waker();
        let polls = runtime.handle().metrics().polls();
        (0..WAKES).for_each(|_| waker.wake_by_ref());
        assert_eq!(runtime.handle().metrics().polls(), polls);
    });
}

#[test]
fn each_spawn_from_a_foreign_thread_onto_an_idle_runtime_runs() {
    fn spawn_and_wait(runtime: &Runtime, n: u32) {
        let task = runtime.spawn(async move { n });
        support::wait_until(|| task.is_finished());
        let output = futures_lite::future::block_on(task);
        assert_eq!(output.unwrap(), n);
    }
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| (0..5000).for_each(|n| spawn_and_wait(&runtime, n)));
                }
            });
        });
    });
}

#[test]
fn messages_through_a_ring_of_tasks_across_two_runtimes_all_arrive() {
    const TASKS: usize = 16;
    const ROUNDS: usize = 2000;
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let other = support::runtime(2);
            let channels: Vec<_> = (0..TASKS).map(|_| async_channel::bounded(1)).collect();
            let tasks = (0..TASKS).map(|n| {
                let own = channels[n].1.clone();
                let next = channels[(n + 1) % TASKS].0.clone();
                let home = if n % 2 == 0 { &runtime } else { &other };
                home.spawn(async move {
                    for round in 0..ROUNDS {
                        let token: usize = own.recv().await.unwrap();
                        assert_eq!(token, round * TASKS + n);
                        // The last of all is for nobody.
                        let _either = next.send(token + 1).await;
                    }
                })
            });
            let tasks: Vec<JoinHandle<()>> = tasks.collect();
            channels[0].0.try_send(0).unwrap();
            runtime.block_on(async {
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
    });
}

#[test]
fn aborts_wakes_and_joins_from_many_threads_at_once_end_every_task() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            for _ in 0..200 {
                let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
                let (go, stop) = (Gate::new(), Arc::new(AtomicBool::new(false)));
                let tasks = (0..8).map(|_| {
                    let (wakers, stop) = (wakers.clone(), stop.clone());
                    let mut polls = 0;
                    runtime.spawn(poll_fn(move |cx| {
                        polls += 1;
                        if polls == 1 {
                            wakers.lock().unwrap().push(cx.waker().clone());
                        }
                        if stop.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
                    }))
                });
                let tasks: Vec<_> = tasks.collect();
                support::wait_until(|| wakers.lock().unwrap().len() == 8);
                thread::scope(|scope| {
                    let wakers = wakers.lock().unwrap().clone();
                    let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
                    let (go, stop) = (&go, &stop);
                    scope.spawn(move || {
                        go.wait();
                        wakers.iter().for_each(Waker::wake_by_ref);
                        stop.store(true, Ordering::Relaxed);
                        wakers.into_iter().for_each(Waker::wake);
                    });
                    scope.spawn(move || {
                        go.wait();
                        aborts.iter().step_by(2).for_each(tenter::AbortHandle::abort);
                    });
                    go.open();
                    for task in tasks {
                        if let Err(error) = runtime.block_on(task) {
                            assert!(error.is_cancelled());
                        }
                    }
                });
            }
        });
    });
}
