//! The signature: four headers, made anew for every request that leaves.
//!
//! Pure but for the nonce, which must never come twice. Must never know: what is asked.

use std::hash::{BuildHasher, RandomState};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha1::{Digest, Sha1};

/// An application at the provider.
#[derive(Debug, Clone)]
pub struct Signer {
    pub app_key: String,
    pub app_secret: SecretString,
}

/// What proves that a request is ours, for five minutes around its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// 32 hex digits, never the same twice.
    pub nonce: String,
    /// Unix seconds, as text.
    pub cur_time: String,
    /// 40 hex digits, lower case.
    pub check_sum: String,
}

/// How far the time of a signature may be from the provider's clock, before it and after, as the vendor
/// says.
pub const VALIDITY: SignedDuration = SignedDuration::from_mins(5);

impl Signer {
    /// Signs a request that leaves at this time of the provider's clock. The provider takes it for so long, which
    /// is [`VALIDITY`] or less: then it bears a time that is older.
    pub fn sign(&self, provider_now: Timestamp, heard_within: SignedDuration) -> Signature {
        let nonce = nonce();
        let age = VALIDITY - heard_within.clamp(SignedDuration::ZERO, VALIDITY);
        let cur_time = provider_now.checked_sub(age).unwrap_or(provider_now).as_second().to_string();
        let check_sum = check_sum(self.app_secret.expose_secret(), &nonce, &cur_time);
        Signature { nonce, cur_time, check_sum }
    }
}

/// Lower-case hex of the SHA-1 of the three, one behind the other.
pub fn check_sum(app_secret: &str, nonce: &str, cur_time: &str) -> String {
    let digest = Sha1::new().chain_update(app_secret).chain_update(nonce).chain_update(cur_time).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 128 bits of a hash whose keys the system chose at random, for this nonce alone.
fn nonce() -> String {
    let half = |salt: u8| RandomState::new().hash_one(salt);
    format!("{:016x}{:016x}", half(0), half(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_vectors_come_out() {
        let long = "n".repeat(128);
        for (secret, nonce, time, expected) in [
            ("0123456789ab", "1", "1700000000", "3095541fe9c7c7a786de214300b4168b337c4ddf"),
            (
                "0123456789ab",
                "4tgggergigwow323t23t",
                "1443592222",
                "2b3c3ba113c760606d5830e4d807ad8490040efd",
            ),
            (
                "fedcba987654",
                "9f86d081884c7d659a2feaa0c55ad015",
                "1700000000",
                "a2c9614278090b9b627cece1d8704f983c87d736",
            ),
            (
                "fedcba987654",
                "9f86d081884c7d659a2feaa0c55ad015",
                "1700000001",
                "93fb4a7f26d7f3c5f9eb8c74f12fd954d6250df4",
            ),
            ("a1b2c3d4e5f6", &long, "1767225600", "33706b0e1de988d912f8ffb729a894e5659e7d5a"),
            ("a1b2c3d4e5f6", "abc", "1767225600", "a43da69313e3355aba39fb75ae59c191261754f9"),
            ("a1b2c3d4e5f6", "随机数-é", "1767225600", "973bf87cb74c864a7d27881262f3f94886135d91"),
            ("", "", "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ] {
            assert_eq!(check_sum(secret, nonce, time), expected, "{secret} {nonce} {time}");
        }
        // Nothing stands between the three.
        assert_eq!(
            check_sum("a1b2c3d4e5f6a", "bc", "1767225600"),
            check_sum("a1b2c3d4e5f6", "abc1", "767225600")
        );
    }

    #[test]
    fn a_signature_holds_whole_seconds_and_a_nonce_of_its_own() {
        let signer = Signer { app_key: "key".into(), app_secret: "a1b2c3d4e5f6".into() };
        let now = Timestamp::from_millisecond(1_767_225_600_999).unwrap();
        let (first, second) = (signer.sign(now, VALIDITY), signer.sign(now, VALIDITY));
        assert_eq!(first.cur_time, "1767225600");
        assert_eq!(first.check_sum, check_sum("a1b2c3d4e5f6", &first.nonce, "1767225600"));
        assert_ne!(first.nonce, second.nonce);
        assert_eq!(first.nonce.len(), 32);
        assert!(!format!("{signer:?}").contains("a1b2c3d4e5f6"));
    }

    #[test]
    fn a_signature_that_holds_for_less_bears_an_older_time() {
        let signer = Signer { app_key: "key".into(), app_secret: "a1b2c3d4e5f6".into() };
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        for (heard_within_s, cur_time) in [
            (300, "1767225600"),
            (900, "1767225600"),
            (33, "1767225333"),
            (0, "1767225300"),
            (-9, "1767225300"),
        ] {
            let signature = signer.sign(now, SignedDuration::from_secs(heard_within_s));
            assert_eq!(signature.cur_time, cur_time, "{heard_within_s}");
        }
    }
}
