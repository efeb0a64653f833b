"""JD Pay notices (3DES within XML) and payout notices (form): the sheet's section 8.

Settings: merchant; des_key (base64 of 24 bytes); jd_public_key (PEM); payout_salt_key and payout_sign_types (of SHA,
SHA-256) of payout notices.
Generations: untouched, normalised (how the signed XML text was written), SHA, SHA-256 (payout).

Decisions where the sheet leaves room:
- "each piece trimmed" is read as: each line, before the lines are joined. The texts that may have been signed, in
  this order: as it stands without the sign element; the same with the XML header in front when it has none; the
  header, and the lines trimmed and joined with tabs, CR and LF removed (FINDINGS.md).
- Exactly one sign element; a second one, or one with anything but text in it, is refused.
- After the length N and its N bytes only the zero fill may follow, shorter than a block.
- The outer merchant and result are not signed: merchant must be ours within and without, the outer result code
  000000. Within, a result element must be there and say 000000: it is the only one that anybody signed.
- status 2 is success of a payment; 1 of a refund, as a genuine notice published with JD's demo keys has it. Any other word
  is `other` (UNCONFIRMED).
- For a refund tradeNum is the refund's number and oTradeNum the order's.
- The sheet does not list the fields of payout notices: genuine by the signature alone, event `other`. The salt key is
  appended directly. Upper-case hex; lower case is refused.
"""

import re

from harness import (
    Message, Platform, b64, beijing, body_of, change_base64, change_hex, change_text, digits, facts, fen_of, form_decode,
    form_encode, hard_text, letters, main, need, never, only, request, rsa_key, some_amount, some_order, sorted_string,
    stranger, unb64, vector, xml_escape,
)
from primitives import Malformed, TripleDes, ecb_decrypt, ecb_encrypt, public_key, sha1, sha256

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
LIMIT = 16384
PAYOUT_LEAVE = ("sign_type", "sign_data", "encrypt_type", "encrypt_data", "salt")


def wrap(key, plain):
    framed = len(plain).to_bytes(4, "big") + plain
    return ecb_encrypt(TripleDes(key), framed + bytes(-len(framed) % 8))


def unwrap(key, sealed):
    framed = ecb_decrypt(TripleDes(key), sealed)
    length = int.from_bytes(framed[:4], "big")
    if not framed or length > LIMIT or not 0 <= len(framed) - 4 - length < 8 or framed[4 + length :].strip(b"\0"):
        raise Malformed("the length before the plaintext does not fit")
    return framed[4 : 4 + length]


def normalised(text):
    lines = [line.strip() for line in re.split(r"[\r\n]+", text.replace("\t", ""))]
    return "".join(lines)


def candidates(text):
    """The texts that the signature may stand for."""
    found = re.findall(r"<sign>([^<]*)</sign>", text)
    need(len(found) == 1 and text.count("<sign") == 1, "not exactly one sign element")
    rest = text.replace(f"<sign>{found[0]}</sign>", "")
    headed = rest if rest.lstrip().startswith("<?xml") else HEAD + rest
    return found[0].strip(), [rest, headed, normalised(headed)]


