//! Files that nobody would write, made by a seed out of good ones, bad ones, and what YAML is made of; and
//! what must hold of each: no panic, bounded time, errors that refuse and nothing else that does.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use campaignd::{
    campaign,
    cli::problems::{self, Format},
    clock::{Clock, SystemClock},
    document::{Problem, Severity},
    settings::{self, Settings},
};

use crate::dice::Dice;

/// What a file is at most, and a byte more.
const LARGEST: usize = (1 << 20) + 1;
/// The longest that reading any file may take, in a build without optimisation on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

/// Pieces that files are made of, and that readers of YAML stumble over.
const TOKENS: &[&str] = &[
    "\n",
    "\n  ",
    "\n- ",
    ": ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "---\n",
    "...\n",
    "|\n",
    ">-\n",
    "\t",
    "\r\n",
    "\u{feff}",
    "\u{0}",
    "\u{7f}",
    "\u{2028}",
    "\u{85}",
    "%YAML 1.1\n",
    "~",
    "null",
    "true",
    "012",
    "0x1f",
    "1e5",
    "12_000",
    ".inf",
    "-",
    "１２３",
    "多",
    "\u{301}",
    "\u{1f600}",
    "id: ",
    "message: ",
    "contentType: ",
    "content: ",
    "recvIDs: ",
    "isSendAll: ",
    "groupIDs: ",
    "recipients: ",
    "exclude: ",
    "expect: ",
    "schedules: ",
    "at: ",
    "cron: ",
    "every: ",
    "from: ",
    "until: ",
    "timezone: ",
    "lateness: ",
    "window: ",
    "dst: ",
    "delivery: ",
    "limits: ",
    "retry: ",
    "gateways: ",
    "secret: ",
    "url: ",
    "2026-11-11T09:00",
    "9999-99-99T99:99",
    "\"* * * * *\"",
    "\"0 0 30 2 *\"",
    "@daily",
    "6h",
    "99999999999999999999d",
    "200/s",
    "0/s",
    "20%",
    "Asia/Shanghai",
    "Europe/Berlin",
    "openim",
    "text",
    "{{name}}",
    "file: ../x.csv",
];

