//! The frames between a pool and its workers, and a decoder that believes nothing.
//!
//! A frame is a [`Header`] of 24 bytes, little-endian, and its payload:
//!
//! ```text
//! 0     1      2        4          8        16       24
//! kind  flags  0 (u16)  len (u32)  id (u64) extra (u64)  payload, `len` bytes
//! ```
//!
//! | to the worker | id | extra | payload |
//! |---|---|---|---|
//! | [`Kind::Config`] | | | [`Config`]; with it comes standard output, if `has_stdout` |
//! | [`Kind::Run`] | job | index in the registry | body |
//! | [`Kind::Cancel`] | job | | |
//! | [`Kind::Credit`] | job | items that it may emit beyond those told before | |
//! | [`Kind::Slab`] | | bytes | ; with it comes the memory's descriptor |
//! | [`Kind::SlabFree`] | | | |
//!
//! | to the pool | id | extra | payload |
//! |---|---|---|---|
//! | [`Kind::Hello`] | | | [`Hello`] |
//! | [`Kind::Failed`] | | | [`Failure`] |
//! | [`Kind::Done`] | job | | body |
//! | [`Kind::Panicked`] | job | | [`Panic`] |
//! | [`Kind::Refused`] | job | | text |
//! | [`Kind::TooLarge`] | job | bytes | |
//! | [`Kind::NeedSlab`] | | bytes | |
//! | [`Kind::Progress`] | job | bits of a finite `f64` | |
//! | [`Kind::Item`] | job | | body |
//!
//! A body of more than [`INLINE_MAX`] bytes lies in the slab, from its first byte on; then the flag
//! [`FLAG_SLAB`] is set and the payload is its length, a `u64`. What the table leaves empty is zero.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[cfg(test)]
#[path = "frame/tests.rs"]
mod tests;

/// The version of all this. [`Kind::Failed`] and its number stay the same in every version.
pub(crate) const VERSION: u32 = 1;

/// The longest body that travels in its frame; the longest payload of any other kind too.
pub(crate) const INLINE_MAX: usize = 64 * 1024;

/// Items that a job may emit before the first [`Kind::Credit`].
pub(crate) const CREDIT_START: u64 = 32;

/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 24;

/// The flag of a frame whose body lies in the slab.
const FLAG_SLAB: u8 = 1;

/// The bit of a kind's number that tells the direction.
const TO_PARENT: u8 = 0x80;

/// The longest frame.
const FRAME_MAX: usize = HEADER_LEN + INLINE_MAX;

/// Where frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the pool to a worker.
    ToWorker,
    /// From a worker to its pool.
    ToParent,
}

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The first frame: what the worker is to be.
    Config = 1,
    /// Run a job.
    Run = 2,
    /// Tell a job that it should stop.
    Cancel = 3,
    /// A job may emit more items.
    Credit = 4,
    /// Use this memory for large bodies from now on.
    Slab = 5,
    /// The last body in the slab was copied out: it may be written again.
    SlabFree = 6,
    /// The worker is ready for jobs.
    Hello = TO_PARENT | 1,
    /// The worker cannot start, and ends.
    Failed = TO_PARENT | 2,
    /// A job returned.
    Done = TO_PARENT | 3,
    /// A job panicked.
    Panicked = TO_PARENT | 4,
    /// A job's arguments could not be decoded, or its result not be encoded.
    Refused = TO_PARENT | 5,
    /// A job's result is longer than [`Config::max_message`].
    TooLarge = TO_PARENT | 6,
    /// The worker waits for a [`Kind::Slab`] of at least so many bytes.
    NeedSlab = TO_PARENT | 7,
    /// How far a job is.
    Progress = TO_PARENT | 8,
    /// One item of a job's stream.
    Item = TO_PARENT | 9,
}

/// What the payload of a kind is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Payload {
    Nothing,
    /// A message or a text.
    Message,
    /// A body, inline or in the slab.
    Body,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        const KINDS: [Kind; 15] = [
            Kind::Config,
            Kind::Run,
            Kind::Cancel,
            Kind::Credit,
            Kind::Slab,
            Kind::SlabFree,
            Kind::Hello,
            Kind::Failed,
            Kind::Done,
            Kind::Panicked,
            Kind::Refused,
            Kind::TooLarge,
            Kind::NeedSlab,
            Kind::Progress,
            Kind::Item,
        ];
        KINDS.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Where frames of this kind go.
    pub(crate) fn direction(self) -> Direction {
        if self as u8 & TO_PARENT == 0 { Direction::ToWorker } else { Direction::ToParent }
    }

    /// Whether the frame names a job.
    fn has_id(self) -> bool {
        !matches!(
            self,
            Kind::Config
                | Kind::Slab
                | Kind::SlabFree
                | Kind::Hello
                | Kind::Failed
                | Kind::NeedSlab
        )
    }

    /// Whether the header's last word says something.
    fn has_extra(self) -> bool {
        matches!(
            self,
            Kind::Run
                | Kind::Credit
                | Kind::Slab
                | Kind::TooLarge
                | Kind::NeedSlab
                | Kind::Progress
        )
    }

    fn payload(self) -> Payload {
        match self {
            Kind::Run | Kind::Done | Kind::Item => Payload::Body,
            Kind::Config | Kind::Hello | Kind::Failed | Kind::Panicked | Kind::Refused => {
                Payload::Message
            }
            Kind::Cancel
            | Kind::Credit
            | Kind::Slab
            | Kind::SlabFree
            | Kind::TooLarge
            | Kind::NeedSlab
            | Kind::Progress => Payload::Nothing,
        }
    }
}

