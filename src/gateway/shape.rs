//! Shapes of JSON objects as data, and the check of a value against them. Types are strict: a
//! server takes a number for a text here and refuses it there, and what it takes it stores as given.

use serde_json::{Map, Value};

use crate::{
    campaign::message::{Fault, Step},
    document::{Code, Severity, nearest::nearest},
};

/// One key of an object.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub required: bool,
    pub shape: Shape,
}

impl Field {
    pub const fn optional(name: &'static str, shape: Shape) -> Field {
        Field { name, required: false, shape }
    }

    /// A required text may not be empty; servers take that for absent.
    pub const fn required(name: &'static str, shape: Shape) -> Field {
        Field { name, required: true, shape }
    }
}

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    Text,
    Boolean,
    /// A JSON integer in this range, both ends included; `1.0` is none.
    Integer {
        min: i64,
        max: i64,
    },
    Object(&'static [Field]),
    /// Any object.
    Mapping,
    /// At most 1,000 texts.
    Texts,
    /// Objects of these fields.
    Objects(&'static [Field]),
}

/// The longest list of texts that the server takes.
const MAX_TEXTS: usize = 1_000;

impl Shape {
    fn name(&self) -> &'static str {
        match self {
            Shape::Text => "a text",
            Shape::Boolean => "true or false",
            Shape::Integer { .. } => "an integer",
            Shape::Object(_) | Shape::Mapping => "a mapping",
            Shape::Texts | Shape::Objects(_) => "a list",
        }
    }
}

/// The faults found so far in a message to a provider of this name.
#[derive(Debug)]
pub struct Faults {
    provider: &'static str,
    pub list: Vec<Fault>,
}

impl Faults {
    pub fn of(provider: &'static str) -> Faults {
        Faults { provider, list: Vec::new() }
    }

    pub fn error(&mut self, path: Vec<Step>, code: Code, message: impl Into<String>, hint: Option<String>) {
        self.list.push(Fault { severity: Severity::Error, path, code, message: message.into(), hint });
    }

    /// Checks all `fields` of an object that stands at `path`; a value that is wrong in itself gets
    /// `code`.
    pub fn check_all(
        &mut self,
        fields: &[Field],
        object: &Map<String, Value>,
        path: &mut Vec<Step>,
        code: Code,
    ) {
        for field in fields {
            self.check(field, object, path, code);
        }
        for key in object.keys().filter(|key| !fields.iter().any(|field| field.name == **key)) {
            let near = nearest(key, fields.iter().map(|field| field.name));
            let mut path = path.clone();
            path.push(Step::Key(key.clone()));
            self.list.push(Fault {
                severity: Severity::Warning,
                path,
                code,
                message: format!("{}'s clients know no `{key}` here", self.provider),
                hint: near.map(|near| format!("did you mean `{near}`?")),
            });
        }
    }

    /// Checks one field of an object that stands at `path`.
    pub fn check(&mut self, field: &Field, object: &Map<String, Value>, path: &mut Vec<Step>, code: Code) {
        path.push(Step::Key(field.name.into()));
        match object.get(field.name) {
            Some(value) => self.check_value(field, value, path, code),
            None if field.required => {
                self.error(path.clone(), code, format!("`{}` is missing", field.name), None);
            }
            None => {}
        }
        path.pop();
    }

    fn check_value(&mut self, field: &Field, value: &Value, path: &mut Vec<Step>, code: Code) {
        let name = field.name;
        match (&field.shape, value) {
            (Shape::Text, Value::String(text)) => {
                if field.required && text.is_empty() {
                    self.error(path.clone(), code, format!("`{name}` is empty"), None);
                }
            }
            (Shape::Boolean, Value::Bool(_)) | (Shape::Mapping, Value::Object(_)) => {}
            (Shape::Integer { min, max }, value) if value.is_i64() => {
                if !value.as_i64().is_some_and(|number| (*min..=*max).contains(&number)) {
                    let message = match *max {
                        i64::MAX => format!("`{name}` is {value}, but at least {min}"),
                        max => format!("`{name}` is {value}, but from {min} to {max}"),
                    };
                    self.error(path.clone(), code, message, None);
                }
            }
            (Shape::Object(fields), Value::Object(object)) => self.check_all(fields, object, path, code),
            (Shape::Texts, Value::Array(items)) => {
                if items.len() > MAX_TEXTS {
                    let message = format!("`{name}` has {} entries, but at most {MAX_TEXTS}", items.len());
                    self.error(path.clone(), code, message, None);
                }
                self.each(items, path, |faults, item, path| {
                    if !item.is_string() {
                        faults.wrong_type(name, &Shape::Text, item, path);
                    }
                });
            }
            (Shape::Objects(fields), Value::Array(items)) => {
                self.each(items, path, |faults, item, path| match item {
                    Value::Object(object) => faults.check_all(fields, object, path, code),
                    _ => faults.wrong_type(name, &Shape::Mapping, item, path),
                });
            }
            (shape, value) => self.wrong_type(name, shape, value, path),
        }
    }

    fn each(
        &mut self,
        items: &[Value],
        path: &mut Vec<Step>,
        check: impl Fn(&mut Faults, &Value, &mut Vec<Step>),
    ) {
        for (index, item) in items.iter().enumerate() {
            path.push(Step::Index(index));
            check(self, item, path);
            path.pop();
        }
    }

    fn wrong_type(&mut self, name: &str, shape: &Shape, value: &Value, path: &[Step]) {
        let hint = match (shape, value) {
            (Shape::Text, Value::Number(_) | Value::Bool(_)) => Some(format!("write \"{value}\"")),
            (Shape::Boolean | Shape::Integer { .. }, Value::String(text)) => {
                Some(format!("write {text}, without quotes"))
            }
            _ => None,
        };
        let message = format!("`{name}` is {}, not {}", kind_of(value), shape.name());
        self.error(path.to_vec(), Code::WrongType, message, hint);
    }
}

/// What a value is, for people.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number that is not whole",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
