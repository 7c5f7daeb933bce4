//! Jitter: a delay that spreads campaigns over some time, the same for the same slot every time.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

/// The delay of a slot, at least zero and less than `jitter`, in whole milliseconds. It depends on the
/// name and the slot alone, so that no restart and no other machine draws another one.
pub fn delay(name: &str, slot: Timestamp, jitter: SignedDuration) -> SignedDuration {
    let Ok(most_ms) = u64::try_from(jitter.as_millis()) else { return SignedDuration::ZERO };
    if most_ms == 0 {
        return SignedDuration::ZERO;
    }
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([0])
        .chain_update(slot.as_millisecond().to_be_bytes())
        .finalize();
    let drawn = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    SignedDuration::from_millis((drawn % most_ms) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_drawn_once_for_ever() {
        let slot = |second| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let jitter = SignedDuration::from_mins(5);
        assert_eq!(delay("greeting", slot(0), jitter), delay("greeting", slot(0), jitter));
        // Pinned: another version must not draw another delay for a slot that waits.
        let drawn: Vec<i128> =
            (0..3_i64).map(|second| delay("greeting", slot(second), jitter).as_millis()).collect();
        assert_eq!(drawn, [102_988, 99_984, 253_165]);
        assert_ne!(delay("greeting", slot(0), jitter), delay("farewell", slot(0), jitter));
        assert_eq!(delay("greeting", slot(0), SignedDuration::ZERO), SignedDuration::ZERO);
    }

    #[test]
    fn delays_spread_evenly_below_the_jitter() {
        let jitter = SignedDuration::from_secs(10);
        let mut tenths = [0_u32; 10];
        for second in 0..10_000 {
            let slot = Timestamp::from_second(second).unwrap();
            tenths[(delay("a", slot, jitter).as_millis() / 1_000) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1_150).contains(count)), "{tenths:?}");
    }
}
