"""jeepay (计全支付) merchant notices: the sheet's section 7.

Settings: mchNo; appId; appSecret.
Generations: form (POST form), query (older builds: POST, parameters in the query, body empty).

Decisions where the sheet leaves room:
- The order is that of whole `name=value&` texts ignoring ASCII case, as in Java. Names that differ by case alone
  are never generated. `amount2=…` sorts before `amount=…`, since `2` is below `=`: such names are generated.
- sign is upper-case hex; lower case is refused.
- Parameters of one's own in notifyUrl are not signed. They are never generated; see FINDINGS.md.
- No window on reqTime is documented, so none is applied; it must be there and have 13 digits.
- The JSON fork and division notices are not made: the sheet has no rules for them.
- A payment of state 4 (cancelled) or 6 (closed) is payment.closed, of state 5 (refunded) refund.succeeded.
"""

from harness import (
    FieldDamages, Message, Platform, body_of, change_hex, digits, facts, fen_of, form_decode, form_encode, hard_text, header,
    letters, main, need, request, some_amount, some_order, sorted_string, vector,
)
from primitives import md5

CUSTOM = ["amount2", "Ext", "ZETA", "alpha", "mchNoX", "state_text", "Body2", "appId9", "x"]


def lowered(text):
    return "".join(c.lower() if c.isascii() else c for c in text)


def digest(fields, secret):
    pieces = sorted((f"{n}={v}&" for n, v in fields if n != "sign" and v != ""), key=lowered)
    return md5(("".join(pieces) + f"key={secret}").encode()).upper()


