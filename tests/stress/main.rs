//! Random programs: spawns, wakes from foreign threads, aborts, timers, I/O, blocking, groups, jobs
//! and shutdowns, mixed by a seed, with books of their own about what must come of it.
//!
//! ```sh
//! cargo test --release --test stress -- --seconds 3600 --seed 7
//! ```
//!
//! A seed gives a sequence of programs, and each program has a seed of its own, with which it runs
//! alone. What a program is made of follows from its seed; how its threads interleave does not, so
//! that a program that failed once is run again and again (`--program`).
//!
//! What is checked, of each program:
//!
//! - every future and closure is dropped once, every end is seen once, by its handle, as it was;
//!   every panic is handed out once: to a handle, in a group's error, or to `on_unobserved`; and so
//!   is an `Err`, unless it went with a handle that nobody asked;
//! - nothing is polled by two threads at once, after its end, or without having been woken;
//! - every wake is followed by a poll that sees what was written before it: or the program hangs;
//! - timers are not early; bytes arrive as they were sent; nothing of a group outlives it;
//! - when the runtime has ended no task, closure, waker or output is left, no thread, no descriptor,
//!   no child process; over many programs, no memory.
//!
//! A program that is not done after a minute hangs, and is dumped.

mod actions;
#[path = "../allocations/mod.rs"]
mod allocations;
mod arguments;
mod grammar;
mod ledger;
mod leftovers;
mod oneshot;
mod outside;
mod plan;
mod probe;
mod program;
mod random;
#[path = "../support/mod.rs"]
mod support;
mod verdict;
mod world;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arguments::{Arguments, Wish};
use leftovers::Memory;
use plan::{Program, Seed};
use program::Sums;
use random::Random;

fn main() {
    // In a worker process of a program with jobs it does not return.
    tenter::jobs::init();
    match arguments::read(std::env::args().skip(1)) {
        Wish::Run(arguments) => stress(&arguments),
        Wish::List => println!("stress: test\n\n1 test, 0 benchmarks"),
        Wish::Nothing => println!("stress: filtered out"),
    }
}

fn stress(arguments: &Arguments) {
    let seed = arguments.seed.unwrap_or_else(seed_of_the_clock);
    println!("stress: seed {seed}, for {:?}", arguments.time);
    let has_processes = arguments.has_processes;
    if let Some(number) = arguments.program {
        println!("{:#?}", Program::random(Seed { number, has_processes }));
    }
    verdict::hear_panics();
    verdict::start_watchdog(arguments.patience);
    outside::start_all();
    let (mut random, mut sums, mut memory) =
        (Random::new(seed), Sums::default(), Memory::default());
    let start = Instant::now();
    while start.elapsed() < arguments.time {
        let next = random.next();
        let number = arguments.program.unwrap_or(next);
        program::run(Seed { number, has_processes }, &mut sums);
        memory.note();
    }
    let growth = memory.check();
    let Sums { programs, tasks, polls, bytes, slowest } = sums;
    println!(
        "stress: seed {seed}: {programs} programs, {tasks} tasks, {polls} polls, {bytes} bytes sent \
         and received; the slowest took {:?} (program {}); allocations kept: {}",
        slowest.0,
        slowest.1,
        growth.map_or("too few programs to tell".into(), |growth| growth.to_string())
    );
}

fn seed_of_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
