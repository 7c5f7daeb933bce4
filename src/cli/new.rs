//! The text of a new campaign file: comments that explain each key, and values that check clean.

use crate::campaign::CampaignID;

/// A campaign file to start from. It sends nothing until `enabled` is changed. `all` shows every
/// key, else the few that a first campaign needs.
pub fn text(id: &CampaignID, gateway: Option<&str>, all: bool) -> String {
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
    add(if all { MESSAGE_ALL } else { MESSAGE });
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

const MESSAGE: &str = "
# The message, in the provider's own field names.
message:
  contentType: text
  content: {content: \"hello!!\"}
";

const MESSAGE_ALL: &str = "
# The message, in the provider's own field names. What is left out comes from the gateway's defaults.
message:
  sendID: notice                 # who it comes from
  senderNickname: Notice
  senderFaceURL: http://example.com/notice.png
  senderPlatformID: 2
  contentType: text              # text picture voice video file custom markdown oa, or the number
  content: {content: \"hello!!\"}
  sessionType: single            # single, group, notification
  isOnlineOnly: false            # true: only to whoever is online now
  notOfflinePush: false          # true: no push notification
  offlinePushInfo: {title: hello, desc: \"A greeting\", ex: \"\", iOSPushSound: default, iOSBadgeCount: true}
  ex: \"\"                         # free text, kept with the message
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
  # - {file: lists/people.csv, column: userID}   # relative to this file; or a .txt with one id a line
# recvIDs: [\"u00001\"]             # these
# groupIDs: [\"g1001\"]             # each group gets the message once (sessionType: group)
# isSendAll: true                # everyone the provider knows
exclude:                         # wins over everything above
  - ids: [\"u00003\"]
expect: {min: 1, max: 1000}      # an audience of another size is not sent to
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
  - every: 6h                    # elapsed time, counted from `from`, else from 1970
  - at: 2099-12-31T18:00         # once
lateness: {max: 15m}             # a run that cannot start within it is missed, never sent late
finishWithin: 24h                # what is left then expires
";

const DELIVERY_ALL: &str = "
# How fast. The gateway's own limits hold as well.
delivery:
  batchSize: 100                 # recipients a call
  concurrency: 2                 # calls at once
  limits: {recipients: 200/s, calls: 100/min}
  onUnknown: hold                # whoever may have got it already is not asked again; a person decides
";
