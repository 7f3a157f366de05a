//! `Async`: any descriptor, waited for by any number of tasks.

mod support;

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use futures_lite::future;
use support::{Child, LIMIT, expect_success, runtime, within};
use tenter::io::{Async, AsyncReadExt, AsyncWriteExt, Interest};

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

fn datagrams() -> (Async<UnixDatagram>, Async<UnixDatagram>) {
    let (one, other) = UnixDatagram::pair().unwrap();
    (Async::new(one).unwrap(), Async::new(other).unwrap())
}

fn streams() -> (Async<UnixStream>, Async<UnixStream>) {
    let (one, other) = UnixStream::pair().unwrap();
    (Async::new(one).unwrap(), Async::new(other).unwrap())
}

#[test]
fn read_with_waits_for_what_write_with_sends() {
    run(async {
        let (one, other) = datagrams();
        let receiving = tenter::spawn(async move {
            let mut buffer = [0; 16];
            let mut lens = Vec::new();
            for _ in 0..500 {
                lens.push(other.read_with(|socket| socket.recv(&mut buffer)).await.unwrap());
            }
            lens
        });
        for len in 0..500 {
            one.write_with(|socket| socket.send(&[0; 16][..len % 16])).await.unwrap();
        }
        assert!(receiving.await.unwrap().into_iter().eq((0..500).map(|len| len % 16)));
    });
}

