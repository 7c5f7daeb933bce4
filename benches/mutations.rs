//! Breaks the rules of `tests/mutations` one after the other, in a copy of what is tracked, and runs the
//! test that must notice.
//!
//! `cargo bench --bench mutations -- [NAME…]`: those whose names begin so, or all. It ends with 1 where one
//! went unnoticed. The copy and what is compiled stand in `target/mutations`, so that the next time is shorter.

#[path = "../tests/it/mutations.rs"]
mod mutations;

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

/// How long tests may take.
const LONGEST: &str = "10m";

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = package.join("target/mutations/copy");
    let tracked = Command::new("git").args(["ls-files"]).current_dir(package).output().unwrap();
    for file in String::from_utf8(tracked.stdout).unwrap().lines() {
        let to = copy.join(file);
        let content = fs::read(package.join(file)).unwrap();
        // What has not changed is not compiled again.
        if fs::read(&to).is_ok_and(|known| known == content) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, content).unwrap();
    }
    let mut unnoticed = 0;
    for mutation in mutations::all() {
        if !wanted.is_empty() && !wanted.iter().any(|word| mutation.name.starts_with(word)) {
            continue;
        }
        let file = copy.join(&mutation.file);
        let text = fs::read_to_string(&file).unwrap();
        let Some(broken) = mutation.broken(&text) else {
            println!("{}: its lines are not in {} exactly once", mutation.name, mutation.file);
            unnoticed += 1;
            continue;
        };
        fs::write(&file, broken).unwrap();
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--offline"]).args(mutation.test.split(' ')).current_dir(&copy);
        // Only what a test says is a test's: a mutation that does not compile shows nothing.
        let built = cargo_with(&mut cargo, package).arg("--no-run").status().unwrap().success();
        let mut cargo = Command::new("timeout");
        cargo.args([LONGEST, "cargo", "test", "--offline"]);
        cargo.args(mutation.test.split(' ')).current_dir(&copy);
        let output = cargo_with(&mut cargo, package).stdout(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let failed: Vec<_> = said.lines().filter(|line| line.ends_with(" ... FAILED")).collect();
        let verdict = match (built, failed.first()) {
            (false, _) => "DOES NOT COMPILE".to_owned(),
            // A test that dies, or comes to no end, says nothing.
            (true, None) if !output.status.success() => {
                format!("noticed: the tests ended with {}", output.status)
            }
            (true, None) => "UNNOTICED".to_owned(),
            (true, Some(first)) => {
                let first = first.trim_start_matches("test ").trim_end_matches(" ... FAILED");
                format!("noticed by {first} and {} others", failed.len() - 1)
            }
        };
        unnoticed += u32::from(!verdict.starts_with("noticed"));
        println!("{} {} ({}): {verdict}", mutation.name, mutation.rule, mutation.test);
        fs::write(&file, text).unwrap();
    }
    println!("{unnoticed} unnoticed");
    if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cargo_with<'a>(cargo: &'a mut Command, package: &Path) -> &'a mut Command {
    cargo.env("CARGO_TARGET_DIR", package.join("target/mutations")).env("CARGO_PROFILE_DEV_DEBUG", "false");
    cargo.stdout(Stdio::null()).stderr(Stdio::null())
}
