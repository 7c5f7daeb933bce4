use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::{
    campaign::{Audience, Delivery, Lateness, Message, OnUnknown, Retry},
    limits::Limits,
    schedule::{CronLine, Pattern, Schedule},
};

fn campaign(patterns: Vec<Pattern>) -> Campaign {
    Campaign {
        id: "greeting".parse().unwrap(),
        description: String::new(),
        labels: Default::default(),
        enabled: true,
        gateway: "sandbox".to_owned(),
        message: Message::default(),
        audience: Audience::Everyone,
        exclude: Vec::new(),
        expect: None,
        zone: TimeZone::UTC,
        schedules: patterns
            .into_iter()
            .map(|pattern| Schedule { pattern, from: None, until: None })
            .collect(),
        lateness: Lateness { max: SignedDuration::from_mins(15) },
        finish_within: SignedDuration::from_hours(24),
        delivery: Delivery {
            batch_size: 100,
            concurrency: 1,
            limits: Limits::default(),
            retry: Retry::default(),
            on_unknown: OnUnknown::Hold,
            confirm: false,
            stop_when: None,
        },
    }
}

fn instant(time: &str) -> Timestamp {
    format!("2026-11-11T{time}Z").parse().unwrap()
}

fn every_five_minutes() -> Campaign {
    campaign(vec![Pattern::Cron(CronLine::parse("*/5 * * * *").unwrap())])
}

/// The plan of a campaign that fires every five minutes and is decided up to 09:00, as a line.
#[track_caller]
fn check(now: &str, hold: Hold, running: bool, expected: &str) {
    let standing = Standing { decided_until: instant("09:00:00"), hold, running };
    let plan = plan(instant(now), &every_five_minutes(), standing);
    let time = |at: Timestamp| at.strftime("%T").to_string();
    let mut line = String::new();
    for decision in &plan.decisions {
        line += &format!("{} {}", time(decision.slot), decision.fate.name());
        if let Some(reason) = decision.fate.reason() {
            line += &format!("({reason})");
        }
        if decision.count > 1 {
            line += &format!(" ×{} to {}", decision.count, time(decision.until));
        }
        line += "; ";
    }
    line += &format!(
        "until {}, next {}",
        time(plan.decided_until),
        plan.next_at.map_or("never".to_owned(), time)
    );
    assert_eq!(line, expected);
}

#[test]
fn a_slot_runs_when_its_time_comes() {
    check("09:04:59.999", Hold::None, false, "until 09:00:00, next 09:05:00");
    check("09:05:00", Hold::None, false, "09:05:00 run; until 09:05:00, next 09:10:00");
    check("09:06:00", Hold::None, false, "09:05:00 run; until 09:05:00, next 09:10:00");
}

#[test]
fn the_last_run_still_going_skips() {
    check("09:05:00", Hold::None, true, "09:05:00 skipped(overlap); until 09:05:00, next 09:10:00");
}

#[test]
fn after_an_outage_the_latest_slot_within_lateness_runs() {
    check(
        "09:12:00",
        Hold::None,
        false,
        "09:05:00 missed(catchUp); 09:10:00 run; until 09:10:00, next 09:15:00",
    );
    check(
        "10:01:00",
        Hold::None,
        false,
        "09:05:00 missed(late) ×9 to 09:45:00; 09:50:00 missed(catchUp) ×2 to 09:55:00; 10:00:00 run; \
         until 10:00:00, next 10:05:00",
    );
}

#[test]
fn exactly_at_its_limit_a_slot_is_not_too_late() {
    let at = campaign(vec![Pattern::At(instant("09:05:00"))]);
    let standing = Standing { decided_until: instant("09:00:00"), hold: Hold::None, running: false };
    assert_eq!(plan(instant("09:20:00"), &at, standing).decisions[0].fate, Fate::Run);
    let late = plan(instant("09:20:00.001"), &at, standing);
    assert_eq!(late.decisions[0].fate, Fate::Missed(Miss::Late));
    assert_eq!(late.next_at, None);
}

