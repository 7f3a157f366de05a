//! Sleeping, repeating and giving up: never early, never lost, whoever holds the timer.

mod support;

use std::future::{Future, pending, poll_fn, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use tenter::time::{
    Interval, MissedTick, Sleep, interval, interval_at, sleep, sleep_until, timeout, timeout_at,
};

use support::{Drops, LIMIT, for_each_worker_count, runtime, within};

const MS: Duration = Duration::from_millis(1);

/// Long enough that a test that waited for it would be ended by its watchdog.
const LONG: Duration = Duration::from_secs(3600);

/// A waker that counts, and tells a thread.
struct Bell {
    rings: AtomicUsize,
    told: mpsc::Sender<()>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        // The test may be over.
        let _ = self.told.send(());
    }
}

impl Bell {
    fn new() -> (Arc<Self>, Waker, mpsc::Receiver<()>) {
        let (told, hears) = mpsc::channel();
        let bell = Arc::new(Self { rings: AtomicUsize::new(0), told });
        let waker = Waker::from(Arc::clone(&bell));
        (bell, waker, hears)
    }

    fn rings(&self) -> usize {
        self.rings.load(Ordering::SeqCst)
    }
}

fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// What one poll says to the task that is running.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).expect("a panic with a message")
}

#[test]
fn a_sleep_is_never_over_before_its_deadline() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let micros = [1, 15, 16, 17, 100, 999, 1000, 1500, 4095, 16_000, 70_000];
                let sleeps = micros.map(|micros| {
                    tenter::spawn(async move {
                        let duration = Duration::from_micros(micros);
                        let start = Instant::now();
                        sleep(duration).await;
                        assert!(start.elapsed() >= duration, "{duration:?}");
                    })
                });
                for sleep in sleeps {
                    sleep.await.unwrap();
                }
            });
        });
    });
}

#[test]
fn a_sleep_of_zero_and_one_until_the_past_are_over_at_the_first_poll() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            assert!(poll_once(&mut sleep(Duration::ZERO)).await.is_ready());
            assert!(poll_once(&mut sleep_until(Instant::now())).await.is_ready());
            let mut moved = sleep(LONG);
            moved.reset(Instant::now());
            assert!(poll_once(&mut moved).await.is_ready());
        });
    });
}

#[test]
fn a_deadline_beyond_all_bounds_is_pending_and_harmless() {
    within(LIMIT, || {
        runtime(2).block_on(async {
            let century = Duration::from_secs(100 * 365 * 24 * 3600);
            for far in [Duration::MAX, Duration::from_secs(u64::MAX / 2), century] {
                let mut forever = sleep(far);
                assert!(poll_once(&mut forever).await.is_pending());
                assert!(!forever.is_elapsed());
                assert!(forever.deadline() > Instant::now() + LONG);
                assert_eq!(timeout(far, sleep(MS)).await, Ok(()));
            }
            let mut slow = interval(Duration::MAX);
            slow.tick().await;
            assert!(timeout(MS, slow.tick()).await.is_err());
        });
    });
}

/// Does what a timer must find done when it is due, again and again until that was in time. Returns
/// what `attempt` does, but for when the timer was due.
fn in_time<T>(attempt: impl Fn() -> (T, Instant)) -> T {
    loop {
        let (done, due) = attempt();
        if Instant::now() < due {
            return done;
        }
    }
}

#[test]
fn a_dropped_sleep_wakes_nobody() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let _entered = runtime.enter();
        let (polled, bell, _waker, _hears) = in_time(|| {
            let (bell, waker, hears) = Bell::new();
            let mut dropped = sleep(2 * MS);
            let polled = poll_with(&mut dropped, &waker);
            ((polled, bell, waker, hears), dropped.deadline())
        });
        assert!(polled.is_pending());
        assert_eq!(Arc::strong_count(&bell), 2, "the timer has left its waker behind");
        runtime.block_on(sleep(5 * MS));
        assert_eq!(bell.rings(), 0);
    });
}

