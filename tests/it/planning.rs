//! `plan` and `next` with the built program: what a tree would change, and every occurrence to come.

use serde_json::{Value, json};

use crate::desk::Desk;

const SETTINGS: &str = "timezone: Asia/Shanghai\nlisten: \"off\"\ngateways: {sandbox: {kind: sandbox, limits: {recipients: 2/s}}}\n";

fn daily(rest: &str) -> String {
    format!(
        "message: {{contentType: text, content: {{content: hi}}}}\nrecvIDs: [u00001, u00002, u00003]\n{rest}\n"
    )
}

const AT_NINE: &str = "schedules: [{cron: \"0 9 * * *\"}]";

fn changes(plan: &Value) -> Vec<String> {
    let told =
        |row: &Value| format!("{} {}", row["campaign"].as_str().unwrap(), row["change"].as_str().unwrap());
    plan["campaigns"].as_array().unwrap().iter().map(told).collect()
}

#[test]
fn a_plan_tells_what_a_tree_would_change() {
    let named = |id: &str| daily(&format!("id: {id}\n{AT_NINE}"));
    let files = ["broken", "changed", "kept", "other", "removed", "renamed"];
    let texts: Vec<(String, String)> = files.iter().map(|id| (format!("{id}.yaml"), named(id))).collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let desk = Desk::new(SETTINGS, &files);
    // Without a ledger everything is new.
    let plan = desk.json(&["plan"]);
    assert!(changes(&plan).iter().all(|change| change.ends_with(" added")), "{plan}");
    desk.serve().stop();
    let plan = desk.json(&["plan"]);
    assert!(changes(&plan).iter().all(|change| change.ends_with(" same")), "{plan}");
    desk.write("campaigns/broken.yaml", "message: [");
    desk.write("campaigns/changed.yaml", &named("changed").replace("hi", "bye"));
    std::fs::remove_file(desk.path("campaigns/removed.yaml")).unwrap();
    std::fs::rename(desk.path("campaigns/renamed.yaml"), desk.path("campaigns/z.yaml")).unwrap();
    desk.write("campaigns/new.yaml", &named("new"));
    let plan = desk.json(&["plan", "--for", "1d"]);
    let expected = [
        "broken rejected",
        "changed changed",
        "kept same",
        "new added",
        "other same",
        "removed removed",
        "renamed renamed",
    ];
    assert_eq!(changes(&plan), expected);
    // What is rejected goes on as it was; what is removed does not.
    let due: Vec<&str> =
        plan["occurrences"].as_array().unwrap().iter().map(|row| row["campaign"].as_str().unwrap()).collect();
    assert_eq!(due, ["broken", "changed", "kept", "new", "other", "renamed"]);
    // One file alone is compared with its own campaign.
    assert_eq!(changes(&desk.json(&["plan", "campaigns/changed.yaml"])), ["changed changed"]);
}

/// What a person reads before a branch is put in force.
#[test]
fn a_plan_of_another_branch_tells_which_keys_change() {
    let named = |id: &str, rest: &str| daily(&format!("id: {id}\n{AT_NINE}\n{rest}"));
    let desk = Desk::new(
        SETTINGS,
        &[
            ("greeting.yaml", &named("greeting", "labels: {team: growth}")),
            ("written-otherwise.yaml", &named("written-otherwise", "")),
            ("only-on-main.yaml", &named("only-on-main", "")),
            ("renamed.yaml", &named("renamed", "")),
            ("same.yaml", &named("same", "")),
        ],
    );
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(args);
        assert!(command.current_dir(desk.path("")).status().unwrap().success(), "{args:?}");
    };
    desk.write(".gitignore", "*.db*\n");
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "main"]);
    git(&["checkout", "-qb", "autumn"]);
    let changed = named("greeting", "labels: {team: reach}").replace("0 9 *", "30 9 *").replace("hi", "bye");
    desk.write("campaigns/greeting.yaml", &changed.replace(", u00003]", ", u00003, u00004]"));
    desk.write("campaigns/written-otherwise.yaml", &("# why\n".to_owned() + &named("written-otherwise", "")));
    desk.write("campaigns/new.yaml", &named("new", ""));
    desk.write("campaigns/broken.yaml", "message: [");
    git(&["mv", "campaigns/renamed.yaml", "campaigns/moved.yaml"]);
    git(&["rm", "-q", "campaigns/only-on-main.yaml"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "autumn"]);
    git(&["checkout", "-q", "main"]);
    desk.serve().stop();
    git(&["checkout", "-q", "autumn"]);
    let said = desk.ends(&["plan", "--now", "2099-10-24T00:00:00Z", "--for", "1d"], 0);
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!("plan_of_another_branch", said.out + &said.err);
    });
    let plan = desk.json(&["plan", "--now", "2099-10-24T00:00:00Z"]);
    let keys = json!(["labels.team", "message.content.content", "recvIDs", "schedules[0].cron"]);
    let told = plan["campaigns"].as_array().unwrap();
    let greeting = told.iter().find(|row| row["campaign"] == "greeting").unwrap();
    let mut sorted: Vec<&str> =
        greeting["keys"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    sorted.sort_unstable();
    assert_eq!(json!(sorted), keys);
    // The other way round, from a tree elsewhere.
    git(&["checkout", "-q", "main"]);
    assert!(changes(&desk.json(&["plan", "campaigns"])).iter().all(|change| change.ends_with(" same")));
}

