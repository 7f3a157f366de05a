//! Where due tasks wait, as the scheduler's table tells it: queues, and who takes from which.

use std::collections::VecDeque;

use crate::primitive::deque::{INJECTOR, take_batch};
use crate::primitive::limits::{INJECT_BATCH_MAX, LIFO_RUN_MAX, LOOK_INTERVAL};

/// What one thread that runs tasks has for itself.
#[derive(Debug, Default)]
struct Place {
    slot: Option<usize>,
    queue: VecDeque<usize>,
    /// Tasks in a row that came from the slot.
    slot_run: u32,
    /// Looks for the next task until it looks at the inject queue first.
    countdown: u32,
    /// It was woken while it was awake, and will not sleep the next time.
    has_token: bool,
    polls: u64,
    steals: u64,
}

/// All of them, and the inject queue.
#[derive(Debug)]
pub(crate) struct Places {
    places: Vec<Place>,
    inject: VecDeque<usize>,
    /// The place whose thread takes nothing from the inject queue, and does not steal.
    guest: usize,
    /// Somebody was stuck not long ago: guests keep nothing.
    pub(crate) is_alert: bool,
    /// Tasks that came to the inject queue.
    injected: u64,
}

impl Places {
    /// So many places, one of which is a guest's.
    pub(crate) fn new(places: usize, guest: usize) -> Self {
        Self {
            places: (0..places).map(|_| Place::default()).collect(),
            inject: VecDeque::new(),
            guest,
            is_alert: false,
            injected: 0,
        }
    }

    /// A thread comes to run tasks.
    pub(crate) fn enter(&mut self, at: usize) {
        let place = &mut self.places[at];
        assert!(place.slot.is_none() && place.queue.is_empty(), "S10: it begins with nothing");
        place.slot_run = 0;
        place.countdown = LOOK_INTERVAL;
    }

    /// A thread that runs no tasks any more, or not for a while, keeps nothing.
    pub(crate) fn hand_over(&mut self, at: usize) {
        let Place { slot, queue, .. } = &mut self.places[at];
        for task in slot.take().into_iter().chain(queue.drain(..)) {
            self.injected += 1;
            self.inject.push_back(task);
        }
    }

    /// A task becomes due, on the thread of a place or on another.
    pub(crate) fn schedule(&mut self, at: Option<usize>, task: usize) {
        let Some(at) = at else {
            self.injected += 1;
            return self.inject.push_back(task);
        };
        let place = &mut self.places[at];
        // The latest runs next.
        place.queue.extend(place.slot.replace(task));
    }

    /// A task goes behind the others.
    pub(crate) fn yield_now(&mut self, at: usize, task: usize) {
        self.places[at].queue.push_back(task);
    }

    /// Somebody wakes a thread that is awake.
    pub(crate) fn leave_token(&mut self, at: usize) {
        self.places[at].has_token = true;
    }

    /// A task is polled: the one that was to be.
    pub(crate) fn polled(&mut self, at: usize, task: usize) {
        // Ends: a token is there once.
        let next = loop {
            if let Some(next) = self.next(at).or_else(|| self.search(at)) {
                break next;
            }
            let had_token = std::mem::take(&mut self.places[at].has_token);
            assert!(had_token, "{task} is polled at {at}, where nothing is left:\n{self:#?}");
        };
        assert_eq!(task, next, "polled at {at}, before the other");
        assert_eq!(take_batch(), None, "a batch of which nothing is known");
        self.places[at].polls += 1;
    }

    /// The thread of a place sleeps: nothing is there for it.
    pub(crate) fn slept(&mut self, at: usize) {
        // Ends: a token is there once.
        loop {
            let next = self.next(at).or_else(|| self.search(at));
            assert_eq!(next, None, "due, and {at} sleeps");
            if !std::mem::take(&mut self.places[at].has_token) {
                break;
            }
        }
    }

    /// What is due on a thread: slot, local queue, inject queue.
    pub(crate) fn next(&mut self, at: usize) -> Option<usize> {
        if at == self.guest && self.is_alert {
            self.hand_over(at);
        }
        let place = &mut self.places[at];
        place.countdown -= 1;
        if place.countdown == 0 {
            place.countdown = LOOK_INTERVAL;
            if at != self.guest && !self.inject.is_empty() {
                return self.inject.pop_front();
            }
        }
        if place.slot_run < LIFO_RUN_MAX {
            if let Some(task) = place.slot.take() {
                place.slot_run += 1;
                return Some(task);
            }
        }
        place.queue.extend(place.slot.take());
        place.slot_run = 0;
        place.queue.pop_front().or_else(|| self.take_injected(at))
    }

    fn take_injected(&mut self, at: usize) -> Option<usize> {
        if at == self.guest || self.inject.is_empty() {
            return None;
        }
        let (from, len) = take_batch().expect("tasks are injected, and nobody takes them");
        assert_eq!(from, INJECTOR, "taken, though something is injected");
        assert!(len <= INJECT_BATCH_MAX, "{len} tasks in one batch");
        let mut batch = self.inject.drain(..len);
        let first = batch.next();
        self.places[at].queue.extend(batch);
        first
    }

    /// What others have, whoever it is.
    fn search(&mut self, at: usize) -> Option<usize> {
        let is_other = |(place, _): &(usize, &Place)| *place != at;
        let mut others = self.places.iter().enumerate().filter(is_other);
        if at == self.guest || others.all(|(_, place)| place.queue.is_empty()) {
            return None;
        }
        let (from, len) = take_batch().expect("another has tasks, and nobody steals them");
        assert!(from != at && from < self.places.len(), "stolen by {at} from {from}");
        let queue = &mut self.places[from].queue;
        assert!(len <= queue.len().div_ceil(2), "{len} tasks stolen of {}", queue.len());
        let mut batch: VecDeque<usize> = queue.drain(..len).collect();
        let first = batch.pop_front();
        let place = &mut self.places[at];
        place.steals += 1;
        place.queue.extend(batch);
        first
    }

    /// Whether there is something that a worker could take.
    pub(crate) fn has_work(&self) -> bool {
        !self.inject.is_empty() || self.places.iter().any(|place| !place.queue.is_empty())
    }

    /// Tasks that are due.
    pub(crate) fn len(&self) -> usize {
        let local = |place: &Place| place.queue.len() + usize::from(place.slot.is_some());
        self.inject.len() + self.places.iter().map(local).sum::<usize>()
    }

    pub(crate) fn injected(&self) -> u64 {
        self.injected
    }

    /// Polls and thefts of each place.
    pub(crate) fn done(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.places.iter().map(|place| (place.polls, place.steals))
    }
}
