//! `#[tenter::main]` and `#[tenter::test]`, as a user writes them.
//!
//! What they refuse is tested beside their code, where the messages are.
#![cfg(feature = "macros")]

mod watchdog;

use std::num::ParseIntError;
use std::thread;
use std::time::Duration;

use tenter as renamed;
use watchdog::Watchdog;

const WORKERS: usize = 3;
const NAME: &str = "weaver";

#[tenter::main]
async fn adds_in_tasks() -> u64 {
    let numbers = (1..=100).map(|number| tenter::spawn(async move { number }));
    let numbers: Vec<_> = numbers.collect();
    let mut sum = 0;
    for number in numbers {
        sum += number.await.unwrap();
    }
    sum
}

#[test]
fn main_runs_its_body_and_returns_what_it_returns() {
    let _watchdog = limit();
    assert_eq!(adds_in_tasks(), 5050);
}

#[tenter::main(worker_threads = 1)]
async fn parses_badly() -> Result<u8, ParseIntError> {
    let number: u8 = "many".parse()?;
    Ok(number)
}

#[test]
fn a_question_mark_in_main_returns_the_error() {
    let _watchdog = limit();
    assert!(parses_badly().is_err());
}

#[tenter::main(worker_threads = 1)]
#[must_use]
#[inline(never)]
pub(crate) async fn is_decorated() -> &'static str {
    "decorated"
}

#[test]
fn main_keeps_attributes_and_visibility() {
    let _watchdog = limit();
    assert_eq!(self::is_decorated(), "decorated");
}

#[renamed::main(crate = renamed, worker_threads = WORKERS, thread_name = NAME)]
async fn counts_workers() -> usize {
    renamed::Handle::current().metrics().workers()
}

#[test]
fn options_take_constants_and_the_crate_may_have_another_name() {
    let _watchdog = limit();
    assert_eq!(counts_workers(), WORKERS);
}

#[tenter::main(thread_name = "blocker", max_blocking_threads = 1, thread_stack_size = 0x20_0000)]
async fn names_its_threads() -> Option<String> {
    let name = tenter::spawn_blocking(|| thread::current().name().map(str::to_owned));
    name.await.unwrap()
}

#[test]
fn the_threads_have_the_name_that_main_gives() {
    let _watchdog = limit();
    let name = names_its_threads().expect("the thread has a name");
    assert!(name.starts_with("blocker"), "{name}");
}

#[tenter::main(crate = "::tenter")]
async fn starts_a_runtime_each_time() {}

#[test]
fn a_function_under_main_can_be_called_again() {
    let _watchdog = limit();
    starts_a_runtime_each_time();
    starts_a_runtime_each_time();
}

#[tenter::test]
async fn a_test_runs_in_a_runtime_of_two_workers() {
    let _watchdog = limit();
    assert_eq!(tenter::Handle::current().metrics().workers(), 2);
}

#[tenter::test(worker_threads = 1)]
async fn a_test_has_the_workers_it_asks_for() {
    let _watchdog = limit();
    assert_eq!(tenter::Handle::current().metrics().workers(), 1);
}

#[tenter::test]
async fn a_test_may_return_a_result() -> Result<(), Box<dyn std::error::Error>> {
    let _watchdog = limit();
    let number: u8 = tenter::spawn(async { "7".parse() }).await??;
    assert_eq!(number, 7);
    Ok(())
}

#[tenter::test]
#[should_panic(expected = "on purpose")]
async fn a_panic_in_a_test_reaches_the_harness() {
    let _watchdog = limit();
    panic!("on purpose");
}

#[tenter::test]
async fn a_test_may_hold_what_is_not_send() {
    let _watchdog = limit();
    let local = std::rc::Rc::new(1);
    tenter::yield_now().await;
    assert_eq!(*local, 1);
}

fn limit() -> Watchdog {
    watchdog::start(Duration::from_secs(60), || {})
}
