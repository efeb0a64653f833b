//! A toy's channel: sound, or with one fault.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use tollbell_channels::channel::{Answer, Channel, KeyNote, Likeness, Rejection, Verdict};
use tollbell_channels::form::{self, Form, FormError};
use tollbell_channels::json::{Json, JsonError};
use tollbell_channels::model::{
    AckMatch, Amount, AppReply, Currency, EventKind, Fact, Identity, Money, Notification, Proven, RawRequest, Reply,
    Scope, Timestamp,
};
use tollbell_channels::settings::{Settings, SettingsError};
use tollbell_channels::signature::digest::SecretDigest;
use tollbell_channels::simulate::Carrier;
use tollbell_channels::sorted::{Order, join};
use tollbell_channels::xml::{self, Flat, XmlError};

use super::super::cover::query;
use super::super::pairs::{Pair, read, text, usual, with_text, write};
use super::super::written::decoded;
use super::side::{LEFT_OUT, QUESTION, SIGNATURE};
use super::{Fault, Kind, digest, malformed, missing};

/// Far more than a toy says.
const BYTES_MAX: usize = 64 * 1024;
const PAIRS_MAX: usize = 100;
/// More than there are in any rotation.
const SIGNATURES_MAX: usize = 4;

pub(super) struct Toy {
    kind: Kind,
    fault: Fault,
    shop: String,
    key: SecretDigest,
}

impl Toy {
    pub(super) fn new(kind: Kind, fault: Fault, settings: &Settings) -> Result<Self, SettingsError> {
        let shop = settings.required_text("shop")?.to_owned();
        let key = settings.secret_line("key")?.and_then(digest).ok_or(SettingsError::new("key", "missing"))?;
        Ok(Self { kind, fault, shop, key })
    }

