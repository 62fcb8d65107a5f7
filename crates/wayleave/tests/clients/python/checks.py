"""What the scripts beside this file share: the contract file, checks, and plain HTTP.

Each script is run as `python SCRIPT.py PATH/demo.json`, checks both environments, prints one line
per check and exits 0 only if all of them passed.
"""

import http.client
import json
import os
import sys
from urllib.parse import urlsplit

# The demo's addresses are plain HTTP on the loopback interface.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
# A proxy named in the environment has no business here.
os.environ["NO_PROXY"] = "*"

OTHER = {"live": "test", "test": "live"}
TIMEOUT_S = 30
_failures = 0


def load_demo():
    """The contract file named on the command line."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} PATH/demo.json")
    with open(sys.argv[1], encoding="utf-8") as file:
        demo = json.load(file)
    if demo.get("version") != 1:
        sys.exit(f"{sys.argv[1]} is version {demo.get('version')!r}; this script reads version 1")
    return demo


def check(name, passed, detail=""):
    """One check; `detail` is shown when it failed and must hold no secret."""
    global _failures
    if passed:
        print(f"ok {name}", flush=True)
    else:
        _failures += 1
        print(f"FAILED {name}: {detail}", flush=True)


def equal(name, actual, wanted):
    """A check that two values are the same."""
    check(name, actual == wanted, f"got {actual!r}, wanted {wanted!r}")


def raises(name, error, call, accept=lambda raised: True):
    """A check that `call` raises `error`, and an acceptable one."""
    try:
        result = call()
    except error as raised:
        check(name, accept(raised), f"got {raised!r}")
    except Exception as raised:  # any other error is a failed check, not a crash of the script
        check(name, False, f"got {raised!r}, wanted {error.__name__}")
    else:
        check(name, False, f"got {type(result).__name__}, wanted {error.__name__}")


def finish():
    """Ends the script with the verdict."""
    if _failures:
        sys.exit(f"{_failures} checks failed")
    print("all checks passed")


class Answer:
    """Status, headers and body of one answer."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        """The body as JSON; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def send(base, method, target, headers=None, body=None):
    """One request whose target and headers go out exactly as they are given.

    `headers` is a list of pairs, so that a name can be repeated.
    """
    address = urlsplit(base)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=TIMEOUT_S)
    try:
        has_host = any(name.lower() == "host" for name, _ in headers or [])
        connection.putrequest(method, target, skip_host=has_host, skip_accept_encoding=True)
        for name, value in headers or []:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def call_protected(environment, token, scheme="Bearer "):
    """The status of the protected path for a token."""
    headers = [("Authorization", f"{scheme}{token}")]
    return send(environment["url"], "GET", environment["protected_path"], headers).status


def token_endpoints(environment):
    """Both addresses of RFC 6749 token requests."""
    return [environment["url"] + path for path in ("/oauth/token", "/authorize/access_token")]
