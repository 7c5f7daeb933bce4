//! A daemon and its provider are killed over and over, by SIGKILL, each in its own process: nobody gets
//! it twice, nobody is forgotten, and the ledger says what the provider took.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    desk::{PATIENCE, Process},
    dice::Dice,
    office::{Office, numbered, soon},
};

/// What is played.
#[derive(Debug, Clone, Copy)]
pub struct Play {
    pub seed: u64,
    pub recipients: u32,
    /// `delivery.onUnknown`: hold or reconcile.
    pub on_unknown: &'static str,
    /// From then on nothing is killed any more.
    pub most_kills: u32,
    /// The longest that both live, in milliseconds.
    pub longest_life_ms: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub kills_of_daemon: u32,
    pub kills_of_provider: u32,
    /// How many recipients have each outcome.
    pub outcomes: BTreeMap<String, usize>,
}

impl Told {
    pub fn kills(&self) -> u32 {
        self.kills_of_daemon + self.kills_of_provider
    }
}

/// Sends to so many while both are killed, until the run is over; then compares the ledger with the
/// provider's truth, which outlives its kills.
pub fn play(play: &Play) -> Told {
    let users = (play.recipients + 10).to_string();
    let sandbox = ["--users", &users, "--latency-ms", "1", "--keep", "truth"];
    let probe = format!("u{:05}", play.recipients + 1);
    let gateway = format!(
        "    batchSize: 50\n    concurrency: 4\n    timeout: 5s\n    settle: 2s\n    probe: {probe}\n"
    );
    let mut office = Office::open(&sandbox, &gateway);
    office.desk.write("campaigns/list.txt", &numbered(1, play.recipients));
    office.desk.write(
        "campaigns/killed.yaml",
        &format!(
            "message: {{contentType: text, content: {{content: hi}}}}\nrecipients: [{{file: list.txt}}]\n\
             schedules: [{{at: {}}}]\ndelivery: {{onUnknown: {}}}\n",
            soon(2),
            play.on_unknown
        ),
    );
    let mut dice = Dice::new(play.seed);
    let mut told = Told::default();
    let mut daemon = office.desk.serve();
    office.desk.until_newest("killed", |_, _| true);
    while told.kills() < play.most_kills && !is_over(&office) {
        std::thread::sleep(Duration::from_millis(dice.up_to(play.longest_life_ms) as u64));
        if dice.up_to(3) == 0 {
            office.server.take().unwrap().kill();
            // Now and then it stays away for a moment.
            std::thread::sleep(Duration::from_millis(dice.up_to(300) as u64));
            office.server = Some(Office::start(&office.desk, office.port, &sandbox));
            told.kills_of_provider += 1;
        } else {
            daemon.kill();
            office.desk.ends(&["db", "verify"], 0);
            // It need not be ready to be killed again.
            daemon = Process::start(office.desk.command(&["serve"]), "settings of");
            told.kills_of_daemon += 1;
        }
    }
    wait_for_the_end(&office);
    if told.kills_of_daemon > 0 {
        // Before that it does not know how to stop.
        daemon.hear("ready: ");
    }
    daemon.stop();
    told.outcomes = office.compare_beside("killed", &probe);
    let counted: usize = told.outcomes.values().sum();
    assert_eq!(counted, play.recipients as usize, "somebody is forgotten: {:?}", told.outcomes);
    told
}

fn is_over(office: &Office) -> bool {
    let review = office.desk.review();
    review.newest_run("killed").unwrap().is_some_and(|run| {
        let rows = review.run(&run).unwrap();
        rows.cell(0, "state").text() == "completed"
    })
}

/// After kills of the provider its gateway rests for a while.
fn wait_for_the_end(office: &Office) {
    for _ in 0..10 * PATIENCE.as_millis() / 100 {
        if is_over(office) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = office.desk.say(&["show", "killed"]);
    panic!("it never ends:\n{}{}", said.out, said.err);
}

#[test]
fn whoever_is_killed_sends_to_nobody_twice() {
    let told =
        play(&Play { seed: 1, recipients: 2_000, on_unknown: "hold", most_kills: 8, longest_life_ms: 400 });
    assert!(told.kills() > 0 && told.outcomes["accepted"] > 1_000, "{told:?}");
    assert!(
        told.outcomes.keys().all(|outcome| ["accepted", "unknown"].contains(&outcome.as_str())),
        "{told:?}"
    );
}
