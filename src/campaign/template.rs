//! Messages with variables: `{{column}}` in their strings, filled in from the columns of a list.
//!
//! The language is minijinja's, of which only expressions are taken: no statements, so no loops; a few
//! filters; and a bound on the work. A value is data: it is never read as a template again, and where a
//! string is itself JSON text, it is escaped for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, filters, syntax::SyntaxConfig};
use serde_json::{Map, Value};

use super::{message::Step, source::Values};

/// The work that filling in one string may take, in steps of the engine.
const FUEL: u64 = 2_000;
/// The longest expression, in bytes: the engine reads chains of operators by recursion.
const MAX_EXPRESSION_BYTES: usize = 200;
/// The name of strings that are JSON text ends so.
const JSON_TEXT: &str = ".json";

/// A message whose strings have variables.
#[derive(Clone)]
pub struct Template {
    /// As the file says it.
    message: Map<String, Value>,
    columns: BTreeSet<String>,
    /// Where each column is used first.
    places: BTreeMap<String, Vec<Step>>,
    engine: Arc<Environment<'static>>,
    /// The engine's names of the strings with variables, by themselves.
    names: Arc<BTreeMap<String, String>>,
}

/// A string that cannot be filled in, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTemplate {
    /// Where in the message.
    pub path: Vec<Step>,
    pub what: String,
}

impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Template").field("message", &self.message).finish_non_exhaustive()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Template) -> bool {
        self.message == other.message
    }
}

/// Whether a string has variables.
fn has_variables(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

impl Template {
    /// The template that a message is, where it is one.
    pub fn read(message: &Map<String, Value>) -> Result<Option<Template>, Vec<BadTemplate>> {
        let mut engine = Environment::empty();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_fuel(Some(FUEL));
        engine.add_filter("default", filters::default);
        engine.add_filter("upper", filters::upper);
        engine.add_filter("lower", filters::lower);
        engine.add_filter("capitalize", filters::capitalize);
        engine.add_filter("title", filters::title);
        engine.add_filter("trim", |text: String| text.trim().to_owned());
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        engine.set_syntax(syntax.unwrap_or_default());
        engine.set_auto_escape_callback(|name| match name.ends_with(JSON_TEXT) {
            true => AutoEscape::Custom(JSON_TEXT.into()),
            false => AutoEscape::None,
        });
        engine.set_formatter(|out, state, value| {
            let text = value.to_string();
            match state.auto_escape() {
                AutoEscape::Custom(_) => {
                    let quoted = Value::String(text).to_string();
                    Ok(out.write_str(&quoted[1..quoted.len() - 1])?)
                }
                _ => Ok(out.write_str(&text)?),
            }
        });
        let mut reading =
            Reading { engine, places: BTreeMap::new(), names: BTreeMap::new(), bad: Vec::new() };
        reading.walk_object(message, &mut Vec::new());
        let Reading { engine, places, names, bad } = reading;
        match (names.is_empty(), bad.is_empty()) {
            (_, false) => Err(bad),
            (true, true) => Ok(None),
            (false, true) => {
                let (engine, names) = (Arc::new(engine), Arc::new(names));
                let columns = places.keys().cloned().collect();
                Ok(Some(Template { message: message.clone(), columns, places, engine, names }))
            }
        }
    }

    /// The columns that it uses.
    pub fn columns(&self) -> &BTreeSet<String> {
        &self.columns
    }

    /// The columns that it uses, each with its first place in the message.
    pub fn places(&self) -> &BTreeMap<String, Vec<Step>> {
        &self.places
    }

    /// Whether a key of the message itself has a string with variables.
    pub fn has_variables_at(&self, key: &str) -> bool {
        self.message.get(key).and_then(Value::as_str).is_some_and(|text| self.names.contains_key(text))
    }

    /// The message for whoever has these values.
    pub fn fill(&self, values: &Values) -> Result<Map<String, Value>, BadTemplate> {
        let mut path = Vec::new();
        self.fill_object(&self.message, values, &mut path).map_err(|what| BadTemplate { path, what })
    }

    /// The message as it looks when each value is the name of its column.
    pub fn example(&self) -> Result<Map<String, Value>, BadTemplate> {
        self.fill(&Values(self.columns.iter().map(|name| (name.clone(), name.clone())).collect()))
    }

    fn fill_object(
        &self,
        object: &Map<String, Value>,
        values: &Values,
        path: &mut Vec<Step>,
    ) -> Result<Map<String, Value>, String> {
        let mut filled = Map::new();
        for (key, value) in object {
            path.push(Step::Key(key.clone()));
            filled.insert(key.clone(), self.fill_value(value, values, path)?);
            path.pop();
        }
        Ok(filled)
    }

    fn fill_value(&self, value: &Value, values: &Values, path: &mut Vec<Step>) -> Result<Value, String> {
        match value {
            Value::String(text) => match self.names.get(text) {
                Some(name) => {
                    let template = self.engine.get_template(name).map_err(|error| told(&error))?;
                    template
                        .render(values.0.clone())
                        .map(Value::String)
                        .map_err(|error| self.told_missing(&error, values))
                }
                None => Ok(value.clone()),
            },
            Value::Object(object) => self.fill_object(object, values, path).map(Value::Object),
            Value::Array(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    filled.push(self.fill_value(item, values, path)?);
                    path.pop();
                }
                Ok(Value::Array(filled))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
        }
    }

    fn told_missing(&self, error: &minijinja::Error, values: &Values) -> String {
        if error.kind() != minijinja::ErrorKind::UndefinedError {
            return told(error);
        }
        let missing: Vec<&str> =
            self.columns.iter().filter(|name| !values.0.contains_key(*name)).map(String::as_str).collect();
        let names = missing.join(", ");
        format!("there is no value for {names}; to go without, write `{{{{ {names} | default(\"…\") }}}}`")
    }
}

/// What is wrong, in the engine's words.
fn told(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (minijinja::ErrorKind::OutOfFuel, _) => "the template takes too much work".to_owned(),
        (_, Some(detail)) => format!("the template cannot be read: {detail}"),
        (kind, None) => format!("the template cannot be read: {kind}"),
    }
}

