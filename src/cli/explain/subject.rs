//! What is asked about: a record of the inbox, or a copy of a request in a file or on standard input.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tollbell_channels::explain::Kept;
use tollbell_channels::model::{RawRequest, Timestamp};

use super::path_text;
use super::unread::why;
use crate::capture::{self, CAPTURE_BYTES_MAX, Capture, Fidelity, Form, Note};
use crate::cli::context::{Context, visible};
use crate::cli::show::{AnyId, read_notification};
use crate::inbox::rejections::RejectionRecord;
use crate::inbox::{self, Inbox, NotificationRecord, RejectionId, Way};
use crate::messages::Message;

/// What the argument names. An id is an id, also where a file is called so: `./rej_…` is the file.
pub(super) enum What {
    /// A refused request.
    Rejection(RejectionId),
    /// A notification, or what belongs to one.
    Stored(AnyId, String),
    /// Standard input.
    Input,
    /// A file.
    File(PathBuf),
}

impl What {
    pub(super) fn of(argument: &Path) -> Self {
        let text = argument.to_str().unwrap_or_default();
        if text == "-" {
            return Self::Input;
        }
        if let Ok(id) = text.parse() {
            return Self::Rejection(id);
        }
        match AnyId::parse(text) {
            Some(id) => Self::Stored(id, text.to_owned()),
            None => Self::File(argument.to_owned()),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejection(id) => id.fmt(f),
            Self::Stored(_, id) => f.write_str(id),
            Self::Input => f.write_str("-"),
            Self::File(path) => f.write_str(&path_text(path)),
        }
    }
}

/// A request that is to be explained, in every way in which it can be read.
pub(super) struct Subject {
    pub(super) origin: Origin,
    /// The likeliest first. None when the body was not kept.
    pub(super) readings: Vec<Reading>,
}

/// Where it comes from.
pub(super) enum Origin {
    Rejection(Box<RejectionRecord>),
    Notification(Box<NotificationRecord>),
    /// A copy, by its name.
    Copy(String),
}

/// A request as it was kept.
pub(super) struct Reading {
    pub(super) request: RawRequest,
    pub(super) kept: Kept,
    /// How it was kept; none for what the gateway itself received.
    pub(super) form: Option<Form>,
    pub(super) fidelity: Fidelity,
    pub(super) notes: Vec<Note>,
    /// Which of a copy's requests it is.
    pub(super) record: usize,
    /// Whether the time at which it came is known.
    pub(super) is_dated: bool,
}

impl Reading {
    fn received(request: RawRequest) -> Self {
        let (kept, fidelity) = (Kept::WHOLE, Fidelity::Bytes);
        Self { request, kept, form: None, fidelity, notes: Vec::new(), record: 0, is_dated: true }
    }

    fn copied(capture: Capture, at: Timestamp) -> Self {
        let Capture { request, form, fidelity, notes, record } = capture;
        let is_damaged = notes.iter().any(|note| matches!(note, Note::Replaced | Note::Utf16));
        let has_bytes = fidelity == Fidelity::Bytes && !is_damaged;
        let kept = Kept { has_head: !notes.contains(&Note::NoHeaders), has_bytes };
        let is_dated = request.received_at != at;
        Self { request, kept, form: Some(form), fidelity, notes, record, is_dated }
    }
}

impl Subject {
    /// The channel to which it came, where the record says so.
    pub(super) fn channel(&self) -> Option<&str> {
        match &self.origin {
            Origin::Rejection(record) => record.channel.as_deref(),
            Origin::Notification(record) => Some(&record.channel),
            Origin::Copy(_) => None,
        }
    }

    /// Whether it is what the platform answered when it was asked, and no callback.
    pub(super) fn is_answer(&self) -> bool {
        matches!(&self.origin, Origin::Notification(record) if Way::of(&record.proof) == Way::Hint)
    }

    /// Whether credentials were taken out before it was kept.
    pub(super) fn is_redacted(&self) -> bool {
        match &self.origin {
            Origin::Rejection(record) => record.request.as_ref().is_some_and(|kept| kept.is_redacted),
            Origin::Notification(_) | Origin::Copy(_) => false,
        }
    }
}

/// The copy that is asked about; none when it is a record.
pub(super) fn copy(context: &Context<'_>, what: &What, at: Timestamp) -> anyhow::Result<Option<Subject>> {
    let name = visible(&what.to_string());
    let text = match what {
        What::Rejection(_) | What::Stored(..) => return Ok(None),
        What::Input => read_bounded(io::stdin().lock()),
        What::File(path) => File::open(path).and_then(read_bounded),
    };
    let unreadable = |why: String| Message::new("explain.unreadable").with("path", &name).with("why", why);
    let text = text.map_err(|error| context.usage(&unreadable(error.to_string())))?;
    let readings =
        capture::read(&text, at).map_err(|error| context.usage(&unreadable(visible(&why(&error, context.lang)))))?;
    let readings = readings.into_iter().map(|capture| Reading::copied(capture, at)).collect();
    Ok(Some(Subject { origin: Origin::Copy(name), readings }))
}

/// One byte more than is read at all, so that what is too large is seen to be.
fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let most = u64::try_from(CAPTURE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    from.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// The record that is asked about.
pub(super) async fn stored(inbox: &dyn Inbox, what: &What) -> Result<Subject, inbox::Error> {
    match what {
        What::Rejection(id) => {
            let record = inbox.rejection(*id).await?;
            let whole = record.request.as_ref().filter(|kept| kept.is_whole());
            let readings = whole.map(|kept| Reading::received(kept.request.clone())).into_iter().collect();
            Ok(Subject { origin: Origin::Rejection(Box::new(record)), readings })
        }
        What::Stored(id, _) => {
            let mut record = read_notification(inbox, *id).await?;
            let readings = record.request.take().map(Reading::received).into_iter().collect();
            Ok(Subject { origin: Origin::Notification(Box::new(record)), readings })
        }
        What::Input | What::File(_) => Err(inbox::Error::NotFound),
    }
}

/// Reads the name of a form for people.
pub(super) fn form_name(form: Form) -> &'static str {
    match form {
        Form::Http => "explain.form_http",
        Form::Curl => "explain.form_curl",
        Form::Har => "explain.form_har",
        Form::Event => "explain.form_event",
        Form::PrintR => "explain.form_print_r",
        Form::VarExport => "explain.form_var_export",
        Form::VarDump => "explain.form_var_dump",
        Form::JsonFields => "explain.form_json_fields",
        Form::Body => "explain.form_body",
    }
}
