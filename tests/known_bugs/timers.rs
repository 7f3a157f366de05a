//! Bugs of timers.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, poll_once};
use tenter::time::{MissedTick, Sleep, interval, interval_at, sleep, sleep_until, timeout};
use tenter::{Runtime, spawn};

use crate::quiet;
use crate::support::{LIMIT, wait_until, within};
use crate::wakers::Counted;

/// Far enough that it does not come.
const FAR: Duration = Duration::from_secs(3600);

fn poll(sleep: &mut Sleep, waker: &Waker) -> Poll<()> {
    Pin::new(sleep).poll(&mut Context::from_waker(waker))
}

/// tokio #8252: the wheel keeps timers that were cancelled before it had them.
///
/// A `Sleep` was made and dropped, as the branch of a `select!` that loses or within a `timeout`
/// that is in time, before its worker had moved it into the wheel. It was marked as cancelled, and
/// then put into the wheel all the same, where nothing could reach it until its deadline, which can
/// be years away. So: timers that are set on one thread and dropped on another at once, and a count
/// of the wakers that somebody still has.
///
/// Here a timer is in its shard from the moment it is set, under the lock under which its drop takes
/// it out. Model: models/timers.rs `a_timer_dropped_as_others_fire_leaves_nothing_behind`.
#[test]
fn a_timer_that_is_dropped_as_soon_as_it_is_set_leaves_nothing_in_the_wheel() {
    const TIMERS: usize = 20_000;
    within(LIMIT, || {
        let runtime = quiet(2);
        let counted = Counted::default();
        let (set, to_drop) = mpsc::sync_channel(1);
        thread::scope(|scope| {
            scope.spawn(|| to_drop.into_iter().for_each(|timer: Sleep| drop(timer)));
            let _entered = runtime.enter();
            for _ in 0..TIMERS {
                let mut timer = sleep(FAR);
                assert!(poll(&mut timer, &counted.waker()).is_pending());
                set.send(timer).unwrap();
            }
            drop(set);
        });
        assert_eq!(counted.count(), 0);
        // The same by the tasks of several workers, in the forms of the report.
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let counted = counted.clone();
                runtime.spawn(async move {
                    for _ in 0..TIMERS / 4 {
                        timeout(FAR, std::future::ready(())).await.unwrap();
                        let mut timer = sleep(FAR);
                        poll_fn(|_| {
                            assert!(poll(&mut timer, &counted.waker()).is_pending());
                            Poll::Ready(())
                        })
                        .await;
                        tenter::task::consume_budget().await;
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| block_on(task).unwrap());
        assert_eq!(counted.count(), 0);
    });
}

/// tokio #3229 (a fix): a panic when a timer is dropped in the millisecond for which it was set.
///
/// The timer was on the list of those that are about to fire, and its drop looked for it in the
/// wheel. So: timers that are dropped as close to their deadline as can be, before and after it,
/// while other threads fire them.
///
/// Here both happen under the lock of the shard, and whoever comes second finds it done (arrows
/// 7 and 9 of the driver). Model: models/timers.rs
/// `a_timer_dropped_as_others_fire_leaves_nothing_behind`.
#[test]
fn a_timer_may_be_dropped_just_as_it_fires() {
    const ROUNDS: u32 = 3000;
    // In these rounds what is a race in the others is decided.
    const FIRED: u32 = 0;
    const NOT_FIRED: u32 = 1;
    within(LIMIT, || {
        let runtime = quiet(2);
        let _entered = runtime.enter();
        let counted = Counted::default();
        let mut fired = 0;
        for round in 0..ROUNDS {
            let near = Duration::from_micros(u64::from(round % 50) + 20);
            let deadline = Instant::now() + if round == NOT_FIRED { FAR } else { near };
            let mut timers: Vec<Sleep> = (0..5).map(|_| sleep_until(deadline)).collect();
            for timer in &mut timers {
                let _ = poll(timer, &counted.waker());
            }
            let have_fired = || counted.count() < timers.len();
            // From some microseconds before the deadline to some after it.
            let early = Duration::from_micros(u64::from(round % 8));
            match round {
                FIRED => wait_until(have_fired),
                NOT_FIRED => assert!(!have_fired(), "an hour early"),
                _ => {
                    while Instant::now() + early < deadline + Duration::from_micros(4) {
                        std::hint::spin_loop();
                    }
                }
            }
            fired += u32::from(have_fired());
            drop(timers);
        }
        println!("in {fired} of {ROUNDS} rounds some had fired");
        // None is left: a turn that is under way may hold what it is about to wake.
        wait_until(|| counted.count() == 0);
        // And the wheel works.
        block_on(sleep(Duration::from_micros(1)));
    });
}

/// tokio #3190: a new timer does not interrupt the wait for I/O. tokio #3069 and glommio #326: a
/// very short sleep hangs.
///
/// One thread slept in the poller until the deadline of a long timer. A worker set a shorter one,
/// and nothing told the sleeper; or the short one was over before it was in the wheel, where nobody
/// looked at it any more. Both slept on until the long one. So: many short sleeps, of a length
/// from nothing to several ticks, one after the other beside one of an hour.
///
/// Here who sets the earliest timer of a shard looks at the sleeper's announcement behind a fence,
/// and the sleeper announces before it looks at the shards (D6). Models: models/timers.rs
/// `nobody_sleeps_past_the_timer_of_a_worker_that_sleeps_elsewhere`,
/// `a_deadline_in_the_past_ends_the_sleep`.
#[test]
fn a_short_sleep_ends_though_somebody_sleeps_for_an_hour() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = quiet(workers);
            let long = runtime.spawn(sleep(FAR));
            let naps = |seed: u64| async move {
                for round in 0..500 {
                    sleep(Duration::from_nanos((round * 977 + seed * 331) % 40_000)).await;
                }
            };
            let tasks: Vec<_> = (0..3).map(|seed| runtime.spawn(naps(seed))).collect();
            tasks.into_iter().for_each(|task| block_on(task).unwrap());
            // From the main future too, and from a thread that is none of the runtime's.
            runtime.block_on(naps(3));
            thread::scope(|scope| {
                scope.spawn(|| {
                    let _entered = runtime.enter();
                    block_on(naps(4));
                });
            });
            assert!(!long.is_finished());
        }
    });
}

