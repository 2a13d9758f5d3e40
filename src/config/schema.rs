//! A JSON Schema of the settings, for editors. Nobody writes it: it is what the sections' readers ask for, with the comments and the
//! values of `config/default.toml`.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value, json};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Config, Environment,
    file::{Asked, DEFAULTS, Kind, asked},
};

/// Has every reader ask for all it knows: a block of each kind, and what is asked for only where it stands.
const EVERYTHING: &str = r"
tls = {}
[operator]
tls = {}
[[operator.user]]
publications = []
[[publication]]
payment_types = []
double_minutes = 1
users = [{}]
[[publication.target]]
plain_http_to = []
timeout = 1
";

/// The schema.
///
/// # Errors
/// A setting is asked for in none of the ways that a schema knows.
pub fn schema() -> Result<Value, String> {
    let path = Path::new("settings");
    let sections = asked(EVERYTHING, |root| {
        Config::read(root, path, &Environment::default(), None)
    })?;
    let descriptions = descriptions();
    let defaults = DeTable::parse(DEFAULTS).map_err(|error| error.to_string())?;
    let made = Schema {
        sections: &sections,
        descriptions: &descriptions,
    };
    let mut schema = made.section("", Some(defaults.get_ref()))?;
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "aqua-orders: settings".into();
    Ok(schema)
}

struct Schema<'s> {
    sections: &'s BTreeMap<String, Asked>,
    descriptions: &'s BTreeMap<String, String>,
}

impl Schema<'_> {
    fn section(&self, path: &str, defaults: Option<&DeTable<'_>>) -> Result<Value, String> {
        let asked = self.sections.get(path);
        let asked = asked.ok_or_else(|| format!("nobody reads the section {path:?}"))?;
        let mut properties = Map::new();
        for (key, kind) in asked {
            let path = match path {
                "" => (*key).to_owned(),
                path => format!("{path}.{key}"),
            };
            let kind = kind.as_ref();
            let kind = kind.ok_or_else(|| format!("nobody reads the setting {path:?}"))?;
            let default = defaults.and_then(|defaults| defaults.get(*key));
            let default = default.map(Spanned::get_ref);
            let mut property = match kind {
                Kind::Flag => json!({ "type": "boolean" }),
                Kind::Text => json!({ "type": "string" }),
                Kind::Word(words) => json!({ "type": "string", "enum": words }),
                Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
                Kind::Number(range) => {
                    json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
                }
                Kind::Seconds(most) => {
                    json!({ "type": "number", "minimum": 0.001, "maximum": most })
                }
                Kind::Section => self.section(&path, default.and_then(DeValue::as_table))?,
                Kind::Sections => {
                    json!({ "type": "array", "items": self.section(&path, None)? })
                }
            };
            if let Some(default) = default.and_then(plain) {
                property["default"] = default;
            }
            if let Some(description) = self.descriptions.get(&path) {
                property["description"] = description.as_str().into();
            }
            properties.insert((*key).to_owned(), property);
        }
        Ok(json!({ "type": "object", "additionalProperties": false, "properties": properties }))
    }
}

/// A default that is one value.
fn plain(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::String(text.to_string())),
        DeValue::Boolean(flag) => Some((*flag).into()),
        DeValue::Integer(number) => number.as_str().parse::<i64>().ok().map(Value::from),
        DeValue::Array(list) if list.is_empty() => Some(json!([])),
        _ => None,
    }
}

