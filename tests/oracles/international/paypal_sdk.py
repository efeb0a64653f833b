"""PayPal's webhooks a second time: signatures judged by PayPal's own (retired) Python kit, and what an event means, written
from the description of the platform without a look at ours.

`make SEED COUNT` prints COUNT deliveries, a JSON value a line, some of them spoilt; `judge` reads `{webhook, request, pem,
root}` and prints a verdict for each.

Two things stand in for what the kit cannot have here. It fetches the certificate from wherever the message says, and its
authorities are two files in its folder: both are given to it. And it verifies with a function of pyOpenSSL that newer versions
no longer have; the same is done by `cryptography` under that name.

Where this is stricter than the kit, the description says so: which URLs are the platform's, SHA-1, the version, a header that
comes twice, base64 that is none, and a transmission id with bars in it. The kit reads the body as text.
"""

import base64
import binascii
import datetime
import json
import random
import re
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import crypto
from paypalrestsdk.notifications import WebhookEvent

PREFIX = "https://api.sandbox.paypal.com/v1/notifications/certs/"
NAMES = "id time sig cert_url algo version".split()
HEADERS = {
    "id": "paypal-transmission-id", "time": "paypal-transmission-time", "sig": "paypal-transmission-sig",
    "cert_url": "paypal-cert-url", "algo": "paypal-auth-algo", "version": "paypal-auth-version",
}


def verify(cert, signature, data, digest):
    """What pyOpenSSL had under this name."""
    if not digest.lower().startswith("sha256"):
        raise crypto.Error([("", "", digest)])
    try:
        cert.to_cryptography().public_key().verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise crypto.Error([("", "", "bad signature")]) from error


crypto.verify = getattr(crypto, "verify", verify)


def kit(headers, webhook, body, pem, root):
    """Whether the kit takes it, with this certificate behind the URL and this authority in its folder."""
    store = crypto.X509Store()
    # Its folder holds the authority between as well, which comes with the certificate here.
    for one in x509.load_pem_x509_certificates((root + pem).encode()):
        known = [extension.value for extension in one.extensions]
        if any(isinstance(value, x509.BasicConstraints) and value.ca for value in known):
            store.add_cert(crypto.X509.from_cryptography(one))
    # The kit prints why it refuses, where its answers belong here.
    real, sys.stdout = sys.stdout, sys.stderr
    WebhookEvent._get_certificate_store = classmethod(lambda cls: store)
    WebhookEvent._get_cert = staticmethod(lambda url: crypto.load_certificate(crypto.FILETYPE_PEM, pem.encode()))
    try:
        text = body.decode()
        return WebhookEvent.verify(
            headers["id"], headers["time"], webhook, text, headers["cert_url"], headers["sig"], headers["algo"]
        )
    except (ValueError, binascii.Error, UnicodeDecodeError):
        return False
    finally:
        sys.stdout = real


def verdict(given, webhook, body, pem, root):
    headers = {}
    for name in NAMES:
        found = [value for header, value in given if header.lower() == HEADERS[name]]
        if len(found) != 1:
            return False
        headers[name] = found[0]
    is_strict = (
        headers["algo"] == "SHA256withRSA"
        and headers["version"] == "v2"
        and re.fullmatch(r"[A-Za-z0-9-]{1,64}", headers["id"])
        and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", headers["time"])
        and re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", headers["sig"])
        and headers["cert_url"].startswith(PREFIX)
        and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,95}", headers["cert_url"][len(PREFIX):])
    )
    return bool(is_strict) and has_names(pem) and kit(headers, webhook, body, pem, root)


def has_names(pem):
    """Whether the certificate says which hosts it is for; its common name alone is not enough."""
    leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    return any(isinstance(extension.value, x509.SubjectAlternativeName) for extension in leaf.extensions)


def name(common):
    return x509.Name([
        x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "PayPal, Inc."),
        x509.NameAttribute(NameOID.COMMON_NAME, common),
    ])


