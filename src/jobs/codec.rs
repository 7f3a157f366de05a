//! What travels between a caller and a worker: the arguments, the result or an item of one job.
//!
//! A [`Body`] is a head, which postcard writes, and segments, which nobody walks byte by byte.
//! Bytes, text and vectors of plain numbers that are an argument, a result or an item themselves
//! are segments from [`SEGMENT_MIN`] bytes on; inside another type they are part of the head.
//!
//! ```text
//!  ┌──────────┬──────────┬───────────┬──────┬───────────┬───────────┐
//!  │ head len │ segments │ n lengths │ head │ segment 1 │ segment n │
//!  │ u32 LE   │ n u32 LE │ u64 LE    │      │           │           │
//!  └──────────┴──────────┴───────────┴──────┴───────────┴───────────┘
//!  └───────────── front ────────────────────┘
//! ```
//!
//! Numbers lie in a segment as they lie in memory: both ends run the same program.
//!
//! This file depends on nothing else of the crate. Whatever it reads may come from a worker that
//! has lost its mind: every length is checked before it is used, and no more is allocated than
//! there are bytes to read.

use std::any::{Any, type_name};
use std::error::Error;
use std::fmt;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the two counts that every front begins with.
const COUNTS_BYTES: usize = 8;

/// Bytes of the length of one segment.
const LENGTH_BYTES: usize = 8;

/// Bytes from which on a value is a segment of its own. It also bounds how many segments there
/// can be, and so what their list takes.
const SEGMENT_MIN: usize = 1024;

/// Bytes that a front has room for at first: most calls fit.
const FRONT_BYTES: usize = 64;

/// What stands in the head, in place of a length, for a value that is the next segment.
const IN_SEGMENT: u16 = u16::MAX;

/// An encoded list of arguments, result or item.
pub struct Body {
    /// The counts, the lengths and the head: all of the wire form that stands before the segments.
    front: Vec<u8>,
    segments: Vec<Box<dyn Flat>>,
}

impl Body {
    /// Encodes a single value.
    ///
    /// # Errors
    ///
    /// - What the encoder says of a value that it can not write.
    pub(crate) fn of<T: Serialize + 'static>(value: T) -> Result<Body, String> {
        let mut encoder = Encoder::new();
        encoder.encode(value);
        encoder.finish()
    }

    /// Decodes the single value that [`Body::of`] encoded.
    ///
    /// # Errors
    ///
    /// - [`Malformed`] if the bytes are not exactly one `T`.
    pub(crate) fn into_value<T: DeserializeOwned + 'static>(self) -> Result<T, Malformed> {
        let mut decoder = Decoder::new(self);
        let value = decoder.decode()?;
        decoder.finish()?;
        Ok(value)
    }

    /// How many bytes the wire form has.
    pub(crate) fn wire_len(&self) -> usize {
        self.segments().map(<[u8]>::len).sum()
    }

    /// The wire form, in pieces.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let segments = self.segments.iter().map(|segment| segment.bytes());
        std::iter::once(self.front.as_slice()).chain(segments)
    }

    /// Reads a body of `total` bytes of wire form, of which `append` appends any range to a vector.
    ///
    /// Each byte is read once: another process may write them meanwhile.
    ///
    /// # Errors
    ///
    /// - [`Malformed`] if the lengths do not add up to `total`, or `append` appends less.
    pub(crate) fn read(
        total: usize,
        append: &mut dyn FnMut(Range<usize>, &mut Vec<u8>),
    ) -> Result<Body, Malformed> {
        let mut take = |range: Range<usize>, out: &mut Vec<u8>| {
            let end = out.len() + range.len();
            append(range, out);
            if out.len() == end { Ok(()) } else { Err(Malformed::new("a body was cut short")) }
        };
        let too_long = Malformed::new("a body's lengths do not fit into it");
        let beyond = total.checked_sub(COUNTS_BYTES);
        let beyond = beyond.ok_or(Malformed::new("a body has no lengths"))?;
        let mut front = Vec::with_capacity(total.min(2 * SEGMENT_MIN));
        take(0..COUNTS_BYTES, &mut front)?;

        let head_len = u32_at(&front, 0) as usize;
        let count = u32_at(&front, 4) as usize;
        if count > beyond / (LENGTH_BYTES + SEGMENT_MIN) {
            return Err(too_long);
        }
        let front_len = head_len.checked_add(COUNTS_BYTES + count * LENGTH_BYTES);
        let front_len = front_len.filter(|len| *len <= total).ok_or(too_long)?;
        front.reserve_exact(front_len - COUNTS_BYTES);
        take(COUNTS_BYTES..front_len, &mut front)?;

        let mut ranges = Vec::with_capacity(count);
        let mut start = front_len;
        for index in 0..count {
            let len = u64_at(&front, COUNTS_BYTES + index * LENGTH_BYTES);
            let len = usize::try_from(len).ok().filter(|len| *len >= SEGMENT_MIN);
            let end = len.and_then(|len| start.checked_add(len)).filter(|end| *end <= total);
            let end = end.ok_or(Malformed::new("a segment is too short or too long"))?;
            ranges.push(start..end);
            start = end;
        }
        if start != total {
            return Err(Malformed::new("a body is longer than its lengths say"));
        }
        let mut segments: Vec<Box<dyn Flat>> = Vec::with_capacity(count);
        for range in ranges {
            let mut segment = Vec::with_capacity(range.len());
            take(range, &mut segment)?;
            segments.push(Box::new(segment));
        }
        Ok(Body { front, segments })
    }

    /// Reads a body whose wire form is exactly `bytes`.
    ///
    /// # Errors
    ///
    /// - [`Malformed`] if it is not.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Body, Malformed> {
        Body::read(bytes.len(), &mut |range, out| out.extend_from_slice(&bytes[range]))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths: Vec<usize> = self.segments().map(<[u8]>::len).collect();
        f.debug_struct("Body").field("lengths", &lengths).finish()
    }
}

