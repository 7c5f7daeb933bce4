//! Single histories, each the smallest that once broke a promise.

use campaignd::{
    gateway::{
        Pending,
        openim::OpenIM,
        transport::{self, RawAnswer, Transport, TransportFault},
    },
    sandbox::faults::{HTTPStatus, Times},
};
use tokio::task::JoinHandle;

use super::*;

pub(super) const MESSAGE: &str = "message: {contentType: text, content: {content: hi}}";

/// Whoever is in doubt stays so.
const HOLD: &str = "delivery: {onUnknown: hold}\n";

/// A daemon that runs beside the test, on the test's clock.
pub(super) struct Running {
    pub(super) signals: Arc<Signals>,
    daemon: JoinHandle<Result<(), daemon::ServeError>>,
}

impl Running {
    pub(super) fn start(parts: Parts) -> Running {
        let signals = Arc::clone(&parts.signals);
        Running { signals, daemon: tokio::spawn(daemon::serve(parts)) }
    }

    /// Told to stop, and awaited.
    pub(super) async fn stop(self) {
        self.signals.stop();
        self.daemon.await.unwrap().unwrap();
    }

    /// Lets others go on so many times, and then is gone at whatever it awaits.
    pub(super) async fn abort_after(self, turns: u32) {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        self.daemon.abort();
        assert!(self.daemon.await.unwrap_err().is_cancelled());
    }
}

impl Simulation {
    pub(super) fn daemon(&self) -> Running {
        Running::start(self.parts(&Arc::default()))
    }

    /// What `send CAMPAIGN` asks of the daemon.
    pub(super) fn ask_to_send(&self, campaign: &str, to: &[&str], again: bool) {
        use campaignd::store::{Question, Store};
        let mut store = self.store();
        store.begin().unwrap();
        let to = to.iter().map(ToString::to_string).collect();
        let question = Question::Send { campaign: campaign.to_owned(), to, again };
        store.question_ask(&question, self.clock.now()).unwrap();
        store.commit().unwrap();
    }

    /// A first column, as text.
    pub(super) fn ask(&self, sql: &str) -> Vec<String> {
        let ledger = rusqlite::Connection::open(&self.database).unwrap();
        let mut statement = ledger.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
        rows.map(|text| text.unwrap().unwrap_or_default()).collect()
    }

    /// What the ledger finds when it counts itself again.
    pub(super) fn store_verified(&self) -> Vec<campaignd::store::Discrepancy> {
        use campaignd::store::Store;
        self.store().verify().unwrap()
    }

    /// Whose messages the provider has lost, sorted.
    pub(super) fn lost(&self) -> Vec<String> {
        let mut lost = Vec::new();
        self.world.received(&campaignd::sandbox::Filter::default(), |received| {
            if received.fate == campaignd::sandbox::truth::Fate::Lost {
                lost.push(received.recipient.to_owned());
            }
        });
        lost.sort();
        lost
    }

    /// A change behind the daemon's back: a fault of the ledger, made with a trigger.
    pub(super) fn spoil(&self, sql: &str) {
        rusqlite::Connection::open(&self.database).unwrap().execute_batch(sql).unwrap();
    }
}

/// Plays a history that begins at 2026-11-11T00:00:00Z: twice, with slots decided at their instant, and ahead of it,
/// which makes no difference.
#[track_caller]
pub(super) fn play<R: PartialEq + std::fmt::Debug>(mut history: impl AsyncFnMut(&mut Simulation) -> R) -> R {
    let told = play_with(daemon::CROWD, &mut history);
    assert_eq!(told, play_with(1, history), "decided at its instant, and ahead of it");
    told
}

/// Plays a history in which so many campaigns that are due at one instant are decided ahead of it.
#[track_caller]
pub(super) fn play_with<R>(crowd: usize, history: impl AsyncFnOnce(&mut Simulation) -> R) -> R {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut simulation = Simulation::new(1, folder.path());
        simulation.crowd = crowd;
        history(&mut simulation).await
    })
}

