//! Signals.

use libc::{EINTR, EINVAL, EMFILE, ENFILE, SIGUSR1, SYS_eventfd2, SYS_rt_sigaction, SYS_write};
use signal_hook::low_level::raise;
use tenter::signal::unix::{SignalKind, signal};

use crate::injector::{Call, Fault, inject, scenario};
use crate::support::{is_suspended, runtime, wait_until};

#[test]
fn a_listener_for_which_there_is_no_descriptor_is_an_error_and_the_next_one_hears() {
    scenario(|| {
        let errors = [EMFILE, ENFILE];
        let faults = inject(errors.map(|error| Fault::error(&[SYS_eventfd2], error)));
        runtime(2).block_on(async {
            for (fault, error) in faults.iter().zip(errors) {
                fault.strike(1);
                let refused = signal(SignalKind::user_defined1()).unwrap_err();
                assert_eq!(refused.raw_os_error(), Some(error));
            }
            let mut usr1 = signal(SignalKind::user_defined1()).unwrap();
            raise(SIGUSR1).unwrap();
            assert!(usr1.recv().await.is_some());
        });
    });
}

#[test]
fn a_listener_whose_handler_is_refused_is_an_error_and_the_next_one_hears() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_rt_sigaction], EINVAL)]);
        runtime(2).block_on(async {
            // To ask what is in force is one call, to change it another.
            for skip in [0, 1] {
                fault.strike_after(skip, 1);
                let refused = signal(SignalKind::user_defined1()).unwrap_err();
                assert_eq!(refused.raw_os_error(), Some(EINVAL));
            }
            let mut usr1 = signal(SignalKind::user_defined1()).unwrap();
            raise(SIGUSR1).unwrap();
            assert!(usr1.recv().await.is_some());
        });
    });
}

#[test]
fn a_delivery_whose_bell_signals_interrupt_is_heard() {
    scenario(|| {
        let [fault] = inject([Fault::error(&[SYS_write], EINTR).when(Call::rings)]);
        let runtime = runtime(1);
        let task = runtime.spawn(async {
            let mut usr1 = signal(SignalKind::user_defined1()).unwrap();
            // The second is awaited when the first has been.
            usr1.recv().await.unwrap();
            usr1.recv().await.unwrap();
        });
        wait_until(|| is_suspended(&runtime));
        for _ in 0..2 {
            let before = fault.struck();
            fault.strike(5);
            raise(SIGUSR1).unwrap();
            assert_eq!(fault.struck() - before, 5);
        }
        runtime.block_on(task).unwrap();
    });
}
