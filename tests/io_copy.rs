//! `copy` and `copy_bidirectional`.

mod support;

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future;
use support::{Gate, LIMIT, runtime, within};
use tenter::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, copy, copy_bidirectional,
};
use tenter::net::{TcpListener, TcpStream};

fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[test]
fn copy_moves_every_byte_and_counts_them() {
    run(async {
        let from: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
        let mut to = Vec::new();
        assert_eq!(copy(&from[..], &mut to).await.unwrap(), 1_000_000);
        assert_eq!(from, to);
        assert_eq!(copy(tenter::io::empty(), tenter::io::sink()).await.unwrap(), 0);
    });
}

#[test]
fn copy_flushes_what_the_writer_buffers_while_the_reader_waits() {
    run(async {
        let (mut near, far) = pair().await;
        let (relay, mut sink) = pair().await;
        let copying = tenter::spawn(async move { copy(&far, BufWriter::new(relay)).await });
        near.write_all(b"not stuck").await.unwrap();
        let mut heard = [0; 9];
        sink.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"not stuck");
        drop(near);
        assert_eq!(copying.await.unwrap().unwrap(), 9);
    });
}

#[test]
fn copy_returns_the_errors_of_both_sides() {
    /// Fails to read, and takes nothing.
    struct Broken;

    impl AsyncRead for Broken {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(ErrorKind::ConnectionAborted.into()))
        }
    }

    impl AsyncWrite for Broken {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    run(async {
        let error = copy(Broken, tenter::io::sink()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        let error = copy(&b"some"[..], Broken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
    });
}

#[test]
fn a_copy_that_never_waits_lets_other_tasks_run() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let endless = tenter::spawn(copy(tenter::io::repeat(0), tenter::io::sink()));
            for _ in 0..100 {
                tenter::spawn(async {}).await.unwrap();
            }
            endless.abort();
            assert!(endless.await.unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_two_way_copy_passes_half_closes_on_and_counts_both_directions() {
    run(async {
        let (mut client, mut front) = pair().await;
        let (mut back, mut server) = pair().await;
        let proxy = tenter::spawn(async move { copy_bidirectional(&mut front, &mut back).await });

        client.write_all(&[b'q'; 100_000]).await.unwrap();
        client.close().await.unwrap();
        let mut request = Vec::new();
        server.read_to_end(&mut request).await.unwrap();
        assert_eq!(request, [b'q'; 100_000]);

        // The other direction is open still.
        assert!(future::poll_once(client.read(&mut [0])).await.is_none());
        server.write_all(&[b'r'; 300_000]).await.unwrap();
        drop(server);
        let mut reply = Vec::new();
        client.read_to_end(&mut reply).await.unwrap();
        assert_eq!(reply, [b'r'; 300_000]);
        assert_eq!(proxy.await.unwrap().unwrap(), (100_000, 300_000));
    });
}

#[test]
fn a_two_way_copy_works_in_both_directions_at_once() {
    run(async {
        let (client, mut front) = pair().await;
        let (mut back, server) = pair().await;
        let proxy = tenter::spawn(async move { copy_bidirectional(&mut front, &mut back).await });
        let ends = [client, server].map(|end| {
            tenter::spawn(async move {
                let (mut reader, mut writer) = end.into_split();
                let mut received = Vec::new();
                let send = async {
                    writer.write_all(&[5; 2_000_000]).await.unwrap();
                    writer.close().await.unwrap();
                };
                let receive = async { reader.read_to_end(&mut received).await.unwrap() };
                future::zip(send, receive).await.1
            })
        });
        for end in ends {
            assert_eq!(end.await.unwrap(), 2_000_000);
        }
        assert_eq!(proxy.await.unwrap().unwrap(), (2_000_000, 2_000_000));
    });
}

#[test]
fn a_two_way_copy_ends_with_the_first_error() {
    run(async {
        let (client, mut front) = pair().await;
        let (mut back, _server) = pair().await;
        let proxy = tenter::spawn(async move { copy_bidirectional(&mut front, &mut back).await });
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let error = proxy.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_direction_that_never_waits_leaves_the_other_its_turn() {
    /// Reads as `bytes` again and again, at most so many times; opens the gate when written to.
    struct Side {
        bytes: &'static [u8],
        times: usize,
        written: Gate,
    }

    impl AsyncRead for Side {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            if self.times == 0 {
                return Poll::Pending;
            }
            self.times -= 1;
            buf[..self.bytes.len()].copy_from_slice(self.bytes);
            Poll::Ready(Ok(self.bytes.len()))
        }
    }

    impl AsyncWrite for Side {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.written.open();
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    for endless_first in [true, false] {
        run(async {
            let (flooded, answered) = (Gate::new(), Gate::new());
            let mut endless =
                Side { bytes: b"flood", times: usize::MAX, written: answered.clone() };
            let mut other = Side { bytes: b"answer", times: 1, written: flooded.clone() };
            let copying = tenter::spawn(async move {
                if endless_first {
                    copy_bidirectional(&mut endless, &mut other).await
                } else {
                    copy_bidirectional(&mut other, &mut endless).await
                }
            });
            tenter::spawn_blocking(move || {
                flooded.wait();
                answered.wait();
            })
            .await
            .unwrap();
            copying.abort();
            assert!(copying.await.unwrap_err().is_cancelled());
        });
    }
}