pub(super) async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

pub(super) const RUNS: &str =
    "SELECT state || ' ' || coalesce(reason, '') || ' accepted ' || accepted || ' pending ' || pending
    || ' expired ' || expired || ' cancelled ' || cancelled FROM run_summary ORDER BY occurrence";
pub const SLOTS: &str =
    "SELECT substr(occurrence, 12, 8) || ' ' || decision || ' ' || coalesce(reason, '') || ' ' || count
    FROM occurrence_log ORDER BY occurrence";

pub(super) fn ids(count: u32) -> String {
    (1..=count).map(|n| format!("u{n:05}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn people_who_are_not_registered_keep_nobody_else_in_doubt() {
    play(async |simulation| {
        let status = HTTPStatus { status: 502, times: 1, path: None };
        simulation.world.set_faults(Faults { http_status: Some(status), ..Faults::default() });
        let schedules = [
            ("a", ids(40), "at: 2026-11-11T00:01"),
            ("strangers", "nobody, noone".to_owned(), "every: 5m"),
            ("later", "u00600, u00601".to_owned(), "every: 7m"),
        ];
        for (name, recipients, schedule) in schedules {
            let text = format!("{MESSAGE}\nrecvIDs: [{recipients}]\nschedules: [{{{schedule}}}]\n");
            simulation.write(&format!("{name}.yaml"), &text);
        }
        let daemon = simulation.daemon();
        // A call for the strangers comes more often than the gateway would have to be healthy for.
        seconds(40 * 60).await;
        assert_eq!(
            simulation.ask("SELECT state || ' ' || accepted FROM run_summary WHERE campaign = 'a'"),
            ["completed 40"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_run_is_told_that_its_time_is_over_although_the_ledger_failed_then() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\nfinishWithin: 30s\n\
             delivery: {{batchSize: 1, concurrency: 1, limits: {{recipients: 10/min}}}}\n",
                ids(30)
            ),
        );
        let daemon = simulation.daemon();
        seconds(80).await;
        simulation.spoil(
            "CREATE TRIGGER fail BEFORE UPDATE OF state ON run WHEN NEW.state = 'ending'
             BEGIN SELECT RAISE(ABORT, 'spoilt'); END",
        );
        seconds(60).await;
        simulation.spoil("DROP TRIGGER fail");
        seconds(200).await;
        assert_eq!(
            simulation.ask(RUNS),
            ["completed finishWithin is over accepted 10 pending 0 expired 20 cancelled 0"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_run_that_its_limits_hold_back_ends_when_its_time_is_over() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\nfinishWithin: 30m\n\
             delivery: {{limits: {{recipients: 10/day}}}}\n",
                ids(30)
            ),
        );
        let daemon = simulation.daemon();
        seconds(45 * 60).await;
        assert_eq!(
            simulation.ask(RUNS),
            ["completed finishWithin is over accepted 10 pending 0 expired 20 cancelled 0"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_run_that_its_limits_hold_back_is_cancelled_at_once() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\n\
             delivery: {{limits: {{recipients: 10/day}}}}\n",
                ids(30)
            ),
        );
        let daemon = simulation.daemon();
        seconds(120).await;
        simulation.act(&Target::Run(RunID::from_text("a@20261111T000100Z".to_owned())), Control::Cancel);
        seconds(5).await;
        assert_eq!(
            simulation.ask(RUNS),
            ["cancelled by somebody accepted 10 pending 0 expired 0 cancelled 20"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_run_is_cancelled_at_once_while_its_provider_is_away() {
    play(async |simulation| {
        simulation.world.set_faults(Faults {
            unreachable: Some(Times { times: 1_000, path: Some("/".to_owned()) }),
            ..Faults::default()
        });
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\nlateness: {{max: 4h}}\n",
                ids(30)
            ),
        );
        let daemon = simulation.daemon();
        seconds(3_600).await;
        simulation.act(&Target::Run(RunID::from_text("a@20261111T000100Z".to_owned())), Control::Cancel);
        seconds(5).await;
        assert_eq!(
            simulation.ask(RUNS),
            ["cancelled by somebody accepted 0 pending 0 expired 0 cancelled 30"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_run_whose_last_answer_was_explained_is_over_although_its_limit_is_used_up() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [nobody, {}]\nschedules: [{{at: 2026-11-11T00:01}}]\n\
             delivery: {{limits: {{recipients: 10/day}}}}\n",
                ids(9)
            ),
        );
        let daemon = simulation.daemon();
        seconds(120).await;
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 9 pending 0 expired 0 cancelled 0"]);
        daemon.stop().await;
    });
}

#[test]
fn a_run_whose_first_call_outlasts_its_lateness_is_not_missed() {
    play(async |simulation| {
        simulation.world.set_faults(Faults { latency_ms: 1_000.0, ..Faults::default() });
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\nlateness: {{max: 3s}}\n\
             delivery: {{batchSize: 10, concurrency: 2, limits: {{recipients: 10/min}}}}\n",
                ids(20)
            ),
        );
        let daemon = simulation.daemon();
        seconds(180).await;
        assert_eq!(simulation.ask(SLOTS), ["00:01:00 run  1"]);
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 20 pending 0 expired 0 cancelled 0"]);
        daemon.stop().await;
    });
}

#[test]
fn a_sealed_run_reaches_its_lane_although_the_ledger_failed_then() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\n\
             delivery: {{limits: {{recipients: 100/min}}}}\n",
                ids(3)
            ),
        );
        let daemon = simulation.daemon();
        seconds(10).await;
        // Once the run is sealed, the calls of the past cannot be read.
        simulation.spoil(
            "CREATE TRIGGER fail AFTER UPDATE OF state ON run WHEN NEW.state = 'running' BEGIN
                INSERT INTO attempt (attempt, kind, run, batch, gateway, operation_id, started_at, finished_at, recipients, verdict)
                VALUES (1000, 'send', NEW.id, 1, 'sandbox', 'spoilt', 1, NEW.due_at, -1, 'answered');
             END",
        );
        seconds(60).await;
        assert_eq!(simulation.ask(RUNS), ["running  accepted 0 pending 3 expired 0 cancelled 0"]);
        simulation.spoil("DROP TRIGGER fail; DELETE FROM attempt WHERE attempt = 1000");
        seconds(60).await;
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 3 pending 0 expired 0 cancelled 0"]);
        daemon.stop().await;
    });
}

