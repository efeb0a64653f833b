"""Stripe's webhooks a second time: signatures made and judged by Stripe's own library, and what an event means, written
from the description of the platform without a look at ours.

`make SEED COUNT` prints COUNT messages, a JSON value a line, some of them spoilt; `judge` reads `{secret, request, now}` and
prints a verdict for each.

Where this is stricter than the library, the description says so: a time too far ahead, one that is given twice, and
signatures that are not 64 lower-case digits.
"""

import base64
import json
import random
import re
import sys

import stripe
import stripe._webhook as webhook

ZERO = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()
HUNDREDFOLD = "isk ugx".split()
USUAL = "usd eur gbp huf twd cny".split()

# How many of the platform's units make one of ISO 4217's, or the other way round.
TO_ISO = {"mga": 100, "isk": 1 / 100, "ugx": 1 / 100}


# Stands where a failure has no name but its event's.
EVENT_ID = "event"


class Clock:
    """What the library asks for the time."""

    def __init__(self):
        self.now = 0

    def time(self):
        return self.now


CLOCK = Clock()
webhook.time = CLOCK


def library(secret, header, body, now):
    """Whether Stripe's own library takes it."""
    CLOCK.now = now
    try:
        return stripe.WebhookSignature.verify_header(body, header, secret, tolerance=300)
    except (stripe.SignatureVerificationError, ValueError, IndexError):
        return False


def is_plain(header):
    """A list of pairs, one time in plain digits, and signatures as the platform writes them."""
    pairs = [item.split("=", 1) for item in header.split(",")]
    if any(len(pair) != 2 for pair in pairs):
        return False
    times = [value for name, value in pairs if name == "t"]
    tags = [value for name, value in pairs if name == "v1"]
    return (
        len(times) == 1
        and re.fullmatch(r"[0-9]{1,10}", times[0]) is not None
        and all(re.fullmatch(r"[0-9a-f]{64}", tag) for tag in tags)
    )


def is_near(header, now):
    return abs(int(dict(item.split("=", 1) for item in header.split(","))["t"]) - now) <= 300


def verdict(secret, headers, body, now):
    given = [value for name, value in headers if name.lower() == "stripe-signature"]
    if len(given) != 1 or not is_plain(given[0]):
        return False
    return bool(library(secret, given[0], body, now)) and is_near(given[0], now)


def minor(amount, currency):
    """In the units of ISO 4217; none where there is no such amount."""
    if currency in HUNDREDFOLD:
        return amount // 100 if amount % 100 == 0 else None
    return amount * TO_ISO.get(currency, 1)


def money(rnd):
    currency = rnd.choice(USUAL * 3 + ZERO + HUNDREDFOLD)
    amount = rnd.randrange(1, 10**9)
    if currency in HUNDREDFOLD and rnd.random() < 0.8:
        amount *= 100
    return amount, currency


