//! What the driver asks of the system, and how threads sleep.

use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::time::{Duration, Instant};
use std::{io, thread};

use libc::{
    EAGAIN, EINTR, ENOSYS, EOPNOTSUPP, SYS_epoll_pwait2, SYS_futex, SYS_preadv2, SYS_write,
};
use tenter::io::{AsyncReadExt, AsyncWriteExt};
use tenter::net::TcpStream;
use tenter::time::sleep;
use tenter::{Builder, Runtime};

use crate::injector::{Call, Fault, POLLS, inject, scenario};
use crate::sockets::connected;
use crate::support::{is_suspended, runtime, wait_until};

/// Sends one byte to a thread that is no worker, and gets it back.
async fn echo(stream: &mut TcpStream, byte: u8) {
    let mut buf = [0];
    stream.write_all(&[byte]).await.unwrap();
    stream.read_exact(&mut buf).await.unwrap();
    assert_eq!(buf, [byte]);
}

/// Echoes on a thread of its own until the stream ends.
fn serve(mut peer: StdStream) {
    thread::spawn(move || {
        let mut buf = [0];
        while peer.read(&mut buf).unwrap() == 1 {
            peer.write_all(&buf).unwrap();
        }
    });
}

/// Input and timers work while the next waits end for nothing, `fault` being how.
fn goes_on_while(runtime: &Runtime, fault: &Fault) {
    let (mut stream, peer) = runtime.block_on(connected());
    serve(peer);
    let before = fault.struck();
    fault.strike(500);
    let task = runtime.spawn(async move {
        for byte in 0..100 {
            echo(&mut stream, byte).await;
            let (start, time) = (Instant::now(), Duration::from_millis(1));
            sleep(time).await;
            assert!(start.elapsed() >= time, "a timer was early");
        }
    });
    runtime.block_on(task).unwrap();
    wait_until(|| fault.struck() == before + 500);
}

#[test]
fn a_look_at_a_terminal_that_signals_interrupt_is_repeated_and_nobody_blocks() {
    scenario(|| {
        let (input, mut writer) = io::pipe().unwrap();
        rustix::stdio::dup2_stdin(&input).unwrap();
        // As a terminal, it cannot be read without waiting, and is looked at first.
        let [waits, looks] =
            inject([Fault::error(&[SYS_preadv2], EOPNOTSUPP), Fault::error(&POLLS, EINTR)]);
        waits.strike_always();
        looks.strike(10);
        let runtime = runtime(1);
        let reader = runtime.spawn(async {
            let mut byte = [0];
            tenter::io::stdin().read_exact(&mut byte).await.unwrap();
            byte
        });
        wait_until(|| looks.struck() == 10 && is_suspended(&runtime));
        writer.write_all(b"x").unwrap();
        assert_eq!(&runtime.block_on(reader).unwrap(), b"x");
    });
}

#[test]
fn a_wait_for_events_that_signals_interrupt_is_taken_up_again() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_epoll_pwait2], EINTR)]);
        for workers in [1, 2] {
            goes_on_while(&runtime(workers), &fault);
        }
    });
}

#[test]
fn a_wait_for_events_that_ends_early_with_nothing_is_taken_up_again() {
    scenario(|| {
        let [fault] = inject([Fault::value(&[SYS_epoll_pwait2], 0)]);
        for workers in [1, 2] {
            goes_on_while(&runtime(workers), &fault);
        }
    });
}

