//! Signals: a delivery is counted, seen and never slept through. N1 to N3.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loom::thread::spawn;

use super::support::block_on;
use crate::driver::{Direction, Driver, Registration};
use crate::harness::model;
use crate::primitive::Arc;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::poller::Endpoint;
use crate::signal::line::{Delivery, Line, Seen};

/// A listener for a line, whose bell is already registered.
struct Listener {
    line: Arc<Line>,
    seen: Seen,
    registration: Registration,
    bell: Endpoint,
}

impl Listener {
    fn new(line: &Arc<Line>, driver: &Arc<Driver>, bell: Endpoint) -> Self {
        let seen = line.listen(|| Ok(())).unwrap();
        let registration = Registration::new(Arc::clone(driver));
        let mut listener = Self { line: Arc::clone(line), seen, registration, bell };
        assert!(listener.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        listener
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (registration, bell) = (&self.registration, self.bell);
        self.line.poll_take(&mut self.seen, |take| {
            registration.poll_io(bell.fd(), cx, Direction::Read, take)
        })
    }
}

fn driver() -> Arc<Driver> {
    Arc::new(Driver::new(1).unwrap())
}

/// A pass over the driver that does not wait.
fn turn(driver: &Driver) {
    driver.try_lock().expect("one thread turns").turn(Some(Duration::ZERO));
}

model! {
    /// The driver passes on what rang at the worst moment, which is at once.
    fn a_delivery_wakes_who_was_about_to_sleep() {
        let (driver, bell, line) = (driver(), Endpoint::new(), Arc::new(Line::new()));
        let mut listener = Listener::new(&line, &driver, bell);
        let handler = spawn(move || {
            let delivery = line.deliver(|| {
                bell.arrive(1);
                turn(&driver);
            });
            assert_eq!(delivery, Delivery::Heard);
        });
        block_on(poll_fn(|cx| listener.poll(cx))).unwrap();
        handler.join().unwrap();
    }
    catches "signal: count before ringing", "source: look again under the lock"
}

model! {
    /// The bell is what brings a listener to look; who looks by chance sees as much.
    fn who_takes_a_delivery_sees_what_led_to_it() {
        let line = Arc::new(Line::new());
        let mut seen = line.listen(|| Ok(())).unwrap();
        let written = Arc::new(AtomicUsize::new(0));
        let (delivering, writing) = (Arc::clone(&line), Arc::clone(&written));
        let handler = spawn(move || {
            writing.store(1, Ordering::Relaxed);
            assert_eq!(delivering.deliver(|| ()), Delivery::Heard);
        });
        if matches!(line.poll_take(&mut seen, |take| Poll::Ready(take())), Poll::Ready(Ok(()))) {
            assert_eq!(written.load(Ordering::Relaxed), 1);
        }
        handler.join().unwrap();
    }
    catches "signal: a delivery without Release"
}

model! {
    fn each_of_two_deliveries_is_taken() {
        let (driver, bell, line) = (driver(), Endpoint::new(), Arc::new(Line::new()));
        let mut listener = Listener::new(&line, &driver, bell);
        let handler = spawn(move || {
            for _ in 0..2 {
                let _ = line.deliver(|| bell.arrive(1));
                turn(&driver);
            }
        });
        block_on(poll_fn(|cx| listener.poll(cx))).unwrap();
        block_on(poll_fn(|cx| listener.poll(cx))).unwrap();
        handler.join().unwrap();
    }
    catches "source: clear without comparing the tick"
}

model! {
    /// The handler may run before there is a listener, as part of somebody's chain.
    fn a_delivery_that_is_taken_for_somebodys_is_seen() {
        let line = Arc::new(Line::new());
        let handler = {
            let line = Arc::clone(&line);
            spawn(move || line.deliver(|| ()))
        };
        let mut seen = line.listen(|| Ok(())).unwrap();
        let delivery = handler.join().unwrap();
        let taken = line.poll_take(&mut seen, |take| Poll::Ready(take()));
        let is_seen = matches!(taken, Poll::Ready(Ok(())));
        assert_eq!(is_seen, delivery == Delivery::Heard);
    }
    catches "signal: read the count before being listed"
}

model! {
    fn the_handler_is_in_place_for_who_comes_as_the_last_one_goes() {
        let (line, is_ours) = (Arc::new(Line::new()), Arc::new(Mutex::new(false)));
        let install = |is_ours: &Mutex<bool>| {
            *is_ours.lock() = true;
            Ok(())
        };
        let _seen = line.listen(|| install(&is_ours)).unwrap();
        let leaving = {
            let (line, is_ours) = (Arc::clone(&line), Arc::clone(&is_ours));
            spawn(move || line.leave(|| *is_ours.lock() = false))
        };
        let _seen = line.listen(|| install(&is_ours)).unwrap();
        leaving.join().unwrap();
        assert!(*is_ours.lock(), "somebody listens, and the handler is gone");
        line.leave(|| *is_ours.lock() = false);
        assert!(!*is_ours.lock(), "nobody listens, and the handler is there");
    }
    catches "signal: restore under the lock"
}

model! {
    /// What came before the runtime's end is handed out after it.
    fn a_delivery_before_the_shutdown_is_not_lost_to_it() {
        let (driver, bell, line) = (driver(), Endpoint::new(), Arc::new(Line::new()));
        let mut listener = Listener::new(&line, &driver, bell);
        let ending = spawn(move || {
            let _ = line.deliver(|| bell.arrive(1));
            driver.shutdown();
        });
        block_on(poll_fn(|cx| listener.poll(cx))).unwrap();
        ending.join().unwrap();
        let gone = block_on(poll_fn(|cx| listener.poll(cx)));
        assert!(gone.is_err(), "a delivery was taken twice");
    }
    catches "signal: look once more when the driver is gone"
}

model! {
    fn the_shutdown_ends_a_wait_for_a_signal() {
        let (driver, bell, line) = (driver(), Endpoint::new(), Arc::new(Line::new()));
        let mut listener = Listener::new(&line, &driver, bell);
        let ending = spawn(move || driver.shutdown());
        assert!(block_on(poll_fn(|cx| listener.poll(cx))).is_err());
        ending.join().unwrap();
    }
    catches "source: look again under the lock"
}
