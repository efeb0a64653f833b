"""Makes the vectors of crates/channels/src/signature/plain_rsa/vectors.json with openssl and fresh keys.

Every genuine signature is openssl's own (`pkeyutl -sign` without a digest, `dgst -md5 -sign`). The others are blocks that
were padded here and then signed by openssl without padding, or numbers that need no key at all. Private halves are
thrown away.

    python3 tests/oracles/plain_rsa.py > crates/channels/src/signature/plain_rsa/vectors.json
"""

import json
import os
import subprocess
import sys
import tempfile

PAYLOAD = b"5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
MD5 = bytes.fromhex("3020300c06082a864886f70d020505000410")
MD5_WITHOUT_NULL = bytes.fromhex("301e300a06082a864886f70d02050410")
MD5_LONG_LENGTHS = bytes.fromhex("308120300c06082a864886f70d020505000410")
SHA1 = bytes.fromhex("3021300906052b0e03021a05000414")


def openssl(*arguments, given=None):
    return subprocess.run(["openssl", *arguments], input=given, check=True, capture_output=True).stdout


class Key:
    def __init__(self, folder, name, bits, exponent):
        self.name, self.file = name, os.path.join(folder, name)
        options = ["-pkeyopt", f"rsa_keygen_bits:{bits}", "-pkeyopt", f"rsa_keygen_pubexp:{exponent}"]
        openssl("genpkey", "-quiet", "-algorithm", "RSA", *options, "-out", self.file)
        self.pem = openssl("pkey", "-in", self.file, "-pubout").decode()
        self.modulus = int(openssl("rsa", "-in", self.file, "-noout", "-modulus").decode().partition("=")[2], 16)
        self.length = (bits + 7) // 8

    def payload(self, payload):
        return openssl("pkeyutl", "-sign", "-inkey", self.file, given=payload)

    def digest(self, name, message):
        return openssl("dgst", f"-{name}", "-sign", self.file, given=message)

    def block(self, block):
        """The private operation alone, which openssl calls decryption: its `-sign` takes no more than 64 bytes."""
        assert len(block) == self.length
        return openssl("pkeyutl", "-decrypt", "-inkey", self.file, "-pkeyopt", "rsa_padding_mode:none", given=block)

    def padded(self, payload, first=b"\0\1", filler=b"\xff", end=b"\0"):
        filling = self.length - len(first) - len(end) - len(payload)
        return first + filler * filling + end + payload


def md5(message):
    import hashlib

    return hashlib.md5(message).digest()


def cube_root(number):
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low


def suffix_root(suffix, bits):
    """The odd number whose cube ends in these bits."""
    root = 1
    for bit in range(1, bits):
        if (root**3 - suffix) >> bit & 1:
            root += 1 << bit
    assert (root**3 - suffix) % (1 << bits) == 0
    return root


