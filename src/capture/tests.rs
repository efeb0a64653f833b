use super::*;

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn one(text: &str) -> Capture {
    let mut found = read(text.as_bytes(), at()).unwrap();
    assert_eq!(found.len(), 1, "{text}");
    found.remove(0)
}

fn first(text: &str) -> Capture {
    read(text.as_bytes(), at()).unwrap().remove(0)
}

fn body(capture: &Capture) -> &str {
    std::str::from_utf8(&capture.request.body).unwrap()
}

#[test]
fn a_message_is_read_to_the_byte() {
    let text = "POST /notify/shop?x=1%2B HTTP/1.1\r\nHost: a.example\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 7\r\n\r\na=1\r\n&b";
    let capture = one(text);
    assert_eq!((capture.request.method.as_str(), capture.request.path.as_str()), ("POST", "/notify/shop"));
    assert_eq!(capture.request.query.as_deref(), Some("x=1%2B"));
    assert_eq!(capture.request.headers.get_all("x-two").iter().count(), 2);
    assert_eq!((body(&capture), capture.notes.as_slice()), ("a=1\r\n&b", &[][..]));
    assert_eq!((capture.form, capture.fidelity), (Form::Http, Fidelity::Bytes));
}

#[test]
fn a_message_with_an_editors_line_break_is_read_with_and_without_it() {
    let found = read(b"POST /n HTTP/1.1\nContent-Length: 3\n\na=1\n", at()).unwrap();
    assert_eq!(found.iter().map(body).collect::<Vec<_>>(), ["a=1", "a=1\n"]);
    assert_eq!(found[0].notes, [Note::BareLineFeeds]);
    assert_eq!(found[1].notes, [Note::BareLineFeeds, Note::Length { named: 3, found: 4 }]);
}

#[test]
fn a_message_that_was_cut_says_so() {
    let capture = one("POST /n HTTP/1.1\r\nContent-Length: 300\r\n\r\na=1");
    assert_eq!(capture.notes, [Note::Length { named: 300, found: 3 }]);
    let capture = one("POST /n HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n2;x=y\r\n&b\r\n0\r\n\r\n");
    assert_eq!((body(&capture), capture.notes.as_slice()), ("a=1&b", &[][..]));
    let capture = one("POST /n HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n20\r\n&b");
    assert_eq!((body(&capture), capture.notes.as_slice()), ("a=1&b", &[Note::CutChunks][..]));
    // A copy of the decoded body beside the header.
    let capture = one("POST /n HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{\"id\":1}");
    assert_eq!((body(&capture), capture.notes.as_slice()), ("{\"id\":1}", &[][..]));
}

#[test]
fn a_broken_message_is_told_with_its_line() {
    let error = read(b"POST /n HTTP/1.1\r\nHost: x\r\nno header here\r\n\r\n", at()).unwrap_err();
    assert!(matches!(error, CaptureError::Broken { line: 3, .. }), "{error}");
}

#[test]
fn a_command_is_read_as_curl_sends_it() {
    let capture = one(
        "$ curl -sSi -X PUT 'https://a.example/n/x?y=1' \\\n  -H 'X-Signature: a b' -H \"Content-Type: application/json\" --data-raw $'{\"a\":\"\\u4e2d\\ud83d\\ude00\\n\\'\"}' --compressed",
    );
    assert_eq!((capture.request.method.as_str(), capture.request.path.as_str()), ("PUT", "/n/x"));
    assert_eq!((capture.request.query.as_deref(), body(&capture)), (Some("y=1"), "{\"a\":\"中😀\n'\"}"));
    assert_eq!(capture.request.headers["x-signature"], "a b");
    let capture = one("curl a.example/n -d a=1 -d 'b=2 3' --data-urlencode 'c=x&y'");
    assert_eq!((capture.request.method.as_str(), body(&capture)), ("POST", "a=1&b=2 3&c=x%26y"));
    assert_eq!(capture.request.headers["content-type"], FORM);
    let capture = one("curl -G http://a.example -d a=1 -d b=2");
    assert_eq!((capture.request.method.as_str(), capture.request.path.as_str()), ("GET", "/"));
    assert_eq!(capture.request.query.as_deref(), Some("a=1&b=2"));
    let capture = one("curl --json '{}' -H 'Accept:' -u me:x http://a.example/n; rm -rf nothing");
    assert_eq!((capture.request.headers.get("accept"), body(&capture)), (None, "{}"));
    assert_eq!(capture.request.headers["authorization"], "Basic bWU6eA==");
    assert_eq!(one("curl -sXDELETE http://a/").request.method, "DELETE");
}

