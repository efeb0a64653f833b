//! What a sender may have signed in place of what the channel expects, one deviation at a time.
//!
//! Each function gives the few texts of one finding. They are made of the request's own pairs and of the text that was
//! checked, never of a guess about the protocol. A text that was checked already is not given again.

use crate::explain::{Case, Facts, Signing};
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::hmac::HmacHash;
use crate::signature::trial::{How, Part, Trial};

use super::pairs::{self, Joined, Order, Pair, Writing, join, merged};

/// Largest text of which many variants are made.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A text by another rule, and the rule in both languages.
#[derive(Clone)]
pub(super) struct Variant {
    pub(super) signed: Vec<Part>,
    pub(super) how: How,
    pub(super) claimed: Option<Vec<u8>>,
    /// The rule in English; notations stand for themselves.
    pub(super) en: String,
    /// And in Chinese.
    pub(super) zh: String,
    /// Further facts.
    pub(super) facts: Facts,
}

impl Variant {
    pub(super) fn of(signed: Vec<Part>, en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { signed, how: How::Own, claimed: None, en: en.into(), zh: zh.into(), facts: Vec::new() }
    }

    /// A rule that is written the same in both languages.
    fn noted(signed: Vec<Part>, note: impl Into<String>) -> Self {
        let note = note.into();
        Self::of(signed, note.clone(), note)
    }

    fn by(mut self, how: How) -> Self {
        self.how = how;
        self
    }

    fn with(mut self, name: &'static str, value: &[u8]) -> Self {
        self.facts.push((name, crate::channel::quote(&String::from_utf8_lossy(value))));
        self
    }

    fn signing(self) -> Signing {
        let Self { signed, how, claimed, en, zh, mut facts } = self;
        facts.extend([("how", en), ("how_zh", zh)]);
        Signing { signed, how, claimed, facts }
    }
}

/// A check that did not hold, with its text taken apart.
pub(super) struct Checked<'c> {
    pub(super) case: &'c Case<'c>,
    pub(super) trial: &'c Trial,
    pub(super) joined: Option<Joined<'c>>,
    /// The pairs of the query, where the text is of the body's.
    query: &'c [Pair],
}

/// Calls with the check taken apart. Of checks by one key, algorithm and signature only the first is looked at: the other
/// rules of its channel are deviations of it. Gives nothing for a text that is too large.
pub(super) fn of(case: &Case<'_>, trial: &Trial, variants: impl Fn(&Checked<'_>) -> Vec<Variant>) -> Vec<Signing> {
    let is_same = |other: &&Trial| {
        other.key == trial.key && other.algorithm == trial.algorithm && other.claimed == trial.claimed && !other.held
    };
    let is_first = case.trials.iter().find(is_same).is_some_and(|first| std::ptr::eq(first, trial));
    let bytes: usize = trial.signed.iter().map(crate::explain::part_bytes).sum();
    if !is_first || bytes > TEXT_BYTES_MAX {
        return Vec::new();
    }
    let (all, query) = (pairs::of(case), pairs::of_query(&case.request));
    let joined = Joined::read(trial, &all);
    let checked = Checked { case, trial, joined, query: &query };
    let known: Vec<Vec<Part>> = case.trials.iter().filter(is_same).map(|known| merged(known.signed.clone())).collect();
    // A text that was opened with a secret is compared with nothing: how many are tried says nothing of it.
    let is_new = |variant: &Variant| {
        trial.is_sealed || variant.how != How::Own || variant.claimed.is_some() || !known.contains(&variant.signed)
    };
    let mut all: Vec<Variant> = Vec::new();
    for variant in variants(&checked).into_iter().filter(is_new) {
        // Where each takes an operation with a public key, two rules that give one text are tried once.
        let is_known = |known: &Variant| {
            (known.how, &known.signed, &known.claimed) == (variant.how, &variant.signed, &variant.claimed)
        };
        if !trial.is_public_key || trial.is_sealed || !all.iter().any(is_known) {
            all.push(variant);
        }
    }
    all.into_iter().map(Variant::signing).collect()
}

