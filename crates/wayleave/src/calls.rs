//! What the demonstration prints: where things are, and calls to paste.

use std::fmt::Write as _;
use std::path::Path;

use crate::demo::{DemoEnvironment, DemoFile, DemoSettings};

/// The first screen: where things are, one call, its answer.
pub(crate) fn first_screen(settings: &DemoSettings, file: &DemoFile, behind: &str) -> String {
    let (data, test) = (&settings.data, &file.test);
    let answer = if settings.upstream.is_some() {
        "It answers whatever your API answers there, which is told who is calling."
    } else {
        "It answers:  \"message\": \"Hello from the API behind Wayleave.\"  and who is calling."
    };
    format!(
        "\
Wayleave is running; Ctrl-C ends it.

  live   {live}
  test   {test_url}
  admin  {admin}
  behind {behind}   (the API that is protected)
  data   {data}   (demo.json holds every address and key)

Paste this into another terminal: it gets a token and calls the API with it.

  {call}

{answer}
All other calls, signed ones too:  {program} demo calls{data_flag}
",
        live = file.live.url,
        test_url = test.url,
        admin = file.admin.url,
        data = data.display(),
        call = token_call(test),
        program = program(),
        data_flag = data_flag(data),
    )
}

/// How this program was called, so that what is printed can be pasted.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.is_empty() {
        "wayleave".to_owned()
    } else {
        called
    }
}

