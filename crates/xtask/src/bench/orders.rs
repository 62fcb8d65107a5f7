//! Quotes by the second on both databases, and pages of orders where there are few and where there are
//! very many; all through the platform API.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::client::Connection;
use super::fill::post;
use super::options::Options;
use super::report::Once;
use super::scratch::{Scratch, Server};
use super::servers::Places;
use crate::command::command;
use crate::postgres::{Cluster, programs};

/// A million orders take some minutes to write.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// The few orders that a page is compared with.
const FEW: usize = 1_000;
/// How much longer a page may take where there are very many orders than where there are few.
const MOST_GROWTH: f64 = 1.5;
/// How many pages are read of each.
const PAGES: usize = 1_000;
/// How long quotes are made.
const SPAN: Duration = Duration::from_secs(4);
/// How many clients make quotes at once, where there is more than one.
const AT_ONCE: usize = 64;

/// A node with orders, as it tells of itself.
#[derive(Deserialize)]
struct Node {
    address: String,
    token: String,
}

/// Measures on SQLite, and on PostgreSQL where it is installed.
pub(super) fn measure(options: &Options, places: &Places) -> Result<Vec<Once>, String> {
    let Some(count) = options.orders else {
        return Ok(Vec::new());
    };
    let scratch = Scratch::below(&places.build, "bench")?;
    let files = ["quotes.db", "few.db", "many.db"].map(str::to_owned);
    let mut figures = on(&scratch, places, ("SQLite", files), count)?;
    let cluster = Cluster::start(&programs()?)?;
    let databases = [
        cluster.create_database("quotes")?,
        cluster.create_database("few")?,
        cluster.create_database("many")?,
    ];
    figures.extend(on(&scratch, places, ("PostgreSQL", databases), count)?);
    Ok(figures)
}

fn on(
    scratch: &Scratch,
    places: &Places,
    (engine, [quotes, few, many]): (&str, [String; 3]),
    count: usize,
) -> Result<Vec<Once>, String> {
    eprintln!("bench: making quotes on {engine}");
    // Before the disk is busy with very many orders.
    let (server, quotes) = start(scratch, places, &format!("quotes-{engine}"), 1, &quotes)?;
    let alone = checkouts_per_s(&quotes, 1)?;
    let together = checkouts_per_s(&quotes, AT_ONCE)?;
    drop(server);
    eprintln!("bench: writing {count} orders on {engine}");
    let (_few_server, few) = start(scratch, places, &format!("few-{engine}"), FEW, &few)?;
    let (_many_server, many) = start(scratch, places, &format!("many-{engine}"), count, &many)?;
    eprintln!("bench: listing orders on {engine}");
    let [few_us, many_us] = pages_us([&few, &many])?;
    let figure = |name: String, value: f64, unit: &'static str, at_most: Option<f64>| Once {
        name: format!("{name}, {engine}"),
        value,
        unit,
        at_most,
        command: format!("cargo xtask bench --only orders --orders {count}"),
    };
    let together_name = format!("checkouts, {AT_ONCE} clients");
    Ok(vec![
        figure("checkouts, one client".to_owned(), alone, "/s", None),
        figure(together_name, together, "/s", None),
        figure(format!("a page of {FEW} orders"), few_us, "µs", None),
        figure(format!("a page of {count} orders"), many_us, "µs", None),
        figure(
            format!("a page of {count} orders beside one of {FEW}"),
            many_us / few_us,
            "×",
            Some(MOST_GROWTH),
        ),
    ])
}

fn start<'a>(
    scratch: &'a Scratch,
    places: &Places,
    name: &str,
    count: usize,
    database: &str,
) -> Result<(Server<'a>, Node), String> {
    let folder = scratch.path(name);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let mut program = command(places.scale());
    program.arg("orders").arg(Path::new(&folder));
    program.arg(count.to_string()).arg(database);
    let mut server = scratch.start(name, program)?;
    let node = server.wait_for_line(PATIENCE)?;
    Ok((server, node))
}

/// What the newest page of orders takes at each of two nodes, asked by turns, in microseconds: medians.
fn pages_us(nodes: [&Node; 2]) -> Result<[f64; 2], String> {
    let mut connections = nodes.map(|node| (Connection::to(&node.address), page(node)));
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..PAGES {
        for ((connection, request), times) in connections.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            let answer = connection.exchange(request.as_bytes())?;
            times.push(begun.elapsed());
            if answer.status != 200 {
                return Err(format!("a page of orders: {}", answer.summary()));
            }
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times[PAGES / 2].as_secs_f64() * 1e6
    }))
}

fn page(node: &Node) -> String {
    format!(
        "GET /api/user/orders HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        node.address, node.token
    )
}

/// Quotes by the second, made by so many clients at once.
fn checkouts_per_s(node: &Node, clients: usize) -> Result<f64, String> {
    let request = checkout(node);
    let (made, begun) = (AtomicUsize::new(0), Instant::now());
    let one_client = || -> Result<(), String> {
        let mut connection = Connection::to(&node.address);
        while begun.elapsed() < SPAN {
            let answer = connection.exchange(request.as_bytes())?;
            if answer.status != 200 {
                return Err(format!("a checkout: {}", answer.summary()));
            }
            made.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(one_client)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    Ok(made.into_inner() as f64 / begun.elapsed().as_secs_f64())
}

/// A cart with three licences, as the field of a form that clients send it in.
fn checkout(node: &Node) -> String {
    let authorization = format!("Authorization: Bearer {}\r\n", node.token);
    let cart = "lineItems=[{\"productId\":1,\"productDetails\":\
                {\"emailAddress\":\"bench@partner.example\",\"numLicences\":3}}]";
    let kind = "application/x-www-form-urlencoded";
    post(
        "/api/user/checkout",
        &node.address,
        &authorization,
        kind,
        cart,
    )
}
