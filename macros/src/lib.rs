//! The macros of `tenter`: [`macro@main`] and [`macro@test`], and for its worker processes
//! [`macro@job`], [`macro@job_init`] and what is behind `tenter::jobs::job!`.
//!
//! Use them through `tenter`, which re-exports them: `#[tenter::main]`.
#![forbid(unsafe_code)]

mod args;
mod call;
mod entry;
mod function;
mod job;

use entry::Entry;
use proc_macro::TokenStream;

/// Runs an `async fn main` on a runtime of its own.
///
/// The function becomes an ordinary `fn main` with the same attributes, visibility and return type.
/// It builds a runtime, waits in its `block_on` for the body, and shuts the runtime down before it
/// returns: tasks that are still there are cancelled then.
///
/// In a worker process of a `tenter::jobs::ProcessPool`, which runs the same program, it runs jobs
/// instead and does not return: none of the body is executed there.
///
/// # Options
///
/// Each is given at most once, and what is not given keeps the default of `Runtime::builder`.
///
/// | option | value | meaning |
/// |---|---|---|
/// | `worker_threads` | integer or constant, at least 1 | threads that run tasks |
/// | `max_blocking_threads` | integer or constant, at least 1 | bound of the blocking pool |
/// | `thread_stack_size` | integer or constant, at least 1 | bytes of stack for each thread |
/// | `thread_name` | string or constant | name of the threads |
/// | `crate` | path | where `tenter` is found, if not at `::tenter` |
///
/// # Errors
///
/// It does not compile on a function that is not `async`, that takes arguments or is generic, on an
/// option it does not know, and on a value that the option can not take.
///
/// # Panics
///
/// The function panics if the runtime can not be built, for instance because the system refuses
/// the threads. `Runtime::builder` returns the error instead.
///
/// # Examples
///
/// ```
/// #[tenter::main]
/// async fn main() {
///     let answer = tenter::spawn(async { 6 * 7 });
///     assert_eq!(answer.await.unwrap(), 42);
/// }
/// ```
///
/// An error that `main` returns is printed, and the process exits with status 1:
///
/// ```
/// #[tenter::main(worker_threads = 2, thread_name = "clock")]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let hour: u8 = tenter::spawn(async { "23".parse() }).await??;
///     assert_eq!(hour, 23);
///     Ok(())
/// }
/// ```
///
/// Under another name, and with a constant:
///
/// ```
/// use tenter as runtime;
///
/// const WORKERS: usize = 2;
///
/// #[runtime::main(crate = runtime, worker_threads = WORKERS)]
/// async fn main() {}
/// ```
///
/// A runtime without workers does not compile:
///
/// ```compile_fail
/// #[tenter::main(worker_threads = 0)]
/// async fn main() {}
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    Entry::Main.expand(args.into(), item.into()).into()
}

/// Runs an `async` test on a runtime of its own.
///
/// The function becomes a `#[test]` with the same attributes, visibility and return type, so that
/// `#[should_panic]`, `#[ignore]` and tests that return a `Result` work as they do without it.
///
/// The options are those of [`macro@main`], with one default that differs: a test has two workers
/// unless `worker_threads` says otherwise. Two are real parallelism, and the tests of a file, which
/// run at the same time, do not each start as many threads as the machine has processors.
///
/// A `tenter::jobs::ProcessPool` in a test has workers that run the test program with this test's
/// name; its first statement diverts them, before the body.
///
/// # Errors
///
/// It does not compile where [`macro@main`] does not, and on a function that is a `#[test]` already.
///
/// # Panics
///
/// The test panics, and so fails, if the runtime can not be built.
///
/// # Examples
///
/// ```
/// #[tenter::test]
/// async fn a_task_gives_its_output_to_who_joins_it() {
///     assert_eq!(tenter::spawn(async { 1 + 1 }).await.unwrap(), 2);
/// }
///
/// #[tenter::test(worker_threads = 1)]
/// #[should_panic(expected = "on purpose")]
/// async fn a_panic_fails_the_test() {
///     panic!("on purpose");
/// }
/// # fn main() {}
/// ```
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    Entry::Test.expand(args.into(), item.into()).into()
}

