//! The content APIs, called byte for byte as their published PHP client calls them over libcurl, and
//! looked at as it looks at answers: both were measured.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use wayleave_core::Environment;
use wayleave_protocol::iso8601;

use crate::callback_receiver::Receiver;
use crate::harness::{Keys, TestNode, on_both_databases};
use crate::site::Site;

/// What the client makes of an answer.
#[derive(Debug)]
enum Made {
    /// Decoded JSON.
    Value(Value),
    /// One of its exceptions, and the message in it.
    Exception(&'static str, String),
}

impl Made {
    fn value(self) -> Value {
        match self {
            Made::Value(value) => value,
            exception => panic!("{exception:?}"),
        }
    }
}

/// The client with one pair of keys.
struct Php<'s> {
    site: &'s Site,
    keys: &'s Keys,
}

impl Php<'_> {
    fn get(&self, target: &str) -> Made {
        self.send("GET", target, None)
    }

    /// `fields`: `None` for GET; an empty text is what libcurl sends chunked, and waits before it does.
    fn send(&self, method: &str, target: &str, fields: Option<&str>) -> Made {
        let address = self.site.node.address(Environment::Test);
        let mut stream = TcpStream::connect(("127.0.0.1", address.port())).expect("a connection");
        let signer = self.keys.signer();
        let [timestamp, authentication] = signer.headers(method, target, self.site.now_s());
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-type: application/json\r\n\
             Accept: application/json\r\nAuthentication: {}\r\nTimestamp: {}\r\n",
            address.port(),
            authentication.1,
            timestamp.1
        );
        match fields {
            None => head += "\r\n",
            Some("") => head += "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
            Some(body) => head += &format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        }
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = BufReader::new(stream.try_clone().expect("the same connection"));
        let (mut status, mut length) = read_head(&mut answer);
        if fields == Some("") {
            assert_eq!(status, 100, "a body that is announced is asked for");
            stream.write_all(b"0\r\n\r\n").expect("sent");
            (status, length) = read_head(&mut answer);
        }
        let body = read_body(&mut answer, length);
        judge(status, String::from_utf8(body).expect("text"))
    }
}

/// Status, and the length of a body that has one; `None`: it comes in chunks.
fn read_head(answer: &mut impl BufRead) -> (u16, Option<usize>) {
    let first = read_line(answer);
    let status = first[9..12].parse().expect("a status");
    let mut length = Some(0);
    loop {
        let line = read_line(answer);
        match line.split_once(": ") {
            Some(("content-length", value)) => length = Some(value.parse().expect("a length")),
            Some(("transfer-encoding", "chunked")) => length = None,
            Some(_) => {}
            None => return (status, length),
        }
    }
}

fn read_line(answer: &mut impl BufRead) -> String {
    let mut line = String::new();
    answer.read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

fn read_body(answer: &mut impl BufRead, length: Option<usize>) -> Vec<u8> {
    if let Some(length) = length {
        let mut body = vec![0; length];
        answer.read_exact(&mut body).expect("the body");
        return body;
    }
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(&read_line(answer), 16).expect("the length of a chunk");
        let mut chunk = read_body(answer, Some(length + 2));
        chunk.truncate(length);
        if chunk.is_empty() {
            return body;
        }
        body.extend(chunk);
    }
}

/// Its rules: 200 alone is success and its body an object or a list; 404 shows `Message` of a JSON
/// object, the others show the body.
fn judge(status: u16, body: String) -> Made {
    let decoded: Option<Value> = serde_json::from_str(&body).ok();
    match status {
        200 => match decoded {
            Some(value) if value.is_object() || value.is_array() => Made::Value(value),
            _ => Made::Exception("DecodingError", body),
        },
        401 => Made::Exception("AuthenticationFailure", body),
        403 => Made::Exception("AccessDenied", body),
        404 => {
            let message = decoded.and_then(|value| value["Message"].as_str().map(str::to_owned));
            Made::Exception("NotFound", message.unwrap_or(body))
        }
        _ => Made::Exception("TransferError", body),
    }
}

fn is_date(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| iso8601::parse_any_us(text).is_some())
}

/// The access object, as the client fills its own: no null where it wants an object, no date that it
/// cannot read.
fn access(made: Made) -> Value {
    let object = made.value();
    for member in ["Quota", "Subscription", "Purchase"] {
        assert!(object[member].is_object(), "{member} of {object}");
    }
    assert!(is_date(&object["Quota"]["PeriodStartDate"]), "{object}");
    assert!(
        is_date(&object["Subscription"]["ExpirationDate"]),
        "{object}"
    );
    assert!(is_date(&object["UserTokenExpiration"]), "{object}");
    for member in [
        "UserToken",
        "PropertyName",
        "AccessAction",
        "AccessReason",
        "AccessActionURL",
    ] {
        assert!(object[member].is_string(), "{member} of {object}");
    }
    object
}

fn property(object: &Value) {
    let groups = object["PricingGroups"].as_array().expect("pricing groups");
    let defaults = groups.iter().filter(|group| group["IsDefault"] == true);
    assert_eq!(defaults.count(), 1, "{object}");
    assert!(object["SubscriptionGroups"].is_array(), "{object}");
}

fn resource(object: &Value) {
    assert!(object["PricingGroup"].is_object(), "{object}");
    assert!(is_date(&object["PublicationDate"]), "{object}");
    match &object["Property"] {
        Value::Null => {}
        property_data => property(property_data),
    }
}

