//! The one date format of SigV4, `YYYYMMDDTHHMMSSZ`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Writes a time as the `X-Amz-Date` header has it.
#[must_use]
pub fn amz_date(time: Timestamp) -> String {
    time.strftime(FORMAT).to_string()
}

/// Reads an `X-Amz-Date` header.
#[must_use]
pub fn parse_amz_date(text: &str) -> Option<Timestamp> {
    DateTime::strptime(FORMAT, text).ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::{amz_date, parse_amz_date};

    #[test]
    fn the_date_of_the_test_suite_is_read_and_written() {
        let time = parse_amz_date("20150830T123600Z").unwrap();
        assert_eq!(time.as_second(), 1_440_938_160);
        assert_eq!(amz_date(time), "20150830T123600Z");
        assert_eq!(parse_amz_date("2015-08-30T12:36:00Z"), None);
    }
}