def flatten(data, root):
    """{path: text} of the leaves. A path twice is refused unless it is below payList."""
    from xml.parsers import expat

    values, path, texts, leaf = {}, [], [], [False]

    def start(name, _):
        path.append(name)
        texts.append("")
        leaf[0] = True
        need(path[0] == root, f"the root element is {path[0]}, not {root}")

    def end(_):
        where, text = "/".join(path[1:]), texts.pop()
        need(leaf[0] or not text.strip(), f"text beside elements in {where}")
        if leaf[0] and len(path) > 1:
            need(where not in values or where.startswith("payList/"), f"the element {where} twice")
            values.setdefault(where, text)
        leaf[0] = False
        path.pop()

    def text(piece):
        need(texts, "text outside")
        texts[-1] += piece

    def doctype(*_):
        need(False, "a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:
        # An encoding that Python does not know is no error of expat's.
        raise Malformed("not XML, or in an unknown encoding") from error
    return values


def payout_sign(fields, key, kind):
    text = (sorted_string(fields, PAYOUT_LEAVE) + key).encode()
    return (sha1(text) if kind == "SHA" else sha256(text)).upper()


class JdPay(Platform):
    NAME = "jd_pay"
    KINDS = ("payment", "refund", "payout")
    GENERATIONS = ("untouched", "normalised", "SHA", "SHA-256")
    STATUSES = {"payment": {"2": "payment.succeeded"}, "refund": {"1": "refund.succeeded"}, "payout": {"": "other"}}

    def make_keys(self, rng, label, wish):
        private = rsa_key(label)
        self.settings = {
            "merchant": digits(rng, 12), "des_key": b64(rng.randbytes(24)), "jd_public_key": private.public.pem(),
            "payout_salt_key": letters(rng, 32), "payout_sign_types": wish.get("sign_types") or rng.choice([["SHA", "SHA-256"], ["SHA-256"]]),
        }
        self.secret = {"private": private}

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, currency = some_amount(rng, wish), some_order(rng, wish), wish.get("currency") or "CNY"
        merchant = self.settings["merchant"]
        if kind == "payout":
            generation = wish.get("generation") or rng.choice(self.settings["payout_sign_types"])
            fields = {
                "customer_no": digits(rng, 15), "out_trade_no": order, "trade_no": digits(rng, 20), "trade_amount": str(amount),
                "trade_status": "FINI", "note": hard_text(rng), "Zeta": rng.choice(["", "1"]), "sign_type": generation,
                "encrypt_type": rng.choice(["", "RSA"]), "salt": rng.choice(["", letters(rng, 8)]),
            }
            fields = list(fields.items())
            rng.shuffle(fields)
            return Message(kind, fields, expect=facts("other"), generation=generation, key=self.settings["payout_salt_key"])
        generation = wish.get("generation") or rng.choice(self.GENERATIONS[:2])
        tree = [
            ("version", "V2.0"), ("merchant", merchant), ("device", rng.choice(["", "6532"])), ("tradeType", "0"), ("tradeNum", order),
            ("amount", str(amount)), ("currency", currency), ("tradeTime", beijing(now)), ("note", hard_text(rng)), ("status", word),
            ("result", [("code", "000000"), ("desc", "成功")]),
        ]
        if rng.random() < 0.6:
            tree.append(("payList", [("pay", [("payType", "0"), ("amount", str(amount)), ("currency", currency), ("detail", [("cardType", "1")])])]))
        if rng.random() < 0.3:
            tree.append(("aNewField", hard_text(rng)))
        identities = [["merchant", merchant]]
        expect = facts(event, order, None, amount, currency, identities)
        if kind == "refund":
            refund = "R" + digits(rng, 12)
            tree = [pair for pair in tree if pair[0] not in ("tradeNum", "tradeType")]
            tree += [("tradeType", "1"), ("tradeNum", refund), ("oTradeNum", order)]
            expect = facts(event, order, None, amount, currency, identities, refund_no=refund)
        rng.shuffle(tree)
        return Message(
            kind, expect=expect, tree=tree, generation=generation, private=self.secret["private"], outer=merchant, code="000000",
            des_key=unb64(self.settings["des_key"]), hash=lambda text: sha256(text).encode(), raw=True, with_sign=True, edit=None,
            frame=wrap, inner=None, pretty=rng.random() < 0.5, headed=rng.random() < 0.7,
        )

    def text(self, message):
        def element(pair, depth):
            name, value = pair
            if isinstance(value, str):
                return f"{indent * depth}<{name}>{xml_escape(value)}</{name}>{newline}"
            inside = "".join(element(item, depth + 1) for item in value)
            return f"{indent * depth}<{name}>{newline}{inside}{indent * depth}</{name}>{newline}"

        indent, newline = ("  ", "\n") if message.pretty else ("", "")
        return element(("jdpay", message.tree), 0)

    def seal(self, message, rng):
        if message.kind == "payout":
            message.set("sign_data", payout_sign(message.fields, message.key, message.generation))
            return
        text = self.text(message)
        # The header is part of the signed text; the text that is sent may lack it.
        signed = HEAD + ("\n" if message.pretty and message.headed else "") + text
        sent = signed if message.headed else text
        if message.generation == "normalised":
            signed = normalised(signed)
        content = message.hash(signed.encode())
        signature = b64(message.private.raw(content) if message.raw else message.private.sign("sha256", content))
        sign = f"<sign>{signature}</sign>" if message.with_sign else ""
        inner = sent.replace("</jdpay>", sign + "</jdpay>") if rng.random() < 0.5 else sent.replace("<jdpay>", "<jdpay>" + sign)
        message.inner = message.edit(inner) if message.edit else inner
        message.encrypt = b64(message.frame(message.des_key, message.inner.encode()).hex().encode())

    def render(self, message, rng):
        if message.kind == "payout":
            body = form_encode(message.fields, rng.randrange(4)).encode()
            return request(body=body, content_type="application/x-www-form-urlencoded")
        parts = [
            "<version>V2.0</version>", f"<merchant>{message.outer}</merchant>",
            f"<result><code>{message.code}</code><desc>success</desc></result>",
        ]
        if message.encrypt is not None:
            parts.append(f"<encrypt>{message.encrypt}</encrypt>")
        rng.shuffle(parts)
        between = rng.choice(["", "\n  "])
        body = f"{HEAD}<jdpay>{between}{between.join(parts)}{between}</jdpay>"
        return request(body=body.encode(), content_type=rng.choice(["text/xml", "application/xml; charset=utf-8"]))

    def check(self, asked, now):
        need(asked["method"] == "POST", "not a POST")
        kinds = [value.lower() for name, value in asked["headers"] if name.lower() == "content-type"]
        if kinds and kinds[0].startswith("application/x-www-form-urlencoded"):
            return self.check_payout(form_decode(body_of(asked)))
        merchant = self.settings["merchant"]
        outer = flatten(body_of(asked), "jdpay")
        need(outer.get("merchant") == merchant, "the outer merchant is not ours")
        need(outer.get("result/code") == "000000", "the outer result is not 000000")
        hexed = unb64(outer.get("encrypt", "").strip(), "encrypt")
        need(hexed and re.fullmatch(rb"[0-9a-f]*", hexed) and len(hexed) % 2 == 0, "encrypt holds no hex")
        try:
            text = unwrap(unb64(self.settings["des_key"]), bytes.fromhex(hexed.decode())).decode()
        except UnicodeDecodeError as error:
            raise Malformed("the plaintext is not UTF-8") from error
        sign, texts = candidates(text)
        signature, key = unb64(sign, "sign"), public_key(self.settings["jd_public_key"])
        fits = any(key.verify_raw(sha256(candidate.encode()).encode(), signature) for candidate in texts)
        need(fits, "the signature does not fit")
        inner = flatten(text.encode(), "jdpay")
        need(inner.get("merchant") == merchant, "the inner merchant is not ours")
        need(inner.get("result/code") == "000000", "the inner result is not 000000")
        # Genuine payment notices published with JD's demo keys have it with the means of payment alone.
        pays = {value for name, value in inner.items() if re.fullmatch(r"payList/pay(\[\d+\])?/currency", name)}
        if not inner.get("currency") and len(pays) == 1:
            inner["currency"] = pays.pop()
        for name in ("tradeNum", "tradeType", "amount", "currency", "status"):
            need(inner.get(name), f"no {name}")
        identities = [["merchant", merchant]]
        amount = fen_of(inner["amount"])
        if inner["tradeType"] == "1":
            need(inner.get("oTradeNum"), "no oTradeNum")
            event = self.STATUSES["refund"].get(inner["status"], "other")
            return facts(event, inner["oTradeNum"], None, amount, inner["currency"], identities, refund_no=inner["tradeNum"])
        need(inner["tradeType"] == "0", "unknown tradeType")
        event = self.STATUSES["payment"].get(inner["status"], "other")
        return facts(event, inner["tradeNum"], None, amount, inner["currency"], identities)

    def check_payout(self, fields):
        kind, sign = fields.get("sign_type"), fields.get("sign_data")
        need(kind in self.settings["payout_sign_types"], f"sign_type {kind} is not allowed")
        need(sign, "no sign_data")
        need(sign == payout_sign(fields.items(), self.settings["payout_salt_key"], kind), "the signature does not fit")
        return facts("other")

    @never("payout")
    def spoil_other_signer(self, rng, message):
        message.private = stranger()
        return self.finish(message, rng)

    @never("payout")
    def spoil_digest_info(self, rng, message):
        """An ordinary SHA256withRSA signature, over the hex or over the text."""
        message.raw = False
        if rng.random() < 0.5:
            message.hash = lambda text: text
        return self.finish(message, rng)

    @never("payout")
    def spoil_other_hash(self, rng, message):
        import hashlib

        message.hash = rng.choice([
            lambda text: sha256(text).upper().encode(), lambda text: hashlib.sha256(text).digest(), lambda text: sha1(text).encode(),
        ])
        return self.finish(message, rng)

    @never("payout")
    def spoil_sign_missing(self, rng, message):
        message.with_sign = False
        return self.finish(message, rng)

    @never("payout")
    def spoil_sign_twice(self, rng, message):
        message.edit = lambda text: text.replace("</jdpay>", f"<sign>{b64(bytes(256))}</sign></jdpay>")
        return self.finish(message, rng)

    @never("payout")
    def spoil_sign_changed(self, rng, message):
        def edit(text):
            found = re.search("<sign>(.*?)</sign>", text)[1]
            other = rng.choice([change_base64(rng, found), found[:-4], found[: len(found) // 2], ""])
            return text.replace(found, other)

        message.edit = edit
        return self.finish(message, rng)

    @never("payout")
    def spoil_value_changed(self, rng, message):
        def edit(text):
            leaves = re.findall(r"<(merchant|tradeNum|amount|currency|tradeTime|status|oTradeNum|tradeType)>([^<]+)<", text)
            name, value = rng.choice(leaves)
            return text.replace(f"<{name}>{value}<", f"<{name}>{change_text(rng, value)}<", 1)

        message.edit = edit
        return self.finish(message, rng)

    @never("payout")
    def spoil_element_added(self, rng, message):
        message.edit = lambda text: text.replace("</jdpay>", "<added>1</added></jdpay>")
        return self.finish(message, rng)

    @never("payout")
    def spoil_element_removed(self, rng, message):
        message.edit = lambda text: re.sub(r"<(tradeNum|amount|status)>[^<]*</\1>", "", text, count=1)
        return self.finish(message, rng)

    @never("payout")
    def spoil_element_twice(self, rng, message):
        """Signed rightly, with two amounts."""
        message.tree.append(("amount", "1"))
        return self.finish(message, rng)

    @never("payout")
    def spoil_other_merchant(self, rng, message):
        other = change_hex(rng, message.outer)
        if rng.random() < 0.5:
            message.outer = other
        else:
            message.tree = [(n, other if n == "merchant" else v) for n, v in message.tree]
        return self.finish(message, rng)

    @never("payout")
    def spoil_outer_result(self, rng, message):
        message.code = rng.choice(["000001", "", "0"])
        return self.finish(message, rng)

    @never("payout")
    def spoil_inner_result(self, rng, message):
        """Signed rightly, without the result or with a failure's."""
        code = rng.choice([None, None, "000001", ""])
        tree = [(name, value) for name, value in message.tree if name != "result"]
        message.tree = tree + ([("result", [("code", code)])] if code is not None else [])
        return self.finish(message, rng)

    @never("payout")
    def spoil_des_key(self, rng, message):
        message.des_key = rng.choice([rng.randbytes(24), b64(message.des_key).encode()[:24]])
        return self.finish(message, rng)

    @never("payout")
    def spoil_no_length(self, rng, message):
        message.frame = lambda key, plain: ecb_encrypt(TripleDes(key), plain + bytes(-len(plain) % 8))
        return self.finish(message, rng)

    @never("payout")
    def spoil_pkcs5(self, rng, message):
        def frame(key, plain):
            count = 8 - len(plain) % 8
            return ecb_encrypt(TripleDes(key), plain + bytes([count]) * count)

        message.frame = frame
        return self.finish(message, rng)

    @never("payout")
    def spoil_length_wrong(self, rng, message):
        wrong = rng.choice([-1, 9, 10**6, 2**31])

        def frame(key, plain):
            framed = ((len(plain) + wrong) % 2**32).to_bytes(4, "big") + plain
            return ecb_encrypt(TripleDes(key), framed + bytes(-len(framed) % 8))

        message.frame = frame
        return self.finish(message, rng)

    @never("payout")
    def spoil_encrypt_cut(self, rng, message):
        self.seal(message, rng)
        hexed = unb64(message.encrypt)
        message.encrypt = rng.choice([b64(hexed[:-16]), b64(hexed[:-1]), b64(bytes.fromhex(hexed.decode())), message.encrypt[:-1], "", None, hexed.decode()])
        if message.encrypt and message.encrypt == b64(hexed):
            return None
        return self.render(message, rng)

    @never("payout")
    def spoil_not_encrypted(self, rng, message):
        self.seal(message, rng)
        return request(body=message.inner.encode(), content_type="text/xml")

    @never("payout")
    def spoil_document_type(self, rng, message):
        self.seal(message, rng)
        asked = self.render(message, rng)
        asked["body_base64"] = b64(body_of(asked).replace(b"?><jdpay>", b'?><!DOCTYPE jdpay [<!ENTITY e "1">]><jdpay>'))
        return asked

    @never("payout")
    def spoil_trade_type(self, rng, message):
        message.tree = [(n, rng.choice(["2", "", "x"]) if n == "tradeType" else v) for n, v in message.tree]
        return self.finish(message, rng)

    @never("payout")
    def spoil_amount_nonsense(self, rng, message):
        message.tree = [(n, rng.choice(["1.00", "-1", "1e2", "", "１"]) if n == "amount" else v) for n, v in message.tree]
        return self.finish(message, rng)

    @only("payout")
    def spoil_payout_changed(self, rng, message):
        self.seal(message, rng)
        name = rng.choice([n for n, v in message.fields if n not in PAYOUT_LEAVE and v])
        message.set(name, rng.choice([change_text(rng, message.get(name)), ""]))
        return self.render(message, rng)

    @only("payout")
    def spoil_payout_wrong_key(self, rng, message):
        message.key = letters(rng, 32)
        return self.finish(message, rng)

    @only("payout")
    def spoil_payout_sign(self, rng, message):
        self.seal(message, rng)
        sign = message.get("sign_data")
        message.set("sign_data", rng.choice([sign.lower(), sign[:-1], sign[:40] if len(sign) == 64 else sign[:32], "", change_hex(rng, sign)]))
        if message.get("sign_data") == sign:
            return None
        return self.render(message, rng)

    @only("payout")
    def spoil_payout_sign_type(self, rng, message):
        message.set("sign_type", rng.choice(["SHA-512", "sha-256", "", "MD5", "SHA256"]))
        return self.finish(message, rng)

    @only("payout")
    def spoil_payout_algorithm_not_allowed(self, rng, message):
        if "SHA" in self.settings["payout_sign_types"]:
            return None
        message.generation = "SHA"
        message.set("sign_type", "SHA")
        return self.finish(message, rng)

    @only("payout")
    def spoil_payout_field_twice(self, rng, message):
        self.seal(message, rng)
        message.fields.append(["trade_amount", "1"])
        return self.render(message, rng)

    def reply(self, cause, _):
        return 200, "text/plain", b"success" if cause == "success" else b"fail"

    def vectors(self):
        key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY"
        for plain, wanted in (("1", "3db653a88d614cbc"), ("2024测试", "eda885199f59fb1714365d5fb27a32d2")):
            given = {"des_key": key, "plaintext": plain}
            yield vector(f"3DES {plain}", given, wanted, wrap(unb64(key), plain.encode()).hex())
            yield vector(f"3DES {plain} back", {"des_key": key, "hex": wanted}, plain, unwrap(unb64(key), bytes.fromhex(wanted)).decode())


if __name__ == "__main__":
    main(JdPay())
