//! Batches on their way: one thread reads the file, a few send, and never more than those wait.

use std::io::BufRead;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::super::remote::Remote;
use super::entry::{self, Defaults, Lines};
use crate::admin_client::{AdminClient, AdminError};

/// How many batches are on their way at once.
const IN_FLIGHT: usize = 4;
/// How often a batch is sent whose answer is lost; the node skips what it has.
const ATTEMPTS: usize = 5;
/// A node takes bodies of up to a mebibyte; no line is near as long.
const BODY_BYTES: usize = 1_000_000;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// What became of the rows.
#[derive(Default)]
pub(super) struct Sent {
    imported: u64,
    present: u64,
    /// The lines whose public id is there with another secret.
    pub(super) taken: Vec<u64>,
}

impl Sent {
    /// Adds the answer to a batch; `lines`: the number of each entry's line.
    pub(super) fn add(&mut self, answer: &Value, lines: &[u64]) -> Result<(), String> {
        let odd = "the node answered the import in an unknown form: is it another version? Compare wayleave --version";
        self.imported += answer["imported"].as_u64().ok_or(odd)?;
        for skipped in answer["skipped"].as_array().ok_or(odd)? {
            let place = skipped["index"]
                .as_u64()
                .and_then(|index| usize::try_from(index).ok());
            let line = place.and_then(|place| lines.get(place)).ok_or(odd)?;
            match skipped["reason"].as_str() {
                Some("present") => self.present += 1,
                _ => self.taken.push(*line),
            }
        }
        Ok(())
    }

    fn join(&mut self, other: Sent) {
        self.imported += other.imported;
        self.present += other.present;
        self.taken.extend(other.taken);
    }

    /// How many rows were answered.
    pub(super) fn rows(&self) -> u64 {
        self.imported + self.present + self.taken.len() as u64
    }

    /// For programs.
    pub(super) fn summary(&self) -> Value {
        json!({ "imported": self.imported, "present": self.present, "taken": self.taken.len() })
    }

    /// For people.
    pub(super) fn sentence(&self, place: &str) -> String {
        format!(
            "{} imported into {place}, {} present already, {} taken.",
            self.imported,
            self.present,
            self.taken.len()
        )
    }
}

/// Lines that go together, as the body of a call.
struct Batch {
    lines: Vec<u64>,
    entries: String,
}

impl Batch {
    fn new() -> Self {
        Batch {
            lines: Vec::new(),
            entries: String::new(),
        }
    }

    /// Whether one more fits into the body that a node takes.
    fn has_room(&self, entry: &str, size: usize) -> bool {
        self.lines.len() < size && self.entries.len() + entry.len() < BODY_BYTES
    }

    fn push(&mut self, line: u64, entry: &str) {
        if !self.lines.is_empty() {
            self.entries.push(',');
        }
        self.lines.push(line);
        self.entries.push_str(entry);
    }

    fn body(&self) -> Bytes {
        Bytes::from(format!("{{\"credentials\":[{}]}}", self.entries))
    }
}

type Reports = Sender<Result<Sent, String>>;

/// Sends every line; tells `show` how many rows are done. The first failure ends it: what was done
/// until then, and the failure.
pub(super) fn send_file(
    remote: &Remote,
    lines: Lines<impl BufRead + Send>,
    defaults: &Defaults,
    size: usize,
    show: &mut dyn FnMut(u64),
) -> (Sent, Option<String>) {
    let path = remote.path("/credentials/import");
    let clients: Result<Vec<AdminClient>, AdminError> =
        (0..IN_FLIGHT).map(|_| remote.another_client()).collect();
    let mut sent = Sent::default();
    let clients = match clients {
        Ok(clients) => clients,
        Err(error) => return (sent, Some(error.to_string())),
    };
    let (work, waiting) = sync_channel(1);
    let waiting = Mutex::new(waiting);
    let (reports, reported) = channel();
    let stop = AtomicBool::new(false);
    let mut failure = None;
    std::thread::scope(|scope| {
        let (path, waiting, stop) = (path.as_str(), &waiting, &stop);
        for client in clients {
            let reports = reports.clone();
            scope.spawn(move || send_batches(client, path, waiting, stop, &reports));
        }
        scope.spawn(move || {
            if let Err(why) = read_batches(lines, defaults, size, stop, &work) {
                let _ = reports.send(Err(why));
            }
        });
        for report in reported {
            match report {
                Ok(more) => sent.join(more),
                Err(why) => {
                    stop.store(true, Ordering::Relaxed);
                    failure.get_or_insert(why);
                }
            }
            show(sent.rows());
        }
    });
    sent.taken.sort_unstable();
    (sent, failure)
}

