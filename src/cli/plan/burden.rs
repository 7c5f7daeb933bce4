//! What occurrences would take: sizes, calls, durations under the limits, against window, time and quota.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use crate::{
    campaign::{Audience, Campaign, Overlap, Source as Part},
    cli::{Failure, files::Source, output, preview},
    limits::{Cost, Limits, Unit, cost},
    plan::{Expected, finish_at},
    settings::Settings,
    store::sqlite::review::Cell,
};

/// What one occurrence would take.
#[derive(Debug, Clone, Serialize)]
pub struct Burden {
    recipients: u64,
    calls: u64,
    /// Of sending, the window left out of account.
    duration_s: i64,
    /// When it would be over, as the clocks of its zone show it.
    finish: Option<String>,
}

impl Burden {
    pub const COLUMNS: [&'static str; 4] = ["recipients", "calls", "duration_s", "finish"];

    pub fn cells(self) -> [Cell; 4] {
        let number = |number: u64| Cell::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        [
            number(self.recipients),
            number(self.calls),
            Cell::Integer(self.duration_s),
            self.finish.map_or(Cell::Null, Cell::Text),
        ]
    }
}

/// The burdens of a plan, and what they add up to.
pub struct Burdens<'a> {
    settings: &'a Settings,
    /// Recipients of each gateway on each day of its campaigns' zones.
    days: BTreeMap<(String, Date), u64>,
}

/// The burden of one campaign's occurrences, one after another.
pub struct Load<'a, 'b> {
    campaign: &'b Campaign,
    /// None: it is not known before the run starts.
    cost: Option<Cost>,
    last_finish: Option<Timestamp>,
    days: &'a mut BTreeMap<(String, Date), u64>,
}

impl<'s> Burdens<'s> {
    pub fn new(settings: &'s Settings) -> Burdens<'s> {
        Burdens { settings, days: BTreeMap::new() }
    }

    /// What each run of a campaign takes.
    pub fn of_campaign<'a, 'b>(&'a mut self, campaign: &'b Campaign, source: &Source) -> Load<'a, 'b> {
        let gateway = self.settings.gateways.get(&campaign.gateway);
        let size = size(campaign, source, self.settings).unwrap_or_else(|failure| {
            output::say(format!("{}: its audience cannot be counted: {:#}", campaign.id, failure.error));
            None
        });
        let none = Limits::default();
        let of_gateway = gateway.map_or(&none, |gateway| &gateway.figures().limits);
        let groups = matches!(campaign.audience, Audience::Groups(_));
        let batch_size = if groups { 1 } else { u64::from(campaign.delivery.batch_size) };
        let cost = size.map(|size| cost(&[of_gateway, &campaign.delivery.limits], batch_size, size));
        Load { campaign, cost, last_finish: None, days: &mut self.days }
    }

    /// Tells the days on which a gateway would be asked for more than a day may have.
    pub fn warn_of_quotas(&self) {
        for ((gateway, day), recipients) in &self.days {
            let limits = self.settings.gateways.get(gateway).map(|gateway| &gateway.figures().limits);
            let rates = limits.into_iter().flat_map(|limits| &limits.recipients);
            let quota = rates.filter(|rate| rate.unit == Unit::Day).map(|rate| rate.count).min();
            if let Some(quota) = quota.filter(|quota| recipients > quota) {
                output::say(format!(
                    "{day}: {recipients} recipients through {gateway}, whose limit is {quota}/day; what is too much waits"
                ));
            }
        }
    }
}

impl Load<'_, '_> {
    /// Takes on the next occurrence; what is to be said of it is added to its notes.
    pub fn take_on(&mut self, expected: &Expected, notes: &mut Vec<String>) -> Option<Burden> {
        let (campaign, due) = (self.campaign, expected.slot.due);
        if !expected.runs() {
            return None;
        }
        let Some(cost) = self.cost else {
            notes.push("its audience is listed when it starts".to_owned());
            return None;
        };
        let mut start = due;
        if let Some(last) = self.last_finish.filter(|last| *last > due) {
            match campaign.overlap {
                Overlap::Skip => {
                    notes.push("overlaps the run before: skipped".to_owned());
                    return None;
                }
                Overlap::Queue => {
                    notes.push("waits for the run before".to_owned());
                    start = last;
                }
            }
        }
        let finish = finish_at(campaign, start, &cost);
        let give_up = expected.slot.at.checked_add(campaign.finish_within).unwrap_or(Timestamp::MAX);
        if finish.is_none_or(|finish| finish > give_up) {
            notes.push("beyond finishWithin".to_owned());
        }
        self.last_finish = Some(finish.unwrap_or(give_up).min(give_up));
        let zone: &TimeZone = &campaign.calendar.zone;
        let day = zone.to_datetime(start).date();
        *self.days.entry((campaign.gateway.clone(), day)).or_default() += cost.recipients;
        Some(Burden {
            recipients: cost.recipients,
            calls: cost.calls,
            duration_s: cost.sending.as_secs(),
            finish: finish.map(|finish| super::local(finish, zone)),
        })
    }
}

/// How many the audience has now, exclusions applied; None where only the provider knows.
fn size(campaign: &Campaign, source: &Source, settings: &Settings) -> Result<Option<u64>, Failure> {
    let only_provider_knows = match &campaign.audience {
        Audience::Everyone | Audience::Unlisted => true,
        Audience::Union(parts) => parts.iter().any(|part| matches!(part, Part::MembersOf(_))),
        Audience::Named(_) | Audience::Groups(_) => false,
    };
    if only_provider_knows {
        return Ok(None);
    }
    let Some(gateway) = settings.gateways.get(&campaign.gateway) else { return Ok(None) };
    let dialect = gateway.dialect();
    Ok(Some(preview::count(campaign, &|list| source.list_path(settings, list), dialect.as_ref())?))
}
