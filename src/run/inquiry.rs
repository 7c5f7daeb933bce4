//! Inquiries: asking the provider what became of messages of which no answer tells.
//!
//! Pure. Knows: what a sighting proves, and when absence is proven; how long is waited between two
//! looks, and for how long at all. Must never know: how a provider is asked, who asks.
//!
//! A message that is found was accepted. That one is *not* there is proven by three things together:
//!
//! - (a) quiet: `settle` has passed since anything of its batch last appeared and since the gateway was
//!   last unhealthy, so that a queue which stalled has had its time;
//! - (b) witnesses: what was sent later is there already, to [`WITNESSES`] different recipients in a row
//!   where there were so many, since a provider's queue has partitions that lag each for itself. In a row:
//!   of many one always finds so many, behind which a single partition can hide; and one whose message
//!   was lost must not stand in the way of all others;
//! - (c) cover: the answer positively covers the recipient's conversation ([`Sighting::Nothing`]).
//!
//! The witnesses are looked at *before* the message: else it could become visible between the two looks
//! together with them, and would be taken for absent.

use jiff::{SignedDuration, Timestamp};

use super::{
    look::Sighting,
    reply::{Reason, Receipt},
};
use crate::campaign::RecipientID;

/// How many different recipients' later messages, one after the other, are evidence enough.
pub const WITNESSES: usize = 64;

/// The shortest wait between two looks; each further one doubles it.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);
/// The longest, where a quarter of `settle` is not shorter.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(1);
/// An inquiry that could prove absence for so many times `settle`, and could not for want of
/// witnesses, is given up.
const PATIENCE: i32 = 2;
/// However often the gateway is seen not to work meanwhile, so that no run goes on without end.
const LONGEST_PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// But not before it has lasted so long: what is sent to be seen needs a moment.
const SHORTEST_PATIENCE: SignedDuration = SignedDuration::from_secs(15);

/// Why messages are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Their recipients are unknown.
    Settle,
    /// They were accepted, and are to be seen.
    Confirm,
}

impl Purpose {
    pub const ALL: [Purpose; 2] = [Purpose::Settle, Purpose::Confirm];

    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Settle => "settle",
            Purpose::Confirm => "confirm",
        }
    }
}

/// What a run does about a recipient who was asked for and of whom no answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It stays unknown; a person decides.
    Hold,
    /// The provider is asked.
    Inquire,
    /// It is sent again, as its author accepts, unless that has been tried so often.
    SendAgain { most_attempts: u32 },
}

/// How far an inquiry about one attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub purpose: Purpose,
    pub opened_at: Timestamp,
    /// When something of its batch last appeared; at first when its request ended.
    pub appeared_at: Timestamp,
    /// Looks that have been made.
    pub looks: u32,
}

/// What bears on an inquiry besides its own answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// When the look began.
    pub now: Timestamp,
    /// When the gateway was last seen not to work.
    pub unhealthy_at: Option<Timestamp>,
    /// How long a message may stay unseen before its absence can be proven.
    pub settle: SignedDuration,
    /// What was looked at of later messages before the look; None when nothing was.
    pub witnesses: Option<Witnesses>,
}

/// Messages that were sent later, one for each recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Witnesses {
    pub sought: usize,
    pub seen: usize,
    /// The most that were seen one after the other, in the order in which they were sent.
    pub seen_in_a_row: usize,
}

impl Witnesses {
    /// What a look tells of them: for each, in the order in which they were sent, whether it was seen.
    pub fn of(seen: impl IntoIterator<Item = bool>) -> Witnesses {
        let mut witnesses = Witnesses::default();
        let mut in_a_row = 0;
        for seen in seen {
            witnesses.sought += 1;
            witnesses.seen += usize::from(seen);
            in_a_row = if seen { in_a_row + 1 } else { 0 };
            witnesses.seen_in_a_row = witnesses.seen_in_a_row.max(in_a_row);
        }
        witnesses
    }

    /// Whether they are evidence enough: so many in a row, or all there are, and at least one.
    pub fn suffice(self) -> bool {
        self.seen_in_a_row >= WITNESSES || (self.sought > 0 && self.seen == self.sought)
    }
}

/// What follows from a look for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// It was accepted, for it is there.
    Found(Receipt),
    /// Proven: it is not there. Of a message to be confirmed: it has not been found for long enough.
    Absent,
    /// It stays as it is, for this reason, and is not looked up any more.
    Held(Reason),
    /// Nothing follows yet.
    Open,
}

