//! `campaignd audience`: whom a campaign is for, from where, and why somebody is in or out.

use std::{collections::BTreeMap, io, sync::Arc};

use anyhow::{Context, anyhow};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Ended, Exit, Failure,
    files::Source,
    names::recipient,
    output::{self, Look},
    preview,
    problems::printable,
    table::{Format, FormatArgs, Kind, Sheet},
    wire,
};
use crate::{
    audience::{Member, SourceSet},
    campaign::{self, Audience, Campaign, RecipientID},
    clock::Clock,
    daemon::gathering::{Gathered, Gathering},
    run::{
        screen::{Held, Screen, Screened},
        source::{Side, SourceRecord},
    },
    settings::Settings,
    store::sqlite::review::Review,
};

/// Show whom a campaign is for: its size, its sources, who is left out and why.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The campaign is read from its file and gathered as a run would gather it now: lists are \
    read, the provider is asked where `isSendAll` or `membersOf` want it, suppressions and caps come from the \
    ledger. Nothing is sent.\n\n\
    Examples:\n  campaignd audience hello\n  campaignd audience hello --count\n  \
    campaignd audience hello --list --format csv > who.csv\n  campaignd audience hello --explain 9948077346"
)]
pub struct AudienceArgs {
    /// A campaign of the campaigns folder, or the path of a file
    campaign: String,
    /// How many would be asked, as a number
    #[arg(long, conflicts_with_all = ["list", "explain"])]
    count: bool,
    /// Who would be asked, one id a line
    #[arg(long, conflicts_with = "explain")]
    list: bool,
    /// Why this id is in or out
    #[arg(long, value_name = "ID", value_parser = recipient)]
    explain: Option<RecipientID>,
    #[command(flatten)]
    format: FormatArgs,
}

/// What is said of a campaign that names nobody.
const STAR: &str = "whom `*` reaches the provider alone knows";
/// How many ids are judged at a time.
const MEMBERS_A_STEP: usize = 20_000;
/// How long lists and the provider may take.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// How long a page of the provider's may fail: somebody waits at a terminal.
const PAGE_PATIENCE: SignedDuration = SignedDuration::from_secs(10);

pub async fn run(args: AudienceArgs, settings: &Settings, clock: Arc<dyn Clock>) -> Ended {
    let now = clock.now();
    let (source, campaign) = preview::find(&args.campaign, settings, now)?;
    let campaign = Arc::new(campaign);
    if campaign.audience == Audience::Unlisted {
        if args.explain.is_some() {
            return Err(anyhow!("{STAR}: why somebody is in or out cannot be told").into());
        }
        output::say(format!("{STAR}: it is one delivery"));
    }
    let mut gathering = gathering(&args, &source, Arc::clone(&campaign), settings, clock)?;
    let Gathered { members, sources, .. } = gathering.gather().await?;
    let judge = Judge {
        screen: Screen { campaign: &campaign.id, sample: campaign.sample, holdout: campaign.holdout },
        campaign: &campaign,
        included: Gathered::side(&sources, Side::Include),
        excluded: Gathered::side(&sources, Side::Exclude),
        review: settings.database.exists().then(|| Review::open(&settings.database)).transpose()?,
        now,
    };
    match gathering.sought.clone() {
        Some(id) => {
            let is_named = explain(&id, members, &judge, &sources, args.format.format)?;
            if !is_named && !asks_provider(&campaign) {
                tell_other_cases(&id, &mut gathering).await?;
            }
            Ok(Exit::Good)
        }
        None if args.list => list(members, &judge, args.format.format),
        None => summarise(members, &judge, &sources, &args, settings),
    }
}

