//! What the monitor makes of the threads that run tasks: who is stuck, and whether it is missed.

use std::time::{Duration, Instant};

use crate::primitive::atomic::Ordering;
use crate::primitive::thread;

use super::monitor::BlockedPoll;
use super::{Remote, Shared};

/// What a computation may take of a core before it counts as stuck; a thread that waits is stuck
/// as soon as it is seen. One that waits for a core is neither: a relief would wait with it.
const COMPUTING_AFTER: Duration = Duration::from_millis(5);

/// If reliefs compute too, one more starts when nobody came to the end of a poll for so long; for
/// the next it is twice as long, and so on: they share the cores.
const PATIENCE: Duration = Duration::from_millis(50);

/// A relief leaves if, for at least so long, there were more of them than threads that were stuck.
const LINGER: Duration = Duration::from_secs(1);

/// What the monitor knows of all of them, from one look to the next.
pub(super) struct Watch {
    sights: Box<[Sight]>,
    /// The most threads that were stuck at one look since `counting_since`, and in the [`LINGER`]
    /// before that.
    stuck_max: usize,
    stuck_max_before: usize,
    counting_since: Instant,
}

/// What the monitor saw of one of them.
#[derive(Clone)]
struct Sight {
    /// A worker that slept in between, to fire a timer and sleep again, is in no poll; nor is one
    /// that stepped aside and came back in the poll that it was in before.
    polls: u64,
    parks: u64,
    steps: u64,
    /// When these numbers were seen first.
    since: Instant,
    /// What cores had spent on the thread by then, or soon after, if that is known.
    cpu_since: Option<Duration>,
    /// The same at the last look, and when that was.
    cpu_time: Option<Duration>,
    looked_at: Instant,
    doing: Doing,
    is_reported: bool,
    /// A guest that the ledger has as stuck.
    is_excused: bool,
}

/// What a thread does that runs tasks, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It sleeps, or goes from poll to poll.
    Fine,
    /// It may be stuck; the next look tells.
    Doubtful,
    /// It has been in the same poll for long, and used a core.
    Computing,
    /// It has been in the same poll for a while and uses no core, or has stepped aside.
    Blocked,
}

/// What one look came to.
#[derive(Debug)]
pub(super) struct Look {
    /// Workers and reliefs that are stuck.
    blocked: usize,
    computing: usize,
    /// For how long the latest of them has been stuck.
    youngest: Duration,
    /// Somebody may be stuck: look again soon.
    pub(super) is_doubtful: bool,
}

impl Watch {
    pub(super) fn new(shared: &Shared) -> Self {
        let now = Instant::now();
        let sights = vec![Sight::unseen(now); shared.remotes.len()].into_boxed_slice();
        Self { sights, stuck_max: 0, stuck_max_before: 0, counting_since: now }
    }

    /// Looks at everybody, and helps those that wait behind a poll.
    pub(super) fn look(&mut self, shared: &Shared) -> Look {
        let mut look =
            Look { blocked: 0, computing: 0, youngest: Duration::MAX, is_doubtful: false };
        let now = Instant::now();
        let in_use = shared.in_use();
        // Who comes to a place that was left is somebody else.
        self.sights[in_use.len()..].fill(Sight::unseen(now));
        for (index, remote) in in_use.iter().enumerate() {
            let sight = &mut self.sights[index];
            sight.update(remote, now);
            if sight.doing == Doing::Doubtful {
                look.is_doubtful = true;
            }
            let is_guest = (shared.workers..shared.reliefs.first()).contains(&index);
            if is_guest {
                sight.excuse(shared);
            }
            if !sight.is_stuck() {
                continue;
            }
            shared.rescue(index);
            if is_guest {
                // The workers are all there.
                continue;
            }
            match sight.doing {
                Doing::Computing => look.computing += 1,
                _ => look.blocked += 1,
            }
            look.youngest = look.youngest.min(now - sight.since);
        }
        look
    }

    /// Starts reliefs if too few threads are left for what there is to do, and sends those home
    /// that were not needed for a while.
    pub(super) fn relieve(&mut self, shared: &Shared, look: &Look) {
        let serving = shared.reliefs.serving();
        let stuck = look.blocked + look.computing;
        let free = (shared.workers + serving).saturating_sub(stuck);
        // Who blocks leaves a core to somebody else. Who computes does not: there the one relief
        // is for what must not wait, I/O and timers.
        let wanted = shared.workers.saturating_sub(look.computing).max(1);
        let needed = look.blocked + usize::from(look.computing > 0);
        let mut count = 0;
        let more = u32::try_from(serving.saturating_sub(needed)).unwrap_or(u32::MAX);
        if free == 0 && (serving < needed || look.youngest >= PATIENCE * 2_u32.pow(more.min(10))) {
            count = 1;
        }
        if free < wanted && !shared.idle.is_someone_idle() && shared.has_work() {
            count = count.max((wanted - free).min(needed.saturating_sub(serving)));
        }
        for _ in 0..count {
            if !shared.start_relief(usize::MAX) {
                break;
            }
        }
        self.stuck_max = self.stuck_max.max(stuck);
        if self.counting_since.elapsed() >= LINGER {
            let sights = &self.sights;
            let surplus = serving.saturating_sub(self.stuck_max);
            shared.retire_reliefs(surplus, |index| !sights[index].is_stuck());
            self.stuck_max_before = std::mem::replace(&mut self.stuck_max, stuck);
            self.counting_since = Instant::now();
        }
        shared.set_alert(self.stuck_max.max(self.stuck_max_before) > 0);
    }

