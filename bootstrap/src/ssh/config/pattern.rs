//! Wildcards as `ssh_config(5)` has them: `*`, `?`, and lists in which `!` excludes. Apart, because `Host`, `Match` and
//! `IgnoreUnknown` use them each in their own way.

/// Whether a text is of a pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where to go on after the last `*`, and what it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(seen) {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, seen));
            }
            (Some(wanted), _) if *wanted == b'?' || wanted == byte => {
                at += 1;
                seen += 1;
            }
            (_, Some((after, swallowed))) => {
                star = Some((after, swallowed + 1));
                at = after;
                seen = swallowed + 1;
            }
            (_, None) => return false,
        }
    }
    pattern.get(at..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

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