#[test]
fn a_configuration_of_curl_is_a_command() {
    let capture = one(
        "# a comment\nurl = \"https://a.example/n?y=1\"\nrequest: \"POST\"\nheader \"X-A: \\\"b\\\\\"\nsilent\nmax-time = 3\ndata-raw = \"@{\\n\\t\\r}\"\n",
    );
    assert_eq!((capture.request.method.as_str(), capture.request.path.as_str()), ("POST", "/n"));
    assert_eq!((capture.request.query.as_deref(), body(&capture)), (Some("y=1"), "@{\n\t\r}"));
    assert_eq!((capture.request.headers["x-a"].as_bytes(), capture.form), (&b"\"b\\"[..], Form::Curl));
    assert!(matches!(read(b"url = \"http://a/", at()), Err(CaptureError::Broken { line: 1, .. })));
    assert_eq!(read(b"url = \"http://a/\"\nfrob = 1", at()).unwrap_err(), CaptureError::Option("--frob".into()));
    assert_eq!(first("url=http%3A%2F%2Fa").form, Form::Body);
}

#[test]
fn what_is_not_in_the_command_is_asked_for() {
    for (text, error) in [
        ("curl -d @body.json http://a/", CaptureError::Outside("@body.json".into())),
        ("curl --data-urlencode n@file http://a/", CaptureError::Outside("n@file".into())),
        ("curl --frob http://a/", CaptureError::Option("--frob".into())),
        ("fetch(\"http://a/\", {})", CaptureError::Foreign("fetch(")),
        ("Invoke-WebRequest -Uri http://a/ -Body 'a=1&b=2'", CaptureError::Foreign("Invoke-WebRequest")),
    ] {
        assert_eq!(read(text.as_bytes(), at()).unwrap_err(), error, "{text}");
    }
    for text in [
        "curl -d \"$BODY\" http://a/",
        "curl http://a/ -d 'x",
        "curl -d x",
        "curl http://a http://b",
        "curl -d `x` http://a",
    ] {
        assert!(matches!(read(text.as_bytes(), at()), Err(CaptureError::Broken { .. })), "{text}");
    }
}

#[test]
fn archives_give_what_has_a_body_first() {
    let text = r#"{"log":{"entries":[
        {"startedDateTime":"2026-11-20T10:00:00.000Z","request":{"method":"GET","url":"https://a.example/x.png","headers":[]}},
        {"startedDateTime":"2026-11-20T10:00:01.000Z","request":{"method":"POST","url":"https://a.example/n?q=1",
         "headers":[{"name":":path","value":"/n"},{"name":"Content-Length","value":"4"}],
         "postData":{"mimeType":"application/x-www-form-urlencoded","text":"a=1"}}},
        {"request":{"method":"POST","url":"https://a.example/f","headers":[],
         "postData":{"mimeType":"application/x-www-form-urlencoded","params":[{"name":"a b","value":"1+2"}]}}}]}}"#;
    let found = read(text.as_bytes(), at()).unwrap();
    assert_eq!(found.iter().map(body).collect::<Vec<_>>(), ["a=1", "a+b=1%2B2", ""]);
    assert_eq!(found[0].request.received_at.to_string(), "2026-11-20T10:00:01Z");
    assert_eq!(found[0].notes, [Note::Length { named: 4, found: 3 }]);
    assert_eq!((found[1].fidelity, found[0].fidelity), (Fidelity::Fields, Fidelity::Bytes));
}

