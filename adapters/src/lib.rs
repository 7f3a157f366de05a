//! Adapters that let other libraries run on `tenter`, one feature for each library.
//!
//! They are a crate of their own, so that a new major version of such a library is no new major
//! version of `tenter`.
//!
//! | feature | module | what it brings |
//! |---|---|---|
//! | `hyper` | `hyper` | hyper 1's `rt` traits for `tenter`'s streams, tasks and timers |
//!
//! No feature is on by default.

#[cfg(feature = "hyper")]
pub mod hyper;
