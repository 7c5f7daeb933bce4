//! The campaigns folder: what files it holds now, and that something in it has changed.
//!
//! Knows: paths, bytes, digests, file events, the git checkout around it. Must never know: what a campaign file says. Events are
//! hints that only wake somebody; what a scan finds is the truth.

mod checkout;
mod watching;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, TryLockError},
};

pub use checkout::Commit;
pub use watching::FolderWatch;

use jiff::civil::Date;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use sha2::{Digest, Sha256};

use crate::{campaign::file::DatesFault, schedule::Except};

/// The largest campaign file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Everything that the folder holds, by path relative to it, with `/`. A folder inside of it that cannot
/// be read is there as an unreadable file whose path ends with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    pub files: BTreeMap<String, FileState>,
    /// Git is in the middle of changing the checkout that the folder stands in.
    pub git_is_changing: bool,
}

/// One campaign file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    Read {
        bytes: Arc<[u8]>,
        sha256: Arc<str>,
    },
    /// It is there, and cannot be read.
    Unreadable(String),
}

/// The folder itself cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the campaigns folder {path} cannot be read: {error}")]
pub struct FolderFault {
    pub path: String,
    pub error: io::Error,
}

/// Whatever holds campaign files.
pub trait Folder: Send + Sync {
    /// Reads every campaign file. Takes the time of reading them: call it where blocking is allowed. While
    /// nothing changes it may give the same snapshot again.
    fn scan(&self) -> Result<Arc<Snapshot>, FolderFault>;

    /// The commit that the folder is at, and which of these files (paths with their bytes) differ from it;
    /// None where that cannot be told. Takes the time of a process: call it where blocking is allowed.
    fn commit(&self, _files: &[(&str, &[u8])]) -> Option<Commit> {
        None
    }

    /// Where the lists that a campaign file at `campaign_path` names are read.
    /// Fails when that leads out of the folder.
    fn list_path(&self, campaign_path: &str, list: &str) -> io::Result<PathBuf>;
}

/// A folder on disk.
#[derive(Debug)]
pub struct DiskFolder {
    root: PathBuf,
    known: Mutex<Known>,
    /// Held while git is asked, so that a git that hangs is asked once.
    asking: Mutex<()>,
}

/// What the scans before have read.
#[derive(Debug, Default)]
struct Known {
    files: HashMap<String, ReadBefore>,
    /// The same files, as they were told last.
    snapshot: Arc<Snapshot>,
    scans: u32,
}

/// A file that was read before.
#[derive(Debug)]
struct ReadBefore {
    /// None of one that could not be read: it is tried again.
    stamp: Option<Stamp>,
    state: FileState,
    /// Whether two scans have read it so. A file that changes within a tick of the file system's clock, and
    /// while it is read, can keep its stamp.
    twice: bool,
    /// The scan that found it last.
    found_by: u32,
}

/// What changes when a file does: its device, its number there, its size, its times of change.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

fn stamp(metadata: &std::fs::Metadata) -> Stamp {
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

/// A path that leads nowhere out of a folder, by links neither; one that leads to nothing (yet) is as it is.
pub fn inside(root: &Path, path: &Path) -> io::Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Ok(real) if !real.starts_with(std::fs::canonicalize(root)?) => Err(leads_out()),
        _ => Ok(path.to_owned()),
    }
}

fn leads_out() -> io::Error {
    io::Error::other("a link leads out of the campaigns folder")
}

