//! Timers: never early, never lost.

use std::time::{Duration, Instant};

use futures_lite::future::poll_once;
use tenter::time::{MissedTick, interval_at, sleep, timeout};

use crate::ensure;
use crate::plan::{Action, Missed};
use crate::world::Ctx;

use super::perform;

/// Far enough that the timer must be moved, or the program hangs.
const FAR: Duration = Duration::from_secs(3600);

pub(super) async fn sleeps(ctx: Ctx, first: Duration, resets: Vec<Duration>, moves: bool) {
    let first = if resets.len() % 2 == 1 { FAR } else { first };
    let start = Instant::now();
    let mut sleep = sleep(first);
    ensure!(sleep.deadline() >= start + first, "a deadline lies before its duration");
    for reset in resets {
        let _elapsed = poll_once(&mut sleep).await;
        sleep.reset(Instant::now() + reset);
    }
    let deadline = sleep.deadline();
    if moves {
        // Polled here first: it stays in the wheel that it is in.
        let _elapsed = poll_once(&mut sleep).await;
        let helper = ctx.helper("sleeper", async move {
            sleep.await;
            ensure!(Instant::now() >= deadline, "a timer is early");
        });
        helper.join().await;
    } else {
        (&mut sleep).await;
        ensure!(sleep.is_elapsed(), "a timer that fired is not elapsed");
    }
    ensure!(ctx.is_ending() || Instant::now() >= deadline, "a timer is early");
}

pub(super) async fn is_limited(ctx: Ctx, after: Duration, inner: Action) {
    let start = Instant::now();
    if timeout(after, perform(ctx, inner)).await.is_err() {
        ensure!(start.elapsed() >= after, "a timeout is early");
    }
}

pub(super) async fn beats(period: Duration, ticks: u8, missed: Missed) {
    let start = Instant::now() + period;
    let mut beat = interval_at(start, period);
    beat.set_missed_tick(match missed {
        Missed::Burst => MissedTick::Burst,
        Missed::Delay => MissedTick::Delay,
        Missed::Skip => MissedTick::Skip,
    });
    let mut last = None;
    for number in 0..u32::from(ticks) {
        let due = beat.tick().await;
        ensure!(Instant::now() >= due, "a tick is early");
        ensure!(last.is_none_or(|last| due >= last + period), "ticks come too soon");
        let regular = start + period * number;
        match missed {
            Missed::Burst => ensure!(due == regular, "tick {number} is off the beat"),
            Missed::Delay | Missed::Skip => {
                ensure!(due >= regular, "tick {number} comes before its time");
            }
        }
        last = Some(due);
    }
}
