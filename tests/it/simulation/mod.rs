//! The whole daemon on a virtual clock against the in-process sandbox: a seed makes a history of
//! schedules, faults, edits, controls and crashes, and an auditor that shares no code with the middle
//! says what must be true at its end.
//!
//! A crash is dropping the daemon's future and starting another on the same file. The ledger works in
//! the daemon's thread, so one seed is one history.

mod auditor;
mod calendars;
pub mod crashes;
mod faults;
mod netease;
pub mod power_loss;
mod restores;
pub mod scale;
pub mod soak;
pub mod store_faults;
pub mod watched;

#[cfg(test)]
mod clocks;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod doubts;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod identities;
#[cfg(test)]
mod netease_doubts;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod storms;
#[cfg(test)]
mod timing;
#[cfg(test)]
mod trouble;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use campaignd::{
    campaign::RecipientID,
    clock::{Clock, ElapsedClock},
    daemon::{self, Parts, Post, Posts, Signals},
    folder::{FileState, Folder, FolderFault, Look, Snapshot},
    limits::Limits,
    run::RunID,
    sandbox::{
        self,
        faults::Faults,
        world::{Options, World},
    },
    store::{Act, Control, Ledger, StoreError, Target, sqlite::SqliteStore},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use self::{
    power_loss::Plug,
    scale::Scale,
    watched::{InTime, Stumble, Stumbles, Watched, When},
};
use crate::dice::Dice;

/// How long the daemon of a brief history has at most to come to rest.
const LONGEST_UNREST: Duration = Duration::from_secs(2 * 60 * 60);

/// Campaign files that can be changed while the daemon reads them.
struct MemoryFolder {
    files: Mutex<BTreeMap<String, String>>,
    /// Where the lists really are.
    lists: PathBuf,
    git_is_changing: AtomicBool,
}

impl Folder for MemoryFolder {
    fn scan(&self, _: Look, _: Timestamp) -> Result<Arc<Snapshot>, FolderFault> {
        let files = self.files.lock().unwrap();
        let read = |(path, text): (&String, &String)| {
            (path.as_str().into(), FileState::of(text.clone().into_bytes()))
        };
        Ok(Arc::new(Snapshot {
            files: files.iter().map(read).collect(),
            git_is_changing: self.git_is_changing.load(Ordering::Relaxed),
        }))
    }

    fn list_path(&self, _: &str, list: &str) -> std::io::Result<PathBuf> {
        Ok(self.lists.join(list))
    }
}

/// One history.
struct Simulation {
    scale: Scale,
    dice: Dice,
    clock: Arc<ElapsedClock>,
    world: Arc<World>,
    folder: Arc<MemoryFolder>,
    database: PathBuf,
    story: Vec<String>,
    suppressions: Vec<Suppressed>,
    /// The other provider; None: it has no part in this history.
    netease: Option<netease::NetEase>,
    /// How often each kind of trouble came.
    kinds: BTreeMap<&'static str, u64>,
    /// Makes calls of the ledger fail.
    stumbles: Arc<Stumbles>,
    /// Makes who pulls the plug of each daemon's ledger.
    plug: Option<Box<dyn Fn() -> Plug>>,
    drawn: calendars::Drawn,
    /// Campaigns due at one instant that are decided ahead of it.
    crowd: usize,
    restores: restores::Restores,
}

/// When somebody was not to be written to.
pub struct Suppressed {
    id: String,
    from: Timestamp,
    /// None: still.
    until: Option<Timestamp>,
}

impl Simulation {
    /// One that begins on an ordinary day.
    fn new(seed: u64, folder: &Path) -> Simulation {
        Simulation::starting(seed, Scale::Long, folder, "2026-11-11T00:00:00Z".parse().unwrap())
    }

    fn starting(seed: u64, scale: Scale, folder: &Path, start: Timestamp) -> Simulation {
        let drawn = calendars::Drawn::draw(seed, scale, start);
        let clock = Arc::new(ElapsedClock::starting_at(start));
        let options = Options { seed, users: scale.users(), groups: 3, ..Options::default() };
        Simulation {
            scale,
            dice: Dice::new(seed),
            drawn,
            world: Arc::new(World::new(&options, clock.clone())),
            clock,
            folder: Arc::new(MemoryFolder {
                files: Mutex::default(),
                lists: folder.to_owned(),
                git_is_changing: AtomicBool::default(),
            }),
            database: folder.join("ledger.db"),
            story: Vec::new(),
            suppressions: Vec::new(),
            netease: None,
            kinds: BTreeMap::new(),
            stumbles: Arc::default(),
            plug: None,
            // Most campaigns here are due with few others.
            crowd: [1, 1, 2, daemon::CROWD][(seed % 4) as usize],
            restores: restores::Restores::new(seed),
        }
    }

