//! Yielding: what `yield_now` and a spent budget promise.

mod support;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

#[test]
fn a_yield_is_not_lost_when_the_same_poll_drops_another_tasks_output() {
    support::within(Duration::from_secs(20), || {
        let runtime = support::runtime(1);
        runtime.block_on(async {
            let task = tenter::spawn(async {
                let finished = tenter::spawn(async { String::from("never looked at") });
                while !finished.is_finished() {
                    tenter::yield_now().await;
                }
                let mut finished = Some(finished);
                let mut yielding = pin!(tenter::yield_now());
                poll_fn(|cx| {
                    let polled = yielding.as_mut().poll(cx);
                    drop(finished.take());
                    polled
                })
                .await;
            });
            task.await.unwrap();
        });
    });
}
