//! Local times become instants: a zone, and what its clock changes do to a fixed time.
//!
//! A zone's time is a row of spans in which its clocks run evenly. Where the next span's clocks are
//! ahead, local times are skipped; where they are behind, local times come twice. The walk goes span by
//! span, so that no instant is named twice and none out of order.

use jiff::{
    SignedDuration, Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone},
};

/// The longest span of skipped local times whose slots still run. A longer one is a lost day, as where
/// a country moved across the date line.
const LONGEST_SKIP: SignedDuration = SignedDuration::from_hours(3);
const SECOND: SignedDuration = SignedDuration::from_secs(1);
const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);
/// No zone's clocks are changed by more.
const LONGEST_CHANGE: SignedDuration = SignedDuration::from_hours(48);
/// The most spans that one search looks at; a zone has two a year, and a search jumps to where it has a
/// local time to look at.
const MOST_SPANS: u32 = 2_000;

/// In which zone local times are read, and what its clock changes do.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    pub zone: TimeZone,
    pub changes: ClockChanges,
}

/// What clock changes do to a fixed local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockChanges {
    pub skipped: Skipped,
    pub repeated: Repeated,
}

/// What becomes of a fixed time in the hour that a clock change skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Skipped {
    /// It runs once right after the skipped hour, with all others in it.
    #[default]
    After,
    /// It runs as much later as the clocks were set ahead.
    Shift,
    /// It does not run.
    Omit,
}

/// When a fixed time runs in the hour that a clock change repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeated {
    #[default]
    First,
    Second,
    Both,
}

impl ClockChanges {
    /// What a pattern that follows real time does: every instant at which the clocks show a time of it.
    pub const REAL_TIME: ClockChanges = ClockChanges { skipped: Skipped::Omit, repeated: Repeated::Both };
}

/// What a clock change does to an instant, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// It comes soon after local times that were skipped, and may stand for one of them.
    AfterSkipped,
    /// The first of two instants at which the clocks show this time.
    First,
    Second,
}

impl Calendar {
    /// A calendar whose fixed times meet clock changes as is usual.
    pub fn usual(zone: TimeZone) -> Calendar {
        Calendar { zone, changes: ClockChanges::default() }
    }