/// Whether a file of this name is a campaign's.
fn is_campaign_file(name: &str) -> bool {
    !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// Of so many scans one reads everything, whatever the stamps say: not every file system keeps them well.
const READ_EVERYTHING: u32 = 12;

impl DiskFolder {
    pub fn new(root: &Path) -> DiskFolder {
        DiskFolder { root: root.to_owned(), known: Mutex::default(), asking: Mutex::default() }
    }

    /// A link that leads back is not followed; one that leads out of the root would bring what nobody has put
    /// here.
    fn look_into(&self, folder: &Path, prefix: &str, seen: &mut Seen, scan: &mut Scan<'_>) -> io::Result<()> {
        let real = std::fs::canonicalize(folder)?;
        if seen.root.as_ref().is_some_and(|root| !real.starts_with(root)) {
            return Err(leads_out());
        }
        seen.root.get_or_insert_with(|| real.clone());
        if !seen.folders.insert(real) {
            return Ok(());
        }
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let (path, relative) = (entry.path(), format!("{prefix}{name}"));
            // Follows links: a ConfigMap's files are links.
            let metadata = std::fs::metadata(&path);
            if metadata.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
                let inner = format!("{relative}/");
                match self.look_into(&path, &inner, seen, scan) {
                    Ok(()) => {}
                    // One that vanishes meanwhile holds nothing.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => scan.found(inner, None, FileState::Unreadable(error.to_string())),
                }
            } else if is_campaign_file(&name) {
                match metadata {
                    Ok(metadata) if metadata.is_file() => scan.look_at(path, relative, &metadata),
                    Ok(_) => {
                        let reason = "it is no regular file".to_owned();
                        scan.found(relative, None, FileState::Unreadable(reason));
                    }
                    Err(error) => scan.found(relative, None, FileState::Unreadable(error.to_string())),
                }
            }
        }
        Ok(())
    }
}

/// The folders that a scan has looked into, by their real paths.
#[derive(Default)]
struct Seen {
    root: Option<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

/// A scan under way.
struct Scan<'a> {
    known: &'a mut HashMap<String, ReadBefore>,
    number: u32,
    everything: bool,
    unread: Vec<Unread>,
    /// Those that are not as they were.
    changed: Vec<(String, FileState)>,
}

/// A file that is to be read.
struct Unread {
    path: PathBuf,
    relative: String,
    stamp: Stamp,
    length: u64,
}

