//! Signals: each delivery reaches each listener, and what was there before comes back.
#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::mem::{self, MaybeUninit};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::thread;

use futures_lite::StreamExt;
use futures_lite::future::{block_on, poll_once};
use rustix::process::{self, Resource, Rlimit, getrlimit, setrlimit};
use support::{
    Child, Gate, LIMIT, apart, descriptors, expect_success, is_stopped, kill, process_state,
    runtime, until, wait_until, within,
};
use tenter::signal::unix::{Signal, SignalKind, signal};
use tenter::signal::{CtrlC, ctrl_c};

/// A signal that no other test of this process uses: the tests run side by side.
fn own_kind() -> SignalKind {
    static NEXT: AtomicI32 = AtomicI32::new(0);
    let number = libc::SIGRTMIN() + NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number <= libc::SIGRTMAX(), "there are more tests than signals");
    SignalKind::from_raw(number)
}

/// Delivers a signal to this thread, before it returns.
fn raise(kind: SignalKind) {
    // SAFETY: nothing of this thread is in a state that a handler could disturb.
    assert_eq!(unsafe { libc::raise(kind.as_raw_value()) }, 0);
}

/// Whether this process has a handler for a signal, as the system tells it.
fn is_caught(kind: SignalKind) -> bool {
    is_in(&fs::read_to_string("/proc/self/status").unwrap(), "SigCgt:", kind)
}

fn is_ignored(kind: SignalKind) -> bool {
    is_in(&fs::read_to_string("/proc/self/status").unwrap(), "SigIgn:", kind)
}

fn is_in(status: &str, set: &str, kind: SignalKind) -> bool {
    let set = status.lines().find_map(|line| line.strip_prefix(set)).expect("such a line");
    let set = u64::from_str_radix(set.trim(), 16).expect("a mask");
    set >> (kind.as_raw_value() - 1) & 1 == 1
}

/// Sets what a signal does, as a library of C would, and returns what it did.
fn set_action(kind: SignalKind, address: usize, flags: i32) -> libc::sigaction {
    // SAFETY: zeros are an empty set of signals, no flags and the default action.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = address;
    action.sa_flags = flags;
    put_action(kind, &action)
}

