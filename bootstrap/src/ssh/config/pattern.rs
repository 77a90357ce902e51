//! Wildcards as `ssh_config(5)` has them: `*`, `?`, and lists in which `!` excludes. Apart, because `Host`, `Match` and
//! `IgnoreUnknown` use them each in their own way.

pub(super) use crate::wildcard::matches;

/// Whether one of several patterns fits, and none that begins with `!`: `Host`.
pub(super) fn any<'p>(patterns: impl IntoIterator<Item = &'p str>, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(excluded) if matches(excluded, text) => return false,
            Some(_) => {}
            None => found |= matches(pattern, text),
        }
    }
    found
}

/// The same with commas between them: `Match`, `IgnoreUnknown`.
pub(super) fn list(patterns: &str, text: &str) -> bool {
    // After the last comma there is nothing, not an empty pattern.
    any(patterns.split_terminator(','), text)
}

/// The same for names of hosts, of which case is no part.
pub(super) fn list_of_hosts(patterns: &str, host: &str) -> bool {
    list(&patterns.to_ascii_lowercase(), &host.to_ascii_lowercase())
}
