//! Refusals in the names by which clients know what they sent.

use http::StatusCode;
use wayleave_core::{LineFault, LineMember};
use wayleave_engine::{NotOnce, OrderRefusal, ProvisionError, Refusal, StoreError};

use crate::fault::Fault;

fn said(status: StatusCode, property: Option<&'static str>, message: impl Into<String>) -> Fault {
    Fault::Platform {
        status,
        message: message.into(),
        property,
    }
}

/// A field that cannot be.
pub(super) fn invalid(property: &'static str, why: impl Into<String>) -> Fault {
    said(StatusCode::UNPROCESSABLE_ENTITY, Some(property), why)
}

/// A body that is neither a form nor JSON.
pub(super) fn other_media_type() -> Fault {
    said(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        None,
        "send a form (application/x-www-form-urlencoded) or JSON (application/json)",
    )
}

/// The name of what is at fault in a line.
fn property(member: LineMember) -> &'static str {
    match member {
        LineMember::Lines => "lineItems",
        LineMember::Product => "productId",
        LineMember::Count => "numLicences",
        LineMember::Displays => "displays",
        LineMember::LicenceVersion => "version",
        LineMember::Email => "emailAddress",
        LineMember::Upgraded => "upgradeId",
        LineMember::AccountName => "account_name",
        LineMember::Region => "region_id",
        LineMember::Domain => "domain_id",
        LineMember::Theme => "theme_id",
        LineMember::InstanceVersion => "cms_version_id",
        LineMember::Months => "months",
    }
}

fn line_fault(fault: LineFault) -> Fault {
    invalid(property(fault.member), fault.why)
}

fn missing(noun: &'static str) -> Fault {
    let property = match noun {
        "company" => Some("companyId"),
        _ => None,
    };
    let message = format!("there is no such {noun}");
    said(StatusCode::NOT_FOUND, property, message)
}

/// Why an order, or what was ordered, was not taken a step further.
pub(super) fn refused(refusal: OrderRefusal) -> Fault {
    let conflict = StatusCode::CONFLICT;
    match refusal {
        OrderRefusal::Line(fault) => line_fault(fault),
        OrderRefusal::Recipient { member, why, .. } => invalid(member, why),
        OrderRefusal::NotFound(noun) => missing(noun),
        OrderRefusal::Processed(_) => said(conflict, None, refusal.to_string()),
        OrderRefusal::NameTaken => said(conflict, Some("account_name"), refusal.to_string()),
        OrderRefusal::CardNeeded { member, why } => invalid(member, why),
        OrderRefusal::Hook(why) => invalid("webHookUrl", why),
        OrderRefusal::Driver(ProvisionError::NotNow(cause)) => Fault::Unavailable { cause },
        OrderRefusal::Driver(ProvisionError::Never(why)) => said(conflict, None, why),
        OrderRefusal::Other(refusal) => other(refusal),
    }
}

/// Why something that is no order was not done.
pub(super) fn other(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Invalid { field, why } => Fault::Invalid { field, why },
        Refusal::NotFound { noun } => missing(noun),
        Refusal::Taken { .. } => said(StatusCode::CONFLICT, None, refusal.to_string()),
        Refusal::Forbidden { .. } => said(StatusCode::FORBIDDEN, None, refusal.to_string()),
        Refusal::TooManyGuesses { retry_after_s } => Fault::TooManyGuesses { retry_after_s },
        Refusal::Store(StoreError::Conflict) => said(
            StatusCode::CONFLICT,
            None,
            "somebody else did the same at this moment: look, and ask again",
        ),
        Refusal::Store(error @ StoreError::OutcomeUnknown(_)) => Fault::OutcomeUnknown {
            cause: error.to_string(),
        },
        Refusal::Store(error @ StoreError::Corrupt { .. }) => Fault::Internal {
            cause: error.to_string(),
        },
        Refusal::Store(error) => Fault::Unavailable {
            cause: error.to_string(),
        },
        Refusal::MasterKey(_) | Refusal::SigningKey(_) => Fault::Internal {
            cause: refusal.to_string(),
        },
    }
}

/// Why a write with a key is not done now.
pub(super) fn not_once(refusal: NotOnce) -> Fault {
    match refusal {
        NotOnce::InFlight => said(StatusCode::CONFLICT, None, refusal.to_string()),
        NotOnce::OtherRequest => said(StatusCode::UNPROCESSABLE_ENTITY, None, refusal.to_string()),
        NotOnce::Other(refusal) => other(refusal),
    }
}
