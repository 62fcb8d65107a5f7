//! `wayleave explain`: why a signed request is refused, by any scheme, without a server.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use http::{Method, Uri};
use wayleave_protocol::http_signature::PublicKey;
use wayleave_protocol::sigv4;

use super::sign::{KeyArgs, SchemeArgs, SigningScheme, read_bytes};
use super::{Failure, Outcome};
use crate::cli::{exit_code, say};
use crate::explain::{ExplainSettings, Explained, explain};
use crate::sent::SentRequest;
use crate::sign_described::{ExplainDescribedSettings, explain_described};
use crate::sign_message::{CheckingKey, ExplainMessageSettings, explain_message};
use crate::sign_sigv4::{ExplainSigv4Settings, explain_sigv4};

#[derive(Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// A file with the public key, a JWK or PEM, where a key pair signed (http-signature).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["demo_set", "secret_file"])]
    public_key: Option<PathBuf>,
    /// A header as sent, of the proof or one that is signed, such as 'X-Amz-Date: 20270316T102028Z'; may
    /// come more than once. @FILE reads a file with a header on each line, @- standard input.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The Timestamp header as sent.
    #[arg(long)]
    timestamp: Option<String>,
    /// The Authentication header as sent.
    #[arg(long)]
    authentication: Option<String>,
    /// The Signature-Input header as sent.
    #[arg(long, requires = "signature", conflicts_with_all = ["timestamp", "authentication", "form_body"])]
    signature_input: Option<String>,
    /// The Signature header as sent.
    #[arg(long, requires = "signature_input")]
    signature: Option<String>,
    /// A file with the body, where it was signed.
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// The string that the client signed, line feeds as \n; - reads standard input.
    #[arg(long)]
    base_string: Option<String>,
    /// A file with the body, where it is a form (signed).
    #[arg(long, value_name = "FILE")]
    form_body: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Such as GET.
    method: Method,
    /// The address; its path and query are enough where the host is not signed.
    address: Uri,
}

/// Prints what was found; the exit code says whether anything speaks against the request.
pub(crate) fn run(args: ExplainArgs) -> Outcome {
    let explained = explained(args)?;
    say(&explained.text);
    Ok(exit_code(explained.is_good))
}

fn explained(mut args: ExplainArgs) -> Result<Explained, Failure> {
    let headers = header_lines(&args)?;
    let body = args.body_file.as_deref().map(read_bytes).transpose()?;
    let base_string = args.base_string.take().map(read_argument).transpose()?;
    let (method, address) = (args.method.clone(), args.address.clone());
    let request = SentRequest::new(method, address, &headers, body)?;
    let scheme = args.scheme.read()?.or_else(|| presented(&request));
    let scheme = scheme.ok_or(
        "give the headers of the proof, each with --header, and the name of a described scheme with --scheme and --config",
    )?;
    if args.public_key.is_some() && !matches!(scheme, SigningScheme::Message) {
        return Err("--public-key is for http-signature: the other schemes have secrets".into());
    }
    match scheme {
        SigningScheme::Signed => of_four_lines(&args, &request, base_string),
        SigningScheme::Message => of_message(&args, &request, headers, base_string),
        SigningScheme::Sigv4 => explain_sigv4(&ExplainSigv4Settings {
            request,
            secret: args.key.read()?.1,
            base_string,
            json: args.json,
        }),
        SigningScheme::Described(scheme) => explain_described(&ExplainDescribedSettings {
            scheme,
            request,
            secret: args.key.read()?.1,
            base_string,
            json: args.json,
        }),
    }
}

/// The built-in scheme whose proof is among the headers.
fn presented(request: &SentRequest) -> Option<SigningScheme> {
    let authorization = request.header("authorization").unwrap_or_default();
    if request.header("signature-input").is_some() {
        Some(SigningScheme::Message)
    } else if sigv4::is_presented(authorization.as_bytes()) {
        Some(SigningScheme::Sigv4)
    } else {
        let proof = request.header("authentication");
        proof.map(|_| SigningScheme::Signed)
    }
}

/// Every header that was given, also those with options of their own.
fn header_lines(args: &ExplainArgs) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for line in &args.headers {
        match line.strip_prefix('@') {
            Some("-") => lines.extend(non_empty(&read_argument("-".to_owned())?)),
            Some(file) => lines.extend(non_empty(&read_file(Path::new(file))?)),
            None => lines.push(line.clone()),
        }
    }
    let named = [
        ("Timestamp", &args.timestamp),
        ("Authentication", &args.authentication),
        ("Signature-Input", &args.signature_input),
        ("Signature", &args.signature),
    ];
    for (name, value) in named {
        lines.extend(value.as_ref().map(|value| format!("{name}: {value}")));
    }
    Ok(lines)
}

fn non_empty(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(str::to_owned).collect()
}

fn of_four_lines(
    args: &ExplainArgs,
    request: &SentRequest,
    base_string: Option<String>,
) -> Result<Explained, Failure> {
    let header = |name| request.header(name).unwrap_or_default().to_owned();
    explain(&ExplainSettings {
        method: request.method().clone(),
        address: request.address().clone(),
        timestamp: header("timestamp"),
        authentication: header("authentication"),
        secret_key: args.key.read()?.1,
        base_string,
        form_body: args.form_body.as_deref().map(read_file).transpose()?,
        json: args.json,
    })
}

fn of_message(
    args: &ExplainArgs,
    request: &SentRequest,
    headers: Vec<String>,
    base_string: Option<String>,
) -> Result<Explained, Failure> {
    let header = |name| request.header(name).unwrap_or_default().to_owned();
    let key = match &args.public_key {
        Some(file) => Some(CheckingKey::Public(PublicKey::read(&read_file(file)?)?)),
        None => args.key.read()?.1.map(CheckingKey::Secret),
    };
    explain_message(&ExplainMessageSettings {
        method: request.method().clone(),
        address: request.address().clone(),
        signature_input: header("signature-input"),
        signature: header("signature"),
        headers,
        body: request.has_body().then(|| request.body().to_vec()),
        key,
        base_string,
        json: args.json,
    })
}

/// An argument, or standard input where it is a dash.
fn read_argument(text: String) -> std::io::Result<String> {
    if text != "-" {
        return Ok(text);
    }
    let mut read = String::new();
    std::io::stdin().read_to_string(&mut read)?;
    Ok(read)
}

fn read_file(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
