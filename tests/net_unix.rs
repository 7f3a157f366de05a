//! Unix streams: connections, their halves and ends, and what goes wrong with them.

#[path = "net/names.rs"]
mod names;
mod support;

use std::ffi::OsStr;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::sync::Arc;

use futures_lite::{StreamExt, future};
use names::{Name, abstract_name};
use rustix::net::SocketAddrUnix;
use socket2::{Domain, SockAddr, Socket, Type};
use support::{Child, LIMIT, runtime, within};
use tenter::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tenter::net::{ReuniteError, UnixDatagram, UnixListener, UnixStream};
use tenter::task::TaskState;

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// Our end of a pair whose other end is the standard library's, in blocking mode.
fn pair_with_std() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    (UnixStream::from_std(ours).unwrap(), theirs)
}

#[test]
fn what_is_written_on_one_end_of_a_pair_is_read_on_the_other() {
    run(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let mut buffer = [0; 5];
        for _ in 0..1000 {
            one.write_all(b"hello").await.unwrap();
            other.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"hello");
            other.write_all(b"world").await.unwrap();
            one.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"world");
        }
    });
}

#[test]
fn a_listener_at_a_path_accepts_and_both_ends_know_the_path() {
    run(async {
        let path = Name::new();
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        let mut client = UnixStream::connect(&path).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed(), "{peer:?}");
        assert!(client.local_addr().unwrap().is_unnamed());
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path));
        assert_eq!(server.local_addr().unwrap().as_pathname(), Some(&*path));
        client.write_all(b"by path").await.unwrap();
        client.close().await.unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "by path");
    });
}

#[test]
fn a_listener_with_an_abstract_name_accepts_and_leaves_the_name_free() {
    run(async {
        let name = abstract_name();
        for _ in 0..3 {
            let listener = UnixListener::bind_addr(&name).unwrap();
            let client = UnixStream::connect_addr(&name).await.unwrap();
            let (_server, _) = listener.accept().await.unwrap();
            let connected_to = client.peer_addr().unwrap();
            assert_eq!(connected_to.as_abstract_name(), name.as_abstract_name());
        }
        let error = UnixStream::connect_addr(&name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn accept_names_a_peer_that_has_a_name() {
    run(async {
        let (listening, path, name) = (abstract_name(), Name::new(), abstract_name());
        let listener = UnixListener::bind_addr(&listening).unwrap();
        let connect = |from: SockAddr| {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.bind(&from).unwrap();
            let listening = listening.as_abstract_name().unwrap();
            let to = SockAddr::unix(OsStr::from_bytes(&[b"\0", listening].concat())).unwrap();
            socket.connect(&to).unwrap();
            socket
        };
        let _first = connect(SockAddr::unix(&*path).unwrap());
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.as_pathname(), Some(&*path));
        let bytes = [b"\0", name.as_abstract_name().unwrap()].concat();
        let _second = connect(SockAddr::unix(OsStr::from_bytes(&bytes)).unwrap());
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.as_abstract_name(), name.as_abstract_name());
    });
}

#[test]
fn accept_takes_a_peer_whose_name_fills_the_address() {
    run(async {
        let name = abstract_name();
        let listener = UnixListener::bind_addr(&name).unwrap();
        // One byte more than the standard library lets pass, for there is no room for its NUL.
        let path = Name::of_length(108);
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&*path).unwrap()).unwrap();
        let to = SocketAddrUnix::new_abstract_name(name.as_abstract_name().unwrap()).unwrap();
        rustix::net::connect(&socket, &to).unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.as_pathname(), Some(&*path));
    });
}

#[test]
fn the_peers_credentials_are_those_of_its_process() {
    within(LIMIT, || {
        let mut child = Child::new().start(|| {
            let name = abstract_name();
            let listener = std::os::unix::net::UnixListener::bind_addr(&name).unwrap();
            let name = String::from_utf8(name.as_abstract_name().unwrap().to_vec()).unwrap();
            println!("\nname {name}");
            let mut stream = listener.accept().unwrap().0;
            // Until the parent has seen enough.
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        });
        let name = SocketAddr::from_abstract_name(child.line_of("name")).unwrap();
        runtime(1).block_on(async {
            let stream = UnixStream::connect_addr(&name).await.unwrap();
            let peer = stream.peer_cred().unwrap();
            assert_eq!(peer.pid(), i32::try_from(child.id()).ok());
            let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            assert_eq!((peer.uid(), peer.gid()), own);
            let (one, _other) = UnixStream::pair().unwrap();
            assert_eq!(one.peer_cred().unwrap().pid(), i32::try_from(std::process::id()).ok());
        });
        assert!(child.wait().success());
    });
}

