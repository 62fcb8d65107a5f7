//! Whom to trust about servers behind that are called over TLS.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Those that the system trusts, read when they are asked for first.
#[derive(Default)]
pub(crate) struct Trust {
    system: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    /// A client that trusts the certificates of a file, or those that the system trusts. The name in
    /// a server's certificate is checked always. Errors: there is none to trust, or they cannot be
    /// read.
    pub(crate) fn client(&self, ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
        if let Some(file) = ca_file {
            return of_file(file).map(client);
        }
        if let Some(config) = self.system.get() {
            return Ok(config.clone());
        }
        let config = client(of_system()?);
        Ok(self.system.get_or_init(|| config).clone())
    }
}

fn of_file(file: &Path) -> Result<RootCertStore, String> {
    let shown = file.display();
    let read: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let read = read.map_err(|error| format!("{shown}: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in read {
        let added = roots.add(certificate);
        added.map_err(|error| format!("{shown}: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("{shown}: there is no certificate in it"));
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this system trusts no certificates: install its ca-certificates, or name a ca_file"
                .to_owned(),
        );
    }
    Ok(roots)
}

/// TLS 1.2 and 1.3, and HTTP/1.1 within it.
fn client(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
