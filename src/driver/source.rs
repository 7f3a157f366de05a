//! One source: what is known of its readiness, and who waits for more.
//!
//! The word (D2, D3, D4):
//!
//! ```text
//!  63           32 31        8 7          0
//! ┌───────────────┬───────────┬────────────┐
//! │  generation   │   tick    │   flags    │
//! └───────────────┴───────────┴────────────┘
//! ```
//!
//! The tick counts events, so that a reader who found nothing can say which event it refutes.
//! The generation counts the owners of the slot, so that an event for an earlier one is known.

use std::fmt;
use std::io;
use std::mem;
use std::task::Waker;

use slab::Slab;

use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::poller::Event;
use crate::primitive::seeded;

const READABLE: u64 = 1;
/// The end or an error was announced: stays through a short read, for it lies behind the data.
const READ_CLOSED: u64 = 1 << 1;
/// Nobody has tried to read since registration; for an attempt that is as good as ready.
const READ_UNTRIED: u64 = 1 << 2;
const WRITABLE: u64 = 1 << 3;
const WRITE_CLOSED: u64 = 1 << 4;
const WRITE_UNTRIED: u64 = 1 << 5;
/// There was urgent data, at whose mark a read stops short with more behind it.
const PRIORITY: u64 = 1 << 6;
/// The driver has shut down.
const SHUT_DOWN: u64 = 1 << 7;
const FLAGS: u64 = 0xff;

const TICK_ONE: u64 = 1 << 8;
const TICK: u64 = 0xff_ffff << 8;
const GENERATION_SHIFT: u32 = 32;

/// The last generation before the first comes again: what fits beside the slot in a poller's key.
const GENERATION_MAX: u32 = if usize::BITS < 64 { 0xffff } else { u32::MAX };

/// What one waits for at a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To read, accept or receive.
    Read,
    /// To write, connect or send.
    Write,
}

impl Direction {
    const fn event(self) -> u64 {
        match self {
            Self::Read => READABLE | READ_CLOSED,
            Self::Write => WRITABLE | WRITE_CLOSED,
        }
    }

    const fn untried(self) -> u64 {
        match self {
            Self::Read => READ_UNTRIED,
            Self::Write => WRITE_UNTRIED,
        }
    }

    /// What makes nobody ready, but has a say in what a short call means.
    const fn aside(self) -> u64 {
        match self {
            Self::Read => PRIORITY,
            Self::Write => 0,
        }
    }
}

/// The right to try a call: a direction was ready, as of one event.
///
/// [`Registration::clear`](super::Registration::clear) gives it back when the call found
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct Ready {
    /// The word as it was seen, its flags cut down to the direction's.
    seen: u64,
}

impl Ready {
    /// Of a source that is not registered: nothing is known, so trying is the way to find out.
    pub(super) const UNKNOWN: Self = Self { seen: 0 };
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("flags", &format_args!("{:#010b}", self.seen & FLAGS))
            .field("tick", &((self.seen & TICK) >> TICK_ONE.trailing_zeros()))
            .finish()
    }
}

/// Why a source cannot be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// The slot has another owner by now, or none.
    Deregistered,
    /// The driver has shut down.
    ShutDown,
}

impl From<Gone> for io::Error {
    fn from(gone: Gone) -> Self {
        io::Error::other(match gone {
            Gone::Deregistered => "the source was deregistered",
            Gone::ShutDown => "the runtime was shut down",
        })
    }
}

/// A slot of the [`Table`](super::reactor): one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Source {
    word: AtomicU64,
    waiters: Mutex<Waiters>,
}

/// Who waits at a source.
#[derive(Debug, Default)]
struct Waiters {
    /// The last task that polled to read, and to write: the `poll_` interface has room for one.
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The futures that wait, any number; boxed because few sources ever have one.
    more: Option<Box<Slab<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    direction: Direction,
    /// Gone when an event took it.
    waker: Option<Waker>,
}

/// Which waiter of its source a future is.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaiterKey(usize);

/// Where a waiter leaves its waker.
#[derive(Debug)]
pub(super) enum Seat<'a> {
    /// The one place of the direction; the last to come has it.
    Only,
    /// A place of the future's own, which it must leave with [`Source::leave`].
    Own(&'a mut Option<WaiterKey>),
}

impl Source {
    pub(super) fn new() -> Self {
        Self { word: AtomicU64::new(0), waiters: Mutex::new(Waiters::default()) }
    }

