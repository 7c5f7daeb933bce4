//! Accounts: an `accid` has 1 to 32 letters, digits, `_ @ . -`. The provider keeps it in lower case.

use std::borrow::Cow;

/// The longest one.
const LONGEST: usize = 32;

/// Whether an accid may hold this character.
pub fn may_hold(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_@.-".contains(c)
}

/// Why a text is no accid, if it is none.
pub fn check(text: &str) -> Result<(), String> {
    if let Some(odd) = text.chars().find(|c| !may_hold(*c)) {
        return Err(format!("an accid has letters, digits and `_ @ . -`, and no `{odd}`"));
    }
    match text.len() {
        0 => Err("an accid is not empty".to_owned()),
        1..=LONGEST => Ok(()),
        length => Err(format!("an accid has at most {LONGEST} characters, this has {length}")),
    }
}

/// The accid as the provider keeps it.
pub fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        text.to_ascii_lowercase().into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accids_are_told_from_other_texts() {
        for good in ["u1", "A_b@c.d-e", "531c506e48a340e5bff7eb72c6504250"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "u 1", "*", "张三", "531c506e48a340e5bff7eb72c65042501", "a:b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(lower("U1001"), "u1001");
        assert!(matches!(lower("u1001"), Cow::Borrowed(_)));
    }
}
