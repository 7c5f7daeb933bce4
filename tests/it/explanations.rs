//! The explanations of problem codes: each is whole, its wrong example has that problem and no other, its
//! right one has none, and the page of all of them is what the table says.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use campaignd::document::{
    Code,
    explanation::{self, Example, ExampleKind, Explanation},
};
use serde_json::Value;

use crate::desk::Desk;

const SETTINGS: &str = "defaultGateway: openim\ngateways: {openim: {kind: sandbox}}\n";

/// A good campaign; the parts that an example has of its own take the place of these.
const HELLO: &[(&str, &str)] = &[
    ("id", "hello"),
    ("timezone", "Asia/Shanghai"),
    ("message", "{contentType: text, content: {content: \"hello!!\"}}"),
    ("recvIDs", "[u00001]"),
    ("schedules", "[{cron: \"0 9 * * *\"}]"),
];

/// The codes that `check` finds in an example.
fn codes(example: Example) -> BTreeSet<String> {
    let desk = Desk::new(SETTINGS, &[("hello.yaml", &completed(""))]);
    let of = match example.kind {
        ExampleKind::Campaign => {
            desk.write("campaigns/hello.yaml", &completed(example.text));
            ""
        }
        ExampleKind::Settings => {
            desk.write("campaignd.yaml", example.text);
            "campaignd.yaml"
        }
        ExampleKind::Commands => {
            let mut shell = Command::new("sh");
            shell.args(["-ec", example.text]).current_dir(desk.path("")).stdin(Stdio::null());
            assert!(shell.status().unwrap().success(), "{}", example.text);
            ""
        }
    };
    let said = desk.say(&["check", "--format", "json"]);
    let problems: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let word = |problem: &Value, key: &str| problem[key].as_str().unwrap().to_owned();
    let concerned = problems.iter().filter(|problem| of.is_empty() || word(problem, "file") == of);
    concerned.map(|problem| word(problem, "code")).collect()
}

/// The example with the good parts that it does not have itself.
fn completed(example: &str) -> String {
    let has = |key: &str| example.lines().any(|line| line.starts_with(&format!("{key}:")));
    let audience = ["recvIDs", "groupIDs", "recipients", "isSendAll"].iter().any(|key| has(key));
    let lacking = HELLO.iter().filter(|(key, _)| !(has(key) || *key == "recvIDs" && audience));
    let rest: String = lacking.map(|(key, value)| format!("{key}: {value}\n")).collect();
    if example.is_empty() { rest } else { format!("{}\n{rest}", example.trim_end()) }
}

#[test]
fn every_code_is_explained_whole() {
    for code in Code::ALL {
        let Explanation { what, why, wrong, right, .. } = Explanation::of(*code);
        for (name, text) in [("what", what), ("why", why), ("wrong", wrong.text), ("right", right.text)] {
            assert!(!text.is_empty(), "{code} does not say {name}: see src/document/explanation.rs");
        }
        let page = Explanation::of(*code).for_terminal();
        assert!(page.lines().all(|line| line.chars().count() <= 120), "{code} has a long line");
        assert!(!page.contains("```") && !page.contains("**"), "{page}");
    }
}

#[test]
fn codes_are_in_order_and_each_stands_once() {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
}

#[test]
fn the_examples_are_what_they_say() {
    for code in Code::ALL {
        let Explanation { wrong, right, .. } = Explanation::of(*code);
        assert_eq!(codes(wrong), BTreeSet::from([code.to_string()]), "wrong of {code}:\n{}", wrong.text);
        assert_eq!(codes(right), BTreeSet::new(), "right of {code}:\n{}", right.text);
    }
}

#[test]
fn the_page_of_problems_is_the_table() {
    let written = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/problems.md"));
    let same = written.is_ok_and(|page| page == explanation::page());
    assert!(same, "write it again: cargo run -- explain --markdown > docs/problems.md");
}
