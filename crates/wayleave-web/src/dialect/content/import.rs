//! The subscribers of an import, read one after another: a body of many megabytes is never held in a
//! form that is many times larger.

use http::HeaderMap;
use serde_json::Value;
use wayleave_engine::{ImportLine, ImportLines};
use wayleave_protocol::{json, xml};

use super::format::{self, unread};
use super::members::{Members, bad};
use super::subscriber::{read_update, required};
use super::{failed, shape};
use crate::fault::Fault;

/// Where they are: in `Data`, or alone.
const DATA: &str = "Data";
const LIST: &str = "Subscribers";
const ITEM: &str = "Subscriber";

/// The subscribers of a body in one of the formats. What is wrong with one of them is told in the result of
/// the import.
///
/// Errors: there is no list of objects, or it cannot be read.
pub(super) fn of_body(headers: &HeaderMap, body: &[u8]) -> Result<ImportLines, Fault> {
    match format::essence(headers)?.as_str() {
        _ if body.iter().all(u8::is_ascii_whitespace) => Err(bad("the body", "is missing")),
        format::XML_TYPE | format::TEXT_XML_TYPE => of_xml(body),
        "" | format::JSON_TYPE | format::TEXT_JSON_TYPE => of_json(body),
        _ => {
            let read = format::read_body(headers, body, &shape::SUBSCRIBER_IMPORT)?;
            Taken::default().finish(&read.unwrap_or_default())
        }
    }
}

/// The same of a body in JSON.
pub(crate) fn of_json(body: &[u8]) -> Result<ImportLines, Fault> {
    let mut taken = Taken::default();
    let rest = json::parse_object_giving(body, &is_list, &mut |item| taken.take(Ok(item)));
    let rest = rest.map_err(|error| unread(&error.to_string()))?;
    taken.finish(&Value::Object(rest))
}

fn of_xml(body: &[u8]) -> Result<ImportLines, Fault> {
    let mut taken = Taken::default();
    let is_item = |names: &[&str]| match names {
        [_, list @ .., item] => item.eq_ignore_ascii_case(ITEM) && is_list(list),
        _ => false,
    };
    let rest = xml::parse_giving(body, &is_item, &mut |element| {
        taken.take(match element.is_nil {
            true => Ok(Value::Null),
            false => shape::SUBSCRIBER.read(&element),
        });
    });
    let rest = rest.map_err(|error| unread(&error.to_string()))?;
    let rest = shape::SUBSCRIBER_IMPORT.read(&rest);
    taken.finish(&rest.map_err(|why| unread(&why))?)
}

/// Whether these names, the outermost first, lead to the list.
fn is_list<S: AsRef<str>>(names: &[S]) -> bool {
    let is = |name: &S, wanted: &str| name.as_ref().eq_ignore_ascii_case(wanted);
    match names {
        [list] => is(list, LIST),
        [data, list] => is(data, DATA) && is(list, LIST),
        _ => false,
    }
}

/// What was read so far, and what was wrong first.
#[derive(Default)]
struct Taken {
    lines: ImportLines,
    fault: Option<Fault>,
}

impl Taken {
    /// Takes an item of the list, or why it is none.
    fn take(&mut self, item: Result<Value, String>) {
        if self.fault.is_none() {
            self.fault = self.add(item).err();
        }
    }

    fn add(&mut self, item: Result<Value, String>) -> Result<(), Fault> {
        let item = item.map_err(|why| unread(&why))?;
        format::check(&item)?;
        if !item.is_object() {
            return Err(bad(LIST, "must be a list of objects"));
        }
        let line = line(Members::of_body(Some(&item))?);
        self.lines.push(line).map_err(failed)
    }

    /// `rest`: the body without the items of its lists.
    fn finish(self, rest: &Value) -> Result<ImportLines, Fault> {
        format::check(rest)?;
        let mut members = Members::of_body(Some(rest))?;
        let data = members.object(DATA)?;
        let beside = members.objects(LIST)?;
        match data {
            None => drop(required(beside, LIST)?),
            Some(_) if beside.is_some() => return Err(bad(LIST, "is given in Data and beside it")),
            Some(mut data) => drop(required(data.objects(LIST)?, LIST)?),
        }
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.lines),
        }
    }
}

