use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{Audience, Scheme};

use super::Desk;
use crate::answer::{self, Answer};
use crate::route::Route;

impl Desk<'_> {
    /// The routes as they are configured; they are changed in the configuration file.
    pub(super) fn routes(&self) -> Answer {
        let data: Vec<Value> = self.surfaces.routes().iter().map(body).collect();
        let page = json!({ "data": data, "has_more": false });
        answer::json(StatusCode::OK, &page)
    }
}

fn body(route: &Route) -> Value {
    let audiences = Audience::ALL.into_iter();
    let audiences: Vec<&str> = audiences
        .filter(|audience| route.admission.audiences.contains(*audience))
        .map(Audience::as_str)
        .collect();
    let schemes: Vec<&str> = Scheme::ALL
        .into_iter()
        .filter(|scheme| route.admission.schemes.contains(*scheme))
        .map(Scheme::as_str)
        .collect();
    let limits: Vec<&str> = route
        .limits
        .iter()
        .map(|limit| limit.name.as_str())
        .collect();
    json!({
        "name": route.counted_as(),
        "path": route.path,
        "host": route.host,
        "upstream": route.upstream.to_string(),
        "audiences": audiences.join(" "),
        "schemes": schemes.join(" "),
        "scopes": route.admission.scopes.to_string(),
        "limits": limits.join(" "),
    })
}