/// Writes a [`Body`], value by value.
pub struct Encoder {
    /// Room for the counts, then the head.
    front: Vec<u8>,
    segments: Vec<Box<dyn Flat>>,
    /// What the first value that could not be written was, and why.
    error: Option<String>,
}

impl Encoder {
    /// An encoder of nothing so far.
    #[must_use]
    pub fn new() -> Encoder {
        let mut front = Vec::with_capacity(FRONT_BYTES);
        front.resize(COUNTS_BYTES, 0);
        Encoder { front, segments: Vec::new(), error: None }
    }

    /// Appends a value, which is moved and not copied if it is long and flat.
    pub fn encode<T: Serialize + 'static>(&mut self, value: T) {
        if let Err(value) = self.try_move(value) {
            self.serialize(&value);
        }
    }

    /// Appends a value that the caller keeps, for a decoder of its owned form.
    pub fn encode_ref<T>(&mut self, value: &T)
    where
        T: Serialize + ToOwned + ?Sized,
        T::Owned: 'static,
    {
        // A segment outlives the call: what is flat is copied now, in one go.
        if !is_flat::<T::Owned>() || self.try_move(value.to_owned()).is_err() {
            self.serialize(value);
        }
    }

    /// The body of all values.
    ///
    /// # Errors
    ///
    /// - Which value could not be written, and why.
    pub fn finish(self) -> Result<Body, String> {
        let Encoder { mut front, segments, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        let head_len = u32::try_from(front.len() - COUNTS_BYTES);
        let head_len = head_len.map_err(|_| "more than 4 GiB outside of flat vectors")?;
        let count = u32::try_from(segments.len()).map_err(|_| "more than 2^32 flat vectors")?;
        front[..4].copy_from_slice(&head_len.to_le_bytes());
        front[4..COUNTS_BYTES].copy_from_slice(&count.to_le_bytes());
        let lengths = segments.iter().flat_map(|segment| segment_len(&**segment).to_le_bytes());
        front.splice(COUNTS_BYTES..COUNTS_BYTES, lengths);
        Ok(Body { front, segments })
    }

    fn serialize<T: Serialize + ?Sized>(&mut self, value: &T) {
        if self.error.is_some() {
            return;
        }
        match postcard::to_extend(value, std::mem::take(&mut self.front)) {
            Ok(front) => self.front = front,
            Err(error) => self.error = Some(format!("{}: {}", type_name::<T>(), reason(&error))),
        }
    }

    fn put<F: Flat>(&mut self, value: F) {
        let len = value.bytes().len();
        if len < SEGMENT_MIN {
            self.front.extend_from_slice(&(len as u16).to_le_bytes());
            self.front.extend_from_slice(value.bytes());
        } else {
            self.front.extend_from_slice(&IN_SEGMENT.to_le_bytes());
            self.segments.push(Box::new(value));
        }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("error", &self.error).finish_non_exhaustive()
    }
}

