//! Rows D: the compatible signed scheme, as whole requests.

use serde_json::json;
use wayleave_core::{Audience, Environment, Scheme};
use wayleave_protocol::http_date;
use wayleave_testkit::{Address, Answer, Call, DatabaseKind};

use super::{
    ADMIN_CALLS, Objects, admin_call, keys_of_every_kind, on_each_database, without_limit,
};
use crate::harness::{Keys, NOW_S, TestNode};

const LIVE: Environment = Environment::Live;

/// A request to one target with the signature of another.
fn signed_as(node: &TestNode, keys: &Keys, signed: &str, sent: &str) -> Answer {
    let headers = keys.signer().headers("GET", signed, NOW_S);
    let call = headers
        .iter()
        .fold(node.live.get(sent), |call, (name, value)| {
            call.header(name, value)
        });
    call.send()
}

/// Whatever passes reaches the API behind letter by letter as it was sent.
fn passes_as_sent(answer: Answer, sent: &str) {
    let seen = answer.expect(200).json();
    let (path, query) = sent.split_once('?').unwrap_or((sent, ""));
    assert_eq!(
        (&seen["path"], &seen["query"]),
        (&json!(path), &json!(query))
    );
}

#[test]
fn what_the_reference_lets_collide_is_passed_on_as_sent_and_all_else_is_refused() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(LIVE, Audience::Management);
    let at = |query: &str| format!("/api/Property/{}?{query}", keys.public_id);
    let send = |signed: &str, sent: &str| signed_as(&node, &keys, &at(signed), &at(sent));
    // One string to sign, by the published scheme: names and values are decoded and small.
    for (signed, sent) in [
        ("a=1&b=2", "a=1%26b=2"),
        ("a=1%26b=2", "a=1&b=2"),
        ("id=%4B", "id=k"),
        ("plan=pro", "plan=PRO"),
        ("x=a+b", "x=a%20b"),
        ("b=2&a=1", "a=1&b=2"),
        ("a=%3D", "a=="),
        ("id=k", "id=%E2%84%AA"),
    ] {
        passes_as_sent(send(signed, sent), &at(sent));
    }
    for (signed, sent) in [
        ("a=1", "a=2"),
        ("a=1", "b=1"),
        ("a=1&b=2", "a=2&b=1"),
        ("a=%2526", "a=%26"),
        ("a=%26", "a=%2526"),
        ("a=1", "a=1&b="),
        ("a=+", "a=%2B"),
        ("a=", "a"),
    ] {
        let answer = send(signed, sent);
        let is_same = (signed, sent) == ("a=", "a");
        assert_eq!(
            answer.status == 200,
            is_same,
            "{signed} as {sent}: {}",
            answer.status
        );
    }
    for sent in [
        "a=%0A",
        "a=%0D",
        "a=%00",
        "%00=1",
        "a=%1F",
        "a=%7F",
        "a=1&a=1",
        "a=1&A=1",
        "a=1&%61=1",
        "a&a",
        "=1&=2",
        "a=%FF",
        "a=%C3",
        "a=%E2%84",
    ] {
        send("a=1", sent).expect(400);
    }
}

#[test]
fn letters_of_another_case_in_the_path_reach_nothing_else() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(LIVE, Audience::Management);
    let path = format!("/api/Property/{}/Resource/Story-1", keys.public_id);
    for (place, letter) in path
        .char_indices()
        .filter(|(_, letter)| letter.is_ascii_alphabetic())
    {
        let mut swapped = path.clone();
        let other = if letter.is_ascii_uppercase() {
            letter.to_ascii_lowercase()
        } else {
            letter.to_ascii_uppercase()
        };
        swapped.replace_range(place..=place, &other.to_string());
        let seen = signed_as(&node, &keys, &path, &swapped).expect(200).json();
        assert_eq!(seen["path"], json!(swapped), "as it was sent");
        assert_eq!(seen["caller"]["wayleave-audience"], "management");
    }
    // Routes are told apart by case, so that another case is another address.
    signed_as(&node, &keys, "/hello", "/hello").expect(200);
    for other in ["/Hello", "/HELLO", "/hellO"] {
        signed_as(&node, &keys, "/hello", other).expect(404);
    }
}

#[test]
fn a_parameter_without_value_doubled_or_between_empty_ones_is_read_in_one_way() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(LIVE, Audience::Management);
    let at = |query: &str| format!("/api/Property/{}?{query}", keys.public_id);
    for query in [
        "a=1&", "&a=1", "a=1&&b=2", "a", "a=", "=a", "a=b=c", "a=%20", "a=+",
    ] {
        passes_as_sent(signed_as(&node, &keys, &at(query), &at(query)), &at(query));
    }
    for query in [
        "a=1&a=2",
        "a=1&A=2",
        "a=1&a",
        "a&a",
        "a=1&b=2&a=1",
        "%61=1&a=1",
        "=1&=",
    ] {
        signed_as(&node, &keys, &at("a=1"), &at(query)).expect(400);
    }
}

