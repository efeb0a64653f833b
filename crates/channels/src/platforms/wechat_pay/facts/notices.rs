//! Messages without a money meaning that we know: kept, shown, and named by what they say of themselves.
//!
//! Sources: WeChat Pay merchant documents, the notification pages of each product. A kind that is not listed may
//! have a meaning that we do not know, so it is held. Where a family has to do with money or with contracts, each of
//! its words stands here by itself: that the platform uses one word says nothing about the next one.

/// Words that are known. Some tell of money that is none of the merchant's own payments, refunds and transfers: a
/// top-up of an account, a purchase in one of a mall's shops, a card's or an insurance's own bookkeeping.
const WORDS: &[&str] = &[
    "COUPON.SEND",
    "COUPON.USE",
    "DISCOUNT_CARD.AGREEMENT_ENDED",
    "DISCOUNT_CARD.GET_CARD",
    "DISCOUNT_CARD.SETTLEMENT",
    "DISCOUNT_CARD.USER_ACCEPTED",
    "DISCOUNT_CARD.USER_PAID",
    "EDU_SCHOOL_PAY.USER_DEBT_STATE_UPDATE",
    "HIRE_POWER_BANK.RECEIVE_INSURANCE",
    "MALL_AUTH.ACTIVATE_CARD",
    "MALL_REFUND.SUCCESS",
    "MALL_TRANSACTION.SUCCESS",
    "MEDICAL_INSURANCE.SUCCESS",
    "PAYSCORE.BIND_SERVICE_ACCOUNT",
    "PAYSCORE.USER_ACCEPTED",
    "PAYSCORE.USER_CANCEL_SIGN_PLAN",
    "PAYSCORE.USER_CLOSE_SERVICE",
    "PAYSCORE.USER_CONFIRM",
    "PAYSCORE.USER_OPEN_SERVICE",
    "PAYSCORE.USER_SIGN_PLAN",
    "RECHARGE.CLOSED",
    "RECHARGE.SUCCESS",
    "VIOLATION.APPEAL",
    "VIOLATION.INTERCEPT",
    "VIOLATION.PUNISH",
];

/// Families of contracts, which share their words. Signed and ended are read before this is asked.
const CONTRACTS: &[&str] = &["ENTRUST", "INSURANCE_ENTRUST", "ECOMMERCE_ENTRUST"];

/// Steps of a contract whose meaning for its state is not told.
const STEPS: &[&str] = &["SIGNING", "RELEASE", "TERMINATE_RETENTION", "RENEW"];

/// Families in which no word can tell of money: invoices, member cards, number plates.
const FAMILIES: &[&str] = &["FAPIAO.", "MEMBERCARD.", "VEHICLE."];

/// Where messages of a family name the merchant's number and the platform's, the first fitting row.
const NUMBERS: &[(&str, Option<&str>, Option<&str>)] = &[
    ("COMPLAINT.", Some("out_trade_no"), Some("complaint_id")),
    ("COUPON.", None, Some("coupon_id")),
    ("ECOMMERCE_ENTRUST.", Some("out_contract_code"), Some("contract_id")),
    ("ENTRUST.RELEASE", None, Some("contract_information.contract_id")),
    ("ENTRUST.SIGNING", None, Some("contract_information.contract_id")),
    ("ENTRUST.", Some("out_contract_code"), Some("contract_id")),
    ("INSURANCE_ENTRUST.", Some("out_contract_code"), Some("contract_id")),
    ("MALL_TRANSACTION.", None, Some("transaction_id")),
    ("MALL_REFUND.", None, Some("transaction_id")),
    ("MCHTRANSFER.BATCH.", Some("out_batch_no"), Some("batch_id")),
    ("MCHTRANSFER.", Some("out_bill_no"), Some("transfer_bill_no")),
    ("PAYSCORE.", Some("out_order_no"), Some("order_id")),
    ("PROFITSHARING.", Some("out_order_no"), Some("order_id")),
    ("RECHARGE.", Some("out_recharge_no"), Some("recharge_id")),
    ("REFUND.", Some("out_trade_no"), Some("refund_id")),
    ("TRANSACTION.", Some("out_trade_no"), Some("transaction_id")),
];

/// Whether a kind of message is known to have no meaning for us.
pub(super) fn is_known(event_type: &str) -> bool {
    let is_step =
        event_type.split_once('.').is_some_and(|(family, word)| CONTRACTS.contains(&family) && STEPS.contains(&word));
    is_step || WORDS.contains(&event_type) || FAMILIES.iter().any(|family| event_type.starts_with(family))
}

/// The paths of the merchant's number and of the platform's.
pub(super) fn numbers(event_type: &str) -> (Option<&'static str>, Option<&'static str>) {
    let row = NUMBERS.iter().find(|(family, ..)| event_type.starts_with(family));
    row.map_or((None, None), |(_, ours, theirs)| (*ours, *theirs))
}
