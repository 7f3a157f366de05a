//! From a seed to a program.
//!
//! Whatever is drawn ends by itself: everything that is waited for comes from a thread outside,
//! which is always there, from the clock, from the system, or from a task below the one that waits.
//! What waits for the blocking pool is not drawn below a closure that holds one of its threads.

use std::time::Duration;

use crate::ledger::End;
use crate::oneshot::Style;
use crate::outside::Delay;
use crate::plan::{
    Action, ChildKind, Datagrams, Echo, Ending, Exchange, Fate, Group, JobsEnd, Missed, Program,
    Seed, SetEnd, Settings, Shape, Step, Stop, Streams, Task, Via, Way, Writes,
};
use crate::random::Random;

/// How deep actions are nested at most.
const DEPTH_MAX: u32 = 6;

/// One program in so many has worker processes: it takes long to start one.
const JOBS_ONE_IN: u64 = 60;

impl Program {
    pub(crate) fn random(seed: Seed) -> Self {
        let mut random = Random::new(seed.number);
        let settings = Settings {
            workers: random.pick(&[1, 1, 2, 2, 2, 3, 4]),
            blocking_threads: random.pick(&[1, 2, 4, 512, 512]),
            keep_alive: Duration::from_micros(random.pick(&[0, 200, 1000, 10_000_000])),
            stack_bytes: random.pick(&[None, None, None, Some(512 * 1024)]),
        };
        let left = random.pick(&[4, 12, 12, 30, 30, 60, 120]);
        let mut grammar = Grammar {
            random,
            left,
            depth: 0,
            may_pool: true,
            may_start_processes: seed.has_processes,
        };
        let sides = grammar.random.pick(&[0, 0, 0, 1, 2, 5]);
        let sides = (0..sides).map(|_| grammar.sequence()).collect();
        let background = grammar.random.skewed(4);
        let background = (0..background).map(|_| grammar.task()).collect();
        let mut main = grammar.sequence();
        if grammar.random.one_in(JOBS_ONE_IN) && seed.has_processes {
            main = Action::All(vec![grammar.jobs(), main]);
        }
        Self { settings, main, sides, background, ending: grammar.ending() }
    }
}

struct Grammar {
    random: Random,
    /// Actions that may still be drawn.
    left: u32,
    depth: u32,
    /// What waits for the blocking pool may be drawn.
    may_pool: bool,
    may_start_processes: bool,
}

impl Grammar {
    fn ending(&mut self) -> Ending {
        let way = match self.random.below(6) {
            0..=2 => Way::Drop,
            3 => Way::Shutdown(self.micros(3000)),
            4 => Way::Shutdown(Duration::from_secs(3600)),
            _ => Way::Background,
        };
        match self.random.below(12) {
            0..=5 => Ending::Peaceful(way),
            6 | 7 => Ending::Cut(way),
            8 => Ending::InTask(self.delay()),
            9 => Ending::InClosure(self.delay()),
            10 => Ending::Outside(self.delay()),
            _ => Ending::InMain,
        }
    }

    fn micros(&mut self, below: u64) -> Duration {
        Duration::from_micros(self.random.skewed(below))
    }

    fn delay(&mut self) -> Delay {
        match self.random.below(6) {
            0 | 1 => Delay::None,
            2 | 3 => Delay::Spins(self.random.skewed(20_000) as u32),
            4 => Delay::Yields(self.random.skewed(6) as u8),
            _ => Delay::Micros(self.random.skewed(1500) as u16),
        }
    }

    fn style(&mut self) -> Style {
        match self.random.below(4) {
            0 => Style::ByValue,
            1 => Style::ByReference,
            2 => Style::ByClones(self.random.below(5) as u8),
            _ => Style::FromDrop,
        }
    }

    fn sequence(&mut self) -> Action {
        let count = 1 + self.random.skewed(6);
        Action::All((0..count).map(|_| self.action()).collect())
    }

    fn boxed(&mut self) -> Box<Action> {
        Box::new(self.action())
    }

    /// An action without others in it, and with nothing of the blocking pool.
    fn leaf(&mut self) -> Action {
        match self.random.below(8) {
            0 => Action::Yield(self.random.skewed(10) as u8),
            1 => Action::Compute(self.random.skewed(30_000) as u32),
            2 => Action::Spend(self.random.skewed(400) as u16),
            3 => Action::WakeSelf(self.random.skewed(8) as u8, self.style()),
            4 => Action::KeepWaker,
            5 => Action::Knock(1 + self.random.skewed(40) as u16),
            _ => Action::Signal(self.delay(), self.style()),
        }
    }

