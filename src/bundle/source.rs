//! Bytes that come from outside, in pieces, one file after another.
//!
//! A command reads files or its standard input and sends them here, through a channel of this process
//! or the control socket. Never more than the channel's few pieces are held.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Error;

/// What comes through the channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// Bytes of the file that is being read; not empty.
    Bytes(Bytes),
    /// The end of the file; the next one begins, if there is one.
    End,
}

/// Files that are read once, in order.
pub struct Source {
    input: mpsc::Receiver<Input>,
    names: std::vec::IntoIter<String>,
    /// The file that is being read.
    name: String,
    current: Bytes,
    is_at_end: bool,
}

impl Source {
    /// Reads files of these names, in this order.
    pub fn new(input: mpsc::Receiver<Input>, names: Vec<String>) -> Self {
        Self {
            input,
            names: names.into_iter(),
            name: String::new(),
            current: Bytes::new(),
            is_at_end: true,
        }
    }

    /// The name of the file that is being read.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Goes on to the next file; `false` if there is none. The file before must be at its end.
    pub(super) fn next_file(&mut self) -> bool {
        let Some(name) = self.names.next() else {
            return false;
        };
        (self.name, self.is_at_end) = (name, false);
        true
    }

    /// The next bytes of the file, at most `most`; `None` at its end.
    pub(super) async fn piece(&mut self, most: u64) -> Result<Option<Bytes>, Error> {
        if self.current.is_empty() {
            if self.is_at_end {
                return Ok(None);
            }
            match self.input.recv().await {
                Some(Input::Bytes(bytes)) => self.current = bytes,
                Some(Input::End) => {
                    self.is_at_end = true;
                    return Ok(None);
                }
                None => return Err(self.cut()),
            }
        }
        let length = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(Some(self.current.split_to(length.min(self.current.len()))))
    }

    /// Fills a buffer; `false` if the file is at its end before the first byte of it.
    pub(super) async fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            let Some(piece) = self.piece((buffer.len() - filled) as u64).await? else {
                return match filled {
                    0 => Ok(false),
                    _ => Err(self.cut()),
                };
            };
            buffer[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        Ok(true)
    }

    /// All of a small file.
    ///
    /// # Errors
    /// If it has more than `most` bytes.
    pub async fn read_whole(&mut self, most: usize) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        if !self.next_file() {
            return Ok(whole);
        }
        while let Some(piece) = self.piece(u64::MAX).await? {
            whole.extend_from_slice(&piece);
            if whole.len() > most {
                let reason = format!("it has more than {most} bytes");
                return Err(Error::hostile(&self.name, reason));
            }
        }
        Ok(whole)
    }

    pub(super) fn cut(&self) -> Error {
        let file = self.name.clone();
        Error::Cut { file }
    }
}
