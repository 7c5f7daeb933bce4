//! The three bands and their arrows: who may know whom, and who alone knows an outside thing.

use super::source::{Source, sources};

/// The middle, from the top down: each layer may use those below it.
const MIDDLE: &[&[&str]] =
    &[&["plan"], &["revision", "run"], &["campaign"], &["document", "limits", "schedule"]];
/// The rim: each may use the middle and the clock, and no neighbour.
const RIM: &[&str] = &["audience", "clock", "folder", "gateway", "store"];
/// The shell may use everything.
const SHELL: &[&str] = &["cli", "daemon", "main", "review", "sandbox", "settings"];

/// What the middle never touches: it takes time and data as arguments and gives data back, so that
/// tables and properties can test it in microseconds.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "tokio::",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tracing::",
    "println!",
    "Mutex",
    "thread_rng",
];

/// Crates of which one place alone knows: (crate, where, why).
const ONE_PLACE: &[(&str, &[&str], &str)] = &[
    (
        "rusqlite",
        &["src/store/sqlite/"],
        "SQL is known to the store alone, so that another store can stand in",
    ),
    ("reqwest", &["src/gateway/"], "requests are made by gateways"),
    ("rustls", &["src/gateway/"], "the TLS provider is installed in one place"),
    ("notify", &["src/folder/"], "file events are hints that the folder alone understands"),
    ("saphyr_parser", &["src/document/yaml.rs"], "the YAML syntax is known to one file"),
    ("croner", &["src/schedule/"], "cron text is known to the schedule alone"),
    (
        "tokio_cron_scheduler",
        &["src/daemon/housekeeping.rs"],
        "nothing on the way of a message depends on it",
    ),
    (
        "axum",
        &["src/review.rs", "src/review/", "src/sandbox/"],
        "HTTP is served by the review and the sandbox",
    ),
    ("clap", &["src/cli/", "src/sandbox/command.rs"], "arguments are the command line's"),
    ("anyhow", &["src/cli/"], "inside, each error is one of a closed list"),
    ("comfy_table", &["src/cli/"], "tables are for people at a terminal"),
    ("sd_notify", &["src/cli/"], "the service manager is told by `serve`"),
];

/// The words by which SQL is recognised.
const SQL: &[&str] =
    &["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "CREATE TABLE", "PRAGMA ", "BEGIN IMMEDIATE"];

/// What the sandbox may know of the gateway it answers: how requests are carried, and how to make one.
const SANDBOX_MAY_USE: &[&str] = &[
    "gateway::Gateway",
    "gateway::Pending",
    "gateway::kind",
    "gateway::openim::Account",
    "gateway::openim::OpenIM",
    "gateway::openim::self",
    "gateway::openim::settings",
    "gateway::reading",
    "gateway::schema",
    "gateway::transport",
];

enum Band {
    Middle { layer: usize },
    Rim,
    Shell,
}

fn band(module: &str) -> Band {
    if let Some(layer) = MIDDLE.iter().position(|layer| layer.contains(&module)) {
        Band::Middle { layer }
    } else if RIM.contains(&module) {
        Band::Rim
    } else if SHELL.contains(&module) {
        Band::Shell
    } else {
        panic!("{module} stands in no band: give it a place here and on the map of ARCHITECTURE.md");
    }
}

/// Why `user` may not use `used`, if it may not.
fn forbidden(user: &str, used: &str) -> Option<&'static str> {
    match (band(user), band(used)) {
        _ if user == used => None,
        (Band::Middle { layer }, Band::Middle { layer: below }) if below > layer => None,
        (Band::Middle { .. }, Band::Middle { .. }) => {
            Some("in the middle arrows point down: plan, then revision and run, then campaign, then the rest")
        }
        (Band::Middle { .. }, _) => Some("the middle is pure: it knows neither the outside nor who asks"),
        (Band::Rim, Band::Middle { .. }) => None,
        (Band::Rim, Band::Rim) if used == "clock" && user != "clock" => None,
        (Band::Rim, Band::Rim) => Some("the parts of the rim do not know one another; the daemon joins them"),
        (Band::Rim, Band::Shell) => Some("arrows point down: the rim does not know who uses it"),
        (Band::Shell, _) => None,
    }
}

fn src() -> Vec<Source> {
    sources(&["src"])
}

/// Fails with all findings, each with its rule.
#[track_caller]
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn arrows_point_down() {
    let mut findings = Vec::new();
    for source in src() {
        let module = source.module();
        let Some(user) = module.first().copied() else { continue };
        for path in source.uses() {
            let used = path.split("::").next().unwrap_or_default();
            if let Some(rule) = forbidden(user, used) {
                findings.push(format!("{}: {user} uses {path}: {rule}", source.path));
            }
        }
    }
    none(findings);
}

#[test]
fn the_arrows_are_what_the_map_says() {
    for (user, used, allowed) in [
        ("plan", "run", true),
        ("run", "plan", false),
        ("run", "revision", false),
        ("campaign", "limits", true),
        ("limits", "campaign", false),
        ("run", "store", false),
        ("campaign", "clock", false),
        ("store", "run", true),
        ("store", "clock", true),
        ("store", "gateway", false),
        ("gateway", "sandbox", false),
        ("clock", "store", false),
        ("daemon", "store", true),
        ("sandbox", "gateway", true),
    ] {
        assert_eq!(forbidden(user, used).is_none(), allowed, "{user} -> {used}");
    }
}

#[test]
fn the_sandbox_shares_no_code_with_the_gateway() {
    let mut findings = Vec::new();
    for source in src().iter().filter(|source| source.path.starts_with("src/sandbox/")) {
        for path in source.uses() {
            let inside = path.starts_with("gateway::");
            if inside && !SANDBOX_MAY_USE.iter().any(|allowed| path.starts_with(allowed)) {
                findings.push(format!(
                    "{} uses {path}: the two share no code, so that one can find the other's mistakes",
                    source.path
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn the_middle_is_pure() {
    let mut findings = Vec::new();
    for source in src() {
        let Some(top) = source.module().first().copied() else { continue };
        if matches!(band(top), Band::Middle { .. }) {
            let impure = IMPURE.iter().filter(|word| source.code.contains(*word));
            findings.extend(
                impure.map(|word| format!("{}: {word:?}: no IO, no async, no clock here", source.path)),
            );
        }
    }
    none(findings);
}

#[test]
fn each_outside_thing_is_known_in_one_place() {
    let mut findings = Vec::new();
    for source in src() {
        for (name, places, why) in ONE_PLACE {
            let at_home = places.iter().any(|place| source.path.starts_with(place));
            if !at_home && names_crate(&source.code, name) {
                findings.push(format!("{} uses {name}: {why}", source.path));
            }
        }
        let sql = SQL.iter().filter(|word| source.code.contains(*word));
        if !source.path.starts_with("src/store/") {
            findings.extend(
                sql.map(|word| format!("{}: {word:?}: SQL is known to the store alone", source.path)),
            );
        }
    }
    none(findings);
}

/// Whether the code names a path of the crate, or takes it up whole.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        let after = &code[start + name.len()..];
        before.is_none_or(|char| !char.is_alphanumeric() && !matches!(char, '_' | ':' | '.'))
            && after.starts_with("::")
    })
}

#[test]
fn a_crate_is_recognised_by_its_paths() {
    assert!(names_crate("use notify::Watcher;", "notify"));
    assert!(names_crate("x(clap::Args)", "clap"));
    assert!(!names_crate("sd_notify::notify(x)", "notify"));
    assert!(!names_crate("a::clap::b", "clap"));
    assert!(!names_crate("notify(states)", "notify"));
}
