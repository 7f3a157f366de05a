//! Many jobs at once, in order, with a bound on how many are under way.

use std::collections::VecDeque;
use std::iter::Fuse;
use std::mem;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use crate::lifecycle::budget;
use crate::primitive::contain;
use crate::primitive::lock::Mutex;

use super::builder::Settings;

/// Jobs under way at the least, whatever the pool.
const WINDOW_MIN: usize = 4;

/// How many jobs of one `map` are under way: for each place at a worker one that is there and one
/// that waits for it, but no more than find a place or may wait.
pub(crate) fn window(settings: &Settings) -> usize {
    let places = settings.max.saturating_mul(settings.send_ahead.saturating_add(1));
    let most = places.saturating_add(settings.max_queued);
    places.saturating_mul(2).min(most).max(WINDOW_MIN)
}

/// Runs what `submit` makes of each of `calls`, `window` of them at a time, and returns the
/// results in the order of the calls.
///
/// A call is taken from the iterator when there is room for it. The first error in time ends it
/// all: the futures that are under way are dropped, and so they are when something panics.
pub(crate) fn map<I, S, F, R, E>(calls: I, window: usize, submit: S) -> Map<I, S, F, R>
where
    I: Iterator,
    S: FnMut(I::Item) -> F,
    F: Future<Output = Result<R, E>> + Unpin,
{
    assert!(window > 0, "a map without a place for a job never ends");
    Map {
        calls: Some(calls.fuse()),
        window,
        submit,
        slots: Vec::new(),
        free: Vec::new(),
        due: Arc::new(Due::default()),
        batch: VecDeque::new(),
        results: Vec::new(),
    }
}

/// The future of [`map`].
#[must_use = "jobs are not started before this is awaited"]
pub(crate) struct Map<I, S, F, R> {
    /// `None` once all were taken.
    calls: Option<Fuse<I>>,
    window: usize,
    submit: S,
    /// At most `window`.
    slots: Vec<Slot<F>>,
    /// Those of `slots` without a future.
    free: Vec<usize>,
    due: Arc<Due>,
    /// What was due and is about to be polled.
    batch: VecDeque<usize>,
    /// In the order of the calls; `None` is under way.
    results: Vec<Option<R>>,
}

// Nothing here is pinned: the futures are `Unpin`.
impl<I, S, F, R> Unpin for Map<I, S, F, R> {}

/// A place for one future at a time.
struct Slot<F> {
    future: Option<F>,
    /// Where its result goes.
    index: usize,
    waker: Waker,
}

impl<I, S, F, R, E> Future for Map<I, S, F, R>
where
    I: Iterator,
    S: FnMut(I::Item) -> F,
    F: Future<Output = Result<R, E>> + Unpin,
{
    type Output = Result<Vec<R>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match contain(|| this.advance(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(end)) => {
                this.stop();
                Poll::Ready(end)
            }
            Err(payload) => {
                this.stop();
                resume_unwind(payload)
            }
        }
    }
}

