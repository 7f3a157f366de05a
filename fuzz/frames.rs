//! The decoder of frames.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::{
    Config, Decoder, Direction, Failure, Frame, HEADER_LEN, Header, Hello, INLINE_MAX, Kind,
    Malformed, Panic, encode,
};
use crate::input::Input;
use crate::meter::peak_of;

/// More than the decoder's buffer, so that its end is met at every offset.
const STREAM_MAX: usize = 5 * (HEADER_LEN + INLINE_MAX);

/// What a decoder may hold: its buffer, and next to nothing else.
const HELD_MAX: usize = 2 * (HEADER_LEN + INLINE_MAX) + 1024;

/// Decodes the input as a stream of frames: in pieces, and at once.
///
/// The first byte chooses the direction and how many sizes of pieces follow. The byte behind them
/// says how often the rest is repeated, so that short inputs make long streams. Answers with the
/// number of frames.
///
/// # Panics
///
/// Panics if the two differ, if what came out is not what went in, if a whole frame is left in the
/// decoder, if it holds more memory than it should, or if anything in it panics.
pub fn frames(input: &[u8]) -> usize {
    let mut input = Input::new(input);
    let first = input.byte();
    let direction = if first & 1 == 0 { Direction::ToWorker } else { Direction::ToParent };
    let sizes = input.take(usize::from(first >> 1 & 7));
    let sizes: Vec<usize> = sizes.iter().map(|size| piece_len(*size)).collect();
    let times = 1 + usize::from(input.byte()).pow(2);
    let once = input.rest();
    let times_max = (STREAM_MAX / once.len().max(1)).max(1);
    let stream = once.repeat(times.min(times_max));

    let whole = decode(direction, &stream, &[usize::MAX]);
    check_prefix(&whole, &stream);
    let in_pieces = decode(direction, &stream, &sizes);
    assert_eq!(in_pieces, whole, "in pieces of {sizes:?}");

    let ((), held) = peak_of(|| count_frames(direction, &stream, &sizes));
    assert!(held <= HELD_MAX, "the decoder held {held} bytes");
    whole.ends.len()
}

/// Small pieces most of the time, and some that are longer than a frame.
fn piece_len(size: u8) -> usize {
    match usize::from(size) {
        short @ 0..=127 => 1 + short,
        long => (long - 127) * 1024,
    }
}

/// All frames of a stream, as they would be sent, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    end: Result<(), Malformed>,
}

fn decode(direction: Direction, stream: &[u8], sizes: &[usize]) -> Decoded {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    let end = feed(direction, stream, sizes, |frame| {
        encode(&frame.header, &mut bytes);
        bytes.extend_from_slice(frame.payload);
        ends.push(bytes.len());
        check_payload(&frame);
    });
    Decoded { bytes, ends, end }
}

fn count_frames(direction: Direction, stream: &[u8], sizes: &[usize]) {
    let mut frames = 0_u64;
    let _ = feed(direction, stream, sizes, |_| frames += 1);
}

/// Feeds a decoder with pieces of these sizes, over and over, and `f` with every frame.
fn feed(
    direction: Direction,
    mut stream: &[u8],
    sizes: &[usize],
    mut f: impl FnMut(Frame<'_>),
) -> Result<(), Malformed> {
    let mut decoder = Decoder::new(direction);
    let mut sizes = sizes.iter().copied().cycle();
    while !stream.is_empty() {
        let spare = decoder.spare();
        let len = sizes.next().unwrap_or(usize::MAX).min(spare.len()).min(stream.len());
        assert!(len > 0, "the decoder has no room, and no frame");
        let (piece, rest) = stream.split_at(len);
        spare[..len].copy_from_slice(piece);
        decoder.advance(len);
        stream = rest;
        loop {
            match decoder.next() {
                Ok(Some(frame)) => f(frame),
                Ok(None) => break,
                Err(malformed) => {
                    assert_eq!(decoder.next(), Err(malformed), "the second time");
                    return Err(malformed);
                }
            }
        }
    }
    Ok(())
}

/// What came out is what went in, up to a frame that is malformed or cut short.
fn check_prefix(decoded: &Decoded, stream: &[u8]) {
    let (decoded_part, rest) = stream.split_at(decoded.bytes.len());
    assert_eq!(decoded_part, decoded.bytes, "frames are not what was sent");
    if decoded.end.is_ok() && rest.len() >= HEADER_LEN {
        let len = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
        assert!(len <= INLINE_MAX, "it waits for a payload of {len} bytes");
        assert!(rest.len() < HEADER_LEN + len, "a whole frame is left over");
    }
}

fn check_payload(frame: &Frame<'_>) {
    let Header { kind, slab, len, .. } = frame.header;
    assert_eq!(frame.payload.len(), len as usize, "{:?}", frame.header);
    assert!(frame.payload.len() <= INLINE_MAX, "{:?}", frame.header);
    assert_eq!(frame.slab_len().is_some(), slab, "{:?}", frame.header);
    match kind {
        Kind::Config => check_message::<Config>(frame),
        Kind::Hello => check_message::<Hello>(frame),
        Kind::Failed => check_message::<Failure>(frame),
        Kind::Panicked => check_message::<Panic>(frame),
        Kind::Refused => {
            // Each byte that is no text becomes a character of three.
            assert!(frame.text().len() <= 3 * frame.payload.len(), "{:?}", frame.header);
        }
        _ => {}
    }
}

/// A message that was read is read again from what it is written as.
fn check_message<T: Serialize + DeserializeOwned>(frame: &Frame<'_>) {
    let Ok(message) = frame.message::<T>() else { return };
    let written = postcard::to_stdvec(&message).expect("messages are plain data");
    // Not always the same bytes: a number may be written longer than it has to.
    assert!(written.len() <= frame.payload.len(), "{:?}", frame.header);
    let again: T = postcard::from_bytes(&written).expect("it was written just now");
    assert_eq!(postcard::to_stdvec(&again).as_deref(), Ok(written.as_slice()));
}
