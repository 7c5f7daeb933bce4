//! Each example with its own settings file: checked as it stands, and sent by the daemon to a sandbox, both in
//! processes of their own. Only address and account are the sandbox's.

use std::{collections::BTreeMap, fs, path::Path};

use super::office::{free_port, outcomes, taken};
use crate::desk::{Desk, Process};

/// Sends an example. `mark` stands in its message; `reached` is whom the sandbox tells of, or how many they are.
#[track_caller]
fn check(name: &str, mark: &str, recorded: &[&str], reached: Result<&[&str], usize>) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let settings = package.join(format!("examples/settings/netease/{name}.yaml"));
    let campaigns = package.join(format!("examples/netease/{name}"));
    let port = free_port();
    let ours = fs::read_to_string(&settings)
        .unwrap()
        .replace("https://api.yunxinapi.com", &format!("http://127.0.0.1:{}", free_port()))
        .replace("https://api-cn-bak.yunxinapi.com", &format!("http://127.0.0.1:{port}"))
        .replace("https://im.example.com", &format!("http://127.0.0.1:{port}"))
        .replace("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "sandbox")
        .replace(&format!("../../netease/{name}"), "campaigns")
        .replace("../../../campaignd.db", "campaignd.db\nlisten: off");
    let desk = Desk::new(&ours, &[]);
    for entry in fs::read_dir(campaigns).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), desk.path("campaigns").join(entry.file_name())).unwrap();
    }
    // As it stands in the package.
    let said = desk.ends(&["--config", settings.to_str().unwrap(), "check", "--strict"], 0);
    assert!(said.err.contains("1 campaign"), "{}", said.err);
    let address = format!("127.0.0.1:{port}");
    let sandbox = desk.command(&["sandbox", "--listen", &address, "--users", "60", "--open"]);
    let _sandbox = Process::start(sandbox, "ready on");
    let mut serve = desk.command(&["serve"]);
    serve.env("YUNXIN_SECRET", "sandbox").env("COMMUNITY_SECRET", "sandbox");
    let daemon = Process::start(serve, "ready: ");
    desk.ends(&["send", name, "--yes", "--wait"], 0);
    daemon.stop();
    let expected: BTreeMap<String, String> =
        recorded.iter().map(|id| ((*id).to_owned(), "accepted".to_owned())).collect();
    assert_eq!(outcomes(&desk, name), expected);
    let taken = taken(port, mark);
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
    match reached {
        Ok(reached) => assert_eq!(taken.keys().collect::<Vec<_>>(), reached),
        Err(count) => assert_eq!(taken.len(), count),
    }
    desk.ends(&["db", "verify"], 0);
}

#[test]
fn a_text_goes_to_a_list() {
    let people = ["u1001", "u1002", "u1003"];
    check("text-to-a-list", "The spring sale begins.", &people, Ok(&people));
}

#[test]
fn a_notification_is_attached() {
    check("attach-notification", "catalogueChanged", &["u1001", "u1002"], Ok(&["u1001", "u1002"]));
}

#[test]
fn a_broadcast_is_one_delivery() {
    check("broadcast", "Maintenance tonight", &["*"], Ok(&["*"]));
}

#[test]
fn a_content_card_goes_to_people() {
    let people = ["531c506e48a340e5bff7eb72c6504250", "yucx_test_10400"];
    check("card-to-people", "Spring trade fair", &people, Ok(&people));
}

#[test]
fn a_content_card_goes_to_whom_the_selectors_find() {
    // Every sixth of the sandbox's users is of that area and type.
    check("card-by-selectors", "The fair opens", &["*"], Err(10));
}
