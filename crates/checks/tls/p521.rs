//! NIST P-521 for TLS, which ring lacks: certificates on that curve, and its key exchange. Without the key exchange,
//! servers that have such a certificate refuse TLS 1.2.

use std::sync::LazyLock;

use p521::{
    NistP521, PublicKey,
    ecdh::EphemeralSecret,
    ecdsa::{DerSignature, VerifyingKey, signature::hazmat::PrehashVerifier},
    elliptic_curve::{Generate, sec1::ToSec1Point},
};
use rustls::{
    Error, NamedGroup, PeerMisbehaved, SignatureScheme,
    crypto::{
        ActiveKeyExchange, CryptoProvider, GetRandomFailed, SharedSecret, SupportedKxGroup,
        WebPkiSupportedAlgorithms, ring,
    },
    pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id},
};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// ring's provider, with P-521 at the end: it is used if a server has nothing else.
pub(crate) fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.signature_verification_algorithms = *ALGORITHMS;
    provider.kx_groups.push(&KeyExchange);
    provider
}

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// Created once: rustls requires a static lifetime.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let own: [Algorithm; 3] = [&WITH_SHA256, &WITH_SHA384, &WITH_SHA512];
    let of_ring = ring::default_provider().signature_verification_algorithms;
    let all = [of_ring.all, &own].concat();
    let mut mapping = of_ring.mapping.to_vec();
    for (scheme, algorithms) in &mut mapping {
        // TLS 1.2 names only the hash.
        let added: Algorithm = match scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => &WITH_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384 => &WITH_SHA384,
            _ => continue,
        };
        *algorithms = [*algorithms, &[added]].concat().leak();
    }
    let with_sha512: &'static [Algorithm] = vec![&WITH_SHA512 as Algorithm].leak();
    mapping.push((SignatureScheme::ECDSA_NISTP521_SHA512, with_sha512));
    WebPkiSupportedAlgorithms { all: all.leak(), mapping: mapping.leak() }
});

static WITH_SHA256: Ecdsa =
    Ecdsa { signature: alg_id::ECDSA_SHA256, hash: |message| Sha256::digest(message).to_vec() };
static WITH_SHA384: Ecdsa =
    Ecdsa { signature: alg_id::ECDSA_SHA384, hash: |message| Sha384::digest(message).to_vec() };
static WITH_SHA512: Ecdsa =
    Ecdsa { signature: alg_id::ECDSA_SHA512, hash: |message| Sha512::digest(message).to_vec() };

#[derive(Debug)]
struct Ecdsa {
    signature: AlgorithmIdentifier,
    hash: fn(&[u8]) -> Vec<u8>,
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = DerSignature::try_from(signature).map_err(|_| InvalidSignature)?;
        key.verify_prehash(&(self.hash)(message), &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

#[derive(Debug)]
struct KeyExchange;

impl SupportedKxGroup for KeyExchange {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = EphemeralSecret::try_generate().map_err(|_| GetRandomFailed)?;
        let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Box::new(Active { secret, public }))
    }

    fn ffdhe_group(&self) -> Option<rustls::ffdhe_groups::FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

struct Active {
    secret: EphemeralSecret,
    /// Uncompressed (RFC 8446, 4.2.8.2).
    public: Vec<u8>,
}

impl ActiveKeyExchange for Active {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer = Some(peer).filter(|peer| peer.first() == Some(&4));
        let peer = peer.and_then(|peer| PublicKey::from_sec1_bytes(peer).ok());
        let peer: p521::elliptic_curve::PublicKey<NistP521> = peer.ok_or(PeerMisbehaved::InvalidKeyShare)?;
        Ok(SharedSecret::from(self.secret.diffie_hellman(&peer).raw_secret_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}