fn gathering(
    args: &AudienceArgs,
    source: &Source,
    campaign: Arc<Campaign>,
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Result<Gathering, Failure> {
    let name = &campaign.gateway;
    let no_gateway = || format!("there is no gateway {name:?} in the settings");
    let gateway = if asks_provider(&campaign) {
        let mut posts = wire::posts(settings, &clock)?;
        posts.0.remove(name).with_context(no_gateway)?.gateway
    } else {
        let gateway = settings.gateways.get(name).with_context(no_gateway)?;
        wire::silent(gateway.as_ref(), Arc::clone(&clock))?
    };
    let sought = args.explain.as_ref().map(|id| RecipientID::new(gateway.dialect().canonical(id.as_str())));
    let sought = sought.transpose()?;
    let (source, settings) = (source.clone(), settings.clone());
    Ok(Gathering {
        gateway,
        list_path: Arc::new(move |list| source.list_path(&settings, list)),
        spill_folder: std::env::temp_dir(),
        give_up_at: clock.now() + PATIENCE,
        page_patience: Some(PAGE_PATIENCE),
        tell: Arc::new(|what| output::say(what)),
        clock,
        columns: Arc::default(),
        sought,
        named: None,
        campaign,
    })
}

fn asks_provider(campaign: &Campaign) -> bool {
    let of_union = match &campaign.audience {
        Audience::Union(sources) => sources.as_slice(),
        Audience::Everyone => return true,
        Audience::Named(_) | Audience::Groups(_) | Audience::Unlisted => &[],
    };
    let mut sources = of_union.iter().chain(&campaign.exclude);
    sources.any(|source| matches!(source, campaign::Source::MembersOf(_)))
}

/// Tells of each person what becomes of them.
struct Judge<'a> {
    screen: Screen<'a>,
    campaign: &'a Campaign,
    included: SourceSet,
    excluded: SourceSet,
    /// None: there is no ledger yet, which holds nobody back.
    review: Option<Review>,
    now: Timestamp,
}

impl Judge<'_> {
    /// Hands everyone to `take`, in the order of the ids, with what becomes of them; also those whom only
    /// an exclusion names, of whom nothing becomes.
    fn each(
        &self,
        mut members: impl Iterator<Item = io::Result<Member>>,
        mut take: impl FnMut(Member, Option<Screened>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            let some: Vec<Member> = members.by_ref().take(MEMBERS_A_STEP).collect::<io::Result<_>>()?;
            let (Some(first), Some(last)) = (some.first(), some.last()) else { return Ok(()) };
            let (mut suppressed, mut capped) = (BTreeMap::new(), BTreeMap::new());
            if let Some(review) = &self.review {
                let (id, caps) = (&self.campaign.id, &self.campaign.caps);
                suppressed.extend(review.suppressed_between(&first.id, &last.id, self.now)?);
                capped.extend(review.capped_between(id, caps, &first.id, &last.id, self.now)?);
            }
            for member in some {
                let held =
                    Held { suppressed: suppressed.remove(&member.id), capped: capped.remove(&member.id) };
                let named_out = member.sources.meets(self.excluded);
                let is_named = member.sources.meets(self.included);
                let screened = is_named.then(|| self.screen.judge(&member.id, named_out, held));
                take(member, screened)?;
            }
        }
    }
}

fn list(members: impl Iterator<Item = io::Result<Member>>, judge: &Judge<'_>, format: Format) -> Ended {
    let mut text = match format {
        Format::Csv => "recipient\n".to_owned(),
        Format::Json => "[".to_owned(),
        Format::Table => String::new(),
    };
    let mut first = true;
    judge.each(members, |member, screened| {
        if screened != Some(Screened::Asked) {
            return Ok(());
        }
        match format {
            Format::Table => text += &printable(member.id.as_str()),
            Format::Csv if member.id.as_str().contains(['"', ',']) => {
                text += &format!("\"{}\"", member.id.as_str().replace('"', "\"\""));
            }
            Format::Csv => text += member.id.as_str(),
            Format::Json => {
                text += if first { "\n  " } else { ",\n  " };
                text += &serde_json::to_string(&member.id)?;
            }
        }
        first = false;
        if format != Format::Json {
            text.push('\n');
        }
        if text.len() > 1 << 16 {
            output::write(&std::mem::take(&mut text))?;
        }
        Ok(())
    })?;
    if format == Format::Json {
        text += if first { "]\n" } else { "\n]\n" };
    }
    output::write(&text)?;
    Ok(Exit::Good)
}

