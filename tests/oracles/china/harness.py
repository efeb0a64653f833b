"""What the oracles of this folder share: the pipe, the self-test, hard texts, common damages.

`python3 <platform>.py` answers JSON lines; `python3 <platform>.py selftest [COUNT]` tests itself.
Every answer to a line that could not be served is {"error": "…"}.

    {"op":"describe"}                    kinds, generations, statuses of each kind, names of damages
    {"op":"keys","seed":N}               {"settings":{…}}; what a gateway is told, named as the platform does
    {"op":"use","settings":{…}}          verify from now on against these settings (a vector's, say)
    {"op":"sign","seed":N,…}             {"request":{…},"expect":{…},"now":SECONDS,…}
    {"op":"damage","seed":N,…}           the same, spoilt: "damage" names how
    {"op":"verify","request":{…}}        {"outcome":"genuine",…facts} or {"outcome":"refused","reason":"…"}; a "kind" tells
                                         what the URL is for, where the message does not (LianLian)
    {"op":"reply","cause":"success"}     {"status","headers","body_base64","body"}
    {"op":"vectors"}                     {"vectors":[{"name","given","expected","computed","passed"}]}

`sign` and `damage` take, each optional: kind, generation, out_trade_no, amount_minor, currency, status (the
platform's own word), now (unix seconds, also for `verify`), and damage (a name). A request is
{"method","path","query","headers":[[name,value],…],"body_base64"}; the query is raw and without `?`.

Facts of a genuine message, in `expect` and in the answer to `verify`:
    event         payment.succeeded, payment.failed, payment.closed, payment.pending, payment.finished,
                  refund.…, transfer.…, contract.signed, contract.ended, contract.changed, complaint.created,
                  complaint.changed, coupon.…, profitsharing.…, payscore.…, parking.…, settle.…; `other` when
                  the sheet does not say what the message means
    order_no      the merchant's number of the order, refund or transfer that the message is about: for a
                  refund the order's own, with refund_no beside it
    platform_no   the platform's number of the same (refund: platform_refund_no beside it)
    amount_minor  in 1/100 of the currency; for a refund the refunded amount, with order_amount_minor beside it
    currency      ISO 4217, CNY where the protocol has none; null when the amount is not money
    identities    [[name, value], …]: who the message says it is for, in the platform's names
"""

import copy
import json
import random
import string
import sys
import time

sys.dont_write_bytecode = True

import primitives  # noqa: E402
from primitives import Malformed, b64, unb64  # noqa: E402


class Refused(Exception):
    pass


def need(condition, reason):
    if not condition:
        raise Refused(reason)


# ----------------------------------------------------------------------------------------- hard texts

TEXTS = [
    "中文", "大乐透2.1", "VIP会员", "“引号”", "￥１２３", "a+b", "a b", "a  b", "100%", "%", "%2B", "%41%zz", "%E4%B8%AD", "&",
    "a&b=c", "a=b", "=", "&amp;", "&quot;", "&#38;", "?", "#", "'", '"', '\\"', "\\", "/", "<b>", "]]&gt;", "{}", "[]", "0",
    "00", "1e5", "0.10", "true", "@file", "a;b", "a,b", "a|b", "~-_.*", "https://例子.测试/?a=1&b=2#c", "{token=1&id=2}",
    "商品 A+B & C%", "key=x", "&key=", "sign", "$", "a$b", "😀👍🏽", "é", "e\u0301", "ﬁ", "İ", "ß",
]
GBK_TEXTS = ["中文", "大乐透", "商品", "“引号”", "a+b 测试", "￥", "１２３", "丂", "鼈", "100%", "a&b=c", "=", "{}", '"', "%2B"]
# Texts that begin or end with a blank: signed as they are, though careless code trims them.
BLANKS = [" a", "a ", " 中文 ", "  a"]


def hard_text(rng, pool=TEXTS, blanks=True, limit=60):
    if blanks and rng.random() < 0.1:
        return rng.choice(BLANKS)
    return "".join(rng.choice(pool) for _ in range(rng.choice([1, 1, 1, 2, 3])))[:limit]


