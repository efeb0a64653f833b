"""UnionPay (银联全渠道) notices to backUrl: the sheet's section 4.

Settings: merId; environment, production or test; root_cert and middle_cert (PEM); secureKey (of signMethod 11 and 12);
signMethods, those allowed of 01, 11, 12; versions, those allowed; legacy_cert (PEM), installed for version 5.0.0.
Generations: 01 (RSA), 11 (SHA-256), 12 (SM3), 5.0.0 (RSA with SHA-1, its key chosen by certId). The last is made only
when asked for, and allowed only by keys made with "versions":["5.0.0","5.1.0"].
`keys` takes environment, signMethods and versions. The certificates of a test environment are SHA-1 signed, as the
real ones; those of production SHA-256.

Decisions where the sheet leaves room:
- The third part of the certificate's CN between `@` must be 中国银联股份有限公司; in a test environment also
  00040000:SIGN. Chain: signPubKeyCert by middle_cert by root_cert; all three valid now, the two upper ones CAs.
- A value is blank when it is empty (SDKs also mean blanks only, which are never generated). Signed are either all
  fields or the non-blank ones.
- 00 and A6 are success (A6 with "requery": true); 03, 04, 05 pending (UNCONFIRMED); every other code failed.
- A refund or revoke names the original by origQryId only: platform_no; order_no is null, refund_no its own orderId.
- The signature of 11 and 12 is lower-case hex; upper case is refused.
- encoding must be UTF-8.
"""

from harness import (
    FieldDamages, Message, Platform, Refused, b64, beijing, body_of, change_base64, change_hex, digits, facts, fen_of,
    form_decode, form_encode, hard_text, hexes, letters, main, need, need_form, request, rsa_key, some_amount, some_order,
    sorted_string, stranger, unb64, vector,
)
from primitives import Certificate, Malformed, make_certificate, pem, sha1, sha256, sm3

UNIONPAY = "中国银联股份有限公司"
CURRENCIES = {"156": "CNY", "344": "HKD", "840": "USD", "392": "JPY", "978": "EUR"}
ROOT = [("C", "CN"), ("O", "China Financial Certification Authority"), ("CN", "CFCA ORACLE CS CA")]
MIDDLE = [("C", "CN"), ("O", "China Financial Certification Authority"), ("CN", "CFCA ORACLE OCA1")]
START, END = 1704067200, 2208988800  # 2024 to 2040
TYPES = {
    "payment": ("01", "payment"), "preauthorization": ("02", "authorization"), "completion": ("03", "payment"),
    "refund": ("04", "refund"), "payout": ("12", "transfer"), "revoke": ("31", "reversal"),
    "preauthorization_revoke": ("32", "reversal"), "completion_revoke": ("33", "reversal"),
}
BACKWARD = ("refund", "revoke", "preauthorization_revoke", "completion_revoke")


def sm3_hex(data):
    return sm3(data).hex()


def keyed(text, key, method):
    digest = {"11": sha256, "12": sm3_hex}[method]
    return digest(f"{text}&{digest(key.encode())}".encode())


def outcome(code):
    if code in ("00", "A6"):
        return "succeeded"
    return "pending" if code in ("03", "04", "05") else "failed"


def trusted(text, settings, now):
    """The public key of the certificate in a message, if it is UnionPay's own."""
    try:
        leaf = Certificate(text)
        middle, root = Certificate(settings["middle_cert"]), Certificate(settings["root_cert"])
    except (Malformed, ValueError, IndexError, UnicodeDecodeError) as error:
        raise Refused(f"signPubKeyCert: {error}") from error
    for certificate in (leaf, middle, root):
        need(certificate.start <= now <= certificate.end, "a certificate is not valid now")
    need(middle.ca and root.ca, "the upper certificates are not CAs")
    need(leaf.signed_by(middle) and middle.signed_by(root), "the chain does not lead to the root")
    parts = (leaf.common_name or "").split("@")
    good = [UNIONPAY] + (["00040000:SIGN"] if settings["environment"] == "test" else [])
    need(len(parts) > 2 and parts[2] in good, "the certificate is not UnionPay's")
    return leaf.public


