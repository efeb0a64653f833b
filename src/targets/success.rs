//! Did the application confirm? Pure: an answer comes in, a verdict goes out.
//!
//! The platform already has its answer, so this asks what the application meant, not whether a platform
//! would have been content: a byte order mark or a newline around the right word means that the work is
//! done, and calling the script again would only do it twice. Any other text around it is a failure,
//! because nobody knows what it says.

use tollbell_channels::model::{AckMatch, AppReply};
use tollbell_channels::settings::{Settings, SettingsError};

use super::answer::Answer;
use super::diagnosis::{attempted, of_fpm, php_message, retry, text};
use super::{Attempted, Envelope, Outcome, Reason};

/// Characters of an answer that a reason quotes.
const QUOTED_CHARS: usize = 160;
/// Longest answer that is read as "the application says no": words and small documents, not pages.
const REFUSAL_BYTES_MAX: usize = 1024;

/// When an answer counts as a confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// When the channel's platform would accept it.
    Platform,
    /// When the body is this word, with a status below 300.
    Body { word: String, how: Match },
    /// When the status is this one; `2xx` for a class.
    Status { text: String },
    /// When the JSON body has this value at this pointer, with a status below 300.
    Json { pointer: String, equals: String },
}

/// How a body is compared with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Exact,
    Trimmed,
    Contains,
}

impl Rule {
    /// Any status of success.
    pub(super) fn any_2xx() -> Self {
        Self::Status { text: "2xx".to_owned() }
    }

