"""Alipay notifications of every channel and algorithm: the sheet's section 1.

Settings: app_id; seller_id; sign_type (RSA2, RSA or SM2), which the merchant configured; alipay_public_key (base64 SPKI
without armour). `keys` takes sign_type.
Generations: v1_keep, v1_skip, v2_keep, v2_skip: sign_type left out or signed, empty values signed or skipped. By default
channels A to C are signed under V1 and D under V2, as the sheet's real messages.

Decisions where the sheet leaves room:
- sign_type must be the configured one, letter by letter. The text of the SM2 variant is taken to be SM2 (UNCONFIRMED).
- Texts tried, in this order: V1 and V2, each with empty values kept, then skipped; any that fits is genuine. A value
  of blanks only is never generated (Java skips it, others keep it), nor one that begins with `@`.
- The charset field may be utf-8, gbk or gb2312; bytes are signed as they are, never transcoded.
- Parameters in the query are the merchant's own: ignored. A form field twice is refused.
- alipay_cert_sn and AES-encrypted biz_content are not generated: whether the first is signed and whether the second
  exists is UNCONFIRMED.
- A trade is a refund when it has gmt_refund, or a refund_fee above zero, unless it is TRADE_FINISHED. refund_fee is
  cumulative, and is amount_minor there.
- seller_id must be ours when it is there. No window is documented, so none is applied.
- The members of an order settlement message, of market orders and of authorisations are not listed: event `other`.
- The status of an agreement decides its event: NORMAL signed, UNSIGN ended.
"""

import json
import re
from pathlib import Path

from harness import (
    GBK_TEXTS, FieldDamages, Message, Platform, b64, beijing, body_of, change_base64, change_hex, digits, facts, form_decode_bytes,
    form_encode, hard_text, hexes, json_object, json_text, letters, main, minor_of, need, need_form, only, request, rsa_key, sm2_key,
    some_amount, some_order, stranger, unb64, vector, yuan,
)
from primitives import Aes, Certificate, RsaPublic, Sm2Public, cbc_decrypt, cbc_encrypt, der_int, elements, integer, md5, only as der_only, pad, public_key, unpad

CHARSETS = ("utf-8", "gbk", "gb2312")


def signed_bytes(fields, rule, empties):
    """Of (name, value) in bytes."""
    leave = (b"sign", b"sign_type") if rule == "v1" else (b"sign",)
    pairs = sorted((n, v) for n, v in fields if n not in leave and (empties or v))
    return b"&".join(n + b"=" + v for n, v in pairs)


def serial_of(certificate):
    """cert_sn: MD5 of the issuer, most specific part first, and the decimal serial number."""
    names = ",".join(f"{kind}={text}" for kind, text in reversed(certificate.names(certificate.issuer)))
    return md5(f"{names}{certificate.serial}".encode())


def root_serial(bundle):
    found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", bundle, re.S)
    # Only certificates that RSA signed count; a digest is known for those alone.
    return "_".join(serial_of(c) for c in map(Certificate, found) if c.digest)