#[test]
fn a_plan_shows_each_occurrence_in_local_time() {
    let rest = "timezone: Europe/Berlin\nschedules: [{cron: \"30 2 * * *\", except: [2026-10-24]}]\nwindow: {between: \"00:00-03:00\"}";
    let desk = Desk::new(SETTINGS, &[("daily.yaml", &daily(rest))]);
    let plan = desk.json(&["plan", "--now", "2026-10-24T00:00:00Z", "--for", "2d"]);
    let occurrence = |due_at: &str, local: &str, note: Value| json!({"campaign": "daily", "due_at": due_at, "local": local, "zone": "Europe/Berlin", "note": note});
    assert_eq!(
        plan["occurrences"],
        json!([
            occurrence("2026-10-24T00:30:00.000Z", "2026-10-24T02:30:00+02:00", json!("excepted")),
            occurrence("2026-10-25T00:30:00.000Z", "2026-10-25T02:30:00+02:00", json!("dst: first of two")),
        ])
    );
    let said = desk
        .ends(&["plan", "--now", "2026-10-25T00:00:00Z", "--for", "1d", "--audience", "--format", "csv"], 0);
    let expected = "campaign,due_at,local,zone,note,recipients,calls,duration_s,finish\n\
                    daily,2026-10-25T00:30:00.000Z,2026-10-25T02:30:00+02:00,Europe/Berlin,dst: first of two,3,2,1,\
                    2026-10-25T02:30:01+02:00\n";
    assert_eq!(said.out, expected);
}

#[test]
fn a_removal_that_is_held_goes_on() {
    let files = ["a", "b", "c", "d"].map(|id| (format!("{id}.yaml"), daily(AT_NINE)));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let desk = Desk::new(SETTINGS, &files);
    desk.serve().stop();
    for id in ["a", "b", "c"] {
        std::fs::remove_file(desk.path(&format!("campaigns/{id}.yaml"))).unwrap();
    }
    let plan = desk.json(&["plan", "--for", "1d"]);
    assert_eq!(changes(&plan), ["a held", "b held", "c held", "d same"]);
    assert_eq!(plan["occurrences"].as_array().unwrap().len(), 4, "{plan}");
}

#[test]
fn a_plan_adds_up_what_a_day_is_asked_for() {
    let settings = SETTINGS.replace("recipients: 2/s", "recipients: 4/day");
    let everyone = daily(AT_NINE).replace("recvIDs: [u00001, u00002, u00003]", "isSendAll: true");
    let members =
        daily(AT_NINE).replace("recvIDs: [u00001, u00002, u00003]", "recipients: [{membersOf: g1}]");
    let campaigns =
        [("a.yaml", daily(AT_NINE)), ("b.yaml", daily(AT_NINE)), ("c.yaml", everyone), ("d.yaml", members)];
    let campaigns: Vec<(&str, &str)> = campaigns.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let desk = Desk::new(&settings, &campaigns);
    let args = ["plan", "--now", "2026-11-11T00:00:00Z", "--for", "1d", "--audience"];
    let plan = desk.json(&args);
    let quota = json!({"gateway": "sandbox", "day": "2026-11-11", "recipients": 6, "unsized_occurrences": 2, "limit": 4});
    assert_eq!(plan["quotas"], json!([quota]));
    let note = |row: usize| plan["occurrences"][row]["note"].as_str().unwrap();
    assert_eq!(note(2), "size not known: everyone whom the provider lists when it starts");
    assert_eq!(note(3), "size not known: the members of g1 are listed when it starts");
    let said = desk.ends(&args, 0);
    let shown = "Wed 2026-11-11  sandbox           6      4  and 2 occurrences whose size is not known, what is too much waits";
    assert!(said.out.contains(shown), "{}", said.out);
    // What is paused takes nobody's place.
    desk.serve().stop();
    desk.ends(&["pause", "a", "--why", "wrong picture"], 0);
    let plan = desk.json(&args);
    assert_eq!(
        (&plan["occurrences"][0]["note"], &plan["occurrences"][0]["recipients"]),
        (&json!("paused"), &Value::Null)
    );
    assert_eq!(plan["quotas"][0]["recipients"], 3);
}

