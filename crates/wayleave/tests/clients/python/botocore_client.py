"""botocore signs requests by AWS Signature Version 4, and each signed part is then changed.

Run as `python SCRIPT.py CASE.json`; the file has `url`, `path`, `key_id` and `secret`.
"""

import json
import sys

from checks import check, equal, finish, send

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def signed(case, method, target, body=b"", headers=None, auth=SigV4Auth, secret=None, service="orders"):
    """The headers of a request that botocore has signed, as pairs."""
    request = AWSRequest(method=method, url=case["url"] + target, data=body, headers=headers or {})
    credentials = Credentials(case["key_id"], secret or case["secret"])
    auth(credentials, service, "eu-central-1").add_auth(request)
    return list(request.headers.items())


def main():
    """Runs the checks."""
    with open(sys.argv[1], encoding="utf-8") as file:
        case = json.load(file)
    path = case["path"]

    def call(method, target, headers, body=None):
        return send(case["url"], method, target, headers, body)

    for method, target, body in [
        ("GET", path, b""),
        ("GET", f"{path}/A%20b/%C3%84?x=%C3%84&y=a%2Fb&flag=", b""),
        ("GET", f"{path}/x,y:z?b=2&a=1&c=x/y:z", b""),
        ("GET", f"{path}?plus=a+b", b""),
        ("DELETE", f"{path}/~user/(1)", b""),
        ("POST", path, b'{"pages":12}'),
        ("PUT", f"{path}?v=1", bytes(range(256)) * 100),
    ]:
        headers = signed(case, method, target, body, {"Content-Type": "application/json"})
        answer = call(method, target, headers, body or None)
        equal(f"{method} {target} passes", answer.status, 200)
        equal("  as what it is", (answer.json() or {}).get("caller", {}).get("wayleave-scheme"), "aws-sigv4")
        equal("  with its body", (answer.json() or {}).get("body_bytes"), len(body))

    hashed = signed(case, "PUT", f"{path}/A%20b", b"abc", auth=S3SigV4Auth, service="s3")
    check("S3 says the hash", any(name.lower() == "x-amz-content-sha256" for name, _ in hashed))
    equal("PUT as S3 signs it passes", call("PUT", f"{path}/A%20b", hashed, b"abc").status, 200)
    equal("another body does not", call("PUT", f"{path}/A%20b", hashed, b"abd").status, 400)

    target = f"{path}/one?x=1"
    good = signed(case, "POST", target, b"abc", {"X-Amz-Meta": "one", "Content-Type": "text/plain"})
    equal("the request to be changed passes", call("POST", target, good, b"abc").status, 200)

    def with_header(name, value):
        return [(own, value if own.lower() == name.lower() else old) for own, old in good]

    authorization = dict(good)["Authorization"]
    date = dict(good)["X-Amz-Date"]
    elsewhere = [pair for pair in good if pair[0] != "Host"] + [("Host", "other.example.com")]
    other_day = f"{int(date[:4]) - 1}{date[4:]}"
    for what, method, changed, headers, body in [
        ("method", "PUT", target, good, b"abc"),
        ("path", "POST", f"{path}/two?x=1", good, b"abc"),
        ("query", "POST", f"{path}/one?x=2", good, b"abc"),
        ("query added to", "POST", f"{path}/one?x=1&y=2", good, b"abc"),
        ("body", "POST", target, good, b"abd"),
        ("no body", "POST", target, good, b""),
        ("signed header", "POST", target, with_header("X-Amz-Meta", "two"), b"abc"),
        ("content type", "POST", target, with_header("Content-Type", "text/html"), b"abc"),
        ("host", "POST", target, elsewhere, b"abc"),
        ("day", "POST", target, with_header("X-Amz-Date", other_day), b"abc"),
        ("signature", "POST", target, with_header("Authorization", authorization[:-4] + "0000"), b"abc"),
        ("region", "POST", target, with_header("Authorization", authorization.replace("central", "north")), b"abc"),
        ("key", "POST", target, with_header("Authorization", authorization.replace("Credential=", "Credential=x")), b"abc"),
        ("header unsigned", "POST", target, good + [("X-Amz-More", "1")], b"abc"),
    ]:
        equal(f"another {what} is refused", call(method, changed, headers, body).status, 401)

    wrong = signed(case, "GET", path, secret="wrong")
    equal("a wrong secret is refused", call("GET", path, wrong).status, 401)
    finish()


main()