#[test]
fn arrays_of_php_are_read_back() {
    let printed = "[2026-11-21 10:00:00] notify: Array\n(\n    [a] => 1\n    [list] => Array\n        (\n            [0] => x\n            [k] => \n        )\n\n    [text] => one\ntwo [x] => y\n    [last] => ]\n)\n";
    let capture = first(printed);
    assert_eq!(body(&capture), "a=1&list%5B0%5D=x&list%5Bk%5D=&text=one%0Atwo+%5Bx%5D+%3D%3E+y&last=%5D");
    assert_eq!(capture.notes, [Note::NoHeaders, Note::OpenEnd { field: "text".into() }]);
    let exported = "array (\n  'a' => 'it\\'s \\\\ x',\n  'n' => 5,\n  'none' => NULL,\n  'z' => 'a' . \"\\0\" . '',\n  'in' => \n  array (\n    0 => 'b',\n  ),\n)";
    assert_eq!(body(&one(exported)), "a=it%27s+%5C+x&n=5&none=&z=a%00&in%5B0%5D=b");
    let dumped = "array(3) {\n  [\"a\"]=>\n  string(3) \"\"b\"\"\n  [0]=>\n  int(7)\n  [\"in\"]=>\n  array(1) {\n    [\"x\"]=>\n    bool(true)\n  }\n}\n";
    assert_eq!(body(&one(dumped)), "a=%22b%22&0=7&in%5Bx%5D=1");
}

#[test]
fn a_log_that_was_cut_is_an_error_with_its_line() {
    for text in [
        "Array\n(\n    [a] => 1\n",
        "x Array ( [a] => 1 [b] => 2 )",
        "array (\n  'a' => '1",
        "array(1) {\n  [\"a\"]=>\n  string(30) \"x\"\n}",
        "array (\n  'a' =>",
    ] {
        assert!(matches!(read(text.as_bytes(), at()), Err(CaptureError::Broken { .. })), "{text}");
    }
}

