//! Alipay's callbacks with numbers as Alipay gives them: the simulator's form, with message and trade numbers
//! that rise with the time (or are spread at random), signed afresh.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use aws_lc_rs::rsa::KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use tollbell_channels::channel::Verdict;
use tollbell_channels::form::{self, Form, Limits};
use tollbell_channels::model::{Notification, RawRequest, Timestamp};
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::Settings;
use tollbell_channels::signature::rsa::sign_sha256;
use tollbell_channels::simulate::Story;

use super::{Callback, Channel, Numbers, of_request, scatter};

/// The platform's kind, which is the channel's id as well.
pub(crate) const KIND: &str = "alipay";
/// What the merchant passes along; it brings the body to 1.1 KB, the size of real ones.
const NOTE: &str = "shop=1001&desk=7&campaign=autumn";
/// More fields than the form has.
const FIELDS_MAX: usize = 64;
/// After how many seconds keys and callbacks are made anew, long before a gateway holds them for their age.
const AGE_MAX: i64 = 300 * 24 * 3600;

/// Alipay's side: a key of its own and the form's fields.
pub(crate) struct Alipay {
    pair: KeyPair,
    headers: String,
    fields: Vec<(String, String)>,
    settings: Settings,
    table: Channel,
    /// The day of which the numbers are that are measured, as eight digits.
    day: String,
}

impl Alipay {
    /// With the key that is kept in the folder, made when there is none.
    pub(crate) fn new(folder: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let mut side = (by_kind(KIND).context("no Alipay")?.simulate)();
        let (keys, made) = (folder.join("alipay.keys"), folder.join("alipay.made"));
        let made_at = fs::read_to_string(&made).ok().and_then(|text| text.trim().parse::<i64>().ok());
        let young = made_at.filter(|at| now.as_second() - at < AGE_MAX).zip(fs::read(&keys).ok());
        let at = if let Some((at, exported)) = young {
            side.import(&exported).map_err(anyhow::Error::msg)?;
            Timestamp::from_second(at)?
        } else {
            fs::write(&keys, side.export()).context("keep the keys")?;
            fs::write(&made, now.as_second().to_string()).context("keep the time of the keys")?;
            Timestamp::from_second(now.as_second())?
        };
        let pair = KeyPair::from_pkcs8(&side.export()).ok().context("read the key")?;
        let mut story = Story::paid("order", 1000, at);
        NOTE.clone_into(&mut story.note);
        let request = side.callback(&story).request;
        let form = Form::parse(&request.body, Limits { bytes_max: request.body.len(), pairs_max: FIELDS_MAX })
            .ok()
            .context("read the simulator's form")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = form.pairs().iter().map(|pair| (text(&pair.name), text(&pair.value)));
        let fields = fields.filter(|(name, _)| name != "sign" && name != "sign_type").collect();
        Ok(Self {
            pair,
            headers: of_request(&request).headers,
            fields,
            settings: side.settings(),
            table: Channel::of_settings(KIND, side.written_settings())?,
            day: at.strftime("%Y%m%d").to_string(),
        })
    }

    pub(crate) fn channel(&self) -> Channel {
        self.table.clone()
    }

    /// The first callback as the gateway's own channel reads it, with its request.
    pub(crate) fn read(&self, numbers: Numbers, now: Timestamp) -> anyhow::Result<(Notification, RawRequest)> {
        let channel = (by_kind(KIND).context("no Alipay")?.build)(&self.settings).context("build the channel")?;
        let Callback { body, .. } = self.callback(numbers, 0);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let path = self.table.path();
        let body = body.into();
        let request =
            RawRequest { method: Method::POST, path, query: None, headers, body, source: None, received_at: now };
        match channel.verify(&request, now) {
            Verdict::Genuine(proven) => Ok((proven.into_parts().0, request)),
            other => bail!("the channel refuses its own callback: {other:?}"),
        }
    }

    /// The day of the measured callbacks.
    pub(crate) fn day(&self) -> &str {
        &self.day
    }

    /// A genuine callback.
    pub(crate) fn callback(&self, numbers: Numbers, index: usize) -> Callback {
        let own = Numbered::new(numbers, &self.day, index);
        let mut fields = self.fields.clone();
        for (name, value) in &mut fields {
            match name.as_str() {
                "notify_id" => value.clone_from(&own.notify_id),
                "trade_no" => value.clone_from(&own.trade_no),
                "out_trade_no" => value.clone_from(&own.order_no),
                _ => {}
            }
        }
        let mut sorted: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        sorted.sort_unstable();
        let signature = sign_sha256(&self.pair, sorted.join("&").as_bytes()).expect("the key signs");
        fields.push(("sign".to_owned(), STANDARD.encode(signature)));
        fields.push(("sign_type".to_owned(), "RSA2".to_owned()));
        let body = form::encode(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        Callback { headers: self.headers.clone(), body }
    }
}

/// The numbers of one callback.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) notify_id: String,
    pub(crate) trade_no: String,
    pub(crate) order_no: String,
}

impl Numbered {
    /// Those of the callback with this index, of this day.
    pub(crate) fn new(numbers: Numbers, day: &str, index: usize) -> Self {
        match numbers {
            Numbers::Ordered => Self {
                notify_id: format!("{day}00222{index:015}"),
                trade_no: format!("{day}22001{index:015}"),
                order_no: format!("{day}{index:012}"),
            },
            Numbers::Random => {
                let number = scatter(index as u64 ^ day_seed(day));
                Self {
                    notify_id: format!("{number:020}{:08}", number % 99_999_989),
                    trade_no: format!("{:020}{:08}", scatter(number), number % 99_999_971),
                    order_no: format!("{:020}", scatter(!number)),
                }
            }
        }
    }
}

/// Keeps the random numbers of two days apart.
fn day_seed(day: &str) -> u64 {
    day.parse::<u64>().unwrap_or_default() << 32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_channel_takes_what_is_signed_here() {
        let folder = tempfile::tempdir().unwrap();
        let now = crate::scenarios::now();
        let alipay = Alipay::new(folder.path(), now).unwrap();
        for numbers in [Numbers::Ordered, Numbers::Random] {
            let own = Numbered::new(numbers, alipay.day(), 0);
            let (notification, request) = alipay.read(numbers, now).unwrap();
            assert!((1_000..1_300).contains(&request.body.len()), "{} bytes", request.body.len());
            assert_eq!(notification.facts[0].order_no.as_deref(), Some(own.order_no.as_str()));
            assert!(notification.concerns.is_empty(), "{:?}", notification.concerns);
        }
        // The same key and the same callbacks in a later run.
        let again = Alipay::new(folder.path(), now).unwrap();
        assert_eq!(again.callback(Numbers::Ordered, 7), alipay.callback(Numbers::Ordered, 7));
    }

    #[test]
    fn numbers_are_distinct_and_in_the_order_that_was_asked_for() {
        for numbers in [Numbers::Ordered, Numbers::Random] {
            let days = ["20261120", "20261121"];
            let all: Vec<Numbered> =
                days.iter().flat_map(|day| (0..2_000).map(|index| Numbered::new(numbers, day, index))).collect();
            let names: [fn(&Numbered) -> &String; 3] = [|own| &own.notify_id, |own| &own.trade_no, |own| &own.order_no];
            for name in names {
                let names: Vec<&String> = all.iter().map(name).collect();
                assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{numbers:?}");
                assert_eq!(names.is_sorted(), numbers == Numbers::Ordered, "{numbers:?}");
            }
        }
    }
}
