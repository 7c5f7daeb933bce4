//! The git checkout that a folder stands in, where there is one: whether git is in the middle of changing
//! it, which commit it is at, and which files differ from that.
//!
//! Git is asked as a program of its own, which may be missing or refuse: then nothing is known of a commit,
//! and bytes and digests are the truth.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

/// Variables that would point git at another checkout than the folder's.
const ELSEWHERE: [&str; 6] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"];
/// The longest line that git answers with before a file's content.
const LONGEST_ANSWER: u64 = 8_192;

/// The commit that a checkout is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full name.
    pub id: String,
    /// The paths of the asked files that are not the same there, byte for byte.
    pub differing: BTreeSet<String>,
}

/// Where a checkout lies.
#[derive(Debug)]
struct Checkout {
    top: PathBuf,
    /// Git's own folder.
    git: PathBuf,
}

/// The checkout around a folder.
fn around(folder: &Path) -> Option<Checkout> {
    let folder = std::fs::canonicalize(folder).ok()?;
    folder.ancestors().find_map(|top| {
        let git = top.join(".git");
        let metadata = std::fs::metadata(&git).ok()?;
        let git = if metadata.is_dir() { git } else { linked(top, &git)? };
        Some(Checkout { top: top.to_owned(), git })
    })
}

/// Git's folder of a linked worktree or a submodule, whose `.git` is a file that says where it lies.
fn linked(top: &Path, file: &Path) -> Option<PathBuf> {
    let mut text = String::new();
    std::fs::File::open(file).ok()?.take(LONGEST_ANSWER).read_to_string(&mut text).ok()?;
    Some(top.join(text.strip_prefix("gitdir:")?.trim()))
}

/// Whether git is in the middle of changing the checkout around a folder.
pub fn is_changing(folder: &Path) -> bool {
    around(folder).is_some_and(|checkout| checkout.git.join("index.lock").exists())
}

/// The commit that the checkout around a folder is at, and which of these files (paths relative to the
/// folder, with their bytes) differ from it. None where that cannot be told. Takes the time of a process.
pub fn commit(folder: &Path, files: &[(&str, &[u8])]) -> Option<Commit> {
    let checkout = around(folder)?;
    ask(folder, &checkout.top, files).ok().flatten()
}

fn ask(folder: &Path, top: &Path, files: &[(&str, &[u8])]) -> io::Result<Option<Commit>> {
    // The checkout may belong to somebody else; only objects are read, which runs nothing of theirs.
    let mut trust = std::ffi::OsString::from("safe.directory=");
    trust.push(top);
    let mut command = Command::new("git");
    ELSEWHERE.iter().for_each(|name| {
        command.env_remove(name);
    });
    let mut git = command
        .arg("-c")
        .arg(trust)
        .arg("-C")
        .arg(folder)
        .args(["cat-file", "--batch"])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let told = match (git.stdin.take(), git.stdout.take()) {
        (Some(questions), Some(answers)) => {
            converse(BufWriter::new(questions), BufReader::new(answers), files)
        }
        _ => Ok(None),
    };
    // Nobody asks any more, so it ends.
    git.wait()?;
    told
}

/// Asks for the commit, then for each file there.
fn converse(
    mut questions: impl Write + Send,
    mut answers: impl BufRead,
    files: &[(&str, &[u8])],
) -> io::Result<Option<Commit>> {
    writeln!(questions, "HEAD")?;
    questions.flush()?;
    let Some(Answer { name, size }) = answer(&mut answers)? else { return Ok(None) };
    skip(&mut answers, size)?;
    // A name that has a line break cannot be asked about; it counts as differing.
    let (asked, unasked): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| !path.contains('\n'));
    let mut differing: BTreeSet<String> = unasked.iter().map(|(path, _)| (*path).to_owned()).collect();
    thread::scope(|scope| {
        // Beside the reading, so that neither waits for the other.
        scope.spawn(|| {
            // An answer that does not come tells.
            let _ = asked.iter().try_for_each(|(path, _)| writeln!(questions, "{name}:./{path}"));
            drop(questions);
        });
        for (path, bytes) in &asked {
            if !is_same(&mut answers, bytes)? {
                differing.insert((*path).to_owned());
            }
        }
        io::Result::Ok(())
    })?;
    Ok(Some(Commit { id: name, differing }))
}

