//! The load on a server: a process of its own, one thread on epoll, the same for every peer.

use std::collections::VecDeque;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::sample::{Metric, Sample, percentile};

/// Bytes of a request, and of its reply.
pub(crate) const REQUEST: usize = 128;
/// Bytes that a server of [`Service::Sink`] reads at once.
pub(crate) const CHUNK: usize = 64 * 1024;
const MIB: usize = 1024 * 1024;

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Echoes requests until the client closes.
    Echo,
    /// Reads until the client has closed its half, then answers with one byte.
    Sink,
    /// Echoes one request and closes.
    Churn,
    /// Echoes, while one task blocks its thread again and again.
    OneOffender,
    /// Echoes, while as many tasks as there are workers do.
    AllOffenders,
}

impl Service {
    pub(crate) const ALL: [Service; 5] =
        [Service::Echo, Service::Sink, Service::Churn, Service::OneOffender, Service::AllOffenders];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Echo => "echo",
            Service::Sink => "sink",
            Service::Churn => "churn",
            Service::OneOffender => "one-offender",
            Service::AllOffenders => "all-offenders",
        }
    }

    /// Tasks of a server with so many workers that block their thread again and again.
    pub(crate) fn offenders(self, workers: usize) -> usize {
        match self {
            Service::Echo | Service::Sink | Service::Churn => 0,
            Service::OneOffender => 1,
            Service::AllOffenders => workers,
        }
    }

    /// How often a connection sends a request, whatever became of the one before; `None` for as
    /// soon as it is answered.
    ///
    /// A client that waits for a server that stands still sends it nothing meanwhile, and so sees
    /// one late answer for the many there would have been: tails are measured at a rate.
    fn period(self) -> Option<Duration> {
        match self {
            Service::Echo | Service::Sink | Service::Churn => None,
            Service::OneOffender | Service::AllOffenders => Some(Duration::from_millis(10)),
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.name() == name)
    }
}

/// Lets this process have as many descriptors as it may.
///
/// # Errors
///
/// - The system's, if it refuses.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

/// What a load process does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) service: Service,
    pub(crate) connections: usize,
    /// Requests, connections or mebibytes.
    pub(crate) ops: usize,
    /// Before each request, so that the server sleeps. Zero for as fast as it answers.
    pub(crate) pause: Duration,
}

/// Connects and warms up, prints `ready`, waits for a line, puts the load on the server, and
/// prints the sample.
///
/// # Errors
///
/// - Any error on a connection: the load is part of the measurement, and must not fail.
pub(crate) fn run(load: Load, server: SocketAddr) -> io::Result<()> {
    raise_descriptor_limit()?;
    let Load { connections, ops, .. } = load;
    let sample = match load.service {
        Service::Echo | Service::Churn | Service::OneOffender | Service::AllOffenders => {
            let mut requests = RequestLoad::new(load, server)?;
            requests.run(connections)?;
            wait_for_start()?;
            let start = Instant::now();
            let mut latencies = match load.service.period() {
                Some(period) => requests.run_at_rate(ops, period)?,
                None => requests.run(ops)?,
            };
            let mut sample = rate_sample(ops, start.elapsed());
            sample.set(Metric::P50Ns, percentile(&mut latencies, 0.5));
            sample.set(Metric::P99Ns, percentile(&mut latencies, 0.99));
            sample
        }
        Service::Sink => {
            wait_for_start()?;
            let start = Instant::now();
            stream_load(server, connections, ops)?;
            rate_sample(ops, start.elapsed())
        }
    };
    sample.print();
    Ok(())
}

fn wait_for_start() -> io::Result<()> {
    println!("ready");
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

fn rate_sample(ops: usize, wall: Duration) -> Sample {
    let mut sample = Sample::default();
    sample.set(Metric::WallNs, wall.as_nanos() as f64 / ops as f64);
    sample.set(Metric::OpsPerSecond, ops as f64 / wall.as_secs_f64());
    sample
}

/// Sends `mebibytes` in all, as fast as the server takes them, a thread a connection.
fn stream_load(server: SocketAddr, connections: usize, mebibytes: usize) -> io::Result<()> {
    let chunks = mebibytes * (MIB / CHUNK) / connections;
    let send = || -> io::Result<()> {
        let mut stream = TcpStream::connect(server)?;
        let chunk = vec![1; CHUNK];
        for _ in 0..chunks {
            stream.write_all(&chunk)?;
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        stream.read_exact(&mut [0])
    };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        senders.into_iter().try_for_each(|sender| sender.join().expect("no sender panics"))
    })
}

