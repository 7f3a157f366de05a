//! The table of sources, and the poller that reports on them.
//!
//! A source is a slot of the table. Slots are never freed before the driver is, only given to
//! the next owner under another generation. So an event that is harvested while its source is
//! deregistered names memory that is there, and an owner that is not: it is dropped (D4).

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::task::Waker;

use crate::primitive::atomic::{AtomicPtr, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::poller::{Event, Poller};
use crate::primitive::seeded;

use super::source::{Direction, Gone, Source};

/// Half of a poller's key is the slot, half the generation.
const HALF: u32 = usize::BITS / 2;

/// One half, all ones.
const LOW: usize = (1 << HALF) - 1;

/// Slots at most: in a key they count from one, and the last number is the poller's own.
const SLOTS_MAX: usize = LOW - 1;

/// Pages, each twice as large as the one before, which hold all of them.
const PAGES: usize = HALF as usize;

/// What a poller's key says: a slot, and the generation of its owner.
///
/// With 32-bit keys there are 65,536 generations, and an event could be taken for one of the owner
/// that many later, if it were harvested and not dispatched all that time. That owner would try a
/// call in vain, and nothing worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    index: usize,
    generation: u32,
}

impl Key {
    #[inline]
    pub(super) fn generation(self) -> u32 {
        self.generation
    }

    /// The key as the poller holds it, and as a registration stores it: never zero.
    pub(super) fn pack(self) -> usize {
        (self.generation as usize) << HALF | (self.index + 1)
    }

    /// The key that was packed; `None` for zero.
    #[inline]
    pub(super) fn unpack(key: usize) -> Option<Self> {
        let index = (key & LOW).checked_sub(1)?;
        Some(Self { index, generation: (key >> HALF) as u32 })
    }
}

/// The poller and its sources.
#[derive(Debug)]
pub(super) struct Reactor {
    pub(super) poller: Poller,
    table: Table,
}

impl Reactor {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { poller: Poller::new()?, table: Table::new() })
    }

    /// Gives `fd` a slot and tells the poller.
    ///
    /// # Errors
    ///
    /// - `Other`: the driver has shut down (D5).
    /// - `OutOfMemory`: every slot is taken.
    /// - What the poller says: `PermissionDenied` for a file that is always ready.
    pub(super) fn register(&self, fd: BorrowedFd<'_>, tried: Option<Direction>) -> io::Result<Key> {
        let key = self.table.occupy(tried)?;
        // The slot is ready to take events before the poller can report one: the edge for what
        // is so already comes with the registration itself, and nothing is missed.
        //
        // SAFETY: 1: whatever becomes of `fd`, its key names a slot that lives as long as the
        // poller, and an owner whose generation ends with the registration (D4).
        if let Err(error) = unsafe { self.poller.add(fd, key.pack()) } {
            self.release(key, &mut Vec::new());
            return Err(error);
        }
        Ok(key)
    }

    /// Takes the slot back. The poller must have forgotten the descriptor, or be about to.
    pub(super) fn release(&self, key: Key, woken: &mut Vec<Waker>) {
        if let Some(source) = self.source(key) {
            source.vacate(key.generation, woken);
            self.table.inner.lock().free.push(key.index);
        }
    }

    /// The slot of `key`; there is one for every key that was handed out.
    #[inline]
    pub(super) fn source(&self, key: Key) -> Option<&Source> {
        self.table.slot(key.index)
    }

    /// Hands an event to its source.
    pub(super) fn dispatch(&self, event: &Event, woken: &mut Vec<Waker>) {
        let Some(key) = Key::unpack(event.key) else {
            return;
        };
        if let Some(source) = self.source(key) {
            // Without edges the event has disarmed the source: who still waits must arm it.
            source.event(key.generation, event, !self.poller.is_edge(), woken);
        }
    }

    /// Refuses registrations from now on and ends the waiting of all there are.
    pub(super) fn shut_down(&self, woken: &mut Vec<Waker>) {
        let occupied = {
            let mut inner = self.table.inner.lock();
            inner.closed = true;
            inner.used
        };
        // D5: whoever got a slot got it under the lock before, so its index is among these.
        for index in 0..occupied {
            if let Some(source) = self.table.slot(index) {
                source.shut_down(woken);
            }
        }
    }
}

/// Slots that stay where they are: pages of one, two, four and so on, made when needed.
struct Table {
    /// The first slot of each page, or null. It is set once, under the lock of `inner`; reading it
    /// takes no lock.
    pages: [AtomicPtr<Source>; PAGES],
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Slots that were given back; the warmest is last.
    free: Vec<usize>,
    /// Slots that were ever given out: those below this index.
    used: usize,
    closed: bool,
}

impl Table {
    fn new() -> Self {
        let inner = Inner { free: Vec::new(), used: 0, closed: false };
        let pages = std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()));
        Self { pages, inner: Mutex::new(inner) }
    }

    fn occupy(&self, tried: Option<Direction>) -> io::Result<Key> {
        let mut inner = self.inner.lock();
        // D5: the refusal and the new owner's word are under the lock that `shut_down` takes
        // between closing and going through the slots.
        if inner.closed && !seeded::is("reactor: refuse after shutdown") {
            return Err(Gone::ShutDown.into());
        }
        let index = match inner.free.pop() {
            Some(index) => index,
            None if inner.used < SLOTS_MAX => {
                inner.used += 1;
                inner.used - 1
            }
            None => return Err(io::ErrorKind::OutOfMemory.into()),
        };
        let slot = self.slot(index).unwrap_or_else(|| self.make_page_of(index));
        Ok(Key { index, generation: slot.occupy(tried) })
    }

    /// Makes the page of a slot that has none, and returns the slot. Under the lock of `inner`.
    #[cold]
    fn make_page_of(&self, index: usize) -> &Source {
        let (page, _) = place_of(index);
        let slots: Box<[Source]> = (0..len_of(page)).map(|_| Source::new()).collect();
        // ORDERING: Release. Pairs with Acquire in `slot`: the slots are made.
        self.pages[page].store(Box::leak(slots).as_mut_ptr(), Ordering::Release);
        self.slot(index).expect("its page was made just now")
    }

    #[inline]
    fn slot(&self, index: usize) -> Option<&Source> {
        let (page, offset) = place_of(index);
        // ORDERING: Acquire. Pairs with Release in `make_page_of`.
        let first = NonNull::new(self.pages.get(page)?.load(Ordering::Acquire))?;
        // SAFETY: the page has `len_of(page)` slots, and an offset is less.
        let slot = unsafe { first.add(offset) };
        // SAFETY: it was made by `make_page_of`, is freed with `self` and not before, and is
        // never borrowed mutably.
        Some(unsafe { slot.as_ref() })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for (page, first) in self.pages.iter().enumerate() {
            // ORDERING: Relaxed. Whoever made the page has handed `self` over since.
            let first = first.load(Ordering::Relaxed);
            if !first.is_null() {
                let slots = ptr::slice_from_raw_parts_mut(first, len_of(page));
                // SAFETY: `make_page_of` leaked a box of this many; `self` is borrowed mutably, so
                // nobody has a slot.
                drop(unsafe { Box::from_raw(slots) });
            }
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Slots of a page.
const fn len_of(page: usize) -> usize {
    1 << page
}

/// The page of a slot, and its place there: page `p` has the indices `2^p - 1` up to `2^(p+1) - 2`.
#[inline]
fn place_of(index: usize) -> (usize, usize) {
    let number = index + 1;
    let page = number.ilog2() as usize;
    (page, number - len_of(page))
}
