//! `AgentMessage`: the binary frame of the message channels, the same on both sides of the wire and for the client
//! of a session. A header of 116 bytes and the payload's length, all big-endian, then the payload.

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use uuid::Uuid;

/// The header's length as its first field tells it: everything before the payload's length.
const HEADER: u32 = 116;
const SCHEMA_VERSION: u32 = 1;
const TYPE_LENGTH: usize = 32;
/// Frames of the real service stay far below; a frame that claims more is not read.
pub const LARGEST_PAYLOAD: usize = 1 << 20;

/// One message of a control or data channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentMessage {
    /// `agent_job`, `output_stream_data`, `acknowledge`, …: at most 32 ASCII characters.
    pub message_type: String,
    /// When it was made, in milliseconds since the epoch.
    pub created: u64,
    /// Its place in its stream.
    pub sequence: i64,
    /// Bit 0 opens a stream (SYN), bit 1 ends it (FIN).
    pub flags: u64,
    /// Its name, which acknowledgements repeat.
    pub id: Uuid,
    /// What the payload is: 1 output, 3 terminal size, 5 to 7 handshake, …
    pub payload_type: u32,
    /// JSON or the bytes of a stream.
    pub payload: Vec<u8>,
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Fewer bytes than the header and the payload's length promise.
    #[error("the frame is cut off after {0} bytes")]
    Truncated(usize),
    /// Another header than this version knows.
    #[error("the frame's header has {0} bytes, not {HEADER}")]
    Header(u32),
    /// A message type outside ASCII.
    #[error("the frame's message type is not ASCII")]
    Type,
    /// More bytes than the payload's length, or a payload beyond any limit.
    #[error("the frame's payload has {actual} bytes where {told} were told")]
    Length {
        /// What the header says.
        told: u32,
        /// What came.
        actual: usize,
    },
    /// The payload is not the one the digest was taken of.
    #[error("the frame's payload does not match its digest")]
    Digest,
}

impl AgentMessage {
    /// A message that opens no stream, made now, under a new name.
    #[must_use]
    pub fn new(message_type: &str, sequence: i64, payload_type: u32, payload: Vec<u8>) -> Self {
        Self {
            message_type: message_type.to_owned(),
            created: u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default(),
            sequence,
            flags: 0,
            id: Uuid::new_v4(),
            payload_type,
            payload,
        }
    }

    /// The frame. A message type beyond its 32 bytes is cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut kind = [b' '; TYPE_LENGTH];
        for (place, byte) in kind.iter_mut().zip(self.message_type.bytes()) {
            *place = byte;
        }
        let (high, low) = self.id.as_u64_pair();
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let mut frame = Vec::with_capacity(HEADER as usize + 4 + self.payload.len());
        frame.extend(HEADER.to_be_bytes());
        frame.extend(kind);
        frame.extend(SCHEMA_VERSION.to_be_bytes());
        frame.extend(self.created.to_be_bytes());
        frame.extend(self.sequence.to_be_bytes());
        frame.extend(self.flags.to_be_bytes());
        frame.extend(low.to_be_bytes());
        frame.extend(high.to_be_bytes());
        frame.extend(Sha256::digest(&self.payload));
        frame.extend(self.payload_type.to_be_bytes());
        frame.extend(length.to_be_bytes());
        frame.extend(&self.payload);
        frame
    }

    /// Reads a frame; it must be whole and its digest right.
    pub fn decode(frame: &[u8]) -> Result<Self, FrameError> {
        let mut rest = Fields { frame, rest: frame };
        let header = u32::from_be_bytes(rest.take()?);
        if header != HEADER {
            return Err(FrameError::Header(header));
        }
        let kind: [u8; TYPE_LENGTH] = rest.take()?;
        let _schema_version: [u8; 4] = rest.take()?;
        let created = u64::from_be_bytes(rest.take()?);
        let sequence = i64::from_be_bytes(rest.take()?);
        let flags = u64::from_be_bytes(rest.take()?);
        let low = u64::from_be_bytes(rest.take()?);
        let high = u64::from_be_bytes(rest.take()?);
        let digest: [u8; 32] = rest.take()?;
        let payload_type = u32::from_be_bytes(rest.take()?);
        let told = u32::from_be_bytes(rest.take()?);
        let payload = rest.rest;
        if usize::try_from(told).ok() != Some(payload.len()) || payload.len() > LARGEST_PAYLOAD {
            return Err(FrameError::Length { told, actual: payload.len() });
        }
        if Sha256::digest(payload).as_slice() != digest {
            return Err(FrameError::Digest);
        }
        Ok(Self {
            message_type: text(&kind)?,
            created,
            sequence,
            flags,
            id: Uuid::from_u64_pair(high, low),
            payload_type,
            payload: payload.to_vec(),
        })
    }
}

