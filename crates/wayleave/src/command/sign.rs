//! `wayleave sign`: the headers of a signed request, by any scheme, without a server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use http::{Method, Uri};
use wayleave_core::Scheme;
use wayleave_protocol::described::DescribedScheme;

use super::{Failure, Outcome};
use crate::cli::say;
use crate::config::described_scheme;
use crate::demo::DemoFile;
use crate::key_file;
use crate::private_key::PrivateKey;
use crate::sent::SentRequest;
use crate::sign::{SignSettings, sign};
use crate::sign_described::{SignDescribedSettings, sign_described};
use crate::sign_message::{MessageKey, SignMessageSettings, sign_message};
use crate::sign_sigv4::{SignSigv4Settings, sign_sigv4};

/// Where the secret comes from; never from the command line, which others can see.
#[derive(Args)]
pub(crate) struct KeyArgs {
    /// Take keys of the demonstration: test.management, test.access, test.signing, and live. for test.
    #[arg(long = "as", value_name = "SET")]
    demo_set: Option<String>,
    /// The data folder of the demonstration.
    #[arg(long, default_value = "./wayleave-data")]
    data: PathBuf,
    /// A file with the secret key; without it the variable WAYLEAVE_SECRET counts.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl KeyArgs {
    /// Whether they are keys of the demonstration that sign messages.
    fn sign_messages(&self) -> bool {
        let set = self.demo_set.as_deref();
        set.is_some_and(|set| set.ends_with(".signing"))
    }

    /// The access key and secret of the demonstration's set, or only a secret.
    pub(super) fn read(&self) -> Result<(Option<String>, Option<String>), Failure> {
        if let Some(name) = &self.demo_set {
            let file = DemoFile::read(&self.data)?;
            let (key, secret) = file.signing_keys(name).ok_or_else(|| {
                format!("there are no keys {name:?}: take test.management, test.access, test.signing, live.management, live.access or live.signing")
            })?;
            return Ok((Some(key.to_owned()), Some(secret.to_owned())));
        }
        if let Some(path) = &self.secret_file {
            let secret = key_file::read_private(path)?;
            return Ok((None, Some(secret.trim_end_matches(['\r', '\n']).to_owned())));
        }
        Ok((None, std::env::var("WAYLEAVE_SECRET").ok()))
    }
}

/// Which scheme.
#[derive(Args)]
pub(crate) struct SchemeArgs {
    /// signed, http-signature (RFC 9421), aws-sigv4, or the name of a [[scheme]] of --config
    /// [default: what the keys or headers are for, else signed].
    #[arg(long)]
    scheme: Option<String>,
    /// A file that describes the scheme: a configuration, or [[scheme]] tables alone.
    #[arg(long, value_name = "FILE", requires = "scheme")]
    config: Option<PathBuf>,
}

/// A scheme that signs.
pub(super) enum SigningScheme {
    Signed,
    Message,
    Sigv4,
    Described(Arc<DescribedScheme>),
}

impl SchemeArgs {
    /// The scheme that was asked for; `None`: none was.
    pub(super) fn read(&self) -> Result<Option<SigningScheme>, Failure> {
        let Some(name) = &self.scheme else {
            return Ok(None);
        };
        let built_in = match name.parse() {
            Ok(Scheme::Signed) => Some(SigningScheme::Signed),
            Ok(Scheme::HttpSignature) => Some(SigningScheme::Message),
            Ok(Scheme::Sigv4) => Some(SigningScheme::Sigv4),
            _ => None,
        };
        if built_in.is_some() {
            return Ok(built_in);
        }
        let config = self.config.as_ref().ok_or_else(|| {
            format!(
                "{name} is none of signed, http-signature and aws-sigv4: give the file that describes it with --config"
            )
        })?;
        Ok(Some(SigningScheme::Described(described_scheme(
            config, name,
        )?)))
    }
}