fn read_batches(
    mut lines: Lines<impl BufRead>,
    defaults: &Defaults,
    size: usize,
    stop: &AtomicBool,
    work: &SyncSender<Batch>,
) -> Result<(), String> {
    let mut batch = Batch::new();
    while let Some((number, line)) = lines.next_line().map_err(|error| error.to_string())? {
        let entry = line.and_then(|line| entry::complete(line, defaults));
        let entry =
            entry.map_err(|why| format!("line {number} changed while the file was sent: {why}"))?;
        let entry = entry.to_string();
        if !batch.has_room(&entry, size) {
            let full = std::mem::replace(&mut batch, Batch::new());
            if stop.load(Ordering::Relaxed) || work.send(full).is_err() {
                return Ok(());
            }
        }
        batch.push(number, &entry);
    }
    if !batch.lines.is_empty() {
        // Nobody takes it any more only after a failure, which was reported.
        let _ = work.send(batch);
    }
    Ok(())
}

/// Sends what waits until there is no more. After a failure anywhere the rest is only taken, so that
/// the reader comes to its end.
fn send_batches(
    mut client: AdminClient,
    path: &str,
    waiting: &Mutex<Receiver<Batch>>,
    stop: &AtomicBool,
    reports: &Reports,
) {
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(batch) = next else {
            return;
        };
        if stop.load(Ordering::Relaxed) {
            continue;
        }
        let report = send_batch(&mut client, path, batch);
        if report.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        if reports.send(report).is_err() {
            return;
        }
    }
}

fn send_batch(client: &mut AdminClient, path: &str, batch: Batch) -> Result<Sent, String> {
    let body = batch.body();
    let mut attempt = 1;
    let answer = loop {
        match client.post_written(path, body.clone()) {
            Ok(answer) => break answer,
            Err(error) if attempt < ATTEMPTS && is_passing(&error) => {
                tracing::debug!(%error, attempt, "a batch is sent again");
                std::thread::sleep(BETWEEN_ATTEMPTS);
                attempt += 1;
            }
            Err(error) => return Err(named(&error, &batch.lines)),
        }
    };
    let mut sent = Sent::default();
    sent.add(&answer, &batch.lines)?;
    Ok(sent)
}

/// Whether the same call may work a moment later.
fn is_passing(error: &AdminError) -> bool {
    match error {
        AdminError::Broken { .. } | AdminError::Slow { .. } => true,
        AdminError::Refused(refused) => matches!(refused.status.as_u16(), 429 | 503),
        _ => false,
    }
}

/// The error, with the line of the file that it is about.
fn named(error: &AdminError, lines: &[u64]) -> String {
    let AdminError::Refused(refused) = error else {
        return error.to_string();
    };
    let place = refused.index.and_then(|index| usize::try_from(index).ok());
    match place.and_then(|place| lines.get(place)) {
        Some(line) => format!("line {line}: {error}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_with_its_size_or_its_bytes_and_loses_no_line() {
        let line = |secret: usize| {
            let secret = "s".repeat(secret);
            format!(
                "{{\"integration\":\"int_01m80p492ae72s2twc9fc1jvm3\",\"audience\":\"routes\",\"public_id\":\"a\",\"secret\":\"{secret}\"}}\n"
            )
        };
        let batches = |text: String, size| {
            let (work, waiting) = sync_channel(1000);
            let lines = Lines::new(text.as_bytes());
            read_batches(
                lines,
                &Defaults::new(),
                size,
                &AtomicBool::new(false),
                &work,
            )
            .expect("read");
            drop(work);
            waiting.into_iter().collect::<Vec<Batch>>()
        };
        let sizes = |batches: &[Batch]| {
            batches
                .iter()
                .map(|batch| batch.lines.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(&batches(line(5).repeat(5), 2)), [2, 2, 1]);
        let long = batches(line(50_000).repeat(30), 1000);
        assert_eq!(sizes(&long), [19, 11]);
        for batch in long {
            let body: Value = serde_json::from_slice(&batch.body()).expect("json");
            let entries = body["credentials"].as_array().map(Vec::len);
            assert!(batch.body().len() < 1024 * 1024 && entries == Some(batch.lines.len()));
        }
    }

    #[test]
    fn answers_add_up_and_name_lines() {
        let mut sent = Sent::default();
        let answer = json!({ "imported": 2, "skipped": [
            { "index": 1, "public_id": "a", "reason": "present" },
            { "index": 3, "public_id": "b", "reason": "taken" },
        ] });
        sent.add(&answer, &[10, 11, 13, 14]).expect("a known form");
        assert_eq!(sent.taken, [14]);
        assert_eq!(
            sent.summary(),
            json!({ "imported": 2, "present": 1, "taken": 1 })
        );
        assert_eq!(sent.rows(), 4);
        assert!(sent.add(&json!({}), &[]).is_err());
        let outside = json!({ "imported": 0, "skipped": [{ "index": 9 }] });
        assert!(sent.add(&outside, &[1]).is_err());
    }
}
