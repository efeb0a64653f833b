//! What is read, what is refused, and why.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { bytes_max: 4096, fields_max: 8 };

fn read(document: &str) -> Result<Vec<(String, String)>, XmlError> {
    Flat::parse(document.as_bytes(), LIMITS).map(|flat| flat.fields)
}

#[test]
fn values_are_the_exact_text() {
    for (inside, expected) in [
        ("", None),
        ("<a></a>", Some("")),
        ("<a/>", Some("")),
        ("<a />", Some("")),
        ("<a >x</a >", Some("x")),
        ("<a> x\r\n\t</a>", Some(" x\r\n\t")),
        ("<a><![CDATA[SUCCESS]]></a>", Some("SUCCESS")),
        ("<a><![CDATA[<b>&amp;]]></a>", Some("<b>&amp;")),
        ("<a> <![CDATA[x]]> y</a>", Some(" x y")),
        ("<a><![CDATA[]]]]><![CDATA[>]]></a>", Some("]]>")),
        ("<a>&lt;b&gt;&amp;amp;&quot;&apos;</a>", Some("<b>&amp;\"'")),
        ("<a>&#20013;&#x4e2D;&#13;&#x1F600;</a>", Some("中中\r😀")),
        ("<a>]] > \" ' = 中 😀</a>", Some("]] > \" ' = 中 😀")),
        ("<a>001e5</a>", Some("001e5")),
    ] {
        let fields = read(&format!("<xml>{inside}</xml>")).unwrap_or_else(|error| panic!("{inside}: {error}"));
        assert_eq!(fields.first().map(|(_, text)| text.as_str()), expected, "{inside}");
    }
}

#[test]
fn a_document_may_be_declared_and_spaced() {
    let fields = "<total_fee>1</total_fee>\n <coupon_id_0>2</coupon_id_0>\n";
    for (before, after) in [
        ("", ""),
        ("", "\r\n\t "),
        ("\n", ""),
        ("<?xml version=\"1.0\"?>", ""),
        ("<?xml version='1.0' encoding='utf-8'?>\n", "\n"),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n", ""),
        ("\u{feff}", ""),
        ("\u{feff}<?xml version=\"1.0\"?>", ""),
    ] {
        let document = format!("{before}<xml>\n {fields}</xml>{after}");
        let flat = Flat::parse(document.as_bytes(), LIMITS).unwrap_or_else(|error| panic!("{document}: {error}"));
        assert_eq!(flat.root(), "xml");
        assert_eq!(
            (flat.field("total_fee"), flat.field("coupon_id_0"), flat.field("xml")),
            (Some("1"), Some("2"), None)
        );
        assert_eq!(flat.sorted(), [("coupon_id_0", "2"), ("total_fee", "1")]);
    }
}

#[test]
fn what_two_readers_could_see_differently_is_refused() {
    let secret = r#"<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]>"#;
    let bomb = r#"<!DOCTYPE xml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>"#;
    for (document, expected) in [
        (format!("{secret}<xml><a>&a;</a></xml>"), XmlError::DocumentType),
        (format!("{bomb}<xml><a>&b;</a></xml>"), XmlError::DocumentType),
        ("<!DOCTYPE xml><xml/>".to_owned(), XmlError::DocumentType),
        ("<xml><a>&b;</a></xml>".to_owned(), XmlError::Reference),
        ("<xml><a>&nbsp;</a></xml>".to_owned(), XmlError::Reference),
        ("<xml><a>&LT;</a></xml>".to_owned(), XmlError::Reference),
        ("<xml><a>&#0;</a></xml>".to_owned(), XmlError::Reference),
        ("<xml><a>&#8;</a></xml>".to_owned(), XmlError::Reference),
        ("<xml><a>&#xD800;</a></xml>".to_owned(), XmlError::Reference),
        ("<xml><a>&#xFFFF;</a></xml>".to_owned(), XmlError::Reference),
        ("<xml><a>&#x110000;</a></xml>".to_owned(), XmlError::Reference),
        ("<xml><a>&#;</a></xml>".to_owned(), XmlError::Reference),
        ("<xml><a><b>1</b></a></xml>".to_owned(), XmlError::Nested),
        ("<xml><a>1<b/></a></xml>".to_owned(), XmlError::Nested),
        ("<xml><a>1</a><a>1</a></xml>".to_owned(), XmlError::Twice { name: "a".to_owned() }),
        ("<xml><a/><b/><a></a></xml>".to_owned(), XmlError::Twice { name: "a".to_owned() }),
        ("<?xml version='1.0' encoding='GBK'?><xml/>".to_owned(), XmlError::Encoding),
        ("<?xml version='1.0' encoding='UTF-16'?><xml/>".to_owned(), XmlError::Encoding),
    ] {
        assert_eq!(read(&document), Err(expected), "{document}");
    }
    assert_eq!(Flat::parse(b"<xml><a>\xff</a></xml>", LIMITS), Err(XmlError::Encoding));
    for document in [
        "",
        " ",
        "xml",
        "{}",
        "<xml>",
        "<xml><a>1</xml>",
        "<xml><a>1</b></xml>",
        "<xml><a>1</a>",
        "<xml><a>1",
        "</xml>",
        "<xml></xml><xml></xml>",
        "<xml/><xml/>",
        "<xml></xml>x",
        "<xml></xml>&amp;",
        "x<xml></xml>",
        "\u{feff}\u{feff}<xml/>",
        "<xml>\u{feff}</xml>",
        "<xml>text</xml>",
        "<xml>&#32;</xml>",
        "<xml><![CDATA[ ]]></xml>",
        "<![CDATA[]]><xml/>",
        "<xml><a>1</a> x <b>2</b></xml>",
        "<xml><!-- --><a>1</a></xml>",
        "<xml><a>1<!-- -->2</a></xml>",
        "<!-- --><xml/>",
        "<xml/><!-- -->",
        "<xml><a>1<?pi?>2</a></xml>",
        "<?pi?><xml/>",
        "<xml><?xml version='1.0'?></xml>",
        "<xml/><?xml version='1.0'?>",
        " <?xml version='1.0'?><xml/>",
        "<?xml version='1.0'?><?xml version='1.0'?><xml/>",
        "<?xml version='1.1'?><xml/>",
        "<?xml encoding='utf-8'?><xml/>",
        "<?xml?><xml/>",
        "<?xml version='1.0' encoding='utf-8' x?><xml/>",
        "<?xml version='1.0' version='1.0'?><xml/>",
        "<?xml version='1.0\"?><xml/>",
        "<?xml version='1.0' standalone='maybe'?><xml/>",
        "<?xml encoding='utf-8' version='1.0'?><xml/>",
        "<xml a='1'></xml>",
        "<xml><a b='1'>1</a></xml>",
        "<xml><a xmlns='u'>1</a></xml>",
        "<xml><n:a>1</n:a></xml>",
        "<xml><1a>1</1a></xml>",
        "<xml>< a>1</a></xml>",
        "<xml><a/ >1</a></xml>",
        "<xml><中>1</中></xml>",
        "<xml><>1</></xml>",
        "<xml><a>]]></a></xml>",
        "<xml><a>x]]>y</a></xml>",
        "<xml><a>\u{0}</a></xml>",
        "<xml><a>\u{8}</a></xml>",
        "<xml><a><![CDATA[\u{b}]]></a></xml>",
        "<xml><a>\u{ffff}</a></xml>",
        "<xml>\u{c}</xml>",
        "<xml><a>&</a></xml>",
        "<xml><a>& b;</a></xml>",
        "<xml><a>&amp</a></xml>",
        "<xml><a><![CDATA[x]]</a></xml>",
        "<xml><a><</a></xml>",
    ] {
        let found = read(document);
        assert!(matches!(found, Err(XmlError::Malformed | XmlError::Reference)), "{document:?} gave {found:?}");
    }
}