/// The same for a check that was not made.
pub(super) fn unchecked(
    case: &Case<'_>,
    trial: &Trial,
    variants: impl Fn(&Checked<'_>) -> Vec<Variant>,
) -> Vec<Signing> {
    let bytes: usize = trial.signed.iter().map(crate::explain::part_bytes).sum();
    if bytes > TEXT_BYTES_MAX {
        return Vec::new();
    }
    let (all, query) = (pairs::of(case), pairs::of_query(&case.request));
    let joined = Joined::read(trial, &all);
    variants(&Checked { case, trial, joined, query: &query }).into_iter().map(Variant::signing).collect()
}

impl Checked<'_> {
    /// Whether a secret takes part, so that a check costs little.
    fn is_keyed(&self) -> bool {
        !self.trial.is_public_key && !self.is_rsa()
    }

    /// Whether it is RSA without a library's check; all of it was made already but the comparison.
    fn is_rsa(&self) -> bool {
        self.trial.algorithm.starts_with("RSA")
    }

    fn is_hmac(&self) -> bool {
        self.trial.algorithm.starts_with("HMAC")
    }

    /// The text without the secret, and without what joins the secret to it.
    fn core(&self) -> Vec<u8> {
        if let Some(joined) = &self.joined {
            return join(&joined.covered, Writing::Plain);
        }
        let texts = self.trial.signed.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_slice()),
            Part::Secret => None,
        });
        texts.collect::<Vec<_>>().concat()
    }

    /// The texts around the body, where the body stands in the text once and is not all of it.
    fn template(&self) -> Option<(&[u8], &[u8])> {
        let body: &[u8] = &self.case.request.body;
        let [Part::Text(text)] = self.trial.signed.as_slice() else { return None };
        if body.is_empty() || self.trial.is_sealed {
            return None;
        }
        let at = memchr::memmem::find(text, body)?;
        let (before, behind) = (&text[..at], &text[at + body.len()..]);
        (before.len() + behind.len() > 0).then_some((before, behind))
    }
}

/// The algorithm's name among the signed fields, or not.
pub(super) fn sign_type(checked: &Checked<'_>) -> Vec<Variant> {
    let Some(joined) = &checked.joined else { return Vec::new() };
    let is_type = |pair: &&&Pair| is_type_name(&pair.name);
    let mut variants = Vec::new();
    if let Some(signed) = joined.covered.iter().find(is_type) {
        let rest: Vec<&Pair> = joined.covered.iter().copied().filter(|pair| !is_type_name(&pair.name)).collect();
        let variant = Variant::of(joined.with(&rest), "left out", "不参与签名");
        variants.push(variant.with("field", &signed.name));
    }
    if let Some(left) = joined.left.iter().find(is_type) {
        let more: Vec<&Pair> = joined.covered.iter().copied().chain([*left]).collect();
        variants.push(Variant::of(joined.with(&more), "signed as well", "参与签名").with("field", &left.name));
    }
    variants
}

/// Names under which platforms write the algorithm.
fn is_type_name(name: &[u8]) -> bool {
    let letters: Vec<u8> = name.iter().filter(|byte| byte.is_ascii_alphabetic()).map(u8::to_ascii_lowercase).collect();
    TYPE_NAMES.contains(&letters.as_slice())
}

/// The letters of those names.
const TYPE_NAMES: [&[u8]; 6] =
    [b"signtype", b"signmethod", b"signalgorithm", b"signaturetype", b"signaturemethod", b"signalg"];

