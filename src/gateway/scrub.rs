//! Takes secrets out of what a provider says, before anything is recorded or shown: some releases
//! repeat the whole token in an error's detail.

/// The most characters of a provider's words that are kept.
const LONGEST: usize = 500;
/// What stands where a secret stood.
pub const MASK: &str = "***";

/// The secrets that must not appear, besides everything that looks like a token.
#[derive(Clone, Copy)]
pub struct Scrub<'a> {
    pub secrets: &'a [&'a str],
}

impl Scrub<'_> {
    /// The words without secrets, on one line, cut to 500 characters.
    pub fn line(&self, words: &str) -> String {
        let mut clean = String::with_capacity(words.len().min(4 * LONGEST));
        for word in words.split_whitespace() {
            if !clean.is_empty() {
                clean.push(' ');
            }
            clean.push_str(word);
        }
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            if clean.contains(secret) {
                clean = clean.replace(secret, MASK);
            }
        }
        clean = without_tokens(clean);
        if let Some((end, _)) = clean.char_indices().nth(LONGEST) {
            clean.truncate(end);
        }
        clean
    }

    /// The beginning of a body that could not be understood; None when it is empty.
    pub fn excerpt(&self, body: &[u8]) -> Option<String> {
        // Enough for the longest line, and for a token that begins inside of it.
        let head = &body[..body.len().min(8 * LONGEST)];
        let line = self.line(&String::from_utf8_lossy(head));
        (!line.is_empty()).then_some(line)
    }
}

/// Masks every JSON web token, whole or cut: base64 of `{"` begins with `eyJ`.
fn without_tokens(text: String) -> String {
    const SHORTEST: usize = 16;
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let mut clean = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find("eyJ") {
        let length = rest[start..].bytes().take_while(|byte| in_token(*byte)).count();
        let end = start + length;
        clean.push_str(&rest[..start]);
        clean.push_str(if length < SHORTEST { &rest[start..end] } else { MASK });
        rest = &rest[end..];
    }
    if clean.is_empty() && rest.len() == text.len() {
        return text;
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_pass() {
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJVc2VySUQiOiJpbUFkbWluIn0.x-_9";
        let scrub = Scrub { secrets: &["openIM123", ""] };
        for (words, clean) in [
            ("plain words", "plain words".to_owned()),
            ("two\n  lines", "two lines".to_owned()),
            ("the secret openIM123!", "the secret ***!".to_owned()),
            (&format!("jwt parse error token={token}, sorry"), "jwt parse error token=***, sorry".to_owned()),
            (&format!("{token} {token}"), "*** ***".to_owned()),
            (&format!("cut {}", &token[..40]), "cut ***".to_owned()),
            ("eyJ is short", "eyJ is short".to_owned()),
            (&"é".repeat(600), "é".repeat(500)),
        ] {
            assert_eq!(scrub.line(words), clean, "{words}");
        }
    }

    #[test]
    fn a_token_across_the_cut_is_masked_whole() {
        let words = format!("{} eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.abc.def", "x".repeat(490));
        assert_eq!(Scrub { secrets: &[] }.line(&words), format!("{} ***", "x".repeat(490)));
    }
}
