//! The settings: which folder, which ledger, which gateways; where they come from, and where their
//! secrets lie.
//!
//! Knows: the settings file's keys and defaults, the search path, the environment (nobody else
//! reads it). Must never know: what a secret is worth to a gateway, or how anything is run.

mod file;
mod kinds;
mod schema;
mod secret;

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::tz::TimeZone;

pub use file::read;
pub use kinds::{KINDS, kind};
pub use schema::schema;
pub use secret::{SecretError, fetch};

use crate::{
    campaign::Dialect, document::Problem, gateway::kind::GatewaySettings, revision::Guard,
    sandbox::settings::SandboxSettings,
};

/// The settings file that is looked for in the working directory.
const LOCAL_FILE: &str = "campaignd.yaml";
/// The settings file of the machine.
const SYSTEM_FILE: &str = "/etc/campaignd/campaignd.yaml";

/// Checked settings, completed with the defaults. Paths are relative to the working directory or
/// absolute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The watched folder.
    pub campaigns: PathBuf,
    /// The ledger's file.
    pub database: PathBuf,
    /// Where the page, the API and the health checks are served; None when that is off.
    pub listen: Option<SocketAddr>,
    /// The zone of campaigns that name none.
    pub zone: Option<TimeZone>,
    /// The gateway of campaigns that name none; one of `gateways`. The only one, when nothing is said.
    pub default_gateway: Option<String>,
    /// At least one.
    pub gateways: BTreeMap<String, Arc<dyn GatewaySettings>>,
    /// How much may vanish from the folder at once and be obeyed.
    pub guard: Guard,
}

impl Settings {
    /// What holds without a settings file: everything here, nothing delivered, UTC.
    pub fn built_in() -> Settings {
        let sandbox: Arc<dyn GatewaySettings> = Arc::new(SandboxSettings::default());
        Settings {
            campaigns: PathBuf::from(DEFAULT_CAMPAIGNS),
            database: PathBuf::from(DEFAULT_DATABASE),
            listen: Some(DEFAULT_LISTEN),
            zone: Some(TimeZone::UTC),
            default_gateway: Some("sandbox".to_owned()),
            gateways: BTreeMap::from([("sandbox".to_owned(), sandbox)]),
            guard: Guard::default(),
        }
    }

    /// What each gateway knows of messages: all that checking campaigns needs.
    pub fn dialects(&self) -> BTreeMap<String, Box<dyn Dialect>> {
        self.gateways.iter().map(|(name, gateway)| (name.clone(), gateway.dialect())).collect()
    }
}

const DEFAULT_CAMPAIGNS: &str = "campaigns";
const DEFAULT_DATABASE: &str = "campaignd.db";
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8787);

/// Settings, and where they came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub settings: Settings,
    pub origin: Origin,
    /// Problems that are no errors.
    pub warnings: Vec<Problem>,
}

/// Where settings came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    /// No file was found; the log states what holds then.
    BuiltIn,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the settings file {} is not there", .0.display())]
    Missing(PathBuf),
    #[error(
        "there is no settings file: a service needs one, since the built-in sandbox delivers nowhere. \
         Write {SYSTEM_FILE}, or name one with --config"
    )]
    NoneForService,
    #[error("the settings file {} cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    /// For the problem printer, which shows the source line.
    #[error("the settings file has problems")]
    Problems {
        problems: Vec<Problem>,
        source_text: String,
        /// The ledger that it names all the same, so that a mistake elsewhere keeps nobody from a pause.
        database: Option<PathBuf>,
    },
}

/// Finds and reads the settings: the file named, else the first that is there of `campaignd.yaml`
/// and `/etc/campaignd/campaignd.yaml`, else what is built in (never under a service manager).
pub fn load(explicit: Option<&Path>) -> Result<Loaded, LoadError> {
    #[expect(clippy::disallowed_methods, reason = "the settings read the environment")]
    let is_service = std::env::var_os("NOTIFY_SOCKET").is_some();
    load_from(explicit, &[Path::new(LOCAL_FILE), Path::new(SYSTEM_FILE)], is_service)
}

/// Whether what is written to stderr goes to systemd's journal.
pub fn logs_to_journal() -> bool {
    #[expect(clippy::disallowed_methods, reason = "the settings read the environment")]
    std::env::var_os("JOURNAL_STREAM").is_some()
}

/// The file that misleads the clock in a test: see [`crate::clock::MisledClock`]. Builds for release ask nobody.
#[cfg(debug_assertions)]
pub fn clock_error() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the settings read the environment")]
    std::env::var_os("CAMPAIGND_TEST_CLOCK").map(PathBuf::from)
}

