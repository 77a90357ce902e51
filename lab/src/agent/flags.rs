//! The command line as Go's `flag` package reads it: one or two dashes, `-flag value` or `-flag=value`, the first
//! argument without a dash ends it.

use secrecy::SecretString;
use thiserror::Error;

/// A command line Go's `flag` package would refuse; the agent then exits with 2.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FlagError {
    /// No such flag.
    #[error("flag provided but not defined: -{0}")]
    Undefined(String),
    /// The value is missing.
    #[error("flag needs an argument: -{0}")]
    NeedsArgument(String),
    /// The value is of the wrong kind. It is not repeated: it might be the activation code.
    #[error("invalid value for flag -{0}: parse error")]
    BadValue(String),
    /// Help was asked for.
    #[error("flag: help requested")]
    Help,
}

/// What the command line asks for.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the real command line")]
#[allow(missing_docs, reason = "named as the flags are")]
pub struct Flags {
    pub register: bool,
    pub clear: bool,
    pub yes: bool,
    pub version: bool,
    pub fingerprint: bool,
    pub disable_similarity_check: bool,
    pub similarity_threshold: Option<i64>,
    pub region: Option<String>,
    pub activation_id: Option<String>,
    pub activation_code: Option<SecretString>,
    pub role: Option<String>,
    pub tags: Option<String>,
}

/// What the real agent prints to stderr when it cannot use its command line.
pub const USAGE: &str = "

Command-line Usage:
\t-register       \tregister managed instance
\t\t-id         \tSSM activation ID    \t(REQUIRED)
\t\t-code       \tSSM activation code  \t(REQUIRED)
\t\t-region     \tSSM region           \t(REQUIRED)
\t\t-y          \tAnswer yes for all questions
\t\t-clear      \tClears the previously saved SSM registration
\t\t-disableSimilarityCheck\tDisable the similarity check of the fingerprint

\t-fingerprint    \tWhether to update the machine fingerprint similarity threshold
\t\t-similarityThreshold\tThe new required similarity percentage (1 to 100, or -1 for none)

\t-version        \tPrint the agent version
";

impl Flags {
    /// Reads the arguments after the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
                break;
            };
            if flag.is_empty() {
                break;
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            if !flags.set_switch(name, value.as_deref())? {
                flags.set_value(name, value, &mut arguments)?;
            }
        }
        Ok(flags)
    }

    fn set_switch(&mut self, name: &str, value: Option<&str>) -> Result<bool, FlagError> {
        let switch = match name {
            "register" => &mut self.register,
            "clear" => &mut self.clear,
            "y" => &mut self.yes,
            "version" => &mut self.version,
            "fingerprint" => &mut self.fingerprint,
            "disableSimilarityCheck" => &mut self.disable_similarity_check,
            // Taken and without effect in the stand-in.
            "tools" | "winOnFirstInstallChecks" | "allowLinkDeletions" => return Ok(true),
            "h" | "help" => return Err(FlagError::Help),
            _ => return Ok(false),
        };
        *switch = match value {
            None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            Some(_) => return Err(FlagError::BadValue(name.to_owned())),
        };
        Ok(true)
    }

    fn set_value(
        &mut self,
        name: &str,
        value: Option<String>,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), FlagError> {
        if !["id", "code", "region", "role", "tags", "similarityThreshold"].contains(&name) {
            return Err(FlagError::Undefined(name.to_owned()));
        }
        let value = value.or_else(|| rest.next()).ok_or_else(|| FlagError::NeedsArgument(name.to_owned()))?;
        match name {
            "id" => self.activation_id = Some(value),
            "code" => self.activation_code = Some(value.into()),
            "region" => self.region = Some(value),
            "role" => self.role = Some(value),
            "tags" => self.tags = Some(value),
            _ => {
                let number = value.parse().map_err(|_| FlagError::BadValue(name.to_owned()))?;
                self.similarity_threshold = Some(number);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::{FlagError, Flags};

    fn parse(line: &str) -> Result<Flags, FlagError> {
        Flags::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn both_forms_and_both_dashes_are_read() {
        let flags = parse("-register -code abc --id=def -region eu-central-1 -y").unwrap();
        assert!(flags.register && flags.yes && !flags.clear);
        assert_eq!(flags.activation_code.unwrap().expose_secret(), "abc");
        assert_eq!(flags.activation_id.as_deref(), Some("def"));
        assert_eq!(flags.region.as_deref(), Some("eu-central-1"));
    }

    #[test]
    fn a_switch_takes_its_value_only_with_an_equals_sign() {
        assert!(!parse("-y=false").unwrap().yes);
        assert_eq!(parse("-y=maybe").unwrap_err(), FlagError::BadValue("y".into()));
        let flags = parse("-y false -register").unwrap();
        assert!(flags.yes && !flags.register, "the first word without a dash ends the flags");
    }

    #[test]
    fn what_go_would_refuse_is_refused() {
        assert_eq!(parse("-bogus").unwrap_err(), FlagError::Undefined("bogus".into()));
        assert_eq!(parse("-code").unwrap_err(), FlagError::NeedsArgument("code".into()));
        assert!(parse("-similarityThreshold x").is_err());
    }

    #[test]
    fn a_debug_output_holds_no_code() {
        assert!(!format!("{:?}", parse("-code topsecrettopsecret42").unwrap()).contains("topsecret"));
    }
}
