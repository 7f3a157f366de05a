//! A resolver that does not answer, and the ends that must not wait for it.
//!
//! tokio #5338; vercel/turborepo #13231 and astral-sh/uv #4599 tell what it does to programs: one
//! that has done all its work stays for seconds, or for as long as the resolver likes. A name is
//! looked up by `getaddrinfo` on a thread of the blocking pool. Nobody can interrupt that call, and
//! the end of the runtime waited for the pool's threads.
//!
//! Here a look-up can be abandoned: its thread has no share in the runtime, and the end waits for
//! those alone that run something else (B7). Models: models/blocking.rs
//! `the_end_does_not_wait_for_an_abandonable_job` and those after it.
//!
//! This program has a `getaddrinfo` of its own, which takes the place of the system's: it answers
//! when a test says so, and hence never if none does. Therefore these tests are by themselves.
#![cfg(target_os = "linux")]

mod support;

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use futures_lite::future::block_on;
use support::{Child, LIMIT, Pair, expect_success, wait_until, within};
use tenter::net::{TcpStream, lookup_host};
use tenter::time::timeout;
use tenter::{Builder, Runtime};

/// "Non-recoverable failure", of `netdb.h`.
const EAI_FAIL: c_int = -4;

/// What holds the look-ups of each name.
static NAMES: LazyLock<Mutex<HashMap<String, Pair>>> = LazyLock::new(Mutex::default);

/// Holds the look-ups of a name that no other test uses.
fn hold(name: &str) -> Pair {
    let held = Pair::new();
    assert!(NAMES.lock().unwrap().insert(name.to_owned(), held.clone()).is_none());
    held
}

/// The system's resolver, as the standard library knows it. It fails, sooner or later.
///
/// # Safety
///
/// 1. `node` is null or the start of a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    _service: *const c_char,
    _hints: *const c_void,
    _found: *mut *mut c_void,
) -> c_int {
    if !node.is_null() {
        // SAFETY: 1.
        let name = unsafe { CStr::from_ptr(node) }.to_string_lossy().into_owned();
        let held = NAMES.lock().unwrap().get(&name).cloned();
        if let Some(held) = held {
            held.hold();
        }
    }
    EAI_FAIL
}

fn runtime(name: &str, blocking_threads: usize) -> Runtime {
    let mut builder = Builder::new();
    builder.worker_threads(2).max_blocking_threads(blocking_threads).thread_name(name);
    let runtime = builder.build().unwrap();
    support::watch(runtime.handle());
    runtime
}

#[test]
fn this_programs_resolver_is_the_one_that_is_asked() {
    within(LIMIT, || {
        let held = hold("asked.example");
        let runtime = runtime("asked", 1);
        let asks = runtime.spawn(lookup_host("asked.example:80"));
        held.arrived.wait();
        assert!(!asks.is_finished());
        held.released.open();
        block_on(asks).unwrap().map(drop).unwrap_err();
    });
}

#[test]
fn a_look_up_without_an_answer_does_not_hold_up_the_end_of_the_runtime() {
    within(LIMIT, || {
        for (way, name) in
            ["drop.example", "grace.example", "background.example"].iter().enumerate()
        {
            let held = hold(name);
            let runtime = runtime("dns-end", 8);
            // One that is awaited, one whose task is aborted, and one whose time is over.
            let awaits = runtime.spawn(TcpStream::connect((*name, 80)));
            held.arrived.wait();
            let aborted = runtime.spawn(lookup_host((*name, 80)));
            wait_until(|| runtime.handle().metrics().blocking_threads() == 2);
            runtime.block_on(async {
                assert!(aborted.cancel().await.is_none());
                let late = timeout(Duration::from_millis(1), lookup_host((*name, 80)));
                late.await.map(drop).unwrap_err();
            });
            match way {
                0 => drop(runtime),
                1 => assert!(runtime.shutdown(Duration::MAX).is_clean()),
                _ => runtime.shutdown_background(),
            }
            match block_on(awaits) {
                Ok(connected) => drop(connected.unwrap_err()),
                Err(error) => assert!(error.is_cancelled()),
            }
            // The threads are there until they are answered, and go then by themselves.
            assert!(support::threads_named("dns-end") > 0);
            held.released.open();
            wait_until(|| support::threads_named("dns-end") == 0);
        }
    });
}

#[test]
fn a_look_up_without_an_answer_does_not_hold_up_the_exit_of_the_process() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let held = hold("exit.example");
            let body = async {
                for _ in 0..3 {
                    tenter::spawn(TcpStream::connect("exit.example:80")).detach();
                }
                let late = timeout(Duration::from_millis(1), lookup_host("exit.example:80"));
                late.await.map(drop).unwrap_err();
                // At least one of them has got as far as the resolver.
                tenter::spawn_blocking(move || held.arrived.wait()).await.unwrap();
            };
            tenter::run(body).unwrap();
        });
        expect_success(&output);
    });
}

#[test]
fn a_look_up_without_an_answer_takes_its_own_thread_and_nothing_else() {
    within(LIMIT, || {
        let held = hold("thread.example");
        let runtime = runtime("dns-thread", 2);
        let asks = runtime.spawn(lookup_host("thread.example:80"));
        held.arrived.wait();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        runtime.block_on(async {
            for _ in 0..50 {
                // Other names, addresses, files and closures.
                lookup_host("another.example:80").await.map(drop).unwrap_err();
                TcpStream::connect(addr).await.unwrap();
                tenter::fs::metadata("/").await.unwrap();
                tenter::spawn_blocking(|| ()).await.unwrap();
            }
        });
        assert!(!asks.is_finished());
        held.released.open();
        block_on(asks).unwrap().map(drop).unwrap_err();
    });
}
