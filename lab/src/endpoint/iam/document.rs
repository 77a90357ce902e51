//! A policy document before it means anything: JSON, or a table of the lab's config. Apart from
//! [`serde_json::Value`], which keeps the last of two members of one name: here that is an error, as it is in IAM.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A node of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A text.
    Text(String),
    /// A number, `true` or `false`, as the document spells it.
    Scalar(String),
    /// `null`.
    Null,
    /// A list.
    List(Vec<Node>),
    /// Members in the document's order, each name once.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// What it is, for an error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Scalar(_) => "a number or a boolean",
            Self::Null => "null",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// Its items; something that is no list is a list of one.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match self {
            Self::List(items) => items,
            one => std::slice::from_ref(one),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy document")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut object: Vec<(String, Node)> = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format_args!(
                    "`{name}` is there twice; merge the two, only one would count"
                )));
            }
            object.push((name, members.next_value()?));
        }
        Ok(Node::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn two_members_of_one_name_are_refused_where_they_stand() {
        let text = "{\"Condition\": {},\n \"Condition\": {}}";
        assert_eq!(
            serde_json::from_str::<Node>(text).unwrap_err().to_string(),
            "`Condition` is there twice; merge the two, only one would count at line 2 column 12"
        );
    }

    #[test]
    fn a_table_of_a_config_is_the_same_document() {
        let json: Node = serde_json::from_str(r#"{"a": ["x", true, 3], "b": {"c": "d"}}"#).unwrap();
        let toml: Node = toml::from_str("a = ['x', true, 3]\nb = { c = 'd' }").unwrap();
        assert_eq!(json, toml);
    }
}
