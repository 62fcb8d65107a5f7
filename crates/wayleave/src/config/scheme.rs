use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use wayleave_core::{Scheme, SchemeSet};
use wayleave_protocol::described::{DescribedScheme, Description};

use super::{ConfigError, wrong};

/// The schemes that the file describes, by the names by which routes call them.
pub(super) struct Schemes(Vec<Arc<DescribedScheme>>);

impl Schemes {
    /// Compiles the `[[scheme]]` tables. Errors: what is unsafe or unclear, and at which key.
    pub(super) fn compile(descriptions: &[Description]) -> Result<Self, ConfigError> {
        let mut schemes: Vec<Arc<DescribedScheme>> = Vec::with_capacity(descriptions.len());
        for (number, description) in descriptions.iter().enumerate() {
            let scheme = DescribedScheme::compile(description)
                .map_err(|error| wrong(format!("scheme[{number}].{}", error.key), error.why))?;
            let is_taken = schemes.iter().any(|other| other.name() == scheme.name());
            if is_taken || scheme.name().parse::<Scheme>().is_ok() {
                let why = format!("is {}, which names another scheme", scheme.name());
                return Err(wrong(format!("scheme[{number}].name"), why));
            }
            schemes.push(Arc::new(scheme));
        }
        Ok(Schemes(schemes))
    }

    /// The one of a name. Errors: there is none; which there are.
    fn named(&self, name: &str) -> Result<Arc<DescribedScheme>, ConfigError> {
        let found = self.0.iter().find(|scheme| scheme.name() == name);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|scheme| scheme.name()).collect();
            wrong(
                "scheme",
                format!("has no {name}; described are: {}", known.join(", ")),
            )
        })
    }

    /// Reads what a route says of its schemes: words, and at most one name.
    pub(super) fn read(
        &self,
        place: &str,
        words: &[String],
    ) -> Result<(SchemeSet, Option<Arc<DescribedScheme>>), ConfigError> {
        let mut described: Option<Arc<DescribedScheme>> = None;
        let mut schemes = Vec::with_capacity(words.len());
        for word in words {
            if let Some(scheme) = self.0.iter().find(|scheme| scheme.name() == word) {
                if described.replace(Arc::clone(scheme)).is_some() {
                    return Err(wrong(place, "names two described schemes: a route has one"));
                }
                schemes.push(Scheme::Described);
            } else {
                schemes.push(self.built_in(place, word)?);
            }
        }
        Ok((schemes.into_iter().collect(), described))
    }

    fn built_in(&self, place: &str, word: &str) -> Result<Scheme, ConfigError> {
        match word.parse() {
            Ok(Scheme::Described) => Err(wrong(
                place,
                "says described: write the name of a [[scheme]] instead",
            )),
            Ok(scheme) => Ok(scheme),
            Err(_) => {
                let built_in = Scheme::ALL
                    .iter()
                    .filter(|scheme| **scheme != Scheme::Described)
                    .map(|scheme| scheme.as_str());
                let own = self.0.iter().map(|scheme| scheme.name());
                let known: Vec<&str> = built_in.chain(own).collect();
                let why = format!("has {word}; known are: {}", known.join(", "));
                Err(wrong(place, why))
            }
        }
    }
}

/// The part of a file that describes schemes. The rest may be a node's configuration or nothing.
#[derive(Deserialize)]
struct DescribedSchemes {
    #[serde(default)]
    scheme: Vec<Description>,
}

/// The scheme of a name that a file describes, for whoever signs by it. Errors name the file and the
/// key.
pub(crate) fn described_scheme(
    path: &Path,
    name: &str,
) -> Result<Arc<DescribedScheme>, ConfigError> {
    let place = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&place, error))?;
    let schemes = toml::from_str(&text)
        .map_err(|error| super::unreadable(&text, &error))
        .and_then(|file: DescribedSchemes| Schemes::compile(&file.scheme)?.named(name));
    schemes.map_err(|error| wrong(format!("{place}, {}", error.place), error.why))
}
