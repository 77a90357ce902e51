//! Files that an inventory names: where they are, and whether they can be used. Everything here looks at the disk.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    account,
    problems::Findings,
    spans::{At, Strings},
    terms,
};

/// Where relative paths and `~` lead.
#[derive(Clone, Debug)]
pub struct Base {
    /// The inventory's directory.
    pub directory: PathBuf,
    /// The operator's home directory, if there is one.
    pub home: Option<PathBuf>,
    /// Who the operator is on this machine.
    pub user: String,
}

impl Base {
    /// What an inventory at this path starts from.
    #[must_use]
    pub fn of(inventory: &Path) -> Self {
        let directory = inventory.parent().filter(|parent| !parent.as_os_str().is_empty());
        Self {
            directory: directory.unwrap_or(Path::new(".")).to_owned(),
            home: account::home(),
            user: account::operator(),
        }
    }

    fn resolve(&self, text: &At<String>, findings: &mut Findings<'_>) -> Option<PathBuf> {
        let path = text.value.as_str();
        if path.is_empty() {
            findings.add(text.span, "an empty path", "name a file, or take it out");
            return None;
        }
        if path.starts_with('$') {
            findings.add(text.span, "variables are not filled in", "write the path, or start it with `~/`");
            return None;
        }
        let Some(from_home) = path.strip_prefix('~') else { return Some(self.directory.join(path)) };
        if !from_home.is_empty() && !from_home.starts_with('/') {
            let hint = "`~/` is your own home directory; write anybody else's in full";
            findings.add(text.span, "another user's home directory is not looked up", hint);
            return None;
        }
        let Some(home) = &self.home else {
            findings.add(
                text.span,
                "there is no home directory for `~`",
                "write the path in full, or set HOME",
            );
            return None;
        };
        Some(home.join(from_home.trim_start_matches('/')))
    }

    /// A file that must be there and readable. The path is returned even if it is not: that has been reported.
    pub(super) fn readable(
        &self,
        text: &At<String>,
        kind: &str,
        findings: &mut Findings<'_>,
    ) -> Option<PathBuf> {
        let path = self.resolve(text, findings)?;
        if let Err(why) = open(&path) {
            let hint = hint_for(&why, &path);
            findings.add(text.span, format!("{kind} {} {}", path.display(), why.phrase()), hint);
        }
        Some(path)
    }

    /// Several of them.
    pub(super) fn all_readable(
        &self,
        texts: &Strings,
        kind: &str,
        findings: &mut Findings<'_>,
    ) -> Vec<PathBuf> {
        texts.items.iter().filter_map(|text| self.readable(text, kind, findings)).collect()
    }

    /// Private keys, which must be the operator's alone.
    pub(super) fn identities(&self, texts: &Strings, findings: &mut Findings<'_>) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for text in &texts.items {
            let Some(path) = self.readable(text, "identity", findings) else { continue };
            check_identity(text, &path, findings);
            paths.push(path);
        }
        paths
    }

    /// A package's source: a URL as it is; a path, resolved, to what must be there.
    pub(super) fn package_source(&self, text: &At<String>, findings: &mut Findings<'_>) -> Option<String> {
        // AWS's own bucket: `aws`, `aws:stable`, `aws:3.3.987.0`.
        if text.value == "aws" || text.value.starts_with("aws:") {
            return Some(text.value.clone());
        }
        if text.value.contains("://") {
            findings.accept(text.span, terms::url(&text.value));
            return Some(text.value.clone());
        }
        let path = self.resolve(text, findings)?;
        if let Err(error) = fs::metadata(&path) {
            let hint = "name a package, a directory of packages, or an https:// URL";
            findings.add(text.span, format!("package {} can't be read: {error}", path.display()), hint);
        }
        let shown = path.to_str().map(str::to_owned);
        if shown.is_none() {
            let hint = "move the packages to a directory whose whole path is UTF-8";
            findings.add(text.span, format!("path {} is not UTF-8", path.display()), hint);
        }
        shown
    }
}

enum Unusable {
    Missing,
    NotAFile,
    Unreadable(std::io::Error),
}

impl Unusable {
    fn phrase(&self) -> String {
        match self {
            Self::Missing => "does not exist".to_owned(),
            Self::NotAFile => "is not a file".to_owned(),
            Self::Unreadable(error) => format!("can't be read: {error}"),
        }
    }
}

fn open(path: &Path) -> Result<(), Unusable> {
    let or = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Unusable::Missing,
        _ => Unusable::Unreadable(error),
    };
    // Asked first: opening a FIFO would wait for its writer.
    if fs::metadata(path).map_err(or)?.is_file() {
        File::open(path).map(drop).map_err(or)
    } else {
        Err(Unusable::NotAFile)
    }
}

fn hint_for(why: &Unusable, path: &Path) -> String {
    match why {
        Unusable::Missing if path.parent().is_some_and(Path::is_dir) => {
            "check its name, or create it".to_owned()
        }
        Unusable::Missing => {
            "relative paths start at the inventory's directory, `~` is your home directory".to_owned()
        }
        Unusable::NotAFile => "name the file itself".to_owned(),
        Unusable::Unreadable(_) => "check who may read it, and run as that user".to_owned(),
    }
}

fn check_identity(text: &At<String>, path: &Path, findings: &mut Findings<'_>) {
    let Some(metadata) = fs::metadata(path).ok().filter(fs::Metadata::is_file) else { return };
    if path.extension().is_some_and(|extension| extension == "pub") {
        let hint = format!("name the private one: \"{}\"", text.value.trim_end_matches(".pub"));
        findings.add(
            text.span,
            format!("identity {} is the public half of a key pair", path.display()),
            hint,
        );
        return;
    }
    // As ssh does it: the mode counts for one's own files. A key that root mounts for a group is root's decision.
    let is_own = metadata.uid() == rustix::process::getuid().as_raw();
    let mode = metadata.mode() & 0o7777;
    if is_own && mode & 0o077 != 0 {
        let what = format!("identity {} is open to others (mode {mode:04o})", path.display());
        findings.add(text.span, what, format!("chmod 600 {}", path.display()));
    }
}
