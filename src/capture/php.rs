//! Fields that a PHP script logged: `print_r`, `var_export`, `var_dump`, or `json_encode` of `$_POST`. The values were decoded
//! before, so a body made of them is no more than like the one that came.

use serde_json::{Map, Value};
use tollbell_channels::model::Timestamp;

use super::{Capture, CaptureError, FIELDS_MAX, Form, Note, READINGS_MAX};

/// Deepest nesting that is read; `max_input_nesting_level` of PHP is 64, callbacks have none or one.
const DEPTH_MAX: usize = 16;

type Field = (Vec<u8>, Vec<u8>);

/// Most arrays that begin and cannot be read before the search ends.
const BROKEN_MAX: usize = 4;

/// Reads all arrays that a script logged, at most [`READINGS_MAX`]; none when there are none. An array of arrays
/// (`['get' => $_GET, 'post' => $_POST]`) is read as a whole and by its parts.
pub(super) fn read(text: &[u8], at: Timestamp) -> Result<Vec<Capture>, CaptureError> {
    let mut captures = Vec::new();
    let (mut from, mut record, mut broken) = (0, 0, Vec::new());
    while let Some((start, form)) = begins(text, from)
        && captures.len() < READINGS_MAX
        && broken.len() < BROKEN_MAX
    {
        match array(text, start, form) {
            Ok(Array { fields, end, open }) => {
                for fields in with_parts(fields) {
                    let mut capture = Capture { record, ..Capture::of_fields(&fields, form, at) };
                    capture.notes.extend(open.clone().map(|field| Note::OpenEnd { field }));
                    captures.push(capture);
                }
                (from, record) = (end.max(start + 1), record + 1);
            }
            Err(error) => {
                broken.push(error);
                from = start + 1;
            }
        }
    }
    match broken.into_iter().next() {
        Some(error) if captures.is_empty() => Err(error),
        _ => Ok(captures),
    }
}

/// An array that was read.
struct Array {
    fields: Vec<Field>,
    /// Where it ends.
    end: usize,
    /// The first field whose end is a guess.
    open: Option<String>,
}

fn array(text: &[u8], start: usize, form: Form) -> Result<Array, CaptureError> {
    if form == Form::PrintR {
        let mut reader = PrintR { text, at: start, open: None };
        let fields = reader.read()?;
        return Ok(Array { fields, end: reader.at, open: reader.open });
    }
    let mut reader = Reader { text, at: start, fields: Vec::new() };
    match form {
        Form::VarExport => reader.exported(&[], 0)?,
        _ => reader.dumped(&[], 0)?,
    }
    Ok(Array { fields: reader.fields, end: reader.at, open: None })
}

/// All fields, and those of each array among them by themselves.
fn with_parts(fields: Vec<Field>) -> Vec<Vec<Field>> {
    let mut parts: Vec<(&[u8], Vec<Field>)> = Vec::new();
    for (name, value) in &fields {
        let Some(open) = name.iter().position(|&byte| byte == b'[') else { continue };
        let (outer, inner) = name.split_at(open);
        // `[name]` or `[name][more]`.
        let Some(close) = inner.iter().position(|&byte| byte == b']') else { continue };
        let field = ([&inner[1..close], &inner[close + 1..]].concat(), value.clone());
        match parts.iter().position(|(known, _)| *known == outer) {
            Some(place) => parts[place].1.push(field),
            None if parts.len() < PARTS_MAX => parts.push((outer, vec![field])),
            None => {}
        }
    }
    let parts: Vec<Vec<Field>> = parts.into_iter().map(|(_, part)| part).filter(|part| part.len() > 1).collect();
    [vec![fields], parts].concat()
}

/// Most arrays within an array that are read by themselves.
const PARTS_MAX: usize = 4;