/// Empty values kept, or dropped.
pub(super) fn empty_values(checked: &Checked<'_>) -> Vec<Variant> {
    let Some(joined) = &checked.joined else { return Vec::new() };
    let mut variants = Vec::new();
    let mut dropped = |is_dropped: fn(&Pair) -> bool, en: &str, zh: &str| {
        let rest: Vec<&Pair> = joined.covered.iter().copied().filter(|pair| !is_dropped(pair)).collect();
        if rest.len() < joined.covered.len() {
            variants.push(Variant::of(joined.with(&rest), en, zh));
        }
    };
    dropped(|pair| pair.value.is_empty(), "left out", "不参与签名");
    dropped(Pair::is_blank, "left out, blank ones too", "不参与签名（纯空白值同样）");
    dropped(|pair| matches!(pair.value.as_slice(), b"" | b"null"), "left out, `null` too", "不参与签名（`null` 同样）");
    let empty: Vec<&Pair> =
        joined.left.iter().copied().filter(|pair| pair.is_blank() || pair.value == b"null").collect();
    let mut kept = |is_kept: fn(&Pair) -> bool| {
        let kept = empty.iter().copied().filter(|pair| is_kept(pair));
        let all: Vec<&Pair> = joined.covered.iter().copied().chain(kept).collect();
        if all.len() > joined.covered.len() {
            variants.push(Variant::of(joined.with(&all), "signed", "参与签名"));
        }
    };
    kept(|pair| pair.value.is_empty());
    kept(|_| true);
    variants
}

/// How a secret is joined to a text, with the notation for people.
fn joints(core: &[u8], is_pairs: bool) -> Vec<(Vec<Part>, &'static str)> {
    let text = || Part::Text(core.to_vec());
    let words = |words: &str| Part::Text(words.as_bytes().to_vec());
    let mut joints = vec![
        (vec![text(), words("&key="), Part::Secret], "…&key=<secret>"),
        (vec![text(), Part::Secret], "…<secret>"),
        (vec![Part::Secret, text()], "<secret>…"),
        (vec![Part::Secret, text(), Part::Secret], "<secret>…<secret>"),
    ];
    if is_pairs {
        joints.extend([
            (vec![text(), words("&"), Part::Secret], "…&<secret>"),
            (vec![text(), words("key="), Part::Secret], "…key=<secret>"),
            (vec![text(), words("&&key="), Part::Secret], "…&&key=<secret>"),
            (vec![text(), words("&secret="), Part::Secret], "…&secret=<secret>"),
            (vec![text(), words("&app_secret="), Part::Secret], "…&app_secret=<secret>"),
            (vec![text(), words("&appSecret="), Part::Secret], "…&appSecret=<secret>"),
            (vec![text(), words("&app_key="), Part::Secret], "…&app_key=<secret>"),
            (vec![text(), words("&KEY="), Part::Secret], "…&KEY=<secret>"),
            (vec![Part::Secret, words("&"), text()], "<secret>&…"),
            (vec![words("key="), Part::Secret, words("&"), text()], "key=<secret>&…"),
        ]);
    }
    joints
}

/// The secret at another place.
pub(super) fn key_joined(checked: &Checked<'_>) -> Vec<Variant> {
    // Of a secret that is sorted among the texts the orders are tried.
    if !checked.is_keyed() || checked.trial.is_place_secret {
        return Vec::new();
    }
    let core = checked.core();
    let mut variants: Vec<Variant> = joints(&core, checked.joined.is_some())
        .into_iter()
        .map(|(signed, note)| Variant::noted(signed, note))
        .collect();
    if checked.is_hmac() && checked.trial.signed.contains(&Part::Secret) {
        variants.push(Variant::of(vec![Part::Text(core)], "… (HMAC key only)", "…（只作 HMAC 密钥）"));
    }
    if let Some(joined) = &checked.joined {
        variants.extend(key_as_pair(joined));
    }
    variants
}

/// The secret as the value of a pair that is sorted among the others.
fn key_as_pair(joined: &Joined<'_>) -> Option<Variant> {
    let place = joined.covered.iter().position(|pair| pair.name.as_slice() > &b"key"[..])?;
    let (before, behind) = joined.covered.split_at(place);
    let mut first = join(before, Writing::Plain);
    first.extend_from_slice(if before.is_empty() { b"key=" } else { b"&key=" });
    let second = [b"&".to_vec(), join(behind, Writing::Plain)].concat();
    let signed = vec![Part::Text(first), Part::Secret, Part::Text(second)];
    Some(Variant::of(signed, "key=<secret> sorted among the fields", "key=<secret> 与其他字段一起排序"))
}