/// What is told of a source.
#[derive(Serialize)]
struct SourceSummary {
    side: &'static str,
    name: String,
    /// Repetitions counted.
    ids: u64,
    distinct: u64,
    /// Of these, how many another source of the same side names too.
    shared: u64,
    bad_lines: u64,
}

#[derive(Serialize)]
struct LeftOut {
    reason_code: String,
    recipients: u64,
}

#[derive(Serialize)]
struct Summary {
    campaign: String,
    /// How many would be asked.
    size: u64,
    sources: Vec<SourceSummary>,
    left_out: Vec<LeftOut>,
    /// How many are named and no part of the sample.
    not_sampled: u64,
}

fn summarise(
    members: impl Iterator<Item = io::Result<Member>>,
    judge: &Judge<'_>,
    records: &[SourceRecord],
    args: &AudienceArgs,
    settings: &Settings,
) -> Ended {
    let summary = summary(members, judge, records)?;
    if args.count {
        output::write(&format!("{}\n", summary.size))?;
    } else if args.format.format == Format::Json {
        output::write(&(serde_json::to_string_pretty(&summary)? + "\n"))?;
    } else {
        output::write(&page(&summary, &Look::new(settings)))?;
    }
    if let Some(expect) =
        judge.campaign.expect.filter(|expect| !(expect.min..=expect.max).contains(&summary.size))
    {
        let (size, min, max) = (summary.size, expect.min, expect.max);
        output::say(format!("no run would start: {size} recipients; expected are {min} to {max}"));
    }
    Ok(Exit::Good)
}

fn summary(
    members: impl Iterator<Item = io::Result<Member>>,
    judge: &Judge<'_>,
    records: &[SourceRecord],
) -> Result<Summary, Failure> {
    let mut sources: Vec<SourceSummary> = records
        .iter()
        .map(|record| SourceSummary {
            side: record.side.as_str(),
            name: record.name.clone(),
            ids: record.ids,
            distinct: 0,
            shared: 0,
            bad_lines: record.bad_lines,
        })
        .collect();
    let (mut size, mut not_sampled) = (0, 0);
    let mut left_out: BTreeMap<String, u64> = BTreeMap::new();
    judge.each(members, |member, screened| {
        for side in [judge.included, judge.excluded] {
            let named: Vec<usize> = (0..sources.len())
                .filter(|number| member.sources.has(*number) && side.has(*number))
                .collect();
            for number in &named {
                sources[*number].distinct += 1;
                sources[*number].shared += u64::from(named.len() > 1);
            }
        }
        match screened {
            Some(Screened::Asked) => size += 1,
            Some(Screened::NotSampled) => not_sampled += 1,
            Some(Screened::Excluded(reason)) => *left_out.entry(reason.code).or_default() += 1,
            None => {}
        }
        Ok(())
    })?;
    let left_out =
        left_out.into_iter().map(|(reason_code, recipients)| LeftOut { reason_code, recipients }).collect();
    Ok(Summary { campaign: judge.campaign.id.to_string(), size, sources, left_out, not_sampled })
}