    /// When reliefs that nobody needs leave.
    pub(super) fn retires_at(&self) -> Instant {
        self.counting_since + LINGER
    }

    /// Tells of polls that have lasted for `limit`, each once.
    pub(super) fn report(
        &mut self,
        shared: &Shared,
        limit: Duration,
        mut report: impl FnMut(&BlockedPoll<'_>),
    ) {
        for (index, remote) in shared.in_use().iter().enumerate() {
            let sight = &mut self.sights[index];
            let lasted = sight.since.elapsed();
            // A thread that was kept from its core keeps nobody waiting by itself.
            let is_long = sight.doing == Doing::Blocked || sight.computed() >= limit;
            if sight.is_reported || !sight.is_stuck() || lasted < limit || !is_long {
                continue;
            }
            // ORDERING: Relaxed: samples. The worker writes the id before it counts the poll, so
            // the id belongs to this poll or to the next; if the count has not moved, to this.
            let running = remote.running.load(Ordering::Relaxed);
            if running == 0 || remote.counters.polls.load(Ordering::Relaxed) != sight.polls {
                continue;
            }
            sight.is_reported = true;
            if let Some(task) = shared.owned.find(running) {
                report(&BlockedPoll { task: &task, worker: index, lasted });
            }
        }
    }
}

impl Sight {
    fn unseen(now: Instant) -> Self {
        Self {
            polls: u64::MAX,
            parks: 0,
            steps: 0,
            since: now,
            cpu_since: None,
            cpu_time: None,
            looked_at: now,
            doing: Doing::Fine,
            is_reported: false,
            is_excused: false,
        }
    }

    fn is_stuck(&self) -> bool {
        matches!(self.doing, Doing::Blocked | Doing::Computing)
    }

    /// A guest that is stuck stands for nobody, until it is not (S7).
    fn excuse(&mut self, shared: &Shared) {
        match (self.is_stuck(), self.is_excused) {
            (true, false) => shared.idle.excuse_guest(),
            (false, true) => shared.idle.excuse_ends(),
            (true, true) | (false, false) => return,
        }
        self.is_excused = !self.is_excused;
    }

    /// Looks once more.
    fn update(&mut self, remote: &Remote, now: Instant) {
        // ORDERING: Relaxed, all: samples.
        let polls = remote.counters.polls.load(Ordering::Relaxed);
        let parks = remote.counters.parks.load(Ordering::Relaxed);
        let steps = remote.steps.load(Ordering::Relaxed);
        if !remote.is_awake() {
            *self = Self { polls, parks, steps, since: now, doing: Doing::Fine, ..self.unknown() };
            return;
        }
        if (polls, parks, steps) != (self.polls, self.parks, self.steps) {
            let is_slow = polls.wrapping_sub(self.polls) <= 1;
            *self = Self { polls, parks, steps, since: now, ..self.unknown() };
            self.doing = match (steps % 2, is_slow) {
                (1, _) => Doing::Blocked,
                (_, true) => Doing::Doubtful,
                (_, false) => Doing::Fine,
            };
            if self.doing == Doing::Doubtful {
                self.looked_at = now;
                self.cpu_time = thread::cpu_time(remote.thread.load(Ordering::Relaxed));
                self.cpu_since = self.cpu_time;
            }
            return;
        }
        if steps % 2 == 0 {
            self.doing = self.judge(remote, now);
        }
    }

    /// What a thread does that is in the same poll as at the last look.
    fn judge(&mut self, remote: &Remote, now: Instant) -> Doing {
        // ORDERING: Relaxed: it was written before the thread was awake, or is an old number.
        let thread = remote.thread.load(Ordering::Relaxed);
        let cpu_time = thread::cpu_time(thread);
        let passed = now - self.looked_at;
        let spent = cpu_time.zip(self.cpu_time).map(|(now, before)| now.saturating_sub(before));
        self.looked_at = now;
        self.cpu_time = cpu_time;
        self.cpu_since = self.cpu_since.or(cpu_time);
        let is_busy = spent.is_some_and(|spent| spent >= passed / 2);
        if !is_busy && thread::is_waiting(thread).unwrap_or(true) {
            return Doing::Blocked;
        }
        if self.computed() >= COMPUTING_AFTER { Doing::Computing } else { Doing::Doubtful }
    }

    /// For how long it has used a core since it was seen first in this poll, if the system tells;
    /// else how long that is.
    fn computed(&self) -> Duration {
        match self.cpu_time.zip(self.cpu_since) {
            Some((now, since)) => now.saturating_sub(since),
            None => self.looked_at.saturating_duration_since(self.since),
        }
    }

    fn unknown(&self) -> Self {
        Self { cpu_since: None, cpu_time: None, is_reported: false, ..self.clone() }
    }
}
