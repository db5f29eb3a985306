//! AG-10: archives that mean harm, made by another writer than ours. Each is refused, and a good one in
//! the same clothes is taken, so that none is refused for a wrong reason.

use bytes::Bytes;
use tar::{EntryType, Header};
use tokio::sync::mpsc;

use super::archive::{Archive, Name};
use super::{Error, Input, Source};
use crate::oci::Digest;

/// Reads all members as an import does, and keeps nothing.
async fn read(archive: Vec<u8>) -> Result<Vec<Name>, Error> {
    let (sender, input) = mpsc::channel(4);
    let sending = async move {
        for piece in archive.chunks(700) {
            if sender
                .send(Input::Bytes(Bytes::copy_from_slice(piece)))
                .await
                .is_err()
            {
                return;
            }
        }
        let _ = sender.send(Input::End).await;
    };
    let reading = async move {
        let mut source = Source::new(input, vec!["x.tar".to_owned()]);
        assert!(source.next_file());
        let mut archive = Archive::new(&mut source);
        let mut names = Vec::new();
        while let Some(member) = archive.next().await? {
            match member.name {
                Name::Blob(_) => while archive.piece().await?.is_some() {},
                _ => drop(archive.whole(4096).await?),
            }
            names.push(member.name);
        }
        Ok(names)
    };
    tokio::join!(sending, reading).1
}

fn header(path: &[u8], size: u64, kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}

/// A member with its padding.
fn member(header: &Header, bytes: &[u8]) -> Vec<u8> {
    let mut member = header.as_bytes().to_vec();
    member.extend(bytes);
    member.resize(member.len().next_multiple_of(512), 0);
    member
}

fn file(path: &[u8], bytes: &[u8]) -> Vec<u8> {
    member(&header(path, bytes.len() as u64, EntryType::Regular), bytes)
}

fn blob() -> Vec<u8> {
    file(blob_path().as_bytes(), b"content")
}

fn blob_path() -> String {
    format!("blobs/sha256/{}", Digest::of(b"content").hex())
}

