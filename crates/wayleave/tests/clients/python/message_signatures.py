"""Signatures over messages (RFC 9421) by http-message-signatures and requests-http-signature.

They sign, with secrets and with key pairs, and the service verifies; `wayleave sign` signs, and they
verify.
"""

import json
import os
import subprocess
import tempfile

import requests
from checks import check, equal, finish, load_demo, raises
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from http_message_signatures import HTTPMessageVerifier, InvalidSignature, MappingKeyResolver
from jwt.algorithms import ECAlgorithm
from requests_http_signature import HTTPSignatureAuth, algorithms

BODY = b'{"pages": 12, "title": "Tide Tables"}'


def auth(key_id, key, algorithm=algorithms.HMAC_SHA256, **more):
    """A signer of requests; what the service asks for is its default but for the nonce."""
    return HTTPSignatureAuth(signature_algorithm=algorithm, key=key, key_id=key_id, use_nonce=True, **more)


def status(method, url, signer, **more):
    """The status of one signed request."""
    return requests.request(method, url, auth=signer, timeout=30, **more).status_code


def scheme_of(answer):
    """How the sample API was told that the request was proven."""
    return answer.json()["caller"]["wayleave-scheme"]


def check_secret(name, environment, other):
    """Requests signed with the secret of the demonstration."""
    url = environment["url"] + environment["protected_path"]
    key_id, key = environment["signing"]["key_id"], environment["signing"]["secret"].encode()
    answer = requests.get(url + "?a=b%20c&ü=1", auth=auth(key_id, key), timeout=30)
    equal(f"{name}: a signed GET", (answer.status_code, scheme_of(answer)), (200, "http-signature"))
    answer = requests.post(url, data=BODY, auth=auth(key_id, key), timeout=30)
    equal(f"{name}: a signed body", (answer.status_code, answer.json()["body_bytes"]), (200, len(BODY)))
    parts = ("@method", "@authority", "@path", "@query", "accept")
    equal(f"{name}: the parts of the address", status("GET", url, auth(key_id, key, covered_component_ids=parts)), 200)
    equal(f"{name}: without alg, with a tag", status("GET", url, auth(key_id, key, include_alg=False, tag="demo")), 200)
    without_nonce = HTTPSignatureAuth(signature_algorithm=algorithms.HMAC_SHA256, key=key, key_id=key_id)
    equal(f"{name}: no nonce", status("GET", url, without_nonce), 401)
    equal(f"{name}: another secret", status("GET", url, auth(key_id, key + b"x")), 401)
    equal(f"{name}: the other environment", status("GET", other["url"] + other["protected_path"], auth(key_id, key)), 401)
    prepared = requests.Request("POST", url, data=BODY, auth=auth(key_id, key)).prepare()
    with requests.Session() as session:
        prepared.body = BODY.replace(b"12", b"13")
        equal(f"{name}: another body", session.send(prepared, timeout=30).status_code, 400)
        prepared.body = BODY
        equal(f"{name}: its nonce is used up", session.send(prepared, timeout=30).status_code, 401)


def operate(demo, target, body=None):
    """Calls the admin address."""
    headers = {"Authorization": "Bearer " + demo["admin"]["token"]}
    method = "GET" if body is None else "POST"
    answer = requests.request(method, demo["admin"]["url"] + target, json=body, headers=headers, timeout=30)
    answer.raise_for_status()
    return answer.json()


def check_key_pairs(demo, name, environment):
    """Requests signed with key pairs whose public halves are registered."""
    url = environment["url"] + environment["protected_path"]
    integration = operate(demo, f"/{name}/v1/integrations")["data"][0]["id"]
    pairs = {
        "ed25519": (ed25519.Ed25519PrivateKey.generate(), algorithms.ED25519),
        "ecdsa-p256-sha256": (ec.generate_private_key(ec.SECP256R1()), algorithms.ECDSA_P256_SHA256),
    }
    made = {}
    for algorithm, (private, signs) in pairs.items():
        pem = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        body = {"integration": integration, "audience": "routes", "public_key": pem.decode()}
        credential = operate(demo, f"/{name}/v1/credentials", body)
        check(f"{name}: {algorithm}: no secret", "secret" not in credential)
        equal(f"{name}: {algorithm}: registered", credential["secrets"][0]["algorithm"], algorithm)
        key = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        made[algorithm] = (credential["public_id"], key, signs)
        equal(f"{name}: {algorithm}: GET", status("GET", url, auth(*made[algorithm])), 200)
        equal(f"{name}: {algorithm}: POST", status("POST", url, auth(*made[algorithm]), data=BODY), 200)
    one, other = made.values()
    check_roll(demo, name, url, credential["id"], other)
    equal(f"{name}: the key of another", status("GET", url, auth(one[0], other[1], other[2])), 401)
    public_as_secret = auth(one[0], one[1], algorithms.HMAC_SHA256)
    equal(f"{name}: another algorithm", status("GET", url, public_as_secret), 401)


