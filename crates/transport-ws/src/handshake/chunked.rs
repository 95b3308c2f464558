//! Removes the chunk framing of an HTTP/1.1 body. Strict: CRLF everywhere, at most eight hexadecimal digits.

use super::HandshakeError;

/// The most bytes of chunk extensions, and of trailers, over the whole body.
const MAX_EXTRA: usize = 4 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More bytes are needed.
    Partial,
    /// The last chunk and its trailers were read; what follows was not looked at.
    Complete,
}

#[derive(Clone, Copy)]
enum Place {
    /// In the digits of a size, of which so many were read.
    Size {
        digits: u8,
    },
    /// Between a `;` and the CR of a size line.
    Extension,
    /// After the CR of a size line.
    SizeLf,
    /// In the data.
    Data,
    /// After the data, before its CR.
    DataCr,
    /// After the CR of the data.
    DataLf,
    /// In a trailer line, after so many bytes that are not CR.
    Trailer {
        line: usize,
    },
    /// After the CR of a trailer line; an empty one ends the body.
    TrailerLf {
        line: usize,
    },
    End,
}

/// The state of a chunked body.
pub(super) struct Chunked {
    place: Place,
    /// Of the present chunk: while in its size line the size so far, then the bytes still to come.
    left: usize,
    extra: usize,
}

impl Chunked {
    pub(super) const fn new() -> Self {
        Self { place: Place::Size { digits: 0 }, left: 0, extra: 0 }
    }

    /// Appends the data in `bytes` to `body`, which must not grow beyond `limit`.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        body: &mut Vec<u8>,
        limit: usize,
    ) -> Result<Progress, HandshakeError> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if let Place::Data = self.place {
                let (data, after) = bytes.split_at(bytes.len().min(self.left));
                body.extend_from_slice(data);
                bytes = after;
                self.left -= data.len();
                if self.left == 0 {
                    self.place = Place::DataCr;
                }
                continue;
            }
            self.place = self.step(byte)?;
            match self.place {
                Place::End => return Ok(Progress::Complete),
                Place::Data if self.left > limit - body.len() => {
                    return Err(HandshakeError::TooLarge { limit });
                }
                _ => bytes = rest,
            }
        }
        Ok(Progress::Partial)
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8) -> Result<Place, HandshakeError> {
        const WRONG: HandshakeError = HandshakeError::Malformed("its chunks are broken");
        Ok(match (self.place, byte) {
            (Place::Size { digits: 1.. } | Place::Extension, b'\r') => Place::SizeLf,
            (Place::Size { digits: 1.. }, b';') => Place::Extension,
            (Place::Size { digits: digits @ 0..8 }, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(WRONG)?;
                // Eight digits: fits 32 bits, so it fits usize on everything that runs tokio.
                self.left = self.left * 16 + digit as usize;
                Place::Size { digits: digits + 1 }
            }
            (Place::Extension, _) if byte != b'\n' => self.extra(Place::Extension)?,
            (Place::SizeLf, b'\n') if self.left == 0 => Place::Trailer { line: 0 },
            (Place::SizeLf, b'\n') => Place::Data,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size { digits: 0 },
            (Place::Trailer { line }, b'\r') => Place::TrailerLf { line },
            (Place::Trailer { line }, _) if byte != b'\n' => self.extra(Place::Trailer { line: line + 1 })?,
            (Place::TrailerLf { line: 0 }, b'\n') => Place::End,
            (Place::TrailerLf { .. }, b'\n') => Place::Trailer { line: 0 },
            _ => return Err(WRONG),
        })
    }

    fn extra(&mut self, place: Place) -> Result<Place, HandshakeError> {
        self.extra += 1;
        if self.extra > MAX_EXTRA { Err(HandshakeError::TooLarge { limit: MAX_EXTRA }) } else { Ok(place) }
    }
}
