//! The parameters of a request: a form, and nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Refused, faults::NetEaseFaults};

/// Parameters by name. Documentation and SDKs differ in the case of some names.
#[derive(Debug, Default)]
pub struct Form {
    fields: BTreeMap<String, String>,
    /// The code for a text that is too long.
    too_long: i64,
}

impl Form {
    /// Reads a form. A body that is declared to be JSON has no parameters, and then each of them is
    /// missing: a riddle that the real provider gives too.
    pub fn read(content_type: Option<&str>, body: &[u8], faults: &NetEaseFaults) -> Form {
        let or_414 = |code: i64| if code == 0 { 414 } else { code };
        let mut form = Form { too_long: or_414(faults.too_long), ..Form::default() };
        if content_type.is_none_or(|content_type| !content_type.contains("json")) {
            let pairs = form_urlencoded::parse(body);
            form.fields =
                pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect();
        }
        form
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(&name.to_ascii_lowercase()).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A parameter that must be there.
    pub fn required(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| Refused::new(414, format!("{name} is empty")))
    }

    /// The same, of at most so many UTF-16 code units.
    pub fn limited(&self, name: &str, most: usize) -> Result<Option<&str>, Refused> {
        match self.get(name) {
            Some(text) if text.encode_utf16().count() > most => {
                Err(Refused::new(self.too_long, format!("{name} is too long")))
            }
            other => Ok(other),
        }
    }

    /// A list of texts in JSON that must be there.
    pub fn list(&self, name: &str) -> Result<Vec<String>, Refused> {
        serde_json::from_str(self.required(name)?).map_err(|_| Refused::new(414, "bad members"))
    }

    /// One of these whole numbers, or what holds when nothing is said.
    pub fn number(&self, name: &str, allowed: &[i64], default: Option<i64>) -> Result<i64, Refused> {
        match (self.get(name), default) {
            (None, Some(default)) => Ok(default),
            (text, _) => {
                let number = text.and_then(|text| text.parse().ok());
                let number = number.filter(|number| allowed.is_empty() || allowed.contains(number));
                number.ok_or_else(|| Refused::new(414, format!("bad {name}")))
            }
        }
    }

    /// Whether a parameter is the word `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// JSON of an object, where it is there.
    pub fn object(&self, name: &str) -> Result<Option<Value>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match serde_json::from_str(text) {
            Ok(object @ Value::Object(_)) => Ok(Some(object)),
            _ => Err(Refused::new(414, format!("bad {name}"))),
        }
    }
}
