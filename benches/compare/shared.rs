//! Memory that two processes share, for the floor.

use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap};

/// A mapping of a file, which lives as long as the process.
#[derive(Debug)]
pub(crate) struct Shared {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: `start` stops the auto trait. It points to a mapping that no thread owns, and that only
// `Shared` of this process knows: it goes over with it.
unsafe impl Send for Shared {}

impl Shared {
    /// Makes `file` so long, and maps it.
    ///
    /// # Errors
    ///
    /// - The system's, if it has not that much memory or address space.
    pub(crate) fn new(file: &File, len: usize) -> io::Result<Shared> {
        file.set_len(len as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the system chooses the place, so nothing is mapped over.
        let start = unsafe { mmap(ptr::null_mut(), len, protection, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).expect("a mapping is not at address zero");
        Ok(Shared { start, len })
    }

    /// Copies `bytes` into the memory.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.len);
        // SAFETY: the mapping is never unmapped, long enough by the assertion, and no slice's, so
        // it does not overlap `bytes`. The other process touches it only while this one waits for
        // its message.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr(), bytes.len()) };
    }

    /// Fills `bytes` from the memory.
    pub(crate) fn read(&self, bytes: &mut [u8]) {
        assert!(bytes.len() <= self.len);
        // SAFETY: as in `write`, the other way round; every value is a byte.
        unsafe { ptr::copy_nonoverlapping(self.start.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
    }
}