on_both_databases! {
    fn every_call_of_the_client_gets_what_it_accepts(node: TestNode) {
        let site = Site::open(node);
        let (management, access_key) = (&site.management.public_id, &site.access.public_id);
        let manager = Php { site: &site, keys: &site.management };
        let asker = Php { site: &site, keys: &site.access };

        let own = format!("/api/Property/{management}");
        property(&manager.get(&own).value());
        assert_eq!(manager.get(&format!("{own}/Resource")).value(), json!([]));
        let story = format!("{own}/Resource/Story-0042");
        let missing = manager.get(&story);
        assert!(matches!(&missing, Made::Exception("NotFound", message) if !message.starts_with('{')), "{missing:?}");
        let saved = r#"{"ExternalKey":"Story-0042","Name":"Harbour report","PricingModel":"FixedPrice","Price":0.35,"PublicationDate":"2027-03-01T06:30:00+02:00","Title":"What the harbour report says"}"#;
        manager.send("PUT", &story, Some(saved)).value();
        // A part of it, with numbers as the older plugins write them.
        let part = r#"{"Active":1,"Price":"0.50","ResourcePricingTiers":[]}"#;
        manager.send("PUT", &story, Some(part)).value();
        let read = manager.get(&story).value();
        resource(&read);
        assert_eq!((&read["Price"], &read["Name"], &read["Property"]), (&json!(0.5), &json!("Harbour report"), &Value::Null));
        for one in manager.get(&format!("{own}/Resource")).value().as_array().expect("a list") {
            resource(one);
        }

        for (query, reason) in [
            ("IP=&ResourceURL=&UserToken=", "Deny"),
            ("IP=198.51.100.24&ResourceURL=https%3A%2F%2FNews.Example%2Fa%3Fid%3D42&UserToken=", "Deny"),
            ("AdBlockerStatus=AdBlockerNotDetected&IP=2001%3ADB8%3A%3A42&ResourceURL=&UserToken=0b9d5c1e-7a44-4f0e-9c1d-55aa66bb77cc%7C639400000000000000%7CZk3QpLm9", "Deny"),
            // A token that is null is left out.
            ("IP=&ResourceURL=", "Deny"),
            ("AdBlockerStatus=&IP=&ResourceURL=&UserToken=", "Deny"),
        ] {
            let object = access(asker.get(&format!("/api/Resource/{access_key}/Story-0042?{query}")));
            assert_eq!(object["AccessReason"], reason, "{query}");
        }
        // How the plugins try their keys.
        let tried = access(asker.get(&format!("/api/Resource/{access_key}/api-validation?IP=&ResourceURL=api-validation&UserToken=")));
        assert_eq!(tried["AccessReason"], "UnknownResource");
        // The token stands in the query once more.
        let temporary = "tut5f2c9d1b7e";
        let target = format!("/api/TemporaryUserToken/{access_key}/{temporary}?IP=&ResourceKey=Story-0042&ResourceURL=&temporaryUserToken={temporary}");
        let object = access(asker.get(&target));
        assert_eq!((&object["AccessReason"], &object["IsAnonymousUser"]), (&json!("Deny"), &json!(true)));
    }

    fn exports_and_their_results_are_what_the_client_reads(node: TestNode) {
        let mut site = Site::open(node);
        let receiver = Receiver::start(&[200]);
        let partner = site.management.partner.clone();
        let more = json!({ "audience": "management", "property": site.property, "callback_url": receiver.url("/told") });
        site.management = site.node.keys_of(Environment::Test, &partner, more);
        let manager = Php { site: &site, keys: &site.management };
        let own = format!("/api/Property/{}", site.management.public_id);
        let export = format!("{own}/ExternalSubscriberExport");
        let fields = r#"{"EndDate":"2027-03-15T00:00:00+00:00","StartDate":"2027-03-01T00:00:00+00:00"}"#;
        let queued = manager.send("POST", &export, Some(fields)).value();
        assert!(queued["ID"].is_string() && queued["Status"] == "Queued", "{queued}");
        assert!(is_date(&queued["StartDate"]) && is_date(&queued["EndDate"]), "{queued}");
        let token = receiver.wait(1).remove(0).token();
        let result = format!("{own}/CallbackResult/{token}");
        assert!(manager.get(&result).value().is_array());
        let gone = manager.get(&format!("{own}/CallbackResult/0b9d5c1e-7a44-4f0e-9c1d-55aa66bb77cc"));
        assert!(matches!(gone, Made::Exception("NotFound", _)), "{gone:?}");
        // Without its dates: a chunked body with nothing in it, after `Expect`.
        let refused = manager.send("POST", &export, Some(""));
        assert!(matches!(&refused, Made::Exception("TransferError", body) if body.contains("Message")), "{refused:?}");
    }

    fn keys_that_do_not_fit_are_told_apart_as_the_plugins_do(node: TestNode) {
        let site = Site::open(node);
        let own = format!("/api/Property/{}", site.management.public_id);
        let wrong = Keys { secret: "another".to_owned(), ..site.management.clone() };
        let nobody = Keys { public_id: "0b9d5c1e-7a44-4f0e-9c1d-55aa66bb77cc".to_owned(), ..site.management.clone() };
        for (keys, target, exception) in [
            (&wrong, own.clone(), "AuthenticationFailure"),
            (&nobody, format!("/api/Property/{}", nobody.public_id), "AuthenticationFailure"),
            (&site.access, own.clone(), "AccessDenied"),
            (&site.access, format!("/api/Property/{}", site.access.public_id), "AccessDenied"),
        ] {
            let made = Php { site: &site, keys }.get(&target);
            assert!(matches!(&made, Made::Exception(name, _) if *name == exception), "{made:?} instead of {exception}");
        }
    }
}
