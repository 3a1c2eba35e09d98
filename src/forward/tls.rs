//! Certificates and keys, for every receiver that speaks TLS.
//!
//! Owns: reading them. In: paths. Out: the settings of rustls, and of ureq. Never: a connection
//! that trusts whoever answers.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

use crate::bounded::file;
use crate::model::Error;
use crate::model::sink::TlsFiles;

/// Files of certificates and keys at most.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Certificates, keys, and whom to trust.
pub(super) struct Tls {
    roots: Vec<CertificateDer<'static>>,
    client: Option<Own>,
}

/// Our certificate and its key.
struct Own {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// The same key for ureq.
    http: PrivateKey<'static>,
}

impl Tls {
    /// Reads the files; without an authority of its own, the system's.
    pub(super) fn read(files: &TlsFiles) -> Result<Tls, Error> {
        let roots = match &files.ca {
            Some(path) => certificates("ca", path)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        if roots.is_empty() {
            return Err(Error::new("certificates", "the system has none that are trusted")
                .help("install ca-certificates, or name the authority's with ca"));
        }
        let client = files.client.as_ref().map(|(cert, key)| {
            let chain = certificates("cert", cert)?;
            let pem = read("key", key)?;
            let help = "give a private key in PEM, without password";
            let bad = |cause: String| wrong("key", key, &cause, help);
            let http = PrivateKey::from_pem(&pem).map_err(|e| bad(e.to_string()))?;
            let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| bad(e.to_string()))?;
            Ok::<_, Error>(Own { chain, key, http })
        });
        Ok(Tls { roots, client: client.transpose()? })
    }

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    /// For connections of ours.
    pub(super) fn client(&self) -> Result<Arc<ClientConfig>, Error> {
        let failed = |cause: rustls::Error| Error::new("TLS", cause.to_string());
        let mut roots = RootCertStore::empty();
        // Of the system's, some may be of kinds that rustls does not know.
        let (taken, _) = roots.add_parsable_certificates(self.roots.iter().cloned());
        if taken == 0 {
            return Err(Error::new("ca", "none of its certificates can be used")
                .help("give certificates of authorities, or of the server, in PEM"));
        }
        let config = ClientConfig::builder_with_provider(Tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots);
        let config = match &self.client {
            Some(own) => config
                .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
                .map_err(|e| failed(e).help("cert and key must belong together"))?,
            None => config.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    /// For HTTP.
    pub(super) fn http(&self) -> Result<TlsConfig, Error> {
        // The same checks.
        self.client()?;
        let owned = |der: &CertificateDer<'_>| Certificate::from_der(der).to_owned();
        let roots: Vec<Certificate<'static>> = self.roots.iter().map(owned).collect();
        let client = self.client.as_ref().map(|own| {
            let chain: Vec<_> = own.chain.iter().map(owned).collect();
            ClientCert::new_with_certs(&chain, own.http.to_owned())
        });
        Ok(TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Tls::provider())
            .root_certs(RootCerts::new_with_certs(&roots))
            .client_cert(client)
            .build())
    }
}

/// The first line of a file that holds a secret.
pub(super) fn secret(key: &str, path: &Path) -> Result<String, Error> {
    let text = file::read_text(path, FILE_BYTES_MAX)
        .map_err(|cause| wrong(key, path, &cause, "give a file that this user can read"))?;
    let line = text.lines().next().unwrap_or_default().trim();
    let fits = !line.is_empty() && line.chars().all(|c| ('!'..='~').contains(&c));
    if !fits {
        let help = "give a file whose first line is the token or password";
        return Err(wrong(key, path, "its first line is no token", help));
    }
    Ok(line.to_owned())
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(key, path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let help = "give certificates in PEM (BEGIN CERTIFICATE)";
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(wrong(key, path, "there is no certificate in it", help)),
        Err(e) => Err(wrong(key, path, &e.to_string(), help)),
    }
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, Error> {
    let help = "give a file that this user can read";
    file::read(path, FILE_BYTES_MAX).map_err(|cause| wrong(key, path, &cause, help))
}

fn wrong(key: &str, path: &Path, cause: &str, help: &str) -> Error {
    Error::new(format!("{key} {}", path.display()), cause.to_owned()).help(help)
}
