//! `await` runs one thing after another; tasks run side by side.
//!
//! Five sleeps of a second take five seconds if each is awaited before the next begins, and one if
//! each is a task. Unlike asyncio's, the tasks are on several cores: they compute side by side too,
//! and so `spawn` wants futures that are `Send`.
//!
//! ```python
//! import asyncio, time
//!
//! async def main():
//!     start = time.monotonic()
//!     for _ in range(5):
//!         await asyncio.sleep(0.1)
//!     print(f"one after another: {10 * (time.monotonic() - start):.0f} s")
//!
//!     start = time.monotonic()
//!     tasks = [asyncio.create_task(asyncio.sleep(0.1)) for _ in range(5)]
//!     for task in tasks:
//!         await task
//!     print(f"side by side: {10 * (time.monotonic() - start):.0f} s")
//!
//! asyncio.run(main())
//! ```

mod clock;
#[cfg(test)]
mod play;

use std::io;

use clock::{Clock, SECOND};

async fn one_after_another(clock: &Clock) {
    for _ in 0..5 {
        clock.sleep(SECOND).await;
    }
}

async fn side_by_side(clock: &Clock) {
    let start_one = || {
        let clock = clock.clone();
        tenter::spawn(async move { clock.sleep(SECOND).await })
    };
    let tasks: Vec<_> = (0..5).map(|_| start_one()).collect();
    for task in tasks {
        task.await.expect("a sleep does not fail");
    }
}

fn main() -> io::Result<()> {
    tenter::run(async {
        let clock = Clock::real();
        one_after_another(&clock).await;
        println!("one after another: {} s", clock.seconds());

        let clock = Clock::real();
        side_by_side(&clock).await;
        println!("side by side: {} s", clock.seconds());
    })
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn what_is_awaited_in_turn_sleeps_one_at_a_time() {
        let clock = Clock::stepped();
        play(clock.steps(&[1, 1, 1, 1, 1], one_after_another(&clock)));
        assert_eq!((clock.seconds(), clock.most_asleep()), (5, 1));
    }

    #[test]
    fn five_tasks_that_sleep_a_second_take_one_second() {
        let clock = Clock::stepped();
        play(clock.steps(&[5], side_by_side(&clock)));
        assert_eq!((clock.seconds(), clock.most_asleep()), (1, 5));
    }
}
