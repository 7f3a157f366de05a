//! What several programs need: a runtime, chance, books that are kept of tasks, the passing of
//! time.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Count, Ordering::Relaxed};
use std::task::{Poll, Waker};

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

pub(super) use super::runtime::{Runtime, Signal, spawn_on};
pub(super) use super::shared::block_on;
use crate::driver::{Direction, Driver, Registration};
use crate::primitive::lock::Mutex;
use crate::primitive::poller::{self, Endpoint};
use crate::scheduler::Shared;

/// A number below `bound`, which the schedule's seed decides.
pub(super) fn below(bound: usize) -> usize {
    thread_rng().gen_range(0..bound)
}

/// Whether one in so many comes true.
pub(super) fn one_in(odds: usize) -> bool {
    below(odds) == 0
}

/// From one to `most`: programs differ in size, since in the small ones nobody else mends what was
/// forgotten.
pub(super) fn up_to(most: usize) -> usize {
    1 + below(most)
}

/// Lets others run, a while.
pub(super) fn dawdle(most: usize) {
    for _ in 0..below(most) {
        thread::yield_now();
    }
}

impl Runtime {
    /// Ends it, as `Runtime::shutdown` does, and waits for its workers.
    pub(super) fn end(self) {
        close(&self.shared);
        self.join();
    }
}

/// What a shutdown does to a scheduler, in its order.
pub(super) fn close(shared: &Shared) {
    shared.close();
    shared.driver().shutdown();
}

/// What any number of tasks wait for.
#[derive(Default)]
pub(super) struct Gate(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    is_open: bool,
    wakers: Vec<Waker>,
}

impl Gate {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn open(&self) {
        let wakers = {
            let mut waiting = self.0.lock();
            waiting.is_open = true;
            std::mem::take(&mut waiting.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) async fn wait(&self) {
        poll_fn(|cx| {
            let mut waiting = self.0.lock();
            if waiting.is_open {
                return Poll::Ready(());
            }
            waiting.wakers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Goes behind what is queued.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What was made of one kind, and what of it has gone.
///
/// std's, since it is no part of what is checked: no place to switch threads.
#[derive(Debug, Default)]
pub(super) struct Books {
    made: Count,
    gone: Count,
}

impl Books {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Something that is entered here, and again when it is dropped.
    pub(super) fn entry(self: &Arc<Self>) -> Entry {
        self.made.fetch_add(1, Relaxed);
        Entry { books: Arc::clone(self), gone: Count::new(0) }
    }

    pub(super) fn made(&self) -> usize {
        self.made.load(Relaxed)
    }

    pub(super) fn assert_balanced(&self, what: &str) {
        let (made, gone) = (self.made.load(Relaxed), self.gone.load(Relaxed));
        assert_eq!(made, gone, "{what}: made, and gone");
    }
}

/// See [`Books::entry`].
#[derive(Debug)]
pub(super) struct Entry {
    books: Arc<Books>,
    gone: Count,
}

impl Drop for Entry {
    fn drop(&mut self) {
        assert_eq!(self.gone.fetch_add(1, Relaxed), 0, "it is dropped a second time");
        self.books.gone.fetch_add(1, Relaxed);
    }
}

/// The end of the time in which a program sets its timers, in nanoseconds.
pub(super) const END: u64 = 1_000_000_000;

/// A thread that lets time pass, in leaps, up to [`END`]; then all that is set is over.
pub(super) fn pass_time() -> thread::JoinHandle<()> {
    const LEAPS: u64 = 8;
    thread::spawn(|| {
        for leap in 1..LEAPS {
            dawdle(8);
            poller::advance_to(END / LEAPS * leap);
        }
        dawdle(8);
        // Beyond: a timer fires with the tick that follows.
        poller::let_time_pass_to(2 * END);
    })
}

/// A task's sleep, up to some moment; `false` if the runtime ended before.
pub(super) async fn sleep(shared: &Shared) -> bool {
    let at = thread_rng().gen_range(0..END);
    let mut timer = None;
    poll_fn(|cx| {
        let timer = match &mut timer {
            Some(timer) => timer,
            none => {
                let driver = shared.driver();
                let Ok(set) =
                    driver.insert_timer(shared.timer_shard(), poller::instant(at), cx.waker())
                else {
                    return Poll::Ready(false);
                };
                none.insert(set)
            }
        };
        let fired = timer.poll(cx.waker());
        if let Poll::Ready(Ok(())) = fired {
            assert!(at <= shared.driver().now(), "a timer fires before its time");
        }
        fired.map(|fired| fired.is_ok())
    })
    .await
}

/// Reads from a socket until there were at least `bytes`, some at a time; `None` if the runtime
/// ended before.
pub(super) async fn read(driver: &Arc<Driver>, socket: Endpoint, bytes: usize) -> Option<usize> {
    let registration = Registration::new(Arc::clone(driver));
    let mut read = 0;
    while read < bytes {
        let asked = 1 + below(3);
        let arrived = poll_fn(|cx| {
            let read = || socket.read(asked);
            registration.poll_stream(socket.fd(), cx, Direction::Read, asked, read)
        });
        read += arrived.await.ok()?;
    }
    Some(read)
}

/// The peer of a socket: sends so many bytes, in pieces, when it likes.
pub(super) fn send(socket: Endpoint, bytes: usize) {
    let mut sent = 0;
    while sent < bytes {
        dawdle(6);
        let piece = (1 + below(3)).min(bytes - sent);
        socket.arrive(piece);
        sent += piece;
    }
}