    fn tell(&mut self, what: impl Into<String>) {
        let what = what.into();
        tracing::info!(">> {what}");
        self.story.push(format!("{} {what}", self.clock.now().strftime("%T%.3f")));
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.database, self.clock.now()).unwrap()
    }

    /// The ledger of a daemon, with whoever watches it.
    fn ledger(&self) -> Ledger {
        Ledger::inline(match &self.plug {
            Some(plug) => Watched::new(self.store(), plug()),
            None => {
                let stumbles = Arc::clone(&self.stumbles);
                Watched::new(self.store(), InTime::new(stumbles, Arc::clone(&self.clock)))
            }
        })
    }

    fn parts(&self, signals: &Arc<Signals>) -> Parts {
        let account = campaignd::gateway::openim::Account {
            concurrency: 3,
            batch_size: self.scale.batch(50),
            ..sandbox::account()
        };
        let gateway = sandbox::gateway(self.world.clone(), account, self.clock.clone());
        let rate = format!("{}/s", self.scale.recipients_a_second()).parse().unwrap();
        let limits = Limits { recipients: vec![rate], ..Limits::default() };
        let post = Post { gateway: Arc::new(gateway), limits, settle: self.scale.settle(), probe: None };
        Parts {
            clock: self.clock.clone(),
            ledger: self.ledger(),
            folder: self.folder.clone(),
            gateways: Posts([("sandbox".to_owned(), post)].into_iter().chain(self.netease_posts()).collect()),
            default_zone: Some(TimeZone::UTC),
            default_gateway: Some("sandbox".to_owned()),
            crowd: self.crowd,
            spill_folder: self.database.parent().unwrap().to_owned(),
            signals: signals.clone(),
        }
    }

    fn netease_posts(&self) -> Vec<(String, Post)> {
        self.netease.as_ref().map(|netease| netease.posts(&self.world, &self.clock)).unwrap_or_default()
    }

    fn write(&self, path: &str, text: &str) {
        self.folder.files.lock().unwrap().insert(path.to_owned(), text.to_owned());
    }

    /// The campaigns that every history begins with.
    fn write_campaigns(&mut self) {
        let scale = self.scale;
        let people = |count| scale.people(count);
        let ids = |from: u32, to: u32| (from..=to).map(|n| format!("u{n:05}")).collect::<Vec<_>>();
        let list = self.database.with_file_name("list.txt");
        // Some twice, some whom the provider does not know.
        let all = [ids(1, people(400)), ids(people(390), people(720))].concat();
        std::fs::write(&list, all.join("\n") + "\n").unwrap();
        let quiet = self.database.with_file_name("quiet.txt");
        std::fs::write(&quiet, ids(5, 4 + people(20)).join("\n")).unwrap();
        let message = "message: {contentType: text, content: {content: hi}}";
        self.write("small.yaml", &format!(
            "{message}\nrecvIDs: [u00001, u00002, nobody]\nschedules: [{{every: {}}}]\nlateness: {{max: {}}}\n\
             delivery: {{onUnknown: hold, retry: {{attempts: 2, backoff: \"2s..20s\"}}}}\n",
            scale.minutes(7), scale.minutes(3)
        ));
        self.write(
            "list.yaml",
            &format!(
                "{message}\nrecipients: [{{file: {}}}]\nexclude: [{{file: {}}}]\nschedules: [{{every: {}}}]\n\
             finishWithin: {}\ndelivery: {{concurrency: 2, limits: {{recipients: {}}}}}\n",
                "list.txt",
                "quiet.txt",
                scale.minutes(40),
                scale.minutes(15),
                scale.recipients_a_minute(45)
            ),
        );
        self.write(
            "everyone.yaml",
            &format!(
                "{message}\nisSendAll: true\nschedules: [{{cron: \"{}\"}}]\nexpect: {{min: {}}}\n\
                 delivery: {{limits: {{recipients: {}/s}}, batchSize: {}, stopWhen: {{failureRate: 30%, after: {}}}}}\n",
                scale.hourly(), 10, scale.batch(50), scale.batch(40), people(100)
            ),
        );
        self.write(
            "groups.yaml",
            &format!(
                "{message}\ngroupIDs: [g1001, g1002, g9999]\nschedules: [{{every: {}}}]\n",
                scale.minutes(25)
            ),
        );
        self.write_timed();
        // Two that share a cap, and often run at once.
        let cap = format!(
            "labels: {{team: growth}}\ncap: {{perRecipient: 2/h, across: {{team: growth}}}}\nlateness: {{max: {}}}",
            scale.minutes(3)
        );
        self.write(
            "capped-many.yaml",
            &format!(
                "{message}\n{cap}\nrecipients: [{{file: list.txt}}, {{membersOf: g1001}}]\n\
                 exclude: [{{membersOf: g1002}}, {{file: quiet.txt}}]\nsample: 30%\nholdout: 20%\n\
                 schedules: [{{every: {}}}]\n",
                scale.minutes(9)
            ),
        );
        let few = ids(people(300), people(340)).join(", ");
        self.write(
            "capped-few.yaml",
            &format!(
                "{message}\n{cap}\nrecvIDs: [{few}]\nnotAgainWithin: {}\nschedules: [{{every: {}}}]\n",
                scale.minutes(25),
                scale.minutes(13)
            ),
        );
    }

