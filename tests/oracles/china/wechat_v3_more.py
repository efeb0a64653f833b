"""WeChat Pay API v3 notices of every kind that the sheet describes: its section 2.

Settings: mchid and appid, or for a service provider (a third of the seeds) sp_mchid, sp_appid, sub_mchid, sub_appid;
apiv3_key (32 characters); platform_certificates, a list of {serial_no, certificate (PEM)}; public_key_id with
public_key (PEM); signature_types, the allowed ones.
Generations: certificate, public_key, sm (SM2, SM3, SM4; made only after keys of "sm":true, whose
settings have sm_serial_no and sm_public_key and allow WECHATPAY2-SM2-WITH-SM3).

Decisions where the sheet leaves room:
- Window: refused when 300 seconds away or more; no Signature-Type header means WECHATPAY2-SHA256-RSA2048.
- Serials of certificates compare without case and leading zeros; a public key's id compares as it is.
- A nonce of another length than 12 and an APIv3 key of another length than 32 are refused.
- associated_data missing and empty are both genuine.
- The user id of SM2 is 1234567812345678 (UNCONFIRMED).
- Plaintexts of contracts, coupons, profit sharing, pay score, parking and combined orders are not listed in the sheet:
  their members are UNCONFIRMED, taken from the common form of such notices. The event follows event_type alone there.
- A contract's RELEASE and TERMINATE_RETENTION are contract.changed: what they change is not said.
- TRANSACTION.PAY_BACK is payment.succeeded, TRANSACTION.FAIL payment.failed (which is not final).
- A complaint names no merchant: identities is empty.
- A profit sharing order's members are its own: order_no is out_order_no.
- Merchant ids in a message must be ours; sub_appid may be missing.
"""

import json
from pathlib import Path

from envelope import SignedEnvelope, text_of, whole
from harness import (
    Message, b64, body_of, change_hex, digits, facts, hard_text, header, hexes, letters, main, need, only, request, rfc3339,
    rsa_key, shuffled, sm2_key, some_amount, some_order, unb64, vector,
)
from primitives import Aes, Certificate, Sm4, gcm_decrypt, gcm_encrypt, make_certificate, pem, public_key, sm3

RSA_TYPE, SM_TYPE = "WECHATPAY2-SHA256-RSA2048", "WECHATPAY2-SM2-WITH-SM3"
NAME = [("C", "CN"), ("O", "Tenpay.com"), ("OU", "Tenpay.com CA Center"), ("CN", "Tenpay.com sign")]
STATES = {"SUCCESS": "succeeded", "FAIL": "failed", "CANCELLED": "closed"}


def plain_serial(text):
    return text.upper().lstrip("0")


