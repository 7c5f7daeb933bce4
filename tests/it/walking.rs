//! A random walk through what people and programs do to a folder of campaigns: saves of every kind, broken
//! ones, renames, removals, links, folders, restarts and kills of the daemon. At its end the campaigns in
//! force are what a fresh start on the same ledger makes of the folder, what the files say, and no run was
//! made that no file asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    time::Duration,
};

use campaignd::clock::{Clock, SystemClock};

use crate::{
    desk::{Desk, Process},
    dice::Dice,
};

const SETTINGS: &str = "listen: off\ntimezone: UTC\ngateways: {sandbox: {kind: sandbox}}\n";
/// Names of campaigns; few, so that they meet.
const IDS: usize = 12;

/// What a walk has come to.
pub struct Walked {
    pub steps: u64,
    pub starts: u64,
    pub revisions: usize,
    pub runs: usize,
}

struct Walk {
    desk: Desk,
    dice: Dice,
    daemon: Option<Process>,
    /// Every good text that was ever in a file, with its campaign.
    good: BTreeSet<(String, String)>,
    texts: u64,
    starts: u64,
    /// The last steps.
    story: Vec<String>,
}

/// Walks for so long. Panics, with the last steps, when something does not hold.
pub fn walk(seed: u64, duration: Duration) -> Walked {
    let clock = SystemClock::new();
    let start = clock.steady();
    let desk = Desk::new(SETTINGS, &[]);
    let mut walk = Walk {
        desk,
        dice: Dice::new(seed),
        daemon: None,
        good: BTreeSet::new(),
        texts: 0,
        starts: 0,
        story: Vec::new(),
    };
    walk.start();
    let mut steps = 0;
    while clock.steady().duration_since(start).unsigned_abs() < duration {
        walk.step();
        steps += 1;
    }
    let (revisions, runs) = walk.judge(seed);
    Walked { steps, starts: walk.starts, revisions, runs }
}

impl Walk {
    fn start(&mut self) {
        self.daemon = Some(self.desk.serve());
        self.starts += 1;
    }