#[test]
fn only_one_form_of_date_is_read() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(LIVE, Audience::Management);
    let good = http_date::format(NOW_S);
    assert_eq!(good, "Tue, 16 Mar 2027 10:20:30 GMT");
    let send = |date: &str| {
        let text = format!("GET\n{date}\n/hello\n");
        let signature = wayleave_protocol::signed::sign(keys.secret.as_bytes(), &text);
        let call = node.live.get("/hello").header("Timestamp", date);
        let proof = format!("{}:{signature}", keys.public_id);
        call.header("Authentication", &proof).send().status
    };
    assert_eq!(send(&good), 200);
    let mut dates: Vec<String> = [
        "Tuesday, 16-Mar-27 10:20:30 GMT",
        "Tue Mar 16 10:20:30 2027",
        "2027-03-16T10:20:30Z",
        "2027-03-16 10:20:30",
        "20270316T102030Z",
        "1805192430",
        "1805192430000",
        "Tue, 16 Mar 27 10:20:30 GMT",
        "Tue, 16 Mar 02027 10:20:30 GMT",
        "Tue, 16 Mar 2027 10:20 GMT",
        "Tue, 16 Mar 2027 10:20:30.000 GMT",
        "Tue, 16 Mar 2027 10:20:30,5 GMT",
        "Tue, 16 Mar 2027 24:20:30 GMT",
        "Tue, 16 Mar 2027 10:60:30 GMT",
        "Tue, 16 Mar 2027 10:20:60 GMT",
        "Tue, 16 Mar 2027 10:20:61 GMT",
        "Tue, 16 Mar 2027 0x:20:30 GMT",
        "Tue, 16 Mar 2027 -1:20:30 GMT",
        "Tue, 16 Mar 2027 +9:20:30 GMT",
        "Tue, 32 Mar 2027 10:20:30 GMT",
        "Tue, 00 Mar 2027 10:20:30 GMT",
        "Mon, 29 Feb 2027 10:20:30 GMT",
        "Tue, 16 Foo 2027 10:20:30 GMT",
        "Tue, 16 mar 2027 10:20:30 GMT",
        "Tue, 16 MAR 2027 10:20:30 GMT",
        "Tue, 16 March 2027 10:20:30 GMT",
        "Die, 16 M\u{e4}r 2027 10:20:30 GMT",
        "mar., 16 mars 2027 10:20:30 GMT",
        "tue, 16 Mar 2027 10:20:30 GMT",
        "TUE, 16 Mar 2027 10:20:30 GMT",
        "Tuesday, 16 Mar 2027 10:20:30 GMT",
        "Tue 16 Mar 2027 10:20:30 GMT",
        "Tue,16 Mar 2027 10:20:30 GMT",
        "Tue,  16 Mar 2027 10:20:30 GMT",
        "Tue, 16  Mar 2027 10:20:30 GMT",
        "Tue, 16-Mar-2027 10:20:30 GMT",
        "Tue, 16/Mar/2027 10:20:30 GMT",
        "16 Mar 2027 10:20:30 GMT",
        "Tue, 16 Mar 2027 10.20.30 GMT",
        "Tue, 16 Mar 2027 10:20:30",
        "\u{661}\u{666}",
        "Tue, 16 Mar \u{ff12}\u{ff10}\u{ff12}\u{ff17} 10:20:30 GMT",
    ]
    .map(String::from)
    .into();
    for zone in [
        "UTC", "Z", "+0000", "-0000", "+00:00", "gmt", "UT", "EST", "CET", "GMT+0", "GMTX",
    ] {
        dates.push(good.replace("GMT", zone));
    }
    for weekday in ["Mon", "Wed", "Thu", "Fri", "Sat", "Sun", "Xxx"] {
        dates.push(good.replace("Tue", weekday));
    }
    assert_eq!(dates.len(), 60);
    for date in &dates {
        assert_eq!(send(date), 401, "{date}");
    }
    // Blanks round it do not count; no other header is looked at, and two are refused.
    let proof = keys.signer().headers("GET", "/hello", NOW_S);
    let call = || node.live.get("/hello").header(&proof[1].0, &proof[1].1);
    call().header("Date", &good).send().expect(401);
    call().header("X-Date", &good).send().expect(401);
    let late = http_date::format(NOW_S - 600);
    call()
        .header("Timestamp", &good)
        .header("Date", &late)
        .send()
        .expect(200);
    call()
        .header("Timestamp", &good)
        .header("Timestamp", &good)
        .send()
        .expect(400);
    call()
        .header("Timestamp", &good)
        .header("Timestamp", &late)
        .send()
        .expect(400);
}

