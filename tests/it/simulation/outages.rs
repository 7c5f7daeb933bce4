//! Providers that are down, slow, out of their mind or too busy: the run waits or its recipients get a truthful
//! outcome, and what is told is what a person on call needs.

use campaignd::{
    gateway::{
        Pending,
        openim::{Account, OpenIM},
        transport::{self, RawAnswer, Transport, TransportFault},
    },
    sandbox::faults::{ErrCode, HTTPStatus, Throttle, Times},
};

use super::{
    histories::{MESSAGE, RUNS, Running, SetClock, ids, play, seconds},
    *,
};

/// How the newest run stands, as people are told.
const TOLD: &str = "SELECT state || ': ' || coalesce(reason, '') FROM run_summary";
const COUNTS: &str =
    "SELECT state || ' ' || accepted || ' accepted ' || refused || ' refused ' || failed || ' failed '
    || unknown || ' unknown ' || pending || ' pending' FROM run_summary ORDER BY run";
const CALLS: &str = "SELECT CAST(count(*) AS TEXT) FROM attempt_log WHERE kind = 'send'";
const BREAKER: &str = "SELECT breaker FROM gateway_status";

/// A campaign for `count` recipients at a minute past, in calls of ten, one at a time.
fn campaign(count: u32, delivery: &str) -> String {
    format!(
        "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\nlateness: {{max: 12h}}\n\
         delivery: {{batchSize: 10, concurrency: 1, onUnknown: hold{delivery}}}\n",
        ids(count)
    )
}

/// Hits every request, or every one that sends.
fn always(path: Option<&str>) -> Times {
    Times { times: u32::MAX, path: path.map(str::to_owned) }
}

#[test]
fn a_provider_that_is_down_for_hours_costs_nobody() {
    play(async |simulation| {
        simulation.world.set_faults(Faults { unreachable: Some(always(Some("/"))), ..Faults::default() });
        simulation.write("a.yaml", &campaign(30, ""));
        let daemon = simulation.daemon();
        seconds(3 * 3_600).await;
        assert_eq!(
            simulation.ask(TOLD),
            [
                "paused: breaker: sandbox is out of order: no admin token: the sandbox takes no connection (unreachable)"
            ]
        );
        assert_eq!(simulation.ask("SELECT last_state FROM campaign_status"), ["paused"]);
        assert_eq!(
            simulation.ask("SELECT substr(since, 12, 8) || ' ' || breaker FROM gateway_status"),
            ["00:01:00 open"]
        );
        simulation.world.set_faults(Faults::default());
        seconds(301).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 30 accepted 0 refused 0 failed 0 unknown 0 pending"]);
        assert_eq!(simulation.ask(BREAKER), ["closed"]);
        daemon.stop().await;
    });
}

#[test]
fn a_provider_that_fails_everyone_without_a_reason_uses_up_a_batch_and_those_who_try() {
    play(async |simulation| {
        simulation.write("a.yaml", &campaign(100, ""));
        let daemon = simulation.daemon();
        let everyone = (1..=100).map(|number| format!("u{number:05}")).collect();
        simulation.world.set_faults(Faults { refuse: everyone, ..Faults::default() });
        seconds(60 + 120).await;
        // Ten, then one each after 2, 4, 8, 16, 32 and 64 seconds, less what is still to come.
        assert_eq!(simulation.ask(COUNTS), ["paused 0 accepted 0 refused 0 failed 15 unknown 85 pending"]);
        assert_eq!(
            simulation.ask(TOLD),
            [
                "paused: breaker: sandbox is out of order: all 1 recipients of a call failed without a reason, which is \
              how an outage looks (everyoneFailed)"
            ]
        );
        simulation.world.set_faults(Faults::default());
        seconds(300).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 85 accepted 0 refused 0 failed 15 unknown 0 pending"]);
        daemon.stop().await;
    });
}

