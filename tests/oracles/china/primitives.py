"""Cryptography for the oracles of the Chinese platforms, in plain Python without any package.

Nothing here is fast or safe against timing: it exists to disagree with the gateway when one of the
two is wrong. `python3 primitives.py` runs the known answers.
"""

import base64
import hashlib
import hmac
import math
import random
import re
from datetime import datetime, timezone


class Malformed(Exception):
    """A key, certificate, ciphertext or text that cannot be read."""


# ---------------------------------------------------------------------------------------------- text


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text, what="base64"):
    """Standard alphabet, padded, nothing else: what was sent, or Malformed."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    if not re.fullmatch(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text):
        raise Malformed(f"{what} is not base64")
    return base64.b64decode(text)


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64url(text, what="base64url"):
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        raise Malformed(f"{what} is not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def md5(data):
    return hashlib.md5(data).hexdigest()


def sha1(data):
    return hashlib.sha1(data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def hmac_sha256(key, data):
    return hmac.new(key, data, hashlib.sha256).hexdigest()


# ----------------------------------------------------------------------------------------------- DER


def der(tag, *parts):
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def der_int(value):
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def der_oid(text):
    numbers = [int(part) for part in text.split(".")]
    body = b""
    for number in [numbers[0] * 40 + numbers[1], *numbers[2:]]:
        chunk = [number & 0x7F]
        while number := number >> 7:
            chunk.append(0x80 | number & 0x7F)
        body += bytes(reversed(chunk))
    return der(6, body)


def read_oid(body):
    numbers, value = [], 0
    for byte in body:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))


def read_der(data, at=0):
    """(tag, body, end) of the element at `at`."""
    if at + 2 > len(data):
        raise Malformed("DER ends early")
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or at + count > len(data):
            raise Malformed("DER length")
        length = int.from_bytes(data[at : at + count], "big")
        at += count
    if at + length > len(data):
        raise Malformed("DER ends early")
    return tag, data[at : at + length], at + length


def elements(body):
    """Every element within: (tag, body, the whole bytes)."""
    at, found = 0, []
    while at < len(body):
        tag, inner, end = read_der(body, at)
        found.append((tag, inner, body[at:end]))
        at = end
    return found


def only(data, tag):
    got, body, end = read_der(data)
    if got != tag or end != len(data):
        raise Malformed("unexpected DER")
    return body


def integer(element):
    if element[0] != 2 or not element[1]:
        raise Malformed("not a DER integer")
    return int.from_bytes(element[1], "big", signed=True)


# ----------------------------------------------------------------------------------------------- PEM


def pem(label, data, newline="\n"):
    text = b64(data)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return newline.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"]) + newline


def unpem(text):
    """(label, bytes) of the first PEM block, whatever line breaks it has."""
    found = re.search(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", text, re.S)
    if not found:
        raise Malformed("no PEM block")
    return found[1], unb64(re.sub(r"[\r\n\t]", "", found[2]).strip(" "), "PEM")


# ----------------------------------------------------------------------------------------------- RSA

DIGEST_INFO = {
    "md5": bytes.fromhex("3020300c06082a864886f70d020505000410"),
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
}
SMALL_PRIMES = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))]
PRIMORIAL = math.prod(SMALL_PRIMES)


def probably_prime(n, rng):
    if n < 4 or n % 2 == 0:
        return n in (2, 3)
    common = math.gcd(n, PRIMORIAL)
    if common != 1:
        return n == common and n in SMALL_PRIMES
    twos = ((n - 1) & -(n - 1)).bit_length() - 1
    odd = n - 1 >> twos
    for base in [2] + [rng.randrange(3, n - 1) for _ in range(5)]:
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(bits, rng):
    while True:
        candidate = rng.getrandbits(bits) | 3 << bits - 2 | 1
        if (candidate - 1) % 65537 and probably_prime(candidate, rng):
            return candidate


RSA_OID = "1.2.840.113549.1.1.1"


class RsaPublic:
    def __init__(self, n, e=65537):
        self.n, self.e = n, e
        self.size = (n.bit_length() + 7) // 8

    def __eq__(self, other):
        return isinstance(other, RsaPublic) and (self.n, self.e) == (other.n, other.e)

    __hash__ = None

    def spki(self):
        key = der(0x30, der_int(self.n), der_int(self.e))
        return der(0x30, der(0x30, der_oid(RSA_OID), der(5)), der(3, b"\0", key))

    def pem(self):
        return pem("PUBLIC KEY", self.spki())

    def recover(self, signature):
        """The bytes beneath the signature, or None when it cannot be one."""
        if len(signature) != self.size or (value := int.from_bytes(signature, "big")) >= self.n:
            return None
        return pow(value, self.e, self.n).to_bytes(self.size, "big")

    def verify(self, digest, message, signature):
        """PKCS#1 v1.5, comparing the whole encoding: nothing of it is parsed."""
        wanted = pkcs1_type1(DIGEST_INFO[digest] + hashlib.new(digest, message).digest(), self.size)
        return self.recover(signature) == wanted

    def verify_raw(self, content, signature):
        """Type 1 padding around `content` itself, without DigestInfo."""
        return self.recover(signature) == pkcs1_type1(content, self.size)

    def encrypt(self, content, rng):
        fill = bytes(rng.randrange(1, 256) for _ in range(self.size - 3 - len(content)))
        block = b"\0\2" + fill + b"\0" + content
        return pow(int.from_bytes(block, "big"), self.e, self.n).to_bytes(self.size, "big")


