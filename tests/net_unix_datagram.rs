//! Unix datagrams, and peers that do not read them.

#[path = "net/names.rs"]
mod names;
mod support;

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future;
use names::{Name, abstract_name};
use rustix::net::SocketAddrUnix;
use support::{LIMIT, runtime, within};
use tenter::io::Interest;
use tenter::net::{UnixDatagram, UnixListener};
use tenter::task::TaskState;
use tenter::time::timeout;

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// A socket with a name, and the name.
fn bound() -> (UnixDatagram, SocketAddr) {
    let name = abstract_name();
    (UnixDatagram::bind_addr(&name).unwrap(), name)
}

/// Fills the queue of the socket called `name`, by a socket that it returns, and says with how
/// many.
fn fill(name: &SocketAddr) -> (UnixDatagram, usize) {
    let filler = UnixDatagram::unbound().unwrap();
    let mut filled = 0;
    loop {
        match filler.try_send_to_addr(b"fill", name) {
            Ok(_) => filled += 1,
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(filled > 0);
    (filler, filled)
}

#[test]
fn what_is_sent_into_a_pair_comes_out_whole_and_in_order() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let sending = tenter::spawn(async move {
            for number in 0..1000_u32 {
                assert_eq!(one.send(&number.to_be_bytes()).await.unwrap(), 4);
            }
            one
        });
        let mut buffer = [0; 16];
        for number in 0..1000_u32 {
            assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
            assert_eq!(buffer[..4], number.to_be_bytes());
        }
        let _one = sending.await.unwrap();
    });
}

#[test]
fn senders_with_and_without_names_are_told_apart() {
    run(async {
        let (path, other_path) = (Name::new(), Name::new());
        let receiver = UnixDatagram::bind(&path).unwrap();
        assert_eq!(receiver.local_addr().unwrap().as_pathname(), Some(&*path));
        let mut buffer = [0; 16];
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to(b"nobody", &path).await.unwrap();
        let (len, from) = receiver.recv_from(&mut buffer).await.unwrap();
        assert!(len == 6 && from.is_unnamed());
        let sender = UnixDatagram::bind(&other_path).unwrap();
        sender.send_to(b"path", &path).await.unwrap();
        let (len, from) = receiver.recv_from(&mut buffer).await.unwrap();
        assert!(len == 4 && from.as_pathname() == Some(&*other_path));
        receiver.send_to_addr(b"back", &from).await.unwrap();
        assert_eq!(sender.recv(&mut buffer).await.unwrap(), 4);
        let (sender, name) = bound();
        sender.connect(&path).unwrap();
        assert_eq!(sender.peer_addr().unwrap().as_pathname(), Some(&*path));
        sender.send(b"abstract").await.unwrap();
        let (len, from) = receiver.recv_from(&mut buffer).await.unwrap();
        assert!(len == 8 && from.as_abstract_name() == name.as_abstract_name());
    });
}

#[test]
fn a_sender_whose_name_fills_the_address_is_received_from() {
    run(async {
        let (receiver, name) = bound();
        let sender = UnixDatagram::unbound().unwrap();
        let path = Name::of_length(108);
        rustix::net::bind(&sender, &SocketAddrUnix::new(&*path).unwrap()).unwrap();
        let mut buffer = [0; 8];
        for _ in 0..2 {
            sender.send_to_addr(b"long", &name).await.unwrap();
        }
        let (len, from) = receiver.recv_from(&mut buffer).await.unwrap();
        assert!(len == 4 && from.as_pathname() == Some(&*path));
        let (len, _, _) = receiver.recv_from_with_fds(&mut buffer, 1).await.unwrap();
        assert_eq!(len, 4);
    });
}