impl Scan<'_> {
    /// Leaves a file to be read, unless it is surely as it was.
    fn look_at(&mut self, path: PathBuf, relative: String, metadata: &std::fs::Metadata) {
        let stamp = stamp(metadata);
        match self.known.get_mut(&relative) {
            Some(known) if known.twice && known.stamp == Some(stamp) && !self.everything => {
                known.found_by = self.number;
            }
            _ => self.unread.push(Unread { path, relative, stamp, length: metadata.len() }),
        }
    }

    /// Reads what is left to be read: thousands at once at the start, and when another branch is checked out.
    fn read(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        let read: Vec<FileState> = unread.par_iter().map(|file| read(&file.path, file.length)).collect();
        for (file, state) in unread.into_iter().zip(read) {
            let stamp = matches!(state, FileState::Read { .. }).then_some(file.stamp);
            self.found(file.relative, stamp, state);
        }
    }

    fn found(&mut self, relative: String, stamp: Option<Stamp>, state: FileState) {
        let found_by = self.number;
        match self.known.get_mut(&relative) {
            Some(known) if known.state == state => {
                known.twice = stamp.is_some() && known.stamp == stamp;
                (known.stamp, known.found_by) = (stamp, found_by);
            }
            _ => {
                self.changed.push((relative.clone(), state.clone()));
                self.known.insert(relative, ReadBefore { stamp, state, twice: false, found_by });
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

impl FileState {
    /// A file with this content.
    pub fn of(bytes: Vec<u8>) -> FileState {
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        FileState::Read { bytes: bytes.into(), sha256: sha256.into() }
    }
}

impl Folder for DiskFolder {
    fn scan(&self) -> Result<Arc<Snapshot>, FolderFault> {
        let mut guard = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A scan that fails forgets everything.
        let mut known = std::mem::take(&mut *guard);
        known.scans = known.scans.wrapping_add(1);
        guard.scans = known.scans;
        // Before the files are looked at: a change that ends meanwhile is waited for once more.
        let git_is_changing = checkout::is_changing(&self.root);
        let mut scan = Scan {
            known: &mut known.files,
            number: known.scans,
            everything: known.scans.is_multiple_of(READ_EVERYTHING),
            unread: Vec::new(),
            changed: Vec::new(),
        };
        self.look_into(&self.root, "", &mut Seen::default(), &mut scan)
            .map_err(|error| FolderFault { path: self.root.display().to_string(), error })?;
        scan.read();
        let changed = scan.changed;
        let gone: Vec<String> =
            known.files.extract_if(|_, file| file.found_by != known.scans).map(|(path, _)| path).collect();
        if !changed.is_empty() || !gone.is_empty() || known.snapshot.git_is_changing != git_is_changing {
            let snapshot = Arc::make_mut(&mut known.snapshot);
            snapshot.git_is_changing = git_is_changing;
            for path in &gone {
                snapshot.files.remove(path);
            }
            snapshot.files.extend(changed);
        }
        let snapshot = Arc::clone(&known.snapshot);
        *guard = known;
        Ok(snapshot)
    }

    fn commit(&self, files: &[(&str, &[u8])]) -> Option<Commit> {
        let _asking = match self.asking.try_lock() {
            Ok(asking) => asking,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        checkout::commit(&self.root, files)
    }

    fn list_path(&self, campaign_path: &str, list: &str) -> io::Result<PathBuf> {
        inside(&self.root, &self.root.join(campaign_path).parent().unwrap_or(&self.root).join(list))
    }
}

/// Reads a file of dates that schedules leave out, one a line.
pub fn read_dates(path: &Path) -> Result<BTreeSet<Date>, DatesFault> {
    let unusable = |error: io::Error| DatesFault::Unusable(error.to_string());
    let length = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(DatesFault::Missing),
        Err(error) => return Err(unusable(error)),
    };
    if length > MAX_FILE_BYTES {
        return Err(DatesFault::Unusable("it is larger than 1 MiB".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(unusable)?;
    Except::read_dates(&text)
        .map_err(|(line, text)| DatesFault::Unusable(format!("line {line} is no date: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_finds_campaign_files_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a.yaml", "x");
        write("team/b.yml", "");
        write("lists/vip.csv", "");
        write(".hidden.yaml", "");
        write("..data/c.yaml", "");
        write("d.yaml/e.yaml", "");
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling.yaml")).unwrap();
        std::os::unix::fs::symlink(".", folder.path().join("loop")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("foreign.yaml"), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("out")).unwrap();
        let snapshot = DiskFolder::new(folder.path()).scan().unwrap();
        let names: Vec<&str> = snapshot.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.yaml", "d.yaml/e.yaml", "dangling.yaml", "out/", "team/b.yml"]);
        let out = "a link leads out of the campaigns folder".to_owned();
        assert_eq!(snapshot.files["out/"], FileState::Unreadable(out));
        assert_eq!(snapshot.files["a.yaml"], FileState::of(b"x".to_vec()));
        let FileState::Read { sha256, .. } = &snapshot.files["a.yaml"] else { panic!() };
        assert_eq!(&**sha256, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
        assert!(matches!(snapshot.files["dangling.yaml"], FileState::Unreadable(_)));
    }

    /// What a folder holds after each of these changes is what a first scan would find.
    #[test]
    fn a_scan_tells_what_is_there_now_and_nothing_new_when_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let disk = DiskFolder::new(folder.path());
        let check = |changes: bool| {
            let before = disk.known.lock().unwrap().snapshot.clone();
            let now = disk.scan().unwrap();
            assert_eq!(now, DiskFolder::new(folder.path()).scan().unwrap());
            assert_eq!(Arc::ptr_eq(&before, &now), !changes);
        };
        check(false);
        std::fs::write(path("a.yaml"), "1").unwrap();
        std::fs::write(path("b.yaml"), "1").unwrap();
        check(true);
        // Also by the scan that reads everything.
        (0..=READ_EVERYTHING).for_each(|_| check(false));
        std::fs::write(path("a.yaml"), "2").unwrap();
        check(true);
        std::fs::remove_file(path("b.yaml")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("c.yaml")).unwrap();
        check(true);
        check(false);
        std::fs::write(path("nowhere"), "1").unwrap();
        check(true);
        std::fs::create_dir(path(".git")).unwrap();
        check(false);
        std::fs::write(path(".git/index.lock"), "").unwrap();
        check(true);
    }

    #[test]
    fn a_missing_folder_is_a_fault() {
        let fault = DiskFolder::new(Path::new("/nonexistent/campaigns")).scan().unwrap_err();
        assert!(fault.to_string().starts_with("the campaigns folder /nonexistent/campaigns cannot be read"));
    }
}
