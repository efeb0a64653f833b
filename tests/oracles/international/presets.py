"""The platforms that are one data file, a second time: written from the description of each platform, without a look
at the files. Where a platform publishes a library for Python, that library gives the verdict.

`make SEED COUNT` prints COUNT messages of every kind, a JSON value a line, some of them spoilt; `judge` reads
`{kind, secret, values, request, now}` and prints a verdict for each.
"""

import base64
import hashlib
import hmac
import json
import random
import sys
import time
from datetime import datetime, timezone

import razorpay
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from coinbase_commerce.webhook import WebhookSignature
from gocardless_pro import webhooks as gocardless
from paddle_billing.Notifications import Secret, Verifier
from paddle_billing.Notifications.PaddleSignature import PaddleSignature
from square.utils.webhooks_helper import verify_signature as square_verify

# Decimals of currencies by ISO 4217, as far as the messages here use them.
DECIMALS = {"USD": 2, "EUR": 2, "INR": 2, "JPY": 0, "KWD": 3, "CLP": 0, "ISK": 0, "GBP": 2}

URL = "https://pay.example.com/notify/square"


def hex_tag(key, text):
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def base64_tag(key, text):
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def standard_key(secret):
    return base64.b64decode(secret.removeprefix("whsec_"))


def pair_of(secret):
    """The private half of a key that is written as its seed."""
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret.removeprefix("whsk_")))


