//! Servers as one thread in an epoll loop, level-triggered: three system calls an echo.

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

/// Starts a server on a thread of its own, and returns where it listens.
///
/// # Errors
///
/// - The listener's, and those of epoll's creation.
pub(crate) fn start(service: Service) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(ANY_PORT)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    add(&epoll, &listener, LISTENER)?;
    let buffer = match service {
        Service::Echo | Service::Churn => vec![0; REQUEST * 2],
        Service::Sink => vec![0; CHUNK],
    };
    let server = Server {
        epoll,
        listener,
        service,
        buffer,
        connections: Vec::new(),
    };
    thread::Builder::new().name("floor".to_owned()).spawn(|| {
        server
            .run()
            .expect("the loop of the floor's server does not fail")
    })?;
    Ok(address)
}

struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    service: Service,
    buffer: Vec<u8>,
    /// By descriptor.
    connections: Vec<Option<TcpStream>>,
}

impl Server {
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
        let Some(stream) = &mut self.connections[key] else {
            return;
        };
        let goes_on = match self.service {
            Service::Echo => echo(stream, &mut self.buffer),
            Service::Churn => echo(stream, &mut self.buffer).map(|_| false),
            Service::Sink => sink(stream, &mut self.buffer),
        };
        if !goes_on.unwrap_or(false) {
            self.connections[key] = None;
        }
    }
}

fn add(epoll: &OwnedFd, source: impl rustix::fd::AsFd, key: u64) -> io::Result<()> {
    let data = epoll::EventData::new_u64(key);
    Ok(epoll::add(epoll, source, data, epoll::EventFlags::IN)?)
}

/// Tells whether the connection goes on.
fn echo(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<bool> {
    let count = stream.read(buffer)?;
    stream.write_all(&buffer[..count])?;
    Ok(count > 0)
}

/// Tells whether the connection goes on.
fn sink(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<bool> {
    let count = stream.read(buffer)?;
    if count == 0 {
        stream.write_all(&[1])?;
    }
    Ok(count > 0)
}