    fn carrier(&self) -> Carrier {
        match self.kind {
            Kind::Form => Carrier::Form,
            Kind::Query => Carrier::Query,
            Kind::Xml | Kind::Sealed => Carrier::Xml,
            Kind::Json | Kind::Named | Kind::Url | Kind::Listed => Carrier::Json,
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// What this channel reads, by the crate's own readers.
    fn pairs(&self, request: &RawRequest) -> Result<Vec<Pair>, Rejection> {
        let bytes_max = if self.has(Fault::ReadsEverything) { usize::MAX } else { BYTES_MAX };
        let text = text(request, self.carrier());
        if text.is_empty() {
            return Err(Rejection::Empty);
        }
        if text.len() > bytes_max {
            return Err(Rejection::TooLarge { limit: bytes_max });
        }
        let pairs = match self.carrier() {
            Carrier::Form | Carrier::Query => form_pairs(&text, bytes_max)?,
            Carrier::Xml => xml_pairs(&text, bytes_max)?,
            Carrier::Json | Carrier::JsonTree => json_pairs(&text)?,
        };
        if pairs.iter().any(|pair| std::str::from_utf8(&pair.value).is_err() || pair.value.contains(&0)) {
            return Err(Rejection::Charset { charset: "UTF-8".to_owned() });
        }
        Ok(pairs)
    }

    /// The request as a careless channel takes it.
    fn taken(&self, request: &RawRequest) -> RawRequest {
        let carrier = self.carrier();
        if !self.has(Fault::TakesTwins) && !self.has(Fault::LooksElsewhere) {
            return request.clone();
        }
        let mut pairs = read(request, carrier);
        match self.fault {
            Fault::TakesTwins => {
                let later = |at: usize, pairs: &[Pair]| pairs[at + 1..].iter().any(|pair| pair.name == pairs[at].name);
                let kept =
                    (0..pairs.len()).filter(|&at| !later(at, &pairs)).map(|at| pairs[at].clone()).collect::<Vec<_>>();
                pairs = kept;
            }
            Fault::LooksElsewhere => {
                let elsewhere = if carrier == Carrier::Query { Carrier::Form } else { Carrier::Query };
                for pair in read(request, elsewhere) {
                    if !pairs.iter().any(|own| own.name == pair.name) {
                        pairs.push(pair);
                    }
                }
            }
            _ => return request.clone(),
        }
        if pairs == read(request, carrier) { request.clone() } else { write(request, &pairs, usual(carrier), carrier) }
    }

    fn check(&self, request: &RawRequest) -> Result<Verdict, Rejection> {
        let method = if self.kind == Kind::Query { Method::GET } else { Method::POST };
        if request.method != method && !self.has(Fault::TakesAnyMethod) {
            return Err(Rejection::Method { method: request.method.as_str().chars().take(20).collect() });
        }
        let media = match self.carrier() {
            Carrier::Query => None,
            Carrier::Form => Some("application/x-www-form-urlencoded"),
            Carrier::Xml => Some("text/xml"),
            Carrier::Json | Carrier::JsonTree => Some("application/json"),
        };
        if media.is_some_and(|media| request.media_type() != media) {
            return Err(Rejection::MediaType { media_type: request.media_type().chars().take(20).collect() });
        }
        let request = self.taken(request);
        let pairs = self.pairs(&request)?;
        let (signed, claimed, inner) = match self.kind {
            Kind::Form | Kind::Query | Kind::Xml | Kind::Json => {
                if value(&pairs, "mode")? != "MD5" && !self.has(Fault::BelievesTheUnsigned) {
                    return Err(Rejection::Algorithm { algorithm: "another".to_owned() });
                }
                (self.joined(&pairs), optional(&pairs, "sign"), pairs.clone())
            }
            Kind::Named => {
                let (time, msg) = (value(&pairs, "time")?, value(&pairs, "msg")?);
                if time.len() != 10 || !time.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(malformed("time"));
                }
                let signed = format!("{time}\n{msg}").into_bytes();
                (signed, optional(&pairs, "sign"), json_pairs(msg.as_bytes())?)
            }
            Kind::Sealed => {
                if value(&pairs, "shop")? != self.shop && !self.has(Fault::BelievesAnybody) {
                    return Err(Rejection::UnknownMerchant { field: "shop".to_owned() });
                }
                let sealed = match optional(&pairs, "sealed") {
                    None if self.has(Fault::NeedsNoSignature) => return Err(Rejection::Signature),
                    sealed => sealed.ok_or_else(|| missing("sealed"))?,
                };
                let opened = STANDARD.decode(sealed).map_err(|_| malformed("sealed"))?;
                let (inner, claimed) = opened.split_at(opened.len().saturating_sub(32));
                let claimed = String::from_utf8(claimed.to_vec()).map_err(|_| malformed("sealed"))?;
                (inner.to_vec(), Some(claimed), json_pairs(inner)?)
            }
            Kind::Url => {
                let signatures: Vec<Pair> = query(&request).into_iter().filter(|pair| pair.is_called("sign")).collect();
                let signature = if self.has(Fault::TakesTwins) { signatures.last() } else { signatures.first() };
                if signatures.len() > 1 && !self.has(Fault::TakesTwins) {
                    return Err(Rejection::Duplicate { field: "sign".to_owned() });
                }
                let claimed = signature.map(|pair| String::from_utf8_lossy(&pair.value).into_owned());
                (request.body.to_vec(), claimed, pairs.clone())
            }
            Kind::Listed => (request.body.to_vec(), self.listed(&request)?, pairs.clone()),
        };
        let claimed = match claimed {
            Some(claimed) if self.has(Fault::TakesEitherCase) => claimed.to_ascii_lowercase(),
            Some(claimed) if !self.has(Fault::BelievesAnybody) => claimed,
            None if !self.has(Fault::BelievesAnybody) && !self.has(Fault::NeedsNoSignature) => {
                return Err(missing("sign"));
            }
            _ => self.key.sign(&signed, b""),
        };
        let is_out_of_order = self.has(Fault::KnowsOneOrder) && !pairs[0].is_called("shop");
        let again = write(&request, &pairs, usual(self.carrier()), self.carrier());
        let is_rewritten =
            self.has(Fault::KnowsOneWriting) && (again.body != request.body || again.query != request.query);
        let verified = self.key.verify(&signed, b"", claimed.as_bytes(), "toy");
        let verified = verified.filter(|_| !is_out_of_order && !is_rewritten).ok_or(Rejection::Signature)?;
        let notification = self.notification(&pairs, &inner)?;
        Ok(Verdict::Genuine(Proven::by_signature(notification, verified)))
    }

    /// Of the signatures in the header, the one that is right; else the first one.
    fn listed(&self, request: &RawRequest) -> Result<Option<String>, Rejection> {
        let Some(header) = request.headers.get(SIGNATURE) else { return Ok(None) };
        let header = String::from_utf8_lossy(header.as_bytes()).into_owned();
        let is_code = |rest: &str| rest.bytes().take_while(u8::is_ascii_hexdigit).take(2).count() == 2;
        if !header.split('%').skip(1).all(is_code) && !self.has(Fault::DecodesAnything) {
            return Err(malformed(SIGNATURE));
        }
        let text = String::from_utf8(decoded(header.as_bytes())).map_err(|_| malformed(SIGNATURE))?;
        let mut found = Vec::new();
        for entry in text.split(';') {
            let (word, signature) = entry.split_once(',').ok_or_else(|| malformed(SIGNATURE))?;
            // In a text with what a careless decoder left in it, the signature is looked for.
            let signature = if self.has(Fault::DecodesAnything) { signature.trim_end_matches('%') } else { signature };
            if word == "v1" || self.has(Fault::TakesAnyWord) {
                found.push(signature.to_owned());
            }
        }
        if found.len() > SIGNATURES_MAX && !self.has(Fault::TriesEverySignature) {
            return Err(malformed(SIGNATURE));
        }
        found.truncate(if self.has(Fault::KnowsOneSignature) { 1 } else { found.len() });
        let is_right = |one: &&String| self.key.verify(&request.body, b"", one.as_bytes(), "toy").is_some();
        Ok(found.iter().find(is_right).or(found.first()).cloned())
    }

    fn joined(&self, pairs: &[Pair]) -> Vec<u8> {
        let covered =
            pairs.iter().filter(|pair| !LEFT_OUT.iter().any(|name| pair.is_called(name)) && !pair.value.is_empty());
        let value = |pair: &Pair| -> Vec<u8> {
            match self.fault {
                Fault::Trims => pair.value.trim_ascii().to_vec(),
                Fault::ReadsNumbersFirst if pair.is_called("amount") => {
                    let zeros = pair.value.iter().take_while(|&&byte| byte == b'0').count();
                    pair.value[zeros..].to_vec()
                }
                _ => pair.value.clone(),
            }
        };
        let covered: Vec<(Vec<u8>, Vec<u8>)> = covered.map(|pair| (pair.name.clone(), value(pair))).collect();
        join(covered.iter().map(|(name, value)| (name.as_slice(), value.as_slice())), Order::Bytes)
    }

    fn notification(&self, outer: &[Pair], inner: &[Pair]) -> Result<Notification, Rejection> {
        if value(inner, "shop")? != self.shop && !self.has(Fault::BelievesAnybody) {
            return Err(Rejection::UnknownMerchant { field: "shop".to_owned() });
        }
        let name = |field: &str| {
            let name = value(inner, field)?;
            let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            let is_plain = is_plain || self.has(Fault::TakesJoinedNames);
            if is_plain && !name.is_empty() { Ok(name) } else { Err(malformed(field)) }
        };
        let mut order_no = match name("order") {
            Err(_) if self.has(Fault::TakesJoinedNames) => String::new(),
            order_no => order_no?,
        };
        if self.has(Fault::BelievesTheUnsigned) {
            let unsigned = outer.iter().find(|pair| ["mode", "type", "result"].iter().any(|n| pair.is_called(n)));
            order_no.extend(unsigned.map(|pair| String::from_utf8_lossy(&pair.value).into_owned()));
        }
        let amount = value(inner, "amount")?;
        let minor = amount.parse().ok().filter(|_| amount.bytes().all(|byte| byte.is_ascii_digit()));
        let minor = minor.ok_or_else(|| malformed("amount"))?;
        let environment = tollbell_channels::model::Environment::Live;
        let scope = Scope { environment, family: "toy", account: self.shop.clone() };
        let number = name("number")?;
        let fact = Fact {
            kind: EventKind::PaymentSucceeded,
            scope: scope.clone(),
            identity: Identity::new(number.clone()).ok_or_else(|| malformed("number"))?,
            aliases: Vec::new(),
            amount: Amount::Stated(Money { minor, currency: Currency::CNY }),
            order_no: Some(order_no),
            platform_no: Some(number),
            payee: None,
            occurred_at: None,
            payment: None,
            baseline: None,
        };
        Ok(Notification {
            scope,
            platform_id: name("id")?,
            platform_kind: "paid".to_owned(),
            sent_at: None,
            facts: vec![fact],
            concerns: Vec::new(),
        })
    }
}

impl Channel for Toy {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if self.challenge(request).is_some() {
            return Likeness::Merchant;
        }
        let Ok(pairs) = self.pairs(&self.taken(request)) else { return Likeness::No };
        let inner = match (self.kind, optional(&pairs, "msg")) {
            (Kind::Named, Some(msg)) => json_pairs(msg.as_bytes()).unwrap_or_default(),
            (Kind::Named, None) => return Likeness::No,
            (Kind::Sealed, _) if optional(&pairs, "sealed").is_none() => return Likeness::No,
            (Kind::Sealed, _) => pairs.iter().cloned().chain([Pair::new("order", "")]).collect(),
            _ => pairs,
        };
        match (optional(&inner, "shop"), inner.iter().any(|pair| pair.is_called("order"))) {
            (Some(shop), true) if shop == self.shop => Likeness::Merchant,
            (Some(_), true) => Likeness::Shape,
            _ => Likeness::No,
        }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        self.check(request).unwrap_or_else(|rejection| {
            let shown = text(request, self.carrier());
            let shown: String = String::from_utf8_lossy(&shown).chars().take(1_000).collect();
            Verdict::Refused(if self.has(Fault::QuotesTheBody) { malformed(&shown) } else { rejection })
        })
    }

