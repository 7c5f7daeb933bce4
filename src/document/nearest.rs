//! The name that was meant, when one is misspelt.

/// The known name that a wrong one was probably meant to be.
pub fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if wrong.chars().count() > 64 {
        return None;
    }
    let allowed = ((wrong.chars().count() + 1) / 3).clamp(1, 3);
    names
        .map(|name| (distance(&wrong.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `did you mean …?`, when one of the names is near.
pub fn did_you_mean<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    nearest(wrong, names).map(|name| format!("did you mean `{name}`?"))
}

/// `did you mean …?`, the text with each word that is no name replaced by the one that was meant: by the
/// nearest, or by the name that the word is spelt out of.
pub fn with_names_meant(text: &str, names: &[&str]) -> Option<String> {
    let meant = |word: &str| {
        let is_spelt_out =
            |name: &&&str| word.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        names.iter().find(is_spelt_out).copied().or_else(|| nearest(word, names.iter().copied()))
    };
    let known = |word: &str| word.len() < 2 || names.iter().any(|name| name.eq_ignore_ascii_case(word));
    let (mut right, mut rest) = (String::new(), text);
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len()));
        right += if known(word) { word } else { meant(word)? };
        let (between, next) = after.split_at(after.find(char::is_alphabetic).unwrap_or(after.len()));
        right += between;
        rest = next;
    }
    (right != text).then(|| format!("did you mean `{right}`?"))
}

/// How many single-character edits, swaps of neighbours among them, lead from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let substituted = rows[i][j] + usize::from(a != b);
            let mut best = substituted.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered() {
        let names = || ["schedules", "recvIDs", "id", "labels"].into_iter();
        for (wrong, right) in [("schedule", "schedules"), ("recvIds", "recvIDs"), ("lables", "labels")] {
            assert_eq!(did_you_mean(wrong, names()), Some(format!("did you mean `{right}`?")));
        }
        assert_eq!(did_you_mean("window", names()), None);
    }

    #[test]
    fn each_wrong_name_of_a_text_is_mended() {
        let check = |text: &str, expected: Option<&str>| {
            let told = with_names_meant(text, &["MON", "FRI"]);
            assert_eq!(told, expected.map(|right| format!("did you mean `{right}`?")), "{text}");
        };
        check("MO-FR", Some("MON-FRI"));
        check("MON,MO", Some("MON,MON"));
        check("Monday#2,5L", Some("MON#2,5L"));
        check("mon-fri", None);
        check("MON-HOLIDAY", None);
    }
}
