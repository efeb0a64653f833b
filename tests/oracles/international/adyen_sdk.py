"""Adyen's webhooks a second time: signatures made and judged by Adyen's own library, and what an item means, written from
the description of the platform without a look at ours.

`make SEED COUNT` prints COUNT messages, a JSON value a line, some of them spoilt; `judge` reads `{kind, key, request}` and
prints a verdict for each.

Where this is stricter than the library, the description says so: every item is judged, and not only the first; `success`
is one of two texts; an amount is an integer as it is written; one item comes once.
"""

import base64
import json
import random
import sys

from Adyen import util

DECIMALS = {"EUR": 0, "USD": 0, "GBP": 0, "JPY": 0, "KWD": 0, "CNY": 0}

# Powers of ten between Adyen's minor unit and that of ISO 4217.
SHIFTED = {"CLP": -2, "ISK": -2, "CVE": 2, "IDR": 2}


def library(item, key):
    """Whether Adyen's own library takes it. What is null it would call `None`: the description says it is empty."""
    plain = {name: value for name, value in item.items() if value is not None}
    if not (plain.get("additionalData") or {}).get("hmacSignature"):
        return False
    try:
        return bool(util.is_valid_hmac_notification(plain, key))
    except (KeyError, ValueError, TypeError):
        return False


def verdict(key, body):
    try:
        message = json.loads(body)
        items = [one["NotificationRequestItem"] for one in message["notificationItems"]]
    except (ValueError, KeyError, TypeError):
        return False
    if message.get("live") not in ("true", "false") or not items:
        return False
    return all(item.get("success") in ("true", "false") and library(item, key) for item in items)


def minor(value, currency):
    shift = SHIFTED.get(currency, DECIMALS.get(currency, 0))
    if shift >= 0:
        return value * 10**shift
    return value // 10**-shift if value % 10**-shift == 0 else None


CODES = {
    # code: (event on success, event on failure, whether the payment is the original one, whether an amount is told)
    "AUTHORISATION": ("payment.succeeded", "payment.failed", False, True),
    "PENDING": ("payment.pending", "other", False, True),
    "CANCELLATION": ("payment.closed", "other", True, False),
    "EXPIRE": ("payment.closed", "other", True, False),
    "REFUND": ("refund.succeeded", "refund.failed", True, True),
    "REFUND_FAILED": ("refund.failed", "refund.failed", True, True),
    "REFUNDED_REVERSED": ("refund.failed", "refund.failed", True, True),
    "NOTIFICATION_OF_CHARGEBACK": ("dispute.opened", "dispute.opened", True, True),
    "CHARGEBACK": ("dispute.updated", "dispute.updated", True, True),
    "PREARBITRATION_LOST": ("dispute.closed", "dispute.closed", True, True),
    "PAYOUT_THIRDPARTY": ("transfer.succeeded", "transfer.failed", False, True),
    "RECURRING_CONTRACT": ("other", "other", False, False),
    "CANCEL_OR_REFUND": ("other", "other", True, False),
    "BRAND_NEW": ("other", "other", False, False),
}


def money(rnd):
    currency = rnd.choice(list(DECIMALS) * 2 + list(SHIFTED))
    value = rnd.randrange(1, 10**10)
    if SHIFTED.get(currency, 0) < 0 and rnd.random() < 0.8:
        value = value // 100 * 100 + 100
    return value, currency


def story(rnd, account, capture):
    """An item, and what it means."""
    number = lambda: "".join(rnd.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=16))
    code = rnd.choice(list(CODES) + ["CAPTURE", "AUTHORISATION", "AUTHORISATION"])
    success = rnd.random() < 0.75
    reference = rnd.choice(["T", "auth:", "订单", " T", "a::", "é\\"]) + str(rnd.randrange(10**9))
    value, currency = money(rnd)
    psp, original = number(), number()
    item = {
        "additionalData": {"cardSummary": "1111", "modification.action": rnd.choice(["cancel", "refund"])},
        "amount": {"value": value, "currency": currency}, "eventCode": code, "eventDate": "2026-11-21T04:00:00+00:00",
        "merchantAccountCode": account, "merchantReference": reference, "paymentMethod": "visa", "pspReference": psp,
        "reason": rnd.choice(["", "refused", "x:y"]), "success": "true" if success else "false",
    }
    if code == "CAPTURE":
        wins = success and capture == "later"
        means = ("payment.succeeded" if wins else "other", original if wins else None, wins)
        item["originalReference"] = original
    else:
        won, lost, follows, tells = CODES[code]
        event = won if success else lost
        if event == "payment.succeeded" and capture == "later":
            event = "payment.authorized"
        if follows:
            item["originalReference"] = original
        elif rnd.random() < 0.5:
            item["originalReference"] = rnd.choice(["", None])
        name = original if event == "payment.closed" else psp
        if event.startswith("dispute."):
            name = f"{psp}:{code}"
        means = (event, None if event == "other" else name, tells and event != "other")
    event, name, tells = means
    found = minor(value, currency) if tells else None
    held = (tells and found is None) or code == "BRAND_NEW" or (code == "CANCEL_OR_REFUND" and success)
    expect = {
        "event": event, "name": name, "order": None if event == "other" else reference, "minor": found,
        "currency": currency if found is not None else None,
    }
    return item, expect, held


def sign(item, key):
    plain = {name: value for name, value in item.items() if value is not None}
    item["additionalData"]["hmacSignature"] = util.generate_notification_sig(plain, key).decode()


DAMAGES = (
    "value", "currency", "reference", "psp", "original", "account", "code", "success", "tag", "key", "unsigned", "twice",
    "escaped", "float", "other case", "flag",
)


