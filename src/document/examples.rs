//! Examples for the keys of a JSON Schema, taken out of documents that show them, so that an editor offers
//! nothing which the check would refuse.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    fields::{Cursor, Report},
    yaml,
};

/// The most examples of one key.
const MOST: usize = 3;
/// A longer example explains nothing.
const LONGEST: usize = 160;

/// A schema whose keys have the values that they have in these documents as examples.
pub fn with_examples(schema: Value, documents: &[&str]) -> Value {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for document in documents {
        let node = yaml::parse("example", document.as_bytes());
        if let Some(value) = node.ok().and_then(|node| Cursor::root(&node).json(&mut Report::new("example")))
        {
            collect(&schema, "", &value, &mut found);
        }
    }
    let mut schema = schema;
    for (key, values) in found {
        if let Some(Value::Object(property)) = schema.pointer_mut(&key) {
            property.insert("examples".to_owned(), Value::Array(values));
        }
    }
    schema
}

/// Collects the values of a document's keys, by where the schema speaks of them. `at`: the schema's part for
/// this value.
fn collect(schema: &Value, at: &str, value: &Value, found: &mut BTreeMap<String, Vec<Value>>) {
    let Some(part) = schema.pointer(at) else { return };
    if let Some(target) = part["$ref"].as_str() {
        collect(schema, target.trim_start_matches('#'), value, found);
    }
    for (index, choice) in part["anyOf"].as_array().into_iter().flatten().enumerate() {
        if speaks_of(schema, choice, value) {
            collect(schema, &format!("{at}/anyOf/{index}"), value, found);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        collect(schema, &format!("{at}/items"), item, found);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let named = format!("{at}/properties/{}", key.replace('~', "~0").replace('/', "~1"));
        if schema.pointer(&named).is_none() {
            collect(schema, &format!("{at}/additionalProperties"), value, found);
            continue;
        }
        if value.to_string().len() <= LONGEST {
            let known = found.entry(named.clone()).or_default();
            if known.len() < MOST && !known.contains(value) {
                known.push(value.clone());
            }
        }
        collect(schema, &named, value, found);
    }
}

/// Whether one of several choices is this value's: of kinds, the one that the value names.
fn speaks_of(schema: &Value, choice: &Value, value: &Value) -> bool {
    let kind = &followed(schema, choice)["properties"]["kind"];
    followed(schema, kind)["enum"].as_array().is_none_or(|kinds| kinds.contains(&value["kind"]))
}

/// What a part refers to, or itself.
fn followed<'a>(schema: &'a Value, part: &'a Value) -> &'a Value {
    let target = part["$ref"].as_str().and_then(|target| schema.pointer(target.trim_start_matches('#')));
    target.unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_get_the_values_that_they_have() {
        let kind = |name: &str, key: &str| json!({ "properties": { "kind": { "enum": [name] }, key: {} } });
        let schema = json!({
            "properties": { "a": {}, "list": { "items": { "$ref": "#/$defs/Item" } } },
            "additionalProperties": { "anyOf": [kind("one", "x"), kind("two", "x")] },
            "$defs": { "Item": { "properties": { "b": {}, "long": {} } } },
        });
        let long = "x".repeat(LONGEST);
        let document = format!(
            "a: 1\nlist: [{{b: 2h}}, {{b: 2h}}, {{b: 3h, long: {long}}}]\nnamed: {{kind: two, x: [y]}}\n"
        );
        let schema = with_examples(schema, &[&document, "a: \"1\"\n"]);
        let examples = |at: &str| schema.pointer(&format!("{at}/examples")).cloned();
        assert_eq!(examples("/properties/a"), Some(json!([1, "1"])));
        assert_eq!(examples("/$defs/Item/properties/b"), Some(json!(["2h", "3h"])));
        assert_eq!(examples("/$defs/Item/properties/long"), None);
        assert_eq!(examples("/additionalProperties/anyOf/1/properties/x"), Some(json!([["y"]])));
        assert_eq!(examples("/additionalProperties/anyOf/0/properties/x"), None);
    }
}