    fn write_netease_campaigns(&self) {
        if self.netease.is_some() {
            for (path, text) in netease::NetEase::campaigns(self.scale) {
                self.write(path, &text);
            }
        }
    }

    fn write_timed(&mut self) {
        let text = self.drawn.file();
        self.write("timed.yaml", &text);
    }

    /// One random piece of trouble.
    fn trouble(&mut self) {
        match self.dice.up_to(23) {
            0..=5 => {
                let (kind, mut faults) = faults::faults(&mut self.dice, self.scale);
                if self.scale == Scale::Brief
                    && faults.restore_backup_of_ms_ago.is_some()
                    && self.is_anybody_in_doubt()
                {
                    return self.tell("no backup while somebody is in doubt");
                }
                self.count(kind);
                if let Some(netease) = &mut self.netease {
                    netease.trouble(&mut faults);
                }
                let told = format!("faults {faults:?}").replace(" times: 4294967295", " times: for ever");
                // Whom they refuse when it is everyone is too long to tell.
                self.tell(told.chars().take(1_500).collect::<String>());
                self.world.set_faults(faults);
            }
            6 | 7 => {
                self.count("a person controls");
                self.control();
            }
            8 => {
                self.count("broken edit");
                self.tell("a broken edit of small.yaml");
                self.write("small.yaml", "message: [");
            }
            9 => {
                self.count("schedule edited");
                let every = self.scale.minutes(3 + self.dice.up_to(9) as i64);
                let late = self.scale.minutes(3);
                self.tell(format!("small.yaml every {every}"));
                self.write(
                    "small.yaml",
                    &format!(
                        "message: {{contentType: text, content: {{content: again}}}}\n\
                     recvIDs: [u00003, u00004]\nschedules: [{{every: {every}}}]\nlateness: {{max: {late}}}\n"
                    ),
                );
            }
            10 => {
                self.count("file gone");
                self.tell("groups.yaml is gone");
                self.folder.files.lock().unwrap().remove("groups.yaml");
            }
            11..=13 => {
                self.count("suppression");
                self.suppress();
            }
            14 | 15 => self.stumble(),
            16 | 17 => self.ask_again(),
            18 => {
                let is_changing = self.dice.up_to(2) == 0;
                self.count("git at work");
                self.tell(format!("git is at work: {is_changing}"));
                self.folder.git_is_changing.store(is_changing, Ordering::Relaxed);
            }
            19 => {
                let mut files = self.folder.files.lock().unwrap();
                if let Some(text) = files.get("capped-few.yaml").cloned() {
                    let enabled = text.replace("enabled: false\n", "");
                    let other = if enabled == text { format!("enabled: false\n{text}") } else { enabled };
                    files.insert("capped-few.yaml".to_owned(), other);
                }
                drop(files);
                self.count("disabled");
                self.tell("capped-few.yaml is disabled, or no more");
            }
            20 => {
                self.count("edit of a schedule");
                self.tell("an edit of timed.yaml");
                self.write_timed();
            }
            _ => self.tell("nothing"),
        }
    }

