//! What a proxy can do wrong.

/// What goes wrong with a proxy's connections, when the client's request has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyFault {
    /// It never answers.
    Hang,
    /// It hangs up.
    Close,
    /// It answers this HTTP status, and hangs up. A SOCKS5 client gets a general failure.
    Status(u16),
    /// It answers this code of SOCKS5, and hangs up. An HTTP client gets status 502.
    Reply(u8),
    /// It answers these bytes to whatever comes first, and stays.
    Answer(Vec<u8>),
    /// It answers with a head that never ends.
    Endless,
    /// It answers rightly, but byte by byte.
    Pieces,
}
