"""The calls that the three published guides print, with only address and key changed.

The `curl` calls are run by curl itself, spelled as the guides spell them.
"""

import base64
import json
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from checks import OTHER, TIMEOUT_S, call_protected, check, equal, finish, load_demo, send

PREFIXES = {"live": ["/prod"], "test": ["/stag", "/devl"]}


def run(command, folder=None, environment=None):
    """The standard output of a shell command line."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "NO_PROXY": "*", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.stdout if done.returncode == 0 else f"exit {done.returncode}: {done.stderr}"


def parse(text):
    """A JSON object; empty when the text is something else."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def curl_post(address, keys):
    """The guide's JSON request: the credentials lie in a file."""
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps({"api_key": keys["api_key"], "api_secret": keys["api_secret"]}, indent=2)
        Path(folder, "credentials.json").write_text(text + "\n", encoding="utf-8")
        return run(
            'curl --silent -X POST -d "@credentials.json" \\\n'
            '  -H "Content-Type: application/json" \\\n'
            '  -H "Accept: application/json" \\\n'
            f"  {address}",
            folder,
        )


def curl_post_without_type(address, keys):
    """The same with the header line forgotten: curl then says that it is a form."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "credentials.json").write_text(json.dumps(keys), encoding="utf-8")
        return run(f'curl --silent -X POST -d "@credentials.json" {address}', folder)


def curl_get(address, keys):
    """The guide's Basic request."""
    return run(
        'curl --silent -X GET --user "$USERNAME:$PASSWORD" \\\n'
        '  -H "Accept: application/json" \\\n'
        f"  {address}",
        environment={"USERNAME": keys["api_key"], "PASSWORD": keys["api_secret"]},
    )


def handmade_header(keys):
    """The guide's header made by hand; `echo` adds the line feed that its printed result holds."""
    made = run(
        'printf %s "Basic "; echo "$USERNAME:$PASSWORD" | base64 | tr -d "\\n"',
        environment={"USERNAME": keys["api_key"], "PASSWORD": keys["api_secret"]},
    )
    assert base64.b64decode(made.split()[1]).endswith(b"\n")
    return made


def form_post(url, fields):
    """The form-post token call, with curl's own content type."""
    body = urlencode(fields)
    return run(f"curl --silent -X POST -d '{body}' {url}/authorize/access_token")


def check_token(what, environment, text):
    """An answer that is one token, which opens the routes bare and behind `Bearer`."""
    body = parse(text)
    equal(f"{what}: members", sorted(body), ["token"])
    token = body.get("token", "")
    equal(f"{what}: first letters", token[:6], "eyJraW")
    for scheme in ("", "Bearer ", "bearer "):
        status = call_protected(environment, token, scheme)
        equal(f"{what}: {scheme.strip() or 'the bare token'} is let in", status, 200)


def check_refusal(what, answer, *statuses):
    """An answer of one of these statuses with a message and no token."""
    check(f"{what}: status", answer.status in statuses, f"got {answer.status}, wanted {statuses}")
    body = answer.json()
    body = body if isinstance(body, dict) else {}
    check(f"{what}: has a message", isinstance(body.get("message"), str), answer.body)
    check(f"{what}: has no token", not {"token", "access_token"} & set(body), sorted(body))


def post_keys(environment, path, keys):
    """The JSON token request over plain HTTP."""
    body = json.dumps(keys).encode()
    return send(environment["url"], "POST", path, [("Content-Type", "application/json")], body)


def post_form(environment, path, fields):
    """The form token request over plain HTTP."""
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    return send(environment["url"], "POST", path, headers, urlencode(fields).encode())


def check_token_guide(name, here):
    """The authentication guide's calls."""
    keys = here["token"]
    for prefix in ["", *PREFIXES[name]]:
        address = f"{here['url']}{prefix}/token"
        check_token(f"{name} curl POST {prefix}/token", here, curl_post(address, keys))
        check_token(f"{name} curl GET {prefix}/token", here, curl_get(address, keys))
        header = [("Authorization", handmade_header(keys))]
        answer = send(here["url"], "GET", f"{prefix}/token", header)
        check_token(f"{name} header made by hand, {prefix}/token", here, answer.body)
    forgotten = curl_post_without_type(f"{here['url']}/token", keys)
    check_token(f"{name} curl POST without a content type", here, forgotten)
    for prefix in PREFIXES[OTHER[name]]:
        answer = post_keys(here, f"{prefix}/token", keys)
        check_refusal(f"{name} the other environment's prefix {prefix}", answer, 404)
    first, second = (parse(curl_get(f"{here['url']}/token", keys)).get("token") for _ in "12")
    check(f"{name} asking again gives another token", first != second)
    equal(f"{name} and the first one still works", call_protected(here, first), 200)