/// Reads a [`Body`], value by value, as it was written.
pub struct Decoder {
    front: Vec<u8>,
    /// Where in `front` the next value begins.
    at: usize,
    segments: std::vec::IntoIter<Box<dyn Flat>>,
}

impl Decoder {
    /// A decoder at the first value of `body`.
    #[must_use]
    pub fn new(body: Body) -> Decoder {
        let Body { front, segments } = body;
        let at = COUNTS_BYTES + segments.len() * LENGTH_BYTES;
        Decoder { front, at, segments: segments.into_iter() }
    }

    /// The next value; bytes and text of a segment are moved and not copied.
    ///
    /// # Errors
    ///
    /// - [`Malformed`] if what comes next is no `T`.
    pub fn decode<T: DeserializeOwned + 'static>(&mut self) -> Result<T, Malformed> {
        if let Some(value) = self.try_take() {
            return value;
        }
        let rest = self.front.get(self.at..).unwrap_or_default();
        let (value, rest) = postcard::take_from_bytes(rest)
            .map_err(|error| Malformed(format!("{}: {}", type_name::<T>(), reason(&error))))?;
        self.at = self.front.len() - rest.len();
        Ok(value)
    }

    /// Ends the decoding.
    ///
    /// # Errors
    ///
    /// - [`Malformed`] if there are more values than were decoded.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.at < self.front.len() || self.segments.len() > 0 {
            return Err(Malformed::new("bytes are left over behind the last value"));
        }
        Ok(())
    }

    /// The next value's bytes, if it is flat.
    fn take(&mut self) -> Result<Vec<u8>, Malformed> {
        let short = || Malformed::new("the bytes end before the values do");
        let rest = self.front.get(self.at..).unwrap_or_default();
        let (len, rest) = rest.split_first_chunk().ok_or_else(short)?;
        self.at += len.len();
        match u16::from_le_bytes(*len) {
            IN_SEGMENT => self.segments.next().map(Flat::into_bytes).ok_or_else(short),
            len if usize::from(len) < SEGMENT_MIN => {
                let bytes = rest.get(..usize::from(len)).ok_or_else(short)?;
                self.at += bytes.len();
                Ok(bytes.to_vec())
            }
            _ => Err(Malformed::new("a value is too long to stand in the head")),
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.front.len().saturating_sub(self.at);
        f.debug_struct("Decoder").field("left", &left).finish_non_exhaustive()
    }
}

/// The bytes are not what they should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Malformed(String);

