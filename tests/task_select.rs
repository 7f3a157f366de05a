//! `select!`: the first of several futures.

mod support;

use std::cell::Cell;
use std::future::{Future, IntoFuture, Ready, pending, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use support::{Drops, Gate, LIMIT, for_each_worker_count, runtime, within};
use tenter::select;
use tenter::sync::channel;
use tenter::task::consume_budget;
use tenter::yield_now;

/// Runs a future with nothing to wait for.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it is not ready at once"),
    }
}

#[test]
fn the_branch_that_is_ready_has_its_handler_run() {
    let value = now(async {
        select! {
            _ = pending::<()>() => "never",
            value = async { "ready" } => value,
        }
    });
    assert_eq!(value, "ready");
}

#[test]
fn a_future_may_be_a_reference_to_one_that_is_made_there() {
    let value = now(async {
        select! {
            value = &mut ready(1) => value,
        }
    });
    assert_eq!(value, 1);
    let (is_enabled, mut text) = (true, String::from("a"));
    let value = now(async {
        select! {
            biased;
            () = &mut pending(), if is_enabled => unreachable!(),
            () = &mut pending(), if !is_enabled => unreachable!(),
            () = pin!(async { text.push('b') }) => text.len(),
        }
    });
    assert_eq!(value, 2);
}

#[test]
fn a_future_that_is_made_there_is_dropped_before_the_handler_runs() {
    let drops = Drops::new();
    let first = drops.tracked();
    let second = drops.tracked();
    let count = now(async {
        select! {
            biased;
            () = pin!(async move {
                first.touch();
                pending().await
            }) => unreachable!(),
            () = pin!(async move { second.touch() }) => drops.count(),
        }
    });
    assert_eq!(count, 2);
}

#[test]
fn a_handler_may_be_a_block_or_an_expression_with_or_without_a_comma() {
    for ready_at in 0..5 {
        let branch = |index| async move {
            if index != ready_at {
                pending::<()>().await;
            }
        };
        let taken = now(async {
            select! {
                () = branch(0) => { 0 }
                () = branch(1) => { 1 },
                () = branch(2), if true => { 2 }
                () = branch(3), if true => { 1 + 2 },
                () = branch(4) => 2 + 2,
            }
        });
        assert_eq!(taken, ready_at);
    }
    assert_eq!(
        now(async {
            select! { one = ready(1) => one }
        }),
        1
    );
    assert_eq!(
        now(async {
            select! { one = ready(1), if true => one }
        }),
        1
    );
    assert_eq!(
        now(async {
            select! { one = ready(1) => one, else => 2, }
        }),
        1
    );
    assert_eq!(
        now(async {
            select! { biased; one = ready(1) => { one } else => 2 }
        }),
        1
    );
    assert_eq!(
        now(async {
            select! { else => 2 }
        }),
        2
    );
    assert_eq!(
        now(async {
            select! { biased; else => 2, }
        }),
        2
    );
}

#[test]
fn a_branch_whose_condition_does_not_hold_is_not_even_evaluated() {
    let nothing: Option<Ready<i32>> = None;
    let value = now(async {
        select! {
            value = nothing.clone().unwrap(), if nothing.is_some() => value,
            else => -1,
        }
    });
    assert_eq!(value, -1);
}

#[test]
fn conditions_are_evaluated_before_the_futures_borrow() {
    now(async {
        let mut list = vec![1];
        let push = async |list: &mut Vec<i32>| list.push(2);
        select! {
            biased;
            () = push(&mut list), if list.len() == 1 => {}
            () = pending(), if !list.is_empty() => {}
        }
        assert_eq!(list, [1, 2]);
    });
}

#[test]
fn an_output_that_does_not_match_disables_its_branch() {
    let value = now(async {
        select! {
            biased;
            Some(value) = ready(None::<i32>) => value,
            Ok(value) = ready(Err::<i32, ()>(())) => value,
            [first, ..] = ready([7, 8]) => first,
            else => -1,
        }
    });
    assert_eq!(value, 7);
    let value = now(async {
        select! {
            Some(value) = ready(None::<i32>) => value,
            1 | 2 = ready(3) => 3,
            value @ 5.. = ready(4) => value,
            else => -1,
        }
    });
    assert_eq!(value, -1);
}

