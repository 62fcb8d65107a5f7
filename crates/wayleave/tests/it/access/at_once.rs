//! Many at once: nothing is given twice, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

use super::*;
use crate::h2_frames::*;
use crate::harness::on_both_databases;

/// How many requests one connection carries at once.
const STREAMS: usize = 100;

/// Asks over so many connections: a hundred requests on each, all of them on their way before an answer
/// is read. Gives the objects in the order of the requests.
fn ask_at_once(
    paper: &Paper,
    connections: usize,
    target: impl Fn(usize) -> String + Sync,
) -> Vec<Value> {
    let (begin, target) = (Barrier::new(connections), &target);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..connections)
            .map(|connection| {
                let begin = &begin;
                let numbers = connection * STREAMS..(connection + 1) * STREAMS;
                scope.spawn(move || {
                    let requests: Vec<u8> = numbers
                        .flat_map(|number| request(paper, number, &target(number)))
                        .collect();
                    let mut client = Http2::connect_patiently(paper.site.node.test);
                    client.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes()));
                    begin.wait();
                    assert!(client.send(&requests));
                    objects(&mut client)
                })
            })
            .collect();
        let asked = asking.into_iter();
        asked
            .flat_map(|asked| asked.join().expect("asked"))
            .collect()
    })
}

/// A signed request as a frame, on the stream of its number.
fn request(paper: &Paper, number: usize, target: &str) -> Vec<u8> {
    let signed = paper
        .site
        .access
        .signer()
        .headers("GET", target, paper.site.now_s());
    let signed = signed.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut headers = get(target);
    headers.extend(
        signed
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    let stream = u32::try_from(2 * (number % STREAMS) + 1).expect("a stream");
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(&headers))
}

/// The objects of all answers, in the order of their streams.
fn objects(client: &mut Http2) -> Vec<Value> {
    let (mut bodies, mut ended) = (BTreeMap::<u32, Vec<u8>>::new(), 0);
    while ended < STREAMS {
        let frame = client.next().expect("an answer");
        match frame.kind {
            DATA => bodies
                .entry(frame.stream)
                .or_default()
                .extend(frame.payload),
            RST_STREAM | GOAWAY => panic!("{frame:?}"),
            _ => {}
        }
        if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
            ended += 1;
        }
    }
    let object = |body: &Vec<u8>| serde_json::from_slice(body).expect("an object");
    bodies.values().map(object).collect()
}

/// Makes so many pages behind the addresses, called `P10000` and so on.
pub(super) fn add_pages(paper: &mut Paper, count: usize) {
    paper.site.copy("Story-1", 10_000..10_000 + count);
    paper.site.node.restart();
}

/// One token, redeemed ten thousand times at once, lets one in.
fn redeem_at_once(paper: &Paper) {
    let free = json!({ "Name": "free", "PricingModel": "Free" });
    paper.site.put("Free-1", free).expect(200);
    let temporary = paper.sign_in(&paper.reader("areader"), None);
    let key = &paper.site.access.public_id;
    let target = format!("/api/TemporaryUserToken/{key}/{temporary}?ResourceKey=Free-1");
    let answers = ask_at_once(paper, 100, |_| target.clone());
    assert_eq!(answers.len(), 10_000);
    let known = answers
        .iter()
        .filter(|object| object["UserName"] == "areader");
    assert_eq!(known.count(), 1);
    let granted = answers
        .iter()
        .filter(|object| object["AccessReason"] == "Free");
    assert_eq!(granted.count(), 10_000, "who comes later is somebody new");
}

/// How often each page is asked for.
const TIMES: usize = 4;

/// Asks about pages ten thousand times at once with one quota of a thousand; what was granted is the quota,
/// and stays so.
fn use_up_at_once(node: TestNode) {
    const ALLOWED: usize = 1_000;
    const PAGES: usize = 2_500;
    let mut paper = Paper::open_with(node, |settings| {
        settings["quota"]["allowed"] = json!(ALLOWED)
    });
    add_pages(&mut paper, PAGES);
    let token = escaped(&paper.token_of(&paper.reader("areader")));
    let granted = |paper: &Paper, connections: usize| {
        let key = &paper.site.access.public_id;
        let page = |number: usize| 10_000 + number % PAGES;
        let target = |number| format!("/api/Resource/{key}/P{}?UserToken={token}", page(number));
        let answers = ask_at_once(paper, connections, target);
        assert_eq!(answers.len(), connections * STREAMS);
        let numbered = answers.iter().enumerate();
        let granted = numbered.filter(|(_, object)| object["AccessAction"] == "Grant");
        granted
            .map(|(number, _)| page(number))
            .collect::<BTreeSet<usize>>()
    };
    let first = granted(&paper, PAGES * TIMES / STREAMS);
    let count = |sql: &str| {
        let read = paper.site.node.database(paper.site.environment).run(sql);
        read.trim().parse::<usize>().expect("a number")
    };
    let distinct = "SELECT COUNT(DISTINCT resource_id) FROM reader_hit";
    assert_eq!(count(distinct), ALLOWED);
    assert_eq!(count("SELECT MAX(slot) FROM reader_hit"), ALLOWED);
    // One page was counted with the sign-in. What was counted is shown, and nothing else.
    assert_eq!(first.len(), ALLOWED - 1);
    paper.site.node.restart();
    assert_eq!(granted(&paper, PAGES / STREAMS), first);
}

on_both_databases! {
    fn of_ten_thousand_who_redeem_one_token_one_does(node: TestNode) {
        redeem_at_once(&Paper::open(node));
    }

    fn a_quota_of_a_thousand_gives_a_thousand_pages_to_ten_thousand_requests(node: TestNode) {
        use_up_at_once(node);
    }

    fn the_same_page_at_once_is_one_hit(node: TestNode) {
        let paper = Paper::open(node);
        let token = escaped(&paper.token_of(&paper.reader("areader")));
        let key = &paper.site.access.public_id;
        let target = format!("/api/Resource/{key}/Story-2?UserToken={token}");
        let answers = ask_at_once(&paper, 2, |_| target.clone());
        let granted = answers.iter().filter(|object| object["AccessAction"] == "Grant");
        assert_eq!(granted.count(), 200);
        let database = paper.site.node.database(paper.site.environment);
        assert_eq!(database.run("SELECT COUNT(*) FROM reader_hit").trim(), "2");
    }
}