def check_roll(demo, name, url, credential, old):
    """A further live key, and the end of the older one."""
    private = ed25519.Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    target = f"/{name}/v1/credentials/{credential}/roll"
    operate(demo, target, {"public_key": public.decode(), "overlap_s": 600})
    new = (old[0], pem, algorithms.ED25519)
    equal(f"{name}: rolled: the new key", status("GET", url, auth(*new)), 200)
    equal(f"{name}: rolled: the old key in its overlap", status("GET", url, auth(*old)), 200)
    secrets = operate(demo, f"/{name}/v1/credentials/{credential}")["secrets"]
    operate(demo, f"/{name}/v1/credentials/{credential}/secrets/{secrets[0]['id']}/end", {})
    equal(f"{name}: rolled: the old key after it", status("GET", url, auth(*old)), 401)
    equal(f"{name}: rolled: the new key stays", status("GET", url, auth(*new)), 200)


def sign(data, *words):
    """Headers that `wayleave sign` made."""
    command = [os.environ["WAYLEAVE_BINARY"], "sign", "--data", data, *words]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split(": ", 1) for line in said.splitlines())


def check_ours(data, name, environment):
    """What `wayleave sign` makes, judged by http-message-signatures."""
    url = environment["url"] + environment["protected_path"] + "?a=1"
    key_id, key = environment["signing"]["key_id"], environment["signing"]["secret"].encode()
    resolver = MappingKeyResolver(private_keys={key_id: key}, public_keys={key_id: key})
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=resolver)
    with tempfile.NamedTemporaryFile() as file:
        file.write(BODY)
        file.flush()
        headers = sign(data, "--as", f"{name}.signing", "--body-file", file.name, "POST", url)
    prepared = requests.Request("POST", url, headers=headers, data=BODY).prepare()
    required = ("@method", "@target-uri", "content-digest")
    verified = verifier.verify(prepared, body=BODY, require_components=required)
    equal(f"{name}: ours is verified", verified[0].parameters["keyid"], key_id)
    raises(f"{name}: ours with another body is not", InvalidSignature, lambda: verifier.verify(prepared, body=b"x"))
    prepared.url = url + "2"
    raises(f"{name}: ours elsewhere is not", InvalidSignature, lambda: verifier.verify(prepared, body=BODY))
    headers = sign(data, "--as", f"{name}.signing", "GET", url)
    equal(f"{name}: ours passes", requests.get(url, headers=headers, timeout=30).status_code, 200)


def check_answers(demo, name, environment):
    """Answers that the service signed, judged by http-message-signatures."""
    url = environment["url"] + environment["protected_path"]
    key_id, key = environment["signing"]["key_id"], environment["signing"]["secret"].encode()
    wanted = {"Accept-Signature": 'back=("@status");created;nonce="mine";tag="answers"'}
    answer = requests.get(url, auth=auth(key_id, key), headers=wanted, timeout=30)
    resolver = MappingKeyResolver(private_keys={key_id: key}, public_keys={key_id: key})
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=resolver)
    required = ("@status", "content-digest", '"@method";req', '"@target-uri";req')
    verified = verifier.verify(answer, body=answer.content, expect_tag="answers", require_components=required)
    equal(f"{name}: the signed answer", verified[0].parameters["nonce"], "mine")
    forged = answer.content.replace(b"Hello", b"hello")
    raises(f"{name}: another answer", InvalidSignature, lambda: verifier.verify(answer, body=forged, expect_tag="answers"))
    bare = requests.get(url, auth=auth(key_id, key), timeout=30)
    check(f"{name}: nothing is signed that nobody asks for", "signature" not in bare.headers)
    # Who has a key pair verifies the answer with the key set.
    private = ed25519.Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    integration = operate(demo, f"/{name}/v1/integrations")["data"][0]["id"]
    body = {"integration": integration, "audience": "routes", "public_key": pem.decode()}
    credential = operate(demo, f"/{name}/v1/credentials", body)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signer = auth(credential["public_id"], pem, algorithms.ED25519)
    answer = requests.get(url, auth=signer, headers=wanted, timeout=30)
    keys = requests.get(environment["url"] + "/.well-known/jwks.json", timeout=30).json()["keys"]
    keys = {key["kid"]: ECAlgorithm.from_jwk(key) for key in keys}
    resolver = MappingKeyResolver(private_keys={}, public_keys=keys)
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=resolver)
    verified = verifier.verify(answer, body=answer.content, expect_tag="answers", require_components=required)
    check(f"{name}: the answer to a key pair", verified[0].parameters["keyid"] in keys)


def main():
    demo = load_demo()
    import sys

    data = os.path.dirname(sys.argv[1])
    for name, other in (("live", "test"), ("test", "live")):
        check_secret(name, demo[name], demo[other])
        check_key_pairs(demo, name, demo[name])
        check_ours(data, name, demo[name])
        check_answers(demo, name, demo[name])
    finish()


main()