/// Upper case for lower, and the reverse, where the digest's text is what is compared.
pub(super) fn digest_case(checked: &Checked<'_>) -> Vec<Variant> {
    let flipped = checked.trial.claimed.iter().filter_map(|claimed| super::written::flipped(claimed));
    let variant = |(claimed, is_lower): (Vec<u8>, bool)| {
        let (en, zh) = super::written::case_words(is_lower);
        Variant { claimed: Some(claimed), ..Variant::of(checked.trial.signed.clone(), en, zh) }
    };
    flipped.map(variant).collect()
}

/// The signature in another encoding, where its text is what is compared.
pub(super) fn encoding(checked: &Checked<'_>) -> Vec<Variant> {
    if !checked.is_keyed() || checked.is_hmac() {
        return Vec::new();
    }
    let mut variants = Vec::new();
    for claimed in &checked.trial.claimed {
        let Ok(text) = std::str::from_utf8(claimed) else { continue };
        let field = super::written::field_of(&checked.case.request, text).unwrap_or_default();
        for (other, came) in super::written::encodings(text) {
            let variant =
                Variant { claimed: Some(other.into_bytes()), ..Variant::noted(checked.trial.signed.clone(), came) };
            variants.push(variant.with("field", field.as_bytes()));
        }
    }
    variants
}

/// The words for an order.
fn order_words(order: Order) -> (&'static str, &'static str) {
    match order {
        Order::Name => ("by the bytes of the names (upper case first)", "按字段名的字节顺序（大写在前）"),
        Order::IgnoringCase => ("by the names, ignoring case", "按字段名排序，不区分大小写"),
        Order::Written => ("by the whole texts `name=value`", "按 `name=value` 整串排序"),
        Order::Arrival => ("not at all: as the fields were sent", "不排序，按发送顺序"),
        Order::Value => ("by the values", "按字段值排序"),
        Order::Descending => ("by the names, descending", "按字段名倒序"),
    }
}

/// Another order.
pub(super) fn sorted(checked: &Checked<'_>) -> Vec<Variant> {
    if checked.trial.is_place_secret {
        return places(checked.trial);
    }
    let Some(joined) = &checked.joined else { return Vec::new() };
    let of = |order: Order| joined.sorted(&joined.covered, order);
    let orders = Order::ALL.into_iter().map(|order| {
        let (en, zh) = order_words(order);
        Variant::of(joined.around(join(&of(order), Writing::Plain)), en, zh)
    });
    let by_name = joined.around(join(&of(Order::Name), Writing::ValueAlone));
    let alone = Variant::of(by_name, "by the names, and the values alone are joined", "按字段名排序，只拼接字段值");
    orders.chain([alone]).collect()
}

