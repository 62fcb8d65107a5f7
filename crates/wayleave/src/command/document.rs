//! Documents that a command takes from a file.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::Failure;

/// Reads a file in TOML, where its name ends in `.toml`, or JSON; `-` is JSON from standard input.
/// `noun`: what is in it, for people.
pub(super) fn read_document(file: &Path, noun: &str) -> Result<Value, Failure> {
    let named = |why: &dyn std::fmt::Display| {
        format!(
            "{}: {why}; {noun} is a file in JSON, or in TOML where its name ends in .toml",
            file.display()
        )
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    }
    let is_toml = file
        .extension()
        .is_some_and(|extension| extension == "toml");
    let read = if is_toml {
        toml::from_str(&text).map_err(|error| named(&error))
    } else {
        serde_json::from_str(&text).map_err(|error| named(&error))
    };
    Ok(read?)
}

#[cfg(test)]
mod tests {
    use wayleave_testkit::TestFolder;

    use super::*;

    #[test]
    fn a_file_is_read_as_its_name_says_and_a_wrong_one_is_named() {
        let folder = TestFolder::new();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let toml = write("c.toml", "currency = \"EUR\"\n[tax]\nname = \"VAT\"\n");
        let json = write("c.json", r#"{"currency":"EUR","tax":{"name":"VAT"}}"#);
        assert_eq!(
            read_document(&toml, "it").expect("toml"),
            read_document(&json, "it").expect("json")
        );
        let wrong = write("d.json", "currency = 1");
        let told = read_document(&wrong, "it")
            .expect_err("no JSON")
            .to_string();
        assert!(told.contains("d.json") && told.contains(".toml"), "{told}");
        assert!(read_document(Path::new("/nowhere.json"), "it").is_err());
    }
}
