//! A scan: every campaign file of a folder, of which only those are read that may not be as they were.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{DirEntry, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::{FileState, Look, MAX_FILE_BYTES, is_campaign_file, leads_out};

/// A file that has changed within so long before it was read may change once more and keep its stamp: file
/// systems' clocks tick, some every two seconds.
const TICK: SignedDuration = SignedDuration::from_secs(3);

/// The files that were found before, by their paths.
pub type Known = HashMap<Arc<str>, ReadBefore>;

/// A file that was read before.
#[derive(Debug)]
pub struct ReadBefore {
    /// None of one that is read again whatever its stamp: it could not be read, or had just changed.
    stamp: Option<Stamp>,
    state: FileState,
    /// The scan that found it last.
    found_by: u32,
}

/// What changes when a file does: its device, its number there, its size, its times of change.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

fn stamp(metadata: &Metadata) -> Stamp {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

/// A scan under way.
pub struct Scan<'a> {
    known: &'a mut Known,
    number: u32,
    look: Look,
    now: Timestamp,
    /// The folders that it has looked into, by their real paths; the first is the root.
    root: Option<PathBuf>,
    folders: BTreeSet<PathBuf>,
    unread: Vec<Unread>,
    /// Those that are not as they were.
    changed: Vec<(Arc<str>, FileState)>,
}

/// A file that is to be read.
struct Unread {
    path: PathBuf,
    relative: Arc<str>,
    metadata: Metadata,
}

/// What a scan has found to be otherwise.
pub struct Changes {
    pub changed: Vec<(Arc<str>, FileState)>,
    pub gone: Vec<Arc<str>>,
}

/// Scans a folder. `number`: that of no scan before it.
pub fn scan(root: &Path, known: &mut Known, number: u32, look: Look, now: Timestamp) -> io::Result<Changes> {
    let mut scan = Scan {
        known,
        number,
        look,
        now,
        root: None,
        folders: BTreeSet::new(),
        unread: Vec::new(),
        changed: Vec::new(),
    };
    scan.look_into(root, &mut String::new())?;
    scan.read();
    let Scan { known, changed, .. } = scan;
    let gone = known.extract_if(|_, file| file.found_by != number).map(|(path, _)| path).collect();
    Ok(Changes { changed, gone })
}

/// What stands in a folder and may be, or hold, a campaign file.
struct Entry {
    name: String,
    metadata: io::Result<Metadata>,
}

impl Entry {
    fn of(folder: &Path, entry: &DirEntry) -> Option<Entry> {
        let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && !is_campaign_file(&name) {
            return None;
        }
        // Follows links: a ConfigMap's files are links. Of a file it is asked by its name in the folder, which
        // need not be looked for from the root of all.
        let metadata = if is_file { entry.metadata() } else { std::fs::metadata(folder.join(&name)) };
        Some(Entry { name, metadata })
    }
}