def digits(rng, count):
    return rng.choice("123456789") + "".join(rng.choices(string.digits, k=count - 1))


def letters(rng, count, alphabet=string.ascii_letters + string.digits):
    return "".join(rng.choices(alphabet, k=count))


def hexes(rng, count):
    return letters(rng, count, "0123456789abcdef")


def beijing(seconds, form="%Y%m%d%H%M%S"):
    return time.strftime(form, time.gmtime(seconds + 8 * 3600))


def rfc3339(seconds):
    return beijing(seconds, "%Y-%m-%dT%H:%M:%S+08:00")


def yuan(minor):
    return f"{minor // 100}.{minor % 100:02}"


def near(rng, now):
    """A time within the usual window of 300 seconds, with room for a slow test."""
    return now + rng.choice([0, 0, 0, -1, 5, -260, 260])


def far(rng, now):
    """Outside of it, with room too."""
    return now + rng.choice([-300, -301, -3600, -(10**7), 360, 3600, 10**7])


def minor_of(text):
    """Strictly a decimal of at most two places, as the sheet's section 0 says."""
    whole, _, part = text.partition(".")
    plain = whole.isascii() and whole.isdigit() and (part.isascii() and part.isdigit() or "." not in text)
    need(plain and len(part) <= 2, f"the amount {text!r} is not a decimal of two places")
    return int(whole) * 100 + int(part.ljust(2, "0"))


def fen_of(text):
    if isinstance(text, bool) or not isinstance(text, (str, int)):
        raise Refused("the amount is not an integer")
    need(str(text).isascii() and str(text).isdigit(), f"the amount {text!r} is not an integer")
    return int(text)


def some_amount(rng, wish):
    if wish.get("amount_minor") is not None:
        return int(wish["amount_minor"])
    return rng.choice([1, 10, 99, 100, 101, 1000, rng.randrange(1, 10**4), rng.randrange(1, 10**8)])


def some_order(rng, wish, size=None):
    if wish.get("out_trade_no") is not None:
        return str(wish["out_trade_no"])
    return letters(rng, size or rng.choice([6, 20, 28, 32]), string.ascii_letters + string.digits + "_-")


def facts(event, order_no=None, platform_no=None, amount_minor=None, currency=None, identities=(), **more):
    result = {
        "event": event, "order_no": order_no, "platform_no": platform_no, "amount_minor": amount_minor,
        "currency": currency if amount_minor is not None else None, "identities": [list(pair) for pair in identities],
    }
    result.update({name: value for name, value in more.items() if value is not None})
    return result


# ------------------------------------------------------------------------------------- HTTP requests


def request(method="POST", path="/notify", query="", headers=(), body=b"", content_type=None):
    headers = [list(pair) for pair in headers]
    if content_type:
        headers.insert(0, ["Content-Type", content_type])
    return {"method": method, "path": path, "query": query, "headers": headers, "body_base64": b64(body)}


def body_of(asked):
    return unb64(asked["body_base64"], "the request's body")


def header(asked, name):
    """The one value of a header. Twice is refused: nobody can say which one was meant."""
    found = [value for key, value in asked["headers"] if key.lower() == name.lower()]
    need(found, f"no header {name}")
    need(len(found) == 1, f"the header {name} twice")
    return found[0]


def dress(rng, headers):
    """Header names as sent, or lower case as HTTP/2 and proxies make them, in any order."""
    headers = [list(pair) for pair in headers]
    style = rng.randrange(3)
    if style == 1:
        headers = [[name.lower(), value] for name, value in headers]
    elif style == 2:
        rng.shuffle(headers)
    return headers


def quoted(data, style):
    """Percent-encode bytes. Styles: 0 `+` for blanks, 1 `%20`, 2 lower-case hex, 3 everything encoded."""
    result = ""
    for byte in data:
        char = chr(byte)
        if byte < 128 and (char.isalnum() or char in "-_.*" or (style == 1 and char == "~")) and style != 3:
            result += char
        elif char == " " and style in (0, 2):
            result += "+"
        else:
            result += f"%{byte:02x}" if style == 2 else f"%{byte:02X}"
    return result


