"""Braintree's webhooks a second time: notifications made and judged by Braintree's own library, and what each kind means,
written from the description of the platform without a look at ours.

`make SEED COUNT` prints COUNT messages, a JSON value a line, some of them spoilt; `judge` reads `{keys, request}` and prints
for each whether the library takes it, with the kind and the number that it sees; `challenges SEED COUNT` prints questions
with the library's answers.

Where the description is stricter than the library, it says so: a form gives each field once; of one public key there is one
signature, of forty digits in lower case; base64 is whole; a document that is none is no message.
"""

import base64
import json
import random
import sys
import warnings
from urllib.parse import parse_qsl, quote, urlencode

warnings.simplefilter("ignore")

import braintree  # noqa: E402
from braintree.exceptions.invalid_challenge_error import InvalidChallengeError  # noqa: E402
from braintree.exceptions.invalid_signature_error import InvalidSignatureError  # noqa: E402
from braintree.util.crypto import Crypto  # noqa: E402
from braintree.webhook_notification import WebhookNotification  # noqa: E402

KINDS = sorted(value for name, value in vars(WebhookNotification.Kind).items() if not name.startswith("_"))

TEXT = "abcdefghijklmnopqrstuvwxyz0123456789"


def gateway(keys):
    settings = braintree.Configuration(
        braintree.Environment.Sandbox, merchant_id="gateway1", public_key=keys["public"], private_key=keys["private"]
    )
    return braintree.BraintreeGateway(settings)


def fresh(rnd):
    return {
        "public": "".join(rnd.choices(TEXT, k=16)), "private": "".join(rnd.choices("0123456789abcdef", k=32)),
    }


# What a sample of the library means: the event, its name and order behind the sample's own number, the amount, and whether
# a person must look. The library's samples are poorer than real messages: many have no currency, so that their amounts
# cannot be read, and some no type.
OTHER = ("other", None, None, None, False)


def meaning(kind, number):
    dispute = {
        "dispute_opened": "dispute.opened", "dispute_under_review": "dispute.updated", "dispute_disputed": "dispute.updated",
        "dispute_expired": "dispute.updated", "dispute_accepted": "dispute.closed", "dispute_auto_accepted": "dispute.closed",
        "dispute_won": "dispute.closed", "dispute_lost": "dispute.closed",
    }
    if kind in dispute:
        # Of their merchant account nobody has heard; the older samples name none.
        amount = 25000 if number == "legacy_dispute_id" else 10000
        return dispute[kind], f"{number}:{kind[len('dispute_'):]}", None, amount, number != "legacy_dispute_id"
    return {
        "transaction_settled": ("payment.succeeded", number, None, 10000, True),
        "transaction_settlement_declined": ("payment.failed", number, None, 10000, True),
        # It says neither its state nor its type.
        "transaction_disbursed": ("other", None, None, None, True),
        "refund_failed": ("refund.failed", number, None, None, True),
        "subscription_charged_successfully": ("payment.authorized", number, None, None, True),
        "subscription_charged_unsuccessfully": ("payment.failed", number, None, None, True),
        "local_payment_completed": ("payment.pending", "1", "order1234", None, True),
        "local_payment_funded": ("payment.succeeded", "1", "order1234", None, True),
        "local_payment_expired": ("payment.closed", "local_payment:a-payment-id", None, None, False),
        "local_payment_reversed": ("payment.closed", "local_payment:a-payment-id", None, None, True),
        "disbursement": ("transfer.succeeded", number, None, 10000, True),
        "disbursement_exception": ("transfer.failed", number, None, 10000, True),
    }.get(kind, OTHER)


def library(keys, signature, payload):
    """The notification as the library sees it; none when it refuses."""
    try:
        return gateway(keys).webhook_notification.parse(signature, payload)
    except InvalidSignatureError:
        return None


def strict(keys, body):
    """The description's own rules, and then the library's judgement."""
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names) or not {"bt_signature", "bt_payload"} <= set(names):
        return None
    form = dict(pairs)
    own = [part for part in form["bt_signature"].split("&") if part.startswith(keys["public"] + "|")]
    if len(own) != 1 or any(part.count("|") > 1 for part in own):
        return None
    try:
        base64.b64decode(form["bt_payload"].replace("\n", ""), validate=True)
    except ValueError:
        return None
    return library(keys, form["bt_signature"], form["bt_payload"])


DAMAGES = (
    "payload letter", "payload line", "payload blank", "tag", "upper case", "key", "foreign", "twice", "form twice", "missing",
    "sha256", "underived", "cut", "carriage",
)


