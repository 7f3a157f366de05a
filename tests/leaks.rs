//! Nothing is left behind: no descriptor, no thread, no allocation.

mod allocations;
mod support;

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use support::{Child, LIMIT, expect_success, within};
use tenter::fs::File;
use tenter::io::{AsyncReadExt, AsyncWriteExt};
use tenter::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream};
use tenter::task::TaskState;
use tenter::{Builder, Runtime, spawn, yield_now};

fn builder() -> Builder {
    let mut builder = Builder::new();
    // An idle thread is no leak, and each test waits until there is none.
    builder.worker_threads(2).blocking_keep_alive(Duration::from_millis(100));
    builder
}

fn runtime() -> Runtime {
    builder().build().unwrap()
}

/// Runs `body` this often in a process of its own, some times more before it counts, and fails if
/// descriptors or threads are left, or more allocations than fifty and one of every eighth time: a
/// hundred times show what each of them leaves.
fn leaves_nothing(times: usize, body: impl Fn()) {
    // What the queues' collector has not freed yet is bounded.
    let left_max = times / 8 + 50;
    assert!(times >= 100, "{times} times may each leave something, and it is not seen");
    std::panic::set_hook(Box::new(|_| ()));
    let threads = support::threads();
    // Where nobody joins a thread it ends by itself, soon.
    let wait_for_threads = || support::wait_until(|| support::threads() <= threads);
    // What is made once and kept (thread-locals, the tables of locks) is there after a few.
    let warm_up = times / 10 + 1;
    (0..warm_up).for_each(|_| body());
    wait_for_threads();
    let descriptors = support::descriptors();
    let allocated = allocations::live();
    let left_of = |times| {
        (0..times).for_each(|_| body());
        wait_for_threads();
        support::wait_until(|| support::descriptors() <= descriptors);
        allocations::live() - allocated
    };
    let mut left = left_of(times);
    // The collector frees nothing while a thread that looks at a queue has no core, and what is
    // ready then goes as it is used. So look again a little later. One allocation that each time
    // leaves is still found: what is left of them does not go, and becomes more.
    for _ in 0..10 {
        if left > left_max as isize {
            left = left_of(warm_up);
        }
    }
    if left > left_max as isize {
        // The panic hook says nothing.
        eprintln!("{left} allocations are left of {times} times and more");
        std::process::exit(1);
    }
}

#[test]
fn a_thousand_runtimes_leave_no_descriptor_thread_or_allocation() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(1000, || {
                let runtime = runtime();
                runtime.block_on(async { spawn(async {}).await.unwrap() });
            });
        }));
    });
}

#[test]
fn runtimes_that_end_in_the_middle_of_work_leave_nothing() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(200, || {
                let runtime = runtime();
                for _ in 0..5 {
                    runtime.spawn(pending::<()>()).detach();
                    runtime
                        .spawn(async {
                            loop {
                                yield_now().await;
                            }
                        })
                        .detach();
                    runtime.spawn_blocking(|| ()).detach();
                    runtime.spawn(async { panic!("on purpose") }).detach();
                }
            });
        }));
    });
}

#[test]
fn runtimes_that_are_dropped_on_their_own_threads_leave_nothing() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(100, || {
                let in_task = runtime();
                in_task.handle().clone().spawn(async move { drop(in_task) }).detach();
                let in_future = runtime();
                let handle = in_future.handle().clone();
                let task = handle.spawn(async move {
                    let _runtime = in_future;
                    pending::<()>().await;
                });
                task.abort();
                let in_closure = runtime();
                let handle = in_closure.handle().clone();
                handle.spawn_blocking(move || drop(in_closure)).detach();
                let in_main = runtime();
                in_main.handle().clone().block_on(async move { drop(in_main) });
            });
        }));
    });
}

#[test]
fn runtimes_that_nobody_waits_for_leave_nothing() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(100, || {
                let background = runtime();
                background.spawn(pending::<()>()).detach();
                background.spawn_blocking(|| ()).detach();
                background.shutdown_background();
                let no_grace = runtime();
                no_grace.spawn(pending::<()>()).detach();
                drop(no_grace.shutdown(Duration::ZERO));
                let panics = runtime();
                let panic = AssertUnwindSafe(|| panics.block_on(async { panic!("on purpose") }));
                assert!(catch_unwind(panic).is_err());
            });
        }));
    });
}