/// Makes a function one that a worker process can run: a job.
///
/// The function stays as it is, and can be called and tested like any other. Beside it stands a type
/// of the same name with a function `job`, which takes the same arguments and returns a
/// `tenter::jobs::Call`: for `fn crunch(n: u64, seed: u32) -> u64` that is
/// `crunch::job(n, seed) -> Call<u64>`, which `ProcessPool::run` takes. Both have the function's
/// visibility, and one `use` imports both.
///
/// # Arguments and result
///
/// They are sent as bytes between processes. An argument is
///
/// - an owned value of a type that implements `serde::Serialize` and `serde::Deserialize`, or
/// - a shared reference such as `&str`, `&[u8]` or `&Config`, if what is behind it can be sent and
///   is `Clone` (or `ToOwned`): the worker decodes a value of its own and lends it.
///
/// A result is an owned value that is `Send`; a `Result` with an error of this kind is one as well.
/// Bytes (`Vec<u8>`, `Box<[u8]>`, `&[u8]`), text and vectors of plain numbers (`Vec<f64>`, `&[u32]`)
/// that are an argument or the result themselves are sent as they lie in memory. Within another type
/// serde walks them, which takes milliseconds a MiB.
///
/// The format is postcard, which does not say what it holds: a type must read exactly what it
/// writes. `serde(untagged)`, `serde(flatten)` and `skip_serializing_if` do not work.
///
/// # Options
///
/// | option | value | meaning |
/// |---|---|---|
/// | `emits` | type | what the job hands to `tenter::jobs::emit`; `job` returns `Call<R, T>` then |
/// | `crate` | path | where `tenter` is found, if not at `::tenter` |
///
/// # Errors
///
/// It does not compile on what a worker could not call by its name alone: a function that is
/// `async`, generic, `unsafe`, `extern` or a method, that names lifetimes, takes `&mut` or
/// `impl Trait`, or returns a reference. A type that can not be sent is an error at its place. Two
/// functions of one name in a module, which is possible inside of functions, compile; pools then
/// refuse to start with `SpawnError::DuplicateJob`.
///
/// # Examples
///
/// ```
/// use tenter::jobs::ProcessPool;
///
/// #[tenter::job]
/// fn crunch(n: u64, seed: u32) -> u64 {
///     (0..n).fold(u64::from(seed), |sum, n| sum.wrapping_mul(31).wrapping_add(n))
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::new().unwrap();
///     assert_eq!(pool.run(crunch::job(1000, 7)).await.unwrap(), crunch(1000, 7));
/// }
/// ```
///
/// References, errors, and items on the way:
///
/// ```
/// use tenter::jobs::{self, Call};
///
/// #[tenter::job]
/// fn lines(text: &str, at_most: usize) -> Result<usize, String> {
///     match text.lines().count() {
///         lines if lines <= at_most => Ok(lines),
///         lines => Err(format!("{lines} lines are too many")),
///     }
/// }
///
/// #[tenter::job(emits = String)]
/// fn words(mut text: String) {
///     text.make_ascii_lowercase();
///     text.split(' ').map(str::to_owned).for_each(jobs::emit);
/// }
///
/// let call: Call<Result<usize, String>> = lines::job("one\ntwo", 5);
/// let call: Call<(), String> = words::job("A Few Words".to_owned());
/// # drop(call);
/// ```
///
/// A worker can not be sent what lives in this process only:
///
/// ```compile_fail
/// #[tenter::job]
/// fn wait_for(thread: std::thread::JoinHandle<()>) {}
/// ```
#[proc_macro_attribute]
pub fn job(args: TokenStream, item: TokenStream) -> TokenStream {
    job::expand_job(args.into(), item.into()).into()
}

/// Has a function run in each worker process before its first job.
///
/// It prepares what lives as long as the worker, such as a table in a static. If there are several,
/// all run, ordered by their names. They run in every pool's workers and nowhere else; the function
/// stays as it is, and can be called like any other.
///
/// # Options
///
/// | option | value | meaning |
/// |---|---|---|
/// | `crate` | path | where `tenter` is found, if not at `::tenter` |
///
/// # Errors
///
/// It does not compile on a function that is `async`, generic, `unsafe` or `extern`, that takes
/// arguments or returns something.
///
/// # Panics
///
/// If the function panics the worker can not be used, and the pool's jobs fail with
/// `SpawnError::Init`, which says what the panic said.
///
/// # Examples
///
/// ```
/// use std::sync::OnceLock;
///
/// use tenter::jobs::ProcessPool;
///
/// static SQUARES: OnceLock<Vec<u64>> = OnceLock::new();
///
/// #[tenter::job_init]
/// fn warm() {
///     SQUARES.set((0..1000).map(|n| n * n).collect()).unwrap();
/// }
///
/// #[tenter::job]
/// fn square(n: usize) -> Option<u64> {
///     SQUARES.get()?.get(n).copied()
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::new().unwrap();
///     assert_eq!(pool.run(square::job(12)).await.unwrap(), Some(144));
///     // Not here.
///     assert_eq!(square(12), None);
/// }
/// ```
#[proc_macro_attribute]
pub fn job_init(args: TokenStream, item: TokenStream) -> TokenStream {
    job::expand_init(args.into(), item.into()).into()
}

/// What is behind `tenter::jobs::job!`, which says where `tenter` is: not for anyone else.
#[doc(hidden)]
#[proc_macro]
pub fn job_closure(input: TokenStream) -> TokenStream {
    job::expand_closure(input.into()).into()
}