#[derive(Args)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// The access key, or the public id of the credential.
    #[arg(
        long,
        alias = "key-id",
        conflicts_with = "demo_set",
        required_unless_present = "demo_set"
    )]
    access_key: Option<String>,
    /// A file with a private key in PEM (PKCS#8), of Ed25519 or P-256: http-signature by it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["demo_set", "secret_file"])]
    private_key: Option<PathBuf>,
    /// The region that aws-sigv4 signs; any word.
    #[arg(long, default_value = "local")]
    region: String,
    /// The service that aws-sigv4 signs; any word, but s3 signs paths in a way of its own.
    #[arg(long, default_value = "wayleave")]
    service: String,
    /// A header of the request, such as 'Content-Type: text/plain', printed with the others:
    /// aws-sigv4 signs it, a described scheme where it says so. May come more than once.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// A file with the body: every scheme but signed signs it.
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// The text of the time, in the form of the scheme; not for http-signature [default: now].
    #[arg(long)]
    timestamp: Option<String>,
    /// Print JSON, with the string that was signed.
    #[arg(long)]
    json: bool,
    /// Such as GET.
    method: Method,
    /// The address; its path and query are enough where the host is not signed.
    address: Uri,
}

/// Prints the headers.
pub(crate) fn run(args: SignArgs) -> Outcome {
    say(&signed(args)?);
    Ok(ExitCode::SUCCESS)
}

fn signed(args: SignArgs) -> Result<String, Failure> {
    let scheme = match args.scheme.read()? {
        Some(scheme) => scheme,
        None if args.key.sign_messages() || args.private_key.is_some() => SigningScheme::Message,
        None => SigningScheme::Signed,
    };
    if args.private_key.is_some() && !matches!(scheme, SigningScheme::Message) {
        return Err("--private-key is for http-signature: the other schemes have secrets".into());
    }
    let body = args.body_file.as_deref().map(read_bytes).transpose()?;
    match scheme {
        SigningScheme::Signed => by_four_lines(args),
        SigningScheme::Message => by_message(args, body),
        SigningScheme::Sigv4 => {
            let (key_id, secret) = secret(&args)?;
            sign_sigv4(&SignSigv4Settings {
                request: SentRequest::new(args.method, args.address, &args.headers, body)?,
                key_id,
                secret,
                region: args.region,
                service: args.service,
                time: args.timestamp,
                json: args.json,
            })
        }
        SigningScheme::Described(scheme) => {
            let (key_id, secret) = secret(&args)?;
            sign_described(&SignDescribedSettings {
                scheme,
                request: SentRequest::new(args.method, args.address, &args.headers, body)?,
                key_id,
                secret,
                time: args.timestamp,
                json: args.json,
            })
        }
    }
}

fn by_four_lines(args: SignArgs) -> Result<String, Failure> {
    no_headers(&args)?;
    let (access_key, secret_key) = secret(&args)?;
    sign(&SignSettings {
        method: args.method,
        address: args.address,
        access_key,
        secret_key,
        timestamp: args.timestamp,
        json: args.json,
    })
}

fn by_message(args: SignArgs, body: Option<Vec<u8>>) -> Result<String, Failure> {
    no_headers(&args)?;
    if args.timestamp.is_some() {
        return Err("--timestamp is not for http-signature: it is signed now".into());
    }
    let (key_id, key) = match (&args.private_key, &args.access_key) {
        (Some(file), Some(key_id)) => {
            (key_id.clone(), MessageKey::Private(PrivateKey::read(file)?))
        }
        _ => {
            let (key_id, secret) = secret(&args)?;
            (key_id, MessageKey::Secret(secret))
        }
    };
    sign_message(&SignMessageSettings {
        method: args.method,
        address: args.address,
        key_id,
        key,
        body,
        json: args.json,
    })
}

fn no_headers(args: &SignArgs) -> Result<(), Failure> {
    if args.headers.is_empty() {
        Ok(())
    } else {
        Err("--header is for aws-sigv4 and described schemes".into())
    }
}

/// The public id and the secret.
fn secret(args: &SignArgs) -> Result<(String, String), Failure> {
    let (demo_key, secret) = args.key.read()?;
    let key_id = args.access_key.clone().or(demo_key);
    let secret = secret
        .ok_or("no secret: give --secret-file, or set WAYLEAVE_SECRET (a secret on the command line can be seen by others)")?;
    Ok((key_id.ok_or("give --access-key or --as")?, secret))
}

/// The bytes of a file.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
