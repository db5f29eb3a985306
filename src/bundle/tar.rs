//! The tar format, as far as bundles need it: headers written, headers judged. No I/O.
//!
//! What is written is ustar with fixed owner, mode and time, so that the same content gives the same
//! bytes (AG-11); a name or size that ustar cannot say stands in a PAX record. What is read is taken
//! apart strictly: only plain files and directories pass, and a header that two programs could read in
//! two ways is refused (AG-10).

/// Everything in a tar archive is a multiple of this.
pub(super) const BLOCK: usize = 512;

/// Two empty blocks end an archive.
pub(super) const END_BYTES: u64 = 2 * BLOCK as u64;

/// Longest name that the header itself can hold.
const NAME_BYTES: usize = 100;

/// First size that eleven octal digits cannot say.
const OCTAL_END: u64 = 1 << 33;

/// Longest list of PAX records that is looked at; what is legal there needs some hundred bytes.
pub(super) const PAX_BYTES: u64 = 64 * 1024;

/// What a header announces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    File,
    Directory,
    /// Records that speak of the next header.
    Pax,
}

/// A header, as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) kind: Kind,
}

/// What PAX records say of the next header.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Pax {
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
}

/// `size` with the empty bytes behind it that fill its last block.
pub(super) const fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64) * BLOCK as u64
}

/// All that stands in front of a file's bytes.
pub(super) fn head(path: &str, size: u64) -> Vec<u8> {
    let mut records = String::new();
    if path.len() > NAME_BYTES {
        records += &record("path", path);
    }
    if size >= OCTAL_END {
        records += &record("size", &size.to_string());
    }
    let mut head = Vec::with_capacity(3 * BLOCK);
    if !records.is_empty() {
        head.extend(block("entrepot/pax", records.len() as u64, b'x'));
        head.extend(records.as_bytes());
        head.resize(head.len().next_multiple_of(BLOCK), 0);
    }
    let end = path.floor_char_boundary(NAME_BYTES);
    let size = if size < OCTAL_END { size } else { 0 };
    head.extend(block(&path[..end], size, b'0'));
    head
}

/// How many bytes a file takes in an archive.
pub(super) fn member_bytes(path: &str, size: u64) -> u64 {
    head(path, size).len() as u64 + padded(size)
}

/// A PAX record: its length, which counts itself, a key and a value.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

fn block(path: &str, size: u64, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, path.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum = format!("{:06o}\0 ", sum(&block));
    block[148..156].copy_from_slice(sum.as_bytes());
    block
}

/// POSIX: the sum of all bytes, those of the sum itself taken as spaces.
fn sum(block: &[u8; BLOCK]) -> u32 {
    let bytes = block.iter().enumerate();
    bytes
        .map(|(at, byte)| match at {
            148..156 => u32::from(b' '),
            _ => u32::from(*byte),
        })
        .sum()
}

/// Reads a header; `None` for an empty block, which ends an archive.
///
/// # Errors
/// Why it is refused.
pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Option<Header>, &'static str> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let stated = number(&block[148..156])?;
    if stated != u64::from(sum(block)) {
        return Err("the sum of a header is wrong");
    }
    let kind = match block[156] {
        b'0' | 0 => Kind::File,
        b'5' => Kind::Directory,
        b'x' => Kind::Pax,
        b'1' | b'2' => return Err("it holds a link"),
        b'3' | b'4' | b'6' => return Err("it holds a device or a pipe"),
        b'g' => return Err("it holds PAX records that speak of the whole archive"),
        b'L' | b'K' => return Err("it holds names in the way of old GNU tar"),
        b'S' => return Err("it holds a file with holes"),
        _ => return Err("it holds something that is neither a file nor a directory"),
    };
    let is_posix = &block[257..263] == b"ustar\0";
    let is_gnu = &block[257..265] == b"ustar  \0";
    if !is_posix && !is_gnu {
        return Err("it is no tar archive of POSIX or GNU");
    }
    let size = number(&block[124..136])?;
    if kind == Kind::Directory && size != 0 {
        return Err("a directory has bytes");
    }
    let name = text(&block[..100])?;
    let prefix = if is_posix {
        text(&block[345..500])?
    } else {
        ""
    };
    let path = match prefix {
        "" => name.to_owned(),
        prefix => format!("{prefix}/{name}"),
    };
    Ok(Some(Header { path, size, kind }))
}

/// A text up to its first NUL, behind which nothing may hide.
fn text(field: &[u8]) -> Result<&str, &'static str> {
    let end = field.iter().position(|byte| *byte == 0);
    let (text, rest) = field.split_at(end.unwrap_or(field.len()));
    if rest.iter().any(|byte| *byte != 0) {
        return Err("a name goes on behind its end");
    }
    std::str::from_utf8(text).map_err(|_| "a name is not UTF-8")
}

/// Octal digits with spaces and NULs around them, or the big-endian form of GNU.
fn number(field: &[u8]) -> Result<u64, &'static str> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let add = |sum: u64, byte: &u8| sum.checked_mul(256)?.checked_add(u64::from(*byte));
        let number = rest.iter().try_fold(u64::from(first & 0x7f), add);
        let number = number.filter(|number| i64::try_from(*number).is_ok());
        return number.ok_or("a number is negative or too large");
    }
    let is_filler = |byte: &u8| matches!(byte, b' ' | 0);
    let digits = field.iter().skip_while(|byte| **byte == b' ');
    let digits: Vec<u8> = digits.copied().collect();
    let end = digits.iter().position(is_filler).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() || !rest.iter().all(is_filler) {
        return Err("a number is not octal");
    }
    digits.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'7' => Ok(sum << 3 | u64::from(digit - b'0')),
        _ => Err("a number is not octal"),
    })
}

