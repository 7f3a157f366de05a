//! What workers print: captured line by line with the job's number, or passed on; however much it
//! is, and whoever does not read it.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write, stderr, stdout};
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::{
    Child, Journal, LIMIT, apart, expect_success, memory_peak, note, until, wait_for_note, watchdog,
};
use tenter::Runtime;
use tenter::jobs::{JobError, OutputLine, OutputStream, ProcessPool};

const GIGABYTE: u64 = 1 << 30;

/// What a parent may have in memory at most, whatever its workers print.
const MEMORY_MAX: usize = 128 << 20;

/// For tests that move a gigabyte.
const LONG: Duration = Duration::from_secs(180);

/// How long a shutdown waits until what workers have printed is passed on.
const END_WAIT: Duration = Duration::from_secs(1);

/// Lines of a captured job: worker, job, stream and text.
type Lines = Arc<Mutex<Vec<(u32, Option<u64>, OutputStream, String)>>>;

#[tenter::job]
fn prints(journal: &str, name: &str) -> u32 {
    println!("{name} begins");
    eprintln!("{name} complains");
    note(journal, name);
    wait_for_note(journal, "go");
    println!("{name} ends");
    process::id()
}

#[tenter::job]
fn prints_without_an_end(text: &str) {
    print!("{text}");
    stdout().flush().expect("standard output is there");
    eprint!("{text}");
}

/// Prints so many bytes, in lines of 1000.
#[tenter::job]
fn prints_bytes(bytes: u64, to_stderr: bool) -> u64 {
    let mut block = [b'x'; 64_000];
    block.iter_mut().skip(999).step_by(1000).for_each(|byte| *byte = b'\n');
    let mut written = 0;
    while written < bytes {
        let result =
            if to_stderr { stderr().write_all(&block) } else { stdout().write_all(&block) };
        result.expect("somebody reads it");
        written += block.len() as u64;
    }
    written
}

/// Prints one line of so many bytes.
#[tenter::job]
fn prints_a_long_line(bytes: u64) -> u64 {
    let block = [b'y'; 1 << 16];
    for _ in 0..bytes >> 16 {
        stderr().write_all(&block).expect("somebody reads it");
    }
    stderr().write_all(b"\n").expect("somebody reads it");
    bytes
}

#[tenter::job]
fn prints_for_ever() {
    prints_bytes(u64::MAX, true);
}

#[tenter::job]
fn id() -> u32 {
    process::id()
}

#[tenter::job]
fn says_goodbye(line: &str) {
    eprintln!("{line}");
    process::abort();
}

/// A runtime that says nothing of its own on standard error.
fn runtime() -> Runtime {
    let mut builder = Runtime::builder();
    builder.worker_threads(2).blocked_after(None).build().expect("a runtime starts")
}

/// A pool whose workers' lines are kept.
fn capturing(workers: usize) -> (ProcessPool, Lines) {
    let lines = Lines::default();
    let sink = lines.clone();
    let keep = move |line: OutputLine<'_>| {
        let text = line.to_str_lossy().into_owned();
        sink.lock().unwrap().push((line.pid, line.job, line.stream, text));
    };
    let pool = ProcessPool::builder().workers(workers).capture_output(keep).build().unwrap();
    (pool, lines)
}

#[tenter::test]
async fn lines_come_with_their_worker_their_stream_and_their_job() {
    let _watchdog = watchdog(LIMIT);
    let (pool, lines) = capturing(2);
    let journal = Journal::new();
    let jobs = ["one", "two"].map(|name| {
        let call = prints::job(journal.path(), name);
        (name, tenter::spawn(pool.run(call)))
    });
    // Both have begun before one of them ends.
    journal.has_lines(2).await;
    journal.note("go");
    let mut workers = BTreeMap::new();
    for (name, job) in jobs {
        workers.insert(name, job.await.unwrap().unwrap());
    }
    until(|| lines.lock().unwrap().len() >= 6).await;
    let lines = lines.lock().unwrap().clone();
    let mut numbers = Vec::new();
    for (name, worker) in workers {
        let own = |wanted: OutputStream| {
            let own =
                lines.iter().filter(move |(pid, _, stream, _)| *pid == worker && *stream == wanted);
            own.map(|(_, _, _, text)| text.clone()).collect::<Vec<_>>()
        };
        let (begins, ends) = (format!("{name} begins"), format!("{name} ends"));
        assert_eq!(own(OutputStream::Stdout), [begins.clone(), ends], "{lines:?}");
        assert_eq!(own(OutputStream::Stderr), [format!("{name} complains")], "{lines:?}");
        // While the job waits at the gate the line is there to read.
        let begun = lines.iter().find(|(_, _, _, text)| *text == begins).expect("it is there");
        numbers.push(begun.1);
    }
    assert_ne!(numbers[0], numbers[1], "{lines:?}");
}

