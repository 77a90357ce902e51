//! The directory on files: what it keeps, what it finds, and the words for a config it refuses.

use std::error::Error as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::directory::{Directory, DirectoryError};
use super::keys::{CREDENTIALS_FILE, USERS_FILE};
use super::{Context, Decision, Principal, Request, arn, decide};

const CONFIG: &str = r#"
account = "210987654321"

[users.alice]
policies = ["policies/dev.json"]

[users.bob]
access_key_id = "AKIABOBBOBBOBBOBBOB1"
secret_access_key = "bob/secret/bob/secret+bob="
policy = { Version = "2012-10-17", Statement = { Effect = "Allow", Action = "ssm:Describe*", Resource = "*" } }

[users."carol@example.com"]
policy = '''{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}'''

[roles.Silent]
"#;

/// A directory with a config, a policy beside it and a place for the state.
fn lab(config: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lab.toml"), config).unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    let policy = include_str!("../../../policies/dev-sessions.json");
    std::fs::write(dir.path().join("policies/dev.json"), policy).unwrap();
    dir
}

fn load(dir: &TempDir) -> Result<Directory, DirectoryError> {
    Directory::load(Some(&dir.path().join("lab.toml")), dir.path())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn without_a_config_there_is_the_lab_user_who_may_do_everything_and_keeps_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let one = Directory::load(None, dir.path()).unwrap();
    let two = Directory::load(None, dir.path()).unwrap();
    assert_eq!(one.account(), "123456789012");
    assert_eq!(one.lab_user().access_key_id, two.lab_user().access_key_id);
    assert_eq!(
        one.lab_user().secret_access_key.expose_secret(),
        two.lab_user().secret_access_key.expose_secret()
    );
    assert_eq!(mode(&dir.path().join(USERS_FILE)), 0o600);
    assert_eq!(mode(&dir.path().join(CREDENTIALS_FILE)), 0o600);
    let context = Context::new();
    let request = Request { action: "ssm:CreateActivation", resource: "*", context: &context };
    assert_eq!(decide(&one.lab_user().policies, &request), Decision::Allow);
}

#[test]
fn users_are_found_by_their_keys_and_have_their_policies() {
    let dir = lab(CONFIG);
    let directory = load(&dir).unwrap();
    assert_eq!(directory.account(), "210987654321");
    let bob = directory.user_by_key("AKIABOBBOBBOBBOBBOB1").unwrap();
    assert_eq!(bob.secret_access_key.expose_secret(), "bob/secret/bob/secret+bob=");
    assert!(directory.user_by_key("AKIAUNKNOWNUNKNOWN12").is_none());

    let may = |name: &str, action| {
        let user = directory.users().find(|user| user.name == name).unwrap();
        let principal = Principal::User { name: name.to_owned(), account: directory.account().to_owned() };
        let context = principal.context();
        decide(&user.policies, &Request { action, resource: "*", context: &context })
    };
    assert_eq!(may("bob", "ssm:DescribeActivations"), Decision::Allow);
    assert_eq!(may("bob", "ssm:CreateActivation"), Decision::ImplicitDeny);
    assert_eq!(may("alice", "ssm:DescribeInstanceInformation"), Decision::Allow);
    assert_eq!(may("carol@example.com", "ssm:DescribeActivations"), Decision::ExplicitDeny);
}

#[test]
fn a_role_may_what_the_agent_needs_unless_the_config_says_else() {
    let directory = load(&lab(CONFIG)).unwrap();
    let context = Context::new();
    let node = arn::managed_instance("eu-central-1", directory.account(), "mi-0123456789abcdef0");
    let request = Request { action: "ssm:UpdateInstanceInformation", resource: &node, context: &context };
    assert_eq!(decide(directory.role_policies("SSMServiceRole"), &request), Decision::Allow);
    assert_eq!(decide(directory.role_policies("Silent"), &request), Decision::ImplicitDeny);
}

#[test]
fn every_user_has_a_profile_and_the_lab_user_is_the_default() {
    let dir = lab(CONFIG);
    let directory = load(&dir).unwrap();
    let text = std::fs::read_to_string(dir.path().join(CREDENTIALS_FILE)).unwrap();
    let lab_user = directory.lab_user();
    let lab_key = format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}\n",
        lab_user.access_key_id,
        lab_user.secret_access_key.expose_secret()
    );
    assert!(text.contains(&format!("[default]\n{lab_key}")), "{text}");
    assert!(text.contains(&format!("[lab-user]\n{lab_key}")), "{text}");
    assert!(
        text.contains(
            "[bob]\naws_access_key_id = AKIABOBBOBBOBBOBBOB1\naws_secret_access_key = bob/secret/bob/secret+bob=\n"
        ),
        "{text}"
    );
    for profile in ["[alice]", "[carol@example.com]"] {
        assert_eq!(text.matches(profile).count(), 1, "{profile}");
    }
    let kept = std::fs::read_to_string(dir.path().join(USERS_FILE)).unwrap();
    assert!(!kept.contains("bob"), "a key of the config is kept there alone");
}

