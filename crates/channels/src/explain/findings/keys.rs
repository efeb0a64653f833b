//! Whose message it is, and whose key signed it.

use std::time::Duration;

use super::slots::{self, is_same, key_settings, value, with_all, with_one};
use crate::channel::{KeyNote, Likeness, Rejection, quote};
use crate::explain::{Case, Configured, Facts, Finding, Otherwise, Outcome, Probe, Undo};
use crate::form::{Form, Limits};
use crate::json::Json;
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, SettingValue, Text};
use crate::succession::former_prefix;
use crate::xml::{self, Flat};

/// Most other channels that are asked about one request. What recognises it comes first.
const CHANNELS_MAX: usize = 16;

/// Most keys that are named in a fact.
const KEYS_SHOWN_MAX: usize = 8;

/// A message of another channel of the same platform.
pub(super) static OTHER_CHANNEL: Finding = Finding {
    id: "other_channel",
    title: Text {
        en: "this is a message of the channel `{channel}`, which takes it as it is",
        zh: "这是渠道 `{channel}` 的通知：用该渠道的配置验证即可通过",
    },
    cause: Text {
        en: "The notify URL of another merchant, application or endpoint of yours leads to this channel: the platform sends \
             there what belongs to `{channel}`.",
        zh: "你的另一个商户、应用或端点的通知地址填成了本渠道的地址，平台便把 `{channel}` 的通知发到了这里。",
    },
    cure: Text {
        en: "In the platform's backend and in the code that creates orders, give `{channel}` its own notify URL \
             (`/notify/{channel}`), or send both to `/notify`, where the channel is recognised by the request.",
        zh: "请在平台后台以及下单代码里，把该商户（应用）的通知地址改为 `/notify/{channel}`；或统一使用 `/notify`，由网关按请求内容识别渠道。",
    },
    probes: &[Probe::Undo(|case| siblings(case, |theirs| theirs == case.settings.environment))],
};

/// A message of the other environment.
pub(super) static OTHER_ENVIRONMENT: Finding = Finding {
    id: "other_environment",
    title: Text {
        en: "this is a message of the other environment: the keys of `{channel}` prove it as `{environment}`",
        zh: "这是另一个环境的通知：按 `{environment}` 环境、用 `{channel}` 的密钥验证即可通过",
    },
    cause: Text {
        en: "Live and sandbox have keys and addresses of their own. A notify URL, an order or a key of the one was used in \
             the other.",
        zh: "正式环境与沙箱各有自己的密钥和通知地址。通知地址、订单或密钥用到了另一个环境里。",
    },
    cure: Text {
        en: "Give each environment a channel and a notify URL of its own, and check which environment the code that creates \
             orders talks to. Nothing of a sandbox must reach the shop as a payment.",
        zh: "请为每个环境各配置一个渠道和通知地址，并检查下单代码连接的是哪个环境。沙箱通知绝不能当作真实收款交给业务系统。",
    },
    probes: &[
        Probe::Undo(|case| siblings(case, |theirs| theirs != case.settings.environment)),
        Probe::Undo(in_other_environment),
    ],
};

/// A message of another platform, or of another version of the protocol.
pub(super) static OTHER_PLATFORM: Finding = Finding {
    id: "other_platform",
    title: Text {
        en: "this is a message of another kind, `{kind}`: the channel `{channel}` takes it",
        zh: "这是另一种通知（`{kind}`）：渠道 `{channel}` 可以验证通过",
    },
    cause: Text {
        en: "Another platform, or another version of this platform's interface, was given the notify URL of this channel. \
             Versions of one platform differ in their keys and their form: an order that was created by one of them is \
             notified in its form.",
        zh: "另一个平台、或同一平台的另一版接口，使用了本渠道的通知地址。同一平台的各版接口密钥和报文格式都不同：用哪一版下单，就按哪一版通知。",
    },
    cure: Text {
        en: "Give that interface the notify URL of `{channel}` (`/notify/{channel}`), or send both to `/notify`, where the \
             channel is recognised by the request.",
        zh: "请把该接口下单时的通知地址改为 `/notify/{channel}`；或统一使用 `/notify`，由网关按请求内容识别渠道。",
    },
    probes: &[Probe::Undo(of_other_kinds)],
};