/// Texts and a secret that the channel sorts together: in other orders.
fn places(trial: &Trial) -> Vec<Variant> {
    // What is given as it stands is not sorted again.
    let Some(hash) = super::hash_named(trial.algorithm) else { return Vec::new() };
    let texts: Vec<&Part> = trial.signed.iter().filter(|part| **part != Part::Secret).collect();
    let mut orders = vec![Vec::new()];
    for at in 0..texts.len().min(TEXTS_MAX) {
        let insert = |order: &Vec<usize>| {
            (0..=order.len()).map(|place| [&order[..place], &[at], &order[place..]].concat()).collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(insert).collect();
    }
    let variant = |order: &Vec<usize>, is_first: bool| {
        let parts = order.iter().map(|at| texts[*at].clone());
        let secret = [Part::Secret];
        let signed: Vec<Part> =
            if is_first { secret.into_iter().chain(parts).collect() } else { parts.chain(secret).collect() };
        let (en, zh) = if is_first {
            ("not at all: the secret, then the fields", "不排序：密钥在前，字段在后")
        } else {
            ("not at all: the fields, then the secret", "不排序：字段在前，密钥在后")
        };
        Variant::of(signed, en, zh).by(How::Digest(hash))
    };
    orders.iter().flat_map(|order| [variant(order, false), variant(order, true)]).collect()
}

/// Most texts of which every order is tried.
const TEXTS_MAX: usize = 3;

/// The query of the notify URL among the body's fields. Where a path is signed, its query is a matter of the URL.
pub(super) fn query(checked: &Checked<'_>) -> Vec<Variant> {
    let Some(joined) = checked.joined.as_ref().filter(|_| !checked.case.request.body.is_empty()) else {
        return Vec::new();
    };
    if checked.query.is_empty() {
        return Vec::new();
    }
    let all: Vec<Pair> = joined.covered.iter().map(|pair| (*pair).clone()).chain(checked.query.to_vec()).collect();
    let mut sorted: Vec<&Pair> = all.iter().collect();
    let names = checked.query.iter().map(|pair| String::from_utf8_lossy(&pair.name).into_owned());
    let names = names.collect::<Vec<_>>().join(", ");
    joined.order.sort(&mut sorted);
    let variant = Variant::of(joined.around(join(&sorted, Writing::Plain)), "among the fields", "与表单字段一起");
    vec![variant.with("fields", names.as_bytes())]
}

/// Other line ends. How a text ends that was opened with a secret is looked at by nobody.
pub(super) fn line_ends(checked: &Checked<'_>) -> Vec<Variant> {
    if checked.trial.is_sealed {
        return of_secret_text(checked);
    }
    let [Part::Text(text)] = checked.trial.signed.as_slice() else { return of_secret_text(checked) };
    let plain = |text: Vec<u8>, en: &str, zh: &str| Variant::of(vec![Part::Text(text)], en, zh);
    let mut variants = Vec::new();
    if let Some((before, behind)) = checked.template() {
        let body: &[u8] = &checked.case.request.body;
        let whole = |before: Vec<u8>, behind: Vec<u8>| [before, body.to_vec(), behind].concat();
        if memchr::memchr(b'\n', before).or_else(|| memchr::memchr(b'\n', behind)).is_some() {
            let crlf = whole(with_crlf(before), with_crlf(behind));
            variants.push(plain(crlf, "CRLF (\\r\\n) in place of LF (\\n)", "用 CRLF（\\r\\n）代替 LF（\\n）"));
            let escaped = whole(replaced(before, b"\\n"), replaced(behind, b"\\n"));
            variants.push(plain(
                escaped,
                "the two characters `\\n` in place of a line end",
                "写成了 `\\n` 两个字符，而不是换行",
            ));
            let none = whole(replaced(before, b""), replaced(behind, b""));
            variants.push(plain(none, "no line ends at all", "完全没有换行"));
        }
    }
    match text.strip_suffix(b"\n") {
        // Of a body with a line end of its own nobody can tell which of the two was added.
        Some(_) if checked.case.request.body.ends_with(b"\n") => {}
        Some(rest) => variants.push(plain(rest.to_vec(), "without the last line end", "缺少最后一个换行")),
        None => variants.push(plain([text, &b"\n"[..]].concat(), "with a line end behind it", "末尾多一个换行")),
    }
    variants
}

/// A line end behind a text of pairs, before or behind the secret, or behind one that nobody looks at.
fn of_secret_text(checked: &Checked<'_>) -> Vec<Variant> {
    if checked.trial.is_place_secret {
        return Vec::new();
    }
    let signed = [checked.trial.signed.clone(), vec![Part::Text(b"\n".to_vec())]].concat();
    vec![Variant::of(signed, "with a line end behind it", "末尾多一个换行")]
}

fn with_crlf(text: &[u8]) -> Vec<u8> {
    replaced(&text.iter().copied().filter(|byte| *byte != b'\r').collect::<Vec<u8>>(), b"\r\n")
}

/// Each line end as something else.
fn replaced(text: &[u8], by: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| if *byte == b'\n' { by.to_vec() } else { vec![*byte] }).collect()
}

