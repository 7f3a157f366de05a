//! Files: full disks, broken disks, calls that are interrupted, and no descriptor for a file.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use futures_lite::io::BufWriter;
use libc::{
    EDQUOT, EFBIG, EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, SYS_close, SYS_copy_file_range,
    SYS_fdatasync, SYS_fsync, SYS_openat, SYS_pread64, SYS_pwrite64, SYS_read, SYS_write,
};
use tenter::Builder;
use tenter::fs::{self, File};
use tenter::io::{self, AsyncReadExt, AsyncWriteExt};

use crate::folder::Folder;
use crate::injector::{Fault, inject, scenario};
use crate::support::{Pair, descriptors, runtime, until};

/// Calls that write to a file.
const WRITES: [libc::c_long; 2] = [SYS_write, SYS_pwrite64];
/// Calls that read from a file.
const READS: [libc::c_long; 2] = [SYS_read, SYS_pread64];

#[test]
fn a_write_to_a_full_disk_says_so_and_the_next_one_goes_where_it_would_have() {
    scenario(|| {
        let errors = [ENOSPC, EDQUOT, EFBIG, EIO];
        let faults = inject(errors.map(|error| Fault::error(&WRITES, error)));
        let folder = Folder::new();
        runtime(2).block_on(async {
            for (fault, error) in faults.iter().zip(errors) {
                let path = folder.path(error.to_string());
                let mut file = File::create(&path).await.unwrap();
                file.write_all(b"first").await.unwrap();
                fault.only(&file).strike(1);
                let failed = file.write_all(b"never").await.unwrap_err();
                assert_eq!(failed.raw_os_error(), Some(error));
                file.write_all(b"second").await.unwrap();
                file.close().await.unwrap();
                assert_eq!(fs::read(&path).await.unwrap(), b"firstsecond");
            }
        });
    });
}

#[test]
fn a_buffered_writer_says_at_its_flush_that_the_disk_is_full_and_keeps_what_it_has() {
    scenario(|| {
        let [fault] = inject([Fault::error(&WRITES, ENOSPC)]);
        let folder = Folder::new();
        runtime(2).block_on(async {
            let path = folder.path("file");
            let file = File::create(&path).await.unwrap();
            fault.only(&file).strike(2);
            let mut writer = BufWriter::new(file);
            writer.write_all(b"buffered").await.unwrap();
            assert_eq!(fault.struck(), 0);
            for _ in 0..2 {
                let failed = writer.flush().await.unwrap_err();
                assert_eq!(failed.raw_os_error(), Some(ENOSPC));
            }
            writer.flush().await.unwrap();
            assert_eq!(fs::read(&path).await.unwrap(), b"buffered");
        });
    });
}

#[test]
fn the_error_of_a_write_that_was_dropped_is_told_by_the_flush_or_the_close() {
    scenario(|| {
        let [fault] = inject([Fault::error(&WRITES, ENOSPC)]);
        let folder = Folder::new();
        let runtime = Builder::new().worker_threads(1).max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            for closes in [false, true] {
                let mut file = File::create(folder.path("file")).await.unwrap();
                fault.only(&file).strike(1);
                let busy = Pair::new();
                let held = busy.clone();
                let holder = tenter::spawn_blocking(move || held.hold());
                busy.arrived.pass().await;
                {
                    // The only thread that could do it is busy.
                    let write = pin!(file.write(b"lost"));
                    let mut context = Context::from_waker(Waker::noop());
                    assert!(write.poll(&mut context).is_pending());
                }
                busy.released.open();
                holder.await.unwrap();
                let told = if closes { file.close().await } else { file.flush().await };
                assert_eq!(told.unwrap_err().raw_os_error(), Some(ENOSPC));
            }
            assert_eq!(fault.struck(), 2);
        });
    });
}

#[test]
fn the_error_of_a_sync_is_passed_on() {
    scenario(|| {
        let [all, data] =
            inject([Fault::error(&[SYS_fsync], EIO), Fault::error(&[SYS_fdatasync], EIO)]);
        let folder = Folder::new();
        runtime(2).block_on(async {
            let file = File::create(folder.path("file")).await.unwrap();
            all.strike(1);
            data.strike(1);
            assert_eq!(file.sync_all().await.unwrap_err().raw_os_error(), Some(EIO));
            assert_eq!(file.sync_data().await.unwrap_err().raw_os_error(), Some(EIO));
            file.sync_all().await.unwrap();
            file.sync_data().await.unwrap();
        });
    });
}

