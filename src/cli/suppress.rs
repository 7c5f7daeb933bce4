//! `campaignd suppress`: people who must never be written to, whatever a campaign says.

use std::{collections::BTreeSet, io, path::PathBuf};

use anyhow::anyhow;
use clap::{Subcommand, ValueEnum};
use jiff::{Timestamp, civil, tz::TimeZone};

use super::{
    Ended, Exit, Failure,
    names::recipient,
    output::{self, Look},
    table::{self, Column, FormatArgs, Kind, RowWriter},
};
use crate::{
    audience::{ListOrder, read_list},
    campaign::{
        Dialect, RecipientID, duration,
        source::{Encoding, ListFile},
    },
    settings::{self, Settings},
    store::{Act, Store, Stored, Suppression, sqlite::SqliteStore, sqlite::review::Review},
};

/// Keep people from ever being written to: by any campaign, in test sends too.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A suppression wins over everything. It is obeyed from the next batch on, also by a run that is \
    under way, and shows as `excluded` with its reason. Works whether the daemon is up or not.\n\n\
    Examples:\n  campaignd suppress add 9948077346 --reason 'asked us to stop'\n  \
    campaignd suppress import optout.csv --column userID --reason 'opted out in the app'\n  \
    campaignd suppress list --format csv"
)]
pub struct SuppressArgs {
    #[command(subcommand)]
    command: SuppressCommand,
}

#[derive(Debug, Subcommand)]
enum SuppressCommand {
    Add(AddArgs),
    Remove(RemoveArgs),
    List(ListArgs),
    Import(ImportArgs),
}

/// Why somebody is suppressed, and how long.
#[derive(Debug, clap::Args)]
struct Terms {
    /// Why, shown wherever it keeps a message from somebody [default: by whom it was added]
    #[arg(long, visible_alias = "why", value_name = "TEXT")]
    reason: Option<String>,
    /// Holds until this time (2026-12-31, 2026-12-31T18:00, …Z) or for so long (4h, 30d) [default: for good]
    #[arg(long, visible_alias = "until", value_name = "TIME")]
    expires: Option<String>,
}

/// Suppress these ids.
#[derive(Debug, clap::Args)]
struct AddArgs {
    /// Users or groups, as the provider names them
    #[arg(value_name = "ID", required = true, value_delimiter = ',', value_parser = recipient)]
    ids: Vec<RecipientID>,
    #[command(flatten)]
    terms: Terms,
}

/// Suppress nobody of these any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Whoever a run has excluded already stays excluded from it.")]
struct RemoveArgs {
    /// Users or groups, as the provider names them
    #[arg(value_name = "ID", required = true, value_delimiter = ',', value_parser = recipient)]
    ids: Vec<RecipientID>,
    /// Why, for the record
    #[arg(long, visible_alias = "reason", value_name = "TEXT")]
    why: Option<String>,
}

