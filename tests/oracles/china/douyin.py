"""Douyin callbacks of three generations: the sheet's section 5.

Generations and their settings:
- ecpay (担保交易, older): {"token", "previous_token", "appid"}. SHA-1 over the sorted values.
- trade (通用交易系统): {"platform_public_key" (base64 SPKI), "app_id"}. Byte-* headers, RSA.
- pay (抖音支付 for merchants): {"mchid", "appid", "key" (接口加密密钥, 32 characters), "platform_certificates", a list of
  {serial_no, certificate (PEM)}}. Douyinpay-* headers, RSA and AES-256-GCM.
`settings` is {"ecpay":{…},"trade":{…},"pay":{…}}; the kinds and damages begin with the generation's name.

Decisions where the sheet leaves room:
- ecpay: exactly the four texts token, timestamp, nonce, msg, sorted as texts; nothing is dropped or trimmed. `type` is
  not signed, so msg must have the members of that type and no other type's. Both tokens count. No window (none stated).
- ecpay and trade: msg is the text inside the JSON text; members twice are refused, there and in the envelope.
- trade: a window of 300 seconds (the sheet's policy, UNCONFIRMED). The header `Signature` has an undocumented input and is
  ignored. `version` may be missing. type settle, sign_callback and others: event `other`, except where
  the sheet gives states: sign_pay_callback SUCCESS, FAIL, TIME_OUT.
- trade: with pay_channel 20 total_amount counts diamonds: amount_minor and currency are null.
- trade CANCEL is payment.closed. amount_minor is total_amount; paid_minor is less the discount.
- pay: a window of 300 seconds (safe side). The nonce of the resource may have any length. Members as WeChat v3 but
  mch_id in transfers, whose transfer_amount is a text. The SM variant is not laid out in the sheet: refused.
- Acknowledgement of a failure: the sheet says "other"; here err_no 1 with status 500.
"""

import random

from envelope import SignedBody, SignedEnvelope, text_of, whole
from harness import (
    Message, Platform, Refused, b64, body_of, change_hex, change_text, digits, facts, hard_text, header, hexes, json_object,
    json_text, letters, main, need, only, request, rfc3339, rsa_key, shuffled, some_amount, some_order, stranger, vector,
)
from primitives import Certificate, make_certificate, pem, public_key, sha1

import json


def ecpay_sign(token, timestamp, nonce, msg):
    return sha1("".join(sorted([token, timestamp, nonce, msg], key=str.encode)).encode())