#[test]
fn a_wrong_sender_pauses_its_own_run_alone() {
    play(async |simulation| {
        let wrong = campaign(30, "").replace("message: {", "message: {sendID: nobody, ");
        simulation.write("a.yaml", &wrong);
        simulation.write("b.yaml", &campaign(30, ""));
        let daemon = simulation.daemon();
        seconds(90).await;
        assert_eq!(
            simulation.ask("SELECT state || ': ' || coalesce(reason, '') FROM run_summary ORDER BY run"),
            [
                "paused: sender: the sender \"nobody\" is not registered (1004); resume when that is mended",
                "completed: "
            ]
        );
        assert_eq!(simulation.ask(BREAKER), ["closed"]);
        daemon.stop().await;
    });
}

#[test]
fn a_throttle_that_never_ends_holds_the_gateway_and_uses_up_no_try() {
    play(async |simulation| {
        let throttle = |retry_after: &str| {
            let retry_after = Some(retry_after.to_owned());
            Faults {
                throttle: Some(Throttle { retry_after, times: u32::MAX, path: None }),
                ..Faults::default()
            }
        };
        simulation.world.set_faults(throttle("60"));
        simulation.write("a.yaml", &campaign(30, ", retry: {attempts: 1}"));
        let daemon = simulation.daemon();
        seconds(3_600).await;
        assert_eq!(simulation.ask(COUNTS), ["running 0 accepted 0 refused 0 failed 0 unknown 30 pending"]);
        let calls: u32 = simulation.ask(CALLS)[0].parse().unwrap();
        assert!((55..=60).contains(&calls), "{calls} calls in an hour of a minute each");
        assert_eq!(
            simulation.ask("SELECT quiet_code || ' ' || quiet_reason FROM gateway_status"),
            ["429 the provider asks to slow down"]
        );
        // A restart does not forget what was asked.
        daemon.stop().await;
        let daemon = simulation.daemon();
        seconds(5).await;
        let after: u32 = simulation.ask(CALLS)[0].parse().unwrap();
        assert!(after <= calls + 1, "{after} calls after {calls}");
        simulation.world.set_faults(Faults::default());
        seconds(70).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 30 accepted 0 refused 0 failed 0 unknown 0 pending"]);
        daemon.stop().await;
    });
}

#[test]
fn a_provider_that_refuses_every_token_is_not_stormed() {
    play(async |simulation| {
        let code = ErrCode { code: 1_501, times: u32::MAX, path: None };
        simulation.world.set_faults(Faults { err_code: Some(code), ..Faults::default() });
        simulation.write("a.yaml", &campaign(30, ", retry: {attempts: 1}"));
        let daemon = simulation.daemon();
        seconds(3_600).await;
        assert_eq!(simulation.ask(COUNTS), ["paused 0 accepted 0 refused 0 failed 0 unknown 30 pending"]);
        let calls: u32 = simulation.ask(CALLS)[0].parse().unwrap();
        assert!(calls < 40, "{calls} calls");
        simulation.world.set_faults(Faults::default());
        seconds(301).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 30 accepted 0 refused 0 failed 0 unknown 0 pending"]);
        daemon.stop().await;
    });
}

#[test]
fn garbage_is_no_answer_and_uses_up_few() {
    play(async |simulation| {
        let page = HTTPStatus { status: 200, times: u32::MAX, path: None };
        simulation.world.set_faults(Faults { http_status: Some(page), ..Faults::default() });
        simulation.write("a.yaml", &campaign(100, ""));
        let daemon = simulation.daemon();
        seconds(60 + 120).await;
        assert_eq!(simulation.ask(COUNTS), ["paused 0 accepted 0 refused 0 failed 15 unknown 85 pending"]);
        simulation.world.set_faults(Faults::default());
        seconds(300).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 85 accepted 0 refused 0 failed 15 unknown 0 pending"]);
        daemon.stop().await;
    });
}

#[test]
fn a_slow_provider_is_waited_for() {
    play(async |simulation| {
        simulation.world.set_faults(Faults { latency_ms: 5_000.0, ..Faults::default() });
        simulation.write("a.yaml", &campaign(30, ""));
        let daemon = simulation.daemon();
        seconds(1_000).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 30 accepted 0 refused 0 failed 0 unknown 0 pending"]);
        daemon.stop().await;
    });
}

