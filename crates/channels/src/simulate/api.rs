//! A platform's side of hints: what sends a message that proves nothing, and answers the question about it, well or
//! badly.

use super::{Cover, Story, WrittenSetting};
use crate::channel::{FetchBack, FetchRefused, Hint, HttpAnswer, HttpAsk, NextAsk, Question};
use crate::model::{EventKind, RawRequest, Timestamp};

/// The part of a platform that answers questions, with throw-away credentials and a memory of what it told.
pub trait ApiOffice: Send + Sync {
    /// The settings of a channel that asks this office at the URL `base`.
    fn written_settings(&self, base: &str) -> Vec<WrittenSetting>;

    /// The kinds of story that it knows.
    fn stories(&self) -> &'static [EventKind];

    /// The message that names a story, and says nothing of it. Asked about its number, the office tells the story; a
    /// later story of the same order and serial takes the place of the one before, as a payment's next state does.
    fn hint(&self, story: &Story) -> RawRequest;

    /// What of such a message leads to the answer that is its proof.
    fn cover(&self) -> Cover;

    /// The answer to a question, as the platform would give it, or as somebody else would. A question with another
    /// credential, or about a number that was never told, is refused as the platform refuses it. Where the platform
    /// wants a login first, this answers the login as well, and a question only with a credential that it gave.
    fn answer(&self, ask: &HttpAsk, conduct: ApiConduct) -> HttpAnswer;

    /// Every credential that a login was given ends here and now.
    fn end_logins(&self) {}
}

/// The question about a hint, behind a login at the office where the platform wants one.
///
/// # Errors
/// [`FetchRefused`] when the login grants nothing.
///
/// # Panics
/// When what an honest login gave is of no use for the question: the channel would never ask.
pub fn question(
    back: &dyn FetchBack,
    office: &dyn ApiOffice,
    hint: &Hint,
    now: Timestamp,
) -> Result<Question, FetchRefused> {
    let login = match back.ask(hint, None, now) {
        NextAsk::Question(question) => return Ok(question),
        NextAsk::Login(login) => login,
    };
    let answer = office.answer(login.ask(), ApiConduct::Honest);
    let credential = login.granted(answer, now)?;
    Ok(back.ask(hint, Some(&credential), now).question().expect("a login leads to the question"))
}

/// How an office answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiConduct {
    /// As the platform does.
    Honest,
    /// An honest answer about another number than the one that was asked for; of a login, a credential of another kind.
    OtherNumber,
    /// An honest answer, cut.
    Cut,
    /// An honest answer in which the member that decides comes twice.
    Twice,
    /// Larger than any honest one.
    Huge,
    /// No answer of this interface.
    Garbage,
    /// Nothing.
    Empty,
    /// The credential is not accepted.
    Denied,
    /// Asked too often.
    Throttled,
    /// An error of the platform.
    Broken,
}

impl ApiConduct {
    /// Every way in which an answer is worth nothing.
    pub const BAD: &[Self] = &[
        Self::OtherNumber,
        Self::Cut,
        Self::Twice,
        Self::Huge,
        Self::Garbage,
        Self::Empty,
        Self::Denied,
        Self::Throttled,
        Self::Broken,
    ];
}