/// The kept files that others are made of: every fixture, every example, and what was once a trouble.
pub fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let folders = [
        "campaigns",
        "examples",
        "tests/fixtures/campaigns",
        "tests/fixtures/settings",
        "tests/fixtures/corpus",
    ];
    let mut files = Vec::new();
    for folder in folders {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    files.sort();
    assert!(files.len() > 50);
    files
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if path.is_dir() {
            collect(&path, files);
        } else if is_yaml {
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}

/// A file made of the corpus by dice.
pub fn made(dice: &mut Dice, corpus: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let pick = |dice: &mut Dice| corpus[dice.up_to(corpus.len())].1.clone();
    let mut bytes = pick(dice);
    for _ in 0..=dice.up_to(6) {
        match dice.up_to(9) {
            0 => {
                // A part is taken out.
                let (from, to) = range(dice, bytes.len());
                bytes.drain(from..to);
            }
            1 => {
                // A part stands twice.
                let (from, to) = range(dice, bytes.len());
                let part = bytes[from..to].to_vec();
                bytes.splice(to..to, part);
            }
            2 => {
                // A part of another file comes in.
                let other = pick(dice);
                let (from, to) = range(dice, other.len());
                let at = dice.up_to(bytes.len() + 1);
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            3 => lines(dice, &mut bytes),
            4 => {
                // A bit is flipped.
                if !bytes.is_empty() {
                    let at = dice.up_to(bytes.len());
                    bytes[at] ^= 1 << dice.up_to(8);
                }
            }
            5 => {
                // A token is repeated until the file is as large as a file may be: seldom, since it takes as long as
                // a hundred others.
                if dice.up_to(200) == 0 {
                    let token = TOKENS[dice.up_to(TOKENS.len())].as_bytes();
                    let at = dice.up_to(bytes.len() + 1);
                    let times = (LARGEST - bytes.len().min(LARGEST)) / token.len();
                    bytes.splice(at..at, token.repeat(times));
                }
            }
            _ => {
                let at = dice.up_to(bytes.len() + 1);
                bytes.splice(at..at, TOKENS[dice.up_to(TOKENS.len())].bytes());
            }
        }
        bytes.truncate(LARGEST);
    }
    bytes
}

fn range(dice: &mut Dice, length: usize) -> (usize, usize) {
    let (one, other) = (dice.up_to(length + 1), dice.up_to(length + 1));
    (one.min(other), one.max(other))
}

/// Two lines change places.
fn lines(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let (one, other) = (dice.up_to(lines.len()), dice.up_to(lines.len()));
    lines.swap(one, other);
    *bytes = lines.join(&b'\n');
}

/// Reads a file as a campaign and as settings, and tells what does not hold.
pub fn judge(bytes: &[u8]) -> Result<Duration, String> {
    let clock = SystemClock::new();
    let start = clock.steady();
    let settings = Settings::built_in();
    let gateways = settings.dialects();
    let context = campaign::file::Context {
        now: "2026-06-01T00:00:00Z".parse().unwrap(),
        default_zone: settings.zone.clone(),
        default_gateway: settings.default_gateway.clone(),
        gateways: &gateways,
        list_file: None,
        dates: None,
    };
    let (campaign, found) = campaign::file::read("made.yaml", bytes, &context);
    agree(campaign.is_some(), &found, bytes)?;
    let named = campaign::file::identity("made.yaml", bytes);
    if let Some(campaign) = campaign
        && named.as_ref() != Some(&campaign.id)
    {
        return Err(format!("it is the campaign {} and gives the id {named:?}", campaign.id));
    }
    let (settings, found) = settings::read("made.yaml", bytes, Path::new("/etc/campaignd"));
    agree(settings.is_some(), &found, bytes)?;
    let took = clock.steady().duration_since(start).unsigned_abs();
    if took > LONGEST { Err(format!("it took {took:?}")) } else { Ok(took) }
}

/// Errors refuse and nothing else does; problems are few, in order, and can be written.
fn agree(taken: bool, found: &[Problem], bytes: &[u8]) -> Result<(), String> {
    let refused = found.iter().any(|problem| problem.severity == Severity::Error);
    if taken == refused {
        return Err(format!("taken: {taken}, refused: {refused}"));
    }
    if found.len() > 1_001 {
        return Err(format!("{} problems", found.len()));
    }
    let places: Vec<_> = found.iter().map(|problem| (problem.line, problem.column)).collect();
    if !places.is_sorted() {
        return Err("the problems are in no order".to_owned());
    }
    let lines = bytes.split(|byte| *byte == b'\n').count() as u32;
    if let Some(beyond) = found.iter().find(|problem| problem.line > lines) {
        return Err(format!("a problem stands in line {} of {lines}", beyond.line));
    }
    let text = String::from_utf8_lossy(bytes).into_owned();
    for format in [Format::Human { colours: false }, Format::JSON, Format::GitHub] {
        let written = problems::write(found, format, &|_| Some(text.clone()));
        if format != Format::JSON && written.chars().any(|c| c.is_control() && c != '\n') {
            return Err("what is written would steer a terminal".to_owned());
        }
    }
    Ok(())
}

/// The seed's files, so many of them: the slowest, or the first that does not hold with its bytes.
pub fn run(seed: u64, files: usize) -> Result<Duration, (Vec<u8>, String)> {
    let (corpus, mut dice) = (corpus(), Dice::new(seed));
    let mut slowest = Duration::ZERO;
    for _ in 0..files {
        let bytes = made(&mut dice, &corpus);
        slowest = slowest.max(judge(&bytes).map_err(|why| (bytes, why))?);
    }
    Ok(slowest)
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "a bench has no tests")]
    use super::*;

    #[test]
    fn every_kept_file_is_read_or_refused() {
        for (path, bytes) in corpus() {
            judge(&bytes).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        }
    }

    #[test]
    fn files_that_nobody_would_write_are_read_or_refused() {
        if let Err((bytes, why)) = run(1, 400) {
            panic!("{why}:\n{}", String::from_utf8_lossy(&bytes[..bytes.len().min(5_000)]));
        }
    }
}