#[test]
fn the_window_is_five_minutes_to_the_second_either_way() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(LIVE, Audience::Management);
    let send = |at_s: i64| {
        keys.signer()
            .call(node.live, "GET", "/hello", at_s)
            .send()
            .status
    };
    for (skew, status) in [
        (-301, 401),
        (-300, 200),
        (-299, 200),
        (0, 200),
        (299, 200),
        (300, 200),
        (301, 401),
        (-86_400, 401),
        (86_400, 401),
    ] {
        assert_eq!(send(NOW_S + skew), status, "{skew} s");
    }
}

#[test]
fn no_header_changes_the_method_and_a_signature_fits_its_own() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(LIVE, Audience::Management);
    let signed = |method: &str| {
        keys.signer()
            .headers("GET", "/hello", NOW_S)
            .into_iter()
            .fold(node.live.call(method, "/hello"), |call, (name, value)| {
                call.header(&name, &value)
            })
    };
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "_method",
    ] {
        let seen = signed("GET")
            .header(name, "DELETE")
            .send()
            .expect(200)
            .json();
        assert_eq!(seen["method"], "GET");
        signed("DELETE").header(name, "GET").send().expect(401);
    }
    for method in [
        "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "GETX", "PROPFIND",
    ] {
        assert_eq!(signed(method).send().status, 401, "{method}");
    }
    // Whoever asks, and with whatever proof.
    assert_eq!(signed("TRACE").send().status, 405);
    // Methods are told apart by case; the string that is signed has capitals, so the API behind is
    // told what was sent.
    let small = signed("get").send();
    assert!(small.status != 200 || small.json()["method"] == "get");
}

#[test]
fn a_proof_in_any_other_spelling_is_401() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(LIVE, Audience::Management);
    let [timestamp, proof] = keys.signer().headers("GET", "/hello", NOW_S);
    let send = |proof: &str| {
        let call = node.live.get("/hello").header(&timestamp.0, &timestamp.1);
        call.header("Authentication", proof).send().status
    };
    assert_eq!(send(&proof.1), 200);
    let (id, signature) = proof.1.split_once(':').expect("a colon");
    let mut forms: Vec<String> = Vec::new();
    // Cut off anywhere, one letter changed anywhere, one letter more.
    forms.extend((0..signature.len()).map(|end| format!("{id}:{}", &signature[..end])));
    forms.extend((0..signature.len() - 1).map(|place| {
        let mut other = signature.to_owned();
        let letter = if &signature[place..=place] == "A" {
            "B"
        } else {
            "A"
        };
        other.replace_range(place..=place, letter);
        format!("{id}:{other}")
    }));
    forms.extend((0..signature.len()).map(|place| {
        let mut other = signature.to_owned();
        other.insert(place, 'A');
        format!("{id}:{other}")
    }));
    let hexadecimal: String = signature
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    forms.extend([
        String::new(),
        ":".to_owned(),
        id.to_owned(),
        format!("{id}:"),
        format!(":{signature}"),
        format!("{id}:{hexadecimal}"),
        format!("{id}::{signature}"),
        format!("{id}:{signature}:"),
        format!("{id} {signature}"),
        format!("{id}:{signature}="),
        format!("{id}:{}", signature.trim_end_matches('=')),
        format!("{id}:{}", signature.to_lowercase()),
        format!("{id}:{}", signature.replace(['+', '/'], "-")),
        format!("Basic {id}:{signature}"),
        format!("HMAC {id}:{signature}"),
        format!("{id}:!!!!"),
        format!("{id}:{}", "A".repeat(44)),
        format!("{id}:{}=", "A".repeat(43)),
        format!("{id}:{}", "A".repeat(20_000)),
        format!("{}:{signature}", "x".repeat(20_000)),
        format!("{id}:\u{e9}"),
    ]);
    forms.retain(|form| *form != proof.1);
    assert!(forms.len() >= 140, "{}", forms.len());
    for form in &forms {
        // A letter of the signature may be neither plus nor slash, and then nothing was replaced.
        assert_eq!(send(form), 401, "{form}");
    }
}

