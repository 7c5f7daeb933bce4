//! The fence: whether a ledger is the newest copy of itself, told by a file beside it.
//!
//! The ledger and the file count the same generations, and the count grows while a daemon sends. So a
//! copy that was made earlier and is put back has an older generation than the file, and sending from
//! it would repeat what was sent since. The order is what counts: the ledger commits a generation
//! *before* the file takes it, so a crash between the two leaves a ledger that is one ahead, never one
//! behind. That both were copied together is told by the instant at which the file system made the
//! file: no copy has that of its original, and neither a rename, nor `chown`, nor `chmod` changes it.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// The longest file that is read: it has two short lines.
const MOST_BYTES: u64 = 1_000;

/// Where a ledger stands, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which ledger it is; its copies have the same.
    pub identity: String,
    /// 0 before its first daemon.
    pub generation: i64,
    /// When the file system made the generation file of this generation, in nanoseconds since the Unix
    /// epoch; None where the file system does not tell.
    pub file_born_at: Option<i64>,
    /// The same of the generation before.
    pub file_born_before: Option<i64>,
    /// Why it was locked before, if it was.
    pub locked: Option<String>,
}

/// What stands beside a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    /// A file that was not written by us, or not wholly.
    Illegible,
    Generation {
        identity: String,
        number: i64,
        born_at: Option<i64>,
    },
}

/// Why nothing may be sent from a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockReason {
    /// It says so itself: a backup, or it was found out before.
    Locked(String),
    /// The file has seen a later generation.
    Older {
        ledger: i64,
        file: i64,
    },
    /// The file is gone, or this is a copy without it.
    NoFile,
    Illegible,
    /// The file belongs to another ledger.
    Foreign,
    /// The ledger and the file are a copy together.
    CopiedTogether,
}

impl fmt::Display for LockReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockReason::Locked(reason) => formatter.write_str(reason),
            LockReason::Older { ledger, file } => write!(
                formatter,
                "it is an older copy: generation {ledger}, and the file beside it has seen generation {file}"
            ),
            LockReason::NoFile => formatter.write_str(
                "the generation file beside it is missing, so nobody can tell whether it is the newest copy",
            ),
            LockReason::Illegible => formatter.write_str(
                "the generation file beside it cannot be made out, so nobody can tell whether it is the newest copy",
            ),
            LockReason::Foreign => formatter.write_str("the generation file beside it is that of another ledger"),
            LockReason::CopiedTogether => formatter.write_str(
                "it was copied here together with its generation file, and its original may have sent more since",
            ),
        }
    }
}

/// Whether a ledger may be an older copy, by what stands beside it.
pub fn lock_reason(ledger: &Standing, beside: &Beside) -> Option<LockReason> {
    if let Some(reason) = &ledger.locked {
        return Some(LockReason::Locked(reason.clone()));
    }
    let same = |born_at: &Option<i64>, known: Option<i64>| match (born_at, known) {
        (Some(born_at), Some(known)) => *born_at == known,
        _ => true,
    };
    match beside {
        // No daemon has sent anything from it.
        Beside::Nothing if ledger.generation == 0 => None,
        Beside::Nothing => Some(LockReason::NoFile),
        Beside::Illegible => Some(LockReason::Illegible),
        Beside::Generation { identity, number, born_at } => {
            let ahead = ledger.generation - number;
            match ahead {
                // A new ledger in the place of one that is gone: it repeats nothing.
                _ if *identity != ledger.identity && ledger.generation == 0 => None,
                _ if *identity != ledger.identity => Some(LockReason::Foreign),
                ..0 => Some(LockReason::Older { ledger: ledger.generation, file: *number }),
                0 if same(born_at, ledger.file_born_at) => None,
                // A crash came between the commit and the file.
                1 if same(born_at, ledger.file_born_before) => None,
                _ => Some(LockReason::CopiedTogether),
            }
        }
    }
}

/// The generation that follows: one more than the file's, so that the ledger is never two ahead of it.
pub fn next(ledger: &Standing, beside: &Beside) -> i64 {
    match beside {
        Beside::Generation { number, .. } if ledger.generation == number + 1 => ledger.generation,
        Beside::Generation { number, .. } => ledger.generation.max(*number) + 1,
        Beside::Nothing | Beside::Illegible => ledger.generation + 1,
    }
}

/// The generation file of a ledger: its name and `.generation`.
#[derive(Debug, Clone)]
pub struct GenerationFile {
    path: PathBuf,
}

/// A generation that is written and not yet in its place.
#[derive(Debug)]
pub struct Prepared {
    pub number: i64,
    pub born_at: Option<i64>,
    written: PathBuf,
    place: PathBuf,
}

impl GenerationFile {
    pub fn beside(database: &Path) -> GenerationFile {
        GenerationFile { path: with_suffix(database, ".generation") }
    }

