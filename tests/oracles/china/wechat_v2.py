"""WeChat Pay v2 notices (XML): the sheet's section 3.

Settings: mch_id; appid; api_key (32 characters); sign_types, the algorithms that the merchant allows; and
sub_mch_id with sub_appid when the merchant is a service provider (about a third of the seeds).
Generations: MD5, HMAC-SHA256 (of `sign`; a refund notice has no sign and no generation).

Decisions where the sheet leaves room:
- `sign` is upper-case hex; lower case is refused.
- A value of blanks only is never generated: whether it is "empty" is not said.
- A refund notice is authentic by decryption alone (ECB, no MAC). So the outer mch_id and appid, which nothing
  protects, are still compared with the settings, and the plaintext must be UTF-8, XML with the root `root`,
  and hold the fields that identify a refund.
- A notice whose return_code is not SUCCESS carries no result and is refused.
- refund_status CHANGE means that the money could not be returned: refund.failed.
"""

from harness import (
    FieldDamages, Malformed, Message, Platform, Refused, beijing, body_of, change_base64, digits, facts, fen_of, hard_text,
    hexes, letters, main, need, never, only, request, some_amount, some_order, sorted_string, vector, xml_read, xml_write, b64, unb64,
)
from primitives import Aes, ecb_decrypt, ecb_encrypt, hmac_sha256, md5, pad, unpad


def digest(fields, key, algorithm):
    text = (sorted_string(fields, leave=("sign",)) + f"&key={key}").encode()
    return (md5(text) if algorithm == "MD5" else hmac_sha256(key.encode(), text)).upper()


def refund_key(api_key):
    return md5(api_key.encode()).encode()


