//! `spawn_blocking` is `asyncio.to_thread`: what blocks gets a thread, and tasks go on.
//!
//! The threads of the pool are started as they are needed, up to 512. Python's are at most 32 and
//! take turns at the interpreter lock; these compute side by side. Neither can be stopped from
//! outside: a closure that has started runs to its end, and `run` waits for it.
//!
//! ```python
//! import asyncio, time
//!
//! def read_slowly(n):
//!     time.sleep(0.1)  # any library that knows nothing of asyncio
//!     return n * n
//!
//! async def main():
//!     start = time.monotonic()
//!     calls = (asyncio.to_thread(read_slowly, n) for n in range(5))
//!     print(await asyncio.gather(*calls))
//!     print(f"after {10 * (time.monotonic() - start):.0f} s")
//!
//! asyncio.run(main())
//! ```

#[cfg(test)]
mod play;

use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Five calls of a function that blocks its thread, each on a thread of its own.
async fn lesson(read_slowly: impl Fn(u32) -> u32 + Clone + Send + 'static) -> Vec<u32> {
    let start = |n| {
        let read_slowly = read_slowly.clone();
        tenter::spawn_blocking(move || read_slowly(n))
    };
    let calls: Vec<_> = (0..5).map(start).collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.expect("it does not panic"));
    }
    results
}

fn main() -> io::Result<()> {
    let start = Instant::now();
    let results = tenter::run(lesson(|n| {
        thread::sleep(Duration::from_millis(100));
        n * n
    }))?;
    println!("{results:?}, five calls of 100 ms, after {} ms", start.elapsed().as_millis());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier, mpsc};

    use super::play::play;
    use super::*;

    #[test]
    fn calls_that_block_overlap_and_their_results_are_in_order() {
        let barrier = Arc::new(Barrier::new(5));
        let results = play(lesson(move |n| {
            // No one gets past this before all five are here.
            barrier.wait();
            n * n
        }));
        assert_eq!(results, [0, 1, 4, 9, 16]);
    }

    #[test]
    fn tasks_run_while_a_call_blocks() {
        play(async {
            let (go, waits) = mpsc::channel();
            let call = tenter::spawn_blocking(move || waits.recv().is_ok());
            // The call ends because this task runs.
            tenter::spawn(async move { go.send(()).unwrap() }).await.unwrap();
            assert!(call.await.unwrap());
        });
    }
}