/// Signed under a key that has ended.
pub(super) static KEY_ENDED: Finding = Finding {
    id: "key_ended",
    title: Text {
        en: "it {claim} a key that has ended here: {keys}", zh: "{claim_zh}的密钥在本网关已经到期：{keys}"
    },
    cause: Text {
        en: "The configuration gave the key an end (`until`), or its certificate is over, and the platform still signs with it: \
             the change of keys is not finished on the platform's side, or the message was made before it. What only names \
             such a key may be anybody's message.",
        zh: "配置里为该密钥设置了失效时间（`until`），或证书已经过期，而平台仍在用它签名：平台一侧尚未完成密钥更换，或者消息是更换之前产生的。\
             如果消息只是指明了这把密钥，则可能出自任何人之手。",
    },
    cure: Text {
        en: "With an ended certificate, install the new one. Only where a message is proved by the key, and the platform still \
             signs with it rightly, move its `until`: never for one that only names it. Then verify the refused messages anew \
             (`tollbell rejections reverify`).",
        zh: "若是证书过期，请安装新证书。只有在已证明消息确由该密钥签名、且平台确实仍应使用它时，才推迟 `until`；仅仅指明该密钥的消息不能作为依据。\
             之后用 `tollbell rejections reverify` 重新验证被拒绝的通知。",
    },
    probes: &[
        Probe::UndoTold(with_ended_keys, signed_with_ended),
        Probe::UndoTold(before_the_end, signed_with_ended),
        Probe::Look(certificate_over),
    ],
};

/// For this merchant, and signed under the key of another channel.
pub(super) static KEY_OF_OTHER_CHANNEL: Finding = Finding {
    id: "key_of_other_channel",
    title: Text {
        en: "it is for this channel, and fits the key that is configured for `{channel}` (`{setting}`)",
        zh: "通知属于本渠道，但与渠道 `{channel}` 所配置的密钥（`{setting}`）相符",
    },
    cause: Text {
        en: "The keys of two channels were put into each other's place, or the platform signs for both with one key and only \
             one of them has it.",
        zh: "两个渠道的密钥填反了，或者平台对两者使用同一把密钥，而只有一个渠道配置了它。",
    },
    cure: Text {
        en: "Copy the key of this merchant and application anew from the platform's backend into `{setting}`, and compare the \
             one of `{channel}`, too.",
        zh: "请从平台后台重新复制本商户（应用）的密钥填入 `{setting}`，并核对渠道 `{channel}` 的密钥。",
    },
    probes: &[Probe::Undo(with_keys_of_siblings), Probe::Undo(with_secrets_of_others)],
};

/// Two keys of the channel stand in each other's place.
pub(super) static KEYS_SWAPPED: Finding = Finding {
    id: "keys_swapped",
    title: Text {
        en: "`{setting}` and `{other}` are in each other's place", zh: "`{setting}` 与 `{other}` 填反了"
    },
    cause: Text {
        en: "The platform has two keys for this channel, and each was entered as the other.",
        zh: "平台为该渠道提供了两把密钥，填写时互换了位置。",
    },
    cure: Text {
        en: "Exchange the two settings, and run `tollbell check`.",
        zh: "请互换这两项配置，然后运行 `tollbell check`。",
    },
    probes: &[Probe::Undo(swapped)],
};

/// For a merchant that nobody here is.
pub(super) static OTHER_MERCHANT: Finding = Finding {
    id: "other_merchant",
    title: Text {
        en: "`{field}` names a merchant or application ({value}) that no channel here is configured for",
        zh: "`{field}` 所写的商户或应用（{value}）不属于这里的任何渠道",
    },
    cause: Text {
        en: "The id in the configuration has a typing error or is of another application, or somebody else's notify URL leads \
             here. The signature was not looked at: it could be anybody's message.",
        zh: "配置里的商户号（应用号）写错或属于另一个应用，或者别人的通知地址指向了这里。此时尚未验签，无法判断消息真伪。",
    },
    cure: Text {
        en: "Compare `{field}` with the channel's ids in the configuration. If the id is yours, correct it, or add a channel for \
             that merchant with its own keys; else find out who sends here.",
        zh: "请将 `{field}` 与配置里的商户号（应用号）核对：若确属于你，请更正，或为该商户添加渠道并配置其密钥；否则请查明是谁在向这里发送。",
    },
    probes: &[Probe::Look(names_nobody)],
};

