//! `#[tenter::job]`, `#[tenter::job_init]` and `job!`, as a user writes them.
//!
//! What they refuse is in `tests/ui/jobs`.
#![cfg(all(feature = "jobs", target_os = "linux"))]
#![deny(missing_docs, missing_debug_implementations, unreachable_pub, unused)]

mod support;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use support::{LIMIT, watchdog};
use tenter as renamed;
use tenter::jobs::{self, Call, JobError, NoItems, Priority, ProcessPool, job};

/// A type as a user derives it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Picture {
    size: (u32, u32),
    pixels: Vec<u8>,
    title: Option<String>,
}

#[tenter::job]
fn adds(mut a: u64, b: u64) -> u64 {
    a += b;
    a
}

/// The macros write no `unsafe`.
mod strict {
    #![forbid(unsafe_code)]

    #[tenter::job]
    pub(crate) fn takes_nothing() {}

    #[tenter::job_init]
    fn prepares_nothing() {}
}

use strict::takes_nothing;

#[tenter::job]
fn turns(picture: Picture) -> Picture {
    let Picture { size: (width, height), mut pixels, title } = picture;
    pixels.reverse();
    Picture { size: (height, width), pixels, title }
}

#[tenter::job]
#[allow(clippy::ptr_arg, reason = "a reference to any type will do")]
fn borrows(
    text: &str,
    bytes: &[u8],
    numbers: &[f64],
    picture: &Picture,
    pictures: &[Picture],
    path: &Path,
    list: &Vec<String>,
) -> (usize, usize, f64, Picture, usize, PathBuf, Vec<String>) {
    let sum = numbers.iter().sum();
    (text.len(), bytes.len(), sum, picture.clone(), pictures.len(), path.into(), list.clone())
}

#[tenter::job]
fn takes_patterns(_: u8, (a, b): (u8, u8), [c, _]: [u8; 2], &d: &u8) -> u32 {
    [a, b, c, d].into_iter().map(u32::from).sum()
}

#[tenter::job]
fn echoes_bytes(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[tenter::job]
fn echoes_numbers(numbers: Vec<i32>) -> Vec<i32> {
    numbers
}

#[tenter::job]
fn parses(text: &str) -> Result<u8, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

#[tenter::job]
fn process_id() -> u32 {
    process::id()
}

/// A job whose parameters have the names that an expansion might use itself.
#[tenter::job]
fn shadows(body: u8, entry: u8, encoder: &str, decoder: &str, arguments: u8, result: u8) -> u32 {
    let texts = encoder.len() + decoder.len();
    u32::from(body) + u32::from(entry) + u32::from(arguments) + u32::from(result) + texts as u32
}

#[tenter::job]
fn r#match(r#type: u8) -> u8 {
    r#type
}

#[renamed::job(crate = renamed)]
fn is_renamed() -> bool {
    true
}

#[tenter::job]
#[deprecated = "it is old"]
#[must_use]
#[inline(never)]
const fn is_decorated() -> u8 {
    7
}

/// Jobs in a module.
pub mod shapes {
    /// The area of a rectangle.
    #[tenter::job]
    #[must_use]
    pub fn area(width: u32, height: u32) -> u64 {
        u64::from(width) * u64::from(height)
    }

    #[tenter::job]
    pub(super) fn is_seen_above() {}
}

mod others {
    #[tenter::job]
    pub(super) fn area() -> String {
        "of another module".to_owned()
    }
}

static STEPS: Mutex<Vec<&str>> = Mutex::new(Vec::new());

#[tenter::job_init]
fn b_is_second() {
    STEPS.lock().unwrap().push("b");
}

#[tenter::job_init]
fn a_is_first() {
    STEPS.lock().unwrap().push("a");
}

#[tenter::job]
fn steps() -> Vec<String> {
    STEPS.lock().unwrap().iter().map(|&step| step.to_owned()).collect()
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

impl<'de> Deserialize<'de> for Unwritable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Unwritable, D::Error> {
        Ok(Unwritable)
    }
}

