//! What tasks share: locks, permits, channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tenter::sync::{Mutex, Semaphore, channel};
use tenter::yield_now;

use crate::ensure;
use crate::world::Ctx;

/// Tasks take a lock by turns; some are aborted, whether they have it or not.
pub(super) async fn locks(ctx: Ctx, tasks: u8, rounds: u8, aborted: u8) {
    let (shared, is_taken) = (Arc::new(Mutex::new(0_u32)), Arc::new(AtomicBool::new(false)));
    /// Says that nobody is in there any more, also if the task is dropped.
    struct Inside(Arc<AtomicBool>);
    impl Drop for Inside {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Relaxed);
        }
    }
    let helpers: Vec<_> = (0..tasks)
        .map(|number| {
            let (shared, is_taken) = (shared.clone(), is_taken.clone());
            ctx.helper("holder of a lock", async move {
                for round in 0..rounds {
                    let mut guard = shared.lock().await;
                    let was_taken = is_taken.swap(true, Ordering::Relaxed);
                    ensure!(!was_taken, "two have a lock at once");
                    let inside = Inside(is_taken.clone());
                    if (number + round) % 3 == 0 {
                        yield_now().await;
                    }
                    *guard += 1;
                    drop(inside);
                }
            })
        })
        .collect();
    helpers.iter().take(aborted.into()).for_each(|helper| helper.abort());
    let is_whole = aborted == 0;
    for helper in helpers {
        helper.join().await;
    }
    let count = *shared.lock().await;
    let all = u32::from(tasks) * u32::from(rounds);
    ensure!(count == all || !is_whole || ctx.is_ending(), "{count} rounds of {all} with a lock");
}

/// Never more have a permit than there are.
pub(super) async fn asks_permits(ctx: Ctx, tasks: u8, permits: u8, rounds: u8) {
    let semaphore = Arc::new(Semaphore::new(permits.into()));
    let inside = Arc::new(AtomicU32::new(0));
    let helpers: Vec<_> = (0..tasks)
        .map(|_| {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            ctx.helper("holder of a permit", async move {
                for _ in 0..rounds {
                    let _permit = semaphore.acquire().await;
                    let before = inside.fetch_add(1, Ordering::Relaxed);
                    ensure!(before < u32::from(permits), "{before} have a permit of {permits}");
                    // Nothing is awaited before it goes down again.
                    inside.fetch_sub(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for helper in helpers {
        helper.join().await;
    }
}

/// Every message arrives once, and those of one sender in their order.
pub(super) async fn sends(ctx: Ctx, senders: u8, messages: u8, room: u8) {
    let (sender, receiver) = channel::bounded(room.into());
    let helpers: Vec<_> = (0..senders)
        .map(|number| {
            let sender = sender.clone();
            ctx.helper("sender", async move {
                for message in 0..messages {
                    // Refused, if the one who receives was given up.
                    let _either = sender.send((number, message)).await;
                }
            })
        })
        .collect();
    drop(sender);
    let mut next = vec![0; senders.into()];
    while let Ok((number, message)) = receiver.recv().await {
        let expected = &mut next[usize::from(number)];
        ensure!(message == *expected, "message {message} in the place of {expected}");
        *expected += 1;
    }
    for helper in helpers {
        helper.join().await;
    }
    let are_all = next.iter().all(|received| *received == messages);
    ensure!(are_all || ctx.is_ending(), "of {messages} messages each there came {next:?}");
}