/// What stands before each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// What the frame is about.
    pub(crate) kind: Kind,
    /// The body lies in the slab, and the payload is its length.
    pub(crate) slab: bool,
    /// Bytes of payload.
    pub(crate) len: u32,
    /// The job.
    pub(crate) id: u64,
    /// What the kind makes of it.
    pub(crate) extra: u64,
}

impl Header {
    /// The header of a frame of nothing but its kind: `Header { id, ..Header::new(kind) }`.
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, slab: false, len: 0, id: 0, extra: 0 }
    }

    /// Reads a header and checks it against its kind.
    fn parse(bytes: &[u8; HEADER_LEN], direction: Direction) -> Result<Self, Malformed> {
        let [kind, flags, zero0, zero1, l0, l1, l2, l3, words @ ..] = *bytes;
        let kind = Kind::from_number(kind).ok_or(Malformed("a frame of no known kind"))?;
        let words = u128::from_le_bytes(words);
        let header = Self {
            kind,
            slab: flags == FLAG_SLAB,
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            id: words as u64,
            extra: (words >> 64) as u64,
        };
        let is_reserved_zero = flags & !FLAG_SLAB == 0 && zero0 == 0 && zero1 == 0;
        check(kind.direction() == direction, "a frame that goes the other way")?;
        check(is_reserved_zero, "a frame with reserved bits set")?;
        check(kind.has_id() || header.id == 0, "a job's id on a frame that is of no job")?;
        check(kind.has_extra() || header.extra == 0, "a number on a frame that has none")?;
        header.check_extra()?;
        header.check_len()?;
        Ok(header)
    }

    fn check_extra(&self) -> Result<(), Malformed> {
        match self.kind {
            Kind::Run => check(self.extra <= u64::from(u32::MAX), "an index beyond any registry"),
            Kind::Progress => {
                check(f64::from_bits(self.extra).is_finite(), "progress that is no number")
            }
            _ => Ok(()),
        }
    }

    fn check_len(&self) -> Result<(), Malformed> {
        let len = self.len as usize;
        match (self.kind.payload(), self.slab) {
            (Payload::Body, true) => check(len == 8, "a body in the slab without its length"),
            (_, true) => Err(Malformed("a frame that has no body, with one in the slab")),
            (Payload::Nothing, false) => check(len == 0, "a payload on a frame that has none"),
            (_, false) => check(len <= INLINE_MAX, "a payload that is too long"),
        }
    }
}

/// Appends a header; the caller appends the payload, of `header.len` bytes.
pub(crate) fn encode(header: &Header, out: &mut Vec<u8>) {
    let flags = if header.slab { FLAG_SLAB } else { 0 };
    let mut bytes = [0; HEADER_LEN];
    bytes[0] = header.kind as u8;
    bytes[1] = flags;
    bytes[4..8].copy_from_slice(&header.len.to_le_bytes());
    bytes[8..16].copy_from_slice(&header.id.to_le_bytes());
    bytes[16..].copy_from_slice(&header.extra.to_le_bytes());
    debug_assert_eq!(Header::parse(&bytes, header.kind.direction()), Ok(*header));
    out.extend_from_slice(&bytes);
}

/// Appends the frame of a body that lies in the slab: `body_len` bytes, from its start.
pub(crate) fn encode_in_slab(header: &Header, body_len: u64, out: &mut Vec<u8>) {
    encode(&Header { slab: true, len: 8, ..*header }, out);
    out.extend_from_slice(&body_len.to_le_bytes());
}

/// Appends a whole frame whose payload is `message`; the messages below fit into one.
pub(crate) fn encode_message<T: Serialize>(kind: Kind, id: u64, message: &T, out: &mut Vec<u8>) {
    let payload = postcard::to_stdvec(message).expect("messages are plain data");
    encode_payload(kind, id, &payload, out);
}

/// Appends a whole frame whose payload is `text`, or as much of its beginning as goes into one.
pub(crate) fn encode_text(kind: Kind, id: u64, text: &str, out: &mut Vec<u8>) {
    encode_payload(kind, id, clip(text, INLINE_MAX).as_bytes(), out);
}

fn encode_payload(kind: Kind, id: u64, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(payload.len() <= INLINE_MAX, "{kind:?} of {} bytes", payload.len());
    encode(&Header { id, len: payload.len() as u32, ..Header::new(kind) }, out);
    out.extend_from_slice(payload);
}