fn put_action(kind: SignalKind, action: &libc::sigaction) -> libc::sigaction {
    let mut old = MaybeUninit::uninit();
    // SAFETY: the handlers of these tests do what is allowed in one.
    let result = unsafe { libc::sigaction(kind.as_raw_value(), action, old.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    // SAFETY: it was filled in.
    unsafe { old.assume_init() }
}

/// Calls of the handlers below.
static PLAIN_CALLS: AtomicU64 = AtomicU64::new(0);
static INFO_CALLS: AtomicU64 = AtomicU64::new(0);
static OVER_CALLS: AtomicU64 = AtomicU64::new(0);

/// The address of the handler under [`over`].
static UNDER: AtomicU64 = AtomicU64::new(0);

type WithInfo = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

/// What errno the handlers leave behind.
const SPOILT: i32 = libc::EXDEV;

fn set_errno(value: i32) {
    // SAFETY: it asks for nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the pointer is this thread's.
    unsafe { *errno = value };
}

extern "C" fn plain(_signal: i32) {
    PLAIN_CALLS.fetch_add(1, Ordering::Relaxed);
    set_errno(SPOILT);
}

extern "C" fn with_info(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the system, or who has its arguments, calls this with a valid pointer.
    if unsafe { (*info).si_signo } == signal {
        INFO_CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts, and calls the handler that was there before.
extern "C" fn over(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    OVER_CALLS.fetch_add(1, Ordering::Relaxed);
    let under = UNDER.load(Ordering::Relaxed) as usize;
    // SAFETY: the address came from the system, with `SA_SIGINFO`.
    let under = unsafe { mem::transmute::<usize, WithInfo>(under) };
    under(signal, info, context);
}

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// Whether nothing is there to be received at once.
async fn is_quiet(listener: &mut Signal) -> bool {
    poll_once(listener.recv()).await.is_none()
}

#[test]
fn a_delivery_wakes_who_waits() {
    run(async {
        let kind = own_kind();
        let mut listener = signal(kind).unwrap();
        for _ in 0..500 {
            assert!(is_quiet(&mut listener).await);
            let raised = tenter::spawn_blocking(move || raise(kind));
            listener.recv().await.unwrap();
            raised.await.unwrap();
        }
    });
}

#[test]
fn nothing_is_lost_while_nobody_polls() {
    run(async {
        let kind = own_kind();
        let mut listener = signal(kind).unwrap();
        for _ in 0..1000 {
            raise(kind);
        }
        for _ in 0..1000 {
            listener.recv().await.unwrap();
        }
        assert!(is_quiet(&mut listener).await);
    });
}

#[test]
fn each_listener_gets_each_delivery_since_it_was_made() {
    run(async {
        let kind = own_kind();
        let mut one = signal(kind).unwrap();
        raise(kind);
        let mut other = signal(kind).unwrap();
        raise(kind);
        let gone = signal(kind).unwrap();
        drop(gone);
        raise(kind);
        for _ in 0..3 {
            one.recv().await.unwrap();
        }
        for _ in 0..2 {
            other.recv().await.unwrap();
        }
        assert!(is_quiet(&mut one).await && is_quiet(&mut other).await);
    });
}

#[test]
fn a_listener_hears_no_other_signal() {
    run(async {
        let (kind, other) = (own_kind(), own_kind());
        let (mut listener, mut others) = (signal(kind).unwrap(), signal(other).unwrap());
        raise(other);
        others.recv().await.unwrap();
        assert!(is_quiet(&mut listener).await);
    });
}

#[test]
fn a_storm_of_signals_is_counted_to_the_last() {
    const STORM: u64 = 100_000;
    run(async {
        let kind = own_kind();
        let (mut one, mut other) = (signal(kind).unwrap(), signal(kind).unwrap());
        let storm = thread::spawn(move || (0..STORM).for_each(|_| raise(kind)));
        let counting = tenter::spawn(async move {
            for _ in 0..STORM {
                one.recv().await.unwrap();
            }
            is_quiet(&mut one).await
        });
        for _ in 0..STORM {
            other.recv().await.unwrap();
        }
        assert!(counting.await.unwrap() && is_quiet(&mut other).await);
        storm.join().unwrap();
    });
}

#[test]
fn a_listener_is_a_stream() {
    run(async {
        let kind = own_kind();
        let listener = signal(kind).unwrap();
        (0..3).for_each(|_| raise(kind));
        assert_eq!(listener.take(3).count().await, 3);
    });
}

#[test]
fn a_wait_that_is_dropped_loses_nothing() {
    run(async {
        let kind = own_kind();
        let mut listener = signal(kind).unwrap();
        assert!(is_quiet(&mut listener).await);
        raise(kind);
        listener.recv().await.unwrap();
        assert!(is_quiet(&mut listener).await);
    });
}

#[test]
fn the_handler_goes_with_the_last_listener_and_comes_with_the_next() {
    run(async {
        let kind = own_kind();
        assert!(!is_caught(kind));
        for _ in 0..3 {
            let one = signal(kind).unwrap();
            let mut other = signal(kind).unwrap();
            assert!(is_caught(kind));
            drop(one);
            assert!(is_caught(kind));
            raise(kind);
            other.recv().await.unwrap();
            drop(other);
            assert!(!is_caught(kind));
        }
    });
}

#[test]
fn a_signal_that_was_ignored_is_ignored_again() {
    run(async {
        let kind = own_kind();
        set_action(kind, libc::SIG_IGN, 0);
        let mut listener = signal(kind).unwrap();
        assert!(!is_ignored(kind));
        raise(kind);
        listener.recv().await.unwrap();
        drop(listener);
        assert!(is_ignored(kind));
        raise(kind);
    });
}

#[test]
fn children_of_a_program_that_ignores_sigchld_leave_no_zombies_and_are_heard() {
    let output = Child::new().run(|| {
        within(LIMIT, || {
            runtime(2).block_on(async {
                set_action(SignalKind::child(), libc::SIG_IGN, 0);
                let mut listener = signal(SignalKind::child()).unwrap();
                let mut child = Command::new("true").spawn().unwrap();
                listener.recv().await;
                // Nobody waits for it.
                until(|| process_state(child.id()).is_none()).await;
                let error = child.wait().expect_err("the system has the status");
                assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
                drop(listener);
                assert!(is_ignored(SignalKind::child()));
            });
        });
    });
    expect_success(&output);
}

#[test]
fn the_handler_before_is_called_and_comes_back() {
    run(async {
        let (one, other) = (own_kind(), own_kind());
        set_action(one, plain as extern "C" fn(i32) as usize, 0);
        set_action(other, with_info as WithInfo as usize, libc::SA_SIGINFO);
        for round in 1..=2 {
            let (mut ones, mut others) = (signal(one).unwrap(), signal(other).unwrap());
            set_errno(0);
            raise(one);
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(0), "errno is spoilt");
            raise(other);
            ones.recv().await.unwrap();
            others.recv().await.unwrap();
            assert_eq!(PLAIN_CALLS.load(Ordering::Relaxed), 2 * round - 1);
            assert_eq!(INFO_CALLS.load(Ordering::Relaxed), 2 * round - 1);
            drop((ones, others));
            raise(one);
            raise(other);
            assert_eq!(PLAIN_CALLS.load(Ordering::Relaxed), 2 * round);
            assert_eq!(INFO_CALLS.load(Ordering::Relaxed), 2 * round);
        }
        let old = set_action(one, libc::SIG_IGN, 0);
        assert_eq!(old.sa_sigaction, plain as extern "C" fn(i32) as usize);
        assert_eq!(old.sa_flags & libc::SA_SIGINFO, 0);
        let old = set_action(other, libc::SIG_IGN, 0);
        assert_eq!(old.sa_sigaction, with_info as WithInfo as usize);
    });
}

#[test]
fn a_handler_that_was_put_over_ours_stays_and_is_no_trap() {
    let output = Child::new().run(|| {
        run(async {
            let kind = SignalKind::user_defined1();
            set_action(kind, libc::SIG_DFL, 0);
            let mut listener = signal(kind).unwrap();
            let ours = set_action(kind, over as WithInfo as usize, libc::SA_SIGINFO);
            UNDER.store(ours.sa_sigaction as u64, Ordering::Relaxed);
            raise(kind);
            listener.recv().await.unwrap();
            drop(listener);
            assert!(is_caught(kind), "the handler of somebody else was taken away");
            // Ours is behind it, with nobody to tell.
            raise(kind);
            assert_eq!(OVER_CALLS.load(Ordering::Relaxed), 2);

            let mut listener = signal(kind).unwrap();
            raise(kind);
            listener.recv().await.unwrap();
            assert!(is_quiet(&mut listener).await);
            assert_eq!(OVER_CALLS.load(Ordering::Relaxed), 3, "the two call each other");
            drop(listener);

            // Whoever was over us goes, and leaves a handler that nobody wants any more.
            put_action(kind, &ours);
            let mut listener = signal(kind).unwrap();
            raise(kind);
            listener.recv().await.unwrap();
            drop(listener);
            assert!(!is_caught(kind));
            put_action(kind, &ours);
            println!("still here");
            raise(kind);
            println!("not here");
        });
    });
    assert_eq!(output.status.signal(), Some(libc::SIGUSR1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("still here") && !text.contains("not here"), "{text}");
}

#[test]
fn a_signal_that_stops_by_default_stops_without_listeners() {
    let mut process = Child::new().start(|| {
        let kind = SignalKind::from_raw(libc::SIGTSTP);
        set_action(kind, libc::SIG_DFL, 0);
        let listener = signal(kind).unwrap();
        let ours = set_action(kind, libc::SIG_DFL, 0);
        drop(listener);
        // Somebody who had saved our handler puts it back.
        put_action(kind, &ours);
        raise(kind);
        println!("went on");
        thread::park();
    });
    within(LIMIT, || {
        wait_until(|| is_stopped(process.id()));
        kill(process.id(), process::Signal::CONT);
        process.line_of("went on");
        process.kill();
    });
}

#[test]
fn a_signal_that_does_nothing_by_default_does_nothing_without_listeners() {
    run(async {
        let kind = SignalKind::window_change();
        let listener = signal(kind).unwrap();
        let ours = set_action(kind, libc::SIG_DFL, 0);
        put_action(kind, &ours);
        drop(listener);
        put_action(kind, &ours);
        raise(kind);
        set_action(kind, libc::SIG_DFL, 0);
    });
}

#[test]
fn signals_that_must_not_be_caught_and_numbers_of_none_are_refused() {
    run(async {
        let forbidden =
            [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, libc::SIGBUS];
        let none = [0, -1, i32::MIN, i32::MAX, libc::SIGRTMAX() + 1, libc::SIGRTMIN() - 1];
        for number in forbidden.into_iter().chain(none) {
            let error = signal(SignalKind::from_raw(number)).expect_err("it is refused");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}: {error}");
        }
    });
}

#[test]
fn the_kinds_are_the_signals_of_their_names() {
    let kinds = [
        (SignalKind::alarm(), libc::SIGALRM),
        (SignalKind::child(), libc::SIGCHLD),
        (SignalKind::hangup(), libc::SIGHUP),
        (SignalKind::interrupt(), libc::SIGINT),
        (SignalKind::io(), libc::SIGIO),
        (SignalKind::pipe(), libc::SIGPIPE),
        (SignalKind::quit(), libc::SIGQUIT),
        (SignalKind::terminate(), libc::SIGTERM),
        (SignalKind::user_defined1(), libc::SIGUSR1),
        (SignalKind::user_defined2(), libc::SIGUSR2),
        (SignalKind::window_change(), libc::SIGWINCH),
    ];
    for (kind, number) in kinds {
        assert_eq!(i32::from(kind), number);
        assert_eq!(SignalKind::from(number), kind);
    }
}

#[test]
fn listeners_of_two_runtimes_hear_the_same_and_one_outlives_the_other() {
    within(LIMIT, || {
        let kind = own_kind();
        let (one, other) = (runtime(1), runtime(1));
        let mut ones = one.block_on(async { signal(kind).unwrap() });
        let mut others = other.block_on(async { signal(kind).unwrap() });
        let waiting = one.spawn(async move {
            ones.recv().await.unwrap();
            ones
        });
        raise(kind);
        let mut ones = one.block_on(waiting).unwrap();
        other.block_on(others.recv()).unwrap();

        raise(kind);
        drop(one);
        assert_eq!(block_on(ones.recv()), Some(()), "it came before the end");
        assert_eq!(block_on(ones.recv()), None);
        assert_eq!(block_on(ones.next()), None);
        raise(kind);
        (0..2).for_each(|_| other.block_on(others.recv()).unwrap());
        drop(ones);
        assert!(is_caught(kind));
        drop((others, other));
        assert!(!is_caught(kind));
    });
}

#[test]
fn the_end_of_the_runtime_ends_a_wait() {
    within(LIMIT, || {
        let kind = own_kind();
        let runtime = runtime(1);
        let mut listener = runtime.block_on(async { signal(kind).unwrap() });
        let waits = Gate::new();
        let waiter = {
            let waits = waits.clone();
            thread::spawn(move || {
                block_on(async {
                    assert!(is_quiet(&mut listener).await);
                    waits.open();
                    listener.recv().await
                })
            })
        };
        waits.wait();
        drop(runtime);
        assert_eq!(waiter.join().unwrap(), None);
    });
}

#[test]
fn a_listener_that_is_made_outside_a_runtime_belongs_to_that_which_polls_it() {
    within(LIMIT, || {
        let kind = own_kind();
        let mut listener = signal(kind).unwrap();
        raise(kind);
        let polled = AssertUnwindSafe(|| apart(|| block_on(listener.recv())));
        assert!(catch_unwind(polled).is_err(), "there is no runtime");
        runtime(1).block_on(listener.recv()).unwrap();
    });
}

#[test]
fn a_call_that_waits_is_not_interrupted() {
    run(async {
        let kind = own_kind();
        let mut listener = signal(kind).unwrap();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let reading = thread::spawn(move || near.read(&mut [0; 8]).map_err(|error| error.kind()));
        let thread = std::os::unix::thread::JoinHandleExt::as_pthread_t(&reading);
        for _ in 0..50 {
            // SAFETY: the thread was not joined.
            assert_eq!(unsafe { libc::pthread_kill(thread, kind.as_raw_value()) }, 0);
            listener.recv().await.unwrap();
        }
        far.write_all(b"data").unwrap();
        assert_eq!(reading.join().unwrap(), Ok(4));
    });
}

#[test]
fn children_start_without_handlers() {
    run(async {
        let kind = own_kind();
        let _listener = signal(kind).unwrap();
        let status = Command::new("cat").arg("/proc/self/status").output().unwrap();
        let status = String::from_utf8(status.stdout).unwrap();
        assert!(!is_in(&status, "SigCgt:", kind) && !is_in(&status, "SigIgn:", kind));
    });
}

#[test]
fn listeners_come_and_go_under_a_storm() {
    within(LIMIT, || {
        let kind = own_kind();
        set_action(kind, libc::SIG_IGN, 0);
        let runtime = runtime(2);
        let storm = thread::spawn(move || (0..20_000).for_each(|_| raise(kind)));
        let users: Vec<_> = (0..2)
            .map(|_| {
                runtime.spawn(async move {
                    for _ in 0..300 {
                        let mut listener = signal(kind).unwrap();
                        raise(kind);
                        listener.recv().await.unwrap();
                    }
                })
            })
            .collect();
        users.into_iter().for_each(|user| runtime.block_on(user).unwrap());
        storm.join().unwrap();
        assert!(is_ignored(kind));
    });
}

#[test]
fn a_listener_takes_one_descriptor_and_gives_it_back() {
    let output = Child::new().run(|| {
        run(async {
            let kind = SignalKind::hangup();
            // The first ever opens one for all, and the driver of this runtime is there.
            drop(signal(kind).unwrap());
            let before = descriptors();
            let mut listeners: Vec<_> = (0..10).map(|_| signal(kind).unwrap()).collect();
            assert_eq!(descriptors(), before + 10);
            raise(kind);
            for listener in &mut listeners {
                listener.recv().await.unwrap();
            }
            drop(listeners);
            assert_eq!(descriptors(), before);

            let limit = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..limit }).unwrap();
            let mut filling = Vec::new();
            // Once more if there was one left: the monitor had it for a moment, to look at a thread.
            let error = loop {
                // Ends: there are 64.
                filling.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
                if let Err(error) = signal(kind) {
                    break error;
                }
            };
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            drop(filling);
            assert!(!is_caught(kind));
            drop(signal(kind).unwrap());
        });
    });
    expect_success(&output);
}

#[test]
fn the_second_ctrl_c_ends_the_program() {
    let output = Child::new().run(|| {
        // A shell has what it starts in the background ignore it.
        set_action(SignalKind::interrupt(), libc::SIG_DFL, 0);
        run(async {
            let future = ctrl_c();
            // Before it is polled.
            raise(SignalKind::interrupt());
            future.await.unwrap();
            println!("one");
            let mut future = ctrl_c();
            assert!(poll_once(&mut future).await.is_none());
            raise(SignalKind::interrupt());
            (&mut future).await.unwrap();
            println!("two");
            // The future is still there, and is ready.
            raise(SignalKind::interrupt());
            println!("three");
            drop(future);
        });
    });
    assert_eq!(output.status.signal(), Some(libc::SIGINT), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("two") && !text.contains("three"), "{text}");
}

#[test]
fn several_wait_for_one_ctrl_c() {
    let output = Child::new().run(|| {
        within(LIMIT, || {
            let runtime = runtime(2);
            // Outside the runtime, as an argument of `block_on` is.
            let first = ctrl_c();
            let task = runtime.spawn(ctrl_c());
            let mut terminations = signal(SignalKind::terminate()).unwrap();
            wait_until(|| is_caught(SignalKind::interrupt()));
            raise(SignalKind::interrupt());
            runtime.block_on(first).unwrap();
            runtime.block_on(task).unwrap().unwrap();
            assert!(runtime.block_on(is_quiet(&mut terminations)));
        });
    });
    expect_success(&output);
}

#[test]
fn the_types_go_everywhere() {
    fn assert<T: Send + Sync + Unpin + std::fmt::Debug + UnwindSafe + RefUnwindSafe>(_: &T) {}
    let listener = signal(own_kind()).unwrap();
    assert(&listener);
    assert!(format!("{listener:?}").contains("SignalKind"));
    fn assert_type<T: Send + Sync + Unpin + std::fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert_type::<CtrlC>();
    assert_type::<SignalKind>();
}