/// tokio #2667 and #3551 (`timeout`), #4495 (`sleep`), #6634 and #8384 (`interval`): durations that
/// are meant as "never" panic.
///
/// A deadline was computed by adding to an instant, which panics on overflow, or had more
/// milliseconds than the wheel could count. It came back with each new place that adds: an
/// interval's next tick, what follows a missed one, and its reset.
///
/// Here all deadlines come from one function that does not overflow.
#[test]
fn no_duration_is_too_long() {
    const NEVER: [Duration; 4] = [
        Duration::MAX,
        Duration::from_secs(u64::MAX / 2),
        Duration::from_nanos(u64::MAX),
        // Beyond six levels of 64 milliseconds.
        Duration::from_millis(1 << 36),
    ];
    within(LIMIT, || {
        quiet(1).block_on(async {
            for never in NEVER {
                assert!(poll_once(sleep(never)).await.is_none());
                assert!(poll_once(timeout(never, pending::<()>())).await.is_none());
                assert_eq!(timeout(never, async { 1 }).await, Ok(1));
                let mut late = sleep(Duration::from_secs(1));
                late.reset(Instant::now() + FAR);
                assert!(poll_once(&mut late).await.is_none());
                for missed in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
                    // The first tick comes at once, the second does not come.
                    let mut ticks = interval(never);
                    ticks.set_missed_tick(missed);
                    ticks.tick().await;
                    assert!(poll_once(ticks.tick()).await.is_none());
                    ticks.reset();
                    assert!(poll_once(ticks.tick()).await.is_none());
                    // One that was missed, by far more than what counts as late.
                    let past = Instant::now().checked_sub(Duration::from_secs(1));
                    let mut ticks = interval_at(past.expect("the machine is up that long"), never);
                    ticks.set_missed_tick(missed);
                    ticks.tick().await;
                    assert!(poll_once(ticks.tick()).await.is_none());
                }
            }
        });
        // A runtime with nothing but such timers sleeps, wakes for others, and ends.
        let runtime = quiet(1);
        let never = runtime.spawn(sleep(Duration::MAX));
        runtime.block_on(async { spawn(sleep(Duration::from_micros(50))).await.unwrap() });
        assert!(!never.is_finished());
        drop_in_time(runtime);
        assert!(block_on(never).unwrap_err().is_cancelled());
    });
}

fn drop_in_time(runtime: Runtime) {
    assert!(runtime.shutdown(Duration::MAX).is_clean());
}
