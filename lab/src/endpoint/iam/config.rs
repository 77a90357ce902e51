//! The lab's config file: the account, its users and what they and the roles of nodes may do. Read strictly: what the
//! lab would not honour is refused with the file, line and column it stands at.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use thiserror::Error as ThisError;
use toml::Spanned;

use super::directory::LAB_USER;
use super::document::Node;
use super::keys::AccessKey;
use super::policy::Policy;
use super::reading::PolicyError;

/// The account of AWS's own examples.
pub const DEFAULT_ACCOUNT: &str = "123456789012";

/// Something in the config that cannot be; the place is left out if the file itself cannot be read.
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    place: Option<(usize, usize)>,
    wrong: Box<Wrong>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.wrong)
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.wrong.source()
    }
}

/// What is wrong, and what to do.
#[derive(Debug, ThisError)]
enum Wrong {
    #[error("this config cannot be read; name a TOML file that can be with --config")]
    Config(#[source] io::Error),
    #[error("{0}; correct it (docs/lab.md shows what a config holds)")]
    Toml(String),
    #[error("account `{0}` is not twelve digits; write it as account = \"{DEFAULT_ACCOUNT}\"")]
    Account(String),
    #[error(
        "`{0}` cannot be a {1}'s name; use 1 to 64 letters, digits and _+.@-, and neither `default` nor one that \
         differs only in case from another"
    )]
    Name(String, &'static str),
    #[error("`{LAB_USER}` may do everything and has no policies; give them to a user of another name")]
    LabUser,
    #[error(
        "user `{0}` has one half of a key; set both access_key_id and secret_access_key, or neither for a random key"
    )]
    HalfKey(String),
    #[error(
        "the access_key_id of user `{0}` must have 16 to 128 letters, digits and _; correct or remove it"
    )]
    KeyId(String),
    #[error(
        "the secret_access_key of user `{0}` must have 16 to 128 letters, digits and /+=; correct or remove it"
    )]
    Secret(String),
    #[error("the policy {0} cannot be read; a path is relative to the config file")]
    PolicyFile(String, #[source] io::Error),
    #[error("{0} is refused")]
    Policy(String, #[source] PolicyError),
}

/// A user as configured.
#[derive(Debug)]
pub(super) struct ConfiguredUser {
    pub(super) name: String,
    pub(super) fixed_key: Option<AccessKey>,
    pub(super) policies: Vec<Policy>,
}

/// What a config says.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) account: String,
    pub(super) users: Vec<ConfiguredUser>,
    pub(super) roles: BTreeMap<String, Vec<Policy>>,
}

