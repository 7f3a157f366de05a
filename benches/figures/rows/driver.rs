//! Timers and sockets.

use std::pin::pin;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use tenter::net::{TcpListener, TcpStream};
use tenter::time::{sleep as sleep_for, timeout};
use tenter::{Runtime, yield_now};

use super::{on_worker, parts};
use crate::clock;

/// Timers that are set at once.
const TIMERS: usize = 500;
const NEVER: Duration = Duration::from_secs(60);
const LATER: Duration = Duration::from_secs(1);
/// Long enough to be asleep by then, on a busy machine too.
const SOON: Duration = Duration::from_millis(2);
const MESSAGE: [u8; 64] = [7; 64];

/// A task polls a sleep once and drops it.
pub(super) fn timers_cancel(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for _ in 0..count {
            let mut sleep = pin!(sleep_for(NEVER));
            assert!(future::poll_once(sleep.as_mut()).await.is_none());
        }
    });
}

/// A task yields once within a bound of time.
pub(super) fn timeouts(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for _ in 0..count {
            timeout(NEVER, yield_now()).await.unwrap();
        }
    });
}

/// A task sleeps, many at once, and all are due when the clock is set.
pub(super) fn timers_fire(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        let mut sleepers = Vec::with_capacity(TIMERS);
        for part in parts(count, TIMERS) {
            sleepers.extend((0..part).map(|_| tenter::spawn(sleep_for(LATER))));
            // Behind all of them.
            yield_now().await;
            clock::advance(2 * LATER);
            for sleeper in sleepers.drain(..) {
                sleeper.await.unwrap();
            }
        }
    });
}

/// A task sleeps, by the real clock, and nobody else does anything.
pub(super) fn sleep(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        for _ in 0..count {
            sleep_for(SOON).await;
        }
    });
}

/// A request over a connection and its echo, between two tasks of one worker.
pub(super) fn echo(runtime: &Runtime, count: usize) {
    on_worker(runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let echo = tenter::spawn(async move {
            let mut buffer = [0; 2 * MESSAGE.len()];
            while let Ok(len @ 1..) = server.read(&mut buffer).await {
                server.write_all(&buffer[..len]).await.unwrap();
            }
        });
        let mut buffer = [0; 2 * MESSAGE.len()];
        for _ in 0..count {
            client.write_all(&MESSAGE).await.unwrap();
            assert_eq!(client.read(&mut buffer).await.unwrap(), MESSAGE.len());
        }
        drop(client);
        echo.await.unwrap();
    });
}