#[test]
fn a_wait_for_events_that_is_late_loses_no_event_no_wake_and_no_timer() {
    scenario(|| {
        let [fault] = inject([Fault::late(&[SYS_epoll_pwait2])]);
        for workers in [1, 2] {
            let runtime = runtime(workers);
            let (mut stream, mut peer) = runtime.block_on(connected());
            let reader = runtime.spawn(async move {
                let mut buf = [0; 4];
                stream.read_exact(&mut buf).await.unwrap();
                buf
            });
            wait_until(|| is_suspended(&runtime));
            let before = fault.struck();
            fault.strike_always();
            // Whoever sleeps in the driver comes out, and goes in again, to be late.
            peer.write_all(b"la").unwrap();
            wait_until(|| fault.struck() > before);
            let tasks: Vec<_> = (0..50)
                .map(|number| runtime.spawn(async move { number }))
                .chain((0..50).map(|number| {
                    runtime.spawn(async move {
                        sleep(Duration::from_micros(number)).await;
                        number
                    })
                }))
                .collect();
            peer.write_all(b"te").unwrap();
            fault.release();
            runtime.block_on(async {
                assert_eq!(&reader.await.unwrap(), b"late");
                for (task, number) in tasks.into_iter().zip((0..50).chain(0..50)) {
                    assert_eq!(task.await.unwrap(), number);
                }
            });
        }
    });
}

#[test]
fn a_wake_of_the_driver_that_a_signal_interrupts_is_made_again() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_write], EINTR).when(Call::rings)]);
        let runtime = runtime(1);
        fault.strike(20);
        // From outside: the only worker sleeps in the driver, sooner or later.
        while fault.struck() < 20 {
            let task = runtime.spawn(async { sleep(Duration::from_micros(100)).await });
            runtime.block_on(task).unwrap();
        }
    });
}

#[test]
fn a_wake_of_the_driver_that_is_late_is_not_lost() {
    scenario(|| {
        let [fault] = inject([Fault::late(&[SYS_write]).when(Call::rings)]);
        let runtime = runtime(1);
        for round in 0..20 {
            let before = fault.struck();
            fault.strike_always();
            let handle = runtime.handle().clone();
            let waker = thread::spawn(move || handle.spawn(async move { round }));
            // Unless the worker has not gone to sleep yet, and needs nobody.
            wait_until(|| fault.struck() > before || waker.is_finished());
            fault.release();
            let task = waker.join().unwrap();
            assert_eq!(runtime.block_on(task).unwrap(), round);
        }
        assert!(fault.struck() > 0);
    });
}

/// All kinds of sleeps and wakes, while those of `fault` do not last.
fn wakes_nobody_for_nothing(fault: &Fault) {
    let runtime = runtime(2);
    fault.strike(2000);
    while fault.struck() < 2000 {
        let total = runtime.block_on(async {
            let (sender, receiver) = async_channel::bounded(1);
            tenter::spawn(async move {
                for number in 0..50u32 {
                    sender.send(number).await.unwrap();
                    let doubled = tenter::spawn_blocking(move || number * 2).await.unwrap();
                    sender.send(doubled).await.unwrap();
                }
            })
            .detach();
            let (start, time) = (Instant::now(), Duration::from_millis(1));
            sleep(time).await;
            assert!(start.elapsed() >= time, "a timer was early");
            let mut total = 0;
            while let Ok(number) = receiver.recv().await {
                total += number;
            }
            total
        });
        assert_eq!(total, 3 * (49 * 50 / 2));
    }
    drop(runtime);
}

#[test]
fn threads_that_wake_for_nothing_go_back_to_sleep_and_miss_no_wake() {
    scenario(|| {
        let [woken, changed, interrupted] = inject([
            Fault::value(&[SYS_futex], 0).when(Call::waits_on_futex),
            Fault::error(&[SYS_futex], EAGAIN).when(Call::waits_on_futex),
            Fault::error(&[SYS_futex], EINTR).when(Call::waits_on_futex),
        ]);
        for fault in [woken, changed, interrupted] {
            wakes_nobody_for_nothing(&fault);
        }
    });
}

#[test]
fn a_kernel_without_the_call_that_waits_is_refused_in_words() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_epoll_pwait2], ENOSYS)]);
        fault.strike(1);
        let refused = Builder::new().worker_threads(1).build().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        assert!(refused.to_string().contains("Linux 5.11"), "{refused}");
    });
}
