//! References to places of a request, and templates of the signed text.

use http::HeaderName;

use super::message::BodyForm;
use crate::json::Pointer;
use crate::settings::SettingsError;
use crate::settings::tree::Node;

/// Most pieces of one template; the longest known one has fifteen.
const PARTS_MAX: usize = 64;

/// Longest name in a reference, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A place of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) place: Place,
    /// As the configuration writes it, for messages.
    pub(super) shown: String,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The exact body.
    Body,
    /// Its CRC-32 in decimal digits.
    BodyCrc32,
    /// The method.
    Method,
    /// The path as received.
    Path,
    /// A header.
    Header(HeaderName),
    /// A pair of the query, decoded once.
    Query(String),
    /// A pair of a form body, decoded once.
    Form(String),
    /// A pair beside the signature in its own carrier.
    Sig(String),
    /// A value of a JSON body.
    Json(Pointer),
    /// A value of one item of a JSON body.
    Item(Pointer),
    /// A value of what the platform answered when it was asked.
    Answer(Pointer),
}

impl Reference {
    /// Reads a reference such as `header:x-time` or `json:/data/id`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let name = |name: &str| (!name.is_empty() && name.len() <= NAME_BYTES_MAX).then(|| name.to_owned());
        let place = match text.split_once(':') {
            None => match text {
                "body" => Place::Body,
                "body|crc32" => Place::BodyCrc32,
                "method" => Place::Method,
                "path" => Place::Path,
                _ => return None,
            },
            Some(("header", header)) => Place::Header(HeaderName::from_bytes(name(header)?.as_bytes()).ok()?),
            Some(("query", pair)) => Place::Query(name(pair)?),
            Some(("form", pair)) => Place::Form(name(pair)?),
            Some(("sig", pair)) => Place::Sig(name(pair)?),
            Some(("json", pointer)) => Place::Json(Pointer::parse(pointer)?),
            Some(("item", pointer)) => Place::Item(Pointer::parse(pointer)?),
            Some(("answer", pointer)) => Place::Answer(Pointer::parse(pointer)?),
            Some(_) => return None,
        };
        Some(Self { place, shown: text.to_owned() })
    }

    /// The name, where the place is a pair of the query.
    pub(super) fn query_name(&self) -> Option<&str> {
        if let Place::Query(name) = &self.place { Some(name) } else { None }
    }

    /// The reference in a setting.
    pub(super) fn read(node: &Node<'_>) -> Result<Self, SettingsError> {
        let text = node.text()?;
        Self::parse(text).ok_or_else(|| node.error("unknown_reference").because(text))
    }
}

/// A text with values of the request in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(pub(super) Vec<Part>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// As it stands.
    Literal(String),
    /// The value at a place.
    Value(Reference),
    /// The secret, where a plain digest proves the message.
    Secret,
}

impl Template {
    /// Reads a template: `{reference}` stands for a value, `{cfg:NAME}` for a configured one, `{secret}` for the
    /// secret; `{{` and `}}` are braces.
    pub(super) fn read(node: &Node<'_>, configured: &[(String, String)]) -> Result<Self, SettingsError> {
        Self::of(node, node.text()?, configured)
    }

    /// Reads the template that a place of the configuration has as its text, or as a part of it.
    pub(super) fn of(node: &Node<'_>, text: &str, configured: &[(String, String)]) -> Result<Self, SettingsError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        let push = |parts: &mut Vec<Part>, literal: &mut String, part: Part| {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(literal)));
            }
            parts.push(part);
        };
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let end = rest.find('}').filter(|_| brace == "{").ok_or_else(|| node.error("malformed").because("{ }"))?;
            let (name, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            match name.strip_prefix("cfg:") {
                Some(name) => literal.push_str(configured_value(node, configured, name)?),
                None if name == "secret" => push(&mut parts, &mut literal, Part::Secret),
                None => {
                    let reference = Reference::parse(name)
                        .ok_or_else(|| node.error("unknown_reference").because(format!("{{{name}}}")))?;
                    push(&mut parts, &mut literal, Part::Value(reference));
                }
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if parts.len() > PARTS_MAX {
            return Err(node.error("out_of_range").because(format!("{} > {PARTS_MAX}", parts.len())));
        }
        Ok(Self(parts))
    }

    /// One value alone.
    pub(super) fn value(reference: Reference) -> Self {
        Self(vec![Part::Value(reference)])
    }

    /// Two values that nothing separates.
    pub(super) fn touching(&self) -> Option<(&Reference, &Reference)> {
        self.0.windows(2).find_map(|parts| match parts {
            [Part::Value(first), Part::Value(second)] => Some((first, second)),
            _ => None,
        })
    }

    /// The references.
    pub(super) fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(_) | Part::Secret => None,
            Part::Value(reference) => Some(reference),
        })
    }

    /// Whether the secret stands in it.
    pub(super) fn has_secret(&self) -> bool {
        self.0.contains(&Part::Secret)
    }

    fn has(&self, place: &Place) -> bool {
        self.references().any(|reference| reference.place == *place)
    }

    /// Whether something of the message is bound by its value.
    pub(super) fn binds_body(&self, form: BodyForm) -> bool {
        self.references().any(|reference| match reference.place {
            Place::Body | Place::Form(_) | Place::Json(_) | Place::Item(_) => true,
            Place::Query(_) => form == BodyForm::Query,
            _ => false,
        })
    }

    /// Whether a checksum binds the body: anybody finds another body with the same one.
    pub(super) fn sums_body(&self) -> bool {
        self.has(&Place::BodyCrc32)
    }

    /// Whether the value at this place is what was signed.
    pub(super) fn covers(&self, reference: &Reference) -> bool {
        let is_of_body = matches!(
            reference.place,
            Place::Body | Place::BodyCrc32 | Place::Form(_) | Place::Json(_) | Place::Item(_)
        );
        self.has(&reference.place) || (is_of_body && self.has(&Place::Body))
    }
}

