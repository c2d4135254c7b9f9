#![allow(clippy::unwrap_used)]

use super::*;
use crate::limits::Owner;
use crate::number::{Amount, Price};
use crate::order::End;
use crate::record::Record;
use crate::terms::{RejectedBy, Side};
use std::collections::BTreeMap;

#[track_caller]
fn same<T: Serialize>(value: &T) {
    let mut packed = vec![7];
    pack(&mut packed, value).unwrap();
    assert_eq!(packed[1..], rmp_serde::to_vec(value).unwrap());
}

#[derive(Serialize)]
enum Shape {
    Plain,
    Pair(u8, i64),
    Named { side: Side, text: Option<String> },
}

#[test]
fn numbers_take_their_shortest_form() {
    for bits in 0..64 {
        for near in -2..=2_i64 {
            let value = (1_i64 << bits).wrapping_add(near);
            same(&(value, value.wrapping_neg(), value as u64));
            same(&(
                value as i32,
                value as u32,
                value as i16,
                value as u16,
                value as i8,
                value as u8,
            ));
            same(&(
                Amount(i128::from(value) << 3),
                Amount(-(i128::from(value) << 40)),
                Price(value),
            ));
            same(&(i128::from(value), value as u128));
        }
    }
}

#[test]
fn texts_bytes_and_lists_of_every_length() {
    for len in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
        same(&"é".repeat(len / 2));
        same(&"x".repeat(len));
        same(&vec![-1_i8; len]);
        let map: BTreeMap<usize, bool> = (0..len).map(|key| (key, key % 2 == 0)).collect();
        same(&map);
        let mut packed = Vec::new();
        ser::Serializer::serialize_bytes(&mut Packer { out: &mut packed }, &vec![9; len]).unwrap();
        let mut theirs = rmp_serde::Serializer::new(Vec::new());
        ser::Serializer::serialize_bytes(&mut theirs, &vec![9; len]).unwrap();
        assert_eq!(packed, theirs.into_inner());
    }
}

#[test]
fn wholes_and_their_parts() {
    let named = |text| Shape::Named { side: Side::Sell, text };
    same(&[named(None), named(Some("t".into())), Shape::Plain, Shape::Pair(1, -1)]);
    same(&(Owner::Firm, Owner::Strategy("s".into()), Owner::Key(70_000)));
    same(&[End::Canceled, End::Rejected(RejectedBy::Venue)]);
    same(&((), 'ß', true, false, None::<u8>, Some(Some(3_u8)), Box::new([0_u8; 3])));
}

#[test]
fn what_has_no_length_is_an_error() {
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(std::iter::from_fn(|| None::<u8>))
        }
    }
    assert!(pack(&mut Vec::new(), &Endless).is_err());
}

/// Records of every kind, and some whose younger fields are not there.
const GOLDEN: [&str; 2] = [
    include_str!("../tests/golden/records.txt"),
    include_str!("../tests/golden/earlier.txt"),
];

#[test]
fn every_kind_of_record_is_written_as_rmp_serde_writes_it() {
    let mut kinds = Vec::new();
    for line in GOLDEN.into_iter().flat_map(str::lines) {
        let [kind, version, name, hex] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let body: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let record = Record::decode(kind.parse().unwrap(), version.parse().unwrap(), &body).unwrap();
        let mut packed = Vec::new();
        record.encode(&mut packed).unwrap();
        assert_eq!(packed, record.as_rmp_serde().unwrap(), "{name}");
        kinds.push(record.kind());
    }
    assert!(Record::KINDS.iter().all(|(kind, _)| kinds.contains(kind)));
}
