//! Matching with `*` and `?`, as `known_hosts`, `ssh_config` and `--limit` mean it. `[` is literal, for the sake of ports.

/// Does the pattern cover all of the text?
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where the last `*` was, and what it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(seen) {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, seen));
                at += 1;
            }
            (Some(wanted), _) if *wanted == b'?' || wanted == byte => {
                at += 1;
                seen += 1;
            }
            (_, Some((star_at, swallowed))) => {
                star = Some((star_at, swallowed + 1));
                at = star_at + 1;
                seen = swallowed + 1;
            }
            (_, None) => return false,
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::matches;

    proptest! {
        #[test]
        fn a_pattern_made_of_a_text_by_hiding_parts_covers_it(parts in prop::collection::vec("[a-z0-9.-]{0,5}", 1..5)) {
            prop_assert!(matches(&parts.join("*"), &parts.join("some-thing")));
            let question = "?".repeat(parts.concat().len());
            prop_assert!(matches(&question, &parts.concat()));
            let longer = format!("{question}?");
            prop_assert!(!matches(&longer, &parts.concat()));
        }
    }
}
