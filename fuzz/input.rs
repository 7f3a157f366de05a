//! Choices that the bytes of an input make.

use std::cell::Cell;

/// An input, read from its front; zeros once it is used up.
#[derive(Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// At most `len` bytes: as many as there are.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A number of so many bits at most, small ones as often as large ones.
    pub(crate) fn up_to_bits(&mut self, most: u32) -> u64 {
        let bits = u32::from(self.byte()) % (most + 1);
        let mut bytes = [0; 8];
        let read = self.take(bits.div_ceil(8) as usize);
        bytes[..read.len()].copy_from_slice(read);
        let number = u64::from_le_bytes(bytes);
        if bits == 0 { 0 } else { number & (u64::MAX >> (u64::BITS - bits)) | 1 << (bits - 1) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// An input that tasks and threads read from in turns.
#[derive(Debug)]
pub(crate) struct Script {
    bytes: Box<[u8]>,
    read: Cell<usize>,
}

impl Script {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), read: Cell::new(0) }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.read.get() == self.bytes.len()
    }

    pub(crate) fn byte(&self) -> u8 {
        self.with(|input| input.byte())
    }

    pub(crate) fn up_to_bits(&self, most: u32) -> u64 {
        self.with(|input| input.up_to_bits(most))
    }

    fn with<R>(&self, f: impl FnOnce(&mut Input<'_>) -> R) -> R {
        let mut input = Input::new(&self.bytes[self.read.get()..]);
        let result = f(&mut input);
        self.read.set(self.bytes.len() - input.rest().len());
        result
    }
}
