"""LianLian (连连支付) notices, classic and ACCP: the sheet's section 10.

Settings: oid_partner; sign_types, the algorithms allowed of RSA and MD5; lianlian_public_key (PEM) and md5_key of
the classic generation; accp_public_key (PEM) of ACCP.
Generations: RSA, MD5 (both classic), ACCP (only of the kind accp).

Decisions where the sheet leaves room:
- MD5 is lower-case hex (UNCONFIRMED; that is what copies and the sheet's vector have). Upper case is refused, but
  is not among the damages, since the platform may send it.
- Names sort ignoring case. Whether `_` comes before or after a letter then depends on which case one folds to; no
  field set of the sheet shows a difference, so unknown fields that would are not generated (FINDINGS.md).
- Classic members are texts; a number, null, list or object is refused.
- sign_type is part of the signed string, as in the sheet's vector.
- The sheet lists no fields of an ACCP body: it is genuine by its signature alone, its event is `other`. The header
  Signature-Type must be RSA. The signed text is the lower-case hex MD5 of the raw body, signed MD5withRSA.
- A refund notice names no order: order_no is null.
- A payment and a payout have the same fields in the sheet: `verify` must be told "kind":"payout" to say transfer.…
- The ACCP acknowledgement (`Success`) is UNCONFIRMED.
"""

from harness import (
    FieldDamages, Message, Platform, b64, beijing, body_of, change_base64, change_hex, digits, dress, facts, form_decode,
    form_encode, hard_text, header, hexes, json_object, json_text, letters, main, minor_of, need, never, only, request,
    rsa_key, some_amount, some_order, sorted_string, stranger, unb64, vector, yuan,
)
from primitives import md5, public_key


def lowered(text):
    return "".join(c.lower() if c.isascii() else c for c in text)


def signed_text(fields):
    pairs = [(n, v) for n, v in fields if n != "sign" and v not in ("", "null")]
    return "&".join(f"{n}={v}" for n, v in sorted(pairs, key=lambda pair: lowered(pair[0])))


def md5_sign(fields, key):
    return md5((signed_text(fields) + f"&key={key}").encode())


