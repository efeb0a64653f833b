//! Words of a command as the shell of Windows (`cmd.exe`) and the programs that it starts take them: browsers' "copy as
//! cURL (cmd)". The shell undoes `^`, then the program takes its line apart (Microsoft C runtime, "Parsing C command-line
//! arguments"). A variable (`%NAME%`) is not here and stays as it stands.

use super::CaptureError;

/// What two backslashes stand for where no quotation mark is behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backslashes {
    /// One: browsers double each when they copy.
    Doubled,
    /// Two, as programs take them.
    Literal,
}

/// Whether a command was written for this shell: a caret stands at the end of a line or before a quotation mark.
pub(super) fn is_command(text: &[u8]) -> bool {
    let is_trace = |three: &[u8]| matches!(three, [b' ', b'^', b'"' | b'\n'] | [b'^', b'\r', b'\n']);
    text.windows(3).any(is_trace)
}

/// Splits a command into its words.
pub(super) fn words(text: &[u8], backslashes: Backslashes) -> Result<Vec<Vec<u8>>, CaptureError> {
    let line = line(text);
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, behind) = word(rest, backslashes)?;
        words.push(word);
        rest = behind.trim_ascii_start();
    }
    Ok(words)
}

/// The command's line, with carets undone: up to its end, or to what begins another command.
fn line(text: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(text.len());
    let mut is_quoted = false;
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'^' if !is_quoted => match behind {
                // The line goes on, and what is next is taken as it is: a second line end is one of the text.
                [b'\r', b'\n', next @ ..] | [b'\n', next @ ..] => {
                    let is_end = next.starts_with(b"\n") || next.starts_with(b"\r\n");
                    line.extend(is_end.then_some(b'\n'));
                    rest =
                        if is_end { &next[next.iter().take_while(|byte| **byte == b'\r').count() + 1..] } else { next };
                }
                [next, behind @ ..] => {
                    line.push(*next);
                    rest = behind;
                }
                [] => {}
            },
            b'\n' => break,
            b'&' | b'|' if !is_quoted => break,
            byte => {
                is_quoted ^= *byte == b'"';
                line.push(*byte);
            }
        }
    }
    line
}

/// The first word of a line, and what is behind it.
fn word(line: &[u8], doubled: Backslashes) -> Result<(Vec<u8>, &[u8]), CaptureError> {
    let mut word = Vec::new();
    let mut is_quoted = false;
    let mut rest = line;
    loop {
        let count = rest.iter().take_while(|byte| **byte == b'\\').count();
        let behind = &rest[count..];
        if count > 0 {
            let is_before_quote = behind.first() == Some(&b'"');
            let is_halved = is_before_quote || doubled == Backslashes::Doubled;
            word.extend(std::iter::repeat_n(b'\\', if is_halved { count / 2 } else { count }));
            rest = behind;
            if count % 2 == 1 && is_before_quote {
                word.push(b'"');
                rest = &behind[1..];
            } else if count % 2 == 1 && is_halved {
                word.push(b'\\');
            }
            continue;
        }
        match rest {
            [] if is_quoted => {
                return Err(CaptureError::Broken { line: 1, why: "a quotation mark has no end".to_owned() });
            }
            [] => return Ok((word, rest)),
            [b'"', b'"', behind @ ..] if is_quoted => {
                word.push(b'"');
                rest = behind;
            }
            [b'"', behind @ ..] => {
                is_quoted = !is_quoted;
                rest = behind;
            }
            [b' ' | b'\t' | b'\r', ..] if !is_quoted => return Ok((word, rest)),
            [byte, behind @ ..] => {
                word.push(*byte);
                rest = behind;
            }
        }
    }
}
