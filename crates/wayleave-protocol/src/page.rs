//! What a page of a site says of itself: its title and description, its canonical address, and blocks
//! of settings for the resource that is to be made of it.
//!
//! Pages are written by hand and by programs that escape nothing, so what can be made out is taken, and
//! the rest is passed over. Whatever the page, each of its characters is looked at a few times at most.

/// The longest text that is taken from a page, in bytes.
const LONGEST_TEXT: usize = 8 * 1024;
/// The most tiers that are taken.
const MOST_TIERS: usize = 1000;
/// The longest reference to a character, with its semicolon.
const LONGEST_REFERENCE: usize = 12;
/// References that titles have.
const REFERENCES: [(&str, char); 13] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("lsquo", '\u{2018}'),
    ("rsquo", '\u{2019}'),
    ("ldquo", '\u{201c}'),
    ("rdquo", '\u{201d}'),
    ("hellip", '\u{2026}'),
];
/// The types of scripts that hold settings.
const SETTINGS_TYPES: [&str; 2] = ["application/imoneza", "application/wallit"];

/// What was found in a page.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Page {
    /// The text of `<title>`, white space as single blanks.
    pub title: Option<String>,
    /// The text of `<meta name="description">`.
    pub description: Option<String>,
    /// The address of `<link rel="canonical">`, as it stands.
    pub canonical: Option<String>,
    /// The settings of all blocks together; `None`: it has no block.
    pub settings: Option<PageSettings>,
}

/// Settings for a resource, as texts. Of several blocks the later counts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PageSettings {
    /// Name and text of each element but the tiers, as they were written.
    pub fields: Vec<(String, String)>,
    /// The texts of `Tier` and `Price` of each tier; `None`: there is no list of tiers.
    pub tiers: Option<Vec<(String, String)>>,
    /// Whether a block holds no `<Resource>`.
    pub is_broken: bool,
}

impl PageSettings {
    /// The text of an element, its name in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter().rev();
        let found = fields.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, text)| text.as_str())
    }
}

/// Reads a page.
///
/// ```
/// let page = wayleave_protocol::page::read(
///     "<title>Tides &amp; winds</title><script type='application/imoneza'>\
///      <Resource><Title>Tides & winds</Title><Price>0.20</Price></Resource></script>",
/// );
/// assert_eq!(page.title.as_deref(), Some("Tides & winds"));
/// let settings = page.settings.unwrap();
/// assert_eq!(settings.field("title"), Some("Tides & winds"));
/// assert_eq!(settings.field("Price"), Some("0.20"));
/// ```
pub fn read(html: &str) -> Page {
    let mut page = Page::default();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        rest = match after.strip_prefix("!--") {
            Some(comment) => match comment.split_once("-->") {
                Some((_, after)) => after,
                None => break,
            },
            None => page.take_tag(after),
        };
    }
    page
}

impl Page {
    /// Takes what a tag is about, and gives what follows it. `after`: what follows its `<`.
    fn take_tag<'h>(&mut self, after: &'h str) -> &'h str {
        let end = after.find(|letter: char| !letter.is_ascii_alphanumeric());
        let (name, _) = after.split_at(end.unwrap_or(after.len()));
        if name.is_empty() {
            return after;
        }
        let (tag, rest) = Tag::read(&after[name.len()..]);
        match name.to_ascii_lowercase().as_str() {
            "title" => {
                let (text, rest) = up_to_end(rest, "title");
                self.title.get_or_insert_with(|| plain(text));
                rest
            }
            "script" => {
                let (text, rest) = up_to_end(rest, "script");
                if tag.is("type", |kind| SETTINGS_TYPES.contains(&kind)) {
                    self.settings.get_or_insert_default().take(text);
                }
                rest
            }
            "style" | "textarea" => up_to_end(rest, name).1,
            "meta" if tag.is("name", |name| name == "description") => {
                let content = tag.value("content").map(plain);
                self.description = self.description.take().or(content);
                rest
            }
            "link"
                if tag.is("rel", |rel| {
                    rel.split_whitespace().any(|rel| rel == "canonical")
                }) =>
            {
                let address = tag.value("href").map(plain);
                self.canonical = self.canonical.take().or(address);
                rest
            }
            _ => rest,
        }
    }
}

/// The attributes of a tag, as they stand.
#[derive(Default)]
struct Tag<'h>(Vec<(&'h str, &'h str)>);

