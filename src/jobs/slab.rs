//! The memory that a pool shares with one worker, for bodies too long for a frame.
//!
//! It is a memfd that the parent makes and both map. Its size is sealed, so an access within it
//! does not fall off its end, whatever the other side does. What the bytes are is the other side's to say, at
//! any moment: so nothing here lends them out. They are copied in and copied out.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};

use rustix::fs::memfd_create;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// What keeps the size as it is, and keeps the seals.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// The least that is worth a mapping.
const LEN_MIN: usize = 128 * 1024;

/// Shared memory of a fixed length, mapped here until this is dropped.
pub(crate) struct Slab {
    /// The first of `len` bytes, mapped readable and writable.
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the pointer stops the auto trait. The mapping belongs to the process and not to a
// thread, and this value alone unmaps it.
unsafe impl Send for Slab {}

// SAFETY: the pointer stops the auto trait. Shared access only reads; `write` is exclusive, so
// the borrow checker orders it with reads by other threads of this process.
unsafe impl Sync for Slab {}

impl Slab {
    /// Makes memory of at least `len` bytes, rounded up to a power of two.
    ///
    /// The descriptor is for the other side, and may be closed once it is sent.
    ///
    /// # Errors
    ///
    /// - `InvalidInput`: there is no such power of two.
    /// - What the system says, when descriptors or address space have run out.
    pub(crate) fn create(len: usize) -> io::Result<(Self, OwnedFd)> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "a slab of that length");
        let len = len.max(LEN_MIN).checked_next_power_of_two().ok_or_else(too_long)?;
        // A mapping may be no longer than half of the address space.
        let file_len = isize::try_from(len).map_err(|_| too_long())? as u64;
        let memory = memfd_create("tenter-jobs", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&memory, file_len)?;
        fcntl_add_seals(&memory, SEALS)?;
        Ok((Self::map(&memory, len)?, memory))
    }

    /// Maps memory that the other side made.
    ///
    /// # Errors
    ///
    /// - `InvalidData`: the descriptor is none of a memory whose size is sealed.
    /// - What the system says, when address space has run out.
    pub(crate) fn open(memory: OwnedFd) -> io::Result<Self> {
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        // Seals first: they keep the size that is read next.
        let seals = fcntl_get_seals(&memory).map_err(|_| wrong("a slab that is no memfd"))?;
        if !seals.contains(SEALS) {
            return Err(wrong("a slab whose size is not sealed"));
        }
        let len = isize::try_from(fstat(&memory)?.st_size).ok().filter(|len| *len > 0);
        Self::map(&memory, len.ok_or_else(|| wrong("a slab without a length"))? as usize)
    }

    /// Maps all `len` bytes of `memory`, whose size is sealed.
    fn map(memory: impl AsFd, len: usize) -> io::Result<Self> {
        debug_assert!(0 < len && len <= isize::MAX as usize, "a mapping of {len} bytes");
        // SAFETY: the system chooses an address where nothing of ours lies.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                memory,
                0,
            )
        };
        let start = NonNull::new(start?.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Copies `bytes` into it.
    ///
    /// # Panics
    ///
    /// Panics if they go beyond its end.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let at = self.at(offset, bytes.len());
        // SAFETY: 1, 2: `at` asserted it, and `self` is borrowed exclusively. 3: `bytes` is a
        // slice, and no slice lies in the mapping.
        unsafe { copy(bytes.as_ptr(), at, bytes.len()) };
    }

    /// Appends a copy of the `len` bytes at `offset` to `out`.
    ///
    /// # Panics
    ///
    /// Panics if they go beyond its end.
    pub(crate) fn read_to(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
        let at = self.at(offset, len);
        out.reserve(len);
        let spare = out.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: 1, 2: `at` asserted it, and `self` is borrowed: no write. 3: `len` bytes are
        // reserved there, borrowed exclusively, and no allocation lies in the mapping.
        unsafe { copy(at, spare, len) };
        // SAFETY: they are within the capacity, and the copy initialised them.
        unsafe { out.set_len(out.len() + len) };
    }

    /// The address of `offset`, with `len` bytes of the mapping from there.
    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        let is_within = self.len.checked_sub(offset).is_some_and(|rest| len <= rest);
        assert!(is_within, "{len} bytes at {offset} of a slab of {}", self.len);
        self.start.as_ptr().wrapping_add(offset)
    }
}

/// Copies `len` bytes, one side of which is shared memory.
///
/// The other process may write them meanwhile; then what arrives is any mixture. The memory is
/// none of the language's objects: its bytes are read here, by this call, and never again.
///
/// # Safety
///
/// 1. `from` is readable and `to` is writable for `len` bytes.
/// 2. No other thread of this process writes `from`, or touches `to`, during the call.
/// 3. The two do not overlap.
unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: 1 and 3 are what it asks, and 2 that there be no race within this process.
    unsafe { ptr::copy_nonoverlapping(from, to, len) };
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, whole, and nothing points into it.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert_eq!(unmapped, Ok(()), "{self:?}");
    }
}

impl fmt::Debug for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, fcntl_add_seals, ftruncate, memfd_create};
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let (mut one, memory) = Slab::create(200_000).unwrap();
        let other = Slab::open(memory).unwrap();
        assert_eq!((one.len(), other.len()), (262_144, 262_144));

        one.write(0, b"beginning");
        one.write(262_144 - 3, b"end");
        let mut read = b"from the ".to_vec();
        other.read_to(0, 9, &mut read);
        other.read_to(262_144 - 3, 3, &mut read);
        other.read_to(262_144, 0, &mut read);
        assert_eq!(read, b"from the beginningend");
    }

    #[test]
    fn neither_side_can_change_the_size() {
        let (slab, memory) = Slab::create(1).unwrap();
        assert_eq!(slab.len(), LEN_MIN);
        assert_eq!(ftruncate(&memory, 0), Err(Errno::PERM));
        assert_eq!(ftruncate(&memory, 1 << 20), Err(Errno::PERM));
        assert_eq!(fcntl_add_seals(&memory, SealFlags::WRITE), Err(Errno::PERM));
    }

    #[test]
    fn a_memory_whose_size_can_change_is_refused() {
        let memory = || memfd_create("unsealed", MemfdFlags::ALLOW_SEALING).unwrap();
        let refused = |memory| Slab::open(memory).unwrap_err().kind() == io::ErrorKind::InvalidData;
        let sized = memory();
        ftruncate(&sized, 4096).unwrap();
        assert!(refused(sized));
        let half = memory();
        ftruncate(&half, 4096).unwrap();
        fcntl_add_seals(&half, SealFlags::GROW | SealFlags::SEAL).unwrap();
        assert!(refused(half));
        let empty = memory();
        fcntl_add_seals(&empty, SEALS).unwrap();
        assert!(refused(empty));
        assert!(refused(std::fs::File::open("/dev/null").unwrap().into()));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for len in [usize::MAX, usize::MAX / 2 + 2, isize::MAX as usize] {
            let refused = Slab::create(len).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{len}");
        }
    }

    #[test]
    #[should_panic = "2 bytes at 131071 of a slab of 131072"]
    fn a_read_beyond_the_end_panics() {
        Slab::create(1).unwrap().0.read_to(LEN_MIN - 1, 2, &mut Vec::new());
    }

    #[test]
    #[should_panic = "1 bytes at 18446744073709551615 of a slab of 131072"]
    fn a_write_whose_end_overflows_panics() {
        Slab::create(1).unwrap().0.write(usize::MAX, b"1");
    }
}
