//! Charsets that platforms use. Strict reading for what we believe, lossy reading for what people see.

use std::borrow::Cow;

/// A charset. The older Chinese ones are read by their supersets, as every browser does: GB2312 ⊂ GBK ⊂ GB18030.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// GBK, and GB2312 within it.
    Gbk,
    /// GB18030.
    Gb18030,
}

/// Bytes that are no text in a charset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid {}", .0.name())]
pub struct CharsetError(pub Charset);

impl Charset {
    /// Reads a charset's label, in any case and with blanks around it.
    pub fn parse(label: &str) -> Option<Self> {
        let label = label.trim();
        let is = |name: &str| label.eq_ignore_ascii_case(name);
        if is("utf-8") || is("utf8") {
            Some(Self::Utf8)
        } else if is("gbk") || is("gb2312") || is("cp936") {
            Some(Self::Gbk)
        } else if is("gb18030") {
            Some(Self::Gb18030)
        } else {
            None
        }
    }

    /// The usual label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Gbk => "gbk",
            Self::Gb18030 => "gb18030",
        }
    }

    /// Reads text strictly: one wrong byte is an error, and a byte order mark is a character like others.
    ///
    /// # Errors
    /// [`CharsetError`] when the bytes are no text in this charset.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, CharsetError> {
        if self == Self::Utf8 || bytes.is_ascii() {
            return std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| CharsetError(self));
        }
        self.encoding().decode_without_bom_handling_and_without_replacement(bytes).ok_or(CharsetError(self))
    }

    /// Reads text for display: wrong bytes become U+FFFD.
    pub fn decode_lossy(self, bytes: &[u8]) -> Cow<'_, str> {
        self.encoding().decode_without_bom_handling(bytes).0
    }

    /// Writes text; `None` when the charset has no such character.
    pub fn encode(self, text: &str) -> Option<Cow<'_, [u8]>> {
        let (bytes, _, had_errors) = self.encoding().encode(text);
        (!had_errors).then_some(bytes)
    }

    fn encoding(self) -> &'static encoding_rs::Encoding {
        match self {
            Self::Utf8 => encoding_rs::UTF_8,
            Self::Gbk => encoding_rs::GBK,
            Self::Gb18030 => encoding_rs::GB18030,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_in_any_case() {
        for (label, expected) in [
            ("utf-8", Some(Charset::Utf8)),
            ("UTF-8", Some(Charset::Utf8)),
            ("utf8", Some(Charset::Utf8)),
            (" GBK ", Some(Charset::Gbk)),
            ("gb2312", Some(Charset::Gbk)),
            ("GB18030", Some(Charset::Gb18030)),
            ("big5", None),
            ("", None),
        ] {
            assert_eq!(Charset::parse(label), expected, "{label:?}");
        }
    }

    #[test]
    fn text_is_read_strictly_and_shown_lossily() {
        let gbk = b"\xd6\xd0\xce\xc4";
        assert_eq!(Charset::Gbk.decode(gbk).unwrap(), "中文");
        assert_eq!(Charset::Gb18030.decode(gbk).unwrap(), "中文");
        assert_eq!(Charset::Utf8.decode(gbk), Err(CharsetError(Charset::Utf8)));
        assert!(Charset::Utf8.decode_lossy(gbk).contains('\u{fffd}'));
        assert_eq!(Charset::Utf8.decode("中文".as_bytes()).unwrap(), "中文");
        assert_eq!(Charset::Gbk.decode(b"\xff\xff"), Err(CharsetError(Charset::Gbk)));
        assert_eq!(Charset::Gbk.decode(b"\xd6"), Err(CharsetError(Charset::Gbk)));
        assert_eq!(Charset::Utf8.decode(b"\xef\xbb\xbfa").unwrap(), "\u{feff}a");
    }

    #[test]
    fn text_comes_back_from_what_was_written() {
        for charset in [Charset::Utf8, Charset::Gbk, Charset::Gb18030] {
            let bytes = charset.encode("订单 A&B").unwrap().into_owned();
            assert_eq!(charset.decode(&bytes).unwrap(), "订单 A&B", "{charset:?}");
        }
        assert_eq!(Charset::Gbk.encode("🧧"), None);
    }
}