    /// Gives the slot to a new owner and returns its generation, which `vacate` left here.
    ///
    /// A direction that was not `tried` counts as ready for the first attempt.
    pub(super) fn occupy(&self, tried: Option<Direction>) -> u32 {
        let untried = READ_UNTRIED | WRITE_UNTRIED;
        let flags = tried.map_or(untried, |direction| untried & !direction.untried());
        let before = self.update(|word| Some((word & !(FLAGS | TICK)) | flags));
        generation_of(before)
    }

    /// Takes the slot from the owner of `generation`; its waiters learn that it is gone.
    pub(super) fn vacate(&self, generation: u32, woken: &mut Vec<Waker>) {
        let mut waiters = self.waiters.lock();
        // D4: from here on an event, a look and a waiter of this generation find another.
        self.update(|word| {
            debug_assert_eq!(generation_of(word), generation, "vacated by its owner, once");
            let shut_down = word & SHUT_DOWN;
            let next = u64::from(generation.wrapping_add(1) & GENERATION_MAX);
            Some(next << GENERATION_SHIFT | shut_down)
        });
        let gone = mem::take(&mut *waiters);
        drop(waiters);
        gone.into_wakers(woken);
    }

    /// What is known of `direction`; an `attempt` may also try what nobody has tried yet.
    #[inline]
    pub(super) fn look(
        &self,
        generation: u32,
        direction: Direction,
        attempt: bool,
    ) -> Result<Option<Ready>, Gone> {
        // ORDERING: Acquire. Pairs with Release in `update` by `event`: the call that follows
        // finds what the poller saw.
        let word = self.word.load(Ordering::Acquire);
        if generation_of(word) != generation {
            return Err(Gone::Deregistered);
        }
        if word & SHUT_DOWN != 0 {
            return Err(Gone::ShutDown);
        }
        let mut flags = direction.event();
        if attempt {
            flags |= direction.untried();
        }
        if word & flags == 0 {
            return Ok(None);
        }
        Ok(Some(Ready { seen: word & (!FLAGS | flags | direction.aside()) }))
    }

    /// Leaves `waker` for the next event of `direction`, unless the source is ready by now.
    ///
    /// `arm` is told the directions that are waited for, itself among them.
    pub(super) fn wait(
        &self,
        generation: u32,
        direction: Direction,
        attempt: bool,
        waker: Waker,
        seat: Seat<'_>,
        arm: impl FnOnce(bool, bool) -> io::Result<()>,
    ) -> io::Result<Option<Ready>> {
        // D7: dropped behind the lock, for a waker's drop may come back here.
        let _replaced;
        let mut waiters = self.waiters.lock();
        // LIVENESS (D3): look again under the lock, under which `event` sets readiness and takes
        // the wakers: either its readiness is seen here, or it finds the waker there.
        // Model: models/source.rs `an_event_is_seen_or_finds_the_waker`.
        if !seeded::is("source: look again under the lock") {
            if let Some(ready) = self.look(generation, direction, attempt)? {
                _replaced = Some(waker);
                return Ok(Some(ready));
            }
        }
        _replaced = waiters.seat(direction, waker, seat);
        let (readable, writable) = waiters.wanted();
        arm(readable, writable)?;
        Ok(None)
    }

    /// Gives up the place of a future.
    pub(super) fn leave(&self, generation: u32, key: WaiterKey) {
        // D7: as in `wait`.
        let _left;
        let mut waiters = self.waiters.lock();
        // D4: a later generation's waiters are none of this future's business.
        let current = generation_of(self.word.load(Ordering::Relaxed));
        if current != generation || seeded::is("source: a dropped waiter keeps its place") {
            return;
        }
        _left = waiters.more.as_mut().and_then(|more| more.try_remove(key.0));
    }

    /// Takes `ready` back: the call that it allowed would have had to wait.
    ///
    /// The call's word outweighs every flag of its direction, closed and untried too: whatever
    /// happens after it is a new event. An event since `ready` was seen stays (D2).
    pub(super) fn clear(&self, ready: Ready) {
        self.clear_flags(ready, ready.seen & FLAGS);
    }

    /// Takes `ready` back: a call moved fewer bytes than it could have.
    ///
    /// Then the system has no more (or no room), unless something lies behind it that ended the
    /// call early: the end, an error, the mark of urgent data.
    pub(super) fn drained(&self, ready: Ready) {
        if ready.seen & (READ_CLOSED | WRITE_CLOSED | PRIORITY) == 0 {
            self.clear_flags(ready, ready.seen & FLAGS);
        }
    }

    fn clear_flags(&self, ready: Ready, flags: u64) {
        self.update(|word| {
            // D2: clear only what was seen to be refuted: same owner, no event since.
            let current = (word ^ ready.seen) & !FLAGS == 0;
            let current = current || seeded::is("source: clear without comparing the tick");
            current.then_some(word & !flags)
        });
    }

