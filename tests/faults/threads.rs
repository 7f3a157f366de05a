//! Threads that cannot be started while a runtime runs.

use tenter::{Builder, fs, io, net};

use crate::injector::{Fault, inject, scenario};
use crate::support::{Pair, runtime};

#[test]
fn a_closure_for_which_there_is_no_thread_is_cancelled_and_the_next_one_runs() {
    scenario(|| {
        let [fault] = inject([Fault::no_thread()]);
        let runtime = runtime(2);
        fault.strike(1);
        runtime.block_on(async {
            let refused = tenter::spawn_blocking(|| 1).await;
            assert!(refused.unwrap_err().is_cancelled());
            assert_eq!(tenter::spawn_blocking(|| 2).await.unwrap(), 2);
        });
        assert_eq!(fault.struck(), 1);
    });
}

#[test]
fn a_file_operation_or_a_look_up_for_which_there_is_no_thread_is_an_error() {
    scenario(|| {
        let [fault] = inject([Fault::no_thread()]);
        runtime(2).block_on(async {
            fault.strike(1);
            let refused = fs::metadata("/").await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::Other);
            fault.strike(1);
            let refused = net::lookup_host("localhost:80").await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::Other);
            assert_eq!(fault.struck(), 2);
            fs::metadata("/").await.unwrap();
        });
    });
}

#[test]
fn closures_behind_a_busy_thread_wait_for_it_if_there_is_no_other() {
    scenario(|| {
        let [fault] = inject([Fault::no_thread()]);
        let runtime = runtime(2);
        let busy = Pair::new();
        let held = busy.clone();
        let first = runtime.spawn_blocking(move || held.hold());
        busy.arrived.wait();
        fault.strike_always();
        let others: Vec<_> = (0..10).map(|number| runtime.spawn_blocking(move || number)).collect();
        assert!(fault.struck() > 0);
        busy.released.open();
        runtime.block_on(async {
            first.await.unwrap();
            for (number, other) in others.into_iter().enumerate() {
                assert_eq!(other.await.unwrap(), number);
            }
        });
    });
}

#[test]
fn a_relief_that_cannot_be_started_is_tried_again_until_it_can() {
    scenario(|| {
        let [fault] = inject([Fault::no_thread()]);
        let runtime = Builder::new().worker_threads(1).blocked_after(None).build().unwrap();
        let busy = Pair::new();
        let held = busy.clone();
        // More often than there are places for reliefs.
        fault.strike(100);
        // The only worker is stuck until another task has run.
        let stuck = runtime.spawn(async move { held.hold() });
        busy.arrived.wait();
        let opener = busy.released.clone();
        let task = runtime.spawn(async move { opener.open() });
        runtime.block_on(async {
            task.await.unwrap();
            stuck.await.unwrap();
        });
        assert_eq!(fault.struck(), 100);
    });
}

#[test]
fn who_steps_aside_without_a_thread_to_stand_in_goes_on() {
    scenario(|| {
        let [fault] = inject([Fault::no_thread()]);
        let runtime = runtime(1);
        let busy = Pair::new();
        let held = busy.clone();
        fault.strike(10);
        // The only worker steps aside until another task has run.
        let task = runtime.spawn(async move { tenter::task::block_in_place(|| held.hold()) });
        busy.arrived.wait();
        assert!(fault.struck() >= 1, "nobody was to stand in");
        let opener = busy.released.clone();
        runtime.spawn(async move { opener.open() }).detach();
        // Not in the runtime: this thread would run tasks.
        futures_lite::future::block_on(task).unwrap();
        assert_eq!(fault.struck(), 10);
    });
}
