//! Rows about files, all of them in the page cache: what is compared is the way to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use super::{Outcome, in_task};
use crate::peers::Peer;

/// Bytes of a piece in the row that reads in pieces.
pub(crate) const PIECE_BYTES: usize = 8 * 1024;

const MEBIBYTE: usize = 1 << 20;

/// A file of a row, and room for its copy; both go with the value.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) copy: PathBuf,
}

impl File {
    pub(crate) fn new(bytes: usize) -> File {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let of_process = |name| folder.join(format!("compare-{}-{name}", process::id()));
        let file = File { path: of_process("file"), copy: of_process("copy") };
        fs::write(&file.path, vec![b'x'; bytes]).expect("the target folder takes files");
        file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.copy);
    }
}

pub(crate) fn read_4k<P: Peer>(peer: &P, ops: usize) -> Outcome {
    read::<P>(peer, ops, 4096)
}

pub(crate) fn read_1m<P: Peer>(peer: &P, ops: usize) -> Outcome {
    read::<P>(peer, ops, MEBIBYTE)
}

fn read<P: Peer>(peer: &P, ops: usize, bytes: usize) -> Outcome {
    let file = File::new(bytes);
    in_task(peer, async move {
        for _ in 0..ops {
            let data = P::read_file(&file.path).await.expect("the file is there");
            assert_eq!(data.len(), bytes);
        }
    });
    Outcome::of(ops)
}

pub(crate) fn pieces<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let file = File::new(MEBIBYTE);
    in_task(peer, async move {
        let mut buffer = vec![0; PIECE_BYTES];
        for _ in 0..ops {
            let read = P::read_in_pieces(&file.path, &mut buffer).await;
            assert_eq!(read.expect("the file is there"), MEBIBYTE);
        }
    });
    Outcome::of(ops)
}

/// One copy of a file of so many mebibytes.
pub(crate) fn copy<P: Peer>(peer: &P, ops: usize) -> Outcome {
    let file = File::new(ops * MEBIBYTE);
    in_task(peer, async move {
        let copied = P::copy_file(&file.path, &file.copy).await.expect("there is room");
        assert_eq!(copied, (ops * MEBIBYTE) as u64);
    });
    Outcome::of(ops)
}