    /// Records what the poller reported for `generation` and takes the wakers it concerns, or
    /// `everyone`'s.
    pub(super) fn event(
        &self,
        generation: u32,
        event: &Event,
        everyone: bool,
        woken: &mut Vec<Waker>,
    ) {
        let flags = flags_of(event);
        let mut waiters = self.waiters.lock();
        // D4: the owner that this event is for may be gone; under the lock it stays.
        let current = generation_of(self.word.load(Ordering::Relaxed)) == generation;
        if !current && !seeded::is("source: dispatch without comparing the generation") {
            return;
        }
        // D2: the tick makes every clear that has not seen this event a stale one.
        let before = self.update(|word| {
            let tick = word.wrapping_add(TICK_ONE) & TICK;
            Some((word & !TICK) | tick | flags)
        });
        debug_assert_eq!(generation_of(before) == generation, current, "changed under the lock");
        if everyone || flags & Direction::Read.event() != 0 {
            waiters.take(Direction::Read, woken);
        }
        let write = flags & Direction::Write.event() != 0;
        if everyone || write && !seeded::is("source: an event wakes one direction") {
            waiters.take(Direction::Write, woken);
        }
    }

    /// Ends all waiting here, now and later.
    pub(super) fn shut_down(&self, woken: &mut Vec<Waker>) {
        let mut waiters = self.waiters.lock();
        self.update(|word| Some(word | SHUT_DOWN));
        waiters.take(Direction::Read, woken);
        waiters.take(Direction::Write, woken);
    }

    /// The one way to change the word; returns what it was.
    #[inline]
    fn update(&self, change: impl Fn(u64) -> Option<u64>) -> u64 {
        // ORDERING: Release, for `event`: pairs with Acquire in `look`. No Acquire: a change
        // depends on the word alone, of which it has the latest, and nobody who changes it reads
        // anything because of what it was. Relaxed on failure: it is another attempt.
        match self.word.fetch_update(Ordering::Release, Ordering::Relaxed, change) {
            Ok(before) | Err(before) => before,
        }
    }
}

impl Waiters {
    /// Puts `waker` in its place and returns what was there.
    fn seat(&mut self, direction: Direction, waker: Waker, seat: Seat<'_>) -> Option<Waker> {
        let key = match seat {
            Seat::Only => return self.only(direction).replace(waker),
            Seat::Own(key) => key,
        };
        let more = self.more.get_or_insert_default();
        if let Some(waiter) = key.and_then(|key| more.get_mut(key.0)) {
            return waiter.waker.replace(waker);
        }
        *key = Some(WaiterKey(more.insert(Waiter { direction, waker: Some(waker) })));
        None
    }

    fn only(&mut self, direction: Direction) -> &mut Option<Waker> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }

    /// Takes the wakers of a direction; futures keep their places.
    fn take(&mut self, direction: Direction, woken: &mut Vec<Waker>) {
        woken.extend(self.only(direction).take());
        let more = self.more.iter_mut().flat_map(|more| more.iter_mut());
        let waiting = more.map(|(_, waiter)| waiter).filter(|w| w.direction == direction);
        let most = if seeded::is("source: an event wakes one waiter") { 1 } else { usize::MAX };
        woken.extend(waiting.filter_map(|waiter| waiter.waker.take()).take(most));
    }

    /// Whether anybody waits to read, and to write.
    fn wanted(&self) -> (bool, bool) {
        let more = |direction| {
            let mut more = self.more.iter().flat_map(|more| more.iter());
            more.any(|(_, waiter)| waiter.direction == direction && waiter.waker.is_some())
        };
        (
            self.reader.is_some() || more(Direction::Read),
            self.writer.is_some() || more(Direction::Write),
        )
    }

    fn into_wakers(self, woken: &mut Vec<Waker>) {
        woken.extend(self.reader);
        woken.extend(self.writer);
        let more = self.more.into_iter().flat_map(|more| more.into_iter());
        woken.extend(more.filter_map(|(_, waiter)| waiter.waker));
    }
}

const fn generation_of(word: u64) -> u32 {
    (word >> GENERATION_SHIFT) as u32
}

const fn flags_of(event: &Event) -> u64 {
    let mut flags = 0;
    if event.readable {
        flags |= READABLE;
    }
    if event.read_closed {
        flags |= READ_CLOSED;
    }
    if event.writable {
        flags |= WRITABLE;
    }
    if event.write_closed {
        flags |= WRITE_CLOSED;
    }
    if event.priority {
        flags |= PRIORITY;
    }
    flags
}
