//! TCP in quantity: bytes, and connections.

mod support;

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{LIMIT, runtime, within};
use tenter::io::{AsyncReadExt, AsyncWriteExt};
use tenter::net::{TcpListener, TcpStream};

const STREAM_BYTES: u64 = 10_000_000_000;
const BUFFER_BYTES: usize = 64 * 1024;

#[test]
fn ten_gigabytes_pass_through_buffers_of_64_kib_in_order() {
    // Many times what it takes on one core that is shared with others, without optimization.
    within(10 * LIMIT, || runtime(2).block_on(stream()));
}

async fn stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let sending = tenter::spawn(async move {
        let pattern: Vec<u8> = (0..BUFFER_BYTES).map(at).collect();
        let mut left = STREAM_BYTES;
        while left > 0 {
            let len = pattern.len().min(left.try_into().unwrap_or(usize::MAX));
            client.write_all(&pattern[..len]).await.unwrap();
            left -= len as u64;
        }
        client.close().await.unwrap();
        client
    });
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut received = 0;
    loop {
        let read = server.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        // The ends of each piece tell whether anything was lost, doubled or exchanged.
        let start = (received % BUFFER_BYTES as u64) as usize;
        assert_eq!(buffer[0], at(start), "after {received} bytes");
        assert_eq!(buffer[read - 1], at((start + read - 1) % BUFFER_BYTES), "after {received}");
        received += read as u64;
    }
    assert_eq!(received, STREAM_BYTES);
    sending.await.unwrap();
}

/// The byte at a place of the pattern.
fn at(place: usize) -> u8 {
    (place % 251) as u8
}

/// Says to this program that it is the server.
const ROLE: &str = "TENTER_TEST_MANY_CONNECTIONS_SERVER";
const NAME: &str = "ten_thousand_connections_are_open_at_once";
const CONNECTIONS: usize = 10_000;
/// Connections that are being made at the same time; fewer than a backlog holds.
const CONNECTING: usize = 64;

#[test]
fn ten_thousand_connections_are_open_at_once() {
    // The limit of one process is not enough for both ends.
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, wanted).unwrap();
    if env::var_os(ROLE).is_some() {
        return within(LIMIT, || runtime(2).block_on(serve()));
    }
    within(LIMIT, || {
        let mut server = Command::new(env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env(ROLE, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let port: u16 = lines
            .find_map(|line| line.unwrap().strip_prefix("port ").map(|port| port.parse().unwrap()))
            .expect("the server says its port");
        runtime(2).block_on(connect_and_ask(port));
        for line in lines {
            line.unwrap();
        }
        assert!(server.wait().unwrap().success());
    });
}

/// Accepts every connection, then answers on each, then sees each of them end.
async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nport {}", listener.local_addr().unwrap().port());
    let mut tasks = Vec::new();
    while tasks.len() < CONNECTIONS {
        let (stream, _) = listener.accept().await.unwrap();
        tasks.push(tenter::spawn(async move { tenter::io::copy(&stream, &stream).await.unwrap() }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), 8);
    }
}

async fn connect_and_ask(port: u16) {
    let mut streams = Vec::new();
    while streams.len() < CONNECTIONS {
        let batch = (0..CONNECTING.min(CONNECTIONS - streams.len()))
            .map(|_| tenter::spawn(TcpStream::connect(("127.0.0.1", port))))
            .collect::<Vec<_>>();
        for connecting in batch {
            streams.push(connecting.await.unwrap().unwrap());
        }
    }
    // All are open. Ask on every one of them, twice.
    for round in 0..2_u32 {
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&(number as u32 + round).to_be_bytes()).await.unwrap();
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(u32::from_be_bytes(answer), number as u32 + round);
        }
    }
}