/// Every address of an environment, with everything right but the proof.
fn places(address: Address, key: &str) -> Vec<(String, Call)> {
    let mut places = Vec::new();
    let paths = [
        "/hello".to_owned(),
        "/hello/below".to_owned(),
        "/jobs".to_owned(),
        "/nobody".to_owned(),
        format!("/api/Property/{key}"),
        format!("/API/property/{key}/Resource/x"),
        format!("/api/Resource/{key}/x"),
        format!("/api/TemporaryUserToken/{key}/x"),
    ];
    for path in &paths {
        for prefix in ["", "/prod"] {
            for (method, media_type) in [
                ("GET", None),
                ("DELETE", None),
                ("POST", Some("application/json")),
                ("POST", Some("application/xml")),
                ("PUT", Some("application/x-www-form-urlencoded")),
                ("POST", Some("multipart/form-data; boundary=x")),
                ("PATCH", Some("text/plain")),
            ] {
                for accept in ["application/json", "application/xml", "text/html"] {
                    let target = format!("{prefix}{path}");
                    let call = address.call(method, &target).header("Accept", accept);
                    let call = match media_type {
                        None => call,
                        Some(media_type) => call.body(media_type, "a=1"),
                    };
                    places.push((format!("{method} {target} {media_type:?}"), call));
                }
            }
        }
        let check = address
            .get("/auth/check")
            .header("X-Forwarded-Method", "GET");
        let check = check.header("X-Forwarded-Uri", path);
        places.push((format!("/auth/check for {path}"), check));
    }
    places
}

#[test]
fn a_wrong_proof_is_401_at_every_address_for_every_kind_of_body() {
    on_each_database(without_limit, |node| {
        let kinds = keys_of_every_kind(&node, LIVE);
        let own = |audience| {
            let found = kinds.iter().find(|(kind, _)| *kind == audience);
            found.expect("every kind").1.clone()
        };
        let (management, routes) = (own(Audience::Management), own(Audience::Routes));
        let token = node.token(LIVE, &routes);
        let [timestamp, proof] = management.signer().headers("GET", "/elsewhere", NOW_S);
        let mut tampered = token.clone();
        tampered.replace_range(30..31, if &token[30..31] == "A" { "B" } else { "A" });
        let mut count = 0;
        for (name, call) in places(node.live, &management.public_id) {
            let signed = call.clone().header(&timestamp.0, &timestamp.1);
            for wrong in [
                call.clone(),
                signed.header(&proof.0, &proof.1),
                call.clone().bearer(&tampered),
                call.clone().header("Authorization", &tampered),
                call.clone().basic(&routes.public_id, &routes.secret),
            ] {
                let answer = wrong.send();
                assert_eq!(answer.status, 401, "{name}: {}", answer.text());
                count += 1;
            }
        }
        assert!(count > 1_600, "{count}");
        // What would be right in a header is nothing in the URL.
        let in_url = format!(
            "/hello?access_token={token}&Authorization={token}&Timestamp=x&Authentication={}",
            proof.1.replace(['+', '/'], "-")
        );
        node.live.get(&in_url).send().expect(401);
        // The operator's address: neither without a token nor with one of a partner.
        let objects = Objects::make(&node, LIVE);
        for call in ADMIN_CALLS {
            for wrong in [
                admin_call(&node, LIVE, call, &objects),
                admin_call(&node, LIVE, call, &objects).bearer(&token),
                admin_call(&node, LIVE, call, &objects).basic("operator", &routes.secret),
                admin_call(&node, LIVE, call, &objects).header("Authorization", &token),
            ] {
                wrong.send().expect(401);
            }
        }
    });
}

#[test]
fn a_credential_opens_only_by_the_schemes_that_it_is_held_to() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let partner = node.partner(LIVE);
    for bits in 1..8_u32 {
        let held = |scheme: Scheme| {
            let place = Scheme::ALL.iter().position(|known| *known == scheme);
            place.is_some_and(|place| bits & (1 << place) != 0)
        };
        let words: Vec<&str> = Scheme::ALL
            .iter()
            .filter(|scheme| held(**scheme))
            .map(|scheme| scheme.as_str())
            .collect();
        for audience in [Audience::Routes, Audience::Management] {
            let more = json!({ "audience": audience.as_str(), "schemes": words.join(" ") });
            let keys = node.keys_of(LIVE, &partner, more);
            if audience == Audience::Management {
                let signed = keys.signer().call(node.live, "GET", "/hello", NOW_S).send();
                assert_eq!(signed.status == 200, held(Scheme::Signed), "{words:?}");
                // Its secret gets no token, whatever it is held to.
                let exchange = node.live.get("/token").basic(&keys.public_id, &keys.secret);
                assert!(matches!(exchange.send().status, 401 | 429));
                node.clock.advance(std::time::Duration::from_secs(61));
                node.clock.set(NOW_S);
                continue;
            }
            let token = node.token(LIVE, &keys);
            let bearer = node.live.get("/hello").bearer(&token).send().status;
            let bare = node
                .live
                .get("/hello")
                .header("Authorization", &token)
                .send()
                .status;
            assert_eq!(bearer == 200, held(Scheme::Bearer), "{words:?}");
            assert_eq!(bare == 200, held(Scheme::Token), "{words:?}");
            // An api secret signs nothing, whatever it is held to.
            keys.signer()
                .call(node.live, "GET", "/hello", NOW_S)
                .send()
                .expect(401);
        }
    }
}
