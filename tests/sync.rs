//! The re-exported locks, channels and events, under this runtime's tasks: what the page of
//! `tenter::sync` promises of them.

mod support;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_lite::FutureExt;
use tenter::sync::channel::{self, RecvError, SendError, TryRecvError, TrySendError};
use tenter::sync::{Barrier, Event, Mutex, OnceCell, RwLock, Semaphore};

use support::{Gate, LIMIT, for_each_worker_count, runtime, within};

/// One poll that wakes nobody.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// How many are in a place, and how many were at most.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    max: AtomicUsize,
}

impl Gauge {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.max.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn max(&self) -> usize {
        self.max.load(Ordering::SeqCst)
    }
}

#[test]
fn the_types_are_those_of_the_libraries() {
    let _: async_lock::Mutex<()> = Mutex::new(());
    let _: async_lock::Semaphore = Semaphore::new(1);
    let _: (async_channel::Sender<()>, async_channel::Receiver<()>) = channel::bounded(1);
    let _: event_listener::Event = Event::new();
}

#[test]
fn what_tasks_share_is_send_sync_and_survives_a_panic() {
    fn shared<T: Send + Sync + Unpin>() {}
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    shared::<Mutex<String>>();
    shared::<RwLock<String>>();
    shared::<OnceCell<String>>();
    shared::<Semaphore>();
    shared::<Barrier>();
    shared::<Event>();
    shared::<channel::Sender<String>>();
    unwinds::<Event>();
    unwinds::<channel::Sender<String>>();
    unwinds::<channel::Receiver<String>>();
    unwinds::<Semaphore>();
}

#[test]
fn a_mutex_lets_one_task_in_at_a_time_even_across_awaits() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (total, inside) = (Arc::new(Mutex::new(0)), Arc::new(Gauge::default()));
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    let (total, inside) = (Arc::clone(&total), Arc::clone(&inside));
                    runtime.spawn(async move {
                        for _ in 0..50 {
                            let mut total = total.lock().await;
                            inside.enter();
                            let seen = *total;
                            tenter::yield_now().await;
                            *total = seen + 1;
                            inside.leave();
                        }
                    })
                })
                .collect();
            runtime.block_on(async {
                for task in tasks {
                    task.await.unwrap();
                }
                assert_eq!(*total.lock().await, 400);
            });
            assert_eq!(inside.max(), 1);
        });
    });
}

#[test]
fn a_panic_under_a_lock_poisons_nothing() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let value = Arc::new(Mutex::new(1));
        runtime.block_on(async {
            let task = tenter::spawn({
                let value = Arc::clone(&value);
                async move {
                    *value.lock().await = 2;
                    let _guard = value.lock().await;
                    panic!("under the lock");
                }
            });
            assert!(task.await.unwrap_err().is_panic());
            assert_eq!(*value.lock().await, 2);
        });
    });
}

#[test]
fn aborting_a_task_that_waits_for_a_lock_lets_the_next_one_have_it() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let lock = Arc::new(Mutex::new(()));
                let held = lock.lock().await;
                let waiters: Vec<_> = (0..3)
                    .map(|_| {
                        let lock = Arc::clone(&lock);
                        tenter::spawn(async move { drop(lock.lock().await) })
                    })
                    .collect();
                let mut waiters = waiters.into_iter();
                assert!(waiters.next().unwrap().cancel().await.is_none());
                drop(held);
                for waiter in waiters {
                    waiter.await.unwrap();
                }
            });
        });
    });
}

#[test]
fn a_notified_waiter_that_is_dropped_passes_its_turn_on() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let semaphore = Semaphore::new(1);
            let held = semaphore.acquire().await;
            let mut second = pin!(semaphore.acquire());
            {
                let mut first = pin!(semaphore.acquire());
                assert!(poll(first.as_mut()).is_pending());
                assert!(poll(second.as_mut()).is_pending());
                // Wakes the first, which is dropped before it looks.
                drop(held);
            }
            drop(second.await);
            assert_eq!(semaphore.available_permits(), 1);
        });
    });
}

#[test]
fn a_semaphore_lets_in_as_many_as_it_has_permits() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let semaphore = Arc::new(Semaphore::new(3));
                let (inside, meeting) = (Arc::new(Gauge::default()), Arc::new(Barrier::new(3)));
                let tasks: Vec<_> = (0..12)
                    .map(|_| {
                        let (semaphore, inside) = (Arc::clone(&semaphore), Arc::clone(&inside));
                        let meeting = Arc::clone(&meeting);
                        tenter::spawn(async move {
                            let _permit = semaphore.acquire().await;
                            inside.enter();
                            // Passes only if three are in here at once.
                            meeting.wait().await;
                            inside.leave();
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                assert_eq!(inside.max(), 3);
                assert_eq!(semaphore.available_permits(), 3);
            });
        });
    });
}