#[test]
fn a_slot_that_waits_for_a_pause_is_accounted_for_when_its_file_is_edited() {
    play(async |simulation| {
        let file = |text: &str| {
            format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{every: 10m}}]\ndescription: {text}\n")
        };
        simulation.write("a.yaml", &file("one"));
        let daemon = simulation.daemon();
        seconds(60).await;
        simulation.act(&Target::All, Control::Pause);
        seconds(11 * 60).await;
        simulation.write("a.yaml", &file("two"));
        daemon.signals.folder.notify_one();
        seconds(60).await;
        simulation.act(&Target::All, Control::Resume);
        seconds(10 * 60).await;
        assert_eq!(simulation.ask(SLOTS), ["00:10:00 missed paused 1", "00:20:00 run  1"]);
        daemon.stop().await;
    });
}

#[test]
fn a_slot_that_came_while_its_file_was_away_runs_when_the_file_is_back_with_an_edit() {
    play(async |simulation| {
        let file = |text: &str| {
            format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{every: 10m}}]\ndescription: {text}\n")
        };
        simulation.write("a.yaml", &file("one"));
        simulation.write(
            "b.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2027-01-01T00:00}}]\n"),
        );
        let daemon = simulation.daemon();
        seconds(9 * 60 + 50).await;
        simulation.folder.files.lock().unwrap().remove("a.yaml");
        daemon.signals.folder.notify_one();
        seconds(20).await;
        simulation.write("a.yaml", &file("two"));
        daemon.signals.folder.notify_one();
        seconds(60).await;
        assert_eq!(simulation.ask(SLOTS), ["00:10:00 run  1"]);
        daemon.stop().await;
    });
}

