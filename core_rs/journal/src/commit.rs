//! `commit`: how far the journal may be believed. One page, shared by mapping; two slots, written in turn, and two more
//! that outlive a loss of power.
//!
//! ```text
//! slots at bytes 0 and 512, checkpoints at 1024 and 1536; eight words each, little-endian
//!  0 generation (0: being written)    4 end: offset after the last chunk, in that segment
//!  1 last_seq                         5 hash of the last chunk, first half
//!  2 first_seq of the segment         6 hash, second half
//!  3 epoch                            7 magic "OGCM" | crc32c over words 0..7
//! ```
//!
//! **Publication.** Generation g goes to slot g mod 2, so the slot with the newest value is never the one that changes.
//! The writer (there is one: it holds the lock) stores generation 0, then the words, then the generation; a reader
//! takes the generation, the words, and the generation again, and drops a slot that changed meanwhile (a sequence lock
//! with fences, sound between processes because every access is atomic), and looks at the other again, so that what it
//! sees never goes back. The stores come after `fdatasync` returned, the generation is stored with Release and loaded
//! with Acquire: whoever sees it can read the chunks. Killed between the stores, the writer leaves one slot invalid and
//! the other one batch old: the chunk above it is written again at start.
//!
//! **Loss of power.** The page is not flushed with each batch (that would double the flushes), so both slots may be
//! half written on the disk; the checksum finds that. Once a segment the position is also stored into a checkpoint, in
//! turn, and the page is flushed before the next one: one of the checkpoints is always whole on the disk.

use crate::chunk::Hash;
use crate::disk::{Disk, SharedPage};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Length of the file: one page.
pub const BYTES: usize = 4096;
/// Its name.
pub const NAME: &str = "commit";

const SLOT_WORDS: usize = 8;
/// After so many looks a page without a whole slot is damaged, and not just busy.
const ROUNDS: u32 = 1_024;
/// One sector apart: a torn sector takes one slot, not more.
const SLOT_AT: [usize; 2] = [0, 64];
const CHECKPOINT_AT: [usize; 2] = [128, 192];
const MAGIC: u64 = u32::from_le_bytes(*b"OGCM") as u64;

/// The end of what may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Last committed record, 0 for none.
    pub last_seq: u64,
    /// First record of the segment that holds it, 0 for none.
    pub segment: u64,
    /// Offset after the last chunk in that segment, a multiple of the sector.
    pub end: u64,
    /// The writer's start.
    pub epoch: u32,
    /// Hash of the last chunk.
    pub hash: Hash,
}

/// Reads `commit`, from any process.
#[derive(Clone)]
pub struct Reader {
    page: Arc<dyn SharedPage>,
}

/// Writes `commit`: the holder of the lock only.
pub struct Publisher {
    page: Arc<dyn SharedPage>,
    generation: u64,
    last: Position,
}

impl Reader {
    /// Maps the file.
    ///
    /// # Errors
    /// `NotFound` when there is none, `InvalidData` when it is too short.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Reader> {
        Ok(Reader {
            page: disk.map(path, false)?,
        })
    }

    /// The newest whole value; `None` when everything is damaged. Between two reads it never goes back.
    #[must_use]
    pub fn read(&self) -> Option<Position> {
        newest(self.page.words()).map(|(_, position)| position)
    }
}

