//! A volume taken apart: the members of a tar archive that may stand in a bundle or an OCI image layout.
//!
//! Nothing is unpacked and no name is ever used as a path: a member is known by what it is, or refused
//! (AG-10: traversal, links, devices, duplicates, PAX tricks, other letters, too many members). Bytes
//! come in the pieces in which they arrive, and none is kept.

use std::collections::HashSet;

use bytes::Bytes;

use super::tar::{self, BLOCK, Header, Kind, Pax};
use super::{Error, Source};
use crate::oci::Digest;

/// More members than this are in no volume.
const MEMBERS: usize = 250_000;

/// What a member is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Name {
    /// `oci-layout`
    Layout,
    /// `index.json`
    Index,
    /// `entrepot/volume.json`
    Volume,
    /// `entrepot/inventory.json`
    Inventory,
    /// `entrepot/inventory.json.minisig`
    Signature,
    /// `blobs/sha256/...`
    Blob(Digest),
    /// `entrepot/pieces/sha256/.../1`
    Piece(Digest, u32),
    /// What other tools add to a layout, and nobody needs here.
    Other(String),
}

pub(super) const LAYOUT: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";
pub(super) const VOLUME: &str = "entrepot/volume.json";
pub(super) const INVENTORY: &str = "entrepot/inventory.json";
pub(super) const SIGNATURE: &str = "entrepot/inventory.json.minisig";

/// Where a blob stands in a layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// Where a piece of a blob stands that no volume can hold whole.
pub(super) fn piece_path(digest: &Digest, number: u32) -> String {
    let (algorithm, hex) = (digest.algorithm().as_str(), digest.hex());
    format!("entrepot/pieces/{algorithm}/{hex}/{number}")
}

/// A member whose bytes are next.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Name,
    pub(super) size: u64,
}

/// A volume being read.
pub(super) struct Archive<'a> {
    source: &'a mut Source,
    seen: HashSet<Name>,
    members: usize,
    /// Bytes of the member that are still to come.
    left: u64,
    /// Empty bytes behind them.
    padding: u64,
}

impl<'a> Archive<'a> {
    /// Reads the file that the source is at.
    pub(super) fn new(source: &'a mut Source) -> Self {
        Self {
            source,
            seen: HashSet::new(),
            members: 0,
            left: 0,
            padding: 0,
        }
    }

    /// The name of the file.
    pub(super) fn file(&self) -> &str {
        self.source.name()
    }

    /// Goes on to the next member; `None` at the end. What was not read of the one before is passed over.
    pub(super) async fn next(&mut self) -> Result<Option<Member>, Error> {
        loop {
            let Some(header) = self.header().await? else {
                return Ok(None);
            };
            self.left = header.size;
            self.padding = tar::padded(header.size) - header.size;
            let path = clean(&header).map_err(|reason| self.refuse(reason))?;
            if header.kind == Kind::Directory {
                continue;
            }
            let name = name_of(path).map_err(|reason| {
                let path = path.escape_debug();
                self.refuse(&format!("{reason}: {path}"))
            })?;
            if !self.seen.insert(name.clone()) {
                return Err(self.refuse(&format!("it holds {path} twice")));
            }
            let size = header.size;
            return Ok(Some(Member { name, size }));
        }
    }

