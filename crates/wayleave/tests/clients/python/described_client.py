"""Clients of three described schemes, written from their descriptions with the standard library alone.

Run as `python SCRIPT.py CASE.json`; the file has `url`, `key_id`, `secret`, and the paths `acme`,
`store` and `exchange`. Each signed part is then changed.
"""

import base64
import datetime
import email.utils
import hashlib
import hmac
import json
import sys
import time
from urllib.parse import urlsplit

from checks import equal, finish, send


def digest_hex(body):
    """SHA-256 in small hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def mac(key, text):
    """HMAC-SHA256 in base64."""
    return base64.b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).decode()


def acme(case, method, target, body, when):
    """Four lines: seconds, method, target, digest of the body."""
    seconds = str(int(when))
    text = "\n".join([seconds, method, target, digest_hex(body)])
    signature = mac(case["secret"].encode(), text)
    return [("Authorization", f"ACME {case['key_id']}:{signature}"), ("X-Acme-Time", seconds)]


def store(case, method, target, body, when):
    """A store of settings: the digest goes along in a header, and the key is decoded from base64."""
    date = email.utils.formatdate(when, usegmt=True)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    host = urlsplit(case["url"]).netloc
    text = f"{method}\n{target}\n{date};{host};{digest}"
    signature = mac(base64.b64decode(case["secret_of_store"]), text)
    return [
        ("x-ms-date", date),
        ("x-ms-content-sha256", digest),
        (
            "Authorization",
            f"HMAC-SHA256 Credential={case['key_id_of_store']}"
            f"&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
        ),
    ]


def exchange(case, method, target, body, when):
    """An exchange: everything in one line with nothing between."""
    moment = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
    signature = mac(case["secret"].encode(), f"{stamp}{method}{target}{body.decode()}")
    return [
        ("OK-ACCESS-KEY", case["key_id"]),
        ("OK-ACCESS-SIGN", signature),
        ("OK-ACCESS-TIMESTAMP", stamp),
    ]


def tried(case, name, sign):
    """All checks of one scheme."""
    path = case[name]
    body = b'{"pages":12}'

    def call(method, target, headers, sent=None):
        return send(case["url"], method, target, headers, sent)

    for method, target, sent in [
        ("GET", path, b""),
        ("GET", f"{path}/A%20b/%C3%84,x?b=2&a=1&a=0&flag", b""),
        ("DELETE", f"{path}/7", b""),
        ("POST", f"{path}?dry=1", body),
        ("PUT", path, b'{"text":"' + b"x" * 100_000 + b'"}'),
    ]:
        headers = sign(case, method, target, sent, time.time())
        answer = call(method, target, headers, sent or None)
        equal(f"{name}: {method} {target} passes", answer.status, 200)
        seen = answer.json() or {}
        equal("  as what it is", seen.get("caller", {}).get("wayleave-scheme"), "described")
        equal("  with its body", seen.get("body_bytes"), len(sent))

    target = f"{path}/one?x=1"
    good = sign(case, "POST", target, body, time.time())
    equal(f"{name}: the request to be changed passes", call("POST", target, good, body).status, 200)
    for what, method, changed, sent in [
        ("method", "PUT", target, body),
        ("path", "POST", f"{path}/One?x=1", body),
        ("query", "POST", f"{path}/one?x=2", body),
        ("query, none,", "POST", f"{path}/one", body),
    ]:
        equal(f"{name}: another {what} is refused", call(method, changed, good, sent).status, 401)
    other_body = call("POST", target, good, b'{"pages":13}').status
    equal(f"{name}: another body is refused", other_body, 400 if name == "store" else 401)
    no_body = call("POST", target, good, b"").status
    equal(f"{name}: no body is refused", no_body, 400 if name == "store" else 401)
    for place, (header, value) in enumerate(good):
        changed = list(good)
        changed[place] = (header, value[:-6] + ("0" if value[-6] != "0" else "1") + value[-5:])
        status = call("POST", target, changed, body).status
        equal(f"{name}: another {header} is refused", status, 401)
        without = good[:place] + good[place + 1 :]
        equal(f"{name}: without {header} it is refused", call("POST", target, without, body).status, 401)
        twice = good + [(header, value)]
        equal(f"{name}: {header} twice is refused", call("POST", target, twice, body).status, 400)
    for skew in (-400, 400):
        stale = sign(case, "GET", path, b"", time.time() + skew)
        equal(f"{name}: signed {skew} s from now is refused", call("GET", path, stale).status, 401)
    wrong = dict(case, secret="wrong", secret_of_store="d3Jvbmc=")
    headers = sign(wrong, "GET", path, b"", time.time())
    equal(f"{name}: a wrong secret is refused", call("GET", path, headers).status, 401)


def main():
    """Runs the checks of all three schemes."""
    with open(sys.argv[1], encoding="utf-8") as file:
        case = json.load(file)
    for name, sign in (("acme", acme), ("store", store), ("exchange", exchange)):
        tried(case, name, sign)
    finish()


main()
