//! The stress test's own books: what was spawned, how it went, and who saw its end.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tenter::JoinError;

use crate::ensure;
use crate::verdict::violation;

/// What a task is to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Value,
    /// It returns `Err`.
    Failure,
    Panic,
    /// It panics when its future is dropped.
    PanicInDrop,
}

/// How a future or a closure ended by itself, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Finish {
    None,
    Value,
    Failure,
    Panic,
}

/// What is known of one task or closure.
///
/// Counters are Relaxed on purpose, unless they say otherwise: what orders them for whoever reads
/// them is the runtime, whose promise that is.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) number: usize,
    kind: &'static str,
    pub(crate) is_closure: bool,
    pub(crate) polls: AtomicU64,
    pub(crate) is_polled: AtomicBool,
    /// Wakes of its waker that have begun, how many of them the last poll came after, and those
    /// that have returned.
    pub(crate) wakes: AtomicU64,
    pub(crate) seen: AtomicU64,
    wakes_returned: AtomicU64,
    /// Whether wakes are counted.
    pub(crate) is_wrapped: AtomicBool,
    finish: AtomicU8,
    /// Drops of the future.
    pub(crate) drops: AtomicU32,
    /// Somebody aborted it, or may have: then it may be cancelled.
    pub(crate) abort_asked: AtomicBool,
    /// Handles that reported its end, and other ways in which its failure was handed out.
    ends_seen: AtomicU32,
    failures_seen: AtomicU32,
    /// It is the group's to hand out its failure, or the hook's: an `Err` must not get lost.
    pub(crate) failure_counts: AtomicBool,
    outputs_made: AtomicU32,
    outputs_dropped: AtomicU32,
    bells: AtomicU32,
}

impl Record {
    fn new(number: usize, kind: &'static str, is_closure: bool) -> Self {
        Self {
            number,
            kind,
            is_closure,
            polls: AtomicU64::new(0),
            is_polled: AtomicBool::new(false),
            wakes: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            wakes_returned: AtomicU64::new(0),
            is_wrapped: AtomicBool::new(false),
            finish: AtomicU8::new(Finish::None as u8),
            drops: AtomicU32::new(0),
            abort_asked: AtomicBool::new(false),
            ends_seen: AtomicU32::new(0),
            failures_seen: AtomicU32::new(0),
            failure_counts: AtomicBool::new(false),
            outputs_made: AtomicU32::new(0),
            outputs_dropped: AtomicU32::new(0),
            bells: AtomicU32::new(0),
        }
    }

    pub(crate) fn finish(&self) -> Finish {
        const ALL: [Finish; 4] = [Finish::None, Finish::Value, Finish::Failure, Finish::Panic];
        ALL[usize::from(self.finish.load(Ordering::Relaxed))]
    }

    /// Notes how it ended, for the first time or, if its drop panics, the second.
    pub(crate) fn finish_with(&self, finish: Finish) {
        let before = self.finish.swap(finish as u8, Ordering::Relaxed);
        let is_first = before == Finish::None as u8 || finish == Finish::Panic;
        ensure!(is_first, "{self} ended twice: {finish:?}");
    }

