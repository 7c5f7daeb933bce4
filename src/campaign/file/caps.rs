//! Whom a campaign file leaves alone: caps, samples, holdouts.

use jiff::SignedDuration;

use super::{
    super::{
        cap::{Cap, Caps},
        share::Share,
    },
    amounts::duration,
    texts,
};
use crate::{
    document::{
        Code,
        fields::{Fields, Report},
    },
    limits::Rate,
};

/// The keys of `cap`.
pub(crate) const CAP_KEYS: &[&str] = &["perRecipient", "across"];

/// A share of the audience, where the key is there.
pub(super) fn share(fields: &Fields<'_>, key: &str, report: &mut Report) -> Option<Share> {
    fields.get(key)?.parsed(report, Code::BadValue, str::parse)
}

/// How often one person may be written to.
pub(super) fn caps(fields: &Fields<'_>, report: &mut Report) -> Caps {
    let not_again_within = fields
        .get("notAgainWithin")
        .and_then(|cursor| duration(&cursor, report, SignedDuration::from_secs(1)));
    Caps { cap: cap(fields, report), not_again_within }
}

fn cap(fields: &Fields<'_>, report: &mut Report) -> Option<Cap> {
    let cap = fields.get("cap")?.fields(report, CAP_KEYS)?;
    let rate = cap.require(report, "perRecipient", "for example `perRecipient: 2/day`");
    let per_recipient = rate.and_then(|cursor| cursor.parsed(report, Code::BadValue, str::parse::<Rate>));
    let across = texts(cap.get("across"), report);
    Some(Cap { per_recipient: per_recipient?, across })
}
