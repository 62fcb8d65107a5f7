//! Quotes by the second on both databases, and pages of orders that few and very many others are beside.

use std::time::Duration;

use serde::Deserialize;

use super::options::Options;
use super::report::Once;
use super::scratch::Scratch;
use super::servers::Places;
use crate::command::command;
use crate::postgres::{Cluster, programs};

/// A million orders take a minute or two to write.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// How much longer a page may take beside very many orders than beside a thousand.
const MOST_GROWTH: f64 = 1.5;

/// What `scale orders` prints.
#[derive(Deserialize)]
struct Measured {
    checkouts_per_s: f64,
    checkouts_per_s_at_once: f64,
    page_of_few_us: f64,
    page_of_many_us: f64,
}

/// Measures on SQLite, and on PostgreSQL where it is installed.
pub(super) fn measure(options: &Options, places: &Places) -> Result<Vec<Once>, String> {
    let Some(count) = options.orders else {
        return Ok(Vec::new());
    };
    let scratch = Scratch::below(&places.build, "bench")?;
    let mut figures = on(&scratch, places, ("SQLite", "test.db"), count)?;
    let cluster = Cluster::start(&programs()?)?;
    let database = cluster.create_database("orders")?;
    figures.extend(on(&scratch, places, ("PostgreSQL", &database), count)?);
    Ok(figures)
}

fn on(
    scratch: &Scratch,
    places: &Places,
    (engine, database): (&str, &str),
    count: usize,
) -> Result<Vec<Once>, String> {
    eprintln!("bench: making quotes and listing {count} orders on {engine}");
    let name = format!("orders-{engine}");
    let mut program = command(places.scale());
    program.arg("orders").arg(scratch.path(&name));
    program.arg(count.to_string()).arg(database);
    let measured: Measured = scratch.start(&name, program)?.wait_for_line(PATIENCE)?;
    let figure = |name: String, value: f64, unit: &'static str, at_most: Option<f64>| Once {
        name: format!("{name}, {engine}"),
        value,
        unit,
        at_most,
        command: format!("cargo xtask bench --only orders --orders {count}"),
    };
    let growth = measured.page_of_many_us / measured.page_of_few_us;
    Ok(vec![
        figure(
            "checkouts, one client".to_owned(),
            measured.checkouts_per_s,
            "/s",
            None,
        ),
        figure(
            "checkouts, 64 clients".to_owned(),
            measured.checkouts_per_s_at_once,
            "/s",
            None,
        ),
        figure(
            "a page of 1 thousand orders".to_owned(),
            measured.page_of_few_us,
            "µs",
            None,
        ),
        figure(
            format!("a page of {count} orders"),
            measured.page_of_many_us,
            "µs",
            None,
        ),
        figure(
            format!("a page of {count} orders beside one of 1 thousand"),
            growth,
            "×",
            Some(MOST_GROWTH),
        ),
    ])
}
