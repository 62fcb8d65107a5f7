//! TLS, ended here by rustls with certificate files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The name of HTTP/2 over TLS (RFC 9113 section 3.2).
const HTTP_2: &[u8] = b"h2";

/// Where the certificate of an address is.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {path}: {why}")]
pub struct TlsError {
    path: String,
    why: String,
}

fn error(path: &Path, why: impl ToString) -> TlsError {
    TlsError {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}

/// Reads a certificate and its key; TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
pub fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&files.certificate)
            .and_then(Iterator::collect)
            .map_err(|why| error(&files.certificate, why))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|why| error(&files.key, why))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| error(&files.certificate, why))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|why| error(&files.certificate, why))?;
    // What a session is resumed with is in the client's ticket, under keys that change by
    // themselves; nothing of a request is sent early (RFC 8446 section 2.3).
    config.ticketer = Ticketer::new().map_err(|why| error(&files.certificate, why))?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The same for clients of HTTP/1 only.
pub(crate) fn without_http2(config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols.retain(|name| name != HTTP_2);
    Arc::new(config)
}
