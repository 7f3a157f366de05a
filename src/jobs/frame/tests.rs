//! Frames, whole and in pieces, and what is none.

use super::*;

/// One frame of each kind and shape.
fn one_of_each() -> Vec<(Header, Vec<u8>)> {
    let with = |kind, id, extra| Header { id, extra, ..Header::new(kind) };
    let mut frames = Vec::new();
    for (kind, id, extra) in [
        (Kind::Cancel, 1, 0),
        (Kind::Credit, u64::MAX, u64::MAX),
        (Kind::Slab, 0, 1 << 20),
        (Kind::SlabFree, 0, 0),
        (Kind::TooLarge, 2, 1 << 40),
        (Kind::NeedSlab, 0, 1 << 20),
        (Kind::Progress, 3, 0.5_f64.to_bits()),
    ] {
        frames.push((with(kind, id, extra), Vec::new()));
    }
    for (kind, extra) in [(Kind::Run, 9), (Kind::Done, 0), (Kind::Item, 0)] {
        let header = Header { slab: true, len: 8, ..with(kind, 4, extra) };
        frames.push((header, (1_u64 << 33).to_le_bytes().to_vec()));
        for len in [0, 1, INLINE_MAX] {
            frames.push((Header { len: len as u32, ..with(kind, 5, extra) }, vec![7; len]));
        }
    }
    for (kind, id) in [
        (Kind::Config, 0),
        (Kind::Hello, 0),
        (Kind::Failed, 0),
        (Kind::Panicked, 6),
        (Kind::Refused, 7),
    ] {
        frames.push((Header { len: 3, ..with(kind, id, 0) }, b"any".to_vec()));
    }
    frames
}

fn stream(frames: &[(Header, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (header, payload) in frames {
        encode(header, &mut out);
        out.extend_from_slice(payload);
    }
    out
}

/// What comes of `stream`, fed in pieces of `size`.
fn decode(
    direction: Direction,
    mut stream: &[u8],
    size: usize,
) -> Result<Vec<(Header, Vec<u8>)>, Malformed> {
    let mut decoder = Decoder::new(direction);
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let spare = decoder.spare();
        assert!(!spare.is_empty(), "no room, and no frame");
        let (piece, rest) = stream.split_at(size.min(spare.len()).min(stream.len()));
        spare[..piece.len()].copy_from_slice(piece);
        decoder.advance(piece.len());
        stream = rest;
        while let Some(frame) = decoder.next()? {
            frames.push((frame.header, frame.payload.to_vec()));
        }
    }
    Ok(frames)
}

/// What a decoder says of one header.
fn refused(header: &[u8]) -> &'static str {
    let direction =
        if header[0] & TO_PARENT == 0 { Direction::ToWorker } else { Direction::ToParent };
    decode(direction, header, header.len()).unwrap_err().0
}

/// The bytes of a header, one of them changed.
fn changed(kind: Kind, at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&Header::new(kind), &mut bytes);
    bytes[at] = byte;
    bytes
}

#[test]
fn frames_arrive_as_they_were_sent_however_they_are_cut() {
    for direction in [Direction::ToWorker, Direction::ToParent] {
        let mut sent = one_of_each();
        sent.retain(|(header, _)| header.kind.direction() == direction);
        // Often enough to meet the end of the buffer in many places.
        let sent = vec![sent; 5].concat();
        for size in [1, 23, 1000, FRAME_MAX - 1, FRAME_MAX, usize::MAX] {
            assert_eq!(decode(direction, &stream(&sent), size), Ok(sent.clone()), "{size}");
        }
    }
}

#[test]
fn there_is_room_for_the_longest_frame_wherever_it_begins() {
    let of = |len: usize| {
        let header = Header { id: 1, len: len as u32, ..Header::new(Kind::Done) };
        (header, vec![len as u8; len])
    };
    for len in 0..100 {
        // It begins just before, at, or behind the middle of the buffer.
        let sent = [of(len), of(INLINE_MAX - HEADER_LEN - 50), of(INLINE_MAX), of(INLINE_MAX)];
        assert_eq!(decode(Direction::ToParent, &stream(&sent), usize::MAX), Ok(sent.to_vec()));
    }
}

#[test]
fn a_frame_that_goes_the_other_way_is_refused() {
    for (header, payload) in one_of_each() {
        let other = match header.kind.direction() {
            Direction::ToWorker => Direction::ToParent,
            Direction::ToParent => Direction::ToWorker,
        };
        let refused = decode(other, &stream(&[(header, payload)]), 24);
        assert_eq!(refused, Err(Malformed("a frame that goes the other way")), "{header:?}");
    }
}

