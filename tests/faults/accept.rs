//! Accepting connections.

use std::net::TcpStream as StdStream;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use libc::{ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EPROTO, SYS_accept4};
use tenter::net::{TcpListener, UnixListener};

use crate::injector::{Fault, inject, scenario};
use crate::sockets::abstract_name;
use crate::support::{runtime, until};

/// What says that there is no descriptor, or no memory for one.
const EXHAUSTED: [i32; 4] = [EMFILE, ENFILE, ENOMEM, ENOBUFS];

#[test]
fn an_accept_that_finds_no_descriptor_says_so_and_loses_no_connection() {
    scenario(|| {
        let faults = inject(EXHAUSTED.map(|error| Fault::error(&[SYS_accept4], error)));
        runtime(2).block_on(async {
            for (fault, error) in faults.iter().zip(EXHAUSTED) {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
                let before = fault.calls();
                fault.strike(3);
                for _ in 0..3 {
                    let failed = listener.accept().await.unwrap_err();
                    assert_eq!(failed.raw_os_error(), Some(error));
                }
                let (_, peer) = listener.accept().await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
                assert_eq!((fault.struck(), fault.calls() - before), (3, 4));
            }
        });
    });
}

#[test]
fn a_stream_of_connections_that_finds_no_descriptor_says_so_and_loses_none() {
    scenario(|| {
        let faults = inject(EXHAUSTED.map(|error| Fault::error(&[SYS_accept4], error)));
        runtime(2).block_on(async {
            let addr = abstract_name();
            let listener = UnixListener::bind_addr(&addr).unwrap();
            let mut incoming = listener.incoming();
            for (fault, error) in faults.iter().zip(EXHAUSTED) {
                let _client = StdUnixStream::connect_addr(&addr).unwrap();
                let before = fault.calls();
                fault.strike(3);
                for _ in 0..3 {
                    let failed = incoming.next().await.unwrap().unwrap_err();
                    assert_eq!(failed.raw_os_error(), Some(error));
                }
                incoming.next().await.unwrap().unwrap();
                assert_eq!((fault.struck(), fault.calls() - before), (3, 4));
            }
        });
    });
}

#[test]
fn a_loop_around_accept_pauses_while_there_is_no_descriptor_and_ends_with_its_runtime() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_accept4], EMFILE)]);
        let runtime = runtime(2);
        let errors = Arc::new(AtomicUsize::new(0));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let _client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        fault.strike_always();
        let start = Instant::now();
        let counter = Arc::clone(&errors);
        runtime
            .spawn(async move {
                while listener.accept().await.is_err() {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .detach();
        runtime.block_on(until(|| errors.load(Ordering::Relaxed) >= 5));
        // Between them are four pauses, of 5 ms, 10 ms, 20 ms and 40 ms at least.
        assert!(start.elapsed() >= Duration::from_millis(75), "{:?}", start.elapsed());
        drop(runtime);
        let errors = errors.load(Ordering::Relaxed) as u64;
        assert_eq!(fault.struck(), errors, "a call whose error nobody was told");
    });
}

#[test]
fn an_accept_that_fails_for_one_connection_says_so_and_goes_on_with_the_next() {
    scenario(|| {
        let errors = [ECONNABORTED, EPROTO, EPERM];
        let faults = inject(errors.map(|error| Fault::error(&[SYS_accept4], error)));
        runtime(2).block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            for (fault, error) in faults.iter().zip(errors) {
                let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
                let before = fault.calls();
                fault.strike(1);
                assert_eq!(listener.accept().await.unwrap_err().raw_os_error(), Some(error));
                let (_, peer) = listener.accept().await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
                assert_eq!(fault.calls() - before, 2);
            }
        });
    });
}

#[test]
fn an_accept_that_signals_interrupt_returns_the_connection() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_accept4], EINTR)]);
        runtime(2).block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let _client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
            fault.strike(300);
            listener.accept().await.unwrap();
            assert_eq!((fault.struck(), fault.calls()), (300, 301));
        });
    });
}
