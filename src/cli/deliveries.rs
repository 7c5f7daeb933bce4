//! `campaignd deliveries`: the delivery log, streamed.

use anyhow::anyhow;
use clap::builder::PossibleValuesParser;
use jiff::{Timestamp, civil, tz::TimeZone};

use super::{
    Ended, Exit, Failure, names,
    output::Look,
    table::{Column, FormatArgs, Kind, RowWriter},
};
use crate::{
    campaign::duration,
    run::Outcome,
    settings::Settings,
    store::sqlite::review::{DeliveryFilter, Review},
};

/// Show what became of recipients: everyone whose outcome is known or unknown.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "All conditions hold together. JSON and CSV have the columns of the view delivery_log, times \
    in UTC.\n\n\
    Examples:\n  campaignd deliveries --run hello@20261111T010000Z\n  \
    campaignd deliveries --recipient 9948077346 --since 7d\n  \
    campaignd deliveries --campaign hello --outcome refused,unknown --format csv"
)]
pub struct DeliveriesArgs {
    /// Of this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Of this campaign
    #[arg(long, value_name = "CAMPAIGN")]
    campaign: Option<String>,
    /// To this recipient
    #[arg(long, value_name = "ID")]
    recipient: Option<String>,
    /// With one of these outcomes
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Outcome::NAMES))]
    outcome: Vec<String>,
    /// Since this time (2026-11-11, 2026-11-11T09:00, …Z) or for so long (90s, 15m, 4h, 7d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

const LAYOUT: &[Column] = &[
    Column::new("RUN", Kind::Name, |row, _| row.text("run")),
    Column::new("RECIPIENT", Kind::Name, |row, _| row.text("recipient")),
    Column::new("OUTCOME", Kind::Word, |row, _| row.text("outcome")),
    Column::new("REASON", Kind::Text, |row, _| match row.text("reason_code") {
        code if code.is_empty() => row.text("reason"),
        code => format!("{code}: {}", row.text("reason")),
    }),
    Column::new("ATTEMPTS", Kind::Number, |row, _| row.text("attempts")).spare(2),
    Column::new("UPDATED", Kind::Name, |row, look| look.time(&row.text("updated_at"))).spare(1),
    Column::new("SERVER MESSAGE", Kind::Name, |row, _| row.text("server_msg_id")).spare(3),
];

pub fn run(args: &DeliveriesArgs, settings: &Settings, now: Timestamp) -> Ended {
    let zone = settings.zone.clone().unwrap_or(TimeZone::UTC);
    let since = args.since.as_deref().map(|text| since(text, &zone, now)).transpose()?;
    let review = Review::open(&settings.database)?;
    if let Some(run) = &args.run {
        names::known_run(&review, run)?;
    }
    if let Some(campaign) = &args.campaign {
        names::known_campaign(&review, campaign)?;
    }
    let recipient_kept = args.recipient.iter().flat_map(|id| {
        settings.gateways.iter().filter_map(move |(name, gateway)| {
            let kept = gateway.dialect().canonical(id).into_owned();
            (kept != *id).then(|| (name.clone(), kept))
        })
    });
    let filter = DeliveryFilter {
        run: args.run.clone(),
        campaign: args.campaign.clone(),
        recipient: args.recipient.clone(),
        recipient_kept: recipient_kept.collect(),
        outcomes: args.outcome.clone(),
        since,
    };
    let look = Look::new(settings);
    let mut writer = RowWriter::new(args.format.format, LAYOUT, &look);
    let columns = review
        .deliveries(&filter, |columns, cells| -> Result<(), Failure> { writer.row(columns, &cells) })?;
    writer.finish(&columns, "no such deliveries")?;
    Ok(Exit::Good)
}

/// An instant, a local time in the settings' zone, or how long ago.
fn since(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, Failure> {
    let instant = text.parse::<Timestamp>().ok();
    let local = || text.parse::<civil::DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|at| at.timestamp());
    let ago = || now.checked_sub(duration::parse(text).ok()?).ok();
    instant.or_else(local).or_else(ago).ok_or_else(|| {
        let hint = "write it like 2026-11-11, 2026-11-11T09:00, 2026-11-11T01:00:00Z, or 15m, 4h, 7d";
        Failure::new(Exit::Usage, anyhow!("--since {text:?} is no time: {hint}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now = "2026-11-11T12:00:00Z".parse().unwrap();
        let found = since(text, &zone, now).ok().map(|at| at.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        check("2026-11-11T09:00:00Z", Some("2026-11-11T09:00:00Z"));
        check("2026-11-11T09:00:00+09:00", Some("2026-11-11T00:00:00Z"));
        check("2026-11-11T09:00", Some("2026-11-11T01:00:00Z"));
        check("2026-11-11", Some("2026-11-10T16:00:00Z"));
        check("90m", Some("2026-11-11T10:30:00Z"));
        check("7d", Some("2026-11-04T12:00:00Z"));
        check("yesterday", None);
        check("99999999d", None);
    }
}
