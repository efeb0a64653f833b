//! Where keys come from; and that no secret is ever shown.

use super::world::{Folder, MARKER, good, load, problems, rendered, secret, summary, with_warnings};

#[test]
fn key_material_comes_by_four_ways() {
    let folder = Folder::new(&[("keys/secret", MARKER.as_bytes()), ("credentials/pay", MARKER.as_bytes())]);
    folder.write("keys/public", MARKER.as_bytes(), 0o644);
    let credentials = folder.path("credentials").display().to_string();
    let variable = |name: &str| match name {
        "PAY_SECRET" => Some(MARKER.to_owned()),
        "EMPTY" => Some(" \n".to_owned()),
        "CREDENTIALS_DIRECTORY" => Some(credentials.clone()),
        _ => None,
    };
    let absolute = format!("secret_file = \"{}\"", folder.path("keys/secret").display());
    for lines in [
        "secret_file = \"keys/secret\"",
        &absolute,
        "secret_env = \"PAY_SECRET\"",
        "secret_credential = \"pay\"",
        "public = \"hush7hush7hush7\"",
        "public_file = \"keys/public\"",
        "public_env = \"PAY_SECRET\"",
        "public_credential = \"pay\"",
    ] {
        good(secret(&folder, lines, &variable));
    }
    // In the file itself it works, and is warned about; a public key may stand there.
    let (_, warnings) = with_warnings(secret(&folder, "secret = \"hush7hush7hush7\"", &variable));
    assert_eq!(summary(&warnings), "5:10 channel.secret config.literal_secret\n");
    let shown = rendered(&warnings);
    assert!(shown.contains("mode 0600") && shown.contains("`secret_file`") && shown.contains("权限为 0600"), "{shown}");
    for (lines, reported) in [
        ("secret_env = \"EMPTY\"", "5:14 channel.secret_env config.empty_key"),
        ("secret = \"\"", "5:10 channel.secret config.literal_secret\n5:10 channel.secret config.empty_key"),
        ("secret_credential = \"../pay\"", "5:21 channel.secret_credential config.bad_credential"),
        ("secret_credential = \"..\"", "5:21 channel.secret_credential config.bad_credential"),
        ("secret_credential = \"other\"", "5:21 channel.secret_credential config.no_key_file"),
        ("secret_file = 1", "5:15 channel.secret_file config.expected_text"),
        ("secret = [\"x\"]", "5:10 channel.secret config.expected_text"),
        (
            "secret = \"hush7hush7hush7\"\nsecret_file = \"keys/secret\"",
            "6:15 channel.secret_file config.key_given_twice",
        ),
        (
            "secret_env = \"PAY_SECRET\"\nsecret_credential = \"pay\"",
            "6:21 channel.secret_credential config.key_given_twice",
        ),
        ("secret_file = \"keys/public\"", "5:15 channel.secret_file config.key_open"),
        ("secret_file = \"keys/public\"\npublic_file = \"keys/public\"", "5:15 channel.secret_file config.key_open"),
    ] {
        let found = problems(secret(&folder, lines, &variable));
        let expected: Vec<&str> = reported.lines().filter(|line| !line.ends_with("literal_secret")).collect();
        assert_eq!(summary(&found).trim_end(), expected.join("\n"), "{lines}");
    }
    for mode in [0o604, 0o640, 0o602, 0o601] {
        folder.write("keys/mode", MARKER.as_bytes(), mode);
        let found = problems(secret(&folder, "secret_file = \"keys/mode\"", &variable));
        let shown = rendered(&found);
        assert!(shown.contains(&format!("(mode {mode:o})")) && shown.contains("chmod 600"), "{shown}");
    }
    for mode in [0o600, 0o400] {
        folder.write(&format!("keys/{mode}"), MARKER.as_bytes(), mode);
        good(secret(&folder, &format!("secret_file = \"keys/{mode}\""), &variable));
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let folder = Folder::new(&[("keys/secret", MARKER.as_bytes())]);
    let variable = |name: &str| (name == "PAY_SECRET").then(|| MARKER.to_owned());
    for lines in ["secret_file = \"keys/secret\"", "secret_env = \"PAY_SECRET\"", "secret = \"hush7hush7hush7\""] {
        let (config, warnings) = with_warnings(secret(&folder, lines, &variable));
        let shown = format!("{config:?}{config:#?}{warnings:?}{}", rendered(&warnings));
        assert!(!shown.contains(MARKER), "{lines} is shown in {shown}");
    }
    for lines in [
        // Mistakes about the secret itself.
        "secret = \"hush7hush7hush7\"\nexpects = \"another\"",
        "secret = [\"hush7hush7hush7\"]",
        "secret = { a = \"hush7hush7hush7\" }",
        "secret = \"hush7hush7hush7\"\nsecret_file = \"keys/secret\"",
        // The secret in a wrong place.
        "secret_file = \"hush7hush7hush7\"",
        "secret_file = \"hush7hush7hush7/x\"",
        "secret_file = \"keys/secret/hush7hush7hush7\"",
        "secret_file = \"\"\"\n-----BEGIN hush7hush7hush7\n\"\"\"",
        "secret_file = \"\\u0000hush7hush7hush7\"",
        "secret_env = \"hush7hush7hush7\"",
        "secret_credential = \"hush7hush7hush7\"",
        "secrt = \"hush7hush7hush7\"",
        "secret_fil = \"hush7hush7hush7\"",
        "words = \"red\"\npassword = [\"x\", [\"hush7hush7hush7\"]]",
        "[shop]\npassword = \"hush7hush7hush7\"",
        "[server]\nlistn = \"hush7hush7hush7\"",
        // Mistakes on the secret's line.
        "[[target]]\n[[route]]\n[deliver]\nbackoff = { frist = \"hush7hush7hush7\", tries = \"x\" }",
        "[server]\nlisten = [\"x\"] # a\n[route]\nsecret = \"hush7hush7hush7\"",
        // Mistakes of the language.
        "secret = \"hush7hush7hush7",
        "secret = 'hush7hush7hush7\"",
        "secret = hush7hush7hush7",
        "hush7hush7hush7",
        "hush7hush7hush7\n==",
        "secret = \"\"\"hush7hush7hush7\n",
        "secret = \"hush7hush7hush7\" \"hush7hush7hush7\"",
        "secret = \"hush7hush7hush7\\x\"",
        "secret = \"hush7hush7hush7\"\nsecret = \"hush7hush7hush7\"",
        "secret = [\"hush7hush7hush7\"",
        "secret.\"hush7hush7hush7\"",
        "[hush7hush7hush7",
    ] {
        let found = problems(secret(&folder, lines, &variable));
        let shown = format!("{found:?}{}", rendered(&found));
        assert!(!shown.contains(MARKER), "{lines} is shown in {}", rendered(&found));
        assert!(found.iter().all(|problem| problem.place.is_some()), "{lines}: {}", rendered(&found));
    }
    // All of it on one line.
    for text in [
        "channel = [{ id = \"a\", kind = \"fake\", secret = \"hush7hush7hush7\", nonsense = 1 }]",
        "channel = [{ id = \"a\", kind = \"fake\", secret = \"hush7hush7hush7\", app_id = 1 }]",
        "channel = [{ id = \"A\", kind = \"fake\", app_id = \"1\", secret = \"hush7hush7hush7\" }]",
        "channel = [{ kind = \"fake\", secret = '''x\nhush7hush7hush7''', app_id = 1 }]",
        "channel = [{ kind = \"fake\", secret = \"hush7hush7hush7\" }]",
        "channel = [{ id = \"a\", kind = \"fakes\", secret = \"hush7hush7hush7\" }]",
        "channel = { secret = \"hush7hush7hush7\" }",
        "server = \"hush7hush7hush7\"",
        "server = [\"hush7hush7hush7\"]",
    ] {
        let found = problems(load(text));
        let shown = format!("{found:?}{}", rendered(&found));
        assert!(!shown.contains(MARKER), "{text} is shown in {}", rendered(&found));
    }
}

#[test]
fn keys_may_end_and_each_at_its_own_time() {
    let folder =
        Folder::new(&[("keys/secret", MARKER.as_bytes()), ("keys/other", MARKER.as_bytes()), ("more/secret", b"x")]);
    let none = |_: &str| None;
    for lines in [
        "secret_file = \"keys/secret\"\nsecret_until = \"2026-12-31T00:00:00+08:00\"",
        "secret_file = \"keys/secret\"\nfiles = [\"keys/other\", { file = \"keys/secret\", until = \"2026-12-31T00:00:00Z\" }]",
        "secret_file = \"keys/secret\"\nfiles = \"keys/other\"",
        "secret_file = \"keys/secret\"\nfiles = [{ file = \"keys/other\" }]",
    ] {
        good(secret(&folder, lines, &none));
    }
    let config = good(secret(
        &folder,
        "secret_file = \"keys/secret\"\nsecret_until = \"2999-01-01T00:00:00Z\"\n\
         files = [\"keys/other\", { file = \"keys/secret\", until = \"2026-12-31T00:00:00Z\" }, \"more/secret\"]",
        &none,
    ));
    let settings = &config.channels[0].settings;
    let labels: Vec<String> = (0..3).map(|place| settings.key_label("files", place)).collect();
    assert_eq!(labels, ["other", "keys/secret", "more/secret"], "the same name in two folders is told apart");
    let ends: Vec<String> = settings.ends().iter().map(ToString::to_string).collect();
    assert_eq!(ends, ["2026-12-31T00:00:00Z", "2999-01-01T00:00:00Z"]);
    for (lines, reported) in [
        ("secret_file = \"keys/secret\"\nsecret_until = \"soon\"", "6:16 channel.secret_until config.bad_key_until"),
        ("secret_file = \"keys/secret\"\nsecret_until = 2026", "6:16 channel.secret_until config.expected_text"),
        (
            "secret_file = \"keys/secret\"\npublic_until = \"2026-12-31T00:00:00Z\"",
            "6:16 channel.public_until config.until_of_nothing",
        ),
        (
            "secret_file = \"keys/secret\"\nfiles = [{ file = \"keys/other\", until = \"soon\" }]",
            "6:41 channel.files.until config.bad_key_until",
        ),
        (
            "secret_file = \"keys/secret\"\nfiles = [{ until = \"2026-12-31T00:00:00Z\" }]",
            "6:10 channel.files.file config.missing",
        ),
        (
            "secret_file = \"keys/secret\"\nfiles = [{ file = \"keys/other\", untill = \"2026-12-31T00:00:00Z\" }]",
            "6:33 channel.files.untill config.unknown_key_nearest",
        ),
        ("secret_file = \"keys/secret\"\nfiles = [1]", "6:9 channel.files config.expected_files"),
        ("secret_file = \"keys/secret\"\nfiles = { file = \"keys/other\" }", "6:9 channel.files config.expected_files"),
        ("secret_file = \"keys/secret\"\nfiles = [\"keys/gone\"]", "6:9 channel.files config.no_key_file"),
    ] {
        let found = problems(secret(&folder, lines, &none));
        assert_eq!(summary(&found).trim_end(), reported, "{lines}");
        assert!(!rendered(&found).contains(MARKER));
    }
}