#[test]
fn the_last_waker_is_woken_and_only_that() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let _entered = runtime.enter();
        let (mut passed_on, polled, [first, second]) = in_time(|| {
            let bells = [Bell::new(), Bell::new()];
            let mut passed_on = sleep(5 * MS);
            let polled = bells.each_ref().map(|(_, waker, _)| poll_with(&mut passed_on, waker));
            let due = passed_on.deadline();
            ((passed_on, polled, bells), due)
        });
        let ((first, first_waker, _), (_second, _waker, hears)) = (first, second);
        assert_eq!(polled, [Poll::Pending; 2]);
        hears.recv().expect("the second waker is woken");
        assert_eq!(first.rings(), 0);
        assert!(poll_with(&mut passed_on, &first_waker).is_ready());
    });
}

#[test]
fn a_sleep_set_by_a_thread_outside_ends_an_idle_runtimes_longer_sleep() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            // A timer that the workers sleep until, far away.
            runtime.spawn(sleep(LONG)).detach();
            for _ in 0..20 {
                let _entered = runtime.enter();
                let (_, waker, hears) = Bell::new();
                let mut soon = sleep(MS);
                assert!(poll_with(&mut soon, &waker).is_pending());
                hears.recv().expect("it fires");
                assert!(poll_with(&mut soon, &waker).is_ready());
                assert!(soon.deadline() <= Instant::now());
            }
        });
    });
}

#[test]
fn a_timer_fires_while_the_worker_that_set_it_stands_still() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let stuck = runtime.spawn(async {
            for _ in 0..20 {
                let (_, waker, hears) = Bell::new();
                let mut soon = sleep(MS);
                assert!(poll_with(&mut soon, &waker).is_pending());
                // The other worker sleeps, and nobody comes back to this one's wheel.
                hears.recv().expect("it fires");
            }
        });
        runtime.block_on(stuck).unwrap();
    });
}

#[test]
fn a_waker_that_panics_keeps_no_other_timer_from_firing() {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics, as it should");
        }
    }

    within(LIMIT, || {
        let runtime = runtime(1);
        let _entered = runtime.enter();
        let bad = Waker::from(Arc::new(Panics));
        let mut bad_sleeps = [(); 4].map(|()| sleep(MS));
        let (bell, good, hears) = Bell::new();
        let mut good_sleeps = [(); 4].map(|()| sleep(MS));
        for (bad_sleep, good_sleep) in bad_sleeps.iter_mut().zip(&mut good_sleeps) {
            assert!(poll_with(bad_sleep, &bad).is_pending());
            assert!(poll_with(good_sleep, &good).is_pending());
        }
        for _ in 0..4 {
            hears.recv().expect("it fires");
        }
        assert_eq!(bell.rings(), 4);
        runtime.block_on(sleep(MS));
    });
}

#[test]
fn a_hundred_thousand_timers_all_fire_and_none_early() {
    within(LIMIT, || {
        let fired = Arc::new(AtomicUsize::new(0));
        runtime(2).block_on(async {
            let start = Instant::now();
            let timers = (0..100_000u64).map(|i| {
                let fired = Arc::clone(&fired);
                let deadline = start + Duration::from_micros(i * 7919 % 300_000);
                tenter::spawn(async move {
                    sleep_until(deadline).await;
                    assert!(deadline <= Instant::now());
                    fired.fetch_add(1, Ordering::Relaxed);
                })
            });
            for timer in timers.collect::<Vec<_>>() {
                timer.await.unwrap();
            }
        });
        assert_eq!(fired.load(Ordering::Relaxed), 100_000);
    });
}

#[test]
fn timers_that_race_with_what_they_limit_end_one_way_or_the_other() {
    within(LIMIT, || {
        runtime(4).block_on(async {
            let races = (0..2000u64).map(|i| {
                tenter::spawn(async move {
                    let duration = Duration::from_micros(i % 200);
                    let mut ends = 0;
                    for _ in 0..10 {
                        match timeout(duration, sleep(duration)).await {
                            Ok(()) | Err(_) => ends += 1,
                        }
                    }
                    ends
                })
            });
            for race in races.collect::<Vec<_>>() {
                assert_eq!(race.await.unwrap(), 10);
            }
        });
    });
}

