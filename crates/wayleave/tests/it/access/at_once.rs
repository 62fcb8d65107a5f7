//! Many at once: nothing is given twice, and nothing is lost.

use std::sync::Arc;

use wayleave_core::AdBlocker;
use wayleave_engine::{AccessQuestion, VisitorProof};

use super::*;
use crate::harness::on_both_databases;

/// Asks so many times at once; gives how many answers were so.
fn ask_at_once(
    paper: &Paper,
    count: usize,
    question: impl Fn(usize) -> (String, String) + Send + Sync + 'static,
    is_temporary: bool,
    is_so: fn(&wayleave_engine::AccessAnswer) -> bool,
) -> usize {
    let engine = paper.site.node.shared_engine(paper.site.environment);
    let credential_id = paper.site.access.credential.parse().expect("an id");
    let property_id = paper.site.property.parse().expect("an id");
    let question = Arc::new(question);
    crate::harness::wait_for(async {
        let mut asked = tokio::task::JoinSet::new();
        for number in 0..count {
            let (question, engine) = (question.clone(), engine.clone());
            asked.spawn(async move {
                let (key, token) = question(number);
                let proof = match is_temporary {
                    true => VisitorProof::TemporaryToken(&token),
                    false => VisitorProof::UserToken(&token),
                };
                let question = AccessQuestion {
                    credential_id,
                    property_id,
                    key: &key,
                    proof,
                    page_url: "",
                    ad_blocker: AdBlocker::Unknown,
                    is_verified_crawler: false,
                };
                let answer = engine.ask_for_access(&question).await;
                is_so(&answer.expect("an answer"))
            });
        }
        let answers = asked.join_all().await;
        answers.into_iter().filter(|is_so| *is_so).count()
    })
}

/// Makes so many pages behind the addresses.
pub(super) fn add_pages(paper: &mut Paper, count: usize) {
    let select = "SELECT property_id, name, active, url, title, byline, description, published_at, pricing_group, pricing, paywall_description, paywall_short_description, origin, changed_at FROM resource WHERE external_key = 'Story-1'";
    let insert = format!(
        "WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO resource (id, external_key, property_id, name, active, url, title, byline, description, published_at, pricing_group, pricing, paywall_description, paywall_short_description, origin, changed_at)
         SELECT 'rsc_000000000000000000000' || CAST(n.i AS TEXT), 'P' || CAST(n.i AS TEXT), one.* FROM n, ({select}) AS one",
        9_999 + count
    );
    let database = paper.site.node.database(paper.site.environment);
    database.run(&insert);
    paper.site.node.restart();
}

/// One token, redeemed so many times at once, lets one in.
fn redeem_at_once(paper: &Paper, count: usize) {
    let temporary = paper.sign_in(&paper.reader("areader"), None);
    let question = move |_| ("Story-1".to_owned(), temporary.clone());
    let known = ask_at_once(paper, count, question, true, |answer| {
        answer.names.is_some()
    });
    assert_eq!(known, 1);
}

/// Asks about so many pages, each four times at once, with one quota; what was granted is the quota, and
/// stays so.
fn use_up_at_once(node: TestNode, allowed: usize, pages: usize) {
    let mut paper = Paper::open_with(node, |settings| {
        settings["quota"]["allowed"] = json!(allowed)
    });
    add_pages(&mut paper, pages);
    let token = paper.token_of(&paper.reader("areader"));
    let ask = |paper: &Paper, count: usize| {
        let token = token.clone();
        let question = move |number| (format!("P{}", 10_000 + number % pages), token.clone());
        ask_at_once(paper, count, question, false, |answer| {
            answer.decision.is_granted()
        })
    };
    ask(&paper, pages * 4);
    let count = |sql: &str| {
        let read = paper.site.node.database(paper.site.environment).run(sql);
        read.trim().parse::<usize>().expect("a number")
    };
    let distinct = "SELECT COUNT(DISTINCT resource_id) FROM reader_hit";
    assert_eq!(count(distinct), allowed);
    assert_eq!(count("SELECT MAX(slot) FROM reader_hit"), allowed);
    // One page was counted with the sign-in. What was counted is shown, and nothing else.
    assert_eq!(ask(&paper, pages), allowed - 1);
    paper.site.node.restart();
    assert_eq!(ask(&paper, pages), allowed - 1);
}

on_both_databases! {
    fn of_a_thousand_who_redeem_one_token_one_does(node: TestNode) {
        redeem_at_once(&Paper::open(node), 1_000);
    }

    #[ignore = "takes half a minute: the same ten times larger"]
    fn of_ten_thousand_who_redeem_one_token_one_does(node: TestNode) {
        redeem_at_once(&Paper::open(node), 10_000);
    }

    fn a_quota_gives_as_many_pages_as_it_has_however_many_ask_at_once(node: TestNode) {
        use_up_at_once(node, 100, 250);
    }

    #[ignore = "takes half a minute: the same ten times larger"]
    fn a_quota_of_a_thousand_gives_a_thousand_pages_to_ten_thousand_requests(node: TestNode) {
        use_up_at_once(node, 1_000, 2_500);
    }

    fn the_same_page_at_once_is_one_hit(node: TestNode) {
        let paper = Paper::open(node);
        let token = paper.token_of(&paper.reader("areader"));
        let question = move |_| ("Story-2".to_owned(), token.clone());
        let granted = ask_at_once(&paper, 200, question, false, |answer| {
            answer.decision.is_granted()
        });
        assert_eq!(granted, 200);
        let database = paper.site.node.database(paper.site.environment);
        assert_eq!(database.run("SELECT COUNT(*) FROM reader_hit").trim(), "2");
    }
}