class Ecpay(Platform):
    NAME = "ecpay"
    KINDS = ("payment", "refund", "settle")
    STATUSES = {
        "payment": {"SUCCESS": "payment.succeeded"},
        "refund": {"SUCCESS": "refund.succeeded", "FAIL": "refund.failed"},
        "settle": {"SUCCESS": "other"},
    }
    # What tells the types apart, since `type` itself is not signed.
    MARKS = {"payment": "cp_orderno", "refund": "cp_refundno", "settle": "cp_settle_no"}

    def make_keys(self, rng, label, wish):
        self.settings = {"token": letters(rng, 32), "previous_token": letters(rng, 24), "appid": "tt" + hexes(rng, 18)}
        self.secret = {}

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), "N" + digits(rng, 18)
        identities = [["appid", self.settings["appid"]]]
        msg = {"appid": self.settings["appid"], "cp_extra": hard_text(rng), "status": word, "message": "", "extra": rng.choice(["", "{}"])}
        if kind == "payment":
            msg |= {
                "cp_orderno": order, "way": rng.choice(["1", "2", "10"]), "channel_no": digits(rng, 28), "payment_order_no": digits(rng, 20), "total_amount": amount,
                "seller_uid": digits(rng, 20), "item_id": "", "paid_at": now, "order_id": number,
            }
            expect = facts(event, order, number, amount, "CNY", identities)
        elif kind == "refund":
            msg |= {"cp_refundno": order, "refund_amount": amount, "is_all_settled": False, "refunded_at": now, "order_id": number, "refund_no": digits(rng, 20)}
            expect = facts(event, None, number, amount, "CNY", identities, refund_no=order, platform_refund_no=msg["refund_no"])
        else:
            msg |= {"cp_settle_no": order, "settle_amount": amount}
            expect = facts("other", identities=identities)
        token = rng.choice([self.settings["token"]] * 3 + [self.settings["previous_token"]])
        # Timestamps and nonces of any length, so that the order of the four texts differs.
        nonce = rng.choice([digits(rng, 3), letters(rng, 8), "0" + digits(rng, 4), "{" + letters(rng, 4), "~1"])
        return Message(
            kind, expect=expect, data=shuffled(rng, msg), msg=None, token=token, timestamp=str(now - rng.choice([0, 10, 10**6])), nonce=nonce, type=kind,
            drop=None, now=now,
        )

    def seal(self, message, rng):
        message.msg = message.msg or json_text(rng, message.data)
        message.sign = ecpay_sign(message.token, message.timestamp, message.nonce, message.msg)

    def render(self, message, rng):
        value = {
            "timestamp": message.timestamp, "nonce": message.nonce, "msg": message.msg, "type": message.type, "msg_signature": message.sign,
        }
        value.pop(message.drop, None)
        return request(body=json_text(rng, shuffled(rng, value)).encode(), content_type="application/json")

    def check(self, asked, now):
        need(asked["method"] == "POST", "not a POST")
        value = json_object(body_of(asked))
        stamp, nonce, msg, kind, sign = (text_of(value, name) for name in ("timestamp", "nonce", "msg", "type", "msg_signature"))
        tokens = [token for token in (self.settings["token"], self.settings.get("previous_token")) if token]
        need(sign in [ecpay_sign(token, stamp, nonce, msg) for token in tokens], "the signature does not fit")
        inner = json_object(msg, "msg")
        need(inner.get("appid") == self.settings["appid"], "appid is not ours")
        identities = [["appid", inner["appid"]]]
        marks = {name for name, mark in self.MARKS.items() if mark in inner}
        need(not marks - {kind}, "msg is of another type")
        word = text_of(inner, "status")
        if kind == "payment":
            event = self.STATUSES[kind].get(word, "other")
            return facts(event, text_of(inner, "cp_orderno"), text_of(inner, "order_id"), whole(inner.get("total_amount"), "total_amount"), "CNY", identities)
        if kind == "refund":
            amount = whole(inner.get("refund_amount"), "refund_amount")
            event = self.STATUSES[kind].get(word, "other")
            return facts(
                event, None, text_of(inner, "order_id"), amount, "CNY", identities, refund_no=text_of(inner, "cp_refundno"), platform_refund_no=text_of(inner, "refund_no"),
            )
        return facts("other", identities=identities)

    def spoil_wrong_token(self, rng, message):
        message.token = letters(rng, 32)
        return self.finish(message, rng)

    def spoil_no_token(self, rng, message):
        message.token = ""
        return self.finish(message, rng)

    def spoil_value_changed(self, rng, message):
        self.seal(message, rng)
        name = rng.choice(["timestamp", "nonce", "msg"])
        setattr(message, name, change_text(rng, getattr(message, name)))
        return self.render(message, rng)

    def spoil_amount_changed(self, rng, message):
        self.seal(message, rng)
        message.msg = json_text(rng, message.data | {"total_amount": 1 + message.data.get("total_amount", 0), "refund_amount": 10**7})
        return self.render(message, rng)

    def spoil_msg_printed_anew(self, rng, message):
        self.seal(message, rng)
        message.msg = json.dumps(message.data, separators=(" , ", " : "))
        return self.render(message, rng)

    def spoil_sorted_by_name(self, rng, message):
        self.seal(message, rng)
        text = message.msg + message.nonce + message.timestamp + message.token
        if sorted([message.msg, message.nonce, message.timestamp, message.token]) == [message.msg, message.nonce, message.timestamp, message.token]:
            return None
        message.sign = sha1(text.encode())
        return self.render(message, rng)

    def spoil_field_missing(self, rng, message):
        message.drop = rng.choice(["timestamp", "nonce", "msg", "type", "msg_signature"])
        return self.finish(message, rng)

    def spoil_sign(self, rng, message):
        self.seal(message, rng)
        sign = message.sign
        message.sign = rng.choice([sign[:-1], sign[:20], change_hex(rng, sign), "", sign.upper(), sign + "0"])
        return None if message.sign == sign else self.render(message, rng)

    def spoil_type_changed(self, rng, message):
        """`type` is not signed: the members of msg must fit it."""
        self.seal(message, rng)
        message.type = rng.choice([kind for kind in self.KINDS if kind != message.kind])
        return self.render(message, rng)

    def spoil_other_merchant(self, rng, message):
        message.data["appid"] = change_hex(rng, message.data["appid"])
        return self.finish(message, rng)

    @only("payment", "refund")
    def spoil_amount_nonsense(self, rng, message):
        message.data["total_amount" if message.kind == "payment" else "refund_amount"] = rng.choice(["1", 1.0, -1, None, True])
        return self.finish(message, rng)

    def spoil_msg_not_text(self, rng, message):
        self.seal(message, rng)
        message.msg = rng.choice([message.data, None, 1, ["x"]])
        return self.render(message, rng)

    def spoil_member_twice(self, rng, message):
        message.msg = json.dumps(message.data)[:-1] + ',"status":"SUCCESS"}'
        return self.finish(message, rng)

    def vectors(self):
        msg = '{"appid":"tt07e3715e98c9aac0","cp_orderno":"out_order_no_1","way":"2","total_amount":1,"status":"SUCCESS"}'
        given = {"token": "token123", "timestamp": "1602507471", "nonce": "797", "msg": msg}
        yield vector("ecpay", given, "8e876124c342056df27fb05487f85322d740f471", ecpay_sign(**given))


