//! Ids as the server makes them, 32 hex digits, from a seed: the same world gives the same ids.

use serde::{Serialize, Serializer};

/// 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HexID([u8; 32]);

impl HexID {
    /// The id that stands for these three numbers and no others.
    pub fn of(seed: u64, number: u64, place: u64) -> HexID {
        let high = mix(mix(seed).wrapping_add(number));
        let low = mix(high.wrapping_add(place));
        let mut digits = [0; 32];
        for (index, digit) in digits.iter_mut().enumerate() {
            let half = if index < 16 { high ^ low.rotate_left(32) } else { low };
            *digit = b"0123456789abcdef"[(half >> (4 * (index % 16)) & 15) as usize];
        }
        HexID(digits)
    }

    pub fn as_str(&self) -> &str {
        // Hex digits are text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for HexID {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A bijection of 64 bits that leaves no pattern (splitmix64's finish).
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
