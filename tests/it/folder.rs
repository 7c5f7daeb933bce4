//! The folder as truth: real changes of real files under the real watcher of the built program. Whatever
//! came in between, the effect is what the folder holds once it is quiet.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::desk::{Desk, Process};

const SETTINGS: &str = "listen: off\ntimezone: UTC\ngateways: {sandbox: {kind: sandbox}}\n";

/// A campaign that says something, in the far future.
fn saying(text: &str) -> String {
    format!(
        "message: {{contentType: text, content: {{content: {text}}}}}\nrecvIDs: [u00001]\n\
         schedules: [{{at: 2099-01-01T00:00}}]\n"
    )
}

/// A desk whose daemon watches one campaign.
struct Watched {
    desk: Desk,
    daemon: Process,
}

impl Watched {
    fn new() -> Watched {
        let desk = Desk::new(SETTINGS, &[("a.yaml", &saying("one"))]);
        let daemon = desk.serve();
        Watched { desk, daemon }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.desk.path("campaigns").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A campaign's revisions, the newest first: what each says.
    fn said(&self, campaign: &str) -> Vec<String> {
        let mut said = Vec::new();
        let take = |_: &[String], cells: Vec<campaignd::store::sqlite::review::Cell>| {
            let yaml = cells.last().unwrap().text();
            let text = yaml.split("content: {content: ").nth(1).and_then(|rest| rest.split('}').next());
            said.push(text.unwrap_or_default().to_owned());
            Ok::<(), campaignd::store::StoreError>(())
        };
        self.desk.review().revisions(campaign, take).unwrap();
        said
    }

    /// State and problem of a campaign; nothing when it is not known.
    fn status(&self, campaign: &str) -> String {
        let rows = self.desk.review().campaigns().unwrap();
        let place = (0..rows.rows.len()).find(|row| rows.cell(*row, "campaign").text() == campaign);
        let word = |row: usize, column: &str| rows.cell(row, column).text();
        place.map(|row| format!("{} {}", word(row, "state"), word(row, "problem"))).unwrap_or_default()
    }

    /// Changes another file, and waits until that has taken effect: then what came before has, too.
    fn settle(&self) {
        let mark = format!("mark{}", self.said("mark").len());
        self.write("mark.yaml", &saying(&mark));
        self.desk.patiently(|| self.said("mark").first() == Some(&mark));
    }

    /// What the campaign `a` has said, the newest first, once everything has taken effect.
    #[track_caller]
    fn check(self, revisions: &[&str], status: &str) {
        self.settle();
        assert_eq!(self.said("a"), revisions);
        assert_eq!(self.status("a"), status);
        self.daemon.stop();
    }
}

#[test]
fn vim_saves_by_a_backup_and_a_new_file() {
    let watched = Watched::new();
    watched.write(".a.yaml.swp", "swap");
    fs::write(watched.path("4913"), "").unwrap();
    fs::remove_file(watched.path("4913")).unwrap();
    fs::rename(watched.path("a.yaml"), watched.path("a.yaml~")).unwrap();
    watched.write("a.yaml", &saying("two"));
    fs::remove_file(watched.path("a.yaml~")).unwrap();
    fs::remove_file(watched.path(".a.yaml.swp")).unwrap();
    watched.check(&["two", "one"], "active ");
}

#[test]
fn emacs_saves_beside_locks_and_autosaves() {
    let watched = Watched::new();
    symlink("alice@host.1234:1", watched.path(".#a.yaml")).unwrap();
    watched.write("#a.yaml#", &saying("half"));
    fs::copy(watched.path("a.yaml"), watched.path("a.yaml~")).unwrap();
    watched.write("a.yaml", &saying("two"));
    fs::remove_file(watched.path("#a.yaml#")).unwrap();
    fs::remove_file(watched.path(".#a.yaml")).unwrap();
    watched.check(&["two", "one"], "active ");
}

#[test]
fn nano_saves_in_place() {
    let watched = Watched::new();
    watched.write("a.yaml", &saying("two"));
    watched.check(&["two", "one"], "active ");
}

#[test]
fn an_editor_that_renames_over_the_file_leaves_no_gap() {
    let watched = Watched::new();
    watched.write("a.yaml.tmp.1234", &saying("two"));
    fs::rename(watched.path("a.yaml.tmp.1234"), watched.path("a.yaml")).unwrap();
    watched.check(&["two", "one"], "active ");
}

#[test]
fn rsync_renames_hidden_files_one_after_the_other() {
    let watched = Watched::new();
    for (name, text) in [("a.yaml", "two"), ("b.yaml", "new")] {
        let hidden = format!(".{name}.Xy12Zw");
        watched.write(&hidden, "");
        watched.write(&hidden, &saying(text));
        fs::rename(watched.path(&hidden), watched.path(name)).unwrap();
    }
    watched.settle();
    assert_eq!(watched.said("b"), ["new"]);
    watched.check(&["two", "one"], "active ");
}

#[test]
fn a_file_written_in_pieces_is_taken_as_a_whole() {
    use std::io::Write;
    let watched = Watched::new();
    let text = saying("two") + "description: x\n";
    let mut file = fs::File::create(watched.path("a.yaml")).unwrap();
    for piece in text.as_bytes().chunks(7) {
        file.write_all(piece).unwrap();
        file.flush().unwrap();
    }
    drop(file);
    watched.check(&["two", "one"], "active ");
}

#[test]
fn what_comes_and_goes_before_anyone_looks_has_no_effect() {
    let watched = Watched::new();
    watched.write("a.yaml", "message: [");
    fs::remove_file(watched.path("a.yaml")).unwrap();
    watched.write("a.yaml", &saying("one"));
    watched.check(&["one"], "active ");
}

#[test]
fn a_file_that_becomes_a_folder_is_gone_and_what_is_inside_is_new() {
    let watched = Watched::new();
    fs::remove_file(watched.path("a.yaml")).unwrap();
    fs::create_dir(watched.path("a.yaml")).unwrap();
    watched.write("a.yaml/inside.yaml", &saying("inside"));
    watched.settle();
    assert_eq!(watched.said("inside"), ["inside"]);
    watched.check(&["one"], "active fileGone");
}

#[test]
fn permissions_change_nothing_and_what_cannot_be_read_is_an_edit_rejected() {
    use std::os::unix::fs::PermissionsExt;
    let watched = Watched::new();
    fs::set_permissions(watched.path("a.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
    watched.settle();
    assert_eq!((watched.said("a"), watched.status("a")), (vec!["one".to_owned()], "active ".to_owned()));
    // Root reads whatever its permissions are; a link to nowhere nobody can read.
    fs::remove_file(watched.path("a.yaml")).unwrap();
    symlink("nowhere", watched.path("a.yaml")).unwrap();
    watched.check(&["one"], "active rejectedEdit");
}

/// The user and group called nobody.
const NOBODY: u32 = 65_534;

/// A watched desk whose daemon is held to permissions: where the tests run as root, it runs as nobody.
fn watched_by_somebody() -> Watched {
    use std::os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    };
    let desk = Desk::new(SETTINGS, &[("a.yaml", &saying("one")), ("b.yaml", &saying("one"))]);
    fs::create_dir(desk.path("campaigns/team")).unwrap();
    desk.write("campaigns/team/c.yaml", &saying("one"));
    let mut command = desk.command(&["serve"]);
    if fs::metadata(desk.path("")).unwrap().uid() == 0 {
        // Nobody need not reach the program where it was built.
        let program = desk.path("program");
        fs::copy(command.get_program(), &program).unwrap();
        for name in ["", "campaignd.yaml", "campaigns", "campaigns/team"] {
            chown(desk.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        for name in ["a.yaml", "b.yaml", "team/c.yaml"] {
            chown(desk.path("campaigns").join(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command = Command::new(program);
        command.arg("serve").current_dir(desk.path("")).env("TZ", "UTC").env_remove("NOTIFY_SOCKET");
        command.uid(NOBODY).gid(NOBODY).stdin(Stdio::null());
    }
    let daemon = Process::start(command, "ready: ");
    Watched { desk, daemon }
}

#[test]
fn a_file_without_permission_is_an_edit_rejected_and_a_folder_without_is_held() {
    use std::os::unix::fs::PermissionsExt;
    let watched = watched_by_somebody();
    let permit = |name: &str, mode: u32| {
        fs::set_permissions(watched.path(name), fs::Permissions::from_mode(mode)).unwrap()
    };
    let all = || ["a", "b", "c"].map(|id| watched.status(id));
    let until = |expected: [&str; 3]| watched.desk.patiently(|| all() == expected);
    until(["active ", "active ", "active "]);
    permit("a.yaml", 0o000);
    until(["active rejectedEdit", "active ", "active "]);
    let problems = watched.desk.review().problems().unwrap();
    assert!(problems.cell(0, "message").text().contains("Permission denied"));
    permit("team", 0o000);
    until(["active rejectedEdit", "active ", "active rejectedEdit"]);
    permit("team", 0o755);
    permit("a.yaml", 0o644);
    until(["active ", "active ", "active "]);
    permit("", 0o000);
    until(["active removalHeld", "active removalHeld", "active removalHeld"]);
    permit("", 0o755);
    until(["active ", "active ", "active "]);
    assert_eq!((watched.said("a"), watched.said("c")), (vec!["one".to_owned()], vec!["one".to_owned()]));
    watched.daemon.stop();
}

/// Whether a program is there. Where CAMPAIGND_TEST_TOOLS says `required`, one that is not is a failure.
fn there_is(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    #[expect(clippy::disallowed_methods, reason = "a test is told by its environment what must be there")]
    let required = std::env::var("CAMPAIGND_TEST_TOOLS").is_ok_and(|word| word == "required");
    assert!(is_there || !required, "{program} is not installed");
    if !is_there {
        eprintln!("{program} is not installed: left out");
    }
    is_there
}

#[test]
fn a_real_rsync_is_taken_as_it_ends() {
    if !there_is("rsync") {
        return;
    }
    let watched = Watched::new();
    let source = watched.desk.path("source");
    let copy = |flags: &[&str]| {
        let mut command = Command::new("rsync");
        command.args(flags).arg(format!("{}/", source.display())).arg(watched.path(""));
        assert!(command.status().unwrap().success());
    };
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a.yaml"), saying("two") + "description: longer\n").unwrap();
    fs::write(source.join("b.yaml"), saying("new")).unwrap();
    copy(&["-a", "--delete"]);
    watched.settle();
    assert_eq!(
        (watched.said("a"), watched.said("b")),
        (vec!["two".into(), "one".into()], vec!["new".to_owned()])
    );
    // Written over in place, in pieces, and what is gone there is gone here.
    fs::write(source.join("a.yaml"), saying("three") + &"# as slow as it is long\n".repeat(20_000)).unwrap();
    fs::remove_file(source.join("b.yaml")).unwrap();
    copy(&["-a", "--inplace", "--no-whole-file", "--bwlimit=2000"]);
    watched.settle();
    assert_eq!(watched.status("b"), "active ");
    copy(&["-a", "--delete"]);
    watched.settle();
    assert_eq!(watched.status("b"), "active fileGone");
    watched.check(&["three", "two", "one"], "active ");
}

#[test]
fn a_config_map_is_swapped_by_one_link() {
    let desk = Desk::new(SETTINGS, &[]);
    let folder = desk.path("campaigns");
    let version = |name: &str, text: &str| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("a.yaml"), saying(text)).unwrap();
    };
    version("..2026_11_11", "one");
    symlink("..2026_11_11", folder.join("..data")).unwrap();
    symlink("..data/a.yaml", folder.join("a.yaml")).unwrap();
    let daemon = desk.serve();
    let watched = Watched { desk, daemon };
    version("..2026_11_12", "two");
    symlink("..2026_11_12", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    fs::remove_dir_all(folder.join("..2026_11_11")).unwrap();
    watched.check(&["two", "one"], "active ");
}

fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(args);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn another_branch_is_taken_as_a_whole_with_its_commit() {
    let desk = Desk::new(SETTINGS, &[("a.yaml", &saying("one")), ("only-here.yaml", &saying("here"))]);
    let top = desk.path("");
    git(&top, &["init", "-q", "-b", "main"]);
    fs::write(top.join(".gitignore"), "*.db*\n").unwrap();
    git(&top, &["add", "."]);
    git(&top, &["commit", "-qm", "first"]);
    git(&top, &["checkout", "-qb", "autumn"]);
    git(&top, &["rm", "-q", "campaigns/only-here.yaml"]);
    fs::write(top.join("campaigns/a.yaml"), saying("two")).unwrap();
    fs::write(top.join("campaigns/new.yaml"), saying("new")).unwrap();
    git(&top, &["add", "."]);
    git(&top, &["commit", "-qm", "autumn"]);
    let autumn = git(&top, &["rev-parse", "HEAD"]);
    git(&top, &["checkout", "-q", "main"]);
    let daemon = desk.serve();
    let watched = Watched { desk, daemon };
    git(&top, &["checkout", "-q", "autumn"]);
    watched.desk.patiently(|| !watched.said("new").is_empty());
    assert_eq!(watched.said("a"), ["two", "one"]);
    assert_eq!(watched.status("only-here"), "active fileGone");
    let newest = watched.desk.json(&["history", "a"])[0].clone();
    assert_eq!((&newest["commit_id"], &newest["dirty"]), (&autumn.as_str().into(), &0.into()));
    // An edit that is not committed differs from its commit.
    watched.write("a.yaml", &saying("three"));
    watched.desk.patiently(|| watched.said("a").len() == 3);
    let newest = watched.desk.json(&["history", "a"])[0].clone();
    assert_eq!((&newest["commit_id"], &newest["dirty"]), (&autumn.as_str().into(), &1.into()));
    // And back.
    git(&top, &["checkout", "-q", "-f", "main"]);
    watched.desk.patiently(|| watched.status("only-here") == "active ");
    watched.check(&["one", "three", "two", "one"], "active ");
}

/// A checkout that takes as long as it likes: git passes each file through a filter that does.
#[test]
fn a_slow_pull_is_taken_as_a_whole_with_its_commit() {
    let desk = Desk::new(SETTINGS, &[]);
    let upstream = desk.path("upstream");
    fs::create_dir_all(upstream.join("campaigns")).unwrap();
    let write =
        |name: &str, text: &str| fs::write(upstream.join("campaigns").join(name), saying(text)).unwrap();
    let commit = || {
        git(&upstream, &["add", "-A", "."]);
        git(&upstream, &["commit", "-qm", "more"]);
        git(&upstream, &["rev-parse", "HEAD"])
    };
    git(&desk.path(""), &["init", "-q", "-b", "main", "upstream"]);
    fs::write(upstream.join(".gitattributes"), "*.yaml filter=slow\n").unwrap();
    write("a.yaml", "one");
    write("gone.yaml", "one");
    commit();
    // The ledger stands beside the clone.
    git(&desk.path(""), &["clone", "-q", "upstream", "clone"]);
    let clone = desk.path("clone");
    let settings = SETTINGS.to_owned() + "campaigns: clone/campaigns\n";
    desk.write("campaignd.yaml", &settings);
    git(&clone, &["config", "filter.slow.smudge", "sleep 0.5; cat"]);
    git(&clone, &["config", "filter.slow.clean", "cat"]);
    git(&clone, &["config", "remote.origin.uploadpack", "sleep 0.3; git-upload-pack"]);
    let daemon = desk.serve();
    let watched = Watched { desk, daemon };
    for name in ["a.yaml", "b.yaml", "c.yaml", "d.yaml"] {
        write(name, "two");
    }
    fs::remove_file(upstream.join("campaigns/gone.yaml")).unwrap();
    let pulled = commit();
    git(&clone, &["pull", "-q", "--ff-only"]);
    let newest = |campaign: &str| watched.desk.json(&["history", campaign])[0].clone();
    watched.desk.patiently(|| !watched.said("d").is_empty());
    let times = ["a", "b", "c", "d"].map(|campaign| {
        let newest = newest(campaign);
        assert_eq!(
            (&newest["commit_id"], &newest["dirty"]),
            (&pulled.as_str().into(), &0.into()),
            "{newest}"
        );
        newest["applied_at"].clone()
    });
    assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
    assert_eq!(watched.said("a"), ["two", "one"]);
    watched.desk.patiently(|| watched.status("gone") == "active fileGone");
    watched.daemon.stop();
}

#[test]
fn a_folder_that_appears_later_without_events_is_read_all_the_same() {
    let desk = Desk::new(SETTINGS, &[]);
    fs::remove_dir(desk.path("campaigns")).unwrap();
    // There is nothing to watch, as on a mount that tells no events.
    let daemon = Process::start(desk.command(&["serve"]), "is not watched, only read again");
    daemon.hear("ready: ");
    fs::create_dir(desk.path("campaigns")).unwrap();
    let watched = Watched { desk, daemon };
    watched.write("a.yaml", &saying("one"));
    watched.desk.patiently(|| watched.said("a") == ["one"]);
    watched.write("a.yaml", &saying("two"));
    watched.desk.patiently(|| watched.said("a") == ["two", "one"]);
    watched.daemon.stop();
}

#[test]
fn odd_things_under_a_campaign_files_name_are_told() {
    let desk = Desk::new(SETTINGS, &[("good.yaml", &saying("good"))]);
    let folder = desk.path("campaigns");
    fs::create_dir(folder.join("folder.yaml")).unwrap();
    symlink("nowhere", folder.join("dangling.yaml")).unwrap();
    symlink("loop.yaml", folder.join("loop.yaml")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe.yaml")).status().unwrap().success());
    fs::write(folder.join("large.yaml"), "# ".to_owned() + &"x".repeat(1 << 20)).unwrap();
    fs::write(
        folder.join("lists.yaml"),
        saying("x").replace("recvIDs: [u00001]", "recipients: [{file: l.txt}]"),
    )
    .unwrap();
    fs::write(desk.path("outside.txt"), "u00001\n").unwrap();
    symlink("../outside.txt", folder.join("l.txt")).unwrap();
    let said = desk.ends(&["check"], 3);
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!("odd_things_are_told", said.out);
    });
    // One by one they are told as well, and nobody waits for the pipe.
    desk.ends(&["check", "campaigns/pipe.yaml"], 3);
    desk.ends(&["check", "campaigns/lists.yaml"], 3);
    // The daemon reads the same, and goes on with what is good.
    let daemon = desk.serve();
    let watched = Watched { desk, daemon };
    watched.settle();
    assert_eq!(watched.status("good"), "active ");
    watched.daemon.stop();
}

#[test]
fn a_hook_keeps_a_mistake_from_being_committed() {
    let desk = Desk::new(SETTINGS, &[("a.yaml", &saying("one"))]);
    let top = desk.path("");
    git(&top, &["init", "-q"]);
    git(&top, &["add", "."]);
    git(&top, &["commit", "-qm", "first"]);
    let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/git/pre-commit");
    symlink(hook, top.join(".git/hooks/pre-commit")).unwrap();
    let commit = |name: &str| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&top).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
        let output = command
            .args(["commit", "-qm", name])
            .env("CAMPAIGND", env!("CARGO_BIN_EXE_campaignd"))
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    };
    desk.write("campaigns/a.yaml", &saying("something else"));
    git(&top, &["add", "."]);
    let (committed, told) = commit("good");
    assert!(committed, "{told}");
    desk.write("campaigns/a.yaml", &format!("{}recvIds: [u1]\n", saying("three")));
    git(&top, &["add", "."]);
    // What lies in the working tree is not what is committed.
    desk.write("campaigns/a.yaml", &saying("three"));
    let (committed, told) = commit("bad");
    assert!(!committed && told.contains("did you mean `recvIDs`?"), "{told}");
    git(&top, &["add", "."]);
    assert!(commit("mended").0);
}

#[test]
fn the_workflows_command_tells_each_mistake_at_its_line() {
    let workflow = include_str!("../../examples/git/workflow.yml");
    let command = workflow.lines().find_map(|line| line.trim().strip_prefix("run: campaignd ")).unwrap();
    let args: Vec<&str> = command.split(' ').collect();
    let desk = Desk::new(SETTINGS, &[("a.yaml", &saying("one"))]);
    desk.ends(&args, 0);
    // A warning counts.
    desk.write("campaigns/a.yaml", &saying("one").replace("2099", "2019"));
    let said = desk.ends(&args, 3);
    assert!(said.out.starts_with("::warning file=campaigns/a.yaml,line=3,col="), "{}", said.out);
    serde_yaml::from_str::<serde_yaml::Value>(workflow).unwrap();
}

#[test]
fn thousands_of_changes_are_told_in_few_lines() {
    let desk = Desk::new(SETTINGS, &[]);
    for number in 10..35 {
        desk.write(&format!("campaigns/good{number}.yaml"), &saying("one"));
        desk.write(&format!("campaigns/bad{number}.yaml"), "message: [");
    }
    let mut daemon = desk.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(daemon.stderr.take().unwrap()).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.take_while(|line| !line.contains("ready: ")).collect();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let told = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!((told("added campaign=good"), told("and 5 campaigns more: added")), (20, 1), "{lines:#?}");
    assert_eq!((told(" bad"), told("and 5 problems more")), (20, 1), "{lines:#?}");
}