fn page(summary: &Summary, look: &Look) -> String {
    let mut text = format!("Campaign   {}\nRecipients {}\n", summary.campaign, summary.size);
    text += &look.heading("Sources");
    let headings = vec![
        ("SIDE", Kind::Name, 0),
        ("SOURCE", Kind::Text, 0),
        ("IDS", Kind::Number, 1),
        ("DISTINCT", Kind::Number, 0),
        ("SHARED", Kind::Number, 0),
        ("BAD LINES", Kind::Number, 2),
    ];
    let rows: Vec<Vec<String>> = summary
        .sources
        .iter()
        .map(|source| {
            let numbers =
                [source.ids, source.distinct, source.shared, source.bad_lines].map(|n| n.to_string());
            [vec![source.side.to_owned(), printable(&source.name)], numbers.to_vec()].concat()
        })
        .collect();
    text += &Sheet::new(headings, look).block(&rows);
    let mut left: Vec<Vec<String>> = summary
        .left_out
        .iter()
        .map(|left| vec![left.reason_code.clone(), left.recipients.to_string()])
        .collect();
    if summary.not_sampled > 0 {
        left.push(vec!["not in the sample".to_owned(), summary.not_sampled.to_string()]);
    }
    if !left.is_empty() {
        text += &look.heading("Left out");
        let headings = vec![("REASON", Kind::Name, 0), ("RECIPIENTS", Kind::Number, 0)];
        text += &Sheet::new(headings, look).block(&left);
    }
    text
}

#[derive(Serialize)]
struct Explanation {
    recipient: String,
    /// Whether a run would ask them now.
    included: bool,
    reason_code: Option<String>,
    reason: String,
    named_by: Vec<String>,
    excluded_by: Vec<String>,
}

/// Explains one id; tells whether a source names it.
fn explain(
    id: &RecipientID,
    members: impl Iterator<Item = io::Result<Member>>,
    judge: &Judge<'_>,
    records: &[SourceRecord],
    format: Format,
) -> Result<bool, Failure> {
    let mut found = Explanation {
        recipient: id.to_string(),
        included: false,
        reason_code: Some("notNamed".to_owned()),
        reason: "no source names it".to_owned(),
        named_by: Vec::new(),
        excluded_by: Vec::new(),
    };
    judge.each(members, |member, screened| {
        let names = |side: SourceSet| -> Vec<String> {
            let numbered = records.iter().enumerate();
            let of_side = numbered.filter(|(number, _)| side.has(*number) && member.sources.has(*number));
            of_side.map(|(_, record)| record.name.clone()).collect()
        };
        found.named_by = names(judge.included);
        found.excluded_by = names(judge.excluded);
        match screened {
            None => {}
            Some(Screened::Asked) => {
                found.included = true;
                found.reason_code = None;
                found.reason = format!("named by {}", found.named_by.join(", "));
            }
            Some(Screened::NotSampled) => {
                found.reason_code = Some("notSampled".to_owned());
                found.reason = "the sample does not have it".to_owned();
            }
            Some(Screened::Excluded(reason)) => {
                found.reason_code = Some(reason.code);
                found.reason = reason.text;
            }
        }
        Ok(())
    })?;
    let is_named = !found.named_by.is_empty();
    if format == Format::Json {
        output::write(&(serde_json::to_string_pretty(&found)? + "\n"))?;
    } else {
        let standing = if found.included { "in" } else { "out" };
        let code = found.reason_code.map(|code| format!("{code}: ")).unwrap_or_default();
        let mut text =
            format!("{} is {standing}: {code}{}\n", printable(id.as_str()), printable(&found.reason));
        for (what, names) in [("named by", &found.named_by), ("excluded by", &found.excluded_by)] {
            text.extend(names.iter().map(|name| format!("  {what} {}\n", printable(name))));
        }
        output::write(&text)?;
    }
    Ok(is_named)
}

/// Another letter case is another id, which is worth a word. To some providers it is the same one.
async fn tell_other_cases(id: &RecipientID, gathering: &mut Gathering) -> Result<(), Failure> {
    let text = id.as_str();
    for other in [text.to_ascii_lowercase(), text.to_ascii_uppercase()] {
        if gathering.gateway.dialect().canonical(&other) == text {
            continue;
        }
        gathering.sought = Some(RecipientID::new(other.as_str())?);
        if gathering.gather().await?.members.next().is_some() {
            output::say(format!("{} is named, which is another id: letter case counts", printable(&other)));
        }
    }
    Ok(())
}
