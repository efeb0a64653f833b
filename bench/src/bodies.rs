//! Genuine callbacks, each of its own order, signed before anything is measured: signing costs more than all
//! that is measured. Those that do not age are kept between runs.

pub(crate) mod alipay;

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, bail, ensure};
use tollbell_channels::model::{RawRequest, Timestamp};
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::SettingValue;
use tollbell_channels::signature::hmac::{HmacHash, HmacKey};
use tollbell_channels::simulate::{Story, WrittenSetting};

use self::alipay::Alipay;

/// One callback: headers as they are written, and the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Callback {
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

/// A configured channel and the callbacks for it.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) channel: Channel,
    pub(crate) callbacks: Arc<Vec<Callback>>,
}

/// A channel as it is written into a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) id: &'static str,
    /// Its table; `{folder}` stands for where the files lie.
    pub(crate) table: String,
    /// Files of keys: name and content.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Channel {
    /// Where its callbacks go.
    pub(crate) fn path(&self) -> String {
        format!("/notify/{}", self.id)
    }

    /// The public key among its files, as text.
    pub(crate) fn public_key_pem(&self) -> anyhow::Result<String> {
        let texts = self.files.iter().filter_map(|(_, bytes)| String::from_utf8(bytes.clone()).ok());
        texts.into_iter().find(|text| text.contains("PUBLIC KEY")).context("the channel has no public key")
    }

    fn of_settings(kind: &'static str, settings: Vec<WrittenSetting>) -> anyhow::Result<Self> {
        let mut table = format!("[[channel]]\nid = \"{kind}\"\nkind = \"{kind}\"\n");
        let mut files = Vec::new();
        for setting in settings {
            let name = setting.name;
            match setting.value {
                SettingValue::Text(value) => writeln!(table, "{name} = \"{value}\"")?,
                SettingValue::Texts(values) => writeln!(table, "{name} = {values:?}")?,
                SettingValue::Flag(value) => writeln!(table, "{name} = {value}")?,
                SettingValue::Key(bytes) => {
                    let file = setting.file_name.context("a key has a file name")?;
                    writeln!(table, "{name}_file = \"{{folder}}/{file}\"")?;
                    files.push((file.to_owned(), bytes.to_vec()));
                }
                other => bail!("setting {name}: {other:?}"),
            }
        }
        Ok(Self { id: kind, table, files })
    }
}

/// How the platform's numbers of payments and messages look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// They rise with the time, as Alipay's and WeChat's do.
    Ordered,
    /// They are spread at random.
    Random,
}

impl Numbers {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Random => "random",
        }
    }
}

