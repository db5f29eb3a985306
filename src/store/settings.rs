//! Settings: single values by name, numbers or texts, for what needs no table of its own.

use serde::{Deserialize, Serialize};

use super::codec::Stored;
use super::keys;
use super::tables::Table;
use super::{Error, Reads, WriteTx};

/// Single values as a transaction sees them.
pub struct Settings<S>(pub(super) S);

#[derive(Deserialize, Serialize)]
enum Setting {
    Number(u64),
    Text(String),
}

impl Stored for Setting {}

impl<S: Reads> Settings<S> {
    /// The number of this name; `None` if there is none, or a text.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Error> {
        Ok(match self.value(name)? {
            Some(Setting::Number(number)) => Some(number),
            Some(Setting::Text(_)) | None => None,
        })
    }

    /// The text of this name; `None` if there is none, or a number.
    pub fn text(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(match self.value(name)? {
            Some(Setting::Text(text)) => Some(text),
            Some(Setting::Number(_)) | None => None,
        })
    }

    fn value(&self, name: &str) -> Result<Option<Setting>, Error> {
        self.0.tx().record(Table::Settings, &keys::name(name))
    }
}

impl Settings<&mut WriteTx<'_>> {
    /// Sets a number, in place of any older value of the name.
    pub fn put_number(&mut self, name: &str, number: u64) -> Result<(), Error> {
        self.put(name, &Setting::Number(number));
        Ok(())
    }

    /// Sets a text, in place of any older value of the name.
    pub fn put_text(&mut self, name: &str, text: &str) -> Result<(), Error> {
        self.put(name, &Setting::Text(text.to_owned()));
        Ok(())
    }

    /// Removes a value; nothing happens if there is none.
    pub fn remove(&mut self, name: &str) -> Result<(), Error> {
        self.0.remove(Table::Settings, keys::name(name));
        Ok(())
    }

    fn put(&mut self, name: &str, setting: &Setting) {
        self.0
            .put_record(Table::Settings, keys::name(name), setting);
    }
}
