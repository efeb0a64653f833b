"""Alipay notifications from the protocol's description alone: canonical text, RSA, forms, certificate serials.

    alipay.py generate COUNT SEED        messages, most of them spoiled or odd, as JSON lines
    alipay.py verify                     JSON lines {public_key, body} in, {verdict, rule, empties, hash} out
    alipay.py certificates COUNT SEED    certificates and their serials, as JSON lines

Needs nothing but Python. The keys are small enough to be made at once and are good for nothing else.
"""

import base64
import hashlib
import json
import random
import sys

KEY_COUNT = 3
EXPONENT = 65537

# DigestInfo prefixes of PKCS#1 v1.5 (RFC 8017, section 9.2).
DIGESTS = {
    "RSA2": (hashlib.sha256, bytes.fromhex("3031300d060960864801650304020105000420")),
    "RSA": (hashlib.sha1, bytes.fromhex("3021300906052b0e03021a05000414")),
}


# RSA

def is_prime(number, rng):
    for small in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97):
        if number % small == 0:
            return number == small
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(12):
        power = pow(rng.randrange(2, number - 1), odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def prime(bits, rng):
    while True:
        # The two highest bits are set, so that the product of two has exactly twice as many bits.
        number = rng.getrandbits(bits) | (3 << (bits - 2)) | 1
        if number % EXPONENT != 1 and is_prime(number, rng):
            return number


class PrivateKey:
    def __init__(self, bits, rng):
        self.p, self.q = prime(bits // 2, rng), prime(bits // 2, rng)
        self.n = self.p * self.q
        d = pow(EXPONENT, -1, (self.p - 1) * (self.q - 1))
        self.dp, self.dq = d % (self.p - 1), d % (self.q - 1)
        self.inverse = pow(self.q, -1, self.p)

    def raw(self, number):
        one, other = pow(number, self.dp, self.p), pow(number, self.dq, self.q)
        return other + (one - other) * self.inverse % self.p * self.q

    def sign(self, text, sign_type):
        size = (self.n.bit_length() + 7) // 8
        return self.raw(int.from_bytes(padded(text, sign_type, size), "big")).to_bytes(size, "big")


def padded(text, sign_type, size):
    digest, prefix = DIGESTS[sign_type]
    info = prefix + digest(text).digest()
    return b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info


def is_signed(n, e, text, signature, sign_type):
    size = (n.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    return len(signature) == size and number < n and pow(number, e, n).to_bytes(size, "big") == padded(text, sign_type, size)


# DER

def der(tag, *parts):
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def der_integer(number):
    return der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def der_oid(text):
    first, second, *rest = map(int, text.split("."))
    out = bytearray([40 * first + second])
    for arc in rest:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(0x80 | arc & 0x7F)
        out += bytes(reversed(digits))
    return der(0x06, bytes(out))


def spki(n, e):
    algorithm = der(0x30, der_oid("1.2.840.113549.1.1.1"), der(0x05))
    return der(0x30, algorithm, der(0x03, b"\x00", der(0x30, der_integer(n), der_integer(e))))


def read_der(data, at=0):
    """The tag, the content, and where the next element begins."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(data[at:at + count], "big"), at + count
    return tag, data[at:at + length], at + length


def elements(content):
    at = 0
    while at < len(content):
        tag, inner, at = read_der(content, at)
        yield tag, inner


def read_spki(data):
    (_, _), (_, bits) = elements(read_der(data)[1])
    (_, n), (_, e) = elements(read_der(bits, 1)[1])
    return int.from_bytes(n, "big"), int.from_bytes(e, "big")


def pem(label, data):
    text = base64.b64encode(data).decode()
    lines = [text[at:at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN %s-----" % label, *lines, "-----END %s-----" % label, ""])


def unarmoured(text):
    return base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-----")))


# Forms and canonical texts

def decode(text):
    out, at = bytearray(), 0
    while at < len(text):
        if text[at] == 0x25:
            out.append(int(text[at + 1:at + 3], 16))
            at += 3
        else:
            out.append(0x20 if text[at] == 0x2B else text[at])
            at += 1
    return bytes(out)


def read_form(body):
    return [tuple(map(decode, piece.partition(b"=")[::2])) for piece in body.split(b"&")]


def write_form(pairs, rng):
    """Every byte that may stay does so or not by chance."""
    stays = set(rng.choice([b"", b"-._~", b"-._~!$'()*,;:@/?"]))
    eager = rng.choice([0, 0, 0.05, 1])
    blank = rng.choice(["+", "%20"])
    case = rng.choice(["%%%02X", "%%%02x"])

    def one(text):
        out = []
        for byte in text:
            if byte == 0x20:
                out.append(blank)
            elif (byte in stays or byte < 0x80 and chr(byte).isalnum()) and rng.random() >= eager:
                out.append(chr(byte))
            else:
                out.append(case % byte)
        return "".join(out)

    return "&".join(one(name) + "=" + one(value) for name, value in pairs).encode()


def canonical(pairs, rule, empties):
    left_out = {"V1": (b"sign", b"sign_type"), "V2": (b"sign",)}[rule]
    kept = [pair for pair in pairs if pair[0] not in left_out and (empties == "keep" or pair[1])]
    return b"&".join(name + b"=" + value for name, value in sorted(kept))


def verdict(n, e, pairs, allowed=("RSA2",)):
    """The sheet's verdict: (rule, empties, sign_type), or none."""
    names = [name for name, _ in pairs]
    fields = dict(pairs)
    sign_type = fields.get(b"sign_type", b"").decode("latin-1")
    if len(set(names)) < len(names) or sign_type not in allowed:
        return None
    try:
        signature = base64.b64decode(fields.get(b"sign", b""), validate=True)
    except ValueError:
        return None
    if base64.b64encode(signature) != fields.get(b"sign", b""):
        return None
    for rule in ("V1", "V2"):
        for empties in ("keep", "skip"):
            if is_signed(n, e, canonical(pairs, rule, empties), signature, sign_type):
                return rule, empties, sign_type
    return None


# Messages

TEXTS = [
    "", " ", "1", "0", "0.01", "中文商品", "“引号”", "a+b", "a b", "%2B", "%", "100%", "&", "a=b&c=d", "=", "&amp;", "&quot;",
    "'", '"', "\\", "\n", "\r\n", "\t", "<b>", '[{"amount":"0.10","fundChannel":"ALIPAYACCOUNT"}]', "@file", "a;b", "~", "/?#",
]
EMOJI = ["😀", "👍🏽", "é", "e\u0301", "\u200b", "\ufeff", "𠮷"]
NAMES = ["subject", "body", "passback_params", "fund_bill_list", "buyer_logon_id", "voucher_detail_list", "zz", "Zz", "sig", "signa",
         "sign_typ", "sign_type2", "a", "aa", "a_", "a1", "A"]
EMPTIES = ["gmt_refund", "out_biz_no", "buyer_id", "point_amount", "extra_note"]


def digits(rng, count):
    return "".join(rng.choice("0123456789") for _ in range(count))


def message(rng, key, sign_type, charset):
    fields = {
        "app_id": key.app_id, "seller_id": key.seller_id, "notify_type": "trade_status_sync", "notify_id": digits(rng, 34),
        "notify_time": "2026-11-21 12:00:00", "charset": charset, "version": "1.0", "sign_type": sign_type,
        "trade_no": digits(rng, 28), "out_trade_no": "T" + digits(rng, rng.randrange(1, 40)),
        "trade_status": rng.choice(["TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED", "WAIT_BUYER_PAY"]),
        "total_amount": str(rng.randrange(10 ** rng.randrange(1, 8))) + "." + digits(rng, 2),
    }
    texts = TEXTS if charset != "utf-8" else TEXTS + EMOJI
    for name in NAMES:
        if rng.random() < 0.35:
            fields[name] = "".join(rng.choice(texts) for _ in range(rng.randrange(1, 4)))
    for name in EMPTIES:
        if rng.random() < 0.25:
            fields[name] = ""
    if rng.random() < 0.02:
        fields["body"] = "长" * rng.randrange(1000, 2000)
    return [(name.encode(), value.encode(charset)) for name, value in fields.items()]


def spoiled(rng, pairs, keys, key, text, sign_type):
    """A change by chance; whether it is one that matters, `verdict` says."""
    pairs = list(pairs)
    at = rng.randrange(len(pairs))
    name, value = pairs[at]
    what = rng.choice(["byte", "byte", "byte", "drop", "twice", "empty", "name", "swap", "add", "add_empty", "split", "merge",
                       "key", "hash", "sign", "charset_bytes", "order", "add_blank", "add_serial"])
    if what == "byte" and value:
        place = rng.randrange(len(value))
        pairs[at] = name, value[:place] + bytes([value[place] ^ 1 << rng.randrange(3)]) + value[place + 1:]
    elif what == "drop":
        del pairs[at]
    elif what == "twice":
        pairs.insert(rng.randrange(len(pairs) + 1), (name, rng.choice([value, b"1", b""])))
    elif what == "empty":
        pairs[at] = name, b""
    elif what == "name":
        pairs[at] = name + b"x", value
    elif what == "swap":
        other = rng.randrange(len(pairs))
        pairs[at], pairs[other] = (name, pairs[other][1]), (pairs[other][0], value)
    elif what == "add":
        pairs.append((b"added", b"1"))
    elif what == "add_empty":
        pairs.append((b"added", b""))
    elif what == "add_blank":
        pairs.append((b"added", b" "))
    elif what == "add_serial":
        pairs.append((b"alipay_cert_sn", b"0" * 32))
    elif what == "split" and len(value) > 1:
        place = rng.randrange(1, len(value))
        pairs[at] = name, value[:place]
        pairs.append((b"added", value[place:]))
    elif what == "merge" and at:
        swallowed = pairs.pop(at - 1)
        pairs[at - 1] = name, value + b"&" + b"=".join(swallowed)
    elif what == "key":
        other = rng.choice([k for k in keys if k is not key])
        pairs = with_sign(pairs, other.sign(text, sign_type))
    elif what == "hash":
        pairs = with_sign(pairs, key.sign(text, "RSA" if sign_type == "RSA2" else "RSA2"))
    elif what == "sign":
        signature = bytearray(key.sign(text, sign_type))
        signature[rng.randrange(len(signature))] ^= 1 << rng.randrange(8)
        pairs = with_sign(pairs, bytes(signature))
    elif what == "charset_bytes":
        pairs[at] = name, value + b"\xe4\xb8"
    elif what == "order":
        rng.shuffle(pairs)
    return what, pairs


def with_sign(pairs, signature):
    return [pair for pair in pairs if pair[0] != b"sign"] + [(b"sign", base64.b64encode(signature))]


def keys_of(rng, bits=2048):
    keys = []
    for _ in range(KEY_COUNT):
        key = PrivateKey(bits, rng)
        key.app_id, key.seller_id = "2021" + digits(rng, 12), "2088" + digits(rng, 12)
        bare = base64.b64encode(spki(key.n, EXPONENT)).decode()
        # As the console shows it, broken into lines, and in armour.
        key.written = [bare, bare + "\n", "\n".join(bare[i:i + 76] for i in range(0, len(bare), 76)), pem("PUBLIC KEY", spki(key.n, EXPONENT))]
        keys.append(key)
    return keys


def generate(count, seed):
    rng = random.Random(seed)
    keys = keys_of(rng)
    for number in range(count):
        key = keys[number % len(keys)]
        charset = rng.choice(["utf-8", "utf-8", "utf-8", "gbk"])
        sign_type = rng.choice(["RSA2", "RSA2", "RSA2", "RSA"])
        rule, empties = rng.choice(["V1", "V1", "V2"]), rng.choice(["keep", "skip"])
        pairs = message(rng, key, sign_type, charset)
        text = canonical(pairs, rule, empties)
        pairs = with_sign(pairs, key.sign(text, sign_type))
        label = "genuine"
        if rng.random() < 0.6:
            label, pairs = spoiled(rng, pairs, keys, key, text, sign_type)
        rng.shuffle(pairs)
        body = write_form(pairs, rng)
        assert read_form(body) == pairs
        modern, both = (verdict(key.n, EXPONENT, pairs, allowed) for allowed in (("RSA2",), ("RSA2", "RSA")))
        print(json.dumps({
            "number": number, "label": label, "public_key": rng.choice(key.written), "app_id": key.app_id, "seller_id": key.seller_id,
            "charset": charset, "sign_type": sign_type, "rule": rule, "empties": empties, "body": body.hex(),
            "pairs": [(n.decode(charset, "replace"), v.decode(charset, "replace")) for n, v in pairs],
            "modern": modern is not None, "both": both is not None,
        }))


def verify():
    for line in sys.stdin:
        case = json.loads(line)
        n, e = read_spki(unarmoured(case["public_key"]))
        found = verdict(n, e, read_form(bytes.fromhex(case["body"])), ("RSA2", "RSA"))
        print(json.dumps(dict(zip(("rule", "empties", "sign_type"), found)) if found else None))


# Certificates

ATTRIBUTES = {"C": "2.5.4.6", "O": "2.5.4.10", "OU": "2.5.4.11", "CN": "2.5.4.3"}
ORGANISATIONS = ["Ant Financial", "iTrusChina Co., Ltd.", "蚂蚁金服", "A=B", "Ant+Sons", 'The "Quoted"', "a\\b", "#1", " blank "]


def certificate(rng, issuer_key, subject_key, issuer, number):
    """A certificate as short as one can be; `issuer` lists attributes in the order of the file."""
    def name(attributes):
        return der(0x30, *(der(0x31, der(0x30, der_oid(ATTRIBUTES[kind]), der(0x13 if kind == "C" else 0x0C, text.encode())))
                           for kind, text in attributes))

    algorithm = der(0x30, der_oid("1.2.840.113549.1.1.11"), der(0x05))
    validity = der(0x30, der(0x17, b"200101000000Z"), der(0x17, b"400101000000Z"))
    subject = name([("C", "CN"), ("O", "Merchant"), ("CN", "支付宝(中国)网络技术有限公司")])
    content = der(0x30, der(0xA0, der_integer(2)), der_integer(number), algorithm, name(issuer), validity, subject,
                  spki(subject_key.n, EXPONENT))
    return der(0x30, content, algorithm, der(0x03, b"\x00", issuer_key.sign(content, "RSA2")))


def serial(data):
    """md5 of the issuer, most specific first, and the decimal number; read from the file alone."""
    content = read_der(read_der(data)[1])[1]
    parts = [inner for tag, inner in elements(content) if tag != 0xA0]
    kinds = {der_oid(oid)[2:]: kind for kind, oid in ATTRIBUTES.items()}
    issuer = []
    for _, group in elements(parts[2]):
        for _, attribute in elements(group):
            (_, oid), (_, text) = elements(attribute)
            issuer.append(kinds[oid] + "=" + text.decode())
    text = ",".join(reversed(issuer)) + str(int.from_bytes(parts[0], "big", signed=True))
    return hashlib.md5(text.encode()).hexdigest()


def certificates(count, seed):
    rng = random.Random(seed)
    keys = keys_of(rng)
    issuer_key, subject_key = keys[0], keys[1]
    for number in range(count):
        kinds = ["C", "O", "OU", "CN"]
        if rng.random() < 0.3:
            kinds.remove(rng.choice(kinds))
        texts = {"C": "CN", "CN": "Class 1 R1 CA"}
        plain = rng.random() < 0.7
        issuer = [(kind, texts.get(kind) or ("Ant Financial" if plain else rng.choice(ORGANISATIONS))) for kind in kinds]
        bits = rng.choice([1, 7, 8, 15, 16, 63, 64, 127, 128, 159])
        data = certificate(rng, issuer_key, subject_key, issuer, rng.getrandbits(bits) | 1 << (bits - 1))
        pairs = message(rng, subject_key, "RSA2", "utf-8")
        pairs.append((b"alipay_cert_sn", serial(data).encode()))
        pairs = with_sign(pairs, subject_key.sign(canonical(pairs, "V1", "keep"), "RSA2"))
        print(json.dumps({
            "number": number, "label": "plain" if plain else "odd", "public_key": pem("CERTIFICATE", data),
            "app_id": subject_key.app_id, "seller_id": subject_key.seller_id, "serial": serial(data), "issuer": issuer,
            "body": write_form(pairs, rng).hex(), "pairs": [(n.decode(), v.decode()) for n, v in pairs],
        }))


if __name__ == "__main__":
    if sys.argv[1] == "verify":
        verify()
    else:
        {"generate": generate, "certificates": certificates}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