/// Hashed once for twice, twice for once, or with another wrapping.
pub(super) fn hashed(checked: &Checked<'_>) -> Vec<Variant> {
    let (trial, signed) = (checked.trial, || checked.trial.signed.clone());
    let mut variants = Vec::new();
    let mut add = |how: How, en: &str, zh: &str| variants.push(Variant::of(signed(), en, zh).by(how));
    if let Some(first) = trial.first {
        let name = first.name();
        add(How::Unhashed, &format!("without the {name} before it"), &format!("签名前没有先做 {name}"));
        if checked.is_rsa() {
            // A library that is given the text does all of it: digest, `DigestInfo`, padding.
            let note = format!("{name}withRSA");
            add(How::Rsa(first), &format!("{note} over the text itself"), &format!("直接对原文做 {note}"));
        }
    } else if checked.is_rsa() {
        let own = dashed_in(trial.algorithm).unwrap_or(DigestHash::Sha256);
        let name = own.name();
        add(How::Hashed(own), &format!("over the hexadecimal text of {name}"), &format!("对 {name} 十六进制串再签名"));
        add(
            How::RsaBare(own),
            &format!("{name} as text, without DigestInfo"),
            &format!("{name} 十六进制串，无 DigestInfo"),
        );
    } else if let Some(own) = super::hash_named(trial.algorithm).filter(|_| !trial.is_place_secret) {
        let name = own.name();
        add(How::Hashed(own), &format!("{name}({name}(…))"), &format!("{name}({name}(…))"));
        if own != DigestHash::Md5 {
            add(How::Hashed(DigestHash::Md5), &format!("{name}(MD5(…))"), &format!("{name}(MD5(…))"));
        }
    } else if checked.is_hmac() || trial.algorithm == "Ed25519" {
        for hash in [DigestHash::Sha256, DigestHash::Md5] {
            let note = format!("{}({}(…))", trial.algorithm, hash.name());
            add(How::Hashed(hash), &note, &note);
        }
    } else if trial.algorithm.starts_with("SM2") {
        add(How::Hashed(DigestHash::Sm3), "over the hexadecimal text of SM3", "对 SM3 十六进制串再签名");
        add(How::Hashed(DigestHash::Sha256), "over the hexadecimal text of SHA256", "对 SHA256 十六进制串再签名");
    }
    // In upper case, where what is signed is public.
    if let [Part::Text(text)] = trial.signed.as_slice()
        && let Some(first) = trial.first
        && !trial.is_sealed
    {
        let upper = Part::Text(first.hex_of(&[text], HexCase::Upper).into_bytes());
        let (en, zh) = ("the text of the digest in upper case", "摘要十六进制串用了大写");
        variants.push(Variant::of(vec![upper], en, zh).by(How::Unhashed));
    }
    // Hashed by itself, and the secret behind that.
    if let (Some(own), Some(joined)) = (super::hash_named(trial.algorithm), &checked.joined) {
        let inner = Part::Text(own.hex_of(&[&join(&joined.covered, Writing::Plain)], HexCase::Lower).into_bytes());
        let note = format!("{0}({0}(…)<secret>)", own.name());
        variants.push(Variant::noted(vec![inner, Part::Secret], note));
    }
    variants
}

/// Escaped values.
pub(super) fn encoded(checked: &Checked<'_>) -> Vec<Variant> {
    let Some(joined) = &checked.joined else { return Vec::new() };
    let of = |writing: Writing, en: &str, zh: &str| Variant::of(joined.around(join(&joined.covered, writing)), en, zh);
    let whole = {
        let mut text = Vec::new();
        crate::form::encode_into(&mut text, &join(&joined.covered, Writing::Plain));
        Variant::of(joined.around(text), "the whole text is escaped", "整个签名串都做了编码")
    };
    vec![
        of(Writing::Raw, "as it stands in the request", "与请求中的编码相同"),
        of(Writing::Form, "a blank as `+`", "空格编码为 `+`"),
        of(Writing::Percent, "a blank as `%20`", "空格编码为 `%20`"),
        of(Writing::Component, "a blank as `%20`, and `*` as it is", "空格编码为 `%20`，`*` 不编码"),
        of(Writing::FormLower, "digits in lower case", "十六进制用小写"),
        whole,
    ]
}