#[test]
fn handles_and_wakers_that_are_kept_keep_no_descriptor_and_no_thread() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let (descriptors, threads) = (support::descriptors(), support::threads());
            let mut kept = Vec::new();
            for _ in 0..50 {
                let runtime = runtime();
                let (sender, receiver) = async_channel::bounded(1);
                let task = runtime.spawn(std::future::poll_fn(move |cx| {
                    let _either = sender.try_send(cx.waker().clone());
                    std::task::Poll::<()>::Pending
                }));
                let waker = receiver.recv_blocking().unwrap();
                kept.push((task.abort_handle(), task, waker));
            }
            support::wait_until(|| support::threads() == threads);
            support::wait_until(|| support::descriptors() == descriptors);
            assert!(kept.iter().all(|(_, task, _)| task.state() == TaskState::Cancelled));
        }));
    });
}

#[test]
fn a_handle_that_is_kept_keeps_no_thread() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let threads = support::threads();
            let kept: Vec<_> = (0..20).map(|_| runtime().handle().clone()).collect();
            support::wait_until(|| support::threads() == threads);
            assert!(kept.iter().all(|handle| handle.tasks().is_empty()));
        }));
    });
}

#[test]
fn tasks_leave_no_allocation_however_they_end() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let runtime = runtime();
            leaves_nothing(2000, || {
                runtime.block_on(async {
                    // Joined, detached, panicked and joined or not, aborted, named.
                    assert_eq!(spawn(async { Box::new(1) }).await.map(|n| *n).unwrap(), 1);
                    spawn(async { Box::new(2) }).detach();
                    let panicked = spawn(async { panic!("{}", std::hint::black_box(3)) });
                    drop(panicked.await.unwrap_err());
                    spawn(async { panic!("{}", std::hint::black_box(4)) }).detach();
                    spawn(pending::<Box<u32>>()).cancel().await;
                    let finished = spawn(async { Box::new(5) });
                    while !finished.is_finished() {
                        yield_now().await;
                    }
                    let abort = finished.abort_handle();
                    drop(finished);
                    drop(abort);
                    let builder = tenter::task::Builder::new().name("named");
                    builder.spawn(async {}).await.unwrap();
                    tenter::spawn_blocking(|| Box::new(6)).await.unwrap();
                });
            });
        }));
    });
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", std::hint::black_box(1));
    }
}

#[test]
fn panics_that_are_contained_leave_no_allocation() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let runtime = builder().on_unobserved(|_| drop(Bomb)).build().unwrap();
            leaves_nothing(2000, || {
                runtime.block_on(async {
                    // In an output's drop, by the runner and by the handle.
                    spawn(async { Bomb }).detach();
                    let finished = spawn(async { Bomb });
                    while !finished.is_finished() {
                        yield_now().await;
                    }
                    drop(finished);
                    // In the hook, and in a payload.
                    spawn(async { std::panic::panic_any(Box::new(2)) }).detach();
                    let closure = tenter::spawn_blocking(|| Bomb);
                    while !closure.is_finished() {
                        yield_now().await;
                    }
                    drop(closure);
                    // In a future's drop: the joiner's.
                    let bomb = Bomb;
                    let task = spawn(async move {
                        let _bomb = &bomb;
                        pending::<()>().await;
                    });
                    task.cancel().await;
                    // Those that nobody waits for.
                    while runtime.handle().metrics().live_tasks() > 0 {
                        yield_now().await;
                    }
                });
            });
        }));
    });
}

#[test]
fn a_runtime_that_could_not_be_built_leaves_nothing() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(100, || {
                assert!(Builder::new().worker_threads(0).build().is_err());
                let mut builder = Builder::new();
                assert!(builder.worker_threads(2).thread_stack_size(1 << 60).build().is_err());
            });
        }));
    });
}

/// [`leaves_nothing`] of a runtime that runs `body` and then ends, in a process of its own.
fn runtimes_leave_nothing(times: usize, body: impl AsyncFn() -> std::io::Result<()>) {
    leaves_nothing(times, || {
        if let Err(error) = runtime().block_on(body()) {
            // The panic hook says nothing.
            eprintln!("{error}");
            std::process::exit(1);
        }
    });
}

#[test]
fn sockets_leave_nothing_in_the_middle_of_something() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            runtimes_leave_nothing(200, async || {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let connecting = TcpStream::connect(listener.local_addr()?);
                let (near, far) = zip(connecting, listener.accept()).await;
                let ((mut near, far), mut buffer) = ((near?, far?.0), [0; 4]);
                near.write_all(b"four").await?;
                (&far).read_exact(&mut buffer).await?;
                // Halves in two tasks, each of which waits for what does not come.
                let (mut reader, writer) = far.into_split();
                spawn(async move { reader.read(&mut [0]).await }).detach();
                let (_near, far) = UnixStream::pair()?;
                spawn(async move { (&far).read(&mut [0]).await }).detach();
                let (one, other) = UnixDatagram::pair()?;
                one.send(b"four").await?;
                other.recv(&mut buffer).await?;
                let udp = UdpSocket::bind("127.0.0.1:0").await?;
                assert!(poll_once(udp.recv(&mut buffer)).await.is_none());
                spawn(async move { udp.recv(&mut [0]).await }).detach();
                drop(writer);
                Ok(())
            });
        }));
    });
}

