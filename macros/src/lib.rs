//! The attribute macros of `tenter`: [`macro@main`] and [`macro@test`].
//!
//! Use them through `tenter`, which re-exports both: `#[tenter::main]` and `#[tenter::test]`.
#![forbid(unsafe_code)]

mod args;
mod entry;

use entry::Entry;
use proc_macro::TokenStream;

/// Runs an `async fn main` on a runtime of its own.
///
/// The function becomes an ordinary `fn main` with the same attributes, visibility and return type.
/// It builds a runtime, waits in its `block_on` for the body, and shuts the runtime down before it
/// returns: tasks that are still there are cancelled then.
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
