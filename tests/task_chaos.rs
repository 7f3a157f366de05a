//! Everything that can be done to tasks, at random and from several threads at once: whatever
//! happens, each future and each output is dropped exactly once, and everything ends.

mod support;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use support::{Child, LIMIT, expect_success, within};
use tenter::{AbortHandle, Builder, Handle, JoinHandle, Runtime, spawn, yield_now};

/// A small generator of random numbers (xorshift), the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// How many values were made and dropped.
#[derive(Default)]
struct Ledger {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

struct Value(Arc<Ledger>);

impl Value {
    fn new(ledger: &Arc<Ledger>) -> Self {
        ledger.made.fetch_add(1, Ordering::SeqCst);
        Self(ledger.clone())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled some times, by whoever wakes it, and then ends in some way.
struct Body {
    polls_left: u64,
    kind: u64,
    value: Option<Value>,
    world: Arc<World>,
}

/// What the threads that do things share.
#[derive(Default)]
struct World {
    ledger: Arc<Ledger>,
    wakers: Mutex<Vec<Waker>>,
    handles: Mutex<Vec<JoinHandle<Value>>>,
    aborts: Mutex<Vec<AbortHandle>>,
}

/// Takes a random one out.
fn take<T>(from: &Mutex<Vec<T>>, random: &mut Random) -> Option<T> {
    let mut from = from.lock().unwrap();
    let len = from.len() as u64;
    (len > 0).then(|| from.swap_remove(random.below(len) as usize))
}

impl Future for Body {
    type Output = Value;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Value> {
        if self.polls_left > 0 {
            self.polls_left -= 1;
            match self.kind % 3 {
                0 => cx.waker().wake_by_ref(),
                1 => self.world.wakers.lock().unwrap().push(cx.waker().clone()),
                _ => {
                    cx.waker().wake_by_ref();
                    self.world.wakers.lock().unwrap().push(cx.waker().clone());
                }
            }
            return Poll::Pending;
        }
        assert!(self.kind % 7 != 0, "one of seven panics");
        Poll::Ready(self.value.take().expect("polled after it ended"))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        assert!(self.kind % 11 != 0, "one of eleven panics in its drop");
    }
}

impl World {
    fn spawn(self: &Arc<Self>, runtime: &Handle, random: &mut Random) {
        let mut body = Body {
            polls_left: random.below(4),
            kind: random.below(1000),
            value: Some(Value::new(&self.ledger)),
            world: self.clone(),
        };
        let handle = if random.below(10) == 0 {
            runtime.spawn_blocking(move || {
                let value = body.value.take().expect("it is there at first");
                drop(body);
                value
            })
        } else {
            runtime.spawn(body)
        };
        if random.below(3) == 0 {
            self.aborts.lock().unwrap().push(handle.abort_handle());
        }
        self.handles.lock().unwrap().push(handle);
    }

    /// Does one thing, whichever.
    fn act(self: &Arc<Self>, runtime: &Handle, random: &mut Random) {
        match random.below(12) {
            0..4 => self.spawn(runtime, random),
            4..7 => take(&self.wakers, random).into_iter().for_each(Waker::wake),
            7 => {
                let waker = take(&self.wakers, random);
                waker.iter().for_each(Waker::wake_by_ref);
                drop(waker.clone());
                self.wakers.lock().unwrap().extend(waker);
            }
            8 => take(&self.aborts, random).iter().for_each(AbortHandle::abort),
            9 => drop(take(&self.handles, random)),
            10 => {
                if let Some(mut handle) = take(&self.handles, random) {
                    // Leaves a waker that does nothing, or takes the output.
                    let mut cx = Context::from_waker(Waker::noop());
                    if Pin::new(&mut handle).poll(&mut cx).is_pending() {
                        self.handles.lock().unwrap().push(handle);
                    }
                }
            }
            _ => {
                if let Some(handle) = take(&self.handles, random) {
                    runtime.spawn(async move { drop(handle.cancel().await) }).detach();
                }
            }
        }
    }
}

fn quiet_runtime(workers: usize) -> Runtime {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload().downcast_ref::<&str>();
        if !text.is_some_and(|text| text.starts_with("one of")) {
            eprintln!("{panic}");
        }
    }));
    let mut builder = Builder::new();
    builder.worker_threads(workers).blocked_after(None).on_unobserved(|_| ());
    let runtime = builder.build().unwrap();
    support::watch(runtime.handle());
    runtime
}

/// Does `actions` random things on each of three threads and in three tasks, then lets go.
fn chaos(runtime: &Runtime, seed: u64, actions: usize) -> Arc<World> {
    let world: Arc<World> = Arc::default();
    let tasks = (0..3).map(|n| {
        let (world, handle) = (world.clone(), runtime.handle().clone());
        spawn_on(runtime, async move {
            let mut random = Random(seed * 1000 + 500 + n);
            for _ in 0..actions {
                world.act(&handle, &mut random);
                if random.below(8) == 0 {
                    yield_now().await;
                }
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    thread::scope(|scope| {
        for n in 0..3 {
            let (world, handle) = (world.clone(), runtime.handle());
            scope.spawn(move || {
                let mut random = Random(seed * 1000 + 1 + n);
                (0..actions).for_each(|_| world.act(handle, &mut random));
            });
        }
    });
    support::wait_until(|| tasks.iter().all(JoinHandle::is_finished));
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    world
}

fn spawn_on(
    runtime: &Runtime,
    future: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let _entered = runtime.enter();
    spawn(future)
}

/// Lets go of all that is left; the world is in a task, so it would keep itself alive.
fn let_go(world: &World) {
    drop(std::mem::take(&mut *world.handles.lock().unwrap()));
    drop(std::mem::take(&mut *world.aborts.lock().unwrap()));
    drop(std::mem::take(&mut *world.wakers.lock().unwrap()));
}

fn assert_balanced(ledger: &Ledger) {
    let made = ledger.made.load(Ordering::SeqCst);
    assert_eq!(made, ledger.dropped.load(Ordering::SeqCst));
    assert!(made > 100, "only {made} were made");
}

#[test]
fn whatever_is_done_to_tasks_each_ends_and_is_dropped_once() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            for seed in 1..=12 {
                println!("seed {seed}");
                let runtime = quiet_runtime([1, 2, 4][seed as usize % 3]);
                let world = chaos(&runtime, seed, 2000);
                // Wake what waits until nothing is left.
                support::wait_until(|| {
                    let wakers = std::mem::take(&mut *world.wakers.lock().unwrap());
                    wakers.into_iter().for_each(Waker::wake);
                    runtime.handle().tasks().is_empty()
                });
                let_go(&world);
                drop(runtime);
                assert_balanced(&world.ledger);
            }
        }));
    });
}

#[test]
fn whatever_is_done_to_tasks_a_shutdown_ends_and_drops_them_all() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            for seed in 101..=130 {
                println!("seed {seed}");
                let runtime = quiet_runtime([1, 2, 4][seed as usize % 3]);
                let world = chaos(&runtime, seed, 500);
                // Some wake and spawn while it ends.
                let handle = runtime.handle().clone();
                let meddler = thread::spawn({
                    let world = world.clone();
                    move || {
                        let mut random = Random(seed);
                        (0..500).for_each(|_| world.act(&handle, &mut random));
                    }
                });
                drop(runtime);
                meddler.join().unwrap();
                let_go(&world);
                assert_balanced(&world.ledger);
            }
        }));
    });
}