class Trade(SignedBody):
    NAME = "trade"
    KINDS = ("payment", "refund", "sign_pay_callback", "pre_create_refund", "settle", "sign_callback")
    PREFIX, NONCE = "Byte", "Nonce-Str"
    STATUSES = {
        "payment": {"SUCCESS": "payment.succeeded", "CANCEL": "payment.closed"},
        "refund": {"SUCCESS": "refund.succeeded", "FAIL": "refund.failed"},
        "sign_pay_callback": {"SUCCESS": "payment.succeeded", "FAIL": "payment.failed", "TIME_OUT": "payment.closed"},
        "pre_create_refund": {"": "other"}, "settle": {"SUCCESS": "other"}, "sign_callback": {"SUCCESS": "other"},
    }

    def make_keys(self, rng, label, wish):
        private = rsa_key(label)
        self.settings = {"platform_public_key": b64(private.public.spki()), "app_id": "tt" + hexes(rng, 18)}
        self.secret = {"private": private}

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), "ots" + digits(rng, 18)
        identities = [["app_id", self.settings["app_id"]]]
        msg = {"app_id": self.settings["app_id"], "status": word, "event_time": now * 1000, "cp_extra": hard_text(rng), "message": rng.choice(["", "USER_CANCEL"])}
        if kind in ("payment", "sign_pay_callback"):
            diamonds = wish.get("currency") is None and wish.get("amount_minor") is None and rng.random() < 0.1 and kind == "payment"
            discount = rng.choice([0, 0, min(amount, 7)])
            msg |= {
                "out_order_no": order, "order_id": number, "total_amount": amount, "discount_amount": discount, "pay_channel": 20 if diamonds else rng.choice([1, 2, 10]),
                "channel_pay_id": digits(rng, 20), "user_bill_pay_id": digits(rng, 20), "merchant_uid": digits(rng, 18),
            }
            if diamonds:
                expect = facts(event, order, number, identities=identities)
            else:
                expect = facts(event, order, number, amount, "CNY", identities, paid_minor=amount - discount)
        elif kind == "refund":
            msg |= {"out_refund_no": order, "refund_id": "otr" + digits(rng, 18), "order_id": number}
            expect = facts(event, None, number, identities=identities, refund_no=order, platform_refund_no=msg["refund_id"])
        else:
            expect = facts("other", identities=identities)
        message = Message(
            kind, expect=expect, data=shuffled(rng, msg), msg=None, type=kind, version=rng.choice(["3.0", None]), now=now, headers={}, private=self.secret["private"],
        )
        self.head(message, rng)
        message.headers |= {
            "Byte-Logid": hexes(rng, 34), "Byte-Identifyname": f"/msg/basic/{kind}/notify", "Signature": hexes(rng, 40), "User-Agent": "Go-http-client/1.1",
        }
        return message

    def seal(self, message, rng):
        value = {"msg": message.msg if message.msg is not None else json_text(rng, message.data), "type": message.type}
        if message.version:
            value["version"] = message.version
        message.body = json_text(rng, shuffled(rng, value)).encode()
        super().seal(message, rng)

    def check(self, asked, now):
        text, signature = self.signed(asked, now)
        need(public_key(self.settings["platform_public_key"]).verify("sha256", text, signature), "the signature does not fit")
        value = json_object(body_of(asked))
        kind = text_of(value, "type")
        inner = json_object(text_of(value, "msg"), "msg")
        need(inner.get("app_id") == self.settings["app_id"], "app_id is not ours")
        identities = [["app_id", inner["app_id"]]]
        if kind in ("payment", "sign_pay_callback"):
            event = self.STATUSES[kind].get(text_of(inner, "status"), "other")
            total, discount = whole(inner.get("total_amount"), "total_amount"), whole(inner.get("discount_amount", 0), "discount_amount")
            order, number = text_of(inner, "out_order_no"), text_of(inner, "order_id")
            if inner.get("pay_channel") == 20:
                return facts(event, order, number, identities=identities)
            return facts(event, order, number, total, "CNY", identities, paid_minor=total - discount)
        if kind == "refund":
            event = self.STATUSES[kind].get(text_of(inner, "status"), "other")
            return facts(
                event, None, text_of(inner, "order_id"), identities=identities, refund_no=text_of(inner, "out_refund_no"), platform_refund_no=text_of(inner, "refund_id"),
            )
        return facts("other", identities=identities)

    def spoil_signature_of_another(self, rng, message):
        message.version = None
        self.seal(message, rng)
        kept = message.headers["Byte-Signature"]
        message.version = "3.0"
        self.seal(message, rng)
        message.headers["Byte-Signature"] = kept
        return self.render(message, rng)

    def spoil_only_msg_signed(self, rng, message):
        self.seal(message, rng)
        body, message.body = message.body, json.loads(message.body)["msg"].encode()
        super().seal(message, rng)
        message.body = body
        return self.render(message, rng)

    def spoil_other_merchant(self, rng, message):
        message.data["app_id"] = change_hex(rng, message.data["app_id"])
        return self.finish(message, rng)

    def spoil_msg_nonsense(self, rng, message):
        message.msg = rng.choice(["", "[]", "{", "null", '{"app_id":1}', message.data, 1, json.dumps(message.data)[:-1] + ',"status":"SUCCESS","status":"SUCCESS"}'])
        return self.finish(message, rng)

    @only("payment", "refund")
    def spoil_no_number(self, rng, message):
        names = ["out_order_no", "order_id", "total_amount"] if message.kind == "payment" else ["out_refund_no", "refund_id", "order_id"]
        message.data.pop(rng.choice([*names, "status", "app_id"]))
        return self.finish(message, rng)

    @only("payment")
    def spoil_amount_nonsense(self, rng, message):
        message.data["total_amount"] = rng.choice(["1", 1.0, -1, None, True])
        return self.finish(message, rng)