impl Conclusion {
    /// Whether it ends the search.
    pub fn is_final(&self) -> bool {
        *self != Conclusion::Open
    }
}

/// What a look has brought for an inquiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Each message that was sought, in order.
    pub conclusions: Vec<(RecipientID, Conclusion)>,
    /// When something of the batch last appeared, now.
    pub appeared_at: Timestamp,
    /// When it is looked at next, while anything is open.
    pub next_look_at: Timestamp,
    /// What is awaited, for people.
    pub waits_for: String,
}

impl Progress {
    /// From when absence can be proven, as far as quiet is concerned.
    pub fn provable_from(&self, circumstances: &Circumstances) -> Timestamp {
        let quiet_since = circumstances.unhealthy_at.map_or(self.appeared_at, |at| at.max(self.appeared_at));
        quiet_since.saturating_add(circumstances.settle).unwrap_or(Timestamp::MAX)
    }

    /// Whether witnesses are worth a look.
    pub fn wants_witnesses(&self, circumstances: &Circumstances) -> bool {
        self.purpose == Purpose::Settle && circumstances.now >= self.provable_from(circumstances)
    }

    /// When it is looked at next.
    fn next_look_at(&self, circumstances: &Circumstances) -> Timestamp {
        let now = circumstances.now;
        let wait = FIRST_WAIT * 2i32.saturating_pow(self.looks.min(6));
        let longest = (circumstances.settle / 4).clamp(FIRST_WAIT, LONGEST_WAIT);
        let at = now.saturating_add(wait.min(longest)).unwrap_or(Timestamp::MAX);
        let provable = self.provable_from(circumstances);
        if provable > now { at.min(provable) } else { at }
    }

    /// Draws the conclusions of a look. `sightings` holds each message that was sought.
    pub fn conclude(
        &self,
        circumstances: &Circumstances,
        sightings: Vec<(RecipientID, Sighting)>,
    ) -> Findings {
        let appeared = sightings.iter().any(|(_, sighting)| matches!(sighting, Sighting::Found(_)));
        let appeared_at = if appeared { circumstances.now } else { self.appeared_at };
        let progress = Progress { appeared_at, looks: self.looks.saturating_add(1), ..*self };
        let provable_from = progress.provable_from(circumstances);
        let quiet = circumstances.now >= provable_from;
        let witnessed = match self.purpose {
            Purpose::Settle => circumstances.witnesses.is_some_and(Witnesses::suffice),
            // That an accepted message is missing is told, and nothing is sent for it.
            Purpose::Confirm => true,
        };
        let patience = (circumstances.settle * PATIENCE).max(SHORTEST_PATIENCE);
        let patient_from = provable_from.max(self.opened_at);
        let gives_up_at = |from: Timestamp, patience| from.saturating_add(patience).unwrap_or(Timestamp::MAX);
        let given_up = circumstances.now >= gives_up_at(patient_from, patience)
            || circumstances.now >= gives_up_at(self.opened_at, LONGEST_PATIENCE.max(patience));
        let conclude = |sighting| match sighting {
            Sighting::Found(receipt) => Conclusion::Found(receipt),
            Sighting::Contradiction(reason) => Conclusion::Held(reason),
            Sighting::Nothing { .. } if quiet && witnessed => Conclusion::Absent,
            Sighting::Nothing { .. } if given_up => Conclusion::Held(Reason::new(
                NOT_PROVEN,
                "not found, and nothing that was sent later shows that it never will be",
            )),
            Sighting::NoAnswer(reason) if given_up => Conclusion::Held(Reason::new(
                NOT_PROVEN,
                format!("looking it up brings no answer: {} {}", reason.code, reason.text),
            )),
            Sighting::Nothing { .. } | Sighting::NoAnswer(_) => Conclusion::Open,
        };
        let conclusions =
            sightings.into_iter().map(|(recipient, sighting)| (recipient, conclude(sighting))).collect();
        Findings {
            conclusions,
            appeared_at,
            next_look_at: progress.next_look_at(circumstances),
            waits_for: progress.waits_for(circumstances),
        }
    }

