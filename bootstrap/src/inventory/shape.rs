//! Compares a parsed file with the schema: unknown keys, missing keys, wrong types, words that are none of the
//! choices, numbers out of range. What does not fit is reported and taken out, so that the rest can be read and
//! searched for problems of meaning in the same run.

use serde_json::{Map, Value};
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
    problems::{Findings, did_you_mean},
    spans::Span,
    syntax::may_be_secret,
};

/// Reports what does not fit the schema, and leaves what does.
pub(super) fn check(file: &mut Spanned<DeTable<'_>>, schema: &Value, findings: &mut Findings<'_>) {
    let span = file.span().into();
    Walk { schema, findings }.table(file.get_mut(), span, schema, &Trail::default());
}

struct Walk<'s, 'f, 'a> {
    schema: &'s Value,
    findings: &'f mut Findings<'a>,
}

// The keys that lead to a value.
#[derive(Clone, Debug, Default)]
struct Trail {
    keys: Vec<String>,
    is_item: bool,
}

impl Trail {
    fn key(&self, key: &str) -> Self {
        let mut keys = self.keys.clone();
        keys.push(key.to_owned());
        Self { keys, is_item: false }
    }

    fn item(&self) -> Self {
        Self { keys: self.keys.clone(), is_item: true }
    }

    fn last(&self) -> &str {
        self.keys.last().map_or("", String::as_str)
    }

    // Whether a value here may be one that nobody else should read, whatever it was meant to be.
    fn is_secretive(&self) -> bool {
        let in_activation = self.keys.iter().any(|key| key == "activation");
        in_activation || (may_be_secret(self.last()) && !self.last().ends_with("_file"))
    }

    // Whether a string here is a duration, which the schema does not tell.
    fn is_duration(&self) -> bool {
        match self.keys.as_slice() {
            [.., table, _] if table == "tags" => false,
            [.., last] => {
                ["connect", "command", "host", "run_within", "online_within"].contains(&last.as_str())
            }
            [] => false,
        }
    }

    // Where a key stands; tables are written as TOML's headers.
    fn within(&self) -> String {
        match (self.keys.as_slice(), self.is_item) {
            ([], _) => "at the top level".to_owned(),
            (keys, true) => format!("in [[{}]]", keys.join(".")),
            (keys, false) => format!("in [{}]", keys.join(".")),
        }
    }
}

