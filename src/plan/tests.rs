use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::{
    campaign::{Audience, Delivery, Lateness, Message, OnUnknown, Retry},
    limits::Limits,
    schedule::{
        Calendar, CronLine, Pattern, Schedule, Window,
        window::{Days, Range},
    },
};

fn campaign(schedules: Vec<Schedule>) -> Campaign {
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
        sample: None,
        holdout: None,
        caps: Default::default(),
        template: None,
        calendar: Calendar::usual(TimeZone::UTC),
        schedules,
        lateness: Lateness { max: SignedDuration::from_mins(15), catch_up: CatchUp::Latest },
        overlap: Overlap::Skip,
        window: None,
        finish_within: SignedDuration::from_hours(24),
        delivery: Delivery {
            batch_size: 100,
            concurrency: 1,
            limits: Limits::default(),
            retry: Retry::default(),
            ignore_suppressions: false,
            on_unknown: OnUnknown::Hold,
            confirm: false,
            stop_when: None,
        },
    }
}

fn instant(time: &str) -> Timestamp {
    format!("2026-11-11T{time}Z").parse().unwrap()
}

fn cron(text: &str) -> Schedule {
    Schedule::of(Pattern::Cron(CronLine::parse(text).unwrap()))
}

fn at(time: &str) -> Schedule {
    Schedule::of(Pattern::At(instant(time)))
}

fn every_second() -> Schedule {
    Schedule::of(Pattern::Every(SignedDuration::from_secs(1)))
}

fn every_five_minutes() -> Campaign {
    campaign(vec![cron("*/5 * * * *")])
}

/// Everything is decided up to 09:00 and was attended to since long before.
fn standing() -> Standing {
    Standing {
        decided_until: instant("09:00:00"),
        counts_from: instant("00:00:00"),
        attended_since: instant("00:00:00"),
        queued: None,
        hold: Hold::None,
        running: false,
    }
}

fn held(hold: Hold) -> Standing {
    Standing { hold, ..standing() }
}

/// The plan as a line.
#[track_caller]
fn check(campaign: &Campaign, now: &str, standing: Standing, expected: &str) -> Plan {
    let plan = plan(instant(now), campaign, standing);
    let time = |at: Timestamp| at.strftime("%T%.f").to_string();
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
    line += &format!("until {}", time(plan.decided_until));
    if let Some(queued) = plan.queued {
        line += &format!(", queued {}", time(queued));
    }
    line += &format!(", next {}", plan.next_at.map_or("never".to_owned(), time));
    assert_eq!(line, expected);
    plan
}

#[test]
fn a_slot_runs_when_its_time_comes() {
    let campaign = every_five_minutes();
    check(&campaign, "09:04:59.999", standing(), "until 09:00:00, next 09:05:00");
    check(&campaign, "09:05:00", standing(), "09:05:00 run; until 09:05:00, next 09:10:00");
    check(&campaign, "09:06:00", standing(), "09:05:00 run; until 09:05:00, next 09:10:00");
}

#[test]
fn the_last_run_still_going_skips_or_queues() {
    let running = Standing { running: true, ..standing() };
    let mut campaign = every_five_minutes();
    check(&campaign, "09:05:00", running, "09:05:00 skipped(overlap); until 09:05:00, next 09:10:00");
    campaign.overlap = Overlap::Queue;
    check(&campaign, "09:05:00", running, "until 09:05:00, queued 09:05:00, next 09:10:00");
}

#[test]
fn the_queue_keeps_the_latest_slot_whose_wait_is_not_lateness() {
    let campaign = Campaign { overlap: Overlap::Queue, ..every_five_minutes() };
    let waits = |running, until| Standing {
        running,
        decided_until: instant(until),
        queued: Some(instant("09:05:00")),
        ..standing()
    };
    check(
        &campaign,
        "09:10:00",
        waits(true, "09:05:00"),
        "09:05:00 skipped(overlap); until 09:10:00, queued 09:10:00, next 09:15:00",
    );
    // Hours later, when the last run is over at last.
    let plan = check(
        &campaign,
        "11:00:00",
        waits(false, "10:55:00"),
        "09:05:00 run; until 11:00:00, queued 11:00:00, next 11:05:00",
    );
    assert_eq!(plan.decisions[0].start_from, instant("11:00:00"));
    assert_eq!(plan.decisions[0].due, instant("09:05:00"));
    // A pause keeps it; what would end before it began is given up.
    let paused = Standing { hold: Hold::Paused, ..waits(false, "09:05:00") };
    check(&campaign, "09:07:00", paused, "until 09:05:00, queued 09:05:00, next 09:10:00");
    let short = Campaign { finish_within: SignedDuration::from_mins(30), ..campaign.clone() };
    check(
        &short,
        "09:35:00",
        waits(true, "09:35:00"),
        "09:05:00 missed(late); until 09:35:00, next 09:40:00",
    );
    check(
        &campaign,
        "09:07:00",
        Standing { hold: Hold::Ends(Miss::Removed), ..waits(true, "09:05:00") },
        "09:05:00 missed(removed); until 09:05:00, next 09:10:00",
    );
}