/// The fields of a JSON object, as `json_encode($_POST)` writes them, and those of the objects in it, as a logger's context
/// has them; none when no values can have been fields.
pub(super) fn json(text: &[u8], at: Timestamp) -> Vec<Capture> {
    let Ok(Value::Object(members)) = serde_json::from_slice(text) else { return Vec::new() };
    let inner = members.values().filter_map(Value::as_object).filter_map(fields_of);
    // One field is no message.
    let inner: Vec<Vec<Field>> = inner.filter(|fields| fields.len() > 1).take(PARTS_MAX).collect();
    let all = fields_of(&members).into_iter().chain(inner);
    all.map(|fields| Capture::of_fields(&fields, Form::JsonFields, at)).collect()
}

fn fields_of(members: &Map<String, Value>) -> Option<Vec<Field>> {
    if members.is_empty() || members.len() > FIELDS_MAX {
        return None;
    }
    let field = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null => String::new(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((name.clone().into_bytes(), value.into_bytes()))
    };
    members.iter().map(field).collect()
}

/// Where the next array begins, and how it is written.
fn begins(text: &[u8], from: usize) -> Option<(usize, Form)> {
    let form = |rest: &[u8]| match rest.first()? {
        b'A' => PRINTED.iter().any(|mark| rest.starts_with(mark)).then_some(Form::PrintR),
        b'a' if dumped(rest) => Some(Form::VarDump),
        b'a' => EXPORTED.iter().any(|mark| rest.starts_with(mark)).then_some(Form::VarExport),
        _ => None,
    };
    (from..text.len()).find_map(|at| Some((at, form(&text[at..])?)))
}

/// How `print_r` begins.
const PRINTED: [&[u8]; 3] = [b"Array\n(", b"Array\r\n(", b"Array ("];

/// How `var_export` begins.
const EXPORTED: [&[u8]; 2] = [b"array (", b"array("];

/// `array(3) {` is `var_dump`'s, `array(` or `array (` followed by anything else is `var_export`'s.
fn dumped(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"array(").unwrap_or_default();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest[digits..].starts_with(b") {")
}

/// Longest name of a field, in bytes: each field repeats those of the arrays around it.
const NAME_BYTES_MAX: usize = 4096;

/// The name of a field as a form has it: `a[b][c]`.
fn path(outer: &[u8], name: &[u8]) -> Result<Vec<u8>, CaptureError> {
    if outer.len() + name.len() > NAME_BYTES_MAX {
        return Err(CaptureError::TooLarge { what: "bytes_of_a_name", limit: NAME_BYTES_MAX });
    }
    Ok(if outer.is_empty() { name.to_vec() } else { [outer, b"[", name, b"]"].concat() })
}

fn too_many() -> CaptureError {
    CaptureError::TooLarge { what: "fields", limit: FIELDS_MAX }
}

/// `print_r`. It marks no value's end: one goes on until a line that begins the next field, or closes the array.
struct PrintR<'t> {
    text: &'t [u8],
    at: usize,
    /// The first field whose end is a guess.
    open: Option<String>,
}

impl<'t> PrintR<'t> {
    fn read(&mut self) -> Result<Vec<Field>, CaptureError> {
        let mut fields = Vec::new();
        // `Array`, and `(` on its own line or on the same.
        match self.next() {
            Some(line) if line.ends_with(b"(") => {}
            Some(line) if line.contains(&b'(') => {
                return Err(self.broken("all on one line: where each value ends is lost"));
            }
            _ => {
                self.next();
            }
        }
        self.array(&[], 0, &mut fields)?;
        Ok(fields)
    }