/// An even spread of the indexes: multiplying by an odd number and folding goes through all numbers once.
pub(crate) fn scatter(index: u64) -> u64 {
    let mixed = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// So many callbacks of Alipay, from the folder where it has them.
pub(crate) fn alipay(folder: &Path, numbers: Numbers, count: usize, now: Timestamp) -> anyhow::Result<Signed> {
    let side = Alipay::new(folder, now)?;
    let path = folder.join(format!("alipay-{}.callbacks", numbers.word()));
    let mut callbacks = fs::read(&path).map(|bytes| unpack(&bytes)).unwrap_or_default();
    // Those of another key or another day's shape are of no use.
    if callbacks.first() != Some(&side.callback(numbers, 0)) {
        callbacks.clear();
    }
    if callbacks.len() < count {
        let from = callbacks.len();
        callbacks.extend(side_by_side(from..count, |index| side.callback(numbers, index))?);
        fs::write(&path, pack(&callbacks)?).context("keep the callbacks")?;
    }
    callbacks.truncate(count);
    Ok(Signed { channel: side.channel(), callbacks: Arc::new(callbacks) })
}

/// So many callbacks of WeChat Pay, signed now: its time window is five minutes.
pub(crate) fn wechat_pay(folder: &Path, count: usize, at: Timestamp) -> anyhow::Result<Signed> {
    const KIND: &str = "wechat_pay";
    let mut side = (by_kind(KIND).context("no WeChat Pay")?.simulate)();
    let keys = folder.join(format!("{KIND}.keys"));
    match fs::read(&keys) {
        Ok(exported) => side.import(&exported).map_err(anyhow::Error::msg)?,
        Err(_) => fs::write(&keys, side.export()).context("keep the keys")?,
    }
    let side = &*side;
    let callbacks = side_by_side(0..count, |index| {
        let mut story = Story::paid(&format!("W{index:019}"), 1000, at);
        story.serial = index as u64 + 1;
        of_request(&side.callback(&story).request)
    })?;
    Ok(Signed { channel: Channel::of_settings(KIND, side.written_settings())?, callbacks: Arc::new(callbacks) })
}

/// The header under which the HMAC channel and `webhook` get the digest.
pub(crate) const SIGNATURE: &str = "x-signature";
/// The secret that both know.
pub(crate) const SECRET: &str = "a-secret-of-the-measurement-0123";
/// What fills the body up to the size of an Alipay callback.
const FILLER_BYTES: usize = 840;

/// So many callbacks of a channel by configuration: JSON under an HMAC.
pub(crate) fn hmac(count: usize, at: Timestamp) -> anyhow::Result<Signed> {
    let key = HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "secret");
    let filler = "0123456789".repeat(FILLER_BYTES / 10);
    let callbacks = side_by_side(0..count, |index| {
        let body = serde_json::json!({
            "id": format!("evt_{index:016}"), "object": "event", "type": "payment.paid", "created": at.as_second(),
            "data": { "id": format!("pay_{index:016}"), "amount": 1000, "currency": "CNY", "reference": format!("H{index:019}"), "note": filler },
        });
        let body = body.to_string().into_bytes();
        let tag = hex(&key.sign(&body));
        Callback { headers: format!("content-type: application/json\r\n{SIGNATURE}: {tag}\r\n"), body }
    })?;
    let table = format!(
        "[[channel]]\nid = \"examplepay\"\nkind = \"custom\"\nplatform = \"examplepay\"\naccount = \"acct_1\"\n\
         secret_file = \"{{folder}}/examplepay_secret\"\n\
         [channel.verify]\nalgorithm = \"hmac-sha256\"\nencoding = \"hex\"\n\
         signature = {{ from = \"header:{SIGNATURE}\", parse = \"whole\" }}\nmessage = \"{{body}}\"\n\
         [channel.event]\nid = \"json:/id\"\ntype = \"json:/type\"\nnumber = \"json:/data/id\"\norder = [\"json:/data/reference\"]\n\
         time = {{ from = \"json:/created\", unit = \"s\" }}\n\
         amount = {{ value = \"json:/data/amount\", currency = \"json:/data/currency\", form = \"minor-int\" }}\n\
         [channel.event.map]\n\"payment.paid\" = \"payment.succeeded\"\n\
         [channel.reply]\nok = {{ status = 200, body = \"success\" }}\n"
    );
    let files = vec![("examplepay_secret".to_owned(), SECRET.as_bytes().to_vec())];
    Ok(Signed { channel: Channel { id: "examplepay", table, files }, callbacks: Arc::new(callbacks) })
}

/// Bytes as small hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |text, byte| text + &format!("{byte:02x}"))
}

/// Makes the callbacks of a range on all processors.
fn side_by_side(range: Range<usize>, one: impl Fn(usize) -> Callback + Sync) -> anyhow::Result<Vec<Callback>> {
    let wanted = range.len();
    let shares = thread::available_parallelism().map_or(1, usize::from);
    let made = thread::scope(|scope| {
        let one = &one;
        let bound = |share: usize| range.start + wanted * share / shares;
        let threads: Vec<_> = (0..shares)
            .map(|share| bound(share)..bound(share + 1))
            .map(|own| scope.spawn(move || own.map(one).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<Result<Vec<_>, _>>()
    });
    let made: Vec<Callback> = made.map_err(|_| anyhow::anyhow!("signing panicked"))?.into_iter().flatten().collect();
    ensure!(made.len() == wanted, "{wanted} callbacks were wanted, {} made", made.len());
    Ok(made)
}

fn of_request(request: &RawRequest) -> Callback {
    let headers = request.headers.iter().fold(String::new(), |text, (name, value)| {
        text + &format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()))
    });
    Callback { headers, body: request.body.to_vec() }
}

/// Each part behind its length.
fn pack(callbacks: &[Callback]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in callbacks.iter().flat_map(|callback| [callback.headers.as_bytes(), callback.body.as_slice()]) {
        bytes.extend_from_slice(&u32::try_from(part.len())?.to_le_bytes());
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

fn unpack(mut bytes: &[u8]) -> Vec<Callback> {
    let mut take = || -> Option<Vec<u8>> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        bytes = rest;
        Some(part.to_vec())
    };
    let mut callbacks = Vec::new();
    while let (Some(headers), Some(body)) = (take(), take()) {
        callbacks.push(Callback { headers: String::from_utf8_lossy(&headers).into_owned(), body });
    }
    callbacks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn scattered_numbers_are_distinct_and_in_no_order() {
        let all: Vec<u64> = (0..10_000).map(scatter).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        let rising = all.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((4_000..6_000).contains(&rising), "{rising}");
    }

    #[test]
    fn packed_callbacks_come_back() {
        let callbacks = vec![
            Callback { headers: "a: b\r\n".into(), body: b"x=1".to_vec() },
            Callback { headers: String::new(), body: Vec::new() },
        ];
        let bytes = pack(&callbacks).unwrap();
        assert_eq!(unpack(&bytes), callbacks);
        assert_eq!(unpack(&bytes[..bytes.len() - 1]), callbacks[..1]);
    }
}