#[test]
fn a_connected_socket_receives_from_its_peer_alone() {
    run(async {
        let ((one, one_name), (other, name)) = (bound(), bound());
        one.connect_addr(&name).unwrap();
        other.send_to_addr(b"peer", &one_name).await.unwrap();
        let stranger = UnixDatagram::unbound().unwrap();
        let error = stranger.send_to_addr(b"stranger", &one_name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(one.recv(&mut [0; 16]).await.unwrap(), 4);
        assert_eq!(one.try_recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_datagram_of_no_bytes_is_one_and_a_longer_one_is_cut() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut buffer = [0; 4];
        for datagram in [&b""[..], b"", b"a long datagram", b"next"] {
            assert_eq!(one.send(datagram).await.unwrap(), datagram.len());
        }
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 0);
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 0);
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer, b"a lo");
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer, b"next");
        assert!(future::poll_once(other.recv(&mut buffer)).await.is_none());
    });
}

#[test]
fn every_datagram_that_waits_is_received_though_each_is_shorter_than_the_buffer() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut buffer = [0; 64];
        for _ in 0..100 {
            // Known to be empty, and then several arrive as one event.
            assert!(future::poll_once(other.recv(&mut buffer)).await.is_none());
            for number in 0..5 {
                one.send(&[number; 3]).await.unwrap();
            }
            for number in 0..5 {
                let polled = future::poll_fn(|cx| other.poll_recv(cx, &mut buffer)).await;
                assert_eq!(buffer[..polled.unwrap()], [number; 3]);
            }
        }
    });
}