#[test]
fn the_queue_waits_for_the_window() {
    let window = Window { days: Days::EVERY, ranges: vec![Range::parse("08:00-09:10").unwrap()] };
    let campaign = Campaign {
        overlap: Overlap::Queue,
        window: Some(window),
        finish_within: SignedDuration::from_hours(2),
        ..every_five_minutes()
    };
    let waits =
        Standing { queued: Some(instant("09:05:00")), decided_until: instant("09:30:00"), ..standing() };
    check(&campaign, "09:31:00", waits, "until 09:30:00, queued 09:05:00, next 09:35:00");
    check(
        &campaign,
        "11:06:00",
        Standing { decided_until: instant("11:05:00"), ..waits },
        "09:05:00 missed(late); until 11:05:00, next 11:10:00",
    );
}

#[test]
fn after_an_outage_the_latest_slot_within_lateness_runs() {
    let campaign = every_five_minutes();
    check(
        &campaign,
        "09:12:00",
        standing(),
        "09:05:00 missed(catchUp); 09:10:00 run; until 09:10:00, next 09:15:00",
    );
    check(
        &campaign,
        "10:01:00",
        standing(),
        "09:05:00 missed(late) ×9 to 09:45:00; 09:50:00 missed(catchUp) ×2 to 09:55:00; 10:00:00 run; \
         until 10:00:00, next 10:05:00",
    );
}

#[test]
fn nothing_is_caught_up_where_the_campaign_says_so() {
    let mut campaign = every_five_minutes();
    campaign.lateness.catch_up = CatchUp::None;
    let since = |time| Standing { attended_since: instant(time), ..standing() };
    check(
        &campaign,
        "09:12:00",
        since("09:12:00"),
        "09:05:00 missed(catchUp) ×2 to 09:10:00; until 09:10:00, next 09:15:00",
    );
    // Not late at all, but for the daemon's own haste.
    check(&campaign, "09:05:03", since("09:05:00"), "09:05:00 run; until 09:05:00, next 09:10:00");
}

#[test]
fn all_that_was_missed_is_caught_up_one_after_another() {
    let mut campaign = every_five_minutes();
    campaign.lateness.catch_up = CatchUp::All;
    let since = Standing { attended_since: instant("09:16:00"), ..standing() };
    let plan = check(&campaign, "09:16:00", since, "09:05:00 run; until 09:05:00, next 09:25:00.001");
    let then = Standing { running: true, decided_until: plan.decided_until, ..since };
    // Each takes its turn, and an on-time slot behind them as well.
    check(&campaign, "09:20:00", then, "until 09:05:00, next 09:25:00.001");
    let over = Standing { running: false, ..then };
    check(&campaign, "09:22:00", over, "09:10:00 run; until 09:10:00, next 09:30:00.001");
    check(&campaign, "09:26:00", over, "09:10:00 missed(late); 09:15:00 run; until 09:15:00, next 09:26:00");
    // Nothing waits: the last run still going skips.
    let on_time = Standing { running: true, decided_until: instant("09:15:00"), ..since };
    check(&campaign, "09:20:00", on_time, "09:20:00 skipped(overlap); until 09:20:00, next 09:25:00");
}

#[test]
fn exactly_at_its_limit_a_slot_is_not_too_late() {
    let at = campaign(vec![at("09:05:00")]);
    check(&at, "09:20:00", standing(), "09:05:00 run; until 09:05:00, next never");
    check(&at, "09:20:00.001", standing(), "09:05:00 missed(late); until 09:05:00, next never");
}

#[test]
fn a_paused_campaign_waits_until_it_is_too_late() {
    let campaign = every_five_minutes();
    check(&campaign, "09:12:00", held(Hold::Paused), "until 09:00:00, next 09:20:00.001");
    check(
        &campaign,
        "09:21:00",
        held(Hold::Paused),
        "09:05:00 missed(paused); until 09:05:00, next 09:25:00.001",
    );
    check(
        &campaign,
        "09:21:00",
        held(Hold::NoDates),
        "09:05:00 missed(except); until 09:05:00, next 09:25:00.001",
    );
}

