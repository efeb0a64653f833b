"""Asks the reference library of Standard Webhooks whether a delivery is genuine.

Reads one JSON object with `secret`, `headers` and `body`, and prints `genuine` or `refused`.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

question = json.load(sys.stdin)
try:
    Webhook(question["secret"]).verify(question["body"], question["headers"])
except WebhookVerificationError:
    print("refused")
except json.JSONDecodeError:
    # The library reads the body as JSON, after the signature has matched.
    print("genuine")
else:
    print("genuine")
