use super::*;
use crate::signature::key::to_pem;

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/vectors/own_key/", $name))
    };
}

/// `certId` of the files' certificate.
const SERIAL: &str = "4042424242";

const PASSWORD: &str = "4821ab";

fn read(material: &[u8], password: Option<&str>) -> Result<OwnKey, SettingsError> {
    let password = Password { setting: "password", text: password.map(str::as_bytes) };
    OwnKey::read("key", material, password)
}

fn error(material: &[u8], password: Option<&str>) -> (&'static str, &'static str) {
    let error = read(material, password).expect_err("an error");
    let shown = error.to_string();
    assert!(!shown.contains(PASSWORD), "{shown}");
    (error.setting, error.word)
}

fn serial(own: &OwnKey) -> Option<&str> {
    own.certificate().map(|certificate| certificate.description().serial.as_str())
}

/// The first private key of the PEM file, and its first certificate.
fn pem(label: &str) -> String {
    let block = pem_blocks(vector!("own.pem")).into_iter().find(|block| block.label == label).unwrap();
    to_pem(label, &block.der)
}

#[test]
fn a_key_in_pem_brings_its_certificate() {
    let own = read(vector!("own.pem"), None).unwrap();
    assert_eq!(serial(&own), Some(SERIAL));
    let alone = read(pem("PRIVATE KEY").as_bytes(), None).unwrap();
    assert_eq!((serial(&alone), alone.public()), (None, own.public()));
    let turned = pem("CERTIFICATE") + &pem("PRIVATE KEY");
    assert_eq!(serial(&read(turned.as_bytes(), None).unwrap()), Some(SERIAL));
    let bare: String = pem("PRIVATE KEY").lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(read(bare.as_bytes(), None).unwrap().public(), own.public());
}

#[test]
fn what_is_no_key_of_ones_own_is_called_by_its_name() {
    let key = pem("PRIVATE KEY");
    let public = read(vector!("own.pem"), None).unwrap().public().to_pem();
    assert_eq!(error(vector!("own.pem"), Some(PASSWORD)), ("password", "relation"));
    assert_eq!(error((key.clone() + &key).as_bytes(), None), ("key", "several_keys"));
    assert_eq!(error(pem("CERTIFICATE").as_bytes(), None), ("key", "no_private_key"));
    assert_eq!(error(public.as_bytes(), None), ("key", "no_private_key"));
    assert_eq!(error(b"nothing", None), ("key", "not_a_key"));
    assert_eq!(error(b"", None), ("key", "not_a_key"));
    // The authority's certificate is the second one.
    let others =
        pem_blocks(vector!("own.pem")).into_iter().filter(|block| block.label == "CERTIFICATE").nth(1).unwrap();
    let foreign = key + &to_pem("CERTIFICATE", &others.der);
    assert_eq!(error(foreign.as_bytes(), None), ("key", "relation"));
}

#[test]
fn settings_for_pem_say_what_to_make_of_a_pfx() {
    let word = |error: SettingsError| error.word;
    assert_eq!(read_rsa_private("key", vector!("legacy.pfx")).map_err(word).err(), Some("unopened_pfx"));
    assert_eq!(PublicKey::read("key", vector!("modern.pfx")).map_err(word).err(), Some("private_key_given"));
    assert_eq!(Certificate::read("key", vector!("modern.pfx")).map_err(word).err(), Some("private_key_given"));
    let without_lengths = [PFX_WITHOUT_LENGTHS, &[0x30, 0x80, 0, 0, 0, 0]].concat();
    assert_eq!(error(&without_lengths, Some(PASSWORD)), ("key", "unopened_pfx"));
}

#[cfg(not(feature = "pfx"))]
#[test]
fn a_build_without_the_feature_says_so() {
    for (file, password) in [(&vector!("legacy.pfx")[..], Some(PASSWORD)), (vector!("modern.pfx"), None)] {
        let error = read(file, password).expect_err("not opened");
        assert_eq!((error.setting, error.word, error.detail.as_deref()), ("key", "unopened_pfx", Some(NOT_BUILT)));
    }
}

#[cfg(feature = "pfx")]
mod opened {
    use p12_keystore::{KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};

    use super::*;

    #[test]
    fn old_and_new_files_hold_the_same_key() {
        let expected = read(vector!("own.pem"), None).unwrap();
        for file in [&vector!("legacy.pfx")[..], vector!("modern.pfx")] {
            let own = read(file, Some(PASSWORD)).unwrap();
            assert_eq!((own.public(), serial(&own)), (expected.public(), Some(SERIAL)));
            // As an environment variable has it.
            let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, file);
            assert_eq!(read(text.as_bytes(), Some(PASSWORD)).unwrap().public(), expected.public());
        }
    }

    #[test]
    fn what_does_not_open_says_why() {
        for file in [&vector!("legacy.pfx")[..], vector!("modern.pfx"), vector!("rc4.pfx"), vector!("no_key.pfx")] {
            for wrong in ["4821aB", "000000", "4821ab ", "x"] {
                assert_eq!(error(file, Some(wrong)), ("password", "wrong_password"), "{wrong}");
            }
            assert_eq!(error(file, None), ("password", "missing"));
        }
        assert_eq!(error(vector!("rc4.pfx"), Some(PASSWORD)), ("key", "unopened_pfx"));
        assert_eq!(error(vector!("no_key.pfx"), Some(PASSWORD)), ("key", "no_private_key"));
        // Cut off, it is nothing; changed anywhere, it opens nothing and brings nothing down.
        let file = vector!("legacy.pfx");
        assert_eq!(error(&file[..file.len() - 1], Some(PASSWORD)), ("key", "not_a_key"));
        for at in (0..file.len()).step_by(97) {
            let mut changed = file.to_vec();
            changed[at] ^= 0x41;
            assert!(read(&changed, Some(PASSWORD)).is_err(), "{at}");
        }
    }

    #[test]
    fn two_keys_are_too_many() {
        let block = pem_blocks(pem("PRIVATE KEY").as_bytes()).remove(0);
        let mut store = KeyStore::new();
        for name in ["a", "b"] {
            let chain = PrivateKeyChain::new(name, PrivateKey::from_der(&block.der).unwrap(), Vec::new());
            store.add_entry(name, KeyStoreEntry::PrivateKeyChain(chain));
        }
        let file = store.writer(PASSWORD).write().unwrap();
        assert_eq!(error(&file, Some(PASSWORD)), ("key", "several_keys"));
    }
}
