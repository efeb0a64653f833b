"""Signs the messages of twenty kinds of platforms with keys of its own, from what their documents say: HMAC and digests
by the standard library, RSA and Ed25519 by openssl. `make SEED COUNT FOLDER` writes the keys into FOLDER and prints a
JSON value a line: a request, what was done to it, and what it says. Nothing here knows the gateway."""

import base64
import hashlib
import hmac
import json
import os
import random
import subprocess
import sys
import time
import urllib.parse
import zlib

# A minute to come: the certificate that is made below has begun then.
NOW = int(time.time()) + 60


def b64(data):
    return base64.b64encode(data).decode()


class Openssl:
    """A key pair in files; `other` is a stranger's."""

    def __init__(self, folder, kind):
        self.path = os.path.join(folder, f"{kind}-{random.random()}.private")
        if kind == "rsa":
            algorithm = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
        else:
            algorithm = ["-algorithm", "ED25519"]
        subprocess.run(["openssl", "genpkey", *algorithm, "-out", self.path], check=True, stderr=subprocess.DEVNULL)
        self.kind = kind

    def public_der(self):
        return subprocess.run(
            ["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True, capture_output=True
        ).stdout

    def certificate(self):
        return subprocess.run(
            ["openssl", "req", "-x509", "-new", "-key", self.path, "-subj", "/CN=messageverification", "-days", "30"],
            check=True, capture_output=True,
        ).stdout.decode()

    def sign(self, message):
        if self.kind == "rsa":
            command = ["openssl", "dgst", "-sha256", "-sign", self.path]
            return subprocess.run(command, input=message, check=True, capture_output=True).stdout
        with open(self.path + ".in", "wb") as file:
            file.write(message)
        command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", self.path + ".in"]
        return subprocess.run(command, check=True, capture_output=True).stdout


def text(dice):
    pieces = ["a", "é", "中", "😀", '"', "\\", "/", " ", "+", "%2B", "&", "=", "{", "}", "0", ".", ",", "|", ":", "\n"]
    return "".join(dice.choice(pieces) for _ in range(dice.randrange(10)))


def name(dice, prefix="", size=12):
    return prefix + "".join(dice.choice("abcdefghijklmnopqrstuvwxyzABCDEFG0123456789") for _ in range(size))


def dump(dice, value):
    return json.dumps(value, ensure_ascii=dice.random() < 0.5, indent=dice.choice([None, None, 1])).encode()


def rfc3339(at):
    import datetime

    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Message:
    """A request in the making, and how to change what it is signed over."""

    def __init__(self, body, says, media="application/json", method="POST", path="/notify/c", query=None):
        self.headers = []
        self.body = body
        self.says = says
        self.media = media
        self.method = method
        self.path = path
        self.query = query

    def line(self, definition, way, genuine):
        query = urllib.parse.urlencode(self.query) if self.query is not None else None
        headers = [["content-type", self.media], *self.headers] if self.media else self.headers
        return {
            "definition": definition, "way": way, "genuine": genuine, "method": self.method, "path": self.path,
            "query": query, "headers": headers, "body": b64(self.body), "says": self.says,
        }


class Definition:
    """One kind of platform. `tell` makes an unsigned message, `sign` adds the signature of `key`. `covered` names the
    headers under the signature; `window` is the time in seconds beyond which a message is refused."""

    covered = ()
    carrier = None
    window = None
    has_body = True

    def __init__(self, folder):
        self.folder = folder
        self.setup()

    def write(self, file, content):
        with open(os.path.join(self.folder, file), "w") as out:
            out.write(content)

    def secret(self, file):
        made = name(random, "sk_", 32)
        self.write(file, made)
        return made.encode()

    def stranger(self):
        return name(random, "sk_", 32).encode()

    def keys(self, dice):
        return self.key


class Stripe(Definition):
    name, header, window, carrier = "stripe", "Stripe-Signature", 300, "Stripe-Signature"

    def setup(self):
        self.both = [self.secret("stripe"), self.secret("stripe_old")]

    def keys(self, dice):
        return dice.choice(self.both)

    def tell(self, dice):
        minor = dice.randrange(1, 10**9)
        number, order = name(dice, "pi_"), name(dice, "T")
        currency = dice.choice(["eur", "usd", "jpy"])
        body = {"id": name(dice, "evt_"), "type": "payment_intent.succeeded", "livemode": True,
                "data": {"object": {"id": number, "amount_received": minor, "currency": currency, "note": text(dice),
                                    "metadata": {"order_id": order}}}}
        says = {"event": "payment.succeeded", "number": number, "order": order, "minor": minor, "currency": currency.upper()}
        return Message(dump(dice, body), says)

    def sign(self, dice, message, key, at):
        tag = hmac.new(key, f"{at}.".encode() + message.body, hashlib.sha256).hexdigest()
        schemes = [f"t={at}", f"v1={tag}"]
        if dice.random() < 0.3:
            schemes.insert(1, "v0=" + "0" * 64)
        if dice.random() < 0.3:
            schemes.insert(1, "v1=" + hashlib.sha256(b"rotated").hexdigest())
        message.headers = [["Stripe-Signature", ",".join(schemes)]]


class Standard(Definition):
    name, window, covered, carrier = "standard", 300, ("webhook-id",), "webhook-signature"
    version = "v1"

    def setup(self):
        self.key = random.randbytes(24)
        self.write("standard", "whsec_" + b64(self.key))

    def stranger(self):
        return random.randbytes(24)

    def tell(self, dice):
        minor, number, order = dice.randrange(1, 10**9), name(dice, "p_"), name(dice, "T")
        body = {"type": "payment.paid", "data": {"id": number, "order": order, "amount": minor, "currency": "EUR", "n": text(dice)}}
        says = {"event": "payment.succeeded", "number": number, "order": order, "minor": minor, "currency": "EUR"}
        return Message(dump(dice, body), says)

    def tag(self, key, signed):
        return hmac.new(key, signed, hashlib.sha256).digest()

    def sign(self, dice, message, key, at):
        number = name(dice, "msg_")
        tag = f"{self.version}," + b64(self.tag(key, f"{number}.{at}.".encode() + message.body))
        other = dice.choice(["v2,AAAA", "v9,-"])
        value = f"{other} {tag}" if dice.random() < 0.4 else tag
        message.headers = [["webhook-id", number], ["webhook-timestamp", str(at)], ["webhook-signature", value]]


class StandardV1a(Standard):
    name, version = "standard_v1a", "v1a"

    def setup(self):
        self.key = Openssl(self.folder, "ed25519")
        self.write("standard_v1a", "whpk_" + b64(self.key.public_der()[-32:]))
        self.foreign = Openssl(self.folder, "ed25519")

    def stranger(self):
        return self.foreign

    def tag(self, key, signed):
        return key.sign(signed)


class Paddle(Definition):
    name, window, carrier = "paddle", 5, "Paddle-Signature"

    def setup(self):
        self.key = self.secret("paddle")

    def tell(self, dice):
        minor, number, order = dice.randrange(1, 10**9), name(dice, "txn_"), name(dice, "T")
        body = {"event_id": name(dice, "evt_"), "event_type": "transaction.completed",
                "data": {"id": number, "currency_code": "USD", "custom_data": {"order": order, "x": text(dice)},
                         "details": {"totals": {"grand_total": str(minor)}}}}
        says = {"event": "payment.succeeded", "number": number, "order": order, "minor": minor, "currency": "USD"}
        return Message(dump(dice, body), says)

    def sign(self, dice, message, key, at):
        tag = hmac.new(key, f"{at}:".encode() + message.body, hashlib.sha256).hexdigest()
        message.headers = [["Paddle-Signature", f"ts={at};h1={tag}"]]


class Airwallex(Definition):
    name, window, carrier = "airwallex", 300, "x-signature"

    def setup(self):
        self.key = self.secret("airwallex")

    def tell(self, dice):
        minor, number, order = dice.randrange(1, 10**12), name(dice, "int_"), name(dice, "T")
        body = {"id": name(dice, "evt_"), "name": "payment_intent.succeeded", "account_id": "acct_1",
                "data": {"object": {"id": number, "merchant_order_id": order, "amount": "@@", "currency": "EUR", "t": text(dice)}}}
        written = dump(dice, body).replace(b'"@@"', f"{minor // 100}.{minor % 100:02}".encode())
        says = {"event": "payment.succeeded", "number": number, "order": order, "minor": minor, "currency": "EUR"}
        return Message(written, says)

    def sign(self, dice, message, key, at):
        stamp = str(at * 1000 + dice.randrange(1000))
        tag = hmac.new(key, stamp.encode() + message.body, hashlib.sha256).hexdigest()
        message.headers = [["x-timestamp", stamp], ["x-signature", tag]]


class Square(Definition):
    name, carrier = "square", "x-square-hmacsha256-signature"

    def setup(self):
        self.key = self.secret("square")

    def tell(self, dice):
        minor, number, order = dice.randrange(1, 10**9), name(dice, "sq"), name(dice, "T")
        state, event = dice.choice([("COMPLETED", "payment.succeeded"), ("CANCELED", "payment.closed"), ("APPROVED", "payment.pending")])
        payment = {"status": state, "reference_id": order, "amount_money": {"amount": minor, "currency": "JPY"}, "n": text(dice)}
        body = {"event_id": name(dice), "type": "payment.updated", "data": {"id": number, "object": {"payment": payment}}}
        says = {"event": event, "number": number, "order": order, "minor": minor, "currency": "JPY"}
        return Message(dump(dice, body), says)

    def sign(self, dice, message, key, at):
        url = b"https://pay.example.com/notify/square"
        message.headers = [["x-square-hmacsha256-signature", b64(hmac.new(key, url + message.body, hashlib.sha256).digest())]]


class Hex(Definition):
    name, carrier = "hex", "X-Razorpay-Signature"

    def setup(self):
        self.key = self.secret("hex")

    def tell(self, dice):
        minor, number, order = dice.randrange(1, 10**9), name(dice, "pay_"), name(dice, "order_")
        entity = {"id": number, "order_id": order, "amount": minor, "currency": "INR", "notes": {"x": text(dice)}}
        body = {"event": "payment.captured", "payload": {"payment": {"entity": entity}}}
        says = {"event": "payment.succeeded", "number": number, "order": order, "minor": minor, "currency": "INR"}
        return Message(dump(dice, body), says)

    def sign(self, dice, message, key, at):
        tag = hmac.new(key, message.body, hashlib.sha256).hexdigest()
        message.headers = [[self.carrier, tag.upper() if dice.random() < 0.2 else tag]]


class MollieNext(Definition):
    name, carrier, repeats = "mollie_nextgen", "X-Mollie-Signature", True

    def setup(self):
        self.both = [self.secret("mollie"), self.secret("mollie_old")]

    def keys(self, dice):
        return dice.choice(self.both)

    def tell(self, dice):
        minor, number = dice.randrange(1, 10**9), name(dice, "pl_")
        amount = {"value": f"{minor // 100}.{minor % 100:02}", "currency": "EUR"}
        body = {"resource": "event", "id": name(dice, "event_"), "type": "payment-link.paid", "entityId": number,
                "_embedded": {"entity": {"amount": amount, "description": text(dice)}}}
        says = {"event": "payment.succeeded", "number": number, "order": None, "minor": minor, "currency": "EUR"}
        return Message(dump(dice, body), says)

    def sign(self, dice, message, key, at):
        tag = "sha256=" + hmac.new(key, message.body, hashlib.sha256).hexdigest()
        other = "sha256=" + hashlib.sha256(b"rotated").hexdigest()
        shape = dice.randrange(3)
        if shape == 0:
            message.headers = [[self.carrier, tag]]
        elif shape == 1:
            message.headers = [[self.carrier, other], [self.carrier, tag]]
        else:
            message.headers = [[self.carrier, f"{tag},{other}"]]


class MollieClassic(Definition):
    name, is_open = "mollie_classic", True

    def setup(self):
        self.key = self.secret("mollie_api")

    def tell(self, dice):
        number = name(dice, "tr_", 10)
        return Message(urllib.parse.urlencode({"id": number}).encode(), {"hint": number}, "application/x-www-form-urlencoded")

    def sign(self, dice, message, key, at):
        pass

    def spoilt(self, dice, message):
        number = message.says["hint"]
        bad = dice.choice([f"id={number}%2F..", "id=..%2Fx", "id=tr_", f"id={number}&id={number}", "x=1", "id=ord_" + number,
                           f"id={number}%0d%0a", f"id={number}%3Fembed", "id=" + "tr_" + "a" * 100])
        message.body = bad.encode()


class Worldline(Definition):
    name, carrier = "worldline", "X-GCS-Signature"

    def setup(self):
        self.rings = {"other": self.secret("worldline_other"), "current": self.secret("worldline")}
        self.ended = self.secret("worldline_ended")

    def keys(self, dice):
        return dice.choice(list(self.rings.items()))

    def stranger(self):
        return ("current", self.rings["other"]) if random.random() < 0.5 else ("ended", self.ended)

    def tell(self, dice):
        minor, number = dice.randrange(1, 10**9), name(dice, "", 20)
        money = {"amount": minor, "currencyCode": "KWD"}
        body = {"id": name(dice), "type": "payment.captured", "payment": {"id": number, "paymentOutput": {"amountOfMoney": money}}, "n": text(dice)}
        says = {"event": "payment.succeeded", "number": number, "order": None, "minor": minor, "currency": "KWD"}
        return Message(dump(dice, body), says)

    def sign(self, dice, message, key, at):
        number, secret = key
        tag = b64(hmac.new(secret, message.body, hashlib.sha256).digest())
        message.headers = [["X-GCS-KeyId", number], [self.carrier, tag]]


class Shopify(Definition):
    name, carrier = "shopify", "X-Shopify-Hmac-Sha256"

    def setup(self):
        self.key = self.secret("shopify")

    def tell(self, dice):
        minor, number, order = dice.randrange(1, 10**9), str(dice.randrange(10**12)), "#" + str(dice.randrange(10**6))
        body = {"id": int(number), "name": order, "financial_status": "paid", "total_price": f"{minor // 100}.{minor % 100:02}",
                "currency": "CAD", "note": text(dice)}
        says = {"event": "payment.succeeded", "number": number, "order": order, "minor": minor, "currency": "CAD"}
        return Message(dump(dice, body), says)

    def sign(self, dice, message, key, at):
        message.headers = [[self.carrier, b64(hmac.new(key, message.body, hashlib.sha256).digest())]]


class Adyen(Definition):
    name, in_items = "adyen", True

    def setup(self):
        self.key = random.randbytes(32)
        self.write("adyen", self.key.hex().upper())

    def stranger(self):
        return random.randbytes(32)

    def tell(self, dice):
        self.items = []
        for _ in range(dice.choice([1, 1, 2, 3])):
            minor, number, order = dice.randrange(1, 10**9), str(dice.randrange(10**15, 10**16)), name(dice, "T")
            item = {"pspReference": number, "merchantAccountCode": "TestMerchant", "merchantReference": order,
                    "amount": {"value": minor, "currency": "EUR"}, "eventCode": "AUTHORISATION", "success": "true",
                    "reason": text(dice), "additionalData": {}}
            if dice.random() < 0.3:
                item.update(eventCode="REFUND", originalReference=str(dice.randrange(10**15, 10**16)))
            self.items.append(item)
        first = self.items[0]
        event = "payment.succeeded" if first["eventCode"] == "AUTHORISATION" else "refund.succeeded"
        says = {"event": event, "number": first["pspReference"], "order": first["merchantReference"],
                "minor": first["amount"]["value"], "currency": "EUR", "facts": len(self.items)}
        return Message(b"", says)

    def sign(self, dice, message, key, at):
        for item in self.items:
            fields = [item["pspReference"], item.get("originalReference", ""), item["merchantAccountCode"], item["merchantReference"],
                      str(item["amount"]["value"]), item["amount"]["currency"], item["eventCode"], item["success"]]
            tag = hmac.new(key, ":".join(fields).encode(), hashlib.sha256).digest()
            item["additionalData"]["hmacSignature"] = b64(tag)
        self.write_body(dice, message)

    def write_body(self, dice, message):
        items = [{"NotificationRequestItem": item} for item in self.items]
        message.body = dump(dice, {"live": "true", "notificationItems": items})

    def spoilt(self, dice, message):
        item = dice.choice(self.items)
        way = dice.randrange(5)
        if way == 0:
            item["amount"]["value"] += 1
        elif way == 1:
            item["success"] = "false"
        elif way == 2:
            item["pspReference"] += "1"
        elif way == 3:
            del item["additionalData"]["hmacSignature"]
        else:
            item["additionalData"]["hmacSignature"] = b64(random.randbytes(32))
        self.write_body(dice, message)


class AdyenPlatform(Definition):
    name, carrier = "adyen_platform", "HmacSignature"

    def setup(self):
        self.key = random.randbytes(32)
        self.write("adyen_platform", self.key.hex())

    def stranger(self):
        return random.randbytes(32)

    def tell(self, dice):
        minor, number = dice.randrange(1, 10**9), name(dice)
        body = {"type": "balancePlatform.transfer.updated", "data": {"id": number, "amount": {"value": minor, "currency": "EUR"}, "n": text(dice)}}
        says = {"event": "transfer.succeeded", "number": number, "order": None, "minor": minor, "currency": "EUR"}
        return Message(dump(dice, body), says)

    def sign(self, dice, message, key, at):
        message.headers = [[self.carrier, b64(hmac.new(key, message.body, hashlib.sha256).digest())]]


class Midtrans(Definition):
    name, in_body = "midtrans", True

    def setup(self):
        self.key = self.secret("midtrans")

    def tell(self, dice):
        order = name(dice, "T-")
        self.fields = {"order_id": order, "status_code": "200", "gross_amount": f"{dice.randrange(1, 10**8)}.00",
                       "transaction_status": "settlement", "transaction_id": name(dice), "custom_field1": text(dice)}
        return Message(b"", {"hint": order})

    def sign(self, dice, message, key, at):
        signed = self.fields["order_id"] + self.fields["status_code"] + self.fields["gross_amount"] + key.decode()
        self.fields["signature_key"] = hashlib.sha512(signed.encode()).hexdigest()
        message.body = dump(dice, self.fields)

    def spoilt(self, dice, message):
        field = dice.choice(["order_id", "status_code", "gross_amount", "signature_key"])
        value = self.fields[field]
        self.fields[field] = ("1" if value[0] != "1" else "2") + value[1:]
        message.body = dump(dice, self.fields)


class Xendit(Definition):
    name, carrier, is_token = "xendit", "x-callback-token", True

    def setup(self):
        self.key = self.secret("xendit")
        self.secret("xendit_api")

    def tell(self, dice):
        number = "".join(dice.choice("0123456789abcdef") for _ in range(24))
        return Message(dump(dice, {"id": number, "status": "PAID", "amount": 1}), {"hint": number})

    def sign(self, dice, message, key, at):
        message.headers = [[self.carrier, key.decode()]]


class Braintree(Definition):
    name, in_body = "braintree", True

    def setup(self):
        self.rings = {"old_public": self.secret("braintree_old"), "new_public": self.secret("braintree")}

    def keys(self, dice):
        return dice.choice(list(self.rings.items()))

    def stranger(self):
        return ("new_public", self.rings["old_public"])

    def tell(self, dice):
        return Message(b"", {"event": "other", "number": None, "order": None, "minor": None, "currency": None}, "application/x-www-form-urlencoded")

    def sign(self, dice, message, key, at):
        public, private = key
        self.payload = "PG5vdGlmaWNhdGlvbi8+"
        signed = self.payload + dice.choice(["", "\n"])
        tag = hmac.new(hashlib.sha1(private).digest(), signed.encode(), hashlib.sha1).hexdigest()
        self.pairs = [f"{public}|{tag}"]
        if dice.random() < 0.5:
            self.pairs.insert(dice.randrange(2), "a_third_public|" + "0" * 40)
        self.write_body(message)

    def write_body(self, message):
        message.body = urllib.parse.urlencode({"bt_signature": "&".join(self.pairs), "bt_payload": self.payload}).encode()

    def spoilt(self, dice, message):
        if dice.random() < 0.5:
            self.payload = "PG5vdGlmaWNhdGlvbj4+"
        else:
            at = self.pairs.index(next(pair for pair in self.pairs if not pair.startswith("a_third")))
            pair = self.pairs[at]
            self.pairs[at] = pair[:-1] + ("0" if pair[-1] != "0" else "1")
        self.write_body(message)


class Antom(Definition):
    name, window, covered, carrier = "antom", 300, ("client-id", "request-time"), "signature"

    def setup(self):
        self.key, self.foreign = Openssl(self.folder, "rsa"), Openssl(self.folder, "rsa")
        self.write("antom", b64(self.key.public_der()))

    def stranger(self):
        return self.foreign

    def tell(self, dice):
        minor, number, order = dice.randrange(1, 10**9), str(dice.randrange(10**20)), name(dice, "T")
        good = dice.random() < 0.7
        body = {"notifyType": "PAYMENT_RESULT", "result": {"resultStatus": "S" if good else "F"}, "paymentId": number,
                "paymentRequestId": order, "paymentAmount": {"value": str(minor), "currency": "SGD"}, "n": text(dice)}
        says = {"event": "payment.succeeded" if good else "payment.failed", "number": number, "order": order, "minor": minor, "currency": "SGD"}
        return Message(dump(dice, body), says, path="/notify/antom")

    def sign(self, dice, message, key, at):
        stamp = rfc3339(at)
        signed = f"{message.method} {message.path}\nSANDBOX_5Y1.{stamp}.".encode() + message.body
        tag = urllib.parse.quote(b64(key.sign(signed)), safe="")
        message.headers = [["client-id", "SANDBOX_5Y1"], ["request-time", stamp],
                           ["signature", f"algorithm=RSA256,keyVersion=1,signature={tag}"]]


class Paypal(Definition):
    name, covered, carrier = "paypal", ("paypal-transmission-id", "paypal-transmission-time"), "paypal-transmission-sig"

    def setup(self):
        self.key, self.foreign = Openssl(self.folder, "rsa"), Openssl(self.folder, "rsa")
        self.write("paypal", self.key.certificate())

    def stranger(self):
        return self.foreign

    def tell(self, dice):
        return Message(dump(dice, {"id": name(dice, "WH-"), "n": text(dice)}), {"event": "other", "number": None, "order": None, "minor": None, "currency": None})

    def sign(self, dice, message, key, at):
        number, stamp = name(dice), rfc3339(at)
        signed = f"{number}|{stamp}|WH-ID-1|{zlib.crc32(message.body)}".encode()
        message.headers = [["paypal-transmission-id", number], ["paypal-transmission-time", stamp],
                           ["paypal-auth-algo", "SHA256withRSA"], [self.carrier, b64(key.sign(signed))]]


class Query(Definition):
    name, in_body = "query", True

    def setup(self):
        self.key = self.secret("query")

    def tell(self, dice):
        minor, order = dice.randrange(1, 10**9), name(dice, "T")
        self.fields = {"order": order, "amount": f"{minor // 100}.{minor % 100:02}", "state": "paid", "extra": text(dice)}
        says = {"event": "payment.succeeded", "number": order, "order": order, "minor": minor, "currency": "CNY"}
        return Message(b"", says, media=None, method="GET")

    def sign(self, dice, message, key, at):
        signed = "|".join([self.fields["order"], self.fields["amount"], self.fields["state"], key.decode()])
        message.query = {**self.fields, "sign": hashlib.md5(signed.encode()).hexdigest()}

    def spoilt(self, dice, message):
        field = dice.choice(["order", "amount", "state", "sign"])
        value = message.query[field]
        message.query[field] = ("1" if value[0] != "1" else "2") + value[1:]


class Sha512Url(Definition):
    name, window, in_query = "sha512url", 60, True

    def setup(self):
        self.key = random.randbytes(48)
        self.write("sha512url", self.key.hex())

    def stranger(self):
        return random.randbytes(48)

    def tell(self, dice):
        minor, shop, number = dice.randrange(1, 10**9), name(dice, "s"), name(dice, "n")
        body = {"t": "paid", "shop": shop, "n": number, "a": minor, "x": text(dice)}
        says = {"event": "payment.succeeded", "number": f"{shop}/{number}", "order": None, "minor": minor, "currency": "EUR"}
        return Message(dump(dice, body), says, method="PUT")

    def sign(self, dice, message, key, at):
        signed = f"PUT\n{at}\n".encode() + message.body
        tag = base64.urlsafe_b64encode(hmac.new(key, signed, hashlib.sha512).digest()).decode()
        message.query = {"at": str(at), "signature": tag if dice.random() < 0.5 else tag.rstrip("=")}


DEFINITIONS = [Stripe, Standard, StandardV1a, Paddle, Airwallex, Square, Hex, MollieNext, MollieClassic, Worldline, Shopify,
               Adyen, AdyenPlatform, Midtrans, Xendit, Braintree, Antom, Paypal, Query, Sha512Url]


def flipped(dice, value):
    """Another text of the same shape: one character of the last signature in it is another one."""
    places = [at for at in range(len(value) - 20, len(value) - 6) if value[at].isalnum()]
    at = dice.choice(places)
    other = "1" if value[at] != "1" else "2"
    return value[:at] + other + value[at + 1 :]


def spoil(dice, definition, message, at):
    """Makes the message one that the platform did not send, and says how."""
    special = getattr(definition, "spoilt", None)
    ways = ["key"]
    if special:
        ways += ["special", "special"]
    if definition.carrier:
        ways += ["digit", "gone", "blank"] + ([] if getattr(definition, "repeats", False) else ["twice"])
    if definition.carrier and not getattr(definition, "is_token", False):
        ways += ["body", "behind"]
    if definition.window:
        ways += ["old", "early"]
    ways += ["covered"] if definition.covered else []
    if getattr(definition, "is_open", False):
        ways = ["special"]
    way = dice.choice(ways)
    if way == "key":
        definition.sign(dice, message, definition.stranger(), at)
    elif way == "special":
        special(dice, message)
    elif way == "body":
        places = [at for at, byte in enumerate(message.body) if chr(byte).isdigit() and chr(byte) != "0"]
        place = dice.choice(places)
        digit = b"1" if message.body[place : place + 1] != b"1" else b"2"
        message.body = message.body[:place] + digit + message.body[place + 1 :]
    elif way == "behind":
        message.body += dice.choice([b" ", b"\n"])
    elif way == "old":
        definition.sign(dice, message, definition.keys(dice), at - 20 * definition.window - 1)
    elif way == "early":
        definition.sign(dice, message, definition.keys(dice), NOW + definition.window + 1)
    elif way in ("digit", "gone", "blank", "twice"):
        index = next(i for i, (header, _) in enumerate(message.headers) if header.lower() == definition.carrier.lower())
        header, value = message.headers[index]
        if way == "digit":
            spoilt = lambda v: ",".join(flipped(dice, part) for part in v.split(",")) if definition.name == "mollie_nextgen" else flipped(dice, v)
            message.headers = [[h, spoilt(v)] if h.lower() == definition.carrier.lower() else [h, v] for h, v in message.headers]
        elif way == "gone":
            message.headers = [pair for pair in message.headers if pair[0].lower() != definition.carrier.lower()]
        elif way == "blank":
            message.headers = [[h, ""] if h.lower() == definition.carrier.lower() else [h, v] for h, v in message.headers]
        else:
            message.headers.append([header, value])
    elif way == "covered":
        covered = dice.choice(definition.covered)
        message.headers = [[h, str(int(v[:4]) - 1) + v[4:] if "time" in h else v[:-1] + ("x" if v[-1] != "x" else "y")] if h == covered else [h, v]
                           for h, v in message.headers]
    return way


def make(seed, count, folder):
    random.seed(f"keys {seed}")
    print(json.dumps(NOW))
    for kind in DEFINITIONS:
        definition = kind(folder)
        for number in range(count):
            dice = random.Random(f"{seed} {definition.name} {number}")
            message = definition.tell(dice)
            at = NOW + dice.randrange(-3, 3)
            definition.sign(dice, message, definition.keys(dice), at)
            way = "none"
            if number % 2:
                way = spoil(dice, definition, message, at)
            print(json.dumps(message.line(definition.name, way, way == "none")))


make(sys.argv[2], int(sys.argv[3]), sys.argv[4])
