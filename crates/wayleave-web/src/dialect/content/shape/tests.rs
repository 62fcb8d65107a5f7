use proptest::prelude::*;
use serde_json::json;
use wayleave_protocol::json::parse_object;
use wayleave_protocol::xml::{is_char, parse};

use super::*;

/// A text that both formats can carry.
fn text_value() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "",
        " ",
        "<b>&amp;",
        "]]>",
        "\r\n\t",
        "\u{e4}\u{1f600}",
        "'\"",
    ]);
    prop_oneof![odd.prop_map(str::to_owned), any::<String>()]
        .prop_map(|text| text.chars().filter(|letter| is_char(*letter)).collect())
}

fn single_value() -> BoxedStrategy<Value> {
    prop_oneof![
        text_value().prop_map(Value::String),
        any::<u32>().prop_map(|number| json!(number)),
        (0_i64..1_000_000).prop_map(|cents| json!(cents as f64 / 100.0)),
        any::<bool>().prop_map(Value::Bool),
    ]
    .boxed()
}

/// Any value of a kind.
fn value_of(kind: &'static Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Single => single_value(),
        Kind::List(_, item) => prop::collection::vec(value_of(item), 0..3)
            .prop_map(Value::Array)
            .boxed(),
        Kind::Object(fields) => {
            let member = |field: &'static Field| {
                let value = prop_oneof![4 => value_of(field.kind), 1 => Just(Value::Null)];
                let value = prop::option::weighted(0.8, value);
                value.prop_map(|value| value.map(|value| (field.name.as_str().to_owned(), value)))
            };
            let members: Vec<_> = fields.iter().map(member).collect();
            members
                .prop_map(|members| Value::Object(members.into_iter().flatten().collect()))
                .boxed()
        }
    }
}

/// What a value means to whoever reads its members: single values as texts, and nothing that is null.
fn meaning(kind: &Kind, value: &Value) -> Value {
    match (kind, value) {
        (Kind::Object(fields), Value::Object(members)) => {
            let mut meant = Map::new();
            for field in *fields {
                let name = field.name.as_str();
                match members.get(name).filter(|value| !value.is_null()) {
                    Some(value) => {
                        meant.insert(name.to_owned(), meaning(field.kind, value));
                    }
                    None if field.place == Place::Text => {
                        meant.insert(name.to_owned(), json!(""));
                    }
                    None => {}
                }
            }
            Value::Object(meant)
        }
        (Kind::List(_, item), Value::Array(items)) => {
            items.iter().map(|value| meaning(item, value)).collect()
        }
        (_, single) => Value::String(text_of(single)),
    }
}

/// A shape and a value of it.
fn case() -> impl Strategy<Value = (&'static Shape, Value)> {
    let shapes = prop::sample::select(ALL.to_vec());
    shapes.prop_flat_map(|shape| (Just(shape), value_of(&shape.kind)))
}

/// As many cases as `cargo xtask formats` asks for, or a few.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => asked,
        None => ProptestConfig {
            cases: 1_500,
            ..asked
        },
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_body_means_the_same_in_both_formats((shape, value) in case()) {
        let expected = meaning(&shape.kind, &value);
        let document = shape.write(&value);
        let element = parse(document.as_bytes()).expect("what we write is well-formed");
        let of_xml = shape.read(&element).expect("what we write is of its shape");
        prop_assert_eq!(&meaning(&shape.kind, &of_xml), &expected, "{}", document);
        let text = json!({ "body": value }).to_string();
        let of_json = parse_object(text.as_bytes()).expect("what we write is JSON");
        prop_assert_eq!(&meaning(&shape.kind, &of_json["body"]), &expected);
        // And so from one format to the other and back.
        prop_assert_eq!(shape.write(&of_xml), shape.write(&expected));
    }

    #[test]
    fn a_list_in_pieces_is_the_same_document(items in value_of(&RESOURCES.kind)) {
        let pieces: String = items.as_array().expect("a list").iter()
            .map(|item| RESOURCES.write_item(item))
            .collect();
        let (before, after) = Writer::around(RESOURCES.root);
        let whole = parse(RESOURCES.write(&items).as_bytes());
        prop_assert_eq!(parse(format!("{before}{pieces}{after}").as_bytes()), whole);
    }
}

