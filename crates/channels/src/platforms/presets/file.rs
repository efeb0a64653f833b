//! The file of a preset: a head for people, and the recipe in the language of the configured platform.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::head::Head;
use crate::settings::tree::{Node, Tree};

/// Tables of a file: the head, and what a configured channel has.
const TABLES: [&str; 4] = ["preset", "verify", "event", "reply"];

/// Digits of an example secret: as many bytes as any algorithm wants, whether they are read as text, as hexadecimal
/// or as base64.
pub(super) const SECRET_DIGITS: usize = 64;

/// The recipe of a file.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) verify: Tree,
    pub(super) event: Tree,
    pub(super) reply: Option<Tree>,
}

impl Recipe {
    /// Whether messages name the secret that signed them.
    pub(super) fn has_key_id(&self) -> bool {
        member(&self.verify, "key_id").is_some()
    }

    /// What stands before the platform's secrets.
    pub(super) fn secret_prefix(&self) -> &str {
        match member(&self.verify, "secret").and_then(|secret| member(secret, "strip_prefix")) {
            Some(Tree::Text(prefix)) => prefix,
            _ => "",
        }
    }

    /// A secret of these digits, as the platform's console would show it.
    pub(super) fn secret(&self, digits: &str) -> String {
        format!("{}{digits}", self.secret_prefix())
    }
}

/// Reads a file.
pub(super) fn read(text: &str) -> Result<(Head, Recipe), String> {
    let tree = parsed(text)?;
    let keys = Node::new("preset", &tree).table(&TABLES).map_err(|error| error.to_string())?;
    let head = keys.required("preset").and_then(Head::read).map_err(|error| error.to_string())?;
    let part = |name: &str| keys.get(name).map(|node| node.tree().clone());
    let needed = |name: &str| part(name).ok_or_else(|| format!("no [{name}]"));
    Ok((head, Recipe { verify: needed("verify")?, event: needed("event")?, reply: part("reply") }))
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
