//! A program as a value: what a seed is turned into, and what is carried out.

use std::fmt;
use std::time::Duration;

use crate::ledger::End;
use crate::oneshot::Style;
use crate::outside::Delay;

/// What a program follows from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed {
    pub(crate) number: u64,
    /// Child processes and jobs may be in it.
    pub(crate) has_processes: bool,
}

impl fmt::Display for Seed {
    /// As options of the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let without = if self.has_processes { "" } else { " --no-processes" };
        write!(f, "--program {}{without}", self.number)
    }
}

/// A whole program: one runtime, what happens in it, and how it ends.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) settings: Settings,
    /// What the main thread does in `block_on`.
    pub(crate) main: Action,
    /// What other threads do in `block_on`, at the same time.
    pub(crate) sides: Vec<Action>,
    /// Tasks that are spawned before, and that nobody waits for.
    pub(crate) background: Vec<Task>,
    pub(crate) ending: Ending,
}

/// Settings of the runtime.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) blocking_threads: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) stack_bytes: Option<usize>,
}

/// How the runtime ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// When everything is done.
    Peaceful(Way),
    /// When the main thread is done with its part, whatever the others do.
    Cut(Way),
    /// By a task, in the middle.
    InTask(Delay),
    /// By a closure of the blocking pool.
    InClosure(Delay),
    /// By a thread that is none of the runtime's, while the main thread is in `block_on`.
    Outside(Delay),
    /// By the main future.
    InMain,
}

/// What is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Drop,
    Shutdown(Duration),
    Background,
}

/// What to spawn.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) body: Action,
    pub(crate) body_kind: &'static str,
    pub(crate) shape: Shape,
}

/// How a task is watched, and ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) end: End,
    /// Its waker is wrapped in one that counts.
    pub(crate) wraps: bool,
}

impl Shape {
    pub(crate) fn plain() -> Self {
        Self { end: End::Value, wraps: false }
    }
}

/// By what a task is spawned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Via {
    Here,
    Handle,
    Named,
    Detached,
    /// On a thread outside, which sends the handle back.
    Outside(Delay),
    /// Into the group that the spawner is in, if it is in one.
    Group,
}

/// What its spawner does with a handle.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Join,
    JoinAfter(Box<Action>),
    Detach,
    /// For its failure to be reported.
    DetachReporting,
    /// Polls it once, and drops it then.
    PollAndDrop,
    Abort(Box<Action>),
    AbortOutside(Delay),
    Cancel(Box<Action>),
    /// Waits on another thread, by another executor.
    JoinOutside,
    /// Keeps it beyond the end of the runtime.
    Keep,
}

/// What a closure does, which may block.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Spin(u32),
    /// Waits until a thread outside says so.
    Gate(Delay),
    Nap(Duration),
    BlockOn(Box<Action>),
}

/// Something that a task does.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    All(Vec<Action>),
    Yield(u8),
    Compute(u32),
    Spend(u16),
    WakeSelf(u8, Style),
    KeepWaker,
    Signal(Delay, Style),
    Knock(u16),
    /// A poll that blocks its thread until a thread outside says so.
    Block(Delay),
    /// A poll that blocks its thread until another task has run.
    BlockForTask,
    InPlace(Vec<Step>),
    Blocking {
        steps: Vec<Step>,
        end: End,
        fate: Fate,
    },
    Spawn {
        task: Box<Task>,
        via: Via,
        fate: Fate,
    },
    Select(Box<Action>, Box<Action>),
    Join(Vec<Action>),
    Local(u64, Box<Action>),
    Sleep {
        first: Duration,
        resets: Vec<Duration>,
        moves: bool,
    },
    Timeout(Duration, Box<Action>),
    Beat {
        period: Duration,
        ticks: u8,
        missed: Missed,
    },
    Gather {
        tasks: Vec<Task>,
        limit: Option<Duration>,
    },
    TryGather(Vec<Task>),
    AsCompleted {
        tasks: Vec<Task>,
        take: usize,
    },
    Set {
        tasks: Vec<Task>,
        end: SetEnd,
    },
    Shield(Box<Task>, Duration),
    Group(Box<Group>),
    Tokens {
        seed: u64,
        nodes: u8,
        delay: Delay,
    },
    Lock {
        tasks: u8,
        rounds: u8,
        aborted: u8,
    },
    Permits {
        tasks: u8,
        permits: u8,
        rounds: u8,
    },
    Channel {
        senders: u8,
        messages: u8,
        room: u8,
    },
    Stream(Exchange),
    Datagrams {
        seed: u64,
        count: u8,
        kind: Datagrams,
    },
    File {
        seed: u64,
        bytes: u32,
    },
    Child {
        seed: u64,
        kind: ChildKind,
    },
    Jobs {
        seed: u64,
        calls: u8,
        workers: u8,
        end: JobsEnd,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Missed {
    Burst,
    Delay,
    Skip,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum SetEnd {
    JoinAll,
    AbortAll,
    Shutdown,
    DetachAll,
    Drop,
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) tasks: Vec<Task>,
    /// Among them closures.
    pub(crate) closures: Vec<(Vec<Step>, End)>,
    pub(crate) body: Action,
    pub(crate) body_fails: bool,
    pub(crate) joins: bool,
    pub(crate) stop: Stop,
}

/// What happens to a group from within or from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    Nothing,
    Cancel(Delay),
    CancelAfter(Duration),
    /// A `timeout` around it drops it.
    Timeout(Duration),
}

/// Bytes to and fro over a stream.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) seed: u64,
    pub(crate) kind: Streams,
    pub(crate) bytes: u32,
    pub(crate) writes_in: Writes,
    pub(crate) echo: Echo,
    /// The other end is aborted in the middle.
    pub(crate) cut: Option<Delay>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Streams {
    Tcp,
    Unix,
    UnixPair,
}

/// Where the near end writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Writes {
    /// In another task.
    OtherTask,
    /// In the same one, by halves that are borrowed.
    SameTask,
    /// The same, by readiness and calls that do not wait.
    Readiness,
}

/// What the far end does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Echo {
    Loop,
    Copy,
    Vectored,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Datagrams {
    Udp,
    Unix,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ChildKind {
    /// Gives back what it is given.
    Cat(u32),
    Exits(u8),
    /// It is killed, by a drop in the middle of its wait.
    Killed(Duration),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum JobsEnd {
    Shutdown,
    Drop,
}
