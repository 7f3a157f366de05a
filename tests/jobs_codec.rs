//! What travels to a worker and back: nothing is lost on the way, and what is no such thing is
//! refused, whatever it is.
#![cfg(all(feature = "jobs", target_os = "linux"))]

#[allow(dead_code, unreachable_pub)]
#[path = "../src/jobs/codec.rs"]
mod codec;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use codec::{Body, Decoder, Encoder, Malformed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

/// Lengths around those from which on a value is a segment of its own.
const LENGTHS: [usize; 8] = [0, 1, 2, 100, 1023, 1024, 1025, 70_000];

/// Counts what the current thread has allocated.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are the same.
        unsafe { System.dealloc(at, layout) }
    }
}

fn wire_of(body: &Body) -> Vec<u8> {
    let wire = body.segments().flatten().copied().collect::<Vec<u8>>();
    assert_eq!(wire.len(), body.wire_len());
    wire
}

/// The value after its travel.
#[track_caller]
fn sent<T: Serialize + DeserializeOwned + 'static>(value: T) -> T {
    let wire = wire_of(&Body::of(value).expect("it can be written"));
    let body = Body::from_bytes(&wire).expect("it is a body");
    assert_eq!(wire_of(&body), wire);
    body.into_value().expect("it can be read")
}

#[track_caller]
fn assert_sent<T>(value: T)
where
    T: Serialize + DeserializeOwned + Clone + Debug + PartialEq + 'static,
{
    assert_eq!(sent(value.clone()), value);
    // It need not have been bytes in between.
    assert_eq!(Body::of(value.clone()).unwrap().into_value::<T>().unwrap(), value);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Shape {
    Nothing,
    Circle { center: (f64, f64), radius: f64 },
    Polygon(Vec<(f64, f64)>),
}

#[test]
fn values_of_any_type_arrive_as_they_were() {
    assert_sent(());
    assert_sent(u64::MAX);
    assert_sent(i128::MIN);
    assert_sent('ß');
    assert_sent((1_u8, "two".to_owned(), Some(3.0_f32), [4_u16; 4]));
    assert_sent(Ok::<Vec<u8>, String>(vec![7; 3000]));
    assert_sent(Err::<Vec<u8>, String>("no".to_owned()));
    assert_sent(BTreeMap::from([("a".to_owned(), vec![1, 2]), ("b".to_owned(), vec![])]));
    assert_sent(vec![
        Shape::Nothing,
        Shape::Circle { center: (0.5, 1.5), radius: 2.0 },
        Shape::Polygon(vec![(0.0, 0.0); 500]),
    ]);
}

#[test]
fn flat_values_of_any_length_arrive_as_they_were() {
    for len in LENGTHS {
        assert_sent(vec![0xa5_u8; len]);
        assert_sent(vec![0xa5_u8; len].into_boxed_slice());
        assert_sent("é".repeat(len));
        assert_sent(vec![-1_i8; len]);
        assert_sent(vec![u16::MAX; len]);
        assert_sent(vec![i16::MIN; len]);
        assert_sent(vec![u32::MAX; len]);
        assert_sent(vec![i32::MIN; len]);
        assert_sent(vec![u64::MAX; len]);
        assert_sent(vec![i64::MIN; len]);
        assert_sent(vec![f32::MIN_POSITIVE; len]);
        assert_sent(vec![f64::INFINITY; len]);
    }
}

#[test]
fn references_arrive_as_what_owns_their_like() {
    for len in LENGTHS {
        let (bytes, text) = (vec![3_u8; len], "x".repeat(len));
        let (numbers, shapes) = (vec![0.5_f64; len], vec![Shape::Nothing; len]);
        let mut encoder = Encoder::new();
        encoder.encode_ref(bytes.as_slice());
        encoder.encode_ref(text.as_str());
        encoder.encode_ref(numbers.as_slice());
        encoder.encode_ref(shapes.as_slice());
        encoder.encode_ref(&Shape::Nothing);
        encoder.encode_ref(Path::new("/dev/null"));
        encoder.encode_ref(&bytes);
        let body = Body::from_bytes(&wire_of(&encoder.finish().unwrap())).unwrap();

        let mut decoder = Decoder::new(body);
        assert_eq!(decoder.decode::<Vec<u8>>().unwrap(), bytes);
        assert_eq!(decoder.decode::<String>().unwrap(), text);
        assert_eq!(decoder.decode::<Vec<f64>>().unwrap(), numbers);
        assert_eq!(decoder.decode::<Vec<Shape>>().unwrap(), shapes);
        assert_eq!(decoder.decode::<Shape>().unwrap(), Shape::Nothing);
        assert_eq!(decoder.decode::<std::path::PathBuf>().unwrap(), Path::new("/dev/null"));
        assert_eq!(decoder.decode::<Vec<u8>>().unwrap(), bytes);
        decoder.finish().unwrap();
    }
}

#[test]
fn long_bytes_and_text_are_moved_and_not_copied() {
    let bytes = vec![1_u8; 1 << 20];
    let at = bytes.as_ptr();
    let body = Body::of(bytes).unwrap();
    assert_eq!(body.segments().nth(1).unwrap().as_ptr(), at);
    let bytes: Vec<u8> = body.into_value().unwrap();
    assert_eq!(bytes.as_ptr(), at);

    let text = "x".repeat(1 << 20);
    let at = text.as_ptr();
    let text: String = Body::of(text).unwrap().into_value().unwrap();
    assert_eq!(text.as_ptr(), at);

    let numbers = vec![1_u64; 1 << 20];
    let at = numbers.as_ptr().cast::<u8>();
    assert_eq!(Body::of(numbers).unwrap().segments().nth(1).unwrap().as_ptr(), at);
}

/// Asks the reader what comes next.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

struct Endless;

impl Serialize for Endless {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        serializer.serialize_seq(None)?.end()
    }
}

