//! A campaign file: its text to a checked [`Campaign`], or to everything that is wrong with it.
//!
//! Knows: the keys of the contract, their defaults, and the rules between them; what is not built
//! yet is told as such, never taken and ignored. Must never know: where the file lies, whether its
//! list files are there (it asks), the clock.

mod amounts;
mod audience;
mod caps;
mod coverage;
mod delivery;
mod message;
mod schedules;
mod sources;
mod times;
mod timing;
mod trying;
mod unlisted;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use coverage::{Frame, check_frame};

pub(crate) use amounts::{GATEWAY_LIMIT_KEYS, duration, limits};
pub(crate) use times::zone;
#[cfg(test)]
pub(crate) use {
    amounts::CAMPAIGN_LIMIT_KEYS,
    audience::EXPECT_KEYS,
    caps::CAP_KEYS,
    delivery::KEYS as DELIVERY_KEYS,
    schedules::{EXCEPT_KEYS, KEYS as SCHEDULE_KEYS},
    sources::SOURCE_KEYS,
    timing::{DST_KEYS, LATENESS_KEYS, WINDOW_KEYS},
    trying::{RETRY_KEYS, STOP_WHEN_KEYS},
};

use super::{Campaign, CampaignID, Gateways, source::ListFile};
use crate::document::{
    Code, Problem, Span,
    fields::{Cursor, Fields, Report},
    nearest::did_you_mean,
    yaml,
};

/// The keys of a campaign file.
pub(crate) const KEYS: &[&str] = &[
    "id",
    "description",
    "labels",
    "enabled",
    "gateway",
    "message",
    "recvIDs",
    "isSendAll",
    "groupIDs",
    "recipients",
    "exclude",
    "expect",
    "cap",
    "notAgainWithin",
    "sample",
    "holdout",
    "timezone",
    "schedules",
    "lateness",
    "overlap",
    "dst",
    "window",
    "finishWithin",
    "delivery",
];

/// What a campaign file is read against.
#[derive(Clone)]
pub struct Context<'a> {
    /// For telling what has passed.
    pub now: Timestamp,
    /// The zone of campaigns that name none.
    pub default_zone: Option<TimeZone>,
    /// The gateway of campaigns that name none.
    pub default_gateway: Option<String>,
    pub gateways: &'a dyn Gateways,
    /// Looks at a list file; its path is relative to the campaign file. None: nobody looks.
    pub list_file: Option<&'a dyn Fn(&ListFile) -> ListFileState>,
    /// Reads a file of dates, whose path is relative to the campaign file. None: nobody looks.
    pub dates: Option<&'a DatesReader<'a>>,
}

/// Gives the dates that a file names.
pub type DatesReader<'a> = dyn Fn(&str) -> Result<BTreeSet<Date>, DatesFault> + 'a;

/// Why a file of dates gives none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatesFault {
    Missing,
    /// It cannot be read, or a line of it is no date, for this reason.
    Unusable(String),
}

/// What a look at a list file finds now; a run reads it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFileState {
    Filled {
        columns: BTreeSet<String>,
    },
    Empty,
    Missing,
    /// It cannot be read as it is meant to be, for this reason.
    Unusable(String),
}

/// Reads a campaign file. The campaign is there when no problem is an error; warnings come beside
/// it. `file` is the name shown in problems, and its stem is the id of a campaign that gives none.
pub fn read(file: &str, bytes: &[u8], context: &Context<'_>) -> (Option<Campaign>, Vec<Problem>) {
    let node = match yaml::parse(file, bytes) {
        Ok(node) => node,
        Err(problems) => return (None, problems),
    };
    let mut report = Report::new(file);
    let campaign = Cursor::root(&node)
        .fields(&mut report, KEYS)
        .and_then(|fields| campaign(file, &fields, context, &mut report))
        .filter(|_| !report.has_error());
    (campaign, report.into_problems())
}

/// The id that a file gives, whatever else is wrong with it; None when that cannot be told.
pub fn identity(file: &str, bytes: &[u8]) -> Option<CampaignID> {
    let node = yaml::parse(file, bytes).ok()?;
    let mut report = Report::new(file);
    let fields = Cursor::root(&node).fields(&mut report, KEYS)?;
    id(file, &fields, &mut report)
}

