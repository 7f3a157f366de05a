//! What a step under the ledger's lock leaves to be done without it.

use std::mem;
use std::sync::Arc;
use std::task::Waker;

use crate::primitive::contain_drop;

use super::job::Job;
use super::queue::Waiting;
use super::{Dispatch, Failure, Host, Key};

/// A job, and why it has no reply.
type Failed<P> = (Arc<Job<P>>, Failure<P>);

/// Effects, in the order in which [`Todo::run`] does them.
pub(super) struct Todo<H: Host> {
    /// Workers to kill.
    pub(super) kill: Few<Arc<H::Link>>,
    /// Workers that have jobs to be written.
    pub(super) flush: Few<(Key, Arc<H::Link>)>,
    /// Workers whose keeper is to look again.
    pub(super) nudge: Few<Arc<H::Link>>,
    /// Jobs that have ended without a reply.
    pub(super) end: Few<Failed<H::Payload>>,
    /// Workers to start.
    pub(super) start: Few<(Key, Arc<H::Link>)>,
    /// Who waits for the pool to be quiet or empty.
    pub(super) watchers: Vec<Waker>,
    /// Jobs that nobody waits for: what they drop is the user's.
    pub(super) gone: Vec<Arc<Job<H::Payload>>>,
    pub(super) swept: Vec<Waiting<H::Payload>>,
}

impl<H: Host> Todo<H> {
    pub(super) fn new() -> Self {
        Self {
            kill: Few::new(),
            flush: Few::new(),
            nudge: Few::new(),
            end: Few::new(),
            start: Few::new(),
            watchers: Vec::new(),
            gone: Vec::new(),
            swept: Vec::new(),
        }
    }

    /// Does it all; the ledger's lock is not held.
    pub(super) fn run(self, dispatch: &Arc<Dispatch<H>>) {
        use super::Link as _;
        self.kill.each(|link| link.kill());
        self.flush.each(|(key, link)| dispatch.flush(key, &link));
        self.nudge.each(|link| link.nudge());
        self.end.each(|(job, failure)| {
            let end = job.failed(failure);
            job.end(end);
            contain_drop(|| drop(job));
        });
        self.start.each(|(key, link)| H::start(dispatch, key, link));
        for watcher in self.watchers {
            contain_drop(|| watcher.wake());
        }
        for job in self.gone {
            contain_drop(|| drop(job));
        }
        for waiting in self.swept {
            contain_drop(|| drop(waiting));
        }
    }
}

/// A list that allocates for its second element: nearly always there is none, or one.
pub(super) struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Few<T> {
    pub(super) fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    pub(super) fn push(&mut self, value: T) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.rest.push(value);
        }
    }

    fn each(mut self, mut f: impl FnMut(T)) {
        if let Some(first) = self.first.take() {
            f(first);
        }
        for value in mem::take(&mut self.rest) {
            f(value);
        }
    }
}