    /// What stands there.
    pub fn read(&self) -> io::Result<Beside> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Beside::Nothing),
            Err(error) => return Err(error),
        };
        let born_at = born_at(&file)?;
        let mut text = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut text)?;
        Ok(match made_out(&text) {
            Some((identity, number)) => Beside::Generation { identity, number, born_at },
            None => Beside::Illegible,
        })
    }

    /// Writes a generation to the disk, beside its place.
    pub fn prepare(&self, identity: &str, number: i64) -> io::Result<Prepared> {
        let written = with_suffix(&self.path, ".new");
        match fs::remove_file(&written) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(&written)?;
        write!(
            file,
            "# Tells campaignd whether the ledger beside it is its newest copy. Leave it where it is.\n\
             {identity} {number}\n"
        )?;
        file.sync_all()?;
        Ok(Prepared { number, born_at: born_at(&file)?, written, place: self.path.clone() })
    }
}

impl Prepared {
    /// Puts the generation into its place, durably. Where that failed half-way it may be tried again.
    pub fn publish(&self) -> io::Result<()> {
        match fs::rename(&self.written, &self.place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_in_place()? => {}
            renamed => renamed?,
        }
        let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn is_in_place(&self) -> io::Result<bool> {
        let beside = GenerationFile { path: self.place.clone() }.read()?;
        Ok(matches!(beside, Beside::Generation { number, born_at, .. }
            if number == self.number && born_at == self.born_at))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn born_at(file: &File) -> io::Result<Option<i64>> {
    // Not every file system tells.
    let born = file.metadata()?.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    Ok(born.and_then(|since| i64::try_from(since.as_nanos()).ok()))
}

fn made_out(text: &[u8]) -> Option<(String, i64)> {
    let line = std::str::from_utf8(text).ok()?.strip_suffix('\n')?.lines().last()?;
    let (identity, number) = line.split_once(' ')?;
    Some((identity.to_owned(), number.parse().ok().filter(|number| *number > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(generation: i64) -> Standing {
        Standing {
            identity: "8ae4dff8".to_owned(),
            generation,
            file_born_at: Some(generation * 100),
            file_born_before: Some((generation - 1) * 100),
            locked: None,
        }
    }

    fn beside(identity: &str, number: i64, born_at: Option<i64>) -> Beside {
        Beside::Generation { identity: identity.to_owned(), number, born_at }
    }

    #[test]
    fn whatever_may_be_an_older_copy_is_locked() {
        let ours = |number, born_at| beside("8ae4dff8", number, born_at);
        let locked = Standing { locked: Some("a backup".to_owned()), ..ledger(3) };
        let untold = Standing { file_born_at: None, file_born_before: None, ..ledger(3) };
        let older = |ledger, file| Some(LockReason::Older { ledger, file });
        for (ledger, beside, expected) in [
            (ledger(0), Beside::Nothing, None),
            (ledger(3), Beside::Nothing, Some(LockReason::NoFile)),
            (ledger(3), Beside::Illegible, Some(LockReason::Illegible)),
            (ledger(3), ours(3, Some(300)), None),
            (ledger(3), ours(3, None), None),
            (untold.clone(), ours(3, Some(300)), None),
            (ledger(3), ours(3, Some(999)), Some(LockReason::CopiedTogether)),
            (ledger(3), ours(4, Some(400)), older(3, 4)),
            (ledger(0), ours(4, Some(400)), older(0, 4)),
            (ledger(3), ours(2, Some(200)), None),
            (untold, ours(2, None), None),
            (ledger(3), ours(2, Some(999)), Some(LockReason::CopiedTogether)),
            (ledger(3), ours(1, None), Some(LockReason::CopiedTogether)),
            (ledger(3), beside("other", 3, Some(300)), Some(LockReason::Foreign)),
            (ledger(0), beside("other", 9, Some(900)), None),
            (locked, ours(3, Some(300)), Some(LockReason::Locked("a backup".to_owned()))),
        ] {
            assert_eq!(lock_reason(&ledger, &beside), expected, "{ledger:?} beside {beside:?}");
        }
    }

    #[test]
    fn the_ledger_is_at_most_one_ahead() {
        for (generation, file, expected) in
            [(0, None, 1), (5, None, 6), (3, Some(3), 4), (4, Some(3), 4), (3, Some(9), 10)]
        {
            let beside = file.map_or(Beside::Nothing, |number| beside("8ae4dff8", number, None));
            assert_eq!(next(&ledger(generation), &beside), expected);
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = GenerationFile::beside(&folder.path().join("campaignd.db"));
        assert_eq!(file.read().unwrap(), Beside::Nothing);
        let prepared = file.prepare("8ae4dff8", 7).unwrap();
        assert_eq!(file.read().unwrap(), Beside::Nothing, "it is not in its place yet");
        let born_at = prepared.born_at;
        prepared.publish().unwrap();
        assert_eq!(file.read().unwrap(), beside("8ae4dff8", 7, born_at));
        let place = folder.path().join("campaignd.db.generation");
        for text in ["", "8ae4dff8 7", "8ae4dff8\n", "8ae4dff8 x\n", "8ae4dff8 -1\n", "\u{0}\n"] {
            fs::write(&place, text).unwrap();
            assert_eq!(file.read().unwrap(), Beside::Illegible, "{text:?}");
        }
    }
}
