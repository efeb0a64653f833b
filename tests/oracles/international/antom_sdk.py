"""Antom's notifications a second time: signatures made and judged by Antom's own library (global-open-sdk-python), amounts
written by its currency rules, and what a notification means, written from the description of the platform without a look
at ours.

`make SEED COUNT` prints COUNT messages, a JSON value a line, some of them spoilt; `judge` reads `{clients, keys, paths,
request}` and prints a verdict for each, with what the library's own classes read.

Where this is stricter than the library, the description says so: the client is one that is configured, the algorithm is the
one that there is, the key goes by its version, each header is there once, a signature's base64 is percent-encoded as a whole
or not at all, and the time has a form that can be read. In one place it takes more: a plus that was not encoded is a plus,
which the library reads as a blank.
"""

import base64
import functools
import json
import random
import re
import sys
import types

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa as keys_of_rsa
from com.alipay.ams.api.request.notify.alipay_capture_result_notify import AlipayCaptureResultNotify
from com.alipay.ams.api.request.notify.alipay_dispute_notify import AlipayDisputeNotify
from com.alipay.ams.api.request.notify.alipay_pay_result_notify import AlipayPayResultNotify
from com.alipay.ams.api.request.notify.alipay_refund_notify import AlipayRefundNotify
from com.alipay.ams.api.request.notify.alipay_subscription_notify import AlipaySubscriptionNotify
from com.alipay.ams.api.tools import amount_util, signature_tool, webhook_tool
from com.alipay.ams.api.tools._amount_rules import get_rules

# The library reads the private key's file, and checks the key, for each signature: once is enough.
signature_tool.serialization = types.SimpleNamespace(
    load_pem_private_key=functools.cache(serialization.load_pem_private_key)
)

TIME = re.compile(r"\d{13}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)")
HEADER = re.compile(r"algorithm=([^,=]+), ?keyVersion=([A-Za-z0-9]{1,16}), ?signature=([^,]+)")
ENCODED = re.compile(r"([A-Za-z0-9]|%2B|%2F)+(%3D){0,2}")
PLAIN = re.compile(r"[A-Za-z0-9+/]+={0,2}")
KEYS = 3


def header(headers, name):
    given = [value for known, value in headers if known.lower() == name]
    return given[0] if len(given) == 1 else None


def library(path, client, time, body, signature, key):
    """Whether Antom's own library takes it."""
    try:
        return bool(webhook_tool.check_signature("POST", path, client, time, body.decode(), signature, key))
    except Exception:  # It raises what base64, UTF-8 and RSA raise.
        return False


def verdict(clients, keys, paths, request):
    """`keys` by version; the one under "" counts for every other version."""
    headers, body = request["headers"], base64.b64decode(request["body_base64"])
    client, time, signature = (header(headers, name) for name in ("client-id", "request-time", "signature"))
    if client not in clients or time is None or not TIME.fullmatch(time) or signature is None:
        return False
    found = HEADER.fullmatch(signature)
    if not found or found[1] != "RSA256":
        return False
    key, value = keys.get(found[2], keys.get("")), found[3]
    if key is None or not (ENCODED.fullmatch(value) or PLAIN.fullmatch(value)):
        return False
    if PLAIN.fullmatch(value):
        signature = "signature=" + value.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    own = request["path"] + ("?" + request["query"] if request["query"] else "")
    return any(library(path, client, time, body, signature, key) for path in (paths or [own]))


def pair(rnd):
    key = keys_of_rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), base64.b64encode(public).decode()


def money(rnd):
    currency = rnd.choice(sorted(get_rules()[0]))
    value = str(rnd.randrange(0, 10 ** rnd.randrange(1, 12)))
    return {"currency": currency, "value": value}


def written(amount):
    """As people write it, by the library's rules."""
    return amount_util.from_amount(amount["value"], amount["currency"])


