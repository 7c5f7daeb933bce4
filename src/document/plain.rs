//! What YAML reads into scalars that stand unquoted.

/// What the YAML 1.2 core schema reads into an unquoted text, with the readings of YAML 1.1 that
/// still surprise people counted as odd numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plain {
    Null,
    Boolean(bool),
    /// Written as everybody writes it: `0`, `42`, `-7`.
    Integer,
    /// `1.5`, `-0.25`, `1.0`.
    Float,
    /// `012`, `0x1f`, `0o17`, `1e5`, `+5`, `12_000`, `.5`, `.inf`.
    OddNumber,
    Text,
}

impl Plain {
    /// The reading of an unquoted text.
    pub fn of(text: &str) -> Plain {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
            "true" | "True" | "TRUE" => return Plain::Boolean(true),
            "false" | "False" | "FALSE" => return Plain::Boolean(false),
            ".nan" | ".NaN" | ".NAN" => return Plain::OddNumber,
            _ => {}
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let unpadded = |text: &str| digits(text) && (text == "0" || !text.starts_with('0'));
        let body = text.strip_prefix('-').unwrap_or(text);
        if unpadded(body) {
            return Plain::Integer;
        }
        if let Some((whole, part)) = body.split_once('.')
            && unpadded(whole)
            && digits(part)
        {
            return Plain::Float;
        }
        if is_odd_number(text.strip_prefix(['-', '+']).unwrap_or(text)) {
            return Plain::OddNumber;
        }
        Plain::Text
    }
}

/// Whether some YAML reader takes this, its sign removed, for a number.
fn is_odd_number(text: &str) -> bool {
    if matches!(text, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
        }
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let good_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let allowed = |byte: u8| byte.is_ascii_digit() || b"._".contains(&byte);
    let begins = mantissa.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    let has_digit = mantissa.bytes().any(|byte| byte.is_ascii_digit());
    good_exponent
        && begins
        && has_digit
        && mantissa.bytes().all(allowed)
        && mantissa.bytes().filter(|byte| *byte == b'.').count() <= 1
}

/// The number that an odd one stands for, as everybody writes it.
pub fn canonical(text: &str) -> Option<String> {
    let (sign, body) = match text.strip_prefix('-') {
        Some(body) => ("-", body),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let radix = |prefix: &str, radix| {
        body.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(&digits.replace('_', ""), radix).ok())
    };
    let whole = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2));
    if let Some(number) = whole {
        return Some(format!("{sign}{number}"));
    }
    let number: f64 = body.replace('_', "").parse().ok()?;
    (number.is_finite() && number < 1e15).then(|| format!("{sign}{number}"))
}
