//! What strace wrote, as calls with their beginning and end.
//!
//! strace stops a thread before a call and after it, and writes what it sees in the order in which it lets the threads
//! go on. So a line that stands before another happened before it wherever one could have caused the other: a thread
//! that waits for an fdatasync of another is not let go before the line with its end is written.

use std::collections::HashMap;

use anyhow::{Context as _, bail, ensure};

/// A place in the trace: the number of a line.
pub type Place = usize;

/// An argument, as strace prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Bytes, printed as hexadecimal.
    Bytes(Vec<u8>),
    /// A number, flags, a pointer, `NULL`.
    Word(String),
    /// `[…]`.
    List(Vec<Self>),
    /// `{…}`; a field without a name has the empty one.
    Fields(Vec<(String, Self)>),
}

impl Value {
    /// The bytes, of a string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text of a word; of anything else nothing.
    pub fn word(&self) -> &str {
        match self {
            Self::Word(word) => word,
            _ => "",
        }
    }

    /// A decimal or octal number.
    pub fn number(&self) -> Option<i64> {
        self.word().parse().ok()
    }

    /// Whether a flag is among those that are joined by `|`.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.word().split('|').any(|one| one == flag)
    }

    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Fields(fields) => fields.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// One system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread.
    pub thread: u32,
    /// The call's name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<Value>,
    /// When the thread was let into it.
    pub begin: Place,
    /// When it was seen to have returned; never, of a thread that was killed inside.
    pub end: Option<Place>,
    /// What it returned; nothing for a failure.
    pub result: Option<i64>,
}

impl Call {
    /// An argument by its position.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn argument(&self, at: usize) -> anyhow::Result<&Value> {
        self.arguments.get(at).with_context(|| format!("{} has no argument {at}: {:?}", self.name, self.arguments))
    }

    /// A descriptor or another number by its position.
    ///
    /// # Errors
    /// When there is none.
    pub fn number(&self, at: usize) -> anyhow::Result<i64> {
        let value = self.argument(at)?;
        value.number().with_context(|| format!("argument {at} of {} is no number: {value:?}", self.name))
    }
}

/// The calls of a trace, by their beginnings.
///
/// # Errors
/// When a line is not understood: a proof that skips what it does not know proves nothing.
pub fn parse(text: &[u8]) -> anyhow::Result<Vec<Call>> {
    let mut calls = Vec::new();
    let mut open: HashMap<u32, (Place, Vec<u8>)> = HashMap::new();
    for (place, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let doing = || format!("line {} of the trace: {}", place + 1, shown(line));
        let (thread, rest) = thread_of(line).with_context(doing)?;
        if rest.starts_with(b"---") || rest.starts_with(b"+++") {
            continue;
        }
        if let Some(tail) = rest.strip_prefix(b"<... ") {
            let at = memchr::memmem::find(tail, b" resumed>").with_context(doing)?;
            let (begin, mut whole) = open.remove(&thread).with_context(doing)?;
            whole.extend_from_slice(&tail[at + b" resumed>".len()..]);
            calls.push(call(thread, &whole, begin, Some(place)).with_context(doing)?);
        } else if let Some(head) = rest.strip_suffix(b" <unfinished ...>") {
            let before = open.insert(thread, (place, head.to_vec()));
            ensure!(before.is_none(), "thread {thread} is in two calls at once: {}", doing());
        } else {
            calls.push(call(thread, rest, place, Some(place)).with_context(doing)?);
        }
    }
    for (thread, (begin, head)) in open {
        calls.push(call(thread, &head, begin, None).with_context(|| format!("unfinished: {}", shown(&head)))?);
    }
    calls.sort_by_key(|call| call.begin);
    Ok(calls)
}

/// The beginning of a line, for an error.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned()
}

fn thread_of(line: &[u8]) -> Option<(u32, &[u8])> {
    let at = line.iter().position(|byte| *byte == b' ')?;
    let thread = std::str::from_utf8(&line[..at]).ok()?.parse().ok()?;
    Some((thread, line[at..].trim_ascii_start()))
}

