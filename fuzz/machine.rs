//! The life of a task as its documentation tells it, without a word to keep it in.

use std::collections::VecDeque;

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In the queue.
    Notified,
    /// Its future is polled, or dropped.
    Running {
        /// It was woken meanwhile.
        is_woken: bool,
    },
    Idle,
    Complete(End),
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Returned,
    Panicked,
    Cancelled,
}

/// Whom a waker wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wakes {
    Bell(usize),
    Task(usize),
}

/// The one that waits for the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// It can take the output.
    Waiting,
    /// It has taken what there was.
    Taken,
    /// It is being dropped.
    Going,
    Gone,
}

/// What the poll of a task comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// Not polled, or not yet.
    Not,
    Pending,
    Ready,
    Panicked,
}

/// One task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) phase: Phase,
    pub(crate) is_aborted: bool,
    pub(crate) join: Join,
    /// The handle existed, as far as the word knows: what became of it after the end it is not told.
    has_interest: bool,
    /// Whom the handle lets wake when the task ends.
    pub(crate) join_waker: Option<Wakes>,
    /// The owned list has it.
    pub(crate) is_bound: bool,
    /// What the runner holds.
    runner: usize,
    pub(crate) wakers: usize,
    pub(crate) abort_handles: usize,
    pub(crate) polled: Polled,
    pub(crate) has_future: bool,
    /// Dropping the future panicked.
    pub(crate) has_drop_panicked: bool,
    /// Outputs that nobody took or dropped: one at most.
    pub(crate) outputs: usize,
}

/// Every task, and what is due.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) tasks: Vec<Task>,
    pub(crate) queue: VecDeque<usize>,
    pub(crate) rings: [usize; 2],
    /// Panics that nobody took.
    pub(crate) reports: usize,
    pub(crate) cancelled: usize,
}

impl Machine {
    /// A new task that is due, or one that the closed list refused.
    pub(crate) fn spawn(&mut self, is_bound: bool) -> usize {
        self.tasks.push(Task {
            phase: Phase::Notified,
            is_aborted: !is_bound,
            join: Join::Waiting,
            has_interest: true,
            join_waker: None,
            is_bound,
            runner: 0,
            wakers: 0,
            abort_handles: 0,
            polled: Polled::Not,
            has_future: true,
            has_drop_panicked: false,
            outputs: 0,
        });
        let task = self.tasks.len() - 1;
        if is_bound {
            self.queue.push_back(task);
        }
        task
    }

    fn notify(&mut self, task: usize) {
        self.tasks[task].phase = Phase::Notified;
        self.queue.push_back(task);
    }

    /// Arrow 1.
    pub(crate) fn start(&mut self, task: usize) {
        let task = &mut self.tasks[task];
        assert_eq!(task.phase, Phase::Notified, "T1");
        task.phase = Phase::Running { is_woken: false };
        task.polled = Polled::Not;
        task.runner = 1;
    }

    /// The future is polled.
    pub(crate) fn poll(&self, task: usize) {
        let task = &self.tasks[task];
        assert!(matches!(task.phase, Phase::Running { .. }), "T2: polled while {:?}", task.phase);
        assert_eq!(task.polled, Polled::Not, "polled twice in one run");
        assert!(task.has_future);
    }

    /// Arrow 2, after Pending.
    pub(crate) fn pend(&mut self, number: usize, has_yielded: bool) {
        let task = &mut self.tasks[number];
        task.polled = Polled::Pending;
        if task.is_aborted {
            return;
        }
        task.runner = 0;
        if has_yielded || task.phase == (Phase::Running { is_woken: true }) {
            self.notify(number);
        } else {
            task.phase = Phase::Idle;
        }
    }

    /// The future is dropped.
    pub(crate) fn drop_future(&mut self, task: usize) {
        let task = &mut self.tasks[task];
        assert!(std::mem::take(&mut task.has_future), "dropped twice");
        assert!(matches!(task.phase, Phase::Running { .. }), "T7: dropped while {:?}", task.phase);
        let is_over = matches!(task.polled, Polled::Ready | Polled::Panicked);
        assert!(is_over || task.is_aborted, "dropped though it was {:?}", task.polled);
    }

    /// How a running task ends.
    fn end(&self, task: usize) -> End {
        let task = &self.tasks[task];
        assert!(!task.has_future, "it ends, and its future is there");
        if task.has_drop_panicked || task.polled == Polled::Panicked {
            End::Panicked
        } else if task.polled == Polled::Ready {
            End::Returned
        } else {
            assert!(task.is_aborted, "cancelled, and nobody asked for it");
            End::Cancelled
        }
    }

