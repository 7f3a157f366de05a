//! Arguments that can not be sent.

use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

struct Config;

#[tenter::job]
fn takes_a_type_without_serde(config: Config) {
    drop(config);
}

#[tenter::job]
fn takes_a_reference_to_a_type_without_serde(_: &Config) {}

#[tenter::job]
fn takes_a_handle(thread: JoinHandle<()>, count: u64) -> u64 {
    drop(thread);
    count
}

#[tenter::job]
fn takes_a_closure(f: Box<dyn FnOnce() + Send>) {
    f();
}

#[tenter::job]
fn takes_what_is_inside(_: &[Sender<u8>]) {}

fn main() {
    let _ = tenter::jobs::job!(|_: Config| {});
}