/// Show who is suppressed, in the order of the ids.
#[derive(Debug, clap::Args)]
#[command(after_help = "JSON and CSV: recipient, reason, who, added_at, expires_at; times in UTC.")]
struct ListArgs {
    /// Also those whose time is over
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// Suppress every id of a list file: .csv, .txt or .ndjson, each as .gz too.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file is read to its end first: with a bad line nobody is suppressed. A long list is written \
    in steps: an import that was cut short has suppressed a part of the list. `status` and `suppress list` tell of it, and \
    the same command again suppresses the rest."
)]
struct ImportArgs {
    /// The list
    file: PathBuf,
    /// The CSV column, or the key of NDJSON objects, that holds the ids
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// How the file is encoded
    #[arg(long, value_enum, value_name = "NAME", default_value_t = ListEncoding::Utf8)]
    encoding: ListEncoding,
    #[command(flatten)]
    terms: Terms,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListEncoding {
    #[value(name = "utf-8")]
    Utf8,
    #[value(name = "gb18030")]
    Gb18030,
}

/// How many are written in one transaction, so that a daemon waits for none of them for long.
const ROWS_A_STEP: usize = 2_000;

const LAYOUT: &[Column] = &[
    Column::new("RECIPIENT", Kind::Name, |row, _| row.text("recipient")),
    Column::new("REASON", Kind::Text, |row, _| row.text("reason")),
    Column::new("EXPIRES", Kind::Name, |row, look| look.time(&row.text("expires_at"))),
    Column::new("ADDED", Kind::Name, |row, look| look.time(&row.text("added_at"))).spare(1),
    Column::new("BY", Kind::Name, |row, _| row.text("who")).spare(2),
];

pub fn run(args: SuppressArgs, settings: &Settings, now: Timestamp) -> Ended {
    match args.command {
        SuppressCommand::Add(args) => add(args, settings, now),
        SuppressCommand::Remove(args) => remove(args, settings, now),
        SuppressCommand::List(args) => list(&args, settings, now),
        SuppressCommand::Import(args) => import(args, settings, now),
    }
}

fn add(args: AddArgs, settings: &Settings, now: Timestamp) -> Ended {
    let mut writer = Writer::new(args.terms, told(&args.ids), settings, now)?;
    args.ids.iter().try_for_each(|id| writer.take(id))?;
    writer.end()
}

fn import(args: ImportArgs, settings: &Settings, now: Timestamp) -> Ended {
    let name = args.file.display().to_string();
    let usage = |error| Failure::new(Exit::Usage, anyhow!("{name}: {error}"));
    let mut list = ListFile::new(&name, args.column.as_deref()).map_err(usage)?;
    if args.encoding == ListEncoding::Gb18030 {
        list.encoding = Encoding::GB18030;
    }
    let mut writer = Writer::new(args.terms, name, settings, now)?;
    let bad = |fault| Failure::new(Exit::Problems, fault);
    let order = ListOrder::ids(&args.file, &list);
    read_list(&order, &mut |_, _| Ok(())).map_err(bad)?;
    read_list(&order, &mut |id, _| {
        let id = RecipientID::new(id).map_err(io::Error::other)?;
        writer.take(&id).map_err(io::Error::other)
    })
    .map_err(bad)?;
    writer.end()
}

/// Ids for the record.
fn told(ids: &[RecipientID]) -> String {
    ids.iter().map(RecipientID::as_str).collect::<Vec<_>>().join(" ")
}

/// An id as it is written, and as the providers of the settings keep it: an account of NetEase is one whatever its
/// case. Which of them it is for is not told, so it is suppressed for all.
struct Forms(Vec<Box<dyn Dialect>>);

impl Forms {
    fn of(settings: &Settings) -> Forms {
        Forms(settings.gateways.values().map(|gateway| gateway.dialect()).collect())
    }

    fn all(&self, id: &RecipientID) -> BTreeSet<RecipientID> {
        let kept = self.0.iter().filter_map(|dialect| RecipientID::new(dialect.canonical(id.as_str())).ok());
        kept.chain([id.clone()]).collect()
    }
}

/// Suppressions on their way into the ledger.
struct Writer {
    forms: Forms,
    store: SqliteStore,
    act: Act,
    reason: String,
    expires_at: Option<Timestamp>,
    /// Who is suppressed, for the record.
    target: String,
    /// By the ids as they are written, which are counted.
    waiting: Vec<Suppression>,
    /// The same people as the providers keep their ids.
    waiting_otherwise: Vec<Suppression>,
    seen: u64,
    added: u64,
}

impl Writer {
    fn new(terms: Terms, target: String, settings: &Settings, now: Timestamp) -> Result<Writer, Failure> {
        let zone = settings.zone.clone().unwrap_or(TimeZone::UTC);
        let expires_at = terms.expires.as_deref().map(|text| expiry(text, &zone, now)).transpose()?;
        let who = settings::who();
        Ok(Writer {
            forms: Forms::of(settings),
            store: SqliteStore::open_existing(&settings.database, now)?,
            reason: terms.reason.clone().unwrap_or_else(|| format!("by {who}")),
            act: Act { at: now, who, why: terms.reason },
            expires_at,
            target,
            waiting: Vec::new(),
            waiting_otherwise: Vec::new(),
            seen: 0,
            added: 0,
        })
    }

    fn take(&mut self, id: &RecipientID) -> Stored<()> {
        for recipient in self.forms.all(id) {
            let (reason, expires_at) = (self.reason.clone(), self.expires_at);
            let waiting = if recipient == *id { &mut self.waiting } else { &mut self.waiting_otherwise };
            waiting.push(Suppression { recipient, reason, expires_at });
        }
        self.seen += 1;
        if self.waiting.len() < ROWS_A_STEP {
            return Ok(());
        }
        let begins = self.seen == self.waiting.len() as u64;
        let target = self.target.clone();
        self.write(begins.then_some(("suppress begun", &target)))
    }

