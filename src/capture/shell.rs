//! Words of a command as a POSIX shell takes them (XCU 2.2, Quoting), and `$'…'` (XCU 2.2.4), which browsers write. Nothing is
//! expanded: a `$`, a backquote or a redirection outside of quotes is an error, since what it stands for is not here.

use super::CaptureError;

/// Splits a command into its words.
pub(super) fn words(text: &[u8]) -> Result<Vec<Vec<u8>>, CaptureError> {
    let mut reader = Reader { text, at: 0 };
    let mut words = Vec::new();
    while let Some(word) = reader.word()? {
        words.push(word);
    }
    Ok(words)
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn broken(&self, why: &str) -> CaptureError {
        let line = self.text[..self.at.min(self.text.len())].split(|&byte| byte == b'\n').count();
        CaptureError::Broken { line, why: why.to_owned() }
    }

    /// The next word; none at the end of the command.
    fn word(&mut self) -> Result<Option<Vec<u8>>, CaptureError> {
        self.skip_blanks();
        if self.peek().is_none() {
            return Ok(None);
        }
        let mut word = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => break,
                // The end of the command; more commands are no part of the request.
                b'\n' | b'\r' | b';' | b'|' | b'&' => {
                    if word.is_empty() {
                        self.at = self.text.len();
                        return Ok(None);
                    }
                    break;
                }
                b'\'' => self.single(&mut word)?,
                b'"' => self.double(&mut word)?,
                b'$' if self.text.get(self.at + 1) == Some(&b'\'') => self.escaped(&mut word)?,
                b'$' | b'`' | b'<' | b'>' | b'(' | b')' => {
                    return Err(self.broken("a shell would put something else in this place; write it out"));
                }
                b'\\' => {
                    self.at += 1;
                    match self.next() {
                        Some(b'\n') => {}
                        Some(b'\r') if self.peek() == Some(b'\n') => self.at += 1,
                        Some(byte) => word.push(byte),
                        None => return Err(self.broken("the command ends in a backslash")),
                    }
                }
                byte => {
                    word.push(byte);
                    self.at += 1;
                }
            }
        }
        Ok(Some(word))
    }

    /// Blanks, and line breaks behind a backslash.
    fn skip_blanks(&mut self) {
        loop {
            match &self.text[self.at..] {
                [b' ' | b'\t', ..] => self.at += 1,
                [b'\\', b'\n', ..] => self.at += 2,
                [b'\\', b'\r', b'\n', ..] => self.at += 3,
                _ => return,
            }
        }
    }

    fn single(&mut self, word: &mut Vec<u8>) -> Result<(), CaptureError> {
        self.at += 1;
        let end = self.text[self.at..].iter().position(|&byte| byte == b'\'');
        let end = end.ok_or_else(|| self.broken("a quotation mark has no end"))?;
        word.extend_from_slice(&self.text[self.at..self.at + end]);
        self.at += end + 1;
        Ok(())
    }

    fn double(&mut self, word: &mut Vec<u8>) -> Result<(), CaptureError> {
        self.at += 1;
        loop {
            match self.next() {
                None => return Err(self.broken("a quotation mark has no end")),
                Some(b'"') => return Ok(()),
                Some(b'$' | b'`') => {
                    return Err(self.broken("a shell would put something else in this place; write it out"));
                }
                Some(b'\\') => match self.next() {
                    Some(b'\n') => {}
                    Some(byte @ (b'"' | b'\\' | b'$' | b'`')) => word.push(byte),
                    Some(byte) => word.extend([b'\\', byte]),
                    None => return Err(self.broken("a quotation mark has no end")),
                },
                Some(byte) => word.push(byte),
            }
        }
    }

    /// `$'…'`.
    fn escaped(&mut self, word: &mut Vec<u8>) -> Result<(), CaptureError> {
        self.at += 2;
        loop {
            match self.next() {
                None => return Err(self.broken("a quotation mark has no end")),
                Some(b'\'') => return Ok(()),
                Some(b'\\') => self.escape(word)?,
                Some(byte) => word.push(byte),
            }
        }
    }

    fn escape(&mut self, word: &mut Vec<u8>) -> Result<(), CaptureError> {
        let byte = self.next().ok_or_else(|| self.broken("a quotation mark has no end"))?;
        match byte {
            b'n' => word.push(b'\n'),
            b'r' => word.push(b'\r'),
            b't' => word.push(b'\t'),
            b'a' => word.push(7),
            b'b' => word.push(8),
            b'e' | b'E' => word.push(27),
            b'f' => word.push(12),
            b'v' => word.push(11),
            b'\\' | b'\'' | b'"' | b'?' => word.push(byte),
            b'x' => {
                let number = self.digits(16, 2).ok_or_else(|| self.broken("\\x without digits"))?;
                word.push(u8::try_from(number).unwrap_or_default());
            }
            b'u' | b'U' => {
                let most = if byte == b'u' { 4 } else { 8 };
                let number = self.digits(16, most).ok_or_else(|| self.broken("\\u without digits"))?;
                let letter = self.surrogates(number).and_then(char::from_u32);
                let letter = letter.ok_or_else(|| self.broken("\\u names no character"))?;
                word.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            b'0'..=b'7' => {
                self.at -= 1;
                let number = self.digits(8, 3).unwrap_or_default();
                word.push(u8::try_from(number & 0xff).unwrap_or_default());
            }
            other => word.extend([b'\\', other]),
        }
        Ok(())
    }

    /// Browsers write a character beyond `U+FFFF` as two halves, as their own strings have it.
    fn surrogates(&mut self, first: u32) -> Option<u32> {
        if !(0xd800..0xdc00).contains(&first) {
            return Some(first);
        }
        if !self.text[self.at..].starts_with(b"\\u") {
            return None;
        }
        self.at += 2;
        let second = self.digits(16, 4).filter(|second| (0xdc00..0xe000).contains(second))?;
        Some(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    /// A number of at most so many digits.
    fn digits(&mut self, radix: u32, most: usize) -> Option<u32> {
        let mut number = None;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix)) else { break };
            number = Some(number.unwrap_or(0) * radix + digit);
            self.at += 1;
        }
        number
    }
}
