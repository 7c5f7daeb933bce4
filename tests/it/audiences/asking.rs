//! `audience`: whom a campaign is for, and why somebody is not; the same as a run then finds.

use super::{SETTINGS, suppressing::outcomes};
use crate::desk::Desk;

const SALE: &str = "\
labels: {team: growth}
message: {contentType: text, content: {content: hi}}
recipients: [{file: lists/a.txt}, {ids: [u00001, u00002]}]
exclude: [{ids: [u00003, u00900]}]
notAgainWithin: 30d
cap: {perRecipient: 2/day, across: {team: growth}}
schedules: [{at: 2099-11-11T09:00}]
";

fn desk(campaigns: &[(&str, &str)]) -> Desk {
    let desk = Desk::new(SETTINGS, campaigns);
    std::fs::create_dir(desk.path("campaigns/lists")).unwrap();
    desk
}

fn run_of(out: &str) -> String {
    out.split_whitespace().find(|word| word.contains('@')).unwrap().to_owned()
}

#[test]
fn a_call_that_names_nobody_is_told_as_one_delivery() {
    let desk = desk(&[(
        "all.yaml",
        "message: {contentType: text, content: {content: hi}}\nisSendAll: true\ndelivery: {native: true}\n\
         schedules: [{at: 2040-01-01T00:00}]\n",
    )]);
    let said = desk.ends(&["audience", "all", "--list"], 0);
    assert_eq!(
        (said.out.as_str(), desk.ends(&["audience", "all", "--count"], 0).out.as_str()),
        ("*\n", "1\n")
    );
    let why = "whom `*` reaches the provider alone knows";
    assert!(said.err.contains(why), "{}", said.err);
    assert!(desk.ends(&["audience", "all", "--explain", "u00001"], 1).err.contains(why));
}

#[test]
fn an_audience_is_told_as_a_run_finds_it() {
    let desk = desk(&[("sale.yaml", SALE)]);
    desk.write("campaigns/lists/a.txt", "u00002\nu00003\nu00004\nu00005\nu00005\n");
    // There is no ledger yet.
    assert_eq!(desk.ends(&["audience", "sale", "--count"], 0).out, "4\n");
    let _daemon = desk.serve();
    desk.ends(&["suppress", "add", "u00004", "--reason", "asked us to stop"], 0);
    let told = desk.json(&["audience", "sale"]);
    assert_eq!(told["size"], 3);
    let list = &told["sources"][0];
    assert_eq!((&list["ids"], &list["distinct"], &list["shared"]), (&5.into(), &4.into(), &1.into()));
    assert_eq!(
        told["left_out"],
        serde_json::json!([
            {"reason_code": "exclude", "recipients": 1}, {"reason_code": "suppressed", "recipients": 1},
        ])
    );
    assert_eq!(desk.ends(&["audience", "sale", "--list"], 0).out, "u00001\nu00002\nu00005\n");
    for (id, expected) in [
        ("u00001", "u00001 is in: named by ids (2)\n  named by ids (2)\n"),
        (
            "u00003",
            "u00003 is out: exclude: named by `exclude`\n  named by lists/a.txt\n  excluded by ids (2)\n",
        ),
        ("u00004", "u00004 is out: suppressed: asked us to stop\n  named by lists/a.txt\n"),
        ("u00900", "u00900 is out: notNamed: no source names it\n  excluded by ids (2)\n"),
        ("u00999", "u00999 is out: notNamed: no source names it\n"),
    ] {
        assert_eq!(desk.ends(&["audience", "sale", "--explain", id], 0).out, expected);
    }
    let other = desk.ends(&["audience", "sale", "--explain", "U00001"], 0);
    assert!(
        other.out.contains("is out: notNamed") && other.err.contains("u00001 is named, which is another id"),
        "{}",
        other.err
    );
    let run = run_of(&desk.ends(&["send", "sale", "--yes", "--wait"], 0).out);
    assert_eq!(
        outcomes(&desk, &run),
        [
            "u00001 accepted",
            "u00002 accepted",
            "u00003 excluded exclude named by `exclude`",
            "u00004 excluded suppressed asked us to stop",
            "u00005 accepted",
        ]
    );
    // Whoever had it gets it no more.
    let again = run_of(&desk.ends(&["send", "sale", "--yes", "--again", "--wait"], 0).out);
    assert_eq!(outcomes(&desk, &again)[0], "u00001 excluded notAgainWithin had this campaign within 30d");
    assert_eq!(desk.ends(&["audience", "sale", "--count"], 0).out, "0\n");
}

#[test]
fn a_cap_counts_what_campaigns_with_its_labels_have_sent() {
    let campaign = |labels: &str| {
        format!(
            "labels: {labels}\nmessage: {{contentType: text, content: {{content: hi}}}}\nrecvIDs: [u00001, u00002]\n\
             cap: {{perRecipient: 2/day, across: {{team: growth}}}}\nschedules: [{{at: 2099-11-11T09:00}}]\n"
        )
    };
    let growth = campaign("{team: growth, year: 2026}");
    let desk = desk(&[
        ("one.yaml", &growth),
        ("two.yaml", &growth),
        ("three.yaml", &growth),
        ("other.yaml", &campaign("{team: sales}").replace("recvIDs: [u00001, u00002]", "recvIDs: [u00002]")),
    ]);
    let _daemon = desk.serve();
    // Test sends count for nothing.
    for _ in 0..3 {
        desk.ends(&["send", "one", "--to", "u00001", "--wait"], 0);
    }
    let send = |name: &str| run_of(&desk.ends(&["send", name, "--yes", "--wait"], 0).out);
    let capped = "excluded cap has had as many messages as the cap allows (2/day)";
    assert_eq!(outcomes(&desk, &send("one")), ["u00001 accepted", "u00002 accepted"]);
    assert_eq!(outcomes(&desk, &send("other")), ["u00002 accepted"], "of another team");
    assert_eq!(outcomes(&desk, &send("two")), ["u00001 accepted", "u00002 accepted"]);
    let third = outcomes(&desk, &send("three"));
    assert_eq!(third, [format!("u00001 {capped}"), format!("u00002 {capped}")]);
    desk.ends(&["db", "verify"], 0);
}

#[test]
fn a_sample_and_a_holdout_are_the_same_people_every_time() {
    let ids: String = (1..=400).map(|number| format!("u{number:05}\n")).collect();
    let campaign = "message: {contentType: text, content: {content: hi}}\nrecipients: [{file: lists/a.txt}]\n\
        sample: 50%\nholdout: 20%\nschedules: [{at: 2099-11-11T09:00}]\n";
    let desk = desk(&[("sale.yaml", campaign)]);
    desk.write("campaigns/lists/a.txt", &ids);
    let _daemon = desk.serve();
    let listed = desk.ends(&["audience", "sale", "--list"], 0).out;
    let told = desk.json(&["audience", "sale"]);
    assert!((120..=200).contains(&told["size"].as_u64().unwrap()), "{told}");
    assert!((150..=250).contains(&told["not_sampled"].as_u64().unwrap()), "{told}");
    let run = run_of(&desk.ends(&["send", "sale", "--yes", "--wait"], 0).out);
    let found = outcomes(&desk, &run);
    let accepted: String =
        found.iter().filter_map(|one| one.strip_suffix(" accepted")).map(|id| format!("{id}\n")).collect();
    assert_eq!(accepted, listed);
    let held =
        found.iter().filter(|one| one.ends_with("excluded holdout held out for comparison")).count() as u64;
    assert_eq!(held, told["left_out"][0]["recipients"].as_u64().unwrap());
}
