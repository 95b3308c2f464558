//! Websocket frames as a server writes them. Pure.

use bytes::Bytes;
use transport_ws::packet::Packet;

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A packet, to be sent as an unfragmented text frame.
    Text(Bytes),
    /// Bytes that are sent as they are.
    Raw(Bytes),
}

impl Frame {
    /// How much room it takes in a queue.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Raw(bytes) => bytes.len(),
        }
    }

    /// A Close frame, which a conforming server would send.
    pub(super) fn close(code: u16) -> Self {
        let [high, low] = code.to_be_bytes();
        Self::Raw(Bytes::copy_from_slice(&[0x88, 2, high, low]))
    }
}

impl From<Packet<'_>> for Frame {
    fn from(packet: Packet<'_>) -> Self {
        Self::Text(packet.encode().into())
    }
}

/// Appends an unfragmented text frame.
pub(super) fn put_frame(out: &mut Vec<u8>, text: &[u8]) {
    put_header(out, text.len());
    out.extend_from_slice(text);
}

/// Appends the head of one.
pub(super) fn put_header(out: &mut Vec<u8>, length: usize) {
    const FINAL_TEXT: u8 = 0x81;
    out.push(FINAL_TEXT);
    if let Ok(short @ 0..=125) = u8::try_from(length) {
        out.push(short);
    } else if let Ok(medium) = u16::try_from(length) {
        out.push(126);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_headers_have_the_shortest_length_field() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            put_header(&mut out, length);
            assert_eq!(out, header, "{length}");
        }
    }
}
