//! `gather` runs everything at once and keeps the order of what it was given.
//!
//! Whoever is first comes out where it was put in. asyncio's `gather` raises the first exception
//! and lets the others run on unattended; here each result is a `Result`, as with
//! `return_exceptions=True`, and `try_gather` is what ends at the first error: it cancels the rest
//! and waits until they are gone.
//!
//! ```python
//! import asyncio
//!
//! async def work(seconds):
//!     await asyncio.sleep(seconds / 10)
//!     print("done:", seconds)
//!     return seconds
//!
//! async def main():
//!     print(await asyncio.gather(work(3), work(1), work(2)))
//!
//! asyncio.run(main())
//! ```

mod clock;
mod log;
#[cfg(test)]
mod play;

use std::io;

use clock::{Clock, SECOND};
use log::Log;

async fn work(log: Log, clock: Clock, seconds: u32) -> u32 {
    clock.sleep(SECOND * seconds).await;
    log.say(format!("done: {seconds}"));
    seconds
}

async fn lesson(log: &Log, clock: &Clock) {
    let work = |seconds| work(log.clone(), clock.clone(), seconds);
    let results = tenter::gather([3, 1, 2].map(work)).await;
    let results: Vec<u32> = results.into_iter().map(|result| result.expect("no panic")).collect();
    log.say(format!("{results:?}"));

    let parsed = tenter::try_gather(["1", "two", "3"].map(|text| async { text.parse::<u32>() }));
    let error = parsed.await.expect_err("one of them is no number");
    log.say(error.to_string());
}

fn main() -> io::Result<()> {
    tenter::run(async {
        let clock = Clock::real();
        lesson(&Log::default(), &clock).await;
        println!("after {} s", clock.seconds());
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_lite::future;

    use super::play::play;
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_futures_whoever_was_first() {
        let (log, clock) = (Log::default(), Clock::stepped());
        let steps = async {
            for done in 1..=3 {
                // All three sleep, then two, then one.
                clock.step_when_asleep(4 - done).await;
                while log.lines().len() < done {
                    tenter::yield_now().await;
                }
            }
        };
        play(future::zip(lesson(&log, &clock), steps));
        // The longest is the time that it takes.
        assert_eq!(clock.seconds(), 3);
        let lines = log.lines();
        assert_eq!(lines[..4], ["done: 1", "done: 2", "done: 3", "[3, 1, 2]"]);
        assert!(lines[4].contains("invalid digit"), "{lines:?}");
    }
    #[test]
    fn the_first_error_of_try_gather_cancels_the_rest_and_waits_until_they_are_gone() {
        play(async {
            let alive = Arc::new(());
            let waits = |fails: bool| {
                let alive = Arc::clone(&alive);
                async move {
                    if !fails {
                        future::pending::<()>().await;
                    }
                    drop(alive);
                    Err::<(), _>("the first error")
                }
            };
            let error = tenter::try_gather([false, true, false].map(waits)).await.unwrap_err();
            assert_eq!(error.index(), 1);
            assert_eq!(Arc::strong_count(&alive), 1);
        });
    }
}