/// The beginning of `text`, at most `bytes_max` bytes of whole characters.
fn clip(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Bytes that are no frame, or a frame that the other side must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(
    /// What came, in a few words.
    pub(crate) &'static str,
);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

fn check(is_right: bool, otherwise: &'static str) -> Result<(), Malformed> {
    if is_right { Ok(()) } else { Err(Malformed(otherwise)) }
}

/// A frame, in the buffer that it arrived in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// What it is about.
    pub(crate) header: Header,
    /// What it carries: [`Header::len`] bytes.
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// The length of a body in the slab; `None` of one that is the payload.
    pub(crate) fn slab_len(&self) -> Option<u64> {
        let len = self.payload.try_into().ok().filter(|_| self.header.slab)?;
        Some(u64::from_le_bytes(len))
    }

    /// The payload as a message.
    ///
    /// # Errors
    ///
    /// It is none of this type, or something follows it.
    pub(crate) fn message<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        match postcard::take_from_bytes(self.payload) {
            Ok((message, [])) => Ok(message),
            Ok(_) => Err(Malformed("a message with something behind it")),
            Err(_) => Err(Malformed("a payload that is not the message it should be")),
        }
    }

    /// The payload as text, as far as it is any.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.payload).into_owned()
    }
}

/// Finds the frames in what one direction of a socket delivers.
///
/// It has one buffer of a fixed size, and frames are borrowed from it. What is left of it when a
/// frame lies across its end moves to the front, after at least as many bytes have gone through.
pub(crate) struct Decoder {
    direction: Direction,
    buffer: Box<[u8]>,
    /// Bytes that were handed out as frames, at the front of the buffer.
    start: usize,
    /// Bytes that have arrived.
    end: usize,
}

impl Decoder {
    /// A decoder for frames of this direction; others are malformed.
    pub(crate) fn new(direction: Direction) -> Self {
        // Twice a frame: with one started in the first half, its end is within the buffer.
        Self { direction, buffer: vec![0; 2 * FRAME_MAX].into(), start: 0, end: 0 }
    }

    /// Where the next bytes go; tell [`Decoder::advance`] how many came.
    ///
    /// Never empty once [`Decoder::next`] has returned `None`.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > FRAME_MAX {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }

    /// Takes the first `len` bytes of [`Decoder::spare`] as arrived.
    ///
    /// # Panics
    ///
    /// Panics if it was not that long.
    pub(crate) fn advance(&mut self, len: usize) {
        let room = self.buffer.len() - self.end;
        assert!(len <= room, "{len} bytes arrived in a room for {room}");
        self.end += len;
    }

    /// Takes the next frame, if it is there as a whole.
    ///
    /// # Errors
    ///
    /// What came is no frame, and nothing behind it can be trusted: the error stays.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, Malformed> {
        let arrived = &self.buffer[self.start..self.end];
        let Some((header, rest)) = arrived.split_first_chunk() else { return Ok(None) };
        let header = Header::parse(header, self.direction)?;
        let Some(payload) = rest.get(..header.len as usize) else { return Ok(None) };
        self.start += HEADER_LEN + payload.len();
        Ok(Some(Frame { header, payload }))
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.end - self.start;
        f.debug_struct("Decoder")
            .field("direction", &self.direction)
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

/// What a worker is told first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// The registry's digest: a worker with another cannot know which jobs are meant.
    pub(crate) digest: u64,
    /// Bytes of data that the worker may allocate.
    pub(crate) memory_limit: Option<u64>,
    /// Its niceness, unless that is higher already.
    pub(crate) niceness: Option<i32>,
    /// Whether panics are to come with a backtrace.
    pub(crate) backtrace: bool,
    /// The longest body that it may send.
    pub(crate) max_message: u64,
    /// Whether a descriptor for its standard output comes along.
    pub(crate) has_stdout: bool,
}

/// What a worker says when it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// Its registry's digest.
    pub(crate) digest: u64,
    /// Its process id, as it sees it.
    pub(crate) pid: u32,
}

/// Why a worker cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// Its registry or its [`VERSION`] is another.
    DifferentBuild,
    /// A `job_init` function panicked, and what it said.
    Init(String),
    /// Anything else.
    Text(String),
}

impl Failure {
    /// [`Failure::Init`] with as much of `text` as fits.
    pub(crate) fn init(text: &str) -> Self {
        Self::Init(clip(text, INLINE_MAX / 2).to_owned())
    }

    /// [`Failure::Text`] with as much of `text` as fits.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(clip(text, INLINE_MAX / 2).to_owned())
    }
}

/// What is known of a job's panic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Panic {
    /// What it said.
    pub(crate) message: String,
    /// `file:line:column`.
    pub(crate) location: String,
    /// How it came about, when asked for.
    pub(crate) backtrace: Option<String>,
}

impl Panic {
    /// With as much of each text as fits.
    pub(crate) fn new(message: &str, location: &str, backtrace: Option<&str>) -> Self {
        Self {
            message: clip(message, INLINE_MAX / 4).to_owned(),
            location: clip(location, INLINE_MAX / 16).to_owned(),
            backtrace: backtrace.map(|backtrace| clip(backtrace, INLINE_MAX / 2).to_owned()),
        }
    }
}