def story(rnd, capture):
    """A body, and what it means: event, name, other name, order, payment, amount, held."""
    number = lambda: "2026" + "".join(rnd.choices("0123456789", k=27))
    payment, other, order = number(), number(), rnd.choice(["T", "订单", "order:"]) + str(rnd.randrange(10**9))
    amount, time = money(rnd), "2026-11-21T12:%02d:00+08:00" % rnd.randrange(60)
    status = rnd.choice("SSSSFFU?")
    result = {"resultCode": "SUCCESS" if status == "S" else "PROCESS_FAIL", "resultStatus": status, "resultMessage": "é\u2028"}
    held = ("other", None, None, None, None, None, True)
    kept = held[:-1] + (False,)
    kind = rnd.choice(["payment", "payment", "pending", "capture", "refund", "dispute", "subscription", "notice", "odd"])
    told = lambda event, name, alias=None, order=order, follows=None, amount=amount, held=False: (
        event, name, alias, order, follows, amount, held
    )
    if kind in ("payment", "pending"):
        body = {
            "notifyType": "PAYMENT_RESULT" if kind == "payment" else "PAYMENT_PENDING", "result": result,
            "paymentRequestId": order, "paymentId": payment, "paymentAmount": amount, "paymentCreateTime": time,
        }
        is_card = rnd.random() < 0.4
        if is_card:
            body.update(rnd.choice([
                {"paymentMethodType": "CARD"}, {"paymentResultInfo": {"cardNo": "****1111"}}, {"authExpiryTime": time},
            ]))
        elif rnd.random() < 0.5:
            body["paymentMethodType"] = rnd.choice(["ALIPAY_CN", "GCASH", "TNG", "KAKAOPAY"])
        if status == "?":
            return body, held
        success = "payment.authorized" if is_card and capture != "immediate" else "payment.succeeded"
        # Nobody can say whether it is a card's.
        is_unknown = not is_card and "paymentMethodType" not in body and capture != "immediate"
        events = {"S": success if kind == "payment" else "payment.pending", "F": "payment.failed", "U": "payment.pending"}
        return body, told(events[status], payment, held=is_unknown and kind == "payment" and status == "S")
    if kind == "capture":
        body = {
            "notifyType": "CAPTURE_RESULT", "result": result, "captureRequestId": "C" + order, "paymentId": payment,
            "captureId": other, "captureAmount": amount, "captureTime": time,
        }
        part = "capture:" + other
        if status == "?":
            return body, held
        if status == "U" or (capture == "immediate" and status == "S"):
            return body, kept
        if status == "F":
            return body, told("payment.failed", part, order=None, held=capture == "immediate")
        if capture == "in_parts":
            return body, told("payment.succeeded", part, order=None)
        return body, told("payment.succeeded", payment, part, order=None)
    if kind == "refund":
        state = rnd.choice(["SUCCESS", "SUCCESS", "FAIL", "ODD"])
        result["resultStatus"] = "S"
        body = {
            "notifyType": "REFUND_RESULT", "result": result, "refundStatus": state, "refundRequestId": "R" + order,
            "refundId": other, "refundAmount": amount, "refundTime": time,
        }
        event = {"SUCCESS": "refund.succeeded", "FAIL": "refund.failed"}.get(state)
        return body, held if event is None else told(event, other, "request:R" + order, order=None)
    if kind == "dispute":
        what = rnd.choice(
            "DISPUTE_CREATED DISPUTE_JUDGED DISPUTE_CANCELLED DEFENSE_SUPPLIED DEFENSE_DUE_ALERT DISPUTE_ACCEPTED "
            "RDR_RESOLVED DISPUTE_ODD".split()
        )
        body = {
            "paymentRequestId": order, "disputeId": other, "paymentId": payment, "disputeTime": time,
            "disputeAmount": amount, "disputeNotificationType": what,
        }
        state, end = what, "closed"
        if what == "DISPUTE_JUDGED":
            judged = rnd.choice(["ACCEPT_BY_CUSTOMER", "ACCEPT_BY_MERCHANT", "VALIDATE_SUCCESS", "VALIDATE_FAIL", "ODD"])
            body["disputeJudgedResult"] = judged
            state = what + ":" + judged
            end = {"A": "closed", "V": "updated", "O": None}[judged[0]]
        if what in ("DEFENSE_SUPPLIED", "DEFENSE_DUE_ALERT"):
            end = "updated"
        if what == "DISPUTE_CREATED":
            end = "opened"
        if what == "DISPUTE_ODD" or end is None:
            return body, held
        return body, told("dispute." + end, other + ":" + state, follows=None if capture == "in_parts" else payment)
    if kind == "subscription":
        what, state = rnd.choice([
            ("CREATE", "ACTIVE"), ("CANCEL", "CANCELLED"), ("TERMINATE", "TERMINATED"), ("CHANGE", "ACTIVE"), ("ODD", "ACTIVE"),
        ])
        body = {
            "subscriptionNotificationType": what, "subscriptionStatus": state, "subscriptionRequestId": order,
            "subscriptionId": other, "subscriptionStartTime": time,
        }
        if what == "ODD":
            return body, held
        event = {"CREATE": "agreement.signed", "CHANGE": None}.get(what, "agreement.cancelled")
        return body, kept if event is None else told(event, other, "request:" + order, amount=None)
    if kind == "notice":
        return {"authorizationNotifyType": rnd.choice(["AUTHCODE_CREATED", "TOKEN_CREATED", "TOKEN_CANCELED"])}, kept
    return {"notifyType": rnd.choice(["PAYOUT_RESULT", "payment_result", "INVOICE"]), "result": result}, held


