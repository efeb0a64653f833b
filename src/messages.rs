//! Texts for people, in two languages from one set of keys. A message is a key and its values until it is
//! shown; only then does a language come in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;

/// A language that the product speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lang {
    /// English.
    En,
    /// 中文.
    Zh,
}

impl Lang {
    /// Both.
    pub const ALL: &[Self] = &[Self::En, Self::Zh];

    /// The flag first, then the environment as POSIX orders it; English otherwise.
    pub fn from_environment(flag: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let word =
            flag.map(str::to_owned).or_else(|| set("LC_ALL")).or_else(|| set("LC_MESSAGES")).or_else(|| set("LANG"));
        if word.is_some_and(|word| word.to_ascii_lowercase().starts_with("zh")) { Self::Zh } else { Self::En }
    }

    /// A text without placeholders, as the catalogue holds it. A key that it does not know shows itself.
    pub fn fixed(self, key: &'static str) -> &'static str {
        self.catalogue().get(key).map_or(key, String::as_str)
    }

    fn catalogue(self) -> &'static BTreeMap<String, String> {
        static EN: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| flatten(include_str!("messages/en.toml")));
        static ZH: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| flatten(include_str!("messages/zh.toml")));
        match self {
            Self::En => &EN,
            Self::Zh => &ZH,
        }
    }
}

/// A text to be: its key and the values of its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    key: Cow<'static, str>,
    values: Vec<(&'static str, String)>,
    /// English and Chinese, where somebody else has the words.
    given: Option<[String; 2]>,
}

impl Message {
    /// A message with a key that the tests find in the source.
    pub fn new(key: &'static str) -> Self {
        Self { key: Cow::Borrowed(key), values: Vec::new(), given: None }
    }

    /// A message of a family of keys (`rejection.…`), each of which has a test of its own.
    pub fn dynamic(key: String) -> Self {
        Self { key: Cow::Owned(key), values: Vec::new(), given: None }
    }

    /// A message whose text somebody else has, such as a registry whose entries describe themselves. No catalogue has the
    /// key.
    pub fn given(key: String, text: impl Fn(Lang) -> String) -> Self {
        let given = Some([text(Lang::En), text(Lang::Zh)]);
        Self { key: Cow::Owned(key), values: Vec::new(), given }
    }

    /// Gives a placeholder its value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The text. A key that no catalogue knows shows itself.
    pub fn text(&self, lang: Lang) -> String {
        if let Some([en, zh]) = &self.given {
            let text = match lang {
                Lang::En => en,
                Lang::Zh => zh,
            };
            return text.clone();
        }
        let Some(template) = lang.catalogue().get(self.key.as_ref()) else {
            return self.key.clone().into_owned();
        };
        let mut text = String::with_capacity(template.len());
        let mut rest = template.as_str();
        // One pass, so that a value with braces in it is not read as a placeholder.
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let Some((name, behind)) = after.split_once('}') else {
                text.push('{');
                rest = after;
                continue;
            };
            match self.values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => text.push_str(value),
                None => text.push_str(name),
            }
            rest = behind;
        }
        text.push_str(rest);
        text
    }
}

fn flatten(source: &str) -> BTreeMap<String, String> {
    fn walk(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                toml::Value::Table(inner) => walk(&key, inner, into),
                toml::Value::String(text) => {
                    into.insert(key, text.clone());
                }
                _ => {}
            }
        }
    }
    let table: toml::Table = toml::from_str(source).expect("the catalogues are tested");
    let mut flat = BTreeMap::new();
    walk("", &table, &mut flat);
    flat
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name)).collect()
    }

    #[test]
    fn both_catalogues_hold_the_same_keys_and_placeholders() {
        let (en, zh) = (Lang::En.catalogue(), Lang::Zh.catalogue());
        let keys = |c: &BTreeMap<String, String>| c.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(en).symmetric_difference(&keys(zh)).collect::<Vec<_>>(), Vec::<&String>::new());
        for (key, english) in en {
            let chinese = &zh[key];
            assert_eq!(placeholders(english), placeholders(chinese), "{key}");
            assert!(!english.trim().is_empty() && !chinese.trim().is_empty(), "{key} is empty");
            let has_han = chinese.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
            assert!(has_han, "{key} is not Chinese: {chinese}");
        }
    }

    #[test]
    fn every_key_in_the_source_exists_and_every_key_is_used() {
        let families = [
            "advice.",
            "setting.",
            "outcome.",
            "state.",
            "hint_state.",
            "hint_ground.",
            "question.",
            "concern.",
            "rejection.",
            "refused.",
            "fact.",
            "unread.",
            "weakness.",
            "severity.",
            "security.",
            "cure.",
            "cli.",
            "column.",
            "show.",
        ];
        let mut sources = String::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    sources.push_str(&fs::read_to_string(path).unwrap());
                }
            }
        }
        let en = Lang::En.catalogue();
        for part in sources.split("Message::new(\"").skip(1) {
            let key = part.split('"').next().unwrap();
            assert!(en.contains_key(key), "`{key}` is used and has no text");
        }
        for key in en.keys() {
            let is_used =
                families.iter().any(|family| key.starts_with(family)) || sources.contains(&format!("\"{key}\""));
            assert!(is_used, "`{key}` has a text and is not used");
        }
    }

    #[test]
    fn the_language_comes_from_the_flag_then_from_the_environment() {
        let from = |flag: Option<&str>, set: &[(&str, &str)]| {
            Lang::from_environment(flag, |name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(from(None, &[]), Lang::En);
        assert_eq!(from(Some("zh"), &[("LANG", "en_US.UTF-8")]), Lang::Zh);
        assert_eq!(from(None, &[("LANG", "zh_CN.UTF-8")]), Lang::Zh);
        assert_eq!(from(None, &[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")]), Lang::En);
        assert_eq!(from(None, &[("LC_ALL", ""), ("LANG", "zh_CN.UTF-8")]), Lang::Zh);
    }

    #[test]
    fn a_value_with_braces_stays_as_it_is() {
        let message = Message::new("error.unknown_channel").with("name", "{name}");
        assert!(message.text(Lang::En).contains("{name}"));
    }

    #[test]
    fn a_text_of_somebody_else_is_told_in_both_languages() {
        let message = Message::given("finding.one".to_owned(), |lang| format!("{{name}} {lang:?}"));
        assert_eq!(Lang::ALL.iter().map(|lang| message.text(*lang)).collect::<Vec<_>>(), ["{name} En", "{name} Zh"]);
        assert_eq!(message.key(), "finding.one");
    }
}
