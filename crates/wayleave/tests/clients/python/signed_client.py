"""A signing actor written from the published description of the scheme alone, with the standard library.

It shares nothing with the code that it checks. The base string is four lines joined by line feeds:
the method in capitals; the text of the Timestamp header; the path in small letters; the query's
names and values, decoded, in small letters, sorted by name, joined by `&`. The signature is the
base64 of its HMAC-SHA256 under the text of the secret.
"""

import base64
import email.utils
import hashlib
import hmac
import socket
import time
from urllib.parse import parse_qsl, unquote, urlsplit

from checks import OTHER, TIMEOUT_S, check, equal, finish, load_demo, send

STALE_S = 400  # the window is 300 s either way
ACCESS_QUERY = "IP=198.51.100.24&ResourceURL=https%3A%2F%2FNews.Example%2Fa%3Fid%3D42&UserToken="


def timestamp(seconds_ago=0):
    """The time in the form of RFC 1123."""
    return email.utils.formatdate(time.time() - seconds_ago, usegmt=True)


def base_string(method, when, path, query):
    """What is signed."""
    pairs = parse_qsl(query, keep_blank_values=True)
    lowered = sorted((name.lower(), value.lower()) for name, value in pairs)
    line = "&".join(f"{name}={value}" for name, value in lowered)
    return "\n".join([method, when, path.lower(), line])


