"""Alipay notifications signed and verified by python-alipay-sdk, an implementation that is not ours.

    alipay_sdk.py generate COUNT SEED    cases as JSON lines
    alipay_sdk.py verify                 JSON lines {public_key, sign_type, rule, pairs} in, verdicts out

The SDK signs the text that it sorts and joins itself; this file invents the messages, spoils some of
them, and notes what the SDK says. A case that the SDK judges otherwise than the protocol sheet carries
the sheet's word in `differs`; the test counts those, so that none goes unseen.
"""

import json
import random
import string
import sys
from urllib.parse import quote, quote_plus

# The oracle beside this file has the name of the SDK's package.
del sys.path[0]

from alipay import AliPay
from alipay.exceptions import AliPayException
from Cryptodome.PublicKey import RSA

KEY_COUNT = 3

TEXTS = [
    "", " ", "  ", "1", "0.01", "中文", "大乐透2.1", "“引号”", "😀👍🏽", "é", "e\u0301", "ß", "ﬁ", "\u200b", "\ufeff", "İ",
    "a+b", "a b", "%2B", "%", "%%", "100%", "%41%zz", "&", "&&", "a=b", "=", "==", "a=b&c=d", "&amp;", "&quot;", "?", "#",
    "'", '"', "\\", "\\\"", "\n", "\r\n", "\t", "<script>", "{}", "[]", '[{"amount":"0.10","fundChannel":"ALIPAYACCOUNT"}]',
    "null", "true", "@file", "2026-11-21 12:00:00", "a;b", "a,b", "~", "-", "_", ".", "*", "/", "http://例子.测试/?a=1&b=2",
]

# Characters that GBK has.
GBK_TEXTS = ["中文", "大乐透", "商品", "“引号”", "a+b 测试", "￥", "１２３", "丂", "鼈", "100%", "&", "=", "", " ", '"']


class Encoded(str):
    """A text that the SDK, which always says `.encode()`, signs in another charset."""

    charset = "utf-8"

    def encode(self, *_):
        return str.encode(self, self.charset)


def encoded(text, charset):
    result = Encoded(text)
    result.charset = charset
    return result


class Key:
    def __init__(self, rng):
        key = RSA.generate(2048, randfunc=rng.randbytes)
        private = key.export_key().decode()
        self.public = key.publickey().export_key().decode()
        self.app_id = "20" + "".join(rng.choices(string.digits, k=14))
        self.seller_id = "2088" + "".join(rng.choices(string.digits, k=12))

        self.sdk = AliPay(
            appid=self.app_id,
            app_private_key_string=private,
            alipay_public_key_string=self.public,
            sign_type="RSA2",
        )


def message(rng, key, charset):
    texts = TEXTS if charset == "utf-8" else GBK_TEXTS
    fields = {
        "notify_type": "trade_status_sync",
        "notify_id": "".join(rng.choices(string.hexdigits.lower(), k=34)),
        "notify_time": "2026-11-21 12:00:%02d" % rng.randrange(60),
        "app_id": key.app_id,
        "charset": charset if rng.random() < 0.7 else charset.upper(),
        "version": "1.0",
        "sign_type": "RSA2",
        "trade_no": "20261121" + "".join(rng.choices(string.digits, k=20)),
        "out_trade_no": "".join(rng.choices(string.ascii_letters + string.digits + "_", k=rng.randrange(1, 64))),
        "trade_status": rng.choice(["TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED", "WAIT_BUYER_PAY"]),
        "total_amount": "%d.%02d" % (rng.randrange(10 ** rng.randrange(1, 7)), rng.randrange(100)),
        "seller_id": key.seller_id,
    }
    for name in ["subject", "body", "passback_params", "buyer_logon_id", "fund_bill_list", "voucher_detail_list",
                 "invoice_title", "Subject", "SUBJECT", "body2", "bodi", "z", "~z", "new.field", "new-field", "字段", "a b", "a+b", "x%41"]:
        if rng.random() < 0.4 and (charset == "utf-8" or name.isascii() or name in "字段"):
            fields[name] = "".join(rng.choices(texts, k=rng.randrange(0, 4)))
    for name in ["buyer_id", "out_biz_no", "gmt_refund", "point_amount", "receipt_amount", "extra"]:
        if rng.random() < 0.2:
            fields[name] = ""
    if rng.random() < 0.03:
        fields["passback_params"] = rng.choice([t for t in texts if t]) * rng.randrange(100, 400)
    items = list(fields.items())
    rng.shuffle(items)
    return dict(items)


