//! `wayleave serve` with a configuration of its own: for what the demo has no settings for.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use super::fill::Demo;
use super::scratch::{Scratch, Server};
use super::servers::Places;
use super::workload::ROUTE;
use crate::command::{command, output};
use crate::postgres::free_port;

/// The files of a certificate.
pub(super) struct Certificate {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Limits that count every request and refuse none: a rate of each credential, one of each route, and
/// a quota of the partner, whose parts are taken from the database.
const LIMITS: &str = "\
[[limit]]\nname = \"calls\"\nrequests = 1000000\nper_s = 1\n\
[[limit]]\nname = \"route\"\nrequests = 1000000\nper_s = 1\nper = \"route\"\n\
[[limit]]\nname = \"monthly\"\nrequests = 1000000000000\nperiod = \"month\"\nper = \"partner\"\n";

/// Starts a node whose test environment has the content addresses before an API, with [`LIMITS`] on
/// all that it passes, and metering; over TLS where there is a certificate.
pub(super) fn start<'a>(
    places: &Places,
    scratch: &'a Scratch,
    name: &str,
    upstream: &str,
    tls: Option<&Certificate>,
) -> Result<(Server<'a>, Demo), String> {
    let program = places.wayleave();
    let folder = scratch.path(&format!("{name}-data"));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let operators = folder.join("operators.toml");
    let mut create = command(&program);
    create.args(["operator", "create", "bench", "--file"]);
    let token = output(create.arg(&operators))?;
    let [live, test, admin] = [free_port()?, free_port()?, free_port()?];
    let tls = tls.map_or(String::new(), |files| {
        format!(
            "tls = {{ certificate = {:?}, key = {:?} }}\n",
            files.certificate, files.key
        )
    });
    let api = format!("\"http://{upstream}\"");
    let behind = format!(
        "limits = [\"calls\", \"route\", \"monthly\"]\nupstream = {{ live = {api}, test = {api} }}\n"
    );
    let text = format!(
        "data = {folder:?}\n{LIMITS}\
         [live]\naddress = \"127.0.0.1:{live}\"\n\
         [test]\naddress = \"127.0.0.1:{test}\"\n{tls}\
         [admin]\naddress = \"127.0.0.1:{admin}\"\noperators_file = \"operators.toml\"\n\
         [surfaces.content]\nenabled = true\n{behind}\
         [[route]]\npath = \"{ROUTE}\"\naudiences = [\"routes\"]\n\
         schemes = [\"http-signature\"]\n{behind}"
    );
    let file = folder.join("wayleave.toml");
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut serve = command(&program);
    serve.args(["serve", "--config"]).arg(&file);
    let mut server = scratch.start(name, serve)?;
    let admin = format!("127.0.0.1:{admin}");
    server.wait_for(Duration::from_secs(60), || TcpStream::connect(&admin).ok())?;
    Ok((
        server,
        Demo::of(&format!("127.0.0.1:{test}"), &admin, token.trim()),
    ))
}