    fn action(&mut self) -> Action {
        if self.left == 0 || self.depth >= DEPTH_MAX {
            return self.leaf();
        }
        self.left -= 1;
        self.depth += 1;
        let action = match self.random.below(100) {
            0..=15 => self.leaf(),
            16..=33 => self.spawn(),
            34..=43 => self.time(),
            44..=57 => self.many(),
            58..=65 => self.blocks(),
            66..=71 => self.inside(),
            72..=79 => self.shares(),
            80..=93 => self.streams(),
            94..=98 => self.pool_io(),
            _ if self.may_start_processes => self.child(),
            _ => self.leaf(),
        };
        self.depth -= 1;
        action
    }

    fn task(&mut self) -> Task {
        let end = match self.random.below(12) {
            0 => End::Panic,
            1 => End::Failure,
            2 => End::PanicInDrop,
            _ => End::Value,
        };
        let shape = Shape { end, wraps: self.random.one_in(2) };
        let (body_kind, body) = match self.random.below(4) {
            0 => ("leaf", self.leaf()),
            1 => ("sequence", self.sequence()),
            _ => ("action", self.action()),
        };
        Task { body, body_kind, shape }
    }

    fn tasks(&mut self, most: u64) -> Vec<Task> {
        (0..self.random.skewed(most)).map(|_| self.task()).collect()
    }

    fn fate(&mut self) -> Fate {
        match self.random.below(14) {
            0..=3 => Fate::Join,
            4 => Fate::JoinAfter(self.boxed()),
            5 => Fate::Detach,
            6 => Fate::DetachReporting,
            7 => Fate::PollAndDrop,
            8 | 9 => Fate::Abort(Box::new(self.leaf())),
            10 => Fate::AbortOutside(self.delay()),
            11 => Fate::Cancel(Box::new(self.leaf())),
            12 => Fate::JoinOutside,
            _ => Fate::Keep,
        }
    }

    fn spawn(&mut self) -> Action {
        let task = Box::new(self.task());
        let via = match self.random.below(8) {
            0..=2 => Via::Here,
            3 => Via::Handle,
            4 => Via::Named,
            5 => Via::Detached,
            6 => Via::Outside(self.delay()),
            _ => Via::Group,
        };
        Action::Spawn { task, via, fate: self.fate() }
    }

    fn time(&mut self) -> Action {
        match self.random.below(5) {
            0 | 1 => {
                let resets = self.random.skewed(4);
                Action::Sleep {
                    first: self.micros(4000),
                    resets: (0..resets).map(|_| self.micros(3000)).collect(),
                    moves: self.random.one_in(4),
                }
            }
            2 | 3 => Action::Timeout(self.micros(4000), self.boxed()),
            _ => Action::Beat {
                period: Duration::from_micros(50) + self.micros(600),
                ticks: 1 + self.random.skewed(5) as u8,
                missed: self.random.pick(&[Missed::Burst, Missed::Delay, Missed::Skip]),
            },
        }
    }

    /// Several tasks at once.
    fn many(&mut self) -> Action {
        match self.random.below(10) {
            0 => {
                let limit = self.random.one_in(3).then(|| self.micros(2000));
                Action::Gather { tasks: self.tasks(8), limit }
            }
            1 => Action::TryGather(self.tasks(8)),
            2 => {
                let take = self.random.below(8) as usize;
                Action::AsCompleted { tasks: self.tasks(8), take }
            }
            3 | 4 => {
                let ends = [
                    SetEnd::JoinAll,
                    SetEnd::AbortAll,
                    SetEnd::Shutdown,
                    SetEnd::DetachAll,
                    SetEnd::Drop,
                ];
                Action::Set { tasks: self.tasks(8), end: self.random.pick(&ends) }
            }
            5 => Action::Shield(Box::new(self.task()), self.micros(1500)),
            6 => Action::Tokens {
                seed: self.random.next(),
                nodes: 1 + self.random.below(10) as u8,
                delay: self.delay(),
            },
            _ => self.group(),
        }
    }

