//! One file a room; a model is named by what it promises.

mod blocking;
mod controls;
mod join;
mod owned;
mod source;
mod support;
mod task;
mod timers;
