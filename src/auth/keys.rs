//! The keys that tokens are signed with: made at first need, sealed in the store, replaced by time.
//!
//! A key is durable before it signs (AU-04). When it is replaced it signs nothing more and still
//! verifies, until the last token that it signed has ended; then its row goes. Readers take the ring
//! as it is and never wait for a rotation, so that none fails a request.
//!
//! A key's id is the hash of its public half: it is looked up as it is and names no file or place.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use jsonwebtoken::{DecodingKey, EncodingKey};
use tokio::sync::Mutex;

use super::Error;
use crate::accounts::SealKey;
use crate::model::{Clock, SigningKeyRecord, Timestamp};
use crate::oci::Digest;
use crate::store::{self, Store};

pub(super) struct Keys {
    store: Store,
    seal: SealKey,
    clock: Clock,
    /// How long a key signs.
    rotation: Duration,
    /// How long it verifies after that.
    kept: Duration,
    ring: ArcSwapOption<Ring>,
    /// One at a time loads or changes the ring.
    changing: Mutex<()>,
}

/// The keys of one moment.
pub(super) struct Ring {
    signing: Arc<Key>,
    known: HashMap<String, Arc<Key>>,
}

pub(super) struct Key {
    pub(super) id: String,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    record: SigningKeyRecord,
}

/// What a change of the ring writes.
#[derive(Clone, Default)]
struct Change {
    put: Vec<(String, SigningKeyRecord)>,
    remove: Vec<String>,
}

impl Ring {
    pub(super) fn signing(&self) -> &Key {
        &self.signing
    }

    /// The key of exactly this id.
    pub(super) fn key(&self, id: &str) -> Option<&Key> {
        self.known.get(id).map(Arc::as_ref)
    }
}

impl Keys {
    pub(super) fn new(
        store: Store,
        seal: SealKey,
        clock: Clock,
        rotation: Duration,
        kept: Duration,
    ) -> Self {
        Self {
            store,
            seal,
            clock,
            rotation,
            kept,
            ring: ArcSwapOption::empty(),
            changing: Mutex::default(),
        }
    }

    /// The keys; read at the first call, and made if there are none.
    ///
    /// # Cancel safety
    /// Dropped, it leaves a key in the store at most, which the next call finds.
    pub(super) async fn ring(&self) -> Result<Arc<Ring>, Error> {
        if let Some(ring) = self.ring.load_full() {
            return Ok(ring);
        }
        let _alone = self.changing.lock().await;
        match self.ring.load_full() {
            Some(ring) => Ok(ring),
            None => self.renew().await,
        }
    }

    /// Replaces the signing key if it has signed long enough, and removes keys whose tokens have all
    /// ended.
    pub(super) async fn rotate_if_due(&self) -> Result<(), Error> {
        let _alone = self.changing.lock().await;
        self.renew().await.map(drop)
    }

    /// Reads what is stored, brings it up to date, and turns to it.
    async fn renew(&self) -> Result<Arc<Ring>, Error> {
        let now = self.clock.now();
        let mut change = Change::default();
        let mut known = HashMap::new();
        for (id, record) in self.stored().await? {
            match self.open(&id, record) {
                Some(key) if !key.has_ended(now, self.kept) => {
                    known.insert(id, Arc::new(key));
                }
                Some(_) => change.remove.push(id),
                None => {
                    tracing::warn!(
                        key.id = id,
                        "a signing key cannot be opened and is replaced"
                    );
                    change.remove.push(id);
                }
            }
        }
        let signing = match newest(&known) {
            Some(key) if now.since(key.record.created) < self.rotation => key,
            _ => self.replace(&mut known, &mut change, now)?,
        };
        self.write(change).await?;
        let ring = Arc::new(Ring { signing, known });
        self.ring.store(Some(Arc::clone(&ring)));
        Ok(ring)
    }

    /// Makes a key to sign from now on and retires those that did.
    fn replace(
        &self,
        known: &mut HashMap<String, Arc<Key>>,
        change: &mut Change,
        now: Timestamp,
    ) -> Result<Arc<Key>, Error> {
        for (id, key) in known.iter_mut() {
            if key.record.retired.is_none() {
                *key = Arc::new(key.retired_at(now));
                change.put.push((id.clone(), key.record.clone()));
            }
        }
        let key = Arc::new(self.generate(now)?);
        change.put.push((key.id.clone(), key.record.clone()));
        known.insert(key.id.clone(), Arc::clone(&key));
        tracing::info!(key.id = key.id, "a new key signs tokens");
        Ok(key)
    }

    fn generate(&self, now: Timestamp) -> Result<Key, Error> {
        let document = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1())
            .map_err(|_| Error::Signing("no key could be made"))?;
        let private = document.as_ref();
        let (id, public) = public_half(private).ok_or(Error::Signing("the key made is none"))?;
        let record = SigningKeyRecord {
            created: now,
            retired: None,
            private_key: self.seal.seal(private, &context(&id)),
        };
        Ok(Key::new(id, private, &public, record))
    }

    /// `None` if it was sealed by another installation, or is damaged.
    fn open(&self, id: &str, record: SigningKeyRecord) -> Option<Key> {
        let private = self.seal.open(&record.private_key, &context(id))?;
        let (found, public) = public_half(&private)?;
        (found == id).then(|| Key::new(found, &private, &public, record))
    }

    async fn stored(&self) -> Result<Vec<(String, SigningKeyRecord)>, store::Error> {
        self.store.read(|tx| tx.signing_keys().list()).await
    }

    async fn write(&self, change: Change) -> Result<(), store::Error> {
        if change.put.is_empty() && change.remove.is_empty() {
            return Ok(());
        }
        let write = move |tx: &mut store::WriteTx<'_>| {
            for (id, record) in &change.put {
                tx.signing_keys().put(id, record)?;
            }
            for id in &change.remove {
                tx.signing_keys().remove(id)?;
            }
            Ok(())
        };
        self.store.write(write).await
    }
}

impl Key {
    fn new(id: String, private: &[u8], public: &[u8], record: SigningKeyRecord) -> Self {
        Self {
            id,
            encoding: EncodingKey::from_ec_der(private),
            // The point itself, in spite of the name: it is handed to the verifier as it is.
            decoding: DecodingKey::from_ec_der(public),
            record,
        }
    }

    fn retired_at(&self, now: Timestamp) -> Self {
        Self {
            id: self.id.clone(),
            encoding: self.encoding.clone(),
            decoding: self.decoding.clone(),
            record: SigningKeyRecord {
                retired: Some(now),
                ..self.record.clone()
            },
        }
    }

    fn has_ended(&self, now: Timestamp, kept: Duration) -> bool {
        self.record
            .retired
            .is_some_and(|retired| now.since(retired) > kept)
    }
}

fn newest(known: &HashMap<String, Arc<Key>>) -> Option<Arc<Key>> {
    let signing = known.values().filter(|key| key.record.retired.is_none());
    signing.max_by_key(|key| key.record.created).cloned()
}

/// A sealed key opens only as what it was sealed as.
fn context(id: &str) -> Vec<u8> {
    format!("signing key {id}").into_bytes()
}

/// The id of a key and its public point.
fn public_half(private: &[u8]) -> Option<(String, Vec<u8>)> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private).ok()?;
    let public = pair.public_key().as_ref().to_vec();
    let id = Digest::of(&public).hex();
    Some((id, public))
}
