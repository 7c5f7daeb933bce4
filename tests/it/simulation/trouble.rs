//! Every trouble that a provider can make in a run: whoever is in doubt is looked up until the truth is
//! known, and everyone has the message once.

use campaignd::sandbox::{Fate, Profile};
use serde_json::{Value, json};

use super::{
    histories::{MESSAGE, ids, play, seconds},
    *,
};

/// Recipients of each campaign: four batches.
const PEOPLE: usize = 200;

const COUNTS: &str =
    "SELECT accepted || ' accepted ' || unknown || ' unknown' FROM run_summary WHERE campaign = 'a'";

/// How many got the message of the campaign: once, and more often. What was lost nobody got.
fn got(simulation: &Simulation) -> (usize, usize) {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    simulation.world.received(&sandbox::Filter::default(), |received| {
        if received.fate != Fate::Lost && received.operation_id.contains("-a@") {
            *times.entry(received.recipient.to_owned()).or_default() += 1;
        }
    });
    let once = times.values().filter(|times| **times == 1).count();
    (once, times.len() - once)
}

/// A campaign is sent under `faults`, which are lifted after so many minutes; others follow it. Gives what
/// is recorded, and who got it once and more often.
fn under(profile: Profile, faults: &Value, minutes: u64) -> (String, usize, usize) {
    play(async |simulation| {
        let options =
            Options { profile, seed: 1, users: Scale::Long.users(), groups: 3, ..Options::default() };
        simulation.world = Arc::new(World::new(&options, simulation.clock.clone()));
        for (name, schedule) in
            [("a", "at: 2026-11-11T00:01"), ("later", "every: 30m, from: 2026-11-11T00:21")]
        {
            let recipients = ids(PEOPLE as u32);
            let text = format!("{MESSAGE}\nrecvIDs: [{recipients}]\nschedules: [{{{schedule}}}]\n");
            simulation.write(&format!("{name}.yaml"), &text);
        }
        let daemon = simulation.daemon();
        seconds(30).await;
        simulation.world.set_faults(serde_json::from_value(faults.clone()).unwrap());
        seconds(minutes * 60).await;
        simulation.world.set_faults(Faults::default());
        seconds(80 * 60).await;
        daemon.stop().await;
        let (once, more) = got(simulation);
        (simulation.ask(COUNTS).concat(), once, more)
    })
}

#[test]
fn everyone_has_it_once_whatever_the_provider_did() {
    use Profile::{Main, Patch16};
    for (what, profile, faults, minutes) in [
        ("killed in a batch", Patch16, json!({"messageServiceKilled": {"recipients": 20, "times": 3}}), 10),
        ("failed though stored, and late", Main, json!({"failStoredEvery": 7, "storeLateMs": 600_000}), 10),
        (
            "stopped in a batch, and late",
            Patch16,
            json!({"cutAfter": {"recipients": 20, "times": 2}, "storeLateMs": 600_000}),
            10,
        ),
        ("no message service", Patch16, json!({"messageServiceDown": {"times": 1_000_000}}), 10),
        ("nobody checks tokens", Main, json!({"authDown": {"times": 1_000_000}}), 10),
        ("hanging after the work", Main, json!({"hang": {"times": 2, "afterWork": true}}), 10),
        ("hanging before the work", Main, json!({"hang": {"times": 2}}), 10),
        ("hanging for longer than we wait", Patch16, json!({"hang": {"times": 2, "forMs": 170_000}}), 10),
        ("the cache hangs", Main, json!({"cacheHangs": {"times": 2, "forMs": 35_000}}), 10),
        ("the cache hangs for longer", Patch16, json!({"cacheHangs": {"times": 2, "forMs": 90_000}}), 10),
        // Of whom the absence is proven.
        (
            "and loses some",
            Patch16,
            json!({"cacheHangs": {"times": 1, "forMs": 90_000, "loseEvery": 10}}),
            10,
        ),
        (
            "and look-ups leave out",
            Main,
            json!({"dropAnswer": {"times": 2}, "omitMessagesEvery": 3, "omitConversationsEvery": 5}),
            20,
        ),
        (
            "one partition of eight lags",
            Patch16,
            json!({"dropAnswer": {"times": 2}, "partitionLateMs": [0, 0, 0, 1_200_000]}),
            30,
        ),
        (
            "throttled with nonsense",
            Main,
            json!({"throttle": {"times": 3, "retryAfter": "-7"}, "dropAnswer": {"times": 1}}),
            10,
        ),
    ] {
        let (counts, once, more) = under(profile, &faults, minutes);
        let expected = ("200 accepted 0 unknown", PEOPLE, 0);
        assert_eq!((counts.as_str(), once, more), expected, "{what}, {profile:?}");
    }
}
