//! Waiting for several futures inside one task: `select!`, `join!`, `try_join!`.

#[doc(hidden)]
pub mod support;

/// Waits for the first of several futures, inside the current task, and drops the others.
///
/// ```text
/// select! {
///     biased;                                     // optional, see below
///     pattern = future => handler,
///     pattern = future, if condition => handler,  // up to 64 of these
///     else => handler,                            // optional
/// }
/// ```
///
/// The grammar and what it means are tokio's:
///
/// 1. Each condition is evaluated. Then, for those that hold, the expressions of the futures are, in
///    their order. A branch whose condition does not hold is disabled, and its expression is **not**
///    evaluated (in tokio it is).
/// 2. The futures are polled until one is ready with an output that matches its pattern. One whose
///    output does not match is dropped, its branch disabled, and the others go on.
/// 3. **All futures are dropped**, the one that was first and those that were not.
/// 4. The handler of the first runs, and its value is that of the `select!`. It may use what the
///    futures had borrowed, `.await`, `?`, `return`, and `break` and `continue` of a loop around it.
/// 5. If every branch is disabled, the handler of `else` runs.
///
/// The futures are those of an expression, any [`IntoFuture`]; they run in the current task, so they
/// may borrow from it, but not at the same time as each other. Write `&mut future` to go on with a
/// future later. Nothing is allocated.
///
/// asyncio has `asyncio.wait(.., return_when=FIRST_COMPLETED)` for this, of tasks, and leaves
/// cancelling the others to you.
///
/// # Fairness
///
/// Each poll begins at a random branch, so that one that is always ready does not starve the others.
/// With `biased;` it begins at the first and goes on in order: put a branch that is always ready
/// last. Each output costs one unit of the task's [budget](crate::task::consume_budget): a loop
/// around branches that are always ready lets other tasks run.
///
/// # Panics
///
/// Panics if every branch is disabled and there is no `else`.
///
/// # Cancel safety
///
/// Each future must bear to be dropped while it is pending; in a loop, what it has done so far is
/// lost each time another branch is first. What is cancel safe in this crate says so, under this
/// heading. The `select!` itself loses nothing but its futures.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenter::sync::channel;
/// use tenter::time::sleep;
///
/// # tenter::run(async {
/// let (sender, receiver) = channel::unbounded();
/// tenter::spawn(async move {
///     for n in 1..=3 {
///         sender.send(n).await.unwrap();
///     }
/// })
/// .detach();
///
/// let mut sum = 0;
/// loop {
///     tenter::select! {
///         Ok(n) = receiver.recv() => sum += n,
///         () = sleep(Duration::from_secs(60)) => panic!("it takes too long"),
///         else => break,
///     }
///     if sum == 6 {
///         break;
///     }
/// }
/// # }).unwrap();
/// ```
#[macro_export]
macro_rules! select {
    () => {
        $crate::__support::core::compile_error!("`select!` needs at least one branch")
    };
    (biased;) => {
        $crate::select!()
    };
    (biased; $($branches:tt)+) => {
        $crate::__with_numbers!(__select first [] $($branches)+)
    };
    ($($branches:tt)+) => {
        $crate::__with_numbers!(__select random [] $($branches)+)
    };
}

/// Waits for all of several futures, inside the current task, and returns the tuple of their
/// outputs.
///
/// The futures run in the current task, by turns, so they may borrow from it; a panic of one is that
/// of the `join!`. To have them run in parallel, or one of many whose number is not known,
/// there are [`spawn`](crate::spawn) and [`gather`](crate::gather), which is asyncio's `gather`.
///
/// Each poll begins at another future than the one before; with `biased;` in front, always at the
/// first. There may be up to 64.
///
/// # Cancel safety
///
/// The futures are dropped, and with them the outputs that are there.
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let text = String::from("borrowed");
/// let (length, upper) = tenter::join!(async { text.len() }, async { text.to_uppercase() });
/// assert_eq!((length, upper.as_str()), (8, "BORROWED"));
/// # }).unwrap();
/// ```
#[macro_export]
macro_rules! join {
    ($(biased;)?) => {
        ()
    };
    (biased; $($future:expr),+ $(,)?) => {
        $crate::__with_numbers!(__join all_branch first [] $($future,)+)
    };
    ($($future:expr),+ $(,)?) => {
        $crate::__with_numbers!(__join all_branch next [] $($future,)+)
    };
}

