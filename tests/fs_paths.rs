//! What is done with a path, in one call.

mod folder;
mod support;

use std::ffi::OsStr;
use std::fs;
use std::future::Future;
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use folder::Folder;
use futures_lite::StreamExt;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use support::{LIMIT, within};
use tenter::fs as tfs;

/// Runs the body of a test on a runtime with two workers.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || support::runtime(2).block_on(body))
}

/// The kind of the error that it must be.
#[track_caller]
fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn a_whole_file_is_written_and_read_whatever_its_size() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("file");
        for size in [5_000_000, 1_048_576, 4096, 1, 0] {
            let data: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            tfs::write(&path, &data).await.unwrap();
            assert!(fs::read(&path).unwrap() == data);
            assert!(tfs::read(&path).await.unwrap() == data);
        }
        tfs::write(&path, "größer").await.unwrap();
        assert_eq!(tfs::read_to_string(&path).await.unwrap(), "größer");
        tfs::write(&path, b"\xff\xfe").await.unwrap();
        assert_eq!(kind(tfs::read_to_string(&path).await), ErrorKind::InvalidData);
    });
}

#[test]
fn a_file_whose_size_is_not_known_is_read_whole() {
    run(async {
        let expected = fs::read_to_string("/proc/cpuinfo").unwrap().lines().count();
        let found = tfs::read_to_string("/proc/cpuinfo").await.unwrap().lines().count();
        assert_eq!(found, expected);
        assert_eq!(tfs::read("/dev/null").await.unwrap(), b"");
    });
}

#[test]
fn bad_paths_are_the_errors_of_the_system() {
    let folder = Folder::new();
    run(async {
        let (missing, file) = (folder.path("missing"), folder.path("file"));
        fs::write(&file, "").unwrap();
        let inside = file.join("inside");
        assert_eq!(kind(tfs::read(&missing).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::read_to_string(&missing).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::read(folder.path("")).await), ErrorKind::IsADirectory);
        assert_eq!(kind(tfs::write(folder.path(""), "").await), ErrorKind::IsADirectory);
        assert_eq!(kind(tfs::write(missing.join("file"), "").await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::write("/dev/full", "x").await), ErrorKind::StorageFull);
        assert_eq!(kind(tfs::metadata(&missing).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::metadata(&inside).await), ErrorKind::NotADirectory);
        assert_eq!(kind(tfs::symlink_metadata(&missing).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::canonicalize(&missing).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::read_link(&file).await), ErrorKind::InvalidInput);
        assert_eq!(kind(tfs::hard_link(&missing, folder.path("x")).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::symlink("x", &file).await), ErrorKind::AlreadyExists);
        assert_eq!(kind(tfs::rename(&missing, folder.path("x")).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::remove_file(&missing).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::remove_dir(&missing).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::remove_dir(&file).await), ErrorKind::NotADirectory);
        assert_eq!(kind(tfs::remove_dir_all(&missing).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::create_dir(&file).await), ErrorKind::AlreadyExists);
        assert_eq!(kind(tfs::create_dir(missing.join("x")).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::create_dir_all(&inside).await), ErrorKind::NotADirectory);
        assert_eq!(kind(tfs::read_dir(&file).await), ErrorKind::NotADirectory);
        assert_eq!(kind(tfs::read_dir(&missing).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::copy(&missing, &file).await), ErrorKind::NotFound);
        assert_eq!(kind(tfs::read("with\0zero").await), ErrorKind::InvalidInput);
        let long = folder.path("x".repeat(300));
        assert_eq!(kind(tfs::write(long, "").await), ErrorKind::InvalidFilename);
        assert_eq!(kind(tfs::read("").await), ErrorKind::NotFound);
        let permissions = fs::Permissions::from_mode(0o600);
        assert_eq!(kind(tfs::set_permissions(&missing, permissions).await), ErrorKind::NotFound);
    });
}

#[test]
fn names_and_links_are_made_moved_and_removed() {
    let folder = Folder::new();
    run(async {
        let (file, other, link) = (folder.path("file"), folder.path("other"), folder.path("link"));
        tfs::write(&file, "data").await.unwrap();
        tfs::hard_link(&file, &other).await.unwrap();
        assert_eq!(tfs::metadata(&file).await.unwrap().nlink(), 2);
        tfs::symlink("other", &link).await.unwrap();
        assert_eq!(tfs::read_link(&link).await.unwrap(), PathBuf::from("other"));
        assert_eq!(tfs::read(&link).await.unwrap(), b"data");
        assert!(tfs::symlink_metadata(&link).await.unwrap().is_symlink());
        assert!(tfs::metadata(&link).await.unwrap().is_file());
        let canonical = fs::canonicalize(&other).unwrap();
        assert_eq!(tfs::canonicalize(&link).await.unwrap(), canonical);
        tfs::remove_file(&other).await.unwrap();
        assert!(!tfs::try_exists(&link).await.unwrap());
        assert!(tfs::try_exists(&file).await.unwrap());
        tfs::rename(&file, &other).await.unwrap();
        assert!(tfs::try_exists(&link).await.unwrap());
        tfs::set_permissions(&other, fs::Permissions::from_mode(0o640)).await.unwrap();
        assert_eq!(fs::metadata(&other).unwrap().mode() & 0o777, 0o640);
    });
}

