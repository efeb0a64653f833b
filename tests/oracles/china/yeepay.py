"""Yeepay YOP callbacks: the sheet's section 12.

Settings: app_key, which arrives as customerIdentification; merchant_private_key (PEM, PKCS#8), which decrypts;
yeepay_public_key (PEM), which verifies; merchantNo.
Generation: rsa. The newer SM2/SM4 envelope (`yop-encrypt-v1//…`) is named by the sheet without its layout: refused.

Decisions where the sheet leaves room:
- The parts are joined as key$ciphertext$AES$SHA256, each of the first two base64url without padding; the signature
  inside is written the same way (UNCONFIRMED, the only form the sheet names). The algorithm names must be these.
- The plaintext splits at its last `$`, because the JSON may hold one.
- A symmetric key of more than 16 bytes is folded by XOR into 16; a shorter one is refused.
- "PKCS-like trim by the last byte": the oracle wants whole PKCS#7 padding. Nothing genuine differs.
- Which members name the order is not in the sheet. merchantNo, orderId, uniqueOrderNo, orderAmount are UNCONFIRMED, and
  nothing but `status` and the signature decides whether a message is genuine. Refund members likewise.
- customerIdentification is not signed and compared with app_key all the same.
"""

from harness import (
    Malformed, Message, Platform, b64, change_text, digits, facts, form_decode, form_encode, hard_text, json_object, json_text,
    main, minor_of, need, need_form, request, rsa_key, shuffled, some_amount, some_order, stranger, body_of, vector, yuan,
)
from primitives import Aes, b64url, ecb_decrypt, ecb_encrypt, pad, public_key, rsa_private, unb64url, unpad


def fold(key):
    if len(key) < 16:
        raise Malformed("the symmetric key is shorter than 16 bytes")
    result = bytearray(16)
    for at, byte in enumerate(key):
        result[at % 16] ^= byte
    return bytes(result)