#[test]
fn files_leave_nothing_in_the_middle_of_something() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("leaks");
            runtimes_leave_nothing(200, async || {
                let mut file = File::create(&path).await?;
                file.write_all(&[1; 100_000]).await?;
                // Given up, and done by the pool all the same.
                drop(poll_once(file.write(&[1; 100_000])).await);
                let mut file = File::open(&path).await?;
                file.read_exact(&mut [0; 10]).await?;
                drop(poll_once(file.read(&mut [0; 50_000])).await);
                spawn(async move { file.read(&mut [0; 100_000]).await }).detach();
                Ok(())
            });
            std::fs::remove_file(&path).unwrap();
        }));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn child_processes_leave_nothing_however_they_end() {
    use tenter::process::{Command, Stdio};

    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            runtimes_leave_nothing(100, async || {
                let output = Command::new("echo").arg("four").output().await?;
                assert_eq!(output.stdout, b"four\n");
                let mut killed = Command::new("sleep").arg("1000").kill_on_drop(true).spawn()?;
                assert!(poll_once(killed.wait()).await.is_none());
                // An orphan, which ends because its input does.
                drop(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?);
                Ok(())
            });
            support::wait_until(|| support::children().is_empty());
        }));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn listeners_for_signals_leave_nothing() {
    use tenter::signal::unix::{SignalKind, signal};

    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            runtimes_leave_nothing(200, async || {
                let (mut one, mut other) =
                    (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined1())?);
                support::kill(std::process::id(), rustix::process::Signal::USR1);
                one.recv().await;
                spawn(async move { while other.recv().await.is_some() {} }).detach();
                Ok(())
            });
        }));
    });
}

#[test]
fn groups_leave_nothing_however_they_end() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            // A group's failures that nobody takes are told to somebody.
            let runtime = builder().on_unobserved(|_| ()).build().unwrap();
            leaves_nothing(1000, || {
                runtime.block_on(async {
                    let failed = tenter::task_group(async |group| {
                        drop(group.spawn(pending::<Result<Box<u32>, String>>()));
                        drop(group.spawn_blocking(|| Ok::<_, String>(Box::new(1))));
                        drop(group.spawn(async { Err::<Box<u32>, _>("on purpose".to_owned()) }));
                        pending::<Result<(), String>>().await
                    });
                    assert_eq!(failed.await.unwrap_err().failures().len(), 1);
                    // Given up with a group inside, and with tasks of both.
                    let outer = tenter::task_group(async |group| {
                        drop(group.spawn(async {
                            let inner = tenter::task_group(async |group| {
                                drop(group.spawn(pending::<Result<(), String>>()));
                                pending::<Result<(), String>>().await
                            });
                            inner.await.map_err(|error| error.to_string())
                        }));
                        pending::<Result<(), String>>().await
                    });
                    assert!(poll_once(outer).await.is_none());
                    while runtime.handle().metrics().live_tasks() > 0 {
                        yield_now().await;
                    }
                });
            });
        }));
    });
}

#[cfg(all(feature = "jobs", target_os = "linux"))]
mod jobs {
    use std::io;
    use std::time::Duration;

    use super::support::{Child, LIMIT, apart, children, expect_success, wait_until, watchdog};
    use super::{poll_once, runtimes_leave_nothing};
    use tenter::jobs::ProcessPool;

    #[tenter::job]
    fn doubles(number: u32) -> u32 {
        2 * number
    }

    #[tenter::job]
    fn exits() {
        std::process::exit(1);
    }

    #[tenter::job]
    fn never_ends() {
        loop {
            std::thread::sleep(Duration::from_secs(1000));
        }
    }

    #[tenter::test]
    async fn pools_of_processes_leave_nothing_however_they_end() {
        let _watchdog = watchdog(2 * LIMIT);
        expect_success(&Child::new().run(|| {
            apart(|| {
                runtimes_leave_nothing(100, async || {
                    let pool =
                        ProcessPool::builder().workers(2).build().map_err(io::Error::other)?;
                    assert_eq!(pool.run(doubles::job(2)).await.map_err(io::Error::other)?, 4);
                    assert!(pool.run(exits::job()).await.unwrap_err().is_died());
                    assert!(poll_once(pool.run(never_ends::job())).await.is_none());
                    // Still in a worker when the runtime ends.
                    tenter::spawn(pool.run(never_ends::job())).detach();
                    Ok(())
                });
                wait_until(|| children().is_empty());
            });
        }));
    }
}
