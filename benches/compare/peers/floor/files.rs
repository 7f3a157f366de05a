//! Rows about files, by the standard library on this thread.

use std::fs;
use std::io::Read;

use crate::rows::Outcome;
use crate::rows::files::{File, PIECE_BYTES};

const MEBIBYTE: usize = 1 << 20;

pub(crate) fn read_4k(ops: usize) -> Outcome {
    read(ops, 4096)
}

pub(crate) fn read_1m(ops: usize) -> Outcome {
    read(ops, MEBIBYTE)
}

fn read(ops: usize, bytes: usize) -> Outcome {
    let file = File::new(bytes);
    for _ in 0..ops {
        assert_eq!(fs::read(&file.path).expect("the file is there").len(), bytes);
    }
    Outcome::of(ops)
}

pub(crate) fn pieces(ops: usize) -> Outcome {
    let file = File::new(MEBIBYTE);
    let mut buffer = vec![0; PIECE_BYTES];
    for _ in 0..ops {
        let mut open = fs::File::open(&file.path).expect("the file is there");
        let mut read = 0;
        loop {
            match open.read(&mut buffer).expect("the file can be read") {
                0 => break,
                len => read += len,
            }
        }
        assert_eq!(read, MEBIBYTE);
    }
    Outcome::of(ops)
}

pub(crate) fn copy(ops: usize) -> Outcome {
    let file = File::new(ops * MEBIBYTE);
    let copied = fs::copy(&file.path, &file.copy).expect("there is room");
    assert_eq!(copied, (ops * MEBIBYTE) as u64);
    Outcome::of(ops)
}