#[test]
fn directories_are_made_however_deep_and_removed_whole() {
    let folder = Folder::new();
    run(async {
        let deep: PathBuf = std::iter::repeat_n("d", 1000).collect();
        let deep = folder.path("top").join(deep);
        tfs::create_dir_all(&deep).await.unwrap();
        tfs::create_dir_all(&deep).await.unwrap();
        tfs::write(deep.join("file"), "").await.unwrap();
        assert_eq!(kind(tfs::remove_dir(folder.path("top")).await), ErrorKind::DirectoryNotEmpty);
        tfs::remove_dir_all(folder.path("top")).await.unwrap();
        assert!(!folder.path("top").exists());
        tfs::create_dir(folder.path("one")).await.unwrap();
        tfs::remove_dir(folder.path("one")).await.unwrap();
        let mut builder = tfs::DirBuilder::new();
        builder.mode(0o700);
        assert_eq!(kind(builder.create(folder.path("a/b")).await), ErrorKind::NotFound);
        builder.recursive(true).create(folder.path("a/b")).await.unwrap();
        assert_eq!(fs::metadata(folder.path("a/b")).unwrap().mode() & 0o777, 0o700);
    });
}

#[test]
fn removing_a_directory_does_not_follow_links() {
    let folder = Folder::new();
    run(async {
        tfs::create_dir(folder.path("kept")).await.unwrap();
        tfs::write(folder.path("kept/file"), "").await.unwrap();
        tfs::create_dir(folder.path("gone")).await.unwrap();
        tfs::symlink(folder.path("kept"), folder.path("gone/link")).await.unwrap();
        tfs::remove_dir_all(folder.path("gone")).await.unwrap();
        assert!(folder.path("kept/file").exists());
    });
}

#[test]
fn a_listing_has_every_entry_once_whatever_its_name() {
    let folder = Folder::new();
    run(async {
        let odd = folder.path(OsStr::from_bytes(b"not \xff text"));
        tfs::write(&odd, "odd").await.unwrap();
        for n in 0..1000 {
            fs::write(folder.path(n.to_string()), "").unwrap();
        }
        fs::create_dir(folder.path("directory")).unwrap();
        std::os::unix::fs::symlink("directory", folder.path("link")).unwrap();
        let mut entries = tfs::read_dir(folder.path("")).await.unwrap();
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            assert_eq!(entry.path(), folder.path(entry.file_name()));
            let metadata = fs::symlink_metadata(entry.path()).unwrap();
            assert_eq!(entry.ino(), metadata.ino());
            assert_eq!(entry.file_type().await.unwrap(), metadata.file_type());
            found.push(entry.file_name());
        }
        assert!(entries.next_entry().await.unwrap().is_none());
        found.sort();
        let listed = fs::read_dir(folder.path("")).unwrap();
        let mut expected: Vec<_> = listed.map(|entry| entry.unwrap().file_name()).collect();
        expected.sort();
        assert_eq!(found.len(), 1003);
        assert_eq!(found, expected);
        assert_eq!(tfs::read(&odd).await.unwrap(), b"odd");
    });
}

#[test]
fn a_listing_is_a_stream_and_its_entries_may_be_gone() {
    let folder = Folder::new();
    run(async {
        fs::write(folder.path("file"), "four").unwrap();
        let entries = tfs::read_dir(folder.path("")).await.unwrap();
        let entries: Vec<_> = entries.map(Result::unwrap).collect().await;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].metadata().await.unwrap().len(), 4);
        fs::remove_file(folder.path("file")).unwrap();
        assert_eq!(kind(entries[0].metadata().await), ErrorKind::NotFound);
        let empty = tfs::read_dir(folder.path("")).await.unwrap();
        assert_eq!(empty.count().await, 0);
    });
}

