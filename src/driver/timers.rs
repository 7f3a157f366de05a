//! The wheel: deadlines and the wakers that are due at them, as pure data.
//!
//! Time is an argument, in nanoseconds of any clock. The wheel counts it in ticks and rounds
//! deadlines up to one, so that nothing fires early. A timer stands in the level of the highest
//! digit (of six bits) in which its tick differs from the wheel's own, and there in the slot of
//! that digit. So inserting and removing cost the same however many timers there are, and:
//!
//! W1 Slots of level 0 are not before the wheel's own digit, slots of higher levels are after it.
//! W2 What stands in a level comes before all that stands in the levels above. With W1: the
//!    earliest timer is in the first occupied slot of the lowest occupied level.
//! W3 A slot remembers the earliest tick that was put in. Removals do not raise it, so the next
//!    deadline that the wheel tells may be too early, never too late.

use std::mem;
use std::task::Waker;

use crate::primitive::seeded;

/// A tick is `2^14` ns, 16 µs: how late rounding may make a timer.
const TICK_BITS: u32 = 14;

/// Slots a level: as many as a word of occupancy has bits.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;

/// Levels enough for every tick there is.
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(SLOT_BITS) as usize;

/// The tick that nothing reaches, and the deadline that stands for "none".
pub(crate) const NEVER: u64 = u64::MAX;

/// No entry: the end of a list.
const NIL: u32 = u32::MAX;

/// Which entry of which wheel's slab, and in which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    index: u32,
    generation: u32,
}

/// What has become of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerState {
    /// It is still to come, and will wake the waker that was asked with.
    Waiting,
    /// It is still to come, and would wake another waker.
    WakesAnother,
    /// Its deadline has passed. The key is used up.
    Fired,
    /// The wheel was closed before its deadline. The key is used up.
    Closed,
}

/// Timers by deadline.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The wheel's own tick: all before it has fired, and no timer is before it.
    elapsed: u64,
    /// A bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    slots: Box<[[Slot; SLOTS]; LEVELS]>,
    entries: Vec<Entry>,
    /// The first of the entries that nobody uses.
    free: u32,
    closed: bool,
}

/// Timers in the order of their coming.
#[derive(Clone, Copy, Debug)]
struct Slot {
    head: u32,
    tail: u32,
    /// No timer here is before this tick (W3).
    earliest: u64,
}

const EMPTY: Slot = Slot { head: NIL, tail: NIL, earliest: NEVER };

#[derive(Debug)]
struct Entry {
    tick: u64,
    waker: Option<Waker>,
    /// Counts the uses of the entry.
    generation: u32,
    previous: u32,
    next: u32,
    place: Place,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Slot { level: u8, slot: u8 },
    Fired,
    Closed,
    Free,
}

impl Wheel {
    /// A wheel with no timers, at time zero.
    pub(crate) fn new() -> Self {
        Self {
            elapsed: 0,
            occupied: [0; LEVELS],
            slots: Box::new([[EMPTY; SLOTS]; LEVELS]),
            entries: Vec::new(),
            free: NIL,
            closed: false,
        }
    }

    /// Adds a timer that is due at `deadline`; a closed wheel hands the waker back.
    ///
    /// A deadline in the past is due with the next [`Wheel::fire`].
    #[inline]
    pub(crate) fn insert(&mut self, deadline: u64, waker: Waker) -> Result<TimerKey, Waker> {
        if self.closed && !seeded::is("timers: refuse after shutdown") {
            return Err(waker);
        }
        let tick = tick_of(deadline).max(self.elapsed);
        let index = self.allocate(tick, waker);
        self.link(index, tick);
        Ok(TimerKey { index, generation: self.entry(index).generation })
    }

    /// What has become of a timer, and whether it would wake `waker`.
    #[inline]
    pub(crate) fn poll(&mut self, key: TimerKey, waker: &Waker) -> TimerState {
        let entry = self.keyed(key);
        match entry.place {
            Place::Fired => {
                self.release(key.index);
                TimerState::Fired
            }
            Place::Closed => {
                self.release(key.index);
                TimerState::Closed
            }
            _ if entry.waker.as_ref().is_some_and(|own| own.will_wake(waker)) => {
                TimerState::Waiting
            }
            _ => TimerState::WakesAnother,
        }
    }

    /// Sets the waker of a timer that waits, and hands back the one that is not needed: the old
    /// one, or `waker` itself if the timer does not wait.
    pub(crate) fn replace_waker(&mut self, key: TimerKey, waker: Waker) -> Option<Waker> {
        let entry = self.keyed(key);
        match entry.place {
            Place::Slot { .. } => entry.waker.replace(waker),
            _ => Some(waker),
        }
    }

