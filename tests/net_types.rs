//! The auto traits and `Debug` of the types of `net`, checked by the compiler.

use std::fmt::Debug;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{RefUnwindSafe, UnwindSafe};

use futures_core::Stream;
use tenter::io::{AsyncRead, AsyncWrite};
use tenter::net::{
    Incoming, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, SocketAddrs, TcpListener,
    TcpSocket, TcpStream, UCred, UdpSocket, UnixDatagram, UnixListener, UnixStream, WriteHalf,
    lookup_host,
};

const fn is_public<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Debug>() {}
const fn is_socket<T: AsFd + AsRawFd + TryInto<OwnedFd> + TryFrom<OwnedFd>>() {}
const fn reads<T: AsyncRead>() {}
const fn writes<T: AsyncWrite>() {}
const fn streams<T: Stream + Clone>() {}
const fn is_error<T: std::error::Error + Send + Sync + 'static>() {}

macro_rules! assert_all {
    ($check:ident: $($type:ty),* $(,)?) => {
        $($check::<$type>();)*
    };
}

#[test]
fn public_types_can_be_sent_shared_moved_and_shown() {
    assert_all!(is_public:
        TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
        UCred, SocketAddrs,
        ReadHalf<'static>, WriteHalf<'static>, OwnedReadHalf, OwnedWriteHalf, ReuniteError,
        ReadHalf<'static, UnixStream>, WriteHalf<'static, UnixStream>,
        OwnedReadHalf<UnixStream>, OwnedWriteHalf<UnixStream>, ReuniteError<UnixStream>,
        Incoming<'static>, Incoming<'static, UnixListener>,
    );
    assert_all!(is_error: ReuniteError, ReuniteError<UnixStream>);
}

#[test]
fn sockets_come_from_descriptors_and_become_them() {
    assert_all!(is_socket:
        TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
    );
}

#[test]
fn streams_and_their_halves_read_and_write() {
    assert_all!(reads:
        TcpStream, &'static TcpStream, UnixStream, &'static UnixStream,
        ReadHalf<'static>, OwnedReadHalf, ReadHalf<'static, UnixStream>, OwnedReadHalf<UnixStream>,
    );
    assert_all!(writes:
        TcpStream, &'static TcpStream, UnixStream, &'static UnixStream,
        WriteHalf<'static>, OwnedWriteHalf,
        WriteHalf<'static, UnixStream>, OwnedWriteHalf<UnixStream>,
    );
    assert_all!(streams: Incoming<'static>, Incoming<'static, UnixListener>);
}

#[test]
fn the_futures_of_the_module_can_be_spawned() {
    fn spawnable<F: Future + Send>(_: fn() -> F) {}
    spawnable(|| TcpStream::connect("localhost:1"));
    spawnable(|| TcpListener::bind(("localhost", 1)));
    spawnable(|| UdpSocket::bind(vec![]));
    spawnable(|| UnixStream::connect("path"));
    spawnable(|| lookup_host("localhost:1"));
    fn methods(udp: &'static UdpSocket, unix: &'static UnixDatagram, stream: &'static UnixStream) {
        fn spawn(_: impl Future + Send + 'static) {}
        spawn(udp.send_to(b"x", "localhost:1"));
        spawn(udp.connect("localhost:1"));
        spawn(udp.send_many::<&[u8]>(&[]));
        spawn(async { udp.recv_many_from(&mut [[0; 8]], &mut Vec::new()).await });
        spawn(unix.send_to(b"x", "path"));
        spawn(unix.recv(&mut []));
        spawn(stream.recv_with_fds(&mut [], 1));
        spawn(stream.send_with_fds(b"x", &[]));
    }
    let _never_called = methods;
}
