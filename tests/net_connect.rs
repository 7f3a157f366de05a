//! Connecting to the best of several addresses.

mod support;

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream as StdStream};
use std::time::{Duration, Instant};

use futures_lite::future;
use rustix::event::{PollFd, PollFlags, poll};
use socket2::{Domain, Socket, Type};
use support::{Child, LIMIT, expect_success, runtime, sockets, within};
use tenter::net::{TcpSocket, TcpStream};
use tenter::task::TaskState;

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// A listener, and its address.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// An address of `host` where nobody listens. No other test has the host.
fn closed(host: &str) -> SocketAddr {
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap()
}

/// An address that takes no connection and refuses none: the backlog is full, and who knocks is
/// told nothing.
struct BlackHole {
    addr: SocketAddr,
    _listener: Socket,
    _filler: StdStream,
}

impl BlackHole {
    fn new() -> BlackHole {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let addr = listener.local_addr().unwrap().as_socket().unwrap();
        let filler = StdStream::connect(addr).unwrap();
        // It is in the backlog, a moment after it knows of the connection.
        poll(&mut [PollFd::new(&listener, PollFlags::IN)], None).unwrap();
        BlackHole { addr, _listener: listener, _filler: filler }
    }
}

/// How long an attempt is alone.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to one of `addrs`; `None` if that took so long that the next attempt was right to begin:
/// the thread had no core.
async fn connect_in_time(addrs: &[SocketAddr]) -> Option<TcpStream> {
    let began = Instant::now();
    let stream = TcpStream::connect(addrs).await.unwrap();
    (began.elapsed() < ATTEMPT_DELAY).then_some(stream)
}

/// Whether somebody has connected to `listener`.
fn was_reached(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    listener.accept().is_ok()
}

/// Takes a connection to `listener`: it may come a moment after the client knows of it.
fn take(listener: &TcpListener) {
    listener.set_nonblocking(false).unwrap();
    listener.accept().unwrap();
}