class Pay(SignedEnvelope):
    NAME = "pay"
    KINDS = ("payment", "refund", "transfer", "split")
    PREFIX, KEY, ALGORITHM, EXTRA = "Douyinpay", "key", "AEAD-AES-256-GCM", ("Douyinpay-Serial",)
    NONCE_LENGTHS = (12, 12, 1, 8, 16, 24, 32)
    LOOSE = ("split",)
    STATUSES = {
        "payment": {"SUCCESS": "payment.succeeded"},
        "refund": {"SUCCESS": "refund.succeeded", "CLOSED": "refund.closed", "ABNORMAL": "refund.failed"},
        "transfer": {"SUCCESS": "transfer.succeeded", "FAIL": "transfer.failed"},
        "split": {"ASYNC_SPLIT.FINISH": "other", "SPLIT.SUCCESS": "other"},
    }

    def make_keys(self, rng, label, wish):
        private = rsa_key(label)
        serial = rng.getrandbits(127) | 1 << 126
        name = [("C", "CN"), ("O", "DouyinPay"), ("CN", "platform")]
        certificate = make_certificate(name, private.public, [("CN", "DouyinPay CA")], rsa_key("wechat/ca"), serial, 1704067200, 2208988800)
        self.settings = {
            "mchid": digits(rng, 14), "appid": "tt" + hexes(rng, 18), "key": letters(rng, 32),
            "platform_certificates": [{"serial_no": f"{serial:X}", "certificate": pem("CERTIFICATE", certificate)}],
        }
        self.secret = {"private": private, "serial": f"{serial:X}"}

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), "DPP" + digits(rng, 20)
        currency = wish.get("currency") or "CNY"
        mchid, appid = self.settings["mchid"], self.settings["appid"]
        identities, original = [["mchid", mchid], ["appid", appid]], "transaction"
        if kind == "payment":
            plain = {
                "mchid": mchid, "appid": appid, "out_trade_no": order, "transaction_id": number, "trade_type": "NATIVE", "trade_state": "SUCCESS", "attach": hard_text(rng),
                "success_time": rfc3339(now), "payer": {"openid": letters(rng, 28)}, "amount": {"total": amount, "payer_total": amount, "currency": currency},
            }
            expect, event_type = facts(event, order, number, amount, currency, identities), "TRANSACTION.SUCCESS"
        elif kind == "refund":
            total = amount + rng.choice([0, 1, 5000])
            plain = {
                "mchid": mchid, "transaction_id": number, "out_trade_no": order, "refund_id": "DPR" + digits(rng, 20), "out_refund_no": "R" + digits(rng, 12),
                "refund_status": word, "amount": {"total": total, "refund": amount},
            }
            expect = facts(
                event, order, number, amount, "CNY", identities[:1], refund_no=plain["out_refund_no"], platform_refund_no=plain["refund_id"], order_amount_minor=total,
            )
            event_type, original = f"REFUND.{word}", "refund"
        elif kind == "transfer":
            plain = {
                "mch_id": mchid, "out_bill_no": order, "transfer_bill_no": number, "state": word, "transfer_amount": str(amount), "openid": letters(rng, 28),
                "create_time": rfc3339(now - 60), "update_time": rfc3339(now),
            }
            expect, event_type, original = facts(event, order, number, amount, "CNY", [["mch_id", mchid]]), "TRANSFER.SUCCESS", "transfer"
        else:
            plain, expect, event_type, original = {"out_order_no": order}, facts("other"), word, "split"
        if rng.random() < 0.4:
            plain["a_new_member"] = {"b": [1, hard_text(rng), None]}
        serial = self.secret["serial"]
        headers = {"Douyinpay-Serial": rng.choice([serial, serial, serial.lower()])}
        message = Message(kind, plain=shuffled(rng, plain), expect=expect, event_type=event_type, now=now, headers=headers, private=self.secret["private"])
        return self.envelope(message, rng, original)

    def check(self, asked, now):
        text, signature = self.signed(asked, now)
        serial = header(asked, "Douyinpay-Serial")
        known = [item for item in self.settings["platform_certificates"] if item["serial_no"].upper() == serial.upper()]
        need(known, "unknown serial")
        certificate = Certificate(known[0]["certificate"])
        need(certificate.start <= now <= certificate.end, "the certificate is not valid now")
        need(certificate.public.verify("sha256", text, signature), "the signature does not fit")
        kind, value = self.opened(asked)
        family, _, word = kind.partition(".")
        mchid = self.settings["mchid"]
        if family in ("TRANSACTION", "REFUND"):
            need(value.get("mchid") == mchid, "mchid is not ours")
            amount = value.get("amount")
            need(isinstance(amount, dict), "no amount")
            order, number = text_of(value, "out_trade_no"), text_of(value, "transaction_id")
        if family == "TRANSACTION":
            need(value.get("appid") == self.settings["appid"], "appid is not ours")
            event = "payment.succeeded" if word == "SUCCESS" == value.get("trade_state") else "other"
            identities = [["mchid", mchid], ["appid", value["appid"]]]
            return facts(event, order, number, whole(amount.get("total"), "amount.total"), amount.get("currency") or "CNY", identities)
        if family == "REFUND":
            event = self.STATUSES["refund"].get(value.get("refund_status"), "other") if value.get("refund_status") == word else "other"
            return facts(
                event, order, number, whole(amount.get("refund"), "amount.refund"), "CNY", [["mchid", mchid]], refund_no=text_of(value, "out_refund_no"),
                platform_refund_no=text_of(value, "refund_id"), order_amount_minor=whole(amount.get("total"), "amount.total"),
            )
        if family == "TRANSFER":
            need(value.get("mch_id") == mchid, "mch_id is not ours")
            amount = text_of(value, "transfer_amount")
            need(amount.isascii() and amount.isdigit(), "transfer_amount is not digits")
            event = self.STATUSES["transfer"].get(value.get("state"), "other")
            return facts(event, text_of(value, "out_bill_no"), text_of(value, "transfer_bill_no"), int(amount), "CNY", [["mch_id", mchid]])
        return facts("other")

    def spoil_serial(self, rng, message):
        serial = message.headers["Douyinpay-Serial"]
        message.headers["Douyinpay-Serial"] = rng.choice([change_hex(rng, serial), serial + "0", "", serial[1:]])
        return self.finish(message, rng)

    @only("payment", "refund", "transfer")
    def spoil_other_merchant(self, rng, message):
        name = rng.choice([name for name in ("mchid", "mch_id", "appid") if name in message.plain])
        message.plain[name] = change_hex(rng, message.plain[name])
        return self.finish(message, rng)

    @only("payment", "refund", "transfer")
    def spoil_amount_nonsense(self, rng, message):
        if message.kind == "transfer":
            message.plain["transfer_amount"] = rng.choice([1, 1.0, "1.00", "-1", None, "", "１"])
        else:
            value = rng.choice(["1", 1.0, -1, None, True])
            message.plain["amount"] = message.plain["amount"] | {"refund" if message.kind == "refund" else "total": value}
        return self.finish(message, rng)

    @only("payment", "refund", "transfer")
    def spoil_no_number(self, rng, message):
        names = ("out_trade_no", "transaction_id", "out_refund_no", "refund_id", "amount", "out_bill_no", "transfer_bill_no", "transfer_amount", "mchid", "mch_id")
        message.plain.pop(rng.choice([name for name in names if name in message.plain]))
        return self.finish(message, rng)

    def spoil_wechat_headers(self, rng, message):
        """WeChat's names and spelling, with a signature that fits."""
        self.seal(message, rng)
        message.headers = {name.replace("Douyinpay", "Wechatpay"): value for name, value in message.headers.items()}
        return self.render(message, rng)