#[test]
fn a_json_object_is_a_body_or_was_a_form() {
    let found = read(br#"10:00 got {"a":"1 2","b":3}"#, at()).unwrap();
    let seen: Vec<_> = found.iter().map(|capture| (capture.form, body(capture))).collect();
    assert_eq!(seen[1..], [(Form::Body, r#"{"a":"1 2","b":3}"#), (Form::JsonFields, "a=1+2&b=3")]);
    let found = read(br#"{"a":{"b":1}}"#, at()).unwrap();
    assert_eq!((found.len(), found[0].form), (1, Form::Body));
}

#[test]
fn a_body_is_found_behind_what_a_log_writes() {
    for (text, body_there) in [
        ("2026-11-21 10:00 INFO notify gmt_create=1&sign=x%3D", "gmt_create=1&sign=x%3D"),
        ("a=1&b=2", "a=1&b=2"),
        ("notify: <xml><a>1</a></xml>", "<xml><a>1</a></xml>"),
    ] {
        let found = read(text.as_bytes(), at()).unwrap();
        assert!(found.iter().any(|capture| body(capture) == body_there), "{text}");
        assert!(found.iter().all(|capture| capture.notes.contains(&Note::NoHeaders)));
    }
    assert_eq!(first("a=\u{fffd}").notes, [Note::NoHeaders, Note::Replaced]);
}

#[test]
fn a_command_for_windows_is_read_as_browsers_write_it() {
    // What browsers make of each character: `\` and `"` doubled and escaped for programs, the rest for the shell.
    let capture = one(
        "curl ^\"https://a.example/n?x=1^&y=2^\" ^\r\n  -H ^\"content-type: application/json^\" ^\r\n  -H ^\"x-a: 50%^25^\" ^\r\n  --data-raw ^\"^{^\\^\"a^\\^\":^\\^\"1^^2^<^>^|^\\^\"^}^\"",
    );
    assert_eq!((capture.request.path.as_str(), capture.request.query.as_deref()), ("/n", Some("x=1&y=2")));
    assert_eq!(capture.request.headers["x-a"], "50%25");
    assert_eq!(body(&capture), "{\"a\":\"1^2<>|\"}");
    // Line ends of the text, and backslashes, which only the browser doubled.
    let found = read(b"curl ^\"http://a/n^\" ^\n --data-raw ^\"a^\n\nb^\\^\\/c^\"\n", at()).unwrap();
    assert_eq!(found.iter().map(body).collect::<Vec<_>>(), ["a\nb\\/c", "a\nb\\\\/c"]);
    // Older ones use plain quotation marks, in which a caret is a caret.
    let capture = one("curl \"http://a/n\" ^\r\n --data \"a^b&c=\"\"d\"\"\" --compressed & echo done");
    assert_eq!(body(&capture), "a^b&c=\"d\"");
    assert!(matches!(read(b"curl ^\"http://a/n", at()), Err(CaptureError::Broken { .. })));
}

#[test]
fn what_has_pseudo_headers_is_a_message() {
    let capture = one(
        ":authority: pay.example.com\r\n:method: POST\r\n:path: /notify/shop?x=1\r\n:scheme: https\r\nx-a: 1\r\n\r\na=1",
    );
    assert_eq!((capture.request.method.as_str(), capture.request.path.as_str()), ("POST", "/notify/shop"));
    assert_eq!((capture.request.query.as_deref(), body(&capture)), (Some("x=1"), "a=1"));
    assert_eq!(capture.request.headers["x-a"], "1");
    let error = read(b":method: POST\n:path: /n\nX-A: 1\nno header here\n\n", at()).unwrap_err();
    assert!(matches!(error, CaptureError::Broken { line: 4, .. }), "{error}");
    assert_eq!(first(":method: POST").form, Form::Body);
    assert_eq!(one("POST /n HTTP/2\r\n\r\na").form, Form::Http);
}

#[test]
fn an_editors_mark_and_encoding_say_nothing_of_the_request() {
    for text in ["POST /n HTTP/1.1\r\n\r\na=1", "curl http://a/n -d a=1", "Array\n(\n    [a] => 1\n)\n"] {
        let plain = one(text);
        let marked = one(&format!("{MARK}{text}"));
        assert_eq!((marked.form, body(&marked), &marked.notes), (plain.form, body(&plain), &plain.notes), "{text}");
        let units =
            |unit: fn(u16) -> [u8; 2]| -> Vec<u8> { format!("{MARK}{text}").encode_utf16().flat_map(unit).collect() };
        for wide in [units(u16::to_le_bytes), units(u16::to_be_bytes)] {
            let found = read(&wide, at()).unwrap().remove(0);
            assert_eq!((found.form, body(&found)), (plain.form, body(&plain)), "{text}");
            assert!(found.notes.contains(&Note::Utf16), "{text}");
        }
    }
    // Before a body alone it may be the request's.
    let found = read("\u{feff}a=1&b=2".as_bytes(), at()).unwrap();
    assert_eq!(found.iter().map(body).collect::<Vec<_>>(), ["\u{feff}a=1&b=2", "a=1&b=2"]);
    assert!(matches!(read(b"\xff\xfea", at()), Ok(found) if found[0].form == Form::Body));
}

/// Bodies that are found in a text.
fn bodies(text: &str) -> Vec<String> {
    read(text.as_bytes(), at()).unwrap().iter().map(|capture| body(capture).to_owned()).collect()
}

#[test]
fn bodies_are_found_in_what_loggers_write() {
    for (text, there) in [
        ("[2026-11-21 12:00:00] local.INFO: notify {\"a\":\"1\",\"b\":\"2\"} []", "{\"a\":\"1\",\"b\":\"2\"}"),
        ("[2026-11-21T12:00:00+08:00][info] {\"a\":1}", "{\"a\":1}"),
        ("1.2.3.4 - - [21/Nov/2026] \"POST /n?x=1 HTTP/1.1\" 200 \"-\" \"a=1&b=%2B\" \"agent\"", "a=1&b=%2B"),
        ("200 \"{\\x22a\\x22:\\x22\\xE4\\xB8\\xAD\\x22}\" 0.1", "{\"a\":\"中\"}"),
        ("notify 'a=1&b=2' end", "a=1&b=2"),
        ("ip=1 a=1&b=2 took=3", "a=1&b=2"),
        ("raw: \"{\\\"a\\\":\\\"\\/\\\"}\"", "{\"a\":\"/\"}"),
        ("10:00 notify a=1&b=2\n10:01 notify a=3&b=4\n", "a=3&b=4"),
        ("{\n  \"a\": 1\n}\n", "{\n  \"a\": 1\n}"),
    ] {
        assert!(bodies(text).iter().any(|body| body == there), "{text}: {:?}", bodies(text));
    }
    // Each line is a request of its own, and stands before all of them together.
    let found = read(b"10:00 a=1&b=2\n10:01 a=3&b=4", at()).unwrap();
    assert_eq!(found.iter().map(|capture| capture.record).max(), Some(1));
    assert!(body(&found[0]).starts_with("10:00 a=1") && !body(&found[0]).contains('\n'), "{found:?}");
    // Fields within a logger's context.
    assert!(bodies("x {\"post\":{\"a\":\"1 2\",\"b\":\"3\"},\"get\":[]} []").contains(&"a=1+2&b=3".to_owned()));
}

#[test]
fn an_object_with_headers_and_a_body_is_a_request() {
    let bin = one(
        r#"{"method":"POST","url":"https://a.example/n?x=1","headers":{"X-A":["1","2"],"content-type":"text/xml"},"content":"<a/>"}"#,
    );
    assert_eq!((bin.form, bin.request.path.as_str(), bin.request.query.as_deref()), (Form::Event, "/n", Some("x=1")));
    assert_eq!((bin.request.headers.get_all("x-a").iter().count(), body(&bin)), (2, "<a/>"));
    let cloud = one(
        r#"{"httpMethod":"PUT","path":"/n","headers":{},"body":"YT0x","isBase64Encoded":true,"rawQueryString":"y=2"}"#,
    );
    assert_eq!(
        (cloud.request.method.as_str(), cloud.request.query.as_deref(), body(&cloud)),
        ("PUT", Some("y=2"), "a=1")
    );
    let logged = r#"[2026-11-21 12:00:00] local.INFO: notify {"headers":{"x-sign":["s"]},"body":"{\"a\":\"\\/\"}"} []"#;
    let found = read(logged.as_bytes(), at()).unwrap();
    let event = found.iter().find(|capture| capture.form == Form::Event).unwrap();
    assert_eq!((body(event), event.request.headers["x-sign"].as_bytes()), (r#"{"a":"\/"}"#, &b"s"[..]));
    // What was read before it was logged has lost its bytes.
    let read_before = one(r#"{"headers":{"x-sign":"s"},"body":{"a":1}}"#);
    assert_eq!((body(&read_before), read_before.fidelity), (r#"{"a":1}"#, Fidelity::Fields));
    assert!(bodies(r#"x {"post":"a=1&b=%2B"} []"#).contains(&"a=1&b=%2B".to_owned()));
    for none in [r#"{"headers":{"a b":"1"},"body":"x"}"#, r#"{"headers":{},"data":1}"#, r#"{"headers":[],"body":"x"}"#]
    {
        assert_ne!(first(none).form, Form::Event, "{none}");
    }
}

#[test]
fn all_arrays_of_a_log_are_read_and_their_parts() {
    let text = "[10:00] Array\n(\n    [a] => 1\n    [b] => 2\n)\n\n[10:01] array (\n  'a' => '3',\n  'b' => '4',\n)\n[10:02] array(2) {\n  [\"a\"]=>\n  string(1) \"5\"\n  [\"b\"]=>\n  string(1) \"6\"\n}\n";
    let found = read(text.as_bytes(), at()).unwrap();
    let seen: Vec<_> = found.iter().map(|capture| (capture.form, body(capture), capture.record)).collect();
    assert_eq!(seen, [(Form::PrintR, "a=1&b=2", 0), (Form::VarExport, "a=3&b=4", 1), (Form::VarDump, "a=5&b=6", 2)]);
    let found = bodies(
        "array (\n  'get' => \n  array (\n  ),\n  'post' => \n  array (\n    'a' => '1',\n    'b' => '2',\n  ),\n)",
    );
    assert_eq!(found, ["post%5Ba%5D=1&post%5Bb%5D=2", "a=1&b=2"]);
    // One that was cut does not hide the next.
    let found = bodies("array (\n  'a' => '1\n[10:01] Array\n(\n    [a] => 2\n)\n");
    assert_eq!(found, ["a=2"]);
}

#[test]
fn an_archive_that_is_too_long_says_so() {
    let entry = "{\"request\":{\"method\":\"GET\",\"url\":\"http://a/x.png\",\"headers\":[]}},".repeat(1000);
    let last =
        "{\"request\":{\"method\":\"POST\",\"url\":\"http://a/n\",\"headers\":[],\"postData\":{\"text\":\"a=1\"}}}";
    let found = read(format!("{{\"log\":{{\"entries\":[{entry}{last}]}}}}").as_bytes(), at()).unwrap();
    assert_eq!((found.len(), body(&found[0])), (READINGS_MAX, "a=1"));
    assert_eq!(found[0].notes, [Note::Unread { count: 1001 - READINGS_MAX }]);
    // One that cannot be read does not hide the others.
    let found = read(format!("{{\"log\":{{\"entries\":[{{\"request\":{{\"method\":1}}}},{last}]}}}}").as_bytes(), at())
        .unwrap();
    assert_eq!((found.len(), body(&found[0])), (1, "a=1"));
}

#[test]
fn bounds_hold() {
    assert_eq!(read(b" \n", at()).unwrap_err(), CaptureError::Empty);
    let many: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("    [{n}] => x\n")).collect();
    let many = many.concat();
    let error = read(format!("Array\n(\n{many})\n").as_bytes(), at()).unwrap_err();
    assert!(matches!(error, CaptureError::TooLarge { .. }), "{error}");
    let deep: String = (0..100).map(|_| "array ( 'a' => ").collect();
    assert!(matches!(read(deep.as_bytes(), at()), Err(CaptureError::TooLarge { .. })));
}

mod random {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop(read(&text, at()));
        }

        #[test]
        fn what_looks_like_something_does_not_panic(
            head in "(curl |POST /x HTTP/1.1\n|Array\n\\(\n|array \\(|array\\(2\\) \\{|\\{\"log\":|\\{\"method\":)",
            text in "[a-z0-9\\[\\]='\"\\\\(){} \n\r>:,$@-]{0,200}",
        ) {
            drop(read(format!("{head}{text}").as_bytes(), at()));
        }

        #[test]
        fn a_message_comes_back(
            path in "/[a-z0-9/%]{0,20}",
            value in "[ -~]{0,30}",
            body_bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut text = format!("POST {path} HTTP/1.1\r\nX-A: {value}\r\nContent-Length: {}\r\n\r\n", body_bytes.len()).into_bytes();
            text.extend_from_slice(&body_bytes);
            let found = read(&text, at()).unwrap();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(&found[0].request.path, &path);
            prop_assert_eq!(found[0].request.headers["x-a"].as_bytes(), value.trim_ascii().as_bytes());
            prop_assert_eq!(&found[0].request.body[..], &body_bytes[..]);
            prop_assert!(found[0].notes.is_empty());
        }
    }
}

/// Each mark was a call within a call: a file of them ended the program.
#[test]
fn many_marks_are_a_body() {
    let marks = MARK.repeat(100_000);
    let readings = read(marks.as_bytes(), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(readings[0].form, Form::Body);
    let wide: Vec<u8> = [0xff, 0xfe].repeat(100_000);
    assert!(read(&wide, Timestamp::UNIX_EPOCH).is_ok_and(|readings| readings.len() == 1));
}

/// Fields repeat the names of the arrays around them.
#[test]
fn long_names_are_not_multiplied() {
    let inner = "            [n] => 1\n".repeat(900);
    let text = format!("Array\n(\n    [{}] => Array\n        (\n{inner}        )\n\n)\n", "a".repeat(1_000_000));
    assert!(matches!(
        read(text.as_bytes(), Timestamp::UNIX_EPOCH),
        Err(CaptureError::TooLarge { what: "bytes_of_a_name", .. })
    ));
}