class Yeepay(Platform):
    NAME = "yeepay"
    KINDS = ("payment", "refund")
    GENERATIONS = ("rsa",)
    STATUSES = {
        "payment": {"SUCCESS": "payment.succeeded", "FAILED": "payment.failed", "PROCESSING": "payment.pending"},
        "refund": {"SUCCESS": "refund.succeeded", "FAILED": "refund.failed", "PROCESSING": "refund.pending"},
    }

    def make_keys(self, rng, label, wish):
        merchant, platform = rsa_key(label + "/merchant"), rsa_key(label)
        self.settings = {
            "app_key": "app_" + digits(rng, 17), "merchant_private_key": merchant.pem(),
            "yeepay_public_key": platform.public.pem(), "merchantNo": digits(rng, 11),
        }
        self.secret = {"merchant": merchant.public, "platform": platform}

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), digits(rng, 24)
        identities = [["customerIdentification", self.settings["app_key"]], ["merchantNo", self.settings["merchantNo"]]]
        data = {
            "merchantNo": self.settings["merchantNo"], "orderId": order, "uniqueOrderNo": number, "status": word,
            "goodsName": rng.choice(["$", "a$b$", hard_text(rng)]), "memo": rng.choice(["", hard_text(rng)]),
        }
        more = {}
        if kind == "refund":
            more = {"refund_no": "R" + digits(rng, 10), "platform_refund_no": digits(rng, 24)}
            data |= {"refundRequestId": more["refund_no"], "uniqueRefundNo": more["platform_refund_no"], "refundAmount": yuan(amount)}
        else:
            data["orderAmount"] = yuan(amount)
        if rng.random() < 0.4:
            data["a_new_field"] = rng.choice(["", "x$y", hard_text(rng)])
        secret = rng.randbytes(rng.choice([16, 16, 16, 24, 32, 40]))
        return Message(
            kind, expect=facts(event, order, number, amount, "CNY", identities, **more), data=shuffled(rng, data),
            app_key=self.settings["app_key"], private=self.secret["platform"], merchant=self.secret["merchant"],
            secret=secret, digest="sha256", names=["AES", "SHA256"], text=None,
        )

    def seal(self, message, rng):
        text = message.text = message.text or json_text(rng, message.data)
        signature = b64url(message.private.sign(message.digest, text.encode()))
        self.wrap(message, rng, text.encode() + b"$" + signature.encode())

    def wrap(self, message, rng, plain):
        sealed = ecb_encrypt(Aes(fold(message.secret)), pad(plain, 16))
        message.parts = [b64url(message.merchant.encrypt(message.secret, rng)), b64url(sealed), *message.names]

    def render(self, message, rng):
        fields = [["response", "$".join(message.parts)]]
        if message.app_key is not None:
            fields.append(["customerIdentification", message.app_key])
        rng.shuffle(fields)
        return request(body=form_encode(fields, rng.randrange(4)).encode(), content_type="application/x-www-form-urlencoded;charset=UTF-8")

    def check(self, asked, now):
        need_form(asked)
        fields = form_decode(body_of(asked))
        need(fields.get("customerIdentification") == self.settings["app_key"], "customerIdentification is not ours")
        parts = fields.get("response", "").split("$")
        need(len(parts) == 4, "response has not four parts")
        need(parts[2:] == ["AES", "SHA256"], "other algorithms than AES and SHA256")
        key = fold(rsa_private(self.settings["merchant_private_key"]).decrypt(unb64url(parts[0], "the key")))
        plain = unpad(ecb_decrypt(Aes(key), unb64url(parts[1], "the ciphertext")), 16)
        try:
            text, dollar, signature = plain.decode().rpartition("$")
        except UnicodeDecodeError as error:
            raise Malformed("the plaintext is not UTF-8") from error
        need(dollar, "no signature within")
        verifier = public_key(self.settings["yeepay_public_key"])
        need(verifier.verify("sha256", text.encode(), unb64url(signature, "the signature")), "the signature does not fit")
        value = json_object(text, "the plaintext")
        need(value.get("merchantNo") == self.settings["merchantNo"], "merchantNo is not ours")
        for name in ("status", "orderId", "uniqueOrderNo"):
            need(isinstance(value.get(name), str) and value[name], f"no {name}")
        identities = [["customerIdentification", self.settings["app_key"]], ["merchantNo", value["merchantNo"]]]
        more, kind = {}, "payment"
        if "refundRequestId" in value:
            kind, more = "refund", {"refund_no": value["refundRequestId"], "platform_refund_no": value.get("uniqueRefundNo")}
        amount = value.get("refundAmount" if kind == "refund" else "orderAmount")
        need(isinstance(amount, str), "no amount")
        event = self.STATUSES[kind].get(value["status"], "other")
        return facts(event, value["orderId"], value["uniqueOrderNo"], minor_of(amount), "CNY", identities, **more)

    def spoil_other_signer(self, rng, message):
        """Encrypted rightly, which anybody can, and signed by somebody else."""
        message.private = stranger()
        return self.finish(message, rng)

    def spoil_other_merchant_key(self, rng, message):
        message.merchant = stranger().public
        return self.finish(message, rng)

    def spoil_other_app(self, rng, message):
        message.app_key = change_text(rng, message.app_key)
        return self.finish(message, rng)

    def spoil_app_missing(self, rng, message):
        message.app_key = None
        return self.finish(message, rng)

    def spoil_other_merchant(self, rng, message):
        message.data["merchantNo"] = digits(rng, 11)
        return self.finish(message, rng)

    def spoil_value_changed(self, rng, message):
        """Decrypted, changed, encrypted again, which needs no secret."""
        self.seal(message, rng)
        signature = b64url(message.private.sign("sha256", message.text.encode()))
        name = rng.choice([name for name in message.data if message.data[name] != ""])
        other = json_text(rng, message.data | {name: change_text(rng, message.data[name])})
        self.wrap(message, rng, other.encode() + b"$" + signature.encode())
        return self.render(message, rng)

    def spoil_signature_missing(self, rng, message):
        text = json_text(rng, message.data).encode()
        self.wrap(message, rng, rng.choice([text, text + b"$"]))
        return self.render(message, rng)

    def spoil_signature_cut(self, rng, message):
        text = json_text(rng, message.data).encode()
        signature = b64url(message.private.sign("sha256", text))
        self.wrap(message, rng, text + b"$" + signature[: rng.choice([4, 100, 338])].encode())
        return self.render(message, rng)

    def spoil_sha1(self, rng, message):
        message.digest = "sha1"
        return self.finish(message, rng)

    def spoil_algorithm_names(self, rng, message):
        message.names = rng.choice([["aes", "SHA256"], ["AES", "sha256"], ["SM4", "SM3"], ["AES", "SHA1"], ["AES", ""]])
        return self.finish(message, rng)

    def spoil_ciphertext_cut(self, rng, message):
        self.seal(message, rng)
        text = message.parts[1]
        message.parts[1] = rng.choice([text[:-1], text[: len(text) // 2], "", text[:21]])
        return self.render(message, rng)

    def spoil_key_changed(self, rng, message):
        self.seal(message, rng)
        data = bytearray(unb64url(message.parts[0]))
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        message.parts[0] = b64url(bytes(data))
        return self.render(message, rng)

    def spoil_parts(self, rng, message):
        self.seal(message, rng)
        a, b, c, d = message.parts
        message.parts = rng.choice([[a, b], [a, b, c], [b, a, c, d], [a, b, c, d, ""], ["", b, c, d], [a, b, d, c]])
        return self.render(message, rng)

    def spoil_ciphertext_changed(self, rng, message):
        self.seal(message, rng)
        data = bytearray(unb64url(message.parts[1]))
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        message.parts[1] = b64url(bytes(data))
        return self.render(message, rng)

    def spoil_short_key(self, rng, message):
        self.seal(message, rng)
        message.parts[0] = b64url(message.merchant.encrypt(rng.randbytes(rng.choice([1, 8, 15])), rng))
        return self.render(message, rng)

    def spoil_key_not_folded(self, rng, message):
        """AES-256 with the long key itself."""
        message.secret = rng.randbytes(32)
        self.seal(message, rng)
        signature = b64url(message.private.sign("sha256", message.text.encode()))
        sealed = ecb_encrypt(Aes(message.secret), pad(message.text.encode() + b"$" + signature.encode(), 16))
        message.parts[1] = b64url(sealed)
        return self.render(message, rng)

    def spoil_field_twice(self, rng, message):
        asked = self.finish(message, rng)
        body = body_of(asked)
        asked["body_base64"] = b64(body + b"&response=a")
        return asked

    def spoil_member_twice(self, rng, message):
        message.text = json_text(rng, message.data).rstrip()[:-1] + ',"orderId":"OTHER"}'
        return self.finish(message, rng)

    def spoil_newer_envelope(self, rng, message):
        self.seal(message, rng)
        message.parts = ["yop-encrypt-v1//SM4_CBC_PKCS5Padding/" + message.parts[1]]
        return self.render(message, rng)

    def reply(self, cause, _):
        return (200, "text/plain", b"SUCCESS") if cause == "success" else (500, "text/plain", b"FAIL")

    def vectors(self):
        # The sheet has none for Yeepay. The folding is checked by hand: 24 bytes 00..17 fold to these 16.
        yield vector("key folding", {"key": bytes(range(24)).hex()}, "101010101010101008090a0b0c0d0e0f", fold(bytes(range(24))).hex())


if __name__ == "__main__":
    main(Yeepay())