#[test]
fn a_file_removed_while_nothing_ran_sends_nothing_at_the_start() {
    play(async |simulation| {
        simulation.write("a.yaml", &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{every: 10m}}]\n"));
        simulation.write(
            "b.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2027-01-01T00:00}}]\n"),
        );
        let daemon = simulation.daemon();
        seconds(60).await;
        daemon.stop().await;
        simulation.folder.files.lock().unwrap().remove("a.yaml");
        seconds(600).await;
        let daemon = simulation.daemon();
        seconds(90).await;
        assert_eq!(simulation.ask(RUNS), [""; 0]);
        daemon.signals.folder.notify_one();
        seconds(90).await;
        assert_eq!(simulation.ask(SLOTS), ["00:10:00 missed removed 1"]);
        daemon.stop().await;
    });
}

#[test]
fn no_slot_of_a_long_outage_is_lost_when_the_file_was_edited_meanwhile() {
    play(async |simulation| {
        let file = |text: &str| {
            format!(
                "{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{every: 1s}}]\nlateness: {{max: 1s}}\ndescription: {text}\n"
            )
        };
        simulation.write("a.yaml", &file("one"));
        let daemon = simulation.daemon();
        seconds(10).await;
        daemon.stop().await;
        simulation.write("a.yaml", &file("two"));
        seconds(25_000).await;
        let daemon = simulation.daemon();
        seconds(10).await;
        daemon.stop().await;
        let gaps = "SELECT CAST(sum(count) = (max(until_at) - min(slot)) / 1000 + 1 AS TEXT) FROM occurrence";
        assert_eq!(simulation.ask(gaps), ["1"]);
    });
}

#[test]
fn a_question_that_nobody_waits_for_any_more_is_not_obeyed() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2027-01-01T00:00}}]\n"),
        );
        let daemon = simulation.daemon();
        seconds(5).await;
        daemon.stop().await;
        let ask = || simulation.ask_to_send("a", &[], false);
        ask();
        seconds(3_600).await;
        let daemon = simulation.daemon();
        seconds(5).await;
        assert_eq!(simulation.ask(RUNS), [""; 0]);
        // And twice at once is once.
        simulation.world.set_faults(Faults {
            unreachable: Some(Times { times: 5, path: Some("/".to_owned()) }),
            ..Faults::default()
        });
        ask();
        ask();
        seconds(600).await;
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 1 pending 0 expired 0 cancelled 0"]);
        daemon.stop().await;
    });
}

#[test]
fn a_run_whose_gateway_left_the_settings_can_be_cancelled_and_expires() {
    play(async |simulation| {
        for name in ["a", "b"] {
            simulation.write(
                &format!("{name}.yaml"),
                &format!(
                    "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\nfinishWithin: 2h\n\
                 delivery: {{limits: {{recipients: 10/day}}}}\n",
                    ids(30)
                ),
            );
        }
        let daemon = simulation.daemon();
        seconds(120).await;
        daemon.stop().await;
        let mut parts = simulation.parts(&Arc::default());
        let post = parts.gateways.0.remove("sandbox").unwrap();
        parts.gateways.0.insert("other".to_owned(), post);
        parts.default_gateway = Some("nowhere".to_owned());
        let daemon = Running::start(parts);
        seconds(60).await;
        simulation.act(&Target::Run(RunID::from_text("a@20261111T000100Z".to_owned())), Control::Cancel);
        seconds(30).await;
        assert_eq!(
            simulation.ask(RUNS)[0],
            "cancelled by somebody accepted 10 pending 0 expired 0 cancelled 20"
        );
        seconds(7_200).await;
        assert_eq!(
            simulation.ask(RUNS)[1],
            "completed finishWithin is over accepted 10 pending 0 expired 20 cancelled 0"
        );
        daemon.stop().await;
    });
}

