"""requests-oauthlib and oauthlib's strict parser get tokens at both token addresses, and use them."""

from checks import OTHER, call_protected, equal, finish, load_demo, raises, token_endpoints

from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session


def fetch(environment, endpoint, method, secret=None):
    """A session that holds a token for the environment's OAuth keys."""
    client_id = environment["oauth"]["client_id"]
    secret = secret or environment["oauth"]["client_secret"]
    session = OAuth2Session(client=BackendApplicationClient(client_id=client_id))
    if method == "basic":
        session.fetch_token(endpoint, auth=HTTPBasicAuth(client_id, secret))
    else:
        session.fetch_token(
            endpoint, client_id=client_id, client_secret=secret, include_client_id=True
        )
    return session


def main():
    """Runs the checks on both environments."""
    demo = load_demo()
    for name in OTHER:
        here, there = demo[name], demo[OTHER[name]]
        for endpoint in token_endpoints(here):
            for method in ("basic", "post"):
                what = f"{name} {endpoint.removeprefix(here['url'])} {method}"
                session = fetch(here, endpoint, method)
                equal(f"{what}: token type", session.token["token_type"].lower(), "bearer")
                equal(f"{what}: lifetime", session.token["expires_in"], 3600)
                answer = session.get(here["url"] + here["protected_path"])
                equal(f"{what}: the protected path answers", answer.status_code, 200)
                status = call_protected(there, session.token["access_token"])
                equal(f"{what}: the other environment refuses the token", status, 401)
                raises(
                    f"{what}: a wrong secret is invalid_client",
                    InvalidClientError,
                    lambda: fetch(here, endpoint, method, "wrong"),
                )
                secret = there["oauth"]["client_secret"]
                raises(
                    f"{what}: the other environment's secret is invalid_client",
                    InvalidClientError,
                    lambda: fetch(here, endpoint, method, secret),
                )
    finish()


main()
