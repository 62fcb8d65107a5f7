//! From a description to a scheme: here everything unsafe is refused.

use super::form::{Encoding, Hash, SecretForm, TimeForm};
use super::part::Part;
use super::template::{DigestHeader, Field, Piece, ProofHeader, pieces};
use super::{BodyBinding, DescribedScheme, Description, DescriptionError, LONGEST_WINDOW_S};

fn wrong(key: &'static str, why: impl Into<String>) -> DescriptionError {
    DescriptionError {
        key,
        why: why.into(),
    }
}

pub(super) fn compile(description: &Description) -> Result<DescribedScheme, DescriptionError> {
    let named = |key| move |why: String| wrong(key, why);
    check_name(&description.name)?;
    let time = TimeForm::parse_word(&description.time).map_err(named("time"))?;
    if !(1..=LONGEST_WINDOW_S).contains(&description.window_s) {
        return Err(wrong(
            "window_s",
            format!("is 1 to {LONGEST_WINDOW_S} seconds"),
        ));
    }
    let proof = proof(&description.proof)?;
    let mut parts = parts(&description.lines, &description.separator, time)?;
    check_coverage(&parts, &proof)?;
    let body = body(description, &parts)?;
    end_each_part(&mut parts)?;
    Ok(DescribedScheme {
        name: description.name.as_str().into(),
        proof,
        parts,
        hash: Hash::parse(&description.digest).map_err(named("digest"))?,
        encoding: Encoding::parse(&description.encoding).map_err(named("encoding"))?,
        secret: SecretForm::parse(&description.secret).map_err(named("secret"))?,
        time,
        window_s: description.window_s,
        body,
    })
}

fn check_name(name: &str) -> Result<(), DescriptionError> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 40 || !name.bytes().all(is_letter) {
        return Err(wrong(
            "name",
            "is of 1 to 40 small letters, digits and hyphens, such as acme-v1",
        ));
    }
    Ok(())
}

/// The headers of the proof, which say key id, signature and time once each.
fn proof(texts: &[String]) -> Result<Vec<ProofHeader>, DescriptionError> {
    let headers: Result<Vec<ProofHeader>, DescriptionError> =
        texts.iter().map(|text| ProofHeader::parse(text)).collect();
    let headers = headers?;
    let known = [
        (Field::KeyId, "{key-id}"),
        (Field::Signature, "{signature}"),
        (Field::Time, "{time}"),
    ];
    for (field, word) in known {
        let times = headers.iter().flat_map(ProofHeader::fields);
        match times.filter(|own| *own == field).count() {
            1 => {}
            0 => return Err(wrong("proof", format!("does not say where {word} stands"))),
            _ => return Err(wrong("proof", format!("says {word} more than once"))),
        }
    }
    for (number, header) in headers.iter().enumerate() {
        let name = &header.name;
        if headers[..number]
            .iter()
            .any(|earlier| earlier.name == *name)
        {
            return Err(wrong("proof", format!("has the header {name} twice")));
        }
        if header.fields().next().is_none() {
            return Err(wrong(
                "proof",
                format!("has the header {name} with nothing to read in it"),
            ));
        }
    }
    Ok(headers)
}

/// The parts of all lines with the separator between them, neighbouring texts made one.
fn parts(lines: &[String], separator: &str, time: TimeForm) -> Result<Vec<Part>, DescriptionError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            literal.push_str(separator);
        }
        for piece in pieces(line).map_err(|why| wrong("lines", why))? {
            match piece {
                Piece::Literal(text) => literal.push_str(&text),
                Piece::Word(word) => {
                    push_literal(&mut parts, &mut literal);
                    parts.push(Part::parse(&word, time).map_err(|why| wrong("lines", why))?);
                }
            }
        }
    }
    push_literal(&mut parts, &mut literal);
    Ok(parts)
}

fn push_literal(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal).into()));
    }
}

