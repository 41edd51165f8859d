//! The target's certificate authorities and what they sign. Keys live as long as the run.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};

use crate::cache::write_private;
use crate::error::Result;

/// Signs the certificates of one purpose.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// Where an identity was written.
pub(super) struct IdentityFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Authority {
    pub(super) fn new(name: &str) -> Result<Self> {
        let mut parameters = parameters(name, None)?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?,
        })
    }

    /// The authority's certificate in PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Who presents it is `user`, in `group`, at the API server.
    pub fn client(&self, user: &str, group: &str) -> Result<Identity> {
        let mut parameters = parameters(user, Some(group))?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(parameters)
    }

    /// Proves to be the server at these addresses and names; may act as a client as well.
    pub fn server(&self, name: &str, addresses: &[IpAddr], names: &[&str]) -> Result<Identity> {
        let mut parameters = parameters(name, None)?;
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        for address in addresses {
            parameters
                .subject_alt_names
                .push(SanType::IpAddress(*address));
        }
        for name in names {
            parameters
                .subject_alt_names
                .push(SanType::DnsName((*name).try_into()?));
        }
        self.sign(parameters)
    }

    fn sign(&self, mut parameters: CertificateParams) -> Result<Identity> {
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl Identity {
    pub(super) fn write(&self, folder: &Path, name: &str) -> Result<IdentityFiles> {
        let files = IdentityFiles {
            certificate: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        write_private(&files.certificate, &self.certificate)?;
        write_private(&files.key, &self.key)?;
        Ok(files)
    }
}

/// A key pair for service account tokens: private and public key in PEM.
pub(super) fn token_key_pair() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn parameters(name: &str, group: Option<&str>) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    let mut subject = DistinguishedName::new();
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject.push(DnType::CommonName, name);
    parameters.distinguished_name = subject;
    Ok(parameters)
}