#[test]
fn a_process_that_cannot_be_seen_has_no_number() {
    run(async {
        // What the system says of a peer in another PID namespace, and of one that there is not.
        let unconnected = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let stream = UnixStream::try_from(OwnedFd::from(unconnected)).unwrap();
        assert_eq!(stream.peer_cred().unwrap().pid(), None);
    });
}

#[test]
fn a_reference_to_a_stream_reads_and_writes() {
    run(async {
        let (client, server) = UnixStream::pair().unwrap();
        let echo = tenter::spawn(async move { tenter::io::copy(&server, &server).await });
        (&client).write_all(b"by reference").await.unwrap();
        (&client).close().await.unwrap();
        let mut text = String::new();
        (&client).read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "by reference");
        assert_eq!(echo.await.unwrap().unwrap(), 12);
    });
}

#[test]
fn vectored_operations_use_every_buffer() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!((&one).write_vectored(&parts).await.unwrap(), 5);
        let (mut first, mut second) = ([0; 4], [0; 4]);
        let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!((&other).read_vectored(&mut parts).await.unwrap(), 5);
        assert_eq!((&first, &second), (b"abcd", b"e\0\0\0"));
        assert_eq!(one.try_write_vectored(&[IoSlice::new(b"xy")]).unwrap(), 2);
        let mut parts = [IoSliceMut::new(&mut first)];
        other.readable().await.unwrap();
        assert_eq!(other.try_read_vectored(&mut parts).unwrap(), 2);
    });
}

#[test]
fn a_read_of_zero_bytes_returns_at_once_while_nothing_is_there() {
    run(async {
        let (_one, mut other) = UnixStream::pair().unwrap();
        assert_eq!(other.read(&mut []).await.unwrap(), 0);
        assert_eq!(other.read_vectored(&mut [IoSliceMut::new(&mut [])]).await.unwrap(), 0);
        assert_eq!(other.peek(&mut []).await.unwrap(), 0);
        assert_eq!(other.try_read(&mut []).unwrap(), 0);
        assert_eq!(other.write(&[]).await.unwrap(), 0);
        assert!(future::poll_once(other.read(&mut [0])).await.is_none());
    });
}

