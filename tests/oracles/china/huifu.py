"""Huifu (汇付斗拱) messages to notify_url, and console webhooks: the sheet's section 11.

Settings: huifu_public_key (base64 of the SPKI); huifu_id; endpoint_key (32 characters, of the webhooks).
Generations: form, json (both notify_url), webhook.

Decisions where the sheet leaves room:
- The signature covers resp_data (or, for onboarding, data) alone. resp_code and resp_desc beside it are not
  signed, so only what stands inside is believed. The sheet does not say on which level the business fields are;
  here they are inside.
- As JSON, resp_data must be a text: an object there has no bytes of its own that could have been signed.
- Which trans_type means a refund is not said: a notify_url message is a payment by trans_stat, S, F or P.
- `sign` of a webhook is upper-case hex and the only parameter of that name in the query. Other parameters in the
  query are accepted: they belong to the URL on the console.
- The fields of a webhook body beyond the sheet's vector are UNCONFIRMED. event_type alone does not say that money
  moved: without trans_stat the event of trans.pay and refund.standard is `other`. trans.close is payment.closed.
- A refund's req_seq_id is taken for the number of the refund; the order's own is not in the sheet's fields.
- The window is none: nothing carries a time that is signed for the purpose.
"""

import json

from harness import (
    Message, Platform, Refused, b64, beijing, body_of, change_base64, change_hex, change_text, digits, facts, form_decode,
    form_encode, hard_text, header, json_object, json_text, letters, main, minor_of, need, never, only, request, rsa_key,
    shuffled, some_amount, some_order, stranger, unb64, vector, yuan,
)
from primitives import md5, public_key


def webhook_sign(body, key):
    return md5(body + key.encode()).upper()


class HuifuMessage(Message):
    def sign_it(self):
        if self.way == "webhook":
            self.sign = webhook_sign(self.text.encode(), self.key)
        else:
            self.sign = b64(self.private.sign(self.digest, self.text.encode()))


