//! What tasks consist of: users' code, which does what the program says, and panics.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use super::{HANDLES_MAX, World, world};
use crate::lifecycle::budget;
use crate::machine::{Join, Polled};

/// A future that does what the program says.
pub(super) struct Scripted(pub(super) usize);

impl Future for Scripted {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let (world, number) = (world(), self.0);
        world.machine.borrow().poll(number);
        let mut has_yielded = false;
        world.check();
        // Ends: each step uses a byte up.
        while !world.script.is_over() {
            match world.script.byte() % 32 {
                kind @ 0..=23 => world.act(kind, Some((number, cx))),
                24 | 25 => {
                    let wakers = &mut world.tasks.borrow_mut()[number].wakers;
                    if wakers.len() < HANDLES_MAX {
                        wakers.push(cx.waker().clone());
                        world.machine.borrow_mut().tasks[number].wakers += 1;
                    }
                }
                26 => {
                    world.machine.borrow_mut().wake_task(number);
                    cx.waker().wake_by_ref();
                }
                27 => {
                    has_yielded = true;
                    budget::yield_behind_others(cx);
                }
                28 | 29 => break,
                30 => {
                    let mut machine = world.machine.borrow_mut();
                    machine.tasks[number].polled = Polled::Ready;
                    machine.tasks[number].outputs += 1;
                    return Poll::Ready(Output(number));
                }
                _ => {
                    world.machine.borrow_mut().tasks[number].polled = Polled::Panicked;
                    panic(&world);
                }
            }
            world.check();
        }
        world.machine.borrow_mut().pend(number, has_yielded);
        Poll::Pending
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let world = world();
        world.machine.borrow_mut().drop_future(self.0);
        world.check();
        world.act_in_drop();
        if world.script.byte() == 0xff {
            world.machine.borrow_mut().tasks[self.0].has_drop_panicked = true;
            panic(&world);
        }
    }
}

/// What a task returns.
pub(super) struct Output(pub(super) usize);

impl Drop for Output {
    fn drop(&mut self) {
        let world = world();
        world.machine.borrow_mut().drop_output(self.0);
        world.check();
        let is_taken = world.machine.borrow().tasks[self.0].join == Join::Taken;
        world.act_in_drop();
        if !is_taken && world.script.byte() == 0xff {
            panic(&world);
        }
    }
}

/// A panic that no hook sees.
fn panic(world: &World) -> ! {
    world.panics.set(world.panics.get() + 1);
    resume_unwind(Box::new(Payload(Arc::clone(&world.gone))))
}

/// What a panic carries.
struct Payload(Arc<AtomicUsize>);

impl Drop for Payload {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}