class Alipay(FieldDamages, Platform):
    NAME = "alipay"
    KINDS = ("payment", "refund", "agreement", "transfer", "settle", "market", "authorization")
    GENERATIONS = ("v1_keep", "v1_skip", "v2_keep", "v2_skip")
    MERCHANT = ("app_id", "seller_id")
    LOOSE = ("agreement",)
    TESTED_KEYS = ({}, {"sign_type": "SM2"}, {"sign_type": "RSA"})
    STATUSES = {
        "payment": {
            "TRADE_SUCCESS": "payment.succeeded", "TRADE_FINISHED": "payment.finished", "TRADE_CLOSED": "payment.closed",
            "WAIT_BUYER_PAY": "payment.pending",
        },
        "refund": {"TRADE_SUCCESS": "refund.succeeded", "TRADE_CLOSED": "refund.succeeded"},
        "agreement": {"NORMAL": "contract.signed", "UNSIGN": "contract.ended"},
        "transfer": {"SUCCESS": "transfer.succeeded", "FAIL": "transfer.failed", "DEALING": "transfer.pending", "REFUND": "transfer.returned"},
        "settle": {"": "other"}, "market": {"": "other"}, "authorization": {"": "other"},
    }

    def make_keys(self, rng, label, wish):
        kind = wish.get("sign_type") or rng.choice(["RSA2", "RSA2", "RSA2", "SM2", "RSA"])
        private = sm2_key(label) if kind == "SM2" else rsa_key(label)
        self.settings = {
            "app_id": "20" + digits(rng, 14), "seller_id": "2088" + digits(rng, 12), "sign_type": kind, "alipay_public_key": b64(private.public.spki()),
        }
        self.secret = {"private": private}

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        charset = rng.choice(["utf-8", "utf-8", "UTF-8", "gbk", "GBK", "gb2312"])
        fields, expect = getattr(self, "make_" + kind)(rng, wish, now, word, event, lambda: self.text(rng, charset))
        fields |= {"app_id": self.settings["app_id"], "charset": charset, "sign_type": self.settings["sign_type"]}
        fields.setdefault("version", "1.0")
        if rng.random() < 0.3:
            fields |= {"a_new_field": self.text(rng, charset), "Zeta": rng.choice(["", "1"]), "a.dotted": "1"}
        fields = list(fields.items())
        rng.shuffle(fields)
        market = kind in ("market", "authorization")
        generation = wish.get("generation") or rng.choice(["v2_keep", "v2_skip"] if market else ["v1_keep", "v1_skip"])
        return Message(
            kind, fields, expect=expect, generation=generation, charset=charset.lower(), private=self.secret["private"], sign_type=self.settings["sign_type"],
            raw=False, identity=None, query=rng.choice(["", "", "shop=1&sign=x", "app_id=2"]),
        )

    def text(self, rng, charset):
        text = hard_text(rng) if charset.lower() == "utf-8" else hard_text(rng, GBK_TEXTS)
        if charset.lower() == "gb2312":
            text = "".join(c for c in text if c.encode("gb2312", "ignore")) or "中"
        return text.lstrip("@") or "x"

    def common(self, rng, now, kind):
        return {
            "notify_time": beijing(now, "%Y-%m-%d %H:%M:%S"), "notify_type": kind, "notify_id": beijing(now, "%Y%m%d") + hexes(rng, 26),
        }

    def identities(self, seller=True):
        names = ("app_id", "seller_id") if seller else ("app_id",)
        return [[name, self.settings[name]] for name in names]

    def trade(self, rng, now, order, number, total, word, text):
        stamp = beijing(now - 30, "%Y-%m-%d %H:%M:%S")
        fields = self.common(rng, now, "trade_status_sync") | {
            "trade_no": number, "out_trade_no": order, "seller_id": self.settings["seller_id"], "trade_status": word, "total_amount": yuan(total), "subject": text(),
            "gmt_create": stamp, "buyer_logon_id": "xud***@126.com",
        }
        if rng.random() < 0.5:
            fields["buyer_open_id"] = letters(rng, 40)
        else:
            fields["buyer_id"] = "2088" + digits(rng, 12)
        if rng.random() < 0.5:
            fields |= {"auth_app_id": self.settings["app_id"], "seller_email": "a+b@例子.com", "body": rng.choice(["", text()])}
        if word != "WAIT_BUYER_PAY":
            fields |= {
                "gmt_payment": stamp, "receipt_amount": yuan(total), "invoice_amount": yuan(total), "buyer_pay_amount": yuan(total), "point_amount": "0.00",
                "fund_bill_list": '[{"amount":"' + yuan(total) + '","fundChannel":"ALIPAYACCOUNT"}]',
            }
        if rng.random() < 0.4:
            fields["passback_params"] = rng.choice(["", "merchantBizType%3d3C%26merchantBizNo%3d2016010101111", "100%", text()])
        if rng.random() < 0.2:
            fields["voucher_detail_list"] = '[{"amount":"0.20","name":"满减 & 券","type":"ALIPAY_FIX_VOUCHER"}]'
        return fields

    def make_payment(self, rng, wish, now, word, event, text):
        total, order, number = some_amount(rng, wish), some_order(rng, wish), beijing(now, "%Y%m%d") + digits(rng, 20)
        fields = self.trade(rng, now, order, number, total, word, text)
        if word == "TRADE_CLOSED":
            fields["gmt_close"] = beijing(now, "%Y-%m-%d %H:%M:%S")
        if event == "payment.closed":
            # Nobody paid it; with that time the message would contradict itself.
            fields.pop("gmt_payment", None)
        if rng.random() < 0.2:
            fields["refund_fee"] = "0.00"
        return fields, facts(event, order, number, total, "CNY", self.identities())

    def make_refund(self, rng, wish, now, word, event, text):
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), beijing(now, "%Y%m%d") + digits(rng, 20)
        total = amount if word == "TRADE_CLOSED" else amount + rng.choice([1, 5000])
        fields = self.trade(rng, now, order, number, total, word, text)
        refund = "R" + digits(rng, 12)
        fields |= {
            "refund_fee": yuan(amount), "gmt_refund": beijing(now, "%Y-%m-%d %H:%M:%S") + rng.choice(["", ".123"]), "out_biz_no": refund, "send_back_fee": yuan(amount),
        }
        expect = facts(event, order, number, amount, "CNY", self.identities(), refund_no=refund, order_amount_minor=total)
        return fields, expect

    def make_agreement(self, rng, wish, now, word, event, text):
        order, number = some_order(rng, wish), digits(rng, 20)
        kind = "dut_user_sign" if word == "NORMAL" else "dut_user_unsign"
        fields = self.common(rng, now, kind) | {
            "agreement_no": number, "external_agreement_no": order, "status": word, "sign_scene": "INDUSTRY|DIGITAL_MEDIA", "personal_product_code": "CYCLE_PAY_AUTH_P",
            "valid_time": "2026-01-01 00:00:00", "invalid_time": "2115-02-01 00:00:00", "sign_time": beijing(now, "%Y-%m-%d %H:%M:%S"),
            "alipay_user_id": "2088" + digits(rng, 12), "alipay_logon_id": "158****1562",
        }
        return fields, facts(event, order, number, identities=self.identities(False))

    def gateway(self, rng, now, method, content):
        return {
            "msg_method": method, "version": "1.1", "utc_timestamp": f"{now}{digits(rng, 3)}", "notify_id": beijing(now, "%Y%m%d") + hexes(rng, 26),
            "biz_content": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        }

    def make_transfer(self, rng, wish, now, word, event, text):
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), beijing(now, "%Y%m%d") + digits(rng, 20)
        content = {
            "out_biz_no": order, "order_id": number, "pay_fund_order_id": digits(rng, 28), "status": word, "action_type": "FINISH", "trans_amount": yuan(amount),
            "pay_date": beijing(now, "%Y-%m-%d %H:%M:%S"), "product_code": "TRANS_ACCOUNT_NO_PWD", "biz_scene": "DIRECT_TRANSFER", "origin_interface": "alipay.fund.trans.uni.transfer",
        }
        return self.gateway(rng, now, "alipay.fund.trans.order.changed", content), facts(event, order, number, amount, "CNY", self.identities(False))

    def make_settle(self, rng, wish, now, word, event, text):
        # Rows that are not at their end say nothing yet; a message without rows would be held.
        rows = [{"operation_type": "transfer", "state": "PROCESSING", "detail_id": digits(rng, 20), "amount": "1.00"}]
        content = {"out_request_no": digits(rng, 12), "remark": text(), "royalty_detail_list": rows}
        return self.gateway(rng, now, "alipay.trade.order.settle.notify", content), facts("other", identities=self.identities(False))

    def make_market(self, rng, wish, now, word, event, text):
        fields = self.common(rng, now, "servicemarket_order_notify") | {
            "method": "alipay.open.servicemarket.order.notify", "commodity_order_id": digits(rng, 22), "name": text(), "title": text(), "total_price": "0.00",
            "merchant_pid": "2088" + digits(rng, 12), "timestamp": beijing(now, "%Y-%m-%d %H:%M:%S"),
        }
        return fields, facts("other", identities=self.identities(False))

    def make_authorization(self, rng, wish, now, word, event, text):
        fields = self.common(rng, now, "open_app_auth_notify") | {"biz_content": json_text(rng, {"auth_app_id": digits(rng, 16), "user_id": "2088" + digits(rng, 12)}).replace("\n", "")}
        return fields, facts("other", identities=self.identities(False))

    def bytes_of(self, message):
        return [(n.encode(message.charset), v.encode(message.charset)) for n, v in message.fields]

    def signature(self, message, rng, text):
        if message.sign_type == "SM2":
            identity = {"identity": message.identity} if message.identity else {}
            return message.private.sign(text, rng, **identity)
        return message.private.sign({"RSA2": "sha256", "RSA": "sha1"}[message.sign_type], text)

    def seal(self, message, rng):
        rule, empties = message.generation.split("_")
        text = signed_bytes(self.bytes_of(message), rule, empties == "keep")
        message.set("sign", b64(self.signature(message, rng, text)))

    def render(self, message, rng):
        body = form_encode(message.fields, rng.randrange(4), message.charset).encode()
        kind = rng.choice([
            "application/x-www-form-urlencoded; text/html; charset=utf-8", "application/x-www-form-urlencoded", f"application/x-www-form-urlencoded; charset={message.charset}",
        ])
        return request(query=message.query, body=body, content_type=kind)

    def covered(self, message, filled=True):
        names = super().covered(message, filled)
        # charset decides how the rest is read; sign_type is signed under V2 only. Both have damages of their own.
        return [name for name in names if name not in ("charset", "sign_type")]

    def check(self, asked, now):
        need_form(asked)
        raw = form_decode_bytes(body_of(asked))
        charset = raw.get(b"charset", b"utf-8").decode("latin-1").lower()
        need(charset in CHARSETS, f"unknown charset {charset}")
        need(raw.get(b"sign_type") == self.settings["sign_type"].encode(), "sign_type is not the configured one")
        signature = unb64(raw.get(b"sign", b""), "sign")
        need(signature, "no sign")
        key = public_key(self.settings["alipay_public_key"])
        texts = [signed_bytes(raw.items(), rule, empties) for rule in ("v1", "v2") for empties in (True, False)]
        if self.settings["sign_type"] == "SM2":
            need(isinstance(key, Sm2Public), "the configured key is not of SM2")
            fits = any(key.verify(text, signature) for text in dict.fromkeys(texts))
        else:
            need(isinstance(key, RsaPublic), "the configured key is not of RSA")
            digest = {"RSA2": "sha256", "RSA": "sha1"}[self.settings["sign_type"]]
            fits = any(key.verify(digest, text, signature) for text in texts)
        need(fits, "the signature does not fit")
        try:
            fields = {n.decode(charset): v.decode(charset) for n, v in raw.items()}
        except UnicodeDecodeError:
            need(False, f"the form is not {charset}")
        need(fields.get("app_id") == self.settings["app_id"], "app_id is not ours")
        if "seller_id" in fields:
            need(fields["seller_id"] == self.settings["seller_id"], "seller_id is not ours")
        return self.read(fields)

    def read(self, fields):
        kind = fields.get("notify_type")
        ours = self.identities(False)
        if kind == "trade_status_sync":
            for name in ("trade_no", "out_trade_no", "trade_status", "total_amount", "notify_id"):
                need(fields.get(name), f"no {name}")
            total, word = minor_of(fields["total_amount"]), fields["trade_status"]
            refunded = minor_of(fields.get("refund_fee") or "0")
            ours = self.identities("seller_id" in fields)
            if (fields.get("gmt_refund") or refunded) and word in self.STATUSES["refund"]:
                number = fields.get("out_request_no") or fields.get("out_biz_no") or None
                return facts("refund.succeeded", fields["out_trade_no"], fields["trade_no"], refunded, "CNY", ours, refund_no=number, order_amount_minor=total)
            return facts(self.STATUSES["payment"].get(word, "other"), fields["out_trade_no"], fields["trade_no"], total, "CNY", ours)
        if kind in ("dut_user_sign", "dut_user_unsign"):
            need(fields.get("agreement_no") and fields.get("status"), "no agreement_no or no status")
            fits = (kind == "dut_user_sign") == (fields["status"] == "NORMAL")
            event = self.STATUSES["agreement"].get(fields["status"], "other") if fits else "other"
            return facts(event, fields.get("external_agreement_no") or None, fields["agreement_no"], identities=ours)
        if fields.get("msg_method") == "alipay.fund.trans.order.changed":
            content = json_object(fields.get("biz_content", ""), "biz_content")
            for name in ("out_biz_no", "order_id", "status", "trans_amount"):
                need(isinstance(content.get(name), str) and content[name], f"no {name}")
            event = self.STATUSES["transfer"].get(content["status"], "other")
            return facts(event, content["out_biz_no"], content["order_id"], minor_of(content["trans_amount"]), "CNY", ours)
        need(kind or fields.get("msg_method"), "neither notify_type nor msg_method")
        return facts("other", identities=ours)

    def spoil_wrong_key(self, rng, message):
        message.private = sm2_key("stranger") if message.sign_type == "SM2" else stranger()
        return self.finish(message, rng)

    def spoil_sign_type_weaker(self, rng, message):
        """Signed rightly by the true key with another algorithm, which sign_type names."""
        if message.sign_type == "SM2":
            return None
        message.sign_type = "RSA" if message.sign_type == "RSA2" else "RSA2"
        message.set("sign_type", message.sign_type)
        return self.finish(message, rng)

    def spoil_sign_type_lies(self, rng, message):
        """The configured algorithm is named, another one used."""
        if message.sign_type == "SM2":
            return None
        message.sign_type = "RSA" if message.sign_type == "RSA2" else "RSA2"
        return self.finish(message, rng)

    def spoil_sign_type_case(self, rng, message):
        message.set("sign_type", message.sign_type.lower())
        return self.finish(message, rng)

    def spoil_sign_type_none(self, rng, message):
        message.set("sign_type", rng.choice(["MD5", "none", "HMAC", "RSA3"]))
        return self.finish(message, rng)

    def spoil_signature_flipped(self, rng, message):
        self.seal(message, rng)
        message.set("sign", change_base64(rng, message.get("sign")))
        return self.render(message, rng)

    def spoil_plus_lost(self, rng, message):
        self.seal(message, rng)
        if "+" not in message.get("sign"):
            return None
        message.set("sign", message.get("sign").replace("+", " "))
        return self.render(message, rng)

    def spoil_html_escaped(self, rng, message):
        self.seal(message, rng)
        for name in ("fund_bill_list", "biz_content"):
            if message.get(name):
                message.set(name, message.get(name).replace('"', rng.choice(["&quot;", '\\"'])))
                return self.render(message, rng)
        return None

    def spoil_decoded_twice(self, rng, message):
        """A value decoded once too often on the way."""
        message.set("passback_params", "a%3d1%26b%3d2")
        self.seal(message, rng)
        message.set("passback_params", "a=1&b=2")
        return self.render(message, rng)

    @only("payment", "refund")
    def spoil_amount_reformatted(self, rng, message):
        self.seal(message, rng)
        text = message.get("total_amount")
        short = text.rstrip("0").rstrip(".")
        message.set("total_amount", short if short != text else text + "0")
        return self.render(message, rng)

    def spoil_transcoded(self, rng, message):
        """GBK bytes turned into UTF-8 by a proxy, or the reverse, the charset field as it was."""
        message.set("subject", "大乐透")
        message.remove("charset")
        message.fields.append(["charset", message.charset])
        self.seal(message, rng)
        message.charset = "gbk" if message.charset == "utf-8" else "utf-8"
        try:
            return self.render(message, rng)
        except UnicodeEncodeError:
            return None

    def spoil_query_as_form(self, rng, message):
        """A signed field that stands in the query only."""
        self.seal(message, rng)
        name = rng.choice(self.covered(message))
        message.query = form_encode([[name, message.get(name)]], 0, message.charset)
        message.remove(name)
        return self.render(message, rng)

    def spoil_charset_unknown(self, rng, message):
        message.set("charset", rng.choice(["utf-7", "latin1", "utf-16", "x"]))
        return self.finish(message, rng)

    @only("payment", "refund")
    def spoil_amount_nonsense(self, rng, message):
        message.set("total_amount", rng.choice(["1.001", "1e2", "-1.00", "+1", "1,00", " 1.00", "1."]))
        return self.finish(message, rng)

    @only("payment", "refund")
    def spoil_no_number(self, rng, message):
        message.remove(rng.choice(["trade_no", "out_trade_no", "trade_status", "total_amount"]))
        return self.finish(message, rng)

    def spoil_sm2_other_user(self, rng, message):
        if message.sign_type != "SM2":
            return None
        message.identity = b"other@example.com"
        return self.finish(message, rng)

    def spoil_sm2_not_der(self, rng, message):
        if message.sign_type != "SM2":
            return None
        self.seal(message, rng)
        r, s = (integer(part) for part in elements(der_only(unb64(message.get("sign")), 0x30)))
        message.set("sign", b64(r.to_bytes(32, "big") + s.to_bytes(32, "big")))
        return self.render(message, rng)

    def spoil_sm2_zero(self, rng, message):
        if message.sign_type != "SM2":
            return None
        self.seal(message, rng)
        zero = b"\x30\x06" + der_int(rng.choice([0, 1])) + der_int(0)
        message.set("sign", b64(zero))
        return self.render(message, rng)

    def reply(self, cause, _):
        return 200, "text/plain", b"success" if cause == "success" else b"fail"

    def vectors(self):
        key, plain, wanted = "AAECAwQFBgcICQoLDA0ODw==", '{"a":"1"}', "5nIFKwTThD46JymYc6QiKg=="
        cipher = Aes(unb64(key))
        yield vector("AES", {"key": key, "plaintext": plain}, wanted, b64(cbc_encrypt(cipher, bytes(16), pad(plain.encode(), 16))))
        back = unpad(cbc_decrypt(cipher, bytes(16), unb64(wanted)), 16).decode()
        yield vector("AES back", {"key": key, "ciphertext": wanted}, plain, back)
        real = json.loads((Path(__file__).parent / "real_messages.json").read_text())
        for name, rule, seller in (("trade", "v1", "2088531891668739"), ("servicemarket", "v2", "")):
            item = real["alipay_" + name]
            pairs = [(n.encode(), v.encode()) for n, v in item["fields"].items()]
            verifier, sign = public_key(item["public_key"]), unb64(item["fields"]["sign"])
            for tried in ("v1", "v2"):
                got = verifier.verify("sha256", signed_bytes(pairs, tried, True), sign)
                yield vector(f"real {name} message under {tried.upper()}", item, tried == rule, got)
            settings = {"app_id": item["fields"]["app_id"], "seller_id": seller, "sign_type": "RSA2", "alipay_public_key": b64(verifier.spki())}
            for label, fields, wanted in (
                ("real", item["fields"], "genuine"), ("one field changed", item["fields"] | {"version": "1.1"}, "refused"),
                ("quotes escaped", {n: v.replace('"', "&quot;") for n, v in item["fields"].items()}, "refused"),
            ):
                if label == "quotes escaped" and name != "trade":
                    continue
                asked = request(body=form_encode(fields.items()).encode(), content_type="application/x-www-form-urlencoded; text/html; charset=utf-8")
                yield vector(f"{label} {name} message", {"settings": settings, "request": asked}, wanted, self.judged(settings, asked, 1600000000)["outcome"])
        certificates = real["alipay_certificates"]
        yield vector("alipay_cert_sn", {"certificate": certificates["alipay"]}, "7513daaaa48aa3ba2e4018d84402479c", serial_of(Certificate(certificates["alipay"])))
        yield vector("app_cert_sn", {"certificate": certificates["app"]}, "866efef280dec9137a87d047ac446315", serial_of(Certificate(certificates["app"])))
        wanted = "687b59193f3f462dd5336e5abf83c5d8_02941eef3187dddf3d3b83462e1dfcf6"
        yield vector("alipay_root_cert_sn", {"bundle": certificates["root"]}, wanted, root_serial(certificates["root"]))


if __name__ == "__main__":
    main(Alipay())
