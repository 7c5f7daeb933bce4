//! The auditor: compares the ledger's documented views with what the provider really took. It shares
//! no code with the daemon: it reads SQL views and the sandbox's truth.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use campaignd::sandbox::{Fate, Filter, world::World};
use jiff::Timestamp;
use rusqlite::Connection;

use super::{Suppressed, scale::Scale};

/// What the auditor found, and how much it looked at.
pub struct Judgement {
    pub findings: Vec<String>,
    pub summary: String,
}

/// Judges a ledger whose daemon has come to rest.
pub fn judge(database: &Path, world: &World, scale: Scale, suppressions: &[Suppressed]) -> Judgement {
    let ledger = Connection::open(database).unwrap();
    let mut auditor = Auditor { ledger, scale, findings: Vec::new(), looked_at: Vec::new() };
    let taken = auditor.what_was_taken(world);
    auditor.nobody_twice(&taken);
    auditor.outcomes_are_true(&taken);
    auditor.everybody_is_accounted_for();
    auditor.every_slot_is_accounted_for();
    auditor.the_limit_was_kept(world);
    auditor.the_limits_of_netease_were_kept();
    auditor.whoever_is_to_be_left_alone_is(world, suppressions);
    auditor.whoever_is_held_out_stays_so(&taken);
    auditor.nothing_is_open();
    Judgement { findings: auditor.findings, summary: auditor.looked_at.join(", ") }
}

