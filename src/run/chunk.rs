//! How an audience is cut: sorted chunks, and the order in which they leave.

use sha2::{Digest, Sha256};

use super::RunID;
use crate::campaign::{RecipientID, source::Values};

/// A sorted range of a run's recipients, at most one call's worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// From 1, in the order of the ids.
    pub number: u64,
    /// Where the chunk stands in the order of sending: a seeded shuffle, because ids sorted by
    /// sign-up would put the dead accounts first.
    pub position: i64,
    /// Sorted, none twice, never empty.
    pub recipients: Vec<RecipientID>,
    /// What fills in their message, which is the same for each; None where it has no variables.
    pub values: Option<Values>,
}

/// Cuts a sorted stream of recipients, none twice, into chunks as it comes.
#[derive(Debug)]
pub struct Cutter {
    seed: u64,
    size: usize,
    next_number: u64,
    gathered: Vec<RecipientID>,
    /// Whose message is gathered for, and what fills it in.
    message: Option<(Vec<u8>, Values)>,
}

impl Cutter {
    /// Chunks of `size` recipients, at least 1, for this run.
    pub fn new(run: &RunID, size: u32) -> Cutter {
        let digest = Sha256::digest(run.as_str());
        let seed = digest.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        Cutter { seed, size: size.max(1) as usize, next_number: 1, gathered: Vec::new(), message: None }
    }

    /// Those that follow get the message with this digest, which these values fill in. Gives a chunk when
    /// those before get another.
    pub fn message(&mut self, digest: &[u8], values: &Values) -> Option<Chunk> {
        if self.message.as_ref().is_some_and(|(known, _)| known == digest) {
            return None;
        }
        let chunk = self.finish();
        self.message = Some((digest.to_vec(), values.clone()));
        chunk
    }

    /// Takes one recipient; gives a chunk when it is full.
    pub fn push(&mut self, recipient: RecipientID) -> Option<Chunk> {
        self.gathered.push(recipient);
        if self.gathered.len() == self.size { self.finish() } else { None }
    }

    /// Gives what is left, if anything is.
    pub fn finish(&mut self) -> Option<Chunk> {
        if self.gathered.is_empty() {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        let recipients = std::mem::replace(&mut self.gathered, Vec::with_capacity(self.size));
        let values = self.message.as_ref().map(|(_, values)| values.clone());
        Some(Chunk { number, position: shuffled(self.seed, number), recipients, values })
    }
}

/// A place for `number` in an order that `seed` shuffles: the finaliser of SplitMix64, which maps
/// distinct numbers to distinct places.
fn shuffled(seed: u64, number: u64) -> i64 {
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) as i64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::run::Trigger;

    fn run() -> RunID {
        RunID::new(&"c".parse().unwrap(), Timestamp::UNIX_EPOCH, Trigger::Schedule, 0)
    }

    proptest! {
        #[test]
        fn chunks_partition_the_audience(count in 0usize..700, size in 1u32..120) {
            let audience: Vec<_> = (0..count).map(|n| RecipientID::new(format!("u{n:05}")).unwrap()).collect();
            let mut cutter = Cutter::new(&run(), size);
            let mut chunks: Vec<_> = audience.iter().filter_map(|id| cutter.push(id.clone())).collect();
            chunks.extend(cutter.finish());
            let joined: Vec<_> = chunks.iter().flat_map(|chunk| chunk.recipients.clone()).collect();
            prop_assert_eq!(joined, audience);
            prop_assert!(chunks.iter().all(|chunk| (1..=size as usize).contains(&chunk.recipients.len())));
            prop_assert!(chunks.iter().map(|chunk| chunk.number).eq(1..=chunks.len() as u64));
            let places: BTreeSet<_> = chunks.iter().map(|chunk| chunk.position).collect();
            prop_assert_eq!(places.len(), chunks.len());
        }
    }

    #[test]
    fn those_who_get_the_same_message_share_a_chunk() {
        let mut cutter = Cutter::new(&run(), 2);
        let mut chunks = Vec::new();
        for (id, message) in [("a", "x"), ("b", "x"), ("c", "x"), ("d", "y"), ("e", "z"), ("f", "z")] {
            let values = Values([("m".to_owned(), message.to_owned())].into());
            chunks.extend(cutter.message(message.as_bytes(), &values));
            chunks.extend(cutter.push(RecipientID::new(id).unwrap()));
        }
        chunks.extend(cutter.finish());
        let told: Vec<String> = chunks
            .iter()
            .map(|chunk| {
                let ids: String = chunk.recipients.iter().map(RecipientID::as_str).collect();
                format!("{ids}:{}", chunk.values.as_ref().unwrap().0["m"])
            })
            .collect();
        assert_eq!(told, ["ab:x", "c:x", "d:y", "ef:z"]);
    }

    #[test]
    fn the_order_is_shuffled_and_the_same_every_time() {
        let order = || {
            let mut numbers: Vec<u64> = (1..=20).collect();
            numbers.sort_by_key(|number| shuffled(7, *number));
            numbers
        };
        assert_eq!(order(), order());
        assert!(!order().is_sorted());
    }
}
