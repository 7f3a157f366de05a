//! What a caller waits for, and what it is told.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use crate::driver::Direction;

/// A direction, or both, that a caller waits for.
///
/// ```
/// use tenter::io::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(u8);

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;

impl Interest {
    /// Interest in reading: data, a new connection, the end of the stream, or an error.
    pub const READABLE: Interest = Interest(READABLE);
    /// Interest in writing: room for data, an established connection, or an error.
    pub const WRITABLE: Interest = Interest(WRITABLE);

    /// Whether reading is part of it.
    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    /// Whether writing is part of it.
    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// The direction, if it is only one.
    pub(super) const fn direction(self) -> Option<Direction> {
        match (self.is_readable(), self.is_writable()) {
            (true, false) => Some(Direction::Read),
            (false, true) => Some(Direction::Write),
            _ => None,
        }
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        *self = *self | other;
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_bits(f, "Interest", self.is_readable(), self.is_writable())
    }
}

/// The directions in which a descriptor can go on.
///
/// An end of the stream or an error counts: the next operation reports it without waiting.
///
/// # Examples
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use tenter::io::{Async, Interest};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let (one, _other) = UnixStream::pair()?;
///     let one = Async::new(one)?;
///     let ready = one.ready(Interest::READABLE | Interest::WRITABLE).await?;
///     assert!(ready.is_writable());
///     assert!(!ready.is_readable(), "nothing was sent");
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ready(u8);

impl Ready {
    /// Neither direction.
    pub(crate) const NONE: Ready = Ready(0);

    /// Whether a read would not wait.
    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    /// Whether a write would not wait.
    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// Whether neither direction can go on.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds the directions of `interest`.
    pub(crate) fn insert(&mut self, interest: Interest) {
        self.0 |= interest.0;
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_bits(f, "Ready", self.is_readable(), self.is_writable())
    }
}

fn debug_bits(f: &mut fmt::Formatter<'_>, name: &str, read: bool, write: bool) -> fmt::Result {
    let bits = match (read, write) {
        (true, true) => "READABLE | WRITABLE",
        (true, false) => "READABLE",
        (false, true) => "WRITABLE",
        (false, false) => "NONE",
    };
    write!(f, "{name}({bits})")
}
