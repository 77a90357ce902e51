//! How fast the simulated agents live: the factor on every wait of their own. Waits for the endpoint are never scaled.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

const LARGEST: f64 = 1000.0;

/// A factor that is none.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no number above 0 and up to {LARGEST}")]
pub struct BadPace(String);

/// What an agent's own waits are multiplied by; 1 is the real agent's pace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(f64);

impl Default for Pace {
    fn default() -> Self {
        Self(1.0)
    }
}

impl FromStr for Pace {
    type Err = BadPace;

    fn from_str(text: &str) -> Result<Self, BadPace> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match text.parse() {
            Ok(factor) if plain && factor > 0.0 && factor <= LARGEST => Ok(Self(factor)),
            _ => Err(BadPace(text.to_owned())),
        }
    }
}

impl Pace {
    /// How long a wait of the real agent takes here.
    #[must_use]
    pub fn scaled(self, wait: Duration) -> Duration {
        Duration::try_from_secs_f64(wait.as_secs_f64() * self.0).unwrap_or(Duration::MAX)
    }

    /// Waits as long as the real agent would, scaled.
    pub async fn pause(self, wait: Duration) {
        tokio::time::sleep(self.scaled(wait)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;

    #[test]
    fn a_pace_is_a_plain_number_above_zero() {
        for good in ["1", "0.01", "2.5", "1000"] {
            assert!(good.parse::<Pace>().is_ok(), "{good}");
        }
        for bad in ["", "0", "-1", "1e-3", "inf", "NaN", "1001", "1 ", "0,5", "fast"] {
            assert!(bad.parse::<Pace>().is_err(), "{bad}");
        }
    }

    #[test]
    fn waits_are_scaled() {
        let scaled = |pace: &str, seconds| pace.parse::<Pace>().unwrap().scaled(Duration::from_secs(seconds));
        assert_eq!(scaled("0.01", 300), Duration::from_secs(3));
        assert_eq!(scaled("2.5", 4), Duration::from_secs(10));
    }
}
