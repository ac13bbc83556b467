//! Two small packets that carry only a ring id.
//!
//! A *probe* tells that its sender has a ring installed. A daemon of another ring that hears it knows that the two rings can merge. It is sent at
//! intervals under any load, so that rings find each other even when they are busy. A *hurry* asks the daemon at which the token rests
//! to let it go round.
//!
//! ```text
//!  0 12  ring id
//! ```

use super::{DecodeError, Reader, RingId, Writer};

/// Reads the body of a probe or a hurry.
pub fn decode_ring(body: &[u8]) -> Result<RingId, DecodeError> {
    let mut reader = Reader::new(body);
    let ring = RingId::decode(&mut reader)?;
    reader.end()?;
    Ok(ring)
}

/// The body of a probe or a hurry.
pub fn encode_ring(ring: RingId) -> Vec<u8> {
    let mut writer = Writer::with_capacity(RingId::SIZE);
    ring.encode(&mut writer);
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DaemonId;

    #[test]
    fn literal_bytes() {
        let ring = RingId { sequence: 2, representative: DaemonId(1) };
        assert_eq!(encode_ring(ring), [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]);
        assert_eq!(decode_ring(&encode_ring(ring)), Ok(ring));
        assert!((0..12).all(|n| decode_ring(&encode_ring(ring)[..n]).is_err()));
        assert_eq!(decode_ring(&[0; 12]), Err(DecodeError::BadValue("representative")));
        assert_eq!(decode_ring(&[1; 13]), Err(DecodeError::TrailingBytes));
    }
}
