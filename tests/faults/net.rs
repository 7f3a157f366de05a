//! Sockets: made, connected, registered, read and written.

use std::future::Future;
use std::io;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::os::fd::AsFd;
use std::pin::Pin;

use libc::{
    EAGAIN, ECONNRESET, EHOSTUNREACH, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC, EPIPE,
    EPOLL_CTL_ADD, ETIMEDOUT, SYS_connect, SYS_epoll_ctl, SYS_read, SYS_recvfrom, SYS_recvmsg,
    SYS_sendmsg, SYS_sendto, SYS_socket, SYS_write,
};
use tenter::io::{AsyncReadExt, AsyncWriteExt};
use tenter::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream};

use crate::injector::{Fault, inject, scenario};
use crate::sockets::{abstract_name, connected};
use crate::support::{descriptors, is_suspended, runtime, until, wait_until};

/// Calls that read from a socket.
const READS: [libc::c_long; 2] = [SYS_read, SYS_recvfrom];
/// Calls that write to a socket.
const WRITES: [libc::c_long; 2] = [SYS_write, SYS_sendto];

#[test]
fn a_socket_that_cannot_be_made_is_an_error_and_leaves_nothing_open() {
    type Made = Pin<Box<dyn Future<Output = io::Result<()>>>>;
    let kinds: [fn(SocketAddr) -> Made; 4] = [
        |addr| Box::pin(async move { TcpStream::connect(addr).await.map(drop) }),
        |_| Box::pin(async { TcpListener::bind("127.0.0.1:0").await.map(drop) }),
        |_| Box::pin(async { UdpSocket::bind("127.0.0.1:0").await.map(drop) }),
        |_| Box::pin(async { UnixDatagram::unbound().map(drop) }),
    ];
    scenario(|| {
        let errors = [EMFILE, ENFILE, ENOBUFS, ENOMEM];
        let faults = inject(errors.map(|error| Fault::error(&[SYS_socket], error)));
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        runtime(2).block_on(async {
            for (kind, make) in kinds.iter().enumerate() {
                for (fault, error) in faults.iter().zip(errors) {
                    let before = descriptors();
                    fault.strike(1);
                    let failed = make(addr).await.unwrap_err();
                    assert_eq!(failed.raw_os_error(), Some(error), "socket {kind}");
                    until(|| descriptors() <= before).await;
                    make(addr).await.unwrap();
                }
            }
        });
    });
}

#[test]
fn a_connect_that_finds_no_socket_goes_on_to_the_next_address() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_socket], ENOBUFS)]);
        let listeners = [(); 2].map(|()| StdListener::bind("127.0.0.1:0").unwrap());
        let addrs = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        runtime(2).block_on(async {
            let before = fault.calls();
            fault.strike(1);
            let stream = TcpStream::connect(addrs).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), addrs[1]);
            assert_eq!((fault.struck(), fault.calls() - before), (1, 2));
        });
    });
}

#[test]
fn a_connect_that_a_signal_interrupts_is_waited_for() {
    scenario(|| {
        // The system goes on with it by itself.
        let [fault] = inject([Fault::error_after(&[SYS_connect], EINTR)]);
        runtime(2).block_on(async {
            fault.strike(1);
            let (mut stream, mut peer) = connected().await;
            assert_eq!((fault.struck(), fault.calls()), (1, 1));
            peer.write_all(b"hello").unwrap();
            let mut buf = [0; 5];
            stream.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"hello");
        });
    });
}

#[test]
fn a_registration_that_fails_is_the_error_of_one_wait_and_closes_nothing() {
    scenario(|| {
        let errors = [ENOMEM, ENOSPC];
        let faults = inject(errors.map(|error| {
            let adds = |call: &crate::injector::Call| call.arg(1) == EPOLL_CTL_ADD as u64;
            Fault::error(&[SYS_epoll_ctl], error).when(adds)
        }));
        runtime(2).block_on(async {
            for (fault, error) in faults.iter().zip(errors) {
                let (mut stream, mut peer) = connected_unregistered().await;
                let (mut buf, before) = ([0; 8], fault.calls());
                fault.strike(1);
                let failed = stream.read(&mut buf).await.unwrap_err();
                assert_eq!(failed.raw_os_error(), Some(error));
                // The same socket: the next wait registers it.
                let writes = std::thread::spawn(move || {
                    peer.write_all(b"after").unwrap();
                    peer
                });
                stream.read_exact(&mut buf[..5]).await.unwrap();
                assert_eq!(&buf[..5], b"after");
                assert!(fault.calls() - before <= 2, "{} registrations", fault.calls() - before);
                let mut peer = writes.join().unwrap();
                drop(stream);
                assert_eq!(peer.read(&mut buf).unwrap(), 0, "it is still open");
            }
        });
    });
}

/// A stream that has not waited yet, and its peer.
async fn connected_unregistered() -> (TcpStream, StdStream) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let stream = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    (TcpStream::from_std(stream).unwrap(), listener.accept().unwrap().0)
}