#[test]
fn a_copy_has_the_contents_and_the_permissions() {
    let folder = Folder::new();
    run(async {
        let (from, to) = (folder.path("from"), folder.path("to"));
        for size in [0, 1, 100_000, 17 * 1024 * 1024] {
            let data: Vec<u8> = (0..size).map(|n| (n % 253) as u8).collect();
            fs::write(&from, &data).unwrap();
            fs::set_permissions(&from, fs::Permissions::from_mode(0o604)).unwrap();
            fs::write(&to, "x".repeat(200_000)).unwrap();
            assert_eq!(tfs::copy(&from, &to).await.unwrap(), size as u64);
            assert!(fs::read(&to).unwrap() == data);
            assert_eq!(fs::metadata(&to).unwrap().mode() & 0o777, 0o604);
        }
        let status = tfs::copy("/proc/self/status", &to).await.unwrap();
        assert_eq!(fs::metadata(&to).unwrap().len(), status);
        assert!(status > 0);
        assert_eq!(kind(tfs::copy(&from, "/dev/full").await), ErrorKind::StorageFull);
        assert!(tfs::copy(&from, "/dev/null").await.is_ok());
    });
}

#[test]
fn a_file_is_not_copied_onto_itself() {
    let folder = Folder::new();
    run(async {
        let (file, link) = (folder.path("file"), folder.path("link"));
        fs::write(&file, "precious").unwrap();
        fs::hard_link(&file, &link).unwrap();
        std::os::unix::fs::symlink(&file, folder.path("symlink")).unwrap();
        for to in [&file, &link, &folder.path("symlink")] {
            assert_eq!(kind(tfs::copy(&file, to).await), ErrorKind::InvalidInput);
        }
        assert_eq!(kind(tfs::copy(folder.path(""), &file).await), ErrorKind::InvalidInput);
        assert_eq!(kind(tfs::copy("/dev/zero", &file).await), ErrorKind::InvalidInput);
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    });
}

#[test]
fn every_operation_can_be_dropped_at_once() {
    let folder = Folder::new();
    run(async {
        macro_rules! drop_each {
            ($($operation:expr),* $(,)?) => {
                $(
                    let mut operation = Box::pin($operation);
                    let waker = std::task::Waker::noop();
                    let _ = operation.as_mut().poll(&mut std::task::Context::from_waker(waker));
                    drop(operation);
                    // And without a poll.
                    drop($operation);
                )*
            };
        }
        let path = |name: &str| folder.path(name);
        fs::write(path("file"), "kept").unwrap();
        for _ in 0..20 {
            drop_each!(
                tfs::read(path("file")),
                tfs::read_to_string(path("file")),
                tfs::metadata(path("file")),
                tfs::canonicalize(path("file")),
                tfs::try_exists(path("file")),
                tfs::read_dir(path("")),
                tfs::File::open(path("file")),
                tfs::write(path("written"), "all"),
                tfs::copy(path("file"), path("copy")),
                tfs::create_dir_all(path("a/b/c")),
                tfs::remove_dir_all(path("a")),
                tfs::rename(path("written"), path("renamed")),
                tfs::remove_file(path("renamed")),
            );
        }
        assert_eq!(tfs::read(path("file")).await.unwrap(), b"kept");
    });
}

#[test]
fn a_copy_that_nobody_waits_for_stops() {
    const PIECE: usize = 16 * 1024 * 1024;
    let folder = Folder::new();
    run(async {
        let (from, to) = (folder.path("from"), folder.path("to"));
        // A hole, into a pipe: neither takes room.
        fs::File::create(&from).unwrap().set_len(10 * PIECE as u64).unwrap();
        mknodat(CWD, &to, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut reader = fs::OpenOptions::new();
        let reader = reader.read(true).custom_flags(libc::O_NONBLOCK).open(&to).unwrap();
        let copying = tenter::spawn(tfs::copy(from.clone(), to.clone()));
        let mut buffer = vec![0; 1 << 20];
        let mut copied = 0;
        support::until(|| {
            copied = (&reader).read(&mut buffer).unwrap_or(0);
            copied > 0
        })
        .await;
        // The pipe holds less than a piece, and so the first is under way.
        assert!(copying.cancel().await.is_none());
        support::until(|| match (&reader).read(&mut buffer) {
            Ok(len) => {
                copied += len;
                len == 0
            }
            Err(_) => false,
        })
        .await;
        assert!(copied <= PIECE, "{copied} bytes were copied");
    });
}

#[test]
fn an_operation_that_the_end_of_the_runtime_meets_is_an_error() {
    let folder = Folder::new();
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let handle = runtime.handle().clone();
        let mut file = runtime.block_on(tfs::File::create(folder.path("file"))).unwrap();
        drop(runtime);
        let error = handle.block_on(tfs::read(folder.path("file"))).unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
        let error = handle.block_on(futures_lite::AsyncWriteExt::write(&mut file, b"x"));
        assert!(error.unwrap_err().to_string().contains("shut down"));
    });
}
