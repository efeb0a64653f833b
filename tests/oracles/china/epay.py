"""易支付 notices, V1 (MD5) and V2 (RSA): the sheet's section 6.

Settings: pid; key (V1's KEY); platform_public_key (V2; base64 of the SPKI without armour, as the merchant's
page shows it).
Generations: v1, v2.

Decisions where the sheet leaves room:
- V1 signs in lower-case hex with the KEY appended directly; the forks (`&key=`, upper case, amounts formatted
  before signing) are for diagnosis and refused here.
- sign_type must be exactly MD5 (V1), RSA or SHA256WithRSA (V2): nothing signs it, so nothing else is accepted.
- Parameters of one's own in notify_url are not signed by the platform. They are never generated; a message that
  holds any parameter which the signature does not cover is refused (see FINDINGS.md).
- V2's window of 300 seconds on timestamp is what integrators use; a timestamp that is missing, not in seconds
  or outside of it is refused.
- trade_status other than TRADE_SUCCESS is never sent: refused, not passed on.
"""

from harness import (
    FieldDamages, Message, Platform, b64, beijing, body_of, change_base64, change_text, digits, facts, far, form_decode,
    form_encode, hard_text, header, letters, main, minor_of, near, need, request, rsa_key, some_amount, some_order, sorted_string,
    stranger, unb64, vector, yuan,
)
from primitives import md5, public_key

LEAVE = ("sign", "sign_type")
WINDOW = 300


def v1_sign(fields, key):
    return md5((sorted_string(fields, LEAVE) + key).encode())