#[test]
fn a_branch_that_is_disabled_while_others_are_pending_is_not_polled_again() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let gate = Gate::new();
            let mut polls = 0;
            let count = poll_fn(|_| {
                polls += 1;
                Poll::Ready(false)
            });
            let waiting = gate.clone();
            tenter::spawn(async move {
                while waiting.waiting() == 0 {
                    yield_now().await;
                }
                waiting.open();
            })
            .detach();
            select! {
                biased;
                true = count => unreachable!(),
                () = gate.pass() => {}
            }
            assert_eq!(polls, 1);
        });
    });
}

#[test]
fn patterns_bind_by_move_by_reference_and_mutably() {
    struct NotCopy(String);
    now(async {
        select! {
            Some(NotCopy(mut text)) = ready(Some(NotCopy("moved".to_owned()))) => {
                text.push('!');
                assert_eq!(text, "moved!");
            }
        }
        select! {
            Some(ref mut text) = ready(Some("borrowed".to_owned())) => {
                text.clear();
                assert_eq!(*text, "");
            }
        }
        let number = 5;
        select! { &number = ready(&number) => assert_eq!(number + 1, 6) }
        select! { whole @ Some(1..=9) = ready(Some(number)) => assert_eq!(whole, Some(5)) }
        select! { Some(5) | None = ready(Some(number)) => {} }
        select! { (mut left, _) = ready((1, 2)) => { left += 1; assert_eq!(left, 2) } }
    });
}

#[test]
#[should_panic(expected = "every branch of the `select!` is disabled")]
fn without_an_else_it_panics_when_every_branch_is_disabled() {
    now(async {
        select! {
            Some(()) = ready(None) => {}
            () = ready(()), if false => {}
        }
    });
}

#[test]
fn handlers_may_break_continue_and_return() {
    let rounds = now(async {
        let mut rounds = 0;
        loop {
            rounds += 1;
            select! {
                round = ready(rounds) => if round < 3 { continue } else { break },
            }
        }
        rounds
    });
    assert_eq!(rounds, 3);
    let returned = now(async {
        let value = select! {
            value = ready(1) => if value == 1 { return value } else { 2 },
        };
        value + 1
    });
    assert_eq!(returned, 1);
    let mut rounds = 0;
    let labelled = now(async {
        'outer: loop {
            rounds += 1;
            for _ in 0..2 {
                select! {
                    n = ready(rounds) => if n == 4 { break 'outer n },
                }
            }
        }
    });
    assert_eq!(labelled, 4);
}

#[test]
fn handlers_and_futures_may_use_the_question_mark() {
    async fn parse(text: &str) -> Result<i32, std::num::ParseIntError> {
        let one = select! {
            parsed = ready(text.parse::<i32>()) => parsed?,
        };
        // The `?` is that of the function, not of the future.
        let two = select! {
            two = ready(text.parse::<i32>()?) => two,
        };
        Ok(one + two)
    }
    assert_eq!(now(parse("21")), Ok(42));
    assert!(now(parse("x")).is_err());
}

#[test]
fn handlers_may_await() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let value = select! {
                value = ready(1) => {
                    yield_now().await;
                    value + ready(1).await
                }
            };
            assert_eq!(value, 2);
        });
    });
}

#[test]
fn every_future_is_dropped_before_the_handler_runs() {
    let drops = Drops::new();
    let waiting = |tracked: support::Tracked| async move {
        tracked.touch();
        pending::<()>().await
    };
    let done = drops.tracked();
    now(async {
        select! {
            biased;
            () = waiting(drops.tracked()) => unreachable!(),
            () = async { done.touch(); drop(done) } => assert_eq!(drops.count(), 3),
            () = waiting(drops.tracked()) => unreachable!(),
        }
    });
}

#[test]
fn a_handler_may_use_what_the_other_futures_had_borrowed() {
    async fn first(buffer: &mut Vec<u8>) -> usize {
        buffer.push(1);
        pending().await
    }
    let mut buffer = Vec::new();
    now(async {
        select! {
            biased;
            _ = first(&mut buffer) => unreachable!(),
            () = ready(()) => buffer.push(2),
        }
    });
    assert_eq!(buffer, [1, 2]);
}

#[test]
fn a_future_by_reference_goes_on_after_the_select() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let mut polls = 0;
            let mut slow = pin!(async {
                for _ in 0..5 {
                    yield_now().await;
                }
                "done"
            });
            let done = loop {
                polls += 1;
                select! {
                    biased;
                    done = &mut slow => break done,
                    () = ready(()) => {}
                }
            };
            assert_eq!((done, polls), ("done", 6));
        });
    });
}

#[test]
fn what_becomes_a_future_may_stand_in_a_branch() {
    struct Later(i32);
    impl IntoFuture for Later {
        type Output = i32;
        type IntoFuture = Ready<i32>;
        fn into_future(self) -> Ready<i32> {
            ready(self.0)
        }
    }
    assert_eq!(
        now(async {
            select! { n = Later(3) => n }
        }),
        3
    );
}

