//! Timers: the wheel, and what is built of wheels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::harness;
use crate::input::Input;
use crate::sleeps;

#[allow(dead_code)]
#[path = "../src/driver/timers.rs"]
mod shipped;

use shipped::{NEVER, TimerKey, TimerState, Wheel};

/// Timers at one time.
const TIMERS_MAX: usize = 64;

/// What rounding may add to a deadline.
const TICK_NS: u64 = 1 << 14;

/// Reads the input as a program for one wheel, or for a driver and the sleeps of several threads.
///
/// # Panics
///
/// Panics if they do not do what a sorted map does, or if anything in them panics.
pub fn timers(input: &[u8]) {
    let mut input = Input::new(input);
    let is_wheel = input.byte() & 1 == 0;
    harness::run_to_the_last_byte(|| {
        if is_wheel {
            Pair::new().play(input);
        } else {
            sleeps::play(input);
        }
    });
}

/// The first tick at which a timer may fire.
pub(crate) fn tick_of(deadline: u64) -> u64 {
    deadline.div_ceil(TICK_NS)
}

/// When a clock gets to a tick, if one ever does.
pub(crate) fn time_of(tick: u64) -> u64 {
    tick.checked_mul(TICK_NS).unwrap_or(NEVER)
}

/// A waker like no other.
pub(crate) struct Bell;

impl Wake for Bell {
    fn wake(self: Arc<Self>) {}
}

/// A timer as the oracle knows it.
struct Known {
    key: TimerKey,
    waker: Waker,
    /// Where it is in `Pair::waiting`, or what has become of it.
    state: Result<(u64, u64), TimerState>,
}

/// The wheel beside the simplest thing that could be right.
struct Pair {
    wheel: Wheel,
    now: u64,
    /// The tick of the latest call of [`Wheel::fire`].
    fired_to: u64,
    is_closed: bool,
    timers: BTreeMap<u64, Known>,
    /// The timers that wait: by tick, and by their coming.
    waiting: BTreeMap<(u64, u64), u64>,
    /// Ticks that timers were taken from, which the wheel may remember.
    left: BTreeSet<u64>,
    serial: u64,
}

impl Pair {
    fn new() -> Self {
        Self {
            wheel: Wheel::new(),
            now: 0,
            fired_to: 0,
            is_closed: false,
            timers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            left: BTreeSet::new(),
            serial: 0,
        }
    }

    fn play(mut self, mut input: Input<'_>) {
        // Ends: each step uses a byte up.
        while !input.is_empty() {
            match input.byte() % 16 {
                0..=3 => {
                    let deadline = self.now.saturating_add(input.up_to_bits(40));
                    self.insert(deadline);
                }
                4 => {
                    let deadline = self.now.saturating_sub(input.up_to_bits(40));
                    self.insert(deadline);
                }
                5 => {
                    let deadline = self.now.saturating_add(input.up_to_bits(64));
                    self.insert(deadline);
                }
                6 => self.remove(&mut input),
                7 | 8 => self.postpone(&mut input),
                9 => self.poll(&mut input),
                10 => self.replace_waker(&mut input),
                11 | 12 => self.fire(self.wheel.next_deadline()),
                13 => self.fire(self.now.saturating_add(input.up_to_bits(20))),
                14 => self.fire(self.now.saturating_add(input.up_to_bits(50))),
                // Seldom: little happens afterwards.
                _ => {
                    if input.byte() == 0xff {
                        self.close();
                    }
                }
            }
            self.check_next_deadline();
        }
    }

    fn insert(&mut self, deadline: u64) {
        if self.timers.len() == TIMERS_MAX {
            return;
        }
        let waker = Waker::from(Arc::new(Bell));
        match self.wheel.insert(deadline, waker.clone()) {
            Ok(key) => {
                assert!(!self.is_closed, "a closed wheel takes a timer");
                let number = self.number();
                let at = self.enlist(number, deadline);
                self.timers.insert(number, Known { key, waker, state: Ok(at) });
            }
            Err(back) => {
                assert!(self.is_closed, "an open wheel refuses a timer");
                assert!(back.will_wake(&waker), "not the waker that was refused");
            }
        }
    }

    /// A timer waits for the tick of its deadline, or for the next firing if that has been.
    fn enlist(&mut self, number: u64, deadline: u64) -> (u64, u64) {
        let at = (tick_of(deadline).max(self.fired_to), self.number());
        self.waiting.insert(at, number);
        at
    }

