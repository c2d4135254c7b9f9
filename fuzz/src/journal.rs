//! The journal's decoders: segment header, chunk, frames, records, and the fold over what they say.
//!
//! The first byte says what the rest is, so that no checksum stands between the fuzzer and the inner formats.

use ordergate_core::record::Record;
use ordergate_core::snapshot;
use ordergate_core::state::State;
use ordergate_journal::chunk;
use ordergate_journal::encode_frame;
use ordergate_journal::segment::{self, SegmentHeader};

/// The rest is a chunk as it stands on the disk.
pub const CHUNK: u8 = 0;
/// The rest is the frames of a chunk, to be sealed first.
pub const FRAMES: u8 = 1;
/// The rest is a record: kind, version, body.
pub const RECORD: u8 = 2;
/// The rest is the first sector of a segment.
pub const SEGMENT: u8 = 3;

/// Whatever the bytes: nothing panics, and what decodes encodes to the same again.
pub fn check(input: &[u8]) -> bool {
    match input {
        [CHUNK, bytes @ ..] => chunk_as_it_stands(bytes),
        [FRAMES, body @ ..] => frames(body),
        [RECORD, kind, version, body @ ..] => record(*kind, *version, body).is_some(),
        [SEGMENT, bytes @ ..] => segment_header(bytes),
        _ => false,
    }
}

fn chunk_as_it_stands(bytes: &[u8]) -> bool {
    let Ok(header) = chunk::decode(bytes) else {
        return false;
    };
    let mut again = bytes[..header.len()].to_vec();
    let hash = chunk::seal(
        &mut again,
        header.epoch,
        header.first_seq,
        header.count,
        header.sealed_ns,
        &header.prev_hash,
    );
    assert_eq!(hash, chunk::hash_of(&again));
    // Two fields that no reader looks at are free in a chunk that nobody of ours wrote.
    assert_eq!(again[12..56], bytes[12..56]);
    assert_eq!(again[chunk::HEADER..], bytes[chunk::HEADER..header.len()]);
    frames(&again[chunk::HEADER..])
}

/// A sealed chunk decodes exactly when its frames add up; then they are the same frames again.
fn frames(body: &[u8]) -> bool {
    if body.len() > chunk::MAX_CHUNK - chunk::HEADER {
        return false;
    }
    let read: Vec<_> = chunk::frames(body, 1).collect();
    let mut again = vec![0; chunk::HEADER];
    for frame in &read {
        encode_frame(&mut again, frame.ts, frame.kind, frame.version, frame.body);
    }
    let whole = again.len() - chunk::HEADER == body.len() && !read.is_empty();
    let mut sealed = [&[0; chunk::HEADER][..], body].concat();
    let _ = chunk::seal(&mut sealed, 1, 1, read.len() as u32, 5, &[0; 16]);
    assert_eq!(
        chunk::decode(&sealed).is_ok(),
        whole,
        "frames that add up, and only those, are a chunk"
    );
    if whole {
        assert_eq!(again[chunk::HEADER..], *body, "what decodes encodes to the same");
    }
    fold(&read) && whole
}

/// The fold takes or refuses each record, whatever it says, and its state survives a snapshot.
fn fold(frames: &[chunk::Frame<'_>]) -> bool {
    let mut state = State::default();
    for frame in frames {
        let Some(record) = record(frame.kind, frame.version, frame.body) else {
            return false;
        };
        if state.apply(frame.seq, frame.ts, &record).is_err() {
            return false;
        }
    }
    let bytes = snapshot::encode(&state).unwrap();
    assert_eq!(snapshot::decode(&bytes).unwrap().digest(), state.digest());
    true
}

fn record(kind: u8, version: u8, body: &[u8]) -> Option<Record> {
    let record = Record::decode(kind, version, body).ok()?;
    let encode = |record: &Record| {
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        bytes
    };
    let canonical = encode(&record);
    let again = Record::decode(kind, Record::VERSION, &canonical).unwrap();
    assert_eq!(again, record);
    assert_eq!((again.kind(), encode(&again)), (kind, canonical));
    Some(record)
}

fn segment_header(bytes: &[u8]) -> bool {
    let Ok(header) = SegmentHeader::decode(bytes) else {
        return false;
    };
    let again = header.encode();
    assert_eq!(SegmentHeader::decode(&again), Ok(header));
    assert_eq!(again[12..48], bytes[12..48]);
    assert_eq!(segment::name(header.first_seq).len(), 24);
    true
}