/// Another algorithm, as far as the signature is as long.
pub(super) fn algorithm(checked: &Checked<'_>) -> Vec<Variant> {
    let trial = checked.trial;
    let named = |how: How, name: String, signed: Vec<Part>| {
        let mut variant = Variant::noted(signed, name.clone()).by(how);
        variant.facts.extend(super::Claim::Signed.facts());
        variant.with("algorithm", name.as_bytes()).with("own", trial.algorithm.as_bytes())
    };
    if checked.is_rsa() {
        let own = |hash: DigestHash| dashed_in(trial.algorithm) == Some(hash);
        let hashes = [DigestHash::Sha256, DigestHash::Sha1, DigestHash::Md5, DigestHash::Sha512];
        let others = hashes.into_iter().filter(|hash| !own(*hash) || trial.first.is_some());
        let rsa = |hash: DigestHash, signed| named(How::Rsa(hash), format!("RSA ({})", dashed(hash)), signed);
        let pss = trial.is_public_key.then(|| named(How::RsaPss, "RSA-PSS".to_owned(), trial.signed.clone()));
        // Over the digest's text as well, where the protocol signs that.
        let first = match (trial.first, trial.signed.as_slice()) {
            (Some(first), [Part::Text(text)]) => {
                Some(vec![Part::Text(first.hex_of(&[text], HexCase::Lower).into_bytes())])
            }
            _ => None,
        };
        let not_own = hashes.into_iter().filter(|hash| !own(*hash));
        let over_first = first.iter().flat_map(|text| not_own.clone().map(|hash| rsa(hash, text.clone())));
        return others.map(|hash| rsa(hash, trial.signed.clone())).chain(pss).chain(over_first).collect();
    }
    if trial.is_public_key {
        return Vec::new();
    }
    let core = checked.core();
    let mut texts = vec![trial.signed.clone()];
    if trial.signed.contains(&Part::Secret) {
        // HMAC needs no secret in its text.
        texts.push(vec![Part::Text(core)]);
    } else {
        texts.extend(joints(&core, checked.joined.is_some()).into_iter().take(3).map(|(signed, _)| signed));
    }
    let mut variants = Vec::new();
    for (how, name, bytes) in keyed() {
        let fits = |claimed: &Vec<u8>| claimed.len() == bytes || claimed.len() == bytes * 2;
        if name == trial.algorithm || !trial.claimed.iter().any(fits) {
            continue;
        }
        variants.extend(texts.iter().map(|text| named(how, name.clone(), text.clone())));
    }
    variants
}

/// A digest's name as signatures with public keys write it.
fn dashed(hash: DigestHash) -> &'static str {
    match hash {
        DigestHash::Md5 => "MD5",
        DigestHash::Sha1 => "SHA-1",
        DigestHash::Sha256 => "SHA-256",
        DigestHash::Sha512 => "SHA-512",
        DigestHash::Sm3 => "SM3",
    }
}

/// The digest in the name of an algorithm with a public key.
fn dashed_in(algorithm: &str) -> Option<DigestHash> {
    let all = [DigestHash::Md5, DigestHash::Sha1, DigestHash::Sha256, DigestHash::Sha512];
    all.into_iter().find(|hash| algorithm.ends_with(dashed(*hash)))
}

/// What a secret signs with, its name, and the bytes that it gives.
fn keyed() -> Vec<(How, String, usize)> {
    let digests = [DigestHash::Md5, DigestHash::Sha1, DigestHash::Sha256, DigestHash::Sha512, DigestHash::Sm3];
    let hmacs = [HmacHash::Sha256, HmacHash::Sha1, HmacHash::Sha512];
    let digests = digests.map(|hash| (How::Digest(hash), hash.name().to_owned(), hash.bytes()));
    let hmacs = hmacs.map(|hash| (How::Hmac(hash), hash.to_string(), hash.tag_bytes()));
    hmacs.into_iter().chain(digests).collect()
}

