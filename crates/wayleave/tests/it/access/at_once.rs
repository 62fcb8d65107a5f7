//! Many at once: nothing is given twice, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

use super::*;
use crate::h2_frames::*;
use crate::harness::on_both_databases;

/// How many requests one connection carries at once.
const STREAMS: usize = 100;

/// Asks over so many connections: a hundred requests on each, all of them on their way before an answer
/// is read, about the targets in turn. Gives the answers in the order of the requests.
fn ask_at_once(paper: &Paper, connections: usize, targets: &[String]) -> Vec<String> {
    let heads: Vec<Vec<u8>> = targets.iter().map(|target| head(paper, target)).collect();
    let (begin, heads) = (Barrier::new(connections), &heads);
    let ask = |connection: usize| {
        let numbers = connection * STREAMS..(connection + 1) * STREAMS;
        let requests = numbers.flat_map(|number| {
            let stream = u32::try_from(2 * (number % STREAMS) + 1).expect("a stream");
            let head = &heads[number % heads.len()];
            frame(HEADERS, END_STREAM | END_HEADERS, stream, head)
        });
        let requests: Vec<u8> = requests.collect();
        let mut client = Http2::connect_patiently(paper.site.node.test);
        client.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes()));
        begin.wait();
        assert!(client.send(&requests));
        answers(&mut client)
    };
    std::thread::scope(|scope| {
        let ask = &ask;
        let asking: Vec<_> = (0..connections)
            .map(|connection| scope.spawn(move || ask(connection)))
            .collect();
        let asked = asking.into_iter();
        asked
            .flat_map(|asked| asked.join().expect("asked"))
            .collect()
    })
}

/// The head of a signed request.
fn head(paper: &Paper, target: &str) -> Vec<u8> {
    let signer = paper.site.access.signer();
    let signed = signer.headers("GET", target, paper.site.now_s());
    let signed = signed.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut headers = get(target);
    headers.extend(
        signed
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    block(&headers)
}

/// The bodies of all answers, in the order of their streams.
fn answers(client: &mut Http2) -> Vec<String> {
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
    let text = |body| String::from_utf8(body).expect("text");
    bodies.into_values().map(text).collect()
}

fn is_granted(answer: &str) -> bool {
    let granted = answer.contains("\"AccessAction\":\"Grant\"");
    assert!(
        granted || answer.contains("\"AccessReason\":\"Deny\""),
        "{answer}"
    );
    granted
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
    let answers = ask_at_once(paper, 100, &[target]);
    assert_eq!(answers.len(), 10_000);
    let with = |part: &str| {
        answers
            .iter()
            .filter(|answer| answer.contains(part))
            .count()
    };
    assert_eq!(with("\"UserName\":\"areader\""), 1);
    let others = with("\"IsAnonymousUser\":true");
    assert_eq!(others, 9_999, "who comes later is somebody new");
}

/// How often each page is asked for.
const TIMES: usize = 4;

/// Asks about pages ten thousand times at once with one quota of a thousand; what was granted is the quota,
/// and stays so.
fn use_up_at_once(node: TestNode) {
    const ALLOWED: usize = 1_000;
    const PAGES: usize = 2_500;
    const SOME: usize = 500;
    let mut paper = Paper::open_with(node, |settings| {
        settings["quota"]["allowed"] = json!(ALLOWED)
    });
    add_pages(&mut paper, PAGES);
    let token = escaped(&paper.token_of(&paper.reader("areader")));
    let key = &paper.site.access.public_id;
    let page = |number| format!("/api/Resource/{key}/P{}?UserToken={token}", 10_000 + number);
    let pages: Vec<String> = (0..PAGES).map(page).collect();
    let granted = |paper: &Paper, connections: usize| {
        let answers = ask_at_once(paper, connections, &pages);
        assert_eq!(answers.len(), connections * STREAMS);
        let numbered = answers.iter().enumerate();
        let granted = numbered.filter(|(_, answer)| is_granted(answer));
        granted
            .map(|(number, _)| number % PAGES)
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
    let some = first.iter().filter(|page| **page < SOME);
    assert_eq!(granted(&paper, SOME / STREAMS), some.copied().collect());
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
        let answers = ask_at_once(&paper, 2, &[target]);
        assert_eq!(answers.iter().filter(|answer| is_granted(answer)).count(), 200);
        let database = paper.site.node.database(paper.site.environment);
        assert_eq!(database.run("SELECT COUNT(*) FROM reader_hit").trim(), "2");
    }
}