#[test]
fn a_paused_campaign_waits_until_it_is_too_late() {
    check("09:12:00", Hold::Paused, false, "until 09:00:00, next 09:20:00");
    check("09:21:00", Hold::Paused, false, "09:05:00 missed(paused); until 09:05:00, next 09:25:00");
}

#[test]
fn a_campaign_whose_file_is_gone_waits_and_then_misses() {
    check("09:12:00", Hold::Gone, false, "until 09:00:00, next never");
    check(
        "09:12:00",
        Hold::Removed,
        false,
        "09:05:00 missed(removed) ×2 to 09:10:00; until 09:10:00, next 09:15:00",
    );
}

#[test]
fn an_at_just_before_its_campaign_appeared_is_told() {
    let at = |time| campaign(vec![Pattern::At(instant(time)), Pattern::At(instant(time))]);
    let told = applied_late(instant("09:00:00"), &at("08:50:00"));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].fate, Fate::Missed(Miss::AppliedLate));
    assert_eq!(applied_late(instant("09:00:00"), &at("08:40:00")), []);
    assert_eq!(applied_late(instant("09:00:00"), &at("09:00:01")), []);
}

#[test]
fn a_long_outage_of_a_fast_schedule_is_decided_in_slices() {
    let campaign = campaign(vec![Pattern::Every(SignedDuration::from_secs(1))]);
    let now = instant("12:00:00");
    let mut standing = Standing { decided_until: instant("06:00:00"), hold: Hold::None, running: false };
    let mut counts = Vec::new();
    loop {
        let plan = plan(now, &campaign, standing);
        standing.decided_until = plan.decided_until;
        counts.extend(plan.decisions.iter().map(|decision| (decision.fate.name(), decision.count)));
        if plan.next_at != Some(now) {
            break;
        }
    }
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 6 * 3_600);
    assert_eq!(counts.iter().filter(|(name, _)| *name == "run").count(), 1);
}

#[test]
fn a_long_pause_of_a_fast_schedule_waits_without_being_asked_again() {
    let mut campaign = campaign(vec![Pattern::Every(SignedDuration::from_secs(1))]);
    campaign.lateness.max = SignedDuration::from_hours(24);
    let standing = Standing { decided_until: instant("06:00:00"), hold: Hold::Paused, running: false };
    let plan = plan(instant("12:00:00"), &campaign, standing);
    assert_eq!((plan.decisions.len(), plan.decided_until), (0, instant("06:00:00")));
    assert!(plan.next_at > Some(instant("12:00:00")));
}

proptest! {
    /// However often and whenever it is called, each slot is decided exactly once and in order.
    #[test]
    fn every_slot_is_decided_once(
        steps in prop::collection::vec((0i64..3_000, any::<bool>(), 0u8..3), 1..60),
    ) {
        let campaign = every_five_minutes();
        let mut now = instant("09:00:00");
        let start = now;
        let mut decided_until = now;
        let mut decided: Vec<Decision> = Vec::new();
        for (seconds, running, hold) in steps {
            now += SignedDuration::from_secs(seconds);
            let hold = [Hold::None, Hold::Paused, Hold::Gone][usize::from(hold)];
            let plan = plan(now, &campaign, Standing { decided_until, hold, running });
            prop_assert!(plan.decided_until >= decided_until && plan.decided_until <= now);
            decided_until = plan.decided_until;
            decided.extend(plan.decisions);
        }
        let last = plan(now, &campaign, Standing { decided_until, hold: Hold::None, running: false });
        decided.extend(last.decisions);
        prop_assert!(decided.windows(2).all(|pair| pair[0].until < pair[1].slot));
        let expected = (now.as_second() - start.as_second()) / 300;
        prop_assert_eq!(decided.iter().map(|decision| decision.count).sum::<u64>(), expected as u64);
        let runs: BTreeSet<_> = decided.iter().filter(|d| d.fate == Fate::Run).map(|d| d.slot).collect();
        prop_assert_eq!(runs.len(), decided.iter().filter(|d| d.fate == Fate::Run).count());
    }
}