fn line(mut members: Members) -> ImportLine {
    let key = members.text("SubscriberKey");
    let (key, update) = match key {
        Ok(key) => (key.unwrap_or_default(), read_update(&mut members)),
        Err(fault) => (String::new(), Err(fault)),
    };
    ImportLine {
        key,
        update: update.map_err(|fault| match fault {
            Fault::BadRequest(why) => why,
            _ => "it cannot be read".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(body: &Value) -> Vec<ImportLine> {
        let read = of_json(body.to_string().as_bytes());
        read.unwrap_or_else(|fault| panic!("{fault:?}")).all()
    }

    fn of_document(document: &str) -> Result<Vec<ImportLine>, Fault> {
        of_xml(document.as_bytes()).map(|lines| lines.all())
    }

    #[test]
    fn an_import_is_read_in_all_its_forms() {
        let subscribers =
            json!([{ "SubscriberKey": "A", "MaximumLinkedUsers": "3" }, { "subscriberkey": 7 }]);
        let read = lines(&json!({ "Data": { "Subscribers": subscribers } }));
        assert_eq!(
            read,
            lines(&json!({ "data": { "subscribers": subscribers } }))
        );
        assert_eq!(read, lines(&json!({ "Subscribers": subscribers })));
        assert_eq!((read[0].key.as_str(), read[1].key.as_str()), ("A", "7"));
        let update = read[0].update.as_ref().expect("it can be read");
        assert_eq!(update.most_linked, Some(3));
        assert_eq!(update.validation, None);
        let items = "<Subscribers><Subscriber MaximumLinkedUsers='3'><SubscriberKey>A</SubscriberKey></Subscriber>\
            <subscriber subscriberkey='7'/></Subscribers>";
        for document in [
            format!("<ExternalSubscriberImport><Data>{items}</Data></ExternalSubscriberImport>"),
            format!("<ExternalSubscriberImport><ID/>{items}</ExternalSubscriberImport>"),
        ] {
            assert_eq!(of_document(&document).expect("it is read"), read);
        }
    }

    #[test]
    fn a_body_without_one_list_of_objects_is_none() {
        let list = json!([{ "SubscriberKey": "A" }]);
        for body in [
            json!({}),
            json!({ "Data": {} }),
            json!({ "Data": [] }),
            json!({ "Data": {}, "Subscribers": list }),
            json!({ "Data": { "Subscribers": list }, "Subscribers": list }),
            json!({ "Data": { "Subscribers": list }, "data": { "Subscribers": list } }),
            json!({ "Subscribers": list, "subscribers": list }),
            json!({ "Subscribers": {} }),
            json!({ "Subscribers": [1] }),
            json!({ "Subscribers": [list] }),
            json!({ "Subscribers": [{ "Key": 1, "key": 2 }] }),
        ] {
            assert!(of_json(body.to_string().as_bytes()).is_err(), "{body}");
        }
        let item =
            "<Subscribers><Subscriber><SubscriberKey>A</SubscriberKey></Subscriber></Subscribers>";
        for document in [
            "<Import/>".to_owned(),
            format!("<Import>{item}</Import>"),
            format!("<ExternalSubscriberImport>{item}{item}</ExternalSubscriberImport>"),
            format!("<ExternalSubscriberImport><Data>{item}</Data>{item}</ExternalSubscriberImport>"),
            "<ExternalSubscriberImport><Subscribers><Else/></Subscribers></ExternalSubscriberImport>".to_owned(),
            format!("<ExternalSubscriberImport><!DOCTYPE a>{item}</ExternalSubscriberImport>"),
        ] {
            assert!(of_document(&document).is_err(), "{document}");
        }
    }

    #[test]
    fn what_is_wrong_with_one_is_its_own_fault() {
        let read = lines(&json!({ "Subscribers": [
            { "SubscriberKey": "A", "AutomaticSubscriptions": [{ "SubscriptionGroupKey": "x" }] },
            { "SubscriberKey": "B", "ValidationFields": [{ "Name": "n", "Value": "v" }] },
            { "SubscriberKey": [] },
        ] }));
        assert_eq!(read[0].update, Err("ExpirationDate: is missing".to_owned()));
        assert!(read[1].update.is_ok());
        assert!(read[2].update.is_err() && read[2].key.is_empty());
    }

    #[test]
    fn a_document_may_be_large_and_an_item_may_not() {
        let item = format!(
            "<Subscriber><SubscriberKey>{}</SubscriberKey></Subscriber>",
            "k".repeat(90)
        );
        let of = |items: &str| {
            format!(
                "<ExternalSubscriberImport><Subscribers>{items}</Subscribers></ExternalSubscriberImport>"
            )
        };
        let large = of(&item.repeat(3 * xml::MAX_BYTES / item.len()));
        assert!(of_document(&large).is_ok_and(|lines| lines.len() > 20_000));
        let one = item.replace("kkk", &"k".repeat(100_000));
        assert!(of_document(&of(&one)).is_err());
        let beside = format!("<Else/>{item}").repeat(xml::MAX_BYTES / 7 + 1);
        assert!(
            of_document(&of(&item).replace("<Subscribers>", &format!("{beside}<Subscribers>")))
                .is_err()
        );
        let values = json!([0])
            .to_string()
            .replace('0', &"0,".repeat(json::MAX_HELD_VALUES));
        let values = values.replace(",]", "]");
        for body in [
            format!("{{\"Subscribers\":[],\"Else\":{values}}}"),
            format!("{{\"Subscribers\":[{{\"Else\":{values}}}]}}"),
        ] {
            assert!(of_json(body.as_bytes()).is_err());
        }
    }
}
