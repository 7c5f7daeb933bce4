//! What differs between two documents, told by keys, whatever their order and comments.

use super::{Entry, Node, Value, plain::Plain, yaml};

/// The paths of the keys whose values differ, in the order of the documents: those of `after`, then those
/// that only `before` has. A list that has become longer or shorter differs as a whole. None of bytes that
/// are no document.
pub fn changed_keys(before: &[u8], after: &[u8]) -> Vec<String> {
    let mut changed = Vec::new();
    if let (Ok(before), Ok(after)) = (yaml::parse("", before), yaml::parse("", after)) {
        compare(&before, &after, "", &mut changed);
    }
    changed
}

/// The keys, for people.
pub fn told(keys: &[String]) -> String {
    match keys {
        [] => "no key, only how it is written".to_owned(),
        keys => keys.join(", "),
    }
}

fn compare(before: &Node, after: &Node, path: &str, changed: &mut Vec<String>) {
    match (&before.value, &after.value) {
        (Value::Mapping(before), Value::Mapping(after)) => {
            let find = |entries: &'_ [Entry], key: &str| entries.iter().position(|entry| entry.key == key);
            let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            for entry in after {
                match find(before, &entry.key) {
                    Some(place) => compare(&before[place].value, &entry.value, &join(&entry.key), changed),
                    None => changed.push(join(&entry.key)),
                }
            }
            let gone = before.iter().filter(|entry| find(after, &entry.key).is_none());
            changed.extend(gone.map(|entry| join(&entry.key)));
        }
        (Value::Sequence(before), Value::Sequence(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                compare(before, after, &format!("{path}[{index}]"), changed);
            }
        }
        (
            Value::Scalar { text: before, plain: before_plain },
            Value::Scalar { text: after, plain: after_plain },
        ) if before == after => {
            // Quotes make a difference where YAML would read more than a text into it.
            if before_plain != after_plain && Plain::of(before) != Plain::Text {
                changed.push(path.to_owned());
            }
        }
        _ => changed.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, expected: &[&str]) {
        assert_eq!(changed_keys(before.as_bytes(), after.as_bytes()), expected, "{before:?} {after:?}");
    }

    #[test]
    fn changes_are_told_by_keys() {
        check("a: 1\nb: 2\n", "# why\nb: 2\na: 1\n", &[]);
        check("a: 1\nb: 2\n", "a: 1\nb: 3\n", &["b"]);
        check("a: 1\nb: 2\n", "c: 1\na: 1\n", &["c", "b"]);
        check("a: {b: {c: 1, d: 2}}\n", "a: {b: {c: 1, d: 3}}\n", &["a.b.d"]);
        check("a: [1, {b: 2}]\n", "a: [1, {b: 3}]\n", &["a[1].b"]);
        check("a: [1, 2]\n", "a: [1, 2, 3]\n", &["a"]);
        check("a: [1]\n", "a: 1\n", &["a"]);
        check("a: text\n", "a: \"text\"\n", &[]);
        check("a: true\n", "a: \"true\"\n", &["a"]);
    }
}
