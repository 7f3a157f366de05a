//! The inputs that are kept, without a fuzzer.

use std::fs;
use std::path::{Path, PathBuf};

fn run_all(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let inputs: Vec<PathBuf> = entries.collect();
    assert!(inputs.len() >= 10, "this is not the corpus: {}", folder.display());
    for path in inputs {
        // What it prints is seen if it panics.
        println!("{}", path.display());
        target(&fs::read(path).unwrap());
    }
    target(&[]);
}

#[test]
fn the_kept_streams_are_decoded_in_pieces_as_at_once() {
    run_all("frames", tenter_fuzz::frames);
}

#[test]
fn the_kept_bodies_are_read_as_they_were_written() {
    run_all("bodies", tenter_fuzz::bodies);
}