impl Scan<'_> {
    /// A link that leads back is not followed; one that leads out of the root would bring what nobody has put
    /// here. `relative`: the folder's path in the root, ending with `/` unless it is that; left as it was.
    fn look_into(&mut self, folder: &Path, relative: &mut String) -> io::Result<()> {
        let real = std::fs::canonicalize(folder)?;
        if self.root.as_ref().is_some_and(|root| !real.starts_with(root)) {
            return Err(leads_out());
        }
        self.root.get_or_insert_with(|| real.clone());
        if !self.folders.insert(real) {
            return Ok(());
        }
        let entries: Vec<DirEntry> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
        let entries: Vec<Entry> = entries.par_iter().filter_map(|entry| Entry::of(folder, entry)).collect();
        let length = relative.len();
        for entry in entries {
            relative.push_str(&entry.name);
            self.look_at(folder, entry, relative);
            relative.truncate(length);
        }
        Ok(())
    }

    fn look_at(&mut self, folder: &Path, Entry { name, metadata }: Entry, relative: &mut String) {
        match metadata {
            Ok(metadata) if metadata.is_dir() => {
                relative.push('/');
                match self.look_into(&folder.join(name), relative) {
                    Ok(()) => {}
                    // One that vanishes meanwhile holds nothing.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => self.unreadable(relative, error.to_string()),
                }
            }
            _ if !is_campaign_file(&name) => {}
            Ok(metadata) if metadata.is_file() => self.leave(folder, &name, relative, metadata),
            Ok(_) => self.unreadable(relative, "it is no regular file".to_owned()),
            Err(error) => self.unreadable(relative, error.to_string()),
        }
    }

    /// Leaves a file to be read, unless it is surely as it was.
    fn leave(&mut self, folder: &Path, name: &str, relative: &str, metadata: Metadata) {
        if let Some(known) = self.known.get_mut(relative)
            && self.look == Look::Stamps
            && known.stamp == Some(stamp(&metadata))
        {
            known.found_by = self.number;
            return;
        }
        let relative = self.shared(relative);
        self.unread.push(Unread { path: folder.join(name), relative, metadata });
    }

    /// Reads what is left to be read: thousands at once at the start, and when another branch is checked out.
    fn read(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        let read: Vec<FileState> =
            unread.par_iter().map(|file| read(&file.path, file.metadata.len())).collect();
        for (Unread { relative, metadata, .. }, state) in unread.into_iter().zip(read) {
            let is_sure = matches!(state, FileState::Read { .. }) && self.has_settled(&metadata);
            self.found(relative, is_sure.then(|| stamp(&metadata)), state);
        }
    }

    /// Whether a file's next change will change its stamp.
    fn has_settled(&self, metadata: &Metadata) -> bool {
        let changed_at = Timestamp::new(metadata.ctime(), metadata.ctime_nsec() as i32);
        changed_at.is_ok_and(|at| self.now.duration_since(at) >= TICK)
    }

    fn unreadable(&mut self, relative: &str, reason: String) {
        let relative = self.shared(relative);
        self.found(relative, None, FileState::Unreadable(reason));
    }

    /// A path as it is known.
    fn shared(&self, relative: &str) -> Arc<str> {
        self.known.get_key_value(relative).map_or_else(|| relative.into(), |(known, _)| Arc::clone(known))
    }

    fn found(&mut self, relative: Arc<str>, stamp: Option<Stamp>, state: FileState) {
        let found_by = self.number;
        match self.known.get_mut(&relative) {
            Some(known) if known.state == state => (known.stamp, known.found_by) = (stamp, found_by),
            _ => {
                self.changed.push((Arc::clone(&relative), state.clone()));
                self.known.insert(relative, ReadBefore { stamp, state, found_by });
            }
        }
    }
}

fn read(path: &Path, length: u64) -> FileState {
    // One byte more than allowed, so that the reader of its text can tell that it is too large.
    use std::io::Read;
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length.min(MAX_FILE_BYTES) as usize + 1);
        std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => FileState::of(bytes),
        Err(error) => FileState::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    /// What a scan finds of `a.yaml`, after what was kept of it says that it held something else.
    #[track_caller]
    fn check(look: Look, later: SignedDuration, finds: bool) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), "2").unwrap();
        let (mut known, now) = (Known::default(), SystemClock::new().now());
        scan(folder.path(), &mut known, 1, Look::Stamps, now + later).unwrap();
        known.get_mut("a.yaml").unwrap().state = FileState::of(b"1".to_vec());
        let Changes { changed, gone } = scan(folder.path(), &mut known, 2, look, now + later).unwrap();
        assert_eq!((changed.len(), gone.len()), (usize::from(finds), 0));
    }

    #[test]
    fn what_has_its_stamp_is_not_read_again_unless_it_had_just_changed() {
        check(Look::Stamps, SignedDuration::from_secs(4), false);
        check(Look::Bytes, SignedDuration::from_secs(4), true);
        check(Look::Stamps, SignedDuration::from_secs(2), true);
        // A clock that is behind the file system's.
        check(Look::Stamps, SignedDuration::from_hours(-1), true);
    }
}
