use jiff::{SignedDuration, tz::TimeZone};
use proptest::prelude::*;

use super::*;
use crate::{
    campaign::{
        Dialect, Gateways,
        file::{Context, read},
    },
    gateway::openim::dialect::OpenIMDialect,
    sandbox,
};

/// The gateway of the campaigns, for what it knows of messages.
struct One(OpenIMDialect);

impl Gateways for One {
    fn dialect(&self, _: &str) -> Option<&dyn Dialect> {
        Some(&self.0)
    }

    fn names(&self) -> Vec<String> {
        vec!["sandbox".to_owned()]
    }
}

/// A run of a campaign with this `delivery`.
fn assignment(name: &str, delivery: &str) -> Arc<Assignment> {
    let text = format!(
        "message: {{contentType: text, content: {{content: hi}}}}\nrecvIDs: [u00001]\n\
         schedules: [{{at: 2026-11-11T00:01}}]\ndelivery: {{{delivery}}}\n"
    );
    let gateways = One(OpenIMDialect::new(sandbox::defaults(), 100, 64));
    let context = Context {
        now: Timestamp::UNIX_EPOCH,
        default_zone: Some(TimeZone::UTC),
        default_gateway: Some("sandbox".to_owned()),
        gateways: &gateways,
        list_file: None,
        dates: None,
    };
    let (campaign, problems) = read(&format!("{name}.yaml"), text.as_bytes(), &context);
    let campaign = campaign.unwrap_or_else(|| panic!("{problems:?}"));
    Arc::new(Assignment {
        run: RunID::from_text(name.to_owned()),
        message: Arc::new(campaign.message.clone()),
        campaign: Arc::new(campaign),
        path: String::new(),
        only_to: None,
        start_by: Timestamp::from_second(86_400).unwrap(),
        finish_by: Timestamp::from_second(86_400).unwrap(),
    })
}

fn limits(recipients: &str) -> Limits {
    Limits { recipients: vec![recipients.parse().unwrap()], ..Limits::default() }
}

/// One call as it was made: whose, how many, from when to when in milliseconds.
struct Made {
    run: String,
    recipients: u64,
    began_ms: i64,
    ended_ms: i64,
}

/// Lets runs that never end take turns for so long, each call taking `call_ms`, and gives the calls.
fn play(turns: &mut Turns, length_ms: i64, call_ms: impl Fn(&str) -> i64) -> Vec<Made> {
    let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
    let (mut now_ms, mut made) = (0, Vec::new());
    let mut under_way: Vec<(i64, i64, Turn)> = Vec::new();
    while now_ms < length_ms {
        let next_ms = match turns.next(at(now_ms), at(now_ms)) {
            Next::Turn(turn) => {
                let takes_ms = call_ms(turn.assignment.run.as_str());
                turns.found(&turn, u64::MAX);
                under_way.push((now_ms, now_ms + takes_ms, turn));
                continue;
            }
            Next::At(instant) => instant.as_millisecond(),
            Next::WhenChanged => i64::MAX,
            Next::Ask | Next::Stop => panic!("nobody failed or stopped"),
        };
        let first = under_way.iter().enumerate().min_by_key(|(_, (_, ended_ms, _))| *ended_ms);
        match first.map(|(place, (_, ended_ms, _))| (place, *ended_ms)) {
            Some((place, ended_ms)) if ended_ms <= next_ms => {
                now_ms = ended_ms;
                let (began_ms, _, mut turn) = under_way.remove(place);
                let recipients = turn.most_recipients;
                let took = SignedDuration::from_millis(ended_ms - began_ms);
                turns.end(&mut turn, Done::Sent { at: at(now_ms), recipients, took });
                made.push(Made { run: turn.assignment.run.to_string(), recipients, began_ms, ended_ms });
            }
            _ => {
                assert!(next_ms < i64::MAX, "runs wait for ever");
                now_ms = next_ms.max(now_ms + 1);
            }
        }
    }
    made
}

fn turns_of(runs: &[(&str, &str)], limits: &Limits, calls_at_once: u32) -> Turns {
    let mut turns = Turns::new(limits, &[], calls_at_once);
    for (name, delivery) in runs {
        turns.add(assignment(name, delivery), Before::default(), &[]);
    }
    turns
}

#[test]
fn a_large_run_delays_a_small_one_by_no_more_than_a_batch() {
    let runs = [("large", "batchSize: 100"), ("small", "batchSize: 10"), ("other", "batchSize: 50")];
    let mut turns = turns_of(&runs, &Limits::default(), 1);
    let made = play(&mut turns, 60_000, |run| if run == "small" { 20 } else { 200 });
    for calls in made.windows(3) {
        let mut names: Vec<&str> = calls.iter().map(|call| call.run.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["large", "other", "small"]);
    }
}

