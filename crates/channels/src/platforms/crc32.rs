//! A checksum that some platforms sign in place of a body. It is linear: whoever has one message can make another body
//! with the same sum, without any key. It finds accidents, and proves nothing.

/// The polynomial of zlib's CRC-32, reflected.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// What each byte does to the sum.
const TABLE: [u32; 256] = table();

/// CRC-32 as in zlib.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        let [low, ..] = sum.to_le_bytes();
        sum = TABLE[usize::from(low ^ byte)] ^ (sum >> 8);
    }
    !sum
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    let mut first = 0_u32;
    while byte < table.len() {
        let (mut sum, mut bit) = (first, 0);
        while bit < 8 {
            sum = (sum >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(sum & 1));
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
        first += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_zlibs() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(&[0; 4]), 0x2144_DF1C);
        assert_eq!(crc32(&[0xff; 4]), 0xFFFF_FFFF);
    }
}