fn call(thread: u32, line: &[u8], begin: Place, end: Option<Place>) -> anyhow::Result<Call> {
    let at = line.iter().position(|byte| *byte == b'(').context("no call")?;
    let name = std::str::from_utf8(&line[..at])?.to_owned();
    let mut reader = Reader { rest: &line[at + 1..] };
    let arguments = reader.values(b')')?;
    let result = reader.result()?;
    // A call that never returned has no end, even where strace wrote one for it.
    let end = end.filter(|_| result != Outcome::None);
    let result = match result {
        Outcome::Returned(number) => Some(number),
        Outcome::Failed | Outcome::None => None,
    };
    Ok(Call { thread, name, arguments, begin, end, result })
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Returned(i64),
    Failed,
    None,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Values up to a closing byte, or to the end of a call that was never finished.
    fn values(&mut self, close: u8) -> anyhow::Result<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            self.skip();
            match self.rest.first() {
                None => return Ok(values),
                Some(byte) if *byte == close => {
                    self.rest = &self.rest[1..];
                    return Ok(values);
                }
                Some(_) => values.push(self.value()?),
            }
        }
    }

    fn skip(&mut self) {
        // What a call changed follows an arrow: `{flags=…} => {parent_tid=[7]}`.
        while let Some(b' ' | b',') = self.rest.first() {
            self.rest = &self.rest[1..];
            self.rest = self.rest.strip_prefix(b"=> ").unwrap_or(self.rest);
        }
    }

    fn value(&mut self) -> anyhow::Result<Value> {
        Ok(match self.rest[0] {
            b'"' => Value::Bytes(self.string()?),
            b'[' => {
                self.rest = &self.rest[1..];
                Value::List(self.values(b']')?)
            }
            b'{' => {
                self.rest = &self.rest[1..];
                Value::Fields(self.fields()?)
            }
            _ => Value::Word(self.word()?),
        })
    }

    fn fields(&mut self) -> anyhow::Result<Vec<(String, Value)>> {
        let mut fields = Vec::new();
        loop {
            self.skip();
            match self.rest.first() {
                None => return Ok(fields),
                Some(b'}') => {
                    self.rest = &self.rest[1..];
                    return Ok(fields);
                }
                Some(_) => {}
            }
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let length = self.rest.iter().take_while(|byte| is_name(byte)).count();
            let name = if self.rest.get(length) == Some(&b'=') {
                let name = String::from_utf8_lossy(&self.rest[..length]).into_owned();
                self.rest = &self.rest[length + 1..];
                name
            } else {
                String::new()
            };
            ensure!(!self.rest.is_empty(), "a field without a value");
            fields.push((name, self.value()?));
        }
    }

    /// `"\x2f\x74"`. A string that was cut ends in `...`.
    fn string(&mut self) -> anyhow::Result<Vec<u8>> {
        let end = memchr::memchr(b'"', &self.rest[1..]).context("a string without an end")? + 1;
        let hex = &self.rest[1..end];
        ensure!(hex.len().is_multiple_of(4), "a string that is not hexadecimal");
        let mut bytes = Vec::with_capacity(hex.len() / 4);
        for one in hex.chunks_exact(4) {
            let (high, low) = (digit(one[2]), digit(one[3]));
            ensure!(one[0] == b'\\' && one[1] == b'x' && high < 16 && low < 16, "a string that is not hexadecimal");
            bytes.push(high << 4 | low);
        }
        self.rest = &self.rest[end + 1..];
        ensure!(!self.rest.starts_with(b"..."), "a string that was cut");
        Ok(bytes)
    }

    /// Anything else, up to what ends a value; with brackets of its own, as in `htons(80)`.
    fn word(&mut self) -> anyhow::Result<String> {
        let mut depth = 0;
        let mut at = 0;
        while let Some(byte) = self.rest.get(at) {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b',' | b')' | b']' | b'}' if depth == 0 => break,
                _ => {}
            }
            at += 1;
        }
        ensure!(at > 0, "a value of no length");
        let word = String::from_utf8_lossy(&self.rest[..at]).trim_end().to_owned();
        self.rest = &self.rest[at..];
        Ok(word)
    }

    /// ` = 5`, ` = -1 EAGAIN (…)`, ` = ?`, ` = 0x7f12…`.
    fn result(&mut self) -> anyhow::Result<Outcome> {
        let text = std::str::from_utf8(self.rest)?.trim();
        if text.is_empty() {
            return Ok(Outcome::None);
        }
        let Some(text) = text.strip_prefix("= ") else { bail!("no result: {text}") };
        let word = text.split(' ').next().unwrap_or_default();
        if word == "?" {
            // An interrupted call that will be made again is a failure; without a reason the thread is gone.
            return Ok(if text.contains(' ') { Outcome::Failed } else { Outcome::None });
        }
        let number = match word.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16)?,
            None => word.parse()?,
        };
        Ok(if number < 0 { Outcome::Failed } else { Outcome::Returned(number) })
    }
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_are_interrupted_are_put_together() {
        let text = br#"10 openat(AT_FDCWD, "\x2f\x61", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 5
10 pwrite64(5, "\x68\x69", 2, 4096 <unfinished ...>
11 accept4(9,  <unfinished ...>
10 <... pwrite64 resumed>)           = 2
11 <... accept4 resumed>{sa_family=AF_INET, sin_port=htons(4711), sin_addr=inet_addr("\x31")}, [128 => 16], SOCK_CLOEXEC) = 7
11 --- SIGCHLD {si_signo=SIGCHLD} ---
11 sendto(7, "\x6f\x6b", 2, MSG_NOSIGNAL, NULL, 0) = -1 EPIPE (Broken pipe)
10 fdatasync(5 <unfinished ...>
10 clone3({flags=CLONE_VM|CLONE_FILES, stack_size=0x21} => {parent_tid=[12]}, 88) = 12
12 exit_group(0) = ?
12 +++ killed by SIGKILL +++
"#;
        let calls = parse(text).unwrap();
        let seen: Vec<(&str, usize, Option<usize>, Option<i64>)> =
            calls.iter().map(|call| (&*call.name, call.begin, call.end, call.result)).collect();
        assert_eq!(
            seen,
            [
                ("openat", 0, Some(0), Some(5)),
                ("pwrite64", 1, Some(3), Some(2)),
                ("accept4", 2, Some(4), Some(7)),
                ("sendto", 6, Some(6), None),
                ("fdatasync", 7, None, None),
                ("clone3", 8, Some(8), Some(12)),
                ("exit_group", 9, None, None),
            ]
        );
        assert!(calls[5].argument(0).unwrap().field("flags").unwrap().has_flag("CLONE_FILES"));
        assert_eq!(calls[0].argument(1).unwrap().bytes(), Some(&b"/a"[..]));
        assert!(calls[0].argument(2).unwrap().has_flag("O_CREAT"));
        assert_eq!(calls[1].argument(1).unwrap().bytes(), Some(&b"hi"[..]));
        assert_eq!(calls[1].number(3).unwrap(), 4096);
        assert_eq!(calls[2].argument(1).unwrap().field("sin_port").unwrap().word(), "htons(4711)");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            &b"10 write(5, \"\\x68\"..., 2) = 2\n"[..],
            b"10 write(5, \"h\", 1) = 1\n",
            b"10 <... write resumed>) = 1\n",
            b"ten write(5) = 1\n",
        ] {
            assert!(parse(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}