def pkcs1_type1(content, size):
    return b"\0\1" + b"\xff" * (size - 3 - len(content)) + b"\0" + content


class RsaPrivate:
    def __init__(self, p, q, e=65537):
        self.p, self.q, self.e = p, q, e
        self.n = p * q
        self.d = pow(e, -1, (p - 1) * (q - 1))
        self.size = (self.n.bit_length() + 7) // 8
        self.public = RsaPublic(self.n, e)

    @classmethod
    def generate(cls, rng, bits=2048):
        while True:
            p, q = prime(bits // 2, rng), prime(bits // 2, rng)
            if p != q and (p * q).bit_length() == bits:
                return cls(max(p, q), min(p, q))

    def power(self, value):
        a = pow(value, self.d % (self.p - 1), self.p)
        b = pow(value, self.d % (self.q - 1), self.q)
        return b + self.q * ((a - b) * pow(self.q, -1, self.p) % self.p)

    def raw(self, content):
        block = pkcs1_type1(content, self.size)
        return self.power(int.from_bytes(block, "big")).to_bytes(self.size, "big")

    def sign(self, digest, message):
        return self.raw(DIGEST_INFO[digest] + hashlib.new(digest, message).digest())

    def decrypt(self, data):
        if len(data) != self.size or (value := int.from_bytes(data, "big")) >= self.n:
            raise Malformed("RSA ciphertext of the wrong length")
        block = self.power(value).to_bytes(self.size, "big")
        end = block.find(b"\0", 2)
        if block[:2] != b"\0\2" or end < 10:
            raise Malformed("RSA padding")
        return block[end + 1 :]

    def pkcs1(self):
        p, q, d = self.p, self.q, self.d
        numbers = [0, self.n, self.e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)]
        return der(0x30, *map(der_int, numbers))

    def pem(self):
        inner = der(0x30, der_oid(RSA_OID), der(5))
        return pem("PRIVATE KEY", der(0x30, der_int(0), inner, der(4, self.pkcs1())))


def rsa_private(text):
    label, data = unpem(text)
    if label == "PRIVATE KEY":
        data = elements(only(data, 0x30))[2][1]
    numbers = [integer(part) for part in elements(only(data, 0x30))]
    return RsaPrivate(numbers[4], numbers[5], numbers[2])


def read_spki(data):
    algorithm, bits = elements(only(data, 0x30))
    names = [read_oid(body) for tag, body, _ in elements(algorithm[1]) if tag == 6]
    if bits[0] != 3 or bits[1][:1] != b"\0":
        raise Malformed("public key bits")
    if names[0] == RSA_OID:
        n, e = (integer(part) for part in elements(only(bits[1][1:], 0x30)))
        return RsaPublic(n, e)
    if names == [EC_OID, SM2_OID]:
        return Sm2Public(point_from(bits[1][1:]))
    raise Malformed("a public key of an unknown kind")


def public_key(text):
    """From PEM (SPKI, PKCS#1 or certificate), or from bare base64 of an SPKI."""
    if "-----BEGIN" not in text:
        return read_spki(unb64(re.sub(r"\s", "", text)))
    label, data = unpem(text)
    if label == "CERTIFICATE":
        return Certificate(data).public
    if label == "RSA PUBLIC KEY":
        return RsaPublic(*(integer(part) for part in elements(only(data, 0x30))))
    return read_spki(data)


# ---------------------------------------------------------------------------------------------- X.509

NAMES = {"CN": "2.5.4.3", "C": "2.5.4.6", "O": "2.5.4.10", "OU": "2.5.4.11", "L": "2.5.4.7", "ST": "2.5.4.8"}
OIDS = {oid: name for name, oid in NAMES.items()}
SIGNED_BY = {"sha1": "1.2.840.113549.1.1.5", "sha256": "1.2.840.113549.1.1.11", "md5": "1.2.840.113549.1.1.4"}
DIGESTS = {oid: digest for digest, oid in SIGNED_BY.items()}


def der_name(pairs):
    def attribute(kind, text):
        tag = 0x13 if kind == "C" else 0x0C
        return der(0x31, der(0x30, der_oid(NAMES[kind]), der(tag, text.encode())))

    return der(0x30, *(attribute(kind, text) for kind, text in pairs))


