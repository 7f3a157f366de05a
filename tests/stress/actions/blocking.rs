//! What blocks its thread: in a poll, in place, on the blocking pool.

use std::future::poll_fn;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;

use crate::ledger::End;
use crate::outside::Delay;
use crate::plan::{Action, Fate, Step};
use crate::world::{Ctx, Joiner};

use super::{perform, spawning};

/// Blocks the thread until a thread outside says so.
fn wait_at_gate(ctx: &Ctx, delay: Delay) {
    let (opener, gate) = mpsc::channel::<()>();
    ctx.world.once_outside(delay, move || drop(opener));
    // That the sender is gone is the signal.
    let _is_open = gate.recv();
}

pub(super) async fn blocks(ctx: Ctx, delay: Delay) {
    poll_fn(|_| {
        wait_at_gate(&ctx, delay);
        Poll::Ready(())
    })
    .await;
}

/// A relief worker has to run the other task, or there is none to run it.
pub(super) async fn blocks_for_task(ctx: Ctx) {
    let (opener, gate) = mpsc::channel::<()>();
    let helper = ctx.helper("opener of a gate", async move {
        tenter::yield_now().await;
        drop(opener);
    });
    poll_fn(move |_| {
        let _is_open = gate.recv();
        Poll::Ready(())
    })
    .await;
    helper.join().await;
}

pub(super) async fn in_place(ctx: Ctx, steps: Vec<Step>) {
    tenter::block_in_place(|| run(&ctx, steps));
}

pub(super) async fn spawns_closure(ctx: Ctx, steps: Vec<Step>, end: End, fate: Fate) {
    let inner = ctx.alone();
    let (errand, record) = ctx.world.errand(end, move || run(&inner, steps));
    let handle = tenter::spawn_blocking(move || errand.call());
    let joiner = Joiner::new(&ctx.world, record, handle);
    spawning::let_go(ctx, joiner, fate).await;
}

/// The steps of a closure.
pub(super) fn run(ctx: &Ctx, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Spin(count) => (0..count).for_each(|_| std::hint::spin_loop()),
            Step::Gate(delay) => wait_at_gate(ctx, delay),
            Step::Nap(time) => thread::sleep(time),
            Step::BlockOn(action) => block_on(ctx, *action),
        }
    }
}

fn block_on(ctx: &Ctx, action: Action) {
    let future = perform(ctx.clone(), action);
    let _unless_it_ends = ctx.world.block_on(future);
}