class WechatV3(SignedEnvelope):
    NAME = "wechat_v3"
    KINDS = (
        "payment", "combined", "refund", "transfer", "qq_transfer", "contract", "complaint", "coupon", "profitsharing", "payscore",
        "parking", "vehicle", "industry",
    )
    GENERATIONS = ("certificate", "public_key", "sm")
    PREFIX, KEY, ALGORITHM = "Wechatpay", "apiv3_key", "AEAD_AES_256_GCM"
    EXTRA = ("Wechatpay-Serial",)
    TESTED_KEYS = ({"partner": False}, {"partner": True}, {"partner": False, "sm": True})
    LOOSE = ("combined", "complaint", "coupon", "contract", "vehicle")
    STATUSES = {
        "payment": {"SUCCESS": "payment.succeeded"},
        "combined": {"SUCCESS": "payment.succeeded"},
        "refund": {"SUCCESS": "refund.succeeded", "CLOSED": "refund.closed", "ABNORMAL": "refund.failed"},
        "transfer": {word: f"transfer.{event}" for word, event in STATES.items()},
        "qq_transfer": {word: f"transfer.{event}" for word, event in STATES.items()},
        "contract": {
            "SIGN": "contract.signed", "SIGNING": "contract.pending", "TERMINATE": "contract.ended", "RELEASE": "contract.changed",
            "TERMINATE_RETENTION": "contract.changed",
        },
        "complaint": {"CREATE": "complaint.created", "STATE_CHANGE": "complaint.changed"},
        "coupon": {"USE": "coupon.used", "SEND": "coupon.sent"},
        "profitsharing": {"SUCCESS": "profitsharing.succeeded", "RETURN": "profitsharing.returned"},
        "payscore": {
            "USER_PAID": "payscore.paid", "USER_CONFIRM": "payscore.confirmed", "USER_OPEN_SERVICE": "payscore.opened",
            "USER_CLOSE_SERVICE": "payscore.closed",
        },
        "parking": {"SUCCESS": "payment.succeeded", "FAIL": "payment.failed", "PAY_BACK": "payment.succeeded"},
        "vehicle": {"": "other"},
        "industry": {"INDUSTRY_SUCCESS": "payment.succeeded", "INDUSTRY_FAILED": "payment.failed"},
    }

    def make_keys(self, rng, label, wish):
        certified, public = rsa_key(label), rsa_key(label + "/public")
        serial = rng.getrandbits(159) | 1 << 158
        if rng.random() < 0.3:
            serial >>= 12  # A serial that is printed with leading zeros now and then.
        issuer = [("C", "CN"), ("O", "iTrusChina"), ("CN", "Tenpay.com Root CA")]
        certificate = make_certificate(NAME, certified.public, issuer, rsa_key("wechat/ca"), serial, 1704067200, 2208988800)
        if wish.get("partner", rng.random() < 0.3):
            self.settings = {
                "sp_mchid": digits(rng, 10), "sp_appid": "wx" + hexes(rng, 16), "sub_mchid": digits(rng, 10), "sub_appid": "wx" + hexes(rng, 16),
            }
        else:
            self.settings = {"mchid": digits(rng, 10), "appid": "wx" + hexes(rng, 16)}
        self.settings |= {
            "apiv3_key": letters(rng, 32), "platform_certificates": [{"serial_no": f"{serial:X}", "certificate": pem("CERTIFICATE", certificate)}],
            "public_key_id": "PUB_KEY_ID_0" + digits(rng, 30), "public_key": public.public.pem(), "signature_types": [RSA_TYPE],
        }
        self.secret = {"certified": certified, "public": public, "serial": f"{serial:X}"}
        if wish.get("sm"):
            self.secret["sm"] = sm2_key(label)
            self.settings |= {
                "sm_serial_no": hexes(rng, 16).upper(), "sm_public_key": self.secret["sm"].public.pem(), "signature_types": [RSA_TYPE, SM_TYPE],
            }

    def own(self, *names):
        return [[name, self.settings[name]] for name in names if name in self.settings]

    def message(self, rng, wish, now):
        kind = self.pick(rng, wish)
        word, event = self.status(rng, wish, kind)
        message = getattr(self, "make_" + kind)(rng, wish, now, word, event)
        message.now, message.kind = now, kind
        if rng.random() < 0.4:
            message.plain["a_new_member"] = {"b": [1, hard_text(rng), None]}
        message.plain = shuffled(rng, message.plain)
        original = {"payment": "transaction", "refund": "refund", "transfer": "mch_payment"}.get(kind, kind)
        generation = wish.get("generation") or rng.choice(["certificate", "public_key"] + ["sm"] * ("sm" in self.secret))
        message.headers, message.generation = {}, generation
        if generation == "certificate":
            serial = self.secret["serial"]
            message.headers["Wechatpay-Serial"] = rng.choice([serial, serial, serial.lower(), serial.rjust(40, "0")])
            message.private = self.secret["certified"]
        elif generation == "public_key":
            message.headers["Wechatpay-Serial"], message.private = self.settings["public_key_id"], self.secret["public"]
        else:
            message.headers["Wechatpay-Serial"], message.private = self.settings["sm_serial_no"], self.secret["sm"]
        if generation == "sm" or rng.random() < 0.7:
            message.headers["Wechatpay-Signature-Type"] = SM_TYPE if generation == "sm" else RSA_TYPE
        message.headers["Request-ID"] = "08" + hexes(rng, 30).upper() + "-0"
        self.envelope(message, rng, original)
        if generation == "sm":
            message.algorithm = "AEAD_SM4_GCM"
        return message

    def ids(self):
        return dict(self.own("mchid", "sp_mchid", "sub_mchid"))

    def apps(self):
        return dict(self.own("appid", "sp_appid", "sub_appid"))

    def make_payment(self, rng, wish, now, word, event):
        amount, order, currency = some_amount(rng, wish), some_order(rng, wish), wish.get("currency") or "CNY"
        number, ids = "42000" + digits(rng, 23), self.ids() | self.apps()
        plain = ids | {
            "out_trade_no": order, "transaction_id": number, "trade_type": rng.choice(["JSAPI", "NATIVE", "APP", "MWEB", "FACEPAY", "PAP"]),
            "trade_state": "SUCCESS", "trade_state_desc": "支付成功", "bank_type": "OTHERS", "attach": rng.choice(["", hard_text(rng)]),
            "success_time": rfc3339(now), "payer": {"openid": letters(rng, 28)} if "mchid" in ids else {"sp_openid": letters(rng, 28)},
            "amount": {"total": amount, "payer_total": max(amount - 1, 0), "currency": currency, "payer_currency": currency},
        }
        if rng.random() < 0.3:
            plain["promotion_detail"] = [{"coupon_id": digits(rng, 8), "name": "满减 & 券", "amount": 1, "goods_detail": []}]
            plain["scene_info"] = {"device_id": "013467007045764"}
        identities = [[name, value] for name, value in ids.items()]
        return Message(None, plain=plain, event_type="TRANSACTION.SUCCESS", expect=facts(event, order, number, amount, currency, identities))

    def make_industry(self, rng, wish, now, word, event):
        message = self.make_payment(rng, wish, now, "SUCCESS", event)
        message.event_type = f"TRANSACTION.{word}"
        message.plain["trade_state"] = "SUCCESS" if word == "INDUSTRY_SUCCESS" else "PAYERROR"
        return message

    def make_parking(self, rng, wish, now, word, event):
        message = self.make_payment(rng, wish, now, "SUCCESS", event)
        message.event_type = f"TRANSACTION.{word}"
        message.plain |= {"trade_state": "PAYERROR" if word == "FAIL" else "SUCCESS", "trade_scene": "PARKING"}
        message.plain["parking_info"] = {"parking_id": digits(rng, 20), "plate_number": "粤B888888", "plate_color": "BLUE"}
        return message

    def make_combined(self, rng, wish, now, word, event):
        order, currency = some_order(rng, wish), wish.get("currency") or "CNY"
        mchid, appid = list(self.ids().values())[0], list(self.apps().values())[0]
        parts = []
        for at in range(rng.choice([1, 2, 3])):
            amount = some_amount(rng, wish)
            parts.append({
                "mchid": mchid, "trade_type": "JSAPI", "trade_state": "SUCCESS", "bank_type": "OTHERS", "attach": hard_text(rng), "success_time": rfc3339(now),
                "transaction_id": "42000" + digits(rng, 23), "out_trade_no": f"{order}-{at}", "amount": {"total_amount": amount, "payer_amount": amount, "currency": currency},
            })
        plain = {
            "combine_appid": appid, "combine_mchid": mchid, "combine_out_trade_no": order, "sub_orders": parts, "combine_payer_info": {"openid": letters(rng, 28)},
        }
        orders = [[part["out_trade_no"], part["transaction_id"], part["amount"]["total_amount"]] for part in parts]
        expect = facts(event, order, identities=[["combine_mchid", mchid], ["combine_appid", appid]], orders=orders)
        return Message(None, plain=plain, event_type="TRANSACTION.SUCCESS", expect=expect)

    def make_refund(self, rng, wish, now, word, event):
        amount, order = some_amount(rng, wish), some_order(rng, wish)
        total, number = amount + rng.choice([0, 1, 5000]), "42000" + digits(rng, 23)
        plain = self.ids() | {
            "transaction_id": number, "out_trade_no": order, "refund_id": "50" + digits(rng, 27), "out_refund_no": "R" + digits(rng, 12),
            "refund_status": word, "user_received_account": rng.choice(["支付用户零钱", "招商银行信用卡0403"]),
            "amount": {"total": total, "refund": amount, "payer_total": total, "payer_refund": amount},
        }
        if word == "SUCCESS":
            plain["success_time"] = rfc3339(now)
        expect = facts(
            event, order, number, amount, "CNY", list(self.ids().items()), refund_no=plain["out_refund_no"], platform_refund_no=plain["refund_id"],
            order_amount_minor=total,
        )
        return Message(None, plain=plain, event_type=f"REFUND.{word}", expect=expect)

    def make_transfer(self, rng, wish, now, word, event):
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), "133" + digits(rng, 25)
        mchid = list(self.ids().items())[0]
        plain = {
            "mchid": mchid[1], "out_bill_no": order, "transfer_bill_no": number, "state": word, "transfer_amount": amount, "openid": letters(rng, 28),
            "create_time": rfc3339(now - 60), "update_time": rfc3339(now),
        }
        if word != "SUCCESS":
            plain["fail_reason"] = "PAYEE_ACCOUNT_ABNORMAL"
        expect = facts(event, order, number, amount, "CNY", [["mchid", mchid[1]]])
        return Message(None, plain=plain, event_type="MCHTRANSFER.BILL.FINISHED", expect=expect)

    def make_qq_transfer(self, rng, wish, now, word, event):
        message = self.make_transfer(rng, wish, now, word, event)
        message.event_type = "MCHTRANSFER.QQWALLETBILL.FINISHED"
        return message

    def make_contract(self, rng, wish, now, word, event):
        order, number = some_order(rng, wish), digits(rng, 28)
        mchid, appid = list(self.ids().values())[0], list(self.apps().values())[0]
        plain = {
            "mchid": mchid, "appid": appid, "out_contract_code": order, "contract_id": number, "plan_id": 12535, "openid": letters(rng, 28),
            "create_time": rfc3339(now), "contract_display_account": hard_text(rng),
        }
        family = rng.choice(["ENTRUST", "ENTRUST", "INSURANCE_ENTRUST", "ECOMMERCE_ENTRUST"])
        return Message(
            None, plain=plain, event_type=f"{family}.{word}", expect=facts(event, order, number, identities=[["mchid", mchid], ["appid", appid]]),
        )

    def make_complaint(self, rng, wish, now, word, event):
        number = digits(rng, 24)
        plain = {"complaint_id": number, "action_type": "CREATE_COMPLAINT" if word == "CREATE" else rng.choice(["CONTINUE_COMPLAINT", "USER_RESPONSE"])}
        return Message(None, plain=plain, event_type=f"COMPLAINT.{word}", expect=facts(event, None, number))

    def make_coupon(self, rng, wish, now, word, event):
        mchid, number = list(self.ids().values())[0], digits(rng, 10)
        plain = {
            "stock_creator_mchid": mchid, "stock_id": digits(rng, 8), "coupon_id": number, "coupon_name": hard_text(rng), "status": "USED" if word == "USE" else "SENDED",
            "create_time": rfc3339(now),
        }
        if word == "USE":
            plain["consume_information"] = {"consume_time": rfc3339(now), "consume_mchid": mchid, "transaction_id": "42000" + digits(rng, 23)}
        return Message(None, plain=plain, event_type=f"COUPON.{word}", expect=facts(event, None, number, identities=[["stock_creator_mchid", mchid]]))

    def make_profitsharing(self, rng, wish, now, word, event):
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), digits(rng, 28)
        plain = self.ids() | {
            "transaction_id": "42000" + digits(rng, 23), "order_id": number, "out_order_no": order, "success_time": rfc3339(now),
            "receiver": {"type": "MERCHANT_ID", "account": digits(rng, 10), "amount": amount, "description": hard_text(rng)},
        }
        expect = facts(event, order, number, amount, "CNY", list(self.ids().items()))
        return Message(None, plain=plain, event_type=f"PROFITSHARING.{word}", expect=expect)

    def make_payscore(self, rng, wish, now, word, event):
        amount, order, number = some_amount(rng, wish), some_order(rng, wish), digits(rng, 28)
        mchid, appid = list(self.ids().values())[0], list(self.apps().values())[0]
        plain = {"mchid": mchid, "appid": appid, "service_id": digits(rng, 32), "openid": letters(rng, 28)}
        identities = [["mchid", mchid], ["appid", appid]]
        if word in ("USER_OPEN_SERVICE", "USER_CLOSE_SERVICE"):
            plain |= {"out_request_no": order, "user_service_status": word}
            expect = facts(event, order, identities=identities)
        else:
            plain |= {"out_order_no": order, "order_id": number, "state": "DONE", "total_amount": amount, "post_payments": [{"name": hard_text(rng), "amount": amount}]}
            expect = facts(event, order, number, amount, "CNY", identities)
        return Message(None, plain=plain, event_type=f"PAYSCORE.{word}", expect=expect)

    def make_vehicle(self, rng, wish, now, word, event):
        plain = {"plate_number": "粤B888888", "state": hard_text(rng)}
        return Message(None, plain=plain, event_type=rng.choice(["VEHICLE.ENTRANCE_STATE_CHANGE", "MEMBERCARD.OPEN", "A.NEW.EVENT"]), expect=facts("other"))

    def signer(self, message, text, rng):
        return message.private.sign(text, rng) if message.generation == "sm" else super().signer(message, text, rng)

    def seal(self, message, rng):
        if message.generation == "sm" and not isinstance(message.secret, tuple):
            message.secret = (message.secret,)
        super().seal(message, rng)

    def cipher(self, key):
        return Sm4(sm3(key[0])[:16]) if isinstance(key, tuple) else Aes(key)

    def check(self, asked, now):
        text, signature = self.signed(asked, now)
        serial = header(asked, "Wechatpay-Serial")
        kind = header(asked, "Wechatpay-Signature-Type") if any(n.lower() == "wechatpay-signature-type" for n, _ in asked["headers"]) else RSA_TYPE
        need(kind in self.settings["signature_types"], f"Signature-Type {kind} is not allowed")
        if kind == SM_TYPE:
            need(serial == self.settings["sm_serial_no"], "unknown serial")
            need(public_key(self.settings["sm_public_key"]).verify(text, signature), "the signature does not fit")
            self.ALGORITHM = "AEAD_SM4_GCM"
            self.cipher = lambda key: Sm4(sm3(key)[:16])
            try:
                return self.read(*self.opened(asked))
            finally:
                del self.ALGORITHM, self.cipher
        need(self.key(serial, now).verify("sha256", text, signature), "the signature does not fit")
        return self.read(*self.opened(asked))

    def key(self, serial, now):
        if serial == self.settings["public_key_id"]:
            return public_key(self.settings["public_key"])
        for known in self.settings["platform_certificates"]:
            if plain_serial(known["serial_no"]) == plain_serial(serial):
                certificate = Certificate(known["certificate"])
                need(certificate.start <= now <= certificate.end, "the certificate is not valid now")
                return certificate.public
        need(False, "unknown serial")

    def ours(self, value, *names):
        """The ids that the message has, which must be those of the settings."""
        found = []
        for name in names:
            plain = name.removeprefix("combine_").removeprefix("stock_creator_")
            allowed = [self.settings[n] for n in (plain, "sp_" + plain) if n in self.settings]
            need(name == "sub_appid" and name not in value or value.get(name) in allowed, f"{name} is not ours")
            if name in value:
                found.append([name, value[name]])
        return found

    def read(self, event_type, value):
        family, _, word = event_type.rpartition(".")
        partner = "sp_mchid" in self.settings
        ids = ("sp_mchid", "sub_mchid") if partner else ("mchid",)
        apps = ("sp_appid", "sub_appid") if partner else ("appid",)
        if event_type == "TRANSACTION.SUCCESS" and "combine_mchid" in value:
            identities = self.ours(value, "combine_mchid", "combine_appid")
            parts = value.get("sub_orders")
            need(isinstance(parts, list) and parts, "no sub_orders")
            orders = [[text_of(p, "out_trade_no"), text_of(p, "transaction_id"), whole(p["amount"]["total_amount"], "an amount")] for p in parts]
            paid = all(part.get("trade_state") == "SUCCESS" for part in parts)
            return facts("payment.succeeded" if paid else "other", text_of(value, "combine_out_trade_no"), identities=identities, orders=orders)
        if family == "TRANSACTION":
            identities = self.ours(value, *ids, *apps)
            amount = value.get("amount")
            need(isinstance(amount, dict), "no amount")
            paid = value.get("trade_state") == "SUCCESS"
            known = {
                "SUCCESS": "payment.succeeded" if paid else "other", "PAY_BACK": "payment.succeeded" if paid else "other", "FAIL": "payment.failed",
                "INDUSTRY_SUCCESS": "payment.succeeded" if paid else "other", "INDUSTRY_FAILED": "payment.failed",
            }
            return facts(
                known.get(word, "other"), text_of(value, "out_trade_no"), text_of(value, "transaction_id"), whole(amount.get("total"), "amount.total"),
                amount.get("currency") or "CNY", identities,
            )
        if family == "REFUND":
            identities = self.ours(value, *ids)
            amount = value.get("amount")
            need(isinstance(amount, dict), "no amount")
            event = self.STATUSES["refund"].get(value.get("refund_status"), "other")
            return facts(
                event if value.get("refund_status") == word else "other", text_of(value, "out_trade_no"), text_of(value, "transaction_id"),
                whole(amount.get("refund"), "amount.refund"), "CNY", identities, refund_no=text_of(value, "out_refund_no"),
                platform_refund_no=text_of(value, "refund_id"), order_amount_minor=whole(amount.get("total"), "amount.total"),
            )
        if event_type in ("MCHTRANSFER.BILL.FINISHED", "MCHTRANSFER.QQWALLETBILL.FINISHED"):
            identities = self.ours(value, "mchid")
            event = self.STATUSES["transfer"].get(value.get("state"), "other")
            amount = whole(value.get("transfer_amount"), "transfer_amount")
            return facts(event, text_of(value, "out_bill_no"), text_of(value, "transfer_bill_no"), amount, "CNY", identities)
        if family in ("ENTRUST", "INSURANCE_ENTRUST", "ECOMMERCE_ENTRUST"):
            identities = self.ours(value, "mchid", "appid")
            event = self.STATUSES["contract"].get(word, "other")
            return facts(event, text_of(value, "out_contract_code"), text_of(value, "contract_id"), identities=identities)
        if family == "COMPLAINT":
            text_of(value, "action_type")
            return facts(self.STATUSES["complaint"].get(word, "other"), None, text_of(value, "complaint_id"))
        if family == "COUPON":
            identities = self.ours(value, "stock_creator_mchid")
            return facts(self.STATUSES["coupon"].get(word, "other"), None, text_of(value, "coupon_id"), identities=identities)
        if family == "PROFITSHARING":
            identities = self.ours(value, *ids)
            need(isinstance(value.get("receiver"), dict), "no receiver")
            amount = whole(value["receiver"].get("amount"), "receiver.amount")
            event = self.STATUSES["profitsharing"].get(word, "other")
            return facts(event, text_of(value, "out_order_no"), text_of(value, "order_id"), amount, "CNY", identities)
        if family == "PAYSCORE":
            identities = self.ours(value, "mchid", "appid")
            event = self.STATUSES["payscore"].get(word, "other")
            if "out_order_no" not in value:
                return facts(event, text_of(value, "out_request_no"), identities=identities)
            amount = whole(value.get("total_amount"), "total_amount")
            return facts(event, text_of(value, "out_order_no"), text_of(value, "order_id"), amount, "CNY", identities)
        return facts("other")

    # Damages of its own.

    def spoil_wrong_key(self, rng, message):
        if message.generation != "sm":
            return super().spoil_wrong_key(rng, message)
        message.private = sm2_key("stranger")
        return self.finish(message, rng)

    def spoil_sha1(self, rng, message):
        return None if message.generation == "sm" else super().spoil_sha1(rng, message)

    def spoil_serial(self, rng, message):
        """A serial that is unknown, or of the other key."""
        serial = message.headers["Wechatpay-Serial"]
        choices = [change_hex(rng, serial), serial + "0", "", "PUB_KEY_ID_"]
        if message.generation == "certificate":
            choices.append(self.settings["public_key_id"])
        else:
            choices += [serial.lower(), self.secret["serial"]]
        message.headers["Wechatpay-Serial"] = rng.choice(choices)
        return self.finish(message, rng)

    def spoil_signature_type(self, rng, message):
        if message.generation == "sm":
            return None
        message.headers["Wechatpay-Signature-Type"] = rng.choice([RSA_TYPE.lower(), SM_TYPE, "WECHATPAY2-SHA1-RSA2048", "", "none"])
        return self.finish(message, rng)

    def spoil_probe(self, rng, message):
        """WeChat's own test of its receivers: to be refused and told from an attack."""
        self.seal(message, rng)
        message.headers["Wechatpay-Signature"] = "WECHATPAY/SIGNTEST/" + message.headers["Wechatpay-Signature"][rng.choice([19, 20]) :]
        return self.render(message, rng)

    def spoil_other_merchant(self, rng, message):
        names = [n for n in message.plain if n.endswith("mchid") or n in ("appid", "sp_appid", "combine_appid")]
        if not names:
            return None
        name = rng.choice(names)
        message.plain[name] = change_hex(rng, message.plain[name])
        return self.finish(message, rng)

    @only("payment", "refund", "transfer", "parking")
    def spoil_amount_nonsense(self, rng, message):
        value = rng.choice(["1", 1.0, -1, None, True, "1.00", [1]])
        if message.kind == "transfer":
            message.plain["transfer_amount"] = value
        else:
            message.plain["amount"] = message.plain["amount"] | {"refund" if message.kind == "refund" else "total": value}
        return self.finish(message, rng)

    @only("payment", "refund", "transfer", "qq_transfer", "profitsharing")
    def spoil_no_number(self, rng, message):
        names = [n for n in message.plain if n in (
            "out_trade_no", "transaction_id", "out_refund_no", "refund_id", "amount", "out_bill_no", "transfer_bill_no", "transfer_amount", "out_order_no",
            "order_id", "receiver", "mchid", "sp_mchid",
        )]
        if message.kind == "profitsharing":
            names.remove("transaction_id")
        message.plain.pop(rng.choice(names))
        return self.finish(message, rng)

    def spoil_member_twice(self, rng, message):
        message.inner = json.dumps(message.plain)[:-1] + ',"mchid":"1","mchid":"2"}'
        return self.finish(message, rng)

    def reply(self, cause, _):
        if cause == "success":
            return 200, "application/json", '{"code":"SUCCESS","message":"成功"}'.encode()
        return 500, "application/json", '{"code":"FAIL","message":"失败"}'.encode()

    def vectors(self):
        key, nonce, plain = "0123456789abcdef0123456789ABCDEF", "fdasflkja484", '{"out_trade_no":"T1","trade_state":"SUCCESS","amount":{"total":10}}'
        wanted = "bz1mQGtugHE+xvD4swlMsg4mbrvl1y0RQwgxTxC9eNAnoXATr12HyoUn/oW7LvTM1RxZQG60EbzKYY1HKb4y4kwg1/bjC4+plQi+mF3VqscOLrg="
        sealed = b64(gcm_encrypt(Aes(key.encode()), nonce.encode(), b"transaction", plain.encode()))
        given = {"apiv3_key": key, "nonce": nonce, "associated_data": "transaction", "plaintext": plain}
        yield vector("resource", given, wanted, sealed)
        back = gcm_decrypt(Aes(key.encode()), nonce.encode(), b"transaction", unb64(wanted)).decode()
        yield vector("resource back", {"apiv3_key": key, "nonce": nonce, "associated_data": "transaction", "ciphertext": wanted}, plain, back)
        sealed = b64(gcm_encrypt(Aes(key.encode()), nonce.encode(), b"", plain.encode()))
        yield vector("resource without associated data, its end", given | {"associated_data": ""}, "1RxZQG60EbzKYY1HKb4y4kwg10sAOhzK0yZlhUJM9kwuzpA=", sealed[-48:])
        yield vector("SM4 key", {"apiv3_key": key}, "96b40229f9bb664e89e4e5834c5c2b07", sm3(key.encode())[:16].hex())
        real = json.loads((Path(__file__).parent / "real_messages.json").read_text())["wechat_v3"]
        asked = request(headers=real["headers"], body=real["body"].encode())
        settings = {
            "mchid": "1234567890", "appid": "054aa7d7a2a54ab5898df65bd96f001c", "apiv3_key": real["apiv3_key"], "public_key_id": "PUB_KEY_ID_0",
            "platform_certificates": [{"serial_no": "D7CE59D1F522D701", "certificate": real["certificate"]}], "public_key": "",
            "signature_types": [RSA_TYPE],
        }
        at = 1624523846
        text, signature = self.signed(asked, at)
        yield vector("official notice, signature", {"settings": settings, "request": asked, "now": at}, True, Certificate(real["certificate"]).public.verify("sha256", text, signature))
        resource = json.loads(real["body"])["resource"]
        sealed, nonce, aad = unb64(resource["ciphertext"]), resource["nonce"].encode(), resource["associated_data"].encode()
        back = gcm_decrypt(Aes(real["apiv3_key"].encode()), nonce, aad, sealed).decode()
        yield vector("official notice, resource (its key has 16 characters only)", {"resource": resource, "apiv3_key": real["apiv3_key"]}, real["plaintext"], back)
        for name, now in (("official notice: refused for its short key", at), ("official notice: refused as stale", at + 300)):
            given = {"settings": settings, "request": asked, "now": now}
            yield vector(name, given, "refused", self.judged(settings, asked, now)["outcome"])
        said = self.judged(settings, asked, at)["reason"]
        yield vector("official notice: what it is refused for", {"settings": settings, "request": asked, "now": at}, "the key has not 32 bytes", said)


if __name__ == "__main__":
    main(WechatV3())
