//! An application's `sendMsgToAll.action`: it resolves its own registration ids, or its own selectors,
//! and answers with one id for everyone.

use serde_json::{Value, json};

use super::{
    Desk, Refused,
    faults::{EmptyAudience, Encodings},
    form::Form,
    sending::Content,
};
use crate::sandbox::{SENDER, users::numbered_id};

/// The accounts that the documentation's examples speak of.
pub const DOCUMENTED: [&str; 3] = ["adminuuid1", "531c506e48a340e5bff7eb72c6504250", "yucx_test_10400"];
/// The areas and enterprise types of the numbered users, in turn.
const AREAS: [&str; 2] = ["370700", "370100"];
const ENTERPRISES: [&str; 3] = ["3", "1", "2"];

impl Desk<'_> {
    pub(super) fn send_to_all(&mut self, content_type: Option<&str>, body: &[u8]) -> Result<Value, Refused> {
        let switches = &self.faults.netease.to_all;
        let fields = self.read(content_type, body)?;
        let text = |key: &str| match &fields[key] {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        if text("type").and_then(|text| text.parse::<i64>().ok()).is_none() {
            return Err(Refused::new(414, "type is empty"));
        }
        let is_json = is_json(content_type);
        if switches.strict_type && is_json && fields["type"].is_string() {
            return Err(Refused::new(414, "bad type"));
        }
        let content = match &fields["body"] {
            Value::Null => return Err(Refused::new(414, "body is empty")),
            Value::String(text) => text.clone(),
            object => object.to_string(),
        };
        let body_limit = if switches.body_limit == 0 { 5_000 } else { switches.body_limit };
        for (name, most) in [("body", body_limit), ("ext", 1_024)] {
            if text(name).is_some_and(|text| text.encode_utf16().count() > most) {
                return Err(Refused::new(414, format!("{name} is too long")));
            }
        }
        let sender = text("from").unwrap_or_else(|| SENDER.to_owned());
        if !self.exists(&sender) {
            return Err(Refused::new(414, format!("{sender} not register")));
        }
        let recipients = match &fields["two"] {
            Value::Null => self.selected(text("areaid").as_deref(), text("enterptypeid").as_deref())?,
            Value::Array(items) => {
                items.iter().filter_map(registration).filter(|id| self.exists(id)).collect()
            }
            _ => return Err(Refused::new(414, "bad members")),
        };
        let word = &self.faults.netease.antispam;
        let stopped = !word.is_empty() && content.contains(word.as_str());
        let kind = text("type").and_then(|kind| kind.parse().ok()).unwrap_or_default();
        let content = Content { from: sender, kind, body: content, history: false, no_sense: false, stopped };
        self.deliver(&content, &recipients);
        let msgid = self.next_id();
        Ok(json!({"code": 200, "data": {"msgid": msgid, "antispam": stopped}}))
    }

    /// Whom the selectors find: those who fit all that are given.
    fn selected(&self, area: Option<&str>, enterprise: Option<&str>) -> Result<Vec<String>, Refused> {
        let switches = &self.faults.netease.to_all;
        match (area.or(enterprise), switches.empty_audience) {
            (None, EmptyAudience::None) => return Ok(Vec::new()),
            (None, EmptyAudience::Refused) => return Err(Refused::new(414, "two is empty")),
            _ => {}
        }
        let fits = |number: u32| {
            let own = number as usize;
            let in_area = area.map(|area| AREAS[own % AREAS.len()] == area);
            let of_type = enterprise.map(|wanted| ENTERPRISES[own % ENTERPRISES.len()] == wanted);
            match (in_area, of_type) {
                (Some(in_area), Some(of_type)) if switches.either_selector => in_area || of_type,
                _ => in_area.unwrap_or(true) && of_type.unwrap_or(true),
            }
        };
        let numbered = (1..=self.users.numbered()).filter(|number| fits(*number)).map(numbered_id);
        Ok(numbered.filter(|id| self.exists(id)).collect())
    }

    /// The fields of a form or of JSON; in a form, `two` is JSON text. What is written otherwise than the application
    /// wants has no fields.
    fn read(&self, content_type: Option<&str>, body: &[u8]) -> Result<Value, Refused> {
        match (is_json(content_type), self.faults.netease.to_all.encodings) {
            (true, Encodings::Form) | (false, Encodings::JSON) => Ok(json!({})),
            (true, _) => match serde_json::from_slice(body) {
                Ok(fields @ Value::Object(_)) => Ok(fields),
                _ => Err(Refused::new(414, "bad request")),
            },
            (false, _) => {
                let form = Form::read(content_type, body, &self.faults.netease);
                let mut fields = json!({});
                for name in ["from", "areaid", "enterptypeid", "type", "body", "ext", "markRead"] {
                    if let Some(text) = form.get(name) {
                        fields[name] = text.into();
                    }
                }
                if let Some(list) = form.get("two") {
                    fields["two"] =
                        serde_json::from_str(list).map_err(|_| Refused::new(414, "bad members"))?;
                }
                Ok(fields)
            }
        }
    }
}

fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|content_type| content_type.contains("json"))
}

fn registration(item: &Value) -> Option<String> {
    item.as_str().or_else(|| item["appregisterid"].as_str()).map(str::to_ascii_lowercase)
}
