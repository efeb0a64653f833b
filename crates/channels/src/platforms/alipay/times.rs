//! Alipay's times: Beijing time without a zone.

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::platforms::beijing::BEIJING;

/// Reads `yyyy-MM-dd HH:mm:ss`, with or without milliseconds.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let (head, fraction) = text.split_at_checked(19)?;
    let has_shape = head.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b' ',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !has_shape {
        return None;
    }
    let nanoseconds = match fraction.as_bytes() {
        [] => 0,
        [b'.', digits @ ..] if (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            let zeros = std::iter::repeat_n(&b'0', 9 - digits.len());
            digits.iter().chain(zeros).fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'))
        }
        _ => return None,
    };
    let number = |from: usize, to: usize| head[from..to].parse::<i16>().ok();
    let small = |from: usize, to: usize| head[from..to].parse::<i8>().ok();
    let time = DateTime::new(
        number(0, 4)?,
        small(5, 7)?,
        small(8, 10)?,
        small(11, 13)?,
        small(14, 16)?,
        small(17, 19)?,
        nanoseconds,
    );
    BEIJING.to_timestamp(time.ok()?).ok()
}

/// Reads milliseconds since 1970, as the message service writes `utc_timestamp`.
pub(super) fn read_millis(text: &str) -> Option<Timestamp> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Timestamp::from_millisecond(text.parse().ok()?).ok()
}

/// Writes `yyyy-MM-dd HH:mm:ss`.
pub(super) fn write(time: Timestamp) -> String {
    BEIJING.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_beijing_time() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(read(text).map(|time| time.to_string()).as_deref(), expected, "{text:?}");
        };
        check("2019-08-15 15:56:24", Some("2019-08-15T07:56:24Z"));
        check("2019-08-15 00:00:00.123", Some("2019-08-14T16:00:00.123Z"));
        check("2019-08-15 00:00:00.5", Some("2019-08-14T16:00:00.5Z"));
        for bad in [
            "",
            "2019-08-15",
            "2019-08-15T15:56:24",
            "2019-02-30 00:00:00",
            "2019-08-15 24:00:00",
            "2019-08-15 15:56:24.",
            "2019-08-15 15:56:24.1234",
            "2019-08-15 15:56:24Z",
            " 2019-08-15 15:56:2",
            "+019-08-15 15:56:24",
            "2019-08-15 15:56:2\u{661}",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn milliseconds_are_read_strictly() {
        assert_eq!(read_millis("1565855784123").map(|t| t.to_string()).as_deref(), Some("2019-08-15T07:56:24.123Z"));
        for bad in ["", "-1", "+1", "1e3", "99999999999999999999", "9223372036854775807"] {
            assert_eq!(read_millis(bad), None, "{bad}");
        }
    }
}
