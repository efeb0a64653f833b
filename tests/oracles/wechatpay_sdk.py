"""WeChat Pay v3 notifications signed, sealed and judged by wechatpayv3, an implementation that is not ours.

    wechatpay_sdk.py generate COUNT SEED    cases as JSON lines
    wechatpay_sdk.py verify                 JSON lines {public_key, key_id, api_v3_key, headers, body} in, verdicts out

A verdict is the decrypted resource, or null. A case that the SDK judges otherwise than the protocol sheet carries the
sheet's word in `differs`: the SDK looks at no clock, reads base64 laxly and takes the last of two equal members.
"""

import base64
import datetime
import json
import random
import string
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from wechatpayv3.core import Core
from wechatpayv3.utils import rsa_sign

KEY_COUNT = 4
NOW = 1795233600  # 2026-11-21T04:00:00Z
TYPE = "WECHATPAY2-SHA256-RSA2048"

TEXTS = [
    "", " ", "中文", "“引号”", "😀👍🏽", "é", "e\u0301", "\u200b", "\ufeff", "a+b", "%2B", "&", "a=b", "&amp;", "'", '"', "\\",
    "\n", "\r\n", "\t", "<script>", "{}", "[]", "null", "0", "\u0000", "\u2028", "/", "a/b",
]
EVENTS = [("TRANSACTION.SUCCESS", "transaction"), ("REFUND.SUCCESS", "refund"), ("MCHTRANSFER.BILL.FINISHED", "mch_payment")]


def pem_of(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


THROW_AWAY = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def core_of(api_v3_key, public_key, key_id, certificates=()):
    core = Core("1900000001", "1", THROW_AWAY, api_v3_key, public_key=public_key, public_key_id=key_id)
    core._certificates = list(certificates)
    # It would ask the platform for a key that it does not know.
    core._update_certificates = lambda: None
    return core


class Side:
    """A merchant with a public key, a platform certificate, or both."""

    def __init__(self, rng, number):
        self.api_v3_key = "".join(rng.choices(string.ascii_letters + string.digits, k=32))
        self.mchid = "19" + "".join(rng.choices(string.digits, k=8))
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public_key = pem_of(self.key)
        self.key_id = "PUB_KEY_ID_0" + "".join(rng.choices(string.digits, k=32))
        self.certified = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        # An odd count of digits has a leading zero in DER only, and some begin with zeros.
        serial = rng.getrandbits(rng.choice([159, 152, 90, 60]))
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com sign")])
        start = datetime.datetime(2026, 1, 1)
        self.certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.certified.public_key())
            .serial_number(serial).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=1825))
            .sign(self.certified, hashes.SHA256()))
        self.certificate_pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.serial = f"{serial:X}"
        self.sdk = core_of(self.api_v3_key, self.public_key, self.key_id, [self.certificate])


def resource(rng, side, event):
    number = "".join(rng.choices(string.digits, k=28))
    content = {"mchid": side.mchid, "out_trade_no": "T" + number[:12], "attach": rng.choice(TEXTS), "total": rng.randrange(1, 10**9)}
    amount = {"total": content["total"], "currency": "CNY"}
    if event == "TRANSACTION.SUCCESS":
        content.update(appid="wx01", transaction_id=number, trade_state="SUCCESS", amount=amount)
    elif event == "REFUND.SUCCESS":
        amount["refund"] = content["total"]
        content.update(transaction_id=number, refund_id=number, out_refund_no="R1", refund_status="SUCCESS", amount=amount)
    else:
        content.update(out_bill_no="B1", transfer_bill_no=number, state="SUCCESS", transfer_amount=content["total"])
    for _ in range(rng.randrange(4)):
        content["extra_" + rng.choice("abc")] = rng.choice([rng.choice(TEXTS), 1, 1.5, -1, None, True, [1, "a"], {"a": {"b": []}}])
    return content