/// Runs that are not over, requests without an end, and whoever is still looked up.
pub fn what_is_open(ledger: &Connection) -> Vec<String> {
    let mut statement = ledger
        .prepare_cached(
            "SELECT run || ' is ' || state || ' with ' || pending || ' pending' FROM run_summary
             WHERE state NOT IN ('completed', 'cancelled', 'failed')
             UNION ALL SELECT operation_id || ' of ' || run || ' has no end' FROM attempt_log WHERE finished_at IS NULL
             UNION ALL SELECT gateway || ' is asked about attempt ' || attempt FROM inquiry",
        )
        .unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

struct Auditor {
    ledger: Connection,
    scale: Scale,
    findings: Vec<String>,
    looked_at: Vec<String>,
}

/// How often each recipient of each run got the message; 0: it was accepted, and the provider lost it.
type Taken = BTreeMap<(String, String), u32>;

/// A message that NetEase's side took.
#[derive(Debug)]
struct Message {
    operation_id: String,
    recipient: String,
    received_at: Timestamp,
    /// The provider lost it, and nobody got it.
    is_lost: bool,
}

fn of_netease(world: &World) -> Vec<Message> {
    let mut messages = Vec::new();
    world.received_by_netease(&Filter::default(), None, |shown| {
        let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
        let text = |key: &str| shown[key].as_str().unwrap().to_owned();
        let received_at = Timestamp::from_millisecond(shown["receivedAt"].as_i64().unwrap()).unwrap();
        messages.push(Message {
            operation_id: text("operationID"),
            recipient: text("recipient"),
            received_at,
            is_lost: text("fate") == "lost",
        });
    });
    messages
}

impl Auditor {
    /// Of each of NetEase's gateways, in every minute, replays among them.
    fn the_limits_of_netease_were_kept(&mut self) {
        let mut calls: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
        let rows = self.rows(
            "SELECT gateway, started_at FROM attempt_log
             WHERE kind = 'send' AND gateway <> 'sandbox' AND verdict <> 'withdrawn' ORDER BY started_at",
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?.parse::<Timestamp>().unwrap())),
        );
        for (gateway, at) in rows {
            calls.entry(gateway).or_default().push(at);
        }
        let most = super::netease::CALLS_A_MINUTE;
        for (gateway, times) in &calls {
            for window in times.windows(most + 1) {
                if window[most].duration_since(window[0]).as_secs_f64() < 60.0 {
                    self.findings.push(format!("more than {most} calls of {gateway} from {}", window[0]));
                }
            }
        }
        let again = self.rows(
            "SELECT count(*) FROM attempt_log a JOIN attempt_log b ON b.operation_id = a.operation_id
                AND b.attempt < a.attempt AND b.verdict = 'unanswered' WHERE a.kind = 'send'",
            |row| row.get::<_, i64>(0),
        );
        self.looked_at.push(format!(
            "{} calls to NetEase, {} replays",
            calls.values().map(Vec::len).sum::<usize>(),
            again[0]
        ));
    }

    /// A brief history ends when the daemon is at rest.
    fn nothing_is_open(&mut self) {
        if self.scale == Scale::Brief {
            self.findings
                .extend(what_is_open(&self.ledger).into_iter().map(|what| format!("{what}, at rest")));
        }
    }

    fn rows<T>(&self, sql: &str, read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let mut statement = self.ledger.prepare(sql).unwrap();
        statement.query_map([], read).unwrap().map(Result::unwrap).collect()
    }

    fn what_was_taken(&mut self, world: &World) -> Taken {
        let attempts: BTreeMap<String, String> = self
            .rows("SELECT operation_id, run FROM attempt_log WHERE kind = 'send'", |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .into_iter()
            .collect();
        let mut taken = Taken::new();
        let mut times = BTreeSet::new();
        let mut messages = 0;
        world.received(&Filter::default(), |received| {
            messages += 1;
            let Some(run) = attempts.get(received.operation_id) else {
                self.findings.push(format!("a message of no attempt: {received:?}"));
                return;
            };
            let reached = u32::from(received.fate != Fate::Lost);
            *taken.entry((run.clone(), received.recipient.to_owned())).or_default() += reached;
            if received.group_id.is_none()
                && !times.insert((
                    received.sender.to_owned(),
                    received.recipient.to_owned(),
                    received.send_time,
                ))
            {
                self.findings.push(format!("a send time given twice: {received:?}"));
            }
        });
        for message in of_netease(world) {
            messages += 1;
            match attempts.get(&message.operation_id) {
                Some(run) => {
                    *taken.entry((run.clone(), message.recipient)).or_default() +=
                        u32::from(!message.is_lost);
                }
                None => self.findings.push(format!("a message of no attempt: {message:?}")),
            }
        }
        self.looked_at.push(format!("{messages} messages"));
        taken
    }

    fn nobody_twice(&mut self, taken: &Taken) {
        let twice = taken.iter().filter(|(_, times)| **times > 1);
        self.findings.extend(twice.map(|((run, id), times)| format!("{id} got {run} {times} times")));
    }

    fn outcomes_are_true(&mut self, taken: &Taken) {
        let deliveries: Vec<(String, String, String)> = self
            .rows("SELECT run, recipient, outcome FROM delivery_log", |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            });
        let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for (run, recipient, outcome) in deliveries {
            let key = (run, recipient);
            let times = taken.get(&key);
            let got = times.is_some_and(|times| *times > 0);
            let true_ = match outcome.as_str() {
                "accepted" => times.is_some(),
                "unknown" => true,
                _ => !got,
            };
            if !true_ {
                self.findings.push(format!("{} of {} is {outcome}, and got it: {got}", key.1, key.0));
            }
            *outcomes.entry(outcome).or_default() += 1;
            if !known.insert(key.clone()) {
                self.findings.push(format!("{} stands in {} twice", key.1, key.0));
            }
        }
        for (run, recipient) in taken.keys().filter(|key| !known.contains(*key)) {
            self.findings.push(format!("{recipient} got {run}, and the ledger has no outcome"));
        }
        self.looked_at.push(format!("deliveries {outcomes:?}"));
    }

    fn everybody_is_accounted_for(&mut self) {
        let unbalanced = self.rows(
            "SELECT run FROM run_summary WHERE audience <> accepted + refused + failed + unknown + excluded
                + expired + cancelled + pending + in_flight",
            |row| row.get::<_, String>(0),
        );
        let recounted = self.rows(
            "SELECT s.run FROM run_summary s WHERE s.audience <>
                (SELECT count(*) FROM delivery_log d WHERE d.run = s.run)
                + (SELECT count(*) FROM waiting_log w WHERE w.run = s.run)",
            |row| row.get::<_, String>(0),
        );
        let unfinished = self.rows(
            "SELECT run || ' ' || state || ' ' || pending || ' pending ' || coalesce(reason, '') FROM run_summary
             WHERE state NOT IN ('completed', 'cancelled', 'failed')
                AND occurrence < (SELECT max(occurrence) FROM run_summary) AND trigger = 'schedule'
                AND julianday((SELECT max(finished_at) FROM run_summary)) - julianday(occurrence) > 1.1 / 24",
            |row| row.get::<_, String>(0),
        );
        self.findings.extend(unbalanced.into_iter().map(|run| format!("{run} is unbalanced")));
        self.findings
            .extend(recounted.into_iter().map(|run| format!("{run} counts rows that are not there")));
        self.findings.extend(unfinished.into_iter().map(|run| format!("{run}: forgotten")));
        let states = self.rows("SELECT state, count(*) FROM run_summary GROUP BY state", |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        });
        self.looked_at.push(format!("runs {states:?}"));
        // Whoever was meant stands there, and nobody else.
        let audiences = self.rows(
            "SELECT run, campaign, audience,
                (SELECT count(*) FROM delivery_log d WHERE d.run = s.run AND d.reason_code = 'exclude')
             FROM run_summary s WHERE state = 'completed' AND campaign IN ('list', 'everyone')",
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, i64>(3)?,
                ))
            },
        );
        for (run, campaign, audience, excluded) in audiences {
            // `notice` sends; of 720 in the list 20 are excluded.
            let people = |count| i64::from(self.scale.people(count));
            let expected = if campaign == "list" { (people(720), people(20)) } else { (people(700), 0) };
            if (audience, excluded) != expected {
                self.findings.push(format!("{run} had {audience} recipients, {excluded} excluded"));
            }
        }
    }

    /// A schedule that was never edited: each of its slots since the first start is there, once.
    fn every_slot_is_accounted_for(&mut self) {
        let slots = self.rows(
            "SELECT CAST(strftime('%s', occurrence) AS INTEGER), CAST(strftime('%s', until_at) AS INTEGER), count
             FROM occurrence_log WHERE campaign = 'list' ORDER BY occurrence",
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
        );
        let period_seconds = self.scale.seconds(40);
        for (from, until, count) in &slots {
            if (until - from) / period_seconds + 1 != *count {
                self.findings.push(format!("a row of {count} slots from {from} to {until}"));
            }
        }
        for pair in slots.windows(2) {
            if pair[0].1 + period_seconds != pair[1].0 {
                self.findings.push(format!("no decision between {} and {}", pair[0].1, pair[1].0));
            }
        }
        self.looked_at.push(format!("{} slots of list", slots.iter().map(|slot| slot.2).sum::<i64>()));
    }

    fn the_limit_was_kept(&mut self, world: &World) {
        let recipients_a_second = self.scale.recipients_a_second();
        let mut times = Vec::new();
        world.received(&Filter::default(), |received| times.push(received.received_at));
        times.sort_unstable();
        let mut first = 0;
        let mut most = 0;
        for (place, at) in times.iter().enumerate() {
            while times[first] <= at - 1_000 {
                first += 1;
            }
            most = most.max(place - first + 1);
        }
        if most as u64 > recipients_a_second {
            self.findings
                .push(format!("{most} recipients within a second; allowed are {recipients_a_second}"));
        }
        self.looked_at.push(format!("at most {most} a second"));
    }

    /// `holdout: 20%` of `capped-many`: the same people in each of its runs, about so many, and none of them ever
    /// got it.
    fn whoever_is_held_out_stays_so(&mut self, taken: &Taken) {
        let of_campaign = |run: &str| run.starts_with("capped-many@");
        let got: BTreeSet<&str> =
            taken.keys().filter(|(run, _)| of_campaign(run)).map(|(_, id)| id.as_str()).collect();
        let held: BTreeSet<String> = self
            .rows(
                "SELECT DISTINCT recipient FROM delivery_log
                 WHERE campaign = 'capped-many' AND reason_code = 'holdout'",
                |row| row.get(0),
            )
            .into_iter()
            .collect();
        let both = held.iter().filter(|id| got.contains(id.as_str()));
        self.findings.extend(both.map(|id| format!("{id} is held out of capped-many, and got it")));
        // 30 % of some 700 are the sample; of these 20 % are about 42.
        let (most, expected) = self.scale.held_out();
        if got.len() >= most && !expected.contains(&held.len()) {
            self.findings.push(format!("{} are held out beside {} who got it", held.len(), got.len()));
        }
        self.looked_at.push(format!("{} held out", held.len()));
    }

    /// Suppressions, exclusions, caps, `notAgainWithin`, samples: by what the provider took.
    fn whoever_is_to_be_left_alone_is(&mut self, world: &World, suppressions: &[Suppressed]) {
        let attempts: BTreeMap<String, (String, Timestamp)> = self
            .rows(
                "SELECT a.operation_id, s.campaign, a.started_at FROM attempt_log a JOIN run_summary s ON s.run = a.run
                 WHERE a.kind = 'send'",
                |row| Ok((row.get(0)?, (row.get(1)?, row.get::<_, String>(2)?.parse().unwrap()))),
            )
            .into_iter()
            .collect();
        let quiet: BTreeSet<String> = (1..=self.scale.quiet())
            .map(|number| format!("u{number:05}"))
            .chain(["notice".to_owned()])
            .collect();
        let mut had: BTreeMap<String, Vec<(Timestamp, String)>> = BTreeMap::new();
        let mut findings = Vec::new();
        world.received(&Filter::default(), |received| {
            let Some((campaign, asked_at)) = attempts.get(received.operation_id) else { return };
            let id = received.recipient;
            let wrong = suppressions.iter().any(|one| {
                one.id == id && *asked_at > one.from && one.until.is_none_or(|until| *asked_at < until)
            });
            if wrong {
                findings.push(format!("{id} is suppressed and was asked at {asked_at} by {campaign}"));
            }
            if campaign == "capped-many" && quiet.contains(id) {
                findings.push(format!("{id} is excluded from {campaign}"));
            }
            // What was lost, and proven so, may be sent again: nobody has had it.
            if campaign.starts_with("capped") && received.fate != Fate::Lost {
                let at = Timestamp::from_millisecond(received.received_at).unwrap();
                had.entry(id.to_owned()).or_default().push((at, campaign.clone()));
            }
        });
        // Replays share an operation id: what counts is the last request before the message.
        let asked: Vec<(String, Timestamp)> = self.rows(
            "SELECT operation_id, started_at FROM attempt_log WHERE kind = 'send' ORDER BY attempt",
            |row| Ok((row.get(0)?, row.get::<_, String>(1)?.parse().unwrap())),
        );
        let mut by_operation: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
        for (operation_id, at) in &asked {
            by_operation.entry(operation_id).or_default().push(*at);
        }
        for message in of_netease(world) {
            let times = by_operation.get(message.operation_id.as_str());
            let asked_at = times.and_then(|times| times.iter().rfind(|at| **at <= message.received_at));
            let Some(asked_at) = asked_at else { continue };
            let wrong = suppressions.iter().any(|one| {
                one.id == message.recipient
                    && *asked_at > one.from
                    && one.until.is_none_or(|until| *asked_at < until)
            });
            if wrong {
                findings.push(format!("{} is suppressed and was asked at {asked_at}", message.recipient));
            }
        }
        let mut sampled = BTreeSet::new();
        let not_again_minutes = self.scale.seconds(25) as f64 / 60.0;
        for (id, mut messages) in had {
            messages.sort();
            let minutes = |a: &Timestamp, b: &Timestamp| b.duration_since(*a).as_secs_f64() / 60.0;
            for three in messages.windows(3).filter(|three| minutes(&three[0].0, &three[2].0) < 60.0) {
                findings.push(format!("{id} got three messages within an hour: {three:?}"));
            }
            let few: Vec<_> = messages.iter().filter(|(_, campaign)| campaign == "capped-few").collect();
            for two in few.windows(2).filter(|two| minutes(&two[0].0, &two[1].0) < not_again_minutes) {
                findings.push(format!("{id} got capped-few again: {two:?}"));
            }
            if messages.iter().any(|(_, campaign)| campaign == "capped-many") {
                sampled.insert(id);
            }
        }
        if sampled.len() > self.scale.people(260) as usize {
            findings.push(format!("{} people are a sample of 30% of {}", sampled.len(), self.scale.users()));
        }
        self.findings.extend(findings);
        let counts = self.rows(
            "SELECT reason_code, count(*) FROM delivery_log WHERE outcome = 'excluded' GROUP BY reason_code",
            |row| Ok(format!("{} {}", row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
        );
        self.looked_at.push(format!("left alone: {}", counts.join(" ")));
    }
}
