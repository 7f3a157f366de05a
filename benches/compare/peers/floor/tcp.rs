//! Servers: for requests one thread in an epoll loop, level-triggered, three system calls an
//! echo; for streams a thread each that does nothing but read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::load::{CHUNK, REQUEST, Service};
use crate::rows::tcp::ANY_PORT;

/// The listener's key; a connection's is its descriptor.
const LISTENER: u64 = u64::MAX;

/// Starts a server on threads of its own, and returns where it listens.
///
/// # Errors
///
/// - The listener's, and those of epoll's creation.
pub(crate) fn start(service: Service) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(ANY_PORT)?;
    let address = listener.local_addr()?;
    let closes_after_reply = match service {
        Service::Echo | Service::OneOffender | Service::AllOffenders => false,
        Service::Churn => true,
        Service::Sink => {
            thread::spawn(move || sink_all(&listener));
            return Ok(address);
        }
    };
    let server = EchoServer::new(listener, closes_after_reply)?;
    thread::spawn(|| server.run().expect("the loop of the floor's server does not fail"));
    Ok(address)
}

fn sink_all(listener: &TcpListener) {
    for stream in listener.incoming().map_while(Result::ok) {
        // An error is the client's end of the connection, which ends it here too.
        thread::spawn(|| drop(sink(stream)));
    }
}

fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer)? > 0 {}
    stream.write_all(&[1])
}

struct EchoServer {
    epoll: OwnedFd,
    listener: TcpListener,
    closes_after_reply: bool,
    /// By descriptor.
    connections: Vec<Option<TcpStream>>,
}

impl EchoServer {
    fn new(listener: TcpListener, closes_after_reply: bool) -> io::Result<EchoServer> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        add(&epoll, &listener, LISTENER)?;
        Ok(EchoServer { epoll, listener, closes_after_reply, connections: Vec::new() })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(1024);
        loop {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    key => self.serve(key as usize),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                let key = stream.as_raw_fd() as usize;
                add(&self.epoll, &stream, key as u64)?;
                if self.connections.len() <= key {
                    self.connections.resize_with(key + 1, || None);
                }
                self.connections[key] = Some(stream);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn serve(&mut self, key: usize) {
        let Some(stream) = &mut self.connections[key] else { return };
        let more_may_come = echo(stream).unwrap_or(false);
        if !more_may_come || self.closes_after_reply {
            self.connections[key] = None;
        }
    }
}

fn add(epoll: &OwnedFd, source: impl rustix::fd::AsFd, key: u64) -> io::Result<()> {
    let data = epoll::EventData::new_u64(key);
    Ok(epoll::add(epoll, source, data, epoll::EventFlags::IN)?)
}

/// Tells whether the client may send more.
fn echo(stream: &mut TcpStream) -> io::Result<bool> {
    let mut buffer = [0; REQUEST * 2];
    let count = stream.read(&mut buffer)?;
    stream.write_all(&buffer[..count])?;
    Ok(count > 0)
}
