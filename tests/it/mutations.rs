//! Mutations: rules that matter, each broken on purpose in one place, and the test that notices. Here it is
//! held that each still fits the code; `cargo bench --bench mutations` breaks them one after the other.

use std::{fs, path::Path};

/// One rule, broken.
#[derive(Debug)]
pub struct Mutation {
    pub name: String,
    /// The rule, for people.
    pub rule: String,
    /// The file that is changed.
    pub file: String,
    /// What `cargo test` is told to run.
    pub test: String,
    /// The lines as they are, and as they are put instead.
    pub lines: String,
    pub instead: String,
}

impl Mutation {
    /// The file's text with the rule broken; None where its lines are not there exactly once.
    pub fn broken(&self, text: &str) -> Option<String> {
        (text.matches(&self.lines).count() == 1).then(|| text.replace(&self.lines, &self.instead))
    }
}

/// All of `tests/mutations`, by name.
pub fn all() -> Vec<Mutation> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutations");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Mutation {
    let text = fs::read_to_string(path).unwrap();
    let headed = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("{} has no {name}", path.display())).to_owned()
    };
    let body = |mark: char| -> String {
        let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
        lines.map(|line| format!("{line}\n")).collect()
    };
    Mutation {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        rule: headed("rule"),
        file: headed("file"),
        test: headed("test"),
        lines: body('-'),
        instead: body('+'),
    }
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "a bench has no tests")]
    use super::*;

    #[test]
    fn every_mutation_fits_the_code() {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md")).unwrap();
        for mutation in all() {
            let name = &mutation.name;
            let text =
                fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&mutation.file)).unwrap();
            assert!(
                mutation.broken(&text).is_some_and(|broken| broken != text),
                "{name}: its lines are not in {} exactly once: follow the change of the code",
                mutation.file
            );
            let row = format!("| {} | `{name}` | `{}` |", mutation.rule, mutation.test);
            assert!(page.contains(&row), "the table of docs/testing.md lacks: {row}");
        }
    }
}
