//! The decoders of what worker processes send, compiled verbatim, and what is to hold for any
//! input.
//!
//! `.ci/fuzz` looks for inputs for which it does not, guided by coverage; `cargo test` runs those
//! that are kept in `corpus`.

// The shipped files have more in them than is called here, and answer to the lints at home.
#[allow(dead_code, unreachable_pub)]
#[forbid(unsafe_code)]
#[path = "../src/jobs/codec.rs"]
mod codec;
#[allow(dead_code)]
#[forbid(unsafe_code)]
#[path = "../src/jobs/frame.rs"]
mod frame;

#[forbid(unsafe_code)]
mod bodies;
#[forbid(unsafe_code)]
mod frames;
#[forbid(unsafe_code)]
mod input;
mod meter;

pub use bodies::bodies;
pub use frames::frames;

/// The allocator of every program that links this: it counts what a thread holds.
#[global_allocator]
static METER: meter::Meter = meter::Meter;