    /// The toy with a form asks for the signature of sixteen hexadecimal digits.
    fn challenge(&self, request: &RawRequest) -> Option<Reply> {
        if self.kind != Kind::Form || request.method != Method::GET || !request.body.is_empty() {
            return None;
        }
        let mut asked = query(request).into_iter().filter(|pair| pair.is_called(QUESTION));
        let (Some(question), None) = (asked.next(), asked.next()) else { return None };
        let is_digit = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let is_question = question.value.len() == 16 && question.value.iter().all(is_digit);
        let reply = self.key.sign(&question.value, b"");
        (is_question || self.has(Fault::SignsAnything)).then(|| Reply {
            status: 200,
            content_type: Some("text/plain"),
            body: reply.into(),
        })
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply::constant(200, "text/plain", b"done"),
            Answer::Failure(_) => Reply::constant(503, "text/plain", b"no"),
        }
    }

    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        if reply.status == 200 { AckMatch::of_word(reply.body, b"done") } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs = self.pairs(proven).unwrap_or_default();
        pairs.iter().map(|pair| (text(&pair.name), text(&pair.value))).collect()
    }

    fn signed_query(&self, proven: &RawRequest) -> Option<String> {
        let query = proven.query.as_deref()?;
        if self.has(Fault::HandsOnStrangers) {
            return Some(query.to_owned());
        }
        let is_own = |pair: &&str| match self.kind {
            Kind::Query => pair.split_once('=').is_some_and(|(_, value)| !value.is_empty()),
            Kind::Url => pair.starts_with("sign="),
            _ => false,
        };
        let own = query.split('&').filter(is_own).collect::<Vec<_>>().join("&");
        Some(own).filter(|own| !own.is_empty() && !self.has(Fault::KeepsTheQuery))
    }

    fn query_names(&self) -> Vec<&str> {
        vec!["amount", "id", "mode", "note", "number", "order", "shop", "sign"]
    }

    fn keys(&self) -> Vec<KeyNote> {
        vec![KeyNote { label: "key".to_owned(), algorithm: "MD5".to_owned(), fingerprint: None, not_after: None }]
    }
}

