use super::*;

/// What happens to a breaker.
#[derive(Debug, Clone, Copy)]
enum Event {
    Fails,
    Works,
    /// So many recipients without acceptance or reason.
    Silent(u64),
    Explained,
    TokenRefused,
    /// It is asked what may leave, at the instant that it waits for, and that is done.
    Goes,
    /// The request that only reads was answered.
    Answers,
    TriedNothing,
}
use Event::*;

fn why(code: &str) -> Reason {
    Reason::new(code, "why")
}

/// A breaker of one call at once, and the steady clock, which only `Goes` moves.
struct Bench {
    breaker: Breaker,
    steady: Timestamp,
}

impl Bench {
    fn new() -> Bench {
        Bench { breaker: Breaker::new(1), steady: Timestamp::UNIX_EPOCH }
    }

    fn happens(&mut self, event: Event) {
        let (steady, now) = (self.steady, self.steady + SignedDuration::from_hours(1));
        let breaker = &mut self.breaker;
        match event {
            Fails => breaker.failed(steady, now, why("down")),
            Works => breaker.worked(now),
            Silent(recipients) => _ = breaker.silent(steady, now, recipients, why("everyoneFailed")),
            Explained => breaker.explained(now, "everyoneFailed"),
            TokenRefused => breaker.token_refused(steady, now, why("1501")),
            Answers => breaker.answers(),
            TriedNothing => breaker.tried_nothing(),
            Goes => {
                if let May::WaitUntil(until) = breaker.may(steady) {
                    self.steady = until;
                }
                match breaker.may(self.steady) {
                    May::Ask => breaker.asks(),
                    May::Try => breaker.tries(),
                    May::Send | May::WaitUntil(_) | May::WaitForAnother => {}
                }
            }
        }
    }

    fn now(&self) -> String {
        let waits = match self.breaker.may(self.steady) {
            May::WaitUntil(until) => format!(" {} s", until.duration_since(self.steady).as_secs()),
            other => format!(" {other:?}"),
        };
        let name = match &self.breaker.state {
            State::Closed { .. } => "closed".to_owned(),
            State::Open { outage, .. } => format!("open({})", outage.failures),
            State::HalfOpen { step, .. } => format!("half-open({step:?})"),
        };
        name + &waits
    }
}

/// What it is after these events, each in turn.
#[track_caller]
fn check(events: &[Event], expected: &str) {
    let mut bench = Bench::new();
    events.iter().for_each(|event| bench.happens(*event));
    assert_eq!(bench.now(), expected, "after {events:?}");
}

#[test]
fn an_outage_opens_it_and_one_call_that_worked_closes_it() {
    check(&[], "closed Send");
    check(&[Works], "closed Send");
    check(&[Fails], "open(1) 2 s");
    check(&[Fails, Goes], "half-open(Asking) WaitForAnother");
    check(&[Fails, Goes, Answers], "half-open(MayTry) Try");
    check(&[Fails, Goes, Answers, Goes], "half-open(Trying) WaitForAnother");
    check(&[Fails, Goes, Answers, Goes, Works], "closed Send");
    check(&[Fails, Goes, Answers, Goes, TriedNothing], "half-open(MayTry) Try");
}

#[test]
fn what_fails_again_waits_twice_as_long_up_to_five_minutes() {
    check(&[Fails, Goes, Fails], "open(2) 4 s");
    check(&[Fails, Goes, Answers, Goes, Fails], "open(2) 4 s");
    let mut events = vec![Fails];
    for _ in 0..12 {
        events.extend([Goes, Fails]);
    }
    check(&events, "open(13) 300 s");
    events.extend([Goes, Answers, Goes, Works, Fails]);
    check(&events, "open(1) 2 s");
}

#[test]
fn calls_of_before_tell_nothing_of_now() {
    check(&[Fails, Fails, Fails], "open(1) 2 s");
    check(&[Fails, Works], "open(1) 2 s");
}

#[test]
fn a_silence_of_several_looks_like_an_outage_until_it_is_explained() {
    check(&[Silent(1)], "closed Send");
    check(&[Silent(1), Silent(1)], "open(1) 2 s");
    check(&[Silent(1), Works, Silent(1)], "closed Send");
    check(&[Silent(100)], "open(1) 2 s");
    check(&[Silent(100), Explained], "closed Send");
    check(&[Fails, Explained], "open(1) 2 s");
    // The one recipient of a trial is enough.
    check(&[Fails, Goes, Answers, Goes, Silent(1)], "open(2) 4 s");
}

#[test]
fn tokens_that_are_refused_one_after_the_other_are_an_outage() {
    check(&[TokenRefused; 3], "closed Send");
    check(&[TokenRefused; 4], "open(1) 2 s");
    check(&[TokenRefused, TokenRefused, TokenRefused, Works, TokenRefused], "closed Send");
    check(&[Fails, Goes, Answers, Goes, TokenRefused], "half-open(MayTry) Try");
}

#[test]
fn what_is_done_out_of_turn_changes_nothing() {
    for events in [&[Answers][..], &[TriedNothing], &[Explained], &[Works, Answers, TriedNothing]] {
        check(events, "closed Send");
    }
    check(&[Fails, Answers, TriedNothing], "open(1) 2 s");
}

#[test]
fn it_goes_on_after_a_restart_where_it_was() {
    let steady = Timestamp::UNIX_EPOCH;
    let now = steady + SignedDuration::from_hours(5);
    let mut breaker = Breaker::new(1);
    breaker.failed(steady, now, why("down"));
    let standing = breaker.standing(steady, now);
    assert_eq!(standing.name(), "open");
    let later = SignedDuration::from_secs(1);
    // The steady clock of the next daemon begins anywhere.
    let restored = Breaker::new(1).restore(standing.clone(), steady, now + later);
    assert_eq!(restored.may(steady), May::WaitUntil(steady + FIRST - later));
    let standing_after = restored.standing(steady, now + later);
    assert_eq!(standing_after, standing);
    // A clock that was set back a day does not make it wait a day.
    let restored = Breaker::new(1).restore(standing, steady, now - SignedDuration::from_hours(24));
    assert_eq!(restored.may(steady), May::WaitUntil(steady + LONGEST));
    breaker.asks();
    let restored = Breaker::new(1).restore(breaker.standing(steady, now), steady, now);
    assert_eq!(restored.may(steady), May::Ask);
}