    /// Writes those that wait, and at the end what was done.
    fn write(&mut self, record: Option<(&str, &str)>) -> Stored<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.store.begin()?;
        self.added += self.store.suppress(&waiting, &self.act)?;
        self.store.suppress(&std::mem::take(&mut self.waiting_otherwise), &self.act)?;
        if let Some((action, target)) = record {
            self.store.act_record(&self.act, action, target)?;
        }
        self.store.commit()
    }

    fn end(mut self) -> Ended {
        let target = std::mem::take(&mut self.target);
        self.write(Some(("suppress", &target)))?;
        let (added, changed) = (self.added, self.seen - self.added);
        let besides = if changed > 0 { format!(", {changed} were already") } else { String::new() };
        output::write(&format!("suppressed {added}{besides}\n"))?;
        Ok(Exit::Good)
    }
}

fn remove(args: RemoveArgs, settings: &Settings, now: Timestamp) -> Ended {
    let mut store = SqliteStore::open_existing(&settings.database, now)?;
    let act = Act { at: now, who: settings::who(), why: args.why };
    store.begin()?;
    let forms = Forms::of(settings);
    let mut removed = 0;
    for id in &args.ids {
        let forms: Vec<RecipientID> = forms.all(id).into_iter().collect();
        removed += u64::from(store.suppress_end(&forms)? > 0);
    }
    if removed == 0 {
        return Err(Failure::new(Exit::NotFound, anyhow!("none of these is suppressed")));
    }
    store.act_record(&act, "suppress remove", &told(&args.ids))?;
    store.commit()?;
    output::write(&format!("not suppressed any more: {removed}\n"))?;
    Ok(Exit::Good)
}

fn list(args: &ListArgs, settings: &Settings, now: Timestamp) -> Ended {
    let review = Review::open(&settings.database)?;
    let look = Look::new(settings);
    let mut writer = RowWriter::new(args.format.format, LAYOUT, &look);
    unfinished(&review, &look)?.iter().for_each(output::say);
    let in_force_at = (!args.all).then_some(now);
    let columns = review
        .suppressions(in_force_at, |columns, cells| -> Result<(), Failure> { writer.row(columns, &cells) })?;
    writer.finish(&columns, "nobody is suppressed")?;
    Ok(Exit::Good)
}

/// Of which lists only a part may be suppressed, for people.
pub fn unfinished(review: &Review, look: &Look) -> Stored<Vec<String>> {
    let imports = review.unfinished_imports()?;
    let told = table::rows(&imports).map(|row| {
        let (list, begun_at, who) = (row.text("list"), look.time(&row.text("begun_at")), row.text("who"));
        format!(
            "the import of {list}, begun {begun_at} by {who}, is under way or was cut short: only a part of the list is \
             suppressed; the same `suppress import` again suppresses the rest"
        )
    });
    Ok(told.collect())
}

/// An instant to come, a local time in the settings' zone, or how long from now.
fn expiry(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, Failure> {
    let instant = text.parse::<Timestamp>().ok();
    let local = || text.parse::<civil::DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|at| at.timestamp());
    let length = || now.checked_add(duration::parse(text).ok()?).ok();
    let usage = |what: &str| Failure::new(Exit::Usage, anyhow!("--expires {text:?} {what}"));
    match instant.or_else(local).or_else(length) {
        Some(at) if at > now => Ok(at),
        Some(_) => Err(usage("has passed")),
        None => Err(usage("is no time: write it like 2026-12-31, 2026-12-31T18:00, …Z, or 4h, 30d")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now = "2026-11-11T12:00:00Z".parse().unwrap();
        let found =
            expiry(text, &zone, now).map(|at| at.to_string()).map_err(|failure| failure.error.to_string());
        match (found, expected) {
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (found, expected) => {
                assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text}")
            }
        }
    }

    #[test]
    fn an_expiry_is_read_as_people_write_it() {
        check("2026-11-12T00:00:00Z", Ok("2026-11-12T00:00:00Z"));
        check("2026-11-12", Ok("2026-11-11T16:00:00Z"));
        check("30d", Ok("2026-12-11T12:00:00Z"));
        check("2026-11-11", Err("has passed"));
        check("0s", Err("has passed"));
        check("soon", Err("is no time"));
    }
}
