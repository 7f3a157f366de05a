//! The programs, a file each.

mod blocking;
mod driver;
mod random;
mod relief;
#[path = "../../loom-tests/models/runtime.rs"]
mod runtime;
#[path = "../../loom-tests/models/support.rs"]
mod shared;
mod shutdown;
mod support;
mod wakes;
