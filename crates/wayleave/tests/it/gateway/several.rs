//! Several servers behind one route: who gets a request, and who is left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use wayleave_proxy::{ApiBehind, ForwardSettings, HealthCheck, Server};
use wayleave_web::Route;

use super::scripted::{Scripted, ok};
use super::{Gateway, behind};
use crate::harness::free_port;

/// A server that works while the flag says so, and else ends every connection after its request.
fn switchable() -> (Scripted, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(true));
    let flag = works.clone();
    let server = Scripted::new(move |caller| {
        while caller.receive().is_some() && flag.load(Ordering::SeqCst) {
            caller.send(&ok("works"));
        }
    });
    (server, works)
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within twenty seconds");
}

#[test]
fn requests_are_spread_evenly() {
    let servers: Vec<Scripted> = (0..3).map(|_| Scripted::answering(ok("x"))).collect();
    let all: Vec<&Scripted> = servers.iter().collect();
    let gateway = Gateway::to(&all, ForwardSettings::default());
    for _ in 0..30 {
        gateway.get("/behind").expect(200);
    }
    let counts: Vec<usize> = servers.iter().map(|one| one.requests().len()).collect();
    assert_eq!(counts, [10, 10, 10]);
}

#[test]
fn a_server_that_is_busy_gets_fewer() {
    let open = Arc::new(AtomicBool::new(false));
    let release = open.clone();
    let busy = Scripted::new(move |caller| {
        while caller.receive().is_some() {
            while !release.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            caller.send(&ok("late"));
        }
    });
    let free = Scripted::answering(ok("soon"));
    let gateway = Gateway::to(&[&busy, &free], ForwardSettings::default());
    std::thread::scope(|scope| {
        let first = scope.spawn(|| gateway.get("/behind").expect(200));
        wait_until("the busy one has a request", || !busy.requests().is_empty());
        for _ in 0..10 {
            assert_eq!(gateway.get("/behind").expect(200).text(), "soon");
        }
        open.store(true, Ordering::SeqCst);
        first.join().expect("no panic");
    });
    assert_eq!(busy.requests().len(), 1);
}

#[test]
fn a_server_that_is_not_there_fails_no_request_and_is_left_out() {
    let there = Scripted::answering(ok("x"));
    let nobody = format!("http://{}", free_port());
    let route = behind(
        "/behind",
        vec![nobody.clone(), there.url()],
        ForwardSettings::default(),
    );
    let gateway = Gateway::with(vec![route]);
    for _ in 0..10 {
        gateway.get("/behind").expect(200);
        // Nothing was sent to the one that is not there, so that this is safe too.
        let posted = gateway.call("POST", "/behind").body("text/plain", "x");
        posted.send().expect(200);
    }
    let labels = format!("environment=\"live\",route=\"/behind\",upstream=\"{nobody}\"");
    assert_eq!(
        gateway.metric(&format!("wayleave_upstream_up{{{labels}}}")),
        Some(0)
    );
    let ejections = gateway.metric(&format!("wayleave_upstream_ejections_total{{{labels}}}"));
    assert!(ejections.is_some_and(|count| count >= 1), "{ejections:?}");
    let retries = "wayleave_route_retries_total{environment=\"live\",route=\"/behind\"}";
    let retries = gateway.metric(retries).expect("the metric");
    assert!((3..10).contains(&retries), "{retries}: it was left out");
    let answers =
        "wayleave_route_requests_total{environment=\"live\",route=\"/behind\",status=\"2xx\"}";
    assert_eq!(gateway.metric(answers), Some(20));
}

#[test]
fn a_request_that_got_no_answer_goes_to_another_server_if_it_can_be_repeated() {
    let (one, one_works) = switchable();
    let other = Scripted::answering(ok("other"));
    one_works.store(false, Ordering::SeqCst);
    let gateway = Gateway::to(&[&one, &other], ForwardSettings::default());
    gateway.get("/behind").expect(200);
    gateway.get("/behind").expect(200);
    let post = || {
        gateway
            .call("POST", "/behind")
            .body("text/plain", "x")
            .send()
    };
    let answers = [post().status, post().status];
    assert!(
        answers.contains(&502) && answers.contains(&200),
        "{answers:?}"
    );
    let never = ForwardSettings {
        retries: 0,
        ..ForwardSettings::default()
    };
    let gateway = Gateway::to(&[&one, &other], never);
    let answers = [gateway.get("/behind").status, gateway.get("/behind").status];
    assert!(
        answers.contains(&502) && answers.contains(&200),
        "{answers:?}"
    );
}

