//! `campaignd preview`: the requests that a run would send, without sending.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    Ended, Exit, Failure,
    files::Source,
    names::{not_found, recipient},
    output, problems, wire,
};
use crate::{
    audience::{Gatherer, ListOrder, RecipientName, SourceSet, read_list},
    campaign::{self, Audience, Campaign, Dialect, RecipientID, source::Values},
    clock::Clock,
    daemon::filling,
    document::Problem,
    gateway::{Addressees, Call, Gateway},
    limits::SlidingLog,
    run::{
        chunk::{Chunk, Cutter},
        screen::{Held, Screen, Screened},
    },
    settings::Settings,
};

/// Show the requests that a run would send now, without sending. Secrets are masked.
#[derive(Debug, clap::Args)]
#[command(after_help = "The campaign is read from its file: nothing is asked of a ledger or a provider. \
    `isSendAll` asks the provider for its users when the run starts; `*` stands for them here. sendTime and \
    operationID are made when a request leaves.\n\
    JSON is a list of {method, url, headers, body}, in the order of sending.\n\n\
    Examples:\n  campaignd preview hello\n  campaignd preview campaigns/hello.yaml --to 9948077346\n  \
    campaignd preview hello --format json | jq '.[0].body'")]
pub struct PreviewArgs {
    /// A campaign of the campaigns folder, or the path of a file
    campaign: String,
    /// As a test send to these ids
    #[arg(long, value_name = "ID", num_args = 1.., value_delimiter = ',', value_parser = recipient)]
    to: Vec<RecipientID>,
    /// Show so many requests at most [default: 1, as JSON 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    most: Option<u32>,
    /// How requests are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = PreviewFormat::Text)]
    format: PreviewFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PreviewFormat {
    /// For people
    #[value(alias = "table", alias = "human")]
    Text,
    /// A list of objects
    Json,
}

/// Whom the audience names, and whom it excludes.
const INCLUDED: SourceSet = SourceSet::of(0);
const EXCLUDED: SourceSet = SourceSet::of(1);

/// Stands for everyone whom the provider will name.
const EVERYONE: &str = "*";

/// A request as it is written; headers are an object.
#[derive(Serialize)]
struct Request {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

pub fn run(args: &PreviewArgs, settings: &Settings, clock: Arc<dyn Clock>) -> Ended {
    let now = clock.now();
    let (source, _) = find(&args.campaign, settings, now)?;
    let (campaign, problems) = source.campaign(settings, now);
    let Some(campaign) = campaign else { return Err(broken(&source, &problems)) };
    let gateway_settings = settings
        .gateways
        .get(&campaign.gateway)
        .with_context(|| format!("there is no gateway {:?} in the settings", campaign.gateway))?;
    let gateway = wire::silent(gateway_settings.as_ref(), clock).context("the gateway cannot be used")?;
    let kept = |id: &RecipientID| gateway.dialect().recipient(id.as_str()).map_err(|why| (id.clone(), why));
    let to: Vec<RecipientID> = args
        .to
        .iter()
        .map(kept)
        .collect::<Result<_, _>>()
        .map_err(|(id, why)| Failure::new(Exit::Refused, anyhow!("{:?}: {why}", id.as_str())))?;
    if !args.to.is_empty() && campaign.audience == Audience::Unlisted {
        let checked = gateway.dialect().check_test(&campaign.message);
        checked.map_err(|reason| Failure::new(Exit::Refused, anyhow!(reason)))?;
    }
    let most_recipients = [&gateway_settings.figures().limits, &campaign.delivery.limits]
        .map(|limits| SlidingLog::new(limits).most_recipients_a_call())
        .into_iter()
        .fold(u64::MAX, u64::min);
    let most = args.most.unwrap_or(match args.format {
        PreviewFormat::Text => 1,
        PreviewFormat::Json => 1_000,
    });
    let size = Size {
        most_recipients: usize::try_from(most_recipients).unwrap_or(usize::MAX),
        most_requests: most as usize,
    };
    let lists = |list: &str| source.list_path(settings, list);
    let asked = requests(&campaign, &lists, &to, gateway.as_ref(), &size)?;
    let requests = asked.first.into_iter();
    let shown: Vec<Request> = requests
        .map(|(to, values)| request(&campaign, gateway.as_ref(), to, values, now))
        .collect::<Result<_, Failure>>()?;
    output::write(&match args.format {
        PreviewFormat::Text => shown.iter().map(text).collect::<Vec<_>>().join("\n"),
        PreviewFormat::Json => serde_json::to_string_pretty(&shown)? + "\n",
    })?;
    if !gateway.delivers() {
        output::say(format!("SANDBOX: the gateway {} delivers nowhere", campaign.gateway));
    }
    if args.to.is_empty() && campaign.audience == Audience::Everyone {
        output::say(format!("`{EVERYONE}` stands for everyone whom the provider names when the run starts"));
    } else {
        let (count, recipients) = (asked.requests, asked.recipients);
        let left = count - shown.len() as u64;
        let follow = if left > 0 { format!("; {left} not shown, --most shows more") } else { String::new() };
        output::say(format!("requests: {count}, recipients: {recipients}{follow}"));
    }
    Ok(Exit::Good)
}

/// The campaign of a name or a path, and the file it stands in. Its lists are not looked at.
pub fn find(name: &str, settings: &Settings, now: Timestamp) -> Result<(Source, Campaign), Failure> {
    let is_path = name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml");
    let sources = if is_path { Source::at(Path::new(name))? } else { Source::folder(&settings.campaigns)? };
    let mut known = Vec::new();
    for source in sources {
        let (campaign, problems) = source.campaign_alone(settings, now);
        match campaign {
            Some(campaign) if is_path || campaign.id.as_str() == name => return Ok((source, campaign)),
            Some(campaign) => known.push(campaign.id.to_string()),
            None if is_path || is_meant(&source, name) => return Err(broken(&source, &problems)),
            None => {}
        }
    }
    Err(not_found("campaign", name, known.iter().map(String::as_str)))
}

/// Whether a file that cannot be read is called like the campaign.
fn is_meant(source: &Source, name: &str) -> bool {
    source.path.as_deref().and_then(Path::file_stem).is_some_and(|stem| stem == name)
}

fn broken(source: &Source, found: &[Problem]) -> Failure {
    let text = String::from_utf8_lossy(source.bytes().unwrap_or_default());
    let format = problems::Format::Human { colours: false };
    eprint!("{}", problems::write(found, format, &|_| Some(text.clone().into_owned())));
    Failure::new(Exit::Problems, anyhow!("{} has problems", source.name))
}

/// How much a request may hold, and how many are wanted.
struct Size {
    most_recipients: usize,
    most_requests: usize,
}

/// Whom a run would ask for.
struct Asked {
    /// The first requests, in the order of sending.
    first: Vec<(Addressees, Option<Values>)>,
    requests: u64,
    recipients: u64,
}

/// Where the campaign's lists lie.
pub type Lists<'a> = &'a dyn Fn(&str) -> io::Result<PathBuf>;

/// Cuts the audience as a run does, and keeps what is sent first.
fn requests(
    campaign: &Campaign,
    lists: Lists<'_>,
    to: &[RecipientID],
    gateway: &dyn Gateway,
    size: &Size,
) -> Result<Asked, Failure> {
    let groups = matches!(campaign.audience, Audience::Groups(_));
    let mut asked = Asked { first: Vec::new(), requests: 0, recipients: 0 };
    let mut first = Vec::new();
    chunks(campaign, lists, to, gateway.dialect(), &mut |chunk| {
        asked.requests += chunk.recipients.len().div_ceil(size.most_recipients) as u64;
        asked.recipients += chunk.recipients.len() as u64;
        if first.len() < size.most_requests {
            first.push((chunk.recipients, chunk.values));
        }
    })?;
    let is_expected =
        campaign.expect.is_none_or(|expect| (expect.min..=expect.max).contains(&asked.recipients));
    if !is_expected && to.is_empty() && campaign.audience != Audience::Everyone {
        let size = asked.recipients;
        return Err(anyhow!(
            "no run would start: the audience has {size} recipients, which `expect` excludes"
        )
        .into());
    }
    let requests = first.into_iter().flat_map(|(recipients, values)| {
        let calls: Vec<Vec<RecipientID>> =
            recipients.chunks(size.most_recipients).map(<[_]>::to_vec).collect();
        calls.into_iter().map(move |recipients| (recipients, values.clone()))
    });
    for (recipients, values) in requests.take(size.most_requests) {
        if campaign.audience == Audience::Unlisted && to.is_empty() {
            asked
                .first
                .extend(recipients.into_iter().map(|star| (Addressees::Unlisted(star), values.clone())));
        } else if groups {
            asked
                .first
                .extend(recipients.into_iter().map(|group| (Addressees::Group(group), values.clone())));
        } else {
            asked.first.push((Addressees::Users(recipients), values));
        }
    }
    Ok(asked)
}

/// Hands over the audience as a run would cut it now: exclusions, sample and holdout applied, and who gets another
/// message in another chunk.
pub fn chunks(
    campaign: &Campaign,
    lists: Lists<'_>,
    to: &[RecipientID],
    dialect: &dyn Dialect,
    take: &mut dyn FnMut(Chunk),
) -> Result<(), Failure> {
    let groups = matches!(campaign.audience, Audience::Groups(_));
    let mut cutter = Cutter::new(if groups { 1 } else { campaign.delivery.batch_size });
    let drawn = |share| if to.is_empty() { share } else { None };
    let (sample, holdout) = (drawn(campaign.sample), drawn(campaign.holdout));
    let screen = Screen { campaign: &campaign.id, sample, holdout };
    let mut filled = campaign.template.as_ref().map(|_| Gatherer::new(&std::env::temp_dir()));
    for member in gather(campaign, lists, to, dialect)?.members()? {
        let member = member?;
        if member.sources != INCLUDED || screen.judge(&member.id, false, Held::default()) != Screened::Asked {
            continue;
        }
        match &mut filled {
            Some(gatherer) => filling::add(campaign, dialect, &member, gatherer)?,
            None => cutter.push(member.id).into_iter().for_each(&mut *take),
        }
    }
    for one in filled.map(Gatherer::texts).transpose()?.into_iter().flatten() {
        let (full, _) = filling::cut(&mut cutter, std::iter::once(one))?;
        full.into_iter().for_each(&mut *take);
    }
    cutter.finish().into_iter().for_each(take);
    Ok(())
}

/// The audience, its lists read.
fn gather(
    campaign: &Campaign,
    lists: Lists<'_>,
    to: &[RecipientID],
    dialect: &dyn Dialect,
) -> Result<Gatherer, Failure> {
    let mut gatherer = Gatherer::new(&std::env::temp_dir());
    let everyone = RecipientID::unlisted();
    let named = match &campaign.audience {
        _ if !to.is_empty() => to,
        Audience::Named(ids) | Audience::Groups(ids) => ids,
        Audience::Everyone | Audience::Unlisted => std::slice::from_ref(&everyone),
        Audience::Union(_) => &[],
    };
    for id in named {
        gatherer.add(id.as_str(), INCLUDED, &Values::default())?;
    }
    let template = campaign.template.as_ref();
    let columns = template.map(|template| template.columns().clone()).unwrap_or_default();
    if !to.is_empty() && columns.is_empty() {
        return Ok(gatherer);
    }
    let excluded = if to.is_empty() { campaign.exclude.as_slice() } else { &[] };
    let union = if let Audience::Union(sources) = &campaign.audience { sources.as_slice() } else { &[] };
    let included = union.iter().map(|part| (part, INCLUDED));
    for (part, side) in included.chain(excluded.iter().map(|part| (part, EXCLUDED))) {
        match part {
            campaign::Source::IDs(ids) => {
                for id in ids.iter().filter(|id| to.is_empty() || to.contains(id)) {
                    gatherer.add(id.as_str(), side, &Values::default())?;
                }
            }
            campaign::Source::File(list) => {
                let path = lists(&list.path)?;
                let kept: &RecipientName<'_> = &|id| dialect.recipient_name(id);
                let order = ListOrder { recipient: kept, columns: &columns, ..ListOrder::ids(&path, list) };
                let is_meant = |id: &str| to.is_empty() || to.iter().any(|known| known.as_str() == id);
                read_list(&order, &mut |id, values| match is_meant(id) {
                    true => gatherer.add(id, side, &values),
                    false => Ok(()),
                })?;
            }
            campaign::Source::MembersOf(_) if !to.is_empty() => {}
            campaign::Source::MembersOf(group) => {
                output::say(format!("the members of {group} are asked for when the run starts"));
            }
        }
    }
    Ok(gatherer)
}

fn request(
    campaign: &Campaign,
    gateway: &dyn Gateway,
    to: Addressees,
    values: Option<Values>,
    now: Timestamp,
) -> Result<Request, Failure> {
    let message = campaign
        .message_for(&values.unwrap_or_default(), gateway.dialect())
        .map_err(|what| anyhow!("the message: {what}"))?;
    let stamped = gateway.stamps_send_time(&message).is_some();
    let preview = gateway.preview(&Call {
        operation_id: "preview".to_owned(),
        message: Arc::new(message),
        to,
        send_time_ms: stamped.then(|| now.as_millisecond()),
        written_to: Default::default(),
    });
    let headers = preview.headers.into_iter().collect();
    Ok(Request { method: preview.method, url: preview.url, headers, body: preview.body })
}

/// The request as people read it: long lists stay on one line.
fn text(request: &Request) -> String {
    let mut text = format!("{} {}\n", request.method, request.url);
    for (name, value) in &request.headers {
        text += &format!("{name}: {value}\n");
    }
    match &request.body {
        Value::Object(fields) => {
            let lines: Vec<String> =
                fields.iter().map(|(key, value)| format!("  \"{key}\": {value}")).collect();
            text += &format!("\n{{\n{}\n}}\n", lines.join(",\n"));
        }
        // A form, as it is written.
        Value::String(form) => text += &format!("\n{form}\n"),
        other => text += &format!("\n{other}\n"),
    }
    text
}
