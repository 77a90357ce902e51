//! How many files may be open at once. Each connection is one, and shells grant 1,024 where the system grants many more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for any fleet of one controller. Not more, because the limit goes on to the programs that we start here, and rpm,
/// for one, closes every file that it could have open: containers grant a thousand million.
const ENOUGH: u64 = 65_536;

/// Raises the limit as far as the system lets and as is of use.
pub(super) fn allow() {
    let granted = getrlimit(Resource::Nofile);
    if let Some(raised) = raised(&granted) {
        // Where it is refused, fewer connections have to do.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// The limit to ask for; `None` where the one we have is as good. No number is no limit.
fn raised(granted: &Rlimit) -> Option<Rlimit> {
    let wanted = granted.maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    let has_less = granted.current.is_some_and(|current| current < wanted);
    has_less.then_some(Rlimit { current: Some(wanted), maximum: granted.maximum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one_or_to_what_is_enough_and_never_lowered() {
        for (current, maximum, expected) in [
            (Some(1024), Some(4096), Some(4096)),
            (Some(1024), Some(1_000_000_000), Some(ENOUGH)),
            (Some(1024), None, Some(ENOUGH)),
            (Some(4096), Some(4096), None),
            (Some(524_288), Some(1_000_000_000), None),
            (None, None, None),
        ] {
            let raised = raised(&Rlimit { current, maximum });
            assert_eq!(
                raised.as_ref().and_then(|limit| limit.current),
                expected,
                "{current:?} of {maximum:?}"
            );
            assert!(raised.is_none_or(|limit| limit.maximum == maximum));
        }
    }

    #[test]
    fn this_process_gets_what_the_system_grants() {
        allow();
        assert_eq!(raised(&getrlimit(Resource::Nofile)), None);
    }
}