#[test]
fn tries_that_are_used_up_fail_with_the_reason() {
    play(async |simulation| {
        let code = ErrCode { code: 14, times: 1, path: None };
        simulation.world.set_faults(Faults { err_code: Some(code), ..Faults::default() });
        simulation.write("a.yaml", &campaign(30, ", retry: {attempts: 1}"));
        let daemon = simulation.daemon();
        seconds(120).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 20 accepted 0 refused 10 failed 0 unknown 0 pending"]);
        assert_eq!(
            simulation.ask(
                "SELECT DISTINCT reason_code || ' ' || reason FROM delivery_log WHERE outcome = 'failed'"
            ),
            ["14 SandboxFault: on demand (tried 1 times)"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_batch_that_fails_for_its_own_sake_lets_the_others_pass_and_is_tried_again_later() {
    const DOWN: &[u8] = br#"{"errCode":14,"errMsg":"no"}"#;
    const LEFT: &str = "SELECT accepted || ' accepted ' || pending || ' pending' FROM run_summary";
    play(async |simulation| {
        simulation.write("a.yaml", &campaign(50, ", retry: {attempts: 3, backoff: \"1m..10m\"}"));
        let daemon = simulation.picky_daemon(&["u00007"], DOWN, 200);
        seconds(80).await;
        assert_eq!(simulation.ask(LEFT), ["40 accepted 10 pending"]);
        let calls = simulation.ask(CALLS);
        // After a restart it waits as before.
        daemon.stop().await;
        let daemon = simulation.picky_daemon(&["u00007"], DOWN, 200);
        seconds(20).await;
        assert_eq!(simulation.ask(CALLS), calls);
        seconds(12 * 3_600).await;
        let told = simulation
            .ask("SELECT DISTINCT outcome || ' ' || reason FROM delivery_log WHERE outcome <> 'accepted'");
        assert_eq!(told, ["failed no (tried 3 times)"]);
        let failed = simulation.ask("SELECT recipient FROM delivery_log WHERE outcome = 'failed'");
        assert!(failed.contains(&"u00007".to_owned()) && failed.len() < 10, "{failed:?}");
        daemon.stop().await;
    });
}

/// A provider that refuses every request which names one of these, with this answer.
struct Picky {
    inner: sandbox::transport::InProcess,
    bad: Vec<String>,
    answer: &'static [u8],
    status: u16,
}

impl Transport for Picky {
    fn post<'a>(&'a self, post: transport::Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async move {
            let text = String::from_utf8_lossy(&post.body);
            if post.path == "/msg/batch_send_msg" && self.bad.iter().any(|id| text.contains(id)) {
                return Ok(RawAnswer {
                    status: self.status,
                    retry_after: None,
                    date: None,
                    body: self.answer.to_vec(),
                });
            }
            self.inner.post(post).await
        })
    }
}

impl Simulation {
    fn picky_daemon(&self, bad: &[&str], answer: &'static [u8], status: u16) -> Running {
        let picky = Picky {
            inner: sandbox::transport::InProcess::new(self.world.clone()),
            bad: bad.iter().map(|id| (*id).to_owned()).collect(),
            answer,
            status,
        };
        let account = Account { concurrency: 3, ..sandbox::account() };
        let gateway = OpenIM::new(account, Arc::new(picky), self.clock.clone());
        let mut parts = self.parts(&Arc::default());
        parts.gateways.0.get_mut("sandbox").unwrap().gateway = Arc::new(gateway);
        Running::start(parts)
    }
}

const REFUSED: &[u8] = br#"{"errCode":1001,"errMsg":"ArgsError","errDlt":"bad id"}"#;

#[test]
fn one_bad_recipient_costs_nobody_else_the_message() {
    play(async |simulation| {
        simulation.write("a.yaml", &campaign(50, ""));
        let daemon = simulation.picky_daemon(&["u00007", "u00033"], REFUSED, 400);
        seconds(120).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 48 accepted 2 refused 0 failed 0 unknown 0 pending"]);
        assert_eq!(
            simulation.ask("SELECT recipient || ' ' || reason_code || ' ' || reason FROM delivery_log WHERE outcome = 'refused'"),
            ["u00007 1001 ArgsError: bad id", "u00033 1001 ArgsError: bad id"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_request_that_is_refused_whoever_is_in_it_fails_its_run_after_few_calls() {
    play(async |simulation| {
        simulation.write("a.yaml", &campaign(100, ""));
        let daemon = simulation.picky_daemon(&["u"], REFUSED, 400);
        seconds(120).await;
        assert_eq!(simulation.ask(COUNTS), ["failed 0 accepted 0 refused 100 failed 0 unknown 0 pending"]);
        assert_eq!(simulation.ask(CALLS), ["16"]);
        assert_eq!(
            simulation.ask(TOLD),
            ["failed: the provider refuses the request: 1001 ArgsError: bad id"]
        );
        daemon.stop().await;
    });
}

/// A campaign for a hundred, whose provider's proxy knows no such call for five minutes from before it on; another to
/// one person comes before that, or not.
#[track_caller]
fn check_proxy(of_netease: bool, is_reached_before: bool, expected: &str) {
    play(async |simulation| {
        simulation.netease = of_netease.then(|| netease::NetEase::new(1, Scale::Long));
        let to_whom = |file: String| {
            let netease = "gateway: batch\nmessage: {type: 0, body: {msg: hi}}";
            if of_netease { file.replace(MESSAGE, netease) } else { file }
        };
        simulation.write("a.yaml", &to_whom(campaign(100, "")));
        if is_reached_before {
            simulation.write("0.yaml", &to_whom(campaign(1, "").replace("T00:01", "T00:00:30")));
        }
        let daemon = simulation.daemon();
        seconds(50).await;
        let http_status = Some(HTTPStatus { status: 404, times: u32::MAX, path: None });
        simulation.world.set_faults(Faults { http_status, ..Faults::default() });
        seconds(300).await;
        simulation.world.set_faults(Faults::default());
        seconds(600).await;
        assert_eq!(simulation.ask(COUNTS).last().unwrap(), expected);
        daemon.stop().await;
    });
}

#[test]
fn what_turns_everything_away_for_a_while_costs_nobody_where_the_provider_has_answered() {
    for of_netease in [false, true] {
        let all = "completed 100 accepted 0 refused 0 failed 0 unknown 0 pending";
        check_proxy(of_netease, true, all);
        // Nothing shows that the address is right.
        check_proxy(of_netease, false, "failed 0 accepted 0 refused 100 failed 0 unknown 0 pending");
    }
}

#[test]
fn a_run_of_which_too_many_fail_stops_and_goes_on_when_it_is_told_to() {
    play(async |simulation| {
        let strangers: Vec<String> = (1..=60).map(|number| format!("nobody{number:02}")).collect();
        simulation.write(
            "a.yaml",
            &campaign(40, ", stopWhen: {failureRate: 20%, after: 30}")
                .replace("recvIDs: [", &format!("recvIDs: [{}, ", strangers.join(", "))),
        );
        let daemon = simulation.daemon();
        seconds(90).await;
        let told = simulation.ask(TOLD);
        assert!(told[0].starts_with("paused: stopWhen: "), "{told:?}");
        assert!(
            told[0].ends_with(" were refused or failed, which is more than 20%; resume it to go on"),
            "{told:?}"
        );
        let calls = |simulation: &Simulation| simulation.ask(CALLS)[0].parse::<u32>().unwrap();
        let before = calls(simulation);
        assert!(before < 8, "{before} of ten calls");
        let run = Target::Run(RunID::from_text("a@20261111T000100Z".to_owned()));
        simulation.act(&run, Control::Resume);
        seconds(30).await;
        assert!(calls(simulation) >= before + 3, "it paused again at once");
        simulation.act(&run, Control::Resume);
        seconds(30).await;
        simulation.act(&run, Control::Resume);
        seconds(30).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 40 accepted 60 refused 0 failed 0 unknown 0 pending"]);
        daemon.stop().await;
    });
}

#[test]
fn a_clock_that_is_set_by_a_day_neither_shortens_nor_lengthens_what_is_waited_for() {
    for ahead_seconds in [-86_400, 86_400] {
        play(async |simulation| {
            let clock = SetClock::new(simulation.clock.clone());
            simulation.world.set_faults(Faults { unreachable: Some(always(Some("/"))), ..Faults::default() });
            simulation.write(
                "a.yaml",
                &campaign(30, "")
                    .replace("max: 12h", "max: 72h")
                    .replace("delivery", "finishWithin: 96h\ndelivery"),
            );
            let mut parts = simulation.parts(&Arc::default());
            parts.clock = clock.clone();
            let daemon = Running::start(parts);
            seconds(3_600).await;
            clock.set(ahead_seconds);
            seconds(60).await;
            simulation.world.set_faults(Faults::default());
            seconds(301).await;
            assert_eq!(
                simulation.ask(COUNTS),
                ["completed 30 accepted 0 refused 0 failed 0 unknown 0 pending"],
                "{ahead_seconds}"
            );
            daemon.stop().await;
        });
    }
}

#[test]
fn a_breaker_stays_open_over_a_restart_and_so_does_the_wait() {
    play(async |simulation| {
        simulation.world.set_faults(Faults { unreachable: Some(always(Some("/"))), ..Faults::default() });
        simulation.write("a.yaml", &campaign(30, ""));
        let daemon = simulation.daemon();
        seconds(3_600).await;
        let standing = "SELECT since || ' ' || failures FROM gateway_status";
        let before = simulation.ask(standing);
        daemon.stop().await;
        let daemon = simulation.daemon();
        seconds(1).await;
        assert_eq!(simulation.ask(standing), before);
        assert_eq!(simulation.ask(BREAKER), ["open"]);
        simulation.world.set_faults(Faults::default());
        seconds(301).await;
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 30 pending 0 expired 0 cancelled 0"]);
        daemon.stop().await;
    });
}

#[test]
fn a_disk_that_is_full_stops_the_sending_and_nothing_is_lost_when_it_is_not() {
    play(async |simulation| {
        simulation.write("a.yaml", &campaign(50, ""));
        let daemon = simulation.daemon();
        seconds(10).await;
        simulation.spoil(
            "CREATE TRIGGER full BEFORE INSERT ON attempt BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        );
        seconds(3_600).await;
        assert_eq!(simulation.ask(COUNTS), ["running 0 accepted 0 refused 0 failed 0 unknown 50 pending"]);
        simulation.spoil(
            "DROP TRIGGER full;
             CREATE TRIGGER full BEFORE INSERT ON delivery BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        );
        seconds(600).await;
        // One call left: its answer waits to be recorded, and nothing leaves behind it.
        assert_eq!(simulation.ask(CALLS), ["1"]);
        simulation.spoil("DROP TRIGGER full");
        seconds(60).await;
        assert_eq!(simulation.ask(COUNTS), ["completed 50 accepted 0 refused 0 failed 0 unknown 0 pending"]);
        daemon.stop().await;
    });
}

/// A clock of which every seventh reading is a day ahead: somebody sets it, and sets it back.
struct Jumpy {
    steady: Arc<ElapsedClock>,
    readings: std::sync::atomic::AtomicI64,
}

impl Clock for Jumpy {
    fn now(&self) -> Timestamp {
        let reading = self.readings.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.steady.now() + SignedDuration::from_hours(if reading % 7 == 0 { 24 } else { 0 })
    }

    fn steady(&self) -> Timestamp {
        self.steady.now()
    }
}

#[test]
fn an_intent_that_the_clock_makes_old_is_withdrawn_and_nobody_is_asked_twice() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &campaign(100, "")
                .replace("max: 12h", "max: 72h")
                .replace("delivery", "finishWithin: 96h\ndelivery"),
        );
        let mut parts = simulation.parts(&Arc::default());
        parts.clock = Arc::new(Jumpy { steady: simulation.clock.clone(), readings: 0.into() });
        let daemon = Running::start(parts);
        seconds(1_800).await;
        let withdrawn = simulation.ask("SELECT operation_id FROM attempt_log WHERE verdict = 'withdrawn'");
        assert!(!withdrawn.is_empty(), "no intent met a jump");
        assert_eq!(simulation.ask(COUNTS), ["completed 100 accepted 0 refused 0 failed 0 unknown 0 pending"]);
        let mut messages = 0;
        simulation.world.received(&sandbox::Filter::default(), |received| {
            messages += 1;
            let left = withdrawn.iter().all(|withdrawn| withdrawn != received.operation_id);
            assert!(left, "a withdrawn request was made: {received:?}");
        });
        assert_eq!(messages, 100);
        daemon.stop().await;
    });
}