/// Names a key that is not here.
pub(super) static UNKNOWN_KEY: Finding = Finding {
    id: "unknown_key",
    title: Text {
        en: "it names the key `{serial}`, which is not configured (known: {known})",
        zh: "通知指明的密钥 `{serial}` 未配置（已知：{known}）",
    },
    cause: Text {
        en: "The platform has changed its key, or signs with one of another sort than is configured: a certificate goes by its \
             serial number, a public key by the id that the platform's backend shows beside it. The merchant's own \
             certificate has a serial, too, and is never the one.",
        zh: "平台更换了密钥，或所用的密钥与配置的不是同一类：平台证书以证书序列号标识，平台公钥以后台显示的公钥 ID 标识。商户自己的证书也有序列号，但绝不是这一个。",
    },
    cure: Text {
        en: "Download the platform's key or certificate with this number from its backend and add it to the channel; keep the \
             present one beside it until the platform has changed over.",
        zh: "请从平台后台下载编号为 `{serial}` 的平台公钥或平台证书并添加到渠道；切换完成之前保留现有的密钥。",
    },
    probes: &[Probe::Look(names_unknown_key)],
};

/// Whether another channel or another key could make a difference to this refusal.
fn is_about_keys(case: &Case<'_>) -> bool {
    match &case.outcome {
        Outcome::NeedsKey { .. } => true,
        Outcome::Refused(rejection) => matches!(
            rejection,
            Rejection::Signature
                | Rejection::UnknownKey { .. }
                | Rejection::Undecryptable
                | Rejection::Algorithm { .. }
        ),
        Outcome::Genuine | Outcome::Hint => false,
    }
}

/// The other channels that this filter lets through and that know the form of the request, those first that know its
/// ids.
fn recognising<'c>(
    case: &'c Case<'_>,
    is_meant: impl Fn(&Configured<'_>) -> bool,
) -> Vec<(usize, &'c Configured<'c>, Likeness)> {
    let all = case.others.iter().enumerate().filter(|(_, other)| is_meant(other));
    let mut found: Vec<_> = all
        .map(|(place, other)| (place, other, case.likeness_to(other, &case.request)))
        .filter(|(_, _, likeness)| *likeness != Likeness::No)
        .collect();
    found.sort_by_key(|(_, _, likeness)| std::cmp::Reverse(*likeness));
    found.truncate(CHANNELS_MAX);
    found
}

/// The request given to the other channels of the same platform.
fn siblings(case: &Case<'_>, is_meant: impl Fn(Environment) -> bool) -> Vec<Undo> {
    let is_of_ids = matches!(case.rejection(), Some(Rejection::UnknownMerchant { .. } | Rejection::Missing { .. }));
    if !is_about_keys(case) && !is_of_ids {
        return Vec::new();
    }
    let own = case.channel.recognise(&case.request);
    let kind = case.platform.kind;
    recognising(case, |other| other.platform.kind == kind && is_meant(other.settings.environment))
        .into_iter()
        .map(|(place, other, likeness)| {
            let facts =
                vec![("channel", other.id.to_owned()), ("environment", other.settings.environment.as_str().to_owned())];
            let is_traced = likeness == Likeness::Merchant && own != Likeness::Merchant;
            Undo { otherwise: Otherwise::Channel(place), facts, is_traced }
        })
        .collect()
}

