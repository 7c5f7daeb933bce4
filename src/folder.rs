//! The campaigns folder: what files it holds now, and that something in it has changed.
//!
//! Knows: paths, bytes, digests, file events. Must never know: what a campaign file says. Events are
//! hints that only wake somebody; what a scan finds is the truth.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind, event::AccessMode};
use sha2::{Digest, Sha256};

/// The largest campaign file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Everything that the folder holds, by path relative to it, with `/`. A folder inside of it that cannot
/// be read is there as an unreadable file whose path ends with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    pub files: BTreeMap<String, FileState>,
}

/// One campaign file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    Read {
        bytes: Arc<[u8]>,
        sha256: String,
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
    /// Reads every campaign file. Takes the time of reading them: call it where blocking is allowed.
    fn scan(&self) -> Result<Snapshot, FolderFault>;

    /// Where the lists that a campaign file at `campaign_path` names are read.
    fn list_path(&self, campaign_path: &str, list: &str) -> PathBuf;
}

/// A folder on disk.
#[derive(Debug, Clone)]
pub struct DiskFolder {
    root: PathBuf,
}

impl DiskFolder {
    pub fn new(root: &Path) -> DiskFolder {
        DiskFolder { root: root.to_owned() }
    }

    /// `seen` holds the folders that have been looked into: a link that leads back is not followed.
    fn scan_folder(
        &self,
        folder: &Path,
        prefix: &str,
        seen: &mut BTreeSet<PathBuf>,
        snapshot: &mut Snapshot,
    ) -> io::Result<()> {
        if !seen.insert(std::fs::canonicalize(folder)?) {
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
                match self.scan_folder(&path, &inner, seen, snapshot) {
                    Ok(()) => {}
                    // One that vanishes meanwhile holds nothing.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        snapshot.files.insert(inner, FileState::Unreadable(error.to_string()));
                    }
                }
            } else if name.ends_with(".yaml") || name.ends_with(".yml") {
                let state = match metadata {
                    Ok(metadata) if metadata.is_file() => read(&path, metadata.len()),
                    Ok(_) => FileState::Unreadable("it is no regular file".to_owned()),
                    Err(error) => FileState::Unreadable(error.to_string()),
                };
                snapshot.files.insert(relative, state);
            }
        }
        Ok(())
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
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        FileState::Read { bytes: bytes.into(), sha256 }
    }
}

impl Folder for DiskFolder {
    fn scan(&self) -> Result<Snapshot, FolderFault> {
        let mut snapshot = Snapshot::default();
        self.scan_folder(&self.root, "", &mut BTreeSet::new(), &mut snapshot)
            .map_err(|error| FolderFault { path: self.root.display().to_string(), error })?;
        Ok(snapshot)
    }

    fn list_path(&self, campaign_path: &str, list: &str) -> PathBuf {
        self.root.join(campaign_path).parent().unwrap_or(&self.root).join(list)
    }
}

/// Calls `wake` whenever something below `root` may have changed, while the watcher lives. Reading
/// raises events too: only what changes content or names counts.
pub fn watch(root: &Path, wake: impl Fn() + Send + 'static) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let counts = match &event {
            // An overflow or a failing watch: look at everything.
            Err(_) => true,
            Ok(event) if event.need_rescan() => true,
            Ok(event) => match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
                EventKind::Access(_) => false,
                EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => true,
                EventKind::Other => false,
            },
        };
        if counts {
            wake();
        }
    })?;
    watcher.watch(root, RecursiveMode::Recursive)?;
    Ok(watcher)
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
        let snapshot = DiskFolder::new(folder.path()).scan().unwrap();
        let names: Vec<&str> = snapshot.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.yaml", "d.yaml/e.yaml", "dangling.yaml", "team/b.yml"]);
        assert_eq!(snapshot.files["a.yaml"], FileState::of(b"x".to_vec()));
        let FileState::Read { sha256, .. } = &snapshot.files["a.yaml"] else { panic!() };
        assert_eq!(sha256, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
        assert!(matches!(snapshot.files["dangling.yaml"], FileState::Unreadable(_)));
    }

    #[test]
    fn a_missing_folder_is_a_fault() {
        let fault = DiskFolder::new(Path::new("/nonexistent/campaigns")).scan().unwrap_err();
        assert!(fault.to_string().starts_with("the campaigns folder /nonexistent/campaigns cannot be read"));
    }

    #[test]
    fn a_change_wakes() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, woken) = std::sync::mpsc::channel();
        let _watcher = watch(folder.path(), move || sender.send(()).unwrap_or(())).unwrap();
        std::fs::write(folder.path().join("a.yaml"), "x").unwrap();
        woken.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
    }
}
