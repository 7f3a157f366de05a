//! The handler, and how it comes to be one: all that needs `unsafe`.

use std::ffi::c_void;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::task::Poll;

use libc::{SA_NOCLDSTOP, SA_NOCLDWAIT, SA_ONSTACK, SA_RESTART, SA_SIGINFO, c_int, siginfo_t};
use rustix::event::{EventfdFlags, eventfd};

use crate::primitive::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::primitive::lock::Mutex;

use super::line::{Delivery, Line, Seen};

/// What can not be caught, or whose handler may not simply return.
const FORBIDDEN: [c_int; 6] =
    [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, libc::SIGBUS];

/// What an earlier handler asked for that holds for ours in its place: on which stack it runs, and
/// what becomes of children.
const FLAGS_KEPT: c_int = SA_ONSTACK | SA_NOCLDSTOP | SA_NOCLDWAIT;

/// What the handler works with; made by the first listener, and there for ever, as a handler may be
/// running, or be in somebody's chain, at any time.
static SWITCHBOARD: OnceLock<Switchboard> = OnceLock::new();

#[derive(Debug)]
struct Switchboard {
    /// By signal number.
    entries: Box<[Entry]>,
    /// An eventfd that is never read: each write is an edge.
    bell: OwnedFd,
}

#[derive(Debug)]
struct Entry {
    line: Line,
    /// What was in force before our handler, null before it was ever installed. It points to one of
    /// [`KNOWN`].
    previous: AtomicPtr<libc::sigaction>,
    /// Somebody's handler was installed over ours, and may call it. Under the line's lock.
    is_buried: AtomicBool,
}

/// Every action that was ever found in force, once: a handler may read it at any time, so it stays.
static KNOWN: Mutex<Vec<&'static libc::sigaction>> = Mutex::new(Vec::new());

/// A place among those who listen for a signal, until it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    board: &'static Switchboard,
    signal: c_int,
    seen: Seen,
}

impl Listener {
    /// Listens for `signal` from now on.
    ///
    /// # Errors
    ///
    /// - `InvalidInput`: there is no such signal, or it must not be caught.
    /// - The system's, if it has no descriptor left for the first listener of all.
    pub(super) fn new(signal: c_int) -> io::Result<Self> {
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
        if FORBIDDEN.contains(&signal) {
            return Err(invalid("this signal must not be caught"));
        }
        let board = Switchboard::get()?;
        let entry = board.entry(signal).ok_or_else(|| invalid("there is no such signal"))?;
        let seen = entry.line.listen(|| entry.install(signal))?;
        Ok(Self { board, signal, seen })
    }

    /// Polls for one delivery by `poll_io`, which waits for edges of the [bell](Listener::bell).
    pub(super) fn poll_take(
        &mut self,
        poll_io: impl FnOnce(&mut dyn FnMut() -> io::Result<()>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        match self.board.entry(self.signal) {
            Some(entry) => entry.line.poll_take(&mut self.seen, poll_io),
            None => unreachable!("a listener was made for signal {}", self.signal),
        }
    }

    /// What has an edge of readability after each delivery of any signal.
    pub(super) fn bell(&self) -> BorrowedFd<'static> {
        self.board.bell.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(entry) = self.board.entry(self.signal) {
            entry.line.leave(|| entry.restore(self.signal));
        }
    }
}

impl Switchboard {
    fn get() -> io::Result<&'static Self> {
        if let Some(board) = SWITCHBOARD.get() {
            return Ok(board);
        }
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let numbers = 0..=libc::SIGRTMAX();
        let board = Self { entries: numbers.map(|_| Entry::new()).collect(), bell };
        // Of two who come at once, one's is taken, and the other's dropped unused.
        Ok(SWITCHBOARD.get_or_init(|| board))
    }

    fn entry(&self, signal: c_int) -> Option<&Entry> {
        // No signal has the number 0.
        let index = usize::try_from(signal).ok().filter(|&index| index > 0)?;
        self.entries.get(index)
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            line: Line::new(),
            previous: AtomicPtr::new(ptr::null_mut()),
            is_buried: AtomicBool::new(false),
        }
    }

    /// Puts our handler in force, if it is not (N2: under the line's lock).
    fn install(&self, signal: c_int) -> io::Result<()> {
        let current = action(signal)?;
        // To install it a second time, over a handler that calls it, would have the two call
        // each other without end.
        if is_ours(&current) || (is_function(&current) && self.is_buried.load(Ordering::Relaxed)) {
            return Ok(());
        }
        // Before the handler can run.
        self.remember(&current);
        let mut ours = current;
        ours.sa_sigaction = our_address();
        ours.sa_flags = SA_RESTART | SA_SIGINFO | (current.sa_flags & FLAGS_KEPT);
        if signal == libc::SIGCHLD && current.sa_sigaction == libc::SIG_IGN {
            // Whoever ignores it has the system reap children.
            ours.sa_flags |= SA_NOCLDWAIT;
        }
        let replaced = exchange(signal, &ours)?;
        if !is_same(&replaced, &current) {
            // Somebody else was as quick; a signal that came in between has passed them by.
            self.remember(&replaced);
        }
        self.is_buried.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Puts back what was in force before, unless our handler is no longer (N2: under the line's
    /// lock).
    fn restore(&self, signal: c_int) {
        let is_ours = action(signal).is_ok_and(|current| is_ours(&current));
        self.is_buried.store(!is_ours, Ordering::Relaxed);
        if let Some(previous) = self.previous().filter(|_| is_ours) {
            // The system took it before, so it has no reason to refuse it.
            let _ = exchange(signal, previous);
        }
    }

    /// Keeps `action` for those whom the handler has to call, and for the end.
    fn remember(&self, action: &libc::sigaction) {
        let mut known = KNOWN.lock();
        let found = known.iter().copied().find(|other| is_same(other, action));
        let kept = found.unwrap_or_else(|| {
            let kept: &'static libc::sigaction = Box::leak(Box::new(*action));
            known.push(kept);
            kept
        });
        // ORDERING: Release. Pairs with Acquire in `previous`: what it points to is there.
        self.previous.store(ptr::from_ref(kept).cast_mut(), Ordering::Release);
    }

    fn previous(&self) -> Option<&'static libc::sigaction> {
        // ORDERING: Acquire. Pairs with Release in `remember`.
        let previous = self.previous.load(Ordering::Acquire);
        // SAFETY: null, or one of `KNOWN`, which stay for ever and are never written again.
        unsafe { previous.as_ref() }
    }
}