#[tenter::job]
fn takes_what_can_not_be_written(_: Unwritable) {}

#[tenter::job]
fn returns_what_can_not_be_written() -> Unwritable {
    Unwritable
}

/// Reads more than it writes.
#[derive(Debug)]
struct Greedy;

impl Serialize for Greedy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Greedy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Greedy, D::Error> {
        u64::deserialize(deserializer).map(|_| Greedy)
    }
}

#[tenter::job]
fn takes_what_can_not_be_read(_: Greedy) {}

#[tenter::job]
fn returns_what_can_not_be_read() -> Greedy {
    Greedy
}

#[tenter::job(emits = Picture)]
fn emits_pictures(count: u32) -> u32 {
    (0..count).for_each(|number| jobs::emit(picture(number)));
    count
}

fn picture(width: u32) -> Picture {
    Picture { size: (width, 2), pixels: vec![1, 2, 3], title: Some("one".to_owned()) }
}

fn pool() -> ProcessPool {
    ProcessPool::builder().workers(1).build().unwrap()
}

#[tenter::test]
async fn a_job_runs_in_another_process_and_the_function_in_this_one() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    assert_ne!(pool.run(process_id::job()).await.unwrap(), process::id());
    assert_eq!(process_id(), process::id());
    assert_eq!(pool.run(adds::job(40, 2)).await.unwrap(), adds(40, 2));
    pool.run(takes_nothing::job()).await.unwrap();
}

#[tenter::test]
async fn values_arrive_as_they_were() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let turned = pool.run(turns::job(picture(7))).await.unwrap();
    assert_eq!(turned, turns(picture(7)));
    assert_eq!(pool.run(parses::job("200")).await.unwrap(), Ok(200));
    assert!(pool.run(parses::job("300")).await.unwrap().unwrap_err().starts_with("300: "));
    // On both sides of what lies inline, and of what has a segment of its own.
    for len in [0, 1, 1023, 1024, 65_536, 1 << 20] {
        let bytes: Vec<u8> = (0..len).map(|n: i32| n as u8).collect();
        assert_eq!(pool.run(echoes_bytes::job(bytes.clone())).await.unwrap(), bytes);
        let numbers: Vec<i32> = (0..len).map(|n| -n).collect();
        assert_eq!(pool.run(echoes_numbers::job(numbers.clone())).await.unwrap(), numbers);
    }
}

#[tenter::test]
async fn references_are_lent_by_the_worker() {
    let _watchdog = watchdog(LIMIT);
    let list = vec!["a".to_owned()];
    let pictures = [picture(1), picture(2)];
    let call = borrows::job(
        "four",
        &[0; 5000],
        &[0.5; 4000],
        &pictures[0],
        &pictures,
        Path::new("/tmp"),
        &list,
    );
    let wanted = (4, 5000, 2000.0, picture(1), 2, PathBuf::from("/tmp"), list);
    assert_eq!(pool().run(call).await.unwrap(), wanted);
}

#[tenter::test]
async fn parameters_may_be_patterns_and_have_any_name() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    assert_eq!(pool.run(takes_patterns::job(1, (2, 3), [4, 5], &6)).await.unwrap(), 15);
    assert_eq!(pool.run(shadows::job(1, 2, "abc", "d", 5, 6)).await.unwrap(), 18);
    assert_eq!(pool.run(r#match::job(7)).await.unwrap(), 7);
}

#[tenter::test]
async fn jobs_of_one_name_in_two_modules_are_two() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    assert_eq!(pool.run(shapes::area::job(6, 7)).await.unwrap(), 42);
    assert_eq!(pool.run(others::area::job()).await.unwrap(), "of another module");
    pool.run(shapes::is_seen_above::job()).await.unwrap();
}