/// Every part is read, whatever is wrong with the others, so that all problems come at once.
fn campaign(file: &str, fields: &Fields<'_>, context: &Context<'_>, report: &mut Report) -> Option<Campaign> {
    let id = id(file, fields, report);
    let description = fields.get("description").map(|cursor| cursor.text(report).map(str::to_owned));
    let labels = texts(fields.get("labels"), report);
    let enabled = fields.get("enabled").map(|cursor| cursor.boolean(report));
    let gateway = gateway(fields, context, report);
    let dialect = gateway.as_deref().and_then(|name| context.gateways.dialect(name));
    let mut columns = Some(BTreeSet::new());
    let audience = audience::audience(fields, dialect, context, &mut columns, report);
    let exclude = audience::exclude(fields, dialect, context, report);
    let expect = audience::expect(fields, audience.as_ref(), exclude.is_empty(), report);
    let sample = caps::share(fields, "sample", report);
    let holdout = caps::share(fields, "holdout", report);
    let caps = caps::caps(fields, report);
    let message = message::message(fields, dialect, audience.as_ref(), columns.as_ref(), report);
    let calendar = timing::calendar(fields, context, report);
    let written = schedules::schedules(fields, calendar.as_ref(), context, report);
    let lateness = timing::lateness(fields, report);
    let overlap = timing::overlap(fields, report);
    let window = timing::window(fields, report);
    let finish_within = timing::finish_within(fields, report);
    if let (Some(id), Some(calendar), Some(written), Some(window), Some(finish_within)) =
        (&id, &calendar, &written, &window, finish_within)
    {
        let frame = Frame { id, calendar, window: window.as_ref(), finish_within, now: context.now };
        check_frame(written, &frame, fields, report);
    }
    let delivery = delivery::delivery(fields, dialect, message.as_ref().map(|(message, _)| message), report);
    unlisted::check(fields, audience.as_ref(), dialect, report);
    let (message, template) = message?;
    Some(Campaign {
        id: id?,
        description: description.flatten().unwrap_or_default(),
        labels,
        enabled: enabled.flatten().unwrap_or(true),
        gateway: gateway?,
        message,
        template,
        audience: audience?,
        exclude,
        expect,
        sample,
        holdout,
        caps,
        calendar: calendar?,
        schedules: written?.into_iter().map(|written| written.schedule).collect(),
        lateness: lateness?,
        overlap: overlap?,
        window: window?,
        finish_within: finish_within?,
        delivery: delivery?,
    })
}

/// The id that the file gives, else the stem of its name.
fn id(file: &str, fields: &Fields<'_>, report: &mut Report) -> Option<CampaignID> {
    if let Some(cursor) = fields.get("id") {
        let text = cursor.id(report)?;
        let id = text.parse().ok();
        if id.is_none() {
            let hint = tidy_id(text).map(|tidy| format!("for example `{tidy}`"));
            let message = format!("`{text}`: {}", super::BadCampaignID);
            cursor.error(report, Code::BadValue, message, hint.as_deref());
        }
        return id;
    }
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name);
    let stem = if stem == "-" { "stdin" } else { stem };
    let id = stem.parse().ok();
    if id.is_none() {
        let example = tidy_id(stem).unwrap_or_else(|| "my-campaign".to_owned());
        let hint = format!("rename the file, or give an id of its own: `id: {example}`");
        let message = format!("the file's name gives the id `{stem}`: {}", super::BadCampaignID);
        report.error(Span::default(), Code::BadValue, "id", message, Some(hint));
    }
    id
}

/// The nearest text that could be an id.
fn tidy_id(text: &str) -> Option<String> {
    let replaced: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(64)
        .collect();
    let tidy = replaced.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    tidy.parse::<CampaignID>().ok().map(|id| id.to_string())
}

/// The texts under a key that has a mapping of any keys.
fn texts(cursor: Option<Cursor<'_>>, report: &mut Report) -> BTreeMap<String, String> {
    let Some(cursor) = cursor else { return BTreeMap::new() };
    let entries = cursor.mapping(report).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), cursor.entry(entry).text(report)?.to_owned())))
        .collect()
}

/// The gateway's name: given or the settings' default, and known.
fn gateway(fields: &Fields<'_>, context: &Context<'_>, report: &mut Report) -> Option<String> {
    let Some(cursor) = fields.get("gateway") else {
        if context.default_gateway.is_none() {
            let hint = "name one here, or a defaultGateway in the settings";
            fields.require(report, "gateway", hint);
        }
        return context.default_gateway.clone();
    };
    let name = cursor.text(report)?;
    if context.gateways.dialect(name).is_none() {
        let names = context.gateways.names();
        let hint = did_you_mean(name, names.iter().map(String::as_str))
            .unwrap_or_else(|| format!("the settings have: {}", names.join(", ")));
        let message = format!("the settings have no gateway `{name}`");
        cursor.error(report, Code::UnknownGateway, message, Some(&hint));
        return None;
    }
    Some(name.to_owned())
}
