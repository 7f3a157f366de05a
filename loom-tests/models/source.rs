//! Sources: no edge is lost, no waiter is forgotten, no event reaches the wrong owner. D2 to D5.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use loom::thread::spawn;

use super::support::{Parker, block_on, poll_with};
use crate::driver::{Direction, Driver, Registration};
use crate::harness::model;
use crate::primitive::Arc;
use crate::primitive::poller::Endpoint;

fn driver() -> Arc<Driver> {
    Arc::new(Driver::new(1).unwrap())
}

/// A pass over the driver that does not wait.
fn turn(driver: &Driver) {
    driver.try_lock().expect("one thread turns").turn(Some(Duration::ZERO));
}

async fn readable(registration: &Registration, socket: Endpoint) -> io::Result<()> {
    poll_fn(|cx| registration.poll_ready(socket.fd(), cx, Direction::Read)).await.map(drop)
}

async fn writable(registration: &Registration, socket: Endpoint) -> io::Result<()> {
    poll_fn(|cx| registration.poll_ready(socket.fd(), cx, Direction::Write)).await.map(drop)
}

/// Reads as a stream does, `asked` bytes at a time, until there were `bytes`.
fn read_all(registration: &Registration, socket: Endpoint, asked: usize, bytes: usize) {
    let mut read = 0;
    while read < bytes {
        read += block_on(poll_fn(|cx| {
            let read = || socket.read(asked);
            registration.poll_stream(socket.fd(), cx, Direction::Read, asked, read)
        }))
        .unwrap();
    }
}

model! {
    /// The reader refutes the readiness that it saw, and a new event comes just before it says so.
    fn an_edge_is_not_lost_to_a_late_clear() {
        let driver = driver();
        let socket = Endpoint::new();
        let registration = Registration::new(Arc::clone(&driver));
        socket.arrive(1);
        block_on_readiness(&driver, &registration, socket);
        let turner = spawn(move || {
            socket.arrive(1);
            turn(&driver);
        });
        read_all(&registration, socket, 1, 2);
        turner.join().unwrap();
    }
    catches "source: clear without comparing the tick"
}

/// Registers, and turns until the first edge is in.
fn block_on_readiness(driver: &Driver, registration: &Registration, socket: Endpoint) {
    let parker = Parker::new();
    let waker = Parker::waker(&parker);
    let mut cx = Context::from_waker(&waker);
    assert!(registration.poll_ready(socket.fd(), &mut cx, Direction::Read).is_pending());
    turn(driver);
    parker.park();
}

model! {
    fn an_edge_is_not_lost_to_the_clear_of_a_short_read() {
        let driver = driver();
        let socket = Endpoint::new();
        let registration = Registration::new(Arc::clone(&driver));
        socket.arrive(1);
        block_on_readiness(&driver, &registration, socket);
        let turner = spawn(move || {
            socket.arrive(1);
            turn(&driver);
        });
        read_all(&registration, socket, 2, 2);
        turner.join().unwrap();
    }
    catches "source: clear without comparing the tick"
}

model! {
    fn an_event_is_seen_or_finds_the_waker() {
        let driver = driver();
        let socket = Endpoint::new();
        let registration = Registration::new(Arc::clone(&driver));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(registration.poll_ready(socket.fd(), &mut cx, Direction::Read).is_pending());
        let turner = spawn(move || {
            socket.arrive(1);
            turn(&driver);
        });
        block_on(readable(&registration, socket)).unwrap();
        turner.join().unwrap();
    }
    catches "source: look again under the lock"
}

model! {
    /// The first attempt fails, the data comes, and only then is the source registered.
    fn data_that_comes_between_the_attempt_and_the_registration_is_read() {
        let driver = driver();
        let socket = Endpoint::new();
        let registration = Registration::new(Arc::clone(&driver));
        let turner = spawn(move || {
            socket.arrive(1);
            // Asleep until there is something to tell.
            driver.try_lock().expect("one thread turns").turn(None);
            turn(&driver);
        });
        read_all(&registration, socket, 1, 1);
        // If the data was there at once, nobody registered, and nobody ends the sleep.
        registration.driver().wake();
        turner.join().unwrap();
    }
    catches "source: look again under the lock"
}