def check_form_post(name, here):
    """The overview's form-post token call, with the fields in both published orders."""
    oauth = here["oauth"]
    grant = ("grant_type", "client_credentials")
    pair = [("client_id", oauth["client_id"]), ("client_secret", oauth["client_secret"])]
    for what, fields in {"grant last": [*pair, grant], "grant first": [grant, *pair]}.items():
        body = parse(form_post(here["url"], fields))
        equal(f"{name} form post, {what}: type", body.get("token_type"), "Bearer")
        equal(f"{name} form post, {what}: lifetime", body.get("expires_in"), 3600)
        token = body.get("access_token", "")
        equal(f"{name} form post, {what}: is let in", call_protected(here, token), 200)


def check_cross_uses(name, here, there):
    """Whatever belongs elsewhere is refused."""
    wrong = {**here["token"], "api_secret": here["token"]["api_secret"][:-1] + "!"}
    unknown = {"api_key": "nobody", "api_secret": "nothing"}
    oauth, oauth_there = here["oauth"], there["oauth"]
    grant = {"grant_type": "client_credentials"}
    as_keys = {"api_key": oauth["client_id"], "api_secret": oauth["client_secret"]}
    as_form = {"client_id": here["token"]["api_key"], "client_secret": here["token"]["api_secret"]}
    for what, keys in {"wrong secret": wrong, "unknown key": unknown, "other environment's keys": there["token"]}.items():
        check_refusal(f"{name} /token, {what}", post_keys(here, "/token", keys), 401)
        pair = base64.b64encode(f"{keys['api_key']}:{keys['api_secret']}".encode()).decode()
        answer = send(here["url"], "GET", "/token", [("Authorization", f"Basic {pair}")])
        check_refusal(f"{name} /token by Basic, {what}", answer, 401)
    check_refusal(f"{name} /token, OAuth keys", post_keys(here, "/token", as_keys), 401, 403)
    for path in ("/oauth/token", "/authorize/access_token"):
        for what, fields, statuses in (
            ("wrong secret", {**oauth, "client_secret": "wrong", **grant}, (401,)),
            ("other environment's keys", {**oauth_there, **grant}, (401,)),
            ("API keys", {**as_form, **grant}, (401, 403)),
            ("no secret", {"client_id": oauth["client_id"], **grant}, (400, 401)),
            ("another grant", {**oauth, "grant_type": "password"}, (400,)),
        ):
            check_refusal_oauth(f"{name} {path}, {what}", post_form(here, path, fields), *statuses)
    token = parse(curl_get(f"{here['url']}/token", here["token"])).get("token", "")
    for scheme in ("", "Bearer "):
        status = call_protected(there, token, scheme)
        equal(f"{name} token in the other environment, {scheme or 'bare'}", status, 401)
    altered = token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:]
    equal(f"{name} altered token", call_protected(here, altered), 401)
    equal(f"{name} something that is no token", call_protected(here, "nonsense", ""), 401)
    basic = base64.b64encode(f"{here['token']['api_key']}:{here['token']['api_secret']}".encode())
    equal(f"{name} keys instead of a token", call_protected(here, basic.decode(), "Basic "), 401)
    answer = send(here["url"], "GET", here["protected_path"])
    check_refusal(f"{name} nothing at all", answer, 401)


def check_refusal_oauth(what, answer, *statuses):
    """A refusal with RFC 6749's error code beside the message, where the dialect has one."""
    check(f"{what}: status", answer.status in statuses, f"got {answer.status}, wanted {statuses}")
    body = answer.json()
    body = body if isinstance(body, dict) else {}
    check(f"{what}: has an error code", isinstance(body.get("error"), str), answer.body)
    check(f"{what}: has no token", "access_token" not in body, sorted(body))
    if what.split()[1].startswith("/authorize"):
        check(f"{what}: has a message", isinstance(body.get("message"), str), answer.body)


def check_malformed(name, here):
    """What is no credential at all gets a clear 400 or 401, 405 or 413, always as JSON."""
    url = here["url"]
    cases = [
        ("not JSON", "POST", [], b"api_key=x", 400),
        ("not an object", "POST", [], b"[]", 400),
        ("a member missing", "POST", [], b'{"api_key":"x"}', 400),
        ("a number for a secret", "POST", [], b'{"api_key":"x","api_secret":1}', 400),
        ("an empty secret", "POST", [], b'{"api_key":"x","api_secret":""}', 400),
        ("a body of 9 KiB", "POST", [], b'{"api_key":"' + b"x" * 9216 + b'"}', 413),
        ("GET without Basic", "GET", [], None, 401),
        ("Basic that is not base64", "GET", [("Authorization", "Basic ???")], None, 401),
        ("Basic without a colon", "GET", [("Authorization", "Basic eHg=")], None, 401),
        ("another method", "DELETE", [], None, 405),
    ]
    for what, method, headers, body, status in cases:
        check_refusal(f"{name} /token, {what}", send(url, method, "/token", headers, body), status)


def main():
    """Runs the checks on both environments."""
    demo = load_demo()
    for name, other in OTHER.items():
        check_token_guide(name, demo[name])
        check_form_post(name, demo[name])
        check_cross_uses(name, demo[name], demo[other])
        check_malformed(name, demo[name])
    finish()


main()
