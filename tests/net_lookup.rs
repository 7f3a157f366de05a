//! Names and addresses.

mod support;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use futures_lite::future;
use support::{LIMIT, Pair, runtime, until, watch, within};
use tenter::Runtime;
use tenter::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};

fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// The addresses of `host`, which must be there without waiting, and without a runtime.
fn at_once(host: impl ToSocketAddrs) -> Vec<SocketAddr> {
    let looked_up = future::block_on(future::poll_once(lookup_host(host)));
    looked_up.expect("a literal address needs no look-up").unwrap().collect()
}

#[test]
fn literal_addresses_need_no_look_up_and_no_runtime() {
    within(LIMIT, || {
        let v4: SocketAddr = "10.1.2.3:80".parse().unwrap();
        let v6: SocketAddr = "[::1]:443".parse().unwrap();
        assert_eq!(at_once("10.1.2.3:80"), [v4]);
        assert_eq!(at_once(String::from("[::1]:443")), [v6]);
        assert_eq!(at_once(("10.1.2.3", 80)), [v4]);
        assert_eq!(at_once((String::from("::1"), 443)), [v6]);
        assert_eq!(at_once((IpAddr::from([10, 1, 2, 3]), 80)), [v4]);
        assert_eq!(at_once((Ipv4Addr::new(10, 1, 2, 3), 80)), [v4]);
        assert_eq!(at_once((Ipv6Addr::LOCALHOST, 443)), [v6]);
        assert_eq!(at_once(SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), 80)), [v4]);
        assert_eq!(at_once(v6), [v6]);
        assert_eq!(at_once([v4, v6]), [v4, v6]);
        assert_eq!(at_once(&[v4, v6][..]), [v4, v6]);
        assert_eq!(at_once(vec![v6]), [v6]);
    });
}

#[test]
fn localhost_resolves_to_loopback() {
    run(async {
        let addrs = lookup_host("localhost:8080").await.unwrap();
        assert!(addrs.len() > 0);
        for addr in addrs {
            assert!(addr.ip().is_loopback() && addr.port() == 8080, "{addr}");
        }
        let addrs = lookup_host(("localhost", 1)).await.unwrap();
        let len = addrs.len();
        assert!(len > 0);
        assert_eq!(addrs.count(), len);
    });
}

#[test]
fn a_name_can_be_bound_and_connected_to() {
    run(async {
        let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(format!("localhost:{port}")).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

#[test]
fn what_is_no_address_is_invalid_input() {
    run(async {
        for bad in ["", "localhost", "127.0.0.1", "localhost:", "localhost:http", "h:65536"] {
            let error = lookup_host(bad).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}: {error:?}");
        }
    });
}

#[test]
fn a_name_that_does_not_exist_is_an_error() {
    run(async {
        assert!(lookup_host("does-not-exist.invalid:80").await.is_err());
        assert!(TcpStream::connect("does-not-exist.invalid:80").await.is_err());
        assert!(TcpStream::connect("256.256.256.256:80").await.is_err());
        assert!(lookup_host(("", 80)).await.is_err());
        assert!(lookup_host(("a\0b", 80)).await.is_err());
    });
}

#[test]
fn a_look_up_that_is_given_up_before_it_begins_leaves_no_task_behind() {
    within(LIMIT, || {
        let runtime = Runtime::builder().worker_threads(2).max_blocking_threads(1).build().unwrap();
        watch(runtime.handle());
        let held = Pair::new();
        let closure = {
            let held = held.clone();
            runtime.spawn_blocking(move || held.hold())
        };
        held.arrived.wait();
        runtime.block_on(async {
            for _ in 0..1000 {
                assert!(future::poll_once(lookup_host("localhost:80")).await.is_none());
                assert!(future::poll_once(TcpStream::connect("localhost:80")).await.is_none());
            }
            until(|| tenter::Handle::current().tasks().iter().all(|task| task.is_blocking())).await;
            held.released.open();
            closure.await.unwrap();
            assert!(lookup_host("localhost:80").await.unwrap().len() > 0);
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_call_that_gets_no_thread_says_so() {
    use support::{Child, STACK, expect_success, limit_addresses, unlimit_addresses};

    let output = Child::new().run(|| {
        within(LIMIT, || {
            let mut builder = Runtime::builder();
            builder.worker_threads(1).thread_stack_size(STACK);
            builder.build().unwrap().block_on(async {
                limit_addresses(STACK / 2);
                let (looked_up, read) =
                    (lookup_host("localhost:80").await, tenter::fs::metadata("/").await);
                unlimit_addresses();
                for error in [looked_up.map(drop).unwrap_err(), read.map(drop).unwrap_err()] {
                    assert_eq!(error.kind(), ErrorKind::Other);
                    assert!(error.to_string().contains("no thread"), "{error}");
                }
                assert!(lookup_host("localhost:80").await.unwrap().len() > 0);
            });
        });
    });
    expect_success(&output);
}