/// The value of `values.NAME`.
fn configured_value<'c>(
    node: &Node<'_>,
    configured: &'c [(String, String)],
    name: &str,
) -> Result<&'c str, SettingsError> {
    let found = configured.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str()).ok_or_else(|| node.error("unknown_reference").because(format!("cfg:{name}")))
}

/// The names of the configured values that stand in a template that was read: what a fixed text of the configuration
/// happens to look like is not among them.
pub(super) fn configured_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (brace, after) = (&rest[at..=at], &rest[at + 1..]);
        rest = after.strip_prefix(brace).unwrap_or(after);
        if rest.len() == after.len()
            && let Some(name) = after.strip_prefix("cfg:").and_then(|name| name.split_once('}'))
        {
            names.push(name.0);
        }
    }
    names
}

/// A text in which only configured values may stand, such as the wanted key of a signature.
pub(super) fn fixed_text(node: &Node<'_>, configured: &[(String, String)]) -> Result<String, SettingsError> {
    match Template::read(node, configured)?.0.as_slice() {
        [Part::Literal(text)] => Ok(text.clone()),
        _ => Err(node.error("unknown_reference").because("cfg:NAME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platforms::crc32::crc32;
    use crate::settings::tree::Tree;

    fn read(text: &str) -> Result<Template, SettingsError> {
        let tree = Tree::text(text);
        Template::read(&Node::new("verify", &tree), &[("url".to_owned(), "https://x/".to_owned())])
    }

    #[test]
    fn templates_are_read_strictly() {
        let parts = |text: &str| read(text).unwrap().0;
        let value = |text: &str| Part::Value(Reference::parse(text).unwrap());
        assert_eq!(parts("{sig:t}.{body}"), [value("sig:t"), Part::Literal(".".into()), value("body")]);
        assert_eq!(parts("{cfg:url}{body}"), [Part::Literal("https://x/".into()), value("body")]);
        assert_eq!(parts("a{secret}{body}"), [Part::Literal("a".into()), Part::Secret, value("body")]);
        assert_eq!(parts("{{{body}}}"), [Part::Literal("{".into()), value("body"), Part::Literal("}".into())]);
        for (text, word) in [
            ("{body", "malformed"),
            ("body}", "malformed"),
            ("{cfg:nothing}", "unknown_reference"),
            ("{boddy}", "unknown_reference"),
            ("{json:id}", "unknown_reference"),
            ("{header:}", "unknown_reference"),
            ("{header:a b}", "unknown_reference"),
            ("{answer:id}", "unknown_reference"),
            (" ", "missing"),
        ] {
            assert_eq!(read(text).unwrap_err().word, word, "{text}");
        }
    }

    #[test]
    fn only_references_are_configured_values() {
        assert_eq!(configured_names("{cfg:a}|{{cfg:b}}|cfg:c|{json:/cfg:d}{{{cfg:e}{body}"), ["a", "e"]);
    }

    #[test]
    fn what_is_covered_is_what_stands_in_the_template() {
        let covers = |template: &str, text: &str| read(template).unwrap().covers(&Reference::parse(text).unwrap());
        assert!(covers("{body}", "json:/id") && covers("{body}", "form:a") && covers("{body}", "item:/a"));
        assert!(!covers("{body}", "header:x") && !covers("{body}", "query:x") && !covers("{body}", "sig:t"));
        assert!(covers("{json:/id}", "json:/id") && !covers("{json:/id}", "json:/amount"));
        assert!(covers("{header:X-A}{body}", "header:x-a"));
        let binds = |template: &str, form: BodyForm| read(template).unwrap().binds_body(form);
        assert!(!binds("{header:x}{method}", BodyForm::Json) && !binds("{body|crc32}", BodyForm::Json));
        assert!(read("{body|crc32}").unwrap().sums_body());
        assert!(binds("{query:a}", BodyForm::Query) && !binds("{query:a}", BodyForm::Json));
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(r#"{"id":"evt_1","amount":1000,"note":"café"}"#.as_bytes()), 2_910_813_677);
    }
}
