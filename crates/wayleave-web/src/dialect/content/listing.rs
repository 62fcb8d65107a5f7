//! Lists that are read from the store a page at a time, while they are being sent.

use std::pin::Pin;

use bytes::Bytes;
use serde_json::Value;
use wayleave_engine::StoreError;
use wayleave_protocol::xml::Writer;

use super::format::Format;
use super::shape::Shape;
use crate::own_body::{BrokenOff, NextPiece, Piece};

/// Some rows of a list, and what comes after them.
pub(super) struct Rows {
    /// In their order; there may be none.
    pub(super) rows: Vec<Value>,
    /// `None`: these are the last.
    pub(super) then: Option<NextRows>,
}

/// Rows that are being read.
pub(super) type NextRows = Pin<Box<dyn Future<Output = Result<Rows, StoreError>> + Send>>;

/// How a list is written.
#[derive(Clone)]
pub(super) struct Writing {
    shape: &'static Shape,
    is_xml: bool,
    /// What stands before the first row.
    begin: String,
    /// What stands between two rows.
    between: &'static str,
    /// What stands after the last one.
    end: String,
}

impl Writing {
    /// As a list of a shape is written in a format.
    pub(super) fn of(shape: &'static Shape, format: Format) -> Self {
        let is_xml = format.is_xml;
        let (begin, end) = match is_xml {
            true => Writer::around(shape.root),
            false => ("[".to_owned(), "]".to_owned()),
        };
        Writing {
            shape,
            is_xml,
            begin,
            between: if is_xml { "" } else { "," },
            end,
        }
    }

    fn row(&self, row: &Value) -> String {
        match self.is_xml {
            true => self.shape.write_item(row),
            false => row.to_string(),
        }
    }
}

/// The first piece of a list, which makes the others.
pub(super) fn first_piece(rows: Rows, writing: &Writing) -> Piece {
    piece(rows, writing, writing.begin.clone(), true)
}

/// `text`: what stands before the rows; `is_first`: no row was written yet.
fn piece(rows: Rows, writing: &Writing, mut text: String, mut is_first: bool) -> Piece {
    for row in &rows.rows {
        if !is_first {
            text.push_str(writing.between);
        }
        is_first = false;
        text.push_str(&writing.row(row));
    }
    if rows.then.is_none() {
        text.push_str(&writing.end);
    }
    Piece {
        bytes: Bytes::from(text),
        then: rows.then.map(|next| later(next, writing.clone(), is_first)),
    }
}

fn later(next: NextRows, writing: Writing, is_first: bool) -> NextPiece {
    Box::pin(async move {
        let rows = next.await.map_err(|error| {
            tracing::error!(%error, "a list broke off");
            BrokenOff
        })?;
        Ok(piece(rows, &writing, String::new(), is_first))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use serde_json::json;

    use super::super::format::JSON;
    use super::super::shape::RESOURCES;
    use super::*;

    /// The whole list of some pages.
    fn written(pages: &[&[&str]], format: Format) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        let owned = |page: &&[&str]| page.iter().map(|name| json!({ "Name": name })).collect();
        let rows = rows(pages.iter().map(owned).collect());
        let mut piece = first_piece(rows, &Writing::of(&RESOURCES, format));
        let mut text = String::from_utf8(piece.bytes.to_vec()).expect("text");
        while let Some(then) = piece.then {
            piece = runtime.block_on(then).expect("a piece");
            text += std::str::from_utf8(&piece.bytes).expect("text");
        }
        text
    }

    fn rows(mut pages: VecDeque<Vec<Value>>) -> Rows {
        let first = pages.pop_front().unwrap_or_default();
        let rest: NextRows = match pages.is_empty() {
            true => {
                return Rows {
                    rows: first,
                    then: None,
                };
            }
            false => Box::pin(async { Ok(rows(pages)) }),
        };
        Rows {
            rows: first,
            then: Some(rest),
        }
    }

    #[test]
    fn a_list_is_whole_however_its_rows_come() {
        let cases: [(&[&[&str]], &[&str]); 5] = [
            (&[], &[]),
            (&[&["a", "b"]], &["a", "b"]),
            (&[&["a", "b"], &["c"]], &["a", "b", "c"]),
            (&[&["a"], &[], &["b"], &[]], &["a", "b"]),
            (&[&[], &["a"]], &["a"]),
        ];
        for (pages, names) in cases {
            let whole: Value = names.iter().map(|name| json!({ "Name": name })).collect();
            assert_eq!(written(pages, JSON), whole.to_string());
            let xml = Format::wanted(Some("text/xml")).expect("XML");
            let parsed = wayleave_protocol::xml::parse(written(pages, xml).as_bytes());
            let root = parsed.expect("well-formed");
            let found = root
                .children
                .iter()
                .map(|row| row.children[0].text.as_str());
            assert_eq!(found.collect::<Vec<_>>(), names);
        }
    }
}