def public_of(secret):
    """What a merchant is given of it."""
    public = pair_of(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return "whpk_" + base64.b64encode(public).decode()


# How each platform signs: what is made here is what the libraries below must accept.
def sign(kind, secret, values, body, at, name):
    key = secret.encode()
    if kind == "razorpay":
        return [["x-razorpay-event-id", name], ["X-Razorpay-Signature", hex_tag(key, body)]]
    if kind == "checkout_com":
        return [["Cko-Signature", hex_tag(key, body)]]
    if kind == "coinbase_commerce":
        return [["X-CC-Webhook-Signature", hex_tag(key, body)]]
    if kind == "lemon_squeezy":
        return [["X-Event-Name", "whatever"], ["X-Signature", hex_tag(key, body)]]
    if kind == "gocardless":
        return [["Webhook-Signature", hex_tag(key, body)]]
    if kind == "paddle":
        tag = PaddleSignature.calculate_hmac(secret, f"{at}:".encode() + body).hexdigest()
        return [["Paddle-Signature", f"ts={at};h1={tag}"]]
    if kind == "airwallex":
        stamp = str(at * 1000 + 123)
        return [["x-timestamp", stamp], ["x-signature", hex_tag(key, stamp.encode() + body)]]
    if kind == "coinbase_cdp":
        tag = hex_tag(key, f"{at}.".encode() + body)
        return [["X-Hook0-Signature", f"t={at},v0={tag},h=content-type x-hook0-id,v1={'0' * 64}"]]
    if kind == "square":
        return [["X-Square-HmacSha256-Signature", base64_tag(key, values["notification_url"].encode() + body)]]
    if kind == "shopify":
        shop = f"{values['account']}.myshopify.com"
        return [["X-Shopify-Shop-Domain", shop], ["X-Shopify-Hmac-Sha256", base64_tag(key, body)]]
    if kind == "worldline":
        return [["X-GCS-KeyId", values["key_id"]], ["X-GCS-Signature", base64_tag(key, body)]]
    if kind == "standard_webhooks":
        tag = standardwebhooks.Webhook(secret).sign(name, datetime.fromtimestamp(at, tz=timezone.utc), body.decode())
        return [["webhook-id", name], ["webhook-timestamp", str(at)], ["webhook-signature", tag]]
    if kind == "standard_webhooks_v1a":
        tag = base64.b64encode(pair_of(secret).sign(f"{name}.{at}.".encode() + body)).decode()
        return [["webhook-id", name], ["webhook-timestamp", str(at)], ["webhook-signature", f"v1a,{tag}"]]
    raise SystemExit(f"nobody said how {kind} signs")


class Received:
    """What Paddle's library takes for a request."""

    def __init__(self, headers, body):
        self.headers = headers
        self.body = body


def verdict(kind, secret, values, headers, body, now):
    """Whether the message is genuine: by the platform's own library where there is one. Of a pair of keys, `secret` is
    the public half."""
    given = {}
    for name, value in headers:
        # Of a header that comes twice nobody knows which one was meant.
        if name.lower() in given:
            return False
        given[name.lower()] = value
    try:
        if kind == "razorpay":
            razorpay.Utility().verify_webhook_signature(body.decode(), given["x-razorpay-signature"], secret)
            return True
        if kind == "gocardless":
            gocardless.parse(body, secret, given["webhook-signature"])
            return True
        if kind == "coinbase_commerce":
            return WebhookSignature.verify_sig_header(body.decode(), given["x-cc-webhook-signature"], secret)
        if kind == "square":
            header = given["x-square-hmacsha256-signature"]
            return square_verify(
                request_body=body.decode(),
                signature_header=header,
                signature_key=secret,
                notification_url=values["notification_url"],
            )
        if kind == "standard_webhooks":
            headers = {name: given[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
            standardwebhooks.Webhook(secret).verify(body, headers, json_parse=False)
            # The library compares what base64 decodes to, and so takes several texts for one signature.
            text = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + body
            own = base64_tag(standard_key(secret), text)
            return f"v1,{own}" in given["webhook-signature"].split(" ")
        if kind == "paddle":
            header = given["paddle-signature"]
            at, _ = PaddleSignature.parse(header)
            received = Received({"Paddle-Signature": header}, body)
            # The library looks at the clock of the moment; the window is its own, the time is the test's.
            is_genuine = Verifier().verify(received, Secret(secret), verify_time_drift=False)
            return is_genuine and abs(now - at) <= 5
        key = secret.encode()
        if kind == "checkout_com":
            return hmac.compare_digest(given["cko-signature"], hex_tag(key, body))
        if kind == "lemon_squeezy":
            return hmac.compare_digest(given["x-signature"], hex_tag(key, body))
        if kind == "airwallex":
            stamp = given["x-timestamp"]
            is_near = abs(now * 1000 - int(stamp)) <= 300_000
            return is_near and hmac.compare_digest(given["x-signature"], hex_tag(key, stamp.encode() + body))
        if kind == "coinbase_cdp":
            pairs = dict(pair.split("=", 1) for pair in given["x-hook0-signature"].split(","))
            is_near = abs(now - int(pairs["t"])) <= 300
            return is_near and hmac.compare_digest(pairs["v0"], hex_tag(key, f"{pairs['t']}.".encode() + body))
        if kind == "shopify":
            is_own = given["x-shopify-shop-domain"] == f"{values['account']}.myshopify.com"
            return is_own and hmac.compare_digest(given["x-shopify-hmac-sha256"], base64_tag(key, body))
        if kind == "standard_webhooks_v1a":
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(secret.removeprefix("whpk_")))
            stamp = given["webhook-timestamp"]
            text = f"{given['webhook-id']}.{stamp}.".encode() + body
            if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp)) > 300:
                return False
            listed = [entry.split(",", 1) for entry in given["webhook-signature"].split(" ")]
            for tag in [tag for version, tag in listed if version == "v1a"]:
                try:
                    decoded = base64.b64decode(tag, validate=True)
                    public.verify(decoded, text)
                    # A signature has one text: bits that decode to nothing are no other one.
                    return base64.b64encode(decoded).decode() == tag
                except Exception:  # another one may match
                    continue
            return False
        if kind == "worldline":
            is_known = given["x-gcs-keyid"] == values["key_id"]
            return is_known and hmac.compare_digest(given["x-gcs-signature"], base64_tag(key, body))
    except Exception:  # every library has its own, and a missing header is a KeyError
        return False
    raise SystemExit(f"nobody said how {kind} is verified")


def text(dice):
    pieces = ["a", "é", "中", "😀", '"', "\\", "/", " ", "\t", "+", "%2B", "&", "=", "{", "}", "0", ".", ",", "\u2028"]
    return "".join(dice.choice(pieces) for _ in range(dice.randrange(12)))