fn ended(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = parts.concat();
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn changed(change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = header(b"oci-layout", 2, EntryType::Regular);
    change(&mut header);
    header.set_cksum();
    ended(&[member(&header, b"{}")])
}

fn pax(records: &[u8], then: Vec<u8>) -> Vec<u8> {
    let records = member(
        &header(b"pax", records.len() as u64, EntryType::XHeader),
        records,
    );
    ended(&[records, then])
}

#[tokio::test]
async fn hostile_archives_are_refused() {
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let mut case = |name: &str, archive: Vec<u8>| cases.push((name.to_owned(), archive));
    for path in [
        "../oci-layout",
        "/etc/passwd",
        "blobs/../../x",
        "blobs/sha256/../index.json",
        "./../x",
        "././oci-layout",
        "blobs//sha256/x",
        "blobs\\sha256\\x",
        "oci-layout/",
        "",
        ".",
        "..",
        "index.json\u{202e}",
        "INDEX.JSON",
        "oci-layout ",
        "blobs/sha256",
        "etc/cron.d/x",
        "blobs/sha256/x/y",
        "a\nb",
        "C:/x",
        "entrepot/other",
        "blobs/sha256/.wh.x",
        "entrepot/pieces/sha256/x/1",
        "blobs/index.json",
    ] {
        case(
            &format!("path {path:?}"),
            ended(&[file(path.as_bytes(), b"{}")]),
        );
    }
    let hex = Digest::of(b"content").hex();
    for path in [
        format!("blobs/sha256/{}", hex.to_uppercase()),
        format!("blobs/SHA256/{hex}"),
        format!("blobs/md5/{}", &hex[..32]),
        format!("blobs/sha256/{}", &hex[..63]),
        format!("blobs/sha256/{hex}0"),
        format!("blobs/sha512/{hex}"),
        format!("blobs/sha256/{}g", &hex[..63]),
        format!("entrepot/pieces/sha256/{}/0", &hex[..60]),
    ] {
        case(&path.clone(), ended(&[file(path.as_bytes(), b"content")]));
    }
    for path in [&b"oci-layout\xff"[..], b"\xc0\xaf", b"blobs/\xed\xa0\x80"] {
        case(&format!("not UTF-8 {path:?}"), ended(&[file(path, b"{}")]));
    }
    for kind in [
        EntryType::Link,
        EntryType::Symlink,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Continuous,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::GNUSparse,
        EntryType::XGlobalHeader,
        EntryType::new(b'V'),
        EntryType::new(b'M'),
        EntryType::new(b'A'),
    ] {
        let mut header = header(b"oci-layout", 0, kind);
        header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
        header.set_cksum();
        case(&format!("{kind:?}"), ended(&[member(&header, b"")]));
    }
    case("twice", ended(&[blob(), blob()]));
    case(
        "index twice",
        ended(&[file(b"index.json", b"{}"), file(b"index.json", b"{}")]),
    );
    case(
        "twice by another spelling",
        ended(&[file(b"index.json", b"{}"), file(b"./index.json", b"{}")]),
    );
    case(
        "a directory with bytes",
        ended(&[member(&header(b"blobs", 2, EntryType::Directory), b"{}")]),
    );
    case(
        "a directory elsewhere",
        ended(&[member(&header(b"../blobs/", 0, EntryType::Directory), b"")]),
    );
    case("a wrong sum", {
        let mut archive = ended(&[file(b"oci-layout", b"{}")]);
        archive[0] ^= 1;
        archive
    });
    case(
        "no magic",
        changed(|header| header.as_mut_bytes()[257..263].copy_from_slice(b"xxxxxx")),
    );
    case(
        "a name behind its end",
        changed(|header| header.as_old_mut().name[50] = b'x'),
    );
    case(
        "a prefix that leads out",
        changed(|header| {
            header.as_ustar_mut().unwrap().prefix[..2].copy_from_slice(b"..");
        }),
    );
    for (name, size) in [
        (
            "negative",
            &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"[..],
        ),
        ("huge", b"\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
        (
            "larger than huge",
            b"\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02",
        ),
        ("not octal", b"00000000009\0"),
        ("empty", b"\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("hexadecimal", b"0x000000002\0"),
        ("signed", b"-0000000002\0"),
    ] {
        case(
            &format!("size {name}"),
            changed(|header| header.as_old_mut().size.copy_from_slice(size)),
        );
    }
    case("nothing", Vec::new());
    case("no end", file(b"oci-layout", b"{}"));
    case("half a header", ended(&[])[..300].to_vec());
    case("cut in a blob", blob()[..515].to_vec());
    case("cut in the padding", blob()[..530].to_vec());
    case(
        "a bomb",
        ended(&[member(
            &header(b"index.json", 1 << 40, EntryType::Regular),
            b"{}",
        )]),
    );
    case(
        "more behind the end",
        [ended(&[blob()]), file(b"index.json", b"{}")].concat(),
    );
    for magic in [
        &b"\x1f\x8b\x08\x00"[..],
        b"\x28\xb5\x2f\xfd",
        b"\xfd7zXZ\0",
        b"BZh91AY",
    ] {
        let mut packed = magic.to_vec();
        packed.resize(2048, 7);
        case(&format!("packed {magic:?}"), packed);
    }
    case("text", vec![b'x'; 2048]);
    let plain = || file(b"oci-layout", b"{}");
    for records in [
        &b"23 path=../../etc/passwd\n"[..],
        b"11 path=/x\n",
        b"16 path=a\0b\0c\0d\n",
        b"17 linkpath=/etc\n",
        b"12 size=1e9\n",
        b"20 path=oci-layout\n20 path=index.json\n",
        b"30 GNU.sparse.name=index.json\n",
        b"5 a=b\n",
        b"999 path=a\n",
        b"17 path=\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\n",
        b"28 size=9223372036854775808\n",
    ] {
        case(
            &format!("pax {}", String::from_utf8_lossy(records)),
            pax(records, plain()),
        );
    }
    case("pax of nothing", pax(b"19 path=index.json\n\n", Vec::new()));
    case(
        "pax twice",
        pax(b"11 mtime=0\n", pax(b"11 mtime=0\n", plain())),
    );
    let long = header(b"pax", 1 << 20, EntryType::XHeader);
    case(
        "pax of a mebibyte",
        ended(&[member(&long, &vec![b'x'; 1 << 20])]),
    );
    assert!(cases.len() >= 60, "{}", cases.len());
    for (name, archive) in cases {
        let outcome = read(archive).await;
        assert!(outcome.is_err(), "{name}: {outcome:?}");
    }
}

/// What GNU tar, Go and others write of their own accord is taken.
#[tokio::test]
async fn good_archives_are_taken() {
    let folder = |path: &[u8]| member(&header(path, 0, EntryType::Directory), b"");
    let mut gnu = Header::new_gnu();
    gnu.set_path("./oci-layout").unwrap();
    gnu.set_size(2);
    gnu.set_entry_type(EntryType::Regular);
    gnu.set_cksum();
    let padded = |mut archive: Vec<u8>| {
        archive.resize(archive.len() + 9 * 1024, 0);
        archive
    };
    for archive in [
        ended(&[
            file(b"oci-layout", b"{}"),
            blob(),
            file(b"index.json", b"{}"),
        ]),
        padded(ended(&[
            folder(b"./"),
            folder(b"blobs/"),
            folder(b"blobs/sha256/"),
            member(&gnu, b"{}"),
            blob(),
        ])),
        pax(
            b"20 mtime=1700000000\n",
            ended(&[file(b"oci-layout", b"{}"), file(b"manifest.json", b"[]")])[..2048].to_vec(),
        ),
        pax(b"19 path=index.json\n9 size=2\n", file(b"ignored", b"{}")),
    ] {
        let names = read(archive).await.unwrap();
        assert!(!names.is_empty());
    }
}

/// AG-10: a million tiny members cost a bounded list, and an end.
#[tokio::test]
async fn a_million_members_are_too_many() {
    let (sender, input) = mpsc::channel(4);
    let sending = async move {
        for number in 0..1_000_000_u64 {
            let digest = Digest::of(&number.to_be_bytes());
            let path = format!("blobs/sha256/{}", digest.hex());
            let head = Bytes::from(file(path.as_bytes(), b""));
            if sender.send(Input::Bytes(head)).await.is_err() {
                return number;
            }
        }
        1_000_000
    };
    let reading = async move {
        let mut source = Source::new(input, vec!["x.tar".to_owned()]);
        assert!(source.next_file());
        let mut archive = Archive::new(&mut source);
        loop {
            if let Err(error) = archive.next().await {
                return error.to_string();
            }
        }
    };
    let (sent, said) = tokio::join!(sending, reading);
    assert!(said.contains("more than 250000 members"), "{said}");
    assert!(sent < 260_000, "{sent}");
}