/// Connections that each have one request under way.
struct RequestLoad {
    epoll: OwnedFd,
    server: SocketAddr,
    reconnect: bool,
    pause: Duration,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    /// When the request, or the connection if it has only one, began.
    since: Instant,
    /// Bytes of the reply that are here.
    received: usize,
}

impl RequestLoad {
    fn new(load: Load, server: SocketAddr) -> io::Result<RequestLoad> {
        let mut requests = RequestLoad {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            server,
            reconnect: load.service == Service::Churn,
            pause: load.pause,
            connections: Vec::with_capacity(load.connections),
        };
        for index in 0..load.connections {
            let mut connection = requests.connect(index)?;
            // A server's queue of connections not yet accepted may be short.
            if !requests.reconnect {
                connection.round_trip()?;
            }
            requests.connections.push(connection);
        }
        Ok(requests)
    }

    /// Performs `count` requests and returns their latencies in nanoseconds.
    fn run(&mut self, count: usize) -> io::Result<Vec<u64>> {
        let mut latencies = Vec::with_capacity(count);
        let mut started = self.connections.len().min(count);
        for index in 0..started {
            self.begin(index)?;
        }
        let mut events = Vec::with_capacity(256);
        while latencies.len() < count {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in &events {
                let index = event.data.u64() as usize;
                if !self.connections[index].receive()? {
                    continue;
                }
                latencies.push(self.connections[index].since.elapsed().as_nanos() as u64);
                self.renew(index)?;
                if started < count {
                    self.begin(index)?;
                    started += 1;
                }
            }
        }
        Ok(latencies)
    }

    /// Performs `count` requests, one in each `period` on each connection, spread evenly, and
    /// returns their latencies in nanoseconds: each from when the request was due, even if the
    /// answer to the one before it was not there yet.
    fn run_at_rate(&mut self, count: usize, period: Duration) -> io::Result<Vec<u64>> {
        let connections = self.connections.len();
        let apart = period / connections as u32;
        let start = Instant::now();
        let due_at = |request: usize| start + apart * request as u32;
        // Requests of each connection that are due; the first, if any, is under way.
        let mut due = vec![VecDeque::new(); connections];
        let mut next = 0;
        let mut latencies = Vec::with_capacity(count);
        let mut events = Vec::with_capacity(256);
        while latencies.len() < count {
            while next < count && due_at(next) <= Instant::now() {
                let index = next % connections;
                due[index].push_back(due_at(next));
                if due[index].len() == 1 {
                    self.begin(index)?;
                }
                next += 1;
            }
            let wait = (next < count)
                .then(|| due_at(next).saturating_duration_since(Instant::now()))
                .map(|wait| Timespec::try_from(wait).expect("less than a period"));
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), wait.as_ref())?;
            for event in &events {
                let index = event.data.u64() as usize;
                if !self.connections[index].receive()? {
                    continue;
                }
                let since = due[index].pop_front().expect("an answer is to a request");
                latencies.push(since.elapsed().as_nanos() as u64);
                if !due[index].is_empty() {
                    self.begin(index)?;
                }
            }
        }
        Ok(latencies)
    }

    fn begin(&mut self, index: usize) -> io::Result<()> {
        if !self.pause.is_zero() {
            thread::sleep(self.pause);
        }
        let connection = &mut self.connections[index];
        connection.received = 0;
        if !self.reconnect {
            connection.since = Instant::now();
        }
        connection.stream.write_all(&[7; REQUEST])
    }

    /// Replaces a connection that the server closes after its one reply.
    fn renew(&mut self, index: usize) -> io::Result<()> {
        if !self.reconnect {
            return Ok(());
        }
        // No TIME_WAIT is left behind, of which there could be more than there are ports.
        set_socket_linger(&self.connections[index].stream, Some(Duration::ZERO))?;
        self.connections[index] = self.connect(index)?;
        Ok(())
    }

    /// On the loopback a blocking connect does not block.
    fn connect(&self, index: usize) -> io::Result<Connection> {
        let since = Instant::now();
        let stream = TcpStream::connect(self.server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
        Ok(Connection { stream, since, received: 0 })
    }
}

impl Connection {
    /// One request, waited for by the thread.
    fn round_trip(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.write_all(&[7; REQUEST])?;
        self.stream.read_exact(&mut [0; REQUEST])?;
        self.stream.set_nonblocking(true)
    }

    /// Takes what is there and tells whether the reply is complete.
    fn receive(&mut self) -> io::Result<bool> {
        let mut reply = [0; REQUEST];
        match self.stream.read(&mut reply[self.received..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.received += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(self.received == REQUEST)
    }
}