def story(rnd, version):
    """A type, its object, and what it means: event, name, order, whether an amount is told, held."""
    number = lambda prefix: prefix + "".join(rnd.choices("0123456789abcdefXYZ", k=20))
    order = rnd.choice(["T", "订单", "order:"]) + str(rnd.randrange(10**9))
    amount, currency = money(rnd)
    pi, ch, cs, re_, du, po = (number(prefix) for prefix in ("pi_", "ch_", "cs_", "re_", "du_", "po_"))
    base = {"currency": currency, "metadata": {"order_id": order, "é": "\u2028 \"\\ 😀"}}
    kind = rnd.choice(["intent", "charge", "session", "refund", "dispute", "payout", "notice"])
    told = lambda event, name, paid=True, held=False, order=order: (event, name, order, paid, held)
    if kind == "intent":
        what = rnd.choice(
            "succeeded created processing requires_action partially_funded canceled payment_failed amount_capturable_updated new".split()
        )
        status = {"succeeded": "succeeded"}.get(what, "requires_payment_method")
        if what == "succeeded" and rnd.random() < 0.1:
            status = "requires_capture"
        body = base | {
            "id": pi, "object": "payment_intent", "amount": amount, "amount_received": amount,
            "amount_capturable": amount, "latest_charge": ch, "status": status,
        }
        attempt = ch
        if what == "payment_failed" and rnd.random() < 0.6:
            # The attempt's own charge, if it came so far; the latest one may be an earlier attempt's.
            attempt = rnd.choice([None, number("ch_")])
            body["last_payment_error"] = {"code": "card_declined"} | ({"charge": attempt} if attempt else {})
        means = {
            "created": ("other", None, None, False, False),
            "succeeded": told("payment.succeeded", pi) if status == "succeeded" else ("other", None, None, False, True),
            "processing": told("payment.pending", pi, False),
            "requires_action": told("payment.pending", pi, False),
            "partially_funded": told("payment.pending", pi, False),
            "canceled": told("payment.closed", pi, False),
            "payment_failed": told("payment.failed", attempt or EVENT_ID),
            "amount_capturable_updated": told("payment.authorized", None),
            "new": ("other", None, None, False, True),
        }[what]
        return f"payment_intent.{what}", body, means, (amount, currency)
    if kind == "charge":
        what = rnd.choice("succeeded captured failed expired pending refunded updated".split())
        captured = what == "captured" or rnd.random() < 0.5
        has_intent = rnd.random() < 0.7
        name = pi if has_intent else ch
        body = base | {
            "id": ch, "object": "charge", "amount": amount, "amount_captured": amount if captured else 0,
            "amount_refunded": amount if what == "refunded" else 0, "captured": captured,
            "payment_intent": pi if has_intent else None,
        }
        if what == "refunded":
            body["refunds"] = {"object": "list", "data": [
                {"id": re_, "amount": amount, "currency": currency, "status": "succeeded"}
            ]}
        means = {
            "succeeded": told("payment.succeeded", name) if captured else told("payment.authorized", None),
            "captured": told("payment.succeeded", name),
            "failed": told("payment.failed", ch),
            "expired": told("payment.closed", name, False),
            "pending": told("payment.pending", name, False),
            # An authorisation that is given up gives no money back.
            "refunded": told("refund.succeeded", re_) if captured else told("payment.closed", name, False),
            "updated": ("other", None, None, False, False),
        }[what]
        return f"charge.{what}", body, means, (amount, currency)
    if kind == "session":
        what = rnd.choice("completed async_payment_succeeded async_payment_failed expired".split())
        status = rnd.choice(["paid", "unpaid"]) if what == "completed" else "paid"
        status = "unpaid" if what in ("async_payment_failed", "expired") else status
        body = base | {
            "id": cs, "object": "checkout.session", "amount_total": amount, "payment_intent": pi,
            "payment_status": status, "client_reference_id": "R" + order,
        }
        name, is_loose = pi, False
        if rnd.random() < 0.2:
            # Of a subscription. Only the invoice ties it to its PaymentIntent, and not in later versions.
            body |= {"payment_intent": None, "invoice": number("in_")}
            name, is_loose = cs, version >= "2025-03-31"
        if rnd.random() < 0.5:
            body["metadata"] = {}
            order = "R" + order
        means = {
            "completed": told("payment.succeeded", name, held=is_loose) if status == "paid" else told("payment.pending", name, False),
            "async_payment_succeeded": told("payment.succeeded", name, held=is_loose),
            "async_payment_failed": told("payment.failed", cs),
            "expired": told("payment.closed", name, False),
        }[what]
        means = means[:2] + (order,) + means[3:]
        return f"checkout.session.{what}", body, means, (amount, currency)
    if kind == "refund":
        what = rnd.choice(["created", "updated", "failed"])
        status = "failed" if what == "failed" else rnd.choice("succeeded pending requires_action failed canceled odd".split())
        body = base | {"id": re_, "object": "refund", "amount": amount, "charge": ch, "payment_intent": pi, "status": status}
        means = {
            "succeeded": told("refund.succeeded", re_),
            "pending": ("other", None, None, False, False),
            "requires_action": ("other", None, None, False, False),
            "failed": told("refund.failed", re_),
            "canceled": told("refund.failed", re_),
            "odd": ("other", None, None, False, True),
        }[status]
        return f"refund.{what}", body, means, (amount, currency)
    if kind == "dispute":
        what = rnd.choice(["created", "updated", "closed", "funds_withdrawn"])
        status = rnd.choice(["won", "lost"]) if what == "closed" else "needs_response"
        body = base | {"id": du, "object": "dispute", "amount": amount, "charge": ch, "payment_intent": pi, "status": status}
        event = {"created": "opened", "closed": "closed"}.get(what, "updated")
        state = "funds_withdrawn" if what == "funds_withdrawn" else status
        return f"charge.dispute.{what}", body, told(f"dispute.{event}", f"{du}:{state}"), (amount, currency)
    if kind == "payout":
        what = rnd.choice(["paid", "failed", "canceled"])
        # Whole units where payouts have no others.
        if currency in ("huf", "twd"):
            amount *= 100
        body = base | {"id": po, "object": "payout", "amount": amount, "status": what}
        event = "transfer.succeeded" if what == "paid" else "transfer.failed"
        return f"payout.{what}", body, told(event, po), (amount, currency)
    what = rnd.choice(["customer.created", "invoice.paid", "price.updated", "transfer.created"])
    return what, {"id": "x"} | base, ("other", None, None, False, False), (amount, currency)


