//! Names for the sockets of a test, which no other has.

// Every test binary compiles this for itself and uses a part of it.
#![allow(dead_code)]

use std::env::temp_dir;
use std::fs;
use std::ops::Deref;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

fn next() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("tenter-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A path where there is nothing. What is put there goes with the value.
#[derive(Debug)]
pub(crate) struct Name(PathBuf);

impl Name {
    pub(crate) fn new() -> Name {
        Name(temp_dir().join(next()))
    }

    /// A path of so many bytes.
    pub(crate) fn of_length(bytes: usize) -> Name {
        let mut path = Name::new().0.clone().into_os_string();
        let missing = bytes.checked_sub(path.len()).expect("the folder's name is short");
        path.push("x".repeat(missing));
        Name(path.into())
    }
}

impl Deref for Name {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for Name {
    fn as_ref(&self) -> &Path {
        self
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// An abstract name that nobody has.
pub(crate) fn abstract_name() -> SocketAddr {
    SocketAddr::from_abstract_name(next()).expect("the name is short")
}