#[test]
fn reset_moves_a_deadline_that_a_task_waits_for() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let _entered = runtime.enter();
        let (mut later, polled, due, (bell, waker, hears)) = in_time(|| {
            let bell = Bell::new();
            let mut later = sleep(5 * MS);
            let (polled, due) = (poll_with(&mut later, &bell.1), later.deadline());
            later.reset(due + 20 * MS);
            ((later, polled, due, bell), due)
        });
        assert!(polled.is_pending());
        let deadline = due + 20 * MS;
        assert_eq!(later.deadline(), deadline);
        hears.recv().expect("it wakes without another poll");
        assert!(deadline <= Instant::now());
        assert!(poll_with(&mut later, &waker).is_ready());
        assert_eq!(bell.rings(), 1);

        let mut earlier = sleep(LONG);
        assert!(poll_with(&mut earlier, &waker).is_pending());
        earlier.reset(Instant::now() + MS);
        // Woken now, to be polled, or when it is due: somebody comes.
        hears.recv().expect("it wakes");
        while poll_with(&mut earlier, &waker).is_pending() {
            hears.recv().expect("it wakes again");
        }
        assert!(earlier.deadline() <= Instant::now());
    });
}

#[test]
fn a_sleep_that_is_over_can_be_reset_and_sleeps_again() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let mut again = pin!(sleep(MS));
            for _ in 0..3 {
                again.as_mut().await;
                assert!(again.is_elapsed());
                let deadline = Instant::now() + 2 * MS;
                again.reset(deadline);
                again.as_mut().await;
                assert!(deadline <= Instant::now());
                // Polling what is over is allowed.
                again.as_mut().await;
            }
        });
    });
}

#[test]
fn outside_a_runtime_a_sleep_can_be_made_but_not_polled() {
    within(LIMIT, || {
        let (_, waker, _) = Bell::new();
        let mut made_outside = sleep(MS);
        let polled = catch_unwind(AssertUnwindSafe(|| poll_with(&mut made_outside, &waker)));
        let payload = polled.expect_err("there is no runtime");
        let message = message(&*payload).to_owned();
        assert!(message.contains("outside a runtime"), "{message}");
        assert!(message.contains("block_on"), "it says what to do: {message}");
        runtime(1).block_on(made_outside);
    });
}

#[test]
fn a_sleep_that_outlives_its_runtime_says_so_and_can_be_dropped() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let (bell, waker, hears) = Bell::new();
        let (mut polled_after, dropped_after) = {
            let _entered = runtime.enter();
            [(); 2].map(|()| {
                let mut outlives = sleep(LONG);
                assert!(poll_with(&mut outlives, &waker).is_pending());
                outlives
            })
        }
        .into();
        drop(runtime);
        hears.recv().expect("the end of the runtime wakes");
        assert_eq!(bell.rings(), 2);
        let polled = catch_unwind(AssertUnwindSafe(|| poll_with(&mut polled_after, &waker)));
        let payload = polled.expect_err("completing would be early");
        assert!(message(&*payload).contains("shut down"));
        drop(dropped_after);
    });
}

#[test]
fn the_end_of_a_runtime_drops_the_tasks_that_sleep() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let tracked = drops.tracked();
            let (polled, was_polled) = mpsc::channel();
            runtime
                .spawn(async move {
                    let _tracked = tracked;
                    let mut long = sleep(LONG);
                    assert!(poll_once(&mut long).await.is_pending());
                    polled.send(()).unwrap();
                    long.await;
                })
                .detach();
            was_polled.recv().unwrap();
            drop(runtime);
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn what_is_ready_in_time_is_returned_even_if_there_is_no_time() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            assert_eq!(timeout(Duration::ZERO, ready(1)).await, Ok(1));
            assert_eq!(timeout_at(Instant::now(), ready(2)).await, Ok(2));
            assert_eq!(timeout(LONG, sleep(MS)).await, Ok(()));
        });
        // Nothing is set for what is ready at once, so there need not be a runtime.
        assert_eq!(futures_lite::future::block_on(timeout(LONG, ready(3))), Ok(3));
    });
}

#[test]
fn a_timeout_drops_what_took_too_long_and_becomes_an_io_error() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let drops = Drops::new();
            let tracked = drops.tracked();
            let start = Instant::now();
            let elapsed = timeout(5 * MS, async move {
                let _tracked = tracked;
                pending::<()>().await;
            })
            .await
            .expect_err("it takes for ever");
            assert!(start.elapsed() >= 5 * MS);
            assert_eq!(drops.count(), 1);
            let error = io::Error::from(elapsed);
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(error.to_string(), elapsed.to_string());
            assert!(timeout_at(Instant::now(), pending::<()>()).await.is_err());
        });
    });
}