    /// The next bytes of the member; `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let piece = self.source.piece(self.left).await?;
        let piece = piece.ok_or_else(|| self.source.cut())?;
        self.left -= piece.len() as u64;
        Ok(Some(piece))
    }

    /// All bytes of a member that has at most `most`.
    pub(super) async fn whole(&mut self, most: usize) -> Result<Bytes, Error> {
        if self.left > most as u64 {
            let reason = format!("it holds a description of {} bytes", self.left);
            return Err(self.refuse(&reason));
        }
        // What is announced is not yet there: memory grows with what comes.
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }

    /// The next header that is not about PAX records, with what such records say of it.
    async fn header(&mut self) -> Result<Option<Header>, Error> {
        let mut pax: Option<Pax> = None;
        loop {
            self.pass_over().await?;
            self.members += 1;
            if self.members > MEMBERS {
                return Err(self.refuse(&format!("it has more than {MEMBERS} members")));
            }
            let mut block = [0; BLOCK];
            if !self.source.fill(&mut block).await? {
                return Err(self.source.cut());
            }
            if self.members == 1 && is_compressed(&block) {
                return Err(
                    self.refuse("it is compressed; unpack it first, such as with `zstd -dc`")
                );
            }
            let header = tar::parse(&block).map_err(|reason| self.refuse(reason))?;
            match header {
                None if pax.is_some() => return Err(self.refuse("PAX records speak of nothing")),
                None => {
                    self.end().await?;
                    return Ok(None);
                }
                Some(header) if header.kind == Kind::Pax => {
                    if pax.is_some() {
                        return Err(self.refuse("PAX records stand behind one another"));
                    }
                    pax = Some(self.pax(header.size).await?);
                }
                Some(header) => {
                    let pax = pax.unwrap_or_default();
                    if header.kind == Kind::Directory && pax.size.unwrap_or(0) > 0 {
                        return Err(self.refuse("a directory has bytes"));
                    }
                    return Ok(Some(Header {
                        path: pax.path.unwrap_or(header.path),
                        size: pax.size.unwrap_or(header.size),
                        kind: header.kind,
                    }));
                }
            }
        }
    }

    async fn pax(&mut self, size: u64) -> Result<Pax, Error> {
        if size > tar::PAX_BYTES {
            return Err(self.refuse("PAX records have too many bytes"));
        }
        let mut records = vec![0; usize::try_from(size).unwrap_or(0)];
        if !records.is_empty() && !self.source.fill(&mut records).await? {
            return Err(self.source.cut());
        }
        self.padding = tar::padded(size) - size;
        tar::parse_pax(&records).map_err(|reason| self.refuse(reason))
    }

    /// Passes over what is left of a member.
    async fn pass_over(&mut self) -> Result<(), Error> {
        while self.piece().await?.is_some() {}
        let mut padding = vec![0; usize::try_from(self.padding).unwrap_or(0)];
        self.padding = 0;
        if !padding.is_empty() && !self.source.fill(&mut padding).await? {
            return Err(self.source.cut());
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.refuse("something stands behind the end of a member"));
        }
        Ok(())
    }

    /// Behind the end there are empty bytes only: nothing that another reader could take for more.
    async fn end(&mut self) -> Result<(), Error> {
        while let Some(piece) = self.source.piece(u64::MAX).await? {
            if piece.iter().any(|byte| *byte != 0) {
                return Err(self.refuse("something stands behind its end"));
            }
        }
        Ok(())
    }

    fn refuse(&self, reason: &str) -> Error {
        Error::hostile(self.source.name(), reason)
    }
}

/// gzip, zstd, xz, bzip2.
fn is_compressed(block: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh"];
    magics.iter().any(|magic| block.starts_with(magic))
}

/// The path without `./` in front; one that could lead anywhere else is refused.
fn clean(header: &Header) -> Result<&str, &'static str> {
    let path = header.path.strip_prefix("./").unwrap_or(&header.path);
    let path = match header.kind {
        Kind::Directory => path.strip_suffix('/').unwrap_or(path),
        Kind::File | Kind::Pax => path,
    };
    if header.kind == Kind::Directory && (path.is_empty() || path == ".") {
        return Ok("");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    if !path.bytes().all(plain) {
        return Err("a name holds a character that has no place there");
    }
    let mut components = path.split('/');
    if components.any(|component| component.is_empty() || component == "." || component == "..") {
        return Err("a name leads out of the archive, or nowhere");
    }
    Ok(path)
}

fn name_of(path: &str) -> Result<Name, &'static str> {
    match path {
        LAYOUT => return Ok(Name::Layout),
        INDEX => return Ok(Name::Index),
        VOLUME => return Ok(Name::Volume),
        INVENTORY => return Ok(Name::Inventory),
        SIGNATURE => return Ok(Name::Signature),
        // `docker save` writes these beside the layout.
        "manifest.json" | "repositories" => return Ok(Name::Other(path.to_owned())),
        _ => {}
    }
    let digest = |algorithm: &str, hex: &str| {
        let digest = format!("{algorithm}:{hex}").parse::<Digest>();
        digest.map_err(|_| "a blob is not named by its digest")
    };
    let components: Vec<&str> = path.split('/').collect();
    match components[..] {
        ["blobs", algorithm, hex] => digest(algorithm, hex).map(Name::Blob),
        ["entrepot", "pieces", algorithm, hex, number] => {
            let plain = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
            let number = number.parse().ok().filter(|_| plain);
            let number = number.ok_or("a piece has no number")?;
            digest(algorithm, hex).map(|digest| Name::Piece(digest, number))
        }
        _ => Err("it holds what is no part of an image layout"),
    }
}
