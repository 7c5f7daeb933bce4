//! File events, which only wake whoever reads the folder.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};

use super::is_campaign_file;

/// How many files are remembered as being written; beyond that all are forgotten, and the folder counts as
/// quiet when events cease.
const MOST_WRITTEN: usize = 10_000;

/// Calls `wake` whenever something below `root` may have changed, while the watcher lives; tells it whether
/// a campaign file is being written, which its last writer has not closed yet. Reading raises events too:
/// only what changes content or names counts.
pub fn watch(root: &Path, wake: impl Fn(bool) + Send + 'static) -> notify::Result<RecommendedWatcher> {
    let written = Mutex::new(Written::default());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.take(event) {
            wake(written.any());
        }
    })?;
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

    #[test]
    fn a_file_that_is_being_written_is_told_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, woken) = mpsc::channel();
        let _watcher = watch(folder.path(), move |written| sender.send(written).unwrap_or(())).unwrap();
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
