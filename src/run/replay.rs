//! Replays: the very same request again, while its provider answers it again instead of doing it again.
//!
//! Pure. Knows: when a replay may leave, and what its answer tells. Must never know: how a request is made, what
//! a provider calls its ids.
//!
//! Some providers remember, under the id that a request bears, the answer to one that succeeded, and give it to
//! whoever asks the same within a while. That turns an answer that was lost into one that is known. A replay
//! after that while would be a second message, so each of these says no:
//!
//! - *Time.* Counted from before the first request left, which is earlier than any instant from which the
//!   provider may count; and a replay leaves so early that it may be under way for [`TRANSIT`]. It may be under way
//!   for longer, as where a provider stands still after its work: then the answer is late and the replay waits in
//!   line. So a replay carries how long it is certain, and a gateway makes one that is refused after that.
//! - *Clocks.* Elapsed time stands still while the computer sleeps, and somebody may step the time of day: only
//!   where both tell the same is it known what time has passed. After a restart neither is known.
//! - *The first is still at work.* Then it may not be remembered yet: a replay waits for [`PAUSE`].
//! - *A code.* A failure is not remembered, and would be worked on again. Where any code came, nothing was lost.
//! - *A provider that may have begun anew*, its memory empty: whose place a proxy answers from, or that cannot be
//!   reached. Where it has several hosts, another one's memory may be empty too: that which heard the first request
//!   alone is asked again.
//!
//! A replay whose own answer is lost is as the first: another one may follow. What a replay's answer says of
//! itself alone, that it was refused or throttled, says nothing of the first request.

use jiff::{SignedDuration, Timestamp};

use super::{
    reply::{Answer, Reason, Reply},
    settlement::{Sign, sign_before},
};

/// A request that has left may be under way so long before it is heard.
pub const TRANSIT: SignedDuration = SignedDuration::from_secs(20);
/// How long the first request is left to be worked on when its answer was lost.
pub const PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// Clocks that differ more do not tell what time has passed.
const AGREEMENT: SignedDuration = SignedDuration::from_secs(2);
/// The most replays of one request.
const MOST: u32 = 3;

/// An instant by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant {
    pub steady: Timestamp,
    pub now: Timestamp,
}

/// The replays of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replays {
    /// For how long the provider answers the same request again.
    within: SignedDuration,
    /// Just before the first request left.
    first_left: Instant,
    made: u32,
}

impl Replays {
    pub fn of(within: SignedDuration, first_left: Instant) -> Replays {
        Replays { within, first_left, made: 0 }
    }

    /// When the next replay may leave, by the steady clock, after an answer that was lost at this instant.
    pub fn next_at(&self, lost_at: Instant) -> Option<Timestamp> {
        let at = lost_at.steady + PAUSE;
        let then = Instant { steady: at, now: lost_at.now + PAUSE };
        (self.made < MOST && self.is_certain(then)).then_some(at)
    }

    /// Whether it is certain that a replay which leaves at this instant would be answered, not done.
    pub fn is_certain(&self, at: Instant) -> bool {
        let elapsed = at.steady.duration_since(self.first_left.steady);
        let by_day = at.now.duration_since(self.first_left.now);
        elapsed <= self.within - TRANSIT && (elapsed - by_day).abs() <= AGREEMENT
    }

    /// For how long a replay that leaves at this instant is certain to be answered, not done.
    pub fn certain_for(&self, at: Instant) -> SignedDuration {
        self.within - AGREEMENT - at.steady.duration_since(self.first_left.steady)
    }

    /// A replay leaves.
    pub fn leaves(&mut self) {
        self.made = self.made.saturating_add(1);
    }
}

/// Why nobody knows what the provider said, where it may have said that it has done its work.
pub fn lost(answer: &Answer) -> Option<&Reason> {
    let is_whole = answer.http_status.is_some_and(|status| !(200..300).contains(&status));
    match &answer.reply {
        Reply::Unanswered(reason) if answer.provider_code.is_none() && !is_whole => Some(reason),
        _ => None,
    }
}

/// A replay that told nothing of the request that it repeats, but of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Aside {
    /// Its word in `attempt_log.verdict`.
    pub verdict: &'static str,
    /// What it told of the gateway.
    pub sign: Sign,
}

