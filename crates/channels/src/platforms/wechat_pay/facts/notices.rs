//! Messages without a money meaning that we know: kept, shown, and named by what they say of themselves.
//!
//! Sources: WeChat Pay merchant documents, the notification pages of each product. A kind that is not listed may
//! have a meaning that we do not know, so it is held.

/// Families of such kinds. A family's members that have a meaning of their own are read before this is asked.
const FAMILIES: &[&str] = &[
    "APPLYMENT_STATE.",
    "COUPON.",
    "DISCOUNT_CARD.",
    "ECOMMERCE_ENTRUST.",
    "EDU_SCHOOL_PAY.",
    "ENTRUST.",
    "FACEPAY.",
    "FAPIAO.",
    "HIRE_POWER_BANK.",
    "INSURANCE_ENTRUST.",
    "MALL_AUTH.",
    "MALL_REFUND.",
    "MALL_TRANSACTION.",
    "MCHTRANSFER.AUTHORIZATION.",
    "MCHWITHDRAW.",
    "MEDICAL_INSURANCE.",
    "MEMBERCARD.",
    "MEMBERCARDSP.",
    "PAPAY.",
    "PAYSCORE.",
    "RECHARGE.",
    "RISKTRADE.",
    "VEHICLE.",
    "VIOLATION.",
    "WEBIZPAY.",
];

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
    FAMILIES.iter().any(|family| event_type.starts_with(family))
}

/// The paths of the merchant's number and of the platform's.
pub(super) fn numbers(event_type: &str) -> (Option<&'static str>, Option<&'static str>) {
    let row = NUMBERS.iter().find(|(family, ..)| event_type.starts_with(family));
    row.map_or((None, None), |(_, ours, theirs)| (*ours, *theirs))
}