def stamp(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def minor(dice, decimals, own=None):
    """A number in the platform's smallest unit, and the same in that of ISO 4217."""
    amount = dice.randrange(1, 10**9)
    own = decimals if own is None else own
    return amount * 10 ** max(0, own - decimals), amount


def decimal(amount, decimals):
    if decimals == 0:
        return str(amount)
    whole, part = divmod(amount, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


class Number(str):
    """A JSON number that is written as it stands."""


def dump(value):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{dump(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dump(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def said(event, name, amount, currency, order):
    return {"event": event, "name": name, "minor": amount, "currency": currency, "order": order}


# One message of each platform: the value of its body, and what happened by it.
def story(kind, dice, values, at, number):
    order, account = f"T{number}", values["account"]
    note = text(dice)
    if kind == "razorpay":
        currency = dice.choice(["INR", "USD", "JPY", "KWD"])
        sent, amount = minor(dice, DECIMALS[currency])
        name = f"pay_{number}"
        payment = {"id": name, "amount": sent, "currency": currency, "order_id": f"order_{number}"}
        payment["notes"] = dice.choice([[], {"order_no": order}])
        order = order if payment["notes"] else payment["order_id"]
        event, means = dice.choice(
            [
                ("payment.captured", "payment.succeeded"),
                ("order.paid", "payment.succeeded"),
                ("payment_link.paid", "payment.succeeded"),
                ("payment.authorized", "payment.authorized"),
                ("payment.failed", "payment.failed"),
                ("refund.processed", "refund.succeeded"),
            ]
        )
        payload = {"payment": {"entity": payment}}
        fact = said(means, name, amount, currency, order)
        if event.startswith("refund"):
            part, back = minor(dice, DECIMALS[currency])
            entity = {"id": f"rfnd_{number}", "payment_id": name, "amount": part, "currency": currency}
            payload["refund"] = {"entity": entity}
            fact = said(means, entity["id"], back, currency, order)
        body = {"entity": "event", "account_id": account, "event": event, "note": note, "payload": payload}
        return {**body, "created_at": at}, fact
    if kind == "checkout_com":
        currency = dice.choice(["USD", "JPY", "KWD", "CLP", "ISK"])
        # Chilean pesos by a hundred, Icelandic crowns whole.
        sent, amount = minor(dice, DECIMALS[currency], 2 if currency == "CLP" else None)
        event, means = dice.choice(
            [
                ("payment_pending", "payment.pending"),
                ("payment_approved", "payment.authorized"),
                ("payment_captured", "payment.succeeded"),
                ("payment_declined", "payment.failed"),
                ("payment_voided", "payment.closed"),
                ("payment_canceled", "payment.closed"),
                ("payment_expired", "payment.closed"),
                ("payment_refunded", "refund.succeeded"),
                ("payment_refund_declined", "refund.failed"),
            ]
        )
        name = f"pay_{number}"
        data = {"id": name, "action_id": f"act_{number}", "reference": order, "amount": sent, "currency": currency}
        if means.startswith("refund"):
            name = data["action_id"]
        body = {"id": f"evt_{number}", "type": event, "created_on": stamp(at), "data": {**data, "note": note}}
        return body, said(means, name, amount, currency, order)
    if kind == "paddle":
        currency = dice.choice(["USD", "JPY", "EUR"])
        sent, amount = minor(dice, DECIMALS[currency])
        event, means = dice.choice(
            [
                ("transaction.paid", "payment.succeeded"),
                ("transaction.completed", "payment.finalized"),
                ("transaction.payment_failed", "payment.failed"),
                ("transaction.canceled", "payment.closed"),
                ("adjustment.updated", "refund.succeeded"),
            ]
        )
        name = f"txn_{number}"
        data = {"id": name, "currency_code": currency, "custom_data": {"order_no": order, "note": note}}
        data["details"] = {"totals": {"total": "1", "grand_total": str(sent)}}
        if event.startswith("adjustment"):
            name, order = f"adj_{number}", None
            data = {"id": name, "action": "refund", "status": "approved", "transaction_id": f"txn_{number}"}
            data |= {"currency_code": currency, "totals": {"total": str(sent)}, "reason": note}
        body = {"event_id": f"evt_{number}", "event_type": event, "occurred_at": stamp(at), "data": data}
        return body, said(means, name, amount, currency, order)
    if kind == "airwallex":
        currency = dice.choice(["USD", "JPY", "KWD"])
        _, amount = minor(dice, DECIMALS[currency])
        wire = Number(decimal(amount, DECIMALS[currency]))
        event, means = dice.choice(
            [
                ("payment_intent.succeeded", "payment.succeeded"),
                ("payment_intent.requires_capture", "payment.authorized"),
                ("payment_intent.cancelled", "payment.closed"),
                ("payment_intent.pending", "payment.pending"),
                ("refund.settled", "refund.succeeded"),
                ("refund.failed", "refund.failed"),
            ]
        )
        name = f"int_{number}"
        thing = {"id": name, "merchant_order_id": order, "amount": wire, "currency": currency, "note": note}
        if means == "payment.succeeded":
            # A part may have been captured.
            thing |= {"amount": Number("99999999"), "captured_amount": wire}
        if event.startswith("refund"):
            name, order = f"rfd_{number}", None
            thing = {"id": name, "payment_intent_id": f"int_{number}", "amount": wire, "currency": currency}
        body = {"id": f"evt_{number}", "name": event, "account_id": account, "data": {"object": thing}}
        return body, said(means, name, amount, currency, order)
    if kind == "square":
        currency = dice.choice(["USD", "JPY", "GBP"])
        sent, amount = minor(dice, DECIMALS[currency])
        means, status = dice.choice(
            [
                ("payment.succeeded", "COMPLETED"),
                ("payment.authorized", "APPROVED"),
                ("payment.closed", "CANCELED"),
                ("payment.failed", "FAILED"),
                ("refund.succeeded", "COMPLETED"),
                ("refund.failed", "REJECTED"),
            ]
        )
        thing = means.split(".")[0]
        name = f"{thing}_{number}"
        money = {"amount": sent, "currency": currency}
        value = {"id": name, "status": status, "order_id": f"SQ{number}", "note": note}
        if thing == "payment":
            value |= {"amount_money": {"amount": 1, "currency": currency}, "total_money": money, "reference_id": order}
        else:
            order = value["order_id"]
            value |= {"amount_money": money, "payment_id": f"payment_{number}"}
        event = f"{thing}.{dice.choice(['created', 'updated'])}"
        body = {"merchant_id": account, "type": event, "event_id": f"e{number}", "created_at": stamp(at)}
        return {**body, "data": {"type": thing, "object": {thing: value}}}, said(means, name, amount, currency, order)
    if kind == "coinbase_commerce":
        _, amount = minor(dice, 2)
        event, means = dice.choice(
            [
                ("charge:created", "payment.pending"),
                ("charge:pending", "payment.pending"),
                ("charge:confirmed", "payment.succeeded"),
                ("charge:resolved", "payment.succeeded"),
                ("charge:failed", "payment.failed"),
            ]
        )
        name = f"charge-{number}"
        data = {"id": name, "code": f"C{number}", "metadata": {"order_no": order, "note": note}}
        data["pricing"] = {"local": {"amount": decimal(amount, 2), "currency": "USD"}}
        event = {"id": f"ev-{number}", "type": event, "created_at": stamp(at), "data": data}
        return {"id": f"try-{dice.random()}", "event": event}, said(means, name, amount, "USD", order)
    if kind == "coinbase_cdp":
        _, amount = minor(dice, 2)
        event, means = dice.choice(
            [
                ("checkout.payment.success", "payment.succeeded"),
                ("checkout.payment.failed", "payment.failed"),
                ("checkout.payment.expired", "payment.closed"),
            ]
        )
        body = {"id": f"ch{number}", "amount": decimal(amount, 2), "currency": "USDC", "eventType": event}
        body |= {"metadata": {"order_no": order, "note": note}, "updatedAt": stamp(at)}
        return body, said(means, body["id"], amount, "USD", order)
    if kind == "lemon_squeezy":
        sent, amount = minor(dice, 2)
        means, event, status = dice.choice(
            [
                ("payment.succeeded", "order_created", "paid"),
                ("payment.pending", "order_created", "pending"),
                ("refund.succeeded", "order_refunded", "refunded"),
            ]
        )
        name = str(number)
        attributes = {"store_id": int(account), "status": status, "currency": "USD", "total": sent, "note": note}
        if event == "order_refunded":
            # All that was given back so far; the total tells which refund this is.
            attributes |= {"total": 10**10, "refunded_amount": sent}
            name = f"{name}:total:{amount}"
        meta = {"event_name": event, "test_mode": False, "custom_data": {"order_no": order}}
        body = {"meta": meta, "data": {"type": "orders", "id": str(number), "attributes": attributes}}
        return body, said(means, name, amount, "USD", order)
    if kind == "shopify":
        currency = dice.choice(["USD", "JPY", "KWD"])
        _, amount = minor(dice, DECIMALS[currency])
        means, status = dice.choice(
            [
                ("payment.succeeded", "paid"),
                ("payment.authorized", "authorized"),
                ("payment.pending", "pending"),
                ("payment.closed", "voided"),
            ]
        )
        body = {"id": number, "financial_status": status, "total_price": decimal(amount, DECIMALS[currency])}
        body |= {"currency": currency, "test": False, "note": note}
        return body, said(means, str(number), amount, currency, str(number))
    if kind == "worldline":
        currency = dice.choice(["EUR", "JPY"])
        sent, amount = minor(dice, DECIMALS[currency])
        event, means = dice.choice(
            [
                ("payment.created", "payment.pending"),
                ("payment.captured", "payment.succeeded"),
                ("payment.rejected", "payment.failed"),
                ("payment.refunded", "refund.succeeded"),
            ]
        )
        thing = "refund" if means.startswith("refund") else "payment"
        output = {"amountOfMoney": {"amount": sent, "currencyCode": currency}, "references": {"merchantReference": order}}
        value = {"id": f"{number}_0", f"{thing}Output": output, "note": note}
        body = {"id": f"ev{number}", "type": event, "created": stamp(at), "merchantId": account, thing: value}
        return body, said(means, value["id"], amount, currency, order if thing == "payment" else None)
    if kind in ("standard_webhooks", "standard_webhooks_v1a"):
        sent, amount = minor(dice, 2)
        event = dice.choice(["payment.succeeded", "payment.failed", "refund.succeeded", "transfer.succeeded"])
        data = {"merchant": account, "order_no": order, "amount": {"minor": sent, "currency": "EUR"}, "note": note}
        name = f"msg_{number}"
        # A gateway says more than another sender, and its payments go by their own number.
        if dice.randrange(2):
            data |= {"environment": "live", "channel": "shop", "platform_no": f"P{number}"}
            name = f"shop:P{number}" if event.startswith("payment") else name
        body = {"type": event, "timestamp": stamp(at), "data": data}
        return body, said(event, name, amount, "EUR", order)
    if kind == "gocardless":
        resource, action, means = dice.choice(
            [
                ("payments", "confirmed", "payment.succeeded"),
                ("payments", "paid_out", "payment.finalized"),
                ("payments", "failed", "payment.failed"),
                ("payments", "cancelled", "payment.closed"),
                ("refunds", "paid", "refund.succeeded"),
                ("refunds", "failed", "refund.failed"),
                ("mandates", "failed", "other"),
            ]
        )
        thing = {"payments": "payment", "refunds": "refund", "mandates": "mandate"}[resource]
        name = f"{thing}-{number}"
        event = {"id": f"EV{number}", "created_at": stamp(at), "resource_type": resource, "action": action}
        event |= {"links": {thing: name}, "details": {"description": note}, "resource_metadata": {"order_no": order}}
        # A batch: what stands behind the first is told as well.
        events = [event] + [{**event, "id": f"EV{number}-{one}"} for one in range(dice.randrange(3))]
        if means == "other":
            # An event without a meaning is called as the message is, and a batch by its digest.
            events, name = [event], event["id"]
        return {"events": events, "meta": {"webhook_id": f"WB{number}"}}, said(means, name, None, None, order)
    raise SystemExit(f"nobody said what {kind} tells")


KINDS = [
    "razorpay",
    "checkout_com",
    "paddle",
    "airwallex",
    "square",
    "coinbase_commerce",
    "coinbase_cdp",
    "lemon_squeezy",
    "shopify",
    "worldline",
    "gocardless",
    "standard_webhooks",
    "standard_webhooks_v1a",
]

# So many messages are signed with one secret.
SAME_SECRET = 20

# How another signature may stand beside the genuine one.
ROTATING = {"paddle": ";h1=", "standard_webhooks": " v1,", "standard_webhooks_v1a": " v1a,"}
ACCOUNTS = {"lemon_squeezy": "1{0:06d}", "square": "ML{0}", "shopify": "shop-{0}"}


def secret_of(kind, dice):
    if kind == "standard_webhooks":
        return "whsec_" + base64.b64encode(dice.randbytes(dice.randrange(24, 65))).decode()
    if kind == "standard_webhooks_v1a":
        return "whsk_" + base64.b64encode(dice.randbytes(32)).decode()
    return "".join(dice.choice("abcdefghijklmnopqrstuvwxyzABCDEF0123456789_-") for _ in range(dice.randrange(16, 60)))


def make(seed, count):
    dice = random.Random(seed)
    now = int(time.time())
    for kind in KINDS:
        account = ACCOUNTS.get(kind, "acc_{0}").format(dice.randrange(10**6))
        values = {"account": account, "notification_url": URL, "key_id": f"key-{dice.randrange(10**6)}"}
        for index in range(count):
            if index % SAME_SECRET == 0:
                secrets = [secret_of(kind, dice) for _ in range(2)]
            number = int(seed) * 10**5 + index
            at, secret, name = now, secrets[0], f"msg_{number}"
            value, fact = story(kind, dice, values, at, number)
            body = dump(value).encode()
            way = dice.choice(["none", "none", "none", "body", "blank", "digit", "secret", "time", "rotated", "twice", "lost"])
            if way == "time":
                at += dice.choice([-4000, 4000, -3, 3])
            if way == "secret":
                secret = secrets[1]
            headers = sign(kind, secret, values, body, at, name)
            if way == "body":
                body = body.replace(b"1", b"2", 1)
            if way == "blank":
                body += dice.choice([b" ", b"\n"])
            header, sent = headers[-1]
            if way == "digit":
                # Of several signatures in one header, the one that counts.
                end = sent.index(",h=") if kind == "coinbase_cdp" else len(sent)
                place = end - dice.randrange(2, 30)
                sent = sent[:place] + ("0" if sent[place] != "0" else "1") + sent[place + 1 :]
                headers[-1] = [header, sent]
            if way == "twice":
                headers.append([header, dice.choice([sent, "0" * 64])])
            if way == "lost":
                headers.pop()
            if way == "rotated" and kind in ROTATING:
                mark = ROTATING[kind]
                other = sign(kind, secrets[1], values, body, at, name)[-1][1]
                headers[-1] = [header, sent + mark + other.split(mark.strip(), 1)[-1].removeprefix("v1,").removeprefix("v1a,")]
            own = public_of(secrets[0]) if secrets[0].startswith("whsk_") else secrets[0]
            judged = verdict(kind, own, values, headers, body, now)
            request = {"method": "POST", "path": f"/notify/{kind}", "query": ""}
            request["headers"] = [["content-type", "application/json"], *headers]
            request["body_base64"] = base64.b64encode(body).decode()
            line = {"kind": kind, "secret": own, "values": values, "way": way, "now": now, "request": request}
            print(json.dumps({**line, "genuine": judged, "expect": fact}))


def judge():
    for line in sys.stdin:
        asked = json.loads(line)
        request = asked["request"]
        body = base64.b64decode(request["body_base64"])
        args = (asked["kind"], asked["secret"], asked["values"], request["headers"], body, asked["now"])
        print(json.dumps({"genuine": verdict(*args)}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]))
    else:
        judge()
