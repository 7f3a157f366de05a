//! Start early, await late.
//!
//! A task runs from the moment it is spawned, and its handle is awaited where the result is needed.
//! In asyncio it first runs when its creator awaits something; here another worker takes it at
//! once, even while the creator computes.
//!
//! ```python
//! import asyncio
//!
//! async def fetch():
//!     await asyncio.sleep(0.1)
//!     return "a report"
//!
//! async def main():
//!     task = asyncio.create_task(fetch())  # starts
//!     await asyncio.sleep(0.1)             # meanwhile, something else
//!     print(await task)                    # is there already
//!
//! asyncio.run(main())
//! ```

mod clock;
#[cfg(test)]
mod play;

use std::io;

use clock::{Clock, SECOND};

async fn fetch(clock: Clock) -> &'static str {
    clock.sleep(SECOND).await;
    "a report"
}

async fn start_early(clock: &Clock) -> &'static str {
    let report = tenter::spawn(fetch(clock.clone()));
    clock.sleep(SECOND).await;
    report.await.expect("it does not panic")
}

/// The same but for two lines, and twice as slow.
async fn start_late(clock: &Clock) -> &'static str {
    let report = fetch(clock.clone());
    clock.sleep(SECOND).await;
    report.await
}

fn main() -> io::Result<()> {
    tenter::run(async {
        let clock = Clock::real();
        println!("{}, started early, after {} s", start_early(&clock).await, clock.seconds());
        let clock = Clock::real();
        println!("{}, started late, after {} s", start_late(&clock).await, clock.seconds());
    })
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn what_is_started_early_costs_no_time_of_its_own() {
        let clock = Clock::stepped();
        // Both sleep at once.
        assert_eq!(play(clock.steps(&[2], start_early(&clock))), "a report");
        assert_eq!(clock.seconds(), 1);
    }

    #[test]
    fn what_is_only_a_coroutine_starts_when_it_is_awaited() {
        let clock = Clock::stepped();
        assert_eq!(play(clock.steps(&[1, 1], start_late(&clock))), "a report");
        assert_eq!((clock.seconds(), clock.most_asleep()), (2, 1));
    }
}
