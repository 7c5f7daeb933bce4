//! What is packaged fits together: the unit, its user, and the settings file beside it.

use std::{fs, path::Path, time::Duration};

use campaignd::{
    gateway::{openim::settings::OpenIMSettings, secret::SecretSource},
    settings,
};

fn packaged(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd").join(name);
    fs::read_to_string(path).unwrap()
}

/// The value of a line `key=value` of the unit, which has it once.
#[track_caller]
fn unit(key: &str) -> String {
    let unit = packaged("campaignd.service");
    let values: Vec<&str> =
        unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect();
    assert_eq!(values.len(), 1, "{key}: {values:?}");
    values[0].to_owned()
}

#[test]
fn the_settings_fit_the_unit() {
    let text = packaged("campaignd.yaml");
    let (settings, problems) = settings::read("campaignd.yaml", text.as_bytes(), Path::new("/etc/campaignd"));
    assert!(problems.is_empty(), "{problems:?}");
    let settings = settings.unwrap();
    assert!(unit("ExecStart").contains("--config /etc/campaignd/campaignd.yaml"));
    assert_eq!(settings.campaigns, Path::new("/etc").join(unit("ConfigurationDirectory")).join("campaigns"));
    let state = Path::new("/var/lib").join(unit("StateDirectory"));
    assert_eq!(settings.database.parent(), Some(state.as_path()), "the unit may write there alone");
    let gateway: &dyn std::any::Any = settings.gateways["openim"].as_ref();
    let openim = gateway.downcast_ref::<OpenIMSettings>().unwrap();
    let credential = unit("LoadCredential").split(':').next().unwrap().to_owned();
    assert_eq!(openim.secret, SecretSource::Credential(credential));
    let stop_after: u64 = unit("TimeoutStopSec").trim_end_matches('s').parse().unwrap();
    assert!(openim.timeout < Duration::from_secs(stop_after), "a stop awaits what is in flight");
}

#[test]
fn the_units_user_is_made() {
    let (user, group) = (unit("User"), unit("Group"));
    assert_eq!(user, group);
    assert!(packaged("campaignd.sysusers.conf").lines().any(|line| line.starts_with(&format!("u {user} "))));
}