    /// What is awaited, for people. Instants are RFC 3339 in UTC.
    fn waits_for(&self, circumstances: &Circumstances) -> String {
        let provable_from = self.provable_from(circumstances);
        if circumstances.now < provable_from {
            let what = match self.purpose {
                Purpose::Settle => "absence can be proven",
                Purpose::Confirm => "what is not found counts as missing",
            };
            return format!("{what} from {provable_from:.0}");
        }
        match circumstances.witnesses {
            Some(Witnesses { sought: 0, .. }) | None => {
                "absence is proven by messages that are sent later, and there is none yet".to_owned()
            }
            Some(Witnesses { sought, seen_in_a_row, .. }) => format!(
                "absence is proven by messages that were sent later: {seen_in_a_row} of {} in a row are to be seen",
                sought.min(WITNESSES)
            ),
        }
    }
}

/// The code of an unknown whose absence could not be proven.
pub const NOT_PROVEN: &str = "notProven";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTLE: SignedDuration = SignedDuration::from_mins(10);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn id() -> RecipientID {
        RecipientID::new("u1").unwrap()
    }

    /// An inquiry about a request that ended at 0, looked at after so many seconds.
    fn look(
        purpose: Purpose,
        seconds: i64,
        unhealthy_at: Option<i64>,
        witnesses: Option<(usize, usize)>,
        sightings: &[Sighting],
    ) -> Findings {
        let progress = Progress { purpose, opened_at: at(0), appeared_at: at(0), looks: 0 };
        let witnesses =
            witnesses.map(|(sought, seen)| Witnesses::of((0..sought).map(|number| number < seen)));
        let circumstances =
            Circumstances { now: at(seconds), unhealthy_at: unhealthy_at.map(at), settle: SETTLE, witnesses };
        progress.conclude(&circumstances, sightings.iter().map(|sighting| (id(), sighting.clone())).collect())
    }

    fn nothing() -> Sighting {
        Sighting::Nothing { seen_until: 7 }
    }

    /// What follows for a message of which a look says this.
    #[track_caller]
    fn check(
        (purpose, seconds, unhealthy_at): (Purpose, i64, Option<i64>),
        witnesses: Option<(usize, usize)>,
        sighting: Sighting,
        expected: &str,
    ) {
        let findings = look(purpose, seconds, unhealthy_at, witnesses, &[sighting]);
        let word = match &findings.conclusions[0].1 {
            Conclusion::Found(_) => "found".to_owned(),
            Conclusion::Absent => "absent".to_owned(),
            Conclusion::Held(reason) => reason.code.clone(),
            Conclusion::Open => "open".to_owned(),
        };
        assert_eq!(word, expected);
        assert!(findings.next_look_at > at(seconds));
    }

    #[test]
    fn absence_needs_quiet_witnesses_and_cover() {
        use Purpose::{Confirm, Settle};
        let found = || Sighting::Found(Receipt::default());
        let silence = || Sighting::NoAnswer(Reason::new("hole", "a hole"));
        check((Settle, 1, None), None, found(), "found");
        // No quiet yet, whatever the witnesses say.
        check((Settle, 599, None), Some((64, 64)), nothing(), "open");
        check((Settle, 600, None), Some((64, 64)), nothing(), "absent");
        // The gateway was unhealthy meanwhile.
        check((Settle, 600, Some(1)), Some((64, 64)), nothing(), "open");
        check((Settle, 601, Some(1)), Some((64, 64)), nothing(), "absent");
        // Witnesses: 64, or all of fewer, and at least one.
        check((Settle, 600, None), None, nothing(), "open");
        check((Settle, 600, None), Some((0, 0)), nothing(), "open");
        check((Settle, 600, None), Some((1, 0)), nothing(), "open");
        check((Settle, 600, None), Some((1, 1)), nothing(), "absent");
        check((Settle, 600, None), Some((63, 62)), nothing(), "open");
        check((Settle, 600, None), Some((500, 63)), nothing(), "open");
        check((Settle, 600, None), Some((500, 64)), nothing(), "absent");
        // No cover.
        check((Settle, 600, None), Some((64, 64)), silence(), "open");
        // Given up.
        check((Settle, 1799, None), Some((1, 0)), nothing(), "open");
        check((Settle, 1800, None), Some((1, 0)), nothing(), NOT_PROVEN);
        check((Settle, 1800, None), Some((1, 1)), nothing(), "absent");
        check((Settle, 1800, None), Some((1, 1)), silence(), NOT_PROVEN);
        check((Settle, 1800, Some(1700)), Some((1, 0)), nothing(), "open");
        // A gateway that is seen not to work again and again.
        check((Settle, 86_399, Some(86_000)), Some((64, 64)), nothing(), "open");
        check((Settle, 86_400, Some(86_000)), Some((64, 64)), nothing(), NOT_PROVEN);
        let denies = Sighting::Contradiction(Reason::new("restored", "it goes back"));
        check((Settle, 1, None), None, denies, "restored");
        // What was accepted counts as missing after the same quiet, and needs no witness.
        check((Confirm, 599, None), None, nothing(), "open");
        check((Confirm, 600, None), None, nothing(), "absent");
    }

    #[test]
    fn whoever_appears_makes_the_others_wait() {
        let found = Sighting::Found(Receipt::default());
        let findings = look(Purpose::Settle, 600, None, Some((64, 64)), &[nothing(), found]);
        assert_eq!(findings.conclusions[0].1, Conclusion::Open);
        assert_eq!(findings.appeared_at, at(600));
        assert_eq!(findings.waits_for, "absence can be proven from 1970-01-01T00:20:00Z");
    }

    #[test]
    fn looks_become_rare_and_none_is_missed_when_proof_becomes_possible() {
        let wait = |seconds, looks| {
            let progress = Progress { purpose: Purpose::Settle, opened_at: at(0), appeared_at: at(0), looks };
            let circumstances =
                Circumstances { now: at(seconds), unhealthy_at: None, settle: SETTLE, witnesses: None };
            let findings = progress.conclude(&circumstances, vec![(id(), nothing())]);
            findings.next_look_at.duration_since(at(seconds)).as_secs()
        };
        let waits = [(0, 0), (0, 1), (0, 4), (0, 9), (580, 9), (600, 9)].map(|(at, looks)| wait(at, looks));
        assert_eq!(waits, [2, 4, 32, 60, 20, 60]);
    }

    #[test]
    fn witnesses_count_in_a_row() {
        let suffice = |seen: &[(bool, usize)]| {
            let seen = seen.iter().flat_map(|(seen, times)| std::iter::repeat_n(*seen, *times));
            Witnesses::of(seen).suffice()
        };
        assert!(!suffice(&[(true, 63), (false, 1), (true, 63)]));
        assert!(suffice(&[(true, 63), (false, 1), (true, 64), (false, 9)]));
        // A partition of eight that lags.
        assert!(!suffice(&[(true, 7), (false, 1)].repeat(25)));
    }

    #[test]
    fn a_person_who_asks_late_is_not_given_up_at_once() {
        let late = Progress { purpose: Purpose::Settle, opened_at: at(9_000), appeared_at: at(0), looks: 0 };
        let conclusion = |seconds| {
            let circumstances =
                Circumstances { now: at(seconds), unhealthy_at: None, settle: SETTLE, witnesses: None };
            late.conclude(&circumstances, vec![(id(), nothing())]).conclusions.remove(0).1
        };
        assert_eq!(conclusion(9_000), Conclusion::Open);
        assert_eq!(conclusion(9_000 + 1_199), Conclusion::Open);
        assert!(matches!(conclusion(9_000 + 1_200), Conclusion::Held(_)));
    }

    proptest! {
        /// Whatever is seen, nobody is absent without all three.
        #[test]
        fn nobody_is_absent_without_proof(
            seconds in 0i64..4000,
            unhealthy in proptest::option::of(0i64..4000),
            witnesses in proptest::option::of((0usize..80, 0usize..80)
                .prop_map(|(sought, seen)| (sought, seen.min(sought)))),
            kinds in proptest::collection::vec(0u8..4, 1..6),
        ) {
            let sightings: Vec<_> = kinds.iter().map(|kind| match kind {
                0 => Sighting::Found(Receipt::default()),
                1 => nothing(),
                2 => Sighting::NoAnswer(Reason::new("x", "y")),
                _ => Sighting::Contradiction(Reason::new("x", "y")),
            }).collect();
            let findings = look(Purpose::Settle, seconds, unhealthy, witnesses, &sightings);
            for ((_, conclusion), sighting) in findings.conclusions.iter().zip(&sightings) {
                if *conclusion == Conclusion::Absent {
                    let covered = matches!(sighting, Sighting::Nothing { .. });
                    prop_assert!(covered);
                    prop_assert!(seconds >= unhealthy.unwrap_or(0).max(0) + 600);
                    prop_assert!(!kinds.contains(&0));
                    let (sought, seen) = witnesses.unwrap_or_default();
                    prop_assert!(seen >= 64 || (seen > 0 && seen == sought));
                }
            }
        }
    }
}
