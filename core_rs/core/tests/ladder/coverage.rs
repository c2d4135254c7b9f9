//! docs/risk.md says what the code's tables say, and every test that they name is there.

use ordergate_core::limits::{LimitKind, owners};
use ordergate_core::risk::Check;
use ordergate_core::risk::coverage::{CONTROLS, ROWS};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

const HEAD: &str = "# Risk controls

Written from the tables in `core_rs/core/src/risk/coverage.rs` and `limits.rs`; a test compares the two. To write it
anew: `WRITE_DOCS=1 cargo test -p ordergate-core --test ladder coverage`. How the figures are made is in
[ADR 13](adr/0013-the-ladder.md).

Every check of the ladder is done on every order and every failure is reported. A limit on one order is that of the
strictest scope; a limit on a sum is compared with the sum of each scope that has one. A firm's sum is over all accounts.
";

fn tests_of(text: &str) -> String {
    let named = text
        .split_whitespace()
        .map(|test| format!("`{}`", test.rsplit("::").next().unwrap_or(test)));
    let joined = named.collect::<Vec<_>>().join(", ");
    if joined.is_empty() { "none".to_owned() } else { joined }
}

fn document() -> String {
    let mut out = String::from(HEAD);
    out.push_str("\n## The 35 checks\n\n| # | code | passes if | scope | where | test |\n|---|---|---|---|---|---|\n");
    for row in ROWS {
        let codes = if row.codes.is_empty() { "none" } else { row.codes };
        let _ = writeln!(
            out,
            "| {} | {codes} | {} | {} | {} | {} |",
            row.number,
            row.rule,
            row.scope,
            row.place,
            tests_of(row.tests)
        );
    }
    out.push_str("\n## The 20 controls of FIA and RTS 6\n\n| control | by | test |\n|---|---|---|\n");
    for control in CONTROLS {
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            control.name,
            control.by,
            tests_of(control.tests)
        );
    }
    out.push_str("\n## Codes\n\n| code | row | unit | whose | meaning |\n|---|---|---|---|---|\n");
    for kind in LimitKind::ALL {
        let check = Check::Limit(*kind);
        let bits = [owners::FIRM, owners::ACCOUNT, owners::STRATEGY, owners::KEY];
        let whose = bits
            .into_iter()
            .filter(|bit| kind.owners() & bit != 0)
            .map(owners::word);
        line(&mut out, check, &whose.collect::<Vec<_>>().join(", "));
    }
    for check in Check::OTHERS {
        line(&mut out, *check, "");
    }
    out
}

fn line(out: &mut String, check: Check, whose: &str) {
    let (code, row, unit) = (check.code(), check.row(), check.unit());
    let _ = writeln!(out, "| {code} | {row} | {unit} | {whose} | {} |", check.describe());
}

#[test]
fn the_document_says_what_the_code_does() {
    let path = top().join("docs/risk.md");
    let document = document();
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document,
        "docs/risk.md is not what the code says: WRITE_DOCS=1 cargo test -p ordergate-core --test ladder coverage"
    );
}

#[test]
fn there_are_35_rows_and_20_controls_and_every_test_exists() {
    assert_eq!(
        ROWS.iter().map(|row| row.number).collect::<Vec<_>>(),
        (1..=35).collect::<Vec<_>>()
    );
    assert_eq!(CONTROLS.len(), 20);
    let all = ROWS
        .iter()
        .map(|row| row.tests)
        .chain(CONTROLS.iter().map(|control| control.tests));
    for test in all.flat_map(str::split_whitespace) {
        let (path, name) = test.split_once("::").unwrap();
        let text = std::fs::read_to_string(top().join(path)).unwrap_or_default();
        let defined = [format!("fn {name}("), format!("def {name}(")];
        assert!(defined.iter().any(|definition| text.contains(definition)), "{test}");
    }
}

#[test]
fn a_row_names_the_code_of_every_check_in_it() {
    let limits = LimitKind::ALL.iter().map(|kind| Check::Limit(*kind));
    for check in limits.chain(Check::OTHERS.iter().copied()) {
        let row = &ROWS[usize::from(check.row()) - 1];
        let named = row.codes.split(", ").any(|code| code == check.code());
        assert!(named, "{} in row {}", check.code(), row.number);
    }
}