class Jeepay(FieldDamages, Platform):
    NAME = "jeepay"
    KINDS = ("payment", "refund", "transfer")
    GENERATIONS = ("form", "query")
    MERCHANT = ("mchNo", "appId")
    STATUSES = {
        "payment": {
            "2": "payment.succeeded", "3": "payment.failed", "4": "payment.closed", "5": "refund.succeeded",
            "6": "payment.closed",
        },
        "refund": {"2": "refund.succeeded", "3": "refund.failed", "4": "refund.closed"},
        "transfer": {"2": "transfer.succeeded", "3": "transfer.failed", "4": "transfer.closed"},
    }

    def make_keys(self, rng, label, wish):
        self.settings = {"mchNo": "M" + digits(rng, 10), "appId": letters(rng, 24, "0123456789abcdef"), "appSecret": letters(rng, 128)}
        self.secret = {}

    def identities(self):
        return [["mchNo", self.settings["mchNo"]], ["appId", self.settings["appId"]]]

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, currency = some_amount(rng, wish), some_order(rng, wish), (wish.get("currency") or "CNY").upper()
        fields = dict(self.identities()) | {
            "currency": currency.lower(), "state": word, "createdAt": f"{now - 60}{digits(rng, 3)}", "reqTime": f"{now}{digits(rng, 3)}",
            "channelOrderNo": rng.choice(["", digits(rng, 28)]), "extParam": rng.choice(["", "0", hard_text(rng)]),
        }
        if word == "2":
            fields["successTime"] = f"{now}{digits(rng, 3)}"
        else:
            fields |= {"errCode": rng.choice(["", "NOTENOUGH"]), "errMsg": rng.choice(["", "余额不足 & 100%"])}
        number = digits(rng, 22)
        more = {}
        if kind == "payment":
            number = "P" + number
            fields |= {
                "payOrderId": number, "mchOrderNo": order, "amount": str(amount), "ifCode": "wxpay", "wayCode": "WX_BAR",
                "clientIp": "192.168.0.111", "subject": hard_text(rng), "body": hard_text(rng),
            }
        elif kind == "refund":
            total = amount + rng.choice([0, 1, 5000])
            number, refund = "P" + number, "R" + digits(rng, 22)
            fields |= {
                "refundOrderId": refund, "payOrderId": number, "mchRefundNo": order, "payAmount": str(total),
                "refundAmount": str(amount),
            }
            # The notice names the merchant's number of the refund, not of the order.
            more = {"refund_no": order, "platform_refund_no": refund, "order_amount_minor": total}
            order = None
        else:
            number = "T" + number
            fields |= {
                "transferId": number, "mchOrderNo": order, "amount": str(amount), "ifCode": "alipay", "entryType": "ALIPAY_CASH",
                "accountNo": "a+b@例子.com", "accountName": "张三", "bankName": "", "transferDesc": hard_text(rng),
                "channelExtra": '{"a":"1&2"}', "channelResData": rng.choice(["", "{}"]),
            }
        if rng.random() < 0.4:
            fields |= {name: rng.choice(["", hard_text(rng)]) for name in rng.sample(CUSTOM, 3)}
        expect = facts(event, order, number, amount, currency, self.identities(), **more)
        generation = wish.get("generation") or rng.choice(["form", "form", "form", "query"])
        fields = list(fields.items())
        rng.shuffle(fields)
        return Message(kind, fields, expect=expect, generation=generation, key=self.settings["appSecret"])

    def seal(self, message, rng):
        message.set("sign", digest(message.fields, message.key))

    def render(self, message, rng):
        text = form_encode(message.fields, rng.randrange(4))
        kind = rng.choice(["application/x-www-form-urlencoded", "application/x-www-form-urlencoded;charset=UTF-8"])
        if message.generation == "query":
            return request(query=text, content_type=rng.choice([None, kind]))
        return request(body=text.encode(), content_type=kind)

    def check(self, asked, now):
        need(asked["method"] == "POST", "not a POST")
        body = body_of(asked)
        if body:
            need(header(asked, "Content-Type").lower().startswith("application/x-www-form-urlencoded"), "not a form")
            need(not asked["query"], "parameters in the query beside the form")
        fields = form_decode(body or asked["query"])
        need(fields.get("sign"), "no sign")
        need(fields["sign"] == digest(fields.items(), self.settings["appSecret"]), "the signature does not fit")
        for name in ("mchNo", "appId"):
            need(fields.get(name) == self.settings[name], f"{name} is not ours")
        need(fields.get("reqTime", "").isdigit() and len(fields["reqTime"]) == 13, "reqTime is not in milliseconds")
        currency = fields.get("currency", "").upper()
        need(currency, "no currency")
        if fields.get("refundOrderId"):
            kind, names = "refund", ("payOrderId", "mchRefundNo", "refundAmount", "payAmount")
        elif fields.get("transferId"):
            kind, names = "transfer", ("mchOrderNo", "amount")
        else:
            kind, names = "payment", ("payOrderId", "mchOrderNo", "amount")
        for name in (*names, "state"):
            need(fields.get(name), f"no {name}")
        event = self.STATUSES[kind].get(fields["state"], "other")
        if kind == "refund":
            return facts(
                event, None, fields["payOrderId"], fen_of(fields["refundAmount"]), currency, self.identities(),
                refund_no=fields["mchRefundNo"], platform_refund_no=fields["refundOrderId"],
                order_amount_minor=fen_of(fields["payAmount"]),
            )
        number = fields["transferId" if kind == "transfer" else "payOrderId"]
        return facts(event, fields["mchOrderNo"], number, fen_of(fields["amount"]), currency, self.identities())

    def spoil_wrong_key(self, rng, message):
        message.key = letters(rng, 128)
        return self.finish(message, rng)

    def spoil_sign_lower_case(self, rng, message):
        self.seal(message, rng)
        if message.get("sign").isdigit():
            return None
        message.set("sign", message.get("sign").lower())
        return self.render(message, rng)

    def spoil_signature_flipped(self, rng, message):
        self.seal(message, rng)
        message.set("sign", change_hex(rng, message.get("sign")))
        return self.render(message, rng)

    def spoil_ampersand_doubled(self, rng, message):
        text = sorted_string(message.fields, ("sign",)) + f"&&key={message.key}"
        message.set("sign", md5(text.encode()).upper())
        return self.render(message, rng)

    def spoil_key_without_name(self, rng, message):
        text = sorted_string(message.fields, ("sign",)) + message.key
        message.set("sign", md5(text.encode()).upper())
        return self.render(message, rng)

    def spoil_empties_signed(self, rng, message):
        message.set("errMsg", "")
        text = sorted_string(message.fields, ("sign",), empties=True) + f"&key={message.key}"
        message.set("sign", md5(text.encode()).upper())
        return self.render(message, rng)

    def spoil_byte_order(self, rng, message):
        """Sorted by the bytes of names, where a field of the merchant's own makes a difference."""
        message.set("ZETA", "1")
        message.set("amount2", "2")
        message.set("sign", md5((sorted_string(message.fields, ("sign",)) + f"&key={message.key}").encode()).upper())
        return self.render(message, rng)

    def spoil_amount_nonsense(self, rng, message):
        name = "refundAmount" if message.kind == "refund" else "amount"
        message.set(name, rng.choice(["1.00", "-1", "1e2", " 1", "１"]))
        return self.finish(message, rng)

    def spoil_no_number(self, rng, message):
        names = ["state", "currency", "mchNo", "appId", "reqTime"]
        names += ["mchRefundNo", "refundAmount"] if message.kind == "refund" else ["mchOrderNo", "amount"]
        message.remove(rng.choice(names))
        return self.finish(message, rng)

    def spoil_kind_changed(self, rng, message):
        """A refund cut down to look like a payment, or a payment given a refund's number."""
        self.seal(message, rng)
        if message.kind == "refund":
            message.remove("refundOrderId")
        else:
            message.fields.append(["refundOrderId", "R1"])
        return self.render(message, rng)

    def reply(self, cause, _):
        return 200, "text/plain", b"SUCCESS" if cause == "success" else b"FAIL"

    def vectors(self):
        text = (
            "amount=1&appId=60cc09bce4b0f1c0b83761c9&body=商品描述&clientIp=192.168.0.111&createdAt=1622016572190&currency=cny"
            "&ifCode=wxpay&mchNo=M1621873433953&mchOrderNo=mho1624005752661&payOrderId=P202106181104177050002"
            "&reqTime=1622016572190&state=2&subject=商品标题&successTime=1622016572190&wayCode=WX_BAR"
        )
        fields = dict(piece.split("=") for piece in text.split("&"))
        given = {"fields": fields, "appSecret": "testsecret"}
        yield vector("payment", given, "7EEB578B7A224A8D5BC55A7985C76E43", digest(fields.items(), "testsecret"))


if __name__ == "__main__":
    main(Jeepay())
