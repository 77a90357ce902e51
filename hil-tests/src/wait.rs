//! The one place that sleeps: everything that waits for a machine or a process does it here, with a limit.

use std::time::{Duration, Instant};

/// Asks `ready` again and again; `Ok(None)` when the limit is over. An error of `ready` ends the wait at once.
pub(crate) fn until<T, E>(
    limit: Duration,
    every: Duration,
    mut ready: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let begin = Instant::now();
    loop {
        if let Some(found) = ready()? {
            return Ok(Some(found));
        }
        if begin.elapsed() >= limit {
            return Ok(None);
        }
        pause(every);
    }
}

#[allow(clippy::disallowed_methods, reason = "no async here; this thread has nothing else to do")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_ends_the_wait_at_once() {
        let mut asked = 0;
        let result: Result<Option<()>, &str> =
            until(Duration::from_mins(1), Duration::from_millis(1), || {
                asked += 1;
                if asked < 3 { Ok(None) } else { Err("dead") }
            });
        assert_eq!((result, asked), (Err("dead"), 3));
    }

    #[test]
    fn it_is_asked_once_even_without_time() {
        assert_eq!(until::<_, ()>(Duration::ZERO, Duration::ZERO, || Ok(Some(7))), Ok(Some(7)));
        assert_eq!(until::<u8, ()>(Duration::ZERO, Duration::ZERO, || Ok(None)), Ok(None));
    }
}