#[test]
fn a_daemon_whose_answer_cannot_be_recorded_still_stops() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2026-11-11T00:01}}]\n{HOLD}"),
        );
        let daemon = simulation.daemon();
        seconds(10).await;
        simulation
            .spoil("CREATE TRIGGER fail BEFORE INSERT ON delivery BEGIN SELECT RAISE(ABORT, 'spoilt'); END");
        seconds(60).await;
        let stopped = tokio::time::timeout(Duration::from_secs(600), daemon.stop()).await;
        assert!(stopped.is_ok(), "it goes on trying for ever");
        simulation.spoil("DROP TRIGGER fail");
        let daemon = simulation.daemon();
        seconds(5).await;
        assert_eq!(simulation.ask("SELECT outcome FROM delivery_log"), ["unknown"]);
        daemon.stop().await;
    });
}

#[test]
fn a_folder_that_is_never_quiet_delays_no_slot() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{every: 10s}}]\nlateness: {{max: 2s}}\n"),
        );
        let daemon = simulation.daemon();
        let signals = Arc::clone(&daemon.signals);
        let noise = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(70)).await;
                signals.folder.notify_one();
            }
        });
        seconds(120).await;
        noise.abort();
        assert_eq!(simulation.ask("SELECT CAST(max(late_ms) < 100 AS TEXT) FROM occurrence_log"), ["1"]);
        daemon.stop().await;
    });
}

/// A clock that somebody sets.
pub(super) struct SetClock {
    steady: Arc<ElapsedClock>,
    ahead_seconds: std::sync::atomic::AtomicI64,
}

impl SetClock {
    pub(super) fn new(steady: Arc<ElapsedClock>) -> Arc<SetClock> {
        Arc::new(SetClock { steady, ahead_seconds: 0.into() })
    }

    pub(super) fn set(&self, ahead_seconds: i64) {
        self.ahead_seconds.store(ahead_seconds, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        let ahead_seconds = self.ahead_seconds.load(std::sync::atomic::Ordering::Relaxed);
        self.steady.now() + SignedDuration::from_secs(ahead_seconds)
    }

    fn steady(&self) -> Timestamp {
        self.steady.now()
    }
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\n\
             delivery: {{limits: {{recipients: 10/min}}}}\n",
                ids(30)
            ),
        );
        let clock = SetClock::new(simulation.clock.clone());
        let mut parts = simulation.parts(&Arc::default());
        parts.clock = clock.clone();
        let daemon = Running::start(parts);
        seconds(70).await;
        clock.set(-3_600);
        seconds(130).await;
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 30 pending 0 expired 0 cancelled 0"]);
        simulation.write(
            "b.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2026-11-10T23:10}}]\n"),
        );
        daemon.signals.folder.notify_one();
        seconds(600).await;
        assert_eq!(simulation.ask(RUNS).len(), 2);
        daemon.stop().await;
    });
}

#[test]
fn a_clock_that_was_ahead_before_a_restart_does_not_hold_limits() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}, {{at: 2026-11-11T00:10}}]\n\
             delivery: {{limits: {{recipients: 10/min}}}}\n",
                ids(10)
            ),
        );
        let daemon = simulation.daemon();
        seconds(61).await;
        daemon.stop().await;
        simulation.spoil("UPDATE attempt SET finished_at = finished_at + 31536000000");
        let daemon = simulation.daemon();
        seconds(700).await;
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 10 pending 0 expired 0 cancelled 0"; 2]);
        daemon.stop().await;
    });
}