    /// A wake of its waker begins.
    pub(crate) fn wake_begins(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    /// A wake of its waker has returned.
    pub(crate) fn wake_returns(&self) {
        // ORDERING: Release. Pairs with Acquire in `wakes_returned`.
        self.wakes_returned.fetch_add(1, Ordering::Release);
    }

    /// How many wakes of its waker have returned.
    pub(crate) fn wakes_returned(&self) -> u64 {
        // ORDERING: Acquire. Pairs with Release in `wake_returns`: a wake that is counted here took
        // effect before this, whatever the runtime orders.
        self.wakes_returned.load(Ordering::Acquire)
    }

    pub(crate) fn ask_abort(&self) {
        self.abort_asked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.drops.load(Ordering::Relaxed) > 0
    }

    /// What a handle said; `may_cancel` if the runtime is ending.
    pub(crate) fn ended(self: &Arc<Self>, result: Result<Outcome, JoinError>, may_cancel: bool) {
        let ends = self.ends_seen.fetch_add(1, Ordering::Relaxed);
        ensure!(ends == 0, "the end of {self} is seen twice");
        ensure!(self.is_dropped(), "the end of {self} is seen before its future is dropped");
        let finish = self.finish();
        match result {
            Ok(Ok(token)) => {
                ensure!(Arc::ptr_eq(&token.record, self), "{self} gives the output of another");
                ensure!(finish == Finish::Value, "{self} gives a value");
            }
            Ok(Err(Planned(number))) => {
                ensure!(number == self.number, "{self} gives the error of {number}");
                ensure!(finish == Finish::Failure, "{self} gives an error");
                self.failure_seen();
            }
            Err(error) if error.is_cancelled() => {
                let may_cancel = may_cancel || self.abort_asked.load(Ordering::Relaxed);
                ensure!(may_cancel, "{self} is cancelled, and nobody asked for it");
                ensure!(finish == Finish::None, "{self} is cancelled");
            }
            Err(error) if error.is_panic() => {
                ensure!(finish == Finish::Panic, "{self} is said to have panicked");
                self.failure_seen();
            }
            Err(error) => violation(format_args!("{self} ends with {error:?}")),
        }
    }

    /// What the handle of a task in a group said: failures are handed out by the group.
    pub(crate) fn ended_in_group(self: &Arc<Self>, result: Result<Token, JoinError>) {
        let ends = self.ends_seen.fetch_add(1, Ordering::Relaxed);
        ensure!(ends == 0, "the end of {self} is seen twice");
        ensure!(self.is_dropped(), "the end of {self} is seen before its future is dropped");
        let (finish, expected) = (
            self.finish(),
            match &result {
                Ok(token) => {
                    ensure!(Arc::ptr_eq(&token.record, self), "{self} gives the output of another");
                    Finish::Value
                }
                Err(error) if error.is_cancelled() => Finish::None,
                Err(error) if error.is_panic() => Finish::Panic,
                Err(_) => Finish::Failure,
            },
        );
        ensure!(finish == expected, "{self} in a group ends with {:?}", result.err());
    }

    /// Its failure was handed out, to a handle, in a group's error, or to the hook.
    pub(crate) fn failure_seen(&self) {
        let seen = self.failures_seen.fetch_add(1, Ordering::Relaxed);
        ensure!(seen == 0, "the failure of {self} is handed out twice");
    }

    /// What must hold when nothing runs any more.
    fn check_end(&self, was_cut: bool) {
        let count = |count: &AtomicU32| count.load(Ordering::Relaxed);
        let finish = self.finish();
        ensure!(count(&self.drops) == 1, "{self} was not dropped once");
        let outputs = (count(&self.outputs_made), count(&self.outputs_dropped));
        ensure!(outputs.0 == outputs.1, "{self}: outputs made and dropped: {outputs:?}");
        ensure!(count(&self.bells) == 0, "{self}: wakers are left");
        let may_be_cancelled = was_cut || self.abort_asked.load(Ordering::Relaxed);
        ensure!(finish != Finish::None || may_be_cancelled, "{self} was dropped unfinished");
        let must_be_seen = match finish {
            Finish::None | Finish::Value => 0,
            Finish::Failure => u32::from(self.failure_counts.load(Ordering::Relaxed)),
            Finish::Panic => 1,
        };
        let seen = count(&self.failures_seen);
        let is_right = seen == must_be_seen || (finish == Finish::Failure && seen == 1);
        ensure!(is_right, "the failure of {self} was handed out {seen} times");
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: &AtomicU32| count.load(Ordering::Relaxed);
        write!(f, "task {} ({}, {:?}", self.number, self.kind, self.finish())?;
        write!(f, ", {} polls", self.polls.load(Ordering::Relaxed))?;
        if self.is_wrapped.load(Ordering::Relaxed) {
            let seen = self.seen.load(Ordering::Relaxed);
            write!(f, ", polled after {seen} of {} wakes", self.wakes.load(Ordering::Relaxed))?;
        }
        if self.is_polled.load(Ordering::Relaxed) {
            write!(f, ", in a poll")?;
        }
        if self.abort_asked.load(Ordering::Relaxed) {
            write!(f, ", may be aborted")?;
        }
        write!(f, ", dropped {} times", count(&self.drops))?;
        write!(f, ", end seen {} times)", count(&self.ends_seen))
    }
}

/// What a task returns, when all goes well. It is counted.
#[derive(Debug)]
pub(crate) struct Token {
    record: Arc<Record>,
}

/// The output of a task.
pub(crate) type Outcome = Result<Token, Planned>;

impl Token {
    pub(crate) fn new(record: &Arc<Record>) -> Self {
        record.outputs_made.fetch_add(1, Ordering::Relaxed);
        Self { record: record.clone() }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.record.outputs_dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The error of a task that returns one, with the task's number.
#[derive(PartialEq, Eq)]
pub(crate) struct Planned(pub(crate) usize);

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FAILS}{}", self.0)
    }
}

/// In the place of a task's number: the body of a group.
pub(crate) const BODY: usize = usize::MAX;

/// What a planned failure says, before the task's number.
const FAILS: &str = "planned failure of task ";

/// The message of a planned panic.
pub(crate) fn panic_message(record: &Record) -> String {
    format!("{FAILS}{}", record.number)
}

/// The task that a message is about, if it is that of a planned failure.
pub(crate) fn planned(message: &str) -> Option<usize> {
    message.strip_prefix(FAILS)?.parse().ok()
}

/// One for each waker that was made: all are dropped in the end.
#[derive(Debug)]
pub(crate) struct BellCount(Arc<Record>);

impl BellCount {
    pub(crate) fn new(record: &Arc<Record>) -> Self {
        record.bells.fetch_add(1, Ordering::Relaxed);
        Self(record.clone())
    }

    pub(crate) fn record(&self) -> &Record {
        &self.0
    }
}

impl Drop for BellCount {
    fn drop(&mut self) {
        self.0.bells.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The books of one program.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    records: Mutex<Vec<Arc<Record>>>,
}

impl Ledger {
    pub(crate) fn open(&self, kind: &'static str, is_closure: bool) -> Arc<Record> {
        let mut records = self.records.lock().unwrap();
        let record = Arc::new(Record::new(records.len(), kind, is_closure));
        records.push(record.clone());
        record
    }

    pub(crate) fn all(&self) -> Vec<Arc<Record>> {
        self.records.lock().unwrap().clone()
    }

    /// The failure of a task was handed out, by its message.
    pub(crate) fn failure_seen(&self, message: &str) {
        let number = planned(message);
        if number == Some(BODY) {
            return;
        }
        let records = self.records.lock().unwrap();
        let record = number.and_then(|number| records.get(number)).cloned();
        drop(records);
        match record {
            Some(record) => record.failure_seen(),
            None => violation(format_args!("a failure that was not planned: {message}")),
        }
    }

    /// Polls of tasks and how many there were.
    pub(crate) fn sums(&self) -> (u64, u64) {
        let records = self.records.lock().unwrap();
        let tasks = records.iter().filter(|record| !record.is_closure);
        let polls = tasks.map(|record| record.polls.load(Ordering::Relaxed)).sum();
        (polls, records.len() as u64)
    }

    pub(crate) fn check_end(&self, was_cut: bool) {
        self.all().iter().for_each(|record| record.check_end(was_cut));
    }
}