/// The same channel in the other environment.
fn in_other_environment(case: &Case<'_>) -> Vec<Undo> {
    let mut settings = case.settings.clone();
    settings.environment = match settings.environment {
        Environment::Live => Environment::Sandbox,
        Environment::Sandbox => Environment::Live,
    };
    let facts = vec![("channel", case.id.to_owned()), ("environment", settings.environment.as_str().to_owned())];
    vec![Undo::tried(Otherwise::Settings(Box::new(settings)), facts)]
}

fn of_other_kinds(case: &Case<'_>) -> Vec<Undo> {
    let own = case.channel.recognise(&case.request);
    let kind = case.platform.kind;
    // What anybody may name proves nothing of whose message it is.
    recognising(case, |other| other.platform.kind != kind && !other.channel.gives_only_hints())
        .into_iter()
        .map(|(place, other, likeness)| {
            let facts = vec![("channel", other.id.to_owned()), ("kind", other.platform.kind.to_owned())];
            let is_traced = likeness == Likeness::Merchant && own == Likeness::No;
            Undo { otherwise: Otherwise::Channel(place), facts, is_traced }
        })
        .collect()
}

/// Keys that have ended by then, each with its end.
fn ended(case: &Case<'_>) -> Vec<KeyNote> {
    case.channel.keys().into_iter().filter(|note| note.not_after.is_some_and(|end| end <= case.now)).collect()
}

fn with_ended_keys(case: &Case<'_>) -> Vec<Undo> {
    if ended(case).is_empty() || !is_about_keys(case) {
        return Vec::new();
    }
    vec![Undo::traced(Otherwise::Endless, Vec::new())]
}

/// The ended keys whose checks hold; where that is not told, those that make the difference between the two.
fn signed_with_ended(case: &Case<'_>, other: &Case<'_>) -> Facts {
    let mut over = ended(case);
    let held: Vec<&str> = other.trials.iter().filter(|trial| trial.held).map(|trial| trial.key.as_str()).collect();
    let own = |note: &KeyNote| note.label[former_prefix(&note.label).len()..].to_owned();
    let holds = |note: &KeyNote| {
        let own = own(note);
        held.iter().any(|key| [Some(own.as_str()), note.fingerprint.as_deref()].contains(&Some(*key)))
    };
    if over.iter().any(holds) {
        over.retain(holds);
    } else if other.now < case.now {
        over.retain(|note| note.not_after.is_some_and(|end| end > other.now));
    }
    claimed("was signed with", "签名所用", &over)
}

/// What is said of ended keys.
fn claimed(claim: &str, claim_zh: &str, keys: &[KeyNote]) -> Facts {
    vec![("claim", claim.to_owned()), ("claim_zh", claim_zh.to_owned()), ("keys", shown_ends(keys))]
}

