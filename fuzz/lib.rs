//! Parts of `tenter`, compiled verbatim, and what is to hold for any input.
//!
//! | target | the input is | what is to hold |
//! |---|---|---|
//! | [`frames()`], [`bodies()`] | what worker processes send | it is refused, or is what was written |
//! | [`timers()`] | a program for a wheel, or for sleeps | what a sorted map does |
//! | [`queue()`] | a program for the threads of a scheduler | what a few deques do |
//! | [`word()`] | a program for tasks and their handles | what the machine in their documentation does |
//!
//! Programs play all threads on one: `primitive` is a half of the seam for that. Any bytes are
//! some program, so none is invalid.
//!
//! `.ci/fuzz` looks for inputs for which it does not hold, guided by coverage; `cargo test` runs
//! those that are kept in `corpus`.

// A file may be compiled twice, for a target that needs what its room keeps for itself.
#![allow(clippy::duplicate_mod)]

// The shipped files have more in them than is called here, link to more than there is, and answer
// to the lints at home.
#[allow(dead_code, unreachable_pub)]
#[forbid(unsafe_code)]
#[path = "../src/jobs/codec.rs"]
mod codec;
#[allow(dead_code, unused_imports, rustdoc::broken_intra_doc_links)]
#[path = "../src/driver/mod.rs"]
mod driver;
#[allow(dead_code)]
#[forbid(unsafe_code)]
#[path = "../src/jobs/frame.rs"]
mod frame;
#[allow(dead_code, unused_imports, unreachable_pub, rustdoc::broken_intra_doc_links)]
#[path = "../src/lifecycle/mod.rs"]
mod lifecycle;
#[allow(dead_code, unused_imports, rustdoc::broken_intra_doc_links)]
#[path = "../src/scheduler/mod.rs"]
mod scheduler;
#[allow(dead_code, unused_imports, unreachable_pub, rustdoc::broken_intra_doc_links)]
#[forbid(unsafe_code)]
#[path = "../src/time/mod.rs"]
mod time;

#[forbid(unsafe_code)]
mod bodies;
#[forbid(unsafe_code)]
mod frames;
#[forbid(unsafe_code)]
mod harness;
#[forbid(unsafe_code)]
mod input;
#[forbid(unsafe_code)]
mod machine;
mod meter;
#[forbid(unsafe_code)]
mod places;
#[allow(dead_code, unused_imports)]
mod primitive;
#[forbid(unsafe_code)]
mod queue;
#[forbid(unsafe_code)]
mod runtime;
#[forbid(unsafe_code)]
mod sleeps;
#[forbid(unsafe_code)]
mod timers;
mod word;

pub use bodies::bodies;
pub use frames::frames;
pub use queue::queue;
pub use timers::timers;
pub use word::word;

/// The allocator of every program that links this: it counts what a thread holds.
#[global_allocator]
static METER: meter::Meter = meter::Meter;