/// Tells what in a string is more than we take: only expressions, none of them long.
fn check_expressions(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        if rest.starts_with("{%") || rest.starts_with("{#") {
            return Err("only `{{column}}` is taken in messages, no statements and no comments".to_owned());
        }
        let Some(inside) = rest.strip_prefix("{{") else {
            rest = &rest[1..];
            continue;
        };
        let end = end_of_expression(inside).ok_or("a `{{` is opened and not closed")?;
        if end > MAX_EXPRESSION_BYTES {
            return Err(format!("what stands in `{{{{…}}}}` is longer than {MAX_EXPRESSION_BYTES} bytes"));
        }
        rest = &inside[end..];
    }
    Ok(())
}

/// Where the first `}}` outside of quotes begins.
fn end_of_expression(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (place, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'}') if text[place..].starts_with("}}") => return Some(place),
            (None, _) => {}
        }
    }
    None
}

struct Reading {
    engine: Environment<'static>,
    places: BTreeMap<String, Vec<Step>>,
    names: BTreeMap<String, String>,
    bad: Vec<BadTemplate>,
}

impl Reading {
    fn walk_object(&mut self, object: &Map<String, Value>, path: &mut Vec<Step>) {
        for (key, value) in object {
            path.push(Step::Key(key.clone()));
            self.walk(value, path);
            path.pop();
        }
    }

