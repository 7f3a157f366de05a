//! Files: what is read and written, where, and when it is there.

mod folder;
mod support;

use std::fs;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use folder::Folder;
use support::{LIMIT, Pair, until, within};
use tenter::fs::{File, OpenOptions};
use tenter::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt,
};
use tenter::{Builder, spawn_blocking};

/// Runs the body of a test on a runtime with two workers.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || support::runtime(2).block_on(body))
}

/// Runs the body of a test on a runtime whose blocking pool has one thread.
fn run_narrow<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || {
        let runtime = Builder::new().worker_threads(1).max_blocking_threads(1).build().unwrap();
        support::watch(runtime.handle());
        runtime.block_on(body)
    })
}

/// Polls a future once while the only thread of the pool is held, and drops it.
async fn drop_pending<F: Future>(future: F) {
    let held = Pair::new();
    let holding = held.clone();
    spawn_blocking(move || holding.hold()).detach();
    held.arrived.pass().await;
    let is_pending = poll_once(pin!(future)).is_pending();
    held.released.open();
    assert!(is_pending);
}

/// Polls once, for nobody.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Bytes that do not repeat soon.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

async fn read_write(path: &std::path::Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).await.unwrap()
}

#[test]
fn what_is_written_is_in_the_file_when_the_write_returns() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let mut file = File::create(&path).await.unwrap();
        for len in [1, 100, 10_000, 1_000_000] {
            let before = fs::metadata(&path).unwrap().len();
            let written = file.write(&pattern(len)).await.unwrap();
            assert_eq!(fs::metadata(&path).unwrap().len(), before + written as u64);
        }
    });
}

#[test]
fn a_write_takes_at_most_two_mebibytes_and_write_all_takes_all() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let mut file = File::create(&path).await.unwrap();
        let data = pattern(5_000_000);
        assert_eq!(file.write(&data).await.unwrap(), 2 * 1024 * 1024);
        file.write_all(&data[2 * 1024 * 1024..]).await.unwrap();
        assert!(fs::read(&path).unwrap() == data);
    });
}

#[test]
fn the_error_of_a_write_is_its_own() {
    run(async {
        let mut full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        for _ in 0..3 {
            assert_eq!(full.write(b"x").await.unwrap_err().kind(), ErrorKind::StorageFull);
            full.flush().await.unwrap();
        }
        full.close().await.unwrap();
    });
}

#[test]
fn files_of_every_size_are_read_whole_by_buffers_of_every_size() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        for size in [0, 1, 8191, 8192, 8193, 40_960, 100_000, 3_000_000] {
            let data = pattern(size);
            fs::write(&path, &data).unwrap();
            for buffer in [1000, 8192, 70_000, 4_000_000] {
                let mut file = File::open(&path).await.unwrap();
                let (mut read, mut buffer) = (Vec::new(), vec![0; buffer]);
                loop {
                    match file.read(&mut buffer).await.unwrap() {
                        0 => break,
                        len => read.extend_from_slice(&buffer[..len]),
                    }
                }
                assert!(read == data, "{size} bytes by {}", buffer.len());
                assert_eq!(file.read(&mut buffer).await.unwrap(), 0);
            }
            let mut all = Vec::new();
            let mut file = File::open(&path).await.unwrap();
            assert_eq!(file.read_to_end(&mut all).await.unwrap(), size);
            assert!(all == data);
        }
    });
}

#[test]
fn reads_and_writes_of_nothing_do_nothing() {
    let folder = Folder::new();
    run(async {
        let mut file = read_write(&folder.path("file")).await;
        assert_eq!(file.write(b"").await.unwrap(), 0);
        assert_eq!(file.write_vectored(&[]).await.unwrap(), 0);
        assert_eq!(file.read(&mut []).await.unwrap(), 0);
        assert_eq!(file.metadata().await.unwrap().len(), 0);
    });
}

#[test]
fn what_is_appended_behind_the_end_is_read_by_the_next_read() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let mut writer = fs::File::create(&path).unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(file.read(&mut buffer).await.unwrap(), 0);
        for round in 0..50u8 {
            // Once behind an end that was seen, once behind one that was only met.
            writer.write_all(&[round; 3]).unwrap();
            assert_eq!(file.read(&mut buffer).await.unwrap(), 3);
            writer.write_all(&[round; 2]).unwrap();
            assert_eq!(file.read(&mut buffer).await.unwrap(), 2, "round {round}");
            if round % 2 == 0 {
                assert_eq!(file.read(&mut buffer).await.unwrap(), 0);
            }
        }
    });
}