def form_encode(fields, style=0, charset="utf-8"):
    return "&".join(
        f"{quoted(name.encode(charset), 0 if style == 3 else style)}={quoted(value.encode(charset), style)}"
        for name, value in fields
    )


def unquoted(text):
    result, at = bytearray(), 0
    while at < len(text):
        if text[at] == "%":
            pair = text[at + 1 : at + 3]
            need(len(pair) == 2 and all(c in string.hexdigits for c in pair), "a broken percent sign")
            result.append(int(pair, 16))
            at += 3
        else:
            result += b" " if text[at] == "+" else text[at].encode("latin-1")
            at += 1
    return bytes(result)


def form_decode_bytes(text):
    """Names and values as bytes, decoded exactly once. A name twice is refused: no rule says which one counts."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    fields = {}
    for piece in text.split("&") if text else []:
        need(piece, "an empty piece in the form")
        name, _, value = piece.partition("=")
        name = unquoted(name)
        need(name not in fields, f"the field {name!r} twice")
        fields[name] = unquoted(value)
    return fields


def form_decode(text, charset="utf-8"):
    try:
        return {a.decode(charset): b.decode(charset) for a, b in form_decode_bytes(text).items()}
    except UnicodeDecodeError as error:
        raise Refused(f"the form is not {charset}") from error


def need_form(asked):
    need(asked["method"] == "POST", "not a POST")
    kind = header(asked, "Content-Type").lower()
    need(kind.startswith("application/x-www-form-urlencoded"), "not a form")


# ----------------------------------------------------------------------------------------------- JSON


def json_text(rng, value):
    """JSON as different libraries write it: the receiver must keep the very bytes."""
    style = rng.randrange(5)
    text = json.dumps(
        value,
        ensure_ascii=style in (0, 3),
        separators=(",", ":") if style in (0, 1, 4) else (", ", ": "),
        indent=2 if style == 3 else None,
    )
    return text.replace("/", "\\/") if style == 4 else text


def shuffled(rng, mapping):
    pairs = list(mapping.items())
    rng.shuffle(pairs)
    return dict(pairs)


def json_object(data, what="the body"):
    def pairs(found):
        names = [name for name, _ in found]
        need(len(set(names)) == len(names), f"{what} names a member twice")
        return dict(found)

    def constant(text):
        raise Refused(f"{what} holds {text}")

    try:
        if isinstance(data, bytes):
            data = data.decode("utf-8")
        value = json.loads(data, object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{what} is not JSON") from error
    need(isinstance(value, dict), f"{what} is not a JSON object")
    return value


def texts_in(value, *names, what="the message"):
    result = []
    for name in names:
        need(isinstance(value.get(name), str) and value[name], f"{what} has no {name}")
        result.append(value[name])
    return result if len(names) > 1 else result[0]


# ------------------------------------------------------------------------------------------------ XML


def xml_escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def xml_element(rng, name, value):
    style = rng.randrange(4)
    if value == "":
        return rng.choice([f"<{name}></{name}>", f"<{name}/>", f"<{name}><![CDATA[]]></{name}>"])
    if style == 0 or "]]>" in value:
        return f"<{name}>{xml_escape(value)}</{name}>"
    if style == 1:
        numbered = "".join(f"&#x{ord(c):X};" if c in "&<>" or ord(c) > 127 else c for c in value)
        return f"<{name}>{numbered}</{name}>"
    return f"<{name}><![CDATA[{value}]]></{name}>"


def xml_write(rng, fields, root="xml"):
    between = rng.choice(["", "", "\n", "\n  "])
    inner = between.join(["", *(xml_element(rng, name, value) for name, value in fields)])
    return f"<{root}>{inner}{rng.choice(['', chr(10)])}</{root}>".encode()


def xml_read(data, root):
    """{name: text} of a root with one level of elements. Document types, nesting and repetition are refused."""
    from xml.parsers import expat

    fields, path = {}, []

    def start(name, attributes):
        path.append(name)
        need(path[0] == root, f"the root element is {path[0]}, not {root}")
        need(len(path) <= 2, "elements too deep")
        if len(path) == 2:
            need(name not in fields, f"the element {name} twice")
            fields[name] = ""

    def end(_):
        path.pop()

    def text(piece):
        if len(path) == 2:
            fields[path[1]] += piece
        else:
            need(not piece.strip(), "text between elements")

    def doctype(*_):
        raise Refused("a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Refused("not XML") from error
    return fields


# --------------------------------------------------------------------------------------------- keys

KEYS = {}


def rsa_key(label, bits=2048):
    """A key that depends on the label alone, made once a process."""
    if (label, bits) not in KEYS:
        KEYS[label, bits] = primitives.RsaPrivate.generate(random.Random(f"RSA {bits} {label}"), bits)
    return KEYS[label, bits]


def stranger():
    """The key of somebody who is neither platform nor merchant."""
    return rsa_key("stranger")


def sm2_key(label):
    return primitives.Sm2Private.generate(random.Random(f"SM2 {label}"))


def sorted_string(fields, leave=(), empties=False):
    """name=value&…, by the bytes of the names."""
    pairs = [(n, v) for n, v in fields if n not in leave and (empties or v != "")]
    return "&".join(f"{n}={v}" for n, v in sorted(pairs, key=lambda pair: pair[0].encode()))


# ------------------------------------------------------------------------------------------ messages


class Message:
    """A message on its way: `fields` are (name, value) texts in the order sent; the rest is the platform's."""

    def __init__(self, kind, fields=(), **rest):
        self.kind = kind
        self.fields = [list(pair) for pair in fields]
        self.expect = None
        self.__dict__.update(rest)

    def get(self, name):
        return next((value for key, value in self.fields if key == name), None)

    def set(self, name, value):
        for pair in self.fields:
            if pair[0] == name:
                pair[1] = value
                return
        self.fields.append([name, value])

    def remove(self, name):
        self.fields = [pair for pair in self.fields if pair[0] != name]


