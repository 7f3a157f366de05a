//! Child processes: started, watched and reaped.

use libc::{
    EAGAIN, EINTR, EMFILE, ENFILE, ENOMEM, SYS_eventfd2, SYS_pidfd_open, SYS_pipe2, SYS_wait4,
    SYS_waitid, SYS_write,
};
use tenter::io::{AsyncReadExt, AsyncWriteExt};
use tenter::process::{Command, Stdio};

use crate::injector::{Call, Fault, POLLS, inject, scenario};
use crate::support::{children, descriptors, eventfds, runtime, threads_named, until, wait_until};

/// A program that runs until its input ends.
fn cat() -> Command {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// It does what it should.
async fn works() {
    let mut child = cat().spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"meow").await.unwrap();
    drop(stdin);
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "meow");
    assert!(child.wait().await.unwrap().success());
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_and_leaves_nothing() {
    scenario(|| {
        let [again, memory, pipes, all_pipes] = inject([
            Fault::no_process(EAGAIN),
            Fault::no_process(ENOMEM),
            Fault::error(&[SYS_pipe2], EMFILE),
            Fault::error(&[SYS_pipe2], ENFILE),
        ]);
        let faults = [(again, EAGAIN), (memory, ENOMEM), (pipes, EMFILE), (all_pipes, ENFILE)];
        runtime(2).block_on(async {
            works().await;
            for (fault, error) in &faults {
                let before = descriptors();
                fault.strike(1);
                let refused = cat().spawn().unwrap_err();
                assert_eq!(refused.raw_os_error(), Some(*error));
                until(|| descriptors() <= before).await;
                assert!(children().is_empty());
                works().await;
            }
        });
    });
}

#[test]
fn a_program_that_cannot_be_watched_is_killed_and_reaped() {
    scenario(|| {
        let errors = [EMFILE, ENFILE, ENOMEM];
        let faults = inject(errors.map(|error| Fault::error(&[SYS_pidfd_open], error)));
        runtime(2).block_on(async {
            works().await;
            let before = descriptors();
            for (fault, error) in faults.iter().zip(errors) {
                fault.strike(1);
                let refused = cat().spawn().unwrap_err();
                assert_eq!(refused.raw_os_error(), Some(error));
                until(|| children().is_empty()).await;
                works().await;
            }
            until(|| descriptors() <= before).await;
        });
    });
}

#[test]
fn a_wait_for_a_program_that_signals_interrupt_is_repeated() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_wait4, SYS_waitid], EINTR)]);
        runtime(2).block_on(async {
            let mut child = cat().spawn().unwrap();
            fault.strike(100);
            assert!(child.wait().await.unwrap().success());
            assert_eq!(fault.struck(), 100);
        });
    });
}

#[test]
fn a_program_that_nobody_waits_for_is_reaped_whatever_the_reaper_meets() {
    scenario(|| {
        let [waits, interrupted, no_memory, bells] = inject([
            Fault::error(&[SYS_wait4, SYS_waitid], EINTR),
            Fault::error(&POLLS, EINTR),
            Fault::error(&POLLS, ENOMEM),
            Fault::error(&[SYS_write], EINTR).when(Call::rings),
        ]);
        runtime(2).block_on(async {
            for polls in [interrupted, no_memory] {
                waits.strike(20);
                let (seen, struck) = (polls.calls(), polls.struck());
                let eventfds_before = eventfds();
                polls.strike(5);
                let mut one = cat().spawn().unwrap();
                let held = one.stdin.take();
                drop(one);
                // It sleeps without an end, and is to be told of another.
                until(|| polls.struck() - struck == 5 && polls.calls() - seen > 5).await;
                let mut own = eventfds();
                own.retain(|fd| !eventfds_before.contains(fd));
                assert_eq!(own.len(), 1, "its bell");
                let rung = bells.struck();
                bells.only(&own[0]).strike(5);
                drop(cat().spawn().unwrap());
                assert_eq!(bells.struck() - rung, 5);
                until(|| children().len() == 1).await;
                drop(held);
                until(|| children().is_empty()).await;
                until(|| threads_named("tenter-reaper") == 0).await;
            }
            assert_eq!(waits.struck(), 40);
        });
    });
}

#[test]
fn a_program_that_nobody_waits_for_is_reaped_without_a_descriptor_for_the_reaper() {
    scenario(|| {
        let [fault, sleeps] =
            inject([Fault::error(&[SYS_eventfd2], EMFILE), Fault::counter(&POLLS)]);
        runtime(2).block_on(async {
            fault.strike(1);
            let mut one = cat().spawn().unwrap();
            let (input, before) = (one.stdin.take(), sleeps.calls());
            drop(one);
            // Another one comes while it sleeps, and cannot ring.
            until(|| sleeps.calls() > before).await;
            assert_eq!(fault.struck(), 1);
            drop(cat().spawn().unwrap());
            until(|| children().len() == 1).await;
            drop(input);
            until(|| children().is_empty()).await;
        });
    });
}

#[test]
fn a_program_that_nobody_waits_for_is_reaped_with_the_next_if_there_is_no_thread() {
    scenario(|| {
        let [fault] = inject([Fault::no_thread()]);
        let runtime = runtime(1);
        runtime.block_on(async {
            works().await;
            let child = cat().spawn().unwrap();
            fault.strike(1);
            drop(child);
            assert_eq!(fault.struck(), 1);
            works().await;
            until(|| children().is_empty()).await;
        });
        wait_until(|| threads_named("tenter-reaper") == 0);
    });
}
