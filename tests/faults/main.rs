//! Faults: what the system may answer instead of what was hoped for, and what is promised then.
//!
//! Each test runs in a process of its own, and [`injector`] strikes there at the border to the
//! system. That a loop does not spin is told by the number of its calls, which is exact; a clock
//! tells at most that a pause was no shorter than promised. A test's name is the promise; where the
//! fault, the place and the promise are to be seen at one glance is here, and a test sees to it that
//! this table and the tests are the same.
//!
//! | fault | where it strikes | promise | test |
//! |---|---|---|---|
//! | `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS` | `accept4`, [`accept`](tenter::net::TcpListener::accept) | each error is told once, after a pause the connection is accepted; one call an error | `accept::an_accept_that_finds_no_descriptor_says_so_and_loses_no_connection` |
//! | the same | `accept4`, the stream of connections of a Unix socket | the same | `accept::a_stream_of_connections_that_finds_no_descriptor_says_so_and_loses_none` |
//! | `EMFILE`, for good | `accept4`, in a loop that ignores errors | pauses of 5 ms and more; the runtime ends | `accept::a_loop_around_accept_pauses_while_there_is_no_descriptor_and_ends_with_its_runtime` |
//! | `ECONNABORTED`, `EPROTO`, `EPERM` | `accept4` | told once, the next one is accepted at once | `accept::an_accept_that_fails_for_one_connection_says_so_and_goes_on_with_the_next` |
//! | `EINTR` | `accept4` | repeated | `accept::an_accept_that_signals_interrupt_returns_the_connection` |
//! | `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM` | `socket`, of four kinds | the error as it came, nothing stays open, the next one is made | `net::a_socket_that_cannot_be_made_is_an_error_and_leaves_nothing_open` |
//! | `ENOBUFS` | `socket`, of a connection to several addresses | the next address is tried | `net::a_connect_that_finds_no_socket_goes_on_to_the_next_address` |
//! | `EINTR`, and the system goes on | `connect` to an address | waited for, not repeated | `net::a_connect_that_a_signal_interrupts_is_waited_for` |
//! | `EINTR` | `connect` to a Unix socket | repeated | `net::a_unix_connect_that_signals_interrupt_is_repeated` |
//! | `ENOMEM`, `ENOSPC` | `epoll_ctl`, a socket's first wait | an error of that wait; the next one registers, and the drop closes | `net::a_registration_that_fails_is_the_error_of_one_wait_and_closes_nothing` |
//! | `ECONNRESET`, `ENOMEM`, `ETIMEDOUT`, `EHOSTUNREACH` | a read of a socket | the error once, no byte is lost | `net::an_error_of_a_read_is_passed_on_once_and_costs_no_byte` |
//! | `EPIPE`, `ECONNRESET`, `ENOBUFS`, `ENOMEM` | a write to a socket | the error once, no byte is sent twice | `net::an_error_of_a_write_is_passed_on_once_and_doubles_no_byte` |
//! | `EINTR` | reads and writes of TCP and UDP | repeated, each byte once | `net::reads_and_writes_that_signals_interrupt_move_every_byte_once` |
//! | `EINTR` | `sendmsg`, `recvmsg` with descriptors | repeated, each descriptor once | `net::messages_with_descriptors_that_signals_interrupt_arrive_once` |
//! | readiness that is false: `EAGAIN` | a read that was told to try | one call in vain, and the next event is awaited | `net::readiness_that_proves_false_is_waited_out_by_one_call` |
//! | partial writes | a TCP connection with the least buffer there is | every byte, in order | `writes::a_stream_that_takes_little_at_a_time_gets_every_byte_in_order` |
//! | a full pipe | a write to a pipe of one page | every byte, in order; no more than two calls a read | `writes::a_pipe_that_is_full_is_waited_for_and_tried_at_most_twice_a_read` |
//! | partial writes | a file, three bytes at a time | every byte, in order | `writes::a_file_that_takes_three_bytes_at_a_time_gets_every_byte_in_order` |
//! | a full disk: `ENOSPC`, `EDQUOT`, `EFBIG`; a broken one: `EIO` | a write to a file | the error of that write; the position stays | `disk::a_write_to_a_full_disk_says_so_and_the_next_one_goes_where_it_would_have` |
//! | a full disk | the flush of a buffer | told each time; what is buffered stays | `disk::a_buffered_writer_says_at_its_flush_that_the_disk_is_full_and_keeps_what_it_has` |
//! | a full disk | a write whose future was dropped | the next flush or close tells | `disk::the_error_of_a_write_that_was_dropped_is_told_by_the_flush_or_the_close` |
//! | a full disk | `fs::write`, `fs::copy` | the error as it came | `disk::a_whole_file_that_does_not_fit_is_an_error_whoever_writes_it` |
//! | a full disk | standard output | the error as it came | `disk::standard_output_that_is_full_is_an_error_of_the_write` |
//! | `EIO` | `fsync`, `fdatasync` | the error as it came | `disk::the_error_of_a_sync_is_passed_on` |
//! | `EIO` | `close` of a file | the error as it came, and one call | `disk::the_error_of_a_close_is_passed_on_and_the_descriptor_is_free` |
//! | `EIO` | a read of a file | the error once, no byte is lost | `disk::an_error_of_a_read_is_passed_on_and_costs_no_byte` |
//! | `EINTR` | opening, reading, writing a file | repeated | `disk::calls_on_files_that_signals_interrupt_are_repeated` |
//! | `EMFILE`, `ENFILE`, `ENOMEM` | opening a file | the error as it came; the next one opens | `disk::a_file_for_which_there_is_no_descriptor_is_an_error_and_can_be_opened_later` |
//! | `EINTR` | `epoll_pwait2` | taken up again; input and timers go on, no timer is early | `driver::a_wait_for_events_that_signals_interrupt_is_taken_up_again` |
//! | no events, too early | `epoll_pwait2` | the same | `driver::a_wait_for_events_that_ends_early_with_nothing_is_taken_up_again` |
//! | lateness | `epoll_pwait2` | no event, wake or timer is lost | `driver::a_wait_for_events_that_is_late_loses_no_event_no_wake_and_no_timer` |
//! | `EINTR` | the write that wakes the driver | repeated | `driver::a_wake_of_the_driver_that_a_signal_interrupts_is_made_again` |
//! | lateness | the write that wakes the driver | the task runs | `driver::a_wake_of_the_driver_that_is_late_is_not_lost` |
//! | spurious wakes: 0, `EAGAIN`, `EINTR` | every `futex` that waits | back to sleep; no wake is lost, no timer is early | `driver::threads_that_wake_for_nothing_go_back_to_sleep_and_miss_no_wake` |
//! | `EINTR` | the look at a terminal before it is read | repeated; the thread does not block | `driver::a_look_at_a_terminal_that_signals_interrupt_is_repeated_and_nobody_blocks` |
//! | `ENOSYS` | `epoll_pwait2` | no runtime, and the reason in words | `driver::a_kernel_without_the_call_that_waits_is_refused_in_words` |
//! | `EMFILE`, `ENFILE`, `ENOMEM` | `epoll_create1`, `eventfd2` of a new runtime | the error as it came; no thread and no descriptor stays | `start::a_runtime_without_a_descriptor_is_an_error_and_leaves_nothing` |
//! | `ENOMEM`, `ENOSPC` | `epoll_ctl` of a new runtime, each of them | the same | `start::a_runtime_whose_poller_registers_nothing_is_an_error_and_leaves_nothing` |
//! | `EAGAIN` | the start of each worker, and of the monitor | the same, with the thread's name | `start::a_runtime_without_one_of_its_threads_is_an_error_and_leaves_nothing` |
//! | `ENOMEM` | `mmap` of a stack | the same | `start::a_runtime_without_memory_for_a_stack_is_an_error_and_leaves_nothing` |
//! | `EAGAIN` | the first thread of the blocking pool | the closure is cancelled, the next one runs | `threads::a_closure_for_which_there_is_no_thread_is_cancelled_and_the_next_one_runs` |
//! | `EAGAIN` | the same, for a file or a name | an error of the operation | `threads::a_file_operation_or_a_look_up_for_which_there_is_no_thread_is_an_error` |
//! | `EAGAIN` | another thread of the blocking pool | closures wait for the thread there is | `threads::closures_behind_a_busy_thread_wait_for_it_if_there_is_no_other` |
//! | `EAGAIN` | a relief for a worker that is stuck | tried again until there is one | `threads::a_relief_that_cannot_be_started_is_tried_again_until_it_can` |
//! | `EAGAIN` | a relief for who steps aside | the closure runs all the same; tried again until there is one | `threads::who_steps_aside_without_a_thread_to_stand_in_goes_on` |
//! | `EAGAIN`, `ENOMEM`, `EMFILE`, `ENFILE` | fork and pipes of a child process | the error as it came, nothing stays | `process::a_program_that_cannot_be_started_is_an_error_and_leaves_nothing` |
//! | `EMFILE`, `ENFILE`, `ENOMEM` | `pidfd_open` of a child that runs already | the error as it came; the child is killed and reaped | `process::a_program_that_cannot_be_watched_is_killed_and_reaped` |
//! | `EINTR` | the wait for a child | repeated | `process::a_wait_for_a_program_that_signals_interrupt_is_repeated` |
//! | `EINTR`, `ENOMEM` | wait, sleep and bell of the reaper | no zombie stays | `process::a_program_that_nobody_waits_for_is_reaped_whatever_the_reaper_meets` |
//! | `EMFILE` | the reaper's own descriptor | no zombie stays | `process::a_program_that_nobody_waits_for_is_reaped_without_a_descriptor_for_the_reaper` |
//! | `EAGAIN` | the reaper's thread | the zombie goes with the next child | `process::a_program_that_nobody_waits_for_is_reaped_with_the_next_if_there_is_no_thread` |
//! | `EMFILE`, `ENFILE` | the descriptor of the first listener for a signal | an error; the next one hears | `signal::a_listener_for_which_there_is_no_descriptor_is_an_error_and_the_next_one_hears` |
//! | `EINVAL` | `sigaction`, both calls | an error; the next one hears | `signal::a_listener_whose_handler_is_refused_is_an_error_and_the_next_one_hears` |
//! | `EINTR` | the write of a signal handler | repeated | `signal::a_delivery_whose_bell_signals_interrupt_is_heard` |
//! | `EMFILE`, `ENFILE`, `EAGAIN`, `ENOMEM`, once | socket pair, pipe, fork and `pidfd_open` of a worker process | another try, of which the job hears nothing | `jobs::a_job_waits_for_another_try_when_its_worker_cannot_be_started_once` |
//! | the same, for good | the same | the job's error has the system's; no process and no descriptor stays | `jobs::a_job_for_which_no_worker_can_be_started_says_why_and_leaves_nothing` |
//! | `EMFILE`, `ENOMEM` | the memory for large arguments | an error of that job; the next one runs | `jobs::a_job_for_whose_arguments_there_is_no_memory_fails_alone` |
//! | `EAGAIN` | the thread that copies large arguments | copied without it | `jobs::a_large_argument_is_copied_where_there_is_no_thread_for_it` |
//! | `EINTR` | what is sent to and received from a worker process | repeated | `jobs::calls_to_a_worker_that_signals_interrupt_are_repeated` |
//! | `EINTR` | the wait for a worker process that died, or that is killed | repeated; no zombie stays | `jobs::a_worker_whose_wait_signals_interrupt_is_killed_and_reaped` |
//! | `ENOBUFS`, `ENOMEM` | what is sent to a worker process | another worker runs the job | `jobs::a_worker_that_cannot_be_written_to_is_replaced_and_the_job_runs_there` |
//! | `ETOOMANYREFS` | a descriptor that is sent to a worker process | another worker runs the job | `jobs::a_worker_that_cannot_be_sent_a_descriptor_is_replaced_and_the_job_runs_there` |
//! | the clock stands still | `clock_gettime` | input, wakes, closures and the end of the runtime go on; no more than two waits for each | `time::all_that_does_not_wait_for_time_goes_on_while_the_clock_stands_still` |
//! | the clock stands still | a worker that is never idle | input reaches it | `time::input_reaches_a_worker_that_is_never_idle_while_the_clock_stands_still` |
//! | the clock jumps ahead | timers of two hours | each that is due fires once, no other | `time::a_clock_that_jumps_ahead_fires_each_timer_that_is_due_once` |
//!
//! Not here: reads of a TCP connection that are short though there is more, and writes that are
//! short though there is room. The system promises that there are none, and the driver builds on it
//! (`epoll(7)`).
//!
//! A filter names the architecture whose system calls it is about, by a number that [`border`] has
//! for three of them. On others there are no tests here.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]

#[forbid(unsafe_code)]
mod accept;
mod border;
mod clock;
#[forbid(unsafe_code)]
mod disk;
#[forbid(unsafe_code)]
mod driver;
#[path = "../folder/mod.rs"]
mod folder;
#[forbid(unsafe_code)]
mod injector;
#[cfg(feature = "jobs")]
#[forbid(unsafe_code)]
mod jobs;
#[forbid(unsafe_code)]
mod net;
#[forbid(unsafe_code)]
mod process;
#[forbid(unsafe_code)]
mod signal;
#[forbid(unsafe_code)]
mod sockets;
#[forbid(unsafe_code)]
mod start;
#[path = "../support/mod.rs"]
mod support;
#[forbid(unsafe_code)]
mod table;
#[forbid(unsafe_code)]
mod threads;
#[forbid(unsafe_code)]
mod time;
#[forbid(unsafe_code)]
mod writes;