/// Tells all who sleep that there is a delivery.
fn ring(bell: BorrowedFd<'_>) {
    let one = 1_u64;
    // It fails if the counter is full, after more deliveries than anybody will see. Ends: a signal
    // interrupts a call once.
    //
    // SAFETY: `one` is valid for reads of its size, and `write` may be called in a handler (N4).
    while unsafe { libc::write(bell.as_raw_fd(), ptr::from_ref(&one).cast(), size_of::<u64>()) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// The handler of every signal that is, or was, listened for.
///
/// It must do what is right whenever it is called, also by the handlers of others after the last
/// listener has gone.
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: it returns a pointer to the errno of this thread, and may be called in a handler.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the pointer is this thread's, which has not ended.
    let before = unsafe { *errno };
    if let Some(board) = SWITCHBOARD.get() {
        if let Some(entry) = board.entry(signal) {
            let delivery = entry.line.deliver(|| ring(board.bell.as_fd()));
            if let Some(previous) = entry.previous() {
                pass_on(signal, info, context, previous, delivery);
            }
        }
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Does what the signal did before the listeners came, as far as it is still to be done.
fn pass_on(
    signal: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
    previous: &libc::sigaction,
    delivery: Delivery,
) {
    type Plain = extern "C" fn(c_int);
    type WithInfo = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

    let address = previous.sa_sigaction;
    if !is_function(previous) {
        // The last listener has gone, and whoever was over us has put us back, or we are about to
        // be taken away. Behind another handler it is that one's decision.
        let is_default = address == libc::SIG_DFL && delivery == Delivery::Unheard;
        if is_default && action(signal).is_ok_and(|current| is_ours(&current)) {
            take_default_action(signal);
        }
    } else if previous.sa_flags & SA_SIGINFO == 0 {
        // SAFETY: the system was to call this address with one argument.
        let handler = unsafe { mem::transmute::<usize, Plain>(address) };
        handler(signal);
    } else {
        // SAFETY: the system was to call this address with these three arguments.
        let handler = unsafe { mem::transmute::<usize, WithInfo>(address) };
        handler(signal, info, context);
    }
}

/// Does to this process what the signal does to one that has no handler.
fn take_default_action(signal: c_int) {
    match signal {
        libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH => {}
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
            // SAFETY: may be called in a handler (N4).
            unsafe { libc::raise(libc::SIGSTOP) };
        }
        // It ends the process when this handler returns, until when it is blocked.
        _ => {
            // SAFETY: may be called in a handler, and this action is always valid.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            // SAFETY: may be called in a handler (N4).
            unsafe { libc::raise(signal) };
        }
    }
}

fn our_address() -> usize {
    handle as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize
}

fn is_ours(action: &libc::sigaction) -> bool {
    action.sa_sigaction == our_address()
}

/// Whether there is anything to call.
fn is_function(action: &libc::sigaction) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction)
}

fn is_same(one: &libc::sigaction, other: &libc::sigaction) -> bool {
    // SAFETY: the set was filled in by `sigaction`.
    let blocks =
        |action: &libc::sigaction, signal| unsafe { libc::sigismember(&action.sa_mask, signal) };
    one.sa_sigaction == other.sa_sigaction
        && one.sa_flags == other.sa_flags
        && (1..=libc::SIGRTMAX()).all(|signal| blocks(one, signal) == blocks(other, signal))
}

/// What is in force for `signal`.
fn action(signal: c_int) -> io::Result<libc::sigaction> {
    let mut current = MaybeUninit::uninit();
    // SAFETY: nothing is changed, and `current` is valid for writes.
    let result = unsafe { libc::sigaction(signal, ptr::null(), current.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was filled in, as the call succeeded.
    Ok(unsafe { current.assume_init() })
}

/// Puts `new` in force for `signal`, and returns what was.
fn exchange(signal: c_int, new: &libc::sigaction) -> io::Result<libc::sigaction> {
    let mut old = MaybeUninit::uninit();
    // SAFETY: `new` is an action that was in force before, or calls `handle`, which may run at any
    // time on any thread (N4); `old` is valid for writes.
    let result = unsafe { libc::sigaction(signal, new, old.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was filled in, as the call succeeded.
    Ok(unsafe { old.assume_init() })
}