#[test]
fn sending_to_a_connected_peer_with_a_full_queue_goes_on_when_it_reads() {
    run(async {
        let (receiver, name) = bound();
        // By another sender: none of ours is there to be read.
        let (_filler, filled) = fill(&name);
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect_addr(&name).unwrap();
        assert_eq!(sender.try_send(b"try").unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(future::poll_once(sender.writable()).await.is_none());
        let sending = tenter::spawn(async move {
            for number in 0..100_u8 {
                sender.send(&[number]).await.unwrap();
            }
        });
        let mut buffer = [0; 8];
        for _ in 0..filled {
            assert_eq!(receiver.recv(&mut buffer).await.unwrap(), 4);
        }
        for number in 0..100 {
            assert_eq!(receiver.recv(&mut buffer).await.unwrap(), 1);
            assert_eq!(buffer[0], number);
        }
        sending.await.unwrap();
    });
}

#[test]
fn several_connected_senders_share_a_queue_that_is_full_again_and_again() {
    run(async {
        let (receiver, name) = bound();
        let sending: Vec<_> = (0..8)
            .map(|_| {
                let sender = UnixDatagram::unbound().unwrap();
                sender.connect_addr(&name).unwrap();
                tenter::spawn(async move {
                    for _ in 0..100 {
                        sender.send(b"x").await.unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..800 {
            assert_eq!(receiver.recv(&mut [0; 8]).await.unwrap(), 1);
        }
        for task in sending {
            task.await.unwrap();
        }
    });
}

#[test]
fn sending_to_the_address_of_a_full_queue_neither_spins_nor_hangs() {
    run(async {
        let (receiver, name) = bound();
        let (_filler, filled) = fill(&name);
        let sender = UnixDatagram::unbound().unwrap();
        let start = Instant::now();
        let mut polls = 0;
        {
            let mut sending = pin!(sender.send_to_addr(b"patient", &name));
            let mut counted = pin!(future::poll_fn(|cx| {
                polls += 1;
                sending.as_mut().poll(cx)
            }));
            // Long enough for pauses of full length.
            let waited = timeout(Duration::from_millis(100), counted.as_mut()).await;
            assert!(waited.is_err(), "there is no room");
            let mut buffer = [0; 8];
            for _ in 0..filled {
                assert_eq!(receiver.recv(&mut buffer).await.unwrap(), 4);
            }
            assert_eq!(counted.await.unwrap(), 7);
            assert_eq!(receiver.recv(&mut buffer).await.unwrap(), 7);
        }
        // The pauses double seven times, then each has 25 ms. Three polls are the first, that of
        // the time that has run out, and that after the reads.
        let most = 7 + start.elapsed().as_millis() / 25 + 3;
        assert!(polls <= most, "{polls} polls where {most} would do");
    });
}

#[test]
fn a_full_peer_does_not_stand_in_the_way_of_others() {
    run(async {
        let ((_full, full_name), (other, name)) = (bound(), bound());
        let (sender, _) = fill(&full_name);
        assert!(future::poll_once(sender.send_to_addr(b"x", &full_name)).await.is_none());
        let mut buffer = [0; 8];
        for _ in 0..50 {
            sender.send_to_addr(b"other", &name).await.unwrap();
            assert_eq!(other.recv(&mut buffer).await.unwrap(), 5);
        }
        sender.writable().await.unwrap();
        sender.connect_addr(&name).unwrap();
        assert!(future::poll_once(sender.send_to_addr(b"x", &full_name)).await.is_none());
        for _ in 0..50 {
            sender.send(b"other").await.unwrap();
            assert_eq!(other.recv(&mut buffer).await.unwrap(), 5);
        }
    });
}

#[test]
fn sending_to_a_full_peer_fails_when_the_peer_goes() {
    run(async {
        for is_connected in [true, false] {
            let (receiver, name) = bound();
            let (_filler, _) = fill(&name);
            let sender = UnixDatagram::unbound().unwrap();
            if is_connected {
                sender.connect_addr(&name).unwrap();
            }
            let sending = tenter::spawn(async move {
                match is_connected {
                    true => sender.send(b"x").await,
                    false => sender.send_to_addr(b"x", &name).await,
                }
            });
            while sending.state() != TaskState::Suspended {
                tenter::yield_now().await;
            }
            drop(receiver);
            let error = sending.await.unwrap().unwrap_err();
            let gone = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
            assert!(gone.contains(&error.kind()), "{error:?}");
        }
    });
}

#[test]
fn polling_to_send_to_a_full_peer_registers_the_task() {
    run(async {
        let (receiver, name) = bound();
        let (_filler, filled) = fill(&name);
        let sending = tenter::spawn({
            let name = name.clone();
            async move {
                let sender = UnixDatagram::unbound().unwrap();
                future::poll_fn(|cx| sender.poll_send_to_addr(cx, b"polled", &name)).await.unwrap();
                sender
            }
        });
        while sending.state() != TaskState::Suspended {
            tenter::yield_now().await;
        }
        let mut buffer = [0; 8];
        for _ in 0..filled {
            assert_eq!(receiver.recv(&mut buffer).await.unwrap(), 4);
        }
        assert_eq!(receiver.recv(&mut buffer).await.unwrap(), 6);
        let sender = sending.await.unwrap();
        sender.connect_addr(&name).unwrap();
        future::poll_fn(|cx| sender.poll_writable(cx)).await.unwrap();
        assert_eq!(future::poll_fn(|cx| sender.poll_send(cx, b"x")).await.unwrap(), 1);
        let polled = future::poll_fn(|cx| receiver.poll_recv_from(cx, &mut buffer)).await;
        assert_eq!(polled.unwrap().0, 1);
    });
}

#[test]
fn sending_to_a_full_peer_fails_when_the_runtime_of_the_socket_ends() {
    within(LIMIT, || {
        let (theirs, ours) = (runtime(1), runtime(1));
        let (receiver, sender, name) = theirs.block_on(async {
            let (receiver, name) = bound();
            (receiver, fill(&name).0, name)
        });
        let sending = ours.spawn(async move { sender.send_to_addr(b"x", &name).await });
        support::wait_until(|| sending.state() == TaskState::Suspended);
        drop(theirs);
        let error = ours.block_on(sending).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        drop(receiver);
    });
}

#[test]
fn dropping_a_receive_that_waits_loses_no_datagram() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut buffer = [0; 4];
        for number in 0..100 {
            assert!(future::poll_once(other.recv(&mut buffer)).await.is_none());
            one.send(&[number; 4]).await.unwrap();
            assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
            assert_eq!(buffer, [number; 4]);
        }
    });
}

#[test]
fn each_datagram_goes_to_one_of_several_receivers() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let other = Arc::new(other);
        let receiving: Vec<_> = (0..10)
            .map(|_| {
                let other = Arc::clone(&other);
                tenter::spawn(async move { other.recv(&mut [0; 4]).await.unwrap() })
            })
            .collect();
        for len in 1..=10 {
            one.send(&vec![0; len % 2 + 1]).await.unwrap();
        }
        let mut lens = 0;
        for task in receiving {
            lens += task.await.unwrap();
        }
        assert_eq!(lens, 15);
    });
}

