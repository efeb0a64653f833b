"""Official SDKs of platforms that sign with a shared secret: `make SEED COUNT SECRETS` prints requests with the
SDK's own verdict, `judge` reads requests and prints the verdicts. A request is one JSON value a line."""

import hashlib
import hmac
import json
import random
import sys
import time
from datetime import datetime, timezone

import razorpay
import standardwebhooks
import stripe


def judge(sdk, secret, headers, body):
    headers = {name.lower(): value for name, value in headers}
    try:
        if sdk == "stripe":
            stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], secret, 300)
        elif sdk == "standard":
            standardwebhooks.Webhook(secret).verify(body, headers, json_parse=False)
        else:
            razorpay.Utility().verify_webhook_signature(body, headers["x-razorpay-signature"], secret)
        return True
    except Exception:  # every SDK has its own, and a missing header is a KeyError
        return False


def signed(sdk, secret, body, at, number):
    if sdk == "stripe":
        return [["Stripe-Signature", stripe.WebhookSignature.generate_signature_header(body, secret, at)]]
    if sdk == "standard":
        stamp = datetime.fromtimestamp(at, tz=timezone.utc)
        name = f"msg_{number}"
        return [
            ["webhook-id", name],
            ["webhook-timestamp", str(at)],
            ["webhook-signature", standardwebhooks.Webhook(secret).sign(name, stamp, body)],
        ]
    # This SDK only verifies; its own check below must accept what is made here.
    return [["X-Razorpay-Signature", hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()]]


def text(dice):
    pieces = ["a", "é", "中", "😀", '"', "\\", "/", " ", "\t", "+", "%2B", "&", "=", "{", "}", "0", ".", ",", "\u2028"]
    return "".join(dice.choice(pieces) for _ in range(dice.randrange(12)))


def body(dice, number):
    value = {
        "id": f"evt_{number}",
        "type": dice.choice(["payment.paid", "something.else"]),
        "data": {"id": f"P{number}", "amount": dice.randrange(1, 10**12), "currency": "EUR", "note": text(dice)},
    }
    indent = dice.choice([None, None, 2])
    return json.dumps(value, ensure_ascii=dice.random() < 0.5, indent=indent)


def spoil(dice, sdk, headers, body_text, secret, secrets, at, number):
    """One of the ways in which a message is not genuine, or only looks as if it were not."""
    way = dice.choice(["none", "none", "body", "digit", "stale", "early", "secret", "blank", "rotated", "time"])
    if way == "body":
        body_text = body_text.replace("evt_", "evt-", 1)
    elif way == "blank":
        body_text += dice.choice([" ", "\n"])
    elif way == "digit":
        name, value = headers[-1]
        place = len(value) - 8
        headers[-1] = [name, value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]]
    elif way in ("stale", "early") and sdk != "razorpay":
        headers = signed(sdk, secret, body_text, at + (-4000 if way == "stale" else 4000), number)
    elif way == "secret":
        headers = signed(sdk, dice.choice([s for s in secrets if s != secret]), body_text, at, number)
    elif way == "rotated" and sdk != "razorpay":
        other = signed(sdk, dice.choice(secrets), body_text, at, number)
        name, value = headers[-1]
        added = other[-1][1].split(",", 1)[1]
        headers[-1] = [name, f"{value} v1,{added}" if sdk == "standard" else f"{value},{added}"]
    elif way == "time" and sdk != "razorpay":
        name, value = headers[0] if sdk == "stripe" else headers[1]
        changed = value.replace(str(at), str(at + 1))
        headers = [[n, changed if n == name else v] for n, v in headers]
    return way, headers, body_text


def make(seed, count, secrets):
    at = int(time.time())
    for sdk in ("stripe", "standard", "razorpay"):
        for number in range(count):
            dice = random.Random(f"{seed} {sdk} {number}")
            which = dice.randrange(len(secrets))
            secret = secrets[which]
            text_body = body(dice, number)
            headers = signed(sdk, secret, text_body, at, number)
            assert judge(sdk, secret, headers, text_body)
            way, headers, text_body = spoil(dice, sdk, headers, text_body, secret, secrets, at, number)
            verdict = judge(sdk, secret, headers, text_body)
            print(json.dumps({"sdk": sdk, "secret": which, "way": way, "headers": headers, "body": text_body, "genuine": verdict}))


if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
else:
    for line in sys.stdin:
        case = json.loads(line)
        print(json.dumps(judge(case["sdk"], case["secret"], case["headers"], case["body"])))
