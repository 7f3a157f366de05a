//! UDP: datagrams one by one and in batches, and what goes wrong with them.

mod support;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use futures_lite::future;
use support::{LIMIT, runtime, within};
use tenter::io::Interest;
use tenter::net::UdpSocket;

const ANY: &str = "127.0.0.1:0";

/// `EMSGSIZE`, of a datagram longer than any.
const TOO_LONG: Option<i32> = Some(90);

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// A new socket and its address.
async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(ANY).await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// Two sockets that are connected with each other.
async fn pair() -> (UdpSocket, UdpSocket) {
    let ((one, one_addr), (other, other_addr)) = (bound().await, bound().await);
    one.connect(other_addr).await.unwrap();
    other.connect(one_addr).await.unwrap();
    (one, other)
}

/// A socket connected to an address of `host` where nobody is, and that address. No other test has
/// the host, and so none comes to the address.
async fn forlorn(host: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(ANY).await.unwrap();
    let nobody = UdpSocket::bind((host, 0)).await.unwrap().local_addr().unwrap();
    socket.connect(nobody).await.unwrap();
    (socket, nobody)
}

#[test]
fn what_is_sent_is_received_with_its_sender() {
    run(async {
        let ((one, one_addr), (other, other_addr)) = (bound().await, bound().await);
        let mut buffer = [0; 16];
        for _ in 0..1000 {
            assert_eq!(one.send_to(b"ping", other_addr).await.unwrap(), 4);
            assert_eq!(other.recv_from(&mut buffer).await.unwrap(), (4, one_addr));
            assert_eq!(&buffer[..4], b"ping");
            assert_eq!(other.send_to(b"reply", one_addr).await.unwrap(), 5);
            assert_eq!(one.recv_from(&mut buffer).await.unwrap(), (5, other_addr));
            assert_eq!(&buffer[..5], b"reply");
        }
    });
}

