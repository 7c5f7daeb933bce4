//! Every call and every shape of both kinds under every fault: the daemon in a process, and a sandbox for each shape
//! in one of its own. The ledger is compared with what each sandbox took.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::office::{free_port, outcomes, taken};
use crate::{
    desk::{Desk, Process},
    office::{ask, soon},
};

/// How a message leaves.
struct Shape {
    /// Of its gateway, its campaign, and the mark in its message.
    name: &'static str,
    /// The gateway's settings besides address and account.
    gateway: &'static str,
    /// `MARK` is the shape's own.
    campaign: &'static str,
    /// How many messages stand in the truth when all went well.
    copies: usize,
}

/// The columns of the table. Three people are three calls of `single`, and one of all others.
const SHAPES: [Shape; 11] = [
    Shape {
        name: "batch",
        gateway: "kind: netease, call: batch",
        campaign: "message: {type: 0, body: {msg: MARK}}\nrecvIDs: [u00001, U00002, u00003]\n",
        copies: 3,
    },
    Shape {
        name: "single",
        gateway: "kind: netease, call: single",
        campaign: "message: {type: 0, body: {msg: MARK}}\nrecvIDs: [u00001, U00002, u00003]\n",
        copies: 3,
    },
    Shape {
        name: "attach",
        gateway: "kind: netease, call: attach",
        campaign: "message: {attach: {event: MARK}}\nrecvIDs: [u00001, U00002, u00003]\n",
        copies: 3,
    },
    Shape {
        name: "broadcast",
        gateway: "kind: netease",
        campaign: "message: {body: {banner: MARK}, isOffline: true}\nisSendAll: true\n",
        copies: 1,
    },
    Shape {
        name: "form-string",
        gateway: "kind: netease-send-to-all, encoding: form, body: string",
        campaign: "message: {from: notice, type: 0, body: {msg: MARK}}\nrecvIDs: [u00001, u00002, u00003]\n",
        copies: 3,
    },
    Shape {
        name: "form-double",
        gateway: "kind: netease-send-to-all, encoding: form, body: doubleEncoded",
        campaign: "message: {type: 0, body: {msg: MARK}}\nrecvIDs: [u00001, u00002, u00003]\n",
        copies: 3,
    },
    Shape {
        name: "json-string",
        gateway: "kind: netease-send-to-all, encoding: json, body: string",
        campaign: "message: {type: 0, body: {msg: MARK}}\nrecvIDs: [u00001, u00002, u00003]\n",
        copies: 3,
    },
    Shape {
        name: "json-object",
        gateway: "kind: netease-send-to-all, encoding: json, body: object, scalars: string",
        campaign: "message: {type: 2, body: {contenttitle: MARK}}\nrecvIDs: [u00001, u00002, u00003]\n",
        copies: 3,
    },
    Shape {
        name: "json-double",
        gateway: "kind: netease-send-to-all, encoding: json, body: doubleEncoded",
        campaign: "message: {type: 0, body: {msg: MARK}}\nrecvIDs: [u00001, u00002, u00003]\n",
        copies: 3,
    },
    Shape {
        name: "selectors",
        gateway: "kind: netease-send-to-all, encoding: form",
        campaign: "message: {areaid: \"370100\", enterptypeid: \"3\", type: 0, body: {msg: MARK}}\n",
        copies: 3,
    },
    Shape {
        name: "everyone",
        gateway: "kind: netease-send-to-all, encoding: json, body: object",
        campaign: "message: {type: 0, body: {msg: MARK}}\nisSendAll: true\n",
        copies: 20,
    },
];

/// What becomes of the shapes: of `batch`, of `single`, of `attach`, of `broadcast`, and of all that leave by
/// `netease-send-to-all`, which can neither be asked again nor looked up.
struct Ends {
    batch: &'static str,
    single: &'static str,
    attach: &'static str,
    broadcast: &'static str,
    to_all: &'static str,
}

impl Ends {
    /// All of them alike.
    const fn all(end: &'static str) -> Ends {
        Ends { batch: end, single: end, attach: end, broadcast: end, to_all: end }
    }

    /// Answers that are lost on their way: the provider's own calls are made again, to the letter; others are held.
    const fn lost(held: &'static str) -> Ends {
        Ends { to_all: held, ..Ends::all("accepted") }
    }

    /// Nothing was done, and no answer says so: where the history proves it, it is asked again. That of broadcasts
    /// would need a later one.
    const fn not_done(held: &'static str) -> Ends {
        let broadcast = "unknown notProven";
        Ends { batch: "accepted", single: "accepted", broadcast, ..Ends::all(held) }
    }

    fn of(&self, shape: &str) -> &'static str {
        match shape {
            "batch" => self.batch,
            "single" => self.single,
            "attach" => self.attach,
            "broadcast" => self.broadcast,
            _ => self.to_all,
        }
    }
}

/// How a desk is set up.
struct Scene {
    desk: Desk,
    ports: BTreeMap<&'static str, u16>,
    servers: Vec<Process>,
}

