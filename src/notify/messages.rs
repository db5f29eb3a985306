//! Messages to everyone, as superusers write them.

use super::Error;
use crate::model::{Clock, MessageFormat, MessageRecord, Severity};
use crate::store::{Store, WriteTx};

/// There are no more at a time.
pub const MAXIMUM_MESSAGES: usize = 100;

/// Longest text.
const CONTENT_BYTES: usize = 64 << 10;

/// Messages to everyone; cheap to clone.
#[derive(Clone)]
pub struct Messages {
    store: Store,
    clock: Clock,
}

impl Messages {
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// All of them, in the order in which they were made.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<Vec<MessageRecord>, Error> {
        let all = self.store.read(|tx| tx.messages().list(MAXIMUM_MESSAGES));
        let all = all.await.map_err(Error::Store)?;
        Ok(all.into_iter().map(|(_, message)| message).collect())
    }

    /// Tells everyone something.
    ///
    /// # Errors
    /// [`Error::MessageSize`], [`Error::TooManyMessages`].
    pub async fn create(
        &self,
        content: String,
        severity: Severity,
        format: MessageFormat,
    ) -> Result<MessageRecord, Error> {
        if content.is_empty() || content.len() > CONTENT_BYTES {
            return Err(Error::MessageSize {
                most: CONTENT_BYTES,
            });
        }
        let message = MessageRecord {
            uuid: uuid()?,
            content,
            severity,
            format,
            at: self.clock.now(),
        };
        let written = message.clone();
        let write = move |tx: &mut WriteTx<'_>| {
            if tx.messages().list(MAXIMUM_MESSAGES)?.len() >= MAXIMUM_MESSAGES {
                return Err(Error::TooManyMessages {
                    most: MAXIMUM_MESSAGES,
                });
            }
            Ok(tx.messages().put(&written)?)
        };
        self.store.write(write).await?;
        Ok(message)
    }

    /// Takes a message back; nothing happens if there is none of that uuid (Quay: 204 also then).
    ///
    /// # Errors
    /// The store's.
    pub async fn delete(&self, uuid: &str) -> Result<(), Error> {
        let uuid = uuid.to_owned();
        let write = move |tx: &mut WriteTx<'_>| {
            let all = tx.messages().list(MAXIMUM_MESSAGES)?;
            let found = all.iter().find(|(_, message)| message.uuid == uuid);
            match found {
                Some((sequence, _)) => tx.messages().remove(*sequence),
                None => Ok(()),
            }
        };
        Ok(self.store.write(write).await?)
    }
}

/// A random uuid (RFC 9562 §5.4).
fn uuid() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = |part: &[u8]| {
        part.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let parts = [0..4, 4..6, 6..8, 8..10, 10..16].map(|range| hex(&bytes[range]));
    Ok(parts.join("-"))
}
