//! Bugs of schedulers: tasks that others do not let run.

use std::future::{Future, ready};
use std::io::{Read, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_lite::future::block_on;
use tenter::io::{Async, AsyncReadExt, AsyncWriteExt};
use tenter::net::TcpListener;
use tenter::sync::channel;
use tenter::task::{block_in_place, consume_budget};
use tenter::time::sleep;
use tenter::{JoinHandle, Runtime, select, spawn, yield_now};

use crate::quiet;
use crate::support::{Gate, LIMIT, wait_until, within};

/// tokio #8065: programs of short tasks got slower, some by a third, when the LIFO slot could be
/// stolen from.
///
/// Each push into an empty slot woke an idle worker, to steal the very task that its worker was about
/// to run, or, if it came too late, to go back to sleep. So: two tasks that wake each other, beside
/// workers with nothing to do, and a count of the times that these fell asleep again.
///
/// Here a wake into an empty slot wakes nobody, and the monitor alone empties the slot of another
/// thread, one that is stuck (S8).
#[test]
fn tasks_that_wake_each_other_keep_no_idle_worker_from_its_sleep() {
    const ROUNDS: u64 = 100_000;
    /// Sends to the other task what comes from it.
    async fn play(from: channel::Receiver<u64>, to: channel::Sender<u64>) {
        while let Ok(round) = from.recv().await {
            if round == ROUNDS || to.send(round + 1).await.is_err() {
                break;
            }
        }
    }
    within(LIMIT, || {
        let runtime = quiet(4);
        let before = runtime.handle().metrics().parks();
        let pair = async move {
            let (to_one, one) = channel::bounded(1);
            let (to_other, other) = channel::bounded(1);
            let partner = spawn(play(other, to_one.clone()));
            to_one.send(0).await.unwrap();
            play(one, to_other).await;
            partner.await.unwrap();
        };
        // Not in `block_on`: that thread would be one more to run tasks.
        block_on(runtime.spawn(pair)).unwrap();
        let parks = runtime.handle().metrics().parks() - before;
        assert!(parks < ROUNDS / 100, "{parks} times asleep in {ROUNDS} rounds");
    });
}

/// tokio #4941, which #8065 undid the cure of: a task in the LIFO slot is out of reach.
///
/// The task woken last was in a slot that only its worker could empty. If the task that woke it went
/// on for long, or waited for it by blocking, all other workers looked on.
///
/// Here whoever is stuck loses what is in its slot to the monitor (S8). Models: models/monitor.rs
/// `a_task_behind_a_long_poll_runs_elsewhere`, `a_task_taken_from_its_worker_runs_once`.
#[test]
fn a_task_woken_by_one_that_then_blocks_runs_elsewhere() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = quiet(workers);
            let gate = Gate::new();
            let (answer, answered) = mpsc::channel();
            let woken = runtime.spawn({
                let gate = gate.clone();
                async move {
                    gate.pass().await;
                    answer.send(()).unwrap();
                }
            });
            wait_until(|| gate.waiting() == 1);
            let blocks = runtime.spawn(async move {
                gate.open();
                answered.recv().unwrap();
            });
            block_on(blocks).unwrap();
            block_on(woken).unwrap();
        }
    });
}

/// tokio #4730: one bad task can halt all executor progress for ever. Go had the like, golang
/// #10958: tight loops should be preemptible.
///
/// A worker that came out of the I/O driver with one task to run woke nobody to take its place
/// there. If that task never returned, nobody heard of sockets and timers any more, and the other
/// workers slept. So: a task that is woken by a socket and spins, and meanwhile a server, a timer,
/// and tasks from outside.
///
/// Here the monitor finds the worker stuck and sees that somebody is in the driver (S9), and if no
/// worker is left it starts a relief. Models: models/monitor.rs
/// `what_comes_during_a_long_poll_does_not_wait_for_its_end`,
/// `a_timer_of_a_worker_in_a_long_poll_fires`.
#[test]
fn a_task_that_never_returns_keeps_neither_sockets_nor_timers_from_others() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = quiet(workers);
            let listener = block_on(async {
                let _entered = runtime.enter();
                TcpListener::bind("127.0.0.1:0").await.unwrap()
            });
            let addr = listener.local_addr().unwrap();
            runtime.spawn(echo(listener)).detach();
            let (bad, spins, released) = spinning(&runtime);
            wait_until(|| spins.load(Ordering::Relaxed));

            let mut client = std::net::TcpStream::connect(addr).unwrap();
            for byte in 0..50 {
                client.write_all(&[byte]).unwrap();
                let mut answer = [0];
                client.read_exact(&mut answer).unwrap();
                assert_eq!(answer, [byte]);
            }
            let sleeps = runtime.spawn(async {
                for _ in 0..50 {
                    sleep(Duration::from_micros(100)).await;
                }
            });
            block_on(sleeps).unwrap();
            assert!(!bad.is_finished());
            released.store(true, Ordering::Relaxed);
            block_on(bad).unwrap();
        }
    });
}

async fn echo(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut byte = [0];
    while stream.read(&mut byte).await.unwrap() > 0 {
        stream.write_all(&byte).await.unwrap();
    }
}