    /// The local time that the clocks show.
    pub fn local(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at)
    }

    /// The instant of a local time that is meant once. In a repeated hour `repeated` says which of the two,
    /// and the first where both are asked for; a skipped time counts from before the change.
    pub fn once(&self, local: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        match self.changes.repeated {
            Repeated::Second if matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. }) => {
                ambiguous.later().ok()
            }
            _ => ambiguous.compatible().ok(),
        }
    }

    /// How a clock change may touch an instant.
    pub fn touch(&self, at: Timestamp) -> Option<Touch> {
        let span = Span::around(&self.zone, at)?;
        let local = span.offset.to_datetime(at);
        if span.repeats_until().is_some_and(|until| local < until) {
            return Some(Touch::Second);
        }
        if span.repeated_from().is_some_and(|from| local >= from) {
            return Some(Touch::First);
        }
        let skips = span.before < span.offset;
        let soon_after = |start: Timestamp| at.duration_since(start) < LONGEST_SKIP;
        span.start.is_some_and(|start| skips && soon_after(start)).then_some(Touch::AfterSkipped)
    }

    /// The first instant strictly after `after` that a pattern of local times names. `next_local` gives
    /// the pattern's first local time at or after the one it is given.
    pub fn next_after(
        &self,
        after: Timestamp,
        next_local: impl Fn(DateTime) -> Option<DateTime>,
    ) -> Option<Timestamp> {
        let mut earliest = Timestamp::from_second(after.as_second().checked_add(1)?).ok()?;
        if after.subsec_nanosecond() < 0 {
            earliest = earliest.checked_sub(SECOND).ok()?;
        }
        for _ in 0..MOST_SPANS {
            let span = Span::around(&self.zone, earliest)?;
            let found = self.first_in(&span, earliest, &next_local);
            if let Some(instant) = found.instant {
                return Some(instant);
            }
            // A pattern without another local time has none in any later year.
            let next = found.next_local?;
            let end = span.end?;
            let repeats = span.after < span.offset;
            let near = span.offset.to_timestamp(next).ok()?.checked_sub(LONGEST_CHANGE).ok()?;
            earliest = if repeats { end } else { end.max(near) };
        }
        None
    }

    /// The first instant at or after `earliest` inside a span, and where the pattern goes on.
    fn first_in(
        &self,
        span: &Span,
        earliest: Timestamp,
        next_local: &impl Fn(DateTime) -> Option<DateTime>,
    ) -> Found {
        let local = span.offset.to_datetime(earliest);
        let mut from = local;
        if let Some(until) = span.repeats_until()
            && self.changes.repeated == Repeated::First
        {
            from = from.max(until);
        }
        let limit = match span.repeated_from() {
            Some(start) if self.changes.repeated == Repeated::Second => Some(start),
            _ => span.end.map(|end| span.offset.to_datetime(end)),
        };
        let next = next_local(from);
        let shown = next
            .filter(|next| limit.is_none_or(|limit| *next < limit))
            .and_then(|next| span.offset.to_timestamp(next).ok());
        let skipped = self.skipped_in(span, earliest, next_local);
        let instant = [shown, skipped].into_iter().flatten().min();
        Found { instant, next_local: next }
    }

    /// The first instant at or after `earliest` that stands for local times skipped at the span's start.
    fn skipped_in(
        &self,
        span: &Span,
        earliest: Timestamp,
        next_local: &impl Fn(DateTime) -> Option<DateTime>,
    ) -> Option<Timestamp> {
        let start = span.start.filter(|_| span.before < span.offset)?;
        if span.offset.duration_since(span.before) >= LONGEST_SKIP {
            return None;
        }
        let (from, to) = (span.before.to_datetime(start), span.offset.to_datetime(start));
        match self.changes.skipped {
            Skipped::Omit => None,
            Skipped::After if earliest > start => None,
            Skipped::After => next_local(from).filter(|next| *next < to).map(|_| start),
            Skipped::Shift => {
                let next = next_local(from.max(span.before.to_datetime(earliest)))?;
                (next < to).then(|| span.before.to_timestamp(next).ok()).flatten()
            }
        }
    }
}

/// What a search in one span has found.
struct Found {
    instant: Option<Timestamp>,
    /// The first local time of the pattern that was looked at.
    next_local: Option<DateTime>,
}

/// A span of time in which the zone's clocks run evenly.
struct Span {
    /// None: since ever.
    start: Option<Timestamp>,
    /// Exclusive. None: for ever.
    end: Option<Timestamp>,
    before: Offset,
    offset: Offset,
    after: Offset,
}

impl Span {
    /// The span that holds an instant.
    fn around(zone: &TimeZone, at: Timestamp) -> Option<Span> {
        let offset = zone.to_offset(at);
        let past = at.checked_add(NANOSECOND).ok()?;
        let start = zone.preceding(past).next().map(|transition| transition.timestamp());
        let before = start
            .and_then(|start| start.checked_sub(NANOSECOND).ok())
            .map_or(offset, |before| zone.to_offset(before));
        let end = zone.following(at).next();
        let after = end.as_ref().map_or(offset, |transition| transition.offset());
        Some(Span { start, end: end.map(|transition| transition.timestamp()), before, offset, after })
    }

    /// Before this local time the span repeats what the span before it has shown.
    fn repeats_until(&self) -> Option<DateTime> {
        self.start.filter(|_| self.before > self.offset).map(|start| self.before.to_datetime(start))
    }

    /// From this local time on the next span repeats what this one shows.
    fn repeated_from(&self) -> Option<DateTime> {
        self.end.filter(|_| self.after < self.offset).map(|end| self.after.to_datetime(end))
    }
}

#[cfg(test)]
mod tests;