#[test]
fn a_connected_socket_receives_from_its_peer_alone() {
    run(async {
        let (one, other) = pair().await;
        let stranger = bound().await.0;
        let addr = one.local_addr().unwrap();
        assert_eq!(one.peer_addr().unwrap(), other.local_addr().unwrap());
        stranger.send_to(b"stranger", addr).await.unwrap();
        other.send(b"peer").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(one.recv(&mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer[..4], b"peer");
        assert_eq!(one.try_recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_datagram_of_no_bytes_is_one_and_not_an_end() {
    run(async {
        let (one, other) = pair().await;
        let mut buffer = [0; 16];
        for _ in 0..3 {
            assert_eq!(one.send(b"").await.unwrap(), 0);
            assert_eq!(other.recv(&mut buffer).await.unwrap(), 0);
        }
        assert!(future::poll_once(other.recv(&mut buffer)).await.is_none());
        one.send(b"more").await.unwrap();
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
        // And one for no bytes takes a datagram.
        one.send(b"taken").await.unwrap();
        one.send(b"next").await.unwrap();
        assert_eq!(other.recv(&mut []).await.unwrap(), 0);
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
    });
}

#[test]
fn a_datagram_longer_than_the_buffer_is_cut_and_the_next_is_whole() {
    run(async {
        let (one, other) = pair().await;
        one.send(b"a long datagram").await.unwrap();
        one.send(b"short").await.unwrap();
        let mut buffer = [0; 6];
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 6);
        assert_eq!(&buffer, b"a long");
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer[..5], b"short");
    });
}

#[test]
fn every_datagram_that_waits_is_received_though_each_is_shorter_than_the_buffer() {
    run(async {
        let (one, other) = pair().await;
        let mut buffer = [0; 1500];
        for round in 0..20 {
            // Known to be empty, and then several arrive as one event.
            assert!(future::poll_once(other.recv(&mut buffer)).await.is_none());
            for number in 0..50 {
                one.send(&[number; 3]).await.unwrap();
            }
            for number in 0..50 {
                let len = if round % 2 == 0 {
                    other.recv(&mut buffer).await.unwrap()
                } else {
                    future::poll_fn(|cx| other.poll_recv(cx, &mut buffer)).await.unwrap()
                };
                assert_eq!(buffer[..len], [number; 3]);
            }
        }
    });
}

#[test]
fn peeking_leaves_the_datagram_there() {
    run(async {
        let ((one, one_addr), (other, addr)) = (bound().await, bound().await);
        let mut buffer = [0; 16];
        assert!(future::poll_once(other.peek(&mut buffer)).await.is_none());
        one.send_to(b"look", addr).await.unwrap();
        assert_eq!(other.peek(&mut buffer).await.unwrap(), 4);
        assert_eq!(other.peek_from(&mut buffer).await.unwrap(), (4, one_addr));
        let polled = future::poll_fn(|cx| other.poll_peek_from(cx, &mut buffer)).await;
        assert_eq!(polled.unwrap(), (4, one_addr));
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
        assert_eq!(other.try_recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn what_came_to_nobody_is_refused_and_the_socket_goes_on() {
    run(async {
        let (socket, nobody) = forlorn("127.0.0.2").await;
        let mut buffer = [0; 16];
        for _ in 0..3 {
            socket.send(b"anybody?").await.unwrap();
            let error = socket.recv(&mut buffer).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
        assert!(future::poll_once(socket.recv(&mut buffer)).await.is_none());
        let somebody = UdpSocket::bind(nobody).await.unwrap();
        socket.send(b"now").await.unwrap();
        let (len, from) = somebody.recv_from(&mut buffer).await.unwrap();
        somebody.send_to(&buffer[..len], from).await.unwrap();
        assert_eq!(socket.recv(&mut buffer).await.unwrap(), 3);
    });
}

#[test]
fn a_receiver_that_waits_learns_of_a_refusal() {
    run(async {
        let socket = Arc::new(forlorn("127.0.0.3").await.0);
        let receiver = Arc::clone(&socket);
        let receiving = tenter::spawn(async move { receiver.recv(&mut [0; 16]).await });
        while receiving.state() != tenter::task::TaskState::Suspended {
            tenter::yield_now().await;
        }
        socket.send(b"anybody?").await.unwrap();
        let error = receiving.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_batch_receives_what_is_there_and_waits_for_the_first() {
    run(async {
        let ((one, one_addr), (other, addr)) = (bound().await, bound().await);
        let (mut bufs, mut received) = ([[0; 8]; 4], vec![(7, addr)]);
        let waits = future::poll_once(other.recv_many_from(&mut bufs, &mut received)).await;
        assert!(waits.is_none());
        for number in 0..6_u8 {
            one.send_to(&vec![number; usize::from(number)], addr).await.unwrap();
        }
        assert_eq!(other.recv_many_from(&mut bufs, &mut received).await.unwrap(), 4);
        let expected: Vec<_> = (0..4).map(|len| (len, one_addr)).collect();
        assert_eq!(received, expected);
        for (number, buf) in bufs.iter().enumerate() {
            assert_eq!(buf[..number], vec![number as u8; number]);
        }
        let mut bufs = vec![vec![0; 4]; 4];
        assert_eq!(other.recv_many_from(&mut bufs, &mut received).await.unwrap(), 2);
        // The last was longer than its buffer.
        assert_eq!(received, [(4, one_addr), (4, one_addr)]);
        assert!(future::poll_once(other.recv_many_from(&mut bufs, &mut received)).await.is_none());
        assert!(received.is_empty());
    });
}

#[test]
fn a_batch_is_sent_in_its_order_to_its_addresses() {
    run(async {
        let (one, (two, two_addr), (three, three_addr)) =
            (bound().await.0, bound().await, bound().await);
        let batch: Vec<_> = (0..40_u8)
            .map(|number| ([number; 2], if number % 2 == 0 { two_addr } else { three_addr }))
            .collect();
        let mut sent = 0;
        while sent < batch.len() {
            sent += one.send_many_to(&batch[sent..]).await.unwrap();
        }
        let mut buffer = [0; 4];
        for number in 0..40 {
            let receiver = if number % 2 == 0 { &two } else { &three };
            assert_eq!(receiver.recv(&mut buffer).await.unwrap(), 2);
            assert_eq!(buffer[0], number);
        }
        one.connect(two_addr).await.unwrap();
        assert_eq!(one.send_many(&["first", "second"]).await.unwrap(), 2);
        assert_eq!(two.recv(&mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer, b"firs");
        assert_eq!(two.recv(&mut buffer).await.unwrap(), 4);
    });
}

#[test]
fn a_batch_of_nothing_returns_at_once() {
    run(async {
        let (socket, addr) = bound().await;
        let (mut none, mut received) = ([[0; 8]; 0], vec![(1, addr)]);
        assert_eq!(socket.recv_many_from(&mut none, &mut received).await.unwrap(), 0);
        assert!(received.is_empty());
        assert_eq!(socket.send_many_to(&[] as &[(&[u8], SocketAddr)]).await.unwrap(), 0);
        assert_eq!(socket.send_many(&[] as &[&[u8]]).await.unwrap(), 0);
    });
}

#[test]
fn an_error_in_the_middle_of_a_batch_comes_with_the_next_one() {
    run(async {
        let ((one, _), (other, addr)) = (bound().await, bound().await);
        let batch = [(vec![1; 10], addr), (vec![2; 100_000], addr), (vec![3; 10], addr)];
        assert_eq!(one.send_many_to(&batch).await.unwrap(), 1);
        let error = one.send_many_to(&batch[1..]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), TOO_LONG);
        // It was told once; this one is the second attempt's own.
        assert_eq!(one.send_many_to(&batch[1..]).await.unwrap_err().raw_os_error(), TOO_LONG);
        assert_eq!(one.send_many_to(&batch[2..]).await.unwrap(), 1);
        let mut buffer = [0; 16];
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 10);
        assert_eq!(buffer[0], 1);
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 10);
        assert_eq!(buffer[0], 3);
    });
}

#[test]
fn a_refusal_in_the_middle_of_a_batch_is_not_lost() {
    run(async {
        let (socket, _) = forlorn("127.0.0.4").await;
        // On one's own machine each datagram is refused before the next is sent.
        let mut refusals = 0;
        for _ in 0..10 {
            match socket.send_many(&[b"one", b"two"]).await {
                Ok(sent) => assert!((1..=2).contains(&sent)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                    refusals += 1;
                }
            }
        }
        assert!(refusals >= 4, "{refusals}");
    });
}

#[test]
fn each_datagram_goes_to_one_of_several_receivers() {
    run(async {
        let (socket, addr) = bound().await;
        let socket = Arc::new(socket);
        let receiving: Vec<_> = (0..10)
            .map(|_| {
                let socket = Arc::clone(&socket);
                tenter::spawn(async move {
                    let mut buffer = [0];
                    socket.recv(&mut buffer).await.unwrap();
                    buffer[0]
                })
            })
            .collect();
        let sender = bound().await.0;
        for number in 0..10 {
            sender.send_to(&[number], addr).await.unwrap();
        }
        let mut received = Vec::new();
        for task in receiving {
            received.push(task.await.unwrap());
        }
        received.sort();
        assert_eq!(received, Vec::from_iter(0..10));
    });
}

#[test]
fn dropping_a_receive_that_waits_loses_no_datagram() {
    run(async {
        let (one, other) = pair().await;
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
fn the_poll_methods_register_the_task() {
    run(async {
        let ((one, one_addr), (other, addr)) = (bound().await, bound().await);
        let receiving = tenter::spawn(async move {
            let mut buffer = [0; 8];
            let received =
                future::poll_fn(|cx| other.poll_recv_from(cx, &mut buffer)).await.unwrap();
            assert_eq!(received, (4, one_addr));
            future::poll_fn(|cx| other.poll_readable(cx)).await.unwrap();
            let received = future::poll_fn(|cx| other.poll_recv(cx, &mut buffer)).await.unwrap();
            assert_eq!(received, 5);
        });
        while receiving.state() != tenter::task::TaskState::Suspended {
            tenter::yield_now().await;
        }
        future::poll_fn(|cx| one.poll_writable(cx)).await.unwrap();
        future::poll_fn(|cx| one.poll_send_to(cx, b"poll", addr)).await.unwrap();
        one.connect(addr).await.unwrap();
        future::poll_fn(|cx| one.poll_send(cx, b"polls")).await.unwrap();
        receiving.await.unwrap();
    });
}

#[test]
fn readiness_and_attempts_without_waiting_go_together() {
    run(async {
        let ((one, one_addr), (other, addr)) = (bound().await, bound().await);
        let mut buffer = [0; 8];
        assert_eq!(other.try_recv_from(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(future::poll_once(other.readable()).await.is_none());
        assert_eq!(one.try_send_to(b"try", addr).unwrap(), 3);
        other.readable().await.unwrap();
        let both = other.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap();
        assert!(both.is_readable() && both.is_writable());
        assert_eq!(other.try_recv_from(&mut buffer).unwrap(), (3, one_addr));
        one.writable().await.unwrap();
        one.connect(addr).await.unwrap();
        assert_eq!(one.try_send(b"try").unwrap(), 3);
        other.readable().await.unwrap();
        let received = other.try_io(Interest::READABLE, |socket| socket.recv(&mut buffer));
        assert_eq!(received.unwrap(), 3);
        let again = other.try_io(Interest::READABLE, |socket| socket.recv(&mut buffer));
        assert_eq!(again.unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_socket_of_the_standard_library_can_be_driven_and_given_back() {
    run(async {
        let theirs = std::net::UdpSocket::bind(ANY).unwrap();
        let addr = theirs.local_addr().unwrap();
        let ours = UdpSocket::from_std(theirs).unwrap();
        let mut buffer = [0; 8];
        assert!(future::poll_once(ours.recv(&mut buffer)).await.is_none());
        let sender = bound().await.0;
        sender.send_to(b"one", addr).await.unwrap();
        assert_eq!(ours.recv(&mut buffer).await.unwrap(), 3);
        let theirs = ours.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        sender.send_to(b"four", addr).await.unwrap();
        assert_eq!(theirs.recv(&mut buffer).unwrap(), 4);
        let ours = UdpSocket::try_from(OwnedFd::from(theirs)).unwrap();
        assert!(future::poll_once(ours.recv(&mut buffer)).await.is_none());
        assert_eq!(ours.local_addr().unwrap(), addr);
        let fd = OwnedFd::try_from(ours).unwrap();
        assert_eq!(std::net::UdpSocket::from(fd).local_addr().unwrap(), addr);
    });
}

#[test]
fn options_are_set_and_read_back() {
    run(async {
        let (socket, _) = bound().await;
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
        socket.set_ttl(33).unwrap();
        assert_eq!(socket.ttl().unwrap(), 33);
        socket.set_send_buffer_size(50_000).unwrap();
        assert!(socket.send_buffer_size().unwrap() >= 50_000);
        socket.set_recv_buffer_size(60_000).unwrap();
        assert!(socket.recv_buffer_size().unwrap() >= 60_000);
        socket.set_multicast_loop_v4(false).unwrap();
        assert!(!socket.multicast_loop_v4().unwrap());
        socket.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 3);
        assert!(socket.take_error().unwrap().is_none());
    });
}

#[test]
fn a_member_of_a_group_can_leave_it_and_what_is_no_group_is_refused() {
    run(async {
        let (socket, _) = bound().await;
        let group = Ipv4Addr::new(239, 255, 11, 12);
        socket.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
        let error = socket.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        socket.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
        let error = socket.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        let error = socket.join_multicast_v4(Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::LOCALHOST);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
        // The options of the other family.
        assert!(socket.join_multicast_v6(&Ipv6Addr::LOCALHOST, 0).is_err());
        assert!(socket.leave_multicast_v6(&Ipv6Addr::LOCALHOST, 0).is_err());
    });
}

#[test]
fn of_several_addresses_one_of_the_sockets_family_is_sent_to() {
    run(async {
        let ((one, _), (other, addr)) = (bound().await, bound().await);
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, addr.port()));
        let mut buffer = [0; 8];
        one.send_to(b"list", [v6, addr]).await.unwrap();
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
        one.send_to(b"a name", ("localhost", addr.port())).await.unwrap();
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 6);
        one.connect([v6, addr]).await.unwrap();
        assert_eq!(one.peer_addr().unwrap(), addr);
        assert!(one.send_to(b"no such family", v6).await.is_err());
    });
}

#[test]
fn bad_addresses_and_datagrams_are_errors() {
    run(async {
        let (socket, addr) = bound().await;
        let error = UdpSocket::bind(addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let error = UdpSocket::bind("203.0.113.1:0").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        for none in [
            UdpSocket::bind(&[][..]).await.map(drop),
            socket.connect(&[][..]).await,
            socket.send_to(b"x", &[][..]).await.map(drop),
            socket.send_to(b"x", "localhost").await.map(drop),
        ] {
            assert_eq!(none.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(socket.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        // EDESTADDRREQ.
        assert_eq!(socket.send(b"x").await.unwrap_err().raw_os_error(), Some(89));
        let error = socket.send_to(&[0; 65_508], addr).await.unwrap_err();
        assert_eq!(error.raw_os_error(), TOO_LONG);
        // Broadcast was not allowed.
        let error = socket.send_to(b"x", "255.255.255.255:9").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        // And after all of them it works.
        socket.send_to(b"x", addr).await.unwrap();
        assert_eq!(socket.recv(&mut [0; 4]).await.unwrap(), 1);
    });
}

#[test]
fn a_receiver_in_a_busy_loop_lets_other_tasks_run() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (one, other) = pair().await;
            let pump = tenter::spawn(async move {
                let mut buffer = [0; 8];
                while one.send(b"x").await.is_ok() {
                    other.recv(&mut buffer).await.unwrap();
                }
            });
            for _ in 0..100 {
                tenter::spawn(async {}).await.unwrap();
            }
            assert!(pump.cancel().await.is_none());
        });
    });
}
