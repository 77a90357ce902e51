//! Who there is in the lab's account: its users with their keys and policies, and what the roles of nodes may do. The
//! directory does not change while the endpoint runs.

use std::collections::BTreeMap;
use std::iter;
use std::path::Path;

use secrecy::SecretString;
use thiserror::Error;

use super::config::{Config, ConfigError, ConfiguredUser};
use super::keys::{self, AccessKey, KeyError, KeyStore};
use super::policy::Policy;
use super::reading::PolicyError;

/// The user who is always there and may do everything.
pub const LAB_USER: &str = "lab-user";

/// What a node's role may do if the config does not say: the actions the agent needs.
const MANAGED_NODE: &str = include_str!("../../../policies/managed-node.json");

/// Why there is no directory.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// The config is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Keys cannot be kept.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A key that names two users.
    #[error(
        "users `{0}` and `{1}` have the same access_key_id; give one another key in the config, or remove it from \
         the config and from users.json for a random one"
    )]
    SameKey(String, String),
    /// The built-in policy.
    #[error("the built-in policy of managed nodes is refused; this is a bug of the lab, please report it")]
    BuiltIn(#[from] PolicyError),
}

/// A user of the account.
#[derive(Debug, Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The id of the user's key, not secret.
    pub access_key_id: String,
    /// The secret of the user's key.
    pub secret_access_key: SecretString,
    /// What the user may do.
    pub policies: Vec<Policy>,
}

impl User {
    fn new(name: String, key: AccessKey, policies: Vec<Policy>) -> Self {
        Self { name, access_key_id: key.id, secret_access_key: key.secret, policies }
    }
}

/// The users and roles of the account.
#[derive(Debug)]
pub struct Directory {
    account: String,
    lab_user: User,
    users: Vec<User>,
    roles: BTreeMap<String, Vec<Policy>>,
    other_roles: Vec<Policy>,
}

impl Directory {
    /// Reads the config, if there is one, and the keys kept in `state_dir`; makes those that are missing, and writes
    /// the profiles for AWS's tools.
    pub fn load(config: Option<&Path>, state_dir: &Path) -> Result<Self, DirectoryError> {
        let Config { account, users: configured, roles } =
            config.map(Config::load).transpose()?.unwrap_or_default();
        let mut store = KeyStore::load(state_dir)?;
        let mut lab_user = None;
        let mut users = Vec::new();
        for ConfiguredUser { name, fixed_key, policies } in configured {
            let key = fixed_key.unwrap_or_else(|| store.key_of(&name));
            if name == LAB_USER {
                lab_user = Some(key);
            } else {
                users.push(User::new(name, key, policies));
            }
        }
        let lab_key = lab_user.unwrap_or_else(|| store.key_of(LAB_USER));
        let lab_user = User::new(LAB_USER.to_owned(), lab_key, vec![Policy::everything()]);
        let directory =
            Self { account, lab_user, users, roles, other_roles: vec![Policy::parse(MANAGED_NODE)?] };
        directory.check_keys()?;
        store.store()?;
        let default = ("default", &directory.lab_user);
        let profiles = iter::once(default).chain(directory.users().map(|user| (user.name.as_str(), user)));
        keys::write_profiles(
            state_dir,
            profiles.map(|(name, user)| (name, user.access_key_id.as_str(), &user.secret_access_key)),
        )?;
        Ok(directory)
    }

    fn check_keys(&self) -> Result<(), DirectoryError> {
        let mut owners = BTreeMap::new();
        for user in self.users() {
            if let Some(other) = owners.insert(user.access_key_id.as_str(), &user.name) {
                return Err(DirectoryError::SameKey(other.clone(), user.name.clone()));
            }
        }
        Ok(())
    }

    /// The account's number.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The user who may do everything.
    #[must_use]
    pub fn lab_user(&self) -> &User {
        &self.lab_user
    }

    /// All users, the lab user first.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        iter::once(&self.lab_user).chain(&self.users)
    }

    /// The user the key belongs to.
    #[must_use]
    pub fn user_by_key(&self, access_key_id: &str) -> Option<&User> {
        self.users().find(|user| user.access_key_id == access_key_id)
    }

    /// What a role may do. Any name is a role; those the config does not name may do what the agent needs.
    #[must_use]
    pub fn role_policies(&self, name: &str) -> &[Policy] {
        let name = name.rsplit('/').next().unwrap_or(name);
        self.roles.get(name).unwrap_or(&self.other_roles)
    }
}
