//! An application's answer, whatever way it came.

/// The status of an answer that names none, by the CGI rules.
pub(super) const STATUS_DEFAULT: u16 = 200;

/// An application's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its status code.
    pub(super) status: u16,
    /// Its content type as written, or empty.
    pub(super) content_type: String,
    /// Where it redirects to.
    pub(super) location: Option<String>,
    /// Its body, perhaps cut.
    pub(super) body: Vec<u8>,
    /// Whether the body was longer than what is kept.
    pub(super) is_cut: bool,
    /// What was written to the error stream.
    pub(super) stderr: Vec<u8>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: STATUS_DEFAULT,
            content_type: String::new(),
            location: None,
            body: Vec::new(),
            is_cut: false,
            stderr: Vec::new(),
        }
    }
}