model! {
    fn a_reader_and_a_writer_are_both_woken() {
        let driver = driver();
        let socket = Endpoint::new();
        let registration = Arc::new(Registration::new(Arc::clone(&driver)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(registration.poll_ready(socket.fd(), &mut cx, Direction::Read).is_pending());
        let reader = Arc::clone(&registration);
        let reader = spawn(move || block_on(readable(&reader, socket)).unwrap());
        let turner = spawn(move || {
            socket.break_down();
            turn(&driver);
        });
        block_on(writable(&registration, socket)).unwrap();
        turner.join().unwrap();
        reader.join().unwrap();
    }
    catches "source: an event wakes one direction"
}

model! {
    fn every_waiter_of_a_direction_is_woken() {
        let driver = driver();
        let socket = Endpoint::new();
        let registration = Arc::new(Registration::new(Arc::clone(&driver)));
        let other = Arc::clone(&registration);
        let other = spawn(move || {
            let _ready = block_on(other.ready(socket.fd(), Direction::Read)).unwrap();
        });
        let turner = spawn(move || {
            socket.arrive(1);
            // Registered by now, or the registration itself is the edge.
            driver.try_lock().expect("one thread turns").turn(None);
            turn(&driver);
        });
        let _ready = block_on(registration.ready(socket.fd(), Direction::Read)).unwrap();
        other.join().unwrap();
        turner.join().unwrap();
    }
    catches "source: an event wakes one waiter"
}

model! {
    fn a_waiter_that_goes_as_the_event_comes_leaves_nothing_behind() {
        let driver = driver();
        let socket = Endpoint::new();
        let registration = Registration::new(Arc::clone(&driver));
        let parker = Parker::new();
        let waker = Parker::waker(&parker);
        let mut readiness = registration.ready(socket.fd(), Direction::Read);
        assert!(poll_with(&mut readiness, &waker).is_pending());
        drop(waker);
        // The edge of the registration is one for writers: it leaves the reader where it is.
        let turner = spawn(move || turn(&driver));
        drop(readiness);
        turner.join().unwrap();
        assert_eq!(Arc::strong_count(&parker), 1, "the waker is gone");
    }
    catches "source: a dropped waiter keeps its place"
}

model! {
    /// The event is harvested, its source is deregistered, the slot has another owner.
    fn an_event_in_flight_does_not_reach_the_next_owner_of_the_slot() {
        let driver = driver();
        let (first, second) = (Endpoint::new(), Endpoint::new());
        let registration = Registration::new(Arc::clone(&driver));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(registration.poll_ready(first.fd(), &mut cx, Direction::Read).is_pending());
        first.arrive(1);
        let turning = Arc::clone(&driver);
        let turner = spawn(move || turn(&turning));
        registration.deregister(first.fd()).unwrap();
        let next = Registration::new(driver);
        let polled = next.poll_ready(second.fd(), &mut cx, Direction::Read);
        assert!(polled.is_pending(), "the second socket has nothing");
        turner.join().unwrap();
        let polled = next.poll_ready(second.fd(), &mut cx, Direction::Read);
        assert!(polled.is_pending(), "the second socket has nothing");
    }
    catches "source: dispatch without comparing the generation"
}

model! {
    fn who_waits_as_the_driver_ends_gets_an_error() {
        let driver = driver();
        let socket = Endpoint::new();
        let registration = Registration::new(Arc::clone(&driver));
        let closer = spawn(move || driver.shutdown());
        assert!(block_on(readable(&registration, socket)).is_err());
        closer.join().unwrap();
    }
    catches
        "reactor: refuse after shutdown",
        "source: look again under the lock"
}

model! {
    fn who_waits_as_the_source_is_deregistered_gets_an_error() {
        let driver = driver();
        let socket = Endpoint::new();
        let registration = Arc::new(Registration::new(driver));
        let other = Arc::clone(&registration);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(registration.poll_ready(socket.fd(), &mut cx, Direction::Read).is_pending());
        let owner = spawn(move || other.deregister(socket.fd()).unwrap());
        assert!(block_on(readable(&registration, socket)).is_err());
        owner.join().unwrap();
    }
    catches "source: look again under the lock"
}