#[test]
fn a_user_who_comes_back_has_the_old_key() {
    let dir = lab(CONFIG);
    let alice = |directory: &Directory| {
        directory.users().find(|user| user.name == "alice").map(|user| user.access_key_id.clone())
    };
    let key = alice(&load(&dir).unwrap());
    assert!(key.is_some());
    assert_eq!(alice(&Directory::load(None, dir.path()).unwrap()), None);
    assert_eq!(alice(&load(&dir).unwrap()), key);
}

#[test]
fn a_debug_output_holds_no_secret() {
    let directory = load(&lab(CONFIG)).unwrap();
    let text = format!("{directory:?}");
    for user in directory.users() {
        assert!(!text.contains(user.secret_access_key.expose_secret()), "{}", user.name);
    }
}

#[test]
fn a_damaged_file_of_keys_is_named_and_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(USERS_FILE), r#"{"lab-user": "TOPSECRET"}"#).unwrap();
    let error = Directory::load(None, dir.path()).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        error.to_string().contains("users.json:1:24: this is no list of users and keys; remove"),
        "{text}"
    );
    assert!(!text.contains("TOPSECRET"), "{text}");
}

#[test]
fn one_key_for_two_users_is_refused() {
    let key = "access_key_id = 'AKIASAMESAMESAMESAME'\nsecret_access_key = 'SAMESAMESAMESAMESAME'\n";
    let dir = lab(&format!("[users.alice]\n{key}[users.bob]\n{key}"));
    let error = load(&dir).unwrap_err();
    assert!(matches!(&error, DirectoryError::SameKey(one, two) if one == "alice" && two == "bob"), "{error}");
}

/// The error's words, causes included, with the directory cut off.
fn refusal(config: &str) -> String {
    let dir = lab(config);
    let error = load(&dir).unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\nbecause: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn a_config_that_is_refused_says_where_and_what_to_do() {
    for (config, words) in [
        (
            "account = 12",
            "lab.toml:1:11: invalid type: integer `12`, expected a string; correct it (docs/lab.md shows what a config holds)",
        ),
        (
            "\n  account = \"12-34\"",
            "lab.toml:2:13: account `12-34` is not twelve digits; write it as account = \"123456789012\"",
        ),
        (
            "[users.alice]\npolices = []",
            "lab.toml:2:1: unknown field `polices`, expected one of `policies`, `policy`, `access_key_id`, \
             `secret_access_key`; correct it (docs/lab.md shows what a config holds)",
        ),
        (
            "[users.\"al ice\"]",
            "lab.toml:1:8: `al ice` cannot be a user's name; use 1 to 64 letters, digits and _+.@-, and neither \
             `default` nor one that differs only in case from another",
        ),
        (
            "[users.Alice]\n[users.alice]",
            "lab.toml:2:8: `alice` cannot be a user's name; use 1 to 64 letters, digits and _+.@-, and neither \
             `default` nor one that differs only in case from another",
        ),
        (
            "[users.lab-user]\npolicies = ['policies/dev.json']",
            "lab.toml:1:8: `lab-user` may do everything and has no policies; give them to a user of another name",
        ),
        (
            "[users.alice]\naccess_key_id = 'AKIAALICEALICEALICE1'",
            "lab.toml:1:8: user `alice` has one half of a key; set both access_key_id and secret_access_key, or \
             neither for a random key",
        ),
        (
            "[users.alice]\naccess_key_id = 'AKIAALICEALICEALICE1'\nsecret_access_key = 'TOP SECRET'",
            "lab.toml:3:21: the secret_access_key of user `alice` must have 16 to 128 letters, digits and /+=; \
             correct or remove it",
        ),
        (
            "[users.alice]\naccess_key_id = 'AKIAALICEALICEALICE1'\nsecret_access_key = 271828",
            "lab.toml:3:21: a secret_access_key must be a string in quotes; correct it (docs/lab.md shows what a \
             config holds)",
        ),
        (
            "[users.alice]\npolicies = ['policies/dev.json', 'policies/none.json']",
            "lab.toml:2:34: the policy policies/none.json cannot be read; a path is relative to the config file\n\
             because: No such file or directory (os error 2)",
        ),
        (
            "[users.alice]\npolicies = ['lab.toml']",
            "lab.toml:2:13: the policy lab.toml of user `alice` is refused\n\
             because: it is not a JSON document; mend it at the line and column named\n\
             because: expected value at line 1 column 2",
        ),
        (
            "[roles.Node]\npolicy = { Statement = { Sid = 'NoProd', Effect = 'Never' } }",
            "lab.toml:2:10: the inline policy of role `Node` is refused\n\
             because: statement 1 (`NoProd`): Effect `Never` does not exist; write \"Allow\" or \"Deny\"",
        ),
    ] {
        assert_eq!(refusal(config), words, "{config}");
    }
}

#[test]
fn a_config_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml");
    let error = Directory::load(Some(&path), dir.path()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}: this config cannot be read; name a TOML file that can be with --config", path.display())
    );
}
