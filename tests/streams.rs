//! What can be iterated asynchronously: channels, intervals, incoming connections.

mod support;

use std::io::Read;
use std::net::TcpStream as StdStream;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_core::Stream;
use futures_lite::future::poll_once;
use futures_lite::{StreamExt, stream};
use tenter::io::AsyncWriteExt;
use tenter::net::TcpListener;
use tenter::sync::channel;
use tenter::time::{interval, interval_at};

use support::{LIMIT, for_each_worker_count, runtime, within};

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_streams_are_streams_that_a_task_can_hold() {
    fn stream<S: Stream + Send + 'static>() {}
    stream::<channel::Receiver<String>>();
    stream::<tenter::time::Interval>();
    fn borrowed<'a, S: Stream + Send + 'a>() {}
    borrowed::<tenter::net::Incoming<'_>>();
}

#[test]
fn a_channel_is_a_stream_that_ends_with_its_last_sender() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let (sender, receiver) = channel::bounded(2);
                let tasks: Vec<_> = (0..3)
                    .map(|task| {
                        let sender = sender.clone();
                        tenter::spawn(async move {
                            for n in 0..10 {
                                sender.send(task * 10 + n).await.unwrap();
                            }
                        })
                    })
                    .collect();
                drop(sender);
                let mut all: Vec<i32> = receiver.collect().await;
                all.sort_unstable();
                assert!(all.into_iter().eq(0..30));
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
    });
}

#[test]
fn a_next_that_is_dropped_while_it_waits_loses_no_item() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (sender, receiver) = channel::bounded(1);
            let mut receiver = pin!(receiver);
            for n in 0..10 {
                assert_eq!(poll_once(receiver.next()).await, None);
                sender.send(n).await.unwrap();
                assert_eq!(receiver.next().await, Some(n));
            }
        });
    });
}

#[test]
fn adapters_of_the_ecosystem_work_on_a_channel() {
    within(LIMIT, || {
        runtime(2).block_on(async {
            let (sender, receiver) = channel::bounded(1);
            let task = tenter::spawn(async move {
                let mut sent = 0;
                while sender.send(sent).await.is_ok() {
                    sent += 1;
                }
                sent
            });
            let even = receiver.filter(|n| n % 2 == 0).map(|n| n * n).take(4);
            assert_eq!(even.collect::<Vec<u32>>().await, [0, 4, 16, 36]);
            // The stream is gone, and so its sender stopped.
            assert!(task.await.unwrap() >= 7);
        });
    });
}

#[test]
fn an_interval_is_a_stream_of_the_instants_of_its_beat() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let start = Instant::now();
            let ticks: Vec<Instant> = interval_at(start, MS).take(5).collect().await;
            let due: Vec<Instant> = (0..5).map(|n| start + MS * n).collect();
            assert_eq!(ticks, due);
            assert!(start.elapsed() >= MS * 4);
        });
    });
}

#[test]
fn two_streams_are_one() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let (sender, receiver) = channel::bounded(1);
            let ticks = interval(MS).map(|_| "tick");
            let mut both = pin!(stream::race(receiver, ticks));
            let mut seen = Vec::new();
            while !seen.contains(&"tick") {
                seen.push(both.next().await.expect("an interval does not end"));
            }
            sender.send("message").await.unwrap();
            while !seen.contains(&"message") {
                seen.push(both.next().await.expect("an interval does not end"));
            }
        });
    });
}

#[test]
fn the_connections_of_a_listener_are_a_stream() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let addr = listener.local_addr().unwrap();
                let clients: Vec<_> = (0..5)
                    .map(|_| {
                        thread::spawn(move || {
                            let mut text = String::new();
                            let mut stream = StdStream::connect(addr).unwrap();
                            stream.read_to_string(&mut text).unwrap();
                            text
                        })
                    })
                    .collect();
                let mut handlers = Vec::new();
                let mut incoming = listener.incoming().take(5);
                while let Some(connection) = incoming.next().await {
                    let mut connection = connection.unwrap();
                    handlers.push(tenter::spawn(async move {
                        connection.write_all(b"welcome").await.unwrap();
                        connection.close().await.unwrap();
                    }));
                }
                for handler in handlers {
                    handler.await.unwrap();
                }
                for client in clients {
                    assert_eq!(client.join().unwrap(), "welcome");
                }
            });
        });
    });
}

#[test]
fn a_stream_of_connections_that_waits_is_woken_by_the_first() {
    within(LIMIT, || {
        runtime(1).block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let mut incoming = listener.incoming();
            assert!(poll_once(incoming.next()).await.is_none());
            let client = tenter::spawn_blocking(move || StdStream::connect(addr).unwrap());
            let accepted = incoming.next().await.unwrap().unwrap();
            let client = client.await.unwrap();
            assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
            assert!(poll_once(incoming.next()).await.is_none());
        });
    });
}

#[test]
fn polling_an_empty_channel_again_keeps_it_pending() {
    within(LIMIT, || {
        let (_sender, receiver) = channel::bounded::<()>(1);
        let mut receiver = pin!(receiver);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert_eq!(receiver.as_mut().poll_next(&mut cx), Poll::Pending);
        }
    });
}
