//! What one line says: typed, and checked whether or not it will ever apply, as OpenSSH checks it.

use std::time::Duration;

use super::{
    condition::{self, Condition},
    error::Fault,
    jump::{self, Jump},
    keywords::{self, Keyword, Meaning},
    line::Line,
    values::{self, AddressFamily, HostKeyChecking},
};

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// What follows is for hosts of these patterns.
    Host(Vec<String>),
    /// What follows is for when these conditions hold.
    Match(Vec<Condition>),
    /// The content of these files belongs here.
    Include(Vec<String>),
    /// A setting.
    Set(Setting),
    /// No keyword of OpenSSH's.
    Unknown(String),
}

/// A value for what applies to; tokens and variables are not filled in yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    AddressFamily(AddressFamily),
    CertificateFile(String),
    Compression(bool),
    ConnectTimeout(Option<Duration>),
    ConnectionAttempts(u32),
    GlobalKnownHostsFile(Vec<String>),
    HostKeyAlias(String),
    HostName(String),
    IdentitiesOnly(bool),
    IdentityAgent(String),
    IdentityFile(String),
    IgnoreUnknown(String),
    KbdInteractiveAuthentication(bool),
    PasswordAuthentication(bool),
    Port(u16),
    PreferredAuthentications(String),
    /// Whether there is one.
    ProxyCommand(bool),
    /// `None`: `none`.
    ProxyJump(Option<Vec<Jump>>),
    PubkeyAuthentication(bool),
    RefuseConnection(String),
    ServerAliveCountMax(u32),
    ServerAliveInterval(Option<Duration>),
    StrictHostKeyChecking(HostKeyChecking),
    Tag(String),
    User(String),
    UserKnownHostsFile(Vec<String>),
    /// A keyword that is not followed, and whether that matters at this value.
    Unsupported(&'static str, bool),
}

impl Statement {
    /// Reads a line; `None` if it says nothing.
    pub(super) fn parse(line: &[u8]) -> Result<Option<Self>, Fault> {
        // Comments may be in any encoding.
        if line.trim_ascii_start().starts_with(b"#") {
            return Ok(None);
        }
        let text = std::str::from_utf8(line)
            .map_err(|_| Fault::new("the line is not UTF-8", "save the file as UTF-8"))?;
        let Some(line) = Line::cut(text)? else { return Ok(None) };
        match keywords::meaning(&line.keyword) {
            Some(Meaning::Followed(keyword)) => Self::followed(keyword, &line).map(Some),
            Some(Meaning::Unsupported(name, harmless)) => {
                let value = line.arguments.first().map_or("", String::as_str);
                let matters = !harmless.iter().any(|harmless| harmless.eq_ignore_ascii_case(value));
                Ok(Some(Self::Set(Setting::Unsupported(name, matters))))
            }
            Some(Meaning::Harmless) => Ok(None),
            None => Ok(Some(Self::Unknown(line.keyword))),
        }
    }

    fn followed(keyword: Keyword, line: &Line) -> Result<Self, Fault> {
        let text = || only(line).map(str::to_owned);
        let flag = || values::flag(only(line)?);
        let setting = match keyword {
            Keyword::Host => return filled(line).map(Self::Host),
            Keyword::Match => return condition::parse(&line.arguments).map(Self::Match),
            Keyword::Include => return filled(line).map(Self::Include),
            Keyword::AddressFamily => Setting::AddressFamily(values::address_family(only(line)?)?),
            Keyword::CertificateFile => Setting::CertificateFile(text()?),
            Keyword::Compression => Setting::Compression(values::compression(only(line)?)?),
            Keyword::ConnectTimeout => Setting::ConnectTimeout(values::duration(only(line)?)?),
            Keyword::ConnectionAttempts => Setting::ConnectionAttempts(values::count(only(line)?, 1)?),
            Keyword::GlobalKnownHostsFile => Setting::GlobalKnownHostsFile(files(line)?),
            Keyword::HostKeyAlias => Setting::HostKeyAlias(text()?),
            Keyword::HostName => Setting::HostName(text()?),
            Keyword::IdentitiesOnly => Setting::IdentitiesOnly(flag()?),
            Keyword::IdentityAgent => Setting::IdentityAgent(text()?),
            Keyword::IdentityFile => Setting::IdentityFile(text()?),
            Keyword::IgnoreUnknown => Setting::IgnoreUnknown(text()?),
            Keyword::KbdInteractiveAuthentication => Setting::KbdInteractiveAuthentication(flag()?),
            Keyword::PasswordAuthentication => Setting::PasswordAuthentication(flag()?),
            Keyword::Port => Setting::Port(values::port(only(line)?)?),
            Keyword::PreferredAuthentications => Setting::PreferredAuthentications(text()?),
            // These two take the rest of the line as it is.
            Keyword::ProxyCommand => {
                let command = line.rest.trim_start_matches([' ', '\t', '\r', '\n', '=']);
                Setting::ProxyCommand(!command.eq_ignore_ascii_case("none"))
            }
            Keyword::ProxyJump => Setting::ProxyJump(jump::parse(&line.rest)?),
            Keyword::PubkeyAuthentication => Setting::PubkeyAuthentication(values::public_keys(only(line)?)?),
            Keyword::RefuseConnection => Setting::RefuseConnection(text()?),
            Keyword::ServerAliveCountMax => Setting::ServerAliveCountMax(values::count(only(line)?, 0)?),
            Keyword::ServerAliveInterval => Setting::ServerAliveInterval(values::duration(only(line)?)?),
            Keyword::StrictHostKeyChecking => {
                Setting::StrictHostKeyChecking(values::host_key_checking(only(line)?)?)
            }
            Keyword::Tag => Setting::Tag(text()?),
            Keyword::User => Setting::User(text()?),
            Keyword::UserKnownHostsFile => Setting::UserKnownHostsFile(files(line)?),
        };
        Ok(Self::Set(setting))
    }
}

fn only(line: &Line) -> Result<&str, Fault> {
    match line.arguments.as_slice() {
        [value] if !value.is_empty() => Ok(value),
        [_, more, ..] => Err(Fault::new(
            format!("`{}` takes one value, and `{more}` is one more", line.keyword),
            "put a value with blanks in it in double quotes",
        )),
        _ => Err(empty(line)),
    }
}

fn filled(line: &Line) -> Result<Vec<String>, Fault> {
    if line.arguments.iter().any(String::is_empty) { Err(empty(line)) } else { Ok(line.arguments.clone()) }
}

fn files(line: &Line) -> Result<Vec<String>, Fault> {
    let files = filled(line)?;
    if files.len() > 1 && files.iter().any(|file| file.eq_ignore_ascii_case("none")) {
        let what = format!("`{}` has `none` and more", line.keyword);
        return Err(Fault::new(what, "write `none` alone, or files"));
    }
    Ok(files)
}

fn empty(line: &Line) -> Fault {
    Fault::new(format!("`{}` has an empty value", line.keyword), "add its value, or take the line out")
}