#[test]
fn the_error_of_a_close_is_passed_on_and_the_descriptor_is_free() {
    scenario(|| {
        let [fault] = inject([Fault::error_after(&[SYS_close], EIO)]);
        let folder = Folder::new();
        runtime(2).block_on(async {
            let before = descriptors();
            let spare = std::fs::File::open("/dev/null").unwrap();
            let mut file = File::create(folder.path("file")).await.unwrap();
            fault.only(&file).strike(1);
            // Who opens and closes something else meanwhile gets this lower number.
            drop(spare);
            assert_eq!(file.close().await.unwrap_err().raw_os_error(), Some(EIO));
            drop(file);
            assert_eq!((fault.struck(), fault.calls()), (1, 1));
            until(|| descriptors() <= before).await;
        });
    });
}

#[test]
fn a_whole_file_that_does_not_fit_is_an_error_whoever_writes_it() {
    scenario(|| {
        let [writes, copies] = inject([
            Fault::error(&WRITES, ENOSPC).when(|call| call.arg(2) == 777),
            Fault::error(&[SYS_copy_file_range], ENOSPC),
        ]);
        let folder = Folder::new();
        runtime(2).block_on(async {
            let (one, other) = (folder.path("one"), folder.path("other"));
            writes.strike(1);
            let failed = fs::write(&one, [7; 777]).await.unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(ENOSPC));
            fs::write(&one, [7; 777]).await.unwrap();
            copies.strike(1);
            let failed = fs::copy(&one, &other).await.unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(ENOSPC));
            assert_eq!(copies.struck(), 1);
        });
    });
}

#[test]
fn standard_output_that_is_full_is_an_error_of_the_write() {
    scenario(|| {
        let [fault] = inject([Fault::error(&WRITES, ENOSPC).when(|call| call.arg(2) == 777)]);
        runtime(2).block_on(async {
            fault.strike(1);
            let failed = io::stdout().write_all(&[b'\n'; 777]).await.unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(ENOSPC));
            assert_eq!(fault.struck(), 1);
        });
    });
}

#[test]
fn calls_on_files_that_signals_interrupt_are_repeated() {
    scenario(|| {
        let [opens, reads, writes] = inject([
            Fault::error(&[SYS_openat], EINTR).when(|call| call.opens(b"/file")),
            Fault::error(&READS, EINTR),
            Fault::error(&WRITES, EINTR),
        ]);
        let folder = Folder::new();
        runtime(2).block_on(async {
            let path = folder.path("file");
            opens.strike(50);
            let mut file = File::create_new(&path).await.unwrap();
            reads.only(&file).strike(50);
            writes.only(&file).strike(50);
            file.write_all(b"interrupted").await.unwrap();
            assert_eq!(file.write_at(b"I", 0).await.unwrap(), 1);
            let mut buf = [0; 5];
            assert_eq!(file.read_at(&mut buf, 0).await.unwrap(), 5);
            assert_eq!(&buf, b"Inter");
            assert_eq!((opens.struck(), reads.struck(), writes.struck()), (50, 50, 50));
        });
    });
}

#[test]
fn an_error_of_a_read_is_passed_on_and_costs_no_byte() {
    scenario(|| {
        let [fault] = inject([Fault::error(&READS, EIO)]);
        let folder = Folder::new();
        runtime(2).block_on(async {
            let path = folder.path("file");
            fs::write(&path, b"all of it").await.unwrap();
            let mut file = File::open(&path).await.unwrap();
            fault.only(&file).strike(1);
            let mut all = Vec::new();
            let failed = file.read_to_end(&mut all).await.unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(EIO));
            file.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"all of it");
        });
    });
}

#[test]
fn a_file_for_which_there_is_no_descriptor_is_an_error_and_can_be_opened_later() {
    scenario(|| {
        let errors = [EMFILE, ENFILE, ENOMEM];
        let faults = inject(
            errors
                .map(|error| Fault::error(&[SYS_openat], error).when(|call| call.opens(b"/file"))),
        );
        let folder = Folder::new();
        runtime(2).block_on(async {
            let path = folder.path("file");
            fs::write(&path, b"there").await.unwrap();
            for (fault, error) in faults.iter().zip(errors) {
                fault.strike(2);
                let failed = File::open(&path).await.unwrap_err();
                assert_eq!(failed.raw_os_error(), Some(error));
                let failed = fs::read(&path).await.unwrap_err();
                assert_eq!(failed.raw_os_error(), Some(error));
                assert_eq!(fs::read(&path).await.unwrap(), b"there");
            }
        });
    });
}
