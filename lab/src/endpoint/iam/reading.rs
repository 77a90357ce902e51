//! From a policy document to a [`Policy`]. Stricter than a parser needs to be: every element is known, or the policy
//! is refused with the statement it stands in and what to do.

use thiserror::Error;

use super::arn::{ArnPattern, BadArnPattern};
use super::condition::Condition;
use super::document::Node;
use super::operator::BadOperator;
use super::pattern::{Pattern, Variables};
use super::policy::{Effect, Policy, Selection, Statement};

/// Why a document is no policy of the lab.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// It is not even JSON.
    #[error("it is not a JSON document; mend it at the line and column named")]
    Json(#[from] serde_json::Error),
    /// It is none as a whole.
    #[error("{0}")]
    Document(Problem),
    /// A statement is none.
    #[error("statement {statement}: {problem}")]
    Statement {
        /// Its number, and its `Sid` if it has one.
        statement: String,
        /// What is wrong.
        problem: Problem,
    },
}

/// What is wrong, and what to do.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error("{element} is {found}, and must be {expected}")]
    Kind { element: String, found: &'static str, expected: &'static str },
    #[error("{0} is missing; add it")]
    Missing(&'static str),
    #[error("{0} is empty; name at least one, or remove it")]
    Empty(String),
    #[error("{0} is not an element of an identity-based policy; remove it (the elements are {1})")]
    Unknown(String, &'static str),
    #[error("{0} and {1} exclude each other; keep one")]
    Both(&'static str, &'static str),
    #[error("Version `{0}` does not exist; write \"2012-10-17\"")]
    Version(String),
    #[error("Effect `{0}` does not exist; write \"Allow\" or \"Deny\"")]
    Effect(String),
    #[error("Sid `{0}` may only have letters and digits, and be used once in the policy; rename it")]
    Sid(String),
    #[error("action `{0}` must be * or a service and its action, such as ssm:StartSession or ssm:Describe*")]
    Action(String),
    #[error("condition key `{0}` must be a service or aws and a name, such as ssm:resourceTag/Environment")]
    Key(String),
    #[error(transparent)]
    Resource(#[from] BadArnPattern),
    #[error(transparent)]
    Operator(#[from] BadOperator),
}

const POLICY: &str = "Version, Id and Statement";
const STATEMENT: &str = "Sid, Effect, Action, NotAction, Resource, NotResource and Condition";

impl Policy {
    /// Reads a policy document.
    pub fn parse(json: &str) -> Result<Self, PolicyError> {
        Self::from_node(&serde_json::from_str(json)?)
    }

    /// Reads a document that is parsed already.
    pub fn from_node(document: &Node) -> Result<Self, PolicyError> {
        let members = Members::of(document, "the policy", POLICY, &["Version", "Id", "Statement"])
            .map_err(PolicyError::Document)?;
        let variables = version(&members).map_err(PolicyError::Document)?;
        let list =
            members.get("Statement").ok_or(PolicyError::Document(Problem::Missing("Statement")))?.items();
        if list.is_empty() {
            return Err(PolicyError::Document(Problem::Empty("Statement".to_owned())));
        }
        let mut statements: Vec<Statement> = Vec::new();
        for (node, number) in list.iter().zip(1_usize..) {
            let told = |problem| PolicyError::Statement { statement: name(node, number), problem };
            let statement = statement(node, variables).map_err(told)?;
            let twice = statements.iter().any(|known| known.sid.is_some() && known.sid == statement.sid);
            match &statement.sid {
                Some(sid) if twice => return Err(told(Problem::Sid(sid.clone()))),
                _ => statements.push(statement),
            }
        }
        Ok(Self { statements })
    }
}

/// The members of an object, all of them known.
struct Members<'a>(&'a [(String, Node)]);

impl<'a> Members<'a> {
    fn of(node: &'a Node, what: &str, elements: &'static str, known: &[&str]) -> Result<Self, Problem> {
        let Node::Object(members) = node else {
            return Err(kind(what, node, "an object"));
        };
        match members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(Problem::Unknown(name.clone(), elements)),
            None => Ok(Self(members)),
        }
    }

    fn get(&self, wanted: &str) -> Option<&'a Node> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, node)| node)
    }

    fn text(&self, wanted: &str) -> Result<Option<&'a str>, Problem> {
        match self.get(wanted) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(other) => Err(kind(wanted, other, "a string")),
        }
    }

    /// The one of the two elements that is there: whether it is the second, and its texts.
    fn selection(&self, one: &'static str, not: &'static str) -> Result<(bool, Vec<&'a str>), Problem> {
        let (inverted, element, node) = match (self.get(one), self.get(not)) {
            (Some(_), Some(_)) => return Err(Problem::Both(one, not)),
            (Some(node), None) => (false, one, node),
            (None, Some(node)) => (true, not, node),
            (None, None) => return Err(Problem::Missing(one)),
        };
        let texts = node.items().iter().map(|item| match item {
            Node::Text(text) => Ok(text.as_str()),
            other => Err(kind(element, other, "a string or a list of strings")),
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        if texts.is_empty() {
            return Err(Problem::Empty(element.to_owned()));
        }
        Ok((inverted, texts))
    }
}

fn kind(element: &str, found: &Node, expected: &'static str) -> Problem {
    Problem::Kind { element: element.to_owned(), found: found.kind(), expected }
}

/// A policy without a version is of the old one, as in IAM.
fn version(members: &Members<'_>) -> Result<Variables, Problem> {
    members.text("Id")?;
    match members.text("Version")? {
        Some("2012-10-17") => Ok(Variables::Filled),
        Some("2008-10-17") | None => Ok(Variables::Literal),
        Some(other) => Err(Problem::Version(other.to_owned())),
    }
}

/// How a statement is called in an error, even one that cannot be read.
fn name(node: &Node, number: usize) -> String {
    let Node::Object(members) = node else { return number.to_string() };
    match members.iter().find(|(name, _)| name == "Sid") {
        Some((_, Node::Text(sid))) => format!("{number} (`{sid}`)"),
        _ => number.to_string(),
    }
}

fn statement(node: &Node, variables: Variables) -> Result<Statement, Problem> {
    let known = ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    let members = Members::of(node, "it", STATEMENT, &known)?;
    let sid = members.text("Sid")?.filter(|sid| !sid.is_empty());
    if let Some(sid) = sid.filter(|sid| !sid.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Err(Problem::Sid(sid.to_owned()));
    }
    let effect = match members.text("Effect")?.ok_or(Problem::Missing("Effect"))? {
        "Allow" => Effect::Allow,
        "Deny" => Effect::Deny,
        other => return Err(Problem::Effect(other.to_owned())),
    };
    let (inverted, texts) = members.selection("Action", "NotAction")?;
    let actions = Selection { listed: texts.into_iter().map(action).collect::<Result<_, _>>()?, inverted };
    let (inverted, texts) = members.selection("Resource", "NotResource")?;
    let listed =
        texts.into_iter().map(|text| ArnPattern::parse(text, variables)).collect::<Result<_, _>>()?;
    let resources = Selection { listed, inverted };
    let conditions = members.get("Condition").map_or(Ok(Vec::new()), |node| conditions(node, variables))?;
    Ok(Statement { sid: sid.map(str::to_owned), effect, actions, resources, conditions })
}

fn action(text: &str) -> Result<Pattern, Problem> {
    let bad = || Problem::Action(text.to_owned());
    let is_name = |name: &str, also: &str| {
        !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || also.contains(char))
    };
    let well_formed = match text.split_once(':') {
        None => text == "*",
        // IAM refuses wildcards within the name of a service.
        Some((service, name)) => (service == "*" || is_name(service, "-")) && is_name(name, "*?"),
    };
    if !well_formed {
        return Err(bad());
    }
    Pattern::parse(text, Variables::Literal).map_err(|_| bad())
}

fn conditions(node: &Node, variables: Variables) -> Result<Vec<Condition>, Problem> {
    let mut conditions = Vec::new();
    let Node::Object(operators) = node else { return Err(kind("Condition", node, "an object")) };
    for (operator, keys) in operators {
        let Node::Object(keys) = keys else {
            return Err(kind(&format!("condition `{operator}`"), keys, "an object of condition keys"));
        };
        if keys.is_empty() {
            return Err(Problem::Empty(format!("condition `{operator}`")));
        }
        for (key, values) in keys {
            if !key.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty()) {
                return Err(Problem::Key(key.clone()));
            }
            let values = condition_values(key, values)?;
            conditions.push(Condition::parse(operator, key, &values, variables)?);
        }
    }
    Ok(conditions)
}

fn condition_values(key: &str, node: &Node) -> Result<Vec<String>, Problem> {
    let element = || format!("condition key `{key}`");
    let values = node.items().iter().map(|item| match item {
        Node::Text(text) | Node::Scalar(text) => Ok(text.clone()),
        other => Err(kind(&element(), other, "a string, a number, a boolean or a list of them")),
    });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    if values.is_empty() { Err(Problem::Empty(element())) } else { Ok(values) }
}
