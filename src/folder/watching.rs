//! File events, which only wake whoever reads the folder.

use std::{
    collections::HashSet,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};

use super::is_campaign_file;

/// How many files are remembered as being written; beyond that all are forgotten, and the folder counts as
/// quiet when events cease.
const MOST_WRITTEN: usize = 10_000;

/// What is called whenever something may have changed: it is told whether a campaign file is being written,
/// which its last writer has not closed yet.
pub type Wake = Arc<dyn Fn(bool) + Send + Sync>;

/// A watch on a folder, which is renewed when another folder has taken its place.
pub struct FolderWatch {
    root: PathBuf,
    wake: Wake,
    /// The watcher, and the device and number of the folder that it watches.
    watched: Option<(RecommendedWatcher, (u64, u64))>,
}

impl FolderWatch {
    /// A watch that has not begun.
    pub fn new(root: &Path, wake: Wake) -> FolderWatch {
        FolderWatch { root: root.to_owned(), wake, watched: None }
    }

    /// Watches the folder that is there now; tells whether that is another one than before.
    pub fn renew(&mut self) -> notify::Result<bool> {
        let folder = std::fs::metadata(&self.root).map(|metadata| (metadata.dev(), metadata.ino()));
        let folder = folder.map_err(notify::Error::io)?;
        if self.watched.as_ref().is_some_and(|(_, known)| *known == folder) {
            return Ok(false);
        }
        self.watched = None;
        self.watched = Some((watch(&self.root, &self.wake)?, folder));
        Ok(true)
    }
}

/// Calls `wake` while the watcher lives. Reading raises events too: only what changes content or names
/// counts.
fn watch(root: &Path, wake: &Wake) -> notify::Result<RecommendedWatcher> {
    let (wake, written) = (Arc::clone(wake), Mutex::new(Written::default()));
    let tell = move |event: notify::Result<Event>| {
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.take(event) {
            wake(written.any());
        }
    };
    // A link may lead to the whole disk; where it leads into the folder, that is watched anyway.
    let mut watcher = RecommendedWatcher::new(tell, Config::default().with_follow_symlinks(false))?;
    watcher.watch(root, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// The campaign files that have been written to and not closed.
#[derive(Debug, Default)]
struct Written(HashSet<PathBuf>);

impl Written {
    /// Takes an event; tells whether it may have changed something.
    fn take(&mut self, event: notify::Result<Event>) -> bool {
        // An overflow or a failing watch: look at everything, and rely on nothing remembered.
        let Ok(event) = event else {
            self.0.clear();
            return true;
        };
        if event.need_rescan() {
            self.0.clear();
            return true;
        }
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Remove(_) => {
                self.end(&event.paths);
            }
            EventKind::Access(_) | EventKind::Other => return false,
            EventKind::Modify(ModifyKind::Data(_)) => self.begin(&event.paths),
            EventKind::Modify(ModifyKind::Name(_)) => self.end(&event.paths),
            EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) => {}
        }
        true
    }

    fn begin(&mut self, paths: &[PathBuf]) {
        if self.0.len() >= MOST_WRITTEN {
            self.0.clear();
        }
        let is_campaign =
            |path: &&PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(is_campaign_file);
        self.0.extend(paths.iter().filter(is_campaign).cloned());
    }

    fn end(&mut self, paths: &[PathBuf]) {
        for path in paths {
            self.0.remove(path);
        }
    }

    fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::mpsc, time::Duration};

    use notify::event::Flag;

    use super::*;

    /// Waits until the watcher tells this.
    fn until(woken: &mpsc::Receiver<bool>, is_written: bool) {
        while woken.recv_timeout(Duration::from_secs(10)).unwrap() != is_written {}
    }

    /// A watch that has begun, and what it tells.
    fn watched(root: &Path) -> (FolderWatch, mpsc::Receiver<bool>) {
        let (sender, woken) = mpsc::channel();
        let mut watch = FolderWatch::new(root, Arc::new(move |written| sender.send(written).unwrap_or(())));
        assert!(watch.renew().unwrap());
        (watch, woken)
    }

    #[test]
    fn another_folder_in_its_place_is_watched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("campaigns");
        std::fs::create_dir(&root).unwrap();
        let (mut watch, woken) = watched(&root);
        assert!(!watch.renew().unwrap());
        std::fs::rename(&root, folder.path().join("old")).unwrap();
        assert!(watch.renew().is_err());
        std::fs::create_dir(&root).unwrap();
        assert!(watch.renew().unwrap());
        while woken.try_recv().is_ok() {}
        std::fs::write(root.join("a.yaml"), "x").unwrap();
        until(&woken, true);
    }

    #[test]
    fn a_file_that_is_being_written_is_told_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (_watch, woken) = watched(folder.path());
        let mut file = std::fs::File::create(folder.path().join("a.yaml")).unwrap();
        until(&woken, false);
        file.write_all(b"half").unwrap();
        until(&woken, true);
        drop(file);
        until(&woken, false);
        // A list that grows all the time keeps nobody waiting.
        let mut list = std::fs::File::create(folder.path().join("list.txt")).unwrap();
        list.write_all(b"u1").unwrap();
        until(&woken, false);
        // A file that is moved away while it is written is not waited for.
        let mut file = std::fs::File::create(folder.path().join("b.yaml")).unwrap();
        file.write_all(b"half").unwrap();
        until(&woken, true);
        std::fs::rename(folder.path().join("b.yaml"), folder.path().join("c.yaml")).unwrap();
        until(&woken, false);
    }

    #[test]
    fn reading_wakes_nobody_and_an_overflow_does() {
        let mut written = Written::default();
        let path = PathBuf::from("a.yaml");
        let event = |kind| Event::new(kind).add_path(path.clone());
        let modified = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
        assert!(!written.take(Ok(event(EventKind::Access(AccessKind::Close(AccessMode::Read))))));
        assert!(written.take(Ok(event(modified))) && written.any());
        assert!(written.take(Ok(event(EventKind::Other).set_flag(Flag::Rescan))) && !written.any());
        assert!(written.take(Ok(event(modified))) && written.any());
        assert!(written.take(Err(notify::Error::generic("the watch has ended"))) && !written.any());
    }
}