DAMAGES = (
    "body", "secret", "old", "ahead", "edge", "other scheme", "tag", "upper", "no time", "two times", "cut", "other body",
    "decoded secret",
)


def make(seed, count):
    rnd = random.Random(seed)
    for index in range(count):
        secret = "whsec_" + "".join(rnd.choices("ABCDEFghijkl0123456789+/=", k=rnd.randrange(10, 60)))
        now = 1_700_000_000 + rnd.randrange(10**8)
        version = rnd.choice(["2020-08-27", "2022-11-15", "2025-02-24.acacia", "2025-03-31.basil", "2026-01-28.clover"])
        kind, body, means, (amount, currency) = story(rnd, version)
        event = {
            "id": f"evt_{index}", "object": "event", "type": kind, "created": now - 5, "livemode": True,
            "api_version": version, "data": {"object": body}, "pending_webhooks": 1, "request": None,
        }
        text = json.dumps(event, ensure_ascii=rnd.random() < 0.5, indent=rnd.choice([None, None, 2]))
        at, key, damage = now + rnd.randrange(-300, 301), secret, None
        if rnd.random() < 0.4:
            damage = rnd.choice(DAMAGES)
        if damage == "old":
            at = now - rnd.randrange(301, 10**6)
        if damage == "ahead":
            at = now + rnd.randrange(301, 10**6)
        if damage == "edge":
            at = now + rnd.choice([-301, -300, 300, 301])
        if damage == "secret":
            key = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        if damage == "decoded secret":
            key = secret.removeprefix("whsec_")
        header = stripe.WebhookSignature.generate_signature_header(text, key, at)
        time, tag = header.split(",")
        if rnd.random() < 0.3:
            others = [f"v0={tag[3:]}", "v1=" + "0" * 64, "x=y"]
            header = ",".join(rnd.sample([tag] + others, 4) + [time]) if rnd.random() < 0.5 else header + ",v0=abc"
        if damage == "other scheme":
            header = header.replace("v1=" + tag[3:], "v2=" + tag[3:])
        if damage == "tag":
            at_digit = 3 + rnd.randrange(64)
            header = header.replace(tag, tag[:at_digit] + ("0" if tag[at_digit] != "0" else "1") + tag[at_digit + 1:])
        if damage == "upper":
            header = header.replace(tag, "v1=" + tag[3:].upper())
        if damage == "no time":
            header = ",".join(item for item in header.split(",") if not item.startswith("t="))
        if damage == "two times":
            header += f",t={at}"
        if damage == "cut":
            header = header[: rnd.randrange(1, len(header))]
        sent = text
        if damage == "body":
            sent = text + rnd.choice([" ", "\n", "\r\n"])
        if damage == "other body":
            sent = text.replace(f'"evt_{index}"', f'"evt_{index}0"')
        headers = [["Content-Type", "application/json; charset=utf-8"], ["Stripe-Signature", header]]
        name, found = f"evt_{index}" if means[1] == EVENT_ID else means[1], minor(amount, currency) if means[3] else None
        expect = {
            "event": means[0], "name": name, "order": means[2],
            "minor": None if found is None else int(found),
            "currency": currency.upper() if found is not None else None,
            "held": means[4] or (means[3] and found is None),
        }
        request = {
            "method": "POST", "path": "/notify/stripe", "query": "", "headers": headers,
            "body_base64": base64.b64encode(sent.encode()).decode(),
        }
        genuine = verdict(secret, headers, sent.encode(), now)
        line = {"secret": secret, "now": now, "request": request, "genuine": genuine, "expect": expect, "damage": damage}
        print(json.dumps(line))


def judge():
    for line in sys.stdin:
        asked = json.loads(line)
        body = base64.b64decode(asked["request"]["body_base64"])
        genuine = verdict(asked["secret"], asked["request"]["headers"], body, asked["now"])
        if genuine:
            # A snapshot event to the library as well, not only a signature.
            CLOCK.now = asked["now"]
            signature = [value for name, value in asked["request"]["headers"] if name == "stripe-signature"][0]
            event = stripe.Webhook.construct_event(body, signature, asked["secret"])
            print(json.dumps({"genuine": True, "id": event.id, "type": event.type}))
        else:
            print(json.dumps({"genuine": False}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(int(sys.argv[2]), int(sys.argv[3]))
    else:
        judge()