/// The real service pads with spaces, some clients with zero bytes.
fn text(kind: &[u8; TYPE_LENGTH]) -> Result<String, FrameError> {
    let text = std::str::from_utf8(kind).map_err(|_| FrameError::Type)?;
    let text = text.trim_end_matches(['\0', ' ']);
    if text.is_ascii() { Ok(text.to_owned()) } else { Err(FrameError::Type) }
}

struct Fields<'a> {
    frame: &'a [u8],
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (field, rest) =
            self.rest.split_first_chunk::<N>().ok_or(FrameError::Truncated(self.frame.len()))?;
        self.rest = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AgentMessage, FrameError};

    fn message() -> AgentMessage {
        AgentMessage {
            message_type: "agent_job".to_owned(),
            created: 0x0102_0304_0506_0708,
            sequence: -2,
            flags: 3,
            id: "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap(),
            payload_type: 1,
            payload: b"abc".to_vec(),
        }
    }

    /// Laid out by hand; the digest of "abc" is the first example of FIPS 180-2.
    #[test]
    fn a_frame_has_its_fields_where_the_protocol_has_them() {
        let expected = [
            "00000074",
            "6167656e745f6a6f62202020202020202020202020202020202020202020202020".get(..64).unwrap(),
            "00000001",
            "0102030405060708",
            "fffffffffffffffe",
            "0000000000000003",
            "8899aabbccddeeff",
            "0011223344556677",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "00000001",
            "00000003",
            "616263",
        ];
        assert_eq!(hex::encode(message().encode()), expected.concat());
        assert_eq!(AgentMessage::decode(&message().encode()), Ok(message()));
    }

    #[test]
    fn a_changed_payload_is_noticed() {
        let mut frame = message().encode();
        *frame.last_mut().unwrap() ^= 1;
        assert_eq!(AgentMessage::decode(&frame), Err(FrameError::Digest));
        frame.push(0);
        assert_eq!(AgentMessage::decode(&frame), Err(FrameError::Length { told: 3, actual: 4 }));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let frame = message().encode();
        for length in 0..frame.len() {
            assert!(AgentMessage::decode(&frame[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_type_padded_with_zero_bytes_is_read_too() {
        let mut frame = message().encode();
        frame[13..36].fill(0);
        assert_eq!(AgentMessage::decode(&frame).unwrap().message_type, "agent_job");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            message_type in "[a-z_]{1,32}", created: u64, sequence: i64, flags: u64, id: u128,
            payload_type: u32, payload in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let id = uuid::Uuid::from_u128(id);
            let message = AgentMessage { message_type, created, sequence, flags, id, payload_type, payload };
            prop_assert_eq!(AgentMessage::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), flip in 0..116_usize) {
            let _ = AgentMessage::decode(&bytes);
            let mut frame = message().encode();
            frame[flip] ^= bytes.first().copied().unwrap_or(255);
            let _ = AgentMessage::decode(&frame);
        }
    }
}
