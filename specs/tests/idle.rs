//! The protocol of sleep holds in every state, and not one of its steps can be left out.

use std::fs;

use specs::check;
use specs::idle::{BUGS, Idle};

const LOST: &str = "nobody sleeps beside a task";
const HERD: &str = "one at a time is woken to search";
const UNDRIVEN: &str = "one of those that sleep is in the driver";
const STAYS: &str = "all leave when nothing is left";

#[track_caller]
fn holds(model: Idle) {
    let report = check(model, 1);
    assert!(report.broken.is_none(), "{report:#?}");
}

/// With the bug there is a way to a state that must not be.
#[track_caller]
fn breaks(model: Idle, bug: &'static str, property: &str) {
    assert!(BUGS.contains(&bug), "{bug}");
    let report = check(Idle { bug, ..model }, 1);
    let (broken, path) = report.broken.unwrap_or_else(|| panic!("nobody misses it: {bug}"));
    assert_eq!(broken, property, "{bug}: {path:#?}");
}

#[test]
fn every_step_that_is_left_out_has_the_name_of_a_seeded_bug_of_the_shipped_code() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/scheduler");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let code: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    for bug in BUGS {
        assert!(code.contains(&format!("seeded::is(\"{bug}\")")), "{bug}");
    }
}

#[test]
fn a_task_that_is_pushed_from_outside_is_never_slept_through() {
    let model = Idle::new(1, 1);
    holds(model);
    breaks(model, "idle: no fence after a push", LOST);
    breaks(model, "idle: no fence after announcing sleep", LOST);
    breaks(model, "idle: no second look", LOST);
    breaks(model, "park: the sleeper in the driver is not woken", LOST);
}

#[test]
fn the_fences_of_push_and_sleep_order_what_nothing_else_does() {
    // With memory that is sequentially consistent they are not missed.
    let model = Idle { is_relaxed: false, ..Idle::new(2, 1) };
    holds(Idle { bug: "idle: no fence after a push", ..model });
    holds(Idle { bug: "idle: no fence after announcing sleep", ..model });
}

#[test]
fn what_relies_on_a_searcher_is_found_or_handed_on() {
    let model = Idle::new(2, 2);
    holds(model);
    breaks(model, "idle: the last searcher does not hand on", LOST);
    breaks(model, "idle: no fence after the last search", LOST);
    breaks(model, "idle: who finds work at the second look is no searcher", LOST);
    breaks(model, "park: a second token takes the first away", LOST);
}

#[test]
fn two_pushes_at_once_wake_one_searcher() {
    breaks(Idle::new(2, 2), "idle: no look at the searchers under the lock", HERD);
}

#[test]
fn a_batch_on_its_way_is_not_overlooked() {
    let model = Idle { batches: true, ..Idle::new(2, 2) };
    holds(model);
    breaks(model, "idle: who stops searching releases nothing", LOST);
    let bug = "worker: a batch is moved and nobody is told";
    breaks(model, bug, LOST);
    breaks(Idle { is_relaxed: false, ..model }, bug, LOST);
}

#[test]
fn what_a_task_spawns_and_what_an_event_makes_due_is_taken() {
    holds(Idle { spawns: 2, ..Idle::new(2, 1) });
    holds(Idle { events: 1, ..Idle::new(2, 1) });
    holds(Idle { events: 2, ..Idle::new(2, 0) });
}

#[test]
fn what_a_guest_leaves_is_handed_on() {
    let model = Idle { guest_tasks: 1, spawns: 1, ..Idle::new(1, 0) };
    holds(model);
    breaks(model, "guest: what it leaves is not handed on", LOST);
    let model = Idle { workers: 2, ..model };
    holds(model);
    breaks(model, "idle: no fence after a guest stops", LOST);
}

#[test]
fn a_guest_that_is_stuck_stands_for_nobody() {
    let model = Idle { guest_tasks: 1, spawns: 1, excuses: true, ..Idle::new(1, 0) };
    holds(model);
    breaks(model, "idle: a guest that is stuck stands for a worker", LOST);
    breaks(model, "idle: no fence after a guest is excused", LOST);
}

#[test]
fn what_is_injected_is_the_workers() {
    let model = Idle { guest_tasks: 1, ..Idle::new(1, 1) };
    holds(model);
    breaks(model, "scheduler: a guest stands for a worker for what is injected", LOST);
    let model = Idle { workers: 2, pushes: 2, is_relaxed: false, ..model };
    let bug = "worker: the last searcher leaves to a guest what is injected";
    breaks(model, bug, LOST);
}

#[test]
fn who_sleeps_beside_the_driver_is_woken_when_it_is_left() {
    holds(Idle { turns: 2, ..Idle::new(2, 1) });
    breaks(Idle { turns: 1, ..Idle::new(1, 0) }, "monitor: no look back after its turn", UNDRIVEN);
}

#[test]
fn workers_leave_when_the_last_task_has_run() {
    let model = Idle { closes: true, ..Idle::new(1, 1) };
    holds(model);
    breaks(model, "shutdown: the sleepers are not woken", STAYS);
    let early = "shutdown: the sleepers are woken before there is something to see";
    breaks(model, early, STAYS);
    let model = Idle { workers: 2, ..model };
    holds(model);
    let silent = check(Idle { bug: "shutdown: who runs the last task tells nobody", ..model }, 1);
    // Those that stay sleep beside a driver that the one that left has left too, perhaps.
    let (broken, path) = silent.broken.expect("it is missed");
    assert!([STAYS, UNDRIVEN].contains(&broken), "{broken}: {path:#?}");
}

#[test]
#[should_panic(expected = "too large")]
fn a_model_that_has_no_room_is_refused() {
    let _report = check(Idle::new(6, 0), 1);
}