class Douyin(Platform):
    """The three behind one pipe."""

    NAME = "douyin"
    GENERATIONS = ("ecpay", "trade", "pay")

    def __init__(self):
        super().__init__()
        self.parts = {"ecpay": Ecpay(), "trade": Trade(), "pay": Pay()}
        self.KINDS = tuple(f"{name}.{kind}" for name, part in self.parts.items() for kind in part.KINDS)
        self.STATUSES = {f"{name}.{kind}": words for name, part in self.parts.items() for kind, words in part.STATUSES.items()}
        self.LOOSE = tuple(f"{name}.{kind}" for name, part in self.parts.items() for kind in part.LOOSE)

    def keys(self, wish):
        self.secret, self.settings = {}, {name: part.keys(wish)["settings"] for name, part in self.parts.items()}
        return {"settings": self.settings}

    def use(self, wish):
        for name, part in self.parts.items():
            if name in wish["settings"]:
                part.use({"settings": wish["settings"][name]})
        return super().use(wish)

    def spoils(self):
        return [f"{name}.{spoil}" for name, part in self.parts.items() for spoil in part.spoils()]

    def part(self, wish, *fields):
        """Which of the three a wish is about, and the wish in its own words."""
        name, wish = wish.get("generation"), dict(wish)
        for field in fields:
            if wish.get(field):
                name, wish[field] = wish[field].split(".", 1)
        name = name or random.Random(f"generation/{wish.get('seed', 0)}").choice(list(self.parts))
        wish.pop("generation", None)
        return name, self.parts[name], wish

    def sign(self, wish):
        self.ready()
        name, part, wish = self.part(wish, "kind")
        result = part.sign(wish)
        return result | {"kind": f"{name}.{result['kind']}", "generation": name}

    def damage(self, wish):
        self.ready()
        name, part, wish = self.part(wish, "kind", "damage")
        result = part.damage(wish)
        return result | {"kind": f"{name}.{result['kind']}", "damage": f"{name}.{result['damage']}", "generation": name}

    def check(self, asked, now):
        names = {name.lower() for name, _ in asked["headers"]}
        if any(name.startswith("douyinpay-") for name in names):
            return self.parts["pay"].check(asked, now)
        if any(name in names for name in ("byte-signature", "byte-timestamp", "byte-nonce-str")):
            return self.parts["trade"].check(asked, now)
        return self.parts["ecpay"].check(asked, now)

    def reply(self, cause, wish):
        if wish.get("generation") == "pay":
            if cause == "success":
                return 200, "application/json", b""
            return 500, "application/json", '{"code":"FAIL","message":"失败"}'.encode()
        if cause == "success":
            return 200, "application/json", b'{"err_no":0,"err_tips":"success"}'
        return 500, "application/json", b'{"err_no":1,"err_tips":"fail"}'

    def vectors(self):
        for part in self.parts.values():
            yield from part.vectors()


if __name__ == "__main__":
    main(Douyin())
