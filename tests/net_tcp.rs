//! TCP: connections, their halves, their ends, and what goes wrong with them.

mod support;

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::{StreamExt, future};
use support::{LIMIT, runtime, within};
use tenter::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tenter::net::{TcpListener, TcpSocket, TcpStream};

const ANY: &str = "127.0.0.1:0";

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// Both ends of a new connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (client, server)
}

/// Our end of a connection whose other end is the standard library's, in blocking mode.
async fn pair_with_std() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind(ANY).unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (ours, listener.accept().unwrap().0)
}

#[test]
fn what_is_written_on_one_end_is_read_on_the_other() {
    run(async {
        let (mut client, mut server) = pair().await;
        let mut buffer = [0; 5];
        for _ in 0..1000 {
            client.write_all(b"hello").await.unwrap();
            server.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"hello");
            server.write_all(b"world").await.unwrap();
            client.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"world");
        }
    });
}

#[test]
fn a_reference_to_a_stream_reads_and_writes() {
    run(async {
        let (client, server) = pair().await;
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
        let (client, server) = pair().await;
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!((&client).write_vectored(&parts).await.unwrap(), 5);
        let (mut one, mut two) = ([0; 4], [0; 4]);
        let mut parts = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!((&server).read_vectored(&mut parts).await.unwrap(), 5);
        assert_eq!((&one, &two), (b"abcd", b"e\0\0\0"));
    });
}

#[test]
fn a_read_of_zero_bytes_returns_at_once_while_nothing_is_there() {
    run(async {
        let (client, mut server) = pair().await;
        assert_eq!(server.read(&mut []).await.unwrap(), 0);
        assert_eq!(server.read_vectored(&mut []).await.unwrap(), 0);
        assert_eq!(server.read_vectored(&mut [IoSliceMut::new(&mut [])]).await.unwrap(), 0);
        assert_eq!(server.peek(&mut []).await.unwrap(), 0);
        assert_eq!(server.try_read(&mut []).unwrap(), 0);
        assert_eq!(server.write(&[]).await.unwrap(), 0);
        drop(client);
    });
}

#[test]
fn a_closed_write_half_ends_the_peers_reads_and_leaves_the_other_direction_open() {
    run(async {
        let (mut client, mut server) = pair().await;
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
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        for round in 0..300 {
            let mut client = std::net::TcpStream::connect(addr).unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 64];
            if round % 2 == 0 {
                // Registered, and known to be empty, before anything arrives.
                let waits = future::poll_once(server.read(&mut buffer)).await;
                assert!(waits.is_none());
            }
            client.write_all(b"data").unwrap();
            client.shutdown(Shutdown::Both).unwrap();
            let mut all = Vec::new();
            server.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"data");
        }
    });
}

