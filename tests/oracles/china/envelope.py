"""Callbacks signed over `timestamp LF nonce LF raw body LF` in headers: WeChat Pay v3, Douyin's newer ones.

SignedBody is the signature alone; SignedEnvelope adds the encrypted resource inside.
"""

import json

from harness import (
    Malformed, Message, Platform, Refused, b64, body_of, change_base64, dress, far, header, hexes, json_object, json_text,
    letters, need, near, request, rfc3339, shuffled, stranger, unb64,
)
from primitives import Aes, gcm_decrypt, gcm_encrypt


def whole(value, what):
    need(isinstance(value, int) and not isinstance(value, bool) and value >= 0, f"{what} is not a whole number")
    return value


def text_of(value, *names):
    """The text at a path of members, which must be there and not empty."""
    for name in names:
        need(isinstance(value, dict) and name in value, f"no {'.'.join(names)}")
        value = value[name]
    need(isinstance(value, str) and value, f"{'.'.join(names)} is not a text")
    return value


class SignedBody(Platform):
    """PREFIX-Timestamp, PREFIX-<NONCE>, PREFIX-Signature; messages have headers, body, private, now."""

    PREFIX, NONCE = None, "Nonce"
    WINDOW = 300
    EXTRA = ()

    def names(self):
        return [f"{self.PREFIX}-Timestamp", f"{self.PREFIX}-{self.NONCE}", f"{self.PREFIX}-Signature"]

    def signer(self, message, text, rng):
        return message.private.sign(message.digest, text)

    def head(self, message, rng):
        stamp, nonce, _ = self.names()
        message.headers = {stamp: str(near(rng, message.now)), nonce: letters(rng, rng.choice([16, 32])), **message.headers}
        message.digest, message.join, message.last = "sha256", "\n", "\n"

    def seal(self, message, rng):
        stamp, nonce, signature = self.names()
        text = message.headers[stamp] + message.join + message.headers[nonce] + message.join
        data = text.encode() + message.body + message.last.encode()
        message.headers[signature] = b64(self.signer(message, data, rng))

    def render(self, message, rng):
        headers = [["Content-Type", rng.choice(["application/json", "application/json; charset=utf-8"])], *message.headers.items()]
        return request(headers=dress(rng, headers), body=message.body)

    def signed(self, asked, now):
        """The signed bytes and the signature, after the check of time."""
        need(asked["method"] == "POST", "not a POST")
        stamp, nonce, signature = (header(asked, name) for name in self.names())
        need(stamp.isascii() and stamp.isdigit(), "the timestamp is not a number")
        need(abs(now - int(stamp)) < self.WINDOW, "the timestamp is outside of the window")
        need(nonce, "no nonce")
        return f"{stamp}\n{nonce}\n".encode() + body_of(asked) + b"\n", unb64(signature, "the signature")

    def spoil_wrong_key(self, rng, message):
        message.private = stranger()
        return self.finish(message, rng)

    def spoil_body_changed(self, rng, message):
        self.seal(message, rng)
        at = rng.randrange(len(message.body))
        message.body = message.body[:at] + bytes([message.body[at] ^ 1]) + message.body[at + 1 :]
        return self.render(message, rng)

    def spoil_body_printed_anew(self, rng, message):
        self.seal(message, rng)
        message.body = json.dumps(json.loads(message.body), ensure_ascii=True, separators=(" , ", " :  ")).encode()
        return self.render(message, rng)

    def spoil_body_trimmed_or_longer(self, rng, message):
        self.seal(message, rng)
        message.body = rng.choice([message.body + b"\n", b" " + message.body, message.body + b"\0", b"\xef\xbb\xbf" + message.body])
        return self.render(message, rng)

    def spoil_body_cut(self, rng, message):
        self.seal(message, rng)
        message.body = rng.choice([b"", message.body[:-1], message.body[: len(message.body) // 2]])
        return self.render(message, rng)

    def spoil_stale(self, rng, message):
        message.headers[self.names()[0]] = str(far(rng, message.now))
        return self.finish(message, rng)

    def spoil_milliseconds(self, rng, message):
        message.headers[self.names()[0]] = str(message.now * 1000)
        return self.finish(message, rng)

    def spoil_timestamp_nonsense(self, rng, message):
        name = self.names()[0]
        message.headers[name] = rng.choice(["", "now", message.headers[name] + ".0", "-" + message.headers[name], "0x" + message.headers[name]])
        return self.finish(message, rng)

    def spoil_timestamp_refreshed(self, rng, message):
        """An old message sent anew with a new timestamp."""
        name = self.names()[0]
        message.headers[name] = str(message.now - 100000)
        self.seal(message, rng)
        message.headers[name] = str(message.now)
        return self.render(message, rng)

    def spoil_nonce_changed(self, rng, message):
        self.seal(message, rng)
        message.headers[self.names()[1]] += rng.choice(["x", "0"])
        return self.render(message, rng)

    def spoil_header_missing(self, rng, message):
        self.seal(message, rng)
        message.headers.pop(rng.choice([*self.names(), *self.EXTRA]))
        return self.render(message, rng)

    def spoil_header_twice(self, rng, message):
        asked = self.finish(message, rng)
        name = rng.choice([*self.names(), *self.EXTRA])
        asked["headers"].insert(rng.randrange(len(asked["headers"]) + 1), [rng.choice([name, name.lower()]), "1"])
        return asked

    def spoil_signature(self, rng, message):
        self.seal(message, rng)
        name = self.names()[2]
        text = message.headers[name]
        message.headers[name] = rng.choice([
            change_base64(rng, text), text[:-4], text[: len(text) // 4 * 2], "", text.swapcase(), hexes(rng, 64), text[:-1],
        ])
        return self.render(message, rng)

    def spoil_signature_of_another(self, rng, message):
        body = message.body
        message.body = json.dumps(json.loads(body) | {"another": 1}).encode()
        self.seal(message, rng)
        message.body = body
        return self.render(message, rng)

    def spoil_line_ends(self, rng, message):
        """CRLF instead of LF, or the last one missing."""
        if rng.random() < 0.5:
            message.join = message.last = "\r\n"
        else:
            message.last = rng.choice(["", "\n\n"])
        return self.finish(message, rng)

    def spoil_sha1(self, rng, message):
        message.digest = "sha1"
        return self.finish(message, rng)


class SignedEnvelope(SignedBody):
    """The message has event_type, plain (a dictionary), resource and envelope changes; the settings hold the key."""

    ALGORITHM = None
    KEY = None
    NONCE_LENGTHS = (12,)

    def cipher(self, key):
        return Aes(key)

    def envelope(self, message, rng, original_type):
        message.original_type = original_type
        message.secret = self.settings[self.KEY].encode()
        message.algorithm = self.ALGORITHM
        message.changes = {}
        message.after = lambda resource: resource
        message.inner = None
        message.aad = rng.choice(["transaction", original_type, "", None])
        self.head(message, rng)
        return message

    def seal(self, message, rng):
        nonce = letters(rng, rng.choice(self.NONCE_LENGTHS))
        plain = (message.inner or json_text(rng, message.plain)).encode()
        sealed = gcm_encrypt(self.cipher(message.secret), nonce.encode(), (message.aad or "").encode(), plain)
        resource = {"original_type": message.original_type, "algorithm": message.algorithm, "ciphertext": b64(sealed), "nonce": nonce}
        if message.aad is not None:
            resource["associated_data"] = message.aad
        envelope = {
            "id": hexes(rng, 32), "create_time": rfc3339(message.now), "resource_type": "encrypt-resource", "event_type": message.event_type,
            "summary": rng.choice(["支付成功", "a & b / c"]), "resource": message.after(shuffled(rng, resource)),
        } | message.changes
        message.body = json_text(rng, shuffled(rng, envelope)).encode()
        super().seal(message, rng)

    def opened(self, asked):
        """(event_type, the plaintext as an object) of a request whose signature fits."""
        envelope = json_object(body_of(asked))
        need(envelope.get("resource_type") == "encrypt-resource", "resource_type is not encrypt-resource")
        kind, resource = text_of(envelope, "event_type"), envelope.get("resource")
        need(isinstance(resource, dict), "no resource")
        need(resource.get("algorithm") == self.ALGORITHM, "another algorithm of encryption")
        key = self.settings[self.KEY].encode()
        need(len(key) == 32, "the key has not 32 bytes")
        aad = resource.get("associated_data", "")
        need(isinstance(aad, str), "associated_data is not a text")
        nonce, sealed = text_of(resource, "nonce").encode(), unb64(text_of(resource, "ciphertext"), "ciphertext")
        need(len(self.NONCE_LENGTHS) > 1 or len(nonce) in self.NONCE_LENGTHS, "the nonce has another length")
        try:
            plain = gcm_decrypt(self.cipher(key), nonce, aad.encode(), sealed)
        except Malformed as error:
            raise Refused(str(error)) from error
        return kind, json_object(plain, "the plaintext")

    def spoil_signature_of_another(self, rng, message):
        self.seal(message, rng)
        kept = message.headers[self.names()[2]]
        self.seal(message, rng)
        message.headers[self.names()[2]] = kept
        return self.render(message, rng)

    def spoil_symmetric_key(self, rng, message):
        message.secret = letters(rng, 32).encode()
        return self.finish(message, rng)

    def spoil_algorithm(self, rng, message):
        message.algorithm = rng.choice([
            self.ALGORITHM.lower(), self.ALGORITHM.replace("256", "128"), "none", "", self.ALGORITHM.translate({45: 95, 95: 45}),
        ])
        return self.finish(message, rng)

    def spoil_associated_data(self, rng, message):
        """Changed after encryption, but rightly signed."""
        message.after = lambda resource: resource | {"associated_data": rng.choice(["other", " ", (message.aad or "") + "x"])}
        return self.finish(message, rng)

    def spoil_resource(self, rng, message):
        """The resource changed after encryption, but rightly signed."""

        def after(resource):
            text = resource["ciphertext"]
            return resource | rng.choice([
                {"ciphertext": change_base64(rng, text)}, {"ciphertext": b64(unb64(text)[:-1])}, {"ciphertext": text[:-1]},
                {"ciphertext": ""}, {"ciphertext": b64(unb64(text)[:15])}, {"nonce": resource["nonce"][::-1] + "1"}, {"nonce": ""},
                {"ciphertext": None}, {"nonce": 123456789012},
            ])

        message.after = after
        return self.finish(message, rng)

    def spoil_envelope(self, rng, message):
        message.changes = rng.choice([
            {"resource": None}, {"resource": "text"}, {"event_type": ""}, {"event_type": 1}, {"resource_type": "plain"}, {"resource": {}},
        ])
        return self.finish(message, rng)

    def spoil_plaintext(self, rng, message):
        message.inner = rng.choice(["", "[]", "null", "{", '{"a":1,"a":2}', '"text"'])
        if not message.inner:
            message.inner = " "
        return self.finish(message, rng)

    def spoil_not_encrypted(self, rng, message):
        message.after = lambda resource: message.plain
        return self.finish(message, rng)