#[test]
fn what_a_kind_does_not_say_is_refused() {
    let too_long = changed(Kind::Done, 6, 2);
    assert_eq!(refused(&[0; 24]), "a frame of no known kind");
    assert_eq!(refused(&[255; 24]), "a frame of no known kind");
    assert_eq!(refused(&changed(Kind::Done, 1, 2)), "a frame with reserved bits set");
    assert_eq!(refused(&changed(Kind::Done, 2, 1)), "a frame with reserved bits set");
    assert_eq!(refused(&changed(Kind::Hello, 8, 1)), "a job's id on a frame that is of no job");
    assert_eq!(refused(&changed(Kind::Done, 16, 1)), "a number on a frame that has none");
    assert_eq!(refused(&changed(Kind::Run, 20, 1)), "an index beyond any registry");
    assert_eq!(refused(&changed(Kind::Cancel, 4, 1)), "a payload on a frame that has none");
    assert_eq!(refused(&changed(Kind::Done, 1, 1)), "a body in the slab without its length");
    assert_eq!(
        refused(&changed(Kind::Hello, 1, 1)),
        "a frame that has no body, with one in the slab"
    );
    assert_eq!(refused(&too_long), "a payload that is too long");
    let mut infinite = changed(Kind::Progress, 0, Kind::Progress as u8);
    infinite[16..].copy_from_slice(&f64::INFINITY.to_bits().to_le_bytes());
    assert_eq!(refused(&infinite), "progress that is no number");
}

#[test]
fn a_stream_that_went_wrong_stays_wrong() {
    let mut decoder = Decoder::new(Direction::ToParent);
    let mut bytes = Vec::new();
    encode(&Header::new(Kind::NeedSlab), &mut bytes);
    bytes.extend_from_slice(&[0; 24]);
    encode(&Header::new(Kind::NeedSlab), &mut bytes);
    decoder.spare()[..bytes.len()].copy_from_slice(&bytes);
    decoder.advance(bytes.len());
    assert!(decoder.next().unwrap().is_some());
    for _ in 0..3 {
        assert_eq!(decoder.next(), Err(Malformed("a frame of no known kind")));
    }
}

#[test]
fn messages_arrive_as_they_were_sent() {
    let config = Config {
        version: VERSION,
        digest: u64::MAX,
        memory_limit: Some(1 << 30),
        niceness: Some(-5),
        backtrace: true,
        max_message: 1 << 40,
        has_stdout: true,
    };
    let mut out = Vec::new();
    encode_message(Kind::Config, 0, &config, &mut out);
    let frames = decode(Direction::ToWorker, &out, usize::MAX).unwrap();
    let frame = Frame { header: frames[0].0, payload: &frames[0].1 };
    assert_eq!(frame.message(), Ok(config));
    assert_eq!(
        frame.message::<u8>(),
        Err(Malformed("a message with something behind it")),
        "a message must be all of its payload"
    );
    let cut = Frame { payload: &frame.payload[1..], ..frame };
    assert!(cut.message::<Config>().is_err());
}

#[test]
fn texts_are_cut_to_fit_between_characters() {
    // Three bytes each: no limit falls between two.
    let long = "€".repeat(INLINE_MAX);
    let mut out = Vec::new();
    encode_text(Kind::Refused, 1, &long, &mut out);
    encode_message(Kind::Failed, 0, &Failure::text(&long), &mut out);
    encode_message(Kind::Failed, 0, &Failure::init(&long), &mut out);
    encode_message(Kind::Panicked, 1, &Panic::new(&long, &long, Some(&long)), &mut out);
    let frames = decode(Direction::ToParent, &out, usize::MAX).unwrap();
    let frames = frames.iter().map(|(header, payload)| Frame { header: *header, payload });
    let [refused, text, init, panicked] = frames.collect::<Vec<_>>()[..] else {
        panic!("4 frames")
    };

    let is_of_euros = |text: &str| !text.is_empty() && text.chars().all(|c| c == '€');
    assert!(is_of_euros(&refused.text()) && refused.payload.len() > INLINE_MAX - 3);
    assert!(matches!(text.message().unwrap(), Failure::Text(text) if is_of_euros(&text)));
    assert!(matches!(init.message().unwrap(), Failure::Init(text) if is_of_euros(&text)));
    let Panic { message, location, backtrace } = panicked.message().unwrap();
    assert!(is_of_euros(&message) && is_of_euros(&location) && is_of_euros(&backtrace.unwrap()));
}