#[tenter::test]
async fn a_decorated_function_or_one_of_a_renamed_crate_is_a_job_too() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    assert_eq!(pool.run(is_decorated::job()).await.unwrap(), 7);
    assert!(pool.run(is_renamed::job()).await.unwrap());
    assert!(pool.run(renamed::jobs::job!(|| -> bool { true })()).await.unwrap());
}

#[tenter::test]
async fn a_job_inside_of_a_function_is_one() {
    #[tenter::job]
    fn is_local(n: u8) -> u8 {
        n + 1
    }

    let _watchdog = watchdog(LIMIT);
    assert_eq!(pool().run(is_local::job(1)).await.unwrap(), 2);
    assert_eq!(is_local::job(1).name(), "jobs_macros::is_local");
}

#[tenter::test]
async fn a_function_without_a_name_is_a_job_at_its_place() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let double = job!(|n: u64| -> u64 { n * 2 });
    let join = job!(|mut a: String, b: &str, (c, _): (u8, u8)| -> String {
        a.push_str(b);
        format!("{a}{c}")
    });
    let nothing = job!(|_: u8| std::hint::spin_loop());
    assert_eq!(pool.run(double(21)).await.unwrap(), 42);
    assert_eq!(pool.run(join("a".to_owned(), "b", (1, 2))).await.unwrap(), "ab1");
    pool.run(nothing(1)).await.unwrap();

    let double: fn(u64) -> Call<u64> = double;
    let names = [double(1).name(), join(String::new(), "", (0, 0)).name(), nothing(1).name()];
    assert!(names.iter().all(|name| name.starts_with("jobs_macros::job!(")), "{names:?}");
    assert_eq!(HashSet::from(names).len(), 3);
}

#[tenter::test]
async fn what_prepares_a_worker_runs_there_once_and_by_name() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    for _ in 0..2 {
        assert_eq!(pool.run(steps::job()).await.unwrap(), ["a", "b"]);
    }
    assert!(steps().is_empty(), "they ran here");
}

#[tenter::test]
async fn what_can_not_be_written_or_read_fails_its_job_only() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let worker = pool.run(process_id::job()).await.unwrap();
    for (outcome, name) in [
        (pool.run(takes_what_can_not_be_written::job(Unwritable)).await, "Unwritable"),
        (pool.run(returns_what_can_not_be_written::job()).await.map(drop), "Unwritable"),
        (pool.run(takes_what_can_not_be_read::job(Greedy)).await, "Greedy"),
        (pool.run(returns_what_can_not_be_read::job()).await.map(drop), "Greedy"),
    ] {
        match outcome {
            Err(JobError::Codec { message, .. }) => assert!(message.contains(name), "{message}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(pool.run(process_id::job()).await.unwrap(), worker);
}

#[tenter::test]
async fn a_clone_of_a_call_runs_as_the_call_does() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let call = echoes_bytes::job(vec![9; 100_000]).priority(Priority::High).idempotent(1);
    assert_eq!(pool.run(call.clone()).await.unwrap(), pool.run(call).await.unwrap());
}

#[test]
fn a_call_says_what_it_is() {
    let _watchdog = watchdog(LIMIT);
    let call: Call<u64, NoItems> = adds::job(1, 2).timeout(Duration::from_secs(5));
    assert_eq!(call.name(), "jobs_macros::adds");
    assert_eq!(shapes::area::job(1, 2).name(), "jobs_macros::shapes::area");
    assert_eq!(r#match::job(1).name(), "jobs_macros::match");
    let text = format!("{call:?}");
    assert!(text.contains("jobs_macros::adds") && text.contains("5s"), "{text}");
    let _: Call<u32, Picture> = emits_pictures::job(3);
}

#[test]
fn a_call_can_be_sent_and_shared_whatever_it_returns() {
    fn assert_sent<T: Send + Sync + Clone + 'static>(_: T) {}
    assert_sent(turns::job(picture(1)));
    assert_sent(emits_pictures::job(1).on_progress(drop));
}
