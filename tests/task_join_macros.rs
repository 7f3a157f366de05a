//! `join!` and `try_join!`: several futures in one task.

mod support;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use support::{Drops, LIMIT, for_each_worker_count, runtime, within};
use tenter::{join, try_join, yield_now};

/// Runs a future with nothing to wait for.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it is not ready at once"),
    }
}

#[test]
fn the_outputs_are_a_tuple_in_order() {
    assert_eq!(now(async { join!(ready(1)) }), (1,));
    assert_eq!(now(async { join!(ready(1), ready("two"), async { 3.0 },) }), (1, "two", 3.0));
    assert_eq!(now(async { join!(biased; ready(1), ready(2)) }), (1, 2));
    now(async { join!() });
    now(async { join!(biased;) });
}

#[test]
fn a_future_may_be_a_reference_to_one_that_is_made_there() {
    assert_eq!(now(async { join!(&mut ready(1), pin!(async { 2 })) }), (1, 2));
    let both = now(async { try_join!(&mut ready(Ok::<_, ()>(1)), pin!(async { Ok(2) })) });
    assert_eq!(both, Ok((1, 2)));
    let failed =
        now(async { try_join!(biased; &mut pending::<Result<(), _>>(), ready(Err::<(), _>(3))) });
    assert_eq!(failed, Err(3));
}

#[test]
fn the_futures_take_turns() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let steps = Cell::new(0);
                let wait_for = async |wanted: u32| {
                    while steps.get() < wanted {
                        yield_now().await;
                    }
                    steps.set(steps.get() + 1);
                    wanted
                };
                let outputs = join!(wait_for(2), wait_for(1), wait_for(0));
                assert_eq!(outputs, (2, 1, 0));
                assert_eq!(steps.get(), 3);
            });
        });
    });
}

#[test]
fn futures_may_borrow_and_need_not_be_sent() {
    let text = Rc::new(String::from("here"));
    let outputs = now(async { join!(async { text.len() }, async { Rc::strong_count(&text) }) });
    assert_eq!(outputs, (4, 1));
}

#[test]
fn a_future_that_is_done_is_dropped_and_not_polled_again() {
    let drops = Drops::new();
    let tracked = drops.tracked();
    let mut polls = 0;
    let once = poll_fn(|_| {
        polls += 1;
        tracked.touch();
        Poll::Ready(())
    });
    {
        let mut both = pin!(async { join!(once, pending::<()>()) });
        for _ in 0..3 {
            assert!(both.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
    }
    assert_eq!(polls, 1);
}

/// Notes who is polled, and is ready at the given poll.
fn noted(order: &Cell<Vec<u8>>, name: u8, ready_at: u32) -> impl Future<Output = u8> + '_ {
    let mut polls = 0;
    poll_fn(move |_| {
        let mut polled = order.take();
        polled.push(name);
        order.set(polled);
        polls += 1;
        if polls == ready_at { Poll::Ready(name) } else { Poll::Pending }
    })
}

fn poll_times<F: Future>(mut future: Pin<&mut F>, times: u32) {
    for _ in 0..times {
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

#[test]
fn each_poll_begins_at_the_next_future() {
    let order = Cell::default();
    let all = pin!(async {
        join!(noted(&order, b'a', 4), noted(&order, b'b', 4), noted(&order, b'c', 4))
    });
    poll_times(all, 4);
    assert_eq!(order.take(), b"abcbcacababc");
    let all = pin!(async {
        try_join!(async { Ok::<_, ()>(noted(&order, b'a', 2).await) }, async {
            Ok(noted(&order, b'b', 2).await)
        },)
    });
    poll_times(all, 2);
    assert_eq!(order.take(), b"abba");
}

#[test]
fn biased_begins_at_the_first_each_time() {
    let order = Cell::default();
    let all = pin!(async { join!(biased; noted(&order, b'a', 3), noted(&order, b'b', 3)) });
    poll_times(all, 3);
    assert_eq!(order.take(), b"ababab");
}

#[test]
fn the_first_error_is_returned_and_the_rest_is_dropped() {
    let drops = Drops::new();
    let tracked = drops.tracked();
    let result = now(async {
        try_join!(
            async {
                tracked.touch();
                let _tracked = tracked;
                pending::<Result<(), &str>>().await
            },
            async { Err::<(), _>("failed") },
            async { Ok(3) },
        )
    });
    assert_eq!(result, Err("failed"));
    assert_eq!(drops.count(), 1);
}

#[test]
fn an_error_that_comes_later_ends_it_too() {
    within(LIMIT, || {
        let result = runtime(1).block_on(async {
            try_join!(
                async {
                    yield_now().await;
                    Err::<(), _>("late")
                },
                async { Ok(2) },
                pending::<Result<(), _>>(),
            )
        });
        assert_eq!(result, Err("late"));
    });
}

#[test]
fn if_all_succeed_it_is_the_tuple_of_what_they_returned() {
    let result: Result<_, ()> = now(async { try_join!(ready(Ok(1)), ready(Ok("two")),) });
    assert_eq!(result, Ok((1, "two")));
    let result: Result<_, ()> = now(async { try_join!(biased; ready(Ok(1))) });
    assert_eq!(result, Ok((1,)));
    let result: Result<(), ()> = now(async { try_join!() });
    assert_eq!(result, Ok(()));
}

#[test]
fn they_may_stand_in_the_expressions_of_each_other() {
    let ((a, b), Ok::<_, ()>((c,))) = now(async {
        join!(async { join!(ready(1), ready(2)) }, async { try_join!(ready(Ok(3))) })
    }) else {
        unreachable!()
    };
    assert_eq!(a + b + c, 6);
}

#[test]
fn a_question_mark_in_an_argument_is_that_of_the_function() {
    async fn both(text: &str) -> Result<i32, std::num::ParseIntError> {
        let (a, b) = join!(ready(text.parse::<i32>()?), ready(1));
        Ok(a + b)
    }
    assert_eq!(now(both("41")), Ok(42));
    assert!(now(both("x")).is_err());
}

#[test]
fn a_panic_of_one_is_that_of_all_and_the_rest_is_dropped() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let drops = Drops::new();
        let tracked = drops.tracked();
        let task = runtime.spawn(async move {
            join!(
                async move {
                    tracked.touch();
                    pending::<()>().await
                },
                async { panic!("one of two") },
            )
        });
        let error = runtime.block_on(task).unwrap_err();
        assert!(error.to_string().contains("one of two"), "{error}");
        assert_eq!(drops.count(), 1);
    });
}
