//! Nested settings: a table of the file as an owned tree, and a reader that knows where it stands, so that
//! every mistake names its dotted path and the configuration can point at that very line.

use std::fmt;

use zeroize::Zeroizing;

use super::SettingsError;

/// A value of a nested setting.
#[derive(Clone)]
pub enum Tree {
    /// A text.
    Text(String),
    /// A whole number, never negative.
    Number(u64),
    /// True or false.
    Flag(bool),
    /// A list.
    List(Vec<Tree>),
    /// A table, in the order of the file.
    Table(Vec<(String, Tree)>),
    /// Secret key material, resolved from wherever the file says it is.
    Secret(Zeroizing<Vec<u8>>),
}

impl Tree {
    /// A table.
    pub fn table<'k>(pairs: impl IntoIterator<Item = (&'k str, Self)>) -> Self {
        Self::Table(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Debug for Tree {
    /// Shows the shape and the names, not the texts: some of them may be pasted secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("\"…\""),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Table(pairs) => f.debug_map().entries(pairs.iter().map(|(key, value)| (key, value))).finish(),
            Self::Secret(_) => f.write_str("Key(…)"),
        }
    }
}

/// One step from a setting into its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// A place in a list, from 0.
    Index(usize),
}

/// A path as it is shown: `.map."charge.refunded"[1].when`.
pub fn dotted(path: &[Step]) -> String {
    let is_bare = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let step = |step: &Step| match step {
        Step::Key(key) if is_bare(key) => format!(".{key}"),
        Step::Key(key) => format!(".\"{}\"", crate::channel::quote(key)),
        Step::Index(index) => format!("[{index}]"),
    };
    path.iter().map(step).collect()
}

/// A value of a tree, and where it stands.
#[derive(Clone, Debug)]
pub struct Node<'t> {
    setting: &'static str,
    path: Vec<Step>,
    tree: &'t Tree,
}

impl<'t> Node<'t> {
    /// The whole tree of a setting.
    pub fn new(setting: &'static str, tree: &'t Tree) -> Self {
        Self { setting, path: Vec::new(), tree }
    }

    /// The value itself.
    pub fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// What is wrong with this value. `word` is one of [`super::SETTINGS_ERRORS`].
    pub fn error(&self, word: &'static str) -> SettingsError {
        SettingsError::new(self.setting, word).at(self.path.clone())
    }

    /// A value inside.
    fn inner(&self, step: Step, tree: &'t Tree) -> Self {
        let mut path = self.path.clone();
        path.push(step);
        Self { setting: self.setting, path, tree }
    }

    fn wrong_type(&self, expected: &str) -> SettingsError {
        self.error("wrong_type").because(expected)
    }