/// What git says of an object before its content.
struct Answer {
    name: String,
    size: u64,
}

/// The next answer; None when there is no such object.
fn answer(answers: &mut impl BufRead) -> io::Result<Option<Answer>> {
    let mut line = String::new();
    if answers.take(LONGEST_ANSWER).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [name, "commit" | "blob" | "tree" | "tag", size] => {
            let size = size.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            Ok(Some(Answer { name: (*name).to_owned(), size }))
        }
        _ => Ok(None),
    }
}

/// Passes over a content and the line break behind it.
fn skip(answers: &mut impl BufRead, size: u64) -> io::Result<()> {
    io::copy(&mut answers.take(size + 1), &mut io::sink()).map(|_| ())
}

/// Whether the next answer's content is this.
fn is_same(answers: &mut impl BufRead, bytes: &[u8]) -> io::Result<bool> {
    let Some(Answer { size, .. }) = answer(answers)? else { return Ok(false) };
    if size != bytes.len() as u64 {
        skip(answers, size)?;
        return Ok(false);
    }
    let mut committed = vec![0; bytes.len() + 1];
    answers.read_exact(&mut committed)?;
    Ok(committed[..bytes.len()] == *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A checkout with two committed files in `campaigns/`.
    fn checkout() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let campaigns = folder.path().join("campaigns");
        std::fs::create_dir_all(campaigns.join("team")).unwrap();
        std::fs::write(campaigns.join("a.yaml"), "one\n").unwrap();
        std::fs::write(campaigns.join("team/b c.yaml"), "two\n").unwrap();
        git(folder.path(), &["init", "-q"]);
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "-qm", "first"]);
        folder
    }

    #[test]
    fn a_commit_is_told_with_what_differs_from_it() {
        let folder = checkout();
        let files: [(&str, &[u8]); 4] =
            [("a.yaml", b"one\n"), ("team/b c.yaml", b"2\n"), ("new.yaml", b"three\n"), ("x\ny.yaml", b"")];
        let commit = commit(&folder.path().join("campaigns"), &files).unwrap();
        assert_eq!(commit.id, git(folder.path(), &["rev-parse", "HEAD"]));
        let differing: Vec<&str> = commit.differing.iter().map(String::as_str).collect();
        assert_eq!(differing, ["new.yaml", "team/b c.yaml", "x\ny.yaml"]);
    }

    #[test]
    fn thousands_of_files_are_asked_about_at_once() {
        let folder = checkout();
        let names: Vec<String> =
            (0..5_000).map(|number| format!("{}/{number}.yaml", "x".repeat(100))).collect();
        let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"" as &[u8])).collect();
        files.push(("a.yaml", b"one\n"));
        let commit = commit(&folder.path().join("campaigns"), &files).unwrap();
        assert_eq!(commit.differing.len(), 5_000);
    }

    #[test]
    fn where_there_is_no_commit_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(commit(folder.path(), &[("a.yaml", b"one\n")]), None);
        git(folder.path(), &["init", "-q"]);
        assert_eq!(commit(folder.path(), &[("a.yaml", b"one\n")]), None);
        std::fs::write(folder.path().join(".git/HEAD"), "rubbish").unwrap();
        assert_eq!(commit(folder.path(), &[("a.yaml", b"one\n")]), None);
    }

    #[test]
    fn a_checkout_in_the_middle_of_something_is_noticed() {
        let folder = checkout();
        let campaigns = folder.path().join("campaigns");
        assert!(!is_changing(&campaigns));
        std::fs::write(folder.path().join(".git/index.lock"), "").unwrap();
        assert!(is_changing(&campaigns));
        std::fs::remove_file(folder.path().join(".git/index.lock")).unwrap();
        // Of a linked worktree too.
        let linked = folder.path().join("linked");
        git(folder.path(), &["worktree", "add", "-q", linked.to_str().unwrap()]);
        assert!(!is_changing(&linked.join("campaigns")));
        assert!(commit(&linked.join("campaigns"), &[]).is_some());
        std::fs::write(folder.path().join(".git/worktrees/linked/index.lock"), "").unwrap();
        assert!(is_changing(&linked.join("campaigns")));
        assert!(!is_changing(&campaigns));
    }
}
