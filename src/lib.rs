//! A multi-threaded work-stealing async runtime.

mod primitive;

mod driver;
pub mod task;

mod blocking;
mod scheduler;

pub mod runtime;

pub mod io;
pub mod net;
pub mod time;

pub use runtime::{Builder, Handle, Runtime, run, spawn, spawn_blocking, yield_now};
pub use task::{AbortHandle, JoinError, JoinHandle};
#[cfg(feature = "macros")]
pub use tenter_macros::{main, test};
