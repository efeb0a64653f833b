//! Form bodies, read and written independently of the crate.

/// A decoded pair.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// How a form is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Letters, digits and `-._~` stay; blanks are `+`; hexadecimal in upper case.
    Usual,
    /// Blanks are `%20`.
    PercentBlank,
    /// Hexadecimal in lower case.
    LowerHex,
    /// Every byte is encoded.
    Everything,
    /// Only what would change the meaning is encoded, and what is not printable ASCII.
    Sparse,
    /// As sparse, and bytes beyond ASCII stay.
    Bare,
}

impl Style {
    pub(crate) const ALL: [Self; 6] =
        [Self::Usual, Self::PercentBlank, Self::LowerHex, Self::Everything, Self::Sparse, Self::Bare];

    fn write(self, text: &[u8], is_name: bool, out: &mut Vec<u8>) {
        for &byte in text {
            let stays = match self {
                Self::Usual | Self::PercentBlank | Self::LowerHex => {
                    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
                }
                Self::Everything => false,
                Self::Sparse => byte.is_ascii_graphic() && !b"&+%".contains(&byte) && !(is_name && byte == b'='),
                Self::Bare => {
                    (byte.is_ascii_graphic() || byte >= 0x80) && !b"&+%".contains(&byte) && !(is_name && byte == b'=')
                }
            };
            let blank_is_plus = !matches!(self, Self::PercentBlank | Self::Everything);
            if stays {
                out.push(byte);
            } else if byte == b' ' && blank_is_plus {
                out.push(b'+');
            } else if self == Self::LowerHex {
                out.extend_from_slice(format!("%{byte:02x}").as_bytes());
            } else {
                out.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
        }
    }
}

/// Writes a form.
pub(crate) fn write(pairs: &[Pair], style: Style) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        style.write(name, true, &mut out);
        out.push(b'=');
        style.write(value, false, &mut out);
    }
    out
}

/// Reads a form as leniently as any reader would: what cannot be decoded stays as it is.
pub(crate) fn read(body: &[u8]) -> Vec<Pair> {
    body.split(|&byte| byte == b'&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| match piece.iter().position(|&byte| byte == b'=') {
            Some(at) => (decode(&piece[..at]), decode(&piece[at + 1..])),
            None => (decode(piece), Vec::new()),
        })
        .collect()
}

fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits"));
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    out
}

/// Which pairs count as absent.
#[derive(Clone, Copy, Debug)]
enum Absent {
    None,
    Empty,
    /// Some signers take ASCII blanks for nothing as well.
    Blank,
}

/// The sorted text under the signature.
fn canonical(pairs: &[Pair], uncovered: &[&str], absent: Absent) -> Vec<u8> {
    let is_there = |value: &[u8]| match absent {
        Absent::None => true,
        Absent::Empty => !value.is_empty(),
        Absent::Blank => !value.trim_ascii().is_empty(),
    };
    let mut covered: Vec<&Pair> = pairs
        .iter()
        .filter(|(name, value)| !uncovered.iter().any(|left_out| left_out.as_bytes() == name) && is_there(value))
        .collect();
    covered.sort();
    let joined: Vec<Vec<u8>> = covered.iter().map(|(name, value)| [name, b"=".as_slice(), value].concat()).collect();
    joined.join(&b'&')
}

/// Whether a signature over one form is one over the other as well.
pub(crate) fn says_the_same(one: &[Pair], other: &[Pair], uncovered: &[&str], empty_is_absent: bool) -> bool {
    let ways: &[Absent] = if empty_is_absent { &[Absent::None, Absent::Empty, Absent::Blank] } else { &[Absent::None] };
    let forms = |pairs: &[Pair]| ways.iter().map(|&way| canonical(pairs, uncovered, way)).collect::<Vec<_>>();
    let others = forms(other);
    forms(one).iter().any(|form| others.contains(form))
}

#[test]
fn every_style_reads_back_to_the_same_pairs() {
    let pairs: Vec<Pair> = vec![
        (b"a=b&c".to_vec(), "=&+ %41 é😀\"\0\n".as_bytes().to_vec()),
        (b"empty".to_vec(), Vec::new()),
        ((0..=255).collect(), (0..=255).collect()),
    ];
    for style in Style::ALL {
        assert_eq!(read(&write(&pairs, style)), pairs, "{style:?}");
    }
}

#[test]
fn the_canonical_form_is_the_sheets() {
    let pairs = read(b"b=2&sign=x&a=1%26&c=&sign_type=T");
    assert_eq!(canonical(&pairs, &["sign", "sign_type"], Absent::None), b"a=1&&b=2&c=");
    assert_eq!(canonical(&pairs, &["sign"], Absent::Empty), b"a=1&&b=2&sign_type=T");
    assert!(says_the_same(&pairs, &read(b"b=2&a=1%26"), &["sign", "sign_type"], true));
    assert!(!says_the_same(&pairs, &read(b"b=2&a=1%26"), &["sign", "sign_type"], false));
}
