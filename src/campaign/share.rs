//! Shares of people: the same ones every time.

use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::{CampaignID, RecipientID};

/// A share of all recipients, in millionths: more than none, and not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

/// What a share is drawn for. Each draw of a campaign is independent of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    Sample,
    Holdout,
}

/// The text is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share is written as a percentage between 0.0001% and 99.9999%, like 5% or 0.5%")]
pub struct BadShare;

impl FromStr for Share {
    type Err = BadShare;

    fn from_str(text: &str) -> Result<Share, BadShare> {
        let number = text.strip_suffix('%').ok_or(BadShare)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(BadShare);
        }
        let millionths: u32 = format!("{whole}{part:0<4}").parse().map_err(|_| BadShare)?;
        if (1..1_000_000).contains(&millionths) { Ok(Share(millionths)) } else { Err(BadShare) }
    }
}

impl Share {
    /// Whether the share has this recipient: by a hash, so that a campaign draws the same people every
    /// time, whatever else its audience holds.
    pub fn has(self, campaign: &CampaignID, draw: Draw, recipient: &RecipientID) -> bool {
        let draw = match draw {
            Draw::Sample => "sample",
            Draw::Holdout => "holdout",
        };
        let mut hash = Sha256::new();
        for part in [draw, campaign.as_str(), recipient.as_str()] {
            hash.update(part);
            hash.update([0]);
        }
        let place = hash.finalize().iter().take(8).fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        (u128::from(place) * 1_000_000) >> 64 < u128::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_percentages() {
        for (text, expected) in [
            ("1%", Some(10_000)),
            ("0.5%", Some(5_000)),
            ("99.9999%", Some(999_999)),
            ("0.0001%", Some(1)),
            ("12.05%", Some(120_500)),
            ("0%", None),
            ("100%", None),
            ("5", None),
            ("-1%", None),
            (".5%", None),
            ("1.00001%", None),
            ("%", None),
        ] {
            assert_eq!(text.parse().ok(), expected.map(Share), "{text}");
        }
    }

    #[test]
    fn a_share_has_about_so_many_and_always_the_same() {
        let ids: Vec<_> = (0..20_000).map(|number| RecipientID::new(format!("u{number}")).unwrap()).collect();
        let drawn = |share: &str, campaign: &str, draw| -> Vec<&RecipientID> {
            let (share, campaign): (Share, _) = (share.parse().unwrap(), campaign.parse().unwrap());
            ids.iter().filter(|id| share.has(&campaign, draw, id)).collect()
        };
        let five = drawn("5%", "sale", Draw::Holdout);
        assert!((900..1_100).contains(&five.len()), "{}", five.len());
        let six = drawn("6%", "sale", Draw::Holdout);
        assert!(five.iter().all(|id| six.contains(id)), "a larger share has those of a smaller one");
        let both = |other: &[&RecipientID]| five.iter().filter(|id| other.contains(id)).count();
        assert!(both(&drawn("5%", "news", Draw::Holdout)) < 100, "another campaign draws others");
        assert!(both(&drawn("5%", "sale", Draw::Sample)) < 100, "and so does another draw");
    }
}
