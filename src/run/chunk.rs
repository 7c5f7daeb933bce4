//! How an audience is cut: sorted chunks, and the order in which they leave.

use crate::campaign::{RecipientID, source::Values};

/// A sorted range of a run's recipients, at most one call's worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// From 1, in the order of the ids.
    pub number: u64,
    /// Sorted, none twice, never empty.
    pub recipients: Vec<RecipientID>,
    /// What fills in their message, which is the same for each; None where it has no variables.
    pub values: Option<Values>,
}

/// Cuts a sorted stream of recipients, none twice, into chunks as it comes.
#[derive(Debug)]
pub struct Cutter {
    size: usize,
    next_number: u64,
    gathered: Vec<RecipientID>,
    /// Whose message is gathered for, and what fills it in.
    message: Option<(Vec<u8>, Values)>,
}

impl Cutter {
    /// Chunks of `size` recipients, at least 1.
    pub fn new(size: u32) -> Cutter {
        Cutter { size: size.max(1) as usize, next_number: 1, gathered: Vec::new(), message: None }
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
        Some(Chunk { number, recipients, values })
    }
}

/// Which of the chunks that wait leaves next: a number of `first..=last`, the same for the same seed and
/// turn. Drawn, because ids sorted by sign-up would put the dead accounts first; and drawn when it leaves,
/// because an order that is written down while an audience is opened is written all over the disk.
pub fn drawn(seed: i64, turn: i64, first: i64, last: i64) -> i64 {
    // The finaliser of SplitMix64.
    let mut mixed = (turn as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed as u64);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    let count = last.abs_diff(first).saturating_add(1);
    first.saturating_add((mixed % count) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_partition_the_audience(count in 0usize..700, size in 1u32..120) {
            let audience: Vec<_> = (0..count).map(|n| RecipientID::new(format!("u{n:05}")).unwrap()).collect();
            let mut cutter = Cutter::new(size);
            let mut chunks: Vec<_> = audience.iter().filter_map(|id| cutter.push(id.clone())).collect();
            chunks.extend(cutter.finish());
            let joined: Vec<_> = chunks.iter().flat_map(|chunk| chunk.recipients.clone()).collect();
            prop_assert_eq!(joined, audience);
            prop_assert!(chunks.iter().all(|chunk| (1..=size as usize).contains(&chunk.recipients.len())));
            prop_assert!(chunks.iter().map(|chunk| chunk.number).eq(1..=chunks.len() as u64));
        }
    }

    #[test]
    fn those_who_get_the_same_message_share_a_chunk() {
        let mut cutter = Cutter::new(2);
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

    proptest! {
        #[test]
        fn what_is_drawn_waits(seed: i64, turn: i64, first in 0i64..1_000, more in 0i64..1_000) {
            let next = drawn(seed, turn, first, first + more);
            prop_assert!((first..=first + more).contains(&next));
            prop_assert_eq!(next, drawn(seed, turn, first, first + more));
        }
    }

    #[test]
    fn turns_draw_from_everywhere() {
        let mut tenths = [0; 10];
        for turn in 0..1_000 {
            tenths[drawn(7, turn, 1, 1_000) as usize / 101] += 1;
        }
        assert!(tenths.iter().all(|count| (60..140).contains(count)), "{tenths:?}");
        let order: Vec<i64> = (0..20).map(|turn| drawn(7, turn, 1, 1_000)).collect();
        assert!(!order.is_sorted(), "{order:?}");
    }
}
