"""A signed request, with nothing but the standard library: signed_request.py path/to/demo.json"""

import base64
import email.utils
import hashlib
import hmac
import json
import sys
import urllib.request
from urllib.parse import parse_qsl, urlsplit


def sign(access_key, secret_key, method, url):
    """The two headers that prove a request."""
    target = urlsplit(url)
    timestamp = email.utils.formatdate(usegmt=True)
    pairs = parse_qsl(target.query, keep_blank_values=True)
    parameters = "&".join(f"{n}={v}" for n, v in sorted((n.lower(), v.lower()) for n, v in pairs))
    text = "\n".join([method, timestamp, target.path.lower(), parameters])
    digest = hmac.digest(secret_key.encode(), text.encode(), hashlib.sha256)
    signature = base64.b64encode(digest).decode()
    return {"Timestamp": timestamp, "Authentication": f"{access_key}:{signature}"}


with open(sys.argv[1], encoding="utf-8") as file:
    test = json.load(file)["test"]
keys = test["management"]
url = f"{test['url']}/api/Property/{keys['access_key']}/Resource/Story-1?includePropertyData=true"
request = urllib.request.Request(url, headers=sign(**keys, method="GET", url=url))
with urllib.request.urlopen(request) as answer:
    print(answer.read().decode())
