//! The file of a preset: a head for people, and the recipe in the language of the configured platform.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::head::Head;
use crate::settings::tree::{Node, Tree};

/// Tables of a file: the head, and what a configured channel has.
const TABLES: [&str; 5] = ["preset", "verify", "event", "fetch", "reply"];

/// The recipe of a file.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) verify: Tree,
    pub(super) event: Tree,
    pub(super) fetch: Option<Tree>,
    pub(super) reply: Option<Tree>,
}

impl Recipe {
    /// The settings of the configured platform that a channel of this recipe has beside its account and values.
    pub(super) fn settings(&self) -> Vec<&'static str> {
        let mut used = match self.algorithm() {
            "rsa-sha256" | "ed25519" => vec!["public_key", "key"],
            "none" => Vec::new(),
            _ => vec!["secret", "secret_files", "key"],
        };
        if member(&self.verify, "key_id").is_some() {
            used.push("key_id");
        }
        if self.fetch.is_some() {
            used.extend(["api_key", "api_base"]);
        }
        used
    }

    /// Whether a secret signs that the merchant has, too.
    #[cfg(feature = "simulate")]
    pub(super) fn has_secret(&self) -> bool {
        self.settings().contains(&"secret")
    }

    /// Whether messages about money say how much.
    #[cfg(feature = "simulate")]
    pub(super) fn states_amounts(&self) -> bool {
        !matches!(member(&self.event, "amount"), Some(Tree::Text(word)) if word == "unstated")
    }

    /// The word of the pair that signs, where the platform alone has the private half.
    #[cfg(feature = "simulate")]
    pub(super) fn pair_word(&self) -> Option<&'static str> {
        match self.algorithm() {
            "rsa-sha256" => Some("rsa"),
            "ed25519" => Some("ed25519"),
            _ => None,
        }
    }

    fn algorithm(&self) -> &str {
        match member(&self.verify, "algorithm") {
            Some(Tree::Text(algorithm)) => algorithm,
            _ => "",
        }
    }
}

/// Reads a file.
pub(super) fn read(text: &str) -> Result<(Head, Recipe), String> {
    let tree = parsed(text)?;
    let keys = Node::new("preset", &tree).table(&TABLES).map_err(|error| error.to_string())?;
    let head = keys.required("preset").and_then(Head::read).map_err(|error| error.to_string())?;
    let part = |name: &str| keys.get(name).map(|node| node.tree().clone());
    let needed = |name: &str| part(name).ok_or_else(|| format!("no [{name}]"));
    let recipe =
        Recipe { verify: needed("verify")?, event: needed("event")?, fetch: part("fetch"), reply: part("reply") };
    Ok((head, recipe))
}

/// The whole text as a tree.
pub(super) fn parsed(text: &str) -> Result<Tree, String> {
    let table = DeTable::parse(text).map_err(|error| error.to_string())?;
    tree(&DeValue::Table(table.into_inner()))
}

/// A value of the file as settings have it, tables in the order of the file.
fn tree(value: &DeValue<'_>) -> Result<Tree, String> {
    match value {
        DeValue::String(text) => Ok(Tree::text(text)),
        DeValue::Boolean(flag) => Ok(Tree::Flag(*flag)),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            digits.parse().map(Tree::Number).map_err(|_| format!("`{digits}` is no whole number"))
        }
        DeValue::Array(items) => {
            items.iter().map(|item| tree(item.get_ref())).collect::<Result<_, _>>().map(Tree::List)
        }
        DeValue::Table(table) => {
            let mut members: Vec<(&Spanned<_>, &Spanned<DeValue<'_>>)> = table.iter().collect();
            members.sort_by_key(|(name, _)| name.span().start);
            let member = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                Ok((name.get_ref().to_string(), tree(value.get_ref())?))
            };
            members.into_iter().map(member).collect::<Result<_, String>>().map(Tree::Table)
        }
        DeValue::Float(_) | DeValue::Datetime(_) => {
            Err("a number with a point, or a date: texts are wanted".to_owned())
        }
    }
}

fn member<'t>(tree: &'t Tree, name: &str) -> Option<&'t Tree> {
    let Tree::Table(members) = tree else { return None };
    members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}