#[test]
fn a_read_that_met_the_end_and_was_dropped_hides_nothing_from_the_next() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let mut writer = fs::File::create(&path).unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut buffer = [0; 64];
        for round in 0..50 {
            let polled = poll_once(pin!(file.read(&mut buffer)));
            assert!(!matches!(polled, Poll::Ready(Ok(1..))), "{polled:?}");
            // The pool may or may not have looked.
            if round % 2 == 0 {
                tenter::yield_now().await;
            }
            writer.write_all(b"grown").unwrap();
            assert_eq!(file.read(&mut buffer).await.unwrap(), 5);
        }
    });
}

#[test]
fn a_seek_goes_where_std_goes() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let data = pattern(100_000);
        fs::write(&path, &data).unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut expected = fs::File::open(&path).unwrap();
        let steps = [
            SeekFrom::Start(10),
            SeekFrom::Current(0),
            SeekFrom::Current(-5),
            SeekFrom::End(-7),
            SeekFrom::Current(90_000),
            SeekFrom::Start(0),
            SeekFrom::Current(20_000),
            SeekFrom::Current(-20_000),
            SeekFrom::End(0),
            SeekFrom::End(12),
            SeekFrom::Current(-50_000),
        ];
        for step in steps {
            let reached = std::io::Seek::seek(&mut expected, step).unwrap();
            assert_eq!(file.seek(step).await.unwrap(), reached, "{step:?}");
            let mut wanted = [0; 9];
            let len = expected.read(&mut wanted).unwrap();
            let mut found = [0; 9];
            assert_eq!(file.read(&mut found).await.unwrap(), len, "{step:?}");
            assert_eq!(found, wanted, "{step:?}");
        }
    });
}

#[test]
fn a_seek_before_the_start_or_beyond_the_bounds_fails_and_moves_nothing() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        fs::write(&path, "0123456789").unwrap();
        let mut file = File::open(&path).await.unwrap();
        file.seek(SeekFrom::Start(4)).await.unwrap();
        let wrong = [
            SeekFrom::Current(-5),
            SeekFrom::End(-11),
            SeekFrom::Start(u64::MAX),
            SeekFrom::Start(1 << 63),
            SeekFrom::Current(i64::MIN),
            SeekFrom::Current(i64::MAX),
        ];
        for step in wrong {
            let error = file.seek(step).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{step:?}: {error}");
            assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 4);
        }
        let mut rest = String::new();
        file.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "456789");
    });
}

#[test]
fn a_write_after_reads_ahead_goes_where_the_reader_was() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let mut data = pattern(300_000);
        fs::write(&path, &data).unwrap();
        let mut file = read_write(&path).await;
        let mut buffer = vec![0; 10_000];
        for _ in 0..5 {
            file.read_exact(&mut buffer).await.unwrap();
        }
        file.write_all(b"here").await.unwrap();
        data[50_000..50_004].copy_from_slice(b"here");
        assert!(fs::read(&path).unwrap() == data);
        file.read_exact(&mut buffer).await.unwrap();
        assert!(buffer == data[50_004..60_004]);
    });
}

#[test]
fn what_was_read_ahead_is_read_again_after_this_value_changed_the_file() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        fs::write(&path, vec![b'a'; 100_000]).unwrap();
        let mut file = read_write(&path).await;
        let mut buffer = [0; 4];
        file.read_exact(&mut buffer).await.unwrap();
        assert_eq!(file.write_at(b"bbbb", 4).await.unwrap(), 4);
        file.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"bbbb");
        file.set_len(10).await.unwrap();
        let mut rest = String::new();
        file.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "aa");
        file.set_len(12).await.unwrap();
        rest.clear();
        file.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "\0\0");
    });
}

#[test]
fn a_file_that_is_read_again_from_the_start_is_read_anew() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let mut file = read_write(&path).await;
        for text in ["first", "other", "third"] {
            fs::write(&path, text).unwrap();
            file.seek(SeekFrom::Start(0)).await.unwrap();
            let mut found = String::new();
            file.read_to_string(&mut found).await.unwrap();
            assert_eq!(found, text);
        }
    });
}