fn form_pairs(text: &[u8], bytes_max: usize) -> Result<Vec<Pair>, Rejection> {
    let limits = form::Limits { bytes_max, pairs_max: PAIRS_MAX };
    let form = Form::parse(text, limits).map_err(|error| match error {
        FormError::TooLarge { limit } => Rejection::TooLarge { limit },
        FormError::TooManyPairs { limit } => Rejection::TooManyFields { limit },
        FormError::Percent { .. } => malformed("body"),
    })?;
    if form.duplicate().is_some() {
        return Err(Rejection::Duplicate { field: "a field".to_owned() });
    }
    Ok(form.pairs().iter().map(|pair| Pair::new(pair.name.to_vec(), pair.value.to_vec())).collect())
}

fn xml_pairs(text: &[u8], bytes_max: usize) -> Result<Vec<Pair>, Rejection> {
    let limits = xml::Limits { bytes_max, fields_max: PAIRS_MAX };
    let flat = Flat::parse(text, limits).map_err(|error| match error {
        XmlError::TooLarge { limit } => Rejection::TooLarge { limit },
        XmlError::TooManyFields { limit } => Rejection::TooManyFields { limit },
        XmlError::Twice { name } => Rejection::Duplicate { field: name.chars().take(20).collect() },
        _ => malformed("body"),
    })?;
    Ok(flat.fields().iter().map(|(name, value)| Pair::new(name.as_str(), value.as_str())).collect())
}