/// Two deviations at once, those that go together in practice. Only where a check costs little.
pub(super) fn two(checked: &Checked<'_>) -> Vec<Variant> {
    let trial = checked.trial;
    let Some(joined) = checked.joined.as_ref().filter(|_| checked.is_keyed()) else { return of_plain(checked) };
    let claims: Vec<Option<(Vec<u8>, bool)>> = [None]
        .into_iter()
        .chain(trial.claimed.iter().take(1).map(|claimed| super::written::flipped(claimed)))
        .take(2)
        .collect();
    let selections: Vec<(Vec<&Pair>, [String; 2])> = selections(joined);
    let orders = [Order::Name, Order::IgnoringCase, Order::Arrival];
    let mut variants = Vec::new();
    for (selected, words) in &selections {
        for order in orders.into_iter().map(Some).chain([None]) {
            let sorted = joined.sorted(selected, order.unwrap_or(joined.order));
            let text = join(&sorted, Writing::Plain);
            let own = [(joined.around(text.clone()), "")];
            let others = joints(&text, true).into_iter().take(4);
            for (signed, joint) in own.into_iter().chain(others) {
                for claimed in &claims {
                    let order_words = order.map(order_words);
                    let parts = [
                        Some(words.clone()).filter(|words| !words[0].is_empty()),
                        order_words.map(|(en, zh)| [format!("sorted {en}"), zh.to_owned()]),
                        Some([joint.to_owned(), joint.to_owned()]).filter(|joint| !joint[0].is_empty()),
                        claimed.as_ref().map(|(_, is_lower)| {
                            let (en, zh) = super::written::case_words(*is_lower);
                            [en.to_owned(), zh.to_owned()]
                        }),
                    ];
                    let parts: Vec<[String; 2]> = parts.into_iter().flatten().collect();
                    if parts.len() != 2 {
                        continue;
                    }
                    let text =
                        |at: usize, sep: &str| parts.iter().map(|part| part[at].clone()).collect::<Vec<_>>().join(sep);
                    let mut variant = Variant::of(signed.clone(), text(0, "; "), text(1, "；"));
                    variant.claimed = claimed.as_ref().map(|(claimed, _)| claimed.clone());
                    variants.push(variant);
                }
            }
        }
    }
    variants
}

/// Joint and case of a text that is none of pairs.
fn of_plain(checked: &Checked<'_>) -> Vec<Variant> {
    if !checked.is_keyed() || checked.trial.is_place_secret {
        return Vec::new();
    }
    let flipped: Vec<(Vec<u8>, bool)> =
        checked.trial.claimed.iter().filter_map(|claimed| super::written::flipped(claimed)).take(1).collect();
    let joints = joints(&checked.core(), false);
    let variant = |(signed, joint): &(Vec<Part>, &'static str), (claimed, is_lower): &(Vec<u8>, bool)| {
        let (en, zh) = super::written::case_words(*is_lower);
        let mut variant = Variant::of(signed.clone(), format!("{joint}; {en}"), format!("{joint}；{zh}"));
        variant.claimed = Some(claimed.clone());
        variant
    };
    joints.iter().flat_map(|joint| flipped.iter().map(move |flipped| variant(joint, flipped))).collect()
}

/// Which pairs are signed: the text's own, without empty ones or with them, with or without the algorithm's name.
fn selections<'p>(joined: &Joined<'p>) -> Vec<(Vec<&'p Pair>, [String; 2])> {
    let covered = &joined.covered;
    let mut selections = vec![(covered.clone(), [String::new(), String::new()])];
    let mut add = |pairs: Vec<&'p Pair>, en: &str, zh: &str| {
        if pairs.len() != covered.len() {
            selections.push((pairs, [en.to_owned(), zh.to_owned()]));
        }
    };
    let without = |is_out: &dyn Fn(&Pair) -> bool| covered.iter().copied().filter(|pair| !is_out(pair)).collect();
    let with = |is_in: &dyn Fn(&Pair) -> bool| {
        covered.iter().copied().chain(joined.left.iter().copied().filter(|pair| is_in(pair))).collect()
    };
    add(without(&|pair| pair.value.is_empty()), "empty values left out", "空值不参与签名");
    add(with(&|pair| pair.value.is_empty()), "empty values signed", "空值参与签名");
    add(without(&|pair| is_type_name(&pair.name)), "the algorithm's name left out", "签名类型不参与签名");
    add(with(&|pair| is_type_name(&pair.name)), "the algorithm's name signed", "签名类型参与签名");
    selections
}
