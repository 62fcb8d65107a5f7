//! What bodies look like in XML: for each of them its names, their order, and what is an attribute or
//! text. A body is a [`Value`] in its JSON form, and XML is a translation of that, led by its
//! [`Shape`]; handlers know nothing of it.
//!
//! In a body that comes in, all single values are texts (the readers of members take them for what
//! they are), names are found in any case, a field may be an element or an attribute, and what has no
//! place in the shape is passed over, as unknown members in JSON are.

use serde_json::{Map, Value};
use wayleave_protocol::xml::{Element, Name, Writer};

/// What a body is: an object, or a list.
#[derive(Debug)]
pub(super) struct Shape {
    /// The name of its root element.
    pub(super) root: Name,
    /// What is in it.
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A text, number or flag.
    Single,
    /// Members.
    Object(&'static [Field]),
    /// Items, each in an element of this name.
    List(Name, &'static Kind),
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Field {
    name: Name,
    kind: &'static Kind,
    place: Place,
}

/// Where in an element a member stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Element,
    Attribute,
    Text,
}

const fn field(name: &'static str, kind: &'static Kind) -> Field {
    Field {
        name: Name::new(name),
        kind,
        place: Place::Element,
    }
}

const fn single(name: &'static str) -> Field {
    field(name, &Kind::Single)
}

const fn attribute(name: &'static str) -> Field {
    Field {
        place: Place::Attribute,
        ..single(name)
    }
}

const fn text(name: &'static str) -> Field {
    Field {
        place: Place::Text,
        ..single(name)
    }
}

/// Why XML is not of a shape.
pub(super) type NotOfShape = String;

impl Shape {
    /// A body as a document.
    pub(super) fn write(&self, body: &Value) -> String {
        Writer::document(|writer| write(writer, self.root, &self.kind, body))
    }

    /// An item of a list as a piece of a document; what stands round all of them is
    /// [`Writer::around`] the root.
    pub(super) fn write_item(&self, item: &Value) -> String {
        Writer::fragment(|writer| match &self.kind {
            Kind::List(name, kind) => write(writer, *name, kind, item),
            kind => write(writer, self.root, kind, item),
        })
    }

    /// The body that a document stands for.
    pub(super) fn read(&self, document: &Element) -> Result<Value, NotOfShape> {
        let root = self.root.as_str();
        if !document.name.eq_ignore_ascii_case(root) {
            return Err(format!("the root element has to be <{root}>"));
        }
        read(document, &self.kind)
    }
}

/// A single value as XML has it.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn write(writer: &mut Writer, name: Name, kind: &Kind, value: &Value) {
    match (kind, value) {
        (Kind::Object(fields), Value::Object(members)) => {
            write_object(writer, name, fields, members);
        }
        (Kind::List(item_name, item), Value::Array(items)) => {
            writer.element(name, &[], |inside| {
                let items = items.iter();
                items.for_each(|value| write(inside, *item_name, item, value));
            });
        }
        (_, value) => writer.text_element(name, &[], &text_of(value)),
    }
}

fn write_object(writer: &mut Writer, name: Name, fields: &[Field], members: &Map<String, Value>) {
    let given = |field: &&Field| {
        members
            .get(field.name.as_str())
            .is_some_and(|v| !v.is_null())
    };
    let at = |place| {
        let fields = fields.iter().filter(move |field| field.place == place);
        fields.filter(given)
    };
    let value = |field: &Field| &members[field.name.as_str()];
    let attributes: Vec<(Name, String)> = at(Place::Attribute)
        .map(|field| (field.name, text_of(value(field))))
        .collect();
    let attributes: Vec<(Name, &str)> = attributes
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    if let Some(field) = at(Place::Text).next() {
        writer.text_element(name, &attributes, &text_of(value(field)));
        return;
    }
    writer.element(name, &attributes, |inside| {
        at(Place::Element).for_each(|field| write(inside, field.name, field.kind, value(field)));
    });
}

fn read(element: &Element, kind: &Kind) -> Result<Value, NotOfShape> {
    match kind {
        Kind::Single => read_single(element),
        Kind::Object(fields) => read_object(element, fields),
        Kind::List(name, item) => read_list(element, *name, item),
    }
}

fn read_single(element: &Element) -> Result<Value, NotOfShape> {
    match element.children.first() {
        None => Ok(Value::String(element.text.clone())),
        Some(child) => Err(misplaced(child, element)),
    }
}

fn read_list(element: &Element, name: Name, item: &Kind) -> Result<Value, NotOfShape> {
    must_hold_no_text(element)?;
    let mut items = Vec::new();
    for child in &element.children {
        if !child.name.eq_ignore_ascii_case(name.as_str()) {
            return Err(misplaced(child, element));
        }
        items.push(match child.is_nil {
            true => Value::Null,
            false => read(child, item)?,
        });
    }
    Ok(Value::Array(items))
}

fn read_object(element: &Element, fields: &[Field]) -> Result<Value, NotOfShape> {
    let mut seen: Vec<String> = Vec::new();
    let mut members = Map::new();
    let mut take = |name: &str, value: &mut dyn FnMut(&Field) -> Result<Value, NotOfShape>| {
        let folded = name.to_ascii_lowercase();
        if seen.contains(&folded) {
            return Err(format!("<{}> has {name} more than once", element.name));
        }
        seen.push(folded);
        let is_named = |field: &&Field| field.name.as_str().eq_ignore_ascii_case(name);
        if let Some(field) = fields.iter().find(is_named) {
            members.insert(field.name.as_str().to_owned(), value(field)?);
        }
        Ok(())
    };
    for (name, text) in &element.attributes {
        take(name, &mut |_| Ok(Value::String(text.clone())))?;
    }
    for child in &element.children {
        take(&child.name, &mut |field| match child.is_nil {
            true => Ok(Value::Null),
            false => read(child, field.kind),
        })?;
    }
    match fields.iter().find(|field| field.place == Place::Text) {
        Some(field)
            if element.children.is_empty() && !members.contains_key(field.name.as_str()) =>
        {
            let text = Value::String(element.text.clone());
            members.insert(field.name.as_str().to_owned(), text);
        }
        _ => must_hold_no_text(element)?,
    }
    Ok(Value::Object(members))
}

fn must_hold_no_text(element: &Element) -> Result<(), NotOfShape> {
    match element.text.trim().is_empty() {
        true => Ok(()),
        false => Err(format!("<{}> holds text beside its elements", element.name)),
    }
}

fn misplaced(child: &Element, parent: &Element) -> NotOfShape {
    format!("<{}> cannot be in <{}>", child.name, parent.name)
}

const fn object(root: &'static str, fields: &'static [Field]) -> Shape {
    Shape {
        root: Name::new(root),
        kind: Kind::Object(fields),
    }
}

const fn list(root: &'static str, item: &'static str, kind: &'static Kind) -> Shape {
    Shape {
        root: Name::new(root),
        kind: Kind::List(Name::new(item), kind),
    }
}

const fn items(item: &'static str, kind: &'static Kind) -> Kind {
    Kind::List(Name::new(item), kind)
}

/// A refusal.
pub(super) static ERROR: Shape = object(
    "Error",
    &[
        single("Message"),
        single("ServerTime"),
        single("Reason"),
        single("Hint"),
        single("FirstDifference"),
        field("BaseStrings", &BASE_STRINGS),
    ],
);
static BASE_STRINGS: Kind = items("BaseString", &Kind::Single);

/// A property (2.2).
pub(super) static PROPERTY: Shape = object("Property", PROPERTY_FIELDS);
static PROPERTY_KIND: Kind = Kind::Object(PROPERTY_FIELDS);
const PROPERTY_FIELDS: &[Field] = &[
    single("Name"),
    single("Title"),
    single("DynamicallyCreateResources"),
    single("EnableQuota"),
    single("EnableSubscriptions"),
    single("EnableSinglePurchases"),
    single("AlwaysRequireAuthentication"),
    single("FreeResourcesRequireAuthentication"),
    single("Quota"),
    single("QuotaPeriod"),
    field("SubscriptionGroups", &SUBSCRIPTION_GROUPS),
    field("PricingGroups", &PRICING_GROUPS),
];
static SUBSCRIPTION_GROUPS: Kind = items(
    "SubscriptionGroup",
    &Kind::Object(&[
        single("SubscriptionGroupID"),
        single("Name"),
        single("Title"),
        single("Price"),
        single("Period"),
        single("PaywallDescription"),
        single("PaywallShortDescription"),
    ]),
);
static PRICING_GROUPS: Kind = items("PricingGroup", &PRICING_GROUP);
static PRICING_GROUP: Kind = Kind::Object(&[
    single("PricingGroupID"),
    single("Name"),
    single("IsDefault"),
    single("PricingModel"),
    single("Price"),
    single("ExpirationPeriodUnit"),
    single("ExpirationPeriodValue"),
    single("TargetConversionRate"),
    single("TargetConversionPriceFloor"),
    single("TargetConversionHitsPerRecalculationPeriod"),
    field("ResourcePricingTiers", &TIERS),
]);
static TIERS: Kind = items(
    "ResourcePricingTier",
    &Kind::Object(&[single("Tier"), single("Price")]),
);

/// A resource (2.3, 2.4).
pub(super) static RESOURCE: Shape = object("Resource", RESOURCE_FIELDS);
/// Every resource of a property.
pub(super) static RESOURCES: Shape = list("ArrayOfResource", "Resource", &RESOURCE_KIND);
static RESOURCE_KIND: Kind = Kind::Object(RESOURCE_FIELDS);
const RESOURCE_FIELDS: &[Field] = &[
    single("Name"),
    single("ExternalKey"),
    single("Active"),
    single("URL"),
    single("Title"),
    single("Byline"),
    single("Description"),
    single("PublicationDate"),
    field("PricingGroup", &PRICING_GROUP),
    single("PricingModel"),
    single("Price"),
    single("ExpirationPeriodUnit"),
    single("ExpirationPeriodValue"),
    single("TargetConversionRate"),
    single("TargetConversionPriceFloor"),
    single("TargetConversionHitsPerRecalculationPeriod"),
    field("ResourcePricingTiers", &TIERS),
    single("PaywallDescription"),
    single("PaywallShortDescription"),
    field("Property", &PROPERTY_KIND),
];

/// What a reader may see (3.2).
pub(super) static RESOURCE_ACCESS: Shape = object(
    "ResourceAccess",
    &[
        single("UserToken"),
        single("UserTokenExpiration"),
        single("PropertyName"),
        single("PaywallDisplayStyle"),
        single("ResourceName"),
        single("UserName"),
        single("FirstName"),
        single("IsAnonymousUser"),
        single("IsAdSupported"),
        single("AdSupportedMessageTitle"),
        single("AdSupportedMessage"),
        single("AdBlockerStatus"),
        single("IsNoCost"),
        single("IsAccessibleForFree"),
        field("Quota", &QUOTA),
        field("Subscription", &ACCESS_SUBSCRIPTION),
        field("Purchase", &PURCHASE),
        single("AccessAction"),
        single("AccessReason"),
        single("AccessActionURL"),
        single("StructuredData"),
    ],
);
static QUOTA: Kind = Kind::Object(&[
    single("IsEnabled"),
    single("HitCount"),
    single("AllowedHits"),
    single("PeriodStartDate"),
    single("PeriodName"),
    single("IsMet"),
]);
static ACCESS_SUBSCRIPTION: Kind = Kind::Object(&[
    single("IsExpired"),
    single("ExpirationDate"),
    single("IsCurrent"),
    single("SubscriptionGroupID"),
]);
static PURCHASE: Kind = Kind::Object(&[single("IsPurchased")]);

/// An external subscriber as a site gives it (2.5).
pub(super) static SUBSCRIBER: Shape = object("Subscriber", SUBSCRIBER_FIELDS);
static SUBSCRIBER_KIND: Kind = Kind::Object(SUBSCRIBER_FIELDS);
const SUBSCRIBER_FIELDS: &[Field] = &[
    single("SubscriberKey"),
    single("MaximumLinkedUsers"),
    field("ValidationFields", &VALIDATION_FIELDS),
    field("EligibleSubscriptions", &ELIGIBLE_SUBSCRIPTIONS),
    field("AutomaticSubscriptions", &AUTOMATIC_SUBSCRIPTIONS),
];
static VALIDATION_FIELDS: Kind = items("ValidationField", &NAMED_VALUE);
static NAMED_VALUE: Kind = Kind::Object(&[attribute("Name"), text("Value")]);
static ELIGIBLE_SUBSCRIPTIONS: Kind = items(
    "EligibleSubscription",
    &Kind::Object(&[
        attribute("SubscriptionGroupKey"),
        attribute("EligibilityEndDate"),
    ]),
);
static AUTOMATIC_SUBSCRIPTIONS: Kind = items(
    "AutomaticSubscription",
    &Kind::Object(&[
        attribute("SubscriptionGroupKey"),
        attribute("ExpirationDate"),
    ]),
);

/// A subscriber with the readers linked to it (2.5, 2.6).
pub(super) static LINKED_USERS: Shape = object("Subscriber", LINKED_USER_FIELDS);
/// The result of an export.
pub(super) static EXPORTED_SUBSCRIBERS: Shape =
    list("Subscribers", "Subscriber", &LINKED_USERS_KIND);
static LINKED_USERS_KIND: Kind = Kind::Object(LINKED_USER_FIELDS);
const LINKED_USER_FIELDS: &[Field] = &[single("SubscriberKey"), field("Users", &USERS)];
static USERS: Kind = items(
    "User",
    &Kind::Object(&[
        attribute("ApplicationUserID"),
        field("DemographicFields", &DEMOGRAPHIC_FIELDS),
        field("Subscriptions", &SUBSCRIPTIONS),
    ]),
);
static DEMOGRAPHIC_FIELDS: Kind = items("DemographicField", &NAMED_VALUE);
static SUBSCRIPTIONS: Kind = items("Subscription", &SUBSCRIPTION);
static SUBSCRIPTION: Kind = Kind::Object(&[
    single("SubscriptionKey"),
    single("ExpirationDate"),
    field("DemographicFields", &DEMOGRAPHIC_FIELDS),
]);

/// An import: what is asked for, and that it waits.
pub(super) static SUBSCRIBER_IMPORT: Shape = object(
    "ExternalSubscriberImport",
    &[
        single("ID"),
        single("NotificationEmailAddress"),
        single("Status"),
        field("Data", &IMPORT_DATA),
        field("Subscribers", &SUBSCRIBERS),
    ],
);
static IMPORT_DATA: Kind = Kind::Object(&[field("Subscribers", &SUBSCRIBERS)]);
static SUBSCRIBERS: Kind = items("Subscriber", &SUBSCRIBER_KIND);

/// The result of an import.
pub(super) static IMPORT_RESULT: Shape = object(
    "ExternalSubscriberImportResult",
    &[
        single("Status"),
        field("Errors", &ERRORS),
        single("SuccessCount"),
        single("FailureCount"),
    ],
);
static ERRORS: Kind = items("Error", &Kind::Single);

/// An export: what is asked for, and that it waits.
pub(super) static SUBSCRIBER_EXPORT: Shape = object(
    "ExternalSubscriberExport",
    &[
        attribute("ID"),
        single("NotificationEmailAddress"),
        single("Status"),
        single("StartDate"),
        single("EndDate"),
    ],
);

/// An export of subscriptions to fulfil: what is asked for, and that it waits.
pub(super) static FULFILLMENT_EXPORT: Shape = object(
    "ExternalFulfillmentSubscriptionExport",
    &[
        attribute("ID"),
        single("NotificationEmailAddress"),
        single("Status"),
        single("SubscriptionGroupID"),
        single("AsOfDate"),
        single("Data"),
    ],
);

/// A subscription to fulfil.
pub(super) static FULFILLMENT: Shape = object("FulfillmentSubscription", FULFILLMENT_FIELDS);
/// The result of an export of them.
pub(super) static FULFILLMENTS: Shape = list(
    "FulfillmentSubscriptions",
    "FulfillmentSubscription",
    &FULFILLMENT_KIND,
);
static FULFILLMENT_KIND: Kind = Kind::Object(FULFILLMENT_FIELDS);
const FULFILLMENT_FIELDS: &[Field] = &[
    single("SubscriptionID"),
    single("ApplicationUserID"),
    field("Subscription", &SUBSCRIPTION),
    field("DemographicFields", &DEMOGRAPHIC_FIELDS),
];

/// Every shape, for tests.
#[cfg(test)]
pub(super) static ALL: [&Shape; 14] = [
    &ERROR,
    &PROPERTY,
    &RESOURCE,
    &RESOURCES,
    &RESOURCE_ACCESS,
    &SUBSCRIBER,
    &LINKED_USERS,
    &EXPORTED_SUBSCRIBERS,
    &SUBSCRIBER_IMPORT,
    &IMPORT_RESULT,
    &SUBSCRIBER_EXPORT,
    &FULFILLMENT_EXPORT,
    &FULFILLMENT,
    &FULFILLMENTS,
];

#[cfg(test)]
mod tests;
