//! What self-hosted gateways of one family have in common: pairs in a query or a form, joined to one text that
//! escapes nothing, and parameters of the merchant's own among them.
//!
//! Such a gateway appends its pairs to whatever the notify URL holds. The URL's own parameters then stand beside the
//! signed ones, and nothing tells them apart: so everything must be signed, but for the names that the merchant
//! gave as its own, and those only in a query. A text that escapes nothing can also be cut into other pairs without the key; see
//! [`Message::ambiguous_field`].

mod reading;

pub(super) use self::reading::{Reading, fen, read_compact, read_millis, read_time, yuan};
#[cfg(feature = "simulate")]
pub(super) use self::reading::{write_compact, write_time};

use http::Method;

use super::outside::{self, FORM, is_ordinary, split};
use crate::channel::{Rejection, quote};
use crate::form::{Form, Limits, Pair, written};
use crate::model::RawRequest;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};

/// The setting that names the merchant's own parameters.
pub(super) const OWN: &str = "ignored_parameters";

/// Most parameters of a merchant's own; a notify URL has one or two.
const OWN_MAX: usize = 16;

/// Longest name of such a parameter, in bytes.
const OWN_BYTES_MAX: usize = 64;

/// Shortest secret under a digest, in bytes. These gateways make secrets of 32 and more; a shorter one can be found by
/// trying, since every genuine message shows a digest of it.
const SECRET_BYTES_MIN: usize = 16;

/// How one of these protocols writes its messages.
#[derive(Debug)]
pub(super) struct Protocol {
    /// Every field that the platform writes.
    pub(super) known: &'static [&'static str],
    /// Those of them whose text somebody else chooses.
    pub(super) free_text: &'static [&'static str],
    /// Those of them that the signature does not cover.
    pub(super) unsigned: &'static [&'static str],
    /// Fields that only the merchant's requests have. A request is signed with the same key by the same rule, and a buyer's
    /// browser can see it: cut anew at the free text of such a field, it could pass for a message.
    pub(super) of_requests: &'static [&'static str],
    /// How much is read.
    pub(super) limits: Limits,
    /// Whether messages come by GET, in the query.
    pub(super) by_get: bool,
    /// Whether messages come by POST without a body, in the query.
    pub(super) by_bare_post: bool,
}

/// The description of the setting, the same for each of these platforms.
pub(super) const OWN_SETTING: Setting = Setting {
    name: OWN,
    kind: SettingKind::Texts,
    is_required: false,
    help: Text {
        en: "names of parameters that stand in your own notify URL (`https://…/notify?act=pay`: `act`). The platform does \
             not sign them and anybody could change them: they are left out before the signature is checked, and nothing \
             that the gateway says depends on them. They do not reach your script with the message. A script that needs one \
             finds it in the target's own address (`request_uri`, `url`), or, as it was received, with \
             `forward_query = true` of the target. This holds for the query alone: a message whose form has such a \
             parameter is refused, since the form reaches your script unchanged. A parameter that is not listed here is \
             refused in the query, too, also the `channel` of `/notify?channel=…`, unless its value is empty. What stands in \
             the query beside a form is not read. A notify URL without `?` is better",
        zh: "你自己写在异步通知地址里的参数名（如 `https://…/notify?act=pay` 中的 `act`）。平台不对它们签名，任何人都能改动，\
             因此验签前先剔除，网关的结论也与它们无关。它们不会随通知交给脚本；脚本需要时，请写进投递目标自己的地址\
             (`request_uri`、`url`)，或在投递目标上设置 `forward_query = true`，按收到的原样附上。以上只适用于地址里的查询串：\
             表单正文会原样交给脚本，正文里出现这类参数的通知一律拒绝。查询串里没有列在这里的参数，只要值不为空，也一律拒绝\
             （包括 `/notify?channel=…` 里的 `channel`）。通知以表单送达时，不读取地址里的查询串。通知地址里最好不要带 `?`",
    },
    example: "act",
};

/// Parameters of the merchant's own.
#[derive(Debug, Default)]
pub(super) struct OwnParameters(Vec<String>);

impl OwnParameters {
    /// Reads the setting. No field of the platform can be given away to strangers by it.
    pub(super) fn read(settings: &Settings, protocol: &Protocol) -> Result<Self, SettingsError> {
        let Some(names) = settings.texts(OWN) else { return Ok(Self::default()) };
        if names.is_empty() {
            return Err(SettingsError::new(OWN, "empty_list"));
        }
        if names.len() > OWN_MAX {
            return Err(SettingsError::new(OWN, "out_of_range").because(format!("{} > {OWN_MAX}", names.len())));
        }
        for name in names {
            if name.is_empty() || name.len() > OWN_BYTES_MAX || !is_ordinary(name.as_bytes()) {
                return Err(SettingsError::new(OWN, "malformed").because(quote(name)));
            }
            if protocol.known.iter().chain(protocol.of_requests).any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(SettingsError::new(OWN, "relation").because(name.as_str()));
            }
        }
        Ok(Self(names.to_vec()))
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|own| own.as_bytes() == name)
    }
}

