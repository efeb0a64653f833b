use proptest::prelude::*;

use super::super::Nested;
use super::*;

const LIMITS: Limits = Limits { bytes_max: 8192, fields_max: 24 };

fn read(document: &str) -> Result<Tree, XmlError> {
    Tree::parse(document.as_bytes(), LIMITS)
}

fn texts(document: &str) -> Vec<(String, String)> {
    read(document).unwrap_or_else(|error| panic!("{document}: {error}")).texts()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec()
}

/// A document as it was read, in the plainest way.
fn written(node: Node<'_>) -> String {
    let attributes: Vec<String> =
        node.attributes().iter().map(|(name, value)| format!(" {name}=\"{}\"", value.replace('"', "'"))).collect();
    let inner: String = if node.has_elements() {
        node.children().map(written).collect()
    } else {
        node.text().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#13;")
    };
    format!("<{0}{1}>{inner}</{0}>", node.name(), attributes.concat())
}

#[test]
fn elements_have_attributes_and_come_again() {
    let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<notification>\n  <kind>x</kind>\n  <at type='datetime'\n \
                    >2026</at>\n  <subject><list type=\"array\" size=\"2\"><item>a</item><item ><n>b</n></item></list>\
                    <none nil=\"true\"/><kind>&lt;y&#x3e;</kind></subject>\n</notification>\n";
    let tree = read(document).unwrap();
    let root = tree.root();
    assert_eq!(
        (root.name(), root.attribute("type"), root.text(), root.has_elements()),
        ("notification", None, "", true)
    );
    let names: Vec<&str> = root.children().map(Node::name).collect();
    assert_eq!(names, ["kind", "at", "subject"]);
    let at = root.children().nth(1).unwrap();
    assert_eq!((at.attribute("type"), at.text(), at.attributes().len()), (Some("datetime"), "2026", 1));
    let list = root.children().nth(2).unwrap().children().next().unwrap();
    assert_eq!((list.attribute("type"), list.attribute("size"), list.attribute("x")), (Some("array"), Some("2"), None));
    assert_eq!(
        tree.texts(),
        pairs([
            ("kind", "x"),
            ("at", "2026"),
            ("subject/list/item", "a"),
            ("subject/list/item[2]/n", "b"),
            ("subject/none", ""),
            ("subject/kind", "<y>"),
        ])
    );
    assert_eq!(texts("<x/>"), []);
    assert_eq!(texts("<x> <a> \r\n</a> </x>"), pairs([("a", " \r\n")]));
    assert_eq!(texts("<x><a/><b/><a/><a/></x>"), pairs([("a", ""), ("b", ""), ("a[2]", ""), ("a[3]", "")]));
    // Text directly under the root is the root's own, and no field.
    assert_eq!(read("<x a=\"1\">t</x>").unwrap().root().text(), "t");
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for document in [
        "",
        " ",
        "text",
        "<x>",
        "<x><a>1</x>",
        "<x><a>1</b></x>",
        "<x>text<a>1</a></x>",
        "<x><a>1</a>text</x>",
        "<x><a><![CDATA[ ]]><b>2</b></a></x>",
        "<x>&#32;<b>2</b></x>",
        "<x><n:a>1</n:a></x>",
        "<x><a>]]></a></x>",
        "<x><!-- c --></x>",
        "<x><?p i?></x>",
        "<x/><y/>",
        "<x/>text",
        "<x a></x>",
        "<x a=></x>",
        "<x a=1></x>",
        "<x a=\"1></x>",
        "<x a='1\"></x>",
        "<x a=\"1\"b=\"2\"></x>",
        "<x a =\"1\"/>",
        "<x a= \"1\"/>",
        "<x a=\"<\"/>",
        "<x a=\"&lt;\"/>",
        "<x a=\"&e;\"/>",
        "<x a=\"1\t2\"/>",
        "<x a=\"1\r\n\"/>",
        "<x a=\"\0\"/>",
        "<x a=\"\u{ffff}\"/>",
        "<x xmlns=\"http://www.w3.org/1999/xhtml\"/>",
        "<x xml:lang=\"en\"/>",
        "<x n:a=\"1\"/>",
        "<x 1=\"1\"/>",
        "<x \"1\"/>",
        "<x></x a=\"1\">",
        "<x / a=\"1\">",
        "<x a=\"1\" /",
        "<?xml version=\"1.1\"?><x/>",
    ] {
        assert_eq!(read(document), Err(XmlError::Malformed), "{document:?}");
    }
    for (document, error) in [
        ("<!DOCTYPE x [<!ENTITY e \"1\">]><x><a>&e;</a></x>", XmlError::DocumentType),
        ("<x><!DOCTYPE x></x>", XmlError::DocumentType),
        ("<x><a>&e;</a></x>", XmlError::Reference),
        ("<x><a>&#0;</a></x>", XmlError::Reference),
        ("<?xml version=\"1.0\" encoding=\"GBK\"?><x/>", XmlError::Encoding),
        ("<x a=\"1\" b=\"2\" a=\"3\"/>", XmlError::Twice { name: "a".to_owned() }),
    ] {
        assert_eq!(read(document), Err(error), "{document:?}");
    }
    assert_eq!(Tree::parse(b"<x a=\"\xff\"/>", LIMITS), Err(XmlError::Encoding));
}