#[test]
fn servers_that_all_fail_are_still_asked_and_come_back() {
    let (one, one_works) = switchable();
    let (other, other_works) = switchable();
    let gateway = Gateway::to(&[&one, &other], ForwardSettings::default());
    for works in [&one_works, &other_works] {
        works.store(false, Ordering::SeqCst);
    }
    for _ in 0..12 {
        gateway.get("/behind").expect(502);
    }
    let asked = one.requests().len() + other.requests().len();
    assert!(asked >= 12, "{asked}: none was given up");
    one_works.store(true, Ordering::SeqCst);
    // The other may be asked first; the retry finds the one that works.
    for _ in 0..6 {
        gateway.get("/behind").expect(200);
    }
    other_works.store(true, Ordering::SeqCst);
    wait_until("both get requests", || {
        let before = other.requests().len();
        gateway.get("/behind").expect(200);
        other.requests().len() > before
    });
}

/// A route to servers that are asked every second how they are.
fn checked(servers: &[&Scripted]) -> Route {
    let check = HealthCheck {
        path: "/healthz?deep=1".parse().expect("a path"),
        interval: Duration::from_secs(1),
    };
    let server = |server: &&Scripted| {
        let server = Server::new(server.url().parse().expect("an upstream"), None);
        Arc::new(server.expect("a server").with_check(check.clone()))
    };
    Route {
        upstream: ApiBehind::new(
            servers.iter().map(server).collect(),
            ForwardSettings::default(),
        ),
        ..behind(
            "/behind",
            vec![servers[0].url()],
            ForwardSettings::default(),
        )
    }
}

#[test]
fn a_server_that_says_it_is_not_well_gets_no_requests_until_it_is() {
    let is_well = Arc::new(AtomicBool::new(true));
    let flag = is_well.clone();
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = asked.clone();
    let one = Scripted::new(move |caller| {
        while let Some(request) = caller.receive() {
            let is_check = request.first_line() == "GET /healthz?deep=1 HTTP/1.1";
            if is_check && !flag.load(Ordering::SeqCst) {
                caller.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
            } else {
                counting.fetch_add(usize::from(!is_check), Ordering::SeqCst);
                caller.send(&ok("one"));
            }
        }
    });
    let other = Scripted::answering(ok("other"));
    let gateway = Gateway::with(vec![checked(&[&one, &other])]);
    let reaches_it = || {
        let before = asked.load(Ordering::SeqCst);
        gateway.get("/behind").expect(200);
        gateway.get("/behind").expect(200);
        asked.load(Ordering::SeqCst) > before
    };
    assert!(reaches_it());
    is_well.store(false, Ordering::SeqCst);
    wait_until("it is left out", || !reaches_it());
    let up = format!(
        "wayleave_upstream_up{{environment=\"live\",route=\"/behind\",upstream=\"{}\"}}",
        one.url()
    );
    assert_eq!(gateway.metric(&up), Some(0));
    is_well.store(true, Ordering::SeqCst);
    wait_until("it is asked again", reaches_it);
    assert_eq!(gateway.metric(&up), Some(1));
}

#[test]
fn what_is_known_of_a_server_outlives_a_reload() {
    let (one, works) = switchable();
    let mut gateway = Gateway::to(&[&one], ForwardSettings::default());
    gateway.get("/behind").expect(200);
    works.store(false, Ordering::SeqCst);
    for _ in 0..4 {
        gateway.get("/behind").expect(502);
    }
    let up = format!(
        "wayleave_upstream_up{{environment=\"live\",route=\"/behind\",upstream=\"{}\"}}",
        one.url()
    );
    assert_eq!(gateway.metric(&up), Some(0));
    let same = behind("/behind", vec![one.url()], ForwardSettings::default());
    gateway.reload(vec![same]);
    assert_eq!(gateway.metric(&up), Some(0));
    let failed =
        "wayleave_route_requests_total{environment=\"live\",route=\"/behind\",status=\"5xx\"}";
    assert_eq!(gateway.metric(failed), Some(4));
    works.store(true, Ordering::SeqCst);
    gateway.get("/behind").expect(200);
    assert_eq!(gateway.metric(&up), Some(1));
}

#[test]
fn routes_can_be_exchanged_while_requests_are_on_their_way() {
    let slow = Scripted::new(|caller| {
        while caller.receive().is_some() {
            std::thread::sleep(Duration::from_millis(300));
            caller.send(&ok("slow"));
        }
    });
    let fast = Scripted::answering(ok("fast"));
    let mut gateway = Gateway::to(&[&slow], ForwardSettings::default());
    let address = gateway.node.live;
    let token = gateway.token.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let calling = std::thread::spawn(move || {
        let mut texts = Vec::new();
        while !over.load(Ordering::SeqCst) {
            let answer = address.get("/behind").bearer(&token).send();
            texts.push(answer.expect(200).text());
        }
        texts
    });
    for round in 0..10 {
        let to = if round % 2 == 0 { &fast } else { &slow };
        gateway.reload(vec![behind(
            "/behind",
            vec![to.url()],
            ForwardSettings::default(),
        )]);
        std::thread::sleep(Duration::from_millis(250));
    }
    is_over.store(true, Ordering::SeqCst);
    let texts = calling.join().expect("no request failed");
    assert!(texts.iter().any(|text| text == "slow") && texts.iter().any(|text| text == "fast"));
}