impl Publisher {
    /// Makes the file: all slots say "nothing". Durable on return.
    ///
    /// # Errors
    /// What the disk says.
    pub fn create(disk: &dyn Disk, dir: &Path) -> io::Result<Publisher> {
        let (temporary, path) = (dir.join("commit.tmp"), dir.join(NAME));
        let file = disk.create(&temporary)?;
        let mut bytes = vec![0; BYTES];
        for (slot, at) in SLOT_AT.iter().chain(&CHECKPOINT_AT).enumerate() {
            let words = encode(slot as u64 % 2 + 2, &Position::default());
            for (i, word) in words.iter().enumerate() {
                bytes[(at + i) * 8..(at + i + 1) * 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        file.write_at(&bytes, 0)?;
        file.sync()?;
        disk.rename(&temporary, &path)?;
        disk.sync_dir(dir)?;
        Ok(Publisher {
            page: disk.map(&path, true)?,
            generation: 3,
            last: Position::default(),
        })
    }

    /// Maps an existing file for writing, together with what it says now (`None`: everything is damaged).
    ///
    /// # Errors
    /// `NotFound`, `InvalidData` (too short), or what the disk says.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<(Publisher, Option<Position>)> {
        let page = disk.map(path, true)?;
        let found = newest(page.words());
        // With everything damaged any number does: there is nothing older to be confused with.
        let (generation, last) = found.unwrap_or((3, Position::default()));
        Ok((
            Publisher { page, generation, last },
            found.map(|(_, position)| position),
        ))
    }

    /// Lets everybody see `position`. What it names must be durable.
    pub fn publish(&mut self, position: &Position) {
        self.generation += 1;
        self.last = *position;
        let at = SLOT_AT[usize::from(self.generation % 2 == 1)];
        store(&self.page.words()[at..at + SLOT_WORDS], self.generation, position);
    }

    /// Stores the published position a second time, where a loss of power cannot spoil it. The page must have been
    /// flushed since the last time, and be flushed before the next.
    pub fn checkpoint(&mut self) {
        let words = self.page.words();
        let generation = |at: usize| load(&words[at..at + SLOT_WORDS]).map_or(0, |(generation, _)| generation);
        let [first, second] = CHECKPOINT_AT;
        let older = if generation(first) <= generation(second) {
            first
        } else {
            second
        };
        store(&words[older..older + SLOT_WORDS], self.generation, &self.last);
    }

    /// The page, for flushing it from another thread.
    #[must_use]
    pub fn page(&self) -> Arc<dyn SharedPage> {
        Arc::clone(&self.page)
    }
}

fn store(slot: &[AtomicU64], generation: u64, position: &Position) {
    let words = encode(generation, position);
    // Release: whoever sees the zero also sees the other slot as it was published.
    slot[0].store(0, Ordering::Release);
    // Whoever sees one of the new words also sees the zero.
    fence(Ordering::Release);
    for (word, value) in slot.iter().zip(words).skip(1) {
        word.store(value.to_le(), Ordering::Relaxed);
    }
    slot[0].store(words[0].to_le(), Ordering::Release);
}

/// A slot as it is at one moment; `None` while it is written or when it is damaged.
fn load(slot: &[AtomicU64]) -> Option<(u64, Position)> {
    let before = slot[0].load(Ordering::Acquire);
    let mut words = [u64::from_le(before); SLOT_WORDS];
    for (value, word) in words.iter_mut().zip(slot).skip(1) {
        *value = u64::from_le(word.load(Ordering::Relaxed));
    }
    // Pairs with the fence in `publish`: a new word implies that the load below sees the zero or a later generation.
    fence(Ordering::Acquire);
    if slot[0].load(Ordering::Acquire) != before {
        return None;
    }
    decode(&words)
}

/// The newest whole value of all four places: the same for a start, a follower and `verify`. A checkpoint is newer than
/// the slots only when a loss of power spoilt the newest of them.
fn newest(words: &[AtomicU64]) -> Option<(u64, Position)> {
    let checkpoints = CHECKPOINT_AT.iter().map(|at| load(&words[*at..*at + SLOT_WORDS]));
    newest_slot(words)
        .into_iter()
        .chain(checkpoints.flatten())
        .max_by_key(|(generation, _)| *generation)
}

fn newest_slot(words: &[AtomicU64]) -> Option<(u64, Position)> {
    for round in 0..ROUNDS {
        let found = look(|place| load(&words[SLOT_AT[place]..SLOT_AT[place] + SLOT_WORDS]));
        if found.is_some() {
            return found;
        }
        if round < ROUNDS / 8 {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
    None
}

/// One look at both slots, which change meanwhile.
fn look(mut slot: impl FnMut(usize) -> Option<(u64, Position)>) -> Option<(u64, Position)> {
    match (slot(0), slot(1)) {
        (Some(first), Some(second)) => Some(if first.0 > second.0 { first } else { second }),
        (None, second) => second,
        // The second slot is being written: since the first was read, it may have become the newest. Without this
        // second look a reader could see the commit go back by one batch.
        (Some(_), None) => slot(0),
    }
}

fn encode(generation: u64, position: &Position) -> [u64; SLOT_WORDS] {
    let (first, second) = position.hash.split_at(8);
    let half = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0_u64, |word, byte| word << 8 | u64::from(*byte))
    };
    let mut words = [
        generation,
        position.last_seq,
        position.segment,
        u64::from(position.epoch),
        position.end,
        half(first),
        half(second),
        0,
    ];
    words[7] = MAGIC << 32 | u64::from(checksum(&words));
    words
}

fn decode(words: &[u64; SLOT_WORDS]) -> Option<(u64, Position)> {
    let good = words[0] != 0 && words[7] == MAGIC << 32 | u64::from(checksum(words));
    let epoch = u32::try_from(words[3]).ok().filter(|_| good)?;
    let mut hash = [0; 16];
    hash[..8].copy_from_slice(&words[5].to_le_bytes());
    hash[8..].copy_from_slice(&words[6].to_le_bytes());
    let position = Position {
        last_seq: words[1],
        segment: words[2],
        end: words[4],
        epoch,
        hash,
    };
    Some((words[0], position))
}

fn checksum(words: &[u64; SLOT_WORDS]) -> u32 {
    words[..7]
        .iter()
        .fold(0, |crc, word| crc32c::crc32c_append(crc, &word.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_never_goes_back() {
        let at = |generation: u64| {
            Some((
                generation,
                Position {
                    last_seq: generation,
                    ..Position::default()
                },
            ))
        };
        // (what the slots show, look by look; what is seen)
        let rows = [
            (vec![at(10), at(11)], at(11)),
            (vec![at(12), at(11)], at(12)),
            (vec![None, at(11)], at(11)),
            (vec![None, None], None),
            // Generation 12 came between the two, and 13 is being written: 10 was overtaken by 11 before.
            (vec![at(10), None, at(12)], at(12)),
            (vec![at(10), None, None], None),
        ];
        for (shown, seen) in rows {
            let (mut looks, mut places) = (shown.clone().into_iter(), Vec::new());
            let found = look(|place| {
                places.push(place);
                looks.next().flatten()
            });
            assert_eq!(found, seen, "{shown:?}");
            assert_eq!(places[..2], [0, 1]);
            assert_eq!(looks.next(), None, "{shown:?}");
        }
    }
}
