//! What occurrences would take: sizes, calls, durations under the limits, against window, time and quota.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use crate::{
    campaign::{Audience, Campaign, Overlap, Source as Part},
    cli::{Failure, files::Source, output, preview},
    limits::{Calls, Cost, Unit, cost},
    plan::{Expected, finish_at, forecast},
    run::chunk::Chunk,
    settings::Settings,
    store::sqlite::review::Cell,
};

/// How far ahead a run is looked for whose duration is estimated.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_hours(366 * 24);
/// How many slots are looked at for one that runs.
const SLOTS_LOOKED_AT: usize = 1_000;

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

/// What a gateway is asked for on a day that has a quota.
#[derive(Debug, Serialize)]
pub struct Quota {
    pub gateway: String,
    /// Of its campaigns' zones.
    pub day: Date,
    pub recipients: u64,
    /// Occurrences besides whose size is not known before they start.
    pub unsized_occurrences: u64,
    /// Recipients that a day may have.
    pub limit: u64,
}

/// What occurrences of one gateway on one day add up to.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    recipients: u64,
    unsized_occurrences: u64,
}

/// The burdens of a plan, and what they add up to.
pub struct Burdens<'a> {
    settings: &'a Settings,
    /// Of each gateway on each day of its campaigns' zones.
    days: BTreeMap<(String, Date), Sum>,
}

/// The burden of one campaign's occurrences, one after another.
pub struct Load<'a, 'b> {
    campaign: &'b Campaign,
    /// None: it is not known before the run starts.
    cost: Option<Cost>,
    last_finish: Option<Timestamp>,
    days: &'a mut BTreeMap<(String, Date), Sum>,
}

impl<'s> Burdens<'s> {
    pub fn new(settings: &'s Settings) -> Burdens<'s> {
        Burdens { settings, days: BTreeMap::new() }
    }

    /// What each run of a campaign takes.
    pub fn of_campaign<'a, 'b>(&'a mut self, campaign: &'b Campaign, source: &Source) -> Load<'a, 'b> {
        let cost = run_cost(campaign, source, self.settings).unwrap_or_else(|failure| {
            output::say(format!("{}: its audience cannot be counted: {:#}", campaign.id, failure.error));
            None
        });
        Load { campaign, cost, last_finish: None, days: &mut self.days }
    }

    /// The days with a quota; those on which a gateway would be asked for more are told as well.
    pub fn quotas(self) -> Vec<Quota> {
        let mut quotas = Vec::new();
        for ((gateway, day), sum) in self.days {
            let limits = self.settings.gateways.get(&gateway).map(|gateway| &gateway.figures().limits);
            let rates = limits.into_iter().flat_map(|limits| &limits.recipients);
            let of_a_day = rates.filter(|rate| rate.unit == Unit::Day).map(|rate| rate.count).min();
            let Some(limit) = of_a_day else { continue };
            let Sum { recipients, unsized_occurrences } = sum;
            if recipients > limit {
                output::say(format!(
                    "{day}: {recipients} recipients through {gateway}, whose limit is {limit}/day; what is too much waits"
                ));
            }
            quotas.push(Quota { gateway, day, recipients, unsized_occurrences, limit });
        }
        quotas
    }
}

impl Load<'_, '_> {
    /// Takes on the next occurrence; what is to be said of it is added to its notes.
    pub fn take_on(&mut self, expected: &Expected, notes: &mut Vec<String>) -> Option<Burden> {
        let (campaign, due) = (self.campaign, expected.slot.due);
        if !expected.runs() {
            return None;
        }
        let day = campaign.calendar.zone.to_datetime(due).date();
        let Some(cost) = self.cost else {
            notes.push(format!("size not known: {}", unknown_size(campaign)));
            self.days.entry((campaign.gateway.clone(), day)).or_default().unsized_occurrences += 1;
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
        self.days.entry((campaign.gateway.clone(), day)).or_default().recipients += cost.recipients;
        Some(Burden {
            recipients: cost.recipients,
            calls: cost.calls,
            duration_s: cost.sending.as_secs(),
            finish: finish.map(|finish| super::local(finish, zone)),
        })
    }
}

/// What a run costs under the limits; None where only the provider knows the audience, or it cannot be counted.
fn run_cost(campaign: &Campaign, source: &Source, settings: &Settings) -> Result<Option<Cost>, Failure> {
    let only_provider_knows = match &campaign.audience {
        Audience::Everyone | Audience::Unlisted => true,
        Audience::Union(parts) => parts.iter().any(|part| matches!(part, Part::MembersOf(_))),
        Audience::Named(_) | Audience::Groups(_) => false,
    };
    let Some(gateway) = settings.gateways.get(&campaign.gateway).filter(|_| !only_provider_knows) else {
        return Ok(None);
    };
    let limits = [&gateway.figures().limits, &campaign.delivery.limits];
    let mut calls = Calls::under(&limits);
    let lists = |list: &str| source.list_path(settings, list);
    let mut take = |chunk: Chunk| calls.add(chunk.recipients.len() as u64);
    preview::chunks(campaign, &lists, &[], gateway.dialect().as_ref(), &mut take)?;
    Ok(Some(cost(&limits, &calls)))
}

/// What the next run costs, and by when it has to be over, where it cannot be. None also where its duration
/// cannot be estimated.
pub fn overrun(
    campaign: &Campaign,
    source: &Source,
    settings: &Settings,
    now: Timestamp,
) -> Option<(Cost, Timestamp)> {
    let gateway = settings.gateways.get(&campaign.gateway).map(|gateway| &gateway.figures().limits);
    let mut limits = gateway.into_iter().chain([&campaign.delivery.limits]);
    if limits.all(|limits| limits.recipients.is_empty() && limits.calls.is_empty()) {
        // It takes no time, and the lists of its audience need not be read.
        return None;
    }
    let until = now.checked_add(LOOK_AHEAD).ok()?;
    let next = forecast(campaign, now, until).take(SLOTS_LOOKED_AT).find(Expected::runs)?;
    let cost = run_cost(campaign, source, settings).ok().flatten()?;
    let give_up = next.slot.at.checked_add(campaign.finish_within).ok()?;
    let finish = finish_at(campaign, next.slot.due, &cost);
    finish.is_none_or(|finish| finish > give_up).then_some((cost, give_up))
}

/// Why nobody can count an audience before its run.
fn unknown_size(campaign: &Campaign) -> String {
    match &campaign.audience {
        Audience::Unlisted => "one call reaches everyone whom the provider knows".to_owned(),
        Audience::Everyone => "everyone whom the provider lists when it starts".to_owned(),
        Audience::Union(parts) => {
            let groups = parts.iter().filter_map(|part| match part {
                Part::MembersOf(group) => Some(group.to_string()),
                _ => None,
            });
            let groups = groups.collect::<Vec<_>>().join(", ");
            if groups.is_empty() {
                "its lists cannot be counted".to_owned()
            } else {
                format!("the members of {groups} are listed when it starts")
            }
        }
        Audience::Named(_) | Audience::Groups(_) => "it cannot be counted".to_owned(),
    }
}
