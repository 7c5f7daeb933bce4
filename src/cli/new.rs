//! `campaignd new`: a campaign file to start from, with comments that explain each key and values
//! that check clean.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
};

use anyhow::{Context, anyhow};

use super::{Ended, Exit, Failure, names::not_found, output};
use crate::{
    campaign::CampaignID,
    gateway::kind::Kind,
    settings::{self, Settings},
};

/// Write a commented campaign file to start from, and print its path.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file is NAME.yaml in the campaigns folder. It sends nothing until its `enabled` is true. \
    A file that is there is not touched (exit code 5).\n\n\
    Examples:\n  campaignd new new-year\n  campaignd new new-year --gateway openim --all"
)]
pub struct NewArgs {
    /// The campaign's id: 1 to 64 of a-z 0-9 . _ - beginning with a letter or digit
    #[arg(value_name = "NAME")]
    id: CampaignID,
    /// Which gateway of the settings it uses
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// Show every key, not only the few that a first campaign needs
    #[arg(long)]
    all: bool,
}

pub fn run(args: &NewArgs, settings: &Settings) -> Ended {
    let id = &args.id;
    if let Some(gateway) = args.gateway.as_deref().filter(|name| !settings.gateways.contains_key(*name)) {
        return Err(not_found("gateway", gateway, settings.gateways.keys().map(String::as_str)));
    }
    // Of the gateway that it will use, else of any: the file then has to name one.
    let used = args.gateway.as_ref().or(settings.default_gateway.as_ref());
    let used = used.and_then(|name| settings.gateways.get(name)).or(settings.gateways.values().next());
    let kind =
        used.and_then(|gateway| settings::kind(gateway.kind())).context("the settings have no gateway")?;
    let folder = &settings.campaigns;
    let paths = [folder.join(format!("{id}.yaml")), folder.join(format!("{id}.yml"))];
    if let Some(there) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Failure::new(Exit::Refused, anyhow!("{} is there already", there.display())));
    }
    let [path, _] = paths;
    let named = || path.display().to_string();
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Failure::new(Exit::Refused, anyhow!("{} is there already", named())));
        }
        other => other.with_context(named)?,
    };
    file.write_all(text(id, args.gateway.as_deref(), kind, args.all).as_bytes()).with_context(named)?;
    output::write(&format!("{}\n", named()))?;
    output::say(
        "edit it, look at it with `campaignd check` and `campaignd preview`, then set `enabled: true`",
    );
    Ok(Exit::Good)
}

/// A campaign file to start from. It sends nothing until `enabled` is changed. `all` shows every
/// key, else the few that a first campaign needs.
pub fn text(id: &CampaignID, gateway: Option<&str>, kind: &dyn Kind, all: bool) -> String {
    let mut text = format!("# Campaign {id}. `campaignd check` tells whether it is sound.\n\nid: {id}\n");
    let mut add = |part: &str| text.push_str(part);
    add(if all { DESCRIPTION } else { "" });
    add(ENABLED);
    if let Some(gateway) = gateway {
        // A gateway's name has letters, digits, `.`, `_` and `-`; quotes keep `1.0` a name.
        add(&format!("gateway: \"{gateway}\"\n"));
    } else if all {
        add("# gateway: openim                # which gateway of the settings; else their defaultGateway\n");
    }
    add(kind.new_message(all));
    add(if all { AUDIENCE_ALL } else { AUDIENCE });
    add(if all { SCHEDULES_ALL } else { SCHEDULES });
    add(if all { DELIVERY_ALL } else { "" });
    text
}

const DESCRIPTION: &str = "\
description: What this campaign is for
labels: {team: growth}           # free texts, to find it by
";

const ENABLED: &str = "\
enabled: false                   # true once it may send
";

const AUDIENCE: &str = "
# Whom it is for. Quote ids: YAML would change some of them.
recvIDs: [\"u00001\", \"u00002\"]
";

const AUDIENCE_ALL: &str = "
# Whom it is for: exactly one of recipients, recvIDs, groupIDs, isSendAll. Quote ids: YAML would
# change some of them.
recipients:
  - ids: [\"u00001\", \"u00002\"]
  # - {file: lists/people.csv, column: userID}   # relative to this file; or .txt, .ndjson, and .gz of each
  #   encoding: utf-8            # or gb18030, which spreadsheets in China write
  #   onBadLine: problem         # or skip: leaves it out and lists it
  # - membersOf: g1001           # the members of a group of the provider
# recvIDs: [\"u00001\"]             # these
# groupIDs: [\"g1001\"]             # each group gets the message once (sessionType: group)
# isSendAll: true                # everyone the provider knows
exclude:                         # wins over everything above
  - ids: [\"u00003\"]
expect: {min: 1, max: 1000}      # an audience of another size is not sent to
cap: {perRecipient: 2/day, across: {team: growth}}   # nobody gets more, of campaigns with these labels
notAgainWithin: 7d               # nobody gets it who had this campaign since
# sample: 1%                     # only this share, the same people every time
holdout: 5%                      # this share is not sent to, for comparison
";

const SCHEDULES: &str = "
# When. Local times are read in this zone.
timezone: Asia/Shanghai
schedules:
  - cron: \"0 9 * * MON-FRI\"      # or `at: 2026-11-11T09:00`, or `every: 6h`
";

const SCHEDULES_ALL: &str = "
# When. Local times are read in this zone. Several schedules that name one instant are one run.
timezone: Asia/Shanghai
schedules:
  - cron: \"0 9 * * MON-FRI\"      # minute hour day month weekday, or 6 fields with leading seconds
    from: 2026-01-01             # inclusive
    until: 2100-01-01            # exclusive
    except: [2026-12-25]         # local dates; or {file: holidays.txt}, one a line
    jitter: 5m                   # each slot is delayed by up to so much, always by the same
  - every: 6h                    # elapsed time, counted from `from`, else from 1970
  - at: 2099-12-31T18:00         # once
lateness: {max: 15m, catchUp: latest}  # too late is missed, never sent; after a downtime: none latest all
overlap: skip                    # or queue: what if the last run still goes
dst: {skipped: after, repeated: first}  # skipped: after shift omit; repeated: first second both
window: {days: MON-FRI, between: \"09:00-21:00\"}  # sending pauses outside and resumes inside
finishWithin: 24h                # what is left then expires
";

const DELIVERY_ALL: &str = "
# How fast. The gateway's own limits hold as well.
delivery:
  batchSize: 100                 # recipients a call
  concurrency: 2                 # calls at once
  limits: {recipients: 200/s, calls: 100/min}
  retry: {attempts: 5, backoff: \"2s..5m\"}   # only what is proven not to have been done is asked again
  stopWhen: {failureRate: 20%, after: 500}  # refused and failed; the run pauses and tells why
  # native: true                 # with isSendAll: the provider's own call to everyone, one delivery to `*`
  # ignoreSuppressions: true     # it goes out although somebody is excluded or suppressed
  onUnknown: hold                # whoever may have got it already is not asked again; a person decides
";