def der_time(seconds):
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    if moment.year < 2050:
        return der(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return der(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def read_time(element):
    text = element[1].decode("ascii", "replace")
    if element[0] == 0x17:
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return int(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc).timestamp())


def make_certificate(subject, public, issuer, signer, serial, start, end, digest="sha256", ca=False):
    """DER. `signer` is the issuer's RsaPrivate; names are lists of (kind, text), general part first."""
    algorithm = der(0x30, der_oid(SIGNED_BY[digest]), der(5))
    true = der(1, b"\xff")
    constraints = der(0x30, true) if ca else der(0x30)
    usage = der(3, b"\1\6") if ca else der(3, b"\6\xc0")
    extensions = der(
        0x30,
        der(0x30, der_oid("2.5.29.19"), true, der(4, constraints)),
        der(0x30, der_oid("2.5.29.15"), true, der(4, usage)),
        der(0x30, der_oid("2.5.29.14"), der(4, der(4, hashlib.sha1(public.spki()).digest()))),
        der(0x30, der_oid("2.5.29.35"), der(4, der(0x30, der(0x80, hashlib.sha1(signer.public.spki()).digest())))),
    )
    body = der(
        0x30,
        der(0xA0, der_int(2)),
        der_int(serial),
        algorithm,
        der_name(issuer),
        der(0x30, der_time(start), der_time(end)),
        der_name(subject),
        public.spki(),
        der(0xA3, extensions),
    )
    return der(0x30, body, algorithm, der(3, b"\0", signer.sign(digest, body)))


class Certificate:
    def __init__(self, data):
        if isinstance(data, str):
            label, data = unpem(data)
            if label != "CERTIFICATE":
                raise Malformed("not a certificate")
        self.der = data
        try:
            body, algorithm, signature = elements(only(data, 0x30))
            parts = elements(body[1])
            if parts[0][0] == 0xA0:
                parts = parts[1:]
            self.tbs = body[2]
            self.serial = integer(parts[0])
            self.issuer, self.subject = parts[2][2], parts[4][2]
            start, end = elements(parts[3][1])
            self.start, self.end = read_time(start), read_time(end)
            self.spki = parts[5][2]
            self.digest = DIGESTS.get(read_oid(elements(algorithm[1])[0][1]))
            self.signature = signature[1][1:]
            self.ca = False
            for tag, inner, _ in parts[6:]:
                if tag == 0xA3:
                    self.extensions(inner)
        except (ValueError, IndexError) as error:
            raise Malformed(f"certificate: {error}") from error

    def extensions(self, inner):
        for _, extension, _ in elements(only(inner, 0x30)):
            parts = elements(extension)
            if read_oid(parts[0][1]) == "2.5.29.19":
                members = elements(only(parts[-1][1], 0x30))
                self.ca = bool(members) and members[0][:2] == (1, b"\xff")

    @property
    def public(self):
        return read_spki(self.spki)

    def names(self, name=None):
        found = []
        for _, rdn, _ in elements(only(name or self.subject, 0x30)):
            for _, pair, _ in elements(rdn):
                kind, value = elements(pair)
                charset = "utf-16-be" if value[0] == 0x1E else "utf-8"
                oid = read_oid(kind[1])
                found.append((OIDS.get(oid, oid), value[1].decode(charset)))
        return found

    @property
    def common_name(self):
        return next((text for kind, text in self.names() if kind == "CN"), None)

    def signed_by(self, issuer):
        if self.issuer != issuer.subject or self.digest is None:
            return False
        key = issuer.public
        return isinstance(key, RsaPublic) and key.verify(self.digest, self.tbs, self.signature)

    def pem(self, newline="\n"):
        return pem("CERTIFICATE", self.der, newline)


# ------------------------------------------------------------------------------------- block ciphers


def pad(data, size):
    count = size - len(data) % size
    return data + bytes([count]) * count


def unpad(data, size):
    count = data[-1] if data else 0
    if len(data) % size or not 1 <= count <= size or data[-count:] != bytes([count]) * count:
        raise Malformed("padding")
    return data[:-count]


def blocks(data, size):
    if len(data) % size:
        raise Malformed("not a whole number of blocks")
    return [data[at : at + size] for at in range(0, len(data), size)]


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def ecb_encrypt(cipher, data):
    return b"".join(map(cipher.encrypt, blocks(data, cipher.size)))


def ecb_decrypt(cipher, data):
    return b"".join(map(cipher.decrypt, blocks(data, cipher.size)))


def cbc_encrypt(cipher, iv, data):
    result = []
    for block in blocks(data, cipher.size):
        iv = cipher.encrypt(xor(iv, block))
        result.append(iv)
    return b"".join(result)


def cbc_decrypt(cipher, iv, data):
    result = []
    for block in blocks(data, cipher.size):
        result.append(xor(iv, cipher.decrypt(block)))
        iv = block
    return b"".join(result)


def times(a, b, polynomial=0x11B):
    """Product in GF(2^8)."""
    result = 0
    while b:
        if b & 1:
            result ^= a
        a <<= 1
        if a & 0x100:
            a ^= polynomial
        b >>= 1
    return result


def inverse(value, polynomial):
    return next((n for n in range(256) if times(value, n, polynomial) == 1), 0)


def rotate8(value, count):
    return (value << count | value >> 8 - count) & 0xFF


def aes_boxes():
    box = []
    for value in range(256):
        n = inverse(value, 0x11B)
        box.append(n ^ rotate8(n, 1) ^ rotate8(n, 2) ^ rotate8(n, 3) ^ rotate8(n, 4) ^ 0x63)
    back = [0] * 256
    for at, value in enumerate(box):
        back[value] = at
    return box, back


class Lazy:
    """Tables are made when first needed: most oracles need few of them."""

    def __init__(self, make):
        self.make, self.made = make, None

    def __call__(self):
        if self.made is None:
            self.made = self.make()
        return self.made


AES_BOXES = Lazy(aes_boxes)
PRODUCTS = Lazy(lambda: {n: [times(n, value) for value in range(256)] for n in (2, 3, 9, 11, 13, 14)})


class Aes:
    size = 16

    def __init__(self, key):
        if len(key) not in (16, 24, 32):
            raise Malformed("AES key length")
        box, _ = AES_BOXES()
        words = [list(key[at : at + 4]) for at in range(0, len(key), 4)]
        count, rounds, constant = len(words), len(words) + 6, 1
        while len(words) < 4 * (rounds + 1):
            word = list(words[-1])
            if len(words) % count == 0:
                word = [box[n] for n in word[1:] + word[:1]]
                word[0] ^= constant
                constant = times(constant, 2)
            elif count > 6 and len(words) % count == 4:
                word = [box[n] for n in word]
            words.append([a ^ b for a, b in zip(word, words[-count])])
        self.keys = [sum(words[at : at + 4], []) for at in range(0, len(words), 4)]

    def encrypt(self, block):
        box, two, three = AES_BOXES()[0], PRODUCTS()[2], PRODUCTS()[3]
        state = [a ^ b for a, b in zip(block, self.keys[0])]
        for number, key in enumerate(self.keys[1:], 1):
            state = [box[state[(at + 4 * (at % 4)) % 16]] for at in range(16)]
            if number < len(self.keys) - 1:
                mixed = []
                for at in range(0, 16, 4):
                    a, b, c, d = state[at : at + 4]
                    mixed += [
                        two[a] ^ three[b] ^ c ^ d, a ^ two[b] ^ three[c] ^ d,
                        a ^ b ^ two[c] ^ three[d], three[a] ^ b ^ c ^ two[d],
                    ]
                state = mixed
            state = [a ^ b for a, b in zip(state, key)]
        return bytes(state)

    def decrypt(self, block):
        back, products = AES_BOXES()[1], PRODUCTS()
        n9, n11, n13, n14 = products[9], products[11], products[13], products[14]
        state = list(block)
        for number in range(len(self.keys) - 1, 0, -1):
            state = [a ^ b for a, b in zip(state, self.keys[number])]
            if number < len(self.keys) - 1:
                mixed = []
                for at in range(0, 16, 4):
                    a, b, c, d = state[at : at + 4]
                    mixed += [
                        n14[a] ^ n11[b] ^ n13[c] ^ n9[d], n9[a] ^ n14[b] ^ n11[c] ^ n13[d],
                        n13[a] ^ n9[b] ^ n14[c] ^ n11[d], n11[a] ^ n13[b] ^ n9[c] ^ n14[d],
                    ]
                state = mixed
            state = [back[state[(at - 4 * (at % 4)) % 16]] for at in range(16)]
        return bytes(a ^ b for a, b in zip(state, self.keys[0]))


# SM4: the same field trick with another polynomial and another affine map.


def sm4_box():
    def affine(value):
        result = 0
        for bit in range(8):
            row = rotate8(0xA7, bit)
            result |= (bin(row & value).count("1") & 1) << bit
        return result ^ 0xD3

    return [affine(inverse(affine(value), 0x1F5)) for value in range(256)]


SM4_BOX = Lazy(sm4_box)


def rotl(value, count):
    count %= 32
    return (value << count | value >> 32 - count) & 0xFFFFFFFF


class Sm4:
    size = 16

    def __init__(self, key):
        if len(key) != 16:
            raise Malformed("SM4 key length")
        words = [int.from_bytes(key[at : at + 4], "big") for at in range(0, 16, 4)]
        words = [a ^ b for a, b in zip(words, (0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC))]
        self.keys = []
        for number in range(32):
            constant = int.from_bytes(bytes((4 * number + j) * 7 % 256 for j in range(4)), "big")
            b = self.substitute(words[1] ^ words[2] ^ words[3] ^ constant)
            words = words[1:] + [words[0] ^ b ^ rotl(b, 13) ^ rotl(b, 23)]
            self.keys.append(words[3])

    @staticmethod
    def substitute(value):
        box = SM4_BOX()
        return int.from_bytes(bytes(box[n] for n in value.to_bytes(4, "big")), "big")

    def run(self, block, keys):
        words = [int.from_bytes(block[at : at + 4], "big") for at in range(0, 16, 4)]
        for key in keys:
            b = self.substitute(words[1] ^ words[2] ^ words[3] ^ key)
            words = words[1:] + [words[0] ^ b ^ rotl(b, 2) ^ rotl(b, 10) ^ rotl(b, 18) ^ rotl(b, 24)]
        return b"".join(word.to_bytes(4, "big") for word in reversed(words))

    def encrypt(self, block):
        return self.run(block, self.keys)

    def decrypt(self, block):
        return self.run(block, reversed(self.keys))


# ----------------------------------------------------------------------------------------------- GCM


def gf128(x, h):
    result = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            result ^= h
        h = h >> 1 ^ (0xE1 << 120 if h & 1 else 0)
    return result


def ghash(h, *parts):
    value = 0
    for part in parts:
        for at in range(0, len(part), 16):
            value = gf128(value ^ int.from_bytes(part[at : at + 16].ljust(16, b"\0"), "big"), h)
    return value


def gcm(cipher, nonce, aad, data, encrypting):
    h = int.from_bytes(cipher.encrypt(bytes(16)), "big")
    if len(nonce) == 12:
        counter = int.from_bytes(nonce + b"\0\0\0\1", "big")
    else:
        counter = ghash(h, nonce, (8 * len(nonce)).to_bytes(16, "big"))
    mask = cipher.encrypt(counter.to_bytes(16, "big"))
    output = b""
    for at in range(0, len(data), 16):
        counter = counter >> 32 << 32 | (counter + 1) & 0xFFFFFFFF
        output += xor(data[at : at + 16], cipher.encrypt(counter.to_bytes(16, "big")))
    text = output if encrypting else data
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(text)).to_bytes(8, "big")
    return output, xor(ghash(h, aad, text, lengths).to_bytes(16, "big"), mask)