class UnionPay(FieldDamages, Platform):
    NAME = "unionpay"
    KINDS = tuple(TYPES)
    GENERATIONS = ("01", "11", "12", "5.0.0")
    SIGN = "signature"
    MERCHANT = ("merId",)
    TESTED_KEYS = ({"signMethods": ["01"]}, {"environment": "test", "signMethods": ["01", "11"]}, {"signMethods": ["01", "11", "12"]})
    STATUSES = {
        kind: {code: f"{word}.{outcome(code)}" for code in ("00", "A6", "03", "01")} for kind, (_, word) in TYPES.items()
    }

    def make_keys(self, rng, label, wish):
        environment = wish.get("environment") or "production"
        digest = "sha1" if environment == "test" else "sha256"
        root, middle, leaf = rsa_key("unionpay/root"), rsa_key("unionpay/middle"), rsa_key(label)
        third = "00040000:SIGN" if environment == "test" else UNIONPAY
        name = [("C", "CN"), ("O", "CFCA ORACLE OCA1"), ("CN", f"041@8310000000083040@{third}@{digits(rng, 8)}")]
        serial = rng.getrandbits(36) | 1 << 35
        certificate = make_certificate(name, leaf.public, MIDDLE, middle, serial, START, END, digest)
        self.settings = {
            "merId": "777290058" + digits(rng, 6), "environment": environment,
            "root_cert": pem("CERTIFICATE", make_certificate(ROOT, root.public, ROOT, root, 1, START, END, digest, True)),
            "middle_cert": pem("CERTIFICATE", make_certificate(MIDDLE, middle.public, ROOT, root, 2, START, END, digest, True)),
            "secureKey": hexes(rng, 32), "signMethods": wish.get("signMethods") or rng.choice([["01"], ["01", "11", "12"], ["01", "11"]]),
            "versions": wish.get("versions") or ["5.1.0"], "legacy_cert": pem("CERTIFICATE", certificate),
        }
        self.secret = {"leaf": leaf, "name": name, "certificate": certificate, "digest": digest, "serial": serial}

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, number = some_amount(rng, wish), some_order(rng, wish, 20), digits(rng, 21)
        currency = wish.get("currency") or "CNY"
        method = wish.get("generation") or rng.choice(self.settings["signMethods"])
        legacy = method == "5.0.0"
        code = next(code for code, name in CURRENCIES.items() if name == currency)
        fields = {
            "version": "5.0.0" if legacy else "5.1.0", "encoding": "UTF-8", "signMethod": "01" if legacy else method,
            "txnType": TYPES[kind][0], "txnSubType": rng.choice(["01", "00"]), "bizType": "000201", "accessType": "0",
            "merId": self.settings["merId"], "orderId": order, "txnTime": beijing(now), "txnAmt": str(amount), "currencyCode": code,
            "queryId": number, "respCode": word, "respMsg": rng.choice(["success", "成功[0000000]", "Success!"]),
            "settleAmt": str(amount), "settleCurrencyCode": code, "settleDate": beijing(now, "%m%d"), "traceNo": digits(rng, 6),
            "traceTime": beijing(now, "%m%d%H%M%S"), "accNo": rng.choice(["6216***********0018", "a+/b=="]),
        }
        if legacy:
            fields["certId"] = str(self.secret["serial"])
        elif method == "01":
            fields["signPubKeyCert"] = pem("CERTIFICATE", self.secret["certificate"], rng.choice(["\r\n", "\r\n", "\n"]))
        if kind in BACKWARD:
            fields["origQryId"] = digits(rng, 21)
        if rng.random() < 0.5:
            fields["reqReserved"] = hard_text(rng)
        if rng.random() < 0.3:
            fields["tokenPayData"] = "{token=6235240000020757577&trId=62000000001&tokenType=01&tokenLevel=10}"
        if rng.random() < 0.4:
            fields |= {"reserved": "", "exchangeRate": "", "aNewField": rng.choice(["", hard_text(rng)]), "Zeta": "1"}
        requery = True if word == "A6" else None
        if kind in BACKWARD:
            expect = facts(
                event, None, fields["origQryId"], amount, currency, [["merId", self.settings["merId"]]], refund_no=order,
                platform_refund_no=number, requery=requery,
            )
        else:
            expect = facts(event, order, number, amount, currency, [["merId", self.settings["merId"]]], requery=requery)
        fields = list(fields.items())
        rng.shuffle(fields)
        return Message(
            kind, fields, expect=expect, method=method, key=self.settings["secureKey"], private=self.secret["leaf"],
            blanks=rng.random() < 0.5, leave=("signature",), hash=sha256, digest="sha256",
        )

    def seal(self, message, rng):
        text = sorted_string(message.fields, message.leave, empties=message.blanks)
        if message.method == "5.0.0":
            sign = b64(message.private.sign("sha1", sha1(text.encode()).encode()))
        elif message.method == "01":
            sign = b64(message.private.sign(message.digest, message.hash(text.encode()).encode()))
        else:
            sign = keyed(text, message.key, message.method)
        message.set("signature", sign)

    def render(self, message, rng):
        kind = rng.choice(["application/x-www-form-urlencoded", "application/x-www-form-urlencoded;charset=UTF-8"])
        return request(body=form_encode(message.fields, rng.randrange(4)).encode(), content_type=kind)

    def check(self, asked, now):
        need_form(asked)
        fields = form_decode(body_of(asked))
        for name in ("signature", "signMethod", "version", "merId"):
            need(fields.get(name), f"no {name}")
        need(fields.get("encoding", "").upper() == "UTF-8", "encoding is not UTF-8")
        version, method = fields["version"], fields["signMethod"]
        need(version in self.settings["versions"] and version in ("5.0.0", "5.1.0"), f"version {version} is not allowed")
        need(method in self.settings["signMethods"], f"signMethod {method} is not allowed")
        texts = [sorted_string(fields.items(), ("signature",), empties) for empties in (True, False)]
        if version == "5.0.0":
            certificate = Certificate(self.settings["legacy_cert"])
            need(method == "01", "5.0.0 has signMethod 01 only")
            need(fields.get("certId") == str(certificate.serial), "certId is of no installed certificate")
            need(certificate.start <= now <= certificate.end, "the certificate is not valid now")
            sign = unb64(fields["signature"], "signature")
            fits = any(certificate.public.verify("sha1", sha1(text.encode()).encode(), sign) for text in texts)
        elif method == "01":
            key = trusted(fields.get("signPubKeyCert", ""), self.settings, now)
            sign = unb64(fields["signature"], "signature")
            fits = any(key.verify("sha256", sha256(text.encode()).encode(), sign) for text in texts)
        else:
            need(method in ("11", "12"), f"unknown signMethod {method}")
            fits = any(fields["signature"] == keyed(text, self.settings["secureKey"], method) for text in texts)
        need(fits, "the signature does not fit")
        need(fields["merId"] == self.settings["merId"], "merId is not ours")
        kind = next((kind for kind, (code, _) in TYPES.items() if code == fields.get("txnType")), None)
        identities = [["merId", fields["merId"]]]
        code = fields.get("respCode", "")
        need(code, "no respCode")
        if kind is None:
            return facts("other", fields.get("orderId"), fields.get("queryId"), identities=identities)
        for name in ("orderId", "queryId", "txnAmt", "txnTime", "currencyCode"):
            need(fields.get(name), f"no {name}")
        amount, currency = fen_of(fields["txnAmt"]), CURRENCIES.get(fields["currencyCode"])
        need(currency, "unknown currencyCode")
        event, requery = f"{TYPES[kind][1]}.{outcome(code)}", True if code == "A6" else None
        if kind in BACKWARD:
            need(fields.get("origQryId"), "no origQryId")
            return facts(
                event, None, fields["origQryId"], amount, currency, identities, refund_no=fields["orderId"],
                platform_refund_no=fields["queryId"], requery=requery,
            )
        return facts(event, fields["orderId"], fields["queryId"], amount, currency, identities, requery=requery)

    # Damages.

    def other_certificate(self, message, private, **changes):
        wish = {
            "subject": self.secret["name"], "public": private.public, "issuer": MIDDLE, "signer": rsa_key("unionpay/middle"),
            "serial": self.secret["serial"] + 1, "start": START, "end": END, "digest": self.secret["digest"],
        } | changes
        message.set("signPubKeyCert", pem("CERTIFICATE", make_certificate(**wish), "\r\n"))
        message.private = private

    def rsa(self, message):
        return message.method == "01"

    def spoil_wrong_key(self, rng, message):
        message.private, message.key = stranger(), hexes(rng, 32)
        return self.finish(message, rng)

    def spoil_own_chain(self, rng, message):
        """A forger's certificate, whose issuer only has the name of the real one."""
        if not self.rsa(message):
            return None
        self.other_certificate(message, stranger(), signer=stranger())
        return self.finish(message, rng)

    def spoil_self_signed(self, rng, message):
        if not self.rsa(message):
            return None
        self.other_certificate(message, stranger(), signer=stranger(), issuer=self.secret["name"])
        return self.finish(message, rng)

    def spoil_issued_by_leaf(self, rng, message):
        """A certificate that the true one issued, though it is no CA."""
        if not self.rsa(message):
            return None
        self.other_certificate(message, stranger(), signer=self.secret["leaf"], issuer=self.secret["name"])
        return self.finish(message, rng)

    def spoil_other_name(self, rng, message):
        """Rightly issued by the same authority, to somebody else."""
        if not self.rsa(message):
            return None
        name = rng.choice([
            f"041@8310000000083040@某某商户有限公司@{digits(rng, 8)}", UNIONPAY, f"{UNIONPAY}@041@x@y", f"041@{UNIONPAY}",
            f"041@x@{UNIONPAY} @1", f"041@x@y@{UNIONPAY}",
        ] + (["041@Z12@00040000:SIGN@00000062"] if self.settings["environment"] == "production" else []))
        self.other_certificate(message, stranger(), subject=[("C", "CN"), ("CN", name)])
        return self.finish(message, rng)

    def spoil_certificate_expired(self, rng, message):
        if not self.rsa(message):
            return None
        early, late = (1420070400, 1483228800), (2240524800, 2272147200)
        start, end = rng.choice([early, late])
        self.other_certificate(message, self.secret["leaf"], start=start, end=end)
        return self.finish(message, rng)

    def spoil_certificate_swapped(self, rng, message):
        """Another certificate of UnionPay's, after signing."""
        if not self.rsa(message):
            return None
        self.seal(message, rng)
        self.other_certificate(message, self.secret["leaf"])
        return self.render(message, rng)

    def spoil_certificate_unsigned(self, rng, message):
        if not self.rsa(message):
            return None
        message.leave = ("signature", "signPubKeyCert")
        return self.finish(message, rng)

    def spoil_certificate_missing(self, rng, message):
        if not self.rsa(message):
            return None
        message.remove("signPubKeyCert")
        return self.finish(message, rng)

    def spoil_certificate_line_ends(self, rng, message):
        if not self.rsa(message):
            return None
        self.seal(message, rng)
        text = message.get("signPubKeyCert")
        other = text.replace("\r\n", "\n") if "\r" in text else text.replace("\n", "\r\n")
        message.set("signPubKeyCert", rng.choice([other, text.rstrip()]))
        return self.render(message, rng)

    def spoil_plus_lost(self, rng, message):
        if not self.rsa(message):
            return None
        self.seal(message, rng)
        name = rng.choice(["signature", "signPubKeyCert"])
        if "+" not in message.get(name):
            return None
        message.set(name, message.get(name).replace("+", " "))
        return self.render(message, rng)

    def spoil_single_hash(self, rng, message):
        if not self.rsa(message):
            return None
        self.seal(message, rng)
        text = sorted_string(message.fields, message.leave, message.blanks)
        message.set("signature", b64(message.private.sign("sha256", text.encode())))
        return self.render(message, rng)

    def spoil_hash_upper_case(self, rng, message):
        if not self.rsa(message):
            return None
        message.hash = lambda data: sha256(data).upper()
        return self.finish(message, rng)

    def spoil_sha1(self, rng, message):
        if not self.rsa(message):
            return None
        message.digest = "sha1"
        message.hash = rng.choice([sha1, sha256])
        return self.finish(message, rng)

    def spoil_signature_flipped(self, rng, message):
        self.seal(message, rng)
        text = message.get("signature")
        message.set("signature", change_base64(rng, text) if self.rsa(message) else change_hex(rng, text))
        return self.render(message, rng)

    def spoil_keyed_upper_case(self, rng, message):
        if self.rsa(message):
            return None
        self.seal(message, rng)
        if message.get("signature").isdigit():
            return None
        message.set("signature", message.get("signature").upper())
        return self.render(message, rng)

    def spoil_key_not_hashed(self, rng, message):
        if self.rsa(message):
            return None
        self.seal(message, rng)
        digest = sha256 if message.method == "11" else sm3_hex
        text = sorted_string(message.fields, message.leave, message.blanks)
        message.set("signature", digest(f"{text}&{message.key}".encode()))
        return self.render(message, rng)

    def spoil_algorithm_not_allowed(self, rng, message):
        """Rightly computed with the shared secret, though the merchant allows no such method."""
        others = [method for method in ("11", "12") if method not in self.settings["signMethods"]]
        if not others:
            return None
        message.method = rng.choice(others)
        message.set("signMethod", message.method)
        return self.finish(message, rng)

    def spoil_algorithm_unknown(self, rng, message):
        message.set("signMethod", rng.choice(["1", "00", "rsa", "11 ", "", "02"]))
        return self.finish(message, rng)

    def spoil_method_swapped(self, rng, message):
        """signMethod changed after signing."""
        self.seal(message, rng)
        message.set("signMethod", rng.choice([m for m in ("01", "11", "12") if m != message.method]))
        return self.render(message, rng)

    def spoil_version(self, rng, message):
        if "5.0.0" in self.settings["versions"]:
            return None
        message.set("version", rng.choice(["5.0.0", "6.0.0", ""]))
        message.set("certId", str(self.secret["serial"]))
        message.method = rng.choice(["01", "5.0.0"])
        return self.finish(message, rng)

    def spoil_encoded_twice(self, rng, message):
        self.seal(message, rng)
        message.set("respMsg", "%E6%88%90%E5%8A%9F")
        return self.render(message, rng)

    def spoil_amount_nonsense(self, rng, message):
        message.set("txnAmt", rng.choice(["1.00", "-1", "1e2", " 1", "１"]))
        return self.finish(message, rng)

    def spoil_no_number(self, rng, message):
        message.remove(rng.choice(["orderId", "queryId", "txnAmt", "txnTime", "currencyCode", "respCode", "merId"]))
        return self.finish(message, rng)

    def reply(self, cause, _):
        return (200, "text/plain", b"ok") if cause == "success" else (500, "text/plain", b"fail")

    def vectors(self):
        import json
        from pathlib import Path

        text = (
            "accNo=6216***********0018&bizType=000201&encoding=UTF-8&merId=777290058110048&orderId=20240101120000&queryId=xx"
            "&respCode=00&respMsg=success&signMethod={}&txnAmt=1000&txnTime=20240101120000&txnType=01&version=5.1.0"
        )
        key = "979da4cfccbae7923641daa5dd7047c2"
        wanted = "afa1a4b0938deda2e1ec5fe76246aa0856a4164e2873fb250241ef5d290583c1"
        yield vector("inner hash of the secure key", {"secureKey": key}, wanted, sha256(key.encode()))
        for method, wanted in (
            ("11", "fb8c516c197af84d5d959818c9cb26dbf9b43f0fdc5345f8057387dd6aef0f52"),
            ("12", "d0734a6bd4d5f4e984fba5fc2b1dc7732e4ea1c0db27a37fc19b733c2ebbe7a8"),
        ):
            fields = [piece.split("=") for piece in text.format(method).split("&")]
            given = {"fields": dict(fields), "secureKey": key}
            yield vector(f"signMethod {method}", given, wanted, keyed(sorted_string(fields), key, method))
        fields = [piece.split("=") for piece in text.format("01").split("&")]
        wanted = "09e74c8c2e09a10c777eada8aba6d03f121cbde7b4ba19ebc76b90d9c51b2182"
        yield vector("hex to be signed", {"fields": dict(fields)}, wanted, sha256(sorted_string(fields).encode()))
        # A real notice, of the test environment in 2017.
        real = json.loads((Path(__file__).parent / "real_messages.json").read_text())["unionpay"]
        settings = {
            "merId": "777290058146592", "environment": "test", "root_cert": real["root"], "middle_cert": real["middle"],
            "secureKey": "", "signMethods": ["01"], "versions": ["5.1.0"], "legacy_cert": "",
        }
        asked = request(body=real["body"].encode(), content_type="application/x-www-form-urlencoded")
        at = 1509374193  # 2017-10-30 22:36:33 in Beijing
        for name, changes, now, wanted in (
            ("real notice", {}, at, "genuine"),
            ("real notice in production", {"environment": "production"}, at, "refused"),
            ("real notice after the certificate's end", {}, 1700000000, "refused"),
            ("real notice with a foreign root", {"root_cert": real["middle"]}, at, "refused"),
        ):
            given = {"settings": settings | changes, "request": asked, "now": now}
            yield vector(name, given, wanted, self.judged(settings | changes, asked, now)["outcome"])
        said = form_decode(real["body"])
        text = sorted_string(said.items(), ("signature",))
        key = Certificate(said["signPubKeyCert"]).public
        yield vector("real notice, hashed once", {"body": real["body"]}, False, key.verify("sha256", text.encode(), unb64(said["signature"])))


if __name__ == "__main__":
    main(UnionPay())
