"""Mollie's own Python kit (mollie-api-py) signs events, and judges ours.

`generate COUNT SEED` prints events that the kit's SignatureValidator signed: whole, spoiled, with one signature or two,
in two headers or folded into one, under the present secret, the former one or a stranger's; with the kit's verdict.
`verify` reads lines of `payload`, `secrets` and `signatures`, and prints the kit's verdict for each.

Only the file of the validator is loaded: the kit as a whole needs an HTTP client.
"""

import importlib.util
import json
import os
import random
import sys


def validator():
    package = importlib.util.find_spec("mollie").submodule_search_locations[0]
    path = os.path.join(package, "utils", "webhooks", "signature_validator.py")
    spec = importlib.util.spec_from_file_location("signature_validator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KIT = validator()


def judged(payload, secrets, signatures):
    try:
        # Without any signature the kit says False and raises nothing.
        return KIT.SignatureValidator.validate(payload, secrets, signatures)
    except KIT.InvalidSignatureException:
        return False


def secret(chance):
    return "".join(chance.choice("abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_+/=") for _ in range(chance.randint(16, 64)))


def payload(chance, number):
    status = chance.choice(["paid", "failed", "canceled", "expired", "authorized", "pending"])
    currency, value, minor = chance.choice(
        [("EUR", "%d.%02d", 100), ("USD", "%d.%02d", 100), ("JPY", "%d", 1), ("GBP", "%d.%02d", 100)]
    )
    amount = chance.randint(1, 10**chance.randint(1, 9))
    written = value % (divmod(amount, minor) if minor > 1 else amount)
    entity = {
        "resource": "payment",
        "id": "tr_%d" % number,
        "mode": "live",
        "profileId": "pfl_QkEhN94Ba1",
        "amount": {"currency": currency, "value": written},
        "description": chance.choice(["Order #1", "订单 1", "a\"b\\c", "\u2028 \ud83d\ude00", ""]),
        "metadata": {"order_id": "T-%d" % number},
        "status": status,
        "createdAt": "2026-11-21T05:00:00+01:00",
    }
    event = {
        "resource": "event",
        "id": "whev_%d" % number,
        "type": "payment." + status,
        "entityId": entity["id"],
        "createdAt": "2026-11-21T05:00:00+01:00",
        "_embedded": {"entity": entity},
    }
    text = json.dumps(event, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 2, 4]),
                      separators=chance.choice([None, (",", ":")]))
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"), status, amount, currency


def generate(count, seed):
    chance = random.Random(seed)
    for number in range(count):
        own, former, stranger = secret(chance), secret(chance), secret(chance)
        text, status, amount, currency = payload(chance, number)
        sign = lambda key: "sha256=" + KIT.SignatureValidator.create_signature(text, key)
        label = chance.choice(["own", "own", "former", "both", "both_reversed", "folded", "stranger", "stranger_and_own",
                               "none", "two_strangers", "spoiled", "spoiled", "cut"])
        signatures = {
            "own": [sign(own)],
            "former": [sign(former)],
            "both": [sign(own), sign(former)],
            "both_reversed": [sign(former), sign(own)],
            "folded": [sign(own), sign(former)],
            "stranger": [sign(stranger)],
            "stranger_and_own": [sign(stranger), sign(own)],
            "none": [],
            "two_strangers": [sign(stranger), sign(stranger + "x")],
            "spoiled": [sign(own)],
            "cut": [sign(own)[:-1]],
        }[label]
        if label == "spoiled":
            at = chance.randrange(len(text))
            other = chance.choice([c for c in "x0 \"}" if c != text[at]])
            text = text[:at] + other + text[at + 1:]
        headers = [", ".join(signatures)] if label == "folded" else signatures
        print(json.dumps({
            "number": number,
            "label": label,
            "payload": text,
            "headers": headers,
            "secret": own,
            "former": former,
            "kit": judged(text, [own, former], signatures),
            "status": status,
            "amount": amount,
            "currency": currency,
        }))


def verify():
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(judged(asked["payload"], asked["secrets"], asked["signatures"])))


if __name__ == "__main__":
    if sys.argv[1] == "generate":
        generate(int(sys.argv[2]), sys.argv[3])
    else:
        verify()
