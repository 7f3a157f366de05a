//! Bugs about descriptors: sockets, pipes, and who else has them.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, poll_once};
use rustix::fs::fstat;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tenter::io::{Async, AsyncReadExt, AsyncWriteExt};
use tenter::net::TcpListener;
use tenter::process::{Command, Stdio};
use tenter::spawn;
use tenter::task::TaskState;

use crate::quiet;
use crate::support::{
    Child, LIMIT, Pair, expect_success, memory_peak, process_state, wait_until, within,
};

/// tokio #3529: a listener receives "too many open files" indefinitely.
///
/// A server without descriptors was told so by `accept`, again and again, as fast as it could ask:
/// the connection stayed in the backlog, so the listener stayed ready. The loop took a whole core,
/// and those tasks of which each would have given back a descriptor had to share the rest.
///
/// Here the error is handed out each time, but the next attempt waits a little, and the connections
/// stay where they are until there is room again. `net_exhaustion.rs` has a server and 200 clients.
#[test]
fn accept_without_descriptors_is_an_error_that_neither_spins_nor_loses_a_connection() {
    /// The first pause after an error, and the shortest.
    const PAUSE: Duration = Duration::from_millis(5);
    let body = async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connect = |_| std::net::TcpStream::connect(addr).unwrap();
        let mut clients: Vec<_> = (0..20).map(connect).collect();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
        let start = Instant::now();
        for _ in 0..5 {
            let error = listener.accept().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
        }
        assert!(start.elapsed() >= 4 * PAUSE);
        setrlimit(Resource::Nofile, limit).unwrap();
        for client in &mut clients {
            let (mut stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            stream.write_all(b"served").await.unwrap();
            client.read_exact(&mut [0; 6]).unwrap();
        }
    };
    within(LIMIT, || {
        expect_success(&Child::new().run(|| within(LIMIT, || quiet(2).block_on(body()))));
    });
}

/// tokio #6133 and #8331: I/O resources can hang.
///
/// A task found nothing to read and took back the readiness on which it had relied; a counter of
/// events told whether there had been a new one since, which must stay. The counter had eight bits,
/// and wrapped: after just so many events the newest was taken for the one that was refuted. It was
/// lost, and as the poller reports edges, the task slept for good. When the counter had been widened to
/// fifteen bits, the copy that it was compared with had not.
///
/// Here the tick has 24 bits, of its own for each source (D2): 16.8 million events would have to come
/// during one system call. Model: models/source.rs `an_edge_is_not_lost_to_a_late_clear`.
#[test]
fn an_event_is_not_lost_however_many_come_while_a_call_finds_nothing() {
    /// Makes a counter of 16 bits wrap, and any that is smaller.
    const EVENTS: usize = 1 << 16;
    within(LIMIT, || {
        let runtime = quiet(2);
        let _entered = runtime.enter();
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let socket = Arc::new(Async::new(socket).unwrap());
        let held = Pair::new();
        let reader = runtime.spawn(read_late(socket.clone(), held.clone()));
        // It must have tried in vain: the first attempt relies on no event.
        wait_until(|| is_watched(&*socket));
        peer.write_all(&[0]).unwrap();
        held.arrived.wait();
        // The reader's worker is in the call. Each round is one event for it, and one for another
        // socket, which tells that both have been reported.
        let (marker, mut marks) = UnixStream::pair().unwrap();
        let mut marker = Async::new(marker).unwrap();
        let (seen, has_seen) = mpsc::channel();
        let watcher = runtime.spawn(async move {
            while marker.read(&mut [0]).await.unwrap() > 0 {
                seen.send(()).unwrap();
            }
        });
        for round in 0..EVENTS {
            if round > 0 {
                // Nobody else reads: but for the last, there is room.
                let mut socket = socket.get_ref();
                assert_eq!(socket.read(&mut [0; 2]).unwrap(), 1);
            }
            // Else it might read its byte before that is reported.
            wait_until(|| watcher.state() == TaskState::Suspended);
            peer.write_all(&[1]).unwrap();
            marks.write_all(&[1]).unwrap();
            has_seen.recv().unwrap();
        }
        held.released.open();
        assert_eq!(block_on(reader).unwrap(), 1);
        drop(marks);
        block_on(watcher).unwrap();
    });
}

/// Reads to the first `WouldBlock` that follows on an event, is held before it returns that, and
/// then reads on.
async fn read_late(socket: Arc<Async<UnixStream>>, held: Pair) -> usize {
    let mut read = 0;
    let late = socket.read_with(|mut socket| {
        let before = read;
        loop {
            match socket.read(&mut [0; 8]) {
                Ok(bytes) if held.arrived.is_open() => return Ok(bytes),
                Ok(bytes) => read += bytes,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    if read > before {
                        held.hold();
                    }
                    return Err(error);
                }
            }
        }
    });
    late.await.unwrap()
}

