//! Segments that are encrypted as a whole (RFC 8216 section 4.3.2.4, `AES-128`).

use aws_lc_rs::cipher::{AES_128, DecryptionContext, StreamingDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// Bytes of a key, of a vector and of a block.
const BLOCK: usize = 16;

/// Decrypts one segment as it comes.
pub(super) struct Decryptor(StreamingDecryptingKey);

/// It cannot be decrypted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undecryptable;

impl Decryptor {
    pub(super) fn new(key: &[u8], vector: [u8; 16]) -> Result<Self, Undecryptable> {
        let key = UnboundCipherKey::new(&AES_128, key).map_err(|_| Undecryptable)?;
        let vector = DecryptionContext::Iv128(FixedLength::from(vector));
        StreamingDecryptingKey::cbc_pkcs7(key, vector).map(Self).map_err(|_| Undecryptable)
    }

    /// The next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Undecryptable> {
        let mut plain = vec![0; bytes.len() + BLOCK];
        let written = self.0.update(bytes, &mut plain).map_err(|_| Undecryptable)?.written().len();
        plain.truncate(written);
        Ok(plain)
    }

    /// The last ones, without the padding.
    pub(super) fn finish(self) -> Result<Vec<u8>, Undecryptable> {
        let mut plain = vec![0; BLOCK];
        let written = self.0.finish(&mut plain).map_err(|_| Undecryptable)?.written().len();
        plain.truncate(written);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decrypted_in_any_portions() {
        // openssl enc -aes-128-cbc -K 000102030405060708090a0b0c0d0e0f -iv 000000000000000000000000000000ff
        let key: Vec<u8> = (0..16).collect();
        let vector = 255u128.to_be_bytes();
        let secret = CIPHER;
        for portion in [1, 7, 16, 100] {
            let mut decryptor = Decryptor::new(&key, vector).unwrap();
            let mut plain = Vec::new();
            for portion in secret.chunks(portion) {
                plain.extend(decryptor.update(portion).unwrap());
            }
            plain.extend(decryptor.finish().unwrap());
            assert_eq!(plain, b"twenty-one bytes long");
        }
        let mut cut = Decryptor::new(&key, vector).unwrap();
        cut.update(&secret[..20]).unwrap();
        assert!(cut.finish().is_err());
        assert!(Decryptor::new(&key[..5], vector).is_err());
    }

    const CIPHER: [u8; 32] = [
        0x6f, 0x6d, 0xcb, 0xc0, 0x31, 0x77, 0xd7, 0xe5, 0x71, 0x62, 0x52, 0x2e, 0xe3, 0x94, 0xdb, 0x4a, 0xca, 0x4e,
        0x81, 0x0a, 0xf4, 0xa9, 0x1c, 0xca, 0x37, 0x15, 0x25, 0x2c, 0xf9, 0xc7, 0x43, 0x9a,
    ];
}
