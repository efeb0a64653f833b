"""WeChat Pay platform certificates, handed out and taken in by wechatpayv3, an implementation that is not ours.

    wechatpay_certificates.py take              JSON lines {api_v3_key, headers, body, callback} in, verdicts out
    wechatpay_certificates.py sign              JSON lines {private_key, mchid, serial, timestamp, nonce} in, headers out
    wechatpay_certificates.py give COUNT SEED   answers of the platform as JSON lines

`take`: the SDK downloads the list (its own code, with the network replaced), and says what it makes of a callback.
`sign`: the SDK's Authorization of the same request at the same time.
`give`: certificates by `cryptography`, sealed and signed as the SDK reads them. `serials` are those that the SDK takes;
`signed` is its verdict on the answer's signature. `differs` is the protocol sheet's verdict where it is another one: the
sheet refuses an answer as a whole, and looks at the clock and at the serial.
"""

import base64
import datetime
import json
import random
import string
import sys
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from wechatpayv3 import core as core_module
from wechatpayv3 import utils
from wechatpayv3.core import Core

NOW = 1795233600  # 2026-11-21T04:00:00Z
TYPE = "WECHATPAY2-SHA256-RSA2048"
PATH = "/v3/certificates"


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


THROW_AWAY = pem_of(new_key())
# Reading it takes longer than all the rest, so it is read once.
THROW_AWAY_KEY = utils.load_private_key(THROW_AWAY)


class Answer:
    """What `requests` would return."""

    def __init__(self, status, headers, body):
        self.status_code = status
        self.headers = {"Content-Type": "application/json", **headers}
        self.text = body
        self.content = body.encode()


class FixedTime(datetime.datetime):
    """The SDK looks at the clock when it takes a certificate."""

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, tz)


def core_of(api_v3_key, status, headers, body):
    """A core that downloaded this list; None when the SDK takes nothing."""
    answer = Answer(status, headers, body)
    with mock.patch.object(core_module.requests, "get", lambda **_: answer), \
         mock.patch.object(core_module, "load_private_key", lambda _: THROW_AWAY_KEY), \
         mock.patch.object(core_module, "datetime", FixedTime):
        try:
            return Core("1900000001", "1", THROW_AWAY, api_v3_key)
        except Exception:
            return None


def take():
    for line in sys.stdin:
        asked = json.loads(line)
        core = core_of(asked["api_v3_key"], 200, asked["headers"], asked["body"])
        if core is None:
            print(json.dumps({"serials": [], "signed": False, "callback": None}))
            continue
        core._update_certificates = lambda: None
        callback = asked["callback"]
        try:
            opened = core.decrypt_callback(headers=callback["headers"], body=callback["body"])
        except Exception:
            opened = None
        print(json.dumps({
            "serials": [f"{one.serial_number:X}" for one in core._certificates],
            "signed": is_signed(core, asked["headers"], asked["body"]), "callback": opened,
        }))


def is_signed(core, headers, body):
    core._update_certificates = lambda: None
    try:
        return bool(core._verify_signature(headers, body))
    except Exception:
        return False


def sign():
    for line in sys.stdin:
        asked = json.loads(line)
        key = utils.load_private_key(asked["private_key"])
        with mock.patch.object(utils.time, "time", lambda: asked["timestamp"]), \
             mock.patch.object(utils.uuid, "uuid4", lambda: asked["nonce"]):
            header = utils.build_authorization(PATH, "GET", asked["mchid"], asked["serial"], key)
        print(json.dumps(header))


def certificate(rng, key, begin, days):
    serial = rng.getrandbits(rng.choice([159, 152, 90, 60]))
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com sign")])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(serial).not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=days))
            .sign(key, hashes.SHA256()))
    return f"{serial:X}", made.public_bytes(serialization.Encoding.PEM).decode()


