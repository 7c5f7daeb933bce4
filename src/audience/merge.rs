//! Merging sorted pieces of an audience into one sorted stream, none twice.

use std::{cmp::Ordering, fs::File, io};

use super::{SourceSet, piece::Piece, spill::Spilled};

/// Sorted pieces that are merged. After [`Merge::next`] has said so, the fields hold the next id.
#[derive(Debug)]
pub struct Merge {
    /// In the order of their ids' coming.
    tracks: Vec<Track>,
    /// A tournament of the tracks' heads: at 0 the one that comes next, at each match behind it its loser. The
    /// match of two places `n` is played for the place `n / 2`; track `t` begins below the matches.
    losers: Vec<usize>,
    pub id: Vec<u8>,
    pub sources: SourceSet,
    /// The first that a source gave it; empty where none did.
    pub values: Vec<u8>,
}

/// One piece that is read, and what comes next in it.
#[derive(Debug)]
struct Track {
    from: From,
    /// Of the head, so that nearly no comparison needs a look at the ids; of a track that has ended, [`ENDED`].
    key: u128,
    sources: SourceSet,
}

/// Comes behind every id: no text begins with a byte of 255.
const ENDED: u128 = u128::MAX;

#[derive(Debug)]
enum From {
    Spilled(Spilled),
    /// `next` is behind the head.
    Kept {
        piece: Piece,
        next: usize,
    },
}

impl Track {
    fn new(from: From) -> io::Result<Track> {
        let mut track = Track { from, key: ENDED, sources: SourceSet::default() };
        track.advance()?;
        Ok(track)
    }

    fn id(&self) -> &[u8] {
        match &self.from {
            From::Spilled(spilled) => spilled.id(),
            From::Kept { piece, next } => piece.id_at(*next - 1),
        }
    }

    fn values(&self) -> &[u8] {
        match &self.from {
            From::Spilled(spilled) => spilled.values(),
            From::Kept { piece, next } => piece.values_at(*next - 1),
        }
    }

    /// Goes to the next head.
    fn advance(&mut self) -> io::Result<()> {
        let sources = match &mut self.from {
            From::Spilled(spilled) => spilled.advance()?,
            From::Kept { piece, next } => {
                let sources = piece.sources_at(*next);
                *next += usize::from(sources.is_some());
                sources
            }
        };
        match sources {
            Some(sources) => (self.key, self.sources) = (key(self.id()), sources),
            None => self.key = ENDED,
        }
        Ok(())
    }
}

/// The first sixteen bytes as a number that sorts as they do.
fn key(id: &[u8]) -> u128 {
    let mut first = [0; 16];
    let length = id.len().min(16);
    first[..length].copy_from_slice(&id[..length]);
    u128::from_be_bytes(first)
}

impl Merge {
    /// Merges spilled pieces, in the order of their ids' coming, and one that came last.
    pub fn new(spilled: Vec<File>, last: Piece) -> io::Result<Merge> {
        let spilled = spilled.into_iter().map(|file| From::Spilled(Spilled::new(file)));
        let tracks = spilled.chain([From::Kept { piece: last, next: 0 }]).map(Track::new);
        let tracks = tracks.collect::<io::Result<Vec<_>>>()?;
        let mut merge = Merge {
            losers: vec![usize::MAX; tracks.len()],
            tracks,
            id: Vec::new(),
            sources: SourceSet::default(),
            values: Vec::new(),
        };
        for track in 0..merge.tracks.len() {
            merge.seat(track);
        }
        Ok(merge)
    }

    /// Lets a track play for the first time: up to the match where nobody waits for it yet.
    fn seat(&mut self, mut winner: usize) {
        let mut place = (winner + self.tracks.len()) / 2;
        while place > 0 {
            if self.losers[place] == usize::MAX {
                self.losers[place] = winner;
                return;
            }
            self.play(place, &mut winner);
            place /= 2;
        }
        self.losers[0] = winner;
    }

    /// Plays one match: the winner goes on.
    fn play(&mut self, place: usize, winner: &mut usize) {
        if self.is_before(self.losers[place], *winner) {
            std::mem::swap(&mut self.losers[place], winner);
        }
    }

    /// Whether the head of one track comes before that of another; of equal ones the earliest track's.
    fn is_before(&self, a: usize, b: usize) -> bool {
        let (one, other) = (&self.tracks[a], &self.tracks[b]);
        match one.key.cmp(&other.key) {
            Ordering::Equal if one.key == ENDED => a < b,
            Ordering::Equal => one.id().cmp(other.id()).then(a.cmp(&b)).is_lt(),
            order => order.is_lt(),
        }
    }

    /// Goes to the next id; whether there is one.
    pub fn next(&mut self) -> io::Result<bool> {
        let track = &self.tracks[self.losers[0]];
        if track.key == ENDED {
            return Ok(false);
        }
        let key = track.key;
        self.id.clear();
        self.id.extend_from_slice(track.id());
        self.values.clear();
        self.values.extend_from_slice(track.values());
        self.sources = track.sources;
        self.advance()?;
        loop {
            let track = &self.tracks[self.losers[0]];
            if track.key != key || track.id() != self.id {
                return Ok(true);
            }
            self.sources = self.sources.with(track.sources);
            if self.values.is_empty() {
                self.values.extend_from_slice(track.values());
            }
            self.advance()?;
        }
    }

    /// Reads on in the track whose head came, and lets it play again all that it had won.
    fn advance(&mut self) -> io::Result<()> {
        let mut winner = self.losers[0];
        self.tracks[winner].advance()?;
        let mut place = (winner + self.tracks.len()) / 2;
        while place > 0 {
            self.play(place, &mut winner);
            place /= 2;
        }
        self.losers[0] = winner;
        Ok(())
    }
}
