//! What is told of the APIs behind: answers by route, and how each server stands.

use std::sync::Arc;

use wayleave_web::Surfaces;

use super::{CLASSES, Text};

/// The metrics of what these show.
pub(crate) fn render(shown: &[Arc<Surfaces>]) -> String {
    let mut text = Text::default();
    text.begin(
        "wayleave_route_requests_total",
        "counter",
        "Requests that were to be passed on, by route and class of the status.",
    );
    for_each_api(shown, |labels, api| {
        for (class, count) in CLASSES.iter().zip(api.counts().answers()) {
            text.line(&format!("{labels},status=\"{class}\""), count);
        }
    });
    text.begin(
        "wayleave_route_retries_total",
        "counter",
        "Further attempts of requests that got no answer at first.",
    );
    for_each_api(shown, |labels, api| {
        text.line(labels, api.counts().retries());
    });
    text.begin(
        "wayleave_upstream_up",
        "gauge",
        "Whether a server behind is well as far as is known: 1, or 0.",
    );
    for_each_server(shown, |labels, server| {
        text.line(labels, u8::from(server.standing().is_up()));
    });
    text.begin(
        "wayleave_upstream_ejections_total",
        "counter",
        "How often failing requests took a server out of the choice.",
    );
    for_each_server(shown, |labels, server| {
        text.line(labels, server.standing().ejections_total());
    });
    text.written
}

fn for_each_api(shown: &[Arc<Surfaces>], mut tell: impl FnMut(&str, &wayleave_proxy::ApiBehind)) {
    for surfaces in shown {
        let environment = surfaces.engine().environment();
        for (route, api) in surfaces.apis_behind() {
            let route = escape(&route);
            tell(
                &format!("environment=\"{environment}\",route=\"{route}\""),
                api,
            );
        }
    }
}

fn for_each_server(shown: &[Arc<Surfaces>], mut tell: impl FnMut(&str, &wayleave_proxy::Server)) {
    for_each_api(shown, |labels, api| {
        for server in api.servers() {
            let upstream = escape(&server.upstream().to_string());
            tell(&format!("{labels},upstream=\"{upstream}\""), server);
        }
    });
}

/// A label's value in Prometheus' text format.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