def change_text(rng, value):
    """Another text near to this one."""
    choice = rng.randrange(5)
    if choice == 0 and value.isdigit() and int(value):
        return str(int(value) * 100)
    if choice == 1:
        return value + rng.choice(["0", " ", "x"])
    if choice == 2 and len(value) > 1:
        return value[:-1]
    at = rng.randrange(len(value))
    other = rng.choice([c for c in "0123456789abXY" if c.lower() != value[at].lower()])
    return value[:at] + other + value[at + 1 :]


def change_base64(rng, text):
    """Another base64 text of the same length, which stands for other bytes."""
    data = bytearray(unb64(text))
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return b64(bytes(data))


def change_hex(rng, text):
    at = rng.randrange(len(text))
    digit = rng.choice([c for c in "0123456789" if c != text[at]])
    return text[:at] + digit + text[at + 1 :]


def only(*kinds):
    """Marks a damage as one of these kinds of message."""

    def mark(method):
        method.applies = lambda message: message.kind in kinds
        return method

    return mark


def never(*kinds):
    def mark(method):
        method.applies = lambda message: message.kind not in kinds
        return method

    return mark


class Platform:
    """One protocol. Subclasses give NAME, KINDS, GENERATIONS, STATUSES and the methods that raise below.

    A damage is a method `spoil_…(rng, message)` that gets an unsealed genuine message and returns a request
    which must be refused, or None where it does not apply to that message.
    """

    NAME = None
    KINDS = ()
    GENERATIONS = ()
    STATUSES = {}
    # For the self-test: kinds whose facts do not repeat the wished number, and wishes for its three sets of keys.
    LOOSE = ()
    TESTED_KEYS = ({}, {}, {})

    def __init__(self):
        self.settings, self.secret = None, None

    def make_keys(self, rng, label, wish):
        """Sets self.settings and self.secret."""
        raise NotImplementedError

    def message(self, rng, wish, now):
        """A genuine message, not yet sealed, with .expect filled."""
        raise NotImplementedError

    def seal(self, message, rng):
        """Signs or encrypts in place."""
        raise NotImplementedError

    def render(self, message, rng):
        raise NotImplementedError

    def check(self, asked, now):
        """The facts, or raises Refused."""
        raise NotImplementedError

    def reply(self, cause, asked):
        raise NotImplementedError

    def vectors(self):
        return []

    # The operations.

    def pick(self, rng, wish):
        kind = wish.get("kind") or rng.choice(self.KINDS)
        if kind not in self.KINDS:
            raise ValueError(f"no kind {kind}")
        return kind

    def status(self, rng, wish, kind):
        """(the platform's word, the event). Successes are the more frequent."""
        known = self.STATUSES[kind]
        word = wish.get("status")
        if word is None:
            word = next(iter(known)) if rng.random() < 0.6 else rng.choice(list(known))
        return word, known.get(word, "other")

    def keys(self, wish):
        label = f"{self.NAME}/{wish.get('seed', 0)}"
        self.make_keys(random.Random(label), label, wish)
        return {"settings": self.settings}

    def ready(self):
        if self.secret is None:
            self.keys({"seed": 0})

    @staticmethod
    def now(wish):
        return int(wish.get("now") or time.time())

    def sign(self, wish):
        self.ready()
        now = self.now(wish)
        rng = random.Random(f"{self.NAME}/sign/{wish.get('seed', 0)}")
        message = self.message(rng, wish, now)
        self.seal(message, rng)
        expect = {"outcome": "genuine", **message.expect}
        return {"request": self.render(message, rng), "expect": expect, "kind": message.kind, "now": now}

    def spoils(self):
        return [name[6:] for name in sorted(dir(self)) if name.startswith("spoil_") and getattr(self, name)]

    def damage(self, wish):
        self.ready()
        now = self.now(wish)
        rng = random.Random(f"{self.NAME}/damage/{wish.get('seed', 0)}")
        names = self.spoils()
        wanted = wish.get("damage")
        if wanted is not None and wanted not in names:
            raise ValueError(f"no damage {wanted}")
        for _ in range(400):
            name = wanted or rng.choice(names)
            message = self.message(rng, wish, now)
            spoil = getattr(self, f"spoil_{name}")
            if not getattr(spoil, "applies", lambda _: True)(message):
                continue
            if hasattr(FieldDamages, spoil.__name__) and not self.flat(message):
                continue
            asked = spoil(rng, message)
            if asked is not None:
                return {
                    "request": asked, "expect": {"outcome": "refused"}, "damage": name, "kind": message.kind, "now": now,
                }
        raise ValueError(f"{wanted or 'no damage'} does not apply to such a message")

    def verify(self, wish):
        self.ready()
        try:
            return {"outcome": "genuine", **self.check(wish["request"], self.now(wish))}
        except (Refused, Malformed) as error:
            return {"outcome": "refused", "reason": str(error)}

    def judged(self, settings, asked, now, **more):
        """What `verify` says of a request under other settings."""
        kept = self.settings, self.secret
        self.settings, self.secret = settings, {}
        try:
            return self.verify({"request": asked, "now": now, **more})
        finally:
            self.settings, self.secret = kept

    def use(self, wish):
        self.settings = wish["settings"]
        if self.secret is None:
            self.secret = {}
        return {"settings": self.settings}

    def describe(self, _):
        return {
            "platform": self.NAME, "kinds": list(self.KINDS), "generations": list(self.GENERATIONS),
            "statuses": self.STATUSES, "damages": self.spoils(),
        }

    def answer(self, wish):
        op = wish.get("op")
        if op == "reply":
            self.ready()
            status, content_type, body = self.reply(wish.get("cause", "success"), wish)
            headers = [["Content-Type", content_type]] if content_type else []
            return {"status": status, "headers": headers, "body_base64": b64(body), "body": body.decode()}
        if op == "vectors":
            return {"vectors": [vector(*item) if isinstance(item, tuple) else item for item in self.vectors()]}
        if op in ("describe", "keys", "use", "sign", "damage", "verify"):
            return getattr(self, op)(wish)
        raise ValueError(f"no operation {op!r}")

    # What every sealed message shares.

    def flat(self, message):
        """Whether the damages of FieldDamages suit this message."""
        return True

    def sealed(self, message, rng):
        self.seal(message, rng)
        return message

    def finish(self, message, rng):
        """Seals and renders: for damages that are done before the signature, rightly signed."""
        return self.render(self.sealed(message, rng), rng)