class WechatV2(FieldDamages, Platform):
    NAME = "wechat_v2"
    KINDS = ("payment", "refund", "withholding", "contract")
    GENERATIONS = ("MD5", "HMAC-SHA256")
    MERCHANT = ("mch_id", "appid")
    STATUSES = {
        "payment": {"SUCCESS": "payment.succeeded", "FAIL": "payment.failed"},
        "withholding": {"SUCCESS": "payment.succeeded", "FAIL": "payment.failed"},
        "refund": {"SUCCESS": "refund.succeeded", "CHANGE": "refund.failed", "REFUNDCLOSE": "refund.closed"},
        "contract": {"ADD": "contract.signed", "DELETE": "contract.ended"},
    }

    def make_keys(self, rng, label, wish):
        self.settings = {
            "mch_id": digits(rng, 10), "appid": "wx" + hexes(rng, 16), "api_key": letters(rng, 32),
            "sign_types": wish.get("sign_types") or rng.choice([["MD5", "HMAC-SHA256"]] * 2 + [["MD5"], ["HMAC-SHA256"]]),
        }
        if rng.random() < 0.3:
            self.settings |= {"sub_mch_id": digits(rng, 10), "sub_appid": "wx" + hexes(rng, 16)}
        self.secret = {}

    def identities(self):
        return [[name, self.settings[name]] for name in ("mch_id", "appid", "sub_mch_id", "sub_appid") if name in self.settings]

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        order, amount = some_order(rng, wish), some_amount(rng, wish)
        currency = wish.get("currency") or "CNY"
        fields = {"return_code": "SUCCESS", "nonce_str": letters(rng, rng.choice([8, 32]))} | dict(self.identities())
        number = "42000" + digits(rng, 23)
        if rng.random() < 0.3:
            fields["return_msg"] = rng.choice(["", "OK", "成功"])
        if kind == "refund":
            return self.refund(rng, word, event, order, amount, currency, number, fields, now)
        generation = wish.get("generation") or rng.choice(self.settings["sign_types"])
        fields["result_code"] = "SUCCESS"
        if generation != "MD5" or rng.random() < 0.3:
            fields["sign_type"] = generation
        if kind == "contract":
            fields |= {
                "contract_code": order, "plan_id": digits(rng, 6), "openid": letters(rng, 28), "change_type": word,
                "operate_time": beijing(now, "%Y-%m-%d %H:%M:%S"), "contract_id": digits(rng, 28),
                "request_serial": digits(rng, 10),
            }
            expect = facts(event, order, fields["contract_id"], identities=self.identities())
        else:
            fields |= {
                "result_code": word, "openid": rng.choice(["1e5", "007", letters(rng, 28)]), "is_subscribe": rng.choice("YN"),
                "trade_type": "PAP" if kind == "withholding" else rng.choice(["JSAPI", "NATIVE", "APP", "MWEB"]),
                "bank_type": "OTHERS", "total_fee": str(amount), "cash_fee": str(amount), "transaction_id": number,
                "out_trade_no": order, "time_end": beijing(now), "attach": rng.choice(["", hard_text(rng)]),
            }
            if word == "FAIL":
                fields |= {"err_code": "NOTENOUGH", "err_code_des": "余额不足 & 其他"}
            if currency != "CNY" or rng.random() < 0.6:
                fields["fee_type"] = currency
            if kind == "withholding":
                fields["contract_id"] = digits(rng, 28)
            if rng.random() < 0.3:
                fields |= {"coupon_fee": "1", "coupon_count": "2", "settlement_total_fee": str(amount - 1)}
                fields |= {"coupon_type_0": "CASH", "coupon_id_0": digits(rng, 8), "coupon_id_10": digits(rng, 8), "coupon_fee_0": "1"}
            expect = facts(event, order, number, amount, currency, self.identities())
        if rng.random() < 0.4:
            fields |= {"a_new_field": hard_text(rng), "Zeta": rng.choice(["", hard_text(rng)]), "device_info": ""}
        fields = list(fields.items())
        rng.shuffle(fields)
        return Message(kind, fields, expect=expect, generation=generation, key=self.settings["api_key"])

    def refund(self, rng, word, event, order, amount, currency, number, fields, now):
        total = amount + rng.choice([0, 1, 5000])
        inner = {
            "transaction_id": number, "out_trade_no": order, "refund_id": "50" + digits(rng, 27), "out_refund_no": "R" + digits(rng, 12),
            "total_fee": str(total), "settlement_total_fee": str(total), "refund_fee": str(amount),
            "settlement_refund_fee": str(amount), "refund_status": word, "refund_recv_accout": rng.choice(["支付用户零钱", "招商银行 & 信用卡0403"]),
            "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS", "refund_request_source": "API",
        }
        if word == "SUCCESS":
            inner["success_time"] = beijing(now, "%Y-%m-%d %H:%M:%S")
        expect = facts(
            event, order, number, amount, "CNY", self.identities(), refund_no=inner["out_refund_no"],
            platform_refund_no=inner["refund_id"], order_amount_minor=total,
        )
        inner = list(inner.items())
        rng.shuffle(inner)
        return Message(
            "refund", list(fields.items()), expect=expect, inner=inner, root="root", plain=None,
            wrap=refund_key(self.settings["api_key"]), key=self.settings["api_key"],
        )

    def seal(self, message, rng):
        if message.kind == "refund":
            plain = message.plain or xml_write(rng, message.inner, message.root)
            message.set("req_info", b64(ecb_encrypt(Aes(message.wrap), pad(plain, 16))))
        else:
            message.set("sign", digest(message.fields, message.key, message.generation))
            rng.shuffle(message.fields)

    def render(self, message, rng):
        head = rng.choice([b"", b"", b'<?xml version="1.0" encoding="UTF-8"?>\n'])
        return request(body=head + xml_write(rng, message.fields), content_type=rng.choice(["text/xml", "text/xml; charset=utf-8"]))

    def check(self, asked, now):
        need(asked["method"] == "POST", "not a POST")
        fields = xml_read(body_of(asked), "xml")
        need(fields.get("return_code") == "SUCCESS", "return_code is not SUCCESS")
        for name in ("mch_id", "appid"):
            need(fields.get(name) == self.settings[name], f"{name} is not ours")
        for name in ("sub_mch_id", "sub_appid"):
            need(fields.get(name, "") == self.settings.get(name, ""), f"{name} is not ours")
        if "req_info" in fields:
            need("sign" not in fields, "both sign and req_info")
            return self.check_refund(fields)
        sign = fields.get("sign", "")
        algorithm = {32: "MD5", 64: "HMAC-SHA256"}.get(len(sign))
        need(algorithm, "sign has neither 32 nor 64 digits")
        need(algorithm in self.settings["sign_types"], f"{algorithm} is not allowed")
        need(sign == digest(fields.items(), self.settings["api_key"], algorithm), "the signature does not fit")
        if "change_type" in fields:
            event = self.STATUSES["contract"].get(fields["change_type"], "other")
            return facts(event, fields.get("contract_code"), fields.get("contract_id"), identities=self.identities())
        event = self.STATUSES["payment"].get(fields.get("result_code"), "other")
        for name in ("out_trade_no", "transaction_id", "total_fee"):
            need(fields.get(name), f"no {name}")
        currency = fields.get("fee_type") or "CNY"
        return facts(event, fields["out_trade_no"], fields["transaction_id"], fen_of(fields["total_fee"]), currency, self.identities())

    def check_refund(self, fields):
        try:
            plain = unpad(ecb_decrypt(Aes(refund_key(self.settings["api_key"])), unb64(fields["req_info"], "req_info")), 16)
        except Malformed as error:
            raise Refused(f"req_info: {error}") from error
        inner = xml_read(plain, "root")
        for name in ("out_trade_no", "transaction_id", "out_refund_no", "refund_id", "refund_fee", "total_fee", "refund_status"):
            need(inner.get(name), f"no {name}")
        event = self.STATUSES["refund"].get(inner["refund_status"], "other")
        return facts(
            event, inner["out_trade_no"], inner["transaction_id"], fen_of(inner["refund_fee"]), "CNY", self.identities(),
            refund_no=inner["out_refund_no"], platform_refund_no=inner["refund_id"], order_amount_minor=fen_of(inner["total_fee"]),
        )

    # Damages. Those of flat fields apply to signed kinds; a refund, which has no signature, has its own.

    def flat(self, message):
        return message.kind != "refund"

    def spoil_wrong_key(self, rng, message):
        message.key = letters(rng, 32)
        message.wrap = refund_key(message.key)
        return self.finish(message, rng)

    @never("refund")
    def spoil_algorithm_not_allowed(self, rng, message):
        others = [name for name in self.GENERATIONS if name not in self.settings["sign_types"]]
        if not others:
            return None
        message.generation = others[0]
        message.set("sign_type", others[0])
        return self.finish(message, rng)

    @never("refund")
    def spoil_sign_lower_case(self, rng, message):
        self.seal(message, rng)
        if message.get("sign").isdigit():
            return None
        message.set("sign", message.get("sign").lower())
        return self.render(message, rng)

    @never("refund")
    def spoil_blank_trimmed(self, rng, message):
        """A value that ended with a blank when it was signed, cut by a proxy."""
        message.set("attach", "中文 ")
        self.seal(message, rng)
        message.set("attach", "中文")
        return self.render(message, rng)

    @never("refund")
    def spoil_key_without_name(self, rng, message):
        """The key appended without `&key=`."""
        self.seal(message, rng)
        text = sorted_string(message.fields, leave=("sign",)) + message.key
        message.set("sign", md5(text.encode()).upper())
        return self.render(message, rng)

    @never("refund")
    def spoil_empties_signed(self, rng, message):
        message.set("attach", "")
        text = sorted_string(message.fields, leave=("sign",), empties=True) + f"&key={message.key}"
        message.set("sign", md5(text.encode()).upper())
        return self.render(message, rng)

    def spoil_return_code_fail(self, rng, message):
        message.set("return_code", "FAIL")
        return self.finish(message, rng)

    def spoil_document_type(self, rng, message):
        asked = self.finish(message, rng)
        body = body_of(asked)
        at = body.index(b"<xml>")
        asked["body_base64"] = b64(body[:at] + b'<!DOCTYPE xml [<!ENTITY e "1">]>' + body[at:])
        return asked

    def spoil_other_root(self, rng, message):
        asked = self.finish(message, rng)
        asked["body_base64"] = b64(body_of(asked).replace(b"<xml>", b"<root>").replace(b"</xml>", b"</root>"))
        return asked

    def spoil_body_cut(self, rng, message):
        asked = self.finish(message, rng)
        body = body_of(asked)
        asked["body_base64"] = b64(body[: rng.randrange(len(body) - 6)])
        return asked

    @only("refund")
    def spoil_refund_key_raw(self, rng, message):
        """The API key itself, or its digest in upper case, instead of the lower-case digest."""
        upper = md5(message.key.encode()).upper().encode()
        message.wrap = rng.choice([message.key.encode(), upper] if upper != message.wrap else [message.key.encode()])
        return self.finish(message, rng)

    @only("refund")
    def spoil_refund_last_block(self, rng, message):
        """The last block changed: its padding becomes nonsense."""
        self.seal(message, rng)
        data = bytearray(unb64(message.get("req_info")))
        data[-1 - rng.randrange(16)] ^= 1 << rng.randrange(8)
        message.set("req_info", b64(bytes(data)))
        try:
            unpad(ecb_decrypt(Aes(message.wrap), bytes(data)), 16)
        except Malformed:
            return self.render(message, rng)
        return None

    @only("refund")
    def spoil_refund_cut(self, rng, message):
        self.seal(message, rng)
        text = message.get("req_info")
        message.set("req_info", rng.choice([text[:-1], text[:5], b64(unb64(text)[:-16]), b64(unb64(text)[:-1])]))
        return self.render(message, rng)

    @only("refund")
    def spoil_refund_other_root(self, rng, message):
        message.root = "xml"
        return self.finish(message, rng)

    @only("refund")
    def spoil_refund_field_missing(self, rng, message):
        name = rng.choice(["out_trade_no", "refund_status", "refund_fee", "out_refund_no"])
        message.inner = [pair for pair in message.inner if pair[0] != name]
        return self.finish(message, rng)

    @only("payment")
    def spoil_sign_turned_refund(self, rng, message):
        """A payment without signature that names a req_info, to be taken for a refund."""
        self.seal(message, rng)
        message.remove("sign")
        message.set("req_info", change_base64(rng, b64(bytes(64))))
        return self.render(message, rng)

    def reply(self, cause, _):
        code, text = ("SUCCESS", "OK") if cause == "success" else ("FAIL", "失败")
        body = f"<xml><return_code><![CDATA[{code}]]></return_code><return_msg><![CDATA[{text}]]></return_msg></xml>"
        return 200, "text/xml", body.encode()

    def vectors(self):
        key = "192006250b4c09247ec02edce69f6a2d"
        fields = {
            "appid": "wxd930ea5d5a258f4f", "body": "test", "device_info": "1000", "mch_id": "10000100",
            "nonce_str": "ibuaiVcKdpRxkhJA",
        }
        for algorithm, wanted in (
            ("MD5", "9A0A8659F005D6984697E2CA0A9CF3B7"),
            ("HMAC-SHA256", "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6"),
        ):
            given = {"fields": fields, "api_key": key, "sign_type": algorithm}
            yield vector(f"official {algorithm}", given, wanted, digest(fields.items(), key, algorithm))
        plain = "<root><out_refund_no><![CDATA[R1]]></out_refund_no><refund_status><![CDATA[SUCCESS]]></refund_status></root>"
        sealed = (
            "WBzGpzQuNpcFxIlFjUUD9BZv+lpBMzd2SHiKCkwfALWid5G8ZvfOussfMIHLbKJmcnxPKdb1ZJEqTAp8ysQv+xa1fj+Eorgndx3fNxf3KAYa3L"
            "PgsjvZgxaeYyrhV05Kbjkj6ywg27cEyTTaPZFYNg=="
        )
        yield vector("refund key", {"api_key": key}, "d96eb16afdd491fa1e705096edbc2205", refund_key(key).decode())
        got = b64(ecb_encrypt(Aes(refund_key(key)), pad(plain.encode(), 16)))
        yield vector("req_info", {"api_key": key, "plaintext": plain}, sealed, got)
        back = unpad(ecb_decrypt(Aes(refund_key(key)), unb64(sealed)), 16).decode()
        yield vector("req_info back", {"api_key": key, "req_info": sealed}, plain, back)


if __name__ == "__main__":
    main(WechatV2())