    /// The next line, without its end.
    fn peek(&self) -> Option<&'t [u8]> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let line = rest.split(|&byte| byte == b'\n').next()?;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Passes over the next line.
    fn next(&mut self) -> Option<&'t [u8]> {
        let line = self.peek()?;
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1);
        Some(line)
    }

    fn array(&mut self, outer: &[u8], depth: usize, fields: &mut Vec<Field>) -> Result<(), CaptureError> {
        let indent = 4 + 8 * depth;
        let closing = [vec![b' '; 8 * depth], b")".to_vec()].concat();
        let opens = [vec![b' '; 8 * (depth + 1)], b"(".to_vec()].concat();
        loop {
            let Some(line) = self.next() else {
                return Err(self.broken("the array has no end: the log was cut"));
            };
            if line == closing {
                return Ok(());
            }
            if line.is_empty() {
                continue;
            }
            let (name, first) = entry(line, indent).ok_or_else(|| self.broken("no field, and no end"))?;
            let name = path(outer, name)?;
            if fields.len() >= FIELDS_MAX {
                return Err(too_many());
            }
            if first == b"Array" && self.peek() == Some(&opens) {
                if depth + 1 >= DEPTH_MAX {
                    return Err(CaptureError::TooLarge { what: "levels", limit: DEPTH_MAX });
                }
                self.next();
                self.array(&name, depth + 1, fields)?;
                continue;
            }
            let mut value = first.to_vec();
            while let Some(next) = self.peek() {
                if next == closing || entry(next, indent).is_some() {
                    break;
                }
                value.push(b'\n');
                value.extend_from_slice(next);
                self.next();
                self.open.get_or_insert_with(|| String::from_utf8_lossy(&name).into_owned());
            }
            fields.push((name, value));
        }
    }

    fn broken(&self, why: &str) -> CaptureError {
        let line = self.text[..self.at].trim_ascii_end().split(|&byte| byte == b'\n').count();
        CaptureError::Broken { line, why: why.to_owned() }
    }
}

/// `    [name] => value`.
fn entry(line: &[u8], indent: usize) -> Option<(&[u8], &[u8])> {
    let (blanks, rest) = line.split_at_checked(indent)?;
    if blanks.iter().any(|&byte| byte != b' ') {
        return None;
    }
    let rest = rest.strip_prefix(b"[")?;
    let end = rest.windows(4).position(|window| window == b"] =>")?;
    let value = &rest[end + 4..];
    Some((&rest[..end], value.strip_prefix(b" ").unwrap_or(value)))
}

/// `var_export` and `var_dump`, which mark each value's end.
struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    fields: Vec<Field>,
}

impl<'t> Reader<'t> {
    fn broken(&self, why: &str) -> CaptureError {
        let line = self.text[..self.at.min(self.text.len())].split(|&byte| byte == b'\n').count();
        CaptureError::Broken { line, why: why.to_owned() }
    }