#[test]
fn two_tasks_read_from_one_descriptor_and_both_get_their_share() {
    run(async {
        let (one, other) = datagrams();
        let other = Arc::new(other);
        let received = Arc::new(AtomicUsize::new(0));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (other, received) = (Arc::clone(&other), Arc::clone(&received));
                tenter::spawn(async move {
                    let mut buffer = [0; 1];
                    loop {
                        other.read_with(|socket| socket.recv(&mut buffer)).await.unwrap();
                        if buffer[0] == b'.' {
                            return;
                        }
                        received.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for _ in 0..1000 {
            one.write_with(|socket| socket.send(b"x")).await.unwrap();
        }
        one.write_with(|socket| socket.send(b".")).await.unwrap();
        one.write_with(|socket| socket.send(b".")).await.unwrap();
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(received.load(Ordering::Relaxed), 1000);
    });
}

#[test]
fn every_task_that_waits_to_read_is_woken() {
    run(async {
        let (one, other) = streams();
        let other = Arc::new(other);
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let other = Arc::clone(&other);
                tenter::spawn(async move { other.readable().await })
            })
            .collect();
        tenter::yield_now().await;
        (&one).write_all(b"x").await.unwrap();
        for task in waiting {
            task.await.unwrap().unwrap();
        }
    });
}

#[test]
fn readable_holds_until_what_is_there_has_been_read() {
    run(async {
        let (one, other) = streams();
        (&one).write_all(b"xy").await.unwrap();
        let mut inner = other.get_ref();
        let mut byte = [0];
        // Read behind the driver's back: what it remembers must not be taken for the truth.
        for _ in 0..2 {
            other.readable().await.unwrap();
            assert_eq!(inner.read(&mut byte).unwrap(), 1);
        }
        for _ in 0..3 {
            assert_eq!(inner.read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert!(future::poll_once(other.readable()).await.is_none());
            let polled = future::poll_once(future::poll_fn(|cx| other.poll_readable(cx))).await;
            assert!(polled.is_none());
        }
        (&one).write_all(b"z").await.unwrap();
        future::poll_fn(|cx| other.poll_readable(cx)).await.unwrap();
        other.readable().await.unwrap();
    });
}

#[test]
fn a_loop_of_poll_readable_and_reads_behind_the_driver_goes_to_sleep() {
    run(async {
        let (one, other) = datagrams();
        let receiving = tenter::spawn(async move {
            let mut total = 0;
            while total < 300 {
                total += future::poll_fn(|cx| {
                    loop {
                        match other.poll_readable(cx) {
                            Poll::Ready(ready) => ready.unwrap(),
                            Poll::Pending => return Poll::Pending,
                        }
                        match other.get_ref().recv(&mut [0; 8]) {
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                            received => return Poll::Ready(received.unwrap()),
                        }
                    }
                })
                .await;
            }
        });
        for _ in 0..300 {
            one.write_with(|socket| socket.send(b"x")).await.unwrap();
            tenter::yield_now().await;
        }
        receiving.await.unwrap();
    });
}

#[test]
fn writable_waits_while_the_buffers_are_full() {
    run(async {
        let (one, other) = streams();
        let mut inner = one.get_ref();
        let mut filled = 0;
        loop {
            one.writable().await.unwrap();
            match inner.write(&[0; 4096]) {
                Ok(written) => filled += written,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            if future::poll_once(one.writable()).await.is_none() {
                break;
            }
        }
        assert!(future::poll_once(one.writable()).await.is_none());
        let draining = tenter::spawn(async move {
            let mut rest = vec![0; filled];
            (&other).read_exact(&mut rest).await.unwrap();
            other
        });
        one.writable().await.unwrap();
        draining.await.unwrap();
    });
}

#[test]
fn the_stream_traits_work_by_value_and_by_reference() {
    run(async {
        let (mut one, mut other) = streams();
        one.write_all(b"by value").await.unwrap();
        one.flush().await.unwrap();
        let mut buffer = [0; 8];
        other.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"by value");
        (&other).write_all(b"back").await.unwrap();
        (&one).read_exact(&mut buffer[..4]).await.unwrap();
        assert_eq!(&buffer[..4], b"back");
        assert_eq!(one.read(&mut []).await.unwrap(), 0);
        drop(other);
        assert_eq!(one.read(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn the_pipes_of_a_child_process_are_driven_like_sockets() {
    run(async {
        let mut cat =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut writer = Async::new(cat.stdin.take().unwrap()).unwrap();
        let mut reader = Async::new(cat.stdout.take().unwrap()).unwrap();
        let reading = tenter::spawn(async move {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await.unwrap();
            all
        });
        tenter::yield_now().await;
        writer.write_all(&[9; 500_000]).await.unwrap();
        drop(writer);
        assert_eq!(reading.await.unwrap(), [9; 500_000]);
        cat.wait().unwrap();
    });
}

#[test]
fn what_into_inner_gives_back_can_be_driven_again() {
    run(async {
        let (one, other) = streams();
        let mut other = other;
        for round in 0..50 {
            // Registered by a wait, in this runtime, and taken out by `into_inner`.
            assert!(future::poll_once(other.read(&mut [0])).await.is_none(), "round {round}");
            other = Async::new(other.into_inner().unwrap()).unwrap();
            let mut byte = [0];
            let reading = tenter::spawn(async move {
                other.read_exact(&mut byte).await.unwrap();
                (other, byte)
            });
            (&one).write_all(&[round]).await.unwrap();
            (other, byte) = reading.await.unwrap();
            assert_eq!(byte, [round]);
        }
    });
}

#[test]
fn a_descriptor_given_back_by_one_runtime_is_driven_by_another() {
    within(LIMIT, || {
        let (mut one, other) = UnixStream::pair().unwrap();
        let first = runtime(1);
        let other = first.block_on(async move {
            let other = Async::new(other).unwrap();
            assert!(future::poll_once((&other).read(&mut [0])).await.is_none());
            other.into_inner().unwrap()
        });
        let second = runtime(1);
        second.block_on(async move {
            let mut other = Async::new(other).unwrap();
            assert!(future::poll_once(other.read(&mut [0])).await.is_none());
            one.write_all(b"x").unwrap();
            assert_eq!(other.read(&mut [0; 4]).await.unwrap(), 1);
        });
    });
}

#[test]
fn into_inner_really_takes_the_descriptor_out_of_the_driver() {
    /// Whether an epoll of this process watches the descriptor.
    fn is_watched(raw: RawFd) -> bool {
        let infos = fs::read_dir("/proc/self/fdinfo").unwrap();
        // The monitor may close one meanwhile.
        let infos = infos.filter_map(|info| fs::read_to_string(info.ok()?.path()).ok());
        infos.into_iter().any(|info| {
            let mut watched = info.lines().filter_map(|line| line.strip_prefix("tfd:"));
            watched.any(|rest| rest.split_whitespace().next() == Some(&raw.to_string()))
        })
    }

    // Elsewhere another test's child may keep a socket of this number in an epoll.
    let alone = Child::new().run(|| {
        run(async {
            let (_one, other) = streams();
            let raw = other.as_raw_fd();
            assert!(!is_watched(raw));
            assert!(future::poll_once(other.readable()).await.is_none());
            assert!(is_watched(raw));
            let _inner = other.into_inner().unwrap();
            assert!(!is_watched(raw));
        });
    });
    expect_success(&alone);
}

#[test]
fn a_dropped_descriptor_whose_number_is_reused_does_not_confuse_the_next() {
    run(async {
        for _ in 0..200 {
            let (one, other) = streams();
            assert!(future::poll_once(other.readable()).await.is_none());
            let raw = other.as_raw_fd();
            (&one).write_all(b"for the first").await.unwrap();
            drop(other);
            let (two, next) = streams();
            if [two.as_raw_fd(), next.as_raw_fd()].contains(&raw) {
                assert!(future::poll_once(next.readable()).await.is_none());
                assert!(future::poll_once(two.readable()).await.is_none());
            }
            (&two).write_all(b"x").await.unwrap();
            assert_eq!((&next).read(&mut [0; 4]).await.unwrap(), 1);
        }
    });
}

#[test]
fn dropping_while_a_task_waited_is_harmless() {
    run(async {
        let (one, other) = streams();
        for waits in [true, false] {
            let (_near, far) = streams();
            let far = Arc::new(far);
            let task = {
                let far = Arc::clone(&far);
                tenter::spawn(async move { far.readable().await })
            };
            if waits {
                tenter::yield_now().await;
            }
            drop(far);
            task.abort();
            assert!(task.await.is_err());
        }
        (&one).write_all(b"x").await.unwrap();
        other.readable().await.unwrap();
    });
}

#[test]
fn poll_io_serves_one_direction_or_both() {
    run(async {
        let (one, other) = streams();
        let read = |mut io: &UnixStream| io.read(&mut [0; 8]);
        let write = |mut io: &UnixStream| io.write(b"four");
        let both = Interest::READABLE | Interest::WRITABLE;
        for interest in [Interest::READABLE, both] {
            let mut reading = Box::pin(future::poll_fn(|cx| other.poll_io(cx, interest, read)));
            assert!(future::poll_once(&mut reading).await.is_none());
            let written = future::poll_fn(|cx| one.poll_io(cx, Interest::WRITABLE, write)).await;
            assert_eq!(written.unwrap(), 4);
            assert_eq!(reading.await.unwrap(), 4);
        }
    });
}

#[test]
fn try_io_does_not_wait_and_learns_from_would_block() {
    run(async {
        let (one, other) = streams();
        let read = |mut io: &UnixStream| io.read(&mut [0; 8]);
        let error = other.try_io(Interest::READABLE, read).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        (&one).write_all(b"x").await.unwrap();
        other.readable().await.unwrap();
        assert_eq!(other.try_io(Interest::READABLE, read).unwrap(), 1);
        let error = other.try_io(Interest::READABLE, read).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn an_interrupted_call_is_repeated() {
    run(async {
        let (one, other) = datagrams();
        one.get_ref().send(b"x").unwrap();
        let mut calls = 0;
        let received = other.read_with(|socket| {
            calls += 1;
            if calls < 3 { Err(ErrorKind::Interrupted.into()) } else { socket.recv(&mut [0; 4]) }
        });
        assert_eq!(received.await.unwrap(), 1);
        assert_eq!(calls, 3);
    });
}

#[test]
fn a_regular_file_is_refused_when_it_would_have_to_wait() {
    run(async {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let mut file = Async::new(file).unwrap();
        // It never has to.
        assert_eq!(file.read(&mut [0; 4]).await.unwrap(), 4);
        let error = file.readable().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    });
}

#[test]
fn connections_of_a_unix_listener_are_accepted() {
    run(async {
        let path = std::env::temp_dir().join(format!("tenter-io-{}", std::process::id()));
        let listener = Async::new(UnixListener::bind(&path).unwrap()).unwrap();
        assert!(future::poll_once(listener.read_with(|io| io.accept())).await.is_none());
        let client = UnixStream::connect(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (server, _) = listener.read_with(|io| io.accept()).await.unwrap();
        let server = Async::new(server).unwrap();
        (&client).write_all(b"x").unwrap();
        assert_eq!((&server).read(&mut [0; 4]).await.unwrap(), 1);
    });
}

#[test]
fn what_waits_when_the_runtime_goes_gets_an_error_and_so_does_who_comes_later() {
    within(LIMIT, || {
        // Not a watched one: the watchdog's handle must not keep it.
        let runtime = tenter::Runtime::new().unwrap();
        let (near, far) = runtime.block_on(async { streams() });
        let mut waiting = Box::pin(far.readable());
        let polled = runtime.block_on(future::poll_once(&mut waiting));
        assert!(polled.is_none());
        drop(runtime);
        assert!(future::block_on(waiting).is_err());
        let mut near = &near;
        let cx = &mut std::task::Context::from_waker(Waker::noop());
        let mut buffer = [0];
        let reading = std::pin::pin!(near.read(&mut buffer));
        assert!(matches!(reading.poll(cx), Poll::Ready(Err(_))));
    });
}

#[test]
fn an_async_converts_from_and_into_a_descriptor() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        let one: Async<UnixStream> = OwnedFd::from(one).try_into().unwrap();
        (&one).write_all(b"x").await.unwrap();
        assert!(format!("{one:?}").contains("Async"));
        assert_eq!(one.as_fd().as_raw_fd(), one.as_raw_fd());
        let one: OwnedFd = one.try_into().unwrap();
        drop(one);
        assert_eq!((&other).read(&mut [0; 4]).unwrap(), 1);
        assert_eq!((&other).read(&mut [0; 4]).unwrap(), 0);
    });
}