impl Default for Config {
    fn default() -> Self {
        Self { account: DEFAULT_ACCOUNT.to_owned(), users: Vec::new(), roles: BTreeMap::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    account: Option<Spanned<String>>,
    #[serde(default)]
    users: BTreeMap<Spanned<String>, RawUser>,
    #[serde(default)]
    roles: BTreeMap<Spanned<String>, RawRole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUser {
    #[serde(default)]
    policies: Vec<Spanned<String>>,
    policy: Option<Spanned<Node>>,
    access_key_id: Option<Spanned<String>>,
    secret_access_key: Option<Spanned<Quoted>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRole {
    #[serde(default)]
    policies: Vec<Spanned<String>>,
    policy: Option<Spanned<Node>>,
}

/// A secret that an error of its type does not quote.
struct Quoted(SecretString);

impl<'de> Deserialize<'de> for Quoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Node::deserialize(deserializer)? {
            Node::Text(text) => Ok(Self(text.into())),
            _ => Err(serde::de::Error::custom("a secret_access_key must be a string in quotes")),
        }
    }
}

impl Config {
    /// Reads the file and every policy it names.
    pub(super) fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError {
            file: file.to_owned(),
            place: None,
            wrong: Box::new(Wrong::Config(error)),
        })?;
        Reader { file, text: &text }.read()
    }
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn error(&self, at: usize, wrong: Wrong) -> ConfigError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        ConfigError { file: self.file.to_owned(), place: Some((line, column)), wrong: Box::new(wrong) }
    }

    fn read(&self) -> Result<Config, ConfigError> {
        // The parser's own rendering shows the line, which may hold a secret.
        let raw: RawConfig = toml::from_str(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.error(at, Wrong::Toml(error.message().replace('\n', ", ")))
        })?;
        let mut config = Config::default();
        if let Some(account) = raw.account {
            if account.as_ref().len() != 12 || !account.as_ref().bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(self.error(account.span().start, Wrong::Account(account.into_inner())));
            }
            config.account = account.into_inner();
        }
        for (name, user) in raw.users {
            let known: Vec<&str> = config.users.iter().map(|user| user.name.as_str()).collect();
            self.check_name(&name, "user", &known)?;
            config.users.push(self.user(name, user)?);
        }
        for (name, role) in raw.roles {
            let known: Vec<&str> = config.roles.keys().map(String::as_str).collect();
            self.check_name(&name, "role", &known)?;
            let owner = format!("role `{}`", name.as_ref());
            let policies = self.policies(&owner, &role.policies, role.policy.as_ref())?;
            config.roles.insert(name.into_inner(), policies);
        }
        Ok(config)
    }

    /// IAM's names but for `=` and `,`, which the SDK for Rust ignores in names of profiles; `default` is the lab
    /// user's profile.
    fn check_name(
        &self,
        name: &Spanned<String>,
        what: &'static str,
        known: &[&str],
    ) -> Result<(), ConfigError> {
        let text = name.as_ref();
        let well_formed = (1..=64).contains(&text.len())
            && text.chars().all(|char| char.is_ascii_alphanumeric() || "_+.@-".contains(char));
        let taken = text.eq_ignore_ascii_case("default")
            || (text != LAB_USER && text.eq_ignore_ascii_case(LAB_USER))
            || known.iter().any(|known| known.eq_ignore_ascii_case(text));
        if well_formed && !taken {
            return Ok(());
        }
        Err(self.error(name.span().start, Wrong::Name(text.clone(), what)))
    }

    fn user(&self, name: Spanned<String>, raw: RawUser) -> Result<ConfiguredUser, ConfigError> {
        let at = name.span().start;
        let name = name.into_inner();
        if name == LAB_USER && (raw.policy.is_some() || !raw.policies.is_empty()) {
            return Err(self.error(at, Wrong::LabUser));
        }
        let policies = self.policies(&format!("user `{name}`"), &raw.policies, raw.policy.as_ref())?;
        let fixed_key = match (raw.access_key_id, raw.secret_access_key) {
            (None, None) => None,
            (Some(id), Some(secret)) => Some(self.key(&name, id, secret)?),
            _ => return Err(self.error(at, Wrong::HalfKey(name))),
        };
        Ok(ConfiguredUser { name, fixed_key, policies })
    }

    fn key(
        &self,
        user: &str,
        id: Spanned<String>,
        secret: Spanned<Quoted>,
    ) -> Result<AccessKey, ConfigError> {
        let fits = |text: &str, also: &str| {
            (16..=128).contains(&text.len())
                && text.chars().all(|char| char.is_ascii_alphanumeric() || also.contains(char))
        };
        if !fits(id.as_ref(), "_") {
            return Err(self.error(id.span().start, Wrong::KeyId(user.to_owned())));
        }
        if !fits(secret.as_ref().0.expose_secret(), "/+=") {
            return Err(self.error(secret.span().start, Wrong::Secret(user.to_owned())));
        }
        Ok(AccessKey { id: id.into_inner(), secret: secret.into_inner().0 })
    }

    fn policies(
        &self,
        owner: &str,
        files: &[Spanned<String>],
        inline: Option<&Spanned<Node>>,
    ) -> Result<Vec<Policy>, ConfigError> {
        let dir = self.file.parent().unwrap_or(Path::new(""));
        let mut policies = Vec::new();
        for path in files {
            let name = path.as_ref();
            let wrong = |wrong| self.error(path.span().start, wrong);
            let json = std::fs::read_to_string(dir.join(name))
                .map_err(|error| wrong(Wrong::PolicyFile(name.clone(), error)))?;
            let policy = Policy::parse(&json)
                .map_err(|error| wrong(Wrong::Policy(format!("the policy {name} of {owner}"), error)))?;
            policies.push(policy);
        }
        if let Some(inline) = inline {
            let policy = match inline.as_ref() {
                Node::Text(json) => Policy::parse(json),
                document => Policy::from_node(document),
            };
            policies.push(policy.map_err(|error| {
                self.error(inline.span().start, Wrong::Policy(format!("the inline policy of {owner}"), error))
            })?);
        }
        Ok(policies)
    }
}