def written(rng, pairs, charset):
    safe = rng.choice(["", "-._~", "-._*~", "!'()*,:;@/?", ":="])
    write = rng.choice([quote_plus, quote])
    case = rng.choice([str, str, lower_hexadecimal])
    return "&".join(
        case(quote_plus(name.encode(charset)) + "=" + write(value.encode(charset), safe=safe)) for name, value in pairs
    )


def lower_hexadecimal(text):
    first, *rest = text.split("%")
    return first + "".join("%" + piece[:2].lower() + piece[2:] for piece in rest)


def joined(sdk, fields):
    return "&".join("{}={}".format(k, v) for k, v in sdk._ordered_data(fields))


def signed(sdk, fields, charset):
    return sdk._sign(encoded(joined(sdk, fields), charset))


def says(sdk, pairs, charset):
    """The SDK's verdict on a message as a PHP or Python application would hand it over."""
    data = dict(pairs)
    signature = data.pop("sign", "")
    try:
        if charset == "utf-8":
            return sdk.verify(data, signature)
        if data.pop("sign_type", "RSA2") != "RSA2":
            return False
        return sdk._verify(encoded(joined(sdk, data), charset), signature)
    except (AliPayException, ValueError):
        return False


def covered(fields):
    return {name: value for name, value in fields.items() if name not in ("sign", "sign_type")}


def other_text(rng, text, charset):
    candidates = [text + "x", text + " ", " " + text, text + "\n", text[:-1], text.swapcase(), text + "0", "x"]
    return rng.choice([c for c in candidates if c != text])


