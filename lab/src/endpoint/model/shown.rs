//! Values as others may see them: by the names and shapes of the model, what is sensitive replaced. Members that no
//! model has are left out, since nothing says what they hold.

use serde_json::{Map, Value};

use super::check::lower_camel;
use super::{Kind, Model, Modelled, Shape};

/// Characters that are shown of a text.
pub const SHOWN_TEXT: usize = 512;

/// A member that is secret though the model does not say so, and what is shown in its place.
#[derive(Debug, Clone, Copy)]
pub struct Hidden {
    /// The member's name, in whatever structure.
    pub member: &'static str,
    /// What is shown.
    pub shown: &'static str,
}

impl Modelled {
    /// A request, `hidden` in the place of what the model calls sensitive; `None` if it is no structure.
    #[must_use]
    pub fn show_input(&self, input: &Value, hidden: &'static str, more: &'static [Hidden]) -> Option<Value> {
        self.show(self.operation.input.as_deref()?, input, hidden, more)
    }

    /// An answer, likewise.
    #[must_use]
    pub fn show_output(
        &self,
        output: &Value,
        hidden: &'static str,
        more: &'static [Hidden],
    ) -> Option<Value> {
        self.show(self.operation.output.as_deref()?, output, hidden, more)
    }

    fn show(
        &self,
        name: &str,
        value: &Value,
        hidden: &'static str,
        more: &'static [Hidden],
    ) -> Option<Value> {
        Show { model: self.model, hidden, more }.value(value, self.model.shapes.get(name)?)
    }
}

struct Show {
    model: &'static Model,
    hidden: &'static str,
    more: &'static [Hidden],
}

impl Show {
    /// `None` where the value is not of its shape: a request is shown before it is checked.
    fn value(&self, value: &Value, shape: &Shape) -> Option<Value> {
        if shape.sensitive {
            return Some(self.hidden.into());
        }
        match (shape.kind, value) {
            (Kind::Structure, Value::Object(members)) => {
                let shown =
                    members.iter().filter(|(_, value)| !value.is_null()).filter_map(|(name, value)| {
                        let member = shape.members.get(name)?;
                        Some((lower_camel(name), self.member(name, value, member)?))
                    });
                Some(Value::Object(shown.collect::<Map<_, _>>()))
            }
            (Kind::List, Value::Array(items)) => {
                let shape = self.referred(shape.member.as_ref())?;
                Some(items.iter().filter_map(|item| self.value(item, shape)).collect())
            }
            (Kind::Map, Value::Object(entries)) => {
                let shape = self.referred(shape.value.as_ref())?;
                let shown =
                    entries.iter().filter_map(|(key, entry)| Some((cut(key), self.value(entry, shape)?)));
                Some(Value::Object(shown.collect::<Map<_, _>>()))
            }
            (Kind::String, Value::String(text)) => Some(cut(text).into()),
            (Kind::Integer | Kind::Long | Kind::Timestamp, Value::Number(_))
            | (Kind::Boolean, Value::Bool(_)) => Some(value.clone()),
            _ => None,
        }
    }

    fn member(&self, name: &str, value: &Value, shape: &String) -> Option<Value> {
        match self.more.iter().find(|hidden| hidden.member == name) {
            Some(hidden) => Some(hidden.shown.into()),
            None => self.value(value, self.referred(Some(shape))?),
        }
    }

    fn referred(&self, name: Option<&String>) -> Option<&'static Shape> {
        self.model.shapes.get(name?)
    }
}

fn cut(text: &str) -> String {
    if text.chars().nth(SHOWN_TEXT).is_none() {
        return text.to_owned();
    }
    text.chars().take(SHOWN_TEXT).chain("...".chars()).collect()
}