def gcm_encrypt(cipher, nonce, aad, data):
    """Ciphertext followed by the tag."""
    output, tag = gcm(cipher, nonce, aad, data, True)
    return output + tag


def gcm_decrypt(cipher, nonce, aad, data):
    if len(data) < 16 or not nonce:
        raise Malformed("no room for a GCM tag")
    output, tag = gcm(cipher, nonce, aad, data[:-16], False)
    if tag != data[-16:]:
        raise Malformed("GCM tag")
    return output


# ------------------------------------------------------------------------------------------ DES, 3DES

DES_IP = [58 - 8 * (at % 8) + 2 * (at // 8) if at < 32 else 57 - 8 * (at % 8) + 2 * (at // 8 - 4) for at in range(64)]
DES_FP = [DES_IP.index(at) + 1 for at in range(1, 65)]
DES_P = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
    2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
]
DES_PC1 = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
]
DES_PC2 = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
]
DES_S = [
    "e4d12fb83a6c5907 0f74e2d1a6cb9538 41e8d62bfc973a50 fc8249175b3ea06d",
    "f18e6b34972dc05a 3d47f28ec01a69b5 0e7ba4d158c6932f d8a13f42b67c05e9",
    "a09e63f51dc7b428 d709346a285ecbf1 d6498f30b12c5ae7 1ad069874fe3b52c",
    "7de3069a1285bc4f d8b56f03472c1ae9 a690cb7df13e5284 3f06a1d8945bc72e",
    "2c417ab6853fd0e9 eb2c47d150fa3986 421bad78f9c5630e b8c71e2d6f09a453",
    "c1af92680d34e75b af427c9561de0b38 9ef528c3704a1db6 432c95fabe17608d",
    "4b2ef08d3c975a61 d0b7491ae35c2f86 14bdc37eaf680592 6bd814a7950fe23c",
    "d2846fb1a93e50c7 1fd8a374c56b0e92 7b419ce206adf358 21e74a8dfc90356b",
]