    fn tell(&mut self, what: String) {
        self.story.push(what);
        if self.story.len() > 200 {
            self.story.remove(0);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.desk.path("campaigns").join(name)
    }

    /// A file's name: at the top or in a folder.
    fn name(&mut self) -> (String, String) {
        let id = format!("c{}", self.dice.up_to(IDS));
        let name = if self.dice.up_to(4) == 0 { format!("team/{id}.yaml") } else { format!("{id}.yaml") };
        (id, name)
    }

    /// A campaign that nobody has written before. Some run now, most never.
    fn good_text(&mut self, id: &str) -> String {
        self.texts += 1;
        let when = if self.dice.up_to(4) == 0 { "every: 2s" } else { "at: 2099-01-01T00:00" };
        let own = if self.dice.up_to(2) == 0 { format!("id: {id}\n") } else { String::new() };
        let text = format!(
            "{own}message: {{contentType: text, content: {{content: t{}}}}}\nrecvIDs: [u00001]\n\
             schedules: [{{{when}}}]\n",
            self.texts
        );
        self.good.insert((id.to_owned(), text.clone()));
        text
    }

    fn write(&mut self, name: &str, text: &str) {
        use std::io::Write;
        let path = self.path(name);
        let _ = fs::create_dir_all(path.parent().unwrap());
        // Whatever stands in the way (a folder, a link to nowhere) keeps the save from happening.
        let _ = match self.dice.up_to(4) {
            0 => fs::write(&path, text),
            1 => {
                let beside = path.with_extension("yaml.tmp");
                fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path))
            }
            2 => {
                let _ = fs::rename(&path, path.with_extension("yaml~"));
                fs::write(&path, text)
            }
            _ => fs::File::create(&path)
                .and_then(|mut file| text.as_bytes().chunks(40).try_for_each(|piece| file.write_all(piece))),
        };
    }

    fn step(&mut self) {
        let (id, name) = self.name();
        let path = self.path(&name);
        match self.dice.up_to(40) {
            0..=13 => {
                let text = self.good_text(&id);
                self.tell(format!("write {name}"));
                self.write(&name, &text);
            }
            14..=17 => {
                let text = self.good_text(&id);
                self.good.remove(&(id, text.clone()));
                let broken = match self.dice.up_to(3) {
                    0 => text.replace("recvIDs", "recvIds"),
                    1 => text[..self.dice.up_to(text.len())].to_owned() + "\n[",
                    _ => "\u{0}".to_owned(),
                };
                self.tell(format!("break {name}"));
                self.write(&name, &broken);
            }
            18..=21 => {
                let (_, other) = self.name();
                self.tell(format!("rename {name} {other}"));
                let _ = fs::create_dir_all(self.path("team"));
                let _ = fs::rename(&path, self.path(&other));
            }
            22..=24 => {
                self.tell(format!("remove {name}"));
                let _ = fs::remove_file(&path);
            }
            25 => {
                self.tell(format!("folder {name}"));
                let _ = fs::remove_file(&path);
                let _ = fs::create_dir_all(&path);
            }
            26 => {
                self.tell(format!("no folder {name}"));
                let _ = fs::remove_dir(&path);
            }
            27 => {
                let (_, other) = self.name();
                self.tell(format!("link {name} {other}"));
                let _ = fs::remove_file(&path);
                let _ = symlink(self.path(&other), &path);
            }
            28 => {
                self.tell("team is moved away and back".to_owned());
                let _ = fs::rename(self.path("team"), self.path(".team"));
                self.pause();
                let _ = fs::rename(self.path(".team"), self.path("team"));
            }
            29 => {
                self.tell("everything is moved away and back".to_owned());
                let (folder, away) = (self.desk.path("campaigns"), self.desk.path("away"));
                let _ = fs::rename(&folder, &away);
                self.pause();
                let _ = fs::rename(&away, &folder);
            }
            30 => {
                self.tell("git is changing something".to_owned());
                let _ = fs::create_dir_all(self.desk.path(".git"));
                let _ = fs::write(self.desk.path(".git/index.lock"), "");
            }
            31 | 32 => {
                let _ = fs::remove_file(self.desk.path(".git/index.lock"));
            }
            33 => {
                self.tell("a restart".to_owned());
                match (self.daemon.take(), self.dice.up_to(2)) {
                    (Some(daemon), 0) => daemon.stop(),
                    (Some(daemon), _) => daemon.kill(),
                    (None, _) => {}
                }
                self.start();
            }
            34 => {
                let mut command = self.desk.command(&["apply", "--removals"]);
                self.tell("removals are applied".to_owned());
                assert!(command.output().unwrap().status.success());
            }
            _ => self.pause(),
        }
    }

    /// As long as people and programs take, which is shorter or longer than the folder's quiet.
    fn pause(&mut self) {
        let longest = [5, 50, 400][self.dice.up_to(3)];
        std::thread::sleep(Duration::from_millis(self.dice.up_to(longest) as u64));
    }

    /// Waits until what the folder holds has taken effect: a mark that is written last is in force.
    fn settle(&mut self) {
        let text = self.good_text("mark");
        fs::write(self.path("mark.yaml"), &text).unwrap();
        let review = self.desk.review();
        self.desk.patiently(|| {
            let rows = review.campaigns().unwrap();
            let place = (0..rows.rows.len()).find(|row| rows.cell(*row, "campaign").text() == "mark");
            let number = place.map(|row| rows.cell(row, "revision").number());
            number.is_some_and(|number| {
                review.revision_bytes("mark", number).unwrap().as_deref() == Some(text.as_bytes())
            })
        });
    }

    /// The campaigns in force: (state and problem, path, bytes) by id. Time alone makes a removal of what is
    /// gone, so the two count as one here.
    fn in_force(&self) -> BTreeMap<String, (String, String, Vec<u8>)> {
        let review = self.desk.review();
        let rows = review.campaigns().unwrap();
        (0..rows.rows.len())
            .filter(|row| rows.cell(*row, "campaign").text() != "mark")
            .map(|row| {
                let text = |column: &str| rows.cell(row, column).text();
                let standing = match (text("state").as_str(), text("problem").as_str()) {
                    ("removed", _) | (_, "fileGone") => "gone".to_owned(),
                    (state, problem) => format!("{state} {problem}"),
                };
                let id = text("campaign");
                let number = rows.cell(row, "revision").number();
                let bytes = review.revision_bytes(&id, number).unwrap().unwrap();
                (id, (standing, text("path"), bytes))
            })
            .collect()
    }

    fn judge(&mut self, seed: u64) -> (usize, usize) {
        let _ = fs::remove_file(self.desk.path(".git/index.lock"));
        self.settle();
        let under_way = self.in_force();
        self.daemon.take().unwrap().stop();
        self.start();
        self.settle();
        let afresh = self.in_force();
        let story = self.story.join("\n");
        assert_eq!(under_way, afresh, "seed {seed}: a fresh start makes something else of it:\n{story}");
        for (id, (standing, path, bytes)) in &afresh {
            if standing == "active " {
                let on_disk = fs::read(self.path(path)).ok();
                assert_eq!(
                    on_disk.as_ref(),
                    Some(bytes),
                    "seed {seed}: {id} is not what {path} holds:\n{story}"
                );
            }
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(
                self.is_good(&text),
                "seed {seed}: {id} is in force with a text that was never good:\n{story}"
            );
        }
        self.daemon.take().unwrap().stop();
        let (mut revisions, mut runs) = (0, 0);
        let review = self.desk.review();
        for run in review.newest_runs(u32::MAX).unwrap() {
            let text = String::from_utf8(review.run_bytes(&run).unwrap()).unwrap();
            let meant = self.is_good(&text) && text.contains("every: 2s");
            assert!(meant, "seed {seed}: {run} was never meant:\n{text}\n{story}");
            runs += 1;
        }
        for id in afresh.keys() {
            let count = |_: &[String], _: Vec<_>| -> Result<(), campaignd::store::StoreError> {
                revisions += 1;
                Ok(())
            };
            review.revisions(id, count).unwrap();
        }
        self.desk.ends(&["db", "verify"], 0);
        (revisions, runs)
    }

    fn is_good(&self, text: &str) -> bool {
        self.good.iter().any(|(_, good)| good == text)
    }
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "a bench has no tests")]
    use super::*;

    #[test]
    fn a_short_walk_ends_where_a_fresh_start_does() {
        let walked = walk(1, Duration::from_secs(8));
        let Walked { steps, starts, revisions, runs } = walked;
        assert!(
            steps > 20 && revisions > 5,
            "{steps} steps, {starts} starts, {revisions} revisions, {runs} runs"
        );
    }
}
