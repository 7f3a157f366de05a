//! One task, from spawn to join.
//!
//! # Protocol
//!
//! A task is one allocation, a [`Cell`](cell::Cell): a [`Header`](cell::Header) with the state
//! word, and behind it the future, later its output. Everybody who can reach it holds one count
//! of the word.
//!
//! ```text
//!                     1           3
//!  spawn ─► Notified ──► Running ──► Complete ──► freed by the last count
//!             ▲  ▲         │ │
//!            4│  └────2b───┘ │2a
//!            5│              │
//!             └──── Idle ◄───┘
//!
//! 1  State::transition_to_running    the worker that popped the `Notified`
//! 2a State::transition_to_idle       that worker, on Pending: verdict `Idle`
//! 2b the same, verdict `Renotified`: the task was woken, or yielded, while it ran
//! 3  State::transition_to_complete   that worker: on Ready, after a panic, or to cancel
//! 4  State::transition_to_notified_* any waker; the first wins
//! 5  State::transition_to_aborted    any `JoinHandle` or `AbortHandle`; queues an idle task
//!
//! state     who may touch the future    queued
//! Notified  nobody                      once, or about to be
//! Running   the thread that won 1       no
//! Idle      nobody                      no
//! Complete  (the future is gone)        no
//! ```
//!
//! Invariants, cited by number in this room and in the scheduler:
//!
//! - **T1** A task has at most one [`Notified`], and none while it is Running, Idle or Complete.
//!   NOTIFIED set while RUNNING is a note to the runner, not a `Notified`.
//! - **T2** RUNNING is a lock on the future: only the thread that won arrow 1 touches the stage
//!   until arrow 2 or 3.
//! - **T3** COMPLETE is final. If JOIN_INTEREST was set at arrow 3, the output belongs to the
//!   [`JoinHandle`], else to the runner; whoever owns it takes or drops it once.
//! - **T4** Every [`Notified`], [`JoinHandle`], [`AbortHandle`], [`Waker`](std::task::Waker) and
//!   the owned list hold one count each. The cell lives while a count does.
//! - **T5** The scheduler behind the header's plain pointer lives while the task is bound and not
//!   Complete. Nobody touches the scheduler of a complete task.
//! - **T6** The join waker field belongs to the [`JoinHandle`] while JOIN_WAKER is clear and the
//!   task is not complete; it is shared and read-only while JOIN_WAKER is set. Arrow 3 takes
//!   JOIN_WAKER away and with it the field, for the runner.
//! - **T7** The future is dropped by a thread that won arrow 1: never by who aborts, never by
//!   who drops the last count.
//! - **T8** The links of the owned list are touched under the lock of the task's shard only.
//!
//! # Each pair of parties, step by step
//!
//! All of them meet in one word, which changes in one loop of compare-and-exchange,
//! [`State::update`](state::State). So of two transitions one is before the other, and the later
//! one's verdict is about the word that the earlier one left. That leaves two orders for each pair:
//!
//! | | the left first | the right first |
//! |---|---|---|
//! | wake, run (1) | one `Notified`; the run answers for the wake | the wake finds RUNNING: a note |
//! | wake, idle (2) | 2b: the runner's count is the new `Notified`'s | the wake finds Idle, and queues it |
//! | wake, wake | the second finds NOTIFIED: nothing | as on the left |
//! | wake, complete (3) | the note goes with arrow 3 | COMPLETE: nothing, the scheduler is not touched |
//! | abort (5), run | 1 finds ABORTED: `Cancel` | 2 finds it: `Cancel`, still Running |
//! | abort, complete | the output stands: arrow 3 looks at no ABORTED | COMPLETE: nothing |
//! | abort, wake | the wake finds NOTIFIED: nothing | the abort finds NOTIFIED: it adds ABORTED |
//! | store the join waker, complete | JOIN_WAKER: `WakeJoiner` | it fails, and the handle takes the output |
//! | take the join waker back, complete | JOIN_WAKER is clear: nobody is woken, see below | it fails: the field is the runner's (T6) |
//! | drop the handle, complete | no JOIN_INTEREST: `DropOutput` | COMPLETE: the handle drops it |
//!
//! A handle takes the waker back to replace it, and sets JOIN_WAKER again or fails: then it sees
//! COMPLETE, and needs no waker. So the waker that arrow 3 wakes is the last that was stored.
//!
//! *What was written before is seen.* Every exchange is Release and Acquire, one that changes
//! nothing too. So what a waker's thread wrote before its wake is seen by the poll that answers for
//! it: that poll's arrow 1 is later in the word's order, or, for a note, the arrow 1 after the
//! arrow 2b that reads it. What a poll wrote is seen by the next in the same way, though it be on
//! another thread, and the output by who reads COMPLETE.
//!
//! *The future is one thread's* (T2, T7). Arrow 1 sets RUNNING, and needs a `Notified`, of which
//! there is one (T1): it is made by the spawn, by 4 and 5 if the task was Idle, and by 2b. Each
//! sets NOTIFIED in the same exchange, which arrow 1 alone clears before the end. So between arrow
//! 1 and arrow 2 or 3 nobody wins arrow 1.
//!
//! *The cell is freed once, and last* (T4). A count is added by who holds one. Counts given up by a
//! transition are taken off in its exchange, the others with Release; who finds none but his own
//! has acquired what all others did, and nobody is left to add one. At arrow 3 the runner takes the
//! task out of the owned list first, and gives that count up with its own: the list's lock is not
//! taken for a task that may be gone.
//!
//! *The scheduler is there* (T5). It is used by who queues a `Notified`, by the poll, and to
//! release the task: all before arrow 3, in the order of the word. A wake that comes later finds
//! COMPLETE. What is left to do of a push when the task runs already is the scheduler's to survive
//! (S6).
//!
//! Models: models/task.rs, models/join.rs, models/owned.rs: one for each row, and the step that
//! it can not do without.
//!
//! # Refused
//!
//! - **A mutex in each task**: a wake would wait for who wakes, or for a poll.
//! - **Flags in words of their own**: a wake must decide by NOTIFIED, RUNNING and COMPLETE at once,
//!   and a reference given up in another word is one more read-modify-write for each run. Every
//!   fence that is needed between two words is one that can be forgotten.
//! - **Dropping the future in `abort`**: it may be running, and is not `Sync`; and where
//!   destructors run would be anybody's guess (T7).
//! - **The output in an allocation of its own**, or a channel: one more for each task.
//! - **A weaker exchange for wakes that change nothing**: the poll that is due would not see what
//!   was written before the second wake. models/task.rs
//!   `a_poll_sees_what_was_written_before_each_wake_it_answers` finds that.

#[forbid(unsafe_code)]
pub(crate) mod budget;
#[forbid(unsafe_code)]
mod builder;
pub(crate) mod cell;
pub(crate) mod context;
#[forbid(unsafe_code)]
mod error;
#[forbid(unsafe_code)]
mod id;
mod join;
#[forbid(unsafe_code)]
mod local;
#[forbid(unsafe_code)]
mod on_end;
pub(crate) mod owned;
pub(crate) mod raw;
mod run;
#[forbid(unsafe_code)]
pub(crate) mod state;
mod waker;

pub use budget::consume_budget;
pub use builder::Builder;
pub use context::{id, name};
pub use error::JoinError;
pub use id::Id;
pub use join::{AbortHandle, JoinHandle, TaskState};
pub use local::{AccessError, LocalKey, TaskLocalFuture};

pub use cell::Unobserved;
pub(crate) use cell::{Place, UnobservedHook};
pub(crate) use raw::{Notified, Schedule, new};
