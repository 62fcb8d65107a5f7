"""PyJWT verifies every kind of token with nothing but the published keys and metadata."""

import base64
import json

from checks import OTHER, check, equal, finish, load_demo, raises, send

import jwt

METADATA = "/.well-known/oauth-authorization-server"
REQUIRED = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]  # RFC 9068 section 2.2


def basic(user, password):
    """A Basic authorization header."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return ("Authorization", f"Basic {pair}")


def tokens(environment):
    """One token from each way to get one, by name."""
    url, oauth, keys = environment["url"], environment["oauth"], environment["token"]
    form = [
        basic(oauth["client_id"], oauth["client_secret"]),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ]
    answers = {
        "POST /oauth/token": send(
            url, "POST", "/oauth/token", form, b"grant_type=client_credentials"
        ),
        "POST /token": send(
            url, "POST", "/token", [("Content-Type", "application/json")], json.dumps(keys).encode()
        ),
        "GET /token": send(url, "GET", "/token", [basic(keys["api_key"], keys["api_secret"])]),
    }
    found = {}
    for name, answer in answers.items():
        equal(f"{url} {name} answers", answer.status, 200)
        body = answer.json() or {}
        found[name] = body.get("access_token") or body.get("token")
    return found


def verify(token, keys, issuer):
    """The claims of a token that these keys signed; raises what PyJWT raises."""
    return jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token).key,
        algorithms=["ES256"],
        issuer=issuer,
        options={"require": REQUIRED, "verify_aud": False},
    )


def first_member(token):
    """The first member of a token's header as it was written."""
    header = token.split(".")[0]
    return list(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))))[0]


def check_token(what, token, keys, issuer):
    """The form and claims of one token."""
    header = jwt.get_unverified_header(token)
    equal(f"{what}: type", header.get("typ"), "at+jwt")
    equal(f"{what}: algorithm", header.get("alg"), "ES256")
    equal(f"{what}: first member of the header", first_member(token), "kid")
    equal(f"{what}: first letters", token[:6], "eyJraW")
    claims = verify(token, keys, issuer)
    equal(f"{what}: issuer", claims["iss"], issuer)
    equal(f"{what}: lifetime in seconds", claims["exp"] - claims["iat"], 3600)
    head, payload, signature = token.split(".")
    swapped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    raises(
        f"{what}: an altered signature does not verify",
        jwt.InvalidSignatureError,
        lambda: verify(f"{head}.{payload}.{swapped}", keys, issuer),
    )


def main():
    """Runs the checks on both environments."""
    demo = load_demo()
    issuers, keys, found = {}, {}, {}
    for name in OTHER:
        url = demo[name]["url"]
        metadata = send(url, "GET", METADATA).json() or {}
        issuers[name] = metadata.get("issuer")
        check(f"{name}: the metadata names an issuer", bool(issuers[name]), metadata)
        equal(f"{name}: the metadata names the keys", metadata.get("jwks_uri"), f"{url}/.well-known/jwks.json")
        keys[name] = jwt.PyJWKClient(f"{url}/.well-known/jwks.json")
        found[name] = tokens(demo[name])
    check("the environments have different issuers", issuers["live"] != issuers["test"], issuers)
    for name, other in OTHER.items():
        for way, token in found[name].items():
            what = f"{name} {way}"
            check_token(what, token, keys[name], issuers[name])
            raises(
                f"{what}: the other environment's keys do not verify it",
                jwt.PyJWTError,
                lambda: verify(token, keys[other], issuers[name]),
            )
        identities = [jwt.decode(token, options={"verify_signature": False})["jti"] for token in found[name].values()]
        equal(f"{name}: every token has its own id", len(set(identities)), len(identities))
    finish()


main()
