//! Length extension: whoever has seen one callback can go on hashing where SHA-1 stopped, without the token. The digest
//! that comes out is right for the joined text with SHA-1's padding and any text behind it.
//!
//! Where the message sorts behind the token, as it nearly always does, that text ends in the message, so the padding
//! would have to be part of a longer message. It begins with the byte 0x80, and a message ends in `}`: together they are
//! no UTF-8, and no JSON text holds them, raw or escaped. That alone stands in the way, so it is held here: reading
//! the message's bytes in another way (lossily, as Latin-1, as base64) would open the door.

use super::*;

const CHUNK: usize = 64;

/// How a byte beyond ASCII is written into a JSON text.
type Beyond<'b> = &'b dyn Fn(u8) -> Vec<u8>;

/// SHA-1's chaining (FIPS 180-4, section 6.1.2), which the library does not let anybody begin in the middle.
fn compress(state: [u32; 5], chunk: &[u8]) -> [u32; 5] {
    let mut words: Vec<u32> = chunk.chunks_exact(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
    for at in 16..80 {
        words.push((words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1));
    }
    let mut round = state;
    for (at, word) in words.into_iter().enumerate() {
        let [first, second, third, fourth, fifth] = round;
        let (mixed, constant) = match at {
            0..20 => ((second & third) | (!second & fourth), 0x5a82_7999),
            20..40 => (second ^ third ^ fourth, 0x6ed9_eba1),
            40..60 => ((second & third) | (second & fourth) | (third & fourth), 0x8f1b_bcdc),
            _ => (second ^ third ^ fourth, 0xca62_c1d6_u32),
        };
        let next = [mixed, fifth, constant, word].into_iter().fold(first.rotate_left(5), u32::wrapping_add);
        round = [next, first, second.rotate_left(30), third, fourth];
    }
    std::array::from_fn(|at| state[at].wrapping_add(round[at]))
}

/// What SHA-1 puts behind a text of this length.
fn padding(length: usize) -> Vec<u8> {
    let mut padding = vec![0x80];
    while (length + padding.len()) % CHUNK != CHUNK - 8 {
        padding.push(0);
    }
    padding.extend_from_slice(&(8 * length as u64).to_be_bytes());
    padding
}

/// The digest of a text that goes on, from the digest of its beginning alone.
fn extended(seen: &str, length: usize, more: &[u8]) -> String {
    let mut state = [0; 5];
    for (word, digits) in state.iter_mut().zip(seen.as_bytes().chunks(8)) {
        *word = u32::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    let begun = length + padding(length).len();
    let rest = [more, &padding(begun + more.len())].concat();
    let state = rest.chunks(CHUNK).fold(state, compress);
    crate::signature::key::hex(&state.map(u32::to_be_bytes).concat())
}

/// A JSON text of these bytes, with every control character escaped and each byte beyond ASCII written by `beyond`.
fn written(bytes: &[u8], beyond: Beyond<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => text.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            0x80.. => text.extend(beyond(*byte)),
            _ => text.push(*byte),
        }
    }
    text
}

#[test]
fn a_seen_callback_cannot_be_gone_on_with() {
    const TIMESTAMP: &str = "1602507471";
    const NONCE: &str = "797";
    // What an attacker has: a genuine callback. Of the token only the length is guessed.
    let message = payment().to_string();
    let seen = sign(TOKEN, TIMESTAMP, NONCE, &message);
    assert!(verify(&envelope(TOKEN, TIMESTAMP, NONCE, &message, "payment").to_string()).is_ok());
    let length = TOKEN.len() + TIMESTAMP.len() + NONCE.len() + message.len();
    let more = br#","total_amount":1}"#;
    let forged = extended(&seen, length, more);
    let longer = [message.as_bytes(), &padding(length), more].concat();
    // The forgery is a real one: the token accepts these bytes.
    let (before, behind) = around(TOKEN.as_bytes(), [TIMESTAMP.as_bytes(), NONCE.as_bytes(), &longer]);
    let config = Config::build(&settings()).unwrap();
    assert!(config.tokens[0].verify(&before, &behind, forged.as_bytes(), VARIANT).is_some());

    let raw = |byte: u8| vec![byte];
    let letter = |byte: u8| format!("\\u{byte:04x}").into_bytes();
    let half = |byte: u8| format!("\\ud{:03x}", 0xc00 + u16::from(byte)).into_bytes();
    let replaced = |_: u8| "\u{fffd}".as_bytes().to_vec();
    let nothing = |_: u8| Vec::new();
    let writings: [(&str, Beyond<'_>, &str); 5] = [
        ("the bytes as they are", &raw, "malformed"),
        ("letters of the same numbers", &letter, "signature"),
        ("halves of a pair", &half, "malformed"),
        ("replacement characters", &replaced, "signature"),
        ("nothing", &nothing, "signature"),
    ];
    for (how, beyond, word) in writings {
        let body = [
            format!("{{\"timestamp\":\"{TIMESTAMP}\",\"nonce\":\"{NONCE}\",\"type\":\"payment\",").as_bytes(),
            format!("\"msg_signature\":\"{forged}\",\"msg\":\"").as_bytes(),
            &written(&longer, beyond),
            b"\"}",
        ]
        .concat();
        let mut request = request("");
        request.body = Bytes::from(body);
        match build(&settings()).unwrap().verify(&request, now()) {
            Verdict::Refused(rejection) => assert_eq!(rejection.word(), word, "{how}"),
            other => panic!("{how}: {other:?}"),
        }
    }
}

/// What stands before and behind the token, when it and the texts are sorted by their bytes and joined.
fn around(token: &[u8], mut texts: [&[u8]; 3]) -> (Vec<u8>, Vec<u8>) {
    texts.sort_unstable();
    let place = texts.partition_point(|text| *text < token);
    (texts[..place].concat(), texts[place..].concat())
}