/// Whether an epoll of this process watches the file, by whatever descriptor.
fn is_watched(file: impl AsFd) -> bool {
    let number = format!(" ino:{:x} ", fstat(file).unwrap().st_ino);
    let entries = fs::read_dir("/proc/self/fdinfo").unwrap();
    let mut texts = entries.flatten().map(|entry| fs::read_to_string(entry.path()));
    texts.any(|text| text.is_ok_and(|text| text.contains(&number)))
}

/// libuv #1100 (joyent's), uvloop #61: closing a descriptor does not take it out of epoll.
///
/// The socket had been duplicated, or inherited by a child. Closing it closed one descriptor; the
/// open file lived on, and so did its place in epoll, which went on to report events for a number
/// that was nobody's or, worse, somebody else's by then.
///
/// Here a descriptor is deregistered before it is released, whichever way it goes, and an event names
/// a generation of a slot and not a number (D4). Model: models/source.rs
/// `an_event_in_flight_does_not_reach_the_next_owner_of_the_slot`.
#[test]
fn a_file_that_lives_on_elsewhere_is_not_watched_after_its_close() {
    within(LIMIT, || {
        let runtime = quiet(2);
        runtime.block_on(async {
            for round in 0..30 {
                let (socket, mut peer) = UnixStream::pair().unwrap();
                let copy = socket.try_clone().unwrap();
                let socket = Async::new(socket).unwrap();
                assert!(poll_once(socket.readable()).await.is_none());
                assert!(is_watched(&copy));
                match round % 3 {
                    0 => drop(socket),
                    1 => drop(socket.into_inner().unwrap()),
                    _ => {
                        let waits = spawn(async move { socket.readable().await });
                        assert!(waits.cancel().await.is_none());
                    }
                }
                assert!(!is_watched(&copy));
                // Most likely it gets the number that has just become free.
                let (next, mut next_peer) = UnixStream::pair().unwrap();
                let next = Async::new(next).unwrap();
                assert!(poll_once(next.readable()).await.is_none());
                peer.write_all(&[0]).unwrap();
                assert!(poll_once(next.readable()).await.is_none());
                next_peer.write_all(&[0]).unwrap();
                next.readable().await.unwrap();
            }
        });
    });
}

/// tokio #6329 (a fix): registration entries leak when the system refuses the registration.
///
/// The entry for a descriptor was made and listed before the poller was asked, and stayed there when
/// the poller said no: a program that tried again and again to watch what cannot be watched grew.
///
/// Here the slot is given back if the poller refuses.
#[test]
fn registrations_that_the_system_refuses_take_no_memory() {
    /// Slots are 64 bytes each.
    const ATTEMPTS: usize = 200_000;
    within(LIMIT, || {
        let output = Child::new().run(|| {
            within(LIMIT, || {
                quiet(1).block_on(async {
                    let file = File::open(std::env::current_exe().unwrap()).unwrap();
                    let refuse = async |attempts| {
                        for _ in 0..attempts {
                            let error = Async::new(&file).unwrap().readable().await.unwrap_err();
                            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                        }
                    };
                    refuse(1000).await;
                    let before = memory_peak();
                    refuse(ATTEMPTS).await;
                    let grown = memory_peak().saturating_sub(before);
                    assert!(grown < ATTEMPTS * 16, "{grown} bytes more");
                });
            });
        });
        expect_success(&output);
    });
}

/// golang #23019: `Wait` waits for whoever holds the pipes, and not for the child.
///
/// A command started a background process of its own and ended. That process had inherited its
/// standard output, and whoever waited for the command waited for the end of that pipe, and so for
/// the background process, which may never end.
///
/// Here `wait` is for the process alone; the pipes are values of their own, and go on.
#[test]
fn a_child_has_ended_though_a_process_that_it_left_holds_its_pipes() {
    within(LIMIT, || {
        quiet(2).block_on(async {
            let mut command = Command::new("sh");
            // A background process of a shell reads nothing unless it is told to.
            command.args(["-c", "exec 3<&0; cat <&3 & echo $!; exit 7"]);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh is there");
            let mut stdin = child.stdin.take().unwrap();
            let stdout = child.stdout.take().unwrap();
            assert_eq!(child.wait().await.unwrap().code(), Some(7));
            let mut stdout = tenter::io::BufReader::new(stdout);
            let mut line = String::new();
            tenter::io::AsyncBufReadExt::read_line(&mut stdout, &mut line).await.unwrap();
            let left: u32 = line.trim().parse().unwrap();
            assert!(process_state(left).is_some());
            stdin.write_all(b"still here").await.unwrap();
            drop(stdin);
            line.clear();
            stdout.read_to_string(&mut line).await.unwrap();
            assert_eq!(line, "still here");
        });
    });
}