/// Reads PAX records.
///
/// Times, owners and extended attributes are passed over: nothing is unpacked, so they mean nothing.
///
/// # Errors
/// Why they are refused.
pub(super) fn parse_pax(mut bytes: &[u8]) -> Result<Pax, &'static str> {
    const MALFORMED: &str = "a PAX record is malformed";
    let mut pax = Pax::default();
    while !bytes.is_empty() {
        let space = bytes.iter().take(6).position(|byte| *byte == b' ');
        let (digits, _) = bytes.split_at(space.ok_or(MALFORMED)?);
        let plain =
            !digits.is_empty() && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse::<usize>().ok());
        let length =
            length.filter(|length| plain && *length > digits.len() + 1 && *length <= bytes.len());
        let (record, rest) = bytes.split_at(length.ok_or(MALFORMED)?);
        bytes = rest;
        let record = record[digits.len() + 1..]
            .strip_suffix(b"\n")
            .ok_or(MALFORMED)?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or(MALFORMED)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let key = std::str::from_utf8(key).map_err(|_| MALFORMED)?;
        let value = std::str::from_utf8(value);
        match key {
            "path" if pax.path.is_none() => {
                let value = value.map_err(|_| "a name is not UTF-8")?;
                pax.path = Some(value.to_owned());
            }
            "size" if pax.size.is_none() => {
                pax.size = Some(decimal(value.map_err(|_| MALFORMED)?)?)
            }
            "path" | "size" => return Err("a PAX record stands twice"),
            "mtime" | "atime" | "ctime" | "uid" | "gid" | "uname" | "gname" | "comment" => {}
            _ if key.starts_with("SCHILY.") || key.starts_with("LIBARCHIVE.") => {}
            _ => return Err("it holds a PAX record that has no place here"),
        }
    }
    Ok(pax)
}

fn decimal(text: &str) -> Result<u64, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|number| digits && *number <= i64::MAX as u64);
    number.ok_or("a number is not decimal, or too large")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// AG-10: numbers in the form of GNU, in fields of any width; found by `fuzz/fuzz_targets/archive.rs`.
    #[test]
    fn numbers_of_gnu_are_read_or_refused() {
        for width in [8, 12] {
            let mut field = vec![0; width];
            (field[0], field[width - 1]) = (0x80, 5);
            assert_eq!(number(&field), Ok(5));
        }
        assert!(number(&[0xff; 12]).is_err() && number(&[0xa1; 12]).is_err());
        let mut block = [0; BLOCK];
        block[..8].copy_from_slice(b"entrepot");
        block[100..].fill(0xa1);
        assert!(parse(&block).is_err());
    }

    /// AG-01: another reader finds what was written, long names and large sizes included.
    #[test]
    fn another_reader_finds_what_was_written() {
        let long = format!("blobs/sha512/{}", "a".repeat(128));
        let mut archive = Vec::new();
        for (path, bytes) in [("oci-layout", &b"{}"[..]), (&long, b"12345")] {
            archive.extend(head(path, bytes.len() as u64));
            archive.extend(bytes);
            archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        }
        archive.resize(archive.len() + 2 * BLOCK, 0);
        let mut reader = tar::Archive::new(&archive[..]);
        let mut found = Vec::new();
        for entry in reader.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            found.push((path, bytes));
        }
        let wanted = [
            ("oci-layout".to_owned(), b"{}".to_vec()),
            (long, b"12345".to_vec()),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let big = 9 << 30;
        let head = head("blobs/sha256/x", big);
        assert_eq!(head.len(), 3 * BLOCK);
        let first = parse(head[..BLOCK].try_into().unwrap()).unwrap().unwrap();
        assert_eq!(first.kind, Kind::Pax);
        let records = &head[BLOCK..BLOCK + usize::try_from(first.size).unwrap()];
        assert_eq!(parse_pax(records).unwrap().size, Some(big));
        assert_eq!(member_bytes("a", 513), 3 * BLOCK as u64);
        assert_eq!(record("path", &"x".repeat(90)).len(), 99);
        assert_eq!(
            record("path", &"x".repeat(91)),
            format!("101 path={}\n", "x".repeat(91))
        );
    }

    /// AG-10.
    #[test]
    fn pax_tricks_are_refused() {
        for records in [
            "9 path=a\n9 path=b\n",
            "0 path=a\n",
            "99 path=a\n",
            "09 path=a\n",
            "9 path=ab",
            "path=a\n",
            "14 linkpath=a\n",
            "22 GNU.sparse.major=1\n",
            "9 size=-1\n",
            "10 size=0x1\n",
            "8 size=\n",
            "27 size=18446744073709551615\n",
            "3 \n",
            "20 hdrcharset=BINARY\n",
        ] {
            assert!(parse_pax(records.as_bytes()).is_err(), "{records:?}");
        }
        assert!(parse_pax(b"9 path=\xff\n").is_err());
        let fine = parse_pax(b"20 mtime=1700000000\n9 path=a\n23 SCHILY.xattr.user=x\n");
        assert_eq!(fine.map(|pax| pax.path), Ok(Some("a".to_owned())));
    }
}
