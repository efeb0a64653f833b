//! The list of supported platforms. Adding one is an entry in this folder, its `mod` line, and its line
//! in the list; a platform that needs no code is one file in `presets/`. Everything else (configuration, help,
//! contract tests, generated pages) reads [`PLATFORMS`].

mod accounts;
pub mod adyen;
pub mod adyen_platform;
pub mod alipay;
pub mod antom;
mod beijing;
pub mod braintree;
mod crc32;
pub mod custom;
mod douyin;
pub mod douyin_ecpay;
pub mod douyin_pay;
pub mod douyin_trade;
pub mod epay;
#[cfg(all(test, feature = "simulate"))]
mod explained;
mod failure;
pub mod huifu;
pub mod huifu_webhook;
pub mod jd_pay;
pub mod jeepay;
mod joined;
mod ladder;
pub mod lianlian;
pub mod lianlian_accp;
mod minor;
pub mod mollie;
mod outside;
pub mod paypal;
pub mod presets;
pub mod qq_wallet;
mod repeated;
mod signed_body;
pub mod stripe;
mod tenpay;
pub mod unionpay;
pub mod wechat_pay;
pub mod wechat_pay_v2;
pub mod yeepay;

use std::ops::Deref;
use std::slice;
use std::sync::LazyLock;
use std::time::Duration;

use crate::channel::{Channel, Ladder};
use crate::settings::{Setting, Settings, SettingsError, Text};

/// A platform, describing itself.
#[derive(Debug)]
pub struct Platform {
    /// The word in `kind = "…"`.
    pub kind: &'static str,
    /// The family within which identities are shared (see [`crate::model::Scope`]).
    pub family: &'static str,
    /// Its name for people.
    pub name: Text,
    /// Its settings, in the order in which they are shown.
    pub settings: &'static [Setting],
    /// Gaps between its attempts to bring a notification.
    pub ladder: Ladder,
    /// How long it waits for an answer, where its documents say so; then it repeats.
    pub patience: Option<Duration>,
    /// How old a message may be when its receiver checks the signature, where the protocol has such a window.
    pub freshness: Option<Duration>,
    /// The published addresses that it sends from (CIDR), as far as any are.
    pub source_ranges: &'static [&'static str],
    /// What is not confirmed by any source that we know; shown to users.
    pub unconfirmed: &'static [Text],
    /// Builds a channel from resolved settings. Fails closed: no key, no channel.
    pub build: fn(&Settings) -> Result<Box<dyn Channel>, SettingsError>,
    /// Makes the other side.
    #[cfg(feature = "simulate")]
    pub simulate: fn() -> Box<dyn crate::simulate::OtherSide>,
    /// Makes callbacks with a configured channel's own secret, where a secret is what signs; none where only
    /// the platform can.
    #[cfg(feature = "simulate")]
    pub mirror: Option<MakeMirror>,
}

/// Makes a [`crate::simulate::Mirror`] from a channel's settings.
#[cfg(feature = "simulate")]
pub type MakeMirror = fn(&Settings) -> Result<Box<dyn crate::simulate::Mirror>, SettingsError>;

/// Every platform: those with code of their own, then the presets by their names.
pub const PLATFORMS: Platforms = Platforms;

/// The slice of all platforms, see [`PLATFORMS`].
#[derive(Clone, Copy, Debug)]
pub struct Platforms;

impl Deref for Platforms {
    type Target = [&'static Platform];

    fn deref(&self) -> &Self::Target {
        static ALL: LazyLock<Vec<&'static Platform>> =
            LazyLock::new(|| CODED.iter().copied().chain(presets::shipped()).collect());
        &ALL
    }
}

impl IntoIterator for Platforms {
    type Item = &'static &'static Platform;
    type IntoIter = slice::Iter<'static, &'static Platform>;

    fn into_iter(self) -> Self::IntoIter {
        let all: &'static [&'static Platform] = &PLATFORMS;
        all.iter()
    }
}

/// Platforms that need code.
static CODED: &[&Platform] = &[
    &alipay::PLATFORM,
    &wechat_pay::PLATFORM,
    &wechat_pay_v2::PLATFORM,
    &unionpay::PLATFORM,
    &douyin_pay::PLATFORM,
    &douyin_trade::PLATFORM,
    &douyin_ecpay::PLATFORM,
    &qq_wallet::PLATFORM,
    &jd_pay::PLATFORM,
    &lianlian::PLATFORM,
    &lianlian_accp::PLATFORM,
    &huifu::PLATFORM,
    &huifu_webhook::PLATFORM,
    &yeepay::PLATFORM,
    &jeepay::PLATFORM,
    &epay::PLATFORM,
    &stripe::PLATFORM,
    &adyen::PLATFORM,
    &adyen_platform::PLATFORM,
    &braintree::PLATFORM,
    &mollie::PLATFORM,
    &antom::PLATFORM,
    &paypal::PLATFORM,
    &custom::PLATFORM,
];

/// The platform of this kind.
pub fn by_kind(kind: &str) -> Option<&'static Platform> {
    PLATFORMS.iter().copied().find(|platform| platform.kind == kind)
}