impl Scene {
    /// A desk with a gateway and a campaign for each shape, and another campaign behind those that can be looked up.
    /// `first_host` stands before the right address where a kind takes several; `PORT` is the right one's.
    fn new(first_host: Option<&str>) -> Scene {
        let mut settings = "listen: off\ntimezone: Asia/Shanghai\ngateways:\n".to_owned();
        let mut ports = BTreeMap::new();
        for Shape { name, gateway, .. } in &SHAPES {
            let port = free_port();
            ports.insert(*name, port);
            let base = format!("http://127.0.0.1:{port}/nimserver");
            let rest = match (gateway.contains("send-to-all"), first_host) {
                (true, _) => format!("url: {base}/msg/sendMsgToAll.action"),
                (false, None) => format!("url: {base}, settle: 1s, defaults: {{from: notice}}"),
                (false, Some(first)) => {
                    let first = first.replace("PORT", &port.to_string());
                    format!("url: [\"{first}\", \"{base}\"], settle: 1s, defaults: {{from: notice}}")
                }
            };
            settings += &format!(
                "  {name}: {{{gateway}, {rest}, appKey: sandbox, appSecret: {{file: secret}}, timeout: 3s, concurrency: 1}}\n"
            );
        }
        let desk = Desk::new(&settings, &[]);
        desk.write("secret", "sandbox\n");
        Scene { desk, ports, servers: Vec::new() }
    }

    fn start_servers(&mut self, faults: &Value) {
        for port in self.ports.values() {
            let listen = format!("127.0.0.1:{port}");
            let server = self.desk.command(&["sandbox", "--listen", &listen, "--users", "20"]);
            self.servers.push(Process::start(server, "ready on"));
            ask(*port, "PUT", "/sandbox/faults", &faults.to_string());
        }
    }

    fn write_campaigns(&self, change: impl Fn(&str) -> String) {
        for Shape { name, campaign, .. } in &SHAPES {
            let campaign = change(&campaign.replace("MARK", &format!("mark-{name}")));
            self.write(name, &format!("gateway: {name}\n{campaign}"), 2);
        }
        // What shows how far the provider has come.
        for name in ["batch", "single"] {
            let campaign = format!(
                "gateway: {name}\nmessage: {{type: 0, body: {{msg: later}}}}\nrecvIDs: [u00010]\nlateness: {{max: 1h}}\n"
            );
            self.write(&format!("later-{name}"), &campaign, 6);
        }
    }

    fn write(&self, id: &str, campaign: &str, seconds: i64) {
        let schedules = format!("schedules: [{{at: {}}}]\n", soon(seconds));
        self.desk.write(&format!("campaigns/{id}.yaml"), &format!("{campaign}{schedules}"));
    }

    /// The ledger against the truth: nobody twice, whoever was accepted has it, nobody else but the unknown.
    #[track_caller]
    fn compare(&self, shape: &Shape, expected: &str) {
        let Shape { name, copies, .. } = shape;
        let outcomes = outcomes(&self.desk, name);
        let mut ends: Vec<&str> = outcomes.values().map(String::as_str).collect();
        ends.dedup();
        let (all, some) = expected.split_once(", some ").unwrap_or((expected, ""));
        let fits = |end: &&str| *end == all || *end == some;
        assert!(ends.iter().all(fits) && ends.contains(&all), "{name}: {outcomes:?}, expected {expected}");
        let taken = taken(self.ports[name], &format!("mark-{name}"));
        assert!(taken.values().all(|times| *times == 1), "{name}: got it twice: {taken:?}");
        let names_all = outcomes.contains_key("*");
        match all {
            "accepted" if some.is_empty() => assert_eq!(taken.len(), *copies, "{name}: {taken:?}"),
            "accepted" => {}
            all if all.starts_with("unknown") => {}
            _ => assert_eq!(taken, BTreeMap::new(), "{name}"),
        }
        if !names_all {
            for (recipient, outcome) in &outcomes {
                let got = taken.contains_key(recipient);
                assert!(
                    outcome.starts_with("unknown") || got == (outcome == "accepted"),
                    "{name}: {recipient} {outcome}"
                );
            }
        }
    }

    #[track_caller]
    fn compare_all(&self, ends: &Ends) {
        for shape in &SHAPES {
            self.desk.until_newest(shape.name, |state, _| ["completed", "failed"].contains(&state));
        }
        for shape in SHAPES.iter().filter(|shape| !ends.of(shape.name).is_empty()) {
            self.compare(shape, ends.of(shape.name));
        }
        self.desk.ends(&["db", "verify"], 0);
    }
}

/// Every shape under these faults, whose first call they hit.
#[track_caller]
fn check(faults: Value, ends: Ends) {
    check_changed(faults, str::to_owned, ends);
}

/// Scenes that wait most of the time, at once.
#[track_caller]
fn at_once<T: Send>(scenes: impl IntoIterator<Item = T>, play: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for one in scenes {
            scope.spawn(|| play(one));
        }
    });
}

/// The same with other campaigns.
#[track_caller]
fn check_changed(faults: Value, change: impl Fn(&str) -> String, ends: Ends) {
    let mut scene = Scene::new(None);
    scene.start_servers(&faults);
    scene.write_campaigns(change);
    let daemon = scene.desk.serve();
    scene.compare_all(&ends);
    daemon.stop();
}