    fn skip_blanks(&mut self) {
        self.at += self.text[self.at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    /// Passes over these bytes, if they are next.
    fn is_next(&mut self, word: &[u8]) -> bool {
        self.skip_blanks();
        let is_there = self.text[self.at..].starts_with(word);
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    fn must(&mut self, word: &str) -> Result<(), CaptureError> {
        if self.is_next(word.as_bytes()) { Ok(()) } else { Err(self.broken(&format!("`{word}` was expected"))) }
    }

    fn push(&mut self, name: Vec<u8>, value: Vec<u8>) -> Result<(), CaptureError> {
        if self.fields.len() >= FIELDS_MAX {
            return Err(too_many());
        }
        self.fields.push((name, value));
        Ok(())
    }

    fn deep(depth: usize) -> Result<(), CaptureError> {
        if depth >= DEPTH_MAX { Err(CaptureError::TooLarge { what: "levels", limit: DEPTH_MAX }) } else { Ok(()) }
    }

    /// `array ( 'name' => 'value', … )`.
    fn exported(&mut self, outer: &[u8], depth: usize) -> Result<(), CaptureError> {
        Self::deep(depth)?;
        self.must("array")?;
        self.must("(")?;
        while !self.is_next(b")") {
            let name = match self.peek() {
                Some(b'\'') => self.quoted()?,
                _ => self.bare()?.to_vec(),
            };
            let name = path(outer, &name)?;
            self.must("=>")?;
            self.skip_blanks();
            match self.peek() {
                Some(b'\'' | b'"') => {
                    let value = self.joined()?;
                    self.push(name, value)?;
                }
                Some(b'a') if self.text[self.at..].starts_with(b"array") => self.exported(&name, depth + 1)?,
                _ => {
                    let value = match self.bare()? {
                        b"NULL" | b"null" | b"false" => Vec::new(),
                        b"true" => b"1".to_vec(),
                        number => number.to_vec(),
                    };
                    self.push(name, value)?;
                }
            }
            self.is_next(b",");
        }
        Ok(())
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.text.get(self.at).copied()
    }

    /// A number or a word.
    fn bare(&mut self) -> Result<&'t [u8], CaptureError> {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_'))
            .count();
        if length == 0 {
            return Err(self.broken("a value was expected; the log may be cut"));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    /// Pieces with dots between them, as NUL bytes are written: `'a' . "\0" . 'b'`.
    fn joined(&mut self) -> Result<Vec<u8>, CaptureError> {
        let mut value = Vec::new();
        loop {
            match self.peek() {
                Some(b'\'') => value.extend(self.quoted()?),
                Some(b'"') => {
                    self.must("\"\\0\"")?;
                    value.push(0);
                }
                _ => return Err(self.broken("a text was expected")),
            }
            if !self.is_next(b".") {
                return Ok(value);
            }
        }
    }

    /// `'…'`, in which a backslash stands before a quotation mark or another one.
    fn quoted(&mut self) -> Result<Vec<u8>, CaptureError> {
        self.at += 1;
        let mut value = Vec::new();
        loop {
            match self.text.get(self.at..) {
                Some([b'\'', ..]) => {
                    self.at += 1;
                    return Ok(value);
                }
                Some([b'\\', byte @ (b'\'' | b'\\'), ..]) => {
                    value.push(*byte);
                    self.at += 2;
                }
                Some([byte, ..]) => {
                    value.push(*byte);
                    self.at += 1;
                }
                _ => return Err(self.broken("a text has no end: the log was cut")),
            }
        }
    }

    /// `array(2) { ["name"]=> string(5) "value" … }`.
    fn dumped(&mut self, outer: &[u8], depth: usize) -> Result<(), CaptureError> {
        Self::deep(depth)?;
        self.must("array(")?;
        self.bare()?;
        self.must(")")?;
        self.must("{")?;
        while !self.is_next(b"}") {
            self.must("[")?;
            let name = if self.peek() == Some(b'"') {
                // The name's length is not written: it ends before `"]=>`.
                self.at += 1;
                let end = self.text[self.at..].windows(4).position(|window| window == b"\"]=>");
                let end = end.ok_or_else(|| self.broken("a name has no end: the log was cut"))?;
                let name = self.text[self.at..self.at + end].to_vec();
                self.at += end + 1;
                name
            } else {
                self.bare()?.to_vec()
            };
            let name = path(outer, &name)?;
            self.must("]=>")?;
            if self.peek() == Some(b'a') {
                self.dumped(&name, depth + 1)?;
                continue;
            }
            let value = match self.bare()? {
                b"NULL" => Vec::new(),
                kind => {
                    let kind = kind.to_vec();
                    self.must("(")?;
                    let inner = self.bare()?.to_vec();
                    self.must(")")?;
                    match kind.as_slice() {
                        b"string" => self.counted(&inner)?,
                        b"bool" => {
                            if inner == b"true" {
                                b"1".to_vec()
                            } else {
                                Vec::new()
                            }
                        }
                        _ => inner,
                    }
                }
            };
            self.push(name, value)?;
        }
        Ok(())
    }

    /// A text of so many bytes, in quotation marks.
    fn counted(&mut self, length: &[u8]) -> Result<Vec<u8>, CaptureError> {
        let length = std::str::from_utf8(length).ok().and_then(|text| text.parse::<usize>().ok());
        let length = length.ok_or_else(|| self.broken("a text without its length"))?;
        self.must("\"")?;
        let value = self.text[self.at..].get(..length).map(<[u8]>::to_vec);
        let value = value.ok_or_else(|| self.broken("a text has no end: the log was cut"))?;
        self.at += length;
        if self.text.get(self.at) != Some(&b'"') {
            return Err(
                self.broken("a text is longer or shorter than it says: the log was written in another encoding")
            );
        }
        self.at += 1;
        Ok(value)
    }
}