#[test]
fn a_future_that_is_always_busy_does_not_starve_its_timeout() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let busy = async {
                loop {
                    tenter::task::consume_budget().await;
                }
            };
            let limited = runtime.spawn(timeout(5 * MS, busy));
            assert!(runtime.block_on(limited).unwrap().is_err());
        });
    });
}

#[test]
fn a_task_that_only_takes_sleeps_that_are_over_lets_others_run() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let endless = runtime.spawn(async {
            loop {
                sleep(Duration::ZERO).await;
            }
        });
        let other = runtime.spawn(ready(7));
        assert_eq!(runtime.block_on(other).unwrap(), 7);
        endless.abort();
    });
}

#[test]
fn an_interval_ticks_at_once_and_then_every_period() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let start = Instant::now();
            let mut beat = interval_at(start, 2 * MS);
            assert_eq!(beat.period(), 2 * MS);
            for count in 0..10 {
                let due = beat.tick().await;
                assert_eq!(due, start + count * 2 * MS);
                assert!(due <= Instant::now());
            }
        });
    });
}

#[test]
fn an_interval_is_a_stream_that_does_not_end() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let ticks: Vec<Instant> = interval(MS).take(5).collect().await;
            assert_eq!(ticks.len(), 5);
            assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == MS));
        });
    });
}

#[test]
fn a_tick_that_was_not_taken_is_still_to_come() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (mut beat, ticked, due) = in_time(|| {
                let due = Instant::now() + 10 * MS;
                let mut beat = interval_at(due, LONG);
                let ticked = poll_with(&mut pin!(beat.tick()), Waker::noop());
                ((beat, ticked, due), due)
            });
            assert!(ticked.is_pending());
            assert_eq!(beat.tick().await, due);
        });
    });
}

/// A beat whose first tick was due three and a half periods ago.
fn missed(missed_tick: MissedTick) -> (Instant, Interval) {
    let start = Instant::now().checked_sub(350 * MS).expect("the machine was up for so long");
    let mut beat = interval_at(start, 100 * MS);
    beat.set_missed_tick(missed_tick);
    assert_eq!(beat.missed_tick(), missed_tick);
    (start, beat)
}

#[test]
fn missed_ticks_come_in_a_burst() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (start, mut beat) = missed(MissedTick::Burst);
            for count in 0..5 {
                assert_eq!(beat.tick().await, start + count * 100 * MS);
            }
        });
    });
}

#[test]
fn missed_ticks_delay_those_after_them() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (start, mut beat) = missed(MissedTick::Delay);
            let before = Instant::now();
            assert_eq!(beat.tick().await, start);
            assert!(beat.tick().await >= before + 100 * MS);
        });
    });
}

#[test]
fn missed_ticks_are_skipped() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (start, mut beat) = missed(MissedTick::Skip);
            let before = Instant::now();
            assert_eq!(beat.tick().await, start);
            let next = beat.tick().await;
            assert!(before < next);
            assert_eq!((next - start).as_nanos() % (100 * MS).as_nanos(), 0, "off the beat");
        });
    });
}

#[test]
fn an_interval_that_is_reset_starts_over() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let mut beat = interval(5 * MS);
            beat.tick().await;
            let before = Instant::now();
            beat.reset();
            assert!(beat.tick().await >= before + 5 * MS);
            let at = Instant::now() + MS;
            beat.reset_at(at);
            assert_eq!(beat.tick().await, at);
        });
    });
}

#[test]
#[should_panic(expected = "must not be zero")]
fn an_interval_without_a_period_is_refused() {
    drop(interval(Duration::ZERO));
}

#[test]
fn a_sleep_goes_wherever_its_owner_goes() {
    fn assert<T: Send + Sync + Unpin + std::fmt::Debug + 'static>(_: &T) {}

    within(LIMIT, || {
        let runtime = runtime(2);
        let mut sleeps: Vec<Sleep> = (0..100).map(|i| sleep(i * MS / 10)).collect();
        sleeps.iter().for_each(assert);
        // First polled here, then handed to tasks, on whichever worker.
        runtime.block_on(async {
            for sleep in &mut sleeps {
                let _ = poll_once(sleep).await;
            }
        });
        let tasks: Vec<_> = sleeps.into_iter().map(|sleep| runtime.spawn(sleep)).collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}