fn shown_ends(notes: &[KeyNote]) -> String {
    let shown = notes.iter().take(KEYS_SHOWN_MAX).map(|note| {
        let end = note.not_after.map(|end| format!(" ({end})")).unwrap_or_default();
        format!("{}{end}", note.label)
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The message names a certificate that is here and is over. Anybody may name it.
fn certificate_over(case: &Case<'_>) -> Option<Facts> {
    let serial = named_key(case)?;
    let normal = |text: &str| text.trim_start_matches('0').to_ascii_lowercase();
    let is_it = |note: &KeyNote| {
        [Some(&note.label), note.fingerprint.as_ref()].into_iter().flatten().any(|name| normal(name) == normal(serial))
    };
    let over: Vec<KeyNote> = ended(case).into_iter().filter(is_it).collect();
    let mut facts = claimed("names", "通知指明", &over);
    facts.push(("serial", serial.to_owned()));
    (!over.is_empty()).then_some(facts)
}

/// Most ends of keys before which the request is looked at.
const ENDS_MAX: usize = 4;

/// How long before an end: a moment at which what ends was still in use.
const BEFORE_THE_END: Duration = Duration::from_secs(1);

/// The request as it would have been seen before a key ended, for what a message brings or names in no way that can be
/// compared.
fn before_the_end(case: &Case<'_>) -> Vec<Undo> {
    if named_key(case).is_none() {
        return Vec::new();
    }
    let mut over = ended(case);
    // Before the last end, only what ended then makes a difference.
    over.sort_by_key(|note| std::cmp::Reverse(note.not_after));
    over.dedup_by_key(|note| note.not_after);
    let before =
        |note: &KeyNote| note.not_after.map(|end| Undo::tried(Otherwise::Time(end - BEFORE_THE_END), Vec::new()));
    over.iter().take(ENDS_MAX).filter_map(before).collect()
}

/// What the message calls the key that is not here.
fn named_key<'c>(case: &'c Case<'_>) -> Option<&'c str> {
    match &case.outcome {
        Outcome::NeedsKey { serial } | Outcome::Refused(Rejection::UnknownKey { serial }) => Some(serial),
        _ => None,
    }
}

/// Own ids with the key material of another channel of the same platform: one setting of it, then all.
fn with_keys_of_siblings(case: &Case<'_>) -> Vec<Undo> {
    if !is_about_keys(case) || case.rejection() == Some(&Rejection::Undecryptable) {
        return Vec::new();
    }
    let mut undone = Vec::new();
    for (_, sibling) in case.siblings().take(CHANNELS_MAX) {
        let theirs = sibling.settings;
        let differs = |name: &str| match (value(&case.settings, name), value(theirs, name)) {
            (Some(own), Some(other)) => !is_same(own, other),
            (own, other) => own.is_some() || other.is_some(),
        };
        let is_there = |name: &str| value(&case.settings, name).or_else(|| value(theirs, name)).is_some();
        let different: Vec<&'static str> =
            key_settings(case.platform).map(|setting| setting.name).filter(|name| differs(name)).collect();
        // Of secrets also those that are alike: whether they are shows in no count.
        let tried: Vec<&'static str> = key_settings(case.platform)
            .filter(|setting| different.contains(&setting.name) || is_secret(setting) && is_there(setting.name))
            .map(|setting| setting.name)
            .collect();
        let mut push = |settings, setting: &str| {
            let facts = vec![("channel", sibling.id.to_owned()), ("setting", setting.to_owned())];
            undone.push(Undo::tried(Otherwise::Settings(Box::new(settings)), facts));
        };
        for name in &tried {
            if let Some(settings) = with_one(&case.settings, theirs, name) {
                push(settings, name);
            }
        }
        if tried.len() > 1 {
            let is_blind = different.len() < 2;
            let all = if is_blind { case.settings.clone() } else { with_all(case.platform, &case.settings, theirs) };
            push(all, &different.join(", "));
        }
    }
    undone
}

/// Whether a setting holds secrets.
fn is_secret(setting: &Setting) -> bool {
    match setting.kind {
        SettingKind::SecretKey | SettingKind::SecretFiles => true,
        SettingKind::Tree { secrets, .. } => !secrets.is_empty(),
        _ => false,
    }
}

/// A secret of a channel of another platform in the place of an own one: versions of one platform have keys that look
/// alike.
fn with_secrets_of_others(case: &Case<'_>) -> Vec<Undo> {
    if !is_about_keys(case) || case.rejection() == Some(&Rejection::Undecryptable) {
        return Vec::new();
    }
    secrets_of_others(case, |other| other.platform.kind != case.platform.kind)
}

/// Most secrets of other channels that are tried.
const SECRETS_MAX: usize = 64;

/// Each secret of other channels in each place of an own one, also where the same stands there: how much is tried says
/// nothing of which are alike.
pub(super) fn secrets_of_others(case: &Case<'_>, is_meant: impl Fn(&Configured<'_>) -> bool) -> Vec<Undo> {
    let own = slots::secrets(case.platform, &case.settings);
    let mut undone = Vec::new();
    for other in case.others.iter().filter(|other| is_meant(other)) {
        for theirs in slots::secrets(other.platform, other.settings) {
            for slot in &own {
                let facts = vec![("channel", other.id.to_owned()), ("setting", slot.label.clone())];
                let settings = slot.replaced(&case.settings, &theirs.bytes);
                undone.push(Undo::tried(Otherwise::Settings(Box::new(settings)), facts));
                if undone.len() >= SECRETS_MAX {
                    return undone;
                }
            }
        }
    }
    undone
}

fn swapped(case: &Case<'_>) -> Vec<Undo> {
    if !is_about_keys(case) {
        return Vec::new();
    }
    let single = key_settings(case.platform).filter_map(|setting| match value(&case.settings, setting.name) {
        Some(SettingValue::Key(bytes)) => Some((setting, bytes)),
        _ => None,
    });
    let single: Vec<_> = single.collect();
    let mut undone = Vec::new();
    for (place, (one, own)) in single.iter().enumerate() {
        for (other, theirs) in &single[place + 1..] {
            // Whether two secrets are alike shows in no count.
            if one.kind == other.kind && (is_secret(one) || own != theirs) {
                let settings = case.settings.clone();
                let settings = settings
                    .with(one.name, SettingValue::Key((*theirs).clone()))
                    .with(other.name, SettingValue::Key((*own).clone()));
                let facts = vec![("setting", one.name.to_owned()), ("other", other.name.to_owned())];
                undone.push(Undo::tried(Otherwise::Settings(Box::new(settings)), facts));
            }
        }
    }
    undone
}

/// What stands for a value that could not be read out of the message.
const UNREAD: &str = "…";

fn names_nobody(case: &Case<'_>) -> Option<Facts> {
    let Some(Rejection::UnknownMerchant { field }) = case.rejection() else { return None };
    let is_known = case.others.iter().any(|other| case.likeness_to(other, &case.request) == Likeness::Merchant);
    if is_known {
        return None;
    }
    let value = field_value(case, field);
    // With something else wrong beside it, a channel may not know its own message; its configuration still names the id.
    if value.as_ref().is_some_and(|value| case.others.iter().any(|other| is_configured(other, value))) {
        return None;
    }
    Some(vec![("field", field.clone()), ("value", value.unwrap_or_else(|| UNREAD.to_owned()))])
}

/// Whether a channel's settings hold a text, as it is shown.
fn is_configured(other: &Configured<'_>, text: &str) -> bool {
    other.settings.values().any(|(_, value)| match value {
        SettingValue::Text(own) => quote(own) == text,
        SettingValue::Texts(own) => own.iter().any(|own| quote(own) == text),
        _ => false,
    })
}

/// Most pairs that are looked through for a value.
const FIELDS: Limits = Limits { bytes_max: 1024 * 1024, pairs_max: 512 };

/// The same for the elements of XML.
const ELEMENTS: xml::Limits = xml::Limits { bytes_max: 1024 * 1024, fields_max: 512 };

/// The value of a field, wherever a message may have it: a header, the query, a form or JSON.
fn field_value(case: &Case<'_>, field: &str) -> Option<String> {
    let request = &case.request;
    if let Some(value) = request.single_header(field) {
        return Some(quote(value));
    }
    let query = request.query.as_deref().unwrap_or_default().as_bytes();
    let in_form = |text: &[u8]| {
        let form = Form::parse(text, FIELDS).ok()?;
        form.present(field).map(|value| quote(&String::from_utf8_lossy(value)))
    };
    let in_json = || Json::parse(&request.body).ok()?.get(field)?.text().map(quote);
    let in_xml = || Flat::parse(&request.body, ELEMENTS).ok()?.present(field).map(quote);
    in_form(query).or_else(|| in_form(&request.body)).or_else(in_json).or_else(in_xml)
}

fn names_unknown_key(case: &Case<'_>) -> Option<Facts> {
    let serial = named_key(case)?;
    let notes = case.channel.keys();
    let known = notes.iter().filter(|note| note.fingerprint.is_some()).take(KEYS_SHOWN_MAX).map(|note| {
        let number = note.fingerprint.as_deref().unwrap_or_default();
        format!("{} {number}", note.label)
    });
    let known = known.collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { UNREAD.to_owned() } else { known };
    Some(vec![("serial", serial.to_owned()), ("known", known)])
}

#[cfg(all(test, feature = "simulate"))]
#[path = "tests/keys.rs"]
mod tests;
