//! Writes the seeds of the corpus anew: real records, bodies and frames. Inputs that a fuzzer found stay.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ordergate_fuzz::{journal, reports, story};
use ordergate_journal::segment::SegmentHeader;
use ordergate_journal::{chunk, encode_frame};
use std::path::Path;

/// Bodies that are refused, each for another reason.
const REFUSED: [(&str, &str); 6] = [
    ("twice", r#"{"mode":"LIVE","mode":"PAPER"}"#),
    ("nested", r#"{"symbol":{"a":[1,[2,{"b":null}]]},"side":true}"#),
    (
        "digits",
        r#"{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.000000001,"price":9223372036854775807e28}"#,
    ),
    (
        "escape",
        r#"{"clientOrderId":"\ud83d\ude00\u0000\"","strategyId":"\ud800"}"#,
    ),
    (
        "market",
        r#"{"mode":"PAPER","symbol":"ETHUSDT","side":"SELL","type":"MARKET","quantity":"1","price":"1"}"#,
    ),
    ("open", r#"{"symbol":"BTC"#),
];

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let dir = corpus.join(target);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(name), bytes).unwrap();
    };

    let mut desk = story::Desk::open();
    let told = story::reports(&desk.orders);
    for (number, body) in story::BODIES.iter().enumerate() {
        write("order", &format!("accepted-{number}"), body.as_bytes());
    }
    let market = r#"{"mode":"PAPER","symbol":"ETHUSDT","side":"SELL","type":"MARKET","quantity":"1"}"#;
    write("order", "accepted-market", market.as_bytes());
    let excused =
        r#"{"mode":"PAPER","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":1,"price":9,"overrideId":"77"}"#;
    write("order", "accepted-override", excused.as_bytes());
    let types = [
        (
            "stop",
            r#"{"mode":"PAPER","symbol":"BTCUSDT","side":"SELL","type":"STOP_LOSS_LIMIT","quantity":1,"stopPrice":9,"price":"8.5"}"#,
        ),
        (
            "quote",
            r#"{"mode":"PAPER","symbol":"BTCUSDT","side":"BUY","type":"MARKET","quoteOrderQty":"100.25"}"#,
        ),
        (
            "gtd",
            r#"{"mode":"PAPER","symbol":"BTCUSDT","side":"BUY","type":"LIMIT_MAKER","quantity":1,"price":9,"timeInForce":"GTD","expireAt":"2026-11-24T07:00:00.5+01:00"}"#,
        ),
    ];
    for (name, body) in types {
        write("order", &format!("accepted-{name}"), body.as_bytes());
    }
    for (name, body) in REFUSED {
        write("order", name, body.as_bytes());
    }
    for (number, report) in told.iter().enumerate() {
        write(
            "reports",
            &format!("one-{number:02}"),
            &reports::encode(std::slice::from_ref(report)),
        );
    }
    write("reports", "all", &reports::encode(&told));

    for report in &told {
        desk.engine.report(desk.session, report, desk.now).unwrap();
    }
    let mut frames = vec![0; chunk::HEADER];
    let emitted = desk.engine.take_emitted();
    for record in &emitted {
        encode_frame(&mut frames, record.ts, record.kind, 1, &record.body);
    }
    write(
        "journal",
        "story.frames",
        &[&[journal::FRAMES], &frames[chunk::HEADER..]].concat(),
    );
    let hash = chunk::seal(&mut frames, 1, 1, emitted.len() as u32, 5, &[0; 16]);
    write("journal", "story.chunk", &[&[journal::CHUNK], &frames[..]].concat());
    let header = SegmentHeader {
        epoch: 2,
        first_seq: 9,
        created_ns: 5,
        prev_hash: hash,
    };
    write(
        "journal",
        "segment",
        &[&[journal::SEGMENT], &header.encode()[..]].concat(),
    );
    // One of every kind that was ever shipped.
    for line in include_str!("../../core_rs/core/tests/golden/records.txt").lines() {
        let [kind, version, name, hex] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let body: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let head = [journal::RECORD, kind.parse().unwrap(), version.parse().unwrap()];
        write(
            "journal",
            &format!("record-{name}-{version}"),
            &[&head[..], &body].concat(),
        );
    }
}
