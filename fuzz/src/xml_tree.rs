//! XML with attributes and lists: whatever is taken, a general reader of XML takes, too, and sees the same elements,
//! attributes and texts in it.

use roxmltree::{Document, Error, Node as General};
use tollbell_channels::xml::{ATTRIBUTES_MAX, Limits, Node, TREE_DEPTH_MAX, Tree, XmlError};

const WIDE: Limits = Limits { bytes_max: 1 << 20, fields_max: 1 << 20 };

pub(crate) fn check(data: &[u8]) {
    let Ok(tree) = Tree::parse(data, WIDE) else { return };
    let text = std::str::from_utf8(data).expect("it was read");
    let count = count(tree.root()) - 1;
    limits_hold(data, count);
    assert!(tree.texts().len() <= count.max(1), "no more texts than elements");
    let mut paths: Vec<String> = tree.texts().into_iter().map(|(path, _)| path).collect();
    paths.sort_unstable();
    assert!(paths.windows(2).all(|two| two[0] != two[1]), "each path once: {text:?}");
    assert_eq!(Tree::parse(written(tree.root()).as_bytes(), WIDE).map(|again| again.texts()), Ok(tree.texts()));
    match Document::parse(text) {
        // Names in namespaces, and line ends, which a general reader makes one sign (XML 1.0, section 2.11).
        Err(Error::UnknownNamespace(..)) => {}
        _ if text.contains('\r') => {}
        Err(error) => panic!("a general reader refuses {text:?}: {error}"),
        Ok(general) => agree(tree.root(), general.root_element(), 0, text),
    }
}

fn agree(ours: Node<'_>, theirs: General<'_, '_>, depth: usize, text: &str) {
    assert!(depth <= TREE_DEPTH_MAX, "{text:?}");
    assert_eq!(ours.name(), theirs.tag_name().name(), "{text:?}");
    let attributes: Vec<(&str, &str)> = theirs.attributes().map(|one| (one.name(), one.value())).collect();
    let own: Vec<(&str, &str)> =
        ours.attributes().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(own, attributes, "{text:?}");
    assert!(own.len() <= ATTRIBUTES_MAX && own.iter().all(|(name, value)| ours.attribute(name) == Some(value)));
    let elements: Vec<General<'_, '_>> = theirs.children().filter(General::is_element).collect();
    let texts = theirs.children().filter(|node| !node.is_element()).map(|node| node.text().unwrap_or_default());
    let texts: String = texts.collect();
    assert_eq!(ours.has_elements(), !elements.is_empty(), "{text:?}");
    if elements.is_empty() {
        assert_eq!(ours.text(), texts, "{text:?}");
    } else {
        assert!(ours.text().is_empty() && texts.chars().all(|c| " \t\r\n".contains(c)), "{text:?}");
    }
    assert_eq!(ours.children().count(), elements.len(), "{text:?}");
    ours.children().zip(elements).for_each(|(ours, theirs)| agree(ours, theirs, depth + 1, text));
}

/// The same document in the plainest way.
fn written(node: Node<'_>) -> String {
    let quoted = |value: &str| if value.contains('"') { format!("'{value}'") } else { format!("\"{value}\"") };
    let attributes = node.attributes().iter().map(|(name, value)| format!(" {name}={}", quoted(value)));
    let attributes: String = attributes.collect();
    let inner: String = if node.has_elements() {
        node.children().map(written).collect()
    } else {
        node.text().chars().flat_map(|c| ["&#".to_owned(), u32::from(c).to_string(), ";".to_owned()]).collect()
    };
    format!("<{0}{attributes}>{inner}</{0}>", node.name())
}

fn count(node: Node<'_>) -> usize {
    1 + node.children().map(count).sum::<usize>()
}

/// A limit is the last number that passes.
fn limits_hold(document: &[u8], count: usize) {
    assert!(Tree::parse(document, Limits { bytes_max: document.len(), fields_max: count }).is_ok());
    let bytes_max = document.len() - 1;
    assert_eq!(Tree::parse(document, Limits { bytes_max, ..WIDE }), Err(XmlError::TooLarge { limit: bytes_max }));
    if let Some(fields_max) = count.checked_sub(1) {
        let found = Tree::parse(document, Limits { fields_max, ..WIDE });
        assert_eq!(found, Err(XmlError::TooManyFields { limit: fields_max }));
    }
}
