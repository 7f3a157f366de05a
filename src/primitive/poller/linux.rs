//! Linux: one `epoll_pwait2` a wait, on the epoll that `polling` made.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::{Errno, retry_on_intr};

use super::{EVENTS_MAX, Event, WAKE_KEY};

/// How late the kernel may end a short wait of an ordinary thread (`PR_SET_TIMERSLACK`).
const SLACK_MIN: Duration = Duration::from_micros(50);

/// The share of a longer wait by which the kernel may end it late: one thousandth, up to
/// [`SLACK_MAX`].
const SLACK_SHARE: u32 = 1000;

/// The most by which the kernel ends a wait late.
const SLACK_MAX: Duration = Duration::from_millis(100);

/// An epoll and the eventfd that wakes it.
///
/// Any thread may register, delete and wake; one at a time may wait.
#[derive(Debug)]
pub(crate) struct Poller {
    polling: polling::Poller,
    /// Registered edge-triggered and never read: each write is a new edge, and the sum of the
    /// writes would need centuries to overflow.
    alarm: OwnedFd,
}

impl Poller {
    /// A poller with nothing registered.
    ///
    /// # Errors
    ///
    /// - `Unsupported`: the kernel has no `epoll_pwait2`; it came with Linux 5.11.
    /// - What the system says, when descriptors have run out.
    pub(crate) fn new() -> io::Result<Self> {
        let polling = polling::Poller::new()?;
        let alarm = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let key = EventData::new_u64(WAKE_KEY as u64);
        epoll::add(&polling, &alarm, key, EventFlags::IN | EventFlags::ET)?;
        let poller = Self { polling, alarm };
        poller.wait(&mut Events::new(), Some(Duration::ZERO)).map_err(explain)?;
        Ok(poller)
    }

    /// Whether a source reports each change by itself, without [`Poller::rearm`].
    #[inline]
    pub(crate) const fn is_edge(&self) -> bool {
        true
    }

    /// Whether the end of a stream is told by an event of its own.
    ///
    /// Where it is not, a short read must be followed by another: the end may lie behind it,
    /// and its edge may have been that of the data.
    #[inline]
    pub(crate) const fn tells_end(&self) -> bool {
        true
    }

    /// Registers `fd` for both directions, edge-triggered: what is so already is the first edge.
    ///
    /// # Safety
    ///
    /// 1. `fd` is deleted before it is closed, or closing it deletes it (it has no duplicate), or
    ///    events under `key` do no harm afterwards.
    pub(crate) unsafe fn add(&self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        debug_assert_ne!(key, WAKE_KEY, "the key of the poller itself");
        let flags =
            EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
        Ok(epoll::add(&self.polling, fd, EventData::new_u64(key as u64), flags)?)
    }

    /// Asks for the next event of a source: nothing to do with edges.
    #[inline]
    pub(crate) fn rearm(&self, _: BorrowedFd<'_>, _: usize, _: bool, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// Forgets `fd`: no wait that starts later names it.
    pub(crate) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.polling, fd)?)
    }

    /// Waits for events, at most `timeout`.
    ///
    /// May return a little early with nothing: the kernel ends a wait late by its slack, so the
    /// slack is taken off beforehand. A signal ends the wait with nothing too.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.list.clear();
        let timeout = timeout.map(|timeout| {
            // Beyond the range of the clock is for ever.
            Timespec::try_from(without_slack(timeout)).unwrap_or(FAR)
        });
        match epoll::wait(self.polling.as_fd(), spare_capacity(&mut events.list), timeout.as_ref())
        {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the current wait, or else the next one, at once. Never lost.
    pub(crate) fn wake(&self) -> io::Result<()> {
        match retry_on_intr(|| rustix::io::write(&self.alarm, &1u64.to_ne_bytes())) {
            // A full counter is an edge that was not harvested yet.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A wait that nobody sees the end of: 136 years.
const FAR: Timespec = Timespec { tv_sec: u32::MAX as _, tv_nsec: 0 };

/// `timeout`, less what the kernel may add: then its latest end is the moment that was meant.
fn without_slack(timeout: Duration) -> Duration {
    let slack = (timeout / SLACK_SHARE).clamp(SLACK_MIN, SLACK_MAX);
    timeout.checked_sub(slack).unwrap_or(timeout)
}

fn explain(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) {
        let why = "the kernel has no epoll_pwait2: Linux 5.11 or newer is needed";
        return io::Error::new(io::ErrorKind::Unsupported, why);
    }
    error
}

/// What one wait found.
pub(crate) struct Events {
    list: Vec<epoll::Event>,
}

// SAFETY: the union in `epoll::Event` stops the auto trait, for it could hold a pointer; ours
// only ever hold the integers given to `Poller::add`, so there is nothing to hand over.
unsafe impl Send for Events {}

impl Events {
    /// No events, and room for those of a wait.
    pub(crate) fn new() -> Self {
        Self { list: Vec::with_capacity(EVENTS_MAX) }
    }

    /// Whether the last wait found nothing at all, no [`Poller::wake`] either.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The sources' news, in the order of their arrival.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.list.iter().map(from_epoll).filter(|event| event.key != WAKE_KEY)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn from_epoll(event: &epoll::Event) -> Event {
    let flags = event.flags;
    // An error is what the next call of either direction returns: both are as good as closed.
    let dead = flags.intersects(EventFlags::ERR | EventFlags::HUP);
    let priority = flags.contains(EventFlags::PRI);
    Event {
        key: event.data.u64() as usize,
        readable: dead || priority || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
        writable: dead || flags.contains(EventFlags::OUT),
        read_closed: dead || flags.contains(EventFlags::RDHUP),
        write_closed: dead,
        priority,
    }
}
