//! CPU work goes to a pool of processes: one pool, for as long as the program lives.
//!
//! Python needs processes because threads take turns at the interpreter. Here threads compute in
//! parallel, and `spawn_blocking` is enough for most. A process is for what threads can not do: to
//! be stopped in the middle of a loop, to crash alone, to give its memory back. A job whose future
//! is dropped, by a timeout for one, is killed; Python's executor goes on computing.
//!
//! ```python
//! import asyncio, os
//! from concurrent.futures import ProcessPoolExecutor
//!
//! def count_primes(limit):
//!     is_prime = lambda n: all(n % d for d in range(2, int(n**0.5) + 1))
//!     return sum(map(is_prime, range(2, limit))), os.getpid()
//!
//! async def main():
//!     loop = asyncio.get_running_loop()
//!     with ProcessPoolExecutor(max_workers=2) as pool:
//!         calls = [loop.run_in_executor(pool, count_primes, n) for n in (10, 100, 1000)]
//!         results = await asyncio.gather(*calls)
//!     print([primes for primes, _ in results])
//!     print("by another process:", all(pid != os.getpid() for _, pid in results))
//!
//! if __name__ == "__main__":
//!     asyncio.run(main())
//! ```

#[cfg(test)]
mod play;

use std::error::Error;
use std::time::Duration;

use tenter::jobs::{JobError, ProcessPool};

/// How many primes there are below `limit`, and which process counted them.
#[tenter::job]
fn count_primes(limit: u32) -> (usize, u32) {
    let is_prime = |n: &u32| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0);
    ((2..limit).filter(is_prime).count(), std::process::id())
}

/// No thread could be freed of this.
#[tenter::job]
fn compute_for_ever() {
    loop {
        std::hint::spin_loop();
    }
}

/// The counts; the workers that made them, with how many jobs each; and how many workers had to be
/// killed when the pool shut down.
async fn lesson() -> Result<(Vec<usize>, Vec<u32>, usize), Box<dyn Error>> {
    let pool = ProcessPool::builder().workers(2).build()?;
    let results = pool.map([10, 100, 1000, 10_000].map(count_primes::job)).await?;
    let (primes, workers) = results.into_iter().unzip();

    // A job that takes too long is killed, and its processor is free again.
    let call = compute_for_ever::job().timeout(Duration::from_millis(50));
    match pool.run(call).await {
        Err(JobError::TimedOut { .. }) => println!("the endless job was killed"),
        other => return Err(format!("the endless job ended: {other:?}").into()),
    }

    // Idle workers leave by themselves. The grace is for those that are at work.
    let report = pool.shutdown(Duration::from_secs(30)).await;
    Ok((primes, workers, report.killed))
}

#[tenter::main(worker_threads = 1)]
async fn main() -> Result<(), Box<dyn Error>> {
    let (primes, workers, killed) = lesson().await?;
    println!("primes: {primes:?}");
    println!("this is process {}, those that counted were {workers:?}", std::process::id());
    println!("the pool is shut down, {killed} workers had to be killed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::play::limit;
    use super::*;

    #[tenter::test]
    async fn jobs_run_in_a_few_other_processes_that_leave_in_peace() {
        let _limit = limit();
        let (primes, mut workers, killed) = lesson().await.unwrap();
        assert_eq!(primes, [4, 25, 168, 1229]);
        workers.sort_unstable();
        workers.dedup();
        assert!(workers.len() <= 2, "{workers:?}");
        assert!(!workers.contains(&std::process::id()));
        assert_eq!(killed, 0);
    }
}