#[test]
fn a_barrier_has_one_leader_a_round() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let barrier = Arc::new(Barrier::new(4));
                let tasks: Vec<_> = (0..4)
                    .map(|_| {
                        let barrier = Arc::clone(&barrier);
                        tenter::spawn(async move {
                            let mut led = 0;
                            for _ in 0..20 {
                                led += u32::from(barrier.wait().await.is_leader());
                            }
                            led
                        })
                    })
                    .collect();
                let mut led = 0;
                for task in tasks {
                    led += task.await.unwrap();
                }
                assert_eq!(led, 20);
            });
        });
    });
}

#[test]
fn who_leaves_a_barrier_stays_counted_as_arrived() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let barrier = Barrier::new(2);
            {
                let mut left = pin!(barrier.wait());
                assert!(poll(left.as_mut()).is_pending());
            }
            assert!(barrier.wait().await.is_leader());
        });
    });
}

#[test]
fn a_writer_goes_before_the_readers_that_come_after_it() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let lock = RwLock::new(0);
            let reader = lock.read().await;
            assert!(lock.try_read().is_some());
            let mut writer = pin!(lock.write());
            assert!(poll(writer.as_mut()).is_pending());
            assert!(lock.try_read().is_none());
            drop(reader);
            *writer.await = 1;
            assert_eq!(*lock.read().await, 1);
        });
    });
}

#[test]
fn a_cell_is_initialised_once_and_by_the_next_task_if_the_first_fails() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let (cell, calls) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
                let tasks: Vec<_> = (0..6)
                    .map(|_| {
                        let (cell, calls) = (Arc::clone(&cell), Arc::clone(&calls));
                        tenter::spawn(async move {
                            let init = || async {
                                tenter::yield_now().await;
                                match calls.fetch_add(1, Ordering::SeqCst) {
                                    0 => Err("the first fails"),
                                    call => Ok(call),
                                }
                            };
                            cell.get_or_try_init(init).await.copied()
                        })
                    })
                    .collect();
                let mut failed = 0;
                for task in tasks {
                    match task.await.unwrap() {
                        Ok(value) => assert_eq!(value, 1),
                        Err(_) => failed += 1,
                    }
                }
                assert_eq!(failed, 1);
                assert_eq!(calls.load(Ordering::SeqCst), 2);
            });
        });
    });
}

#[test]
fn an_event_wakes_who_listens_and_keeps_nothing_for_later() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let event = Event::new();
            event.notify(1);
            let mut late = event.listen();
            assert!(poll(Pin::new(&mut late)).is_pending());
            let (mut first, mut second) = (event.listen(), event.listen());
            // Two calls of `notify(1)` ask twice that one listener be notified.
            event.notify(1);
            event.notify(1);
            late.await;
            assert!(poll(Pin::new(&mut first)).is_pending());
            event.notify_additional(1);
            event.notify_additional(1);
            assert!(poll(Pin::new(&mut first)).is_ready());
            assert!(poll(Pin::new(&mut second)).is_ready());
        });
    });
}

#[test]
fn each_message_is_received_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let (sender, receiver) = channel::bounded(3);
                let producers: Vec<_> = (0..4)
                    .map(|producer| {
                        let sender = sender.clone();
                        tenter::spawn(async move {
                            for n in 0..200 {
                                sender.send((producer, n)).await.unwrap();
                            }
                        })
                    })
                    .collect();
                let consumers: Vec<_> = (0..3)
                    .map(|_| {
                        let receiver = receiver.clone();
                        tenter::spawn(async move {
                            let mut mine = Vec::new();
                            while let Ok(message) = receiver.recv().await {
                                mine.push(message);
                            }
                            mine
                        })
                    })
                    .collect();
                drop(sender);
                for producer in producers {
                    producer.await.unwrap();
                }
                let mut all = BTreeSet::new();
                for consumer in consumers {
                    let mine = consumer.await.unwrap();
                    for producer in 0..4 {
                        let order = mine.iter().filter(|message| message.0 == producer);
                        assert!(order.is_sorted(), "{mine:?}");
                    }
                    for message in mine {
                        assert!(all.insert(message), "{message:?} came twice");
                    }
                }
                assert_eq!(all.len(), 800);
            });
        });
    });
}

