//! JSON as Quay writes it, to the byte.
//!
//! Its REST layer puts a space behind every `,` and `:`, escapes everything that is not ASCII, keeps the
//! order of the fields, and ends with a newline; some doors and the web layer write compact text. Tools
//! compare parsed values, but documentation and tests of others compare text.

use std::io;

use ::http::StatusCode;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::http::{Response, response};

/// An answer of the REST layer.
pub(in crate::api) fn spaced(status: StatusCode, value: &impl Serialize) -> Response {
    write(status, value, Spaced)
}

/// An answer of the web layer, and of the doors that write like it.
pub(in crate::api) fn compact(status: StatusCode, value: &impl Serialize) -> Response {
    write(status, value, Compact)
}

fn write(status: StatusCode, value: &impl Serialize, form: impl Formatter) -> Response {
    let mut body = Vec::with_capacity(256);
    let mut serializer = Serializer::with_formatter(&mut body, form);
    if let Err(error) = value.serialize(&mut serializer) {
        tracing::error!(%error, "an answer cannot be written as JSON");
        return response::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The server failed to write its answer.\n",
        );
    }
    body.push(b'\n');
    response::bytes(status, response::JSON, body)
}

struct Spaced;

struct Compact;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        escape(out, text)
    }
}

impl Formatter for Compact {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        escape(out, text)
    }
}

/// `\uXXXX` for everything beyond ASCII, in pairs where UTF-16 has pairs.
fn escape<W: ?Sized + io::Write>(out: &mut W, text: &str) -> io::Result<()> {
    if text.is_ascii() {
        return out.write_all(text.as_bytes());
    }
    let mut units = [0; 2];
    for char in text.chars() {
        if char.is_ascii() {
            out.write_all(&[char as u8])?;
            continue;
        }
        for unit in char.encode_utf16(&mut units) {
            write!(out, "\\u{unit:04x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    async fn text(answer: Response) -> String {
        let body = answer.into_body().collect().await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn both_forms_are_those_of_python() {
        let value = json!({"a": [1, 2], "b": {"c": "é\u{1f600}\"\n"}, "d": [], "e": {}});
        assert_eq!(
            text(spaced(StatusCode::OK, &value)).await,
            "{\"a\": [1, 2], \"b\": {\"c\": \"\\u00e9\\ud83d\\ude00\\\"\\n\"}, \"d\": [], \"e\": {}}\n"
        );
        assert_eq!(text(compact(StatusCode::OK, &json!("x"))).await, "\"x\"\n");
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in ".*") {
            let mut out = Vec::new();
            let mut serializer = Serializer::with_formatter(&mut out, Spaced);
            text.serialize(&mut serializer).unwrap();
            prop_assert!(out.is_ascii());
            let read: Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, Value::String(text));
        }
    }
}
