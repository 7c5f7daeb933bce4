//! Who of the people that an audience names is asked, and why the others are not.

use super::reply::Reason;
use crate::campaign::{
    CampaignID, RecipientID,
    share::{Draw, Share},
};

/// What a campaign says of the people in its audience.
#[derive(Debug, Clone, Copy)]
pub struct Screen<'a> {
    pub campaign: &'a CampaignID,
    /// Only this share is the audience.
    pub sample: Option<Share>,
    /// This share of the audience is not asked.
    pub holdout: Option<Share>,
}

/// Why the ledger holds somebody back, if it does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    pub suppressed: Option<Reason>,
    /// By `cap` or `notAgainWithin`.
    pub capped: Option<Reason>,
}

/// What becomes of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screened {
    /// Is no part of the audience.
    NotSampled,
    Excluded(Reason),
    Asked,
}

impl Screen<'_> {
    /// Judges one person; `is_named_out`: by a source of `exclude`. A suppression wins over everything.
    pub fn judge(&self, id: &RecipientID, is_named_out: bool, held: Held) -> Screened {
        if self.sample.is_some_and(|share| !share.has(self.campaign, Draw::Sample, id)) {
            return Screened::NotSampled;
        }
        let named_out = is_named_out.then(|| Reason::new("exclude", "named by `exclude`"));
        let is_held_out = self.holdout.is_some_and(|share| share.has(self.campaign, Draw::Holdout, id));
        let held_out = is_held_out.then(|| Reason::new("holdout", "held out for comparison"));
        match held.suppressed.or(named_out).or(held_out).or(held.capped) {
            Some(reason) => Screened::Excluded(reason),
            None => Screened::Asked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_reason_is_told() {
        let reason = |code: &str| Reason::new(code, "why");
        let campaign: CampaignID = "sale".parse().unwrap();
        let ids = || (0..1_000).map(|number| RecipientID::new(format!("u{number}")).unwrap());
        let half: Share = "50%".parse().unwrap();
        let (held_out, kept): (Vec<_>, Vec<_>) = ids().partition(|id| half.has(&campaign, Draw::Holdout, id));
        let screen = Screen { campaign: &campaign, sample: None, holdout: Some(half) };
        let check = |id: &RecipientID, named_out, suppressed: bool, capped: bool, expected: Option<&str>| {
            let held = Held {
                suppressed: suppressed.then(|| reason("suppressed")),
                capped: capped.then(|| reason("cap")),
            };
            let told = match screen.judge(id, named_out, held) {
                Screened::Excluded(reason) => Some(reason.code),
                Screened::Asked => None,
                Screened::NotSampled => Some("not sampled".to_owned()),
            };
            assert_eq!(told.as_deref(), expected);
        };
        check(&kept[0], false, false, false, None);
        check(&kept[0], false, false, true, Some("cap"));
        check(&held_out[0], false, false, true, Some("holdout"));
        check(&held_out[0], true, false, true, Some("exclude"));
        check(&held_out[0], true, true, true, Some("suppressed"));
        let sampled = Screen { sample: Some(half), ..screen };
        let left =
            ids().filter(|id| sampled.judge(id, true, Held::default()) == Screened::NotSampled).count();
        assert!((400..600).contains(&left), "{left}");
    }
}
