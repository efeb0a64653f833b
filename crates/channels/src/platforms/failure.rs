//! What no answer of an application means as a success, where a platform looks at the status alone: pages, and the words
//! that scripts write when they refuse. A delivery that was taken for confirmed would lose the payment; one that was not
//! is only repeated.

use serde_json::Value;

use super::outside::{inner, is_error_page};

/// Words of a refusal, in any case of letters, alone or as the value of one of [`MEMBERS`].
const WORDS: [&str; 4] = ["fail", "failed", "failure", "error"];

/// Members of a JSON answer that say how it went, in the words of one platform or another.
const MEMBERS: [&str; 5] = ["code", "return_code", "result_code", "status", "result"];

/// Members that hold a number, which is zero for a success.
const NUMBERS: [&str; 2] = ["err_no", "errcode"];

/// Whether an answer says that it failed: by a page, PHP's own report of its death, one of the words, or JSON with one.
pub(super) fn says_failure(body: &[u8]) -> bool {
    let text = inner(body);
    is_error_page(body) || is_word(text) || serde_json::from_slice(text).is_ok_and(|json| is_refusal(&json))
}

fn is_word(text: &[u8]) -> bool {
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

fn is_refusal(json: &Value) -> bool {
    let is_bad = |value: &Value| value.as_str().is_some_and(|text| is_word(text.trim().as_bytes()));
    is_bad(json)
        || MEMBERS.iter().any(|name| json.get(name).is_some_and(is_bad))
        || NUMBERS.iter().any(|name| json.get(name).and_then(Value::as_i64).is_some_and(|number| number != 0))
        || json.get("success") == Some(&Value::Bool(false))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Answers that confirm nothing on any platform.
    pub(in crate::platforms) const FAILURES: [&str; 20] = [
        "fail",
        " FAIL\n",
        "Failure",
        "failed",
        "\u{feff}error",
        "\"fail\"",
        r#"{"return_code":"FAIL"}"#,
        r#"{"return_code":"FAIL","return_msg":"签名失败"}"#,
        r#"{"code":"FAIL","message":"失败"}"#,
        r#"{"code":"error"}"#,
        r#"{"result_code":"Fail"}"#,
        r#"{"status":"error"}"#,
        r#"{"result":" fail "}"#,
        r#"{"success":false}"#,
        r#"{"err_no":1,"err_tips":"fail"}"#,
        r#"{"errcode":-1}"#,
        "<xml><return_code><![CDATA[FAIL]]></return_code></xml>",
        "<html>",
        "<br />\n<b>Fatal error</b>",
        "PHP Fatal error:  Uncaught",
    ];

    #[test]
    fn a_refusal_is_seen_and_nothing_else() {
        for body in FAILURES {
            assert!(says_failure(body.as_bytes()), "{body}");
        }
        for body in [
            "",
            "ok",
            "success",
            "SUCCESS",
            "failover done",
            "no error",
            "验签成功",
            "{}",
            "[]",
            "null",
            r#"{"code":0}"#,
            r#"{"code":"SUCCESS","message":"fail"}"#,
            r#"{"err_no":0,"err_tips":"success"}"#,
            r#"{"success":true,"error":null}"#,
            r#"{"status":"ok"}"#,
        ] {
            assert!(!says_failure(body.as_bytes()), "{body}");
        }
    }
}