    /// A text that is not blank.
    ///
    /// # Errors
    /// `wrong_type` or `missing`.
    pub fn text(&self) -> Result<&'t str, SettingsError> {
        match self.tree {
            Tree::Text(text) if text.trim().is_empty() => Err(self.error("missing")),
            Tree::Text(text) => Ok(text),
            _ => Err(self.wrong_type("text")),
        }
    }

    /// A text that may be empty or blank, such as a separator or a body.
    ///
    /// # Errors
    /// `wrong_type`.
    pub fn raw_text(&self) -> Result<&'t str, SettingsError> {
        match self.tree {
            Tree::Text(text) => Ok(text),
            _ => Err(self.wrong_type("text")),
        }
    }

    /// A text, number or flag as text.
    ///
    /// # Errors
    /// `wrong_type`.
    pub fn plain(&self) -> Result<String, SettingsError> {
        match self.tree {
            Tree::Text(text) => Ok(text.clone()),
            Tree::Number(number) => Ok(number.to_string()),
            Tree::Flag(flag) => Ok(flag.to_string()),
            _ => Err(self.wrong_type("text, number, true or false")),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// `wrong_type`.
    pub fn number(&self) -> Result<u64, SettingsError> {
        match self.tree {
            Tree::Number(number) => Ok(*number),
            _ => Err(self.wrong_type("number")),
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// `wrong_type`.
    pub fn flag(&self) -> Result<bool, SettingsError> {
        match self.tree {
            Tree::Flag(flag) => Ok(*flag),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// A word of a closed set, by its meaning.
    ///
    /// # Errors
    /// `unknown_word` with the known ones.
    pub fn word<T: Copy>(&self, known: &[(&str, T)]) -> Result<T, SettingsError> {
        let text = self.text()?;
        known.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            self.error("unknown_word").because(words.join(", "))
        })
    }

    /// One value or a list of 1 to `most`.
    ///
    /// # Errors
    /// `empty_list` or `out_of_range`.
    pub fn one_or_many(&self, most: usize) -> Result<Vec<Self>, SettingsError> {
        let Tree::List(items) = self.tree else { return Ok(vec![self.clone()]) };
        if items.is_empty() {
            return Err(self.error("empty_list"));
        }
        if items.len() > most {
            return Err(self.error("out_of_range").because(format!("{} > {most}", items.len())));
        }
        Ok(items.iter().enumerate().map(|(index, item)| self.inner(Step::Index(index), item)).collect())
    }

    /// The values of a table under free names, in the order of the file.
    ///
    /// # Errors
    /// `wrong_type`.
    pub fn entries(&self) -> Result<Vec<(&'t str, Self)>, SettingsError> {
        let Tree::Table(pairs) = self.tree else { return Err(self.wrong_type("table")) };
        Ok(pairs.iter().map(|(key, value)| (key.as_str(), self.inner(Step::Key(key.clone()), value))).collect())
    }

    /// A table of these keys only.
    ///
    /// # Errors
    /// `wrong_type`, or `unknown_key` with the known ones.
    pub fn table(&self, known: &[&str]) -> Result<Keys<'t>, SettingsError> {
        let entries = self.entries()?;
        if let Some((_, unknown)) = entries.iter().find(|(key, _)| !known.contains(key)) {
            return Err(unknown.error("unknown_key").because(known.join(", ")));
        }
        Ok(Keys { node: self.clone(), entries })
    }

    /// Whether this is a table.
    pub fn is_table(&self) -> bool {
        matches!(self.tree, Tree::Table(_))
    }
}

/// A table whose keys are known.
#[derive(Clone, Debug)]
pub struct Keys<'t> {
    node: Node<'t>,
    entries: Vec<(&'t str, Node<'t>)>,
}

impl<'t> Keys<'t> {
    /// The value of a key, when it is there.
    pub fn get(&self, key: &str) -> Option<&Node<'t>> {
        self.entries.iter().find(|(name, _)| *name == key).map(|(_, node)| node)
    }

    /// The value of a key that must be there.
    ///
    /// # Errors
    /// `missing` at the key.
    pub fn required(&self, key: &str) -> Result<&Node<'t>, SettingsError> {
        self.get(key).ok_or_else(|| self.missing(key))
    }

    /// A key that must be there and is not.
    pub fn missing(&self, key: &str) -> SettingsError {
        let mut path = self.node.path.clone();
        path.push(Step::Key(key.to_owned()));
        SettingsError::new(self.node.setting, "missing").at(path)
    }

    /// The table itself.
    pub fn node(&self) -> &Node<'t> {
        &self.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let when = Tree::table([("a.b", Tree::Number(1))]);
        Tree::table([("map", Tree::table([("x.y", Tree::List(vec![Tree::Flag(true), when]))]))])
    }

    #[test]
    fn mistakes_name_their_path() {
        let tree = tree();
        let node = Node::new("event", &tree);
        let keys = node.table(&["map"]).unwrap();
        let (_, list) = keys.get("map").unwrap().entries().unwrap().remove(0);
        let items = list.one_or_many(2).unwrap();
        assert!(items[0].flag().unwrap());
        let (_, inner) = items[1].entries().unwrap().remove(0);
        assert_eq!(inner.text().unwrap_err().key(), r#"event.map."x.y"[1]."a.b""#);
        assert_eq!(list.one_or_many(1).unwrap_err().word, "out_of_range");
        assert_eq!(node.table(&["nap"]).unwrap_err().key(), "event.map");
        assert_eq!(keys.required("id").unwrap_err().key(), "event.id");
        assert_eq!(node.text().unwrap_err().key(), "event");
    }

    #[test]
    fn texts_and_secrets_are_not_shown() {
        let tree = Tree::table([("a", Tree::text("hush")), ("b", Tree::Secret(b"hush".to_vec().into()))]);
        assert_eq!(format!("{tree:?}"), r#"{"a": "…", "b": Key(…)}"#);
    }
}
