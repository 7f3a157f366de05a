//! A program, run: its runtime started, its parts carried out, its end looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tenter::{Builder, Runtime};

use crate::ledger::{Ledger, planned};
use crate::leftovers::{Before, wait_until};
use crate::plan::{Ending, Program, Seed, Settings, Way};
use crate::world::{Ctx, World};
use crate::{actions, ensure, verdict};

/// What programs did, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) programs: u64,
    pub(crate) tasks: u64,
    pub(crate) polls: u64,
    pub(crate) bytes: u64,
    /// What the slowest one took, and its seed.
    pub(crate) slowest: (Duration, u64),
}

/// Threads of a runtime, as its hooks count them.
#[derive(Debug, Default)]
struct Threads {
    started: AtomicUsize,
    stopped: AtomicUsize,
}

/// Runs the program of this seed; whatever is wrong ends the process.
pub(crate) fn run(seed: Seed, sums: &mut Sums) {
    let program = Program::random(seed);
    let start = Instant::now();
    let before = Before::now();
    let (ledger, threads) = (Arc::new(Ledger::default()), Arc::new(Threads::default()));
    let runtime = build(&program.settings, &ledger, &threads);
    let world = World::new(runtime, ledger);
    verdict::begin(seed, &world);
    let ending = program.ending;
    carry_out(&world, program);
    let was_cut = end(&world, ending);

    verdict::set_step("waiting for side threads");
    world.join_threads();
    before.wait_for_threads(world.has_children.load(Ordering::Relaxed));
    verdict::set_step("waiting for orders outside");
    // Nobody is left to give any.
    wait_until(|| world.orders() == 0);
    world.join_threads();
    check(&world, &threads, was_cut);

    sums.slowest = sums.slowest.max((start.elapsed(), seed.number));
    let (polls, tasks) = world.ledger.sums();
    sums.programs += 1;
    sums.tasks += tasks;
    sums.polls += polls;
    sums.bytes += world.bytes.load(Ordering::Relaxed);
    verdict::set_step("waiting for whatever holds the program's world");
    wait_until(|| Arc::strong_count(&world) == 1);
    // A handle keeps the driver's descriptors.
    drop(world);
    before.wait_for_descriptors();
    verdict::end();
}

/// Starts what runs at the same time, and does the main thread's part.
fn carry_out(world: &Arc<World>, program: Program) {
    for task in program.background {
        let (probe, _record) = Ctx::new(world).task(task);
        world.handle.spawn(probe).detach();
    }
    for side in program.sides {
        let ctx = Ctx::new(world);
        world.thread(move || {
            let future = actions::perform(ctx.clone(), side);
            let _unless_it_ends = ctx.world.block_on(future);
        });
    }
    end_from_within(world, program.ending);
    verdict::set_step("in block_on of the main thread");
    let main = actions::perform(Ctx::new(world), program.main);
    let _unless_it_ends = world.block_on(async {
        main.await;
        if let Ending::InMain = program.ending {
            drop_runtime(world);
        }
    });
}

fn build(settings: &Settings, ledger: &Arc<Ledger>, threads: &Arc<Threads>) -> Runtime {
    let mut builder = Builder::new();
    let (started, stopped, ledger) = (threads.clone(), threads.clone(), ledger.clone());
    builder
        .worker_threads(settings.workers)
        .max_blocking_threads(settings.blocking_threads)
        .blocking_keep_alive(settings.keep_alive)
        .blocked_after(None)
        .on_thread_start(move || bump(&started.started))
        .on_thread_stop(move || bump(&stopped.stopped))
        .on_unobserved(move |failure| {
            let message = failure.message();
            ensure!(planned(message).is_some(), "a failure that was not planned: {failure}");
            ledger.failure_seen(message);
        });
    if let Some(bytes) = settings.stack_bytes {
        builder.thread_stack_size(bytes);
    }
    match builder.build() {
        Ok(runtime) => runtime,
        Err(error) => verdict::violation(format_args!("no runtime: {error:?}")),
    }
}