/// What a replay's reply says of the request whose answer was lost for this reason.
pub fn after_replay(lost: &Reason, reply: Reply) -> (Reply, Option<Aside>) {
    let verdict = reply.verdict();
    let (sign, why) = match reply {
        Reply::Answered(_) => return (reply, None),
        Reply::Rejected(why) => (Sign::Works, why),
        Reply::NothingDone(_, ref why) | Reply::Unanswered(ref why) => {
            let why = why.clone();
            (sign_before(reply), why)
        }
    };
    let text = format!("{}; the same request again: {} {}", lost.text, why.code, why.text);
    let reply = Reply::Unanswered(Reason::new(lost.code.clone(), text));
    (reply, Some(Aside { verdict, sign }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::reply::Cause;

    fn at(steady: i64, now: i64) -> Instant {
        let second = |seconds| Timestamp::from_second(1_700_000_000 + seconds).unwrap();
        Instant { steady: second(steady), now: second(now) }
    }

    /// When the next replay leaves, in seconds after the first request, after these many replays and an
    /// answer that was lost then.
    #[track_caller]
    fn check(made: u32, lost_at: Instant, expected: Option<i64>) {
        let mut replays = Replays::of(SignedDuration::from_secs(60), at(0, 0));
        (0..made).for_each(|_| replays.leaves());
        let next = replays.next_at(lost_at);
        assert_eq!(next.map(|next| next.duration_since(at(0, 0).steady).as_secs()), expected);
    }

    #[test]
    fn a_replay_leaves_only_while_it_is_certain_to_be_answered() {
        check(0, at(0, 0), Some(5));
        check(0, at(20, 20), Some(25));
        check(2, at(30, 31), Some(35));
        check(3, at(30, 30), None);
        // The last instant, and the one behind it.
        check(0, at(35, 35), Some(40));
        check(0, at(36, 36), None);
        // The computer slept, or somebody has stepped the clock: forwards, and back.
        check(0, at(2, 62), None);
        check(0, at(2, 10), None);
        check(0, at(30, 2), None);
        check(0, at(30, 28), Some(35));
    }

    #[test]
    fn a_while_that_is_shorter_than_the_way_there_allows_none() {
        let replays = Replays::of(SignedDuration::from_secs(10), at(0, 0));
        assert_eq!(replays.next_at(at(0, 0)), None);
    }

    #[test]
    fn only_an_answer_that_nobody_has_read_is_lost() {
        let is_lost = |http_status, provider_code, reply| {
            lost(&Answer { http_status, provider_code, provider_message: None, reply }).is_some()
        };
        let unanswered = || Reply::Unanswered(Reason::new("timeout", "too late"));
        assert!(is_lost(None, None, unanswered()));
        // Half of an answer.
        assert!(is_lost(Some(200), None, unanswered()));
        assert!(!is_lost(Some(200), Some(500), unanswered()));
        assert!(!is_lost(Some(200), Some(200), unanswered()));
        assert!(!is_lost(Some(502), None, unanswered()));
        assert!(!is_lost(Some(504), None, unanswered()));
        assert!(!is_lost(None, None, Reply::NothingDone(Cause::Unreachable, Reason::new("u", "u"))));
        assert!(!is_lost(Some(200), Some(200), Reply::Answered(Vec::new())));
    }

    #[test]
    fn what_a_replay_says_of_itself_says_nothing_of_the_first() {
        let lost = Reason::new("timeout", "too late");
        let throttled = Cause::Throttled { retry_after: None };
        for (reply, verdict) in [
            (Reply::NothingDone(throttled, Reason::new("416", "often")), "nothing_done"),
            (Reply::Rejected(Reason::new("403", "no")), "rejected"),
            (Reply::Unanswered(Reason::new("431", "again")), "unanswered"),
        ] {
            let (reply, aside) = after_replay(&lost, reply);
            let Reply::Unanswered(reason) = reply else { panic!("{reply:?}") };
            assert_eq!((reason.code.as_str(), aside.unwrap().verdict), ("timeout", verdict));
        }
        let (reply, aside) = after_replay(&lost, Reply::Answered(Vec::new()));
        assert!(matches!(reply, Reply::Answered(_)) && aside.is_none());
    }
}