/// Waits for several futures, inside the current task, until all have succeeded or one has failed.
///
/// The futures return [`Result`]s of one type of error. If all are `Ok` it is the `Ok` of the tuple of
/// what is in them; the first `Err` in time is returned at once, and the other futures are dropped. In
/// all else it is [`join!`](crate::join). The counterpart that runs in parallel is
/// [`try_gather`](crate::try_gather).
///
/// # Cancel safety
///
/// The futures are dropped, and with them the outputs that are there.
///
/// # Examples
///
/// ```
/// use std::num::ParseIntError;
///
/// async fn parse(text: &str) -> Result<i32, ParseIntError> {
///     text.parse()
/// }
///
/// # tenter::run(async {
/// assert_eq!(tenter::try_join!(parse("1"), parse("2")), Ok((1, 2)));
/// assert!(tenter::try_join!(parse("1"), parse("two")).is_err());
/// # }).unwrap();
/// ```
#[macro_export]
macro_rules! try_join {
    ($(biased;)?) => {
        $crate::__support::Result::Ok(())
    };
    (biased; $($future:expr),+ $(,)?) => {
        $crate::__with_numbers!(__join try_branch first [] $($future,)+)
    };
    ($($future:expr),+ $(,)?) => {
        $crate::__with_numbers!(__join try_branch next [] $($future,)+)
    };
}

/// Calls a macro with as many numbers as there may be branches, each with a name.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_numbers {
    ($macro:ident $($rest:tt)*) => {
        $crate::$macro! {
            [
                (0 B0) (1 B1) (2 B2) (3 B3) (4 B4) (5 B5) (6 B6) (7 B7)
                (8 B8) (9 B9) (10 B10) (11 B11) (12 B12) (13 B13) (14 B14) (15 B15)
                (16 B16) (17 B17) (18 B18) (19 B19) (20 B20) (21 B21) (22 B22) (23 B23)
                (24 B24) (25 B25) (26 B26) (27 B27) (28 B28) (29 B29) (30 B30) (31 B31)
                (32 B32) (33 B33) (34 B34) (35 B35) (36 B36) (37 B37) (38 B38) (39 B39)
                (40 B40) (41 B41) (42 B42) (43 B43) (44 B44) (45 B45) (46 B46) (47 B47)
                (48 B48) (49 B49) (50 B50) (51 B51) (52 B52) (53 B53) (54 B54) (55 B55)
                (56 B56) (57 B57) (58 B58) (59 B59) (60 B60) (61 B61) (62 B62) (63 B63)
            ]
            $($rest)*
        }
    };
}

/// `select!` on normal form: `[numbers that are left] start [branches that were read] the rest`.
///
/// One step a branch, so nobody needs another limit on recursion. The `__future` of each step is a
/// variable of its own, by hygiene.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // All are read.
    ([$($numbers:tt)*] $start:ident [] else => $else:expr $(,)?) => {
        $else
    };
    ([$($numbers:tt)*] $start:ident $branches:tt else => $else:expr $(,)?) => {
        $crate::__select!(@emit $start $branches { $else })
    };
    ([$($numbers:tt)*] $start:ident $branches:tt else $($rest:tt)*) => {
        $crate::__support::core::compile_error!(
            "`else => handler` is the last branch of `select!`, and has neither pattern nor future"
        )
    };
    ([$($numbers:tt)*] $start:ident $branches:tt) => {
        $crate::__select!(@emit $start $branches { $crate::__support::all_disabled() })
    };
    ([] $start:ident $branches:tt $($rest:tt)+) => {
        $crate::__support::core::compile_error!("`select!` takes at most 64 branches")
    };

    // One branch: with a condition or without, its handler a block or followed by a comma.
    (
        [$number:tt $($numbers:tt)*] $start:ident [$($branches:tt)*]
        $pattern:pat = $future:expr, if $condition:expr => $handler:block, $($rest:tt)*
    ) => {
        $crate::__select! {
            [$($numbers)*] $start
            [$($branches)* $number __future { $pattern } { $future } { $condition } { $handler }]
            $($rest)*
        }
    };
    (
        [$number:tt $($numbers:tt)*] $start:ident [$($branches:tt)*]
        $pattern:pat = $future:expr => $handler:block, $($rest:tt)*
    ) => {
        $crate::__select! {
            [$($numbers)*] $start
            [$($branches)* $number __future { $pattern } { $future } { true } { $handler }]
            $($rest)*
        }
    };
    (
        [$number:tt $($numbers:tt)*] $start:ident [$($branches:tt)*]
        $pattern:pat = $future:expr, if $condition:expr => $handler:block $($rest:tt)*
    ) => {
        $crate::__select! {
            [$($numbers)*] $start
            [$($branches)* $number __future { $pattern } { $future } { $condition } { $handler }]
            $($rest)*
        }
    };
    (
        [$number:tt $($numbers:tt)*] $start:ident [$($branches:tt)*]
        $pattern:pat = $future:expr => $handler:block $($rest:tt)*
    ) => {
        $crate::__select! {
            [$($numbers)*] $start
            [$($branches)* $number __future { $pattern } { $future } { true } { $handler }]
            $($rest)*
        }
    };
    (
        [$number:tt $($numbers:tt)*] $start:ident [$($branches:tt)*]
        $pattern:pat = $future:expr, if $condition:expr => $handler:expr $(, $($rest:tt)*)?
    ) => {
        $crate::__select! {
            [$($numbers)*] $start
            [$($branches)* $number __future { $pattern } { $future } { $condition } { $handler }]
            $($($rest)*)?
        }
    };
    (
        [$number:tt $($numbers:tt)*] $start:ident [$($branches:tt)*]
        $pattern:pat = $future:expr => $handler:expr $(, $($rest:tt)*)?
    ) => {
        $crate::__select! {
            [$($numbers)*] $start
            [$($branches)* $number __future { $pattern } { $future } { true } { $handler }]
            $($($rest)*)?
        }
    };

    (
        @emit $start:ident
        [$(
            ($number:tt $name:ident) $var:ident
            { $pattern:pat } { $future:expr } { $condition:expr } { $handler:expr }
        )+]
        { $else:expr }
    ) => {{
        enum __TenterSelected<$($name),+> {
            $($name($name),)+
            Disabled,
        }
        #[allow(unused_mut)]
        let mut __selected = {
            // All conditions first: the futures may borrow what these look at.
            $(let $var = $condition;)+
            // With braces `Some` extends the life of temporaries: `&mut later()` lives as long as
            // the other futures.
            $(
                let $var = if $var {
                    $crate::__support::Option::Some { 0: $future }
                } else {
                    $crate::__support::Option::None
                };
                let mut $var = $crate::__support::pin!($crate::__support::branch($var));
            )+
            $crate::__support::poll_fn(|__cx| {
                let __spent = match $crate::__support::poll_spend(__cx) {
                    $crate::__support::Poll::Ready(__spent) => __spent,
                    $crate::__support::Poll::Pending => return $crate::__support::Poll::Pending,
                };
                let mut __is_pending = false;
                for __branch in $crate::__support::$start(&mut 0, &[$($number),+]) {
                    match __branch {
                        $($number => match $crate::__support::poll(&mut $var, __cx) {
                            $crate::__support::Polled::Disabled => {}
                            $crate::__support::Polled::Pending => __is_pending = true,
                            #[allow(unused_mut, unused_variables, unreachable_code, unreachable_patterns)]
                            $crate::__support::Polled::Ready(mut __output) => {
                                let mut __is_match = false;
                                // A guard that fails has moved nothing out of the output.
                                match __output {
                                    $pattern if {
                                        __is_match = true;
                                        false
                                    } => $crate::__support::unreachable(),
                                    _ => {}
                                }
                                if __is_match {
                                    __spent.made_progress();
                                    return $crate::__support::Poll::Ready(
                                        __TenterSelected::$name(__output)
                                    );
                                }
                            }
                        },)+
                        _ => $crate::__support::unreachable(),
                    }
                }
                if __is_pending {
                    $crate::__support::Poll::Pending
                } else {
                    $crate::__support::Poll::Ready(__TenterSelected::Disabled)
                }
            })
            .await
        };
        match __selected {
            $(__TenterSelected::$name($pattern) => $handler,)+
            __TenterSelected::Disabled => $else,
            #[allow(unreachable_patterns)]
            _ => $crate::__support::unreachable(),
        }
    }};
}