#[test]
fn readiness_and_attempts_without_waiting_go_together() {
    run(async {
        let ((one, _), (other, name)) = (bound(), bound());
        let mut buffer = [0; 8];
        assert_eq!(other.try_recv_from(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(future::poll_once(other.readable()).await.is_none());
        assert_eq!(one.try_send_to_addr(b"try", &name).unwrap(), 3);
        other.readable().await.unwrap();
        let both = other.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap();
        assert!(both.is_readable() && both.is_writable());
        assert_eq!(other.try_recv_from(&mut buffer).unwrap().0, 3);
        future::poll_fn(|cx| one.poll_writable(cx)).await.unwrap();
    });
}

#[test]
fn nothing_is_sent_from_or_to_what_is_shut_down() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send(b"before").await.unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(one.send(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut buffer = [0; 8];
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 6);
        other.send(b"answer").await.unwrap();
        assert_eq!(one.recv(&mut buffer).await.unwrap(), 6);
        one.shutdown(Shutdown::Read).unwrap();
        assert_eq!(other.send(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn bad_addresses_and_datagrams_are_errors() {
    run(async {
        let (socket, name) = bound();
        let long = std::env::temp_dir().join("x".repeat(200));
        for bad in [OsStr::new("a\0b"), OsStr::new("\0abstract"), long.as_os_str()] {
            for error in [
                UnixDatagram::bind(bad).unwrap_err(),
                socket.connect(bad).unwrap_err(),
                socket.send_to(b"x", bad).await.unwrap_err(),
                socket.try_send_to(b"x", bad).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
            }
        }
        let missing = Name::new();
        for error in [
            socket.connect(&missing).unwrap_err(),
            socket.send_to(b"x", &missing).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
        assert_eq!(UnixDatagram::bind_addr(&name).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(socket.send(b"x").await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(socket.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        // A socket that is gone, and one of another kind.
        let path = Name::new();
        drop(UnixDatagram::bind(&path).unwrap());
        let error = socket.send_to(b"x", &path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let streams = abstract_name();
        let _listener = UnixListener::bind_addr(&streams).unwrap();
        assert!(socket.send_to_addr(b"x", &streams).await.is_err());
        // EMSGSIZE.
        let error = socket.send_to_addr(&vec![0; 10_000_000], &name).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(90));
        assert!(socket.take_error().unwrap().is_none());
    });
}

#[test]
fn a_socket_of_the_standard_library_can_be_driven_and_given_back() {
    run(async {
        let (theirs, peer) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let ours = UnixDatagram::from_std(theirs).unwrap();
        let mut buffer = [0; 8];
        assert!(future::poll_once(ours.recv(&mut buffer)).await.is_none());
        peer.send(b"one").unwrap();
        assert_eq!(ours.recv(&mut buffer).await.unwrap(), 3);
        let theirs = ours.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        peer.send(b"four").unwrap();
        assert_eq!(theirs.recv(&mut buffer).unwrap(), 4);
        let ours = UnixDatagram::try_from(OwnedFd::from(theirs)).unwrap();
        assert!(future::poll_once(ours.recv(&mut buffer)).await.is_none());
    });
}

#[test]
fn a_receiver_in_a_busy_loop_lets_other_tasks_run() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let (own, name) = bound();
            let pump = tenter::spawn(async move {
                let mut buffer = [0; 1];
                while one.send(b"x").await.is_ok() {
                    other.recv(&mut buffer).await.unwrap();
                    own.send_to_addr(b"x", &name).await.unwrap();
                    own.recv(&mut buffer).await.unwrap();
                }
            });
            for _ in 0..100 {
                tenter::spawn(async {}).await.unwrap();
            }
            assert!(pump.cancel().await.is_none());
        });
    });
}