#[test]
fn small_batches_do_not_starve_large_ones_of_the_gateways_limit() {
    let runs = [("large", "batchSize: 100"), ("small", "batchSize: 10")];
    let mut turns = turns_of(&runs, &limits("100/s"), 8);
    let made = play(&mut turns, 60_000, |_| 5);
    let calls = |run: &str| made.iter().filter(|call| call.run == run).count();
    let (large, small) = (calls("large"), calls("small"));
    assert!(large.abs_diff(small) <= 1, "{large} large and {small} small calls");
    let sent: u64 = made.iter().map(|call| call.recipients).sum();
    assert!(sent > 60 * 85, "{sent} recipients in a minute of 100 a second");
    assert!(made.iter().all(|call| call.run == "small" || call.recipients >= 50), "crumbs");
}

#[test]
fn a_run_that_its_own_limits_hold_back_lets_others_pass() {
    let runs = [("slow", "batchSize: 10, limits: {recipients: 10/min}"), ("fast", "batchSize: 10")];
    let mut turns = turns_of(&runs, &Limits::default(), 1);
    let made = play(&mut turns, 120_000, |_| 100);
    let sent =
        |run: &str| -> u64 { made.iter().filter(|call| call.run == run).map(|call| call.recipients).sum() };
    assert_eq!(sent("slow"), 20);
    assert!(sent("fast") > 10_000, "{}", sent("fast"));
}

#[test]
fn calls_at_once_follow_the_provider() {
    let at_once = |takes: fn(usize) -> i64| {
        let mut turns = turns_of(&[("run", "batchSize: 100, concurrency: 16")], &Limits::default(), 16);
        let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        let (mut now_ms, mut under_way, mut most) = (0, VecDeque::new(), 0);
        for number in 0..2_000 {
            while let Next::Turn(turn) = turns.next(at(now_ms), at(now_ms)) {
                turns.found(&turn, u64::MAX);
                under_way.push_back((now_ms, turn));
            }
            // Of those under way one is done after its share of the time.
            now_ms += takes(under_way.len()) / under_way.len() as i64;
            let (began_ms, mut turn) = under_way.pop_front().unwrap();
            let took = SignedDuration::from_millis(now_ms - began_ms);
            turns.end(&mut turn, Done::Sent { at: at(now_ms), recipients: 100, took });
            most = if number < 1_500 { 0 } else { most.max(under_way.len() + 1) };
        }
        most
    };
    // The same time however many there are, or a time that grows with them.
    assert_eq!(at_once(|_| 400), 16);
    assert!(at_once(|calls| 300 * calls as i64) <= 2);
}

/// A turn that sends; there is one.
#[track_caller]
fn turn(turns: &mut Turns, ms: i64) -> Turn {
    let at = Timestamp::from_millisecond(ms).unwrap();
    match turns.next(at, at) {
        Next::Turn(turn) => turn,
        _ => panic!("nobody has a turn"),
    }
}

/// What follows in the place of a turn whose call ended then, after 100 ms.
fn follow(turns: &mut Turns, turn: &mut Turn, ms: i64) -> Option<Turn> {
    let at = Timestamp::from_millisecond(ms).unwrap();
    let took = SignedDuration::from_millis(100);
    turns.follow(turn, Done::Sent { at, recipients: turn.most_recipients, took }, at, at)
}

#[test]
fn a_run_has_a_second_turn_when_the_first_has_found_that_there_is_more() {
    let mut turns = turns_of(&[("run", "batchSize: 100, concurrency: 4")], &Limits::default(), 4);
    let at = Timestamp::UNIX_EPOCH;
    let is_none = |turns: &mut Turns| !matches!(turns.next(at, at), Next::Turn(_));
    // The pace comes to allow more than one call.
    for _ in 0..200 {
        let mut turn = turn(&mut turns, 0);
        assert!(is_none(&mut turns), "it may be the only batch");
        turns.found(&turn, 0);
        assert!(is_none(&mut turns), "it is");
        turns.end(&mut turn, Done::Sent { at, recipients: 100, took: SignedDuration::from_millis(1) });
    }
    let mut first = turn(&mut turns, 0);
    assert!(turns.found(&first, 100), "whoever waits is to be woken");
    let mut second = turn(&mut turns, 0);
    assert!(!turns.found(&second, 0));
    turns.end(&mut second, Done::Nothing);
    assert!(is_none(&mut turns), "these are all");
    turns.look_again();
    let third = turn(&mut turns, 0);
    // Something has happened since it asked: what it has not found may be there now.
    turns.look_again();
    turns.found(&third, 0);
    turns.end(&mut first, Done::Nothing);
    turn(&mut turns, 0);
}