#[test]
fn no_branch_is_starved_by_one_that_is_always_ready() {
    let mut counts = [0_u32; 3];
    now(async {
        for _ in 0..3000 {
            select! {
                () = ready(()) => counts[0] += 1,
                () = ready(()) => counts[1] += 1,
                () = ready(()) => counts[2] += 1,
            }
        }
    });
    // Each is expected 1000 times, and less than 700 once in more than 10^30 runs.
    assert!(counts.iter().all(|count| *count > 700), "{counts:?}");
}

#[test]
fn biased_takes_the_first_that_is_ready() {
    now(async {
        for _ in 0..100 {
            select! {
                biased;
                () = pending() => unreachable!(),
                () = ready(()) => {}
                () = ready(()) => unreachable!(),
            }
        }
    });
}

#[test]
fn a_loop_around_branches_that_are_always_ready_lets_others_run() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let stop = Arc::new(AtomicUsize::new(0));
            let loops: Vec<_> = (0..8)
                .map(|_| {
                    let stop = Arc::clone(&stop);
                    runtime.spawn(async move {
                        while stop.load(Ordering::Relaxed) == 0 {
                            select! {
                                () = ready(()) => {}
                                () = pending() => {}
                            }
                        }
                    })
                })
                .collect();
            runtime
                .block_on(runtime.spawn(async move { stop.store(1, Ordering::Relaxed) }))
                .unwrap();
            for task in loops {
                runtime.block_on(task).unwrap();
            }
        });
    });
}

#[test]
fn a_select_that_is_pending_costs_nothing_of_the_budget() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let steps = runtime.spawn(async {
            // Each poll of a select leaves its unit; the budget of one poll of the task is spent by
            // exactly so many outputs.
            let mut polls = 0;
            let mut spent = pin!(async {
                for _ in 0..1000 {
                    consume_budget().await;
                }
            });
            poll_fn(|cx| {
                for _ in 0..1000 {
                    let select = pin!(async {
                        select! { () = pending() => {} }
                    });
                    assert!(select.poll(cx).is_pending());
                }
                polls += 1;
                spent.as_mut().poll(cx)
            })
            .await;
            polls
        });
        let polls = runtime.block_on(steps).unwrap();
        // 1000 units in polls of 128.
        assert_eq!(polls, 8);
    });
}

#[test]
fn a_message_is_not_lost_to_the_select_that_did_not_take_it() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (left_in, left_out) = channel::unbounded();
            let (right_in, right_out) = channel::unbounded();
            for mut sender in [(left_in, 0), (right_in, 10_000)] {
                runtime
                    .spawn(async move {
                        for _ in 0..1000 {
                            sender.1 += 1;
                            sender.0.send(sender.1).await.unwrap();
                            yield_now().await;
                        }
                    })
                    .detach();
            }
            let sums = runtime.block_on(async {
                let (mut left, mut right) = (0, 0);
                loop {
                    select! {
                        Ok(n) = left_out.recv() => left += n,
                        Ok(n) = right_out.recv() => right += n,
                        else => break (left, right),
                    }
                }
            });
            assert_eq!(sums, (500_500, 10_500_500));
        });
    });
}

#[test]
fn a_panic_in_a_future_is_that_of_the_select() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let task = runtime.spawn(async {
            select! {
                () = async { panic!("in a branch") } => {}
                () = pending() => {}
            }
        });
        let error = runtime.block_on(task).unwrap_err();
        assert!(error.to_string().contains("in a branch"), "{error}");
    });
}

#[test]
fn an_aborted_select_drops_its_futures() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let drops = Drops::new();
        let (gate, tracked) = (Gate::new(), (drops.tracked(), drops.tracked()));
        let started = gate.clone();
        let task = runtime.spawn(async move {
            let hold = |tracked: support::Tracked| async move {
                tracked.touch();
                pending::<()>().await
            };
            select! {
                () = hold(tracked.0) => {}
                () = hold(tracked.1) => {}
                () = async { started.open(); pending().await } => {}
            }
        });
        gate.wait();
        assert_eq!(runtime.block_on(task.cancel()), None);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn its_future_can_be_sent_and_its_outputs_need_not_be_shared() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let value = runtime.spawn(async {
            select! {
                cell = ready(Cell::new(1)) => cell.get(),
                () = tenter::time::sleep(Duration::MAX) => 2,
            }
        });
        assert_eq!(runtime.block_on(value).unwrap(), 1);
    });
}

