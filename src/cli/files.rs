//! Campaign files as commands read them: from the folder, from paths, from stdin; against the
//! settings, without a ledger and without a network.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;

use super::{Exit, Failure};
use crate::{
    audience::{ListFault, ListOrder, read_list},
    campaign::{
        Campaign,
        file::{self, Context, DatesFault, ListFileState},
        source::ListFile,
    },
    document::{Code, Problem, Severity, yaml},
    folder::{self, DiskFolder, FileState, read_dates},
    settings::Settings,
};

/// A file to be read: its name as the user knows it, where its lists are, what it holds.
#[derive(Clone)]
pub struct Source {
    pub name: String,
    /// Where it lies; None: it came over stdin.
    pub path: Option<PathBuf>,
    /// The folder it was found in, which its lists may not leave.
    pub root: Option<PathBuf>,
    pub state: FileState,
}

impl Source {
    /// What stdin holds.
    pub fn stdin() -> Result<Source, Failure> {
        let bytes = read_limited(io::stdin().lock()).context("stdin cannot be read")?;
        Ok(Source { name: "-".to_owned(), path: None, root: None, state: FileState::of(bytes) })
    }

    /// One file.
    pub fn file(path: &Path) -> Source {
        let state = match std::fs::metadata(path) {
            // To open a pipe is to wait for whoever writes into it.
            Ok(metadata) if !metadata.is_file() => FileState::Unreadable("it is no regular file".to_owned()),
            _ => match File::open(path).and_then(read_limited) {
                Ok(bytes) => FileState::of(bytes),
                Err(error) => FileState::Unreadable(error.to_string()),
            },
        };
        Source { name: path.display().to_string(), path: Some(path.to_owned()), root: None, state }
    }

    /// Every campaign file of a folder, as the daemon would find them.
    pub fn folder(root: &Path) -> Result<Vec<Source>, Failure> {
        let snapshot = DiskFolder::read(root)?;
        let source = |(relative, state): (Arc<str>, FileState)| {
            let path = root.join(&*relative);
            Source { name: path.display().to_string(), path: Some(path), root: Some(root.to_owned()), state }
        };
        Ok(snapshot.files.clone().into_iter().map(source).collect())
    }

    /// What a path names: a file, or all files of a folder.
    pub fn at(path: &Path) -> Result<Vec<Source>, Failure> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Source::folder(path),
            Ok(_) => Ok(vec![Source::file(path)]),
            Err(error) => Err(Failure::new(Exit::NotFound, anyhow!("{}: {error}", path.display()))),
        }
    }

    /// The file's bytes, when it could be read.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.state {
            FileState::Read { bytes, .. } => Some(bytes),
            FileState::Unreadable(_) => None,
        }
    }

    /// The folder to which the paths of its lists are relative.
    pub fn folder_of_lists(&self) -> &Path {
        self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// Where a list of it lies: inside the folder that it was found in, or the settings' campaigns folder
    /// when it lies there, or beside it.
    pub fn list_path(&self, settings: &Settings, list: &str) -> io::Result<PathBuf> {
        let beside = self.folder_of_lists();
        let beside = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
        let campaigns = || {
            let real = std::fs::canonicalize(&settings.campaigns).ok()?;
            std::fs::canonicalize(beside).ok()?.starts_with(real).then_some(settings.campaigns.as_path())
        };
        let root = self.root.as_deref().or_else(campaigns).unwrap_or(beside);
        folder::inside(root, &self.folder_of_lists().join(list))
    }

    /// The campaign, or what is wrong with it. Its list files are looked at.
    pub fn campaign(&self, settings: &Settings, now: Timestamp) -> (Option<Campaign>, Vec<Problem>) {
        self.read(settings, now, Some(&|list| look_at_list(self.list_path(settings, &list.path), list)))
    }

    /// The same without a look at its list files, which may hold millions.
    pub fn campaign_alone(&self, settings: &Settings, now: Timestamp) -> (Option<Campaign>, Vec<Problem>) {
        self.read(settings, now, None)
    }

    fn read(
        &self,
        settings: &Settings,
        now: Timestamp,
        list_file: Option<&dyn Fn(&ListFile) -> ListFileState>,
    ) -> (Option<Campaign>, Vec<Problem>) {
        let bytes = match &self.state {
            FileState::Read { bytes, .. } => bytes,
            FileState::Unreadable(reason) => return (None, vec![self.unreadable(reason)]),
        };
        let gateways = settings.dialects();
        let dates = |path: &str| {
            let path = self.list_path(settings, path);
            read_dates(&path.map_err(|error| DatesFault::Unusable(error.to_string()))?)
        };
        let context = Context {
            now,
            default_zone: settings.zone.clone(),
            default_gateway: settings.default_gateway.clone(),
            gateways: &gateways,
            list_file,
            dates: Some(&dates),
        };
        file::read(&self.name, bytes, &context)
    }

    /// A problem of the file as a whole.
    pub fn problem(&self, code: Code, message: String, hint: Option<&str>) -> Problem {
        Problem {
            severity: Severity::Error,
            file: self.name.clone(),
            line: 0,
            column: 0,
            end_column: 0,
            code,
            path: String::new(),
            message,
            hint: hint.map(str::to_owned),
        }
    }

    pub fn unreadable(&self, reason: &str) -> Problem {
        self.problem(Code::Unreadable, format!("the file cannot be read: {reason}"), None)
    }
}

/// One byte more than a file may have, so that its reader can tell that it is too large.
fn read_limited(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(yaml::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a list file is like now. Whether the provider can have its ids is told by the run.
fn look_at_list(path: io::Result<PathBuf>, list: &ListFile) -> ListFileState {
    let path = match path {
        Ok(path) => path,
        Err(error) => return ListFileState::Unusable(error.to_string()),
    };
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        return ListFileState::Empty;
    }
    match read_list(&ListOrder::ids(&path, list), &mut |_, _| Ok(())) {
        Ok(reading) if reading.rows > 0 => ListFileState::Filled { columns: reading.columns },
        Ok(_) => ListFileState::Empty,
        Err(ListFault::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            ListFileState::Missing
        }
        Err(fault) => ListFileState::Unusable(fault.to_string()),
    }
}