def sealed(rng, api_v3_key, serial, pem):
    nonce = "".join(rng.choices(string.ascii_letters + string.digits, k=12))
    box = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), pem.encode(), b"certificate")
    return {"serial_no": serial, "effective_time": "2026-01-01T00:00:00+08:00", "expire_time": "2030-01-01T00:00:00+08:00",
            "encrypt_certificate": {"algorithm": "AEAD_AES_256_GCM", "nonce": nonce, "associated_data": "certificate",
                                    "ciphertext": base64.b64encode(box).decode()}}


LABELS = ["genuine", "genuine", "genuine", "ended_beside", "all_ended", "other_secret", "one_of_other_secret", "renamed",
          "other_signer", "other_serial", "body", "timestamp", "stale", "no_serial", "associated", "empty", "twice", "leading_zero",
          "no_type"]


def give(count, seed):
    rng = random.Random(seed)
    keys = [new_key() for _ in range(4)]
    year = datetime.datetime(2026, 1, 1)
    for number in range(count):
        api_v3_key = "".join(rng.choices(string.ascii_letters + string.digits, k=32))
        label = rng.choice(LABELS)
        differs = None
        made = [certificate(rng, key, year, 1825) for key in keys[:rng.randrange(1, 3)]]
        ended = certificate(rng, keys[2], datetime.datetime(2020, 1, 1), 1825)
        items = [sealed(rng, api_v3_key, *one) for one in made]
        signer, serial = keys[0], made[0][0]
        if label == "ended_beside":
            items.append(sealed(rng, api_v3_key, *ended))
        elif label == "all_ended":
            items, signer, serial = [sealed(rng, api_v3_key, *ended)], keys[2], ended[0]
        elif label == "other_secret":
            items = [sealed(rng, "k" * 32, *one) for one in made]
        elif label == "one_of_other_secret":
            items.append(sealed(rng, "k" * 32, *certificate(rng, keys[3], year, 1825)))
            differs = "refused"
        elif label == "renamed":
            items[0]["serial_no"], differs = ended[0], "refused"
        elif label == "other_signer":
            signer = keys[3]
        elif label == "other_serial":
            serial = ended[0]
        elif label == "associated":
            items[0]["encrypt_certificate"]["associated_data"] = "transaction"
        elif label == "empty":
            items = []
        elif label == "leading_zero":
            serial = "0" + serial.lower()
        body = json.dumps({"data": items}, ensure_ascii=rng.random() < 0.5)
        if label == "twice":
            body, differs = body[:-1] + ', "data": ' + json.dumps(items) + "}", "refused"
        timestamp = str(NOW + rng.randrange(-299, 300))
        if label == "stale":
            timestamp, differs = str(NOW - 300 - rng.randrange(10**6)), "refused"
        nonce = "".join(rng.choices(string.ascii_letters + string.digits, k=32))
        headers = {"Wechatpay-Timestamp": timestamp, "Wechatpay-Nonce": nonce, "Wechatpay-Serial": serial,
                   "Wechatpay-Signature-Type": TYPE,
                   "Wechatpay-Signature": utils.rsa_sign(signer, f"{timestamp}\n{nonce}\n{body}\n")}
        if label == "body":
            body += " "
        elif label == "timestamp":
            headers["Wechatpay-Timestamp"] = str(int(timestamp) - 1)
        elif label == "no_serial":
            del headers["Wechatpay-Serial"]
        elif label == "no_type":
            # The official SDK in Go takes it for the only one that there is.
            del headers["Wechatpay-Signature-Type"]
            differs = "taken"
        core = core_of(api_v3_key, 200, headers, body)
        serials = [] if core is None else [f"{one.serial_number:X}" for one in core._certificates]
        print(json.dumps({
            "number": number, "label": label, "api_v3_key": api_v3_key, "headers": list(headers.items()), "body": body,
            "serials": serials, "signed": core is not None and is_signed(core, headers, body), "differs": differs,
        }))


if __name__ == "__main__":
    if sys.argv[1] == "give":
        give(int(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "sign":
        sign()
    else:
        take()