impl<I, S, F, R, E> Map<I, S, F, R>
where
    I: Iterator,
    S: FnMut(I::Item) -> F,
    F: Future<Output = Result<R, E>> + Unpin,
{
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<R>, E>> {
        // Once a poll, and not until nothing is due: a future that is out of budget is due again
        // at once, and the task with it.
        self.due.take(cx.waker(), &mut self.batch);
        while let Some(slot) = self.batch.pop_front() {
            self.poll_slot(slot)?;
        }
        // Ends: each round takes a call or returns; the budget bounds the rounds of one poll.
        while self.under_way() < self.window {
            let Some(calls) = &mut self.calls else { break };
            let charge = ready!(budget::poll_spend(cx));
            match calls.next() {
                Some(call) => {
                    charge.made_progress();
                    let slot = self.start(call);
                    self.poll_slot(slot)?;
                }
                None => self.calls = None,
            }
        }
        if self.calls.is_some() || self.under_way() > 0 {
            return Poll::Pending;
        }
        Poll::Ready(Ok(mem::take(&mut self.results).into_iter().flatten().collect()))
    }

    /// Finds a place for `call`; the caller polls it.
    fn start(&mut self, call: I::Item) -> usize {
        let future = (self.submit)(call);
        let index = self.results.len();
        self.results.push(None);
        if let Some(slot) = self.free.pop() {
            self.slots[slot].future = Some(future);
            self.slots[slot].index = index;
            return slot;
        }
        let slot = self.slots.len();
        self.due.grow();
        let waker = Waker::from(Arc::new(SlotWaker { slot, due: Arc::clone(&self.due) }));
        self.slots.push(Slot { future: Some(future), index, waker });
        slot
    }

    fn poll_slot(&mut self, number: usize) -> Result<(), E> {
        let slot = &mut self.slots[number];
        // Gone, if what woke it was late.
        let Some(future) = &mut slot.future else { return Ok(()) };
        if let Poll::Ready(end) = Pin::new(future).poll(&mut Context::from_waker(&slot.waker)) {
            slot.future = None;
            self.free.push(number);
            self.results[slot.index] = Some(end?);
        }
        Ok(())
    }

    fn under_way(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Drops all that is under way. What is polled after that is done, with no results.
    fn stop(&mut self) {
        self.calls = None;
        self.slots.clear();
        self.free.clear();
        self.batch.clear();
        self.results.clear();
    }
}

/// Which slots were woken, in that order.
#[derive(Default)]
struct Due {
    state: Mutex<DueState>,
}

#[derive(Default)]
struct DueState {
    slots: VecDeque<usize>,
    /// Whether a slot is among `slots`: it is there once, however often it is woken.
    is_due: Vec<bool>,
    /// The task; gone when it was woken.
    task: Option<Waker>,
}

impl Due {
    /// Room for one slot more.
    fn grow(&self) {
        self.state.lock().is_due.push(false);
    }

    /// Puts what is due behind `batch`; `task` is woken by the next that is.
    fn take(&self, task: &Waker, batch: &mut VecDeque<usize>) {
        let mut state = self.state.lock();
        let state = &mut *state;
        for slot in state.slots.drain(..) {
            state.is_due[slot] = false;
            batch.push_back(slot);
        }
        match &mut state.task {
            Some(known) => known.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }

    fn push(&self, slot: usize) {
        let mut state = self.state.lock();
        if mem::replace(&mut state.is_due[slot], true) {
            return;
        }
        state.slots.push_back(slot);
        let task = state.task.take();
        drop(state);
        // Not under the lock: what a waker does is the executor's affair.
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Wakes one slot.
struct SlotWaker {
    slot: usize,
    due: Arc<Due>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.due.push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::*;

    /// What the test does with the futures of a map.
    #[derive(Default)]
    struct Board {
        jobs: Vec<Job>,
    }

    #[derive(Default)]
    struct Job {
        polls: usize,
        is_dropped: bool,
        end: Option<Result<usize, &'static str>>,
        waker: Option<Waker>,
    }

    type Shared = Rc<RefCell<Board>>;

    struct Run {
        board: Shared,
        number: usize,
    }

    impl Run {
        fn new(board: &Shared, number: usize) -> Self {
            board.borrow_mut().jobs.push(Job::default());
            Self { board: Rc::clone(board), number }
        }
    }

    impl Future for Run {
        type Output = Result<usize, &'static str>;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let job = &mut self.board.borrow_mut().jobs[self.number];
            job.polls += 1;
            job.waker = Some(cx.waker().clone());
            job.end.take().map_or(Poll::Pending, Poll::Ready)
        }
    }

    impl Drop for Run {
        fn drop(&mut self) {
            self.board.borrow_mut().jobs[self.number].is_dropped = true;
        }
    }

    fn finish(board: &Shared, number: usize, end: Result<usize, &'static str>) {
        let job = &mut board.borrow_mut().jobs[number];
        job.end = Some(end);
        job.waker.take().expect("it was polled").wake();
    }

    fn polls(board: &Shared) -> Vec<usize> {
        board.borrow().jobs.iter().map(|job| job.polls).collect()
    }

    fn all_dropped(board: &Shared) -> bool {
        board.borrow().jobs.iter().all(|job| job.is_dropped)
    }

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn results_come_in_the_order_of_the_calls_and_only_what_was_woken_is_polled() {
        let board = Shared::default();
        let mut map = map(0..5, 2, |number| Run::new(&board, number));
        assert!(poll(&mut map).is_pending());
        assert_eq!(polls(&board), [1, 1]);
        // Each that ends makes room for one.
        for (number, expected) in
            [(1, vec![1, 2, 1]), (2, vec![1, 2, 2, 1]), (3, vec![1, 2, 2, 2, 1])]
        {
            finish(&board, number, Ok(number * 10));
            assert!(poll(&mut map).is_pending());
            assert_eq!(polls(&board), expected);
        }
        finish(&board, 4, Ok(40));
        assert!(poll(&mut map).is_pending());
        finish(&board, 0, Ok(0));
        assert_eq!(poll(&mut map), Poll::Ready(Ok(vec![0, 10, 20, 30, 40])));
        assert!(all_dropped(&board));
    }

    #[test]
    fn the_first_error_in_time_ends_the_map_and_drops_the_rest() {
        let board = Shared::default();
        let mut map = map(0.., 3, |number| Run::new(&board, number));
        assert!(poll(&mut map).is_pending());
        finish(&board, 2, Err("first"));
        finish(&board, 0, Err("second"));
        assert_eq!(poll(&mut map), Poll::Ready(Err("first")));
        assert!(all_dropped(&board));
        assert_eq!(board.borrow().jobs.len(), 3);
    }

    #[test]
    fn no_calls_are_no_results() {
        let board = Shared::default();
        let mut map = map(0..0, 3, |number| Run::new(&board, number));
        assert_eq!(poll(&mut map), Poll::Ready(Ok(Vec::new())));
    }

    #[test]
    fn a_panic_of_the_iterator_comes_through_and_drops_what_was_under_way() {
        let board = Shared::default();
        let calls = (0..).inspect(|&number| assert!(number < 2, "no more of these"));
        let mut map = map(calls, 4, |number| Run::new(&board, number));
        let panicked = catch_unwind(AssertUnwindSafe(|| poll(&mut map)));
        assert!(panicked.is_err());
        assert_eq!(board.borrow().jobs.len(), 2);
        assert!(all_dropped(&board));
    }

    #[test]
    fn a_future_that_wakes_itself_is_polled_once_a_poll() {
        struct Restless(usize);
        impl Future for Restless {
            type Output = Result<usize, ()>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.0 += 1;
                cx.waker().wake_by_ref();
                if self.0 > 3 { Poll::Ready(Ok(self.0)) } else { Poll::Pending }
            }
        }
        let mut map = map(0..1, 4, |_| Restless(0));
        for _ in 0..3 {
            assert!(poll(&mut map).is_pending());
        }
        assert_eq!(poll(&mut map), Poll::Ready(Ok(vec![4])));
    }

    #[test]
    fn a_thousand_jobs_that_end_on_other_threads_are_all_counted() {
        let sum = crate::runtime::run(async {
            let calls = 0..1000_u64;
            let map = map(calls, 16, |n| crate::runtime::spawn(async move { n }));
            map.await.unwrap().into_iter().sum::<u64>()
        });
        assert_eq!(sum.unwrap(), 499_500);
    }
}
