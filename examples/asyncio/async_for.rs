//! `async for` is a loop over a stream's `next()`; an async generator is a task that sends.
//!
//! Channels, intervals and a listener's `incoming()` are streams, and any crate's `StreamExt` has
//! the adapters: here that of `futures-lite`. There is no `yield`: who makes the items sends them
//! through a channel, with room for as many as may be made ahead. To drop the receiver is `aclose`.
//!
//! ```python
//! import asyncio
//!
//! async def countdown(start):
//!     for n in range(start, 0, -1):
//!         await asyncio.sleep(0.01)
//!         yield n
//!
//! async def main():
//!     async for n in countdown(3):
//!         print(n)
//!     print([n * n async for n in countdown(4) if n % 2 == 0])
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_lite::StreamExt;
use log::Log;
use tenter::sync::channel::{self, Receiver};
use tenter::time::interval;

/// An async generator: a task that lives for as long as somebody wants more.
fn countdown(start: u32) -> Receiver<u32> {
    let (sender, receiver) = channel::bounded(1);
    tenter::spawn(async move {
        let mut beat = interval(Duration::from_millis(10));
        for n in (1..=start).rev() {
            beat.tick().await;
            if sender.send(n).await.is_err() {
                return;
            }
        }
    })
    .detach();
    receiver
}

async fn lesson(log: &Log) {
    let mut numbers = pin!(countdown(3));
    while let Some(n) = numbers.next().await {
        log.say(n.to_string());
    }

    // An async comprehension.
    let squares: Vec<u32> = countdown(4).filter(|n| n % 2 == 0).map(|n| n * n).collect().await;
    log.say(format!("{squares:?}"));

    // An interval has no end: `take` gives it one.
    let ticks = interval(Duration::from_millis(1)).take(3).fold(0, |count, _| count + 1).await;
    log.say(format!("{ticks} ticks"));
}

fn main() -> io::Result<()> {
    tenter::run(lesson(&Log::default()))
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn a_stream_gives_its_items_in_order_and_ends() {
        let log = Log::default();
        play(lesson(&log));
        assert_eq!(log.lines(), ["3", "2", "1", "[16, 4]", "3 ticks"]);
    }

    #[test]
    fn a_generator_ends_when_nobody_wants_more() {
        play(async {
            let (sender, receiver) = channel::bounded(1);
            let generator = tenter::spawn(async move {
                let mut sent = 0_u32;
                while sender.send(sent).await.is_ok() {
                    sent += 1;
                }
                sent
            });
            let first_two: Vec<u32> = receiver.take(2).collect().await;
            assert_eq!(first_two, [0, 1]);
            // It sent what was taken, at most one that waited in the channel, and noticed.
            assert!((2..=3).contains(&generator.await.unwrap()));
        });
    }
}
