//! Files: which there are, whether they may be trusted, and the files they include. The only part that looks at the
//! disk; what comes out is a tree of statements.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    error::{ConfigError, Fault, Origin, Place},
    expand,
    local::Local,
    pattern,
    statement::{Setting, Statement},
};

/// OpenSSH's own limit.
const DEEPEST: usize = 16;
/// What files that include each other would reach long before they are done.
const MOST_FILES: usize = 1_000;

/// What a file says, with what it includes in its place.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) says: Says,
}

#[derive(Clone, Debug)]
pub(super) enum Says {
    Statement(Statement),
    Included(Vec<Vec<Entry>>),
    /// What is included depends on the host, so it is not.
    NotIncluded,
}

/// Reads files for one user of one machine.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    local: &'a Local,
    files: usize,
    ignored: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(local: &'a Local) -> Self {
        Self { local, files: 0, ignored: Vec::new() }
    }

    /// Reads a file that need not be there. Trust in it is only asked for where OpenSSH asks.
    pub(super) fn read(
        &mut self,
        file: &Path,
        origin: Origin,
        must_be_ours: bool,
    ) -> Result<Vec<Entry>, ConfigError> {
        self.file(file, origin, must_be_ours, 0)
    }

    fn file(
        &mut self,
        file: &Path,
        origin: Origin,
        must_be_ours: bool,
        depth: usize,
    ) -> Result<Vec<Entry>, ConfigError> {
        self.files += 1;
        if depth > DEEPEST || self.files > MOST_FILES {
            return Err(ConfigError::TooManyFiles { file: file.to_owned() });
        }
        let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
        let Some((text, metadata)) = content(file).map_err(unreadable)? else { return Ok(Vec::new()) };
        if must_be_ours {
            check_owner(file, &metadata, self.local.uid)?;
        }
        let name: Arc<Path> = Arc::from(file);
        let mut entries = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let place = Place { origin, file: Arc::clone(&name), line: index + 1 };
            let Some(statement) = Statement::parse(line).map_err(|fault| fault.at(&place))? else { continue };
            match statement {
                Statement::Include(patterns) => {
                    for pattern in patterns {
                        let says = self.include(&pattern, &place, depth)?;
                        entries.push(Entry { place: place.clone(), says });
                    }
                }
                other => {
                    self.check(&other).map_err(|fault| fault.at(&place))?;
                    entries.push(Entry { place, says: Says::Statement(other) });
                }
            }
        }
        Ok(entries)
    }

    /// An unknown keyword that nothing before it can have excused is wrong for every host.
    fn check(&mut self, statement: &Statement) -> Result<(), Fault> {
        match statement {
            Statement::Set(Setting::IgnoreUnknown(patterns)) => self.ignored.push(patterns.clone()),
            Statement::Unknown(keyword)
                if !self.ignored.iter().any(|patterns| ignores(patterns, keyword)) =>
            {
                return Err(unknown(keyword));
            }
            _ => {}
        }
        Ok(())
    }

    fn include(&mut self, pattern: &str, place: &Place, depth: usize) -> Result<Says, ConfigError> {
        let Some(pattern) = self.included(pattern, place.origin).map_err(|fault| fault.at(place))? else {
            return Ok(Says::NotIncluded);
        };
        let found = glob_files(&pattern).map_err(|fault| fault.at(place))?;
        let files = found.iter().map(|file| self.file(file, place.origin, true, depth + 1));
        files.collect::<Result<_, _>>().map(Says::Included)
    }

    /// The pattern of the files to include; `None` if it depends on the host.
    fn included(&self, text: &str, origin: Origin) -> Result<Option<PathBuf>, Fault> {
        let local = self.local;
        if depends_on_host(text) {
            return Ok(None);
        }
        let (home, uid) =
            (local.home.as_deref().unwrap_or(Path::new("~")).to_string_lossy(), local.uid.to_string());
        let mut tokens = vec![('d', &*home), ('i', &uid), ('L', local.short_host()), ('l', &local.host)];
        tokens.extend(local.user.as_deref().map(|user| ('u', user)));
        let text = expand::all(text, &tokens, local)?;
        if text.starts_with('~') && origin == Origin::System {
            return Err(Fault::new(
                format!("`{text}` starts at a home directory, in a file of the whole machine"),
                "write the path in full",
            ));
        }
        let path = expand::plain_path(&text, local)?;
        Ok(Some(match origin {
            _ if path.is_absolute() => path,
            Origin::User => expand::home(local)?.join(".ssh").join(path),
            Origin::System => Path::new("/etc/ssh").join(path),
        }))
    }
}

/// Whether `IgnoreUnknown` with these patterns excuses a keyword.
pub(super) fn ignores(patterns: &str, keyword: &str) -> bool {
    pattern::list_of_hosts(patterns, keyword)
}

/// The fault of a keyword that is none.
pub(super) fn unknown(keyword: &str) -> Fault {
    Fault::new(
        format!("OpenSSH has no keyword `{keyword}`"),
        format!("correct it, or put `IgnoreUnknown {keyword}` before it, which `ssh` would need too"),
    )
}

fn depends_on_host(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, token)) = rest.split_once('%') {
        if token.starts_with(['C', 'h', 'j', 'k', 'n', 'p', 'r']) {
            return true;
        }
        rest = token.get(1..).unwrap_or_default();
    }
    false
}

/// The content of a file; `None` if it is not there or, as for a directory that a pattern fits, has none.
fn content(file: &Path) -> io::Result<Option<(Vec<u8>, fs::Metadata)>> {
    let metadata = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let kind = metadata.file_type();
    if kind.is_fifo() || kind.is_socket() {
        // Opening it would wait for somebody at the other end.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    if !kind.is_file() {
        return Ok(None);
    }
    let mut text = Vec::new();
    fs::File::open(file)?.read_to_end(&mut text)?;
    Ok(Some((text, metadata)))
}

/// As OpenSSH has it: root's or our own, and not writable by others.
fn check_owner(file: &Path, metadata: &fs::Metadata, uid: u32) -> Result<(), ConfigError> {
    let how = if ![0, uid].contains(&metadata.uid()) {
        format!("belongs to user number {}", metadata.uid())
    } else if metadata.mode() & 0o022 != 0 {
        format!("can be written by others (mode {:04o})", metadata.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(ConfigError::Exposed { file: file.to_owned(), how })
}

/// Files of a pattern, in the order of their names' bytes. Directories that may not be read hold none.
fn glob_files(pattern: &Path) -> Result<Vec<PathBuf>, Fault> {
    // To the crate, two stars are any depth; to glob(3), the same as one.
    let mut text = pattern.to_string_lossy().into_owned();
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob::glob_with(&text, options).map_err(|error| {
        Fault::new(format!("`{text}` is no pattern: {}", error.msg), "close its brackets")
    })?;
    let mut files: Vec<PathBuf> = found.filter_map(Result::ok).collect();
    files.sort();
    Ok(files)
}