#[test]
fn a_campaign_whose_file_is_gone_waits_and_then_misses() {
    let campaign = every_five_minutes();
    check(&campaign, "09:12:00", held(Hold::Gone), "until 09:00:00, next never");
    let never = [
        (Hold::Ends(Miss::Removed), "removed"),
        (Hold::Replaced(Miss::Paused), "paused"),
        (Hold::Ends(Miss::Disabled), "disabled"),
    ];
    for (hold, reason) in never {
        let expected = format!("09:05:00 missed({reason}) ×2 to 09:10:00; until 09:10:00, next 09:15:00");
        check(&campaign, "09:12:00", held(hold), &expected);
    }
}

#[test]
fn what_is_left_out_and_what_falls_outside_the_window_is_skipped() {
    let mut daily = every_five_minutes();
    daily.schedules[0].except.dates.insert("2026-11-11".parse().unwrap());
    let skipped = "09:05:00 skipped(excepted) ×2 to 09:10:00; until 09:10:00, next 09:15:00";
    // It would not have run, whatever takes the campaign's place now.
    check(&daily, "09:12:00", held(Hold::Replaced(Miss::CatchUp)), skipped);
    let plan = check(&daily, "09:12:00", standing(), skipped);
    assert_eq!(plan.next_occurrence.unwrap().to_string(), "2026-11-12T00:00:00Z");
    let window = Window { days: Days::EVERY, ranges: vec![Range::parse("09:10-09:15").unwrap()] };
    let windowed = Campaign { window: Some(window), ..every_five_minutes() };
    let plan = check(
        &windowed,
        "09:16:00",
        standing(),
        "09:05:00 skipped(window); 09:10:00 run; 09:15:00 skipped(window); until 09:15:00, next 09:20:00",
    );
    assert_eq!(plan.next_occurrence.unwrap().to_string(), "2026-11-12T09:10:00Z");
}

#[test]
fn a_slot_with_jitter_is_due_later_and_is_not_lost_to_an_edit() {
    let jitter = SignedDuration::from_mins(5);
    let spread = campaign(vec![Schedule { jitter, ..at("09:05:00") }]);
    let slot = spread.slots_after(instant("09:00:00")).next().unwrap();
    assert!(slot.due > slot.at + SignedDuration::from_secs(10), "{slot:?}");
    let early = plan(instant("09:05:10"), &spread, standing());
    assert_eq!((early.decisions.len(), early.next_at), (0, Some(slot.due)));
    let due = plan(slot.due, &spread, standing());
    assert_eq!((due.decisions[0].slot, due.decisions[0].due), (slot.at, slot.due));
    // Another revision takes force meanwhile: the slot is its, if it has it.
    let applied_at = instant("09:05:10");
    let until = decided_until(applied_at, &spread, instant("09:00:00"));
    assert_eq!(until, instant("09:04:59.999"));
    let replaced = Standing { decided_until: until, counts_from: applied_at, ..standing() };
    assert_eq!(plan(slot.due, &spread, replaced).decisions[0].fate, Fate::Run);
    // A time that the new revision has and that has passed is none of its slots.
    let other = campaign(vec![at("09:05:05"), at("09:06:00")]);
    check(&other, "09:06:00", replaced, "09:06:00 run; until 09:06:00, next never");
    assert_eq!(decided_until(applied_at, &every_five_minutes(), instant("09:00:00")), applied_at);
}

#[test]
fn an_at_just_before_its_campaign_appeared_is_told() {
    let twice = |time| campaign(vec![at(time), at(time)]);
    let told = applied_late(instant("09:00:00"), &twice("08:50:00"));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].fate, Fate::Missed(Miss::AppliedLate));
    assert_eq!(applied_late(instant("09:00:00"), &twice("08:40:00")), []);
    assert_eq!(applied_late(instant("09:00:00"), &twice("09:00:01")), []);
}

#[test]
fn a_row_is_split_around_what_is_decided_already() {
    let campaign = every_five_minutes();
    let row = plan(instant("10:00:00"), &campaign, held(Hold::Ends(Miss::Removed))).decisions;
    let decided = ["09:05:00", "09:20:00", "09:25:00"].map(instant).into_iter().collect();
    let told: Vec<String> = around(row, &campaign, &decided)
        .iter()
        .map(|row| format!("{} ×{} to {}", row.slot.strftime("%R"), row.count, row.until.strftime("%R")))
        .collect();
    assert_eq!(told, ["09:10 ×2 to 09:15", "09:30 ×7 to 10:00"]);
}

#[test]
fn a_long_outage_of_a_fast_schedule_is_decided_in_slices() {
    let campaign = campaign(vec![every_second()]);
    let now = instant("12:00:00");
    let mut standing = Standing { decided_until: instant("06:00:00"), ..standing() };
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
    assert!(counts.len() < 10, "{} rows", counts.len());
}

