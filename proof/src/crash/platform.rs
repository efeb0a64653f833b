//! The two platforms as they behave towards a receiver: their addresses, what they take for success, and when
//! they come again. Written down from their documents, not asked of the program under proof.

use std::time::Duration;

use tollbell_channels::platforms::by_kind;
use tollbell_channels::simulate::OtherSide;

/// A platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Platform {
    /// Forms with a running total of refunds.
    Alipay,
    /// Sealed JSON with refunds of their own.
    WechatPay,
}

/// Gaps between the attempts (Alipay Open Platform, "asynchronous notification": 25 hours, 8 times), in seconds.
const ALIPAY_GAPS: &[u64] = &[240, 600, 600, 3_600, 7_200, 21_600, 54_000];

/// Gaps between the attempts (WeChat Pay, "callback notifications": 24 hours and 4 minutes), in seconds.
const WECHAT_GAPS: &[u64] =
    &[15, 15, 30, 180, 600, 1_200, 1_800, 1_800, 1_800, 3_600, 10_800, 10_800, 10_800, 21_600, 21_600];

impl Platform {
    /// Both.
    pub const ALL: &'static [Self] = &[Self::Alipay, Self::WechatPay];

    /// Its word in configurations, which is also the channel's id here.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Alipay => "alipay",
            Self::WechatPay => "wechat_pay",
        }
    }

    /// Its other side, with fresh keys.
    ///
    /// # Panics
    /// When the platform is not known to the protocol crate any more.
    pub fn side(self) -> Box<dyn OtherSide> {
        (by_kind(self.kind()).expect("a platform that is supported").simulate)()
    }

    /// How long after the failed attempt number `attempt` (0 for the first) the next one comes; none when it was
    /// the last.
    pub fn gap(self, attempt: usize) -> Option<Duration> {
        let gaps = match self {
            Self::Alipay => ALIPAY_GAPS,
            Self::WechatPay => WECHAT_GAPS,
        };
        gaps.get(attempt).copied().map(Duration::from_secs)
    }

    /// Whether this complete reply stops the repetition.
    pub fn is_success(self, status: u16, body: &[u8]) -> bool {
        match self {
            // "The program must print these 7 characters": success, and nothing else.
            Self::Alipay => status == 200 && body == b"success",
            // Status 200 or 204; a body that says FAIL is none.
            Self::WechatPay => {
                status == 204 && body.is_empty() || status == 200 && !body.windows(4).any(|w| w == b"FAIL")
            }
        }
    }

    /// Whether a message about a refund also states the payment.
    pub fn tells_payment_with_refund(self) -> bool {
        self == Self::Alipay
    }

    /// Whether a refund's message states the total so far in place of the refund's own amount.
    pub fn states_running_totals(self) -> bool {
        self == Self::Alipay
    }
}
