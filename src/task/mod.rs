//! Tasks: one, and many that belong together.
//!
//! A task is a future that the runtime runs by itself, on whichever worker is free. [`spawn`]
//! starts one and [`JoinHandle`] waits for it. Everything else here is about who waits for many,
//! who stops them, and who hears of what went wrong.
//!
//! ```
//! use std::io;
//! use std::time::Duration;
//! use tenter::{CancelToken, task_group};
//! use tenter::time::sleep;
//!
//! async fn fetch(page: u32) -> io::Result<String> {
//!     // ..
//!     # Ok(format!("page {page}"))
//! }
//!
//! async fn show_progress(stop: CancelToken) -> io::Result<u32> {
//!     let mut ticks = 0;
//!     while stop.run_until(sleep(Duration::from_millis(100))).await.is_some() {
//!         ticks += 1;
//!     }
//!     Ok(ticks) // It was asked to stop, and has an answer.
//! }
//!
//! # tenter::run(async {
//! let pages = task_group(async |group| {
//!     group.cancel_after(Duration::from_secs(60));
//!     let stop = CancelToken::new();
//!     drop(group.spawn(show_progress(stop.clone())));
//!     let pages = [1, 2].map(|page| group.spawn(fetch(page))); // They run already.
//!     let mut texts = Vec::new();
//!     for page in pages {
//!         texts.push(page.await?); // A failure of any task has ended this body.
//!     }
//!     stop.cancel();
//!     Ok(texts)
//! })
//! .await?; // Nothing of it runs any more.
//! assert_eq!(pages, ["page 1", "page 2"]);
//! # Ok::<_, tenter::task::GroupError<io::Error>>(())
//! # }).unwrap().unwrap();
//! ```
//!
//! # The names elsewhere
//!
//! | asyncio | trio | tokio | here |
//! |---|---|---|---|
//! | `create_task(c)` | (in a nursery only) | `spawn` | [`spawn`], [`Builder::spawn`] with a name |
//! | `task.cancel()` | a cancel scope of its own | `abort()` | [`JoinHandle::abort`]; [`JoinHandle::cancel`] waits too |
//! | `TaskGroup` | `open_nursery()` | (none) | [`task_group()`] |
//! | `gather(.., return_exceptions=True)` | (a nursery) | (`futures::join_all` of handles) | [`gather()`] |
//! | `gather(..)` | (a nursery) | (`try_join_all` of handles) | [`try_gather`] |
//! | `as_completed(..)` | (a nursery and a channel) | `JoinSet` | [`as_completed()`] |
//! | `wait(.., FIRST_COMPLETED)` | (a nursery and a channel) | `JoinSet::join_next` | [`JoinSet::join_next`] |
//! | `shield(..)` | `CancelScope(shield=True)` | `spawn(..).await` | [`shield()`] |
//! | `timeout(d)`, `wait_for` | `move_on_after`, `fail_after` | `time::timeout` | [`time::timeout`], [`TaskGroup::cancel_after`] |
//! | an `Event` | an `Event` | `CancellationToken` | [`CancelToken`] |
//! | (none) | (none) | `select!`, `join!`, `try_join!` | [`select!`], [`join!`], [`try_join!`] |
//! | `to_thread` | `to_thread.run_sync` | `spawn_blocking` | [`spawn_blocking`] |
//! | (none) | (none) | `block_in_place` | [`block_in_place()`] |
//! | `ContextVar` | `ContextVar` | `task_local!` | [`task_local!`](crate::task_local) |
//! | `sleep(0)` | `checkpoint()` | `yield_now`, `coop::consume_budget` | [`yield_now`], [`consume_budget()`] |
//! | "exception was never retrieved" | (cannot be) | silence | [`on_unobserved`] |
//!
//! # Which to choose
//!
//! - **[`task_group()`]**, if nothing speaks against it. Tasks start one by one, from each other
//!   too; the first failure stops the others; and when it returns all have ended, on every path.
//! - **[`gather()`]** and **[`try_gather`]** if the futures are known from the start and of one
//!   type, and the results are wanted in their order: all of them, or all or the first error.
//! - **[`as_completed()`]** for the same futures, with each result as soon as it is there.
//! - **[`JoinSet`]** if tasks come and go: a server's connections, a crawler's pages. One that
//!   fails stops nobody; each result is yours to look at.
//! - **[`join!`], [`try_join!`], [`select!`]** for a few futures in the current task: they may
//!   borrow from it, cost no task, and do not run in parallel.
//! - **[`shield()`]** for one step that must not be left half done when who waits is cancelled.
//! - **[`CancelToken`]** to ask where an abort would cut: who is asked finishes what it likes to,
//!   and returns. It reaches across tasks and groups, and has [children](CancelToken::child).
//! - **[`spawn`] and [`JoinHandle`]** for one task with a life of its own, and [`spawn_detached`]
//!   if nobody will wait for it.
//!
//! # Limits on time: cancel scopes
//!
//! [`time::timeout`] around any future is a cancel scope: when the time is over, that future is
//! dropped, with everything that it had been waiting for. What it owns ends with it:
//!
//! - A [`task_group()`], [`gather()`], [`try_gather`], [`as_completed()`] or [`JoinSet`] inside is
//!   dropped, and its tasks are aborted **at once**. The `timeout` returns without waiting for
//!   them: each ends at its await point, on a worker, a moment later. Tasks of a group are awaited
//!   by the group around it, if there is one, and all others by the shutdown of the runtime.
//! - The task of a [`JoinHandle`] inside is detached and goes on; so does the one of a
//!   [`shield()`].
//!
//! Where the next line needs to be sure that nothing runs any more, say
//! [`TaskGroup::cancel_after`]: then [`task_group()`] itself aborts, **waits**, and returns
//! [`GroupError::is_timed_out`]. Closures of [`spawn_blocking`] cannot be interrupted: it waits for
//! those that have started.
//!
//! # What is reported when nobody looks
//!
//! A failure is given to one place: to who waits, or else to [`on_unobserved`], which without a
//! hook of yours is one line on standard error.
//!
//! | what | who can look | if nobody does |
//! |---|---|---|
//! | a panic of a task | who awaits its [`JoinHandle`], as [`JoinError`] | reported, when the task has ended and the handle is dropped |
//! | the same in [`gather()`], [`try_gather`], [`as_completed()`], [`JoinSet`] | who gets the results | those that were not handed out are reported, when it is dropped |
//! | the same in a [`shield()`] | who awaits it | the same |
//! | a panic or `Err` of a task in a group | who gets the [`GroupError`] | reported, if the group was dropped or its body panicked |
//! | an `Err` of [`spawn_detached`] or [`JoinHandle::detach_reporting`] | nobody | reported, with its `Debug` |
//! | an `Err` of any other task | who awaits it | dropped: to the task it is an output like any |
//! | that a task was cancelled | who awaits it | nothing: somebody wanted it |
//!
//! Who was handed an error has seen it: dropping a [`JoinError`], [`GatherError`] or [`GroupError`]
//! reports nothing.
//!
//! # Cancel safety
//!
//! To cancel a future is to drop it, at an await point and nowhere else. `Drop` runs for all that
//! it held, and no line after that `.await` does. A future is **cancel safe** if nothing is lost
//! when it is dropped while pending: it can be made anew and goes on where the first one was. Every
//! future of this crate says under this heading what is lost, if anything. Some that matter here:
//!
//! - `&mut handle`, [`JoinSet::join_next`], [`AsCompleted::next`], [`CancelToken::cancelled`]:
//!   safe, and right for a [`select!`] in a loop.
//! - A `handle` by value: the task goes on, and its output is lost.
//! - [`gather()`], [`try_gather`], [`JoinSet::join_all`], [`task_group()`]: the tasks are aborted
//!   and the results that are there already are lost. To wait for them in a [`select!`] in a loop,
//!   make the future once, pin it, and give the branch `&mut` of it.
//!
//! An `async fn` is as safe as the least safe `.await` in it, and what it has in its variables
//! between two of them is lost. What must happen in any case is in a `Drop`, in a [`shield()`], or
//! on the other side of a [`CancelToken`]; the rest of this page is about that.
//!
//! [`spawn`]: crate::spawn
//! [`spawn_blocking`]: crate::spawn_blocking
//! [`yield_now`]: crate::yield_now
//! [`select!`]: crate::select
//! [`join!`]: crate::join
//! [`try_join!`]: crate::try_join
//! [`time::timeout`]: crate::time::timeout()
//! [`on_unobserved`]: crate::Builder::on_unobserved
//!
#![doc = include_str!("cleanup.md")]

mod completed;
mod gather;
mod group;
mod inbox;
mod join_set;
mod members;
mod shield;
mod token;

pub use crate::lifecycle::{
    AbortHandle, AccessError, Builder, Id, JoinError, JoinHandle, LocalKey, TaskLocalFuture,
    TaskState, consume_budget, id, name,
};
pub use crate::runtime::{block_in_place, spawn_detached};
pub use completed::{AsCompleted, as_completed};
pub use gather::{Gather, GatherError, TryGather, gather, try_gather};
pub use group::{Failure, GroupError, GroupHandle, TaskGroup, task_group};
pub use join_set::JoinSet;
pub use shield::{Shield, shield};
pub use token::{CancelToken, Cancelled, CancelledOwned, DropGuard, RunUntil};