impl<'h> Tag<'h> {
    /// Reads what follows the name of a tag, and gives what follows the tag.
    fn read(mut rest: &'h str) -> (Self, &'h str) {
        let mut tag = Tag::default();
        loop {
            rest = rest.trim_start_matches(|letter: char| letter == '/' || letter.is_whitespace());
            if let Some(after) = rest.strip_prefix('>') {
                return (tag, after);
            }
            let is_end = |letter: char| letter.is_whitespace() || "=>/".contains(letter);
            // An equals sign without a name before it is the beginning of one.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let end = rest[first..].find(is_end).map(|end| first + end);
            let Some(end) = end else {
                return (tag, "");
            };
            let (name, after) = rest.split_at(end);
            let after_blanks = after.trim_start();
            match after_blanks.strip_prefix('=') {
                None => {
                    tag.0.push((name, ""));
                    rest = after;
                }
                Some(value) => {
                    let (value, after) = attribute_value(value.trim_start());
                    tag.0.push((name, value));
                    rest = after;
                }
            }
        }
    }

    fn value(&self, name: &str) -> Option<&'h str> {
        let mut attributes = self.0.iter();
        let found = attributes.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }

    fn is(&self, name: &str, test: impl Fn(&str) -> bool) -> bool {
        let value = self
            .value(name)
            .map(|value| value.trim().to_ascii_lowercase());
        value.is_some_and(|value| test(&value))
    }
}

/// A value with or without quotation marks, and what follows it.
fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            return inside.split_once(quote).unwrap_or((inside, ""));
        }
    }
    let is_end = |letter: char| letter.is_whitespace() || letter == '>';
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// What stands before the end tag of an element, and what follows that; everything, where there is no
/// such tag.
fn up_to_end<'h>(text: &'h str, name: &str) -> (&'h str, &'h str) {
    for (at, _) in text.match_indices("</") {
        let end = &text[at + 2..];
        let Some((found, after)) = end.split_at_checked(name.len()) else {
            continue;
        };
        let goes_on = after.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        if found.eq_ignore_ascii_case(name) && !goes_on {
            let after = after.split_once('>').map_or("", |(_, after)| after);
            return (&text[..at], after);
        }
    }
    (text, "")
}

/// The name of the next start tag, and what follows it; nothing in an element that is empty.
fn next_tag(text: &str) -> Option<(&str, &str, bool)> {
    let mut rest = text;
    loop {
        let (_, after) = rest.split_once('<')?;
        let end = after.find(|letter: char| !letter.is_ascii_alphanumeric())?;
        let (name, tail) = after.split_at(end);
        if name.is_empty() {
            rest = after;
            continue;
        }
        let (head, after) = tail.split_once('>')?;
        return Some((name, after, head.ends_with('/')));
    }
}

/// The next element: its name, what is in it, and what follows it.
fn next_element(text: &str) -> Option<(&str, &str, &str)> {
    let (name, after, is_empty) = next_tag(text)?;
    if is_empty {
        return Some((name, "", after));
    }
    let (inside, after) = up_to_end(after, name);
    Some((name, inside, after))
}

/// What is in the first element of a name.
fn inside<'b>(text: &'b str, name: &str) -> Option<&'b str> {
    let mut rest = text;
    loop {
        let (found, after, is_empty) = next_tag(rest)?;
        if found.eq_ignore_ascii_case(name) {
            return Some(if is_empty {
                ""
            } else {
                up_to_end(after, name).0
            });
        }
        rest = after;
    }
}

impl PageSettings {
    /// Takes the elements of a block.
    fn take(&mut self, block: &str) {
        let Some(mut rest) = inside(block, "Resource") else {
            self.is_broken = true;
            return;
        };
        while let Some((name, text, after)) = next_element(rest) {
            rest = after;
            if name.eq_ignore_ascii_case("ResourcePricingTiers") {
                self.tiers = Some(tiers(text));
            } else {
                self.fields.push((name.to_owned(), plain(text)));
            }
        }
    }
}

fn tiers(list: &str) -> Vec<(String, String)> {
    let mut tiers = Vec::new();
    let mut rest = list;
    while let Some((_, tier, after)) = next_element(rest) {
        rest = after;
        let part = |name| inside(tier, name).map(plain).unwrap_or_default();
        if tiers.len() < MOST_TIERS {
            tiers.push((part("Tier"), part("Price")));
        }
    }
    tiers
}

/// Text with its references resolved as far as they are known, and white space as single blanks.
fn plain(raw: &str) -> String {
    let raw = raw.replace("<![CDATA[", "").replace("]]>", "");
    let mut resolved = String::with_capacity(raw.len());
    let mut rest = raw.as_str();
    while let Some((before, after)) = rest.split_once('&') {
        resolved.push_str(before);
        rest = match reference(after) {
            Some((letter, after)) => {
                resolved.push(letter);
                after
            }
            None => {
                resolved.push('&');
                after
            }
        };
    }
    resolved.push_str(rest);
    let words: Vec<&str> = resolved.split_whitespace().collect();
    let mut text = words.join(" ");
    let is_shown = |letter: char| !letter.is_control();
    text.retain(is_shown);
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    text
}

