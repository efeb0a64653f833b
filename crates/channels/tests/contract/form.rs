//! Forms in bodies and queries, read and written independently of the crate.

use super::pairs::Pair;

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
    for (index, pair) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        style.write(&pair.name, true, &mut out);
        out.push(b'=');
        style.write(&pair.value, false, &mut out);
    }
    out
}

/// Reads a form as leniently as any reader would: what cannot be decoded stays as it is.
pub(crate) fn read(body: &[u8]) -> Vec<Pair> {
    body.split(|&byte| byte == b'&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| match piece.iter().position(|&byte| byte == b'=') {
            Some(at) => Pair::new(decode(&piece[..at]), decode(&piece[at + 1..])),
            None => Pair::new(decode(piece), ""),
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

#[test]
fn every_style_reads_back_to_the_same_pairs() {
    let pairs = [
        Pair::new("a=b&c", "=&+ %41 é😀\"\0\n"),
        Pair::new("empty", ""),
        Pair::new((0..=255).collect::<Vec<u8>>(), (0..=255).collect::<Vec<u8>>()),
    ];
    for style in Style::ALL {
        assert_eq!(read(&write(&pairs, style)), pairs, "{style:?}");
    }
}
