//! Calls that nobody can interrupt: what the end of the runtime does about them, and they about it.
//!
//! They are reads of a socket here, as a file that nobody can watch.

mod support;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::{Child, LIMIT, Pair, descriptors, expect_success, threads, wait_until, within};
use tenter::fs::File;
use tenter::io::AsyncReadExt;
use tenter::{Builder, Handle, Runtime};

/// A place at which reads wait until it is dropped.
struct Place {
    reader: OwnedFd,
    _writer: UnixStream,
}

impl Place {
    fn new() -> Self {
        let (reader, writer) = UnixStream::pair().expect("sockets are made");
        Self { reader: reader.into(), _writer: writer }
    }

    fn file(&self) -> File {
        File::from_std(fs::File::from(self.reader.try_clone().expect("a descriptor is left")))
    }
}

/// A runtime whose threads' names begin with a word that no other runtime's do.
fn runtime(name: &str) -> Runtime {
    let runtime = unwatched(name);
    support::watch(runtime.handle());
    runtime
}

/// Such a one, of which nobody keeps a handle.
fn unwatched(name: &str) -> Runtime {
    Builder::new().worker_threads(2).thread_name(name).build().unwrap()
}

/// Has `n` threads of the runtime's pool wait there.
fn wait_at(runtime: &Runtime, name: &str, place: &Place, n: usize) {
    for _ in 0..n {
        let mut file = place.file();
        runtime.spawn(async move { file.read(&mut [0]).await }).detach();
    }
    wait_until(|| are_waiting(runtime.handle(), name, n));
}

/// Whether `n` threads of the pool are busy, and asleep: in the call.
fn are_waiting(handle: &Handle, name: &str, n: usize) -> bool {
    let metrics = handle.metrics();
    metrics.blocking_threads() - metrics.blocking_idle_threads() == n
        && metrics.blocking_queued() == 0
        && asleep(&format!("{name}-block")) == n
}

/// Threads of this process that sleep, of those whose names begin like this.
fn asleep(prefix: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is there");
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let prefix = format!("({prefix}");
    stats.filter(|stat| stat.contains(&prefix) && stat.contains(") S ")).count()
}

#[test]
fn the_end_waits_for_no_call_that_was_abandoned_and_lists_none() {
    within(LIMIT, || {
        let place = Place::new();
        let runtime = runtime("lists");
        wait_at(&runtime, "lists", &place, 10);
        let handle = runtime.handle().clone();
        let report = runtime.shutdown(Duration::MAX);
        assert!(report.is_clean(), "{report}");
        // But they are counted for as long as they are there.
        assert_eq!(handle.metrics().blocking_threads(), 10);
        drop(place);
        wait_until(|| handle.metrics().blocking_threads() == 0);
    });
}

#[test]
fn the_end_still_waits_for_ordinary_closures_beside_them() {
    within(LIMIT, || {
        let place = Place::new();
        let runtime = runtime("beside");
        wait_at(&runtime, "beside", &place, 3);
        let (held, ended) = (Pair::new(), Arc::new(AtomicUsize::new(0)));
        runtime
            .spawn_blocking({
                let (held, ended) = (held.clone(), ended.clone());
                move || {
                    held.hold();
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            })
            .detach();
        held.arrived.wait();
        let released = held.released.clone();
        let handle = runtime.handle().clone();
        let opener = thread::spawn(move || {
            // Not before the end has begun.
            wait_until(|| handle.block_on(handle.spawn(async {})).is_err());
            released.open();
        });
        drop(runtime);
        assert_eq!(ended.load(Ordering::SeqCst), 1);
        opener.join().unwrap();
        drop(place);
    });
}

#[test]
fn whoever_awaits_one_from_outside_is_told_of_the_end() {
    within(LIMIT, || {
        let place = Place::new();
        let runtime = runtime("outside");
        let handle = runtime.handle().clone();
        let mut file = place.file();
        let waiter = thread::spawn(move || handle.block_on(file.read(&mut [0])));
        wait_until(|| are_waiting(runtime.handle(), "outside", 1));
        drop(runtime);
        let error = waiter.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
        drop(place);
    });
}

#[test]
fn a_thread_that_outlives_its_runtime_says_good_bye() {
    within(LIMIT, || {
        let place = Place::new();
        let (started, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut builder = Builder::new();
        let count = |counter: &Arc<AtomicUsize>| {
            let counter = counter.clone();
            move || {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        };
        builder.worker_threads(1).thread_name("bye").on_thread_start(count(&started));
        let runtime = builder.on_thread_stop(count(&stopped)).build().unwrap();
        support::watch(runtime.handle());
        wait_at(&runtime, "bye", &place, 1);
        runtime.shutdown_background();
        drop(place);
        wait_until(|| stopped.load(Ordering::SeqCst) == started.load(Ordering::SeqCst));
    });
}

#[test]
fn runtimes_that_end_while_their_calls_return_end_all_the_same() {
    within(LIMIT, || {
        for _ in 0..100 {
            let place = Place::new();
            let runtime = runtime("race");
            wait_at(&runtime, "race", &place, 2);
            let opener = thread::spawn(move || drop(place));
            drop(runtime);
            opener.join().unwrap();
        }
    });
}

#[test]
fn what_waits_for_ever_keeps_nothing_of_its_runtime_but_its_thread() {
    within(LIMIT, || {
        // Alone in its process, for the counts.
        let output = Child::new().run(|| {
            let place = Place::new();
            let (threads_before, descriptors_before) = (threads(), descriptors());
            for round in 1..=3 {
                let name = format!("round{round}");
                let runtime = unwatched(&name);
                wait_at(&runtime, &name, &place, 1);
                drop(runtime);
                // A thread, and the file that it reads.
                wait_until(|| threads() == threads_before + round);
                assert_eq!(descriptors(), descriptors_before + round);
            }
            drop(place);
            wait_until(|| threads() == threads_before);
            // But for the pair.
            assert_eq!(descriptors(), descriptors_before - 2);
            // And the process ends with a thread that waits.
            let place = Place::new();
            let runtime = runtime("last");
            wait_at(&runtime, "last", &place, 1);
            drop(runtime);
        });
        expect_success(&output);
    });
}
