//! What the sender signs by another rule than the channel checks: proved by the signature, which holds over that text
//! under the configured key.
//!
//! The rules are those of all platforms, and the texts are made of the request's own parts. Such a message is not
//! accepted for all that: who changes the rule decides what the message says.

mod pairs;
#[cfg(test)]
pub(super) mod tests;
mod variants;
mod written;

use crate::channel::Rejection;
use crate::explain::{Case, Facts, Finding, Otherwise, Probe, Signing, Undo};
use crate::settings::{SettingKind, SettingValue, Text};
use crate::signature::digest::DigestHash;
use crate::signature::trial::Trial;

/// The algorithm's name is signed, or is not.
pub(super) static SIGN_TYPE_SIGNED: Finding = Finding {
    id: "sign_type_signed",
    title: Text {
        en: "in the text that the sender signed, `{field}` is {how}",
        zh: "发送方签名时 `{field}` {how_zh}，与平台规则相反",
    },
    cause: Text {
        en: "Platforms differ about the field that names the algorithm: some sign it with the rest, some leave it out. The \
             signature holds under the configured key as soon as this one field is treated the other way.",
        zh: "签名类型字段是否参与签名，各平台规则不同。只要把这一个字段反过来处理，签名就能用已配置的密钥验证通过。",
    },
    cure: Text {
        en: "A genuine message of the platform follows the platform's rule: look for a script of your own, a relay or a test \
             tool that signs, and change it there. If another product of the same platform sends this, it needs a channel \
             of its own kind.",
        zh: "平台发出的通知一定遵循平台规则。请检查自己的脚本、转发程序或测试工具里的签名代码，在那里修正；\
             如果是同一平台的其他产品发来的，请为它配置对应类型的渠道。",
    },
    probes: &[Probe::Sign(|case, trial| variants::of(case, trial, variants::sign_type))],
};

/// Empty values are signed, or are not.
pub(super) static EMPTY_VALUES_SIGNED: Finding = Finding {
    id: "empty_values_signed",
    title: Text {
        en: "in the text that the sender signed, empty values are {how}",
        zh: "发送方签名时，空值字段{how_zh}，与平台规则相反",
    },
    cause: Text {
        en: "Some protocols sign `name=` for a field without a value, others leave such a field out. The signature holds under \
             the configured key with the other rule.",
        zh: "没有值的字段，有的协议按 `name=` 参与签名，有的直接跳过。换成另一种规则后，签名即可用已配置的密钥验证通过。",
    },
    cure: Text {
        en: "Change the code that signs: leave fields without a value out of the text, or keep them, as the platform's document \
             says. Best send no empty fields at all.",
        zh: "请修改签名一方的代码，按平台文档决定空值是否参与签名；最好根本不发送空值字段。",
    },
    probes: &[Probe::Sign(|case, trial| variants::of(case, trial, variants::empty_values))],
};

/// The secret stands elsewhere.
pub(super) static KEY_JOINED_OTHERWISE: Finding = Finding {
    id: "key_joined_otherwise",
    title: Text {
        en: "the sender joins the secret to the text in another way: {how}",
        zh: "发送方拼接密钥的方式不同：{how_zh}",
    },
    cause: Text {
        en: "Each of these protocols puts the secret at one place: behind `&key=`, directly behind the last value, or in front. \
             The digest holds with the configured secret at the place shown.",
        zh: "这类协议各有固定的密钥拼接位置：接在 `&key=` 之后、直接接在最后一个值之后，或放在最前面。\
             按上面所示的位置拼接已配置的密钥，摘要即一致。",
    },
    cure: Text {
        en: "Change the code that signs to the platform's own way. If the sender cannot be changed because it is another \
             gateway of a similar protocol, configure the channel of its own kind, or describe the protocol in a channel.",
        zh: "请把签名一方的代码改成平台规定的拼接方式。如果对方是协议相近的另一种网关、无法修改，请改用对应类型的渠道，\
             或用自定义渠道描述它。",
    },
    probes: &[Probe::Sign(|case, trial| variants::of(case, trial, variants::key_joined))],
};