/// What `default.toml` says of each setting: the comment above it and its like, also where the setting itself stands in a comment.
fn descriptions() -> BTreeMap<String, String> {
    let mut descriptions = BTreeMap::new();
    let (mut section, mut comment, mut is_said) = (String::new(), Vec::new(), false);
    for line in DEFAULTS.lines() {
        let bare = line.trim_start_matches('#').trim();
        let setting = bare.split_once(" = ").map(|(key, _)| key);
        let setting = setting.filter(|key| is_key(key));
        let header = bare.strip_prefix('[').and_then(|rest| {
            let name = rest.trim_start_matches('[').trim_end_matches(']');
            is_key(&name.replace('.', "_")).then_some(name)
        });
        let (path, is_header) = match (header, setting) {
            (Some(header), _) => (header.to_owned(), true),
            (None, Some(key)) if section.is_empty() => (key.to_owned(), false),
            (None, Some(key)) => (format!("{section}.{key}"), false),
            (None, None) => {
                if is_said || !line.starts_with('#') {
                    comment.clear();
                    is_said = false;
                }
                if line.starts_with("# ") {
                    comment.push(bare);
                }
                continue;
            }
        };
        if !comment.is_empty() {
            let said = comment.join(" ");
            descriptions.entry(path.clone()).or_insert(said);
        }
        is_said = true;
        if is_header {
            section = path;
            comment.clear();
        }
    }
    descriptions
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Where editors look for it, by the first line of `default.toml`.
    const FILE: &str = "config/aqua-orders.schema.json";

    fn errors(settings: &str) -> Vec<String> {
        let settings: toml::Value = toml::from_str(settings).expect("TOML");
        let settings = serde_json::to_value(settings).expect("no dates");
        let validator = jsonschema::validator_for(&schema().expect("a schema")).expect("usable");
        let errors = validator.iter_errors(&settings);
        errors.map(|error| error.to_string()).collect()
    }

    #[test]
    fn the_file_beside_the_default_settings_is_the_schema() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let file = fs::read_to_string(path).expect(FILE);
        let schema = serde_json::to_string_pretty(&schema().expect("a schema")).expect("JSON");
        assert!(
            file.trim_end() == schema,
            "make it anew: aqua-orders settings-schema > {FILE}"
        );
        let first = DEFAULTS.lines().next();
        assert_eq!(first, Some("#:schema ./aqua-orders.schema.json"));
    }

    #[test]
    fn every_setting_stands_in_the_default_file_and_most_have_its_words() {
        fn settings(path: &str, schema: &Value, found: &mut Vec<(String, bool)>) {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{key}");
                found.push((path.clone(), property["description"].is_string()));
                settings(&path, property, found);
                settings(&path, &property["items"], found);
            }
        }
        let mut found = Vec::new();
        settings("", &schema().expect("a schema"), &mut found);
        for (path, _) in &found {
            let key = path.rsplit('.').next().expect("a key");
            assert!(DEFAULTS.contains(key), "{path}");
        }
        let described = found.iter().filter(|(_, described)| *described).count();
        assert!(described * 5 > found.len() * 4, "{described}: {found:?}");
    }

    #[test]
    fn what_the_reader_takes_the_schema_takes_and_what_it_refuses_by_its_form_too() {
        assert_eq!(errors(DEFAULTS), [""; 0]);
        for right in [
            "[limits]\nbody_bytes = 1024\n",
            "[times]\nanswer = 0.5\n",
            "[[publication]]\nname = \"a\"\nusers = [{ login = \"a\", password_hash_file = \"b\", role = \"back_office\" }]\n",
            "[[publication]]\n[[publication.target]]\nprotocol = \"one_c\"\ntakes = [\"sender\"]\nsince = \"2026-11-26 12:00\"\n",
            "[[operator.user]]\nlogin = \"a\"\nrole = \"admin\"\npublications = [\"a\"]\n",
            "tls = { cert = \"a\", key = \"b\" }\n",
        ] {
            assert_eq!(errors(right), [""; 0], "{right}");
        }
        for (wrong, why) in [
            ("[limits]\nbody_bytes = 1\n", "1024"),
            ("[limits]\nbody_byte = 1024\n", "body_byte"),
            ("[times]\nanswer = \"fast\"\n", "number"),
            ("[log]\nformat = \"xml\"\n", "json"),
            (
                "[[publication]]\nusers = [{ role = \"admin\" }]\n",
                "back_office",
            ),
            ("[publication]\nname = \"a\"\n", "array"),
        ] {
            let said = errors(wrong).join("\n");
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }
}
