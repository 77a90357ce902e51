//! Who is asked about: a user, or a node in its role; with AWS's names for both.

use sha2::{Digest as _, Sha256};

use super::context::Context;

/// A principal of the lab's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user with an access key.
    User {
        /// The user's name.
        name: String,
        /// The account.
        account: String,
    },
    /// Someone in a role; of a managed node the session is the node's id.
    AssumedRole {
        /// The role's name, with its path if it has one.
        role: String,
        /// The session's name.
        session: String,
        /// The account.
        account: String,
    },
}

impl Principal {
    /// The ARN AWS shows for it.
    #[must_use]
    pub fn arn(&self) -> String {
        match self {
            Self::User { name, account } => format!("arn:aws:iam::{account}:user/{name}"),
            Self::AssumedRole { role, session, account } => {
                format!("arn:aws:sts::{account}:assumed-role/{}/{session}", without_path(role))
            }
        }
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> &str {
        match self {
            Self::User { account, .. } | Self::AssumedRole { account, .. } => account,
        }
    }

    /// The unique id in AWS's form, the same for the same name: `AIDA…` of a user, `AROA…:session` of a role.
    #[must_use]
    pub fn user_id(&self) -> String {
        match self {
            Self::User { name, account } => unique_id("AIDA", account, name),
            Self::AssumedRole { role, session, account } => {
                format!("{}:{session}", unique_id("AROA", account, role))
            }
        }
    }

    /// What policies may ask of a principal. Someone in a role has no `aws:username`.
    #[must_use]
    pub fn context(&self) -> Context {
        let context =
            Context::new().with("aws:userid", self.user_id()).with("aws:PrincipalAccount", self.account());
        match self {
            Self::User { name, .. } => context
                .with("aws:username", name)
                .with("aws:PrincipalType", "User")
                .with("aws:PrincipalArn", self.arn()),
            Self::AssumedRole { role, account, .. } => context
                .with("aws:PrincipalType", "AssumedRole")
                .with("aws:PrincipalArn", format!("arn:aws:iam::{account}:role/{role}")),
        }
    }
}

/// A role's name alone; `service-role/` and other paths are not in the ARN of who assumed it.
fn without_path(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or(role)
}

/// AWS's unique ids: a prefix that says what it is, and 17 characters of base 32.
fn unique_id(prefix: &str, account: &str, name: &str) -> String {
    const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(format!("{prefix}/{account}/{name}"));
    let letters = digest.iter().take(17).filter_map(|byte| BASE_32.get(usize::from(byte % 32)));
    prefix.chars().chain(letters.map(|&letter| char::from(letter))).collect()
}

#[cfg(test)]
mod tests {
    use super::Principal;

    fn account() -> String {
        "123456789012".to_owned()
    }

    #[test]
    fn arns_have_the_forms_of_the_page_on_iam_identifiers() {
        let alice = Principal::User { name: "alice".to_owned(), account: account() };
        assert_eq!(alice.arn(), "arn:aws:iam::123456789012:user/alice");
        let node = Principal::AssumedRole {
            role: "SSMServiceRole".to_owned(),
            session: "mi-0123456789abcdef0".to_owned(),
            account: account(),
        };
        assert_eq!(node.arn(), "arn:aws:sts::123456789012:assumed-role/SSMServiceRole/mi-0123456789abcdef0");
        assert_eq!(
            node.context().single("aws:PrincipalArn"),
            Some("arn:aws:iam::123456789012:role/SSMServiceRole"),
            "policies see the role, not the session"
        );
        assert_eq!(node.context().single("aws:username"), None);
    }

    #[test]
    fn unique_ids_have_aws_s_form_and_are_stable_per_name() {
        let id = |name: &str| Principal::User { name: name.to_owned(), account: account() }.user_id();
        assert_eq!(id("alice"), id("alice"));
        assert_ne!(id("alice"), id("bob"));
        assert_eq!(id("alice").len(), "AIDACKCEVSQ6C2EXAMPLE".len());
        assert!(id("alice").starts_with("AIDA"));
        let role = |session: &str| Principal::AssumedRole {
            role: "SSMServiceRole".to_owned(),
            session: session.to_owned(),
            account: account(),
        };
        let (one, two) = (role("mi-1").user_id(), role("mi-2").user_id());
        assert_eq!(one.strip_suffix(":mi-1"), two.strip_suffix(":mi-2"));
        assert!(one.starts_with("AROA"));
    }
}