def cases(key):
    length = key.length
    odd = PAYLOAD[:-1] + b"e"

    def case(label, genuine, signature, text=PAYLOAD, rule="payload"):
        found = {"key": key.name, "label": label, "rule": rule, "text": text.decode(), "genuine": genuine}
        return found | {"signature": signature.hex()}

    good = key.payload(PAYLOAD)
    yield case("as openssl signs", True, good)
    yield case("another text", False, good, odd)
    yield case("the text in capitals", False, good, PAYLOAD.upper())
    yield case("empty text", True, key.block(key.padded(b"")), b"")
    longest = (PAYLOAD * 8)[: length - 11]
    yield case("the longest text", True, key.block(key.padded(longest)), longest)
    yield case("seven bytes of filling", False, key.block(key.padded((PAYLOAD * 8)[: length - 10])), (PAYLOAD * 8)[: length - 10])
    yield case("with DigestInfo of SHA-256", False, key.digest("sha256", PAYLOAD))
    yield case("type 0", False, key.block(key.padded(PAYLOAD, b"\0\0", b"\0")))
    yield case("type 2", False, key.block(key.padded(PAYLOAD, b"\0\2", b"\x5a")))
    yield case("first byte 1", False, key.block(key.padded(PAYLOAD, b"\1\1")))
    yield case("no zero before the text", False, key.block(key.padded(PAYLOAD, end=b"")))
    yield case("another byte before the text", False, key.block(key.padded(PAYLOAD, end=b"\1")))
    block = bytearray(key.padded(PAYLOAD))
    block[9] = 0xFE
    yield case("another byte in the filling", False, key.block(bytes(block)))
    block[9] = 0
    yield case("a zero in the filling", False, key.block(bytes(block)))
    short = b"\0\1" + b"\xff" * 8 + b"\0" + PAYLOAD
    yield case("bytes behind the text", False, key.block(short + bytes(length - len(short))))
    yield case("bytes behind the text, not zeros", False, key.block(short + b"\x5a" * (length - len(short))))
    yield case("too long by a zero", False, b"\0" + good)
    yield case("bytes behind the signature", False, good + b"\0")
    yield case("too short", False, good[:-1])
    yield case("empty", False, b"")
    for label, number in (("zero", 0), ("one", 1), ("the modulus", key.modulus), ("the modulus less one", key.modulus - 1)):
        yield case(label, False, number.to_bytes(length, "big"))
    # The same residue beyond the modulus, for a text where that still has the same length.
    for attempt in range(200):
        text = b"%064d" % attempt
        signature = key.payload(text)
        beyond = int.from_bytes(signature, "big") + key.modulus
        if beyond < 1 << 8 * length:
            yield case("a residue", True, signature, text)
            yield case("the same residue beyond the modulus", False, beyond.to_bytes(length, "big"), text)
            break

    message = "dt_order=20180130161010&name=测试".encode()
    good = key.digest("md5", message)

    def digest(label, genuine, signature, text=message):
        return case(label, genuine, signature, text, "md5")

    yield digest("MD5 as openssl signs", True, good)
    yield digest("MD5 of another text", False, good, message + b" ")
    yield digest("SHA-1", False, key.digest("sha1", message))
    yield digest("SHA-256", False, key.digest("sha256", message))
    yield digest("MD5 without DigestInfo", False, key.payload(md5(message)))
    yield digest("MD5 as hexadecimal", False, key.payload(md5(message).hex().encode()))
    yield digest("DigestInfo without NULL", False, key.payload(MD5_WITHOUT_NULL + md5(message)))
    yield digest("DigestInfo with a long length", False, key.payload(MD5_LONG_LENGTHS + md5(message)))
    yield digest("DigestInfo of SHA-1 around MD5", False, key.payload(SHA1 + md5(message) + bytes(4)))
    short = b"\0\1" + b"\xff" * 8 + b"\0" + MD5 + md5(message)
    yield digest("bytes behind MD5", False, key.block(short + b"\x5a" * (length - len(short))))
    yield digest("type 2 around MD5", False, key.block(key.padded(MD5 + md5(message), b"\0\2", b"\x5a")))


def forgeries(key):
    """What anybody can make for a key with the exponent 3, and a careless reader takes."""
    length = key.length
    message = b"forged"
    for rule, text, payload in (("payload", PAYLOAD, PAYLOAD), ("md5", message, MD5 + md5(message))):
        def case(label, number):
            found = {"key": key.name, "label": label, "rule": rule, "text": text.decode(), "genuine": False}
            return found | {"signature": number.to_bytes(length, "big").hex()}

        head = b"\0\1" + b"\xff" * 8 + b"\0" + payload
        if len(head) * 8 < length * 8 * 2 // 3 - 16:
            number = cube_root(int.from_bytes(head + b"\xff" * (length - len(head)), "big"))
            assert (number**3).to_bytes(length, "big").startswith(head)
            yield case("a cube with bytes behind the text", number)
        # The end right, the filling wrong; the last bit of a cube that can be made is 1.
        if payload[-1] % 2:
            end = b"\0" + payload
            number = suffix_root(int.from_bytes(end, "big"), 8 * len(end))
            assert (number**3).to_bytes(length, "big").endswith(end)
            yield case("a cube that ends in the text", number)
        whole = int.from_bytes(key.padded(payload), "big")
        yield case("the cube root of the right block, rounded", cube_root(whole))


def main():
    with tempfile.TemporaryDirectory() as folder:
        keys = [Key(folder, f"{bits}", bits, 65537) for bits in (1024, 1096, 2048, 4096)]
        three = Key(folder, "3072, exponent 3", 3072, 3)
        found = [case for key in keys for case in cases(key)] + list(cases(three)) + list(forgeries(three))
        json.dump({"keys": {key.name: key.pem for key in [*keys, three]}, "cases": found}, sys.stdout, indent=1, ensure_ascii=False)
        print()


if __name__ == "__main__":
    main()
