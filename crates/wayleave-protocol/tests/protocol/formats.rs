//! Dates, keys, GUIDs, Basic credentials and form data, case by case.

use wayleave_protocol::basic::{self, BasicError};
use wayleave_protocol::form::{self, FormError};
use wayleave_protocol::key_text::{
    KeyEnvironment, KeyKind, KeyText, KeyTextError, compose, inspect,
};
use wayleave_protocol::{guid, http_date};

#[test]
fn dates_in_any_other_form_are_refused() {
    let refused = [
        "",
        "Tuesday, 16-Mar-27 10:20:28 GMT",
        "Tue Mar 16 10:20:28 2027",
        "Tue, 16 Mar 2027 10:20:28 +0000",
        "Tue, 16 Mar 2027 10:20:28 UTC",
        "Tue, 16 Mar 2027 10:20:28 gmt",
        "Tue, 16 Mar 2027 10:20:28 Z",
        "Tue, 16 Mar 2027 10:20:28",
        "Tue, 16 Mar 27 10:20:28 GMT",
        "Tue, 6 Mar 2027 10:20:28 GMT",
        "Tue,  6 Mar 2027 10:20:28 GMT",
        "tue, 16 Mar 2027 10:20:28 GMT",
        "Tue, 16 MAR 2027 10:20:28 GMT",
        "Di., 16 Mar 2027 10:20:28 GMT",
        "Tue, 16 Mrz 2027 10:20:28 GMT",
        "Wed, 16 Mar 2027 10:20:28 GMT",
        "Tue, 16 Mar 2027 24:00:00 GMT",
        "Tue, 16 Mar 2027 10:60:28 GMT",
        "Tue, 16 Mar 2027 10:20:60 GMT",
        "Tue, 16 Mar 2027 10:20:28  GMT",
        " Tue, 16 Mar 2027 10:20:28 GMT",
        "Tue, 16 Mar 2027 10:20:28 GMT ",
        "Tue, 16 Mar 2027 10:20:28 GMT\n",
        "Tue; 16 Mar 2027 10:20:28 GMT",
        "Tue, 16-Mar-2027 10:20:28 GMT",
        "Tue, 16 Mar 2027 10.20.28 GMT",
        "Tue, 16 Mar 2027 1O:20:28 GMT",
        "Tue, 16 Mar 2027 +1:20:28 GMT",
        "Tue, 16 Mar -027 10:20:28 GMT",
        "Mon, 29 Feb 2027 00:00:00 GMT",
        "Sun, 29 Feb 2100 00:00:00 GMT",
        "Mon, 00 Mar 2027 00:00:00 GMT",
        "Thu, 31 Apr 2027 00:00:00 GMT",
        "Tüe, 16 Mar 2027 10:20:2 GMT",
        "2027-03-16T10:20:28Z",
        "1805192428",
    ];
    for text in refused {
        assert_eq!(http_date::parse(text), None, "{text}");
    }
}