/// The digest is written in the other case.
pub(super) static DIGEST_CASE: Finding = Finding {
    id: "digest_case",
    title: Text {
        en: "the sender writes the signature as {how}, and the platform writes the other case",
        zh: "签名写成了{how_zh}，平台使用的是另一种大小写",
    },
    cause: Text {
        en: "The digest itself is right. Functions such as `md5()` of PHP give lower case; some protocols then call `strtoupper()`, \
             others do not.",
        zh: "摘要本身正确，只是大小写不符。PHP 的 `md5()` 等函数输出小写，有的协议要求再转大写（`strtoupper()`），有的不要求。",
    },
    cure: Text {
        en: "Change the case where the message is signed. The gateway takes one way of writing only, so that one message has one \
             signature.",
        zh: "请在签名一方改正大小写。网关只接受一种写法，以保证一条消息只对应一个签名。",
    },
    probes: &[
        Probe::Undo(written::other_case),
        Probe::Sign(|case, trial| variants::of(case, trial, variants::digest_case)),
    ],
};

/// The signature is in another encoding.
pub(super) static SIGNATURE_ENCODING: Finding = Finding {
    id: "signature_encoding",
    title: Text {
        en: "the signature in `{field}` is right, but written in {how}",
        zh: "`{field}` 中的签名正确，但编码方式（{how_zh}）不对",
    },
    cause: Text {
        en: "The same bytes can be written as hexadecimal digits, as base64, or as base64 for URLs; a protocol takes one of them. \
             Written as the platform writes it, the signature holds.",
        zh: "同样的签名字节可以写成十六进制、base64 或 URL 安全的 base64，每个协议只认一种。换成平台规定的写法后，验签通过。",
    },
    cure: Text {
        en: "Encode the signature where it is made as the platform's document says: in PHP `hash_hmac(…, true)` with \
             `base64_encode()` for base64, without the `true` for hexadecimal.",
        zh: "请在签名一方按平台文档编码：PHP 中 base64 用 `base64_encode(hash_hmac(…, true))`，十六进制则不要加 `true`。",
    },
    probes: &[
        Probe::Undo(written::other_encoding),
        Probe::Sign(|case, trial| variants::of(case, trial, variants::encoding)),
    ],
};

/// Another order.
pub(super) static SORTED_OTHERWISE: Finding = Finding {
    id: "sorted_otherwise",
    title: Text {
        en: "the sender joins the fields in another order: {how}", zh: "发送方拼接字段的顺序不同：{how_zh}"
    },
    cause: Text {
        en: "The fields of the signed text are sorted by one rule of the protocol. `ksort()` goes by bytes, upper case before lower; \
             other languages ignore the case, and a plain `sort()` goes by values. The signature holds with the order shown.",
        zh: "协议规定了待签名字段的排序规则。PHP 的 `ksort()` 按字节排序、大写在前；有的语言排序不区分大小写，`sort()` 则按值排序。\
             按上面所示的顺序拼接，验签通过。",
    },
    cure: Text {
        en: "Sort in the code that signs as the platform's document says.",
        zh: "请在签名一方按平台文档规定的规则排序。",
    },
    probes: &[Probe::Sign(|case, trial| variants::of(case, trial, variants::sorted))],
};

/// The query is signed as well.
pub(super) static QUERY_SIGNED: Finding = Finding {
    id: "query_signed",
    title: Text {
        en: "the sender signed the parameters of the notify URL as well: {fields}",
        zh: "发送方把通知地址中的参数也签了进去：{fields}",
    },
    cause: Text {
        en: "The notify URL has parameters of its own. The platform signs its message and not these; here they are under the \
             signature.",
        zh: "通知地址自带参数。平台只对自己的消息签名，不包含这些参数；而这条消息的签名把它们算了进去。",
    },
    cure: Text {
        en: "Leave the query out where the message is signed. A notify URL without `?` is better.",
        zh: "请在签名时去掉查询串；通知地址里最好不要带 `?`。",
    },
    probes: &[Probe::Sign(|case, trial| variants::of(case, trial, variants::query))],
};

/// Other line ends in the signed text.
pub(super) static LINE_ENDS_SIGNED: Finding = Finding {
    id: "line_ends_signed",
    title: Text {
        en: "the line ends of the text that the sender signed are others: {how}",
        zh: "发送方签名串中的换行不同：{how_zh}",
    },
    cause: Text {
        en: "The signed text has line ends that stand in no request: the protocol puts one LF behind each part, the last one too. \
             A template file saved on Windows has CRLF, and `implode(\"\\n\", …)` leaves the last one out.",
        zh: "签名串里的换行并不出现在请求中：协议规定每一部分之后各有一个 LF，最后一部分也不例外。\
             在 Windows 上保存的模板会变成 CRLF，`implode(\"\\n\", …)` 则会漏掉最后一个换行。",
    },
    cure: Text {
        en: "Write the line ends in the code that signs as `\"\\n\"` in double quotes, one behind each part that the document shows.",
        zh: "请在签名代码中用双引号写 `\"\\n\"`，并按文档在每一部分之后各加一个。",
    },
    probes: &[Probe::Sign(|case, trial| variants::of(case, trial, variants::line_ends))],
};

