"""Authlib gets tokens in both ways of RFC 6749 section 2.3.1 at both token addresses, and uses them."""

from checks import OTHER, call_protected, check, equal, finish, load_demo, raises, token_endpoints

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session


def session(environment, method, secret=None):
    """A client with the environment's OAuth keys."""
    keys = environment["oauth"]
    return OAuth2Session(
        keys["client_id"],
        secret or keys["client_secret"],
        token_endpoint_auth_method=method,
        grant_type="client_credentials",
    )


def is_invalid_client(error):
    """Whether Authlib read the error's code."""
    return error.error == "invalid_client"


def main():
    """Runs the checks on both environments."""
    demo = load_demo()
    for name in OTHER:
        here, there = demo[name], demo[OTHER[name]]
        for endpoint in token_endpoints(here):
            for method in ("client_secret_basic", "client_secret_post"):
                what = f"{name} {endpoint.removeprefix(here['url'])} {method}"
                client = session(here, method)
                token = client.fetch_token(endpoint)
                equal(f"{what}: token type", token["token_type"].lower(), "bearer")
                equal(f"{what}: lifetime", token["expires_in"], 3600)
                answer = client.get(here["url"] + here["protected_path"])
                equal(f"{what}: the protected path answers", answer.status_code, 200)
                check(f"{what}: and echoes JSON", isinstance(answer.json(), dict), answer.text)
                status = call_protected(there, token["access_token"])
                equal(f"{what}: the other environment refuses the token", status, 401)
                raises(
                    f"{what}: a wrong secret is invalid_client",
                    OAuthError,
                    lambda: session(here, method, "wrong").fetch_token(endpoint),
                    is_invalid_client,
                )
                raises(
                    f"{what}: the other environment's keys are invalid_client",
                    OAuthError,
                    lambda: session(there, method).fetch_token(endpoint),
                    is_invalid_client,
                )
    finish()


main()