#[test]
fn a_full_channel_holds_its_sender_back() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (sender, receiver) = channel::bounded(1);
            sender.send(1).await.unwrap();
            assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
            let mut waiting = pin!(sender.send(2));
            assert!(poll(waiting.as_mut()).is_pending());
            assert_eq!(receiver.recv().await, Ok(1));
            waiting.await.unwrap();
            assert_eq!(receiver.recv().await, Ok(2));
        });
    });
}

#[test]
fn what_is_in_a_closed_channel_can_still_be_received() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (sender, receiver) = channel::unbounded();
            sender.send(1).await.unwrap();
            sender.close();
            assert_eq!(sender.send(2).await, Err(SendError(2)));
            assert_eq!(receiver.recv().await, Ok(1));
            assert_eq!(receiver.recv().await, Err(RecvError));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        });
    });
}

#[test]
fn a_receive_that_is_cancelled_loses_no_message() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let (sender, receiver) = channel::unbounded();
                for n in 0..100 {
                    let taken = tenter::spawn({
                        let receiver = receiver.clone();
                        async move { receiver.recv().await.unwrap() }
                    });
                    tenter::yield_now().await;
                    sender.send(n).await.unwrap();
                    // It got the message, or left it.
                    let received = match taken.cancel().await {
                        Some(received) => received,
                        None => receiver.recv().await.unwrap(),
                    };
                    assert_eq!(received, n);
                }
            });
        });
    });
}

#[test]
fn a_send_that_is_dropped_while_it_waits_takes_its_message_with_it() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (sender, receiver) = channel::bounded(1);
            sender.send(1).await.unwrap();
            {
                let mut waiting = pin!(sender.send(2));
                assert!(poll(waiting.as_mut()).is_pending());
            }
            assert_eq!(receiver.recv().await, Ok(1));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        });
    });
}

#[test]
fn the_last_drop_of_an_empty_channels_sender_ends_who_waits_for_all() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let finished = Arc::new(AtomicUsize::new(0));
                let (done, all_done) = channel::bounded::<Infallible>(1);
                for n in 0..10 {
                    let (done, finished) = (done.clone(), Arc::clone(&finished));
                    let task = async move {
                        let _done = done;
                        tenter::yield_now().await;
                        finished.fetch_add(1, Ordering::SeqCst);
                        assert!(n != 3, "a panic drops it too");
                    };
                    // Caught here, the panic is no failure that the runtime reports.
                    tenter::spawn(AssertUnwindSafe(task).catch_unwind()).detach();
                }
                drop(done);
                assert_eq!(all_done.recv().await, Err(RecvError));
                assert_eq!(finished.load(Ordering::SeqCst), 10);
            });
        });
    });
}

#[test]
fn threads_and_tasks_use_one_channel() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let (to_task, in_task) = channel::bounded(1);
        let (to_thread, in_thread) = channel::bounded(1);
        let task = runtime.spawn(async move {
            while let Ok(n) = in_task.recv().await {
                to_thread.send(n + 1).await.unwrap();
            }
        });
        for n in 0..100 {
            to_task.send_blocking(n).unwrap();
            assert_eq!(in_thread.recv_blocking(), Ok(n + 1));
        }
        drop(to_task);
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn a_channel_joins_two_runtimes() {
    within(LIMIT, || {
        let (one, other) = (runtime(1), runtime(1));
        let (question, asked) = channel::bounded(1);
        let (answer, answered) = channel::bounded(1);
        let task = other.spawn(async move {
            while let Ok(n) = asked.recv().await {
                answer.send(2 * n).await.unwrap();
            }
        });
        one.block_on(async {
            for n in 0..100 {
                question.send(n).await.unwrap();
                assert_eq!(answered.recv().await, Ok(2 * n));
            }
        });
        drop(question);
        other.block_on(task).unwrap();
    });
}

#[test]
fn a_loop_over_a_channel_that_is_never_empty_lets_others_run_if_it_spends_budget() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let (started, stop) = (Gate::new(), Arc::new(AtomicBool::new(false)));
        let busy = runtime.spawn({
            let (started, stop) = (started.clone(), Arc::clone(&stop));
            async move {
                let (sender, receiver) = channel::unbounded();
                sender.send(()).await.unwrap();
                started.open();
                while !stop.load(Ordering::SeqCst) {
                    receiver.recv().await.unwrap();
                    sender.send(()).await.unwrap();
                    tenter::task::consume_budget().await;
                }
            }
        });
        started.wait();
        // The worker is one: this task runs when the loop yields.
        let stopper = runtime.spawn(async move { stop.store(true, Ordering::SeqCst) });
        runtime.block_on(async {
            stopper.await.unwrap();
            busy.await.unwrap();
        });
    });
}