    /// Reads the setting `success`.
    pub(super) fn from_settings(settings: &Settings, default: Self) -> Result<Self, SettingsError> {
        let Some(pairs) = settings.pairs("success") else { return Ok(default) };
        let malformed = |detail: &str| SettingsError::new("success", "malformed").because(detail);
        let value = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let keys: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        match keys.as_slice() {
            [""] if value("") == Some("platform") => Ok(Self::Platform),
            ["body"] | ["body", "match"] | ["match", "body"] => {
                let how = match value("match").unwrap_or("trimmed") {
                    "exact" => Match::Exact,
                    "trimmed" => Match::Trimmed,
                    "contains" => Match::Contains,
                    other => return Err(SettingsError::new("success", "unknown_word").because(other)),
                };
                let word = value("body").filter(|word| !word.trim().is_empty()).ok_or_else(|| malformed("body"))?;
                Ok(Self::Body { word: word.to_owned(), how })
            }
            ["status"] => {
                let status = value("status").unwrap_or_default().to_ascii_lowercase();
                let is_class = matches!(status.as_bytes(), [b'1'..=b'5', b'x', b'x']);
                let is_code = matches!(status.as_bytes(), [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']);
                if is_class || is_code { Ok(Self::Status { text: status }) } else { Err(malformed(&status)) }
            }
            ["json", "equals"] | ["equals", "json"] => {
                let pointer = value("json").unwrap_or_default();
                if !pointer.is_empty() && !pointer.starts_with('/') {
                    return Err(malformed(pointer));
                }
                Ok(Self::Json { pointer: pointer.to_owned(), equals: value("equals").unwrap_or_default().to_owned() })
            }
            _ => Err(malformed(&keys.join(", "))),
        }
    }

    /// Judges a whole answer.
    pub(super) fn judge(&self, answer: &Answer, envelope: &Envelope) -> Attempted {
        let mut notes = Vec::new();
        if let Some(message) = php_message(&answer.stderr).or_else(|| php_message(&answer.body)) {
            notes.push(Reason::new("php_message", &message.message));
        }
        let outcome = match self.matches(answer, envelope) {
            AckMatch::Exact => Outcome::Delivered,
            AckMatch::Trimmed => {
                notes.extend(notes_around(&answer.body));
                Outcome::Delivered
            }
            AckMatch::Within => failure(answer, true),
            AckMatch::No => failure(answer, false),
        };
        if let Outcome::RetryLater { reason, .. } = &outcome {
            // What is the reason need not be told twice.
            notes.retain(|note| note.detail != reason.detail);
        }
        attempted(outcome, notes, answer, true)
    }

    fn matches(&self, answer: &Answer, envelope: &Envelope) -> AckMatch {
        let is_success = answer.status < 300;
        // PHP says 200 even when it dies, while it shows its errors; a loose rule must not fall for that.
        let has_fatal = || {
            [&answer.stderr, &answer.body].into_iter().any(|b| php_message(b).is_some_and(|message| message.is_fatal))
        };
        let when = |is_true: bool| if is_true { AckMatch::Exact } else { AckMatch::No };
        match self {
            // What was cut is no short word, whatever it begins with.
            Self::Platform | Self::Body { how: Match::Exact | Match::Trimmed, .. } if answer.is_cut => AckMatch::No,
            Self::Platform => (envelope.is_ack)(&AppReply { status: answer.status, body: &answer.body }),
            Self::Body { .. } | Self::Json { .. } if !is_success => AckMatch::No,
            Self::Body { word, how } => match (AckMatch::of_word(&answer.body, word.as_bytes()), how) {
                (AckMatch::Trimmed, Match::Exact) => AckMatch::Within,
                (AckMatch::Within | AckMatch::Trimmed, Match::Contains) => when(!has_fatal()),
                (found, _) => found,
            },
            Self::Status { text } => {
                let status = answer.status.to_string();
                when(!has_fatal() && (status == *text || text.ends_with("xx") && status[..1] == text[..1]))
            }
            Self::Json { pointer, equals } => {
                let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
                let document = serde_json::from_slice::<serde_json::Value>(body).ok();
                when(document.as_ref().and_then(|d| d.pointer(pointer)).is_some_and(|v| is_equal(v, equals)))
            }
        }
    }
}

/// A number and its text are the same here: `0` and `"0"`.
fn is_equal(value: &serde_json::Value, expected: &str) -> bool {
    match value {
        serde_json::Value::String(text) => text == expected,
        serde_json::Value::Number(number) => number.to_string() == expected,
        serde_json::Value::Bool(flag) => flag.to_string() == expected,
        serde_json::Value::Null => expected == "null",
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => false,
    }
}

/// Why an answer is no confirmation, the surest cause first.
fn failure(answer: &Answer, has_word: bool) -> Outcome {
    if let Some(reason) = of_fpm(answer) {
        return Outcome::RetryLater { reason, after: None };
    }
    let message = php_message(&answer.stderr).into_iter().chain(php_message(&answer.body)).max_by_key(|m| m.is_fatal);
    if let Some(fatal) = message.as_ref().filter(|message| message.is_fatal) {
        return retry("php_fatal", &fatal.message);
    }
    let body = text(&answer.body);
    let body = body.trim_start_matches('\u{feff}').trim();
    let quoted = quote(&answer.body);
    let status = answer.status;
    if (300..400).contains(&status) {
        return retry("redirect", &format!("{status} → {}", answer.location.as_deref().unwrap_or("?")));
    }
    if !(200..300).contains(&status) {
        return retry("http_status", &format!("{status}: {quoted}"));
    }
    if let Some(warning) = message.filter(|_| has_word && php_message(&answer.body).is_some()) {
        return retry("php_warning_before_word", &warning.message);
    }
    if body.is_empty() {
        return retry("empty_answer", "");
    }
    if is_html(answer, body) {
        return retry("html_page", &quoted);
    }
    if is_refusal(body) {
        return retry("application_failed", &quoted);
    }
    retry("wrong_word", &quoted)
}

fn is_html(answer: &Answer, body: &str) -> bool {
    let start: String = body.chars().take(64).collect::<String>().to_ascii_lowercase();
    let begins_a_page = start.starts_with("<!doctype html") || start.starts_with("<html");
    let has_tags = || ["</html>", "<body", "<div", "<h1", "<p>", "<br"].iter().any(|tag| body.contains(tag));
    // PHP calls everything HTML that says nothing else; so the type alone is no sign.
    begins_a_page || answer.content_type.starts_with("text/html") && body.starts_with('<') && has_tags()
}

/// Whether a short answer holds the word by which applications and platforms say no.
fn is_refusal(body: &str) -> bool {
    body.len() <= REFUSAL_BYTES_MAX
        && body
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| ["fail", "failed", "failure", "error"].iter().any(|no| word.eq_ignore_ascii_case(no)))
}

/// Names what stands around the word: nobody sees it in an editor.
fn notes_around(body: &[u8]) -> Vec<Reason> {
    let seen = text(body);
    let inner = |c: char| !c.is_whitespace() && c != '\u{feff}';
    let before = seen.find(inner).unwrap_or(0);
    let after = seen.rfind(inner).map_or(seen.len(), |at| at + seen[at..].chars().next().map_or(0, char::len_utf8));
    let (before, after) = (&seen[..before], &seen[after..]);
    let mut notes = Vec::new();
    if before.contains('\u{feff}') || after.contains('\u{feff}') {
        notes.push(Reason::new("bom_around_word", &quote(body)));
    }
    if before.contains(char::is_whitespace) || after.contains(char::is_whitespace) {
        notes.push(Reason::new("blanks_around_word", &quote(body)));
    }
    notes
}

/// The first characters of an answer, with the invisible ones written out.
fn quote(body: &[u8]) -> String {
    let seen = text(body);
    let mut quoted = String::from("\"");
    for c in seen.chars().take(QUOTED_CHARS) {
        match c {
            '\u{feff}' => quoted.push_str("<BOM>"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push_str(if seen.chars().nth(QUOTED_CHARS).is_some() { "…\"" } else { "\"" });
    quoted
}

#[cfg(test)]
mod tests;
