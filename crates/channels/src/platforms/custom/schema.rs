//! From settings to a recipe: everything that would let an unsigned or misread message through is refused
//! here, at the place in the file where it stands.

mod keys;
mod outside;
mod verify;

use http::Method;

pub(in crate::platforms) use self::keys::newest as newest_keys;
use super::fetch::Fetch;
use super::message::BodyForm;
use super::primitive::{Key, Primitive, Ring};
use super::replies::Replies;
use super::rules::Rules;
use super::signature::Carrier;
use super::template::{Place, Reference, Template};
use super::time::Stamp;
use crate::channel::KeyNote;
use crate::json::Pointer;
use crate::model::Environment;
use crate::settings::tree::Node;
use crate::settings::{Settings, SettingsError};
use crate::signature::token::SharedToken;

/// Most keys of one channel: those around a rotation, or one a key id.
pub(super) const KEYS_MAX: usize = 16;

/// Most alternative templates.
pub(super) const TEMPLATES_MAX: usize = 4;

/// Names of the alternatives in proofs.
pub(super) const VARIANTS: [&str; TEMPLATES_MAX] = ["message 1", "message 2", "message 3", "message 4"];

/// Longest name of a platform, in characters.
const PLATFORM_CHARS_MAX: usize = 32;

/// Longest account, in bytes.
const ACCOUNT_BYTES_MAX: usize = 128;

/// Everything that a configured channel knows.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) environment: Environment,
    pub(super) platform: String,
    pub(super) account: String,
    pub(super) verify: Verify,
    pub(super) rules: Rules,
    pub(super) replies: Replies,
}

/// How a message is believed.
#[derive(Debug)]
pub(super) struct Verify {
    pub(super) method: Method,
    /// Media types; empty for any.
    pub(super) media_types: Vec<String>,
    pub(super) body: BodyForm,
    pub(super) trust: Trust,
    pub(super) items: Option<Items>,
    /// Values that a message for this channel has.
    pub(super) require: Vec<(Reference, String)>,
    /// Where a message names its algorithm, and the names that are the configured one's.
    pub(super) algorithms: Vec<(Reference, Vec<String>)>,
    pub(super) live: Option<LiveWord>,
}

/// What is believed about money. There is no third way: what proves nothing of a message always comes with a question.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a channel, and it is never moved")]
pub(super) enum Trust {
    /// What the message says, under its signature.
    Message(Signed),
    /// What the platform answers when it is asked about the number in the message.
    Answer {
        /// What the message shows before anybody asks.
        evidence: Evidence,
        /// The question.
        fetch: Fetch,
    },
}

/// What a message shows whose content is not believed.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a channel, and it is never moved")]
pub(super) enum Evidence {
    /// A signature that does not cover everything that matters.
    Signed(Signed),
    /// A token that both sides know.
    Token(Token),
    /// Nothing: anybody may have sent it.
    Nothing,
}

/// A signature: where it stands, what it covers, and what checks it.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) carrier: Carrier,
    pub(super) stamp: Option<Stamp>,
    pub(super) templates: Vec<Template>,
    pub(super) primitive: Primitive,
    /// Which key signed, where the message says so.
    pub(super) key_id: Option<Reference>,
    /// Whether the key signs for this merchant and for nobody else.
    pub(super) is_key_mine: bool,
    /// Whether every signed text holds a text that is the merchant's own.
    pub(super) is_told_to: bool,
}

/// A token: where it stands, and what it is.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) from: Reference,
    /// Fixed text before it.
    pub(super) prefix: String,
    pub(super) keys: Ring<SharedToken>,
}

/// A list in the body whose items are messages of their own.
#[derive(Clone, Debug)]
pub(super) struct Items {
    pub(super) from: Reference,
    pub(super) unwrap: Pointer,
}

/// The words that tell live from sandbox.
#[derive(Clone, Debug)]
pub(super) struct LiveWord {
    pub(super) from: Reference,
    /// Those of the channel's own environment; the empty one means that nothing stands there.
    pub(super) own: Vec<String>,
}

