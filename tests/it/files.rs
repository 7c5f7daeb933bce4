//! Campaign and settings files: good ones are taken, bad ones are told apart with their problems
//! beside them, and everything that the repository shows to people is good.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use campaignd::{
    audience::{ListOrder, read_list},
    campaign::{
        self, Audience, Campaign,
        audience::RecipientID,
        file::{Context, ListFileState},
        source::ListFile,
    },
    cli::{
        new,
        problems::{self, Format},
    },
    document::{Code, Problem, Severity},
    folder::read_dates,
    gateway::{kind::GatewaySettings, openim::settings::OpenIMSettings, secret::SecretSource},
    sandbox::settings::SandboxSettings,
    settings::{self, Settings},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use proptest::{collection::vec, prelude::*};
use regex_lite::Regex;
use serde_json::Value;

/// Paths in problems are relative to the package.
fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder with YAML endings, as paths relative to the package.
fn yaml_files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(package(folder)).unwrap().map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if path.ends_with(".yaml") || path.ends_with(".yml") {
            files.push(path);
        } else if folder.starts_with("examples/")
            && entry.file_type().unwrap().is_dir()
            && !path.ends_with("/lists")
        {
            files.extend(yaml_files(&path));
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn stem(path: &str) -> &str {
    Path::new(path).file_stem().unwrap().to_str().unwrap()
}

/// Settings with one gateway that speaks OpenIM.
fn one_gateway(zone: Option<TimeZone>) -> Settings {
    let gateway: Arc<dyn GatewaySettings> = Arc::new(SandboxSettings::default());
    Settings {
        zone,
        default_gateway: Some("openim".to_owned()),
        gateways: [("openim".to_owned(), gateway)].into(),
        ..Settings::built_in()
    }
}

/// Reads a campaign file of the package as it is, or other bytes in its place.
fn read(path: &str, bytes: Option<&[u8]>, settings: &Settings) -> (Option<Campaign>, Vec<Problem>) {
    let bytes = bytes.map_or_else(|| fs::read(package(path)).unwrap(), <[u8]>::to_vec);
    let folder = package(path).parent().unwrap().to_owned();
    let look = |list: &ListFile| match fs::metadata(folder.join(&list.path)) {
        Ok(metadata) if metadata.len() > 0 => {
            let read = read_list(&ListOrder::ids(&folder.join(&list.path), list), &mut |_, _| Ok(()));
            ListFileState::Filled { columns: read.unwrap().columns }
        }
        Ok(_) => ListFileState::Empty,
        Err(_) => ListFileState::Missing,
    };
    let dates = |path: &str| read_dates(&folder.join(path));
    let gateways = settings.dialects();
    let context = Context {
        now: "2026-06-01T00:00:00Z".parse().unwrap(),
        default_zone: settings.zone.clone(),
        default_gateway: settings.default_gateway.clone(),
        gateways: &gateways,
        list_file: Some(&look),
        dates: Some(&dates),
    };
    campaign::file::read(path, &bytes, &context)
}

fn human(problems: &[Problem]) -> String {
    problems::write(problems, Format::Human { colours: false }, &|path| {
        fs::read(package(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    })
}

fn shanghai() -> TimeZone {
    TimeZone::get("Asia/Shanghai").unwrap()
}

/// The campaign of a good fixture, which has no problem at all.
#[track_caller]
fn good(path: &str, settings: &Settings) -> Campaign {
    let (campaign, problems) = read(path, None, settings);
    assert!(problems.is_empty(), "{}", human(&problems));
    campaign.unwrap()
}

#[test]
fn good_campaigns_are_taken() {
    for path in yaml_files("tests/fixtures/campaigns/good") {
        good(&path, &one_gateway(Some(shanghai())));
    }
}

#[test]
fn a_campaign_written_by_another_program_is_the_same() {
    let settings = one_gateway(Some(shanghai()));
    for path in yaml_files("tests/fixtures/campaigns/good") {
        let text = fs::read_to_string(package(&path)).unwrap();
        let value: serde_yaml::Value = serde_yaml::from_str(text.trim_start_matches('\u{feff}')).unwrap();
        let written = serde_yaml::to_string(&value).unwrap();
        let (again, problems) = read(&path, Some(written.as_bytes()), &settings);
        assert_eq!(again, Some(good(&path, &settings)), "{written}\n{}", human(&problems));
    }
}

#[test]
fn what_is_not_said_has_the_documented_default() {
    let campaign = good("tests/fixtures/campaigns/good/shortest.yaml", &one_gateway(Some(shanghai())));
    assert_eq!(campaign.id.as_str(), "shortest");
    assert!(campaign.enabled && campaign.exclude.is_empty() && campaign.labels.is_empty());
    assert_eq!(campaign.gateway, "openim");
    assert_eq!(campaign.message.0["sendID"], "notice");
    assert_eq!(campaign.lateness.max, SignedDuration::from_mins(15));
    assert_eq!(campaign.finish_within, SignedDuration::from_hours(24));
    assert_eq!((campaign.delivery.batch_size, campaign.delivery.concurrency), (100, 4));
    assert_eq!(slots(&campaign, 1), ["2026-11-11T01:00:00Z"]);
}

/// The first slots of a campaign after the tests' present, in UTC.
fn slots(campaign: &Campaign, count: usize) -> Vec<String> {
    let next =
        |after: Timestamp| campaignd::schedule::next_slot(&campaign.schedules, &campaign.calendar, after);
    std::iter::successors(next("2026-06-01T00:00:00Z".parse().unwrap()), |slot| next(*slot))
        .take(count)
        .map(|slot| slot.to_string())
        .collect()
}

#[test]
fn ids_are_kept_digit_for_digit() {
    let campaign = good("tests/fixtures/campaigns/good/windows.yml", &one_gateway(Some(shanghai())));
    let ids = ["012", "9948077346"].map(|id| RecipientID::new(id).unwrap());
    assert_eq!(campaign.audience, Audience::Named(ids.to_vec()));
    assert_eq!(campaign.message.0["content"]["content"], "你好\r\n再见");
}

#[test]
fn a_repeated_hour_means_its_first() {
    let campaign = good("tests/fixtures/campaigns/good/repeated-hour.yaml", &one_gateway(None));
    assert_eq!(slots(&campaign, 1), ["2026-10-25T00:30:00Z"]);
}

/// Compares the problems of a bad file with the snapshot beside it.
fn bad(path: &str, problems: &[Problem]) {
    assert!(!problems.is_empty(), "{path} has no problem");
    insta::with_settings!({
        snapshot_path => package(path).parent().unwrap(),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(stem(path), human(problems));
    });
}

#[test]
fn bad_campaigns_are_told_with_all_their_problems() {
    let mut codes = BTreeSet::new();
    for path in yaml_files("tests/fixtures/campaigns/bad") {
        let (campaign, problems) = read(&path, None, &one_gateway(None));
        let has_error = problems.iter().any(|problem| problem.severity == Severity::Error);
        assert_eq!(campaign.is_none(), has_error, "{path}");
        codes.extend(problems.iter().map(|problem| problem.code));
        bad(&path, &problems);
    }
    // These need a large file, a folder, or settings.
    let elsewhere = [
        Code::Unreadable,
        Code::TooLarge,
        Code::NotSupported,
        Code::TooLong,
        Code::DuplicateID,
        Code::LiteralSecret,
        Code::Settings,
    ];
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !codes.contains(code)).copied().collect();
    assert_eq!(missing, elsewhere);
}

#[test]
fn good_settings_are_taken() {
    for path in yaml_files("tests/fixtures/settings/good") {
        let (settings, problems) =
            settings::read(&path, &fs::read(package(&path)).unwrap(), Path::new("/etc/campaignd"));
        assert!(problems.is_empty(), "{}", human(&problems));
        assert_eq!(settings.unwrap().campaigns, Path::new("/etc/campaignd/campaigns"));
    }
}

#[test]
fn bad_settings_are_told_without_their_secrets() {
    for path in yaml_files("tests/fixtures/settings/bad") {
        let (settings, problems) = settings::read(&path, &fs::read(package(&path)).unwrap(), Path::new(""));
        assert!(settings.is_none(), "{path}");
        for format in [Format::Human { colours: true }, Format::JSON, Format::GitHub] {
            let text = problems::write(&problems, format, &|path| fs::read_to_string(package(path)).ok());
            assert!(!text.contains("hunter2"), "{text}");
        }
        bad(&path, &problems);
    }
}

#[test]
fn what_is_shown_to_people_is_good() {
    for path in yaml_files("campaigns") {
        good(&path, &Settings::built_in());
    }
    let mut settings = BTreeMap::new();
    for path in yaml_files("examples/settings") {
        let (read, problems) = settings::read(&path, &fs::read(package(&path)).unwrap(), Path::new(""));
        assert!(problems.is_empty(), "{}", human(&problems));
        settings.insert(path, read.unwrap());
    }
    for provider in ["openim", "netease"] {
        for path in yaml_files(&format!("examples/{provider}")) {
            good(&path, &settings[&format!("examples/settings/{provider}.yaml")]);
        }
    }
}

#[test]
fn a_new_campaign_file_is_good_and_sends_nothing_yet() {
    let id = "my-campaign".parse().unwrap();
    for (gateway, all) in [(None, false), (None, true), (Some("sandbox"), false), (Some("sandbox"), true)] {
        let text = new::text(&id, gateway, settings::kind("sandbox").unwrap(), all);
        let (campaign, problems) =
            read("campaigns/my-campaign.yaml", Some(text.as_bytes()), &Settings::built_in());
        assert!(problems.is_empty(), "{text}\n{}", human(&problems));
        assert!(!campaign.unwrap().enabled);
        // Whoever removes a comment sign gets a file without unknown keys, too.
        let uncommented = text.replace("\n# gateway:", "\ngateway:").replace("  # - {", "  - {");
        let (_, problems) =
            read("campaigns/my-campaign.yaml", Some(uncommented.as_bytes()), &Settings::built_in());
        assert!(problems.iter().all(|problem| problem.code != Code::UnknownKey), "{}", human(&problems));
    }
}

/// Whether a schema takes a value: as much of JSON Schema as ours use.
fn takes(schema: &Value, root: &Value, value: &Value) -> bool {
    let Some(schema) = schema.as_object() else { return schema == &Value::Bool(true) };
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other}"),
    };
    schema.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$ref" => takes(root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(), root, value),
        "type" => match rule {
            Value::String(name) => is(name),
            names => names.as_array().unwrap().iter().any(|name| is(name.as_str().unwrap())),
        },
        "anyOf" => rule.as_array().unwrap().iter().any(|rule| takes(rule, root, value)),
        "oneOf" => rule.as_array().unwrap().iter().filter(|rule| takes(rule, root, value)).count() == 1,
        "not" => !takes(rule, root, value),
        "enum" => rule.as_array().unwrap().contains(value),
        "const" => rule == value,
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, value)| rule.get(key).is_none_or(|rule| takes(rule, root, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let named = |key: &String| schema.get("properties").is_some_and(|named| named.get(key).is_some());
            object.iter().filter(|(key, _)| !named(key)).all(|(_, value)| takes(rule, root, value))
        }),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| takes(rule, root, item))),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| {
            Regex::new(rule.as_str().unwrap())
                .unwrap_or_else(|error| panic!("{rule}: {error}"))
                .is_match(text)
        }),
        "minLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap())
        }
        "$schema" | "$defs" | "title" | "description" | "format" | "default" | "examples" => true,
        other => panic!("keyword {other}"),
    })
}

