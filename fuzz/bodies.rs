//! The decoder of bodies.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{Body, Decoder, Encoder};
use crate::input::Input;
use crate::meter::peak_of;

/// Values of a round trip.
const VALUES_MAX: usize = 16;

/// A type of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Row {
    name: String,
    place: Option<(i32, u64)>,
    parts: Vec<Part>,
    bytes: Vec<u8>,
    words: BTreeMap<u16, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Part {
    Nothing,
    Number(i64),
    Both { left: char, right: Box<[u8]> },
}

/// Reads the input as a body, and values made of the input from what they are written as.
///
/// # Panics
///
/// Panics if what comes out is not what went in, if more memory is taken than there are bytes to
/// read, or if anything in the codec panics.
pub fn bodies(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    if choice & 1 == 0 { read(bytes, *choice) } else { round_trip(bytes) }
}

/// The input is a body, or none.
fn read(bytes: &[u8], choice: u8) {
    let (body, held) = peak_of(|| Body::from_bytes(bytes));
    assert!(held <= held_max(bytes.len()), "{held} bytes held of {}", bytes.len());
    let Ok(body) = body else { return };
    assert_eq!(body.wire_len(), bytes.len());
    let written: Vec<&[u8]> = body.segments().collect();
    assert_eq!(written.concat(), bytes, "a body is not what was read");

    let mut decoder = Decoder::new(body);
    // Ends: so many types, and then no more.
    for index in 0..VALUES_MAX {
        let is_decoded = match (usize::from(choice >> 1) + index) % 8 {
            0 => decoder.decode::<Vec<u8>>().is_ok(),
            1 => decoder.decode::<u64>().is_ok(),
            2 => decoder.decode::<String>().is_ok(),
            3 => decoder.decode::<Vec<f64>>().is_ok(),
            4 => decoder.decode::<Row>().is_ok(),
            5 => decoder.decode::<Box<[u8]>>().is_ok(),
            6 => decoder.decode::<Vec<Option<i16>>>().is_ok(),
            _ => decoder.decode::<(bool, char, Vec<String>)>().is_ok(),
        };
        if !is_decoded {
            break;
        }
    }
    let _ = decoder.finish();
}

/// What reading a body of `len` bytes may hold at most.
fn held_max(len: usize) -> usize {
    len + len / 4 + 2560
}

/// A list of values, what it is written as, and the list again.
fn round_trip(bytes: &[u8]) {
    let values = values(Input::new(bytes));
    let mut encoder = Encoder::new();
    for value in &values {
        value.encode(&mut encoder);
    }
    let body = encoder.finish().expect("these can all be written");
    let wire: Vec<&[u8]> = body.segments().collect();
    let wire = wire.concat();
    assert_eq!(body.wire_len(), wire.len());

    let mut reads = Vec::new();
    let read = Body::read(wire.len(), &mut |range, out| {
        out.extend_from_slice(&wire[range.clone()]);
        reads.push(range);
    });
    reads.sort_by_key(|range| (range.start, range.end));
    let mut end = 0;
    for range in reads {
        assert_eq!(range.start, end, "a byte was read twice, or not at all");
        end = range.end;
    }
    let mut decoder = Decoder::new(read.expect("it was written just now"));
    for value in &values {
        value.check(&mut decoder);
    }
    decoder.finish().expect("that was the last value");
    assert_eq!(end, wire.len());

    // One that was cut short is refused.
    let cut = wire.len() - 1 - bytes.len() % wire.len();
    assert!(Body::from_bytes(&wire[..cut]).is_err(), "{cut} bytes of {}", wire.len());
}

#[derive(Debug)]
enum Value {
    Bytes(Vec<u8>),
    Boxed(Box<[u8]>),
    Text(String),
    Words(Vec<u32>),
    Wide(Vec<i64>),
    Number(u64),
    Row(Row),
}

impl Value {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Value::Bytes(value) if value.len() % 2 == 0 => encoder.encode_ref(value.as_slice()),
            Value::Bytes(value) => encoder.encode(value.clone()),
            Value::Boxed(value) => encoder.encode(value.clone()),
            Value::Text(value) if value.len() % 2 == 0 => encoder.encode_ref(value.as_str()),
            Value::Text(value) => encoder.encode(value.clone()),
            Value::Words(value) => encoder.encode_ref(value.as_slice()),
            Value::Wide(value) => encoder.encode(value.clone()),
            Value::Number(value) => encoder.encode(*value),
            Value::Row(value) => encoder.encode(value.clone()),
        }
    }

    fn check(&self, decoder: &mut Decoder) {
        match self {
            Value::Bytes(value) => check(decoder, value),
            Value::Boxed(value) => check(decoder, value),
            Value::Text(value) => check(decoder, value),
            Value::Words(value) => check(decoder, value),
            Value::Wide(value) => check(decoder, value),
            Value::Number(value) => check(decoder, value),
            Value::Row(value) => check(decoder, value),
        }
    }
}

fn check<T: DeserializeOwned + Debug + PartialEq + 'static>(decoder: &mut Decoder, sent: &T) {
    let got: T = decoder.decode().expect("it was written just now");
    assert!(got == *sent, "{got:?} is not {sent:?}");
}

/// Values that the input asks for.
fn values(mut input: Input<'_>) -> Vec<Value> {
    let count = usize::from(input.byte()) % (VALUES_MAX + 1);
    (0..count).map(|_| value(&mut input)).collect()
}

fn value(input: &mut Input<'_>) -> Value {
    let kind = input.byte();
    // Around the length from which on values are segments, and around nothing.
    let len = usize::from(input.u16()) % 3000;
    let seed = input.byte();
    let mut bytes = vec![seed; len];
    let own = input.take(usize::from(seed) % 32);
    bytes.iter_mut().zip(own).for_each(|(byte, own)| *byte = *own);
    match kind % 7 {
        0 => Value::Bytes(bytes),
        1 => Value::Boxed(bytes.into()),
        2 => Value::Text(String::from_utf8_lossy(&bytes).into_owned()),
        3 => Value::Words(bytes.iter().map(|byte| u32::from(*byte) << 13).collect()),
        4 => Value::Wide(bytes.iter().map(|byte| i64::from(*byte) - 128).collect()),
        5 => Value::Number(u64::from(seed) << (len % 64)),
        _ => Value::Row(row(&bytes, seed)),
    }
}

fn row(bytes: &[u8], seed: u8) -> Row {
    let part = |byte: &u8| match byte % 3 {
        0 => Part::Nothing,
        1 => Part::Number(i64::from(*byte) << (seed % 56)),
        _ => Part::Both { left: char::from(*byte), right: bytes.iter().take(9).copied().collect() },
    };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
    Row {
        place: (seed % 2 == 0).then_some((-i32::from(seed), u64::from(seed) << 50)),
        parts: bytes.iter().take(20).map(part).collect(),
        words: bytes.iter().take(5).map(|byte| (u16::from(*byte) << 3, text.clone())).collect(),
        name: text,
        bytes: bytes.to_vec(),
    }
}