class Lianlian(FieldDamages, Platform):
    NAME = "lianlian"
    KINDS = ("payment", "refund", "payout", "accp")
    GENERATIONS = ("RSA", "MD5", "ACCP")
    MERCHANT = ("oid_partner",)
    STATUSES = {
        "payment": {"SUCCESS": "payment.succeeded"},
        "refund": {"2": "refund.succeeded", "3": "refund.failed"},
        "payout": {"SUCCESS": "transfer.succeeded", "FAILURE": "transfer.failed", "CANCEL": "transfer.returned"},
        "accp": {"": "other"},
    }

    def make_keys(self, rng, label, wish):
        private, accp = rsa_key(label), rsa_key(label + "/accp")
        self.settings = {
            "oid_partner": digits(rng, 18), "sign_types": wish.get("sign_types") or rng.choice([["RSA", "MD5"], ["RSA"], ["MD5"]]),
            "lianlian_public_key": private.public.pem(), "md5_key": letters(rng, 32), "accp_public_key": accp.public.pem(),
        }
        self.secret = {"private": private, "accp": accp}

    def flat(self, message):
        return message.kind != "accp"

    def covered(self, message, filled=True):
        return [name for name in super().covered(message, filled) if message.get(name) != "null"]

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), digits(rng, 16)
        way = rng.choice(["json", "json", "form"])
        partner = self.settings["oid_partner"]
        if kind == "accp":
            value = {"oid_partner": partner, "txn_type": "PAY", "orderInfo": {"txn_seqno": order, "total_amount": yuan(amount), "goods": hard_text(rng)}}
            return Message(
                kind, expect=facts("other"), body=json_text(rng, value).encode(), private=self.secret["accp"],
                headers={"Signature-Type": "RSA"}, double=True, digest="md5",
            )
        generation = wish.get("generation") or rng.choice(self.settings["sign_types"])
        identities = [["oid_partner", partner]]
        fields = {"oid_partner": partner, "sign_type": generation, "settle_date": beijing(now, "%Y%m%d")}
        if kind == "refund":
            fields |= {
                "no_refund": order, "dt_refund": beijing(now), "money_refund": yuan(amount), "oid_refundno": number, "sta_refund": word,
            }
            expect = facts(event, None, None, amount, "CNY", identities, refund_no=order, platform_refund_no=number)
        else:
            fields |= {
                "dt_order": beijing(now), "no_order": order, "oid_paybill": number, "money_order": rng.choice([yuan(amount), yuan(amount).rstrip("0").rstrip(".")]),
                "result_pay": word, "info_order": rng.choice(["", "null", hard_text(rng)]),
            }
            expect = facts(event, order, number, amount, "CNY", identities)
        if kind == "payment" and rng.random() < 0.6:
            fields |= {
                "pay_type": "D", "bank_code": "01020000", "no_agree": rng.choice(["", digits(rng, 16)]), "id_type": "0", "id_no": "",
                "acct_name": "张三", "card_no": "6222***0018",
            }
        if rng.random() < 0.4:
            fields |= {"Zone": hard_text(rng), "EXTRA": rng.choice(["", "null", "NULL", hard_text(rng)]), "aNew": "1"}
        fields = list(fields.items())
        rng.shuffle(fields)
        return Message(
            kind, fields, expect=expect, generation=generation, way=way, key=self.settings["md5_key"],
            private=self.secret["private"], digest="md5",
        )

    def seal(self, message, rng):
        if message.kind == "accp":
            text = md5(message.body).encode() if message.double else message.body
            message.headers["Signature-Data"] = b64(message.private.sign(message.digest, text))
        elif message.generation == "MD5":
            message.set("sign", md5_sign(message.fields, message.key))
        else:
            message.set("sign", b64(message.private.sign(message.digest, signed_text(message.fields).encode())))

    def render(self, message, rng):
        if message.kind == "accp":
            headers = [["Content-Type", "application/json;charset=utf-8"], *message.headers.items()]
            return request(headers=dress(rng, headers), body=message.body)
        if message.way == "form":
            body = form_encode(message.fields, rng.randrange(4)).encode()
            return request(body=body, content_type="application/x-www-form-urlencoded")
        names = [name for name, _ in message.fields]
        if len(set(names)) < len(names):
            # A member twice cannot be written from a dictionary.
            body = "{" + ",".join(f"{json_text(rng, n)}:{json_text(rng, v)}" for n, v in message.fields) + "}"
        else:
            body = json_text(rng, dict(message.fields))
        return request(body=body.encode(), content_type=rng.choice(["text/json", "application/json", "application/json;charset=UTF-8"]))

    def check(self, asked, now):
        need(asked["method"] == "POST", "not a POST")
        body = body_of(asked)
        if any(name.lower() in ("signature-data", "signature-type") for name, _ in asked["headers"]):
            need(header(asked, "Signature-Type") == "RSA", "Signature-Type is not RSA")
            sign = unb64(header(asked, "Signature-Data"), "Signature-Data")
            key = public_key(self.settings["accp_public_key"])
            need(key.verify("md5", md5(body).encode(), sign), "the signature does not fit")
            json_object(body)
            return facts("other")
        if header(asked, "Content-Type").lower().startswith("application/x-www-form-urlencoded"):
            fields = form_decode(body)
        else:
            fields = json_object(body)
            need(all(isinstance(value, str) for value in fields.values()), "a member is not a text")
        need(fields.get("sign"), "no sign")
        kind = fields.get("sign_type")
        need(kind in self.settings["sign_types"], f"sign_type {kind} is not allowed")
        if kind == "MD5":
            need(fields["sign"] == md5_sign(fields.items(), self.settings["md5_key"]), "the signature does not fit")
        else:
            key = public_key(self.settings["lianlian_public_key"])
            need(key.verify("md5", signed_text(fields.items()).encode(), unb64(fields["sign"], "sign")), "the signature does not fit")
        need(fields.get("oid_partner") == self.settings["oid_partner"], "oid_partner is not ours")
        identities = [["oid_partner", fields["oid_partner"]]]
        if "no_refund" in fields:
            for name in ("no_refund", "money_refund", "oid_refundno", "sta_refund"):
                need(fields.get(name), f"no {name}")
            return facts(
                self.STATUSES["refund"].get(fields["sta_refund"], "other"), None, None, minor_of(fields["money_refund"]), "CNY",
                identities, refund_no=fields["no_refund"], platform_refund_no=fields["oid_refundno"],
            )
        for name in ("no_order", "oid_paybill", "money_order", "result_pay"):
            need(fields.get(name), f"no {name}")
        # Nothing in the message tells a payment from a payout: which of both a URL serves is the merchant's to know.
        event = self.STATUSES[self.expected].get(fields["result_pay"], "other")
        return facts(event, fields["no_order"], fields["oid_paybill"], minor_of(fields["money_order"]), "CNY", identities)

    @never("accp")
    def spoil_wrong_key(self, rng, message):
        message.key, message.private = letters(rng, 32), stranger()
        return self.finish(message, rng)

    @never("accp")
    def spoil_algorithm_not_allowed(self, rng, message):
        others = [name for name in ("RSA", "MD5") if name not in self.settings["sign_types"]]
        if not others:
            return None
        message.generation = others[0]
        message.set("sign_type", others[0])
        return self.finish(message, rng)

    @never("accp")
    def spoil_sign_type_case(self, rng, message):
        message.set("sign_type", message.generation.lower())
        return self.finish(message, rng)

    @never("accp")
    def spoil_public_key_as_md5_key(self, rng, message):
        message.generation, message.key = "MD5", self.settings["lianlian_public_key"]
        message.set("sign_type", rng.choice(["MD5", "RSA"]))
        return self.finish(message, rng)

    @never("accp")
    def spoil_other_digest(self, rng, message):
        if message.generation != "RSA":
            return None
        message.digest = rng.choice(["sha1", "sha256"])
        return self.finish(message, rng)

    @never("accp")
    def spoil_signature_flipped(self, rng, message):
        self.seal(message, rng)
        text = message.get("sign")
        message.set("sign", change_hex(rng, text) if message.generation == "MD5" else change_base64(rng, text))
        return self.render(message, rng)

    @never("accp")
    def spoil_key_without_name(self, rng, message):
        if message.generation != "MD5":
            return None
        message.set("sign", md5((signed_text(message.fields) + message.key).encode()))
        return self.render(message, rng)

    @never("accp")
    def spoil_null_signed(self, rng, message):
        """The text `null` taken for a value."""
        message.set("info_order", "null")
        text = sorted_string([(n, v) for n, v in message.fields], ("sign",))
        if message.generation == "MD5":
            message.set("sign", md5(f"{text}&key={message.key}".encode()))
        else:
            message.set("sign", b64(message.private.sign("md5", text.encode())))
        return self.render(message, rng)

    @never("accp")
    def spoil_amount_nonsense(self, rng, message):
        message.set("money_refund" if message.kind == "refund" else "money_order", rng.choice(["1.001", "-1", "1e2", " 1", "1."]))
        return self.finish(message, rng)

    @only("accp")
    def spoil_accp_body_changed(self, rng, message):
        self.seal(message, rng)
        at = rng.randrange(1, len(message.body) - 1)
        message.body = message.body[:at] + bytes([message.body[at] ^ 1]) + message.body[at + 1 :]
        return self.render(message, rng)

    @only("accp")
    def spoil_accp_body_printed_anew(self, rng, message):
        self.seal(message, rng)
        body = message.body.replace(b'":', b'" :', 1)
        message.body = body if body != message.body else message.body + b"\n"
        return self.render(message, rng)

    @only("accp")
    def spoil_accp_wrong_key(self, rng, message):
        message.private = rng.choice([stranger(), self.secret["private"]])
        return self.finish(message, rng)

    @only("accp")
    def spoil_accp_single_digest(self, rng, message):
        message.double = False
        return self.finish(message, rng)

    @only("accp")
    def spoil_accp_other_digest(self, rng, message):
        message.digest = rng.choice(["sha1", "sha256"])
        return self.finish(message, rng)

    @only("accp")
    def spoil_accp_upper_case_digest(self, rng, message):
        self.seal(message, rng)
        message.headers["Signature-Data"] = b64(message.private.sign("md5", md5(message.body).upper().encode()))
        return self.render(message, rng)

    @only("accp")
    def spoil_accp_type(self, rng, message):
        message.headers["Signature-Type"] = rng.choice(["rsa", "MD5", "", "none"])
        return self.finish(message, rng)

    @only("accp")
    def spoil_accp_header_missing(self, rng, message):
        self.seal(message, rng)
        message.headers.pop(rng.choice(list(message.headers)))
        return self.render(message, rng)

    @only("accp")
    def spoil_accp_signature(self, rng, message):
        self.seal(message, rng)
        text = message.headers["Signature-Data"]
        message.headers["Signature-Data"] = rng.choice([change_base64(rng, text), text[:-4], text[: len(text) // 2], "", hexes(rng, 64)])
        return self.render(message, rng)

    def verify(self, wish):
        self.expected = "payout" if wish.get("kind") == "payout" else "payment"
        return super().verify(wish)

    def reply(self, cause, wish):
        if wish.get("kind") == "accp":
            return (200, "text/plain", b"Success") if cause == "success" else (500, "text/plain", b"fail")
        if cause == "success":
            return 200, "application/json", '{"ret_code":"0000","ret_msg":"交易成功"}'.encode()
        return 200, "application/json", '{"ret_code":"9999","ret_msg":"交易失败"}'.encode()

    def vectors(self):
        text = (
            "dt_order=20180130161010&money_order=0.10&no_order=N1&oid_partner=201304121000001004&oid_paybill=2011030900001098"
            "&result_pay=SUCCESS&settle_date=20180130&sign_type=MD5"
        )
        fields = dict(piece.split("=") for piece in text.split("&"))
        given = {"fields": fields, "md5_key": "md5key"}
        yield vector("classic MD5", given, "2d74a521b75e503b4ecea56e0b3607e7", md5_sign(fields.items(), "md5key"))


if __name__ == "__main__":
    main(Lianlian())