/// A secret of visible characters that is long enough to be one; none when it is not configured.
pub(super) fn secret<'s>(settings: &'s Settings, name: &'static str) -> Result<Option<&'s [u8]>, SettingsError> {
    settings.long_secret(name, SECRET_BYTES_MIN)
}

/// An id as these platforms write them: letters and digits, `_` and `-`.
pub(super) fn id(settings: &Settings, name: &'static str, bytes_max: usize) -> Result<String, SettingsError> {
    let id = settings.required_text(name)?.trim();
    if id.len() > bytes_max || !is_ordinary(id.as_bytes()) {
        return Err(SettingsError::new(name, "malformed_id").because(quote(id)));
    }
    Ok(id.to_owned())
}

/// Decoded names and values under a signature.
pub(super) type Covered<'m> = Vec<(&'m [u8], &'m [u8])>;

/// The pairs of a request, as they came.
pub(super) struct Message<'r> {
    form: Form<'r>,
    own: &'r OwnParameters,
    protocol: &'static Protocol,
}

impl<'r> Message<'r> {
    /// Splits a request that has the right outside. Cheap: nothing is checked yet but what two readers could
    /// take for two messages.
    pub(super) fn read(
        request: &'r RawRequest,
        protocol: &'static Protocol,
        own: &'r OwnParameters,
    ) -> Result<Self, Rejection> {
        let in_query = is_in_query(request, protocol)?;
        let form = if in_query {
            split(request.query.as_deref().unwrap_or_default().as_bytes(), protocol.limits, "query")?
        } else {
            // What stands in the URL beside a form is no part of it.
            split(&request.body, protocol.limits, "body")?
        };
        if form.pairs().is_empty() {
            return Err(Rejection::Empty);
        }
        let message = Self { form, own, protocol };
        message.check_names()?;
        if !in_query {
            message.check_own()?;
        }
        Ok(message)
    }

    /// Every reader must see the same fields, and an empty value is not signed: see [`outside::check_names`].
    fn check_names(&self) -> Result<(), Rejection> {
        outside::check_form_names(&self.form)?;
        let is_of_request =
            |pair: &&Pair<'_>| self.protocol.of_requests.iter().any(|one| one.as_bytes() == &*pair.name);
        match self.form.pairs().iter().find(is_of_request) {
            Some(pair) => Err(Rejection::Malformed { field: shown(&pair.name) }),
            None => Ok(()),
        }
    }

    /// The merchant's own parameters stand in the merchant's address. A form reaches the script byte for byte, so whoever
    /// added such a pair to it would be believed there.
    fn check_own(&self) -> Result<(), Rejection> {
        match self.form.pairs().iter().find(|pair| self.own.has(&pair.name)) {
            Some(pair) => Err(Rejection::Unsigned { field: shown(&pair.name) }),
            None => Ok(()),
        }
    }