def signature(secret, text):
    """The signature of a base string."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), hashlib.sha256)).decode()


def proof(keys, method, target, when=None, secret=None, decoded=False):
    """The two headers that prove a request; `decoded` signs the path without percent-escapes."""
    when = when or timestamp()
    path, _, query = target.partition("?")
    text = base_string(method, when, unquote(path) if decoded else path, query)
    signed = signature(secret or keys["secret_key"], text)
    return [("Timestamp", when), ("Authentication", f"{keys['access_key']}:{signed}")]


def call(environment, keys, method, target, body=None, **how):
    """The answer to a signed request."""
    headers = proof(keys, method, target, **how) + [("Accept", "application/json")]
    if body is not None:
        headers.append(("Content-Type", "application/json"))
    return send(environment["url"], method, target, headers, body)


def absolute_form(environment, keys, path):
    """The status of a request whose target is a whole address, as the published examples have it.

    The path alone is signed.
    """
    address = urlsplit(environment["url"])
    when = timestamp()
    headers = proof(keys, "GET", path, when)
    lines = [
        f"GET {environment['url']}{path} HTTP/1.1",
        f"Host: {address.netloc}",
        *(f"{name}: {value}" for name, value in headers),
        "Accept: application/json",
        "Connection: close",
    ]
    with socket.create_connection((address.hostname, address.port), TIMEOUT_S) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(connection.makefile("rb").readline().split()[1])


def good_calls(environment):
    """What, keys, method, target, body and manner of calls that answer 200."""
    management, access = environment["management"], environment["access"]
    property_path = f"/api/Property/{management['access_key']}"
    resource_path = f"/api/Resource/{access['access_key']}"
    token_path = f"/api/TemporaryUserToken/{access['access_key']}/tut5f2c9d1b7e"
    token_query = "IP=&ResourceKey=Story-1&ResourceURL=&temporaryUserToken=tut5f2c9d1b7e"
    decoded = {"decoded": True}
    return [
        ("property", management, "GET", property_path, None, {}),
        ("property in small letters", management, "GET", property_path.lower(), None, {}),
        ("empty query", management, "GET", f"{property_path}?", None, {}),
        ("resource list", management, "GET", f"{property_path}/Resource", None, {}),
        (
            "resource with property data",
            management,
            "GET",
            f"{property_path}/Resource/Story-1?includePropertyData=true",
            None,
            {},
        ),
        ("PUT", management, "PUT", f"{property_path}/Resource/Story-1", b'{"Name":"Tide tables"}', {}),
        (
            "PUT with a query",
            management,
            "PUT",
            f"{property_path}/Resource/Story-1?Zone=1&alpha=2",
            b'{"Name":"Tide tables"}',
            {},
        ),
        (
            "POST",
            management,
            "POST",
            environment["protected_path"],
            b'{"EndDate":"2027-03-16T00:00:00Z","StartDate":"2027-03-01T00:00:00Z"}',
            {},
        ),
        ("POST without a body", management, "POST", environment["protected_path"], b"", {}),
        ("access to a resource", access, "GET", f"{resource_path}/Story-1?{ACCESS_QUERY}", None, {}),
        (
            "query in another order",
            access,
            "GET",
            f"{resource_path}/17?UserToken=&ResourceURL=https%3a%2f%2fnews.example%2fa+b%20c&IP=::1",
            None,
            {},
        ),
        ("plus and ampersand as escapes", access, "GET", f"{resource_path}/17?IP=a%2Bb%26c%3D%3D", None, {}),
        ("escaped path signed as sent", access, "GET", f"{resource_path}/Two%20Words?IP=", None, {}),
        ("escaped path signed decoded", access, "GET", f"{resource_path}/Two%20Words?IP=", None, decoded),
        ("temporary user token", access, "GET", f"{token_path}?{token_query}", None, {}),
        ("protected path", management, "GET", environment["protected_path"], None, {}),
    ]


def refused_calls(here, there):
    """What, status, keys, method, target and manner of calls that are refused."""
    management, access = here["management"], here["access"]
    property_path = f"/api/Property/{management['access_key']}"
    resource_path = f"/api/Resource/{access['access_key']}/Story-1?{ACCESS_QUERY}"
    resource_there = f"/api/Resource/{there['access']['access_key']}/Story-1?{ACCESS_QUERY}"
    stale, early = {"when": timestamp(STALE_S)}, {"when": timestamp(-STALE_S)}
    wrong = {"secret": "wrong"}
    return [
        ("Access keys, property", 403, access, "GET", f"/api/Property/{access['access_key']}", {}),
        (
            "Management keys, resource",
            403,
            management,
            "GET",
            f"/api/Resource/{management['access_key']}/Story-1?{ACCESS_QUERY}",
            {},
        ),
        (
            "Management keys, temporary user token",
            403,
            management,
            "GET",
            f"/api/TemporaryUserToken/{management['access_key']}/tut5f2c9d1b7e?IP=",
            {},
        ),
        ("Access keys, protected path", 403, access, "GET", here["protected_path"], {}),
        ("another key in the path", 403, management, "GET", f"/api/Property/{access['access_key']}", {}),
        (
            "a key that nobody has in the path",
            403,
            management,
            "GET",
            "/api/Property/00000000-0000-4000-8000-000000000000",
            {},
        ),
        ("wrong secret", 401, management, "GET", property_path, wrong),
        ("wrong secret, Access", 401, access, "GET", resource_path, wrong),
        ("stale time", 401, management, "GET", property_path, stale),
        ("early time", 401, management, "GET", property_path, early),
        ("time of another form", 401, management, "GET", property_path, {"when": "2027-03-16T10:20:28Z"}),
        (
            "the other environment's Management keys",
            401,
            there["management"],
            "GET",
            f"/api/Property/{there['management']['access_key']}",
            {},
        ),
        ("the other environment's Access keys", 401, there["access"], "GET", resource_there, {}),
        (
            "the other environment's keys, protected path",
            401,
            there["management"],
            "GET",
            here["protected_path"],
            {},
        ),
    ]


def check_tampering(name, environment):
    """What was signed cannot be changed; what was not proven, or proven twice, is refused."""
    url, keys = environment["url"], environment["management"]
    path = f"/api/Property/{keys['access_key']}/Resource/Story-1"
    signed = proof(keys, "GET", path)
    when, mark = signed[0][1], signed[1][1]
    freshened = [("Timestamp", timestamp(-60)), signed[1]]
    unsigned_query = f"{path}?includePropertyData=true"
    both = [*signed, ("Authorization", "Bearer eyJraWQiOiJ4In0.e30.AA")]
    cases = [
        ("no proof at all", 401, "GET", path, []),
        ("no Timestamp header", 401, "GET", path, signed[1:]),
        ("a signature for another method", 401, "PUT", path, signed),
        ("a query added after signing", 401, "GET", unsigned_query, signed),
        ("another path than was signed", 401, "GET", f"{path}0", signed),
        ("a Timestamp changed after signing", 401, "GET", path, freshened),
        ("Authentication twice", 400, "GET", path, [*signed, ("Authentication", mark)]),
        ("two kinds of proof", 400, "GET", path, both),
        ("a parameter twice", 400, "GET", f"{path}?a=1&A=2", proof(keys, "GET", f"{path}?a=1&A=2")),
    ]
    for what, status, method, target, headers in cases:
        equal(f"{name} {what}", send(url, method, target, headers).status, status)
    for attempt in ("first", "second"):
        equal(f"{name} the same signature, {attempt} time", send(url, "GET", path, signed).status, 200)
    old_name = [("Timestamp", when), ("Authenticate", mark + "  ")]
    equal(f"{name} header Authenticate, blanks behind", send(url, "GET", path, old_name).status, 200)


def main():
    """Runs the checks on both environments."""
    demo = load_demo()
    for name, other in OTHER.items():
        here = demo[name]
        for what, keys, method, target, body, how in good_calls(here):
            answer = call(here, keys, method, target, body, **how)
            equal(f"{name} {what}", answer.status, 200)
        for what, status, keys, method, target, how in refused_calls(here, demo[other]):
            answer = call(here, keys, method, target, **how)
            equal(f"{name} {what}", answer.status, status)
            check(f"{name} {what}: a JSON object", isinstance(answer.json(), dict), answer.body)
        check_tampering(name, here)
        for path in ("", "/Resource/1?includePropertyData=true"):
            target = f"/api/Property/{here['management']['access_key']}{path}"
            status = absolute_form(here, here["management"], target)
            equal(f"{name} absolute-form target{path}", status, 200)
    finish()


main()
