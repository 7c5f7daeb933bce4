//! How long a history is and how many people it has: a long one, or a brief one that is the same in small, so
//! that many more of them are played in an hour.

use std::{ops::RangeInclusive, time::Duration};

use jiff::SignedDuration;

/// What the numbers of a history are measured by. Each method is given the number of a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Two hours of trouble and two of peace.
    Long,
    /// Nine minutes of as much trouble, and peace until the daemon is at rest: a tenth of the people,
    /// who are written to four times as often.
    Brief,
}

impl Scale {
    /// Registered users of the simulated provider.
    pub fn users(self) -> u32 {
        self.people(700)
    }

    /// A number of people, or of somebody in their row.
    pub fn people(self, count: u32) -> u32 {
        match self {
            Scale::Long => count,
            Scale::Brief => (count / 10).max(1),
        }
    }

    /// Up to whom, in their row, people are members of a group, or stand in the list of those to be left alone.
    pub fn quiet(self) -> u32 {
        match self {
            Scale::Long => 24,
            Scale::Brief => 10,
        }
    }

    /// Recipients of one request.
    pub fn batch(self, size: u32) -> u32 {
        match self {
            Scale::Long => size,
            Scale::Brief => (size / 5).max(1),
        }
    }

    /// The gateway's limit, by which the auditor judges too.
    pub fn recipients_a_second(self) -> u64 {
        match self {
            Scale::Long => 120,
            Scale::Brief => 24,
        }
    }

    /// A rate of a campaign.
    pub fn recipients_a_minute(self, count: u32) -> String {
        match self {
            Scale::Long => format!("{count}/min"),
            Scale::Brief => format!("{}/min", self.people(count * 4)),
        }
    }

    /// A time of a campaign file.
    pub fn minutes(self, count: i64) -> String {
        match self {
            Scale::Long => format!("{count}m"),
            Scale::Brief => format!("{}s", self.seconds(count)),
        }
    }

    /// The same, in seconds.
    pub fn seconds(self, minutes: i64) -> i64 {
        match self {
            Scale::Long => minutes * 60,
            Scale::Brief => minutes * 60 / 4,
        }
    }

    /// Once in an hour of a long one.
    pub fn hourly(self) -> &'static str {
        match self {
            Scale::Long => "20 * * * *",
            Scale::Brief => "5,20,35,50 * * * *",
        }
    }

    /// A time of the trouble: between two of them, or how long one lasts.
    pub fn of_trouble(self, milliseconds: usize) -> usize {
        match self {
            Scale::Long => milliseconds,
            Scale::Brief => (milliseconds / 13).max(1),
        }
    }

    /// How long faults, edits and crashes go on.
    pub fn trouble(self) -> SignedDuration {
        match self {
            Scale::Long => SignedDuration::from_hours(2),
            Scale::Brief => SignedDuration::from_mins(9),
        }
    }

    /// After how long what paused itself is resumed in the peace, and how long that then goes on. A brief history
    /// goes on until the daemon is at rest.
    pub fn half_of_peace(self) -> Duration {
        match self {
            Scale::Long => Duration::from_secs(60 * 60),
            Scale::Brief => Duration::from_secs(90),
        }
    }

    /// How long a request hangs before it is worked on: for longer than anybody waits for its answer, and well below
    /// the time after which absence may be proven.
    pub fn longest_hang_ms(self) -> u64 {
        match self {
            Scale::Long => 170_000,
            Scale::Brief => 40_000,
        }
    }

    /// How long a message of the provider may be on its way, at the most.
    pub fn settle(self) -> SignedDuration {
        match self {
            Scale::Long => SignedDuration::from_mins(10),
            Scale::Brief => SignedDuration::from_secs(60),
        }
    }

    /// Of how many who got a campaign with `holdout: 20%` how many others are held out.
    pub fn held_out(self) -> (usize, RangeInclusive<usize>) {
        match self {
            Scale::Long => (80, 20..=70),
            Scale::Brief => (8, 1..=12),
        }
    }
}