def pick(bits, table):
    return [bits[at - 1] for at in table]


def to_bits(data):
    return [byte >> 7 - at & 1 for byte in data for at in range(8)]


def permutation(table):
    """For each byte of a block, what each of its values contributes to the permuted 64 bits."""
    result = []
    for at in range(8):
        row = []
        for value in range(256):
            block = bytearray(8)
            block[at] = value
            row.append(int("".join(map(str, pick(to_bits(block), table))), 2))
        result.append(row)
    return result


def des_rounds():
    """For each S-box, what each of its inputs contributes to the permuted 32 bits."""
    result = []
    for number, box in enumerate(DES_S):
        rows, contributions = box.split(), []
        for six in range(64):
            value = int(rows[six >> 4 & 2 | six & 1][six >> 1 & 15], 16)
            bits = [0] * 32
            bits[4 * number : 4 * number + 4] = [value >> 3 & 1, value >> 2 & 1, value >> 1 & 1, value & 1]
            contributions.append(int("".join(map(str, pick(bits, DES_P))), 2))
        result.append(contributions)
    return result


DES_TABLES = Lazy(lambda: (permutation(DES_IP), permutation(DES_FP), des_rounds()))


class Des:
    size = 8

    def __init__(self, key):
        if len(key) != 8:
            raise Malformed("DES key length")
        bits = pick(to_bits(key), DES_PC1)
        left, right, self.keys = bits[:28], bits[28:], []
        for number in range(16):
            count = 1 if number in (0, 1, 8, 15) else 2
            left, right = left[count:] + left[:count], right[count:] + right[:count]
            chosen = pick(left + right, DES_PC2)
            self.keys.append([int("".join(map(str, chosen[at : at + 6])), 2) for at in range(0, 48, 6)])

    def run(self, block, keys):
        first, last, boxes = DES_TABLES()
        value = 0
        for row, byte in zip(first, block):
            value |= row[byte]
        left, right = value >> 32, value & 0xFFFFFFFF
        for key in keys:
            wide, mixed = (right & 1) << 33 | right << 1 | right >> 31, 0
            for number in range(8):
                mixed |= boxes[number][wide >> 28 - 4 * number & 63 ^ key[number]]
            left, right = right, left ^ mixed
        value = 0
        for row, byte in zip(last, (right << 32 | left).to_bytes(8, "big")):
            value |= row[byte]
        return value.to_bytes(8, "big")

    def encrypt(self, block):
        return self.run(block, self.keys)

    def decrypt(self, block):
        return self.run(block, reversed(self.keys))


