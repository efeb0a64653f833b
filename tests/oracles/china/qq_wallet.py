"""QQ wallet notices (XML): the sheet's section 9.

Settings: mch_id; appid; api_key (32 characters).

Decisions where the sheet leaves room:
- MD5 only, in upper case. `sign_type`, which a payout carries, is signed like every other field; a value other
  than MD5 is refused.
- The payout notice has no mch_id in the sheet's list and no list of states: who it is for rests on the key
  alone, and its event is `other`.
- A payment's trade_state other than SUCCESS is not documented: `other`.
- A value of blanks only is never generated.
"""

from harness import (
    FieldDamages, Message, Platform, b64, beijing, body_of, digits, facts, fen_of, hard_text, letters, main, need, only,
    request, some_amount, some_order, sorted_string, vector, xml_read, xml_write,
)
from primitives import hmac_sha256, md5


def digest(fields, key):
    return md5((sorted_string(fields, leave=("sign",)) + f"&key={key}").encode()).upper()


class QqWallet(FieldDamages, Platform):
    NAME = "qq_wallet"
    KINDS = ("payment", "payout")
    GENERATIONS = ("MD5",)
    MERCHANT = ("mch_id", "appid")
    STATUSES = {"payment": {"SUCCESS": "payment.succeeded"}, "payout": {"SUCCESS": "other"}}

    def make_keys(self, rng, label, wish):
        self.settings = {"mch_id": digits(rng, 10), "appid": digits(rng, 10), "api_key": letters(rng, 32)}
        self.secret = {}

    def identities(self):
        return [["mch_id", self.settings["mch_id"]], ["appid", self.settings["appid"]]]

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), digits(rng, 28)
        currency = wish.get("currency") or "CNY"
        fields = {
            "out_trade_no": order, "transaction_id": number, "openid": letters(rng, 32), "total_fee": str(amount),
            "time_end": beijing(now), "attach": rng.choice(["", hard_text(rng)]),
        }
        if kind == "payment":
            fields |= dict(self.identities()) | {
                "nonce_str": letters(rng, 32), "device_info": rng.choice(["", "WP00000001"]), "trade_type": rng.choice(["NATIVE", "JSAPI", "APP"]),
                "trade_state": word, "bank_type": "BALANCE", "fee_type": currency, "cash_fee": str(amount),
            }
            if rng.random() < 0.3:
                fields |= {"coupon_fee": "1", "sub_appid": "", "sub_mch_id": ""}
            expect = facts(event, order, number, amount, currency, self.identities())
        else:
            fields |= {"uin": digits(rng, 9), "state": word, "refund_reason": rng.choice(["", "账户 & 异常"]), "sign_type": "MD5"}
            expect = facts(event, order, number, amount, "CNY", [])
        if rng.random() < 0.4:
            fields |= {"a_new_field": hard_text(rng), "Zeta": rng.choice(["", hard_text(rng)])}
        fields = list(fields.items())
        rng.shuffle(fields)
        return Message(kind, fields, expect=expect, key=self.settings["api_key"])

    def seal(self, message, rng):
        message.set("sign", digest(message.fields, message.key))

    def render(self, message, rng):
        head = rng.choice([b"", b"", b'<?xml version="1.0" encoding="UTF-8" ?>\n'])
        return request(body=head + xml_write(rng, message.fields), content_type="text/xml")

    def check(self, asked, now):
        need(asked["method"] == "POST", "not a POST")
        fields = xml_read(body_of(asked), "xml")
        need(fields.get("sign"), "no sign")
        need(fields["sign"] == digest(fields.items(), self.settings["api_key"]), "the signature does not fit")
        for name in ("out_trade_no", "transaction_id", "total_fee"):
            need(fields.get(name), f"no {name}")
        amount = fen_of(fields["total_fee"])
        if "trade_state" not in fields:
            need(fields.get("state"), "neither trade_state nor state")
            need(fields.get("sign_type", "MD5") == "MD5", "sign_type is not MD5")
            return facts("other", fields["out_trade_no"], fields["transaction_id"], amount, "CNY", [])
        for name in ("mch_id", "appid"):
            need(fields.get(name) == self.settings[name], f"{name} is not ours")
        event = self.STATUSES["payment"].get(fields["trade_state"], "other")
        return facts(event, fields["out_trade_no"], fields["transaction_id"], amount, fields.get("fee_type") or "CNY", self.identities())

    def spoil_wrong_key(self, rng, message):
        message.key = letters(rng, 32)
        return self.finish(message, rng)

    def spoil_sign_lower_case(self, rng, message):
        self.seal(message, rng)
        if message.get("sign").isdigit():
            return None
        message.set("sign", message.get("sign").lower())
        return self.render(message, rng)

    def spoil_hmac(self, rng, message):
        """WeChat's other algorithm, which QQ wallet does not have."""
        text = sorted_string(message.fields, ("sign",)) + f"&key={message.key}"
        message.set("sign", hmac_sha256(message.key.encode(), text.encode()).upper())
        return self.render(message, rng)

    def spoil_key_without_name(self, rng, message):
        message.set("sign", md5((sorted_string(message.fields, ("sign",)) + message.key).encode()).upper())
        return self.render(message, rng)

    def spoil_empties_signed(self, rng, message):
        message.set("attach", "")
        text = sorted_string(message.fields, ("sign",), empties=True) + f"&key={message.key}"
        message.set("sign", md5(text.encode()).upper())
        return self.render(message, rng)

    def spoil_blank_trimmed(self, rng, message):
        message.set("attach", "中文 ")
        self.seal(message, rng)
        message.set("attach", "中文")
        return self.render(message, rng)

    @only("payment")
    def spoil_no_number(self, rng, message):
        message.remove(rng.choice(["out_trade_no", "transaction_id", "total_fee", "trade_state"]))
        return self.finish(message, rng)

    def spoil_amount_nonsense(self, rng, message):
        message.set("total_fee", rng.choice(["1.00", "-1", "1e2", " 1", "１"]))
        return self.finish(message, rng)

    def spoil_document_type(self, rng, message):
        asked = self.finish(message, rng)
        body = body_of(asked)
        at = body.index(b"<xml>")
        asked["body_base64"] = b64(body[:at] + b'<!DOCTYPE xml [<!ENTITY e "1">]>' + body[at:])
        return asked

    def spoil_body_cut(self, rng, message):
        asked = self.finish(message, rng)
        body = body_of(asked)
        asked["body_base64"] = b64(body[: rng.randrange(len(body) - 6)])
        return asked

    def reply(self, cause, _):
        if cause == "success":
            return 200, "text/xml", b"<xml><return_code>SUCCESS</return_code></xml>"
        return 200, "text/xml", "<xml><return_code>FAIL</return_code><return_msg>失败</return_msg></xml>".encode()

    def vectors(self):
        # The sheet has none of QQ wallet's own; the rule is WeChat v2's, whose official sample is this.
        fields = {
            "appid": "wxd930ea5d5a258f4f", "body": "test", "device_info": "1000", "mch_id": "10000100",
            "nonce_str": "ibuaiVcKdpRxkhJA",
        }
        key = "192006250b4c09247ec02edce69f6a2d"
        given = {"fields": fields, "api_key": key}
        yield vector("rule of WeChat v2", given, "9A0A8659F005D6984697E2CA0A9CF3B7", digest(fields.items(), key))


if __name__ == "__main__":
    main(QqWallet())