class FieldDamages:
    """Damages of messages that are flat fields with the signature among them.

    SIGN is the signature's field; UNSIGNED are the others that the signature does not cover; MERCHANT are
    the fields that say who the message is for, which the settings know.
    """

    SIGN = "sign"
    UNSIGNED = ()
    MERCHANT = ()

    def covered(self, message, filled=True):
        names = [n for n, v in message.fields if n != self.SIGN and n not in self.UNSIGNED and (v != "" or not filled)]
        return names

    def spoil_value_changed(self, rng, message):
        self.seal(message, rng)
        name = rng.choice(self.covered(message))
        message.set(name, change_text(rng, message.get(name)))
        return self.render(message, rng)

    def spoil_value_emptied(self, rng, message):
        self.seal(message, rng)
        message.set(rng.choice(self.covered(message)), "")
        return self.render(message, rng)

    def spoil_values_swapped(self, rng, message):
        self.seal(message, rng)
        a, b = rng.sample(self.covered(message), 2)
        left, right = message.get(a), message.get(b)
        if left == right:
            return None
        message.set(a, right)
        message.set(b, left)
        return self.render(message, rng)

    def spoil_field_removed(self, rng, message):
        self.seal(message, rng)
        message.remove(rng.choice(self.covered(message)))
        return self.render(message, rng)

    def spoil_field_added(self, rng, message):
        self.seal(message, rng)
        message.fields.insert(rng.randrange(len(message.fields) + 1), ["added_later", rng.choice(["1", "中文", "a+b &"])])
        return self.render(message, rng)

    def spoil_field_duplicated(self, rng, message):
        self.seal(message, rng)
        name = rng.choice(self.covered(message))
        other = change_text(rng, message.get(name))
        message.fields.insert(rng.randrange(len(message.fields) + 1), [name, other])
        return self.render(message, rng)

    def spoil_field_case_changed(self, rng, message):
        self.seal(message, rng)
        name = rng.choice(self.covered(message))
        value = message.get(name)
        message.remove(name)
        message.fields.append([name.upper() if name != name.upper() else name.lower(), value])
        return self.render(message, rng)

    def spoil_signature_missing(self, rng, message):
        self.seal(message, rng)
        message.remove(self.SIGN)
        return self.render(message, rng)

    def spoil_signature_empty(self, rng, message):
        self.seal(message, rng)
        message.set(self.SIGN, "")
        return self.render(message, rng)

    def spoil_signature_cut(self, rng, message):
        self.seal(message, rng)
        text = message.get(self.SIGN)
        message.set(self.SIGN, text[: rng.choice([1, len(text) // 2, max(len(text) - 8, 1)])])
        return self.render(message, rng)

    def spoil_signature_of_another(self, rng, message):
        other = copy.deepcopy(message)
        name = rng.choice(self.covered(other))
        other.set(name, change_text(rng, other.get(name)))
        self.seal(other, rng)
        self.seal(message, rng)
        message.set(self.SIGN, other.get(self.SIGN))
        return self.render(message, rng)

    def spoil_other_merchant(self, rng, message):
        names = [name for name in self.MERCHANT if message.get(name)]
        if not names:
            return None
        name = rng.choice(names)
        message.set(name, change_hex(rng, message.get(name)))
        return self.finish(message, rng)


# ------------------------------------------------------------------------------------------- vectors


def vector(name, given, expected, computed):
    return {"name": name, "given": given, "expected": expected, "computed": computed, "passed": expected == computed}


# ----------------------------------------------------------------------------------------- self-test


def selftest(platform, count):
    passed, failures = 0, []

    def note(label, good, detail=""):
        nonlocal passed
        if good:
            passed += 1
        else:
            failures.append(f"{label}: {detail}")

    for item in platform.answer({"op": "vectors"})["vectors"]:
        note(f"vector {item['name']}", item["passed"], f"{item['expected']} came out as {item['computed']}")
    events, reached = {}, {}
    for seed in range(count):
        if seed % max(count // 3, 1) == 0:
            at = seed // max(count // 3, 1)
            platform.answer({"op": "keys", "seed": at, **platform.TESTED_KEYS[at % 3]})
        signed = platform.answer({"op": "sign", "seed": seed})
        json.dumps(signed)
        again = platform.answer({"op": "sign", "seed": seed, "now": signed["now"]})
        note(f"sign {seed} again", again == signed, "differs")
        said = platform.answer({"op": "verify", "request": signed["request"], "now": signed["now"], "kind": signed["kind"]})
        note(f"sign {seed} {signed['kind']}", said == signed["expect"], f"{said} instead of {signed['expect']}")
        key = f"{signed['kind']} {signed['expect']['event']}"
        events[key] = events.get(key, 0) + 1
    for kind in platform.KINDS:
        wish = {"op": "sign", "kind": kind, "seed": 7, "out_trade_no": "WISH-1", "amount_minor": 12345}
        signed = platform.answer(wish)
        said = platform.answer({"op": "verify", "request": signed["request"], "now": signed["now"], "kind": kind})
        note(f"wish {kind}", said == signed["expect"], f"{said} instead of {signed['expect']}")
        for name, value in (("order_no", "WISH-1"), ("amount_minor", 12345)):
            got = said.get(name)
            note(f"wish {kind} {name}", got in (value, None) or kind in platform.LOOSE, f"{got}")
        for word, event in platform.STATUSES.get(kind, {}).items():
            signed = platform.answer({**wish, "status": word})
            said = platform.answer({"op": "verify", "request": signed["request"], "now": signed["now"], "kind": kind})
            note(f"status {kind} {word}", said["outcome"] == "genuine" and said["event"] == event, f"{said}")
    for keys in range(3):
        platform.answer({"op": "keys", "seed": keys, **platform.TESTED_KEYS[keys]})
        for name in platform.spoils():
            for seed in range(max(count // 40, 4)):
                try:
                    spoilt = platform.answer({"op": "damage", "seed": seed, "damage": name})
                except ValueError:
                    break
                said = platform.answer({"op": "verify", "request": spoilt["request"], "now": spoilt["now"]})
                note(f"damage {name} {seed}", said["outcome"] == "refused", f"{spoilt['kind']} was accepted: {said}")
                reached.setdefault(name, set()).add(said.get("reason", "")[:60])
    for name in platform.spoils():
        note(f"damage {name}", name in reached, "never applied")
    for seed in range(count // 4):
        spoilt = platform.answer({"op": "damage", "seed": seed})
        said = platform.answer({"op": "verify", "request": spoilt["request"], "now": spoilt["now"]})
        note(f"damage of seed {seed}", said["outcome"] == "refused", f"{spoilt['damage']} was accepted: {said}")
    for cause in ("success", "failure"):
        reply = platform.answer({"op": "reply", "cause": cause, "request": signed["request"]})
        note(f"reply {cause}", unb64(reply["body_base64"]).decode() == reply["body"], reply)
    if "-v" in sys.argv:
        for key in sorted(events):
            print("  ", events[key], key)
        for name, reasons in reached.items():
            print("  ", name, "->", "; ".join(sorted(reasons)))
    for failure in failures[:20]:
        print("FAILED", failure)
    print(f"{passed} passed, {len(failures)} failed")
    return not failures




def main(platform):
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="utf-8")
    if sys.argv[1:2] == ["selftest"]:
        count = int(sys.argv[2]) if sys.argv[2:] and sys.argv[2].isdigit() else 300
        raise SystemExit(not selftest(platform, count))
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            answer = platform.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001: whatever is wrong, the driver must get a line
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, ensure_ascii=False), flush=True)
