//! Wakers that are not the runtime's: whoever polls may bring his own.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use futures_lite::future::poll_once;
use tenter::io::Async;
use tenter::task::{CancelToken, JoinSet};
use tenter::time::sleep;
use tenter::{Handle, spawn, yield_now};

use crate::quiet;
use crate::support::{LIMIT, wait_until, within};

/// A waker of which one can ask who still has a clone.
#[derive(Clone, Default)]
pub(crate) struct Counted(Arc<Nothing>);

#[derive(Default)]
struct Nothing;

impl Wake for Nothing {
    fn wake(self: Arc<Self>) {}
}

impl Counted {
    pub(crate) fn waker(&self) -> Waker {
        self.0.clone().into()
    }

    /// Wakers that are left. Each clone of the value itself counts as one, except the first.
    pub(crate) fn count(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// What [`call_back`] uses.
static SHARED: OnceLock<(Handle, Async<UnixStream>, CancelToken)> = OnceLock::new();
/// Calls that were made.
static CLONES: AtomicUsize = AtomicUsize::new(0);
static WAKES: AtomicUsize = AtomicUsize::new(0);
static DROPS: AtomicUsize = AtomicUsize::new(0);

/// Uses all that can be waited for, in the middle of a wait for it.
fn call_back(calls: &AtomicUsize) {
    thread_local! {
        static IS_AT_IT: Cell<bool> = const { Cell::new(false) };
    }
    if IS_AT_IT.replace(true) {
        return;
    }
    calls.fetch_add(1, Ordering::Relaxed);
    let (handle, socket, token) = SHARED.get().expect("it is set before the first waker is made");
    let _entered = handle.enter();
    let mut cx = Context::from_waker(Waker::noop());
    let mut timer = sleep(Duration::from_secs(3600));
    assert!(Pin::new(&mut timer).poll(&mut cx).is_pending());
    let _ = Pin::new(&mut socket.readable()).poll(&mut cx);
    let _ = Pin::new(&mut token.child().cancelled()).poll(&mut cx);
    spawn(yield_now()).detach();
    drop(timer);
    IS_AT_IT.set(false);
}

/// A waker whose every function calls back.
fn calling_back() -> Waker {
    const TABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            call_back(&CLONES);
            RawWaker::new(ptr::null(), &TABLE)
        },
        |_| call_back(&WAKES),
        |_| call_back(&WAKES),
        |_| call_back(&DROPS),
    );
    // SAFETY: the functions of the table take no notice of the pointer, so that they keep what is
    // asked of them for any number of clones, on any thread.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &TABLE)) }
}

/// tokio #4129 and #5578 (fixes): a deadlock with a waker that does something.
///
/// A task's waker was cloned, and in the other case woken, under the lock of the list in which it
/// was to wait. That waker, a tracing library's or an executor's of its own, used the same primitive
/// and took the lock again. So: wakers that use timers, sockets, tokens and the scheduler whenever
/// they are cloned, woken or dropped, brought to each of these.
///
/// Here no code of users runs under a lock (D7): wakers are cloned before it, and called and dropped
/// after it.
#[test]
fn a_waker_may_use_what_it_waits_for() {
    within(LIMIT, || {
        let runtime = quiet(2);
        let _entered = runtime.enter();
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let (socket, token) = (Async::new(socket).unwrap(), CancelToken::new());
        let Ok(()) = SHARED.set((runtime.handle().clone(), socket, token)) else { unreachable!() };
        let (_, socket, token) = SHARED.get().unwrap();
        for round in 0..200 {
            // Each twice, so that a waker is replaced, by one that need not be the same.
            let mut timer = sleep(Duration::from_micros(round % 30));
            twice(|cx| Pin::new(&mut timer).poll(cx));
            twice(|cx| socket.poll_readable(cx));
            let child = token.child();
            let mut cancelled = child.cancelled();
            twice(|cx| Pin::new(&mut cancelled).poll(cx));
            let mut task = spawn(yield_now());
            twice(|cx| Pin::new(&mut task).poll(cx));
            let mut set = JoinSet::new();
            set.spawn(yield_now());
            twice(|cx| set.poll_join_next(cx));
            // Now all of them are woken, by whoever makes them ready.
            peer.write_all(&[0]).unwrap();
            child.cancel();
            wait_until(|| Pin::new(&mut cancelled).poll(&mut quietly()).is_ready());
            wait_until(|| task.is_finished());
            wait_until(|| socket.poll_readable(&mut quietly()).is_ready());
            assert_eq!(socket.get_ref().read(&mut [0; 8]).unwrap(), 1);
            wait_until(|| Pin::new(&mut timer).poll(&mut quietly()).is_ready());
            wait_until(|| set.poll_join_next(&mut quietly()).is_ready());
        }
        for calls in [&CLONES, &WAKES, &DROPS] {
            assert!(calls.load(Ordering::Relaxed) > 200);
        }
        let late = runtime.block_on(async { poll_once(sleep(Duration::from_secs(3600))).await });
        assert!(late.is_none());
    });
}

fn twice<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) {
    // What is ready must not be polled again.
    if poll(&mut Context::from_waker(&calling_back())).is_pending() {
        let _ = poll(&mut Context::from_waker(&calling_back()));
    }
}

fn quietly() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