#[test]
fn appends_go_to_the_end_whoever_else_writes() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let open = || {
            let mut options = OpenOptions::new();
            options.append(true).create(true).read(true);
            options
        };
        let mut one = open().open(&path).await.unwrap();
        let mut other = open().open(&path).await.unwrap();
        for _ in 0..10 {
            one.write_all(b"one ").await.unwrap();
            other.write_all(b"other ").await.unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one other ".repeat(10));
        // As with the system, the position is behind what was appended.
        assert_eq!(other.seek(SeekFrom::Current(0)).await.unwrap(), 100);
        assert_eq!(one.seek(SeekFrom::Current(0)).await.unwrap(), 94);
    });
}

#[test]
fn a_file_of_std_that_appends_still_does() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        fs::write(&path, "there ").unwrap();
        let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let mut file = File::from_std(file);
        file.seek(SeekFrom::Start(0)).await.unwrap();
        file.write_all(b"more").await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "there more");
    });
}

#[test]
fn a_file_goes_to_std_and_comes_back_at_its_position() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let data = pattern(200_000);
        fs::write(&path, &data).unwrap();
        let mut file = read_write(&path).await;
        let mut buffer = vec![0; 30_001];
        for _ in 0..2 {
            file.read_exact(&mut buffer).await.unwrap();
        }
        let mut file = file.into_std().await.unwrap();
        file.read_exact(&mut buffer).unwrap();
        assert!(buffer == data[60_002..90_003]);
        let mut file = File::from_std(file);
        file.read_exact(&mut buffer).await.unwrap();
        assert!(buffer == data[90_003..120_004]);
        file.write_all(b"written").await.unwrap();
        let mut file = match file.try_into_std() {
            Ok(file) => file,
            Err(file) => panic!("nothing runs on {file:?}"),
        };
        assert_eq!(std::io::Seek::stream_position(&mut file).unwrap(), 120_011);
    });
}

#[test]
fn a_clone_has_a_position_of_its_own_from_where_the_first_was() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        fs::write(&path, "0123456789").unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut buffer = [0; 3];
        file.read_exact(&mut buffer).await.unwrap();
        let mut clone = file.try_clone().await.unwrap();
        for expected in [b"345", b"678"] {
            clone.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, expected);
        }
        drop(clone);
        file.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"345");
    });
}

#[test]
fn positional_reads_and_writes_are_done_side_by_side_and_move_nothing() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let file = std::sync::Arc::new(read_write(&path).await);
        let tasks: Vec<_> = (0..100u8)
            .map(|n| {
                let file = file.clone();
                tenter::spawn(async move {
                    let at = u64::from(n) * 10;
                    assert_eq!(file.write_at(&[n; 10], at).await.unwrap(), 10);
                    let mut back = [0; 10];
                    assert_eq!(file.read_at(&mut back, at).await.unwrap(), 10);
                    assert_eq!(back, [n; 10]);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut file = std::sync::Arc::into_inner(file).unwrap();
        assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 0);
        let mut all = Vec::new();
        assert_eq!(file.read_to_end(&mut all).await.unwrap(), 1000);
        let mut beyond = [0; 4];
        assert_eq!(file.read_at(&mut beyond, 998).await.unwrap(), 2);
        assert_eq!(file.read_at(&mut beyond, 5000).await.unwrap(), 0);
        assert_eq!(file.read_at(&mut [], 0).await.unwrap(), 0);
        assert!(file.read_at(&mut beyond, u64::MAX).await.is_err());
    });
}

#[test]
fn a_write_that_was_dropped_and_comes_again_is_done_once() {
    let folder = Folder::new();
    run_narrow(async {
        for _ in 0..50 {
            let path = folder.path("file");
            let mut file = File::create(&path).await.unwrap();
            drop_pending(file.write(b"once")).await;
            file.write_all(b"once").await.unwrap();
            file.write_all(b" more").await.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "once more");
        }
    });
}

#[test]
fn a_write_behind_one_that_was_dropped_is_told_of_its_own_bytes_only() {
    let folder = Folder::new();
    run_narrow(async {
        for _ in 0..50 {
            let path = folder.path("file");
            let mut file = File::create(&path).await.unwrap();
            drop_pending(file.write(b"a long one that was dropped")).await;
            assert_eq!(file.write(b"short").await.unwrap(), 5);
            assert_eq!(fs::read_to_string(&path).unwrap(), "a long one that was droppedshort");
            drop_pending(file.write(b"dropped")).await;
            // What was dropped is over before any other operation.
            assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 39);
            file.write_all(b"dropped").await.unwrap();
            assert_eq!(fs::metadata(&path).unwrap().len(), 46);
        }
    });
}

