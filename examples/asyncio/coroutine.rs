//! A coroutine does nothing until it is awaited.
//!
//! To call an `async fn` is to make a future, and a future that nobody awaits never runs. Python
//! says so while the program runs ("coroutine 'greet' was never awaited"), Rust when it is compiled
//! (`unused_must_use`).
//!
//! ```python
//! import asyncio
//!
//! async def greet():
//!     print("hello")
//!
//! async def main():
//!     coroutine = greet()
//!     print("called")
//!     await coroutine
//!     print("awaited")
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::io;

use log::Log;

async fn greet(log: &Log) {
    log.say("hello");
}

async fn lesson(log: &Log) {
    let coroutine = greet(log);
    log.say("called");
    coroutine.await;
    log.say("awaited");
    // This one is not awaited: it is dropped, and greets nobody.
    drop(greet(log));
}

fn main() -> io::Result<()> {
    tenter::run(lesson(&Log::default()))
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn a_coroutine_runs_when_it_is_awaited_and_not_before() {
        let log = Log::default();
        play(lesson(&log));
        assert_eq!(log.lines(), ["called", "hello", "awaited"]);
    }
}
