//! Threads that wait for each other.
//!
//! Who sleeps when is left to no race: before a thread wakes another it pauses for long enough. One
//! that is not asleep by then, on a busy machine, saves the call that would have woken it; so these
//! figures are upper bounds.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use tenter::process::Command;
use tenter::{Builder, Runtime};

use super::{on_worker, parts};

/// Closures that are queued at once.
const CLOSURES: usize = 64;
const PAUSE: Duration = Duration::from_millis(1);

/// Long enough for every other thread to be asleep. The call that this takes is not counted.
fn pause() {
    thread::sleep(PAUSE);
}

/// An empty closure on the blocking pool, many queued while the pool's thread is held.
///
/// The worker is held until they are done: nobody wakes anybody.
pub(super) fn spawn_blocking(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        let mut closures = Vec::with_capacity(CLOSURES);
        for part in parts(count, CLOSURES) {
            let (held, is_held) = mpsc::sync_channel(1);
            let (release, is_released) = mpsc::sync_channel::<()>(1);
            let (done, is_done) = mpsc::sync_channel(1);
            let holder = tenter::spawn_blocking(move || {
                held.send(()).unwrap();
                is_released.recv().unwrap();
            });
            is_held.recv().unwrap();
            closures.extend((0..part).map(|_| tenter::spawn_blocking(|| ())));
            let last = tenter::spawn_blocking(move || done.send(()).unwrap());
            release.send(()).unwrap();
            is_done.recv().unwrap();
            holder.await.unwrap();
            for closure in closures.drain(..) {
                closure.await.unwrap();
            }
            last.await.unwrap();
        }
    });
}

/// A closure on the blocking pool, with everybody asleep before and meanwhile.
pub(super) fn blocking_alone(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for _ in 0..count {
            pause();
            tenter::spawn_blocking(pause).await.unwrap();
        }
    });
}

/// A thread outside wakes a task of a runtime that is asleep, by its bare waker: a channel's lock
/// would be in the way of one of the two.
pub(super) fn wake(runtime: &Runtime, count: usize) {
    let polls = Arc::new(AtomicUsize::new(0));
    let sleeper = Arc::new(Mutex::new(None));
    let (counter, place) = (Arc::clone(&polls), Arc::clone(&sleeper));
    let task = runtime.spawn(poll_fn(move |cx| {
        *place.lock().unwrap() = Some(cx.waker().clone());
        if counter.fetch_add(1, Ordering::Relaxed) < count {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }));
    for woken in 1..=count {
        while polls.load(Ordering::Relaxed) < woken {
            pause();
        }
        pause();
        let waker: Waker = sleeper.lock().unwrap().take().unwrap();
        waker.wake();
    }
    futures_lite::future::block_on(task).unwrap();
}

/// A small file is read whole.
pub(super) fn file_read(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for _ in 0..count {
            pause();
            tenter::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/main.rs")).await.unwrap();
        }
    });
}

/// A process is started and waited for.
pub(super) fn child(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for _ in 0..count {
            pause();
            assert!(Command::new("true").status().await.unwrap().success());
        }
    });
}

/// A runtime of two workers starts and stops.
pub(super) fn start_stop(_: &Runtime, count: usize) {
    for _ in 0..count {
        let runtime = Builder::new().worker_threads(2).blocked_after(None).build().unwrap();
        pause();
        drop(runtime);
    }
}