#[test]
fn selects_may_stand_in_each_other() {
    let value = now(async {
        select! {
            outer = async { select! { inner = ready(1) => inner, () = pending() => 0 } } => {
                select! {
                    inner = ready(outer + 1) => inner * 10,
                }
            }
        }
    });
    assert_eq!(value, 20);
}

#[test]
fn a_future_that_never_returns_may_stand_in_a_branch() {
    #[allow(unreachable_patterns)]
    let value = now(async {
        select! {
            never = pending::<std::convert::Infallible>() => match never {},
            value = ready(1) => value,
        }
    });
    assert_eq!(value, 1);
}

#[test]
fn there_may_be_64_branches() {
    async fn at(index: u64, wanted: u64) -> u64 {
        if index == wanted { index } else { pending().await }
    }
    for wanted in 0..64 {
        let value = now(async {
            select! {
                n = at(0, wanted) => n, n = at(1, wanted) => n, n = at(2, wanted) => n,
                n = at(3, wanted) => n, n = at(4, wanted) => n, n = at(5, wanted) => n,
                n = at(6, wanted) => n, n = at(7, wanted) => n, n = at(8, wanted) => n,
                n = at(9, wanted) => n, n = at(10, wanted) => n, n = at(11, wanted) => n,
                n = at(12, wanted) => n, n = at(13, wanted) => n, n = at(14, wanted) => n,
                n = at(15, wanted) => n, n = at(16, wanted) => n, n = at(17, wanted) => n,
                n = at(18, wanted) => n, n = at(19, wanted) => n, n = at(20, wanted) => n,
                n = at(21, wanted) => n, n = at(22, wanted) => n, n = at(23, wanted) => n,
                n = at(24, wanted) => n, n = at(25, wanted) => n, n = at(26, wanted) => n,
                n = at(27, wanted) => n, n = at(28, wanted) => n, n = at(29, wanted) => n,
                n = at(30, wanted) => n, n = at(31, wanted) => n, n = at(32, wanted) => n,
                n = at(33, wanted) => n, n = at(34, wanted) => n, n = at(35, wanted) => n,
                n = at(36, wanted) => n, n = at(37, wanted) => n, n = at(38, wanted) => n,
                n = at(39, wanted) => n, n = at(40, wanted) => n, n = at(41, wanted) => n,
                n = at(42, wanted) => n, n = at(43, wanted) => n, n = at(44, wanted) => n,
                n = at(45, wanted) => n, n = at(46, wanted) => n, n = at(47, wanted) => n,
                n = at(48, wanted) => n, n = at(49, wanted) => n, n = at(50, wanted) => n,
                n = at(51, wanted) => n, n = at(52, wanted) => n, n = at(53, wanted) => n,
                n = at(54, wanted) => n, n = at(55, wanted) => n, n = at(56, wanted) => n,
                n = at(57, wanted) => n, n = at(58, wanted) => n, n = at(59, wanted) => n,
                n = at(60, wanted) => n, n = at(61, wanted) => n, n = at(62, wanted) => n,
                n = at(63, wanted) => n,
            }
        });
        assert_eq!(value, wanted);
    }
}

/// A crate that has names of its own for everything, and another one for this crate.
mod hostile {
    #![allow(dead_code, non_camel_case_types, non_upper_case_globals, unused_macros)]

    use ::tenter as t;

    struct Option;
    struct Some;
    struct None;
    struct Poll;
    struct Result;
    struct Ok;
    struct Err;
    struct Pin;
    trait Future {}
    trait IntoFuture {}
    mod std {}
    mod core {}
    mod tenter {}
    const cx: u8 = 1;
    const output: u8 = 1;
    const future: u8 = 1;
    const branch: u8 = 1;
    static value: u8 = 1;
    macro_rules! panic {
        () => {};
    }
    macro_rules! unreachable {
        () => {};
    }
    macro_rules! pin {
        () => {};
    }

    pub(crate) async fn select() -> u8 {
        let n = 1;
        t::select! {
            one = async { n } => one + n + value,
            _ = async { ::std::future::pending::<u8>().await }, if n == 1 => 0,
            else => n,
        }
    }

    pub(crate) async fn join() -> (u8, u8) {
        let n = 1;
        t::join!(async { n }, async { n + value })
    }
}

#[test]
fn names_of_the_caller_do_not_get_in_the_way() {
    assert_eq!(now(hostile::select()), 3);
    assert_eq!(now(hostile::join()), (1, 2));
}
