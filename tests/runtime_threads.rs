//! The runtime's threads: names, what runs at their start and end.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use support::{Child, LIMIT, expect_success, is_relief, within};
use tenter::Builder;

/// How often threads have begun and ended, reliefs not counted.
#[derive(Clone, Default)]
struct Counts {
    started: Arc<AtomicUsize>,
    stopped: Arc<AtomicUsize>,
}

impl Counts {
    fn now(&self) -> (usize, usize) {
        (self.started.load(Ordering::SeqCst), self.stopped.load(Ordering::SeqCst))
    }

    fn count(&self, builder: &mut Builder) {
        let (started, stopped) = (self.started.clone(), self.stopped.clone());
        builder.on_thread_start(move || {
            started.fetch_add(usize::from(!is_relief()), Ordering::SeqCst);
        });
        builder.on_thread_stop(move || {
            stopped.fetch_add(usize::from(!is_relief()), Ordering::SeqCst);
        });
    }
}

#[test]
fn every_worker_and_every_blocking_thread_calls_start_and_stop_once() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let counts = Counts::default();
            let mut builder = Builder::new();
            counts.count(builder.worker_threads(workers).max_blocking_threads(1));
            let runtime = builder.build().unwrap();
            support::wait_until(|| counts.now() == (workers, 0));
            for _ in 0..10 {
                runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
            }
            assert_eq!(counts.now(), (workers + 1, 0));
            drop(runtime);
            assert_eq!(counts.now(), (workers + 1, workers + 1));
        }
    });
}

#[test]
fn the_start_comes_before_the_first_task_of_a_thread() {
    thread_local! {
        static STARTED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let mut builder = Builder::new();
            builder.worker_threads(workers).on_thread_start(|| STARTED.set(true));
            let runtime = builder.build().unwrap();
            let tasks: Vec<_> = (0..100).map(|_| runtime.spawn(async { STARTED.get() })).collect();
            support::wait_until(|| tasks.iter().all(|task| task.is_finished()));
            for task in tasks {
                assert!(runtime.block_on(task).unwrap());
            }
            assert!(runtime.block_on(runtime.spawn_blocking(|| STARTED.get())).unwrap());
            // A thread in `block_on` is the user's own.
            assert!(!STARTED.get());
        }
    });
}

#[test]
fn panics_at_start_and_stop_are_contained() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let mut builder = Builder::new();
            builder.worker_threads(workers);
            builder.on_thread_start(|| panic!("at the start"));
            builder.on_thread_stop(|| panic!("at the end"));
            let runtime = builder.build().unwrap();
            support::watch(runtime.handle());
            let task = runtime.spawn(async { 1 });
            support::wait_until(|| task.is_finished());
            assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 2)).unwrap(), 2);
            assert!(runtime.shutdown(Duration::MAX).is_clean());
        }
    });
}

#[test]
fn the_callbacks_may_use_the_runtime() {
    within(LIMIT, || {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let (at_start, at_stop) = (ids.clone(), ids.clone());
        let mut builder = Builder::new();
        builder.worker_threads(2);
        builder.on_thread_start(move || {
            let task = tenter::spawn(async {});
            if !is_relief() {
                at_start.lock().unwrap().push(task.id());
            }
        });
        builder.on_thread_stop(move || {
            let task = tenter::spawn(async {});
            if !is_relief() {
                at_stop.lock().unwrap().push(task.id());
            }
        });
        let runtime = builder.build().unwrap();
        support::wait_until(|| ids.lock().unwrap().len() == 2);
        support::wait_until(|| runtime.handle().metrics().live_tasks() == 0);
        drop(runtime);
        assert_eq!(ids.lock().unwrap().len(), 4);
    });
}

#[test]
fn threads_have_the_name_they_were_given() {
    within(LIMIT, || {
        let runtime = Builder::new().worker_threads(2).thread_name("mine").build().unwrap();
        let name = || thread::current().name().unwrap_or("none").to_owned();
        let task = runtime.spawn(async move { name() });
        support::wait_until(|| task.is_finished());
        let worker = runtime.block_on(task).unwrap();
        assert!(worker.starts_with("mine"), "{worker}");
        let blocking = runtime.block_on(runtime.spawn_blocking(name)).unwrap();
        assert!(blocking.starts_with("mine"), "{blocking}");
        assert_ne!(worker, blocking);
    });
}

#[test]
fn a_runtime_has_as_many_threads_as_it_says_and_a_monitor() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let before = support::threads();
            for workers in [1, 3, 64] {
                let mut builder = Builder::new();
                builder.worker_threads(workers).thread_name("counted");
                let runtime = builder.build().unwrap();
                assert_eq!(runtime.handle().metrics().workers(), workers);
                assert!(support::threads() > before + workers);
                // No more than these stay: a relief of a worker that had to wait leaves.
                support::wait_until(|| support::threads() == before + workers + 1);
                support::wait_until(|| support::threads_named("counted") == workers + 1);
                drop(runtime);
                support::wait_until(|| support::threads() == before);
            }
        });
        expect_success(&output);
    });
}

#[test]
fn the_stack_of_a_thread_is_as_large_as_it_was_asked_for() {
    /// Uses some `kib` KiB of stack.
    fn dig(kib: usize) -> usize {
        let frame = std::hint::black_box([1_u8; 1024]);
        if kib == 0 { 0 } else { usize::from(frame[kib % 1024]) + dig(kib - 1) }
    }
    within(LIMIT, || {
        let mut builder = Builder::new();
        let runtime = builder.worker_threads(1).thread_stack_size(64 << 20).build().unwrap();
        // More than the 2 MiB of a usual thread.
        let task = runtime.spawn(async { dig(16 << 10) });
        support::wait_until(|| task.is_finished());
        assert_eq!(runtime.block_on(task).unwrap(), 16 << 10);
        let closure = runtime.spawn_blocking(|| dig(16 << 10));
        assert_eq!(runtime.block_on(closure).unwrap(), 16 << 10);
    });
}