/// Hashed another number of times, or wrapped otherwise.
pub(super) static HASHED_OTHERWISE: Finding = Finding {
    id: "hashed_otherwise",
    title: Text {
        en: "the sender hashes the text in another way: {how}", zh: "发送方的摘要步骤不同：{how_zh}"
    },
    cause: Text {
        en: "Some protocols sign the text of a digest, which is then hashed once more, and some sign without the structure that names \
             the digest. A library that signs in one call does it another way. The signature holds in the way shown.",
        zh: "有的协议先取摘要的十六进制串再签名（相当于摘要两次），有的签名不带标明摘要算法的 DigestInfo 结构，\
             而签名库一次调用的做法并不相同。按上面所示的方式，验签通过。",
    },
    cure: Text {
        en: "Change the code that signs: hash as often as the platform's document says, with lower-case hexadecimal in between.",
        zh: "请修改签名一方的代码，按平台文档规定的次数做摘要，中间使用小写十六进制。",
    },
    probes: &[Probe::Sign(|case, trial| variants::of(case, trial, variants::hashed))],
};

/// Escaped values are signed.
pub(super) static ENCODED_SIGNED: Finding = Finding {
    id: "encoded_signed",
    title: Text {
        en: "the sender signed the values percent-encoded ({how})",
        zh: "发送方用 URL 编码后的值参与签名（{how_zh}）",
    },
    cause: Text {
        en: "The text under the signature has the values themselves. `http_build_query()` and its like encode them first, and whoever \
             signs what it gives signs another text.",
        zh: "待签名串中应是字段的原值。`http_build_query()` 之类的函数会先做 URL 编码，直接拿它的结果签名，签的就是另一段文字。",
    },
    cure: Text {
        en: "Sign the values as they are, and encode afterwards, when the request is sent.",
        zh: "请先用原值签名，发送请求时再编码。",
    },
    probes: &[Probe::Sign(|case, trial| variants::of(case, trial, variants::encoded))],
};

/// Another algorithm.
pub(super) static ALGORITHM_OTHER: Finding = Finding {
    id: "algorithm_other",
    title: Text {
        en: "the message {claim} {algorithm}, and the channel does not check it so",
        zh: "消息{claim_zh} {algorithm}，与本渠道对它的验签算法不一致",
    },
    cause: Text {
        en: "The algorithm is fixed where the channel is configured, never by the message: a message could choose a weaker one. This \
             one is signed with another, or says so.",
        zh: "签名算法由渠道配置决定，绝不由消息自己选择，否则伪造者可以挑选较弱的算法。这条消息用的是另一种算法，或自称如此。",
    },
    cure: Text {
        en: "Choose the same algorithm on both sides: in the platform's backend or where your request names it (`sign_type`), and \
             in the channel's settings.",
        zh: "请让两边一致：平台后台或下单请求里的签名类型（如 `sign_type`），与渠道设置中的算法相同。",
    },
    probes: &[
        Probe::Undo(other_words),
        Probe::Sign(|case, trial| variants::of(case, trial, variants::algorithm)),
        Probe::Unchecked(unchecked),
        Probe::Look(named_algorithm),
    ],
};

/// Two of these at once.
pub(super) static SIGNED_OTHERWISE: Finding = Finding {
    id: "signed_otherwise",
    title: Text {
        en: "the sender signs by another rule, which differs in two points: {how}",
        zh: "发送方的签名规则有两处不同：{how_zh}",
    },
    cause: Text {
        en: "The secret is the configured one: the digest holds as soon as both points are taken so. Other gateways with similar \
             protocols sign in this way.",
        zh: "密钥就是已配置的那一个：两处都按上面所示处理后，摘要即一致。协议相近的其他网关会这样签名。",
    },
    cure: Text {
        en: "See which product really sends these messages, and configure its kind of channel; if it is a script of your own, sign \
             by the platform's rule.",
        zh: "请确认这些消息究竟由哪种产品发出，改用对应类型的渠道；如果是自己的脚本，请按平台规则签名。",
    },
    probes: &[Probe::Sign(|case, trial| variants::of(case, trial, variants::two))],
};