#[test]
fn the_error_of_a_write_that_was_dropped_comes_from_the_next_flush_or_close() {
    run_narrow(async {
        for _ in 0..50 {
            let mut full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
            drop_pending(full.write(b"x")).await;
            assert_eq!(full.flush().await.unwrap_err().kind(), ErrorKind::StorageFull);
            full.flush().await.unwrap();
            drop_pending(full.write(b"x")).await;
            assert_eq!(full.close().await.unwrap_err().kind(), ErrorKind::StorageFull);
        }
    });
}

#[test]
fn a_file_that_is_dropped_with_a_write_pending_is_written() {
    let folder = Folder::new();
    run_narrow(async {
        for _ in 0..20 {
            let path = folder.path("file");
            let mut file = File::create(&path).await.unwrap();
            drop_pending(file.write(b"written")).await;
            drop(file);
            until(|| fs::read(&path).unwrap() == b"written").await;
        }
    });
}

#[test]
fn a_read_that_is_dropped_takes_nothing() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let data = pattern(100_000);
        fs::write(&path, &data).unwrap();
        let mut file = File::open(&path).await.unwrap();
        let (mut all, mut buffer) = (Vec::new(), [0; 777]);
        loop {
            let len = match poll_once(pin!(file.read(&mut buffer))) {
                Poll::Ready(read) => read.unwrap(),
                Poll::Pending => {
                    if poll_once(pin!(file.seek(SeekFrom::End(0)))).is_ready() {
                        // The pool was faster than this poll.
                        file.seek(SeekFrom::Start(all.len() as u64)).await.unwrap();
                    }
                    file.read(&mut buffer).await.unwrap()
                }
            };
            if len == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..len]);
        }
        assert!(all == data);
    });
}

#[test]
fn a_closed_file_is_closed_and_says_so() {
    let folder = Folder::new();
    run(async {
        let mut file = read_write(&folder.path("file")).await;
        file.write_all(b"data").await.unwrap();
        let clone = file.try_clone().await.unwrap();
        file.close().await.unwrap();
        file.close().await.unwrap();
        file.flush().await.unwrap();
        let bad = |error: std::io::Error| assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        bad(file.write(b"x").await.unwrap_err());
        bad(file.read(&mut [0]).await.unwrap_err());
        bad(file.seek(SeekFrom::Start(0)).await.unwrap_err());
        bad(file.metadata().await.unwrap_err());
        bad(file.try_clone().await.unwrap_err());
        bad(file.into_std().await.unwrap_err());
        assert_eq!(clone.metadata().await.unwrap().len(), 4);
    });
}

#[test]
fn vectored_reads_and_writes_take_all_their_buffers() {
    let folder = Folder::new();
    run(async {
        let mut file = read_write(&folder.path("file")).await;
        let parts = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"three")];
        assert_eq!(file.write_vectored(&parts).await.unwrap(), 8);
        file.seek(SeekFrom::Start(1)).await.unwrap();
        let (mut a, mut b) = ([0; 2], [0; 9]);
        let mut bufs = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        assert_eq!(file.read_vectored(&mut bufs).await.unwrap(), 7);
        assert_eq!((&a, &b[..5]), (b"ne", &b"three"[..]));
    });
}

#[test]
fn lines_are_read_without_another_buffer() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        fs::write(&path, &text).unwrap();
        let mut file = File::open(&path).await.unwrap();
        let (mut found, mut line) = (String::new(), String::new());
        while file.read_line(&mut line).await.unwrap() > 0 {
            found.push_str(&line);
            line.clear();
        }
        assert!(found == text);
        file.seek(SeekFrom::Start(5)).await.unwrap();
        let len = poll_fn(|cx| Pin::new(&mut file).poll_fill_buf(cx).map_ok(<[u8]>::len)).await;
        assert!(len.unwrap() > 1000);
        Pin::new(&mut file).consume(3);
        assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 8);
    });
}

#[test]
fn a_file_that_is_read_on_and_on_is_read_ahead() {
    let folder = Folder::new();
    within(LIMIT, || {
        let runtime = support::runtime(1);
        runtime.block_on(async {
            let path = folder.path("file");
            let data = pattern(4_000_000);
            fs::write(&path, &data).unwrap();
            let mut file = File::open(&path).await.unwrap();
            let (mut buffer, mut at, mut waits) = (vec![0; 4000], 0, 0);
            while at < data.len() {
                let mut read = pin!(file.read(&mut buffer));
                let len = match poll_once(read.as_mut()) {
                    Poll::Ready(len) => len,
                    Poll::Pending => {
                        waits += 1;
                        read.await
                    }
                };
                at += len.unwrap();
            }
            assert_eq!(at, data.len());
            // 1000 reads, of which few had to wait: there are a dozen chunks.
            assert!(waits < 30, "{waits} of the reads waited");
        });
    });
}

