//! A poller without a system, and the sockets it polls.
//!
//! It does what epoll does with edges: a registered socket that changes is put on a list, once; a
//! wait takes the list and reports what is so at that moment. Time stands still until a model
//! lets it pass. One lock is around all of it: what orders a call before the wait that answers it
//! is not checked.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use super::clock;
pub(crate) use super::clock::{Clock, instant, nanos};
use super::lock::{self, Condvar, Mutex};
use crate::engine::lazy_static;

/// One source's news.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) key: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) read_closed: bool,
    pub(crate) write_closed: bool,
    pub(crate) priority: bool,
}

/// What one wait found.
#[derive(Debug)]
pub(crate) struct Events {
    list: Vec<Event>,
    woken: bool,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { list: Vec::new(), woken: false }
    }

    pub(crate) fn woken(&self) -> bool {
        self.woken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.woken
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.list.iter().copied()
    }
}

/// The one poller of a run: all of them share one system.
#[derive(Debug)]
pub(crate) struct Poller(());

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    pub(crate) const fn is_edge(&self) -> bool {
        true
    }

    pub(crate) const fn tells_end(&self) -> bool {
        true
    }

    /// # Safety
    ///
    /// As in `src/primitive/poller`; here nothing can go wrong.
    pub(crate) unsafe fn add(&self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let mut state = SYSTEM.state.lock();
        let socket = &mut state.sockets[fd.as_raw_fd() as usize];
        assert!(socket.key.is_none(), "a descriptor is registered twice");
        socket.key = Some(key);
        socket.changed = true;
        drop(state);
        SYSTEM.changed.notify_all();
        Ok(())
    }

    pub(crate) fn rearm(&self, _: BorrowedFd<'_>, _: usize, _: bool, _: bool) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut state = SYSTEM.state.lock();
        state.sockets[fd.as_raw_fd() as usize].key = None;
        Ok(())
    }

    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let mut state = SYSTEM.state.lock();
        let end = timeout.map(|timeout| clock::now().saturating_add(nanos(timeout)));
        // Ends: with an event, a wake, or when the model lets time pass.
        loop {
            events.list.clear();
            events.list.extend(state.sockets.iter_mut().filter_map(Socket::harvest));
            events.woken = std::mem::take(&mut state.woken);
            let is_over = end.is_some_and(|end| IS_OVER.get() || end <= clock::now());
            if !events.is_empty() || is_over {
                return Ok(());
            }
            if timeout.is_none() {
                state = SYSTEM.changed.wait(state);
                continue;
            }
            let timed_out;
            (state, timed_out) = SYSTEM.changed.wait_until(state, instant(0));
            if timed_out {
                return Ok(());
            }
        }
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        SYSTEM.state.lock().woken = true;
        SYSTEM.changed.notify_all();
        Ok(())
    }
}

std::thread_local! {
    /// Time has passed, as far as waits are concerned.
    static IS_OVER: Cell<bool> = const { Cell::new(false) };
}

/// For models: sets every clock to `ns`; waits for the poller that have an end are over, those
/// under way and those to come.
pub(crate) fn let_time_pass_to(ns: u64) {
    let state = SYSTEM.state.lock();
    clock::set_now(ns);
    IS_OVER.set(true);
    drop(state);
    lock::let_time_pass();
}

/// For programs: sets every clock to `ns`, and more time is to come; waits for the poller that
/// end before are over.
pub(crate) fn advance_to(ns: u64) {
    let state = SYSTEM.state.lock();
    clock::set_now(ns);
    drop(state);
    SYSTEM.changed.notify_all();
}

/// For the harness: sets every clock to zero.
pub(crate) fn reset_clock() {
    clock::set_now(0);
    IS_OVER.set(false);
}

/// The system that all pollers of a run share.
struct System {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    sockets: Vec<Socket>,
    woken: bool,
}

/// One end of a connection.
#[derive(Debug, Default)]
struct Socket {
    /// What it is registered under.
    key: Option<usize>,
    /// It is on the list that the next wait takes.
    changed: bool,
    /// Bytes that can be read.
    bytes: usize,
    /// The peer sends no more.
    ended: bool,
    /// A read or write finds an error.
    broken: bool,
}

impl Socket {
    fn harvest(&mut self) -> Option<Event> {
        let key = self.key?;
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        Some(Event {
            key,
            readable: self.bytes > 0 || self.ended || self.broken,
            // Room to write there always is, and epoll says so with every event.
            writable: true,
            read_closed: self.ended || self.broken,
            write_closed: self.broken,
            priority: false,
        })
    }
}

lazy_static! {
    static ref SYSTEM: System =
        System { state: Mutex::new(State::default()), changed: Condvar::new() };
}

/// For models: a connected socket, and the peer's hand on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint(RawFd);

impl Endpoint {
    pub(crate) fn new() -> Self {
        let mut state = SYSTEM.state.lock();
        state.sockets.push(Socket::default());
        Self(state.sockets.len() as RawFd - 1)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'static> {
        // SAFETY: nobody makes a system call with it.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }

    /// Whether the poller reports on it.
    pub(crate) fn is_registered(&self) -> bool {
        SYSTEM.state.lock().sockets[self.0 as usize].key.is_some()
    }

    /// The peer sends.
    pub(crate) fn arrive(&self, bytes: usize) {
        self.change(|socket| socket.bytes += bytes);
    }

    /// The peer sends no more.
    pub(crate) fn end(&self) {
        self.change(|socket| socket.ended = true);
    }

    /// The connection breaks.
    pub(crate) fn break_down(&self) {
        self.change(|socket| socket.broken = true);
    }

    fn change(&self, how: impl FnOnce(&mut Socket)) {
        let mut state = SYSTEM.state.lock();
        let socket = &mut state.sockets[self.0 as usize];
        how(socket);
        socket.changed = true;
        drop(state);
        SYSTEM.changed.notify_all();
    }

    /// Reads at most `asked` bytes.
    pub(crate) fn read(&self, asked: usize) -> io::Result<usize> {
        let mut state = SYSTEM.state.lock();
        let socket = &mut state.sockets[self.0 as usize];
        if socket.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if socket.bytes == 0 && !socket.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let moved = socket.bytes.min(asked);
        socket.bytes -= moved;
        Ok(moved)
    }
}
