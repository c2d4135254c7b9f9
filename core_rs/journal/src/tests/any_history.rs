//! Any history of batches, starts and losses of power reads back the same at start, by a follower, and record by record.

use super::support::{DIR, append, append_durably, body, open_sim};
use crate::follower::Follower;
use crate::journal::Postgres;
use crate::sim::SimDisk;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Flush(u64),
    Close,
    Kill,
    LosePower(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..40_u64).prop_map(Step::Append),
        4 => (1..40_u64).prop_map(Step::Flush),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::LosePower),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn reads_back_the_same(steps in prop::collection::vec(step(), 1..24)) {
        let mut disk = SimDisk::new();
        let mut journal = open_sim(&disk, Postgres::Unreadable, 0).unwrap().journal;
        for step in steps {
            let (acknowledged, appended) = (journal.durable_seq(), journal.last_seq());
            let next = match step {
                Step::Append(count) => { append(&journal, count); None }
                Step::Flush(count) => { append_durably(&journal, count).unwrap(); None }
                Step::Close => { journal.close().unwrap(); Some((disk.kill(), appended)) }
                Step::Kill => Some((disk.kill(), acknowledged)),
                Step::LosePower(seed) => Some((disk.lose_power(seed), acknowledged)),
            };
            let Some((next, at_least)) = next else { continue };
            disk = next;
            let replayed = open_sim(&disk, Postgres::Unreadable, 0).unwrap();
            prop_assert!((at_least..=appended).contains(&replayed.last));
            journal = replayed.journal;
        }
        let last = append_durably(&journal, 1).unwrap();
        let mut follower = Follower::open_on(Arc::new(disk.clone()), Path::new(DIR), 0).unwrap();
        let mut next = 1;
        while follower.poll(50, &mut |_, frame| {
            assert_eq!((frame.seq, frame.body), (next, &body(next)[..]));
            next += 1;
            Ok(())
        }).unwrap() > 0 {}
        prop_assert_eq!(next, last + 1);
        for seq in (1..=last).step_by(5) {
            prop_assert_eq!(journal.read(seq).unwrap().unwrap().body, body(seq));
        }
        journal.close().unwrap();
        prop_assert_eq!(open_sim(&disk, Postgres::Unreadable, 0).unwrap().last, last);
    }
}