fn data_flag(data: &Path) -> String {
    if data == Path::new("wayleave-data") || data == Path::new("./wayleave-data") {
        String::new()
    } else {
        format!(" --data {}", quoted(&data.display().to_string()))
    }
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=?&@,".contains(letter);
    if !text.is_empty()
        && text
            .chars()
            .all(|letter| plain(letter) && letter != '&' && letter != '?')
    {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

fn token_call(environment: &DemoEnvironment) -> String {
    format!(
        "curl -s {url}{path} -H \"Authorization: $(curl -s -u {key}:{secret} {url}/token | cut -d'\"' -f4)\"",
        url = environment.url,
        path = environment.protected_path,
        key = environment.token.api_key,
        secret = environment.token.api_secret,
    )
}

/// Every kind of call in both environments, each to be pasted as it is.
pub(crate) fn all_calls(data: &Path, file: &DemoFile) -> String {
    let mut text = String::new();
    for (name, environment) in [("test", &file.test), ("live", &file.live)] {
        let _ = writeln!(text, "# {name}: {}\n", environment.url);
        environment_calls(&mut text, data, name, environment);
        platform_calls(&mut text, name, environment);
    }
    let _ = writeln!(text, "# admin: {}\n", file.admin.url);
    let admin = format!("-H 'Authorization: Bearer {}'", file.admin.token);
    call(
        &mut text,
        "The credentials of the test environment, without their secrets",
        &format!("curl -s {}/test/v1/credentials {admin}", file.admin.url),
    );
    call(
        &mut text,
        "A new partner",
        &format!(
            "curl -s {}/test/v1/partners {admin} -d '{{\"name\":\"Harbour Signs\"}}'",
            file.admin.url
        ),
    );
    text
}

fn call(text: &mut String, title: &str, command: &str) {
    let _ = writeln!(text, "# {title}\n{command}\n");
}

/// What a partner asks about itself, and in the test environment what it buys.
fn platform_calls(text: &mut String, name: &str, environment: &DemoEnvironment) {
    let DemoEnvironment { url, oauth, .. } = environment;
    let bearer = format!(
        "-H \"Authorization: Bearer $(curl -s {url}/oauth/token -d grant_type=client_credentials -d client_id={} -d client_secret={} | cut -d'\"' -f4)\"",
        oauth.client_id, oauth.client_secret
    );
    call(
        text,
        "The partner's account",
        &format!("curl -s {url}/api/user/account {bearer}"),
    );
    call(
        text,
        "What the partner pays for what",
        &format!("curl -s {url}/api/products {bearer}"),
    );
    let Some(plan_path) = environment.plan_path.as_ref().filter(|_| name == "test") else {
        return;
    };
    let quote = format!(
        "curl -s {url}/api/user/checkout {bearer} --data-urlencode 'lineItems=[{{\"productId\":40,\"productDetails\":{{\"months\":1}}}}]'"
    );
    call(
        text,
        "Buys a plan for a month: a quotation, accepted and paid by the card that is saved",
        &format!(
            "curl -s {url}/api/shop/processquote/$({quote} | sed 's/.*\"orderId\":\\([0-9]*\\).*/\\1/') {bearer} -d autoPay=1"
        ),
    );
    call(
        text,
        "What the plan opens: 403 before, and again after it has ended",
        &format!("curl -s {url}{plan_path} {bearer}"),
    );
}

fn environment_calls(text: &mut String, data: &Path, name: &str, environment: &DemoEnvironment) {
    let DemoEnvironment {
        url,
        oauth,
        token,
        management,
        access,
        signing: _,
        protected_path,
        plan_path: _,
        property: _,
    } = environment;
    let stage = if name == "test" { "/stag" } else { "/prod" };
    call(
        text,
        "A token for api key and secret, by JSON (also below the stage prefix)",
        &format!(
            "curl -s -X POST {url}{stage}/token -H 'Content-Type: application/json' -d '{{\"api_key\":\"{}\",\"api_secret\":\"{}\"}}'",
            token.api_key, token.api_secret
        ),
    );
    call(
        text,
        "The same by Basic",
        &format!(
            "curl -s --user {}:{} {url}/token",
            token.api_key, token.api_secret
        ),
    );
    call(
        text,
        "The API behind, with the bare token",
        &token_call(environment),
    );
    let form = format!(
        "-d grant_type=client_credentials -d client_id={} -d client_secret={}",
        oauth.client_id, oauth.client_secret
    );
    call(
        text,
        "An OAuth token (RFC 6749 client credentials)",
        &format!("curl -s {url}/oauth/token {form}"),
    );
    call(
        text,
        "The same where clients of the platform API ask for it",
        &format!("curl -s {url}/authorize/access_token {form}"),
    );
    call(
        text,
        "The API behind, with a Bearer token",
        &format!(
            "curl -s {url}{protected_path} -H \"Authorization: Bearer $(curl -s {url}/oauth/token {form} | cut -d'\"' -f4)\""
        ),
    );
    let signed = |set: &str, method: &str, path: &str, more: &str| {
        let address = quoted(&format!("{url}{path}"));
        let method_flag = if method == "GET" {
            String::new()
        } else {
            format!("-X {method} ")
        };
        format!(
            "{} sign{} --as {name}.{set} {method} {address} | curl -s {method_flag}-H @- {more}{address}",
            program(),
            data_flag(data)
        )
    };
    call(
        text,
        "A signed request with Management keys",
        &signed(
            "management",
            "GET",
            &format!("/api/Property/{}", management.access_key),
            "",
        ),
    );
    call(
        text,
        "Signed, with a parameter",
        &signed(
            "management",
            "GET",
            &format!(
                "/api/Property/{}/Resource/Story-1?includePropertyData=true",
                management.access_key
            ),
            "",
        ),
    );
    call(
        text,
        "Signed, with a body",
        &signed(
            "management",
            "PUT",
            &format!("/api/Property/{}/Resource/Story-1", management.access_key),
            "-H 'Content-Type: application/json' -d '{\"Name\":\"Tide tables\"}' ",
        ),
    );
    call(
        text,
        "A signed request with Access keys",
        &signed(
            "access",
            "GET",
            &format!(
                "/api/Resource/{}/Story-1?IP=&ResourceURL=&UserToken=",
                access.access_key
            ),
            "",
        ),
    );
    call(
        text,
        "Refused: Access keys at the management API (403)",
        &signed(
            "access",
            "GET",
            &format!("/api/Property/{}", access.access_key),
            "-i ",
        ),
    );
    call(
        text,
        "A request whose whole address is signed (RFC 9421)",
        &signed("signing", "GET", &format!("{protected_path}?page=1"), ""),
    );
    call(
        text,
        "May a request pass? (204; what another proxy asks)",
        &format!(
            "curl -si {url}/auth/check -H 'X-Forwarded-Method: GET' -H 'X-Forwarded-Uri: {protected_path}' -H \"Authorization: $(curl -s -u {}:{} {url}/token | cut -d'\"' -f4)\"",
            token.api_key, token.api_secret
        ),
    );
    call(
        text,
        "The public keys of tokens, and where everything is",
        &format!(
            "curl -s {url}/.well-known/jwks.json {url}/.well-known/oauth-authorization-server"
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_the_shell_are_quoted_where_they_have_to_be() {
        assert_eq!(quoted("http://127.0.0.1:8081/a"), "http://127.0.0.1:8081/a");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("/a?b=c&d"), "'/a?b=c&d'");
    }
}