    fn group(&mut self) -> Action {
        let closures = if self.may_pool { self.random.skewed(3) } else { 0 };
        let ends = [End::Value, End::Value, End::Value, End::Failure, End::Panic];
        let closures = (0..closures).map(|_| (self.steps(true), self.random.pick(&ends))).collect();
        Action::Group(Box::new(Group {
            tasks: self.tasks(6),
            closures,
            body: self.action(),
            body_fails: self.random.one_in(6),
            joins: self.random.one_in(2),
            stop: match self.random.below(6) {
                0 => Stop::Cancel(self.delay()),
                1 => Stop::CancelAfter(self.micros(2000)),
                2 => Stop::Timeout(self.micros(2000)),
                _ => Stop::Nothing,
            },
        }))
    }

    /// Steps of a closure, which holds a thread of the pool if `in_pool`.
    fn steps(&mut self, in_pool: bool) -> Vec<Step> {
        let could_pool = self.may_pool;
        self.may_pool = could_pool && !in_pool;
        let count = self.random.skewed(4);
        let steps = (0..count).map(|_| match self.random.below(5) {
            0 => Step::Spin(self.random.skewed(40_000) as u32),
            1 => Step::Nap(self.micros(500)),
            2 => Step::BlockOn(self.boxed()),
            _ => Step::Gate(self.delay()),
        });
        let steps = steps.collect();
        self.may_pool = could_pool;
        steps
    }

    fn blocks(&mut self) -> Action {
        match self.random.below(6) {
            0 => Action::Block(self.delay()),
            1 => Action::BlockForTask,
            2 | 3 => Action::InPlace(self.steps(false)),
            _ if !self.may_pool => self.leaf(),
            _ => {
                let end = self.random.pick(&[End::Value, End::Value, End::Panic, End::Failure]);
                Action::Blocking { steps: self.steps(true), end, fate: self.fate() }
            }
        }
    }

    /// Other actions inside the same task.
    fn inside(&mut self) -> Action {
        match self.random.below(4) {
            0 | 1 => Action::Select(self.boxed(), self.boxed()),
            2 => Action::Join((0..self.random.below(5)).map(|_| self.action()).collect()),
            _ => Action::Local(self.random.next(), self.boxed()),
        }
    }

    fn shares(&mut self) -> Action {
        let tasks = 1 + self.random.below(6) as u8;
        let rounds = 1 + self.random.below(10) as u8;
        match self.random.below(3) {
            0 => Action::Lock { tasks, rounds, aborted: self.random.skewed(3) as u8 },
            1 => Action::Permits { tasks, permits: 1 + self.random.below(3) as u8, rounds },
            _ => Action::Channel {
                senders: tasks,
                messages: 1 + self.random.skewed(60) as u8,
                room: 1 + self.random.skewed(8) as u8,
            },
        }
    }

    fn streams(&mut self) -> Action {
        let seed = self.random.next();
        if self.random.one_in(4) {
            let kind = self.random.pick(&[Datagrams::Udp, Datagrams::Unix]);
            return Action::Datagrams { seed, count: 1 + self.random.skewed(30) as u8, kind };
        }
        let bytes = self.random.pick(&[0, 1, 300, 5000, 40_000, 400_000]);
        Action::Stream(Exchange {
            seed,
            kind: self.random.pick(&[Streams::Tcp, Streams::Unix, Streams::UnixPair]),
            bytes: self.random.below(bytes + 1) as u32,
            writes_in: self.random.pick(&[Writes::OtherTask, Writes::SameTask, Writes::Readiness]),
            echo: self.random.pick(&[Echo::Loop, Echo::Copy, Echo::Vectored]),
            cut: self.random.one_in(6).then(|| self.delay()),
        })
    }

    fn pool_io(&mut self) -> Action {
        if !self.may_pool {
            return self.leaf();
        }
        Action::File { seed: self.random.next(), bytes: self.random.skewed(100_000) as u32 }
    }

    fn child(&mut self) -> Action {
        let kind = match self.random.below(3) {
            0 => ChildKind::Cat(self.random.skewed(200_000) as u32),
            1 => ChildKind::Exits(self.random.below(4) as u8),
            _ => ChildKind::Killed(self.micros(2000)),
        };
        Action::Child { seed: self.random.next(), kind }
    }

    fn jobs(&mut self) -> Action {
        Action::Jobs {
            seed: self.random.next(),
            calls: 1 + self.random.below(12) as u8,
            workers: 1 + self.random.below(2) as u8,
            end: self.random.pick(&[JobsEnd::Shutdown, JobsEnd::Drop]),
        }
    }
}