impl<'s> Walk<'s, '_, '_> {
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        match schema.get("$ref").and_then(Value::as_str).and_then(|link| link.strip_prefix('#')) {
            Some(pointer) => self.schema.pointer(pointer).unwrap_or(schema),
            None => schema,
        }
    }

    // True if the value may stay.
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &'s Value, trail: &Trail) -> bool {
        let span = value.span().into();
        let schema = self.resolve(schema);
        let choices: Vec<&'s Value> = match schema.get("anyOf").and_then(Value::as_array) {
            Some(choices) => choices.iter().map(|choice| self.resolve(choice)).collect(),
            None => vec![schema],
        };
        let Some(fitting) = choices.iter().find(|choice| type_of(choice) == name_of_type(value.get_ref()))
        else {
            self.wrong_type(value.get_ref(), span, &choices, trail);
            return false;
        };
        match value.get_mut() {
            DeValue::Table(table) => self.table(table, span, fitting, trail),
            DeValue::Array(items) => {
                if items.is_empty() && fitting.get("minItems").is_some() {
                    self.findings.add(
                        span,
                        format!("`{}` is empty", trail.last()),
                        "leave it out, or fill it",
                    );
                    return false;
                }
                if let Some(of_items) = fitting.get("items") {
                    for mut item in std::mem::replace(items, DeArray::new()) {
                        if self.value(&mut item, of_items, &trail.item()) {
                            items.push(item);
                        }
                    }
                }
            }
            DeValue::String(text) => return self.choice(text, span, fitting, trail),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                return self.range(number, span, fitting, trail);
            }
            DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
        true
    }

    fn table(&mut self, table: &mut DeTable<'_>, span: Span, schema: &'s Value, trail: &Trail) {
        let nothing = Map::new();
        let schema = self.resolve(schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let mut unfit = Vec::new();
        for (key, value) in table.iter_mut() {
            let (name, key_span) = (key.get_ref().as_ref(), Span::from(key.span()));
            let of_value = properties.and_then(|known| known.get(name)).or(others);
            let fits = match of_value {
                Some(of_value) if of_value.get("not").is_some() => {
                    self.findings.hide(value.span().into());
                    let why = of_value.get("description").and_then(Value::as_str).unwrap_or_default();
                    self.findings.add(
                        key_span,
                        format!("`{name}` is not taken {}", trail.within()),
                        unwrapped(why),
                    );
                    false
                }
                Some(of_value) => self.value(value, of_value, &trail.key(name)),
                None => {
                    if trail.key(name).is_secretive() || may_be_secret(name) {
                        self.findings.hide(value.span().into());
                    }
                    self.unknown_key(name, key_span, properties.unwrap_or(&nothing), trail);
                    false
                }
            };
            if !fits {
                self.findings.doubt(name);
                unfit.push(name.to_owned());
            }
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = required.as_str() else { continue };
            if !table.contains_key(name) {
                let description = properties.and_then(|known| known.get(name)?.get("description")?.as_str());
                let what = format!("no `{name}` {}", trail.within());
                self.findings.add(
                    span,
                    what,
                    format!("add `{name}`. {}", unwrapped(description.unwrap_or_default())),
                );
            }
        }
        for name in &unfit {
            table.remove(name.as_str());
        }
    }

    fn unknown_key(&mut self, name: &str, span: Span, known: &Map<String, Value>, trail: &Trail) {
        let similar = || did_you_mean(name, known.keys().map(String::as_str));
        let hint =
            about_passwords(name).or_else(similar).or_else(|| self.home_of(name)).unwrap_or_else(|| {
                let keys: Vec<_> = known
                    .iter()
                    .filter(|(_, schema)| schema.get("not").is_none())
                    .map(|(key, _)| key.as_str())
                    .collect();
                format!("known keys: {}", keys.join(", "))
            });
        self.findings.add(span, format!("unknown key `{name}` {}", trail.within()), hint);
    }

    // Where a key belongs that was written in the wrong table.
    fn home_of(&self, name: &str) -> Option<String> {
        let homes = [
            ("Defaults", "[defaults]"),
            ("Host", "[[hosts]]"),
            ("Environment", "[environments.NAME]"),
            ("Package", "[package]"),
            ("Activation", "`activation` of an environment"),
            ("Limits", "`limits`"),
        ];
        let keys_of = |definition: &str| {
            let keys =
                self.schema.pointer(&format!("/$defs/{definition}/properties")).and_then(Value::as_object);
            keys.into_iter().flat_map(Map::keys).map(String::as_str)
        };
        let found: Vec<_> = (homes.iter())
            .filter(|(definition, _)| keys_of(definition).any(|key| key == name))
            .map(|(_, table)| *table)
            .collect();
        if found.is_empty() {
            return homes.iter().find_map(|(definition, table)| {
                Some(format!("{} It belongs in {table}", did_you_mean(name, keys_of(definition))?))
            });
        }
        Some(format!("`{name}` belongs in {}", found.join(" or ")))
    }

    fn wrong_type(&mut self, value: &DeValue<'_>, span: Span, choices: &[&Value], trail: &Trail) {
        if trail.is_secretive() {
            self.findings.hide(span);
        }
        let expected: Vec<_> = choices.iter().map(|choice| phrase(type_of(choice))).collect();
        let found = name_of_type(value);
        let what = if trail.is_item {
            format!("each of `{}` must be {}, not {}", trail.last(), expected.join(" or "), phrase(found))
        } else {
            format!("`{}` must be {}, not {}", trail.last(), expected.join(" or "), phrase(found))
        };
        let takes = |name: &str| choices.iter().any(|choice| type_of(choice) == name);
        match value {
            DeValue::Table(_) if takes("array") && trail.keys.len() == 1 => {
                self.findings.add(
                    span,
                    what,
                    format!("write [[{}]], with two brackets, for each", trail.last()),
                );
            }
            DeValue::Integer(number) if !trail.is_secretive() && trail.is_duration() => {
                let number = number.as_str();
                self.findings.add(
                    span,
                    what,
                    format!("name the unit, in quotes: \"{number}s\" or \"{number}m\""),
                );
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_)
                if takes("string") =>
            {
                self.findings.add(span, what, "put it in quotes");
            }
            DeValue::String(text) if takes("integer") && text.parse::<i64>().is_ok() => {
                self.findings.add(span, what, format!("write {text}, without quotes"));
            }
            DeValue::String(text) if takes("array") && !trail.is_secretive() => {
                self.findings.add(span, what, format!("write [{text:?}]"));
            }
            _ => self.findings.add_without_hint(span, what),
        }
    }

    fn choice(&mut self, text: &str, span: Span, schema: &Value, trail: &Trail) -> bool {
        let Some(words) = words_of(schema) else { return true };
        if words.contains(&text) {
            return true;
        }
        let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let found = if trail.is_secretive() {
            self.findings.hide(span);
            String::new()
        } else {
            format!(", not {text:?}")
        };
        let what = format!("`{}` must be {}{found}", trail.last(), either(&quoted));
        match did_you_mean(text, words) {
            Some(hint) => self.findings.add(span, what, hint),
            None => self.findings.add_without_hint(span, what),
        }
        false
    }

    fn range(&mut self, number: Option<i64>, span: Span, schema: &Value, trail: &Trail) -> bool {
        let bound = |name| schema.get(name).and_then(Value::as_i64);
        let (least, most) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
        let fits = number.is_some_and(|number| (least..=most).contains(&number));
        if !fits {
            self.findings
                .add_without_hint(span, format!("`{}` must be from {least} to {most}", trail.last()));
        }
        fits
    }
}

// Inventories of other tools hold passwords.
fn about_passwords(key: &str) -> Option<String> {
    let is_one = ["pass", "pwd"].iter().any(|part| key.to_lowercase().contains(part));
    is_one.then(|| {
        "passwords stay out of the inventory: you are asked for that of sudo and for passphrases where they are needed, for that of SSH with `ssh_password = \"ask\"`"
            .to_owned()
    })
}

fn either(choices: &[String]) -> String {
    match choices {
        [many @ .., last] if !many.is_empty() => format!("{} or {last}", many.join(", ")),
        choices => choices.concat(),
    }
}

// The words of an enum: schemars writes `oneOf` if the variants have descriptions, else `enum`.
fn words_of(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let variants = schema.get("oneOf").and_then(Value::as_array)?;
    Some(variants.iter().filter_map(|variant| variant.get("const")?.as_str()).collect())
}

fn type_of(schema: &Value) -> &str {
    match schema.get("type").and_then(Value::as_str) {
        Some(name) => name,
        None if words_of(schema).is_some() => "string",
        None => "object",
    }
}

fn name_of_type(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

fn phrase(type_name: &str) -> &'static str {
    match type_name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a fraction",
        "boolean" => "a boolean",
        "date" => "a date",
        "array" => "a list",
        _ => "a table",
    }
}

// Doc comments are wrapped; hints are one line.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