/// `join!` and `try_join!`, read one future a step.
#[doc(hidden)]
#[macro_export]
macro_rules! __join {
    ([$($numbers:tt)*] $kind:ident $start:ident $futures:tt) => {
        $crate::__join!(@emit $kind $start $futures)
    };
    ([] $kind:ident $start:ident $futures:tt $($rest:tt)+) => {
        $crate::__support::core::compile_error!("`join!` and `try_join!` take at most 64 futures")
    };
    (
        [$number:tt $($numbers:tt)*] $kind:ident $start:ident [$($futures:tt)*]
        $future:expr, $($rest:tt)*
    ) => {
        $crate::__join! {
            [$($numbers)*] $kind $start [$($futures)* $number __future { $future }] $($rest)*
        }
    };

    (
        @emit $kind:ident $start:ident
        [$(($number:tt $name:ident) $var:ident { $future:expr })+]
    ) => {{
        $(
            // By itself it extends the life of temporaries: `&mut later()`.
            let $var = $future;
            let mut $var = $crate::__support::pin!($crate::__support::$kind($var));
        )+
        let mut __polls = 0;
        $crate::__support::poll_fn(|__cx| {
            let mut __is_pending = false;
            for __branch in $crate::__support::$start(&mut __polls, &[$($number),+]) {
                match __branch {
                    $($number => {
                        if $var.as_mut().poll(__cx).is_pending() {
                            __is_pending = true;
                        }
                        $crate::__join!(@check $kind $var);
                    })+
                    _ => $crate::__support::unreachable(),
                }
            }
            if __is_pending {
                $crate::__support::Poll::Pending
            } else {
                $crate::__support::Poll::Ready($crate::__join!(@take $kind $($var)+))
            }
        })
        .await
    }};
    (@check all_branch $var:ident) => {};
    (@check try_branch $var:ident) => {
        if let $crate::__support::Option::Some(__error) = $var.as_mut().take_error() {
            return $crate::__support::Poll::Ready($crate::__support::Result::Err(__error));
        }
    };
    (@take all_branch $($var:ident)+) => {
        ($($var.as_mut().take(),)+)
    };
    (@take try_branch $($var:ident)+) => {
        $crate::__support::Result::Ok(($($var.as_mut().take_success(),)+))
    };
}