impl Recipe {
    /// Builds the recipe or says what is wrong with it.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let platform = settings.required_text("platform")?.to_owned();
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if platform.len() > PLATFORM_CHARS_MAX || !platform.bytes().all(is_word) {
            return Err(SettingsError::new("platform", "malformed_id").because("a-z, 0-9, _ and -"));
        }
        let account = settings.required_text("account")?.to_owned();
        if account.len() > ACCOUNT_BYTES_MAX || account.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(SettingsError::new("account", "malformed_id"));
        }
        let mut configured = settings.pairs("values").unwrap_or_default().to_vec();
        if configured.iter().any(|(name, _)| name.is_empty()) {
            return Err(SettingsError::new("values", "malformed"));
        }
        // In a signed text it would bind nothing.
        if let Some((name, _)) = configured.iter().find(|(_, value)| value.trim().is_empty()) {
            return Err(SettingsError::new("values", "malformed").because(format!("{name} = \"\"")));
        }
        // A platform that names the merchant outside the body names it in `require`.
        if configured.iter().all(|(name, _)| name != "account") {
            configured.push(("account".to_owned(), account.clone()));
        }
        let configured = configured.as_slice();
        let tree = settings.tree("verify").ok_or(SettingsError::new("verify", "missing"))?;
        let event = settings.tree("event").ok_or(SettingsError::new("event", "missing"))?;
        let verify = verify::read(settings, configured, &Node::new("verify", tree))?;
        let rules = Rules::read(&Node::new("event", event), &verify, configured)?;
        let replies = Replies::read(settings.tree("reply"))?;
        Ok(Self { environment: settings.environment, platform, account, verify, rules, replies })
    }

    /// Public facts about the keys: which there are, and nothing of what the secret ones are.
    pub(super) fn notes(&self) -> Vec<KeyNote> {
        let mut notes = match (self.verify.signed(), &self.verify.trust) {
            (Some(signed), _) => signed.primitive.notes(),
            (None, Trust::Answer { evidence: Evidence::Token(token), .. }) => token.notes(),
            (None, _) => Vec::new(),
        };
        notes.extend(self.verify.fetch().map(Fetch::note));
        notes
    }
}

impl Token {
    fn notes(&self) -> Vec<KeyNote> {
        let note = |key: &Key<SharedToken>| KeyNote {
            label: key.label.clone(),
            algorithm: "token".to_owned(),
            fingerprint: None,
            not_after: key.life.until,
        };
        self.keys.0.iter().map(note).collect()
    }
}

impl Signed {
    /// Whether the value at this place is under the signature, whichever template matched.
    pub(super) fn covers(&self, reference: &Reference) -> bool {
        self.templates.iter().all(|template| template.covers(reference))
    }

    /// In how many ways one signature is checked: by each key that may be meant, over each text.
    pub(super) fn ways(&self) -> usize {
        let names_key = self.key_id.is_some() || self.carrier.names_key();
        let keys = self.primitive.public_keys().filter(|_| !names_key).unwrap_or(1);
        keys * self.templates.len()
    }

    /// Whether the whole body is under the signature, whichever template matched.
    fn covers_body(&self) -> bool {
        self.templates.iter().all(|template| template.references().any(|one| one.place == Place::Body))
    }

    /// Single values under the signature, whichever template matched.
    pub(super) fn covered(&self) -> impl Iterator<Item = &Reference> {
        self.templates.first().into_iter().flat_map(Template::references).filter(|one| self.covers(one))
    }
}

impl Verify {
    /// The signature, where messages have one.
    pub(super) fn signed(&self) -> Option<&Signed> {
        match &self.trust {
            Trust::Message(signed) | Trust::Answer { evidence: Evidence::Signed(signed), .. } => Some(signed),
            Trust::Answer { .. } => None,
        }
    }

    /// Whether each item is signed by itself.
    pub(super) fn signs_items(&self) -> bool {
        self.signed().is_some_and(|signed| matches!(signed.carrier.from.place, Place::Item(_)))
    }

    /// The question, where the platform is asked.
    pub(super) fn fetch(&self) -> Option<&Fetch> {
        match &self.trust {
            Trust::Message(_) => None,
            Trust::Answer { fetch, .. } => Some(fetch),
        }
    }

    /// Whether the value at this place is believed.
    pub(super) fn covers(&self, reference: &Reference) -> bool {
        match &self.trust {
            Trust::Message(signed) => signed.covers(reference),
            Trust::Answer { .. } => matches!(reference.place, Place::Answer(_)),
        }
    }

    /// Whether the whole of what is read is believed.
    pub(super) fn covers_all(&self) -> bool {
        match &self.trust {
            Trust::Message(signed) => signed.covers_body(),
            Trust::Answer { .. } => true,
        }
    }

    /// Single values that are believed.
    pub(super) fn covered(&self) -> impl Iterator<Item = &Reference> {
        let signed = match &self.trust {
            Trust::Message(signed) => Some(signed),
            Trust::Answer { .. } => None,
        };
        signed.into_iter().flat_map(Signed::covered)
    }

    /// Whether a place exists in this channel's messages.
    pub(super) fn can_read(&self, reference: &Reference) -> bool {
        match &reference.place {
            Place::Item(_) => self.items.is_some(),
            Place::Answer(_) => self.fetch().is_some(),
            Place::Sig(name) => self.signed().is_some_and(|signed| signed.carrier.has_pair(name)),
            place => exists(place, self.body),
        }
    }
}

/// Whether a place of the message itself exists in messages of this form.
pub(super) fn exists(place: &Place, body: BodyForm) -> bool {
    match place {
        Place::Json(_) => body == BodyForm::Json,
        Place::Form(_) => body == BodyForm::Form,
        Place::Body | Place::BodyCrc32 => body != BodyForm::Query,
        Place::Method | Place::Path | Place::Header(_) | Place::Query(_) => true,
        Place::Item(_) | Place::Sig(_) | Place::Answer(_) => false,
    }
}
