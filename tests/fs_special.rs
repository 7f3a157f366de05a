//! Pipes, terminals and devices as files: what waits there holds up nobody.

mod folder;
mod support;

use std::fs;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Waker};

use folder::Folder;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use support::{LIMIT, until, wait_until, within};
use tenter::fs::{File, OpenOptions};
use tenter::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use tenter::{Builder, Runtime};

/// Makes a pipe with a name.
fn fifo(folder: &Folder) -> PathBuf {
    let path = folder.path("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe is made");
    path
}

/// A descriptor that keeps both ends of a pipe open.
fn both_ends(path: &Path) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).open(path).expect("it does not wait")
}

fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || support::runtime(2).block_on(body))
}

/// A runtime with a task that waits for a call which may wait for ever, and does.
fn busy_runtime(future: impl Future<Output = ()> + Send + 'static) -> Runtime {
    let runtime = support::runtime(2);
    runtime.spawn(future).detach();
    wait_until(|| {
        let metrics = runtime.handle().metrics();
        let tasks = runtime.handle().tasks();
        // Such a call has a task that waits for it, and is none of the closures.
        tasks.iter().filter(|task| !task.is_blocking()).count() == 2
            && metrics.blocking_threads() > metrics.blocking_idle_threads()
            && metrics.blocking_queued() == 0
    });
    runtime
}

#[test]
fn opening_a_pipe_that_nobody_opens_does_not_hold_up_the_end() {
    within(LIMIT, || {
        for _ in 0..20 {
            let folder = Folder::new();
            let path = fifo(&folder);
            let opened = path.clone();
            let runtime = busy_runtime(async move {
                let _never = File::open(opened).await;
            });
            drop(runtime);
            // The thread is still there, and ends when somebody comes.
            drop(both_ends(&path));
        }
    });
}

#[test]
fn a_read_that_nobody_answers_does_not_hold_up_the_end() {
    within(LIMIT, || {
        let folder = Folder::new();
        let path = fifo(&folder);
        let ends = both_ends(&path);
        let runtime = busy_runtime(async move {
            let mut file = File::open(path).await.unwrap();
            let _never = file.read(&mut [0]).await;
        });
        let report = runtime.shutdown(std::time::Duration::MAX);
        assert!(report.is_clean(), "{report}");
        drop(ends);
    });
}

#[test]
fn reading_and_writing_whole_pipes_does_not_hold_up_the_end_either() {
    within(LIMIT, || {
        for write in [false, true] {
            let folder = Folder::new();
            let path = fifo(&folder);
            let ends = both_ends(&path);
            let runtime = busy_runtime(async move {
                if write {
                    let _never = tenter::fs::write(path, vec![0; 1 << 20]).await;
                } else {
                    let _never = tenter::fs::read(path).await;
                }
            });
            drop(runtime);
            drop(ends);
        }
    });
}

#[test]
fn a_pipe_is_read_and_written_by_name() {
    let folder = Folder::new();
    let path = fifo(&folder);
    run(async {
        let reader = tenter::spawn(tenter::fs::read_to_string(path.clone()));
        let mut writer = OpenOptions::new().write(true).open(&path).await.unwrap();
        for _ in 0..100 {
            writer.write_all(b"a line\n").await.unwrap();
        }
        writer.close().await.unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), "a line\n".repeat(100));
    });
}

#[test]
fn a_read_of_a_pipe_that_is_dropped_loses_nothing() {
    let folder = Folder::new();
    let path = fifo(&folder);
    run(async {
        let mut ends = both_ends(&path);
        let mut file = File::open(&path).await.unwrap();
        let mut buffer = [0; 64];
        for _ in 0..50 {
            let read = pin!(file.read(&mut buffer));
            assert!(read.poll(&mut Context::from_waker(Waker::noop())).is_pending());
            ends.write_all(b"data").unwrap();
            assert_eq!(file.read(&mut buffer[..1]).await.unwrap(), 1);
            assert_eq!(file.read(&mut buffer).await.unwrap(), 3);
        }
    });
}

#[test]
fn a_pending_read_of_a_pipe_keeps_no_write_from_it() {
    let folder = Folder::new();
    let path = fifo(&folder);
    run(async {
        let mut file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
        let mut buffer = [0; 64];
        let read = pin!(file.read(&mut buffer));
        assert!(read.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        file.write_all(b"to itself").await.unwrap();
        file.flush().await.unwrap();
        let len = file.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"to itself");
        assert!(file.seek(SeekFrom::Start(0)).await.is_err());
        assert!(file.read_at(&mut buffer, 0).await.is_err());
        let mut file = file.into_std().await.unwrap();
        file.write_all(b"std").unwrap();
        file.read_exact(&mut buffer[..3]).unwrap();
    });
}

#[test]
fn a_pipe_without_readers_is_the_error_of_the_write() {
    let folder = Folder::new();
    let path = fifo(&folder);
    run(async {
        let ends = both_ends(&path);
        let mut file = OpenOptions::new().write(true).open(&path).await.unwrap();
        file.write_all(b"x").await.unwrap();
        drop(ends);
        assert_eq!(file.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_pipe_that_is_closed_is_at_its_end_for_the_other_side() {
    let folder = Folder::new();
    let path = fifo(&folder);
    run(async {
        let reader = tenter::spawn(tenter::fs::read(path.clone()));
        let mut file = OpenOptions::new().write(true).open(&path).await.unwrap();
        file.write_all(b"all").await.unwrap();
        file.close().await.unwrap();
        // The value is still there.
        assert_eq!(reader.await.unwrap().unwrap(), b"all");
        drop(file);
    });
}

#[test]
fn calls_that_wait_for_ever_can_be_given_up_and_take_the_pools_threads() {
    within(LIMIT, || {
        let mut builder = Builder::new();
        let runtime = builder.worker_threads(1).max_blocking_threads(3).build().unwrap();
        support::watch(runtime.handle());
        let folder = Folder::new();
        let path = fifo(&folder);
        runtime.block_on(async {
            let opens: Vec<_> = (0..5).map(|_| tenter::spawn(File::open(path.clone()))).collect();
            until(|| {
                let metrics = runtime.handle().metrics();
                metrics.blocking_threads() == 3 && metrics.blocking_idle_threads() == 0
            })
            .await;
            for open in opens {
                assert!(open.cancel().await.is_none());
            }
            // Somebody comes: the threads are had again.
            drop(both_ends(&path));
            fs::write(folder.path("file"), "x").unwrap();
            assert_eq!(tenter::fs::read(folder.path("file")).await.unwrap(), b"x");
        });
    });
}