    fn walk(&mut self, value: &Value, path: &mut Vec<Step>) {
        match value {
            Value::String(text) if has_variables(text) => {
                if let Err(what) = self.take(text, path) {
                    self.bad.push(BadTemplate { path: path.clone(), what });
                }
            }
            Value::Object(object) => self.walk_object(object, path),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    self.walk(item, path);
                    path.pop();
                }
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn take(&mut self, text: &str, path: &[Step]) -> Result<(), String> {
        check_expressions(text)?;
        if self.names.contains_key(text) {
            return Ok(());
        }
        // Text in which any value would leave JSON is JSON text.
        let plain = format!("{}.txt", self.names.len());
        self.engine.add_template_owned(plain.clone(), text.to_owned()).map_err(|error| told(&error))?;
        let template = self.engine.get_template(&plain).map_err(|error| told(&error))?;
        let used: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        let digits: BTreeMap<String, String> =
            used.iter().map(|name| (name.clone(), "0".to_owned())).collect();
        let example = template.render(digits).map_err(|error| told(&error))?;
        let is_json = matches!(serde_json::from_str(&example), Ok(Value::Object(_) | Value::Array(_)));
        let name = if is_json { format!("{}{JSON_TEXT}", self.names.len()) } else { plain };
        if is_json {
            self.engine.add_template_owned(name.clone(), text.to_owned()).map_err(|error| told(&error))?;
        }
        for name in used {
            self.places.entry(name).or_insert_with(|| path.to_vec());
        }
        self.names.insert(text.to_owned(), name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &str) -> Map<String, Value> {
        let Value::Object(message) = serde_json::json!({ "ex": "x", "list": [{ "content": content }] })
        else {
            unreachable!()
        };
        message
    }

    fn values(pairs: &[(&str, &str)]) -> Values {
        Values(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// What a content becomes with these values, or what is said of it.
    #[track_caller]
    fn check(content: &str, pairs: &[(&str, &str)], expected: Result<&str, &str>) {
        let found = match Template::read(&message(content)) {
            Ok(Some(template)) => template.fill(&values(pairs)),
            Ok(None) => Ok(message(content)),
            Err(mut bad) => Err(bad.remove(0)),
        };
        let found = found.map(|filled| filled["list"][0]["content"].as_str().unwrap().to_owned());
        match (found, expected) {
            (Err(bad), Err(part)) => {
                assert!(bad.what.contains(part), "{content}: {}", bad.what);
                let path = [Step::Key("list".into()), Step::Index(0), Step::Key("content".into())];
                assert_eq!(bad.path, path);
            }
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{content}"),
            (found, expected) => panic!("{content}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn variables_are_filled_in() {
        check("hello", &[], Ok("hello"));
        check("hello {{name}}!\n", &[("name", "Li")], Ok("hello Li!\n"));
        check("{{ 姓名 }}", &[("姓名", "李雷")], Ok("李雷"));
        check("{{ name | upper }} {{ name|trim|title }}", &[("name", " li lei ")], Ok(" LI LEI  Li Lei"));
        check("{{ name | default(\"you\") }}", &[], Ok("you"));
        check("{{ name | default(\"you\") }}", &[("name", "Li")], Ok("Li"));
        check("{{ '{{' }}", &[], Ok("{{"));
        check("{{ name }}", &[("name", "<b> & \"x\"")], Ok("<b> & \"x\""));
    }

    #[test]
    fn values_are_data() {
        check("{{ name }}", &[("name", "{{ secret }} {% for %}")], Ok("{{ secret }} {% for %}"));
        let text = r#"{"to": "{{name}}", "n": {{points}}}"#;
        check(text, &[("name", "a\"b\\\n"), ("points", "5")], Ok(r#"{"to": "a\"b\\\n", "n": 5}"#));
        // What begins like JSON and is none is text.
        check("[Sale] {{name}}", &[("name", "a\"b")], Ok("[Sale] a\"b"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        check("{{ name }}", &[], Err("there is no value for name"));
        check("{{ name", &[], Err("a `{{` is opened and not closed"));
        check("{{ name or }}", &[], Err("the template cannot be read"));
        check("{{ name | shell }}", &[("name", "x")], Err("shell"));
        check("{{ name() }}", &[("name", "x")], Err("the template cannot be read"));
        check("{% for x in name %}{% endfor %}", &[], Err("no statements"));
        check("{{ 'x' * 100000000000 }}", &[], Err("the template takes too much work"));
        let long = format!("{{{{ {}1 }}}}", "1 + ".repeat(3_000));
        check(&long, &[], Err("longer than 200 bytes"));
        check("{{ '}}' + '{#' }} {", &[], Ok("}}{# {"));
    }

    #[test]
    fn a_template_tells_its_columns() {
        let template = Template::read(&message("{{a}} {{ b | default(c) }}")).unwrap().unwrap();
        assert_eq!(template.columns().iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(template.example().unwrap()["list"][0]["content"], "a b");
    }
}