fn written(shape: &Shape, body: Value) -> String {
    let document = shape.write(&body);
    let declaration = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";
    document
        .strip_prefix(declaration)
        .expect("a declaration")
        .to_owned()
}

#[test]
fn bodies_look_as_the_contract_has_them() {
    for (shape, body, xml) in [
        (
            &ERROR,
            json!({"Message": "a < b"}),
            "<Error><Message>a &lt; b</Message></Error>",
        ),
        (
            &RESOURCE,
            json!({"Property": null, "Byline": "", "Active": true, "Name": "Tide", "Price": 0.35,
                "ResourcePricingTiers": [{"Price": 0.6, "Tier": 0}]}),
            "<Resource><Name>Tide</Name><Active>true</Active><Byline /><Price>0.35</Price>\
             <ResourcePricingTiers><ResourcePricingTier><Tier>0</Tier><Price>0.6</Price>\
             </ResourcePricingTier></ResourcePricingTiers></Resource>",
        ),
        (
            &RESOURCES,
            json!([{"Name": "a"}, {"Name": "b"}]),
            "<ArrayOfResource><Resource><Name>a</Name></Resource><Resource><Name>b</Name></Resource>\
             </ArrayOfResource>",
        ),
        (
            &LINKED_USERS,
            json!({"SubscriberKey": "P", "Users": [{"ApplicationUserID": "d2", "DemographicFields":
                [{"Name": "Phone", "Value": ""}, {"Name": "Mail", "Value": "a@b"}], "Subscriptions": []}]}),
            "<Subscriber><SubscriberKey>P</SubscriberKey><Users><User ApplicationUserID=\"d2\">\
             <DemographicFields><DemographicField Name=\"Phone\" />\
             <DemographicField Name=\"Mail\">a@b</DemographicField></DemographicFields>\
             <Subscriptions /></User></Users></Subscriber>",
        ),
        (
            &SUBSCRIBER_EXPORT,
            json!({"ID": "F0", "NotificationEmailAddress": null}),
            "<ExternalSubscriberExport ID=\"F0\" />",
        ),
        (
            &IMPORT_RESULT,
            json!({"Status": "Completed with errors", "Errors": ["P-1"], "SuccessCount": 2, "FailureCount": 1}),
            "<ExternalSubscriberImportResult><Status>Completed with errors</Status><Errors>\
             <Error>P-1</Error></Errors><SuccessCount>2</SuccessCount><FailureCount>1</FailureCount>\
             </ExternalSubscriberImportResult>",
        ),
    ] {
        assert_eq!(written(shape, body), xml);
    }
}

#[test]
fn a_subscriber_is_read_as_its_sites_write_it() {
    let element = parse(
        br#"<Subscriber xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
          <SubscriberKey>P-1</SubscriberKey><MaximumLinkedUsers>3</MaximumLinkedUsers>
          <ValidationFields><ValidationField Name="PostCode">70114</ValidationField></ValidationFields>
          <EligibleSubscriptions>
            <EligibleSubscription SubscriptionGroupKey="all" EligibilityEndDate="2027-12-31" />
          </EligibleSubscriptions><AutomaticSubscriptions xsi:nil="true" />
        </Subscriber>"#,
    )
    .expect("a document");
    assert_eq!(
        SUBSCRIBER.read(&element),
        Ok(json!({
            "SubscriberKey": "P-1",
            "MaximumLinkedUsers": "3",
            "ValidationFields": [{"Name": "PostCode", "Value": "70114"}],
            "EligibleSubscriptions": [{"SubscriptionGroupKey": "all", "EligibilityEndDate": "2027-12-31"}],
            "AutomaticSubscriptions": null,
        }))
    );
}
