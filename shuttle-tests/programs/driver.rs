//! Timers and sources, and a driver that changes hands.

use std::sync::Arc;

use shuttle::thread;

use super::support::{Runtime, below, block_on, pass_time, read, send, sleep, up_to, yield_now};
use crate::harness::program;
use crate::primitive::poller::Endpoint;
use crate::scheduler::guest;

const WORKERS: usize = 3;
const SLEEPERS: usize = 5;
const READERS: usize = 4;
const BYTES: usize = 6;

program! {
    /// Every timer fires, and not before its time; all that was sent is read, and nothing else:
    /// whichever worker, or the guest, sleeps in the driver, turns it or is woken out of it.
    fn timers_fire_and_what_was_sent_is_read_whoever_has_the_driver() {
        let runtime = Runtime::start(WORKERS, 1);
        let sockets: Vec<_> = (0..below(READERS + 1)).map(|_| Endpoint::new()).collect();
        let mut tasks: Vec<_> = sockets
            .iter()
            .map(|&socket| {
                let driver = Arc::clone(runtime.shared.driver());
                runtime.spawn(async move { read(&driver, socket, BYTES).await == Some(BYTES) })
            })
            .collect();
        tasks.extend((0..up_to(SLEEPERS)).map(|_| {
            let shared = Arc::clone(&runtime.shared);
            runtime.spawn(async move {
                for _ in 0..below(3) {
                    yield_now().await;
                }
                sleep(&shared).await && sleep(&shared).await
            })
        }));
        let peers: Vec<_> =
            sockets.into_iter().map(|socket| thread::spawn(move || send(socket, BYTES))).collect();
        let clock = pass_time();
        let shared = Arc::clone(&runtime.shared);
        let main = async move { sleep(&shared).await };
        assert!(guest::block_on(&runtime.shared, main, || ()), "a timer is refused");
        for task in tasks {
            assert!(block_on(task).unwrap(), "a timer or source is refused, or more is read than was sent");
        }
        for peer in peers {
            peer.join().unwrap();
        }
        clock.join().unwrap();
        runtime.end();
    }
    catches
        "source: clear without comparing the tick",
        "source: look again under the lock",
        "guest: a wake does not unpark",
}
