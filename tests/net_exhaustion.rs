//! A server that runs out of descriptors.

mod support;

use std::env;
use std::io::{self, BufRead, BufReader};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::process::{self, Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_lite::StreamExt;
use rustix::process::{Resource, Rlimit, setrlimit};
use support::{LIMIT, runtime, within};
use tenter::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tenter::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Says to this program that it is the server.
const ROLE: &str = "TENTER_TEST_EXHAUSTED_SERVER";
/// What the server may have open.
const DESCRIPTORS: u64 = 64;
const CLIENTS: usize = 200;
/// Errors that the clients wait for before they let go.
const ERRORS: u64 = 3;

#[test]
fn accept_out_of_descriptors_recovers_without_losing_a_connection_or_spinning() {
    test::<TcpListener>(
        "accept_out_of_descriptors_recovers_without_losing_a_connection_or_spinning",
        async |listener| listener.accept().await.map(|(stream, _)| stream),
    );
}

#[test]
fn incoming_out_of_descriptors_recovers_without_losing_a_connection_or_spinning() {
    test::<TcpListener>(
        "incoming_out_of_descriptors_recovers_without_losing_a_connection_or_spinning",
        async |listener| listener.incoming().next().await.unwrap(),
    );
}

#[test]
fn a_unix_accept_out_of_descriptors_recovers_without_losing_a_connection_or_spinning() {
    test::<UnixListener>(
        "a_unix_accept_out_of_descriptors_recovers_without_losing_a_connection_or_spinning",
        async |listener| listener.accept().await.map(|(stream, _)| stream),
    );
}

#[test]
fn a_unix_incoming_out_of_descriptors_recovers_without_losing_a_connection_or_spinning() {
    test::<UnixListener>(
        "a_unix_incoming_out_of_descriptors_recovers_without_losing_a_connection_or_spinning",
        async |listener| listener.incoming().next().await.unwrap(),
    );
}

/// A kind of listener.
trait Listener: Sized {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static;

    /// A new listener, and its address.
    async fn bind() -> (Self, String);

    async fn connect(addr: &str) -> io::Result<Self::Stream>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn bind() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        (listener, addr)
    }

    async fn connect(addr: &str) -> io::Result<TcpStream> {
        TcpStream::connect(addr).await
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn bind() -> (Self, String) {
        let name = format!("tenter-exhaustion-{}", process::id());
        let addr = SocketAddr::from_abstract_name(&name).unwrap();
        (UnixListener::bind_addr(&addr).unwrap(), name)
    }

    async fn connect(addr: &str) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(addr).unwrap()).await
    }
}

/// The body of the test called `name`, whose server gets its connections by `accept`.
fn test<L: Listener>(name: &str, accept: impl AsyncFnMut(&L) -> io::Result<L::Stream>) {
    if env::var_os(ROLE).is_some() {
        return within(LIMIT, || runtime(2).block_on(serve(accept)));
    }
    within(LIMIT, || {
        let (mut server, mut lines) = start(name);
        let addr = lines.next_of("listens");
        let mut lines = runtime(2).block_on(async move {
            // All of them connect: what the server cannot accept waits in its backlog.
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                clients.push(L::connect(&addr).await.unwrap());
            }
            let mut lines = tenter::spawn_blocking(move || {
                lines.next_of("exhausted");
                lines
            })
            .await
            .unwrap();
            // Every one of them is served, now that the first ones make room for the others.
            let served = clients.into_iter().enumerate().map(|(number, mut client)| {
                tenter::spawn(async move {
                    let number = (number as u32).to_be_bytes();
                    client.write_all(&number).await.unwrap();
                    client.close().await.unwrap();
                    let mut echo = Vec::new();
                    client.read_to_end(&mut echo).await.unwrap();
                    assert_eq!(echo, number);
                })
            });
            for client in served.collect::<Vec<_>>() {
                client.await.unwrap();
            }
            let report = lines.next_of("served");
            let mut numbers = report.split(' ').map(|number| number.parse::<u64>().unwrap());
            let mut next = || numbers.next().unwrap();
            let (served, errors, elapsed_ms) = (next(), next(), next());
            assert_eq!(served, CLIENTS as u64);
            // Each error is followed by a pause of at least 5 ms: no more fit into the time.
            assert!((ERRORS..=elapsed_ms / 5 + 1).contains(&errors), "{errors} in {elapsed_ms} ms");
            lines
        });
        lines.finish();
        assert!(server.wait().unwrap().success());
    });
}

/// Echoes until every client has been served; reports on standard output.
async fn serve<L: Listener>(mut accept: impl AsyncFnMut(&L) -> io::Result<L::Stream>) {
    let (listener, addr) = L::bind().await;
    let start = Instant::now();
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) })
        .unwrap();
    println!("\nlistens {addr}");
    let served = Arc::new(AtomicU64::new(0));
    let mut errors = 0;
    let mut tasks = Vec::new();
    while tasks.len() < CLIENTS {
        match accept(&listener).await {
            Ok(stream) => {
                let served = Arc::clone(&served);
                tasks.push(tenter::spawn(async move {
                    let (reader, writer) = tenter::io::split(stream);
                    tenter::io::copy(reader, writer).await.unwrap();
                    served.fetch_add(1, Ordering::Relaxed);
                }));
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(24), "{error}");
                errors += 1;
                if errors == ERRORS {
                    println!("\nexhausted now");
                }
            }
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let elapsed_ms = start.elapsed().as_millis();
    println!("\nserved {} {errors} {elapsed_ms}", served.load(Ordering::Relaxed));
}

fn start(name: &str) -> (Child, Lines) {
    let mut server = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(server.stdout.take().unwrap());
    (server, Lines(output))
}

/// What the server says, between the lines of the test harness.
struct Lines(BufReader<ChildStdout>);

impl Lines {
    /// The rest of the next line that begins with `word`.
    fn next_of(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the server ended before `{word}`");
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// What else it says is the harness's; it must not find its output closed.
    fn finish(&mut self) {
        io::copy(&mut self.0, &mut io::sink()).unwrap();
    }
}