impl Malformed {
    fn new(message: &str) -> Malformed {
        Malformed(message.to_owned())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Malformed {}

/// A value that lies in memory as one run of bytes.
trait Flat: Any + Send + Sync {
    fn bytes(&self) -> &[u8];

    fn into_bytes(self: Box<Self>) -> Vec<u8>;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Malformed>
    where
        Self: Sized;
}

impl Flat for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn into_bytes(self: Box<Self>) -> Vec<u8> {
        *self
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Malformed> {
        Ok(bytes)
    }
}

impl Flat for Box<[u8]> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn into_bytes(self: Box<Self>) -> Vec<u8> {
        self.into_vec()
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Malformed> {
        Ok(bytes.into_boxed_slice())
    }
}

impl Flat for String {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn into_bytes(self: Box<Self>) -> Vec<u8> {
        String::into_bytes(*self)
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Malformed> {
        String::from_utf8(bytes).map_err(|_| Malformed::new("a text is not UTF-8"))
    }
}

/// Implements [`Flat`] for vectors of numbers, and lists all types that have it.
macro_rules! flat {
    ([$($other:ty),*] $($number:ty),*) => {
        $(impl Flat for Vec<$number> {
            fn bytes(&self) -> &[u8] {
                bytemuck::cast_slice(self)
            }

            fn into_bytes(self: Box<Self>) -> Vec<u8> {
                self.bytes().to_vec()
            }

            fn from_bytes(bytes: Vec<u8>) -> Result<Self, Malformed> {
                let size = size_of::<$number>();
                if bytes.len() % size != 0 {
                    return Err(Malformed::new("a vector of numbers ends within one"));
                }
                // Copied: the bytes need not be aligned for numbers.
                let mut numbers = vec![<$number>::default(); bytes.len() / size];
                bytemuck::cast_slice_mut(&mut numbers).copy_from_slice(&bytes);
                Ok(numbers)
            }
        })*

        fn is_flat<T: 'static>() -> bool {
            let wanted = std::any::TypeId::of::<T>();
            [$(std::any::TypeId::of::<$other>(),)* $(std::any::TypeId::of::<Vec<$number>>()),*]
                .contains(&wanted)
        }

        impl Encoder {
            /// Appends `value` if it is flat, and hands it back if not.
            fn try_move<T: 'static>(&mut self, value: T) -> Result<(), T> {
                let mut value = Some(value);
                $(if let Some(value) = take_as::<$other>(&mut value) {
                    self.put(value);
                    return Ok(());
                })*
                $(if let Some(value) = take_as::<Vec<$number>>(&mut value) {
                    self.put(value);
                    return Ok(());
                })*
                value.map_or(Ok(()), Err)
            }
        }

        impl Decoder {
            /// The next value, if `T` is flat.
            fn try_take<T: 'static>(&mut self) -> Option<Result<T, Malformed>> {
                let mut value: Option<T> = None;
                $(if let Some(slot) = slot_of::<$other>(&mut value) {
                    return Some(self.fill(slot).map(|()| value.expect("it was filled")));
                })*
                $(if let Some(slot) = slot_of::<Vec<$number>>(&mut value) {
                    return Some(self.fill(slot).map(|()| value.expect("it was filled")));
                })*
                None
            }
        }
    };
}

flat! { [Vec<u8>, Box<[u8]>, String] i8, u16, i16, u32, i32, u64, i64, f32, f64 }

impl Decoder {
    fn fill<F: Flat>(&mut self, slot: &mut Option<F>) -> Result<(), Malformed> {
        *slot = Some(F::from_bytes(self.take()?)?);
        Ok(())
    }
}

/// The slot as one for an `F`, if that is what it is for.
fn slot_of<F: 'static>(slot: &mut dyn Any) -> Option<&mut Option<F>> {
    slot.downcast_mut()
}

/// The value as an `F`, if that is what it is.
fn take_as<F: 'static>(value: &mut dyn Any) -> Option<F> {
    slot_of(value).and_then(Option::take)
}

fn segment_len(segment: &dyn Flat) -> u64 {
    segment.bytes().len() as u64
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    u32::from_le_bytes(*bytes.expect("the counts were read"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    u64::from_le_bytes(*bytes.expect("the lengths were read"))
}

/// What an error of postcard means to who wrote the type.
fn reason(error: &postcard::Error) -> &'static str {
    match error {
        postcard::Error::WontImplement | postcard::Error::NotYetImplemented => {
            "it asks the format what comes next, as `serde(untagged)`, `serde(flatten)` and values \
             of any type do; what travels to a worker does not say"
        }
        postcard::Error::SerializeSeqLengthUnknown => "it does not say how many elements it has",
        postcard::Error::SerdeSerCustom | postcard::Error::CollectStrError => {
            "its `Serialize` returned an error"
        }
        postcard::Error::SerdeDeCustom => "its `Deserialize` returned an error",
        postcard::Error::DeserializeUnexpectedEnd => "the bytes end before the value does",
        _ => {
            "the bytes are no such value; does its `Deserialize` read what its `Serialize` writes?"
        }
    }
}