def written(rng, value):
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5, separators=rng.choice([(",", ":"), (", ", ": ")]),
                      indent=rng.choice([None, None, 2]))
    return text.replace("/", "\\/") if rng.random() < 0.3 else text


def sealed(key, nonce, associated, plaintext):
    return base64.b64encode(AESGCM(key.encode()).encrypt(nonce.encode(), plaintext.encode(), associated.encode())).decode()


def says(core, headers, body):
    try:
        return core.decrypt_callback(headers=headers, body=body)
    except Exception:
        return None


def case(rng, sides, number):
    side = sides[number % len(sides)]
    event, kind = rng.choice(EVENTS)
    content = resource(rng, side, event)
    plaintext = written(rng, content)
    nonce = "".join(rng.choices(string.ascii_letters + string.digits, k=12))
    associated = rng.choice([kind, kind, "", None])
    box = {"algorithm": "AEAD_AES_256_GCM", "original_type": kind, "nonce": nonce,
           "ciphertext": sealed(side.api_v3_key, nonce, associated or "", plaintext)}
    if associated is not None or rng.random() < 0.3:
        box["associated_data"] = associated
    envelope = {"id": f"N{number}", "create_time": "2026-11-21T12:00:00+08:00", "resource_type": "encrypt-resource",
                "event_type": event, "summary": rng.choice(TEXTS), "resource": box}
    by_certificate = rng.random() < 0.5
    key, serial = (side.certified, side.serial) if by_certificate else (side.key, side.key_id)
    headers = {"Wechatpay-Timestamp": str(NOW + rng.randrange(-299, 300)), "Wechatpay-Serial": serial,
               "Wechatpay-Nonce": "".join(rng.choices(string.ascii_letters + string.digits, k=32)),
               "Wechatpay-Signature-Type": TYPE}
    label, differs = "genuine", None
    if by_certificate and rng.random() < 0.3:
        headers["Wechatpay-Serial"] = rng.choice([serial.lower(), "00" + serial, "0" + serial.lower()])
    spoiled = rng.random() < 0.6
    before = ["stale", "early", "milliseconds", "wrong_box_key", "other_associated", "cut_box", "flipped_box", "sm_box", "twice",
              "twice_in_box", "other_signer", "type_missing", "other_nonce_in_box"]
    after = ["timestamp", "nonce", "body_byte", "body_blank", "body_cut", "reprinted", "serial", "serial_of_other", "type",
             "flipped", "cut", "url", "trailing_bits", "unpadded", "lower", "probe", "unsigned", "wrapped"]
    if spoiled:
        label = rng.choice(before + after)
    if label == "stale":
        headers["Wechatpay-Timestamp"], differs = str(NOW - rng.randrange(300, 10**6)), "refused"
    elif label == "early":
        headers["Wechatpay-Timestamp"], differs = str(NOW + rng.randrange(300, 10**6)), "refused"
    elif label == "milliseconds":
        headers["Wechatpay-Timestamp"], differs = str(NOW * 1000), "refused"
    elif label == "wrong_box_key":
        box["ciphertext"] = sealed("k" * 32, nonce, associated or "", plaintext)
    elif label == "other_associated":
        box["associated_data"] = (associated or "") + "x"
    elif label == "other_nonce_in_box":
        box["nonce"] = nonce[:-1] + ("a" if nonce[-1] != "a" else "b")
    elif label == "cut_box":
        box["ciphertext"] = box["ciphertext"][:-4]
    elif label == "flipped_box":
        place = rng.randrange(len(box["ciphertext"]) - 4)
        box["ciphertext"] = box["ciphertext"][:place] + ("A" if box["ciphertext"][place] != "A" else "B") + box["ciphertext"][place + 1:]
    elif label == "sm_box":
        box["algorithm"] = "AEAD_SM4_GCM"
    elif label == "type_missing":
        # The official SDK in Go takes it for the only one that there is.
        del headers["Wechatpay-Signature-Type"]
        differs = "genuine"
    body = written(rng, envelope)
    if label == "twice":
        body, differs = body.rstrip()[:-1] + ', "id": "N0"}', "refused"
    elif label == "twice_in_box":
        body, differs = json.dumps(envelope)[:-2] + ', "original_type": "x"}}', "refused"
    if label == "other_signer":
        key = sides[(number + 1) % len(sides)].key
    message = f"{headers['Wechatpay-Timestamp']}\n{headers['Wechatpay-Nonce']}\n{body}\n"
    sign = rsa_sign(key, message)
    if label == "timestamp":
        headers["Wechatpay-Timestamp"] = str(int(headers["Wechatpay-Timestamp"]) - 1)
    elif label == "nonce":
        headers["Wechatpay-Nonce"] += "x"
    elif label == "body_byte":
        body = body.replace(f"N{number}", f"M{number}")
    elif label == "body_blank":
        body = rng.choice([body + "\n", " " + body, body + " "])
    elif label == "body_cut":
        body = body[:-1]
    elif label == "reprinted":
        body = json.dumps(json.loads(body), indent=3)
    elif label == "serial":
        headers["Wechatpay-Serial"] = rng.choice(["PUB_KEY_ID_9", "ABCDEF", "0", "x", serial + "0"])
    elif label == "serial_of_other":
        headers["Wechatpay-Serial"] = side.key_id if by_certificate else side.serial
    elif label == "type":
        headers["Wechatpay-Signature-Type"] = rng.choice(["WECHATPAY2-SM2-WITH-SM3", TYPE.lower(), "none", TYPE + "x"])
    elif label == "flipped":
        place = rng.randrange(len(sign) - 4)
        sign = sign[:place] + ("A" if sign[place] != "A" else "B") + sign[place + 1:]
    elif label == "cut":
        sign = sign[:rng.randrange(4, len(sign) - 4)]
    elif label == "url":
        changed = sign.replace("+", "-").replace("/", "_")
        sign = changed if changed != sign else sign[:8]
    elif label == "trailing_bits":
        # 256 bytes leave four bits of the last letter unused; the SDK's base64 ignores them.
        alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
        sign, differs = sign[:-3] + alphabet[alphabet.index(sign[-3]) + 1] + "==", "refused"
    elif label == "unpadded":
        sign = sign.rstrip("=")
    elif label == "wrapped":
        sign, differs = sign[:76] + " " + sign[76:], "refused"
    elif label == "lower":
        sign = sign.lower()
    elif label == "probe":
        sign = "WECHATPAY/SIGNTEST/" + sign[19:]
    if label != "unsigned":
        headers["Wechatpay-Signature"] = sign
    sdk = says(side.sdk, headers, body)
    if differs and (differs == "genuine") == (sdk is not None):
        differs = None
    print(json.dumps({
        "number": number, "label": label, "side": number % len(sides), "mchid": side.mchid, "api_v3_key": side.api_v3_key,
        "public_key": side.public_key, "key_id": side.key_id, "certificate": side.certificate_pem,
        "headers": list(headers.items()), "body": body.encode().hex(), "sdk": sdk is not None, "differs": differs,
        "attach": content["attach"], "total": content["total"],
    }))


def generate(count, seed):
    rng = random.Random(seed)
    sides = [Side(rng, number) for number in range(KEY_COUNT)]
    for number in range(count):
        case(rng, sides, number)


def verify():
    cores = {}
    for line in sys.stdin:
        asked = json.loads(line)
        settings = (asked["api_v3_key"], asked["public_key"], asked["key_id"])
        if settings not in cores:
            cores[settings] = core_of(*settings)
        print(json.dumps(says(cores[settings], dict(asked["headers"]), asked["body"])))


if __name__ == "__main__":
    if sys.argv[1] == "generate":
        generate(int(sys.argv[2]), int(sys.argv[3]))
    else:
        verify()
