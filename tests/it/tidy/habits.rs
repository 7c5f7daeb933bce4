//! Habits of the house: no ambient clock, nothing unsafe, nothing unfinished, nothing that waits by
//! sleeping, files that hold one concept.

use super::source::{read, sources};

/// The most lines of code of one file; past it, it hides a second concept.
const LINES: usize = 450;

/// Files that may be longer, up to so many lines, and why.
const LONGER: &[(&str, usize, &str)] = &[
    (
        "src/store/sqlite/batches.rs",
        480,
        "beginning and settling a batch are the two halves of one promise, and are read together",
    ),
    (
        "src/store/sqlite/mod.rs",
        490,
        "the trait's methods, each handed on in a line to the file that knows its SQL",
    ),
];

/// Tests that may sleep, and why.
const SLEEPERS: &[(&str, &str)] = &[
    ("tests/it/desk.rs", "another process's ledger tells nobody when it changes; it is asked, with a limit"),
    (
        "tests/it/conformance/",
        "a server stores what it accepted some time later and tells nobody; it is asked, with a limit",
    ),
    ("tests/it/walking.rs", "the pace of people and programs that change files is part of what is rehearsed"),
    ("tests/it/nonsense.rs", "time is held still there, too"),
    ("tests/it/simulation/", "time is held still there: to sleep is to let virtual time pass"),
    ("tests/it/sandbox/", "time is held still there, too"),
    (
        "tests/it/sandbox.rs",
        "the world tells nobody when it has served a client that left; it is asked, with a limit",
    ),
    ("tests/it/disk.rs", "a frozen disk announces nothing: that nothing happens meanwhile takes its time"),
    ("tests/it/kills.rs", "kills come at instants that nothing announces"),
    ("tests/it/named_kills.rs", "what another process has half done tells nobody; it is asked, with a limit"),
];

/// Names that say nothing about what is inside.
const GRAB_BAGS: &[&str] =
    &["common", "helper", "helpers", "misc", "shared", "stuff", "types", "util", "utils"];

/// What `clippy.toml` forbids everywhere.
const AMBIENT: &[&str] = &[
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "tokio::time::Instant::now",
    "std::env::var",
    "std::env::var_os",
];
/// Who may do it all the same.
const AMBIENT_ALLOWED: &[&str] = &["src/clock.rs", "src/settings.rs", "src/settings/"];

#[track_caller]
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_clock_and_the_environment_are_read_in_one_place() {
    let clippy = read("clippy.toml");
    let forgotten = AMBIENT.iter().filter(|path| !clippy.contains(&format!("path = \"{path}\"")));
    let mut findings: Vec<String> = forgotten
        .map(|path| format!("clippy.toml does not forbid {path} any more: time is handed in"))
        .collect();
    for source in sources(&["src"]) {
        let excused = source.whole.contains("clippy::disallowed_methods");
        if excused && !AMBIENT_ALLOWED.iter().any(|place| source.path.starts_with(place)) {
            findings.push(format!("{}: take `now`, or hold a clock::Clock; ask the settings", source.path));
        }
    }
    none(findings);
}

#[test]
fn nothing_is_unsafe() {
    for path in ["src/lib.rs", "src/main.rs"] {
        assert!(read(path).contains("#![forbid(unsafe_code)]"), "{path}");
    }
}

#[test]
fn nothing_is_unfinished() {
    // In two parts, so that this file is not found itself.
    let marks =
        [("todo", "!"), ("unimplemented", "!"), ("TO", "DO"), ("FIX", "ME"), ("#[", "ignore"), ("dbg", "!(")]
            .map(|(head, tail)| format!("{head}{tail}"));
    let mut findings = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        let found = marks.iter().filter(|mark| source.whole.contains(*mark));
        findings.extend(found.map(|mark| format!("{}: {mark}: finish it, or leave it out", source.path)));
    }
    none(findings);
}

#[test]
fn tests_wait_for_events() {
    let naps = [("thread::", "sleep"), ("time::", "sleep(")].map(|(head, tail)| format!("{head}{tail}"));
    let mut findings = Vec::new();
    for source in sources(&["src", "tests"]) {
        if SLEEPERS.iter().any(|(place, _)| source.path.starts_with(place)) {
            continue;
        }
        let found = naps.iter().filter(|nap| source.tests.contains(*nap));
        findings.extend(found.map(|nap| format!("{}: {nap}: wait for what is to happen", source.path)));
    }
    none(findings);
}

#[test]
fn a_file_holds_one_concept() {
    let mut findings = Vec::new();
    for source in sources(&["src"]) {
        let lines = source.code.lines().count();
        let allowed =
            LONGER.iter().find(|(path, ..)| *path == source.path).map_or(LINES, |(_, lines, _)| *lines);
        if lines > allowed {
            let path = &source.path;
            findings.push(format!(
                "{path}: {lines} lines before its tests, {allowed} allowed: what does it hide?"
            ));
        }
    }
    none(findings);
}

#[test]
fn every_module_says_what_it_is() {
    let mut findings = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        // Tests beside their module are described by it.
        if !source.path.ends_with("/tests.rs") && !source.whole.starts_with("//!") {
            findings.push(format!("{}: its first line is no `//!` header", source.path));
        }
        let stem = source.path.trim_end_matches(".rs").rsplit('/').next().unwrap_or_default();
        if source.path.split('/').chain([stem]).any(|part| GRAB_BAGS.contains(&part)) {
            findings.push(format!("{}: a module is named after its concept", source.path));
        }
    }
    none(findings);
}

#[test]
fn the_crate_comment_names_every_module() {
    let map = read("src/lib.rs");
    let modules = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let forgotten: Vec<_> = modules.filter(|module| !map.contains(&format!("[`{module}`]"))).collect();
    assert!(forgotten.is_empty(), "not on the map of src/lib.rs: {forgotten:?}");
    let page = read("ARCHITECTURE.md");
    let modules = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let forgotten: Vec<_> = modules.filter(|module| !page.contains(&format!("`{module}`"))).collect();
    assert!(forgotten.is_empty(), "not on the map of ARCHITECTURE.md: {forgotten:?}");
}

#[test]
fn the_readmes_two_commands_are_really_those() {
    let readme = read("README.md");
    for command in ["cargo run --release -- serve", "tests/run"] {
        assert!(readme.lines().any(|line| line.trim() == command), "README.md does not say `{command}`");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read("Cargo.toml");
    let start = manifest.find("[dependencies]").unwrap();
    let lines: Vec<&str> = manifest[start..]
        .lines()
        .take_while(|line| !line.starts_with("[[") && !line.starts_with("[profile"))
        .collect();
    let bare = lines.windows(2).filter(|pair| pair[1].contains(" = ") && !pair[0].starts_with('#'));
    let bare: Vec<&str> = bare.map(|pair| pair[1]).collect();
    assert!(bare.is_empty(), "no reason above: {bare:?}");
}
