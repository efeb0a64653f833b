//! A configuration of `curl` (curl 8, manual, `--config`): options without their dashes, one a line, values in quotes. It is
//! what `tollbell sample` writes.

use super::CaptureError;

/// Options with which a request begins.
const FIRST: [&[u8]; 5] = [b"url", b"request", b"header", b"data-binary", b"data-raw"];

/// Whether a text begins as one: no form and no log has a quote right behind these words.
pub(super) fn is_config(text: &[u8]) -> bool {
    let mut reader = Reader { text, at: 0 };
    reader.skip_to_option();
    let name = reader.name();
    FIRST.contains(&name) && reader.text.get(reader.at) == Some(&b'"')
}

/// The words of the command for which it stands, without its name.
pub(super) fn words(text: &[u8]) -> Result<Vec<Vec<u8>>, CaptureError> {
    let mut reader = Reader { text, at: 0 };
    let mut words = Vec::new();
    loop {
        reader.skip_to_option();
        if reader.at >= text.len() {
            return Ok(words);
        }
        let name = reader.name();
        let dashes: &[u8] = if name.starts_with(b"-") { b"" } else { b"--" };
        words.push([dashes, name].concat());
        words.extend(reader.value()?);
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Reader<'t> {
    /// Over what fulfils it.
    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) -> &'t [u8] {
        let rest = &self.text[self.at..];
        let count = rest.iter().take_while(|byte| is_skipped(**byte)).count();
        self.at += count;
        &rest[..count]
    }

    /// Over blanks and comments.
    fn skip_to_option(&mut self) {
        self.skip(|byte| byte.is_ascii_whitespace());
        while self.text.get(self.at) == Some(&b'#') {
            self.skip(|byte| byte != b'\n');
            self.skip(|byte| byte.is_ascii_whitespace());
        }
    }

    /// The option's name, and over what may stand between it and its value.
    fn name(&mut self) -> &'t [u8] {
        let name = self.skip(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'=' | b':'));
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b'=' | b':'));
        name
    }

    /// The rest of the line, or what stands in quotes; none for an option without a value.
    fn value(&mut self) -> Result<Option<Vec<u8>>, CaptureError> {
        if self.text.get(self.at) != Some(&b'"') {
            let value = self.skip(|byte| byte != b'\n').trim_ascii();
            return Ok((!value.is_empty()).then(|| value.to_vec()));
        }
        let line = self.text[..self.at].split(|&byte| byte == b'\n').count();
        let mut value = Vec::new();
        let mut rest = self.text[self.at + 1..].iter();
        while let Some(byte) = rest.next() {
            match byte {
                b'"' => {
                    self.at = self.text.len() - rest.len();
                    return Ok(Some(value));
                }
                b'\\' => value.extend(rest.next().map(|escaped| match escaped {
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b'v' => 0x0b,
                    other => *other,
                })),
                other => value.push(*other),
            }
        }
        Err(CaptureError::Broken { line, why: "a quote without its end".to_owned() })
    }
}