def tampered(rng, fields, keys, key, charset):
    """A spoiled copy: its label, its pairs and, where the SDK is wrong, the sheet's word."""
    fields = dict(fields)
    plain = [name for name in covered(fields)]
    filled = [name for name in plain if fields[name]]
    name = rng.choice(filled)
    label = rng.choice([
        "value", "value", "value", "deleted", "renamed", "added", "added_empty", "swapped", "emptied", "moved", "sign_flipped",
        "sign_cut", "sign_extended", "sign_blank", "sign_missing", "sign_lower", "sign_url", "other_key", "sign_type",
        "sign_of_v2", "sign_of_skip", "sign_trailing_bits", "sign_two_lines", "sign_unpadded", "sign_leading_blank",
    ])
    sign = fields["sign"]
    sdk = key.sdk
    differs = None
    if label == "value":
        fields[name] = other_text(rng, fields[name], charset)
    elif label == "deleted":
        del fields[name]
    elif label == "renamed":
        fields["renamed"] = fields.pop(name)
    elif label == "added":
        fields["added"] = rng.choice(["1", "x", "0.01"])
    elif label == "added_empty":
        fields["added"] = ""
        if rng.random() < 0.5:
            fields = {n: v for n, v in fields.items() if v}
            fields["sign"] = signed(sdk, covered(fields), charset)
            fields["added"] = ""
        if all(fields[other] for other in covered(fields) if other != "added"):
            # Nothing was empty, so the text without empties is the text that was signed.
            differs = "genuine"
    elif label == "swapped":
        other = rng.choice([o for o in plain if fields[o] != fields[name]])
        fields[name], fields[other] = fields[other], fields[name]
    elif label == "emptied":
        fields[name] = ""
    elif label == "moved":
        ordered = sorted(plain)
        place = ordered.index(name)
        following = ordered[(place + 1) % len(ordered)]
        moved = fields[name][-1]
        fields[name] = fields[name][:-1]
        fields[moved + following] = fields.pop(following)
    elif label == "sign_flipped":
        place = rng.randrange(len(sign) - 4)
        fields["sign"] = sign[:place] + ("A" if sign[place] != "A" else "B") + sign[place + 1:]
    elif label == "sign_cut":
        fields["sign"] = sign[:rng.randrange(len(sign) - 4)]
    elif label == "sign_extended":
        fields["sign"] = "AAAA" + sign
    elif label == "sign_blank":
        fields["sign"] = sign.replace("+", " ")
        if "+" not in sign:
            fields["sign"] = sign[:8]
    elif label == "sign_missing":
        del fields["sign"]
    elif label == "sign_lower":
        fields["sign"] = sign.lower()
    elif label == "sign_url":
        fields["sign"] = sign.replace("+", "-").replace("/", "_")
        if fields["sign"] == sign:
            fields["sign"] = sign[:8]
    elif label == "other_key":
        other = rng.choice([k for k in keys if k is not key])
        fields["sign"] = signed(other.sdk, covered(fields), charset)
    elif label == "sign_type":
        fields["sign_type"] = rng.choice(["RSA", "RSA3", "MD5", "rsa2", "RSA2 ", "HMAC", "SM2"])
    elif label == "sign_of_v2":
        everything = covered(fields)
        everything["sign_type"] = "RSA2"
        fields["sign"] = signed(sdk, everything, charset)
        differs = "genuine"
    elif label == "sign_of_skip":
        full = {n: v for n, v in covered(fields).items() if v}
        fields["sign"] = signed(sdk, full, charset)
        differs = "genuine" if len(full) < len(plain) else None
    elif label == "sign_trailing_bits":
        # 256 bytes leave four bits of the last letter unused; the SDK's base64 ignores them.
        alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
        fields["sign"] = sign[:-3] + alphabet[alphabet.index(sign[-3]) + 1] + "=="
        differs = "refused"
    elif label == "sign_two_lines":
        fields["sign"] = sign[:76] + "\n" + sign[76:]
        differs = "refused"
    elif label == "sign_unpadded":
        fields["sign"] = sign.rstrip("=")
    elif label == "sign_leading_blank":
        fields["sign"] = " " + sign
        differs = "refused"
    pairs = list(fields.items())
    rng.shuffle(pairs)
    return label, pairs, differs


def generate(count, seed):
    rng = random.Random(seed)
    keys = [Key(rng) for _ in range(KEY_COUNT)]
    for number in range(count):
        key = keys[number % len(keys)]
        charset = "gbk" if rng.random() < 0.2 else "utf-8"
        fields = message(rng, key, charset)
        fields["sign"] = signed(key.sdk, covered(fields), charset)
        label, pairs, differs = "genuine", list(fields.items()), None
        if rng.random() < 0.6:
            label, pairs, differs = tampered(rng, fields, keys, key, charset)
        sdk = says(key.sdk, pairs, charset)
        if differs and (differs == "genuine") == sdk:
            differs = None
        body = written(rng, pairs, charset)
        print(json.dumps({
            "number": number,
            "label": label,
            "public_key": key.public,
            "app_id": key.app_id,
            "seller_id": key.seller_id,
            "charset": charset,
            "body": body.encode("ascii").hex(),
            "pairs": pairs,
            "sdk": sdk,
            "differs": differs,
        }))


def verify():
    for line in sys.stdin:
        case = json.loads(line)
        sdk = AliPay(
            appid="1",
            app_private_key_string=THROW_AWAY.export_key().decode(),
            alipay_public_key_string=case["public_key"],
            sign_type=case["sign_type"],
        )
        data = dict(case["pairs"])
        signature = data.pop("sign", "")
        try:
            if case["rule"] == "V1":
                verdict = sdk.verify(data, signature)
            else:
                verdict = sdk._verify(joined(sdk, data), signature)
        except (AliPayException, ValueError):
            verdict = False
        print(json.dumps(verdict))


if __name__ == "__main__":
    if sys.argv[1] == "generate":
        generate(int(sys.argv[2]), int(sys.argv[3]))
    else:
        # The SDK wants a key of its own before it looks at anybody else's.
        THROW_AWAY = RSA.generate(1024)
        verify()