#[test]
fn a_campaign_that_moved_finds_its_lists_beside_it() {
    use campaignd::store::Store;
    play(async |simulation| {
        let file = format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2026-11-11T00:01}}]\n");
        simulation.write("old/a.yaml", &file);
        simulation.write(
            "b.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2027-01-01T00:00}}]\n"),
        );
        let daemon = simulation.daemon();
        seconds(5).await;
        simulation.folder.files.lock().unwrap().remove("old/a.yaml");
        simulation.write("new/a.yaml", &file);
        daemon.signals.folder.notify_one();
        seconds(60).await;
        let run = simulation.store().run(&RunID::from_text("a@20261111T000100Z".to_owned())).unwrap();
        assert_eq!(run.path, "new/a.yaml");
        daemon.stop().await;
    });
}

/// A provider that answers like nobody else.
struct Odd(sandbox::transport::InProcess);

impl Transport for Odd {
    fn post<'a>(&'a self, mut post: transport::Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async move {
            // Every page of users is the first.
            let path = post.path;
            if path == "/user/get_users" {
                post.body = String::from_utf8(post.body).unwrap().replace(":2,", ":1,").into_bytes();
            }
            let answer = self.0.post(post).await?;
            // A message to a group gets no name.
            let nameless = br#"{"errCode":0,"data":{}}"#.to_vec();
            Ok(if path == "/msg/send_msg" { RawAnswer { body: nameless, ..answer } } else { answer })
        })
    }
}

impl Simulation {
    fn odd_daemon(&self) -> Running {
        let mut parts = self.parts(&Arc::default());
        let transport = Arc::new(Odd(sandbox::transport::InProcess::new(self.world.clone())));
        let gateway = OpenIM::new(sandbox::account(), transport, self.clock.clone());
        parts.gateways.0.get_mut("sandbox").unwrap().gateway = Arc::new(gateway);
        Running::start(parts)
    }
}

#[test]
fn a_group_whose_answer_names_no_message_is_unknown_and_not_an_unregistered_user() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!("{MESSAGE}\ngroupIDs: [g1001]\nschedules: [{{at: 2026-11-11T00:01}}]\n{HOLD}"),
        );
        let daemon = simulation.odd_daemon();
        seconds(70).await;
        assert_eq!(
            simulation.ask("SELECT outcome || ' ' || reason_code FROM delivery_log"),
            ["unknown noMessageID"]
        );
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 0 pending 0 expired 0 cancelled 0"]);
        daemon.stop().await;
    });
}

#[test]
fn users_whose_pages_do_not_go_on_are_no_audience() {
    play(async |simulation| {
        simulation
            .write("a.yaml", &format!("{MESSAGE}\nisSendAll: true\nschedules: [{{at: 2026-11-11T00:01}}]\n"));
        let daemon = simulation.odd_daemon();
        let over = async {
            while simulation.ask(SLOTS) != ["00:01:00 missed audience 1"] {
                seconds(5).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(600), over).await.unwrap();
        daemon.stop().await;
    });
}

/// A gateway with a fault of ours, which shows when a batch is to be sent.
struct Faulty;

impl Transport for Faulty {
    fn post<'a>(&'a self, post: transport::Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        assert_ne!(post.path, "/msg/batch_send_msg", "a fault of ours");
        let body = br#"{"errCode": 0, "data": {"token": "t", "expireTimeSeconds": 9000, "serverTime": 1}}"#;
        Box::pin(async { Ok(RawAnswer { status: 200, body: body.to_vec(), ..RawAnswer::default() }) })
    }
}

#[test]
fn a_daemon_of_which_a_part_has_failed_does_not_stay_and_send_nothing() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2026-11-11T00:01}}]\n"),
        );
        let mut parts = simulation.parts(&Arc::default());
        let gateway = OpenIM::new(sandbox::account(), Arc::new(Faulty), simulation.clock.clone());
        parts.gateways.0.get_mut("sandbox").unwrap().gateway = Arc::new(gateway);
        let daemon = Running::start(parts);
        let ended = tokio::time::timeout(Duration::from_secs(120), daemon.daemon).await;
        let ended = ended.expect("it ends").unwrap();
        assert!(matches!(ended, Err(daemon::ServeError::Part(_))), "{ended:?}");
    });
}