#[test]
fn a_long_pause_of_a_fast_schedule_waits_without_being_asked_again() {
    let mut campaign = campaign(vec![every_second()]);
    campaign.lateness.max = SignedDuration::from_hours(24);
    let paused = Standing { decided_until: instant("06:00:00"), ..held(Hold::Paused) };
    let plan = plan(instant("12:00:00"), &campaign, paused);
    assert_eq!((plan.decisions.len(), plan.decided_until), (0, instant("06:00:00")));
    assert!(plan.next_at > Some(instant("12:00:00")));
}

#[test]
fn what_is_to_come_is_told_with_its_notes() {
    let window = Window { days: Days::EVERY, ranges: vec![Range::parse("08:00-18:00").unwrap()] };
    let mut hourly = Campaign { window: Some(window), ..campaign(vec![cron("0 17,18 * * *")]) };
    hourly.schedules[0].except.dates.insert("2026-11-12".parse().unwrap());
    let end = instant("00:00:00") + SignedDuration::from_hours(48);
    let told: Vec<String> = forecast(&hourly, instant("17:00:00"), end)
        .map(|expected| {
            let notes: Vec<_> = expected.notes.iter().map(|note| note.text()).collect();
            format!("{} {} {}", expected.slot.at.strftime("%dT%H"), expected.runs(), notes.join(", "))
        })
        .collect();
    assert_eq!(
        told,
        ["11T17 true ", "11T18 false outside window", "12T17 false excepted", "12T18 false excepted"]
    );
}

fn some_campaign() -> impl Strategy<Value = Campaign> {
    (0u8..3, any::<bool>(), any::<bool>(), any::<bool>(), 1i64..3).prop_map(
        |(catch_up, queue, windowed, jittered, finish_hours)| {
            let mut campaign = every_five_minutes();
            campaign.lateness.catch_up =
                [CatchUp::None, CatchUp::Latest, CatchUp::All][usize::from(catch_up)];
            campaign.overlap = if queue { Overlap::Queue } else { Overlap::Skip };
            campaign.finish_within = SignedDuration::from_hours(finish_hours);
            if windowed {
                let ranges = vec![Range::parse("09:00-09:37").unwrap(), Range::parse("11:00-02:00").unwrap()];
                campaign.window = Some(Window { days: Days::EVERY, ranges });
            }
            if jittered {
                campaign.schedules[0].jitter = SignedDuration::from_mins(4);
            }
            campaign
        },
    )
}

proptest! {
    /// However often and whenever it is called, each slot is decided exactly once, and no two runs go at
    /// once.
    #[test]
    fn every_slot_is_decided_once(
        campaign in some_campaign(),
        steps in prop::collection::vec((0i64..3_000, any::<bool>(), 0u8..4, any::<bool>()), 1..60),
    ) {
        let mut now = instant("09:00:00");
        let start = now;
        let mut standing = standing();
        let mut decided: Vec<Decision> = Vec::new();
        let end_of_steps = steps.len();
        // At last everything is let go: nothing is held, and no run goes on.
        let steps = steps.into_iter().chain((0..5_000).map(|_| (0, true, 0, false)));
        for (place, (seconds, over, hold, restart)) in steps.enumerate() {
            now += SignedDuration::from_secs(seconds);
            standing.hold = [Hold::None, Hold::Paused, Hold::Gone, Hold::NoDates][usize::from(hold)];
            standing.running &= !over;
            if restart {
                standing.attended_since = now;
            }
            let plan = plan(now, &campaign, standing);
            prop_assert!(plan.decided_until >= standing.decided_until && plan.decided_until <= now);
            let runs = plan.decisions.iter().filter(|decision| decision.fate == Fate::Run).count();
            prop_assert!(runs == 0 || runs == 1 && !standing.running, "{} runs", runs);
            standing.decided_until = plan.decided_until;
            standing.queued = plan.queued;
            standing.running |= runs > 0;
            decided.extend(plan.decisions);
            let rests = plan.next_at.is_none_or(|at| at > now) && plan.queued.is_none();
            if place > end_of_steps && rests && !standing.running {
                break;
            }
        }
        decided.sort_by_key(|decision| decision.slot);
        prop_assert!(decided.windows(2).all(|pair| pair[0].until < pair[1].slot), "{:?}", decided);
        let due = campaign.slots_after(start).take_while(|slot| slot.due <= now).count() as u64;
        let queued = u64::from(standing.queued.is_some());
        prop_assert_eq!(decided.iter().map(|decision| decision.count).sum::<u64>() + queued, due);
        let runs: BTreeSet<_> = decided.iter().filter(|d| d.fate == Fate::Run).map(|d| d.slot).collect();
        prop_assert_eq!(runs.len(), decided.iter().filter(|d| d.fate == Fate::Run).count());
    }
}