DAMAGES = (
    "body", "printed", "path", "query", "client", "other client", "time", "bad time", "algorithm", "version", "key",
    "signature", "cut", "lower percent", "half encoded", "blank plus", "twice", "behind", "no header",
)


def make(seed, count):
    rnd = random.Random(int(seed))
    pairs = [pair(rnd) for _ in range(KEYS)]
    for index in range(count):
        (private, public), (stranger, other_public) = rnd.sample(pairs, 2)
        clients = rnd.sample(["5J%014d" % (index + 1), "SANDBOX_5Y%014d" % index, "Client-%d_a" % index], rnd.randrange(1, 3))
        client, version = rnd.choice(clients), rnd.choice("129")
        keys = rnd.choice([{"": public}, {version: public}, {version: public, "7": other_public}])
        capture = rnd.choice(["later", "in_parts", "immediate"])
        body, means = story(rnd, capture)
        body["metadata"] = rnd.choice(["", "“中文” 😀", "a+b c%41&d=e.f", "\\\"'<&amp;>", "\r\n\t"])
        text = json.dumps(body, ensure_ascii=rnd.random() < 0.5, indent=rnd.choice([None, None, 2]))
        path, query = rnd.choice(["/", "/notify/antom", "/a%2Fb/é".replace("é", "%C3%A9")]), rnd.choice(["", "", "channel=a&b=%20"])
        whole = path + ("?" + query if query else "")
        paths = rnd.choice([[], [], [whole], ["/elsewhere", whole]])
        time = rnd.choice([
            "2026-11-21T12:00:00+08:00", "2026-11-21T04:00:00Z", "2026-11-20T20:00:00.123-08:00", "2026-11-21T12:00:00+0800",
            "1795233600123",
        ])
        damage = rnd.choice(DAMAGES) if rnd.random() < 0.45 else None
        if damage == "bad time":
            time = rnd.choice(["2026-11-21 12:00:00", "2026-11-21T12:00:00", "1795233600", "now"])
        if damage == "client":
            client = "5J99999999999999"
        signing = stranger if damage == "key" else private
        value = signature_tool.sign("POST", whole, client, time, text, signing)
        if damage is None and rnd.random() < 0.2:
            value = value.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")
        comma = rnd.choice([",", ", "])
        algorithm = rnd.choice(["RSA1", "rsa256", "none", "HS256"]) if damage == "algorithm" else "RSA256"
        if damage == "version":
            version = "8"
        if damage == "signature":
            at = rnd.randrange(20)
            value = value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1:]
        if damage == "cut":
            value = value[: rnd.randrange(len(value))]
        if damage == "lower percent":
            value = value.replace("%2B", "%2b").replace("%3D", "%3d")
        if damage == "half encoded":
            value = value.replace("%3D", "=")
        if damage == "blank plus":
            value = value.replace("%2B", " ").replace("%2F", "/").replace("%3D", "=")
        signature = f"algorithm={algorithm}{comma}keyVersion={version}{comma}signature={value}"
        if damage == "behind":
            signature += rnd.choice([",", " ", ",a=b", "A"])
        sent = text
        if damage == "body":
            sent += rnd.choice([" ", "\n", "\r\n"])
        if damage == "printed":
            sent = json.dumps(body, separators=(",", ":"), sort_keys=True)
        if damage == "other client":
            client = [one for one in clients if one != client][0] if len(clients) > 1 else client + "1"
        if damage == "time":
            time = "2026-11-21T12:00:01+08:00"
        headers = [
            ["Content-Type", "application/json; charset=UTF-8"], ["Client-Id", client], ["Request-Time", time],
            ["Signature", signature],
        ]
        if damage == "twice":
            headers.append(list(headers[rnd.randrange(1, 4)]))
        if damage == "no header":
            del headers[rnd.randrange(1, 4)]
        if damage == "path":
            path += "/x"
        if damage == "query":
            query += "&x=1"
        event, name, alias, order, follows, amount, is_held = means
        expect = {
            "event": event, "name": name, "alias": alias, "order": order, "payment": follows,
            "text": written(amount) if amount else None, "currency": amount["currency"] if amount else None,
            "held": is_held,
        }
        request = {
            "method": "POST", "path": path, "query": query, "headers": headers,
            "body_base64": base64.b64encode(sent.encode()).decode(),
        }
        line = {
            "clients": clients, "keys": keys, "paths": paths, "capture": capture, "request": request,
            "genuine": verdict(clients, keys, paths, request), "expect": expect, "damage": damage,
        }
        print(json.dumps(line))