#[track_caller]
fn check_schema(schema: &Value, folders: &[&str]) {
    for path in folders.iter().flat_map(|folder| yaml_files(folder)) {
        let text = fs::read_to_string(package(&path)).unwrap();
        let value: Value = serde_yaml::from_str(text.trim_start_matches('\u{feff}')).unwrap();
        assert!(takes(schema, schema, &value), "{path}");
    }
    let unknown = serde_json::json!({ "unknown": 1 });
    assert!(!takes(schema, schema, &unknown));
}

#[test]
fn the_schemas_take_what_the_check_takes() {
    let campaigns = ["tests/fixtures/campaigns/good", "campaigns", "examples/openim", "examples/netease"];
    check_schema(&campaign::schema::schema(), &campaigns);
    check_schema(&settings::schema(), &["tests/fixtures/settings/good", "examples/settings"]);
}

/// Every key with where it stands, its description, and its part of the schema.
fn keys<'a>(place: &str, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        found.push((format!("{place}.{key}"), value));
        keys(&format!("{place}.{key}"), value, found);
    }
    for word in ["items", "additionalProperties"] {
        if let Some(part) = schema.get(word) {
            keys(&format!("{place}[]"), part, found);
        }
    }
    for word in ["anyOf", "oneOf"] {
        // A choice that is explained itself has one key.
        let choices = schema[word].as_array().into_iter().flatten();
        choices
            .filter(|choice| choice.get("description").is_none())
            .for_each(|choice| keys(place, choice, found));
    }
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        keys(name, definition, found);
    }
}