/// Method, path, query and time are signed, and the signature does not sign itself.
fn check_coverage(parts: &[Part], proof: &[ProofHeader]) -> Result<(), DescriptionError> {
    let has = |wanted: fn(&Part) -> bool| parts.iter().any(wanted);
    let unsigned = |what: &str, how: &str| {
        Err(wrong(
            "lines",
            format!("leave the {what} unsigned: add {how}"),
        ))
    };
    if !has(|part| matches!(part, Part::Method { .. })) {
        return unsigned("method", "{method}");
    }
    if !has(|part| matches!(part, Part::Path | Part::PathAndQuery)) {
        return unsigned("path", "{path-and-query}, or {path} and {query}");
    }
    if !has(|part| matches!(part, Part::Query { .. } | Part::PathAndQuery)) {
        return unsigned("query", "{query}, or {path-and-query} in place of {path}");
    }
    if !has(|part| matches!(part, Part::Time(_))) {
        return unsigned("time", "{time}");
    }
    for part in parts {
        let Part::Header { name, .. } = part else {
            continue;
        };
        let carries = |header: &&ProofHeader| header.name == *name;
        if let Some(header) = proof.iter().find(carries)
            && header.is_signature()
        {
            return Err(wrong(
                "lines",
                format!("have the header {name}, which carries the signature itself"),
            ));
        }
    }
    Ok(())
}

/// How the body is bound. What is not bound has to be said.
fn body(description: &Description, parts: &[Part]) -> Result<BodyBinding, DescriptionError> {
    let is_whole =
        |part: &Part| matches!(part, Part::Body | Part::JsonBody | Part::BodyDigest { .. });
    let bound = if parts.iter().any(is_whole) {
        Some(BodyBinding::Whole)
    } else {
        digest_header(description, parts)?.map(BodyBinding::Header)
    };
    match (bound, description.body.as_deref()) {
        (Some(bound), None) => Ok(bound),
        (Some(_), Some(_)) => Err(wrong(
            "body",
            "is said although the lines bind the body: leave it out",
        )),
        (None, Some("none")) => Ok(BodyBinding::None),
        (None, Some("unsigned")) => Ok(BodyBinding::Unsigned),
        (None, Some(word)) => Err(wrong(
            "body",
            format!("is {word}; known are: none, unsigned"),
        )),
        (None, None) => Err(wrong(
            "lines",
            "leave the body unsigned: add {body}, {body:json} or {body:sha256:hex}, or a signed header and body_digest; body = \"none\" refuses requests with a body, and body = \"unsigned\" lets whoever stands in between change it",
        )),
    }
}

fn digest_header(
    description: &Description,
    parts: &[Part],
) -> Result<Option<DigestHeader>, DescriptionError> {
    let Some(text) = &description.body_digest else {
        return Ok(None);
    };
    let header = DigestHeader::parse(text)?;
    let signs = |part: &Part| matches!(part, Part::Header { name, .. } if *name == header.name);
    if !parts.iter().any(signs) {
        return Err(wrong(
            "body_digest",
            format!(
                "names the header {0}, which is not signed: add {{header:{0}}} to the lines",
                header.name
            ),
        ));
    }
    Ok(Some(header))
}

/// Each part must end where a byte follows that it cannot hold: then the text can be taken apart in
/// one way only, and no two requests have the same. `follows`: the bytes that can come after it.
fn end_each_part(parts: &mut [Part]) -> Result<(), DescriptionError> {
    for number in 0..parts.len() {
        let (upto, rest) = parts.split_at_mut(number + 1);
        let part = &mut upto[number];
        if part.is_fixed() {
            continue;
        }
        let clash = (0..=u8::MAX).find(|byte| part.holds(*byte) && follows(rest, *byte));
        let Some(byte) = clash else { continue };
        if let Some(Part::Literal(_)) = rest.first()
            && part.end_by(byte)
        {
            continue;
        }
        return Err(ambiguous(part, rest.first()));
    }
    Ok(())
}

/// Whether what comes next can begin with a byte.
fn follows(rest: &[Part], byte: u8) -> bool {
    let reached = rest.iter().position(|part| !part.may_be_empty());
    let count = reached.map_or(rest.len(), |last| last + 1);
    rest[..count].iter().any(|part| part.begins(byte))
}

fn ambiguous(part: &Part, next: Option<&Part>) -> DescriptionError {
    let (name, next) = (part.name(), next.map_or_else(String::new, Part::name));
    wrong(
        "lines",
        format!(
            "put {next} after {name}, which can hold how it begins: two different requests could have one text; let a line feed stand between them"
        ),
    )
}