#[test]
fn an_end_that_arrives_after_a_short_read_is_seen() {
    run(async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        for _ in 0..300 {
            let mut client = std::net::TcpStream::connect(addr).unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 64];
            client.write_all(b"data").unwrap();
            assert_eq!(server.read(&mut buffer).await.unwrap(), 4);
            drop(client);
            assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
            assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_reset_by_the_peer_is_an_error_for_a_reader_that_waits() {
    run(async {
        let (client, mut server) = pair().await;
        let reading = tenter::spawn(async move { server.read(&mut [0; 16]).await });
        tenter::yield_now().await;
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let error = reading.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn closing_after_a_reset_by_the_peer_is_no_error() {
    run(async {
        let (client, mut server) = pair().await;
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        server.readable().await.unwrap();
        assert!(server.read(&mut [0; 16]).await.is_err());
        server.close().await.unwrap();
        assert_eq!(server.shutdown(Shutdown::Write).unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn a_writer_that_filled_the_buffers_goes_on_when_the_peer_reads() {
    run(async {
        let (client, mut server) = pair().await;
        let mut filled = 0;
        loop {
            match client.try_write(&[7; 64 * 1024]) {
                Ok(written) => filled += written,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        let mut more = Box::pin(async {
            let mut client = &client;
            client.write_all(&[8; 1024]).await.unwrap();
            client.close().await.unwrap();
        });
        assert!(future::poll_once(&mut more).await.is_none());
        let reading = tenter::spawn(async move {
            let mut all = Vec::new();
            server.read_to_end(&mut all).await.unwrap();
            all
        });
        more.await;
        let all = reading.await.unwrap();
        assert_eq!(all.len(), filled + 1024);
        assert!(all[..filled].iter().all(|&byte| byte == 7));
        assert!(all[filled..].iter().all(|&byte| byte == 8));
    });
}

#[test]
fn peeked_bytes_are_read_again() {
    run(async {
        let (mut client, mut server) = pair().await;
        let mut buffer = [0; 16];
        assert!(future::poll_once(server.peek(&mut buffer)).await.is_none());
        client.write_all(b"look").await.unwrap();
        for _ in 0..3 {
            assert_eq!(server.peek(&mut buffer).await.unwrap(), 4);
            assert_eq!(&buffer[..4], b"look");
        }
        let peeked = future::poll_fn(|cx| server.poll_peek(cx, &mut buffer)).await.unwrap();
        assert_eq!(peeked, 4);
        assert_eq!(server.read(&mut buffer).await.unwrap(), 4);
        drop(client);
        assert_eq!(server.peek(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn readable_waits_until_there_is_something_and_try_read_takes_it() {
    run(async {
        let (mut client, server) = pair().await;
        let mut buffer = [0; 16];
        for round in 0..100 {
            assert!(future::poll_once(server.readable()).await.is_none(), "round {round}");
            let error = server.try_read(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            client.write_all(b"four").await.unwrap();
            server.readable().await.unwrap();
            assert!(server.ready(Interest::READABLE).await.unwrap().is_readable());
            assert_eq!(server.try_read(&mut buffer[..2]).unwrap(), 2);
            server.readable().await.unwrap();
            assert_eq!(server.try_read(&mut buffer[..2]).unwrap(), 2);
        }
    });
}

#[test]
fn ready_tells_which_direction_can_go_on() {
    run(async {
        let (mut client, server) = pair().await;
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = server.ready(both).await.unwrap();
        assert!(ready.is_writable() && !ready.is_readable());
        client.write_all(b"x").await.unwrap();
        server.readable().await.unwrap();
        let ready = server.ready(both).await.unwrap();
        assert!(ready.is_writable() && ready.is_readable());
        server.writable().await.unwrap();
    });
}

#[test]
fn many_tasks_wait_for_one_stream_to_be_readable() {
    run(async {
        let (mut client, server) = pair().await;
        let server = Arc::new(server);
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let server = Arc::clone(&server);
                tenter::spawn(async move { server.readable().await })
            })
            .collect();
        tenter::yield_now().await;
        client.write_all(b"x").await.unwrap();
        for task in waiting {
            task.await.unwrap().unwrap();
        }
    });
}

#[test]
fn split_halves_work_in_two_tasks_and_reunite() {
    run(async {
        let (client, server) = pair().await;
        let local = client.local_addr().unwrap();
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
        let server = echo.await.unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
        let client = writer.reunite(reader).unwrap();
        assert_eq!(client.local_addr().unwrap(), local);
    });
}

#[test]
fn halves_of_two_streams_do_not_reunite_and_come_back() {
    run(async {
        let (one, mut other) = pair().await;
        let (reader, _writer) = one.into_split();
        let (two, _rest) = pair().await;
        let (_reader, writer) = two.into_split();
        let tenter::net::ReuniteError(reader, _writer) = reader.reunite(writer).unwrap_err();
        other.write_all(b"!").await.unwrap();
        let mut reader = reader;
        assert_eq!(reader.read(&mut [0; 4]).await.unwrap(), 1);
    });
}

#[test]
fn dropping_the_owned_write_half_ends_the_peers_reads_unless_forgotten() {
    run(async {
        let (client, mut server) = pair().await;
        let (mut reader, writer) = client.into_split();
        drop(writer);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        server.write_all(b"still heard").await.unwrap();
        let mut heard = [0; 11];
        reader.read_exact(&mut heard).await.unwrap();

        let (client, mut server) = pair().await;
        let (_reader, writer) = client.into_split();
        writer.forget();
        assert!(future::poll_once(server.read(&mut [0])).await.is_none());
    });
}

#[test]
fn borrowed_halves_read_and_write_at_once() {
    run(async {
        let (mut client, server) = pair().await;
        let echo = tenter::spawn(async move { tenter::io::copy(&server, &server).await });
        let (mut reader, mut writer) = client.split();
        let mut echoed = Vec::new();
        let sending = async {
            writer.write_all(&[1; 300_000]).await.unwrap();
            writer.close().await.unwrap();
        };
        future::zip(sending, async { reader.read_to_end(&mut echoed).await.unwrap() }).await;
        assert_eq!(echoed.len(), 300_000);
        echo.await.unwrap().unwrap();
    });
}

#[test]
fn dropping_a_pending_read_loses_no_bytes() {
    run(async {
        let (mut client, mut server) = pair().await;
        let mut buffer = [0; 4];
        for _ in 0..100 {
            assert!(future::poll_once(server.read(&mut buffer)).await.is_none());
            client.write_all(b"kept").await.unwrap();
            server.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"kept");
        }
    });
}

#[test]
fn aborting_a_task_that_reads_closes_its_stream() {
    run(async {
        let (mut client, mut server) = pair().await;
        let reading = tenter::spawn(async move { server.read(&mut [0]).await });
        tenter::yield_now().await;
        assert!(reading.cancel().await.is_none());
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn a_stream_moves_between_tasks_in_the_middle_of_its_reads() {
    run(async {
        let (mut client, mut server) = pair().await;
        for byte in 0..100 {
            let reading = tenter::spawn(async move {
                let mut buffer = [0];
                server.read_exact(&mut buffer).await.unwrap();
                (server, buffer[0])
            });
            client.write_all(&[byte]).await.unwrap();
            let read;
            (server, read) = reading.await.unwrap();
            assert_eq!(read, byte);
        }
    });
}

#[test]
fn incoming_yields_each_connection() {
    run(async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let clients = tenter::spawn(async move {
            let mut clients = Vec::new();
            for _ in 0..50 {
                clients.push(TcpStream::connect(addr).await.unwrap());
            }
            clients
        });
        let accepted: Vec<_> = listener.incoming().take(50).collect().await;
        let clients = clients.await.unwrap();
        for (client, accepted) in clients.iter().zip(accepted) {
            assert_eq!(accepted.unwrap().peer_addr().unwrap(), client.local_addr().unwrap());
        }
    });
}

#[test]
fn several_tasks_accept_from_one_listener() {
    run(async {
        let listener = Arc::new(TcpListener::bind(ANY).await.unwrap());
        let addr = listener.local_addr().unwrap();
        let accepting: Vec<_> = (0..10)
            .map(|_| {
                let listener = Arc::clone(&listener);
                tenter::spawn(async move { listener.accept().await.unwrap() })
            })
            .collect();
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(TcpStream::connect(addr).await.unwrap().local_addr().unwrap());
        }
        let mut peers: Vec<SocketAddr> = Vec::new();
        for task in accepting {
            peers.push(task.await.unwrap().1);
        }
        clients.sort();
        peers.sort();
        assert_eq!(clients, peers);
    });
}

#[test]
fn cancelling_an_accept_loses_no_connection() {
    run(async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connecting = tenter::spawn(async move {
            let mut clients = Vec::new();
            for _ in 0..200 {
                clients.push(TcpStream::connect(addr).await.unwrap());
            }
            clients
        });
        let mut accepted = Vec::new();
        while accepted.len() < 200 {
            // Polled once, or until another task had a turn, and dropped if that was too early.
            let once = async { Some(listener.accept().await.unwrap()) };
            let turn = async {
                tenter::yield_now().await;
                None
            };
            accepted.extend(future::or(once, turn).await);
        }
        let clients = connecting.await.unwrap();
        for (client, (_, peer)) in clients.iter().zip(&accepted) {
            assert_eq!(client.local_addr().unwrap(), *peer);
        }
    });
}

#[test]
fn a_listener_that_is_dropped_refuses_and_its_address_can_be_bound_again() {
    run(async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = TcpStream::connect(addr).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        drop(listener);
        let error = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        drop(server);
        drop(client);
        assert_eq!(TcpListener::bind(addr).await.unwrap().local_addr().unwrap(), addr);
    });
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    run(async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let error = TcpListener::bind(listener.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn connecting_tries_every_address() {
    run(async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        // No other test has the host, and so none the port.
        let closed = {
            let gone = std::net::TcpListener::bind("127.0.0.26:0").unwrap();
            gone.local_addr().unwrap()
        };
        let open = listener.local_addr().unwrap();
        let stream = TcpStream::connect(&[closed, open][..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let error = TcpStream::connect([closed, closed]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = TcpStream::connect(&[][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn an_address_that_cannot_be_reached_is_an_error() {
    run(async {
        // Broadcast: no stream can go there, and the system knows without asking anybody.
        assert!(TcpStream::connect("255.255.255.255:9").await.is_err());
        assert!(TcpListener::bind("203.0.113.1:0").await.is_err());
    });
}

#[test]
fn a_connection_of_the_standard_library_can_be_driven_and_given_back() {
    run(async {
        let (ours, theirs) = pair_with_std().await;
        let mut theirs = TcpStream::from_std(theirs).unwrap();
        (&ours).write_all(b"ping").await.unwrap();
        let mut buffer = [0; 4];
        theirs.read_exact(&mut buffer).await.unwrap();
        assert!(future::poll_once(theirs.read(&mut buffer)).await.is_none());

        let mut theirs = theirs.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        (&ours).write_all(b"pong").await.unwrap();
        theirs.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"pong");

        let mut again = TcpStream::from_std(theirs).unwrap();
        assert!(future::poll_once(again.read(&mut buffer)).await.is_none());
        (&ours).write_all(b"back").await.unwrap();
        again.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"back");
    });
}

#[test]
fn a_listener_of_the_standard_library_can_be_driven_and_given_back() {
    run(async {
        let listener = std::net::TcpListener::bind(ANY).unwrap();
        let addr = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        assert!(future::poll_once(listener.accept()).await.is_none());
        let _one = TcpStream::connect(addr).await.unwrap();
        listener.accept().await.unwrap();
        let listener = listener.into_std().unwrap();
        let _two = TcpStream::connect(addr).await.unwrap();
        listener.accept().unwrap();
    });
}

#[test]
fn options_are_set_and_read_back() {
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.set_reuseport(true).unwrap();
        socket.set_keepalive(true).unwrap();
        socket.set_send_buffer_size(50_000).unwrap();
        socket.set_recv_buffer_size(60_000).unwrap();
        assert!(socket.reuseaddr().unwrap() && socket.reuseport().unwrap());
        assert!(socket.keepalive().unwrap());
        assert!(socket.send_buffer_size().unwrap() >= 50_000);
        assert!(socket.recv_buffer_size().unwrap() >= 60_000);
        socket.bind(ANY.parse().unwrap()).unwrap();
        let addr = socket.local_addr().unwrap();
        let listener = socket.listen(16).unwrap();
        listener.set_ttl(33).unwrap();
        assert_eq!(listener.ttl().unwrap(), 33);

        let socket = TcpSocket::new_v4().unwrap();
        socket.set_nodelay(true).unwrap();
        let stream = socket.connect(addr).await.unwrap();
        assert!(stream.nodelay().unwrap());
        stream.set_nodelay(false).unwrap();
        assert!(!stream.nodelay().unwrap());
        stream.set_ttl(44).unwrap();
        assert_eq!(stream.ttl().unwrap(), 44);
        stream.set_linger(Some(Duration::from_secs(3))).unwrap();
        assert_eq!(stream.linger().unwrap(), Some(Duration::from_secs(3)));
        stream.set_linger(None).unwrap();
        assert_eq!(stream.linger().unwrap(), None);
        assert!(stream.take_error().unwrap().is_none());
        assert!(listener.take_error().unwrap().is_none());
    });
}

#[test]
fn a_socket_bound_to_an_address_connects_from_there() {
    run(async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(ANY.parse().unwrap()).unwrap();
        let local = socket.local_addr().unwrap();
        let stream = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(stream.local_addr().unwrap(), local);
        assert_eq!(listener.accept().await.unwrap().1, local);
    });
}

#[test]
fn a_reader_in_a_busy_loop_lets_other_tasks_run() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (client, server) = pair().await;
            // Both always find something to do: only the budget makes them yield.
            let pump = tenter::spawn(async move {
                let (mut read, mut buffer) = (0u64, [0; 1]);
                let mut server = &server;
                let mut client = &client;
                loop {
                    client.write_all(b"x").await.unwrap();
                    server.read_exact(&mut buffer).await.unwrap();
                    read += 1;
                    if read == u64::MAX {
                        return;
                    }
                }
            });
            for _ in 0..100 {
                tenter::spawn(async {}).await.unwrap();
            }
            pump.abort();
            assert!(pump.await.unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn the_stream_traits_work_through_pinned_trait_objects() {
    trait Stream: AsyncRead + AsyncWrite + Send {}
    impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}
    run(async {
        let (client, server) = pair().await;
        let mut client: Pin<Box<dyn Stream>> = Box::pin(client);
        let mut server: Pin<Box<dyn Stream>> = Box::pin(server);
        client.write_all(b"object").await.unwrap();
        client.flush().await.unwrap();
        client.close().await.unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "object");
    });
}

#[test]
fn poll_accept_and_the_poll_readiness_of_streams_register_the_task() {
    run(async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connecting = tenter::spawn(async move { TcpStream::connect(addr).await.unwrap() });
        let (server, _) = future::poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        let mut client = connecting.await.unwrap();
        future::poll_fn(|cx| server.poll_writable(cx)).await.unwrap();
        let mut polls = 0;
        let readable = future::poll_fn(|cx| {
            polls += 1;
            match server.poll_readable(cx) {
                Poll::Ready(ready) => Poll::Ready(ready),
                Poll::Pending => Poll::Pending,
            }
        });
        let (ready, ()) =
            future::zip(readable, async { client.write_all(b"x").await.unwrap() }).await;
        ready.unwrap();
        assert!(polls >= 2);
        assert_eq!(server.try_read(&mut [0; 4]).unwrap(), 1);
    });
}

/// Reads into 3000 buffers of a byte each.
async fn read_into_many(stream: &mut TcpStream) -> usize {
    let mut bytes = [0; 3000];
    let mut bufs: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
    stream.read_vectored(&mut bufs).await.unwrap()
}

#[test]
fn more_buffers_than_one_call_takes_are_filled_to_the_last_byte() {
    run(async {
        let (mut client, mut server) = pair().await;
        assert!(future::poll_once(read_into_many(&mut server)).await.is_none());
        client.write_all(&[7; 3000]).await.unwrap();
        let mut read = 0;
        while read < 3000 {
            // Nobody writes more: it waits for nothing.
            read += read_into_many(&mut server).await;
        }
        assert!(future::poll_once(read_into_many(&mut server)).await.is_none());
    });
}

#[test]
fn more_buffers_than_one_call_takes_are_written_to_the_last_byte() {
    run(async {
        let (mut client, mut server) = pair().await;
        // It has waited for room before, and there is plenty.
        let mut written = 0;
        while let Some(more) = future::poll_once(client.write(&[7; 1 << 16])).await {
            written += more.unwrap();
        }
        server.read_exact(&mut vec![0; written]).await.unwrap();
        client.write_all(b"more").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        let bufs = [IoSlice::new(b"7"); 3000];
        let mut written = 0;
        while written < 3000 {
            // Nobody reads meanwhile: it waits for nothing.
            written += client.write_vectored(&bufs[written..]).await.unwrap();
        }
        server.read_exact(&mut [0; 3000]).await.unwrap();
    });
}