/// An editor explains and completes each key: it has a description, and examples or the words it takes.
#[track_caller]
fn check_explained(schema: &Value) {
    let mut found = Vec::new();
    keys("", schema, &mut found);
    assert!(found.len() > 40);
    let mut missing = Vec::new();
    for (key, part) in found {
        // What is not supported yet takes nothing.
        if part.get("not").is_some() {
            continue;
        }
        let text = part.to_string();
        let completes = ["\"examples\"", "\"enum\"", "\"boolean\""].iter().any(|word| text.contains(word));
        if !completes {
            missing.push(format!("{key} has no example"));
        }
        for example in part["examples"].as_array().into_iter().flatten() {
            assert!(takes(part, schema, example), "{key}: {example}");
        }
        if part.get("description").is_none() {
            missing.push(format!("{key} has no description"));
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_schemas_explain_and_complete_each_key() {
    check_explained(&campaign::schema::schema());
    check_explained(&settings::schema());
}

fn openim<'a>(settings: &'a Settings, name: &str) -> &'a OpenIMSettings {
    let gateway: &dyn Any = settings.gateways[name].as_ref();
    gateway.downcast_ref().unwrap()
}

#[test]
fn settings_are_completed_and_paths_stand_beside_their_file() {
    let path = "tests/fixtures/settings/good/everything.yaml";
    let (settings, _) = settings::read(path, &fs::read(package(path)).unwrap(), Path::new("/etc/campaignd"));
    let settings = settings.unwrap();
    let server = openim(&settings, "openim");
    assert_eq!(server.url, "http://127.0.0.1:10002");
    assert_eq!(server.secret, SecretSource::Env("OPENIM_SECRET".to_owned()));
    assert_eq!(server.figures.limits.headroom_percent, 10);
    assert_eq!(server.figures.limits.recipients.len(), 2);
    let proxied = openim(&settings, "behind-a-proxy");
    assert_eq!(proxied.secret, SecretSource::File("/etc/campaignd/secrets/openim".into()));
    assert_eq!((proxied.figures.concurrency, proxied.figures.batch_size), (4, 100));
    assert_eq!(proxied.timeout.as_secs(), 60);
}

/// What stands somewhere instead of a value, in the property of the schema.
const VALUES: &[&str] = &[
    "1",
    "0",
    "-1",
    "1.5",
    "012",
    "true",
    "\"true\"",
    "~",
    "text",
    "\"\"",
    "[]",
    "{}",
    "[a]",
    "[1]",
    "{a: b}",
    "90s",
    "\"90s\"",
    "200/s",
    "[1/s, 5/h]",
    "20%",
    "2026-11-11",
    "2026-11-11T09:00",
    "\"2026-11-11T09:00:30+08:00\"",
    "MON-FRI",
    "[MON, fri]",
    "\"09:00-21:00\"",
    "skip",
    "queue",
    "all",
    "none",
    "latest",
    "shift",
    "omit",
    "both",
    "hold",
    "resend",
    "reconcile",
    "u00001",
    "123",
    "Asia/Shanghai",
    "\"* * * * *\"",
    "\"@daily\"",
    "2s..5m",
];

/// How many values stand in a document, itself included.
fn count_values(value: &serde_yaml::Value) -> usize {
    1 + match value {
        serde_yaml::Value::Mapping(entries) => entries.values().map(count_values).sum(),
        serde_yaml::Value::Sequence(items) => items.iter().map(count_values).sum::<usize>(),
        _ => 0,
    }
}

/// Puts another value in the place of one, or takes it out of its mapping.
fn replace(value: &mut serde_yaml::Value, place: &mut usize, with: Option<&serde_yaml::Value>) -> bool {
    if *place == 0 {
        if let Some(with) = with {
            *value = with.clone();
        }
        return true;
    }
    *place -= 1;
    match value {
        serde_yaml::Value::Mapping(entries) => {
            let keys: Vec<serde_yaml::Value> = entries.keys().cloned().collect();
            for key in keys {
                let is_here = *place == 0;
                if replace(entries.get_mut(&key).unwrap(), place, with) {
                    if is_here && with.is_none() {
                        entries.remove(&key);
                    }
                    return true;
                }
            }
            false
        }
        serde_yaml::Value::Sequence(items) => items.iter_mut().any(|item| replace(item, place, with)),
        _ => false,
    }
}

/// Changes one value of a good file; what the reader still takes, the schema must take as well.
fn check_change(path: &str, place: usize, with: Option<&str>, schema: &Value, taken: &dyn Fn(&str) -> bool) {
    let text = fs::read_to_string(package(path)).unwrap();
    let mut document: serde_yaml::Value = serde_yaml::from_str(text.trim_start_matches('\u{feff}')).unwrap();
    let with: Option<serde_yaml::Value> = with.map(|with| serde_yaml::from_str(with).unwrap());
    let mut place = place % count_values(&document);
    replace(&mut document, &mut place, with.as_ref());
    let written = serde_yaml::to_string(&document).unwrap();
    if taken(&written) {
        let value: Value = serde_yaml::from_str(&written).unwrap();
        assert!(takes(schema, schema, &value), "it is taken, and the schema refuses it:\n{written}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_campaign_schema_rejects_nothing_that_is_taken(
        file in 0_usize..100, place in 0_usize..10_000, with in proptest::option::of(0..VALUES.len()),
    ) {
        thread_local! {
            static SCHEMA: Value = campaign::schema::schema();
        }
        let files = yaml_files("tests/fixtures/campaigns/good");
        let settings = one_gateway(Some(shanghai()));
        let taken = |text: &str| read("changed.yaml", Some(text.as_bytes()), &settings).0.is_some();
        SCHEMA.with(|schema| {
            check_change(&files[file % files.len()], place, with.map(|with| VALUES[with]), schema, &taken);
        });
    }

    #[test]
    fn the_settings_schema_rejects_nothing_that_is_taken(
        file in 0_usize..100, place in 0_usize..10_000, with in proptest::option::of(0..VALUES.len()),
    ) {
        thread_local! {
            static SCHEMA: Value = settings::schema();
        }
        let files = yaml_files("tests/fixtures/settings/good");
        let taken = |text: &str| settings::read("changed.yaml", text.as_bytes(), Path::new("/etc")).0.is_some();
        SCHEMA.with(|schema| {
            check_change(&files[file % files.len()], place, with.map(|with| VALUES[with]), schema, &taken);
        });
    }
}

proptest! {
    /// A file that was cut, shuffled or scribbled into is read or refused, and only errors refuse.
    #[test]
    fn a_damaged_file_is_read_or_told(
        cuts in vec((0_usize..60, 0_usize..60), 0..6),
        scribble in "[-a-z0-9:{}\\[\\]\"'~*&!|.,@/ ]{0,12}",
        at in 0_usize..3_000,
    ) {
        let text = fs::read_to_string(package("tests/fixtures/campaigns/good/everything.yaml")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        for (from, to) in cuts {
            let line = lines.remove(from % lines.len());
            lines.insert(to % (lines.len() + 1), line);
        }
        let mut text = lines.join("\n");
        text.insert_str(text.floor_char_boundary(at.min(text.len())), &scribble);
        let (campaign, problems) = read("damaged.yaml", Some(text.as_bytes()), &one_gateway(Some(shanghai())));
        let refused = problems.iter().any(|problem| problem.severity == Severity::Error);
        prop_assert_eq!(campaign.is_none(), refused, "{}\n{}", text, human(&problems));
    }
}