#[test]
fn the_turn_that_follows_is_the_next_of_the_row_and_takes_no_further_place() {
    let mut turns =
        turns_of(&[("one", "concurrency: 1"), ("other", "concurrency: 1")], &Limits::default(), 1);
    let mut first = turn(&mut turns, 0);
    let mut second = follow(&mut turns, &mut first, 100).unwrap();
    let runs = [&first, &second].map(|turn| turn.assignment.run.to_string());
    assert_eq!(runs, ["one", "other"]);
    let done = Done::Sent { at: Timestamp::UNIX_EPOCH, recipients: 1, took: SignedDuration::ZERO };
    turns.end(&mut first, done);
    let at = Timestamp::from_millisecond(150).unwrap();
    assert!(!matches!(turns.next(at, at), Next::Turn(_)), "the place is taken");
    assert!(
        follow(&mut turns, &mut second, 200).is_some_and(|turn| turn.assignment.run.to_string() == "one")
    );
}

#[test]
fn a_turn_that_nobody_follows_keeps_its_place_until_its_answer_is_recorded() {
    let mut turns = turns_of(&[("run", "batchSize: 100")], &limits("100/min"), 1);
    let mut first = turn(&mut turns, 0);
    assert!(follow(&mut turns, &mut first, 100).is_none(), "the limit is used up");
    // A minute later it would not be.
    let later = Timestamp::from_millisecond(90_000).unwrap();
    assert!(!matches!(turns.next(later, later), Next::Turn(_)), "its answer is not recorded yet");
    turns.end(&mut first, Done::Nothing);
    assert!(matches!(turns.next(later, later), Next::Turn(_)));
}

#[test]
fn whoever_has_something_to_tell_comes_before_whoever_would_follow() {
    let mut turns = turns_of(&[("one", ""), ("other", "")], &Limits::default(), 1);
    let mut first = turn(&mut turns, 0);
    turns.drain_soon(&RunID::from_text("other".to_owned()));
    assert!(follow(&mut turns, &mut first, 100).is_none());
    let mut errand = turn(&mut turns, 100);
    assert!(errand.drains);
    turns.end(&mut errand, Done::Nothing);
    let at = Timestamp::from_millisecond(100).unwrap();
    assert!(!matches!(turns.next(at, at), Next::Turn(_)), "nobody else has anything to tell");
    assert!(follow(&mut turns, &mut first, 100).is_some());
}

#[test]
fn a_time_that_is_over_is_told_once_and_when_the_clock_says_so() {
    let mut turns = turns_of(&[("run", "concurrency: 1")], &limits("100/h"), 1);
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
    turn(&mut turns, 0);
    // What is under way may have been asked in time, and nothing is due before `finish_by`.
    let Next::At(alarm) = turns.next(at(10), at(10)) else { panic!("no alarm") };
    assert_eq!(alarm, at(86_400) + SignedDuration::from_millis(1));
    assert!(matches!(turns.next(alarm, alarm), Next::WhenChanged), "its place is taken");
    let mut turns = turns_of(&[("run", "concurrency: 1")], &limits("100/h"), 1);
    assert!(matches!(turns.next(alarm, at(20)), Next::Turn(Turn { late: Some(_), .. })));
    assert!(!matches!(turns.next(alarm, at(20)), Next::Turn(Turn { late: Some(_), .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_window_is_exceeded_whoever_takes_turns(
        sizes in prop::collection::vec(1u64..60, 1..4), rate in 20u64..120, call_ms in 1i64..400,
    ) {
        let named: Vec<(String, String)> = sizes
            .iter()
            .enumerate()
            .map(|(number, size)| (format!("run{number}"), format!("batchSize: {size}")))
            .collect();
        let runs: Vec<(&str, &str)> = named.iter().map(|(name, size)| (name.as_str(), size.as_str())).collect();
        let mut turns = turns_of(&runs, &limits(&format!("{rate}/s")), 5);
        let made = play(&mut turns, 10_000, |_| call_ms);
        for call in &made {
            let inside = made.iter().filter(|other| {
                other.began_ms < call.ended_ms + 1_000 && other.ended_ms >= call.ended_ms
            });
            prop_assert!(inside.map(|other| other.recipients).sum::<u64>() <= rate);
        }
        prop_assert!(!made.is_empty());
    }
}