def issue(subject, key, issuer, by, is_authority=False, names=(), ended=False):
    begin, end = datetime.datetime(2020, 1, 1), datetime.datetime(2021 if ended else 2045, 1, 1)
    builder = (
        x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
    if not is_authority:
        usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def certificates():
    """An authority, and certificates with their keys: genuine ones, and what else could stand behind a URL."""
    fresh = lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    authority, other = fresh(), fresh()
    root = issue("Demo Root", authority, "Demo Root", authority, True)
    right = "messageverificationcerts.paypal.com"
    keys = [fresh() for _ in range(3)]
    good = [
        (issue(right, keys[0], "Demo Root", authority, names=[right]), keys[0]),
        (issue("other.sandbox.paypal.com", keys[1], "Demo Root", authority, names=["other.sandbox.paypal.com"]), keys[1]),
    ]
    bad = [
        (issue("www.shop.example", keys[2], "Demo Root", authority, names=["www.shop.example"]), keys[2]),
        (issue("notpaypal.com", keys[2], "Demo Root", authority), keys[2]),
        (issue(right, keys[2], "Demo Root", authority), keys[2]),
        (issue(right, keys[2], "Demo Root", other, names=[right]), keys[2]),
        (issue(right, keys[2], "Demo Root", authority, names=[right], ended=True), keys[2]),
        (issue(right, keys[2], right, keys[2], names=[right]), keys[2]),
    ]
    return root, good, bad


WHOLE = ["HUF", "TWD"]
PLACES = {"JPY": 0, "TND": 3, "HUF": 0, "TWD": 0}


def money(rnd):
    """As it is written, and in the units of ISO 4217."""
    currency = rnd.choice(["USD", "EUR", "GBP", "USD", "JPY", "TND", "HUF", "TWD"])
    amount = rnd.randrange(1, 10**8)
    places = PLACES.get(currency, 2)
    text = str(amount) if places == 0 else f"{amount // 10**places}.{amount % 10**places:0{places}}"
    return currency, text, amount * 100 if currency in WHOLE else amount


def story(rnd):
    """A type, the type of its object, the object, and what it means: event, name, order, payment, amount told, held."""
    number = lambda: "".join(rnd.choices("0123456789ABCDEFGHJKLMNPRSTUVWXY", k=17))
    own, capture, order = number(), number(), rnd.choice(["T", "订单", "a:b "]) + str(rnd.randrange(10**9))
    currency, text, minor = money(rnd)
    amount = {"currency_code": currency, "value": text}
    base = {"id": own, "amount": amount, "invoice_id": order, "custom_id": "\u2028 \"é\\ 😀", "status": "COMPLETED"}
    told = lambda event, name=own, payment=None, paid=True: (event, name, order, payment, paid, False)
    other = lambda held: ("other", None, None, None, False, held)
    spoil = rnd.random() < 0.15
    if spoil:
        amount["value"] = rnd.choice(["10.0001", "-1.00", "1e3", "", "ten"])
    kind = rnd.choice("capture capture capture refund order authorization dispute payout else".split())
    if kind == "capture":
        what, status = rnd.choice([
            ("COMPLETED", "COMPLETED"), ("COMPLETED", "PARTIALLY_REFUNDED"), ("COMPLETED", "PENDING"), ("PENDING", "PENDING"),
            ("DECLINED", "DECLINED"), ("DENIED", "DECLINED"), ("DENIED", "COMPLETED"), ("SETTLED", "COMPLETED"),
        ])
        base["status"] = status
        means = {
            "COMPLETED": other(True) if status == "PENDING" else told("payment.succeeded"),
            "PENDING": told("payment.pending", paid=False),
            "DECLINED": told("payment.failed"),
            "DENIED": other(True) if status == "COMPLETED" else told("payment.failed"),
            "SETTLED": other(True),
        }[what]
        return f"PAYMENT.CAPTURE.{what}", "capture", base, means, (currency, minor), spoil
    if kind == "refund":
        what = rnd.choice(["REFUNDED", "REVERSED"])
        status = rnd.choice(["COMPLETED", "COMPLETED", "PENDING", "FAILED"])
        links = [{"rel": "self", "href": f"https://api.paypal.com/v2/payments/refunds/{own}"}]
        links += [{"rel": "up", "href": f"https://api.paypal.com/v2/payments/captures/{capture}"}]
        body = base | {"status": status, "links": links}
        means = {"COMPLETED": told("refund.succeeded", payment=capture), "PENDING": other(False), "FAILED": other(True)}[status]
        return f"PAYMENT.CAPTURE.{what}", "refund", body, means, (currency, minor), spoil
    if kind == "order":
        unit = {"reference_id": "default", "invoice_id": order, "amount": amount}
        body = {"id": own, "status": "APPROVED", "purchase_units": [unit]}
        return "CHECKOUT.ORDER.APPROVED", "checkout-order", body, told("payment.authorized"), (currency, minor), spoil
    if kind == "authorization":
        what = rnd.choice(["CREATED", "VOIDED"])
        base["status"] = what
        means = told("payment.authorized") if what == "CREATED" else told("payment.closed", paid=False)
        return f"PAYMENT.AUTHORIZATION.{what}", "authorization", base, means, (currency, minor), spoil
    if kind == "dispute":
        what, status, event = rnd.choice([
            ("CREATED", "OPEN", "opened"), ("UPDATED", "UNDER_REVIEW", "updated"), ("RESOLVED", "RESOLVED", "closed"),
        ])
        body = {
            "dispute_id": own, "status": status, "dispute_amount": amount, "update_time": "2026-01-01T00:00:00Z",
            "disputed_transactions": [{"seller_transaction_id": capture, "invoice_number": order}],
        }
        name = f"{own}:{status}:2026-01-01T00:00:00Z" if what == "UPDATED" else own
        means = told(f"dispute.{event}", name, capture)
        return f"CUSTOMER.DISPUTE.{what}", "dispute", body, means, (currency, minor), spoil
    if kind == "payout":
        what, event = rnd.choice([("SUCCEEDED", "succeeded"), ("FAILED", "failed"), ("RETURNED", "returned"), ("HELD", None)])
        body = {
            "payout_item_id": own, "transaction_status": "SUCCESS" if what == "SUCCEEDED" else what,
            "payout_item": {"amount": {"currency": currency, "value": amount["value"]}, "sender_item_id": order},
        }
        means = told(f"transfer.{event}") if event else other(False)
        return f"PAYMENT.PAYOUTS-ITEM.{what}", "payouts_item", body, means, (currency, minor), spoil
    what = rnd.choice(["BILLING.PLAN.CREATED", "VAULT.PAYMENT-TOKEN.CREATED", "PAYMENT.SALE.COMPLETED"])
    return what, "x", base, other(what.startswith("PAYMENT.")), (currency, minor), spoil


DAMAGES = (
    "body", "other body", "webhook", "id", "time", "key", "sha1", "algo", "version", "url", "twice", "missing", "sig",
    "certificate", "simulator", "urlsafe",
)


def make(seed, count):
    rnd = random.Random(seed)
    root, good, bad = certificates()
    for index in range(count):
        webhook = "".join(rnd.choices("0123456789ABCDEFGH", k=17))
        kind, resource_type, resource, means, (currency, minor), spoilt = story(rnd)
        event = {
            "id": f"WH-{index}-{rnd.randrange(10**17):017}", "event_version": "1.0", "create_time": "2026-11-21T04:00:00Z",
            "resource_type": resource_type, "event_type": kind, "summary": "é 中", "resource": resource, "links": [],
        }
        sent = json.dumps(event, ensure_ascii=rnd.random() < 0.5, indent=rnd.choice([None, None, 2])).encode()
        damage = rnd.choice(DAMAGES) if rnd.random() < 0.4 else None
        pem, key = rnd.choice(bad if damage == "certificate" else good)
        headers = {
            "id": f"{rnd.randrange(16**8):08x}-d67a-11e5-baa3-778b53f4ae55", "time": "2026-11-21T04:00:00Z",
            "cert_url": f"{PREFIX}CERT-{rnd.randrange(16**8):08x}", "algo": "SHA256withRSA", "version": "v2",
        }
        signed_for = {"webhook": webhook[::-1], "simulator": "WEBHOOK_ID"}.get(damage, webhook)
        # The kit's own text, for a body that it reads as text.
        text = WebhookEvent._get_expected_sig(headers["id"], headers["time"], signed_for, sent.decode()).encode()
        if damage == "key":
            key = rnd.choice([other for _, other in good if other is not key])
        digest = hashes.SHA1() if damage == "sha1" else hashes.SHA256()
        tag = key.sign(text, padding.PKCS1v15(), digest)
        if damage == "sig":
            at = rnd.randrange(len(tag))
            tag = tag[:at] + bytes([tag[at] ^ 1 << rnd.randrange(8)]) + tag[at + 1:]
        headers["sig"] = base64.b64encode(tag).decode()
        if damage == "urlsafe":
            headers["sig"] = base64.urlsafe_b64encode(tag).decode() + "-"
        if damage == "sha1":
            headers["algo"] = "SHA1withRSA"
        if damage == "algo":
            headers["algo"] = rnd.choice(["SHA1withRSA", "sha256WithRSA", "SHA512withRSA", "none", "sha256"])
        if damage == "version":
            headers["version"] = rnd.choice(["v1", "v3", "V2"])
        if damage == "id":
            headers["id"] = headers["id"][:-1] + rnd.choice("06789|")
        if damage == "time":
            headers["time"] = rnd.choice(["2026-11-21T04:00:01Z", "2026-11-21T04:00:00.0Z", "1700000000"])
        if damage == "url":
            headers["cert_url"] = rnd.choice([
                "https://evil.example/v1/notifications/certs/CERT-1", PREFIX.replace("https", "http") + "CERT-1",
                PREFIX.replace("api.", "x@api.", 1) + "CERT-1", PREFIX + "../CERT-1", PREFIX + "CERT-1?a", PREFIX,
                PREFIX.replace(".com/", ".com:443/") + "CERT-1", PREFIX.replace("paypal.com", "paypal.com.evil.example") + "C",
            ])
        if damage == "body":
            sent += rnd.choice([b" ", b"\n", b"\r\n"])
        if damage == "other body":
            sent = sent.replace(f"WH-{index}-".encode(), f"WH-{index}0-".encode())
        given = [[HEADERS[name], headers[name]] for name in NAMES]
        rnd.shuffle(given)
        if damage == "twice":
            given.append(list(rnd.choice(given)))
        if damage == "missing":
            given.pop()
        event_kind, name, order, payment, paid, held = means
        has_money = paid and not spoilt
        request = {
            "method": "POST", "path": "/notify/paypal", "query": "",
            "headers": [["Content-Type", "application/json"]] + given, "body_base64": base64.b64encode(sent).decode(),
        }
        print(json.dumps({
            "webhook": webhook, "pem": pem, "root": root, "request": request, "damage": damage,
            "genuine": verdict(given, webhook, sent, pem, root),
            "expect": {
                "event": event_kind, "name": name, "order": order, "payment": payment,
                "minor": minor if has_money else None, "currency": currency if has_money else None,
                "held": held or (paid and spoilt),
            },
        }))


def judge():
    for line in sys.stdin:
        asked = json.loads(line)
        body = base64.b64decode(asked["request"]["body_base64"])
        genuine = verdict(asked["request"]["headers"], asked["webhook"], body, asked["pem"], asked["root"])
        event = json.loads(body)
        print(json.dumps({"genuine": True, "type": event["event_type"]} if genuine else {"genuine": False}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(int(sys.argv[2]), int(sys.argv[3]))
    else:
        judge()