def read(body):
    """What the library's own classes read."""
    message = json.loads(body)
    kind = message.get("notifyType")
    if kind in ("PAYMENT_RESULT", "PAYMENT_PENDING"):
        found = AlipayPayResultNotify(body)
        return {"status": found.result.result_status.value, "order": found.payment_request_id, "number": found.payment_id}
    if kind == "CAPTURE_RESULT":
        found = AlipayCaptureResultNotify(body)
        return {"status": found.result.result_status.value, "order": None, "number": found.payment_id}
    if kind == "REFUND_RESULT":
        found = AlipayRefundNotify(body)
        return {"status": found.refund_status, "order": None, "number": found.refund_id}
    if "disputeNotificationType" in message:
        found = AlipayDisputeNotify(body)
        status = getattr(found.dispute_notification_type, "value", found.dispute_notification_type)
        return {"status": status, "order": found.payment_request_id, "number": found.dispute_id}
    if "subscriptionNotificationType" in message:
        found = AlipaySubscriptionNotify(body)
        status = getattr(found.subscription_notification_type, "value", found.subscription_notification_type)
        return {"status": status, "order": found.subscription_request_id, "number": found.subscription_id}
    return {"status": None, "order": None, "number": None}


def judge():
    for line in sys.stdin:
        asked = json.loads(line)
        if verdict(asked["clients"], asked["keys"], asked["paths"], asked["request"]):
            print(json.dumps({"genuine": True} | read(base64.b64decode(asked["request"]["body_base64"]).decode())))
        else:
            print(json.dumps({"genuine": False}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]))
    else:
        judge()
