//! A clock that stands still, or jumps.

use std::future::pending;
use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use libc::SYS_epoll_pwait2;
use tenter::io::{AsyncReadExt, AsyncWriteExt};
use tenter::time::{sleep, timeout};
use tenter::{JoinHandle, yield_now};

use crate::clock::{self, scenario};
use crate::injector::{Fault, inject};
use crate::sockets::connected;
use crate::support::{Gate, is_suspended, runtime, wait_until};

const HOUR: Duration = Duration::from_secs(3600);

/// Echoes so many bytes on a thread of its own.
fn serve(mut peer: StdStream, bytes: usize) {
    thread::spawn(move || {
        let mut buf = [0];
        for _ in 0..bytes {
            peer.read_exact(&mut buf).unwrap();
            peer.write_all(&buf).unwrap();
        }
    });
}

#[test]
fn all_that_does_not_wait_for_time_goes_on_while_the_clock_stands_still() {
    scenario(|| {
        let [waits] = inject([Fault::counter(&[SYS_epoll_pwait2])]);
        for workers in [1, 2] {
            let runtime = runtime(workers);
            let (mut stream, peer) = runtime.block_on(connected());
            serve(peer, 200);
            let never = runtime.spawn(sleep(HOUR));
            clock::stop();
            let before = waits.calls();
            let echoes = runtime.spawn(async move {
                for byte in 0..200 {
                    let mut buf = [0];
                    stream.write_all(&[byte]).await.unwrap();
                    stream.read_exact(&mut buf).await.unwrap();
                    assert_eq!(buf, [byte]);
                }
            });
            runtime.block_on(async {
                echoes.await.unwrap();
                for number in 0..100 {
                    let task = tenter::spawn(async move { number });
                    assert_eq!(task.await.unwrap(), number);
                    let task = tenter::spawn_blocking(move || number);
                    assert_eq!(task.await.unwrap(), number);
                }
            });
            assert!(!never.is_finished());
            // Each wait ends with an echo, or with what was spawned.
            let calls = waits.calls() - before;
            assert!(calls <= 2 * 400, "{calls} waits for 200 echoes and 200 tasks");
            // Without a grace, which would never be over.
            drop(runtime);
            assert!(runtime_is_over(never));
        }
    });
}

fn runtime_is_over(task: JoinHandle<()>) -> bool {
    futures_lite::future::block_on(task).is_err_and(|error| error.is_cancelled())
}

#[test]
fn input_reaches_a_worker_that_is_never_idle_while_the_clock_stands_still() {
    scenario(|| {
        let runtime = runtime(1);
        let (mut stream, mut peer) = runtime.block_on(connected());
        let is_read = Arc::new(AtomicBool::new(false));
        let (seen, is_busy) = (Arc::clone(&is_read), Gate::new());
        let reader = runtime.spawn(async move {
            let mut buf = [0; 5];
            stream.read_exact(&mut buf).await.unwrap();
            is_read.store(true, Ordering::Relaxed);
        });
        wait_until(|| is_suspended(&runtime));
        clock::stop();
        let opened = is_busy.clone();
        let busy = runtime.spawn(async move {
            opened.open();
            while !seen.load(Ordering::Relaxed) {
                yield_now().await;
            }
        });
        is_busy.wait();
        peer.write_all(b"hello").unwrap();
        runtime.block_on(async {
            reader.await.unwrap();
            busy.await.unwrap();
        });
    });
}

#[test]
fn a_clock_that_jumps_ahead_fires_each_timer_that_is_due_once() {
    scenario(|| {
        let runtime = runtime(2);
        let (mut stream, mut peer) = runtime.block_on(connected());
        let fired = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (1..=100)
            .map(|minutes| {
                let fired = Arc::clone(&fired);
                runtime.spawn(async move {
                    sleep(Duration::from_secs(60) * minutes).await;
                    fired.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        let late = runtime.spawn(sleep(100 * HOUR));
        let limited = runtime.spawn(timeout(HOUR, pending::<()>()));
        let reader = runtime.spawn(async move { stream.read_exact(&mut [0]).await });
        wait_until(|| is_suspended(&runtime));
        assert_eq!(fired.load(Ordering::Relaxed), 0);
        clock::jump(2 * 3600);
        // The system still sleeps by its own clock: any event ends that.
        peer.write_all(b"x").unwrap();
        runtime.block_on(async {
            reader.await.unwrap().unwrap();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(limited.await.unwrap().is_err(), "the limit has passed");
        });
        assert_eq!(fired.load(Ordering::Relaxed), 100);
        assert!(!late.is_finished(), "it is due in 98 hours");
    });
}