#[test]
fn nothing_wrong() {
    check(json!({}), Ends::all("accepted"));
}

#[test]
fn the_connection_is_cut_after_the_work() {
    check(json!({"dropAnswer": {"times": 1}}), Ends::lost("unknown noAnswer"));
}

#[test]
fn no_answer_comes() {
    check(json!({"hang": {"times": 1, "afterWork": true}}), Ends::lost("unknown timeout"));
}

#[test]
fn the_work_is_done_long_after_nobody_waits_any_more() {
    check(json!({"hang": {"times": 1, "forMs": 5_000}}), Ends::lost("unknown timeout"));
}

#[test]
fn the_answer_drips() {
    check(json!({"drip": {"times": 1, "pauseMs": 1_000}}), Ends::lost("unknown timeout"));
}

#[test]
fn half_of_the_answer_comes() {
    check(json!({"netease": {"truncate": {"times": 1}}}), Ends::lost("unknown unreadable"));
}

#[test]
fn an_empty_answer_comes() {
    let faults = json!({"netease": {"truncate": {"times": 1, "bytes": 0}}});
    check(faults, Ends::lost("unknown unreadable"));
}

#[test]
fn a_repeated_request_is_refused_with_431() {
    let faults = json!({"dropAnswer": {"times": 1}, "netease": {"repeatedIs431": true}});
    check(faults, Ends { attach: "unknown noAnswer", ..Ends::lost("unknown noAnswer") });
}

#[test]
fn an_error_comes_after_the_work() {
    let faults = json!({"netease": {"codeAfter": {"code": 500, "times": 1}}});
    check(faults, Ends { attach: "unknown 500", to_all: "unknown 500", ..Ends::all("accepted") });
}

#[test]
fn an_error_comes_before_the_work() {
    let faults = json!({"netease": {"codeBefore": {"code": 500, "times": 1}}});
    check(faults, Ends::not_done("unknown 500"));
}

#[test]
fn a_proxy_gives_up() {
    let faults = json!({"httpStatus": {"status": 502, "times": 1}});
    check(faults, Ends::not_done("unknown http502"));
}

#[test]
fn the_provider_is_busy() {
    at_once([503, 449], |code| {
        check(json!({"netease": {"codeBefore": {"code": code, "times": 1}}}), Ends::all("accepted"));
    });
}

#[test]
fn a_416_storm_is_waited_out() {
    check(
        json!({"netease": {"codeBefore": {"code": 416, "desc": "query too fast", "times": 1}}}),
        Ends::all("accepted"),
    );
}

#[test]
fn the_clock_is_expired() {
    at_once([301, -3_600], |ahead| {
        check(json!({"netease": {"clockAheadS": ahead}}), Ends::all("accepted"));
    });
}

#[test]
fn ids_are_large_and_codes_are_texts() {
    check(json!({"netease": {"bigIds": true, "codeAsText": true}}), Ends::all("accepted"));
}

#[test]
fn somebody_is_not_registered() {
    // What an application does not know it drops without a word.
    let stranger = |campaign: &str| campaign.replace("u00003]", "u00003, ghost]");
    at_once(["text", "list"], |written| {
        let ends = Ends { broadcast: "", to_all: "", ..Ends::all("accepted, some refused unregistered") };
        check_changed(json!({"netease": {"unregister": written}}), stranger, ends);
    });
}

#[test]
fn moderation_stops_it() {
    // Nobody documents how the other calls would tell.
    let ends = Ends { batch: "", attach: "", broadcast: "", ..Ends::all("refused antispam") };
    check(json!({"netease": {"antispam": "mark-"}}), ends);
}

#[test]
fn the_sender_is_not_registered() {
    let nobody = |campaign: &str| campaign.replace("from: notice, ", "").replacen('{', "{from: nobody, ", 1);
    check_changed(
        json!({}),
        nobody,
        Ends { broadcast: "failed 414", ..Ends::all("failed 414, some failed notAsked") },
    );
}

#[test]
fn the_application_is_suspended() {
    check(json!({"netease": {"suspended": true}}), Ends::all("failed 403, some failed notAsked"));
}

#[test]
fn the_first_host_is_down_or_cannot_speak_tls() {
    let down = format!("http://127.0.0.1:{}/nimserver", free_port());
    at_once([down.as_str(), "https://127.0.0.1:PORT/nimserver"], |first| {
        let mut scene = Scene::new(Some(first));
        scene.start_servers(&json!({}));
        scene.write_campaigns(str::to_owned);
        let daemon = scene.desk.serve();
        scene.compare_all(&Ends::all("accepted"));
        daemon.stop();
    });
}

#[test]
fn nobody_listens_at_first() {
    let mut scene = Scene::new(None);
    scene.write_campaigns(str::to_owned);
    let daemon = scene.desk.serve();
    scene.desk.until_newest("batch", |state, _| state == "paused");
    scene.start_servers(&json!({}));
    scene.compare_all(&Ends::all("accepted"));
    daemon.stop();
}