class TripleDes:
    size = 8

    def __init__(self, key):
        if len(key) != 24:
            raise Malformed("3DES key length")
        self.parts = [Des(key[at : at + 8]) for at in (0, 8, 16)]

    def encrypt(self, block):
        a, b, c = self.parts
        return c.encrypt(b.decrypt(a.encrypt(block)))

    def decrypt(self, block):
        a, b, c = self.parts
        return a.decrypt(b.encrypt(c.decrypt(block)))


# ----------------------------------------------------------------------------------------------- SM3


def sm3(data):
    mask = 0xFFFFFFFF
    length = len(data)
    data += b"\x80" + bytes((55 - length) % 64) + (8 * length).to_bytes(8, "big")
    state = [
        0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600,
        0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E,
    ]
    for block in blocks(data, 64):
        w = [int.from_bytes(block[at : at + 4], "big") for at in range(0, 64, 4)]
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ rotl(w[j - 3], 15)
            w.append(x ^ rotl(x, 15) ^ rotl(x, 23) ^ rotl(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = state
        for j in range(64):
            constant = 0x79CC4519 if j < 16 else 0x7A879D8A
            one = rotl((rotl(a, 12) + e + rotl(constant, j)) & mask, 7)
            two = one ^ rotl(a, 12)
            if j < 16:
                ff, gg = a ^ b ^ c, e ^ f ^ g
            else:
                ff, gg = a & b | a & c | b & c, e & f | ~e & mask & g
            first = (ff + d + two + (w[j] ^ w[j + 4])) & mask
            second = (gg + h + one + w[j]) & mask
            a, b, c, d = first, a, rotl(b, 9), c
            e, f, g, h = second ^ rotl(second, 9) ^ rotl(second, 17), e, rotl(f, 19), g
        state = [x ^ y for x, y in zip(state, (a, b, c, d, e, f, g, h))]
    return b"".join(word.to_bytes(4, "big") for word in state)


# ----------------------------------------------------------------------------------------------- SM2

SM2_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
SM2_A = SM2_P - 3
SM2_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
SM2_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SM2_G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
EC_OID, SM2_OID = "1.2.840.10045.2.1", "1.2.156.10197.1.301"
SM2_ID = b"1234567812345678"


def ec_add(a, b):
    if a is None or b is None:
        return a or b
    (x1, y1), (x2, y2) = a, b
    if x1 == x2:
        if (y1 + y2) % SM2_P == 0:
            return None
        slope = (3 * x1 * x1 + SM2_A) * pow(2 * y1, -1, SM2_P)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, SM2_P)
    x = (slope * slope - x1 - x2) % SM2_P
    return x, (slope * (x1 - x) - y1) % SM2_P


def ec_times(count, point):
    result = None
    while count:
        if count & 1:
            result = ec_add(result, point)
        point = ec_add(point, point)
        count >>= 1
    return result


def point_from(data):
    if len(data) != 65 or data[0] != 4:
        raise Malformed("not an uncompressed point")
    x, y = int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big")
    if max(x, y) >= SM2_P or (y * y - x**3 - SM2_A * x - SM2_B) % SM2_P:
        raise Malformed("the point is not on the curve")
    return x, y


def bytes32(*numbers):
    return b"".join(number.to_bytes(32, "big") for number in numbers)


class Sm2Public:
    def __init__(self, point):
        self.point = point

    def __eq__(self, other):
        return isinstance(other, Sm2Public) and self.point == other.point

    __hash__ = None

    def spki(self):
        bits = der(3, b"\0\4" + bytes32(*self.point))
        return der(0x30, der(0x30, der_oid(EC_OID), der_oid(SM2_OID)), bits)

    def pem(self):
        return pem("PUBLIC KEY", self.spki())

    def digest(self, message, identity=SM2_ID):
        head = (8 * len(identity)).to_bytes(2, "big") + identity
        return sm3(sm3(head + bytes32(SM2_A, SM2_B, *SM2_G, *self.point)) + message)

    def verify(self, message, signature, identity=SM2_ID):
        """`signature` is DER of two integers, minimally encoded."""
        try:
            r, s = (integer(part) for part in elements(only(signature, 0x30)))
        except (Malformed, ValueError):
            return False
        if der(0x30, der_int(r), der_int(s)) != signature or not (0 < r < SM2_N and 0 < s < SM2_N):
            return False
        t = (r + s) % SM2_N
        point = t and ec_add(ec_times(s, SM2_G), ec_times(t, self.point))
        e = int.from_bytes(self.digest(message, identity), "big")
        return bool(point) and (e + point[0]) % SM2_N == r


class Sm2Private:
    def __init__(self, d):
        self.d = d
        self.public = Sm2Public(ec_times(d, SM2_G))

    @classmethod
    def generate(cls, rng):
        return cls(rng.randrange(1, SM2_N - 1))

    def sign(self, message, rng, identity=SM2_ID, k=None):
        e = int.from_bytes(self.public.digest(message, identity), "big")
        while True:
            k = k or rng.randrange(1, SM2_N)
            r = (e + ec_times(k, SM2_G)[0]) % SM2_N
            s = pow(1 + self.d, -1, SM2_N) * (k - r * self.d) % SM2_N
            if r and r + k != SM2_N and s:
                return der(0x30, der_int(r), der_int(s))
            k = None

    def pem(self):
        inner = der(0x30, der_int(1), der(4, bytes32(self.d)), der(0xA1, der(3, b"\0\4" + bytes32(*self.public.point))))
        kind = der(0x30, der_oid(EC_OID), der_oid(SM2_OID))
        return pem("PRIVATE KEY", der(0x30, der_int(0), kind, der(4, inner)))


# ----------------------------------------------------------------------------------------- self-test


def selftest():
    """(name, passed) of every known answer."""
    h = bytes.fromhex
    results = []

    def same(name, got, wanted):
        results.append((name, got == wanted))

    def refuses(name, call, *arguments):
        try:
            call(*arguments)
            results.append((name, False))
        except Malformed:
            results.append((name, True))

    # FIPS 197.
    plain = h("00112233445566778899aabbccddeeff")
    for size, wanted in (
        (16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
        (24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
        (32, "8ea2b7ca516745bfeafc49904b496089"),
    ):
        cipher = Aes(bytes(range(size)))
        same(f"AES-{8 * size}", cipher.encrypt(plain), h(wanted))
        same(f"AES-{8 * size} back", cipher.decrypt(h(wanted)), plain)
    # SP 800-38A, CBC-AES128.
    key = h("2b7e151628aed2a6abf7158809cf4f3c")
    text = h("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    wanted = h("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")
    same("AES-CBC", cbc_encrypt(Aes(key), bytes(range(16)), text), wanted)
    same("AES-CBC back", cbc_decrypt(Aes(key), bytes(range(16)), wanted), text)
    # The GCM paper's cases 1, 2, 4, 5 (a nonce of 8 bytes), 6 (of 60) and 16 (AES-256).
    same("GCM 1", gcm_encrypt(Aes(bytes(16)), bytes(12), b"", b""), h("58e2fccefa7e3061367f1d57a4e7455a"))
    wanted = h("0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf")
    same("GCM 2", gcm_encrypt(Aes(bytes(16)), bytes(12), b"", bytes(16)), wanted)
    key, aad = h("feffe9928665731c6d6a8f9467308308"), h("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    text = h(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    for number, cipher, nonce, tag in (
        (4, Aes(key), h("cafebabefacedbaddecaf888"), "5bc94fbc3221a5db94fae95ae7121a47"),
        (5, Aes(key), h("cafebabefacedbad"), "3612d2e79e3b0785561be14aaca2fccb"),
        (
            6,
            Aes(key),
            h(
                "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728"
                "c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b"
            ),
            "619cc5aefffe0bfa462af43c1699d050",
        ),
        (16, Aes(key + key), h("cafebabefacedbaddecaf888"), "76fc6ece0f4e1768cddf8853bb2d551b"),
    ):
        sealed = gcm_encrypt(cipher, nonce, aad, text)
        same(f"GCM {number}", sealed[-16:], h(tag))
        same(f"GCM {number} back", gcm_decrypt(cipher, nonce, aad, sealed), text)
        refuses(f"GCM {number} changed", gcm_decrypt, cipher, nonce, aad, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    # DES and the 3DES of NIST SP 800-67.
    same("DES", Des(h("133457799bbcdff1")).encrypt(h("0123456789abcdef")), h("85e813540f0ab405"))
    cipher = TripleDes(h("0123456789abcdef23456789abcdef01456789abcdef0123"))
    wanted = h("a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900")
    same("3DES", ecb_encrypt(cipher, b"The qufck brown fox jump"), wanted)
    same("3DES back", ecb_decrypt(cipher, wanted), b"The qufck brown fox jump")
    # GB/T 32907, 32905, 32918.2.
    key, wanted = h("0123456789abcdeffedcba9876543210"), h("681edf34d206965e86b3e94f536e4246")
    same("SM4", Sm4(key).encrypt(key), wanted)
    same("SM4 back", Sm4(key).decrypt(wanted), key)
    wanted = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    same("SM3 abc", sm3(b"abc").hex(), wanted)
    wanted = "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    same("SM3 64 bytes", sm3(b"abcd" * 16).hex(), wanted)
    same("SM2 generator", ec_times(SM2_N, SM2_G), None)
    private = Sm2Private(0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8)
    k = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
    signature = private.sign(b"message digest", None, k=k)
    r = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
    s = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
    same("SM2 standard", signature, der(0x30, der_int(r), der_int(s)))
    same("SM2 verifies", private.public.verify(b"message digest", signature), True)
    same("SM2 other text", private.public.verify(b"message digesT", signature), False)
    same("SM2 other user", private.public.verify(b"message digest", signature, b"x"), False)
    same("SM2 PEM", public_key(private.public.pem()), private.public)
    # Hashes and HMAC: RFC 1321, FIPS 180, RFC 4231.
    same("MD5", md5(b"abc"), "900150983cd24fb0d6963f7d28e17f72")
    same("SHA-1", sha1(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d")
    same("SHA-256", sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    same("HMAC", hmac_sha256(b"Jefe", b"what do ya want for nothing?"), wanted)
    # The sheet's.
    same("WeChat refund key", md5(b"192006250b4c09247ec02edce69f6a2d"), "d96eb16afdd491fa1e705096edbc2205")
    same("SM4 key", sm3(b"0123456789abcdef0123456789ABCDEF")[:16].hex(), "96b40229f9bb664e89e4e5834c5c2b07")
    sealed = b64(cbc_encrypt(Aes(bytes(range(16))), bytes(16), pad(b'{"a":"1"}', 16)))
    same("Alipay AES", unb64("AAECAwQFBgcICQoLDA0ODw=="), bytes(range(16)))
    same("Alipay AES text", sealed, "5nIFKwTThD46JymYc6QiKg==")
    # RSA, certificates, encodings.
    rng = random.Random(1)
    key, other = RsaPrivate.generate(rng), RsaPrivate.generate(rng, 1024)
    same("RSA size", (key.n.bit_length(), other.n.bit_length()), (2048, 1024))
    for digest in DIGEST_INFO:
        signature = key.sign(digest, b"text")
        same(f"RSA {digest}", key.public.verify(digest, b"text", signature), True)
        same(f"RSA {digest} other text", key.public.verify(digest, b"texu", signature), False)
        same(f"RSA {digest} other key", other.public.verify(digest, b"text", signature), False)
        same(f"RSA {digest} short", key.public.verify(digest, b"text", signature[1:]), False)
    same("RSA other digest", key.public.verify("sha1", b"text", key.sign("sha256", b"text")), False)
    same("RSA raw", key.public.verify_raw(b"ab", key.raw(b"ab")), True)
    same("RSA decrypts", key.decrypt(key.public.encrypt(b"\1\0\2", rng)), b"\1\0\2")
    refuses("RSA decrypts not", other.decrypt, other.raw(b"x"))
    same("public PEM", public_key(key.public.pem()), key.public)
    same("bare public", public_key(b64(key.public.spki())), key.public)
    same("private PEM", rsa_private(key.pem()).d, key.d)
    root = [("C", "CN"), ("O", "测试"), ("CN", "Root")]
    leaf = [("C", "CN"), ("CN", "041@x@中国银联股份有限公司@1")]
    authority = Certificate(make_certificate(root, other.public, root, other, 7, 0, 4e9, ca=True))
    certificate = Certificate(Certificate(make_certificate(leaf, key.public, root, other, 2**70, 1e9, 2.6e9)).pem("\r\n"))
    same("certificate name", certificate.common_name, "041@x@中国银联股份有限公司@1")
    same("certificate chain", [certificate.signed_by(authority), authority.signed_by(authority)], [True, True])
    same("certificate chain back", authority.signed_by(certificate), False)
    same("certificate times", (certificate.start, certificate.end, authority.end), (10**9, 2600000000, 4 * 10**9))
    same("certificate", (certificate.serial, certificate.public, certificate.ca, authority.ca), (2**70, key.public, False, True))
    for text in ("YQ", "YQ=", "Y Q==", "YQ==\n", "YQ-_", "="):
        refuses(f"base64 {text!r}", unb64, text)
    same("base64url", unb64url(b64url(b"\xfb\xff\xfe\0")), b"\xfb\xff\xfe\0")
    return results


if __name__ == "__main__":
    outcome = selftest()
    for label, passed in outcome:
        if not passed:
            print("FAILED", label)
    failed = sum(not passed for _, passed in outcome)
    print(f"{len(outcome) - failed} passed, {failed} failed")
    raise SystemExit(bool(failed))