#[test]
fn what_can_not_be_written_is_named_with_the_reason() {
    let error = Body::of(Unwritable).unwrap_err();
    assert!(error.contains("Unwritable") && error.contains("`Serialize`"), "{error}");
    let error = Body::of(Endless).unwrap_err();
    assert!(error.contains("Endless") && error.contains("how many"), "{error}");
    let mut encoder = Encoder::new();
    encoder.encode(Unwritable);
    encoder.encode(vec![1; 2000]);
    encoder.encode(Endless);
    assert!(encoder.finish().unwrap_err().contains("Unwritable"));
}

#[test]
fn what_can_not_be_read_is_named_with_the_reason() {
    let error = Body::of(Untagged::Number(7)).unwrap().into_value::<Untagged>().unwrap_err();
    let error = error.to_string();
    assert!(error.contains("Untagged") && error.contains("serde(untagged)"), "{error}");
    let error = Body::of(1_u8).unwrap().into_value::<(u8, u8)>().unwrap_err().to_string();
    assert!(error.contains("(u8, u8)") && error.contains("end before"), "{error}");
    for (body, message) in
        [(Body::of((1_u8, 2_u8)), "left over"), (Body::of(7_u8), "no such value")]
    {
        let error = body.unwrap().into_value::<bool>().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let error = Body::of(vec![0_u8; 2000]).unwrap().into_value::<(u8, u8)>().unwrap_err();
    assert!(error.to_string().contains("left over"), "{error}");
    let error = Body::of(vec![0xff_u8; 4]).unwrap().into_value::<String>().unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
    for len in [7, 1027] {
        let error = Body::of(vec![0_u8; len]).unwrap().into_value::<Vec<u32>>().unwrap_err();
        assert!(error.to_string().contains("ends within one"), "{error}");
    }
}

/// A body with these counts and lengths, and zeroes for what they promise.
fn wire(head_len: u32, lengths: &[u64], rest: usize) -> Vec<u8> {
    let mut wire = head_len.to_le_bytes().to_vec();
    wire.extend((lengths.len() as u32).to_le_bytes());
    wire.extend(lengths.iter().flat_map(|len| len.to_le_bytes()));
    wire.resize(wire.len() + rest, 0);
    wire
}

#[test]
fn a_body_whose_lengths_do_not_add_up_is_refused() {
    assert!(Body::from_bytes(&wire(2, &[1024, 2000], 3026)).is_ok());
    for bytes in [
        vec![],
        vec![0; 7],
        wire(1, &[], 0),
        wire(0, &[], 1),
        wire(u32::MAX, &[], 100),
        wire(0, &[1024], 1023),
        wire(0, &[1024], 1025),
        wire(0, &[1023], 1023),
        wire(0, &[0], 2000),
        wire(0, &[u64::MAX], 2000),
        wire(0, &[1024, u64::MAX - 1023], 2048),
        wire(0, &[u64::MAX, 1025], 2048),
        [[0; 4], [0xff; 4]].concat(),
        [vec![0; 4], vec![0xff; 4], vec![0; 5000]].concat(),
    ] {
        assert!(Body::from_bytes(&bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_source_that_gives_less_or_more_than_it_is_asked_for_is_refused() {
    let good = wire(4, &[1024], 1028);
    for calls in 0..3 {
        for difference in [-1, 1] {
            let mut call = 0;
            let read = Body::read(good.len(), &mut |range, out| {
                let end = if call == calls {
                    range.end as isize + difference
                } else {
                    range.end as isize
                };
                call += 1;
                out.extend(
                    range.clone().take((end - range.start as isize) as usize).map(|at| good[at]),
                );
                if end > range.end as isize {
                    out.push(0);
                }
            });
            assert!(read.is_err(), "call {calls}, {difference}");
        }
    }
}

#[test]
fn no_more_is_allocated_than_there_are_bytes() {
    // Every byte of the lengths is tried at its worst.
    let good = wire(100, &[1024; 8], 100 + 8 * 1024);
    for at in 0..8 + 8 * 8 {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let before = ALLOCATED.get();
            let _ = Body::from_bytes(&bytes);
            let allocated = ALLOCATED.get() - before;
            // Some for the lists of segments.
            assert!(allocated <= good.len() + 4096, "{allocated} bytes, byte {at} is {byte}");
        }
    }
}

/// A plain generator of bad ideas.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

type Arguments = (Vec<u8>, String, Vec<f64>, Vec<Shape>, Option<u64>);

fn arguments(random: &mut Random) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.encode(vec![1_u8; random.below(3000)]);
    encoder.encode("x".repeat(random.below(3000)));
    encoder.encode(vec![0.5_f64; random.below(300)]);
    encoder.encode(vec![Shape::Polygon(vec![(1.0, 2.0); random.below(30)]); random.below(5)]);
    encoder.encode(Some(random.below(1000) as u64));
    wire_of(&encoder.finish().unwrap())
}

fn decoded(bytes: &[u8]) -> Result<Arguments, Malformed> {
    let mut decoder = Decoder::new(Body::from_bytes(bytes)?);
    let arguments = (
        decoder.decode()?,
        decoder.decode()?,
        decoder.decode()?,
        decoder.decode()?,
        decoder.decode()?,
    );
    decoder.finish()?;
    Ok(arguments)
}

#[test]
fn bytes_that_were_damaged_on_the_way_are_read_or_refused_without_a_panic() {
    let mut random = Random(7);
    let mut refused = 0;
    for _ in 0..3000 {
        let mut bytes = arguments(&mut random);
        assert!(decoded(&bytes).is_ok());
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len().clamp(1, 200));
            match random.below(4) {
                0 => bytes.truncate(random.below(bytes.len() + 1)),
                1 => bytes.insert(at.min(bytes.len()), random.below(256) as u8),
                2 => bytes.extend(vec![0; random.below(9)]),
                _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << random.below(8)),
            }
        }
        let before = ALLOCATED.get();
        refused += u32::from(decoded(&bytes).is_err());
        let allocated = ALLOCATED.get() - before;
        // Elements may be larger than what stands for them, and vectors grow by doubling.
        assert!(allocated <= 64 * bytes.len() + 65_536, "{allocated} for {} bytes", bytes.len());
    }
    assert!(refused > 1000, "only {refused} were found to be damaged");
}