#[test]
fn an_error_of_a_read_is_passed_on_once_and_costs_no_byte() {
    scenario(|| {
        let errors = [ECONNRESET, ENOMEM, ETIMEDOUT, EHOSTUNREACH];
        let faults = inject(errors.map(|error| Fault::error(&READS, error)));
        runtime(2).block_on(async {
            for (fault, error) in faults.iter().zip(errors) {
                let (mut stream, mut peer) = connected().await;
                let mut buf = [0; 5];
                peer.write_all(b"hello").unwrap();
                fault.only(&stream).strike(1);
                let failed = stream.read(&mut buf).await.unwrap_err();
                assert_eq!(failed.raw_os_error(), Some(error));
                stream.read_exact(&mut buf).await.unwrap();
                assert_eq!(&buf, b"hello");
            }
        });
    });
}

#[test]
fn an_error_of_a_write_is_passed_on_once_and_doubles_no_byte() {
    scenario(|| {
        let errors = [EPIPE, ECONNRESET, ENOBUFS, ENOMEM];
        let faults = inject(errors.map(|error| Fault::error(&WRITES, error)));
        runtime(2).block_on(async {
            for (fault, error) in faults.iter().zip(errors) {
                let (mut stream, mut peer) = connected().await;
                fault.only(&stream).strike(1);
                let failed = stream.write(b"hello").await.unwrap_err();
                assert_eq!(failed.raw_os_error(), Some(error));
                stream.write_all(b"hello").await.unwrap();
                stream.close().await.unwrap();
                let mut all = Vec::new();
                peer.read_to_end(&mut all).unwrap();
                assert_eq!(all, b"hello");
            }
        });
    });
}

#[test]
fn reads_and_writes_that_signals_interrupt_move_every_byte_once() {
    scenario(|| {
        let [reads, writes] = inject([Fault::error(&READS, EINTR), Fault::error(&WRITES, EINTR)]);
        runtime(2).block_on(async {
            let (mut stream, mut peer) = connected().await;
            let mut buf = [0; 5];
            for _ in 0..3 {
                reads.only(&stream).strike(100);
                writes.only(&stream).strike(100);
                stream.write_all(b"there").await.unwrap();
                peer.read_exact(&mut buf).unwrap();
                assert_eq!(&buf, b"there");
                peer.write_all(b"again").unwrap();
                stream.read_exact(&mut buf).await.unwrap();
                assert_eq!(&buf, b"again");
            }
            let (one, other) = (udp().await, udp().await);
            reads.only(&other).strike(100);
            writes.only(&one).strike(100);
            one.send_to(b"once", other.local_addr().unwrap()).await.unwrap();
            assert_eq!(other.recv_from(&mut buf).await.unwrap().0, 4);
            assert_eq!((reads.struck(), writes.struck()), (400, 400));
        });
    });
}

async fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[test]
fn readiness_that_proves_false_is_waited_out_by_one_call() {
    scenario(|| {
        let [reads] = inject([Fault::error(&READS, EAGAIN)]);
        let runtime = runtime(2);
        let (mut stream, mut peer) = runtime.block_on(connected());
        // The first finds nothing, and what the second was woken for is gone.
        reads.only(&stream).strike_after(1, 1);
        let reader = runtime.spawn(async move {
            let mut buf = [0; 8];
            let len = stream.read(&mut buf).await.unwrap();
            buf[..len].to_vec()
        });
        wait_until(|| reads.calls() == 1 && is_suspended(&runtime));
        peer.write_all(b"one").unwrap();
        wait_until(|| reads.struck() == 1);
        peer.write_all(b"two").unwrap();
        assert_eq!(runtime.block_on(reader).unwrap(), b"onetwo");
        assert_eq!(reads.calls(), 3);
    });
}

#[test]
fn a_unix_connect_that_signals_interrupt_is_repeated() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_connect], EINTR)]);
        let name = abstract_name();
        let listener = std::os::unix::net::UnixListener::bind_addr(&name).unwrap();
        runtime(2).block_on(async {
            fault.strike(100);
            UnixStream::connect_addr(&name).await.unwrap();
            listener.accept().unwrap();
            assert_eq!((fault.struck(), fault.calls()), (100, 101));
        });
    });
}

#[test]
fn messages_with_descriptors_that_signals_interrupt_arrive_once() {
    scenario(|| {
        let [sends, receives] =
            inject([Fault::error(&[SYS_sendmsg], EINTR), Fault::error(&[SYS_recvmsg], EINTR)]);
        runtime(2).block_on(async {
            let (one, other) = UnixStream::pair().unwrap();
            let (sent, before) = (std::io::stdin(), descriptors());
            sends.only(&one).strike(100);
            receives.only(&other).strike(100);
            assert_eq!(one.send_with_fds(b"once", &[sent.as_fd()]).await.unwrap(), 4);
            let mut buf = [0; 8];
            let (len, received) = other.recv_with_fds(&mut buf, 2).await.unwrap();
            assert_eq!((len, received.len()), (4, 1));
            until(|| descriptors() <= before + 1).await;
            assert_eq!((sends.struck(), receives.struck()), (100, 100));
        });
    });
}