#[test]
fn dates_at_the_edges_are_read() {
    let cases = [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
        ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ("Sat, 01 Jan 0000 00:00:00 GMT", -62_167_219_200),
    ];
    for (text, unix_s) in cases {
        assert_eq!(http_date::parse(text), Some(unix_s), "{text}");
        assert_eq!(http_date::format(unix_s), text);
    }
    assert_eq!(http_date::format(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(http_date::format(i64::MIN), "Sat, 01 Jan 0000 00:00:00 GMT");
}

#[test]
fn keys_of_every_kind_and_environment_read_back() {
    for kind in KeyKind::ALL {
        for environment in KeyEnvironment::ALL {
            let text = compose(kind, environment, &[0xa5; 32]);
            let expected_len = if environment == KeyEnvironment::Any {
                47
            } else {
                48
            };
            assert_eq!(text.len(), expected_len);
            assert!(text.starts_with(&format!("wl_{kind}_{environment}_")));
            assert_eq!(inspect(&text), Ok(KeyText { kind, environment }));
        }
    }
}

/// The format is published: these texts must not change. They were computed independently.
#[test]
fn the_key_format_is_frozen() {
    let counting: [u8; 32] = std::array::from_fn(|index| index as u8);
    let cases = [
        (
            KeyKind::ClientSecret,
            KeyEnvironment::Live,
            [0; 32],
            "wl_csk_live_0000000000000000000000000000004ImQw1",
        ),
        (
            KeyKind::ApiKey,
            KeyEnvironment::Test,
            [0xff; 32],
            "wl_key_test_1pX8wOr5j2ACunjH7GLL8mWZWHmY1L37dx9j",
        ),
        (
            KeyKind::SigningSecret,
            KeyEnvironment::Live,
            counting,
            "wl_sgn_live_flDIBkGwcRKRL9GXCgaFM3UNu2jQTC0TO3Iy",
        ),
    ];
    for (kind, environment, random, text) in cases {
        assert_eq!(compose(kind, environment, &random), text);
    }
}

#[test]
fn a_key_that_is_not_one_says_what_is_wrong() {
    use KeyTextError::{Checksum, Malformed, NotOurs, UnknownEnvironment, UnknownKind};
    let good = compose(KeyKind::SigningSecret, KeyEnvironment::Test, &[9; 32]);
    let (head, random) = good.split_at(12);
    let swapped = good.replace("_test_", "_live_");
    let cases = [
        (String::new(), NotOurs),
        ("wl".to_owned(), NotOurs),
        ("sk_live_abc".to_owned(), NotOurs),
        ("WL_sgn_test_".to_owned() + random, NotOurs),
        (format!(" {good}"), NotOurs),
        ("wl_".to_owned(), UnknownKind),
        ("wl_xyz_test_".to_owned() + random, UnknownKind),
        ("wl_SGN_test_".to_owned() + random, UnknownKind),
        ("wl_sgn".to_owned(), UnknownEnvironment),
        ("wl_sgn_prod_".to_owned() + random, UnknownEnvironment),
        (head.to_owned(), Malformed),
        (good[..47].to_owned(), Malformed),
        (format!("{good}0"), Malformed),
        (format!("{good}\n"), Malformed),
        (format!("{}é{}", head, &random[2..]), Malformed),
        (swapped, Checksum),
        (good.replace("_sgn_", "_sec_"), Checksum),
    ];
    for (text, expected) in cases {
        assert_eq!(inspect(&text), Err(expected), "{text}");
        let random_part = text.get(12..).filter(|part| !part.is_empty());
        assert!(random_part.is_none_or(|part| !expected.to_string().contains(part)));
    }
}

#[test]
fn guids_are_read_in_the_hyphenated_form_only() {
    let id = guid::parse("C4F1E2D3-9A8B-4c7d-8e6f-102938475665").unwrap();
    assert_eq!(id[..4], [0xc4, 0xf1, 0xe2, 0xd3]);
    for text in [
        "",
        "C4F1E2D39A8B4C7D8E6F102938475665",
        "C4F1E2D3-9A8B-4C7D-8E6F-10293847566",
        "C4F1E2D3-9A8B-4C7D-8E6F-1029384756650",
        "C4F1E2D39-A8B-4C7D-8E6F-102938475665",
        "G4F1E2D3-9A8B-4C7D-8E6F-102938475665",
        "C4F1E2D3-9A8B-4C7D-8E6F-10293847566é",
        "+4F1E2D3-9A8B-4C7D-8E6F-102938475665",
    ] {
        assert_eq!(guid::parse(text), None, "{text}");
    }
}

#[test]
fn basic_credentials_are_read_as_sent() {
    let read = |value: &str| {
        let credentials = basic::parse(value.as_bytes()).unwrap();
        (credentials.user, credentials.password.expose().to_owned())
    };
    let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
    assert_eq!(read("Basic dXNlcjpwYXNz"), pair("user", "pass"));
    assert_eq!(read("BASIC   dXNlcjpwYXNz  "), pair("user", "pass"));
    assert_eq!(read("basic a2V5OnNlY3JldAo="), pair("key", "secret\n")); // echo's line feed
    assert_eq!(read("basic a2V5OnNlY3JldAo"), pair("key", "secret\n"));
    assert_eq!(read("Basic Og=="), pair("", ""));
    assert_eq!(read("Basic w6k6w7w="), pair("é", "ü"));
    assert!(!format!("{:?}", basic::parse(b"Basic dXNlcjpwYXNz")).contains("pass\""));
}

#[test]
fn what_is_not_basic_is_refused() {
    let cases: [(&[u8], BasicError); 12] = [
        (b"", BasicError::NotBasic),
        (b"Basic", BasicError::NotBasic),
        (b"Basic ", BasicError::NotBasic),
        (b"Bearer abc", BasicError::NotBasic),
        (b"BasicdXNlcjpwYXNz", BasicError::NotBasic),
        (b"eyJraWQiOiJ4In0.e30.c2ln", BasicError::NotBasic),
        (b"Basic dXNlcg==", BasicError::NoColon),
        (b"Basic ====", BasicError::BadBase64),
        (b"Basic dXNl cjpwYXNz", BasicError::BadBase64),
        (b"Basic dXNlcjpwYX-_", BasicError::BadBase64),
        (b"Basic /zo=", BasicError::NotUtf8),
        (b"\xff\xff\xff\xff\xff\xff", BasicError::NotBasic),
    ];
    for (value, expected) in cases {
        let refused = basic::parse(value);
        assert_eq!(refused, Err(expected), "{}", String::from_utf8_lossy(value));
    }
    let giant = format!("Basic {}", "A".repeat(65_536));
    assert_eq!(basic::parse(giant.as_bytes()), Err(BasicError::TooLong));
}

#[test]
fn form_data_is_decoded() {
    let read = |input: &str| form::parse(input.as_bytes()).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(read(""), []);
    assert_eq!(read("&&"), []);
    assert_eq!(read("a=1&&b=2&"), [pair("a", "1"), pair("b", "2")]);
    assert_eq!(read("a"), [pair("a", "")]);
    assert_eq!(read("=x"), [pair("", "x")]);
    assert_eq!(read("a=b=c"), [pair("a", "b=c")]);
    assert_eq!(read("a+b=c+d%2b"), [pair("a b", "c d+")]);
    assert_eq!(read("%e2%82%AC=%26%3D"), [pair("€", "&=")]);
    assert_eq!(
        read("a=100%&b=%zz&c=%4"),
        [pair("a", "100%"), pair("b", "%zz"), pair("c", "%4")]
    );
    assert_eq!(read("a=%2541"), [pair("a", "%41")]);
    assert_eq!(read("a=é"), [pair("a", "é")]);
}

#[test]
fn ambiguous_form_data_is_refused() {
    let duplicate = |name: &str| FormError::DuplicateName(name.to_owned());
    assert_eq!(form::parse(b"a=1&b=2&A=3"), Err(duplicate("A")));
    assert_eq!(form::parse(b"a=1&%61=1"), Err(duplicate("a")));
    for input in ["a=%0A", "a=%0d", "a%00b=1", "a=\u{7f}", "a=%1F", "a=%C2%80"] {
        assert_eq!(
            form::parse(input.as_bytes()),
            Err(FormError::ControlCharacter),
            "{input}"
        );
    }
    for input in [
        &b"a=%FF"[..],
        b"a=\xff",
        b"%C3=1",
        b"a=%C3&b=%A9",
        b"a=%C0%AF",
    ] {
        assert_eq!(form::parse(input), Err(FormError::NotUtf8));
    }
    assert_eq!(form::decode_word("a%0A"), Err(FormError::ControlCharacter));
    assert_eq!(form::decode_word("%FF"), Err(FormError::NotUtf8));
}

#[test]
fn paths_are_decoded_once_and_keep_their_plus() {
    assert_eq!(
        &*form::percent_decode("/a+b%2Bc/%2541/100%/%zz"),
        b"/a+b+c/%41/100%/%zz"
    );
    assert_eq!(&*form::percent_decode("/%c3%9c"), "/Ü".as_bytes());
    assert_eq!(&*form::percent_decode("%E9"), b"\xe9");
}

#[test]
fn a_secret_in_the_place_of_a_name_is_not_repeated_in_the_message() {
    let secret = compose(KeyKind::ApiSecret, KeyEnvironment::Live, &[7; 32]);
    let body = format!("{{\"{secret}\":1,\"{secret}\":2}}");
    let refused = wayleave_protocol::json::parse_object(body.as_bytes()).unwrap_err();
    assert!(!refused.to_string().contains(&secret), "{refused}");
    let form = format!("{secret}=1&{secret}=2");
    let refused = wayleave_protocol::form::parse(form.as_bytes()).unwrap_err();
    assert!(!refused.to_string().contains(&secret), "{refused}");
    let named = wayleave_protocol::form::parse(b"scope=1&scope=2").unwrap_err();
    assert!(named.to_string().contains("\"scope\""), "{named}");
}

/// Numbers that look random and are always the same: xorshift64* of Marsaglia and Vigna.
struct Repeatable(u64);

impl Repeatable {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn symbols(&mut self, count: usize) -> String {
        const SYMBOLS: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        (0..count)
            .map(|_| char::from(SYMBOLS[(self.next() >> 32) as usize % 62]))
            .collect()
    }
}

#[test]
fn of_a_million_random_texts_in_the_form_of_a_key_none_is_one() {
    let mut random = Repeatable(0x5EED);
    for _ in 0..1_000_000 {
        let text = format!("wl_csk_live_{}", random.symbols(36));
        assert_eq!(inspect(&text), Err(KeyTextError::Checksum), "{text}");
    }
}

#[test]
fn of_many_keys_with_one_slip_none_is_one() {
    let mut random = Repeatable(0x5EED);
    for _ in 0..20_000 {
        let mut bytes = [0; 32];
        bytes.fill_with(|| (random.next() >> 40) as u8);
        let text = compose(KeyKind::ApiSecret, KeyEnvironment::Test, &bytes);
        let place = (random.next() >> 32) as usize % 36 + 12;
        let mut slipped = text.clone();
        slipped.replace_range(place..=place, &random.symbols(1));
        assert_eq!(inspect(&slipped).is_ok(), slipped == text);
    }
}