    /// Moves a timer to a later deadline; `false` if it does not wait any more.
    pub(crate) fn postpone(&mut self, key: TimerKey, deadline: u64) -> bool {
        let elapsed = self.elapsed;
        let entry = self.keyed(key);
        let Place::Slot { level, slot } = entry.place else { return false };
        let tick = tick_of(deadline).max(elapsed);
        entry.tick = tick;
        self.unlink(key.index, level, slot);
        self.link(key.index, tick);
        true
    }

    /// Removes a timer, fired or not, and hands its waker back. The key is used up.
    #[inline]
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        let entry = self.keyed(key);
        let waker = entry.waker.take();
        if let Place::Slot { level, slot } = entry.place {
            self.unlink(key.index, level, slot);
        }
        self.release(key.index);
        waker
    }

    /// Takes the wakers of all that is due at `now`, in the order of their ticks.
    pub(crate) fn fire(&mut self, now: u64, due: &mut Vec<Waker>) {
        let now = now >> TICK_BITS;
        // Ends: a slot of level 0 goes for good, any other one for slots of lower levels.
        while let Some((level, slot)) = self.first_occupied() {
            let start = self.start_of(level, slot);
            if start > now {
                break;
            }
            // W1 holds between: nothing is left before `start`.
            self.elapsed = start;
            let mut index = mem::replace(&mut self.slots[level][slot], EMPTY).head;
            self.occupied[level] &= !(1 << slot);
            while index != NIL {
                let entry = &mut self.entries[index as usize];
                let next = entry.next;
                if level == 0 {
                    entry.place = Place::Fired;
                    if seeded::is("timers: a fired timer keeps its waker") {
                        entry.place = Place::Slot { level: 0, slot: slot as u8 };
                        due.extend(entry.waker.clone());
                    }
                    due.extend(entry.waker.take());
                } else {
                    let tick = entry.tick;
                    self.link(index, tick);
                }
                index = next;
            }
        }
        // W1: every slot that begins up to `now` is empty.
        self.elapsed = self.elapsed.max(now);
    }

    /// When to call [`Wheel::fire`] next: a little early at worst (W3), [`NEVER`] with no timers.
    #[inline]
    pub(crate) fn next_deadline(&self) -> u64 {
        self.first_occupied().map_or(NEVER, |(level, slot)| {
            // W2. A tick beyond the clock's range is never.
            deadline_of(self.slots[level][slot].earliest)
        })
    }

    /// Ends all timers without firing them, takes their wakers, and refuses new ones.
    pub(crate) fn close(&mut self, wakers: &mut Vec<Waker>) {
        self.closed = true;
        self.occupied = [0; LEVELS];
        *self.slots = [[EMPTY; SLOTS]; LEVELS];
        for entry in &mut self.entries {
            if matches!(entry.place, Place::Slot { .. }) {
                entry.place = Place::Closed;
                wakers.extend(entry.waker.take());
            }
        }
    }

    /// W2: where the earliest timer is.
    #[inline]
    fn first_occupied(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    /// The first tick of a slot.
    fn start_of(&self, level: usize, slot: usize) -> u64 {
        let shift = SLOT_BITS * level as u32;
        // W1: the digits above are those of the wheel.
        let above = self.elapsed >> shift >> SLOT_BITS << SLOT_BITS;
        (above | slot as u64) << shift
    }

    /// Puts an entry at the end of the slot that is its tick's.
    #[inline]
    fn link(&mut self, index: u32, tick: u64) {
        debug_assert!(self.elapsed <= tick, "tick {tick} before {}", self.elapsed);
        let differing = (tick ^ self.elapsed) | 1;
        let level = (differing.ilog2() / SLOT_BITS) as usize;
        let number = (tick >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        self.occupied[level] |= 1 << number;
        let slot = &mut self.slots[level][number];
        slot.earliest = slot.earliest.min(tick);
        let previous = mem::replace(&mut slot.tail, index);
        match previous {
            NIL => slot.head = index,
            previous => self.entries[previous as usize].next = index,
        }
        let entry = &mut self.entries[index as usize];
        entry.previous = previous;
        entry.next = NIL;
        entry.place = Place::Slot { level: level as u8, slot: number as u8 };
    }

    #[inline]
    fn unlink(&mut self, index: u32, level: u8, number: u8) {
        let Entry { previous, next, .. } = self.entries[index as usize];
        let slot = &mut self.slots[level as usize][number as usize];
        match previous {
            NIL => slot.head = next,
            previous => self.entries[previous as usize].next = next,
        }
        match next {
            NIL => slot.tail = previous,
            next => self.entries[next as usize].previous = previous,
        }
        if slot.head == NIL {
            *slot = EMPTY;
            self.occupied[level as usize] &= !(1 << number);
        }
    }

    #[inline]
    fn allocate(&mut self, tick: u64, waker: Waker) -> u32 {
        let index = self.free;
        if index != NIL {
            let entry = &mut self.entries[index as usize];
            self.free = entry.next;
            entry.tick = tick;
            entry.waker = Some(waker);
            return index;
        }
        assert!(self.entries.len() < NIL as usize, "more than {NIL} timers at once");
        self.entries.push(Entry {
            tick,
            waker: Some(waker),
            generation: 0,
            previous: NIL,
            next: NIL,
            place: Place::Free,
        });
        self.entries.len() as u32 - 1
    }

    #[inline]
    fn release(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.place = Place::Free;
        entry.next = self.free;
        self.free = index;
    }

    #[inline]
    fn entry(&self, index: u32) -> &Entry {
        &self.entries[index as usize]
    }

    #[inline]
    fn keyed(&mut self, key: TimerKey) -> &mut Entry {
        let entry = &mut self.entries[key.index as usize];
        assert!(entry.generation == key.generation, "a timer key was used after its timer");
        entry
    }
}

/// The first tick that is not before `deadline`.
#[inline]
const fn tick_of(deadline: u64) -> u64 {
    deadline.div_ceil(1 << TICK_BITS)
}

/// The deadline that a tick stands for; beyond the clock's range it is [`NEVER`].
#[inline]
const fn deadline_of(tick: u64) -> u64 {
    if tick <= NEVER >> TICK_BITS { tick << TICK_BITS } else { NEVER }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    const TICK: u64 = 1 << TICK_BITS;

    /// A waker that counts.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Bell {
        fn new() -> (Arc<Self>, Waker) {
            let bell = Arc::new(Self::default());
            let waker = Waker::from(Arc::clone(&bell));
            (bell, waker)
        }

        fn rings(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Numbers that look like chance and are the same in every run (SplitMix64).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        /// Below two to the power of a number up to `bits`: small ones as often as large ones.
        fn of_any_size(&mut self, bits: u64) -> u64 {
            let size = self.next() % bits;
            self.next() >> (63 - size)
        }
    }

    /// A timer as the oracle knows it.
    struct Known {
        key: TimerKey,
        deadline: u64,
        bell: Arc<Bell>,
        waker: Waker,
    }

    /// The wheel beside the simplest thing that could be right.
    struct Pair {
        wheel: Wheel,
        waiting: BTreeMap<(u64, u64), Known>,
        serial: u64,
        now: u64,
    }

    impl Pair {
        fn insert(&mut self, deadline: u64) {
            let (bell, waker) = Bell::new();
            let key = self.wheel.insert(deadline, waker.clone()).expect("the wheel is open");
            self.serial += 1;
            self.waiting.insert((deadline, self.serial), Known { key, deadline, bell, waker });
        }

        fn remove_any(&mut self, random: &mut Random) {
            let position = random.next() as usize % self.waiting.len().max(1);
            let Some(at) = self.waiting.keys().nth(position).copied() else {
                return;
            };
            let known = self.waiting.remove(&at).expect("it was listed");
            let waker = self.wheel.remove(known.key).expect("a waiting timer has its waker");
            assert!(waker.will_wake(&known.waker));
            assert_eq!(known.bell.rings(), 0, "it was removed before it was due");
        }

        fn postpone_any(&mut self, random: &mut Random) {
            let position = random.next() as usize % self.waiting.len().max(1);
            let Some(at) = self.waiting.keys().nth(position).copied() else {
                return;
            };
            let mut known = self.waiting.remove(&at).expect("it was listed");
            known.deadline = known.deadline.saturating_add(random.of_any_size(40));
            assert!(self.wheel.postpone(known.key, known.deadline), "it waits");
            self.serial += 1;
            self.waiting.insert((known.deadline, self.serial), known);
        }

        fn fire(&mut self, now: u64) {
            let told = self.wheel.next_deadline();
            if let Some(((first, _), _)) = self.waiting.first_key_value() {
                // What was overdue when it came is due at once.
                let rounded = first.div_ceil(TICK).saturating_mul(TICK).max(self.now);
                assert!(told <= rounded, "told {told}, but {first} is due");
            }
            self.now = now;
            let mut due = Vec::new();
            self.wheel.fire(now, &mut due);
            due.into_iter().for_each(Waker::wake);
            for known in self.waiting.values() {
                let rings = known.bell.rings();
                if known.deadline > now {
                    assert_eq!(rings, 0, "{} fired early, at {now}", known.deadline);
                }
                if known.deadline.saturating_add(TICK) <= now {
                    assert_eq!(rings, 1, "{} did not fire at {now}", known.deadline);
                }
            }
            let wheel = &mut self.wheel;
            self.waiting.retain(|_, known| {
                let fired = known.bell.rings() == 1;
                if fired {
                    assert_eq!(wheel.poll(known.key, &known.waker), TimerState::Fired);
                } else {
                    assert_eq!(wheel.poll(known.key, &known.waker), TimerState::Waiting);
                }
                !fired
            });
        }
    }

    #[test]
    fn the_wheel_fires_what_a_sorted_map_fires() {
        let rounds = if cfg!(miri) { 300 } else { 20_000 };
        for seed in 0..8 {
            let mut random = Random(seed);
            let (wheel, waiting) = (Wheel::new(), BTreeMap::new());
            let mut pair = Pair { wheel, waiting, serial: 0, now: 0 };
            for _ in 0..rounds {
                match random.next() % 9 {
                    8 => pair.postpone_any(&mut random),
                    0..=3 if pair.waiting.len() < 300 => {
                        let ahead = random.of_any_size(if seed % 2 == 0 { 40 } else { 63 });
                        pair.insert(pair.now.saturating_add(ahead));
                    }
                    4 => pair.insert(pair.now.saturating_sub(random.of_any_size(40))),
                    5 => pair.remove_any(&mut random),
                    6 => {
                        let told = pair.wheel.next_deadline();
                        if told < 1 << 62 {
                            pair.fire(told.max(pair.now));
                        }
                    }
                    _ => pair.fire(pair.now.saturating_add(random.of_any_size(36)).min(1 << 62)),
                }
            }
        }
    }

    #[test]
    fn timers_of_one_batch_fire_in_the_order_of_their_ticks() {
        let mut random = Random(7);
        let mut wheel = Wheel::new();
        let mut expected = Vec::new();
        for _ in 0..1000 {
            let deadline = random.of_any_size(40);
            let (_, waker) = Bell::new();
            wheel.insert(deadline, waker.clone()).expect("the wheel is open");
            expected.push((deadline.div_ceil(TICK), waker));
        }
        expected.sort_by_key(|(tick, _)| *tick);
        let mut due = Vec::new();
        wheel.fire(1 << 41, &mut due);
        assert_eq!(due.len(), expected.len());
        let ticks = due.iter().map(|waker| {
            expected.iter().find(|(_, known)| known.will_wake(waker)).expect("it was inserted").0
        });
        assert!(ticks.is_sorted());
    }

    #[test]
    fn a_deadline_that_no_clock_reaches_neither_fires_nor_overflows() {
        let mut wheel = Wheel::new();
        let (bell, waker) = Bell::new();
        let key = wheel.insert(NEVER, waker.clone()).expect("the wheel is open");
        let mut due = Vec::new();
        wheel.fire(NEVER - 1, &mut due);
        assert!(due.is_empty());
        assert_eq!(wheel.next_deadline(), NEVER);
        assert_eq!(wheel.poll(key, &waker), TimerState::Waiting);
        assert!(wheel.remove(key).is_some());
        assert_eq!(bell.rings(), 0);
    }

    #[test]
    fn a_closed_wheel_ends_its_timers_and_refuses_more() {
        let mut wheel = Wheel::new();
        let (_, waker) = Bell::new();
        let key = wheel.insert(TICK, waker.clone()).expect("the wheel is open");
        let mut wakers = Vec::new();
        wheel.close(&mut wakers);
        assert_eq!(wakers.len(), 1);
        assert_eq!(wheel.poll(key, &waker), TimerState::Closed);
        assert!(wheel.insert(TICK, waker).is_err());
    }

    #[test]
    #[should_panic(expected = "after its timer")]
    fn a_key_is_good_for_one_timer() {
        let mut wheel = Wheel::new();
        let (_, waker) = Bell::new();
        let key = wheel.insert(TICK, waker.clone()).expect("the wheel is open");
        wheel.remove(key);
        wheel.insert(TICK, waker).map(drop).expect("the wheel is open");
        wheel.remove(key);
    }
}