    fn delist(&mut self, at: (u64, u64)) {
        assert!(self.waiting.remove(&at).is_some(), "the oracle is out of step");
        self.left.insert(at.0);
    }

    fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Any timer whose key is not used up.
    fn any(&self, input: &mut Input<'_>) -> Option<u64> {
        let position = usize::from(input.byte()) % self.timers.len().max(1);
        self.timers.keys().nth(position).copied()
    }

    fn remove(&mut self, input: &mut Input<'_>) {
        let Some(number) = self.any(input) else { return };
        let known = self.timers.remove(&number).expect("it was listed");
        let waker = self.wheel.remove(known.key);
        match known.state {
            Ok(at) => {
                self.delist(at);
                let waker = waker.expect("a timer that waits has a waker");
                assert!(waker.will_wake(&known.waker), "another's waker");
            }
            Err(state) => assert!(waker.is_none(), "{state:?} and still has a waker"),
        }
    }

    fn postpone(&mut self, input: &mut Input<'_>) {
        let Some(number) = self.any(input) else { return };
        let known = &self.timers[&number];
        let (key, state) = (known.key, known.state);
        let base = state.map_or(self.now, |(tick, _)| time_of(tick));
        let deadline = base.saturating_add(input.up_to_bits(40));
        assert_eq!(self.wheel.postpone(key, deadline), state.is_ok(), "{state:?}");
        if let Ok(at) = state {
            self.delist(at);
            let at = self.enlist(number, deadline);
            self.timers.get_mut(&number).expect("it was listed").state = Ok(at);
        }
    }

    fn poll(&mut self, input: &mut Input<'_>) {
        let Some(number) = self.any(input) else { return };
        let known = &self.timers[&number];
        let asks_another = input.byte() & 1 == 1;
        let waker = if asks_another { Waker::from(Arc::new(Bell)) } else { known.waker.clone() };
        let expected = match known.state {
            Ok(_) if asks_another => TimerState::WakesAnother,
            Ok(_) => TimerState::Waiting,
            Err(state) => state,
        };
        assert_eq!(self.wheel.poll(known.key, &waker), expected);
        if known.state.is_err() {
            self.timers.remove(&number);
        }
    }

    fn replace_waker(&mut self, input: &mut Input<'_>) {
        let Some(number) = self.any(input) else { return };
        let known = self.timers.get_mut(&number).expect("it was listed");
        let waker = Waker::from(Arc::new(Bell));
        let unneeded = self.wheel.replace_waker(known.key, waker.clone());
        let unneeded = unneeded.expect("one of two is not needed");
        if known.state.is_ok() {
            assert!(unneeded.will_wake(&known.waker), "not the waker that was replaced");
            known.waker = waker;
        } else {
            assert!(unneeded.will_wake(&waker), "not the waker that came too late");
        }
    }

    fn fire(&mut self, now: u64) {
        // No clock gets to the end.
        self.now = now.min(NEVER - 1).max(self.now);
        self.fired_to = self.now / TICK_NS;
        let mut due = Vec::new();
        self.wheel.fire(self.now, &mut due);
        let mut due = due.into_iter();
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > self.fired_to {
                break;
            }
            let known = self.timers.get_mut(&first.remove()).expect("it waited");
            let fired = due.next().expect("a timer that is due did not fire");
            assert!(fired.will_wake(&known.waker), "not in the order of ticks and of coming");
            known.state = Err(TimerState::Fired);
        }
        assert_eq!(due.count(), 0, "timers fired that are not due");
        self.left = self.left.split_off(&self.fired_to);
        let told = self.wheel.next_deadline();
        assert!(told > self.now, "told {told}, which has been");
    }

    fn check_next_deadline(&self) {
        let told = self.wheel.next_deadline();
        let Some((&(first, _), _)) = self.waiting.first_key_value() else {
            assert_eq!(told, NEVER, "there are no timers");
            return;
        };
        let is_left = self.left.range(self.fired_to..first).any(|&tick| time_of(tick) == told);
        assert!(told == time_of(first) || is_left, "told {told}, and tick {first} is the first");
    }

    fn close(&mut self) {
        let mut wakers = Vec::new();
        self.wheel.close(&mut wakers);
        self.is_closed = true;
        assert_eq!(wakers.len(), self.waiting.len());
        for number in std::mem::take(&mut self.waiting).into_values() {
            let known = self.timers.get_mut(&number).expect("it waited");
            let is_told = wakers.iter().any(|waker| waker.will_wake(&known.waker));
            assert!(is_told, "a timer that was ended wakes nobody");
            known.state = Err(TimerState::Closed);
        }
    }
}
