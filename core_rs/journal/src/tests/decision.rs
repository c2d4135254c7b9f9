//! The decision table, all combinations.

use crate::recovery::{CommitSeen, Decision, Evidence, PostgresSeen, Refusal, SnapshotSeen, Tail, decide};

const TAILS: [Tail; 4] = [Tail::Clean, Tail::Bad, Tail::Gap, Tail::Foreign];
const COMMITS: [CommitSeen; 5] = [
    CommitSeen::Missing,
    CommitSeen::Unreadable,
    CommitSeen::Within,
    CommitSeen::Beyond,
    CommitSeen::Differs,
];
const POSTGRES: [PostgresSeen; 5] = [
    PostgresSeen::Unreadable,
    PostgresSeen::Before,
    PostgresSeen::Within,
    PostgresSeen::Beyond,
    PostgresSeen::Differs,
];
const SNAPSHOTS: [SnapshotSeen; 4] = [
    SnapshotSeen::Within,
    SnapshotSeen::Short,
    SnapshotSeen::Beyond,
    SnapshotSeen::Differs,
];

fn all() -> Vec<Evidence> {
    let mut out = Vec::new();
    for tail in TAILS {
        for later in [false, true] {
            for segments in [false, true] {
                for commit in COMMITS {
                    for postgres in POSTGRES {
                        for snapshot in SNAPSHOTS {
                            out.push(Evidence {
                                tail,
                                later,
                                segments,
                                commit,
                                postgres,
                                snapshot,
                            });
                        }
                    }
                }
            }
        }
    }
    out
}

/// Who may start, stated the other way round: by what must be true, not by what must not.
fn expected(seen: &Evidence) -> &'static str {
    let tail_ok = match (seen.tail, seen.later) {
        (Tail::Clean, _) => "start",
        (Tail::Bad, false) => "cut",
        (Tail::Bad, true) | (Tail::Gap | Tail::Foreign, _) => return "refuse",
    };
    if seen.snapshot != SnapshotSeen::Within {
        return "refuse";
    }
    match (seen.commit, seen.postgres) {
        (CommitSeen::Beyond | CommitSeen::Differs, _) => "refuse",
        (_, PostgresSeen::Beyond | PostgresSeen::Differs) => "refuse",
        (CommitSeen::Within, PostgresSeen::Unreadable | PostgresSeen::Before | PostgresSeen::Within) => tail_ok,
        (CommitSeen::Missing | CommitSeen::Unreadable, PostgresSeen::Within) if seen.segments => tail_ok,
        (CommitSeen::Unreadable, PostgresSeen::Within) => tail_ok,
        (CommitSeen::Missing, _) if !seen.segments => "start",
        (CommitSeen::Missing | CommitSeen::Unreadable, _) => "refuse",
    }
}

#[test]
fn every_combination_has_the_expected_decision() {
    let all = all();
    assert_eq!(all.len(), 1_600);
    for seen in &all {
        let got = match decide(seen) {
            Decision::Start => "start",
            Decision::Cut => "cut",
            Decision::Refuse(_) => "refuse",
        };
        assert_eq!(got, expected(seen), "{seen:?}");
    }
}

#[test]
fn a_cut_needs_someone_who_can_say_what_was_acknowledged() {
    for seen in all().iter().filter(|seen| decide(seen) == Decision::Cut) {
        assert!(seen.tail == Tail::Bad && !seen.later, "{seen:?}");
        assert!(
            seen.commit == CommitSeen::Within || seen.postgres == PostgresSeen::Within,
            "{seen:?}"
        );
    }
}

#[test]
fn the_first_reason_is_the_one_to_act_on() {
    let good = Evidence {
        tail: Tail::Bad,
        later: false,
        segments: true,
        commit: CommitSeen::Within,
        postgres: PostgresSeen::Within,
        snapshot: SnapshotSeen::Within,
    };
    let rows = [
        (good, Decision::Cut),
        (
            Evidence {
                tail: Tail::Clean,
                ..good
            },
            Decision::Start,
        ),
        (Evidence { later: true, ..good }, Decision::Refuse(Refusal::MidLog)),
        (
            Evidence {
                tail: Tail::Gap,
                later: true,
                ..good
            },
            Decision::Refuse(Refusal::Gap),
        ),
        (
            Evidence {
                tail: Tail::Foreign,
                ..good
            },
            Decision::Refuse(Refusal::Foreign),
        ),
        (
            Evidence {
                commit: CommitSeen::Beyond,
                ..good
            },
            Decision::Refuse(Refusal::BehindCommit),
        ),
        (
            Evidence {
                commit: CommitSeen::Differs,
                ..good
            },
            Decision::Refuse(Refusal::CommitDiffers),
        ),
        (
            Evidence {
                postgres: PostgresSeen::Beyond,
                ..good
            },
            Decision::Refuse(Refusal::BehindPostgres),
        ),
        (
            Evidence {
                postgres: PostgresSeen::Differs,
                ..good
            },
            Decision::Refuse(Refusal::PostgresDiffers),
        ),
        (
            Evidence {
                postgres: PostgresSeen::Unreadable,
                ..good
            },
            Decision::Cut,
        ),
        (
            Evidence {
                snapshot: SnapshotSeen::Beyond,
                ..good
            },
            Decision::Refuse(Refusal::BehindSnapshot),
        ),
        (
            Evidence {
                snapshot: SnapshotSeen::Short,
                ..good
            },
            Decision::Refuse(Refusal::SnapshotShort),
        ),
        (
            Evidence {
                snapshot: SnapshotSeen::Differs,
                ..good
            },
            Decision::Refuse(Refusal::SnapshotDiffers),
        ),
    ];
    for (seen, decision) in rows {
        assert_eq!(decide(&seen), decision, "{seen:?}");
    }
    for commit in [CommitSeen::Missing, CommitSeen::Unreadable] {
        let lone = Evidence {
            commit,
            postgres: PostgresSeen::Unreadable,
            ..good
        };
        assert_eq!(decide(&lone), Decision::Refuse(Refusal::NoEvidence));
        assert_eq!(
            decide(&Evidence {
                postgres: PostgresSeen::Before,
                ..lone
            }),
            Decision::Refuse(Refusal::NoEvidence)
        );
        assert_eq!(
            decide(&Evidence {
                postgres: PostgresSeen::Within,
                ..lone
            }),
            Decision::Cut
        );
        assert_eq!(
            decide(&Evidence {
                tail: Tail::Clean,
                ..lone
            }),
            Decision::Refuse(Refusal::NoEvidence)
        );
    }
}

#[test]
fn every_refusal_says_what_and_what_to_do() {
    for seen in all() {
        if let Decision::Refuse(refusal) = decide(&seen) {
            assert!(refusal.reason().len() > 20 && refusal.advice().len() > 20);
        }
    }
}
