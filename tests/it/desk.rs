//! A desk at which the built program is run: a folder, its daemon, a sandbox server, what they say.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use campaignd::store::sqlite::review::Review;
use serde_json::Value;

/// The longest is a provider's minute of quiet; whoever waits longer waits for nothing.
pub const PATIENCE: Duration = Duration::from_secs(100);

/// A folder with settings and campaigns, in which the program is run.
pub struct Desk {
    folder: tempfile::TempDir,
}

/// How a session ended.
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

impl Desk {
    pub fn new(settings: &str, campaigns: &[(&str, &str)]) -> Desk {
        Desk::on(&std::env::temp_dir(), settings, campaigns)
    }

    /// A desk whose folder stands in this one.
    pub fn on(place: &Path, settings: &str, campaigns: &[(&str, &str)]) -> Desk {
        let desk = Desk { folder: tempfile::tempdir_in(place).unwrap() };
        desk.write("campaignd.yaml", settings);
        std::fs::create_dir(desk.path("campaigns")).unwrap();
        for (name, text) in campaigns {
            desk.write(&format!("campaigns/{name}"), text);
        }
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_campaignd"));
        command.args(args).current_dir(self.folder.path()).env("USER", "alice").env("TZ", "UTC");
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        command
    }

    pub fn say(&self, args: &[&str]) -> Said {
        let output = self.command(args).output().unwrap();
        Said {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap(),
        }
    }

    /// Says it and expects this exit code.
    #[track_caller]
    pub fn ends(&self, args: &[&str], code: i32) -> Said {
        let said = self.say(args);
        assert_eq!(said.code, code, "{args:?}\n{}\n{}", said.out, said.err);
        said
    }

    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let said = self.ends(&[args, &["--format", "json"]].concat(), 0);
        serde_json::from_str(&said.out).unwrap()
    }

    pub fn review(&self) -> Review {
        Review::open(&self.path("campaignd.db")).unwrap()
    }

    /// Waits until the ledger says so of a run: its state, how many are accepted.
    #[track_caller]
    pub fn until(&self, run: &str, what: impl Fn(&str, i64) -> bool) {
        self.wait(|| Some(run.to_owned()), what);
    }

    /// The same of the newest run of a campaign, which need not be there yet.
    #[track_caller]
    pub fn until_newest(&self, campaign: &str, what: impl Fn(&str, i64) -> bool) {
        self.wait(|| self.review().newest_run(campaign).unwrap(), what);
    }

    #[track_caller]
    fn wait(&self, run: impl Fn() -> Option<String>, what: impl Fn(&str, i64) -> bool) {
        let review = self.review();
        for _ in 0..PATIENCE.as_millis() / 20 {
            if let Some(run) = run() {
                let rows = review.run(&run).unwrap();
                if what(&rows.cell(0, "state").text(), rows.cell(0, "accepted").number()) {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{:?} never came so far", run());
    }

    /// Waits until it is so.
    #[track_caller]
    pub fn patiently(&self, is_so: impl Fn() -> bool) {
        for _ in 0..PATIENCE.as_millis() / 20 {
            if is_so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it never came so far");
    }

    pub fn serve(&self) -> Process {
        Process::start(self.command(&["serve"]), "ready: ")
    }
}

/// A daemon or a sandbox, which says on stderr when it is ready.
pub struct Process {
    child: Child,
    pub ready: String,
    lines: Receiver<String>,
}

impl Process {
    pub fn start(mut command: Command, ready: &str) -> Process {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let lines = follow(child.stderr.take().unwrap());
        let mut said = String::new();
        let ready = loop {
            let Ok(line) = lines.recv_timeout(PATIENCE) else { panic!("it is not ready, and says:\n{said}") };
            said.push_str(&line);
            said.push('\n');
            if line.contains(ready) {
                break line;
            }
        };
        Process { child, ready, lines }
    }

    /// Waits until it says so on stderr.
    #[track_caller]
    pub fn hear(&self, what: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what:?} is not said"));
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Its process id.
    #[allow(dead_code, reason = "a bench looks at its processor time")]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it where it stands.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal, `TERM` or `HUP`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Lets it end by itself.
    pub fn stop(mut self) {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Whoever has heard that it is ready listens no more; the pipe is emptied all the same.
            let _ = sender.send(line);
        }
    });
    lines
}