#[test]
fn peeking_takes_nothing() {
    run(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let mut buffer = [0; 8];
        assert!(future::poll_once(other.peek(&mut buffer)).await.is_none());
        one.write_all(b"look").await.unwrap();
        assert_eq!(other.peek(&mut buffer).await.unwrap(), 4);
        assert_eq!(future::poll_fn(|cx| other.poll_peek(cx, &mut buffer)).await.unwrap(), 4);
        assert_eq!(other.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer[..4], b"look");
        assert!(future::poll_once(other.peek(&mut buffer)).await.is_none());
        drop(one);
        assert_eq!(other.peek(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn a_closed_write_half_ends_the_peers_reads_and_leaves_the_other_direction_open() {
    run(async {
        let (mut client, mut server) = UnixStream::pair().unwrap();
        client.write_all(b"last words").await.unwrap();
        client.close().await.unwrap();
        client.close().await.unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "last words");
        server.write_all(b"an answer all the same").await.unwrap();
        drop(server);
        text.clear();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "an answer all the same");
        let error = client.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn data_and_end_that_arrive_together_are_both_read() {
    run(async {
        for round in 0..300 {
            let (mut ours, mut theirs) = pair_with_std();
            let mut buffer = [0; 64];
            if round % 2 == 0 {
                // Registered, and known to be empty, before anything arrives.
                assert!(future::poll_once(ours.read(&mut buffer)).await.is_none());
            }
            theirs.write_all(b"data").unwrap();
            if round % 3 == 0 {
                theirs.shutdown(Shutdown::Write).unwrap();
            } else {
                drop(theirs);
            }
            assert_eq!(ours.read(&mut buffer).await.unwrap(), 4);
            assert_eq!(ours.read(&mut buffer).await.unwrap(), 0);
            assert_eq!(ours.read(&mut buffer).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_peer_that_closes_with_something_unread_resets_the_connection() {
    run(async {
        let (mut ours, theirs) = pair_with_std();
        let mut buffer = [0; 16];
        assert!(future::poll_once(ours.read(&mut buffer)).await.is_none());
        (&theirs).write_all(b"sent").unwrap();
        ours.write_all(b"never read").await.unwrap();
        drop(theirs);
        // What the peer sent before comes first.
        let mut all = Vec::new();
        let error = ours.read_to_end(&mut all).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(all.is_empty() || all == b"sent");
        ours.close().await.unwrap();
    });
}

#[test]
fn a_writer_that_filled_the_buffer_goes_on_when_the_peer_reads_and_fails_when_it_leaves() {
    run(async {
        let (one, mut other) = UnixStream::pair().unwrap();
        let mut filled = 0;
        loop {
            match one.try_write(&[7; 64 * 1024]) {
                Ok(written) => filled += written,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        let one = Arc::new(one);
        let writer = Arc::clone(&one);
        let writing = tenter::spawn(async move {
            let mut writer = &*writer;
            writer.write_all(&[8; 1_000_000]).await.unwrap();
            writer.write_all(&[9; 10_000_000]).await.unwrap_err().kind()
        });
        let mut all = vec![0; filled + 1_000_000];
        other.read_exact(&mut all).await.unwrap();
        assert!(all[..filled].iter().all(|&byte| byte == 7));
        assert!(all[filled..].iter().all(|&byte| byte == 8));
        drop(other);
        assert_eq!(writing.await.unwrap(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_read_that_stops_at_a_descriptor_does_not_hide_what_lies_behind() {
    run(async {
        let (one, mut other) = UnixStream::pair().unwrap();
        let (_, pipe) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let mut buffer = [0; 64];
        for _ in 0..20 {
            // Known to be empty, so that all of the pieces are one event, or few.
            assert!(future::poll_once(other.read(&mut buffer)).await.is_none());
            (&one).write_all(b"before").await.unwrap();
            assert_eq!(one.send_with_fds(b"with", &[pipe.as_fd()]).await.unwrap(), 4);
            assert_eq!(one.send_with_fds(b"with", &[pipe.as_fd()]).await.unwrap(), 4);
            (&one).write_all(b"behind").await.unwrap();
            let mut all = Vec::new();
            while all.len() < 20 {
                let read = other.read(&mut buffer).await.unwrap();
                all.extend_from_slice(&buffer[..read]);
            }
            assert_eq!(all, b"beforewithwithbehind");
        }
    });
}

#[test]
fn halves_work_in_different_tasks_and_make_one_stream_again() {
    run(async {
        let (client, server) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = server.into_split();
        let echo = tenter::spawn(async move {
            tenter::io::copy(&mut reader, &mut writer).await.unwrap();
            reader.reunite(writer).unwrap()
        });
        let (mut reader, mut writer) = client.into_split();
        let sending = tenter::spawn(async move {
            for _ in 0..100 {
                writer.write_all(&[b'x'; 10_000]).await.unwrap();
            }
            writer.close().await.unwrap();
            writer
        });
        let mut received = vec![0; 1_000_000];
        reader.read_exact(&mut received).await.unwrap();
        assert!(received.iter().all(|&byte| byte == b'x'));
        let writer = sending.await.unwrap();
        drop(echo.await.unwrap());
        assert_eq!(reader.peek(&mut [0]).await.unwrap(), 0);
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
        let client: UnixStream = writer.reunite(reader).unwrap();
        assert!(client.local_addr().unwrap().is_unnamed());
    });
}

#[test]
fn halves_of_two_streams_do_not_reunite_and_come_back() {
    run(async {
        let (one, mut other) = UnixStream::pair().unwrap();
        let (two, _rest) = UnixStream::pair().unwrap();
        let (reader, _writer) = one.into_split();
        let (_reader, writer) = two.into_split();
        let error: ReuniteError<UnixStream> = reader.reunite(writer).unwrap_err();
        assert_eq!(error.to_string(), "the halves are not of one stream");
        let ReuniteError(mut reader, _writer) = error;
        other.write_all(b"!").await.unwrap();
        assert_eq!(reader.read(&mut [0; 4]).await.unwrap(), 1);
    });
}

#[test]
fn dropping_the_owned_write_half_ends_the_peers_reads_unless_forgotten() {
    run(async {
        let (client, mut server) = UnixStream::pair().unwrap();
        let (mut reader, writer) = client.into_split();
        drop(writer);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        server.write_all(b"still heard").await.unwrap();
        let mut heard = [0; 11];
        reader.read_exact(&mut heard).await.unwrap();

        let (client, mut server) = UnixStream::pair().unwrap();
        let (_reader, writer) = client.into_split();
        writer.forget();
        assert!(future::poll_once(server.read(&mut [0])).await.is_none());
    });
}

#[test]
fn borrowed_halves_read_and_write_at_once() {
    run(async {
        let (mut client, server) = UnixStream::pair().unwrap();
        let echo = tenter::spawn(async move { tenter::io::copy(&server, &server).await });
        let (mut reader, mut writer) = client.split();
        let mut echoed = Vec::new();
        let sending = async {
            writer.writable().await.unwrap();
            writer.write_all(&[1; 3_000_000]).await.unwrap();
            writer.close().await.unwrap();
        };
        future::zip(sending, async { reader.read_to_end(&mut echoed).await.unwrap() }).await;
        assert_eq!(echoed.len(), 3_000_000);
        echo.await.unwrap().unwrap();
    });
}

#[test]
fn dropping_a_read_that_waits_loses_no_bytes() {
    run(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let mut buffer = [0; 4];
        for _ in 0..100 {
            assert!(future::poll_once(other.read(&mut buffer)).await.is_none());
            one.write_all(b"kept").await.unwrap();
            other.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"kept");
        }
    });
}

#[test]
fn several_tasks_wait_for_one_stream() {
    run(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        let other = Arc::new(other);
        let reading: Vec<_> = (0..10)
            .map(|_| {
                let other = Arc::clone(&other);
                tenter::spawn(async move {
                    loop {
                        other.readable().await.unwrap();
                        match other.try_read(&mut [0]) {
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                            read => break read.unwrap(),
                        }
                    }
                })
            })
            .collect();
        one.write_all(&[1; 10]).await.unwrap();
        for task in reading {
            assert_eq!(task.await.unwrap(), 1);
        }
        assert!(other.ready(Interest::WRITABLE).await.unwrap().is_writable());
    });
}

#[test]
fn incoming_yields_each_connection() {
    run(async {
        let path = Name::new();
        let listener = UnixListener::bind(&path).unwrap();
        let clients = {
            let path = path.to_owned();
            tenter::spawn(async move {
                for number in 0..50 {
                    let mut client = UnixStream::connect(&path).await.unwrap();
                    client.write_all(&[number]).await.unwrap();
                }
            })
        };
        let mut incoming = listener.incoming();
        for number in 0..50 {
            let mut stream = incoming.next().await.unwrap().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, [number]);
        }
        clients.await.unwrap();
    });
}

#[test]
fn several_tasks_accept_from_one_listener_and_dropped_accepts_lose_nothing() {
    run(async {
        let name = abstract_name();
        let listener = Arc::new(UnixListener::bind_addr(&name).unwrap());
        assert!(future::poll_once(listener.accept()).await.is_none());
        let accepting: Vec<_> = (0..10)
            .map(|_| {
                let listener = Arc::clone(&listener);
                tenter::spawn(async move { listener.accept().await.unwrap().0 })
            })
            .collect();
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(UnixStream::connect_addr(&name).await.unwrap());
        }
        for task in accepting {
            let mut accepted = task.await.unwrap();
            accepted.write_all(b"x").await.unwrap();
        }
        for mut client in clients {
            assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 1);
        }
    });
}

#[test]
fn connecting_to_a_full_backlog_waits_until_there_is_room() {
    run(async {
        let path = Name::new();
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::unix(&*path).unwrap()).unwrap();
        full.listen(1).unwrap();
        let mut connected = Vec::new();
        let mut waiting = loop {
            let mut connecting = Box::pin(UnixStream::connect(path.to_owned()));
            match future::poll_once(&mut connecting).await {
                Some(stream) => connected.push(stream.unwrap()),
                None => break connecting,
            }
        };
        // Another one, that gives up.
        assert!(future::poll_once(UnixStream::connect(&path)).await.is_none());
        assert!(future::poll_once(&mut waiting).await.is_none());
        let listener = UnixListener::from_std(OwnedFd::from(full).into()).unwrap();
        for _ in 0..connected.len() {
            listener.accept().await.unwrap();
        }
        let mut client = waiting.await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"!").await.unwrap();
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 1);
    });
}

#[test]
fn connecting_to_a_full_backlog_fails_when_the_listener_goes() {
    run(async {
        let path = Name::new();
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::unix(&*path).unwrap()).unwrap();
        full.listen(0).unwrap();
        let filler = UnixStream::connect(&path).await.unwrap();
        let connecting = {
            let path = path.to_owned();
            tenter::spawn(async move { UnixStream::connect(path).await })
        };
        while connecting.state() != TaskState::Suspended {
            tenter::yield_now().await;
        }
        drop(full);
        let error = connecting.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        drop(filler);
    });
}

#[test]
fn the_file_of_a_listener_stays_and_keeps_the_path_taken() {
    run(async {
        let path = Name::new();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        drop(UnixListener::bind(&path).unwrap());
    });
}

#[test]
fn bad_paths_are_errors() {
    run(async {
        let long = std::env::temp_dir().join("x".repeat(200));
        for bad in [OsStr::new("a\0b"), OsStr::new("\0abstract"), long.as_os_str()] {
            let error = UnixStream::connect(bad).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
            let error = UnixListener::bind(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
        }
        assert!(UnixStream::connect("").await.is_err());
        let error = UnixListener::bind("/no such folder/socket").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = UnixStream::connect("/no such folder/socket").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        // There, but no socket; and a socket of another kind.
        let error = UnixStream::connect(std::env::temp_dir()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let datagrams = Name::new();
        let _socket = UnixDatagram::bind(&datagrams).unwrap();
        assert!(UnixStream::connect(&datagrams).await.is_err());
    });
}

#[test]
fn streams_and_listeners_of_the_standard_library_can_be_driven_and_given_back() {
    run(async {
        let name = abstract_name();
        let listener = std::os::unix::net::UnixListener::bind_addr(&name).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        assert!(future::poll_once(listener.accept()).await.is_none());
        let mut client = UnixStream::connect_addr(&name).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let listener = listener.into_std().unwrap();
        let mut buffer = [0; 4];
        assert!(future::poll_once(server.read(&mut buffer)).await.is_none());
        let mut theirs = server.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        client.write_all(b"pong").await.unwrap();
        theirs.read_exact(&mut buffer).unwrap();
        let mut again = UnixStream::try_from(OwnedFd::from(theirs)).unwrap();
        assert!(future::poll_once(again.read(&mut buffer)).await.is_none());
        client.write_all(b"back").await.unwrap();
        again.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"back");
        let listener = UnixListener::try_from(OwnedFd::from(listener)).unwrap();
        let _two = UnixStream::connect_addr(&name).await.unwrap();
        future::poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        assert!(listener.take_error().unwrap().is_none());
        assert!(again.take_error().unwrap().is_none());
    });
}

#[test]
fn a_reader_in_a_busy_loop_lets_other_tasks_run() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (mut one, mut other) = UnixStream::pair().unwrap();
            let pump = tenter::spawn(async move {
                let mut buffer = [0; 1];
                while one.write_all(b"x").await.is_ok() {
                    other.read_exact(&mut buffer).await.unwrap();
                }
            });
            for _ in 0..100 {
                tenter::spawn(async {}).await.unwrap();
            }
            assert!(pump.cancel().await.is_none());
        });
    });
}
