//! The seed of a machine that runs a ready-made image: its keys, name and users, as cloud-init's data source `NoCloud`
//! reads them from a small disk labelled CIDATA. Apart from the build, because it holds keys, and so belongs to one machine
//! and never to an image.

mod volume;

use std::fmt::Write as _;

use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub use self::volume::TooLarge;
use crate::recipe::{Sudo, User};

/// What a machine has of its own.
#[derive(Debug)]
pub struct Seed<'a> {
    /// Its name.
    pub hostname: &'a str,
    /// The recipe's users; root is another.
    pub users: &'a [User],
    /// Who may log in as root and as each of the users: lines as in `authorized_keys`.
    pub authorized_keys: &'a str,
    /// Its host key, Ed25519, as `ssh-keygen` writes it.
    pub host_key: &'a SecretString,
    /// The public part of its host key, one line.
    pub host_public_key: &'a str,
}

impl Seed<'_> {
    /// The disk, an ISO 9660 volume, to be attached read-only. Whoever writes it to a file keeps others from reading it.
    pub fn volume(&self) -> Result<SecretSlice<u8>, TooLarge> {
        let user_data = self.user_data();
        let files = [
            ("META-DATA", self.meta_data().into_bytes()),
            ("USER-DATA", user_data.expose_secret().as_bytes().to_vec()),
        ];
        Ok(volume::iso9660("CIDATA", &files)?.into())
    }

    /// A machine with another host key is another machine, on which cloud-init begins anew.
    fn meta_data(&self) -> String {
        let digest = Sha256::digest(self.host_public_key);
        let mut instance = format!("{}-", self.hostname);
        for byte in digest.iter().take(8) {
            // Writing to a string does not fail.
            let _ = write!(instance, "{byte:02x}");
        }
        format!("{:#}\n", json!({ "instance-id": instance, "local-hostname": self.hostname }))
    }

    /// YAML holds all of JSON, whose quoting is nobody's guess.
    fn user_data(&self) -> SecretString {
        let config = json!({
            "hostname": self.hostname,
            "preserve_hostname": false,
            "manage_etc_hosts": "localhost",
            "disable_root": false,
            "ssh_pwauth": false,
            "ssh_deletekeys": true,
            "ssh_keys": {
                "ed25519_private": self.host_key.expose_secret(),
                "ed25519_public": self.host_public_key.trim(),
            },
            "users": self.users(),
        });
        format!("#cloud-config\n{config:#}\n").into()
    }

    /// Without the word "default" the image's own user, `ec2-user` or `rocky`, is not made.
    fn users(&self) -> Vec<Value> {
        let keys: Vec<&str> =
            self.authorized_keys.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let user = |user: &User| {
            let mut entry = json!({
                "name": user.name,
                "shell": "/bin/bash",
                "lock_passwd": user.password.is_none(),
                "ssh_authorized_keys": keys,
            });
            let more =
                [("plain_text_passwd", user.password.clone()), ("sudo", rule(user.sudo).map(str::to_owned))];
            if let Some(entry) = entry.as_object_mut() {
                entry.extend(
                    more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))),
                );
            }
            entry
        };
        let root = json!({ "name": "root", "ssh_authorized_keys": keys });
        std::iter::once(root).chain(self.users.iter().map(user)).collect()
    }
}

/// The rest of a line of sudoers, as in `user.sh`.
fn rule(sudo: Sudo) -> Option<&'static str> {
    match sudo {
        Sudo::Free => Some("ALL=(ALL:ALL) NOPASSWD: ALL"),
        Sudo::Password => Some("ALL=(ALL:ALL) ALL"),
        Sudo::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    const HOST_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n";

    fn with_seed<T>(test: impl FnOnce(&Seed<'_>) -> T) -> T {
        let recipe = Recipe::builtin("debian-12-amd64").unwrap();
        test(&Seed {
            hostname: "host-1",
            users: recipe.users(),
            authorized_keys: "ssh-ed25519 AAAA one\n\nssh-ed25519 BBBB two\n",
            host_key: &HOST_KEY.into(),
            host_public_key: "ssh-ed25519 CCCC host-1\n",
        })
    }

    #[test]
    fn keys_name_and_users_are_where_cloud_init_looks_for_them() {
        let text = with_seed(|seed| seed.user_data().expose_secret().to_owned());
        let config: Value = serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        assert_eq!(config["ssh_keys"]["ed25519_private"], HOST_KEY);
        assert_eq!(config["ssh_keys"]["ed25519_public"], "ssh-ed25519 CCCC host-1");
        let users = config["users"].as_array().unwrap();
        let names: Vec<_> = users.iter().map(|user| user["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["root", "admin", "pwadmin"]);
        for user in users {
            let keys = json!(["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"]);
            assert_eq!(user["ssh_authorized_keys"], keys, "{user}");
        }
        assert_eq!((&users[1]["lock_passwd"], &users[2]["lock_passwd"]), (&json!(true), &json!(false)));
        assert_eq!(users[2]["plain_text_passwd"], "correct-horse-lab");
        assert!(users[1]["sudo"].as_str().unwrap().contains("NOPASSWD"));
        assert_eq!(users[2]["sudo"], "ALL=(ALL:ALL) ALL");
    }

    #[test]
    fn another_host_key_is_another_instance() {
        let instance = |key: &'static str| {
            with_seed(|seed| {
                let data = Seed { host_public_key: key, ..*seed }.meta_data();
                serde_json::from_str::<Value>(&data).unwrap()["instance-id"].as_str().unwrap().to_owned()
            })
        };
        assert_ne!(instance("ssh-ed25519 C"), instance("ssh-ed25519 D"));
        assert_eq!(instance("ssh-ed25519 C"), instance("ssh-ed25519 C"));
    }

    #[test]
    fn neither_the_seed_nor_its_volume_shows_the_host_key() {
        with_seed(|seed| {
            let shown = format!("{seed:?} {:?}", seed.volume().unwrap());
            assert!(!shown.contains("b3Bl") && !shown.contains("98, 51, 66, 108"), "{shown}");
        });
    }
}
