//! The campaigns folder: what files it holds now, and that something in it has changed.
//!
//! Knows: paths, bytes, digests, file events, the git checkout around it. Must never know: what a campaign file says. Events are
//! hints that only wake somebody; what a scan finds is the truth.

mod checkout;
mod scan;
mod watching;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, TryLockError},
};

pub use checkout::Commit;
pub use watching::FolderWatch;

use jiff::{Timestamp, civil::Date};
use sha2::{Digest, Sha256};

use crate::{campaign::file::DatesFault, schedule::Except};

/// The largest campaign file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Everything that the folder holds, by path relative to it, with `/`. A folder inside of it that cannot
/// be read is there as an unreadable file whose path ends with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    pub files: BTreeMap<Arc<str>, FileState>,
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

impl Snapshot {
    /// What is not as it was before, in the order of the paths: what is there now, or that nothing is.
    pub fn changes_since<'a>(&'a self, before: &'a Snapshot) -> Vec<(&'a Arc<str>, Option<&'a FileState>)> {
        let (mut before, mut now) = (before.files.iter().peekable(), self.files.iter().peekable());
        let mut changes = Vec::new();
        loop {
            let order = match (before.peek(), now.peek()) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((old, _)), Some((new, _))) if Arc::ptr_eq(old, new) => Ordering::Equal,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let old = before.next_if(|_| order.is_le());
            let new = now.next_if(|_| order.is_ge());
            match (old, new) {
                (Some((_, old)), Some((_, new))) if old == new => {}
                (_, Some((path, state))) => changes.push((path, Some(state))),
                (Some((path, _)), None) => changes.push((path, None)),
                (None, None) => {}
            }
        }
    }
}

/// How closely a scan looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A file that has the size and the times that it had is as it was.
    Stamps,
    /// Every file is read: not every file system keeps its stamps well.
    Bytes,
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
    /// Finds every campaign file. Takes the time of looking at them: call it where blocking is allowed. While
    /// nothing changes it may give the same snapshot again.
    fn scan(&self, look: Look, now: Timestamp) -> Result<Arc<Snapshot>, FolderFault>;

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
    files: scan::Known,
    /// The same files, as they were told last.
    snapshot: Arc<Snapshot>,
    scans: u32,
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

impl DiskFolder {
    /// What a folder holds, for whoever looks once.
    pub fn read(root: &Path) -> Result<Arc<Snapshot>, FolderFault> {
        DiskFolder::new(root).scan(Look::Bytes, Timestamp::MIN)
    }

    pub fn new(root: &Path) -> DiskFolder {
        DiskFolder { root: root.to_owned(), known: Mutex::default(), asking: Mutex::default() }
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
    fn scan(&self, look: Look, now: Timestamp) -> Result<Arc<Snapshot>, FolderFault> {
        let mut guard = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A scan that fails forgets everything.
        let mut known = std::mem::take(&mut *guard);
        known.scans = known.scans.wrapping_add(1);
        guard.scans = known.scans;
        // Before the files are looked at: a change that ends meanwhile is waited for once more.
        let git_is_changing = checkout::is_changing(&self.root);
        let scan::Changes { changed, gone } =
            scan::scan(&self.root, &mut known.files, known.scans, look, now)
                .map_err(|error| FolderFault { path: self.root.display().to_string(), error })?;
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
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Clock, SystemClock};

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
        let snapshot = DiskFolder::read(folder.path()).unwrap();
        let names: Vec<&str> = snapshot.files.keys().map(|path| &**path).collect();
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
        let check = |look, changes: bool| {
            let before = disk.known.lock().unwrap().snapshot.clone();
            let now = disk.scan(look, SystemClock::new().now()).unwrap();
            assert_eq!(now, DiskFolder::read(folder.path()).unwrap());
            assert_eq!(Arc::ptr_eq(&before, &now), !changes);
        };
        check(Look::Stamps, false);
        std::fs::write(path("a.yaml"), "1").unwrap();
        std::fs::write(path("b.yaml"), "1").unwrap();
        check(Look::Stamps, true);
        check(Look::Stamps, false);
        check(Look::Bytes, false);
        std::fs::write(path("a.yaml"), "2").unwrap();
        check(Look::Stamps, true);
        std::fs::remove_file(path("b.yaml")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("c.yaml")).unwrap();
        check(Look::Stamps, true);
        check(Look::Stamps, false);
        std::fs::write(path("nowhere"), "1").unwrap();
        check(Look::Stamps, true);
        std::fs::create_dir(path(".git")).unwrap();
        check(Look::Stamps, false);
        std::fs::write(path(".git/index.lock"), "").unwrap();
        check(Look::Stamps, true);
    }

    #[test]
    fn a_missing_folder_is_a_fault() {
        let fault = DiskFolder::read(Path::new("/nonexistent/campaigns")).unwrap_err();
        assert!(fault.to_string().starts_with("the campaigns folder /nonexistent/campaigns cannot be read"));
    }

    proptest! {
        #[test]
        fn changes_lead_from_one_snapshot_to_the_next(
            before in prop::collection::btree_map("[a-c]{1,2}", "[xy]", 0..8),
            now in prop::collection::btree_map("[a-c]{1,2}", "[xy]", 0..8),
        ) {
            let snapshot = |files: &BTreeMap<String, String>| Snapshot {
                files: files.iter().map(|(path, text)| (path.as_str().into(), FileState::of(text.as_bytes().to_vec()))).collect(),
                git_is_changing: false,
            };
            let (before, now) = (snapshot(&before), snapshot(&now));
            let changes = now.changes_since(&before);
            prop_assert!(changes.is_sorted_by(|a, b| a.0 < b.0));
            let mut followed = before.clone();
            for (path, state) in changes {
                prop_assert_ne!(before.files.get(path), state);
                match state {
                    Some(state) => followed.files.insert(Arc::clone(path), state.clone()),
                    None => followed.files.remove(path),
                };
            }
            prop_assert_eq!(followed, now);
        }
    }
}