#[test]
fn a_check_warns_of_a_run_that_is_not_over_in_time() {
    let warned = |rest: &str| {
        let desk = Desk::new(SETTINGS, &[("a.yaml", &daily(&format!("{AT_NINE}\n{rest}")))]);
        let said = desk.json(&["check"]);
        let told = said.as_array().unwrap().iter().map(|problem| {
            format!(
                "{} {} {}",
                problem["code"].as_str().unwrap(),
                problem["line"],
                problem["path"].as_str().unwrap()
            )
        });
        told.collect::<Vec<_>>()
    };
    let slow = "delivery: {limits: {recipients: 1/h}}";
    assert_eq!(warned(&format!("{slow}\nfinishWithin: 90m")), ["C026 5 finishWithin"]);
    assert_eq!(warned(&format!("{slow}\nfinishWithin: 3h")), [""; 0]);
    // Two of its three in the first hour, and the window is closed until after a day.
    let window = "window: {between: \"09:00-10:30\"}";
    assert_eq!(warned(&format!("{slow}\n{window}")), ["C026 0 "]);
    assert_eq!(warned("finishWithin: 1m"), [""; 0]);
}

#[test]
fn who_gets_another_message_costs_another_call() {
    let greeting = |template: &str| {
        let campaign = daily(&format!("{AT_NINE}\ndelivery: {{limits: {{calls: 1/h}}}}\nfinishWithin: 90m"));
        let audience = "recipients: [{file: people.csv, column: userID}]";
        campaign
            .replace("content: hi", &format!("content: '{template}'"))
            .replace("recvIDs: [u00001, u00002, u00003]", audience)
    };
    let settings = SETTINGS.replace("recipients: 2/s", "recipients: 1000/s");
    let desk = Desk::new(&settings, &[("a.yaml", &greeting("hi {{name}}")), ("b.yaml", &greeting("hi"))]);
    desk.write("campaigns/people.csv", "userID,name\nu00001,Li\nu00002,Han\nu00003,Li\nu00004,Wei\n");
    let plan = desk.json(&["plan", "--now", "2026-11-11T00:00:00Z", "--for", "1d", "--audience"]);
    let told = plan["occurrences"].as_array().unwrap().iter();
    let told =
        told.map(|row| format!("{} {} {} {}", row["campaign"], row["recipients"], row["calls"], row["note"]));
    let expected = ["\"a\" 4 3 \"beyond finishWithin\"", "\"b\" 4 1 null"];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let problems = desk.json(&["check"]);
    let told = problems.as_array().unwrap().iter();
    let told: Vec<String> = told.map(|one| format!("{} {}", one["code"], one["message"])).collect();
    let expected = "\"C026\" \"4 recipients in 3 calls take 2h";
    assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
    // Who cannot be filled in is nobody's cost: the run would not start.
    desk.write("campaigns/people.csv", "userID,name\nu00001,Li\nu00002,\n");
    let said = desk.ends(&["plan", "--now", "2026-11-11T00:00:00Z", "--for", "1d", "--audience"], 0);
    let expected = "a: its audience cannot be counted: the message for u00002: there is no value for name";
    assert!(said.err.contains(expected), "{}", said.err);
}

#[test]
fn an_expression_is_told_in_words_with_its_next_instants() {
    let desk = Desk::new(SETTINGS, &[]);
    let now = ["--now", "2026-11-13T00:00:00Z"];
    let args = [&["next", "0 9 * * MON-FRI", "--zone", "Asia/Shanghai", "-n", "2"], now.as_slice()].concat();
    let told = desk.json(&args);
    assert_eq!(told["words"], "At 09:00, on Monday, Tuesday, Wednesday, Thursday, and Friday.");
    let locals: Vec<&str> =
        told["occurrences"].as_array().unwrap().iter().map(|row| row["local"].as_str().unwrap()).collect();
    assert_eq!(locals, ["2026-11-13T09:00:00+08:00", "2026-11-16T09:00:00+08:00"]);
    desk.ends(&["next", "0 9 * * MONX", "--zone", "Asia/Shanghai"], 2);
    desk.ends(&["next", "0 9 * * *", "--zone", "Nowhere"], 2);
    desk.ends(&["next", "0 0 30 2 *", "--zone", "UTC"], 1);
}
