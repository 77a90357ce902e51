//! `/root/.aws/credentials`: the agent overwrites one profile of it with its role credentials, other profiles stay.

use std::path::Path;
use std::{fs, io};

use secrecy::ExposeSecret as _;

use super::proof::RoleCredentials;
use crate::private_file::{self, WriteError};

/// Overwrites `profile` in the file.
pub fn share(path: &Path, profile: &str, credentials: &RoleCredentials) -> Result<(), WriteError> {
    let old = match fs::read_to_string(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => String::new(),
        read => read.unwrap_or_default(),
    };
    if let Some(dir) = path.parent() {
        private_file::private_dir(dir)?;
    }
    private_file::write(path, replace_profile(&old, profile, credentials).as_bytes())
}

fn replace_profile(old: &str, profile: &str, credentials: &RoleCredentials) -> String {
    let header = format!("[{profile}]");
    let mut kept = String::new();
    let mut inside = false;
    for line in old.lines() {
        if line.trim_start().starts_with('[') {
            inside = line.trim() == header;
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    format!(
        "{header}\naws_access_key_id     = {}\naws_secret_access_key = {}\naws_session_token     = {}\n\n{}",
        credentials.access_key_id,
        credentials.secret_access_key.expose_secret(),
        credentials.session_token.expose_secret(),
        kept.trim_start(),
    )
}

#[cfg(test)]
mod tests {
    use super::{RoleCredentials, replace_profile};

    #[test]
    fn only_the_named_profile_is_overwritten() {
        let credentials = RoleCredentials {
            access_key_id: "ASIANEW".into(),
            secret_access_key: "new-secret".to_owned().into(),
            session_token: "token".to_owned().into(),
            token_expiration_date: 0.0,
            update_key_pair: false,
        };
        let old = "[default]\naws_access_key_id = AKIAOLD\n\n[other]\naws_access_key_id = AKIAOTHER\n";
        let new = replace_profile(old, "default", &credentials);
        assert!(!new.contains("AKIAOLD"));
        assert!(new.contains("[other]\naws_access_key_id = AKIAOTHER\n"));
        assert!(new.contains("aws_access_key_id     = ASIANEW\n"));
        assert_eq!(replace_profile(&new, "default", &credentials), new, "a second time changes nothing");
    }
}
