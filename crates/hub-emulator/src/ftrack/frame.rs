//! Websocket frames as a server writes them. Pure.

use bytes::Bytes;
use transport_ws::packet::Packet;

/// The longest head of a frame.
const MAX_HEADER: usize = 10;

/// Something to send, as it goes over the wire: shared by all who get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame(Bytes);

impl Frame {
    /// A packet, to be sent as an unfragmented text frame.
    pub(super) fn text(packet: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(MAX_HEADER + packet.len());
        put_header(&mut bytes, packet.len());
        bytes.extend_from_slice(packet);
        Self(bytes.into())
    }

    /// Bytes that are sent as they are.
    pub(super) fn raw(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// A Close frame, which a conforming server would send.
    pub(super) fn close(code: u16) -> Self {
        let [high, low] = code.to_be_bytes();
        Self::raw(vec![0x88, 2, high, low])
    }

    /// How much it is.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What is left of it when so many bytes are written.
    pub(super) fn rest(&self, written: usize) -> &[u8] {
        self.0.get(written..).unwrap_or_default()
    }
}

impl From<Packet<'_>> for Frame {
    fn from(packet: Packet<'_>) -> Self {
        Self::text(packet.encode().as_bytes())
    }
}

/// Appends the head of an unfragmented text frame.
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