    /// A backup from before the message of somebody whose conversation nobody has looked at yet cannot be told from
    /// a message that never came.
    fn is_anybody_in_doubt(&self) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM delivery_log WHERE outcome = 'unknown')
            OR EXISTS (SELECT 1 FROM attempt_log WHERE finished_at IS NULL)";
        let ledger = rusqlite::Connection::open(&self.database).unwrap();
        ledger.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn count(&mut self, kind: &'static str) {
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// The ledger fails a while from now: once, or for some calls.
    fn stumble(&mut self) {
        let from = self.stumbles.calls() + 1 + self.dice.up_to(200) as u64;
        let calls = [1, 1, 3, 60][self.dice.up_to(4)];
        let when = [When::Before, When::After][self.dice.up_to(2)];
        let error = store_faults::error(self.dice.up_to(4) as u64);
        self.count(match when {
            When::Before => "ledger fails before",
            When::After => "ledger fails after",
        });
        self.tell(format!("the ledger will fail {calls} times {when:?} its effect: {error}"));
        self.stumbles.plan(Some(Stumble { from, calls, when, error }));
    }

    /// A person wants those who failed or were refused asked again, or those in doubt looked up.
    fn ask_again(&mut self) {
        use campaignd::{run::inquiry::Purpose, store::Store};
        let mut store = self.store();
        let run = {
            let ledger = rusqlite::Connection::open(&self.database).unwrap();
            let mut names = ledger
                .prepare("SELECT run FROM run_summary WHERE failed + refused + unknown > 0 ORDER BY run")
                .unwrap();
            let names: Vec<String> =
                names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            names.get(self.dice.up_to(names.len().max(1))).cloned()
        };
        let Some(run) = run.map(RunID::from_text) else { return self.tell("nobody to be asked again") };
        let act = Act { at: self.clock.now(), who: "somebody".to_owned(), why: None };
        store.begin().unwrap();
        let (kind, done) = match self.dice.up_to(4) {
            0 => ("retry refused", store.run_retry(&run, &["refused"], &act)),
            1 => ("retry failed", store.run_retry(&run, &["failed"], &act)),
            2 => ("confirm", store.run_inquire(&run, Purpose::Confirm, &act)),
            _ => ("reconcile", store.run_inquire(&run, Purpose::Settle, &act)),
        };
        match &done {
            Ok(_) => store.commit().unwrap(),
            Err(StoreError::Refused(_) | StoreError::Transition(_)) => store.roll_back(),
            Err(error) => panic!("{error}"),
        }
        self.count(kind);
        self.tell(format!("{kind} {run}: {done:?}"));
    }

    /// A person suppresses somebody, or lifts that.
    fn suppress(&mut self) {
        use campaignd::store::{Store, Suppression};
        let (first, last) = (self.scale.people(300), self.scale.people(340));
        let number = first as usize + self.dice.up_to((last - first + 1) as usize);
        let (id, now) = (format!("u{number:05}"), self.clock.now());
        let recipient = RecipientID::new(id.as_str()).unwrap();
        let act = Act { at: now, who: "somebody".to_owned(), why: None };
        let mut store = self.store();
        store.begin().unwrap();
        match self.suppressions.iter_mut().find(|known| known.id == id && known.until.is_none()) {
            Some(known) => {
                known.until = Some(now);
                store.suppress_end(&[recipient]).unwrap();
            }
            None => {
                self.suppressions.push(Suppressed { id: id.clone(), from: now, until: None });
                let suppression = Suppression { recipient, reason: "asked".to_owned(), expires_at: None };
                store.suppress(&[suppression], &act).unwrap();
            }
        }
        store.commit().unwrap();
        self.tell(format!("suppresses {id}, or no more"));
    }

    /// A person pauses, resumes or cancels something, as a command does it.
    fn control(&mut self) {
        let mut store = self.store();
        let runs: Vec<RunID> = {
            use campaignd::store::Store;
            store.runs_open().unwrap().into_iter().map(|run| run.id).collect()
        };
        let target = match self.dice.up_to(4) {
            0 => Target::All,
            1 => Target::Campaign("list".parse().unwrap()),
            _ => match runs.get(self.dice.up_to(runs.len().max(1))) {
                Some(run) => Target::Run(run.clone()),
                None => Target::Campaign("everyone".parse().unwrap()),
            },
        };
        let control = [Control::Pause, Control::Resume, Control::Resume, Control::Cancel][self.dice.up_to(4)];
        self.tell(format!("{control:?} {target:?}"));
        self.act(&target, control);
    }

    fn act(&self, target: &Target, control: Control) {
        self.act_through(&mut self.store(), target, control);
    }

    fn act_through(&self, store: &mut SqliteStore, target: &Target, control: Control) {
        use campaignd::store::Store;
        let act = Act { at: self.clock.now(), who: "somebody".to_owned(), why: None };
        store.begin().unwrap();
        match store.control(target, control, &act) {
            Ok(_) => store.commit().unwrap(),
            Err(StoreError::Refused(_) | StoreError::Transition(_) | StoreError::NotFound { .. }) => {
                store.roll_back();
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs the history.
    async fn run(&mut self) {
        self.write_campaigns();
        self.write_netease_campaigns();
        let end_of_trouble = self.clock.now() + self.scale.trouble();
        while self.clock.now() < end_of_trouble {
            let signals = Arc::new(Signals::default());
            let daemon = daemon::serve(self.parts(&signals));
            tokio::pin!(daemon);
            self.tell("start");
            // The daemon lives through a few troubles, then crashes at any of its awaits, or stops.
            let mut ended = None;
            for _ in 0..self.dice.up_to(6) + 1 {
                let longest_ms = self.scale.of_trouble(15 * 60 * 1_000);
                let pause = Duration::from_millis(self.dice.up_to(longest_ms) as u64);
                tokio::select! {
                    biased;
                    result = &mut daemon => ended = Some(result),
                    () = tokio::time::sleep(pause) => {}
                }
                if ended.is_some() {
                    break;
                }
                self.trouble();
                signals.folder.notify_one();
            }
            if let Some(ended) = ended {
                // It may while its ledger fails; a service manager starts it again.
                assert!(!self.stumbles.hit().is_empty(), "the daemon ended by itself: {ended:?}");
                self.tell(format!("the daemon ended: {ended:?}"));
            } else if self.dice.up_to(3) == 0 {
                self.tell("stop");
                signals.stop();
                let stopped = daemon.await;
                assert!(stopped.is_ok() || !self.stumbles.hit().is_empty(), "{stopped:?}");
            } else {
                // A crash in the middle of something: the daemon is let go on until an exact number of
                // its steps, counted in polls, is done.
                let mut polls = self.dice.up_to(400);
                std::future::poll_fn(|context| {
                    use std::future::Future;
                    if polls == 0 {
                        return std::task::Poll::Ready(());
                    }
                    polls -= 1;
                    if daemon.as_mut().poll(context).is_ready() {
                        // Only a ledger that fails ends it; then it is gone as well.
                        return std::task::Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    std::task::Poll::Pending
                })
                .await;
                self.tell("crash");
            }
            self.restores().await;
            self.downtime().await;
        }
        self.peace().await;
    }

    async fn downtime(&mut self) {
        let longest_ms = [50, 5_000, 20 * 60 * 1_000][self.dice.up_to(3)];
        let pause = self.dice.up_to(self.scale.of_trouble(longest_ms)) as u64;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// Lifts every pause: each is lifted by its own resume alone.
    fn resume(&self) {
        use campaignd::store::Store;
        let mut store = self.store();
        let campaigns = store.campaigns().unwrap().into_iter().map(|campaign| Target::Campaign(campaign.id));
        let runs = store.runs_open().unwrap().into_iter().map(|run| Target::Run(run.id));
        let targets: Vec<_> = [Target::All].into_iter().chain(campaigns).chain(runs).collect();
        for target in &targets {
            self.act_through(&mut store, target, Control::Resume);
        }
    }

    /// What the auditor says of it.
    fn judge(&self) -> auditor::Judgement {
        auditor::judge(&self.database, &self.world, self.scale, &self.suppressions)
    }

    /// No more trouble: everything is resumed, and the daemon comes to rest.
    async fn peace(&mut self) {
        self.tell("peace");
        self.world.set_faults(Faults::default());
        if let Some(netease) = &self.netease {
            netease.peace();
        }
        self.stumbles.plan(None);
        self.folder.git_is_changing.store(false, Ordering::Relaxed);
        self.write_campaigns();
        self.resume();
        let signals = Arc::new(Signals::default());
        let daemon = daemon::serve(self.parts(&signals));
        tokio::pin!(daemon);
        tokio::select! {
            biased;
            ended = &mut daemon => panic!("the daemon ended by itself: {ended:?}"),
            () = tokio::time::sleep(self.scale.half_of_peace()) => {}
        }
        // What paused itself in the first half goes on in the second.
        self.resume();
        tokio::select! {
            biased;
            ended = &mut daemon => panic!("the daemon ended by itself: {ended:?}"),
            () = self.second_half_of_peace() => {}
        }
        signals.stop();
        daemon.await.unwrap();
    }

    async fn second_half_of_peace(&self) {
        tokio::time::sleep(self.scale.half_of_peace()).await;
        if self.scale == Scale::Brief {
            // Whoever is not at rest then is found by the auditor.
            let _ = tokio::time::timeout(LONGEST_UNREST, self.until_at_rest()).await;
        }
    }

    async fn until_at_rest(&self) {
        let ledger = rusqlite::Connection::open(&self.database).unwrap();
        loop {
            // Half-way between slots, which come at quarters of minutes: the run of one would be made, and not opened
            // when the daemon stops.
            let into_quarter_ms = self.clock.now().as_millisecond().rem_euclid(15_000);
            tokio::time::sleep(Duration::from_millis((22_500 - into_quarter_ms) as u64)).await;
            if auditor::what_is_open(&ledger).is_empty() {
                return;
            }
        }
    }
}

/// What a history has shown.
pub struct Judged {
    /// The promises that it broke.
    pub findings: Vec<String>,
    pub summary: String,
    pub story: Vec<String>,
    /// How often each kind of trouble came.
    pub kinds: BTreeMap<&'static str, u64>,
}

/// A ledger of which nothing has become yet: to make one takes its time, which a brief history does not have.
fn empty_ledger() -> &'static [u8] {
    static LEDGER: OnceLock<Vec<u8>> = OnceLock::new();
    LEDGER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("ledger.db");
        drop(SqliteStore::open(&database, Timestamp::UNIX_EPOCH).unwrap());
        std::fs::read(&database).unwrap()
    })
}

/// Plays the history of a seed and judges it. `begins` is told its clock, `ends` where its ledger is.
pub fn play_seed(
    seed: u64,
    scale: Scale,
    begins: impl FnOnce(&ElapsedClock),
    ends: impl FnOnce(&Path),
) -> Judged {
    // In memory where there is such a place: nobody pulls the plug here, so no disk is waited for.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut simulation = Simulation::starting(seed, scale, folder.path(), calendars::start(seed, scale));
        if scale == Scale::Brief {
            std::fs::write(&simulation.database, empty_ledger()).unwrap();
        }
        // In every other history, so that there is time for more of them.
        simulation.netease = (seed % 2 == 1).then(|| netease::NetEase::new(seed, scale));
        begins(&simulation.clock);
        simulation.run().await;
        ends(&simulation.database);
        let mut judgement = simulation.judge();
        let ledger = rusqlite::Connection::open(&simulation.database).unwrap();
        let (findings, slots) = simulation.drawn.judge(&ledger, simulation.clock.now());
        judgement.findings.extend(findings);
        judgement.findings.append(&mut simulation.restores.findings);
        judgement.summary += &format!(", {slots} slots of timed");
        let story = std::mem::take(&mut simulation.story);
        Judged { findings: judgement.findings, summary: judgement.summary, story, kinds: simulation.kinds }
    })
}

#[cfg(test)]
mod seeds {
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Plays a seed; a broken promise fails the test with the whole story.
    fn check(seed: u64) {
        let judged = super::play_seed(seed, super::Scale::Long, |_| (), |_| ());
        println!("seed {seed}: {}; {:?}", judged.summary, judged.kinds);
        let (findings, story) = (judged.findings.join("\n"), judged.story.join("\n"));
        assert!(
            findings.is_empty(),
            "seed {seed}:\n{findings}\n\nits story:\n{story}\n\n\
             `cargo run --example simulate -- --replay {seed}` tells each step"
        );
    }

    /// How many histories are played when nobody says: few, so that a change is soon tried.
    const FEW: u64 = 20;

    #[test]
    fn histories_keep_every_promise() {
        #[expect(clippy::disallowed_methods, reason = "a test is told by its environment how much to play")]
        let seeds = std::env::var("CAMPAIGND_TEST_SEEDS").ok().and_then(|text| text.parse().ok());
        let (seeds, next) = (seeds.unwrap_or(FEW), AtomicU64::new(1));
        let worker = || {
            loop {
                match next.fetch_add(1, Ordering::Relaxed) {
                    seed if seed <= seeds => check(seed),
                    _ => return,
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(worker);
            }
        });
    }
}
