"""The download of Alipay's certificates by python-alipay-sdk, an implementation that is not ours.

    alipay_download.py    JSON lines {app_id, private_key, app_cert, alipay_cert, root_cert, serial, timestamp, answer} in,
                          {request, answer} out

`request` are the pairs of the SDK's own request at that time; `answer` is what the SDK makes of the platform's answer when
`alipay_cert` is the certificate that signed it, or null.
"""

import json
import sys
from datetime import datetime
from unittest import mock
from urllib.parse import parse_qsl

# The oracle beside this file has the name of the SDK's package.
del sys.path[0]

import alipay
from alipay import DCAliPay


def fixed(timestamp):
    class Fixed(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.strptime(timestamp, "%Y-%m-%d %H:%M:%S")
    return Fixed


for line in sys.stdin:
    asked = json.loads(line)
    sdk = DCAliPay(
        appid=asked["app_id"], app_private_key_string=asked["private_key"],
        app_public_key_cert_string=asked["app_cert"], alipay_public_key_cert_string=asked["alipay_cert"],
        alipay_root_cert_string=asked["root_cert"])
    with mock.patch.object(alipay, "datetime", fixed(asked["timestamp"])):
        request = sdk.api_alipay_open_app_alipaycert_download(asked["serial"])
    try:
        answer = sdk._verify_and_return_sync_response(
            asked["answer"], "alipay_open_app_alipaycert_download_response")
    except Exception:
        answer = None
    print(json.dumps({"request": parse_qsl(request, keep_blank_values=True), "answer": answer}))
