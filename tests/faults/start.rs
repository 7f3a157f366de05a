//! Runtimes that cannot be started.

use std::io;

use libc::{
    EMFILE, ENFILE, ENOMEM, ENOSPC, SYS_epoll_create1, SYS_epoll_ctl, SYS_eventfd2, SYS_mmap,
};
use tenter::{Builder, Runtime};

use crate::injector::{Call, Fault, inject, scenario};
use crate::support::{descriptors, threads, wait_until};

/// Workers of the runtimes that are started here.
const WORKERS: usize = 2;

fn build() -> io::Result<Runtime> {
    Builder::new().worker_threads(WORKERS).build()
}

/// A runtime is refused, by a system that refuses `times` calls after `skip`, and leaves nothing;
/// then one is built.
fn is_refused_cleanly(fault: &Fault, skip: u64, times: u64) -> io::Error {
    let (open, running) = (descriptors(), threads());
    let before = fault.struck();
    fault.strike_after(skip, times);
    let error = build().expect_err("the system refused something");
    assert_eq!(fault.struck() - before, times, "after {skip} calls");
    fault.strike(0);
    assert_eq!(descriptors(), open, "after {skip} calls: {error}");
    // A thread that was joined is about to leave the list.
    wait_until(|| threads() == running);
    let runtime = build().expect("the system refuses nothing");
    assert_eq!(runtime.block_on(async { tenter::spawn(async { 7 }).await.unwrap() }), 7);
    drop(runtime);
    wait_until(|| threads() == running);
    error
}

#[test]
fn a_runtime_without_a_descriptor_is_an_error_and_leaves_nothing() {
    scenario(|| {
        let errors = [EMFILE, ENFILE, ENOMEM];
        let epolls = errors.map(|error| Fault::error(&[SYS_epoll_create1], error));
        let eventfds = errors.map(|error| Fault::error(&[SYS_eventfd2], error));
        let [a, b, c, d, e, f] = inject({
            let ([a, b, c], [d, e, f]) = (epolls, eventfds);
            [a, b, c, d, e, f]
        });
        for (fault, error) in [&a, &b, &c].into_iter().zip(errors) {
            assert_eq!(is_refused_cleanly(fault, 0, 1).raw_os_error(), Some(error));
        }
        // `polling` can do without one of its own.
        for (fault, error) in [&d, &e, &f].into_iter().zip(errors) {
            assert_eq!(is_refused_cleanly(fault, 0, 2).raw_os_error(), Some(error));
        }
    });
}

#[test]
fn a_runtime_whose_poller_registers_nothing_is_an_error_and_leaves_nothing() {
    scenario(|| {
        let errors = [ENOMEM, ENOSPC];
        let faults = inject(errors.map(|error| Fault::error(&[SYS_epoll_ctl], error)));
        for (fault, error) in faults.iter().zip(errors) {
            for skip in 0..3 {
                assert_eq!(is_refused_cleanly(fault, skip, 1).raw_os_error(), Some(error));
            }
        }
    });
}

#[test]
fn a_runtime_without_one_of_its_threads_is_an_error_and_leaves_nothing() {
    scenario(|| {
        let [fault] = inject([Fault::no_thread()]);
        // The workers, and the monitor.
        for skip in 0..=WORKERS as u64 {
            let error = is_refused_cleanly(&fault, skip, 1);
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            assert!(error.to_string().contains("not started"), "{error}");
        }
    });
}

#[test]
fn a_runtime_without_memory_for_a_stack_is_an_error_and_leaves_nothing() {
    scenario(|| {
        let stacks = |call: &Call| call.arg(3) & libc::MAP_STACK as u64 != 0;
        let [fault] = inject([Fault::error(&[SYS_mmap], ENOMEM).when(stacks)]);
        let error = is_refused_cleanly(&fault, 0, 1);
        assert!(error.to_string().contains("not started"), "{error}");
    });
}
