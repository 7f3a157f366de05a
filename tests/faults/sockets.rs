//! Sockets that several kinds of tests need.

use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::process;

use tenter::net::TcpStream;

/// A stream of the runtime's, and its peer, which is none.
pub(crate) async fn connected() -> (TcpStream, StdStream) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (stream, listener.accept().unwrap().0)
}

/// The name of a Unix socket of this process, of which no file system knows.
pub(crate) fn abstract_name() -> SocketAddr {
    SocketAddr::from_abstract_name(format!("tenter-faults-{}", process::id())).unwrap()
}