def spoil(rnd, damage, keys, signature, payload):
    """Fields of a message that is none any more, as a list of pairs."""
    public, tag = signature.split("|")
    fields = [("bt_signature", signature), ("bt_payload", payload)]
    if damage == "payload letter":
        at = rnd.randrange(len(payload) - 2)
        other = "A" if payload[at] != "A" else "B"
        fields[1] = ("bt_payload", payload[:at] + other + payload[at + 1:])
    elif damage == "payload line":
        fields[1] = ("bt_payload", payload.replace("\n", "", 1))
    elif damage == "payload blank":
        fields[1] = ("bt_payload", payload.replace("\n", " "))
    elif damage == "carriage":
        fields[1] = ("bt_payload", payload.replace("\n", "\r\n"))
    elif damage == "cut":
        fields[1] = ("bt_payload", payload[: len(payload) // 2])
    elif damage == "tag":
        at = rnd.randrange(40)
        other = "0" if tag[at] != "0" else "1"
        fields[0] = ("bt_signature", f"{public}|{tag[:at]}{other}{tag[at + 1:]}")
    elif damage == "upper case":
        fields[0] = ("bt_signature", f"{public}|{tag.upper()}" if tag.upper() != tag else f"{public}|{tag[:-1]}")
    elif damage == "key":
        fields[0] = ("bt_signature", f"{public}|{Crypto.sha1_hmac_hash(fresh(rnd)['private'], payload)}")
    elif damage == "foreign":
        fields[0] = ("bt_signature", f"{public}x|{tag}")
    elif damage == "twice":
        fields[0] = ("bt_signature", f"{signature}&{public}|{'0' * 40}")
    elif damage == "form twice":
        fields.append(("bt_payload", payload))
    elif damage == "missing":
        fields.pop(rnd.randrange(2))
    elif damage == "sha256":
        fields[0] = ("bt_signature", f"{public}|{Crypto.sha256_hmac_hash(keys['private'], payload)}")
    elif damage == "underived":
        import hashlib
        import hmac

        own = hmac.new(keys["private"].encode(), payload.encode(), hashlib.sha1).hexdigest()
        fields[0] = ("bt_signature", f"{public}|{own}")
    return fields


def request(body):
    return {
        "method": "POST", "path": "/notify", "query": "",
        "headers": [["Content-Type", "application/x-www-form-urlencoded"]], "body_base64": base64.b64encode(body).decode(),
    }


def make(seed, count):
    rnd = random.Random(seed)
    for at in range(count):
        keys = fresh(rnd)
        kind = KINDS[at % len(KINDS)] if rnd.random() < 0.9 else "brand_new"
        number = "".join(rnd.choices(TEXT, k=rnd.randrange(6, 9)))
        if kind.startswith("dispute_") and rnd.random() < 0.3:
            number = "legacy_dispute_id"
        source = rnd.choice([None, None, None, "gateway1", "gateway2"])
        sample = gateway(keys).webhook_testing.sample_notification(kind, number, source)
        signature, payload = sample["bt_signature"], sample["bt_payload"].decode()
        event, name, order, minor, held = meaning(kind, number)
        damage = rnd.choice(DAMAGES) if rnd.random() < 0.4 else None
        fields = [("bt_signature", signature), ("bt_payload", payload)]
        if damage is not None:
            fields = spoil(rnd, damage, keys, signature, payload)
        else:
            # What happens on the way and changes nothing.
            other = fresh(rnd)
            if rnd.random() < 0.3:
                fields[1] = ("bt_payload", payload.rstrip("\n"))
            if rnd.random() < 0.5:
                theirs = f"{other['public']}|{Crypto.sha1_hmac_hash(other['private'], payload)}"
                fields[0] = ("bt_signature", rnd.choice([f"{theirs}&{signature}", f"{signature}&{theirs}", f"junk&{signature}"]))
            if rnd.random() < 0.3:
                fields.insert(rnd.randrange(3), ("beside", "1"))
            rnd.shuffle(fields)
        body = urlencode(fields, quote_via=rnd.choice([quote, lambda text, *_: quote(text, safe="")])).encode()
        found = strict(keys, body)
        assert (found is None) == (damage is not None), (damage, kind)
        assert found is None or found.kind == kind
        held = held or kind == "brand_new" or source == "gateway2"
        print(json.dumps({
            "keys": keys, "kind": kind, "request": request(body), "genuine": found is not None, "damage": damage,
            "expect": {"event": event, "name": name, "order": order, "minor": minor}, "held": held,
        }))


def judge():
    for line in sys.stdin:
        asked = json.loads(line)
        found = strict(asked["keys"], base64.b64decode(asked["request"]["body_base64"]))
        if found is None:
            print(json.dumps({"genuine": False}))
            continue
        subject = next(
            (getattr(found, name) for name in ("transaction", "dispute", "disbursement", "subscription") if hasattr(found, name)),
            None,
        )
        amount = getattr(subject, "amount", None)
        print(json.dumps({
            "genuine": True, "kind": found.kind, "at": found.timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "id": getattr(subject, "id", None), "amount": None if amount is None else str(amount),
        }))


def challenges(seed, count):
    rnd = random.Random(seed)
    for _ in range(count):
        keys = fresh(rnd)
        digits = "".join(rnd.choices("0123456789abcdef", k=rnd.choice([19, 20, 21, 31, 32, 32, 33])))
        if rnd.random() < 0.2:
            at = rnd.randrange(len(digits))
            digits = digits[:at] + rnd.choice("gA|. ") + digits[at + 1:]
        try:
            answer = gateway(keys).webhook_notification.verify(digits)
        except InvalidChallengeError:
            answer = None
        print(json.dumps({"keys": keys, "query": urlencode({"bt_challenge": digits}), "answer": answer}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(int(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "challenges":
        challenges(int(sys.argv[2]), int(sys.argv[3]))
    else:
        judge()
