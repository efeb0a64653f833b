//! What the gateway's own records show about a message that is genuine: it has no mistake of its own, and yet something
//! around it went wrong. No probe looks for these. Whoever reads the records proves them, see
//! [`crate::explain::Evidence::Recorded`].

use crate::explain::Finding;
use crate::settings::Text;

/// The platform sent it again although it had our answer. Facts: `count`, `answered_at`, `last_at`.
pub static REPEATED_AFTER_ANSWER: Finding = Finding {
    id: "repeated_after_answer",
    title: Text {
        en: "the platform sent it again {count} times after the success reply of {answered_at} (last at {last_at})",
        zh: "网关已于 {answered_at} 返回成功应答，平台此后仍重复通知 {count} 次（最近一次 {last_at}）",
    },
    cause: Text {
        en: "The reply left here completely and was not taken for a success: something on its way changed it (a proxy, a CDN or a \
             firewall page, an added byte), it came after the platform's time limit, or the platform sends some messages twice \
             by itself.",
        zh: "成功应答已完整发出，平台却没有认可：应答在途中被改动（代理、CDN、防火墙页面或多出的字节），或超过了平台的等待时限；\
             也有平台本来就会重复发送。",
    },
    cure: Text {
        en: "Send the same request through the public address and compare the reply's status, headers and bytes with those in the \
             page about platforms. Switch off rewriting, compression and error pages for this path.",
        zh: "请从公网地址发送同一请求，将返回的状态码、响应头和字节与平台页面中列出的应答逐一比对；对该路径关闭改写、压缩和自定义错误页。",
    },
    probes: &[],
};

/// The application's answer is not what confirms. Facts: `target`, `status`, `answer`, `reason`.
pub static REPLY_WRONG: Finding = Finding {
    id: "reply_wrong",
    title: Text {
        en: "the application answered status {status} with `{answer}`, which does not confirm (target {target})",
        zh: "应用返回状态码 {status}、内容 `{answer}`，不是平台认可的确认应答（投递目标 {target}）",
    },
    cause: Text {
        en: "Without the gateway the platform would read this answer, and would send the message again until its attempts are \
             spent. Mostly something is printed around the word, a page stands in its place, or the script ended early.",
        zh: "如果没有网关，平台读到的就是这个应答，会一直重发到次数用尽。常见原因：确认字样前后多打印了内容，返回了整张页面，或脚本提前结束。",
    },
    cure: Text {
        en: "Let the script print the platform's word and nothing else, with status 200; then replay the delivery.",
        zh: "让脚本以状态码 200 只输出平台要求的确认字样，不要有任何其他内容；然后重放该投递。",
    },
    probes: &[],
};

/// The same fact with an amount a hundred times another. Facts: `amount`, `other`, `event`.
pub static AMOUNT_HUNDREDFOLD: Finding = Finding {
    id: "amount_hundredfold",
    title: Text {
        en: "the amount {amount} and that of {event}, {other}, differ exactly a hundredfold for the same fact",
        zh: "同一笔款项，金额 {amount} 与 {event} 的 {other} 恰好相差一百倍",
    },
    cause: Text {
        en: "One of the two was read in the major unit (yuan) and the other in the minor one (fen): a channel's unit is set \
             otherwise than its platform writes, or was changed in between.",
        zh: "两者之一按“元”解读，另一个按“分”解读：渠道的金额单位与平台实际写法不符，或中途改过。",
    },
    cure: Text {
        en: "Compare one payment with the platform's own back office, and correct the unit in the channel's settings; then release \
             or discard what is held.",
        zh: "请挑一笔与平台商户后台核对，更正渠道设置中的金额单位，再放行或丢弃被挂起的事件。",
    },
    probes: &[],
};

/// It came after news of something later. Facts: `event`, `kind`, `at`, `own_at`.
pub static OUT_OF_ORDER: Finding = Finding {
    id: "out_of_order",
    title: Text {
        en: "it tells of {own_at} and came after {event} ({kind}), which tells of {at}: out of order",
        zh: "消息乱序：它所述之事发生于 {own_at}，却在 {event}（{kind}，发生于 {at}）之后才到达",
    },
    cause: Text {
        en: "Platforms promise no order. An earlier attempt failed or was slow, and the repetition came after newer news.",
        zh: "平台不保证通知的先后顺序：较早的一次通知失败或较慢，重发时新的消息已先到。",
    },
    cure: Text {
        en: "Nothing here: the gateway does not let old news take back what is paid. An application that reads callbacks itself must \
             compare states, and never go back from paid.",
        zh: "网关无需处理：旧消息不会推翻已支付的状态。自行处理回调的应用须比较订单状态，已支付的订单不得回退。",
    },
    probes: &[],
};

/// It is known already. Facts: `notification`, `first_at`, `count` (how often it came in all).
pub static DUPLICATE: Finding = Finding {
    id: "duplicate",
    title: Text {
        en: "it is a repetition: known as {notification} since {first_at}, and received {count} times in all",
        zh: "这是重复通知：自 {first_at} 起已作为 {notification} 入库，共收到 {count} 次",
    },
    cause: Text {
        en: "Platforms repeat a message until they have read a success, and some send it twice at once.",
        zh: "平台在读到成功应答之前会不断重发，有的平台还会同时发送两次。",
    },
    cure: Text {
        en: "Nothing here: it is answered with the same success and makes no second event. An application that acts twice must \
             remember the event's id.",
        zh: "网关无需处理：重复通知会得到同样的成功应答，不会产生第二个事件。若应用重复处理，请按事件编号去重。",
    },
    probes: &[],
};
