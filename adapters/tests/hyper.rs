//! The adapters for hyper 1, against hyper itself and against streams that misbehave.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Executor, Read, ReadBuf, Timer, Write};
use hyper::service::service_fn;
use hyper::{Request, Response};
use tenter::net::{TcpListener, TcpStream};
use tenter_adapters::hyper::{TenterExecutor, TenterIo, TenterTimer};

/// A stream that records what is asked of it.
#[derive(Debug, Default)]
struct Recorder {
    /// How many bytes each read was given room for.
    reads: Vec<usize>,
    /// How many bytes each read gives, at most; past the end, none.
    gives: Vec<usize>,
    writes: Vec<Vec<u8>>,
    flushed: bool,
    closed: bool,
    lies: bool,
}

impl futures_io::AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        assert!(buf.iter().all(|byte| *byte == 0), "the room is not zeroed");
        let give = self.gives.get(self.reads.len()).copied().unwrap_or(0);
        self.reads.push(buf.len());
        if self.lies {
            return Poll::Ready(Ok(buf.len() + 1));
        }
        let given = give.min(buf.len());
        buf[..given].fill(b'r');
        Poll::Ready(Ok(given))
    }
}

impl futures_io::AsyncWrite for Recorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.push(buf.to_vec());
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.extend(bufs.iter().map(|buf| buf.to_vec()));
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

/// Reads once as hyper does, into fresh memory of that size, and returns what came.
fn read(io: &mut TenterIo<Recorder>, room: usize) -> Vec<u8> {
    let mut memory = vec![MaybeUninit::uninit(); room];
    let mut buf = ReadBuf::uninit(&mut memory);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match Read::poll_read(Pin::new(io), &mut cx, buf.unfilled()) {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("the recorder never waits"),
    }
    buf.filled().to_vec()
}

#[test]
fn a_read_asks_for_about_as_much_as_comes() {
    let gives = vec![2048, 4096, 8192, 10, 10, 10, 10, 0];
    let mut io = TenterIo::new(Recorder { gives: gives.clone(), ..Recorder::default() });
    for given in gives {
        assert_eq!(read(&mut io, 1 << 20), vec![b'r'; given]);
    }
    assert_eq!(io.into_inner().reads, [2048, 4096, 8192, 16384, 8192, 4096, 2048, 2048]);
}

#[test]
fn a_read_never_asks_for_more_than_there_is_room_for() {
    let mut io = TenterIo::new(Recorder { gives: vec![9; 3], ..Recorder::default() });
    assert_eq!(read(&mut io, 5), b"rrrrr");
    assert_eq!(read(&mut io, 0), b"");
    assert_eq!(read(&mut io, 3000), b"rrrrrrrrr");
    assert_eq!(io.inner().reads, [5, 0, 2048]);
}

#[test]
#[should_panic(expected = "the stream says it read 101 bytes into 100")]
fn a_stream_that_says_it_read_more_than_it_could_is_not_believed() {
    read(&mut TenterIo::new(Recorder { lies: true, ..Recorder::default() }), 100);
}

#[test]
fn writes_go_through_as_they_are() {
    let mut io = TenterIo::new(Recorder::default());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Write::is_write_vectored(&io));
    let bufs = [IoSlice::new(b"one"), IoSlice::new(b"two")];
    let written = Write::poll_write_vectored(Pin::new(&mut io), &mut cx, &bufs);
    assert!(matches!(written, Poll::Ready(Ok(6))));
    assert!(Write::poll_write(Pin::new(&mut io), &mut cx, b"three").is_ready());
    assert!(Write::poll_flush(Pin::new(&mut io), &mut cx).is_ready());
    assert!(io.inner().flushed && !io.inner().closed);
    assert!(Write::poll_shutdown(Pin::new(&mut io), &mut cx).is_ready());
    assert!(io.inner().closed);
    io.set_write_vectored(false);
    assert!(!Write::is_write_vectored(&io));
    assert_eq!(io.inner_mut().writes, [&b"one"[..], b"two", b"three"]);
}

#[test]
fn a_stream_of_hyper_is_one_of_futures_io() {
    let hyper_stream = TenterIo::new(Recorder { gives: vec![3, 4], ..Recorder::default() });
    let mut io = TenterIo::new(hyper_stream);
    future::block_on(async {
        let mut text = String::new();
        io.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "rrrrrrr");
        assert_eq!(io.write(b"one").await.unwrap(), 3);
        let bufs = [IoSlice::new(b"two"), IoSlice::new(b"three")];
        assert_eq!(io.write_vectored(&bufs).await.unwrap(), 8);
        io.flush().await.unwrap();
        io.close().await.unwrap();
    });
    let recorder = io.into_inner().into_inner();
    assert_eq!(recorder.writes, [&b"one"[..], b"two", b"three"]);
    assert!(recorder.flushed && recorder.closed);
}

#[tenter::test]
async fn an_executor_runs_what_it_is_given() {
    let (sender, receiver) = mpsc::channel();
    let elsewhere = TenterExecutor::on(tenter::Handle::current());
    for executor in [TenterExecutor::new(), elsewhere.clone()] {
        let sender = sender.clone();
        executor.execute(async move { sender.send(tenter::spawn(async { 1 }).await.unwrap()) });
    }
    let outside = std::thread::spawn(move || elsewhere.execute(async move { sender.send(1) }));
    outside.join().unwrap();
    let received = tenter::spawn_blocking(move || receiver.iter().sum::<u8>());
    assert_eq!(received.await.unwrap(), 3);
}

#[tenter::test]
async fn a_timer_is_never_early_and_can_be_moved_both_ways() {
    let timer = TenterTimer::new();
    let start = Instant::now();
    timer.sleep(Duration::from_millis(5)).await;
    assert!(start.elapsed() >= Duration::from_millis(5));

    let day = Duration::from_secs(86_400);
    let mut moved_near = timer.sleep(day);
    let near = Instant::now() + Duration::from_millis(5);
    timer.reset(&mut moved_near, near);
    moved_near.await;
    assert!(Instant::now() >= near);

    let mut moved_far = timer.sleep_until(Instant::now());
    timer.reset(&mut moved_far, Instant::now() + day);
    assert!(future::poll_once(moved_far).await.is_none());
}

/// Answers with the body of the request.
async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    Ok(Response::new(request.into_body()))
}

#[tenter::test]
async fn bodies_of_every_size_go_through_a_server_and_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tenter::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TenterTimer::new());
        http.serve_connection(TenterIo::new(stream), service_fn(echo)).await
    });

    let stream = TcpStream::connect(address).await.unwrap();
    let handshake = hyper::client::conn::http1::handshake(TenterIo::new(stream));
    let (mut client, connection) = handshake.await.unwrap();
    let connection = tenter::spawn(connection);
    for size in [0, 1, 2047, 2048, 2049, 100_000, 5_000_000, 3] {
        let content: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let body = Full::new(Bytes::from(content.clone()));
        let request = Request::post("/").header("host", "localhost").body(body).unwrap();
        client.ready().await.unwrap();
        let response = client.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body == content, "{size} bytes came back otherwise");
    }
    drop(client);
    connection.await.unwrap().unwrap();
    server.await.unwrap().unwrap();
}
