//! One request again and again, byte for byte the same, over connections that stay open.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use wayleave_testkit::Address;

/// Sends a request so often over one connection, each after the answer to the one before; how many
/// answers had which status, until the connection ended. `request`: a head without a body.
pub(crate) fn repeated(address: Address, request: &str, count: usize) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    let Ok(mut writer) = TcpStream::connect(("127.0.0.1", address.port())) else {
        return statuses;
    };
    let patience = Some(Duration::from_secs(30));
    writer.set_read_timeout(patience).expect("a timeout");
    let mut reader = BufReader::new(writer.try_clone().expect("a copy"));
    for _ in 0..count {
        if writer.write_all(request.as_bytes()).is_err() {
            break;
        }
        let Some(status) = read_status(&mut reader) else {
            break;
        };
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// The same over many connections at once, spread over addresses.
pub(crate) fn repeated_from_all_sides(
    addresses: &[Address],
    request: &str,
    count: usize,
) -> BTreeMap<u16, usize> {
    const CONNECTIONS: usize = 40;
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let address = addresses[number % addresses.len()];
                scope.spawn(move || repeated(address, request, count / CONNECTIONS))
            })
            .collect();
        let mut statuses = BTreeMap::new();
        for asked in asking {
            for (status, times) in asked.join().expect("asked") {
                *statuses.entry(status).or_default() += times;
            }
        }
        statuses
    })
}

/// Reads one answer to its end, where its length is said.
fn read_status(reader: &mut BufReader<TcpStream>) -> Option<u16> {
    let (mut line, mut status, mut length) = (String::new(), None, 0);
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(rest) = lower.strip_prefix("http/1.1 ") {
            status = rest.get(..3)?.parse().ok();
        } else if let Some(rest) = lower.strip_prefix("content-length: ") {
            length = rest.trim().parse().expect("a length");
        } else if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    status
}