#[test]
fn an_address_that_does_not_answer_does_not_hold_up_the_next() {
    run(async {
        let (hole, (_listener, good)) = (BlackHole::new(), listener());
        assert!(future::poll_once(TcpStream::connect(hole.addr)).await.is_none());
        let stream = TcpStream::connect([hole.addr, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        // And several of them do not.
        let stream = TcpStream::connect([hole.addr, hole.addr, hole.addr, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
    });
}

#[test]
fn an_address_that_answers_is_preferred_to_those_behind_it() {
    run(async {
        // Ends: once all were in time.
        'again: loop {
            let ((first, first_addr), (second, second_addr)) = (listener(), listener());
            for _ in 0..20 {
                let Some(stream) = connect_in_time(&[first_addr, second_addr]).await else {
                    continue 'again;
                };
                assert_eq!(stream.peer_addr().unwrap(), first_addr);
                take(&first);
            }
            assert!(!was_reached(&second));
            break;
        }
    });
}

#[test]
fn a_failure_starts_the_next_attempt_and_the_rest_is_left_alone() {
    run(async {
        let refusing = closed("127.0.0.20");
        // Ends: once it was in time.
        let (_good, good_addr) = loop {
            let ((good, good_addr), (rest, rest_addr)) = (listener(), listener());
            let addrs = [refusing, refusing, good_addr, rest_addr];
            let Some(stream) = connect_in_time(&addrs).await else { continue };
            assert_eq!(stream.peer_addr().unwrap(), good_addr);
            take(&good);
            assert!(!was_reached(&rest));
            break (good, good_addr);
        };
        // Beside one that does not answer too: with the delay between them these would take longer
        // than the test may.
        let hole = BlackHole::new();
        let mut many = vec![refusing; 300];
        many[0] = hole.addr;
        many.push(good_addr);
        assert_eq!(TcpStream::connect(many).await.unwrap().peer_addr().unwrap(), good_addr);
    });
}

#[test]
fn the_next_attempt_waits_for_its_turn() {
    run(async {
        // Ends: once this thread was not kept from its core until the second was due.
        let (connecting, _hole, (second, second_addr)) = loop {
            let (hole, (second, second_addr)) = (BlackHole::new(), listener());
            let began = Instant::now();
            let mut connecting = Box::pin(TcpStream::connect([hole.addr, second_addr]));
            let polled = future::poll_once(&mut connecting).await;
            // A connection on one's own machine is there as soon as it is begun.
            let is_early = was_reached(&second);
            if began.elapsed() < ATTEMPT_DELAY {
                assert!(polled.is_none());
                assert!(!is_early);
                break (connecting, hole, (second, second_addr));
            }
        };
        assert_eq!(connecting.await.unwrap().peer_addr().unwrap(), second_addr);
        take(&second);
    });
}

#[test]
fn an_attempt_that_was_overtaken_can_still_win() {
    run(async {
        let (hole, other) = (BlackHole::new(), BlackHole::new());
        let connecting = tenter::spawn(TcpStream::connect([hole.addr, other.addr]));
        while connecting.state() != TaskState::Suspended {
            tenter::yield_now().await;
        }
        // Room for the first one: the system knocks again by itself.
        let BlackHole { addr, _listener: listener, .. } = hole;
        listener.accept().unwrap();
        assert_eq!(connecting.await.unwrap().unwrap().peer_addr().unwrap(), addr);
    });
}

#[test]
fn the_families_take_turns_from_that_of_the_first_address() {
    run(async {
        let v4 = closed("127.0.0.21");
        // Ports that nobody has; on a machine without IPv6 they fail as well.
        let v6 = |port| SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let order = |addrs: Vec<SocketAddr>| async move {
            let error = TcpStream::connect(addrs.clone()).await.unwrap_err().to_string();
            let mut places: Vec<_> =
                addrs.iter().map(|addr| (error.find(&addr.to_string()).unwrap(), *addr)).collect();
            places.sort();
            places.into_iter().map(|(_, addr)| addr).collect::<Vec<_>>()
        };
        let other = closed("127.0.0.22");
        let found = order(vec![v4, other, v6(1), v6(2)]).await;
        assert_eq!(found, [v4, v6(1), other, v6(2)]);
        let found = order(vec![v6(1), v6(2), v6(3), v4]).await;
        assert_eq!(found, [v6(1), v4, v6(2), v6(3)]);
    });
}

#[test]
fn the_failure_of_one_address_is_the_systems_error() {
    run(async {
        let refusing = closed("127.0.0.23");
        let error = TcpStream::connect(refusing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // ECONNREFUSED.
        assert_eq!(error.raw_os_error(), Some(111));
        let error = TcpStream::connect([refusing]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(111));
    });
}

#[test]
fn the_failure_of_several_addresses_names_each_with_its_error() {
    run(async {
        let (one, other) = (closed("127.0.0.24"), closed("127.0.0.25"));
        // No stream goes to broadcast.
        let nowhere: SocketAddr = "255.255.255.255:9".parse().unwrap();
        let error = TcpStream::connect([nowhere, one, other]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let text = error.to_string();
        for addr in [nowhere, one, other] {
            assert_eq!(text.matches(&format!("{addr}: ")).count(), 1, "{text}");
        }
        assert_eq!(text.matches("refused").count(), 2, "{text}");
        let error = TcpStream::connect([one, nowhere]).await.unwrap_err();
        assert_ne!(error.kind(), ErrorKind::ConnectionRefused, "that of the last counts");
    });
}

#[test]
fn no_address_is_invalid_input() {
    run(async {
        let error = TcpStream::connect(&[][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn the_attempts_that_lost_are_closed() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            runtime(2).block_on(async {
                let (hole, (_listener, good)) = (BlackHole::new(), listener());
                let open = sockets().len();
                let stream = TcpStream::connect([hole.addr, hole.addr, good]).await.unwrap();
                assert_eq!(sockets().len(), open + 1);
                drop(stream);
                assert_eq!(sockets().len(), open);
            });
        });
        expect_success(&output);
    });
}

#[test]
fn dropping_the_future_closes_every_attempt() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            runtime(2).block_on(async {
                let hole = BlackHole::new();
                let open = sockets().len();
                let connecting = tenter::spawn(TcpStream::connect([hole.addr; 3]));
                support::until(|| sockets().len() == open + 3).await;
                assert!(connecting.cancel().await.is_none());
                assert_eq!(sockets().len(), open);
                let socket = TcpSocket::new_v4().unwrap();
                assert!(future::poll_once(socket.connect(hole.addr)).await.is_none());
                assert_eq!(sockets().len(), open);
            });
        });
        expect_success(&output);
    });
}