/// The character that a reference stands for, and what follows it. `after`: what follows the `&`.
fn reference(after: &str) -> Option<(char, &str)> {
    let end = after
        .bytes()
        .take(LONGEST_REFERENCE)
        .position(|byte| byte == b';')?;
    let (name, rest) = (&after[..end], &after[end + 1..]);
    let letter = match name.strip_prefix('#') {
        Some(number) => {
            let hex = number.strip_prefix(['x', 'X']);
            let code = match hex {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
        None => REFERENCES.iter().find(|(known, _)| *known == name)?.1,
    };
    Some((letter, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_page_is_read_however_it_is_written() {
        let page = read(
            "<!DOCTYPE html><HTML><!-- <title>No</title> --><head>\n<TITLE lang=en>\n  Tides \
             &amp;\n winds &ndash; &#8220;now&#x201D; &unknown; & more </TITLE>\n<title>Later</title>\n\
             <meta charset=utf-8><META NAME='Description' content=\"What &quot;tides&quot; do\" />\n\
             <link rel=stylesheet href=/a.css><link href = https://news.example/tides rel='x Canonical'>\n\
             <script>var a = '<title>';</script></head><body><title>Body</title>",
        );
        let title = "Tides & winds \u{2013} \u{201c}now\u{201d} &unknown; & more";
        assert_eq!(page.title.as_deref(), Some(title));
        assert_eq!(page.description.as_deref(), Some("What \"tides\" do"));
        assert_eq!(
            page.canonical.as_deref(),
            Some("https://news.example/tides")
        );
        assert_eq!(page.settings, None);
    }

    #[test]
    fn settings_are_read_though_nothing_in_them_is_escaped() {
        let page = read(
            "<script type='application/imoneza'><Resource><Name>Tide tables</Name>\n\
             <Title>R&D: is 1 < 2? <![CDATA[<b>]]></Title><Byline/><Price>0.20</Price>\n\
             <ResourcePricingTiers><ResourcePricingTier><Tier>0</Tier><Price>0.60</Price>\n\
             </ResourcePricingTier><resourcepricingtier><Price>0.25</Price><Tier>60</Tier>\n\
             </resourcepricingtier></ResourcePricingTiers><PricingModel>TimeTiered</PricingModel>\n\
             </Resource></script><script type=\" Application/Wallit \"><!-- <Resource>\n\
             <price>0.30</price></Resource> --></script>",
        );
        let settings = page.settings.expect("settings");
        assert_eq!(settings.field("Title"), Some("R&D: is 1 < 2? <b>"));
        assert_eq!(settings.field("Byline"), Some(""));
        assert_eq!(settings.field("Price"), Some("0.30"));
        assert_eq!(settings.field("PricingModel"), Some("TimeTiered"));
        let tier = |from: &str, price: &str| (from.to_owned(), price.to_owned());
        assert_eq!(
            settings.tiers,
            Some(vec![tier("0", "0.60"), tier("60", "0.25")])
        );
        assert!(!settings.is_broken);
    }

    #[test]
    fn a_block_without_a_resource_is_broken() {
        let page = read("<script type=application/imoneza>{\"Price\": 1}</script>");
        assert!(page.settings.expect("settings").is_broken);
    }

    #[test]
    fn pages_that_end_anywhere_are_read_as_far_as_they_go() {
        let whole = "<title a=\"b\" c=>x&#65;</title><meta name=description content='d'><script \
                     type=application/imoneza><Resource><Price>1</Price></Resource></script><!-- -->";
        for end in 0..=whole.len() {
            read(&whole[..end]);
        }
        assert_eq!(read("<title>Cut").title.as_deref(), Some("Cut"));
        for odd in [
            "<",
            "</",
            "<=>",
            "<a = = =>",
            "<a\u{e4}=b\u{e4}>",
            "<!--->",
            "&#;",
            "<title>&#x110000;",
        ] {
            read(odd);
        }
    }

    #[test]
    fn long_pages_of_one_sign_take_no_longer_than_others() {
        for piece in [
            "<",
            "<title ",
            "<a b='",
            "</title",
            "<!--",
            "&",
            "<script>",
            "<meta name=",
        ] {
            read(&piece.repeat(100_000));
            let block = format!("<script type=application/imoneza>{}", piece.repeat(100_000));
            read(&block);
        }
    }
}