/// Another algorithm of a signature that is as long as no signature of the channel's: it is refused before any check,
/// so the check is made with a stand-in of the right length, and then again with the signature that came.
fn unchecked(case: &Case<'_>) -> Vec<(Trial, Signing)> {
    if !case.trials.is_empty() || !written::is_about_writing(case) {
        return Vec::new();
    }
    for (request, came) in written::stood_in(&case.request) {
        let Some((_, trials)) = case.outcome_of(&request, case.now) else { break };
        let failed = trials.into_iter().filter(|trial| !trial.held && !trial.is_public_key);
        let made = |mut trial: Trial| {
            trial.claimed = came.to_vec();
            let signings = variants::unchecked(case, &trial, variants::algorithm).into_iter();
            signings.map(|signing| (trial.clone(), signing)).collect::<Vec<_>>()
        };
        let signings: Vec<(Trial, Signing)> = failed.flat_map(made).collect();
        if !signings.is_empty() {
            return signings;
        }
    }
    Vec::new()
}

/// The digest that an algorithm with a secret is.
fn hash_named(algorithm: &str) -> Option<DigestHash> {
    let all = [DigestHash::Md5, DigestHash::Sha1, DigestHash::Sha256, DigestHash::Sha512, DigestHash::Sm3];
    all.into_iter().find(|hash| hash.name() == algorithm)
}

/// The channel with another word where its settings name algorithms, for a message that names one that is not among them.
fn other_words(case: &Case<'_>) -> Vec<Undo> {
    if !matches!(case.rejection(), Some(Rejection::Algorithm { .. })) {
        return Vec::new();
    }
    let mut undone = Vec::new();
    for setting in case.platform.settings.iter().filter(|setting| setting.name.contains("sign")) {
        let SettingKind::Words(words) = setting.kind else { continue };
        for word in words {
            let settings = case.settings.clone().with(setting.name, SettingValue::Texts(vec![(*word).to_owned()]));
            let mut facts = vec![("algorithm", (*word).to_owned()), ("setting", setting.name.to_owned())];
            facts.extend(Claim::Signed.facts());
            undone.push(Undo::tried(Otherwise::Settings(Box::new(settings)), facts));
        }
    }
    undone
}

/// How a message is known to have another algorithm.
#[derive(Clone, Copy, Debug)]
enum Claim {
    /// Its signature holds.
    Signed,
    /// It says so.
    Named,
    /// Its signature is as long as one of those.
    Long,
}

impl Claim {
    fn facts(self) -> Facts {
        let (en, zh) = match self {
            Self::Signed => ("is signed with", "的签名算法是"),
            Self::Named => ("names", "写明的签名算法是"),
            Self::Long => ("has a signature as long as", "的签名长度相当于"),
        };
        vec![("claim", en.to_owned()), ("claim_zh", zh.to_owned())]
    }
}

/// The algorithm that a message names, where it was refused for that; or, where it names one and its signature is as long
/// as another's, that one.
fn named_algorithm(case: &Case<'_>) -> Option<Facts> {
    let Some(Rejection::Algorithm { algorithm }) = case.rejection() else { return None };
    if !is_plausible(algorithm) {
        return None;
    }
    let named = digits_of(algorithm);
    let found = written::digits(&case.request).filter(|found| named.is_some_and(|named| named != *found));
    let claim = if found.is_some() { Claim::Long } else { Claim::Named };
    let shown = match found {
        Some(32) => "MD5 (32 hex)".to_owned(),
        Some(40) => "SHA-1, HMAC-SHA1 (40 hex)".to_owned(),
        Some(64) => "SHA-256, HMAC-SHA256 (64 hex)".to_owned(),
        Some(digits) => format!("{digits} hex"),
        None => format!("`{algorithm}`"),
    };
    Some([vec![("algorithm", shown)], claim.facts()].concat())
}

/// Whether an algorithm could be called so. What has a line end, a blank or an escape at its end is a name that something
/// was done to, and says nothing of what was signed with.
fn is_plausible(name: &str) -> bool {
    let is_sign = |c: char| c.is_ascii_alphanumeric() || " -_./:+,$".contains(c);
    name.chars().all(is_sign) && name.trim() == name && name.contains(|c: char| c.is_ascii_alphanumeric())
}

/// Hexadecimal digits of what an algorithm of this name gives, where it is a digest.
fn digits_of(name: &str) -> Option<usize> {
    let letters: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    match letters.as_str() {
        "md5" => Some(32),
        "sha1" | "sha" | "hmacsha1" => Some(40),
        "sha256" | "hmacsha256" | "sm3" => Some(64),
        _ => None,
    }
}