    /// A field's bytes; none when it is absent, empty or blank.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.form.present(name)
    }

    /// Whether a field is there with any value, a blank one too: that is signed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.form.first(name).is_some_and(|pair| !pair.value.is_empty())
    }

    /// A field without which nothing can be checked.
    pub(super) fn required(&self, name: &'static str) -> Result<&[u8], Rejection> {
        self.get(name).ok_or_else(|| Rejection::Missing { field: name.into() })
    }

    /// The pairs that the signature covers, in the order in which they came. An empty value is an absent one.
    pub(super) fn covered(&self) -> Covered<'_> {
        self.signed_pairs().map(|pair| (pair.name.as_ref(), pair.value.as_ref())).collect()
    }

    /// The same without the names that the platform is not known to write, and the first of those: to tell why a
    /// signature does not match, never to accept one.
    pub(super) fn known_alone(&self) -> Option<(Covered<'_>, &[u8])> {
        let is_known = |pair: &&Pair<'_>| self.protocol.known.iter().any(|known| known.as_bytes() == &*pair.name);
        let stranger = self.signed_pairs().find(|pair| !is_known(pair))?;
        let known = self.signed_pairs().filter(is_known).map(|pair| (pair.name.as_ref(), pair.value.as_ref()));
        Some((known.collect(), stranger.name.as_ref()))
    }

    /// Why a message is refused that its signature did not prove: a text that is none was re-encoded on its way.
    pub(super) fn unproven(&self) -> Rejection {
        let is_text = |pair: &Pair<'_>| std::str::from_utf8(&pair.value).is_ok();
        if self.form.pairs().iter().all(is_text) {
            Rejection::Signature
        } else {
            Rejection::Charset { charset: "utf-8".into() }
        }
    }

    /// The pairs that an application needs, as they were written, where they stand in the query: what the signature covers,
    /// what carries it, and the platform's own fields without a value, which say the same as absent ones. Empty fields of a
    /// name that the platform does not write are anybody's, as the merchant's own parameters are.
    pub(super) fn signed_query(
        request: &RawRequest,
        protocol: &'static Protocol,
        own: &OwnParameters,
    ) -> Option<String> {
        if !is_in_query(request, protocol).ok()? {
            return None;
        }
        let message = Message::read(request, protocol, own).ok()?;
        let is_known = |pair: &&Pair<'_>| protocol.known.iter().any(|known| known.as_bytes() == &*pair.name);
        let goes_on = |pair: &&Pair<'_>| !pair.value.is_empty() || is_known(pair);
        String::from_utf8(written(message.platform_pairs().filter(goes_on))).ok()
    }

    /// Every field as text, but the merchant's own parameters, which nobody signed.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.platform_pairs().map(|pair| (text(&pair.name), text(&pair.value))).collect()
    }

    /// The name of a field whose value may be two fields. Joining does not escape, so the same signed text can be
    /// split elsewhere without the key: whoever chooses the name of a product could choose the amount, and whoever
    /// sees a genuine message could make one field swallow the next. The two cannot be told apart.
    ///
    /// Free text may hold `&` and even `&b=c`, as long as that is no field of the platform, and so may a field that we do
    /// not know. Any other field of the platform holds no `&` at all.
    pub(super) fn ambiguous_field(&self) -> Option<&[u8]> {
        self.platform_pairs().find(|pair| self.is_ambiguous(pair)).map(|pair| pair.name.as_ref())
    }

    fn is_ambiguous(&self, pair: &Pair<'_>) -> bool {
        let Protocol { known, free_text, unsigned, .. } = self.protocol;
        let is_one_of = |names: &[&str], name: &[u8]| names.iter().any(|one| one.as_bytes() == name);
        if is_one_of(known, &pair.name) && !is_one_of(free_text, &pair.name) && !is_one_of(unsigned, &pair.name) {
            return pair.value.contains(&b'&');
        }
        // What stands before a `=` behind each `&`. What nobody signs cannot come out of a signed text.
        let mut names = pair.value.split(|byte| *byte == b'&').skip(1).filter_map(|part| {
            let end = part.iter().position(|byte| *byte == b'=')?;
            part.get(..end)
        });
        names.any(|name| is_one_of(known, name) && !is_one_of(unsigned, name))
    }

    fn platform_pairs(&self) -> impl Iterator<Item = &Pair<'r>> {
        self.form.pairs().iter().filter(|pair| !self.own.has(&pair.name))
    }

    fn signed_pairs(&self) -> impl Iterator<Item = &Pair<'r>> {
        let is_covered = |name: &[u8]| !self.protocol.unsigned.iter().any(|one| one.as_bytes() == name);
        self.platform_pairs().filter(move |pair| is_covered(&pair.name) && !pair.value.is_empty())
    }
}

/// Whether the pairs stand in the query, and the method and media type are right.
pub(super) fn is_in_query(request: &RawRequest, protocol: &Protocol) -> Result<bool, Rejection> {
    let is_get = request.method == Method::GET;
    if request.method != Method::POST && !(is_get && protocol.by_get) {
        return Err(Rejection::Method { method: quote(request.method.as_str()) });
    }
    let limit = protocol.limits.bytes_max;
    if request.body.len() > limit {
        return Err(Rejection::TooLarge { limit });
    }
    let media_type = request.media_type();
    let is_form = media_type == FORM;
    if is_get {
        let is_bare = request.body.is_empty();
        return if is_bare { Ok(true) } else { Err(Rejection::Malformed { field: "body".into() }) };
    }
    let is_bare_post = protocol.by_bare_post && request.body.is_empty() && request.query.is_some();
    // Where there is no body, nobody need say of what type it is.
    let may_be_untyped = is_bare_post && media_type.is_empty();
    if !is_form && !may_be_untyped {
        return Err(Rejection::MediaType { media_type: quote(&media_type) });
    }
    if request.body.is_empty() && !is_bare_post {
        return Err(Rejection::Empty);
    }
    Ok(is_bare_post)
}

fn shown(name: &[u8]) -> String {
    quote(&String::from_utf8_lossy(name))
}