class Huifu(Platform):
    NAME = "huifu"
    KINDS = ("payment", "onboarding", "webhook_payment", "webhook_refund", "webhook_close")
    GENERATIONS = ("form", "json", "webhook")
    STATUSES = {
        "payment": {"S": "payment.succeeded", "F": "payment.failed", "P": "payment.pending"},
        "onboarding": {"": "other"},
        "webhook_payment": {"S": "payment.succeeded", "F": "payment.failed", "": "other"},
        "webhook_refund": {"S": "refund.succeeded", "F": "refund.failed", "": "other"},
        "webhook_close": {"": "payment.closed"},
    }
    EVENTS = {"webhook_payment": "trans.pay", "webhook_refund": "refund.standard", "webhook_close": "trans.close"}

    def make_keys(self, rng, label, wish):
        private = rsa_key(label)
        self.settings = {
            "huifu_public_key": b64(private.public.spki()), "huifu_id": "6666" + digits(rng, 12), "endpoint_key": letters(rng, 32),
        }
        self.secret = {"private": private}

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), "0021000" + digits(rng, 26)
        identities = [["huifu_id", self.settings["huifu_id"]]]
        data = {
            "resp_code": "00000000", "resp_desc": hard_text(rng), "req_seq_id": order, "req_date": beijing(now, "%Y%m%d"),
            "hf_seq_id": number, "huifu_id": self.settings["huifu_id"], "trans_amt": yuan(amount), "trans_stat": word,
            "trans_type": "A_NATIVE", "remark": hard_text(rng), "a_new_field": {"b": [1, "c/d", None, True]},
        }
        if kind == "onboarding":
            data = {"resp_code": "00000000", "resp_desc": "成功", "req_seq_id": order, "huifu_id": self.settings["huifu_id"], "audit_status": "Y"}
            expect = facts("other", order, None, identities=identities)
        elif kind == "webhook_refund":
            expect = facts(event, None, None, amount, "CNY", identities, refund_no=order, platform_refund_no=number)
        else:
            expect = facts(event, order, number, amount, "CNY", identities)
        message = HuifuMessage(kind, expect=expect, private=self.secret["private"], key=self.settings["endpoint_key"], digest="sha256")
        if kind in self.EVENTS:
            data = {"event_id": letters(rng, 32), "event_type": self.EVENTS[kind]} | data
            if not word:
                data.pop("trans_stat")
            message.way = "webhook"
        else:
            message.way = wish.get("generation") or rng.choice(["form", "form", "form", "json"])
        message.data = shuffled(rng, data)
        return message

    def seal(self, message, rng):
        message.text = json_text(rng, message.data)
        message.sign_it()

    def render(self, message, rng):
        if message.way == "webhook":
            query = rng.choice(["{}", "{}", "shop=1&{}", "{}&a=b"])
            query = query.format("sign=" + message.sign) if message.sign is not None else ""
            return request(query=query, body=message.text.encode(), content_type="application/json")
        name = "data" if message.kind == "onboarding" else "resp_data"
        fields = [["resp_code", "00000000"], ["resp_desc", rng.choice(["", "交易成功"])], [name, message.text]]
        if message.sign is not None:
            fields.append(["sign", message.sign])
        rng.shuffle(fields)
        if message.way == "json":
            return request(body=json_text(rng, dict(fields)).encode(), content_type="application/json")
        kind = rng.choice(["application/x-www-form-urlencoded", "application/x-www-form-urlencoded;charset=UTF-8"])
        return request(body=form_encode(fields, rng.randrange(4)).encode(), content_type=kind)

    def check(self, asked, now):
        need(asked["method"] == "POST", "not a POST")
        body, kind = body_of(asked), header(asked, "Content-Type").lower()
        if kind.startswith("application/x-www-form-urlencoded"):
            return self.check_notice(form_decode(body))
        value = json_object(body)
        if "resp_data" in value or "data" in value and "sign" in value:
            return self.check_notice(value)
        sign = form_decode(asked["query"]).get("sign")
        need(sign, "no sign in the query")
        need(sign == webhook_sign(body, self.settings["endpoint_key"]), "the signature does not fit")
        need(isinstance(value.get("event_id"), str), "no event_id")
        names = {event: kind for kind, event in self.EVENTS.items()}
        kind = names.get(value.get("event_type"))
        need(kind, "unknown event_type")
        return self.business(kind, value)

    def check_notice(self, fields):
        sent = [name for name in ("resp_data", "data") if name in fields]
        need(len(sent) == 1, "not exactly one of resp_data and data")
        text, sign = fields[sent[0]], fields.get("sign")
        need(isinstance(text, str) and isinstance(sign, str), "resp_data or sign is not a text")
        key = public_key(self.settings["huifu_public_key"])
        need(key.verify("sha256", text.encode(), unb64(sign, "sign")), "the signature does not fit")
        return self.business("onboarding" if sent[0] == "data" else "payment", json_object(text, "resp_data"))

    def business(self, kind, value):
        need(value.get("huifu_id") == self.settings["huifu_id"], "huifu_id is not ours")
        need(isinstance(value.get("req_seq_id"), str) and value["req_seq_id"], "no req_seq_id")
        identities = [["huifu_id", value["huifu_id"]]]
        if kind == "onboarding":
            return facts("other", value["req_seq_id"], None, identities=identities)
        for name in ("hf_seq_id", "trans_amt"):
            need(isinstance(value.get(name), str) and value[name], f"no {name}")
        word = value.get("trans_stat", "")
        need(kind != "payment" or word, "no trans_stat")
        event = self.STATUSES[kind].get(word, "other")
        if kind == "webhook_refund":
            return facts(
                event, None, None, minor_of(value["trans_amt"]), "CNY", identities, refund_no=value["req_seq_id"],
                platform_refund_no=value["hf_seq_id"],
            )
        return facts(event, value["req_seq_id"], value["hf_seq_id"], minor_of(value["trans_amt"]), "CNY", identities)

    def spoil_wrong_key(self, rng, message):
        message.private, message.key = stranger(), letters(rng, 32)
        return self.finish(message, rng)

    def spoil_value_changed(self, rng, message):
        self.seal(message, rng)
        data = json.loads(message.text)
        name = rng.choice([name for name in data if isinstance(data[name], str)])
        old, new = json.dumps(data[name])[1:-1], json.dumps(change_text(rng, data[name] or "0"))[1:-1]
        if not old or old not in message.text:
            return None
        message.text = message.text.replace(old, new)
        return self.render(message, rng)

    def spoil_printed_anew(self, rng, message):
        self.seal(message, rng)
        text = json.dumps(json.loads(message.text), ensure_ascii=True, separators=(" , ", " : "))
        message.text = text
        return self.render(message, rng)

    def spoil_members_sorted(self, rng, message):
        """Signed over sorted members, as requests are."""
        self.seal(message, rng)
        text, message.text = message.text, json.dumps(dict(sorted(message.data.items())), ensure_ascii=False, separators=(",", ":"))
        if text == message.text:
            return None
        message.sign_it()
        message.text = text
        return self.render(message, rng)

    def spoil_signature_missing(self, rng, message):
        self.seal(message, rng)
        message.sign = None
        return self.render(message, rng)

    def spoil_signature_empty(self, rng, message):
        self.seal(message, rng)
        message.sign = ""
        return self.render(message, rng)

    def spoil_signature_cut(self, rng, message):
        self.seal(message, rng)
        message.sign = message.sign[: rng.choice([4, len(message.sign) // 2, len(message.sign) - 4])]
        return self.render(message, rng)

    def spoil_signature_flipped(self, rng, message):
        self.seal(message, rng)
        message.sign = change_hex(rng, message.sign) if message.way == "webhook" else change_base64(rng, message.sign)
        return self.render(message, rng)

    def spoil_other_merchant(self, rng, message):
        message.data["huifu_id"] = change_hex(rng, self.settings["huifu_id"])
        return self.finish(message, rng)

    def spoil_no_number(self, rng, message):
        names = ["req_seq_id", "huifu_id"] + (["hf_seq_id", "trans_amt"] if message.kind != "onboarding" else [])
        message.data.pop(rng.choice(names))
        return self.finish(message, rng)

    @never("onboarding")
    def spoil_amount_nonsense(self, rng, message):
        message.data["trans_amt"] = rng.choice(["1.001", "-1", "1e2", " 1", "1.", 1, 0.5, None])
        return self.finish(message, rng)

    def spoil_member_twice(self, rng, message):
        """A member twice, rightly signed: readers disagree on which counts."""
        self.seal(message, rng)
        message.text = message.text.rstrip()[:-1] + ',"req_seq_id":"OTHER"}'
        message.sign_it()
        return self.render(message, rng)

    @only("payment", "onboarding")
    def spoil_sha1(self, rng, message):
        message.digest = "sha1"
        return self.finish(message, rng)

    @only("payment")
    def spoil_data_as_object(self, rng, message):
        self.seal(message, rng)
        value = {"resp_code": "00000000", "resp_data": message.data, "sign": message.sign}
        return request(body=json.dumps(value, ensure_ascii=False).encode(), content_type="application/json")

    @only("payment")
    def spoil_html_escaped(self, rng, message):
        self.seal(message, rng)
        message.text = message.text.replace('"', "&quot;")
        return self.render(message, rng)

    @only("payment")
    def spoil_field_twice(self, rng, message):
        self.seal(message, rng)
        other = json.dumps(message.data | {"trans_amt": "9999.00"})
        fields = [["resp_data", message.text], ["resp_data", other], ["sign", message.sign]]
        rng.shuffle(fields)
        return request(body=form_encode(fields).encode(), content_type="application/x-www-form-urlencoded")

    @only("webhook_payment", "webhook_refund", "webhook_close")
    def spoil_webhook_lower_case(self, rng, message):
        self.seal(message, rng)
        if message.sign.isdigit():
            return None
        message.sign = message.sign.lower()
        return self.render(message, rng)

    @only("webhook_payment", "webhook_refund", "webhook_close")
    def spoil_webhook_key_first(self, rng, message):
        self.seal(message, rng)
        message.sign = md5(message.key.encode() + message.text.encode()).upper()
        return self.render(message, rng)

    @only("webhook_payment", "webhook_refund", "webhook_close")
    def spoil_webhook_sign_twice(self, rng, message):
        self.seal(message, rng)
        asked = self.render(message, rng)
        other = f"sign={change_hex(rng, message.sign)}"
        asked["query"] = rng.choice([f"{other}&{asked['query']}", f"{asked['query']}&{other}"])
        return asked

    @only("webhook_payment", "webhook_refund", "webhook_close")
    def spoil_webhook_sign_in_body(self, rng, message):
        self.seal(message, rng)
        value = json.dumps({"sign": message.sign} | message.data)
        return request(body=value.encode(), content_type="application/json")

    def reply(self, cause, wish):
        if cause != "success":
            return 500, "text/plain", b"fail"
        number = wish.get("req_seq_id", "REQ-SEQ-ID")
        if wish.get("request"):
            asked = wish["request"]
            if header(asked, "Content-Type").lower().startswith("application/x-www-form-urlencoded"):
                fields = form_decode(body_of(asked))
            else:
                fields = json_object(body_of(asked))
            if "event_type" in fields:
                return 200, None, b""
            try:
                number = json_object(fields.get("resp_data") or fields["data"])["req_seq_id"]
            except (KeyError, TypeError) as error:
                raise Refused("no req_seq_id to answer with") from error
        return 200, "text/plain; charset=utf-8", f"RECV_ORD_ID_{number}".encode()

    def vectors(self):
        body, key = '{"event_type":"trans.pay","req_seq_id":"R1","trans_amt":"0.10"}', "0123456789abcdef0123456789abcdef"
        given = {"body": body, "endpoint_key": key}
        yield vector("webhook", given, "583170A649932DCEDFD1B52B90BBD4AD", webhook_sign(body.encode(), key))


if __name__ == "__main__":
    main(Huifu())