fn bump(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn drop_runtime(world: &World) {
    world.set_ending();
    let runtime = world.runtime.lock().unwrap().take();
    drop(runtime);
}

/// Has the runtime ended by somebody while the main thread is busy, if the plan says so.
fn end_from_within(world: &Arc<World>, ending: Ending) {
    let inner = world.clone();
    match ending {
        Ending::Peaceful(_) | Ending::Cut(_) | Ending::InMain => {}
        Ending::InTask(delay) => {
            let task = async move {
                tenter::yield_now().await;
                delay.pass();
                drop_runtime(&inner);
            };
            world.handle.spawn(task).detach();
        }
        Ending::InClosure(delay) => {
            let closure = move || {
                delay.pass();
                drop_runtime(&inner);
            };
            world.handle.spawn_blocking(closure).detach();
        }
        Ending::Outside(delay) => {
            // A thread of its own: it may have to wait for what only those outside can end.
            world.thread(move || {
                delay.pass();
                drop_runtime(&inner);
            });
        }
    }
}

/// Ends the runtime, unless somebody else does; tells whether that was in the middle of something.
fn end(world: &Arc<World>, ending: Ending) -> bool {
    match ending {
        Ending::Peaceful(way) => {
            verdict::set_step("waiting for everything to be done");
            world.join_threads();
            wait_until(|| world.orders() == 0 && world.handle.tasks().is_empty());
            world.join_threads();
            let records = world.ledger.all();
            records.iter().for_each(|record| ensure!(record.is_dropped(), "{record} is left"));
            end_by(world, way, true);
            false
        }
        Ending::Cut(way) => {
            world.set_ending();
            end_by(world, way, false);
            true
        }
        Ending::InTask(_) | Ending::InClosure(_) | Ending::Outside(_) | Ending::InMain => {
            verdict::set_step("waiting for somebody to end the runtime");
            wait_until(|| world.runtime.lock().unwrap().is_none());
            true
        }
    }
}

fn end_by(world: &World, way: Way, is_peaceful: bool) {
    verdict::set_step("ending the runtime");
    let Some(runtime) = world.runtime.lock().unwrap().take() else { return };
    match way {
        Way::Drop => drop(runtime),
        Way::Background => runtime.shutdown_background(),
        Way::Shutdown(grace) => {
            let report = runtime.shutdown(grace);
            let has_time = grace > Duration::from_secs(1);
            ensure!(report.is_clean() || !has_time, "a shutdown is not clean: {report}");
            let cancelled = report.cancelled();
            ensure!(
                !is_peaceful || cancelled == 0,
                "nothing was to do, and it was cancelled: {report}"
            );
            let are_running = report.running().is_empty() || !is_peaceful;
            ensure!(are_running, "nothing was to do, and it still is: {report}");
        }
    }
}

/// What must hold when nothing of a program is left but its books.
fn check(world: &Arc<World>, threads: &Threads, was_cut: bool) {
    verdict::set_step("looking at the books");
    let handle = &world.handle;
    let refused = handle.spawn(async {});
    ensure!(refused.is_finished(), "a runtime that has ended takes tasks");
    drop(refused);
    actions::release_kept(world);
    let metrics = handle.metrics();
    let left = (metrics.live_tasks(), metrics.queued_tasks(), handle.tasks().len());
    ensure!(left == (0, 0, 0), "tasks are left, {left:?}: {metrics:?}");
    let blocking = (metrics.blocking_threads(), metrics.blocking_queued());
    ensure!(blocking == (0, 0), "closures are left, {blocking:?}: {metrics:?}");
    ensure!(metrics.relief_workers() == 0, "relief workers are left: {metrics:?}");
    let (polls, _) = world.ledger.sums();
    ensure!(metrics.polls() >= polls, "{polls} polls of tasks: {metrics:?}");
    let started = threads.started.load(Ordering::Relaxed);
    let stopped = threads.stopped.load(Ordering::Relaxed);
    ensure!(started == stopped, "{started} threads started, {stopped} stopped");
    ensure!(started >= metrics.workers(), "{started} threads for {metrics:?}");
    world.ledger.check_end(was_cut);
}