fn json_pairs(text: &[u8]) -> Result<Vec<Pair>, Rejection> {
    let json = Json::parse(text).map_err(|error| match error {
        JsonError::Twice(_) => Rejection::Duplicate { field: "a member".to_owned() },
        JsonError::Malformed => malformed("body"),
    })?;
    let Json::Object(members) = json else { return Err(malformed("body")) };
    if members.len() > PAIRS_MAX {
        return Err(Rejection::TooManyFields { limit: PAIRS_MAX });
    }
    let pair = |(name, value): (String, Json)| match value {
        Json::Text(text) => Ok(Pair::new(name, text)),
        other => other.text().map(|text| Pair::raw(name, text)).ok_or_else(|| malformed("body")),
    };
    members.into_iter().map(pair).collect()
}

fn optional(pairs: &[Pair], name: &str) -> Option<String> {
    let pair = pairs.iter().find(|pair| pair.is_called(name))?;
    Some(String::from_utf8_lossy(&pair.value).into_owned())
}

fn value(pairs: &[Pair], name: &str) -> Result<String, Rejection> {
    optional(pairs, name).ok_or_else(|| missing(name))
}

/// What a toy reads is what the suite reads.
#[test]
fn the_crate_and_the_suite_read_alike() {
    let pairs = [Pair::new("a", "é &<>\"'\r\n"), Pair::new("b", ""), Pair::new("c", "1")];
    for (carrier, crate_reads) in [
        (Carrier::Form, form_pairs as fn(&[u8], usize) -> Result<Vec<Pair>, Rejection>),
        (Carrier::Xml, xml_pairs),
        (Carrier::Json, |text, _| json_pairs(text)),
    ] {
        let request = RawRequest {
            method: Method::POST,
            path: String::new(),
            query: None,
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
            source: None,
            received_at: Timestamp::UNIX_EPOCH,
        };
        for style in super::super::pairs::styles(carrier) {
            let written = write(&with_text(&request, carrier, b"<xml></xml>".to_vec()), &pairs, style, carrier);
            assert_eq!(crate_reads(&written.body, BYTES_MAX).as_deref(), Ok(pairs.as_slice()), "{style:?}");
            assert_eq!(read(&written, carrier), pairs, "{style:?}");
        }
    }
}