def spoil(rnd, damage, item, key):
    if damage == "value":
        item["amount"]["value"] += 1
    elif damage == "currency":
        item["amount"]["currency"] = "SEK"
    elif damage in ("reference", "psp", "account", "code"):
        name = {"reference": "merchantReference", "psp": "pspReference", "account": "merchantAccountCode", "code": "eventCode"}
        item[name[damage]] += "1"
    elif damage == "original":
        item["originalReference"] = (item.get("originalReference") or "") + "1"
    elif damage == "success":
        item["success"] = "false" if item["success"] == "true" else "true"
    elif damage == "tag":
        tag = bytearray(base64.b64decode(item["additionalData"]["hmacSignature"]))
        tag[rnd.randrange(32)] ^= 1 << rnd.randrange(8)
        item["additionalData"]["hmacSignature"] = base64.b64encode(tag).decode()
    elif damage == "key":
        sign(item, key[:-1] + ("0" if key[-1] != "0" else "1"))
    elif damage == "unsigned":
        del item["additionalData"]["hmacSignature"]
    elif damage == "escaped":
        # As some guides have it; the same where nothing needs it.
        escaped = dict(item, merchantReference=item["merchantReference"].replace("\\", "\\\\").replace(":", "\\:"))
        sign(escaped, key)
        item["additionalData"] = escaped["additionalData"]
    elif damage == "float":
        item["amount"]["value"] = float(item["amount"]["value"])
    elif damage == "other case":
        item["success"] = item["success"].upper()
    elif damage == "flag":
        item["success"] = item["success"] == "true"


def request(body, headers):
    return {
        "method": "POST", "path": "/notify", "query": "", "headers": [["Content-Type", "application/json"]] + headers,
        "body_base64": base64.b64encode(body).decode(),
    }


def payments(rnd):
    key = "".join(rnd.choices("0123456789ABCDEF", k=64))
    account, capture = "Shop" + str(rnd.randrange(10**6)), rnd.choice(["immediate", "later"])
    stories = [story(rnd, account, capture) for _ in range(rnd.choice([1, 1, 1, 2, 6]))]
    for item, _, _ in stories:
        sign(item, key)
    damage = rnd.choice(DAMAGES) if rnd.random() < 0.4 else None
    spoilt = rnd.choice(stories)[0]
    twins = []
    if damage == "twice":
        # Said twice in one message, it is said once.
        twins.append(stories[0])
    elif damage is not None:
        spoil(rnd, damage, spoilt, key)
    items = [{"NotificationRequestItem": item} for item, _, _ in stories + twins]
    message = {"live": "true", "notificationItems": items}
    body = json.dumps(message, ensure_ascii=rnd.random() < 0.5, indent=rnd.choice([None, 2])).encode()
    return {
        "kind": "adyen", "key": key, "account": account, "capture": capture, "request": request(body, []),
        "genuine": verdict(key, body), "expect": [expect for _, expect, _ in stories],
        "held": any(held for _, _, held in stories), "damage": damage,
    }


def platform(rnd):
    key = "".join(rnd.choices("0123456789abcdef", k=64))
    account = "Platform" + str(rnd.randrange(10**6))
    value, currency = money(rnd)
    status = rnd.choice(["booked", "failed", "returned", "received", "strange"])
    number = "T" + str(rnd.randrange(10**12))
    message = {
        "type": "balancePlatform.transfer.updated", "environment": "live", "timestamp": "2026-11-21T04:00:00Z",
        "data": {
            "id": number, "balancePlatform": account, "category": "bank", "direction": "outgoing", "status": status,
            "reference": "R1", "amount": {"value": value, "currency": currency}, "description": "é 中 😀",
        },
    }
    event = {"booked": "transfer.succeeded", "failed": "transfer.failed", "returned": "transfer.returned"}.get(status, "other")
    found = minor(value, currency) if event != "other" else None
    expect = {
        "event": event, "name": number if event != "other" else None, "order": "R1" if event != "other" else None,
        "minor": found, "currency": currency if found is not None else None,
    }
    body = json.dumps(message, ensure_ascii=rnd.random() < 0.5).encode()
    tag = util.generate_payload_sig(body, key).decode()
    damage = rnd.choice(["body", "tag", "hex"]) if rnd.random() < 0.4 else None
    if damage == "body":
        body += b" "
    if damage == "tag":
        tag = base64.b64encode(bytes(reversed(base64.b64decode(tag)))).decode()
    if damage == "hex":
        tag = base64.b64decode(tag).hex()
    return {
        "kind": "adyen_platform", "key": key, "account": account, "capture": None,
        "request": request(body, [["HmacSignature", tag]]), "genuine": util.is_valid_hmac_payload(tag, key, body),
        "expect": [expect], "held": status == "strange" or (event != "other" and found is None), "damage": damage,
    }


def make(seed, count):
    rnd = random.Random(seed)
    for _ in range(count):
        print(json.dumps((payments if rnd.random() < 0.7 else platform)(rnd)))


def judge():
    for line in sys.stdin:
        asked = json.loads(line)
        body = base64.b64decode(asked["request"]["body_base64"])
        if asked["kind"] == "adyen":
            genuine = verdict(asked["key"], body)
        else:
            tag = [value for name, value in asked["request"]["headers"] if name.lower() == "hmacsignature"][0]
            genuine = util.is_valid_hmac_payload(tag, asked["key"], body)
        print(json.dumps({"genuine": genuine}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(int(sys.argv[2]), int(sys.argv[3]))
    else:
        judge()
