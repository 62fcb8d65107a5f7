//! `cargo xtask malformed`: sends a node that it starts itself requests that are spoilt in a few
//! places, and looks at what comes of them: every connection ends or is answered, no answer is a 5xx,
//! the API behind sees nothing that a strict reader of the client's bytes would not see, memory stays
//! flat, and good requests are answered afterwards.

pub(crate) mod kit;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::bench::client::Connection;
use crate::bench::memory::resident_kib;
use crate::bench::scratch::{Scratch, Server};
use crate::command::command;
use crate::faults::site;
use crate::test::repository_root;

use kit::{Good, StrictApi, Tally, Trial};

const USAGE: &str = "\
usage: cargo xtask malformed [--requests N] [--seed S] [--show N] [--release] [--program FILE]
  --requests N    how many connections are opened, each with one to three requests (1000000)
  --seed S        chooses the requests (the time of day)
  --show N        only print what connection N sends
  --release       try the release build instead of the dev build
  --program FILE  try this program and build none";

/// Connections at once.
const AT_ONCE: usize = 16;
/// How many are sent before memory is looked at for the first time, as a share of all.
const WARM_SHARE: u64 = 10;
/// The most that memory may grow meanwhile, in per cent.
const MOST_PERCENT: f64 = 10.0;
/// A token is renewed well before its hour is over.
const RENEWED_EVERY: u64 = 50_000;
const PATH: &str = "/hello";
const PATIENCE: Duration = Duration::from_secs(60);

struct Options {
    requests: u64,
    seed: u64,
    show: Option<u64>,
    release: bool,
    program: Option<PathBuf>,
}

impl Options {
    fn parse(words: &[String]) -> Result<Options, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut options = Options {
            requests: 1_000_000,
            seed: since.unwrap_or_default().as_secs(),
            show: None,
            release: false,
            program: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || {
                let number = words.next().and_then(|text| text.parse().ok());
                number.ok_or_else(|| format!("{word} takes a number\n{USAGE}"))
            };
            match word.as_str() {
                "--requests" => options.requests = number()?,
                "--seed" => options.seed = number()?,
                "--show" => options.show = Some(number()?),
                "--release" => options.release = true,
                "--program" => options.program = words.next().map(PathBuf::from),
                _ => return Err(format!("{word:?} is not understood\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

/// Runs what the words after `cargo xtask malformed` ask for.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let options = Options::parse(words)?;
    if let Some(number) = options.show {
        let good = Good {
            host: "HOST".to_owned(),
            path: PATH.to_owned(),
            proof: "PROOF".to_owned(),
        };
        println!("{}", good.connection(options.seed, number).escape_ascii());
        return Ok(());
    }
    let root = repository_root();
    let scratch = Scratch::below(&site::target(&root), "malformed")?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => site::build(&root, options.release)?,
    };
    // A copy, so that building meanwhile does not change what is started.
    let copy = scratch.path("wayleave");
    fs::copy(&program, &copy).map_err(|error| format!("{}: {error}", program.display()))?;
    let api = StrictApi::start().map_err(|error| error.to_string())?;
    let node = Node::start(&scratch, copy, &api)?;
    let begun = Instant::now();
    println!("malformed: seed {}", options.seed);
    let (tally, kib) = try_all(&options, &node, &api)?;
    let seconds = begun.elapsed().as_secs();
    report(&options, &tally, kib, seconds)
}

/// Sends all; gives what came of it, and memory after a tenth and at the end.
fn try_all(
    options: &Options,
    node: &Node<'_>,
    api: &StrictApi,
) -> Result<(Tally, [f64; 2]), String> {
    let mut all = Tally::default();
    let mut warm = None;
    let mut done = 0;
    while done < options.requests {
        let end = options.requests.min(done + RENEWED_EVERY);
        let trial = node.trial(options.seed, api)?;
        let tally = trial.run(done..end, AT_ONCE);
        all.passed_on = tally.passed_on;
        for (status, count) in tally.answers {
            *all.answers.entry(status).or_default() += count;
        }
        all.faults.extend(tally.faults);
        if !trial.is_well() {
            all.faults
                .push("a good request is not answered any more".to_owned());
        }
        if !all.faults.is_empty() {
            break;
        }
        done = end;
        println!("malformed: {done} of {}", options.requests);
        if warm.is_none() && done >= options.requests / WARM_SHARE {
            warm = Some(resident_kib(node.server.pid())?);
        }
    }
    let now = resident_kib(node.server.pid())?;
    Ok((all, [warm.unwrap_or(now), now]))
}

fn report(options: &Options, tally: &Tally, kib: [f64; 2], seconds: u64) -> Result<(), String> {
    println!("malformed: {} connections in {seconds} s", options.requests);
    for (status, count) in &tally.answers {
        match status {
            0 => println!("  ended without an answer: {count}"),
            _ => println!("  answered {status}: {count}"),
        }
    }
    println!("  passed on whole: {}", tally.passed_on);
    let [before, after] = kib;
    println!("  memory: {before} KiB after a tenth, {after} KiB at the end");
    if !tally.faults.is_empty() {
        return Err(format!(
            "seed {}:\n{}",
            options.seed,
            tally.faults.join("\n")
        ));
    }
    let grown = 100.0 * (after - before) / before;
    if grown > MOST_PERCENT {
        return Err(format!("memory grew by {grown:.0} %"));
    }
    Ok(())
}

/// A demonstration with the strict API behind it.
struct Node<'a> {
    server: Server<'a>,
    demo: Value,
}

impl<'a> Node<'a> {
    fn start(scratch: &'a Scratch, program: PathBuf, api: &StrictApi) -> Result<Node<'a>, String> {
        let data = scratch.path("data");
        let mut demo = command(program);
        demo.arg("demo").arg("--data").arg(&data);
        let any = "127.0.0.1:0";
        demo.args(["--live", any, "--test", any, "--admin", any]);
        demo.args(["--upstream", &format!("http://{}", api.address())]);
        let mut server = scratch.start("node", demo)?;
        let file = data.join("demo.json");
        let demo = server.wait_for(PATIENCE, || {
            serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()
        })?;
        Ok(Node { server, demo })
    }

    /// A trial of live with a new token.
    fn trial(&self, seed: u64, api: &StrictApi) -> Result<Trial, String> {
        let live = &self.demo["live"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let host = text(&live["url"]).replacen("http://", "", 1);
        let keys = &live["token"];
        let pair = format!("{}:{}", text(&keys["api_key"]), text(&keys["api_secret"]));
        let basic = STANDARD.encode(pair);
        let request =
            format!("GET /token HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {basic}\r\n\r\n");
        let answer = Connection::to(&host).exchange(request.as_bytes())?;
        let token: Value =
            serde_json::from_slice(&answer.body).map_err(|error| format!("/token: {error}"))?;
        Ok(Trial {
            node: host.parse().map_err(|_| format!("{host} is no address"))?,
            good: Good {
                path: PATH.to_owned(),
                proof: format!("Bearer {}", text(&token["token"])),
                host,
            },
            api: api.clone(),
            seed,
        })
    }
}