#[test]
fn limits_hold() {
    let fields = |count: usize| {
        let fields: Vec<String> = (0..count).map(|i| format!("<a{i}/>")).collect();
        format!("<xml>{}</xml>", fields.concat())
    };
    assert_eq!(read(&fields(8)).map(|fields| fields.len()), Ok(8));
    assert_eq!(read(&fields(9)), Err(XmlError::TooManyFields { limit: 8 }));
    let long = |count: usize| format!("<xml><a>{}</a></xml>", "x".repeat(count));
    let around = long(0).len();
    assert!(read(&long(LIMITS.bytes_max - around)).is_ok());
    assert_eq!(read(&long(LIMITS.bytes_max - around + 1)), Err(XmlError::TooLarge { limit: LIMITS.bytes_max }));
    assert_eq!(read(&"<a>".repeat(1000)), Err(XmlError::Nested));
    let name = "n".repeat(NAME_BYTES_MAX);
    assert!(read(&format!("<xml><{name}/></xml>")).is_ok());
    assert_eq!(read(&format!("<xml><{name}n/></xml>")), Err(XmlError::Malformed));
}

#[test]
fn a_blank_value_is_there_and_not_present() {
    let flat = Flat::parse(b"<xml><a></a><b> \n</b><c> x</c></xml>", LIMITS).unwrap();
    assert_eq!((flat.field("a"), flat.field("b"), flat.field("d")), (Some(""), Some(" \n"), None));
    assert_eq!((flat.present("a"), flat.present("b"), flat.present("c")), (None, None, Some(" x")));
}

/// Text that a document may hold.
fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![any::<char>(), "[]<>&;#!CDAT\\[ \n]".prop_map(|s| s.chars().next().unwrap())],
        0..20,
    )
    .prop_map(|chars| chars.into_iter().filter(|c| is_char(*c)).collect())
}

proptest! {
    #[test]
    fn what_was_written_is_read(texts in proptest::collection::vec(any_text(), 0..8)) {
        let named: Vec<(String, String)> = texts.into_iter().enumerate().map(|(i, t)| (format!("f_{i}"), t)).collect();
        let pairs = || named.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let flat = Flat::parse(encode("xml", pairs()).as_bytes(), LIMITS).unwrap();
        prop_assert_eq!(flat.fields(), named.as_slice());
        // The same with every character by its number.
        let numbered: Vec<String> = pairs()
            .map(|(name, text)| {
                let text: Vec<String> = text.chars().map(|c| format!("&#{};", u32::from(c))).collect();
                format!("<{name}>{}</{name}>", text.concat())
            })
            .collect();
        let again = Flat::parse(format!("<xml>{}</xml>", numbered.concat()).as_bytes(), LIMITS).unwrap();
        prop_assert_eq!(again, flat);
    }

    #[test]
    fn no_document_panics(document in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(flat) = Flat::parse(&document, LIMITS) {
            prop_assert!(flat.fields().len() <= LIMITS.fields_max);
        }
    }

    #[test]
    fn hostile_looking_documents_do_not_panic(pieces in proptest::collection::vec(
        proptest::sample::select(vec!["<xml>", "</xml>", "<a>", "</a>", "<a/>", "<![CDATA[", "]]>", "&lt;", "&#1;", "<!--",
            "-->", "<?xml version='1.0'?>", "<!DOCTYPE a [", "x", " "]), 0..12,
    )) {
        if let Ok(fields) = read(&pieces.concat()) {
            let pairs = fields.iter().map(|(name, text)| (name.as_str(), text.as_str()));
            prop_assert_eq!(read(&encode("xml", pairs)), Ok(fields.clone()));
        }
    }
}