/// Whether the user wants no colours (<https://no-color.org>).
pub fn no_colour() -> bool {
    #[expect(clippy::disallowed_methods, reason = "the settings read the environment")]
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Who uses the program, as far as the machine tells: `user@host`.
pub fn who() -> String {
    use std::os::unix::fs::MetadataExt;
    #[expect(clippy::disallowed_methods, reason = "the settings read the environment")]
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let numbered =
        || std::fs::metadata("/proc/self").map_or("somebody".to_owned(), |me| format!("uid{}", me.uid()));
    let user = named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(numbered);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| named("HOSTNAME"));
    format!("{user}@{}", host.as_deref().map_or("localhost", str::trim))
}

fn load_from(explicit: Option<&Path>, usual: &[&Path], is_service: bool) -> Result<Loaded, LoadError> {
    let candidates = explicit.map_or(usual.to_vec(), |path| vec![path]);
    for path in candidates {
        match std::fs::read(path) {
            Ok(bytes) => return from_bytes(path, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(LoadError::Unreadable { path: path.to_owned(), error }),
        }
    }
    match explicit {
        Some(path) => Err(LoadError::Missing(path.to_owned())),
        None if is_service => Err(LoadError::NoneForService),
        None => Ok(Loaded { settings: Settings::built_in(), origin: Origin::BuiltIn, warnings: Vec::new() }),
    }
}

fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Loaded, LoadError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    match read(&path.to_string_lossy(), bytes, folder) {
        (Some(settings), warnings) => {
            Ok(Loaded { settings, origin: Origin::File(path.to_owned()), warnings })
        }
        (None, problems) => {
            let source_text = String::from_utf8_lossy(bytes).into_owned();
            Err(LoadError::Problems { problems, source_text, database: file::database(bytes, folder) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "gateways: {sandbox: {kind: sandbox}}\n";

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), GOOD).unwrap();
        }
        folder
    }

    #[test]
    fn the_named_file_wins_then_the_first_that_is_there() {
        let folder = folder_with(&["named", "second"]);
        let at = |name: &str| folder.path().join(name);
        let (first, second) = (at("first"), at("second"));
        let usual = [first.as_path(), second.as_path()];
        let named = load_from(Some(&at("named")), &usual, true).unwrap();
        assert_eq!(named.origin, Origin::File(at("named")));
        assert_eq!(named.settings.campaigns, at("campaigns"));
        assert_eq!(load_from(None, &usual, true).unwrap().origin, Origin::File(second.clone()));
    }

    #[test]
    fn a_named_file_must_be_there() {
        let folder = folder_with(&["usual"]);
        let usual = folder.path().join("usual");
        let error = load_from(Some(&folder.path().join("named")), &[&usual], false).unwrap_err();
        assert!(matches!(error, LoadError::Missing(_)), "{error}");
    }

    #[test]
    fn nothing_built_in_applies_to_a_service() {
        let error = load_from(None, &[], true).unwrap_err();
        assert!(matches!(error, LoadError::NoneForService), "{error}");
        let loaded = load_from(None, &[], false).unwrap();
        assert_eq!(loaded.origin, Origin::BuiltIn);
        assert_eq!(loaded.settings.zone, Some(TimeZone::UTC));
    }

    #[test]
    fn the_only_gateway_is_the_default() {
        let default = |text: &str| read("s.yaml", text.as_bytes(), Path::new("")).0.unwrap().default_gateway;
        assert_eq!(default(GOOD).as_deref(), Some("sandbox"));
        assert_eq!(default("gateways: {a: {kind: sandbox}, b: {kind: sandbox}}"), None);
    }

    #[test]
    fn a_mistake_elsewhere_hides_no_ledger() {
        let named = |text: &str| match from_bytes(Path::new("/etc/campaignd/campaignd.yaml"), text.as_bytes())
        {
            Err(LoadError::Problems { database, .. }) => database,
            other => panic!("{other:?}"),
        };
        let at = |path: &str| Some(PathBuf::from(path));
        assert_eq!(named("database: /var/lib/c.db\nbogus: 1\n"), at("/var/lib/c.db"));
        assert_eq!(named("bogus: 1\n"), at("/etc/campaignd/campaignd.db"));
        assert_eq!(named("database: [\n"), None);
    }

    #[test]
    fn a_folder_is_no_settings_file() {
        let folder = folder_with(&[]);
        let error = load_from(Some(folder.path()), &[], false).unwrap_err();
        assert!(matches!(error, LoadError::Unreadable { .. }), "{error}");
    }
}