    /// Arrow 3, and what the runner does after it. It gives up its counts at once, unless it has
    /// to drop an output first.
    pub(crate) fn complete(&mut self, number: usize) {
        let end = self.end(number);
        self.cancelled += usize::from(end == End::Cancelled);
        let task = &mut self.tasks[number];
        task.phase = Phase::Complete(end);
        if std::mem::take(&mut task.is_bound) {
            task.runner += 1;
        }
        if task.join == Join::Gone {
            self.reports += usize::from(end == End::Panicked);
            return;
        }
        task.runner = 0;
        if let Some(waker) = task.join_waker.take() {
            self.wake(waker);
        }
    }

    /// The runner is done with the task.
    pub(crate) fn stop(&mut self, task: usize) {
        let task = &mut self.tasks[task];
        assert!(!matches!(task.phase, Phase::Running { .. }), "it runs on: {task:?}");
        task.runner = 0;
    }

    fn wake(&mut self, waker: Wakes) {
        match waker {
            Wakes::Bell(bell) => self.rings[bell] += 1,
            Wakes::Task(task) => self.wake_task(task),
        }
    }

    /// Arrow 4. Whoever calls it counts the wakers.
    pub(crate) fn wake_task(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        match &mut task.phase {
            Phase::Idle => self.notify(number),
            Phase::Running { is_woken } => *is_woken = true,
            Phase::Notified | Phase::Complete(_) => {}
        }
    }

    /// Arrow 5.
    pub(crate) fn abort(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        if matches!(task.phase, Phase::Complete(_)) {
            return;
        }
        task.is_aborted = true;
        if task.phase == Phase::Idle {
            self.notify(number);
        }
    }

    /// The handle is polled. What it finds, if the task is complete.
    pub(crate) fn join(&mut self, number: usize, waker: Wakes) -> Option<End> {
        let task = &mut self.tasks[number];
        if let Phase::Complete(end) = task.phase {
            return Some(end);
        }
        task.join_waker = Some(waker);
        None
    }

    /// The handle goes; before its count does, an output may have to be dropped.
    pub(crate) fn detach(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        match (task.join, task.phase) {
            (Join::Waiting, Phase::Complete(end)) => {
                self.reports += usize::from(end == End::Panicked);
            }
            (Join::Waiting, _) => {
                task.join_waker = None;
                task.has_interest = false;
            }
            _ => {}
        }
        task.join = Join::Going;
    }

    /// An output is dropped, by whomever.
    pub(crate) fn drop_output(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        assert_eq!(task.outputs, 1, "T3: dropped twice");
        task.outputs = 0;
        let is_unwanted = match task.phase {
            Phase::Complete(_) => task.join != Join::Waiting,
            _ => task.has_drop_panicked,
        };
        assert!(is_unwanted, "T3: dropped, and the handle is {:?}", task.join);
    }

    /// Everybody who holds a count (T4).
    fn counts(&self, number: usize) -> usize {
        let task = &self.tasks[number];
        let waiting =
            self.tasks.iter().filter(|other| other.join_waker == Some(Wakes::Task(number)));
        usize::from(task.phase == Phase::Notified)
            + usize::from(task.is_bound)
            + usize::from(task.join != Join::Gone)
            + task.runner
            + task.wakers
            + task.abort_handles
            + waiting.count()
    }

    /// What the word says, with so many counts more.
    pub(crate) fn word(&self, number: usize, more: usize) -> String {
        let task = &self.tasks[number];
        let is_running = matches!(task.phase, Phase::Running { .. });
        let is_woken = task.phase == Phase::Running { is_woken: true };
        let flags = [
            (is_running, "RUNNING"),
            (matches!(task.phase, Phase::Complete(_)), "COMPLETE"),
            (is_woken || task.phase == Phase::Notified, "NOTIFIED"),
            (task.is_aborted, "ABORTED"),
            (task.has_interest, "JOIN_INTEREST"),
            (task.join_waker.is_some(), "JOIN_WAKER"),
            (task.phase == Phase::Complete(End::Panicked), "PANICKED"),
            (task.phase == Phase::Complete(End::Cancelled), "CANCELLED"),
        ];
        let flags = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name);
        let counts = self.counts(number) + more;
        flags.fold(format!("{counts} counts"), |word, flag| word + " " + flag)
    }
}