#[tenter::test]
async fn a_line_without_an_end_and_what_is_no_text_arrive_too() {
    let _watchdog = watchdog(LIMIT);
    let (pool, lines) = capturing(1);
    pool.run(prints_without_an_end::job("half")).await.unwrap();
    pool.shutdown(Duration::MAX).await;
    drop(pool);
    until(|| lines.lock().unwrap().len() >= 2).await;
    let lines = lines.lock().unwrap().clone();
    assert!(lines.iter().all(|(_, _, _, text)| text == "half"), "{lines:?}");
}

#[tenter::test]
async fn a_function_that_panics_at_a_line_harms_no_job() {
    let _watchdog = watchdog(LIMIT);
    let seen = Arc::new(AtomicU64::new(0));
    let counter = seen.clone();
    let faulty = move |_: OutputLine<'_>| {
        counter.fetch_add(1, Ordering::Relaxed);
        resume_silently();
    };
    let pool = ProcessPool::builder().workers(1).capture_output(faulty).build().unwrap();
    for _ in 0..3 {
        pool.run(prints_bytes::job(64_000, false)).await.unwrap();
    }
    until(|| seen.load(Ordering::Relaxed) > 1).await;
    assert!(pool.run(id::job()).await.is_ok());
}

/// Panics without the hook's message.
fn resume_silently() {
    std::panic::resume_unwind(Box::new("a line too many"));
}

#[tenter::test]
async fn a_job_that_prints_a_gigabyte_is_captured_in_bounded_memory() {
    let _watchdog = watchdog(LONG);
    let output = Child::new().run(|| apart(|| captures_a_gigabyte(false)));
    expect_success(&output);
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

#[tenter::test]
async fn one_line_of_a_gigabyte_is_captured_in_bounded_memory() {
    let _watchdog = watchdog(LONG);
    expect_success(&Child::new().run(|| apart(|| captures_a_gigabyte(true))));
}

/// The child of the two above.
fn captures_a_gigabyte(in_one_line: bool) {
    let (bytes, lines) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counters = (bytes.clone(), lines.clone());
    let count = move |line: OutputLine<'_>| {
        counters.0.fetch_add(line.line.len() as u64, Ordering::Relaxed);
        counters.1.fetch_add(1, Ordering::Relaxed);
    };
    runtime().block_on(async {
        let pool = ProcessPool::builder().workers(1).capture_output(count).build().unwrap();
        let printed = if in_one_line {
            pool.run(prints_a_long_line::job(GIGABYTE)).await.unwrap()
        } else {
            let printed = pool.run(prints_bytes::job(GIGABYTE, false)).await.unwrap();
            // Without the ends of lines.
            printed / 1000 * 999
        };
        assert!(pool.run(id::job()).await.is_ok());
        until(|| bytes.load(Ordering::Relaxed) >= printed).await;
        assert_eq!(bytes.load(Ordering::Relaxed), printed);
    });
    println!("{} lines, {} bytes of memory", lines.load(Ordering::Relaxed), memory_peak());
    assert!(memory_peak() < MEMORY_MAX, "{}", memory_peak());
}

#[tenter::test]
async fn a_gigabyte_is_passed_on_to_nobody() {
    let _watchdog = watchdog(LONG);
    let child = Child::new().stderr(Stdio::null());
    let mut child = child.start(|| {
        apart(|| {
            runtime().block_on(async {
                let pool = ProcessPool::builder().workers(1).build().unwrap();
                assert!(pool.run(prints_bytes::job(GIGABYTE, true)).await.unwrap() >= GIGABYTE);
            });
            println!("peak {}", memory_peak());
        });
    });
    let peak: usize = child.line_of("peak").parse().unwrap();
    assert!(child.wait().success());
    assert!(peak < MEMORY_MAX, "{peak}");
}

