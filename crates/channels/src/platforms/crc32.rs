//! A checksum that some platforms sign in place of a body. It is linear: whoever has one message can make another body
//! with the same sum, without any key. It finds accidents, and proves nothing.

/// CRC-32 as in zlib (reflected polynomial 0xEDB88320).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1)))
    })
}