class Epay(FieldDamages, Platform):
    NAME = "epay"
    KINDS = ("payment",)
    GENERATIONS = ("v1", "v2")
    STATUSES = {"payment": {"TRADE_SUCCESS": "payment.succeeded"}}
    UNSIGNED = ("sign_type",)
    MERCHANT = ("pid",)

    def make_keys(self, rng, label, wish):
        private = rsa_key(label)
        self.settings = {
            "pid": digits(rng, rng.choice([4, 5, 10])), "key": letters(rng, 32),
            "platform_public_key": b64(private.public.spki()),
        }
        self.secret = {"private": private}

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        generation = wish.get("generation") or rng.choice(self.GENERATIONS)
        word, event = self.status(rng, wish, kind)
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), beijing(now) + digits(rng, 9)
        money = yuan(amount)
        short = money.rstrip("0").rstrip(".")
        fields = {
            "pid": self.settings["pid"], "trade_no": number, "out_trade_no": order,
            "type": rng.choice(["alipay", "wxpay", "qqpay", "bank", "jdpay", "usdt"]),
            "name": rng.choice(["product", "VIP会员", hard_text(rng)]), "money": rng.choice([money, short]),
            "trade_status": word,
        }
        if rng.random() < 0.6:
            fields["param"] = rng.choice(["", "0", hard_text(rng)])
        if rng.random() < 0.3:
            fields |= {"a_new_field": hard_text(rng), "Zeta": "1", "empty": ""}
        if generation == "v2":
            fields |= {"timestamp": str(near(rng, now)), "sign_type": rng.choice(["RSA", "SHA256WithRSA"])}
            if rng.random() < 0.6:
                fields |= {"addtime": beijing(now - 60, "%Y-%m-%d %H:%M:%S"), "endtime": beijing(now, "%Y-%m-%d %H:%M:%S")}
                fields |= {"buyer": rng.choice(["", "2088" + digits(rng, 12), "a***@例子.com"]), "api_trade_no": digits(rng, 28)}
        else:
            fields["sign_type"] = "MD5"
        expect = facts(event, order, number, amount, "CNY", [["pid", self.settings["pid"]]])
        fields = list(fields.items())
        rng.shuffle(fields)
        way = rng.choice(["query", "query", "query", "form"])
        return Message(
            kind, fields, expect=expect, generation=generation, way=way, now=now, key=self.settings["key"],
            private=self.secret["private"],
        )

    def seal(self, message, rng):
        if message.generation == "v1":
            sign = v1_sign(message.fields, message.key)
        else:
            sign = b64(message.private.sign("sha256", sorted_string(message.fields, LEAVE).encode()))
        message.set("sign", sign)

    def render(self, message, rng):
        text = form_encode(message.fields, rng.randrange(4))
        if message.way == "query":
            return request("GET", query=text)
        return request(body=text.encode(), content_type="application/x-www-form-urlencoded")

    def check(self, asked, now):
        if asked["method"] == "GET":
            fields = form_decode(asked["query"])
        else:
            need(asked["method"] == "POST", "neither GET nor POST")
            need(header(asked, "Content-Type").lower().startswith("application/x-www-form-urlencoded"), "not a form")
            need(not asked["query"], "parameters in the query beside the form")
            fields = form_decode(body_of(asked))
        for name in ("pid", "trade_no", "out_trade_no", "type", "name", "money", "trade_status", "sign", "sign_type"):
            need(fields.get(name), f"no {name}")
        if fields["sign_type"] == "MD5":
            need(fields["sign"] == v1_sign(fields.items(), self.settings["key"]), "the signature does not fit")
        else:
            need(fields["sign_type"] in ("RSA", "SHA256WithRSA"), "unknown sign_type")
            text, sign = sorted_string(fields.items(), LEAVE).encode(), unb64(fields["sign"], "sign")
            good = public_key(self.settings["platform_public_key"]).verify("sha256", text, sign)
            need(good, "the signature does not fit")
            stamp = fields.get("timestamp", "")
            need(stamp.isascii() and stamp.isdigit() and abs(now - int(stamp)) < WINDOW, "timestamp missing or outside of the window")
        need(fields["pid"] == self.settings["pid"], "pid is not ours")
        need(fields["trade_status"] == "TRADE_SUCCESS", "trade_status is not TRADE_SUCCESS")
        return facts(
            "payment.succeeded", fields["out_trade_no"], fields["trade_no"], minor_of(fields["money"]), "CNY",
            [["pid", fields["pid"]]],
        )

    def spoil_wrong_key(self, rng, message):
        message.key, message.private = letters(rng, 32), stranger()
        return self.finish(message, rng)

    def spoil_key_with_name(self, rng, message):
        if message.generation != "v1":
            return None
        message.key = "&key=" + message.key
        return self.finish(message, rng)

    def spoil_sign_upper_case(self, rng, message):
        self.seal(message, rng)
        if message.generation != "v1" or message.get("sign").isdigit():
            return None
        message.set("sign", message.get("sign").upper())
        return self.render(message, rng)

    def spoil_sign_type_case(self, rng, message):
        self.seal(message, rng)
        message.set("sign_type", message.get("sign_type").lower())
        return self.render(message, rng)

    def spoil_sign_type_other(self, rng, message):
        """The other generation's algorithm named, or none that exists."""
        self.seal(message, rng)
        message.set("sign_type", rng.choice(["RSA", "none", "SM2", "RSA2"]) if message.generation == "v1" else "MD5")
        return self.render(message, rng)

    def spoil_sign_type_signed(self, rng, message):
        self.seal(message, rng)
        text = sorted_string(message.fields, ("sign",)).encode()
        if message.generation == "v1":
            message.set("sign", md5(text + message.key.encode()))
        else:
            message.set("sign", b64(message.private.sign("sha256", text)))
        return self.render(message, rng)

    def spoil_public_key_as_md5_key(self, rng, message):
        """The known public key taken for the MD5 secret."""
        message.generation, message.key = "v1", self.settings["platform_public_key"]
        message.set("sign_type", rng.choice(["MD5", "RSA"]))
        return self.finish(message, rng)

    def spoil_sha1(self, rng, message):
        if message.generation != "v2":
            return None
        self.seal(message, rng)
        message.set("sign", b64(message.private.sign("sha1", sorted_string(message.fields, LEAVE).encode())))
        return self.render(message, rng)

    def spoil_signature_flipped(self, rng, message):
        self.seal(message, rng)
        text = message.get("sign")
        message.set("sign", change_text(rng, text) if message.generation == "v1" else change_base64(rng, text))
        return self.render(message, rng)

    def spoil_blanks_for_plus(self, rng, message):
        """`+` of the signature lost to form decoding."""
        self.seal(message, rng)
        if message.generation != "v2" or "+" not in message.get("sign"):
            return None
        message.set("sign", message.get("sign").replace("+", " "))
        return self.render(message, rng)

    def spoil_stale(self, rng, message):
        if message.generation != "v2":
            return None
        message.set("timestamp", str(far(rng, message.now)))
        return self.finish(message, rng)

    def spoil_milliseconds(self, rng, message):
        if message.generation != "v2":
            return None
        message.set("timestamp", str(message.now * 1000))
        return self.finish(message, rng)

    def spoil_timestamp_missing(self, rng, message):
        if message.generation != "v2":
            return None
        message.remove("timestamp")
        return self.finish(message, rng)

    def spoil_not_paid(self, rng, message):
        message.set("trade_status", rng.choice(["TRADE_CLOSED", "WAIT_BUYER_PAY", "trade_success"]))
        return self.finish(message, rng)

    def spoil_money_nonsense(self, rng, message):
        message.set("money", rng.choice(["1.001", "1e2", "-1.00", "+1", "1,00", " 1.00", "0x10", "1.", ".5", "１"]))
        return self.finish(message, rng)

    def spoil_no_number(self, rng, message):
        message.remove(rng.choice(["out_trade_no", "trade_no", "money", "trade_status", "pid"]))
        return self.finish(message, rng)

    def reply(self, cause, _):
        return 200, "text/plain; charset=utf-8", b"success" if cause == "success" else b"fail"

    def vectors(self):
        fields = {
            "pid": "1001", "trade_no": "20160806151343349021", "out_trade_no": "20160806151343349", "type": "alipay",
            "name": "VIP会员", "money": "1.00", "trade_status": "TRADE_SUCCESS", "param": "",
        }
        key = "testkey0123456789abcdef"
        wanted = "09c7c462e635dfdf0f972338b56d07a3"
        yield vector("V1", {"fields": fields, "key": key}, wanted, v1_sign(fields.items(), key))


if __name__ == "__main__":
    main(Epay())