#[test]
fn the_ways_to_open_a_file_do_what_those_of_std_do() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        let kind = |result: std::io::Result<File>| result.unwrap_err().kind();
        assert_eq!(kind(File::open(&path).await), ErrorKind::NotFound);
        assert_eq!(kind(OpenOptions::new().open(&path).await), ErrorKind::InvalidInput);
        let mut new = File::create_new(&path).await.unwrap();
        new.write_all(b"data").await.unwrap();
        assert_eq!(kind(File::create_new(&path).await), ErrorKind::AlreadyExists);
        let mut file = File::open(&path).await.unwrap();
        assert_eq!(file.write(b"x").await.unwrap_err().raw_os_error(), Some(libc::EBADF));
        let mut file = File::create(&path).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 0);
        assert_eq!(file.read(&mut [0]).await.unwrap_err().raw_os_error(), Some(libc::EBADF));
        let mut folder_file = File::open(folder.path("")).await.unwrap();
        let error = folder_file.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        let error = File::create(folder.path("")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        let (private, path) = (0o600, folder.path("private"));
        let options = fs::OpenOptions::new().write(true).create(true).mode(private).clone();
        let file = OpenOptions::from(options).open(&path).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().mode() & 0o777, private);
        file.set_permissions(fs::Permissions::from_mode(0o640)).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        file.sync_all().await.unwrap();
        file.sync_data().await.unwrap();
    });
}

#[test]
fn a_link_is_not_followed_if_the_flags_say_so() {
    let folder = Folder::new();
    run(async {
        fs::write(folder.path("file"), "").unwrap();
        std::os::unix::fs::symlink("file", folder.path("link")).unwrap();
        let mut options = OpenOptions::new();
        options.read(true);
        options.open(folder.path("link")).await.unwrap();
        options.custom_flags(libc::O_NOFOLLOW);
        let error = options.open(folder.path("link")).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    });
}

#[test]
fn files_of_the_kernel_are_read_though_they_have_no_size() {
    run(async {
        let mut file = File::open("/proc/self/maps").await.unwrap();
        let mut maps = String::new();
        file.read_to_string(&mut maps).await.unwrap();
        assert!(maps.lines().count() > 10);
        let mut zeros = File::open("/dev/zero").await.unwrap();
        let mut buffer = [1; 100_000];
        zeros.read_exact(&mut buffer).await.unwrap();
        assert!(buffer.iter().all(|byte| *byte == 0));
        let mut null = OpenOptions::new().read(true).write(true).open("/dev/null").await.unwrap();
        assert_eq!(null.write(&buffer).await.unwrap(), buffer.len());
        assert_eq!(null.read(&mut buffer).await.unwrap(), 0);
        assert_eq!(null.seek(SeekFrom::Start(7)).await.unwrap(), 0);
    });
}

#[test]
fn a_write_that_is_polled_by_hand_can_be_flushed_in_between() {
    let folder = Folder::new();
    run_narrow(async {
        let path = folder.path("file");
        let mut file = File::create(&path).await.unwrap();
        let write = |cx: &mut Context<'_>, file: &mut File| Pin::new(file).poll_write(cx, b"once");
        drop_pending(poll_fn(|cx| write(cx, &mut file))).await;
        file.flush().await.unwrap();
        assert_eq!(poll_fn(|cx| write(cx, &mut file)).await.unwrap(), 4);
        assert_eq!(fs::read_to_string(&path).unwrap(), "once");
    });
}

#[test]
fn thousands_of_files_are_open_at_once() {
    let folder = Folder::new();
    run(async {
        let tasks: Vec<_> = (0..500u32)
            .map(|n| {
                let path = folder.path(n.to_string());
                tenter::spawn(async move {
                    let mut file = File::create_new(&path).await.unwrap();
                    file.write_all(&n.to_le_bytes()).await.unwrap();
                    (path, file)
                })
            })
            .collect();
        let mut open = Vec::new();
        for task in tasks {
            open.push(task.await.unwrap());
        }
        for (n, (path, _file)) in open.iter().enumerate() {
            assert_eq!(fs::read(path).unwrap(), (n as u32).to_le_bytes());
        }
    });
}