#[tenter::test]
async fn what_is_passed_on_to_a_slow_reader_arrives_whole_and_waits_in_the_worker() {
    let _watchdog = watchdog(LONG);
    const BYTES: u64 = 64_000 * 1600;
    let mut child = Child::new().stderr(Stdio::piped()).start(|| {
        apart(|| {
            let runtime = runtime();
            runtime.block_on(async {
                let pool = ProcessPool::builder().workers(1).build().unwrap();
                assert_eq!(pool.run(prints_bytes::job(BYTES, true)).await.unwrap(), BYTES);
                let start = Instant::now();
                // Its end is passed on before the pool is gone,
                pool.shutdown(Duration::MAX).await;
                // unless the reader was too slow for that: then this process waits for it.
                let journal = (start.elapsed() >= END_WAIT).then(Journal::new);
                println!("waits for {}", journal.as_ref().map_or("nobody", Journal::path));
                if let Some(journal) = journal {
                    journal.has("read").await;
                }
            });
            println!("peak {}", memory_peak());
            // Its end, if it took long, would be told of on standard error.
            std::mem::forget(runtime);
        });
    });
    let mut pipe = child.stderr();
    let total = Arc::new(AtomicU64::new(0));
    let sum = total.clone();
    let read = tenter::spawn_blocking(move || {
        let (mut block, mut others) = (vec![0; 1 << 16], Vec::new());
        loop {
            let read = pipe.read(&mut block).unwrap();
            let is_printed = |byte: &&u8| matches!(byte, b'x' | b'\n');
            let printed = block[..read].iter().filter(is_printed).count();
            sum.fetch_add(printed as u64, Ordering::Relaxed);
            others.extend(block[..read].iter().filter(|byte| !is_printed(byte)));
            if read == 0 {
                return others;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    });
    let waits_for = child.line_of("waits for");
    if waits_for != "nobody" {
        until(|| total.load(Ordering::Relaxed) >= BYTES).await;
        note(&waits_for, "read");
    }
    let peak: usize = child.line_of("peak").parse().unwrap();
    assert!(child.wait().success());
    let others = read.await.unwrap();
    let total = total.load(Ordering::Relaxed);
    assert_eq!(total, BYTES, "{}", String::from_utf8_lossy(&others));
    assert!(peak < MEMORY_MAX, "{peak}");
}

#[tenter::test]
async fn a_reader_that_reads_nothing_stops_one_worker_and_not_the_parent() {
    let _watchdog = watchdog(LIMIT);
    let mut child = Child::new().stderr(Stdio::piped()).start(|| {
        apart(|| {
            runtime().block_on(async {
                let pool = ProcessPool::builder().workers(2).build().unwrap();
                let after = Duration::from_millis(300);
                for _ in 0..3 {
                    let stuck = pool.run(prints_for_ever::job().timeout(after));
                    let stuck = tenter::spawn(stuck);
                    assert!(pool.run(id::job()).await.is_ok());
                    let error = stuck.await.unwrap().unwrap_err();
                    assert!(matches!(error, JobError::TimedOut { .. }), "{error}");
                }
                assert!(pool.run(id::job()).await.is_ok());
                // The end of the pool does not wait for that reader for ever.
                pool.shutdown(after).await;
                assert!(pool.workers().is_empty());
                println!("peak {}", memory_peak());
            });
        });
    });
    let _unread = child.stderr();
    let peak: usize = child.line_of("peak").parse().unwrap();
    assert!(peak < MEMORY_MAX, "{peak}");
}

#[tenter::test]
async fn a_function_that_takes_its_time_slows_only_the_worker() {
    let _watchdog = watchdog(LIMIT);
    let slow = |_: OutputLine<'_>| std::thread::sleep(Duration::from_micros(100));
    let pool = ProcessPool::builder().workers(2).capture_output(slow).build().unwrap();
    let after = Duration::from_millis(300);
    let loud = tenter::spawn(pool.run(prints_for_ever::job().timeout(after)));
    for _ in 0..10 {
        assert!(pool.run(id::job()).await.is_ok());
    }
    let error = loud.await.unwrap().unwrap_err();
    assert!(matches!(error, JobError::TimedOut { .. }), "{error}");
}

#[tenter::test]
async fn output_that_is_not_captured_is_that_of_the_parent() {
    let _watchdog = watchdog(LIMIT);
    let output = Child::new().run(|| {
        apart(|| {
            runtime().block_on(async {
                let pool = ProcessPool::builder().workers(1).build().unwrap();
                let journal = Journal::new();
                journal.note("go");
                let call = prints::job(journal.path(), "it");
                pool.run(call).await.unwrap();
                pool.shutdown(Duration::MAX).await;
            });
        });
    });
    expect_success(&output);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("it begins\n") && out.contains("it ends\n"), "{out}");
    assert!(err.contains("it complains\n"), "{err}");
    // Nothing of what a test program says by itself, more than once.
    assert_eq!(out.matches("running 1 test").count(), 1, "{out}");
}

#[tenter::test]
async fn an_error_has_the_last_lines_also_if_they_are_captured() {
    let _watchdog = watchdog(LIMIT);
    let (pool, lines) = capturing(1);
    let error = pool.run(says_goodbye::job("goodbye")).await.unwrap_err();
    let JobError::Died { stderr, .. } = error else { panic!("{error:?}") };
    assert!(stderr.lines().any(|line| line == "goodbye"), "{stderr}");
    until(|| lines.lock().unwrap().iter().any(|line| line.3 == "goodbye")).await;
    // Of much it is the end.
    let text = format!("{}the end", "line\n".repeat(100_000));
    let error = pool.run(says_goodbye::job(&text)).await.unwrap_err();
    let JobError::Died { stderr, .. } = error else { panic!("{error:?}") };
    assert!(stderr.len() <= 4096 && stderr.contains("the end"), "{stderr}");
}