#[test]
fn the_readers_without_attributes_go_on_refusing_them() {
    let document = "<x><a b=\"c\">1</a></x>";
    assert!(read(document).is_ok());
    assert_eq!(Nested::parse(document.as_bytes(), LIMITS, &[]), Err(XmlError::Malformed));
    assert_eq!(super::super::Flat::parse(document.as_bytes(), LIMITS), Err(XmlError::Malformed));
}

#[test]
fn limits_hold() {
    let nested = |depth: usize| format!("<x>{}{}</x>", "<a>".repeat(depth), "</a>".repeat(depth));
    assert_eq!(texts(&nested(TREE_DEPTH_MAX)).len(), 1);
    assert_eq!(read(&nested(TREE_DEPTH_MAX + 1)), Err(XmlError::Nested));
    assert_eq!(texts(&format!("<x>{}</x>", "<a/>".repeat(24))).len(), 24);
    assert_eq!(read(&format!("<x>{}</x>", "<a/>".repeat(25))), Err(XmlError::TooManyFields { limit: 24 }));
    let attributes = |count: usize| {
        (0..count).flat_map(|at| [" a".to_owned(), at.to_string(), "='1'".to_owned()]).collect::<String>()
    };
    assert!(read(&format!("<x{}/>", attributes(ATTRIBUTES_MAX))).is_ok());
    let many = read(&format!("<x{}/>", attributes(ATTRIBUTES_MAX + 1)));
    assert_eq!(many, Err(XmlError::TooManyFields { limit: ATTRIBUTES_MAX }));
    assert_eq!(read(&" ".repeat(8193)), Err(XmlError::TooLarge { limit: 8192 }));
}

/// A document in which elements are closed in the order of their beginnings; most can be read.
fn document_of(steps: &[u8]) -> String {
    let (mut document, mut open) = ("<x>".to_owned(), Vec::new());
    for step in steps {
        let name = ["a", "b", "c", "d"][usize::from(step % 4)];
        match step / 4 {
            0..=2 => {
                open.push(name);
                let attributes = ["", " type='array'", " nil=\"true\" b=''", " a='\"'"][usize::from(step / 3 % 4)];
                document.extend(["<", name, attributes, ">"]);
            }
            3 => document += ["t", " ", "&lt;a>", "<![CDATA[&a;<b/>]]>"][usize::from(step % 4)],
            _ => open.pop().iter().for_each(|name| document.extend(["</", name, ">"])),
        }
    }
    open.iter().rev().for_each(|name| document.extend(["</", name, ">"]));
    document + "</x>"
}

proptest! {
    /// Nothing panics, and whatever is read is what a plain document would have said.
    #[test]
    fn what_is_read_is_written_back_equal(
        noise in "(<[ab/]{1,3}( [ab]='[ab\"<]?')?>|[ <>&;a=\"'\\]\\[!C]|<!\\[CDATA\\[|\\]\\]>){0,30}",
        steps in proptest::collection::vec(0_u8..20, 0..24),
    ) {
        for document in [noise, document_of(&steps)] {
            if let Ok(found) = read(&document) {
                let again = read(&written(found.root())).unwrap();
                prop_assert_eq!(again.texts(), found.texts(), "{}", document);
                prop_assert_eq!(again.elements.len(), found.elements.len());
            }
        }
    }

    #[test]
    fn what_the_nested_reader_takes_reads_alike(steps in proptest::collection::vec(0_u8..20, 0..24)) {
        let document = document_of(&steps);
        if let Ok(found) = Nested::parse(document.as_bytes(), LIMITS, &["b/a"]) {
            let mut expected = found.fields().to_vec();
            let mut read = texts(&document);
            // One names an element when it ends, the other when it begins.
            expected.sort();
            read.sort();
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn no_document_panics(document in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(tree) = Tree::parse(&document, LIMITS) {
            prop_assert!(tree.texts().len() <= LIMITS.fields_max);
        }
    }
}