/// A task that a socket wakes, whether it spins by now, and what ends that.
fn spinning(runtime: &Runtime) -> (JoinHandle<()>, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (socket, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let (spins, released) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let waits = Gate::new();
    let bad = runtime.spawn({
        let (spins, released, waits) = (spins.clone(), released.clone(), waits.clone());
        async move {
            let mut socket = Async::new(socket).unwrap();
            waits.open();
            socket.read_exact(&mut [0]).await.unwrap();
            spins.store(true, Ordering::Relaxed);
            while !released.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
    });
    waits.wait();
    peer.write_all(&[0]).unwrap();
    (bad, spins, released)
}

/// tokio #2542: budgeting with a conditional check against an always ready stream blocks the
/// condition.
///
/// A loop around `select!` waited for a condition, and did work that was always ready in the other
/// branch. The work spent nothing of the task's budget, so the task never yielded; the condition
/// was subject to the budget, which was used up, or was to be made true by somebody who did not get
/// to run. It looped for ever.
///
/// Here each `select!` that ends spends of the budget, whichever branch it was, and waits when it
/// is used up: then the worker runs the others and turns the driver.
#[test]
fn a_branch_that_is_always_ready_keeps_no_condition_from_coming_true() {
    within(LIMIT, || {
        let runtime = quiet(1);
        let (finished, results) = mpsc::channel();
        let body = async move {
            let timer = until(sleep(Duration::from_millis(1))).await;
            let task = until(spawn(yield_now())).await;
            let (sender, receiver) = channel::bounded(1);
            spawn(async move { sender.send(()).await.unwrap() }).detach();
            let message = until(async move { receiver.recv().await.unwrap() }).await;
            let (socket, peer) = std::os::unix::net::UnixStream::pair().unwrap();
            let (mut socket, mut peer) = (Async::new(socket).unwrap(), Async::new(peer).unwrap());
            spawn(async move { peer.write_all(&[7]).await.unwrap() }).detach();
            let byte = until(async move { socket.read_exact(&mut [0]).await.unwrap() }).await;
            finished.send([timer, task, message, byte]).unwrap();
        };
        runtime.spawn(body).detach();
        println!("turns that the other branch had: {:?}", results.recv().unwrap());
    });
}

/// Does nothing, again and again, until the condition is true; returns how often.
async fn until(condition: impl Future) -> usize {
    let (mut condition, mut turns) = (pin!(condition), 0);
    loop {
        select! {
            biased;
            _ = &mut condition => return turns,
            () = ready(()) => turns += 1,
        }
    }
}

/// tokio #7877: in `block_in_place`, deferred wakers are woken after the blocking call and not
/// before; and #6596, the same of the task in the LIFO slot.
///
/// A task had used up its budget and was put aside, to be queued when its worker is next between
/// two tasks. On that worker another task asked it something and blocked in place until the answer
/// came. The first was queued when the second was done: never.
///
/// Here a task that yields is queued at once, and who steps aside leaves nothing behind, in the
/// queue or in the slot (S11). Model: models/relief.rs
/// `what_was_behind_a_thread_that_steps_aside_runs`.
#[test]
fn a_task_that_yielded_answers_one_that_blocks_in_place_on_its_worker() {
    within(LIMIT, || {
        for workers in [1, 2] {
            let runtime = quiet(workers);
            for _ in 0..50 {
                let (ask, asked) = mpsc::channel::<mpsc::Sender<u32>>();
                let yields = Gate::new();
                let both = async move {
                    let answers = spawn({
                        let yields = yields.clone();
                        async move {
                            let answer = loop {
                                yields.open();
                                // Yields by itself whenever the budget is used up.
                                consume_budget().await;
                                if let Ok(answer) = asked.try_recv() {
                                    break answer;
                                }
                            };
                            answer.send(7).unwrap();
                        }
                    });
                    yields.pass().await;
                    let (answer, answered) = mpsc::channel();
                    let seven = block_in_place(|| {
                        ask.send(answer).unwrap();
                        answered.recv().unwrap()
                    });
                    assert_eq!(seven, 7);
                    answers.await.unwrap();
                };
                block_on(runtime.spawn(both)).unwrap();
            }
        }
    });
}

/// tokio #6996, and #7210 with `block_in_place` around it: the executor of another library and
/// `yield_now` do not work together.
///
/// A task called another executor's `block_on`, and what ran in there yielded. The yield put its
/// waker aside, for the worker to wake between two tasks; but the worker was in the middle of one,
/// which waited for that waker.
///
/// Here a yield wakes at once: nothing is put aside for later. And a budget that is used up is renewed
/// in the middle of a poll, if that goes on for as long without going back to the scheduler.
#[test]
fn what_yields_inside_another_executor_inside_a_task_goes_on() {
    async fn body() {
        for _ in 0..500 {
            yield_now().await;
            consume_budget().await;
        }
        sleep(Duration::from_micros(100)).await;
    }
    within(LIMIT, || {
        for workers in [1, 2] {
            let runtime = quiet(workers);
            let ended = Arc::new(AtomicUsize::new(0));
            let count = || {
                let ended = ended.clone();
                move || ended.fetch_add(1, Ordering::Relaxed)
            };
            let (one, other) = (count(), count());
            let plain = runtime.spawn(async move {
                block_on(body());
                one();
            });
            let aside = runtime.spawn(async move {
                block_in_place(|| block_on(body()));
                other();
            });
            block_on(plain).unwrap();
            block_on(aside).unwrap();
            assert_eq!(ended.load(Ordering::Relaxed), 2);
        }
    });
}
