//! Groups: tasks that end before the scope that they were spawned in.
//!
//! # Beside asyncio and trio
//!
//! | | `asyncio.TaskGroup` | trio's nursery | [`task_group()`] |
//! |---|---|---|---|
//! | scope | `async with TaskGroup() as tg` | `async with open_nursery() as n` | `task_group(async \|group\| ..)` |
//! | starts a task | `tg.create_task(coro, name=..)` | `n.start_soon(f, name=..)` | [`TaskGroup::spawn`], named by [`Builder::spawn_in`](crate::task::Builder::spawn_in) |
//! | threads | `to_thread` in a task: cancelled, it is left behind | `to_thread.run_sync` in a task: waited for | [`TaskGroup::spawn_blocking`]: waited for once it has started |
//! | a task's value | the `Task`, with `result()` | none; by a channel | [`GroupHandle`], a future |
//! | first failure | cancels the other tasks | cancels the nursery's scope | aborts the other tasks |
//! | the body then | is cancelled at its `await` | is cancelled at its checkpoint | is dropped at its `.await` |
//! | failure of the body | cancels the tasks | cancels the tasks | `Err` aborts the tasks |
//! | what comes out | `ExceptionGroup` | `ExceptionGroup` | [`GroupError`]: all, in order, with name, id and place |
//! | what is not grouped | `SystemExit`, `KeyboardInterrupt` | nothing | a panic of the body, which goes on when all have ended |
//! | exit | when every task is done | when every task is done | when every future is dropped, and every output that nobody took |
//! | early end | `tg.cancel()` (3.15): tasks and body, no error | `n.cancel_scope.cancel()`: tasks and body, no error | [`TaskGroup::cancel`]: tasks, no error; the body returns what it likes |
//! | deadline | `asyncio.timeout(d)` around it | `move_on_after(d)`, `fail_after(d)` | [`TaskGroup::cancel_after`], an error; [`time::timeout`](crate::time::timeout()) around it drops it |
//! | cancelling one task | `task.cancel()`: no failure | a scope of the task's own | [`GroupHandle::abort`]: no failure |
//! | shielding | `asyncio.shield`: a task of nobody | `CancelScope(shield=True)` | a task of nobody, such as [`tenter::spawn`](crate::spawn)'s |
//! | a task that catches its cancellation | goes on, and is waited for in silence | meets it again at every checkpoint | cannot: its future is dropped |
//! | a task that never comes to an await | stops the whole loop | stops the whole loop | others run; waited for, and reported after a second |
//! | spawning while it is cancelled | `RuntimeError` | runs to its first checkpoint | is dropped without having run |
//! | spawning after the end | `RuntimeError` | `RuntimeError` | dropped; the handle says cancelled |
//! | a group in a group | waits in the inner `async with` | waits in the inner `async with` | the outer one waits for the tasks of an inner one that was dropped |
//! | its own future is dropped | its tasks run on | an error | tasks aborted at once; the group around waits, or the shutdown |
//! | an error that nobody can take | is raised with the others | is raised with the others | [`on_unobserved`](crate::Builder::on_unobserved), at once |
//!
//! Where they differ it is for one reason: Python cancels by an exception, which a scope can catch
//! to wait for its tasks, and Rust by a drop, which cannot wait. So a body hears of
//! [`TaskGroup::cancel`] as of a message and decides for itself; and tasks of a scope that was
//! dropped are the next scope's to wait for.
//!
//! # Protocol
//!
//! A group is a [`Ledger`](ledger::Ledger) of seats, and the [failures](inner::Inner) so far. Every
//! task has a [`Seat`](ledger::Seat) from before it is spawned until its future is dropped; so has
//! every group inside, until it is closed.
//!
//! ```text
//!               1                2                    3
//!   task_group ───► body running ───► waiting for seats ───► closed
//!                        │ 4               │ 4
//!                        ▼                 ▼
//!                  cancelled ─────2───► cancelled ─────3───► closed
//!
//! 1  Ledger::new          the group's future, at its first poll
//! 2  Ledger::end_body     the same: the body returned, panicked, or was dropped
//! 3  Ledger::leave        who gives up the last seat; or 2, if there is none
//! 4  Ledger::cancel       anyone; Ledger::fail, a task that failed: then the body is dropped too
//!
//!                  5             6
//!   a task: nothing ──► reserved ──► listed ──7──► left
//!                           │                       ▲
//!                           └─────7──► gone ────6───┘
//!
//! 5  Ledger::reserve      its spawner, before it spawns
//! 6  Admission::admit     its spawner, with the abort handle
//! 7  Ledger::leave        whoever drops the future: it can be before 6
//! ```
//!
//! Invariants, cited by number in this room:
//!
//! - **G1** A seat is given up when nothing of the task is left to run: its future is dropped, its
//!   failure noted (G5), its output with its handle or dropped. [`Ticket`](child::Ticket) does so in
//!   this order on every path, a panic in a destructor among them.
//! - **G2** A group is closed when its body is done and no seat is taken. That is final: a closed
//!   group gives no seats. All of it is read and written under the ledger's lock.
//! - **G3** Cancelled is final too. It aborts every task that is listed; one that is reserved is
//!   aborted by its spawner as it is listed, and one that comes later does not run at all.
//! - **G4** The group's future stores its waker and looks under one lock; who changes what it looks
//!   for takes the waker under the same lock. The same holds for those who wait for the cancel.
//! - **G5** A failure is noted before the seat is given up, so that a closed group has them all.
//!   It goes to one place: into the [`GroupError`], or to the hook if nobody can take it any more.
//! - **G6** A group that begins in the poll of a task or body of another one (or in its closure) has
//!   a seat in that one until it is closed, whatever happens to its future meanwhile.

mod child;
mod context;
mod error;
#[expect(clippy::module_inception, reason = "the file of the type is named after it")]
mod group;
mod handle;
mod inner;
mod ledger;
mod outside;
mod scope;

pub use error::{Failure, GroupError};
pub use group::{TaskGroup, task_group};
pub use handle::GroupHandle;
