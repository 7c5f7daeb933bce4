//! The repository's own text, as the house rules look at it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file.
pub struct Source {
    /// Relative to the package, `src/run/state.rs`.
    pub path: String,
    /// Without comments and without tests; empty for a file of tests.
    pub code: String,
    /// The tests alone.
    pub tests: String,
    pub whole: String,
}

/// A file of the package.
pub fn read(path: &str) -> String {
    fs::read_to_string(package(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The Rust files below these folders of the package, by path.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(&package(folder), &mut paths);
    }
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| source(path)).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    // Not every folder that may hold sources is there.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            paths.push(path);
        }
    }
}

fn source(path: &Path) -> Source {
    let whole = fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap().to_owned();
    let is_tests = !path.starts_with("src/") || path.ends_with("/tests.rs");
    // A module's tests are its last part.
    let end = if is_tests { 0 } else { whole.find("#[cfg(test)]").unwrap_or(whole.len()) };
    let (code, tests) = whole.split_at(end);
    Source { path, code: without_comments(code), tests: tests.to_owned(), whole: whole.clone() }
}

fn without_comments(code: &str) -> String {
    let lines = code.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

impl Source {
    /// The module of a file of `src`: `run::state` of `src/run/state.rs`.
    pub fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Vec<&str> = path.split('/').collect();
        if matches!(module.last(), Some(&"mod" | &"lib" | &"main")) {
            module.pop();
        }
        module
    }

    /// What of the crate the code names, from the crate's root: `run::reply::Answer`.
    pub fn uses(&self) -> Vec<String> {
        let mut uses = Vec::new();
        for (start, _) in self.code.match_indices("crate::").chain(self.code.match_indices("super::")) {
            let before = self.code[..start].chars().next_back();
            if before.is_some_and(|char| char.is_alphanumeric() || matches!(char, '_' | ':' | '$')) {
                continue;
            }
            let mut leaves = Vec::new();
            expand(&self.code[start..], String::new(), &mut leaves);
            uses.extend(leaves.iter().map(|leaf| self.absolute(leaf)));
        }
        uses
    }

    fn absolute(&self, path: &str) -> String {
        let mut module = self.module();
        let mut segments = path.split("::").peekable();
        if segments.next_if_eq(&"crate").is_some() {
            module.clear();
        }
        while segments.next_if_eq(&"super").is_some() {
            module.pop();
        }
        module.extend(segments);
        module.join("::")
    }
}

/// The leaves of the path, or of the tree of paths, at the beginning of `text`; gives what follows.
fn expand<'a>(text: &'a str, prefix: String, leaves: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|char: char| char.is_whitespace() || char == ',');
            match rest.strip_prefix('}') {
                Some(after) => return after,
                None => match expand(rest, prefix.clone(), leaves) {
                    // No tree at all.
                    after if after.len() == rest.len() => return after,
                    after => rest = after,
                },
            }
        }
    }
    let is_name = |char: char| char.is_alphanumeric() || char == '_' || char == '*';
    let end = text.find(|char: char| !is_name(char)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    match rest.strip_prefix("::") {
        Some(rest) => expand(rest, path, leaves),
        None => {
            leaves.push(path);
            // What may stand here is another name for it.
            let end = rest.find([',', '}', ';']).unwrap_or(rest.len());
            &rest[end..]
        }
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let code = "use crate::{a::{self, B as C}, d};\nuse super::super::e::F;\nfn g(h: &crate::i::J<K>) {}\n// crate::no";
    let source = Source {
        path: "src/m/n/o.rs".to_owned(),
        code: without_comments(code),
        tests: String::new(),
        whole: String::new(),
    };
    assert_eq!(source.uses(), ["a::self", "a::B", "d", "i::J", "m::e::F"]);
}
