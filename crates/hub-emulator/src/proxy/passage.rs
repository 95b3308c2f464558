//! What a proxy was asked for.

/// What a client spoke with the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyProtocol {
    /// HTTP, a tunnel by `CONNECT`.
    Connect,
    /// HTTP, one request with an absolute URL.
    Forward,
    /// SOCKS5.
    Socks5,
}

/// How it ended with the proxy's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PassageEnd {
    /// The way to the server was opened.
    Opened,
    /// Credentials are wanted, and there were none.
    NoCredentials,
    /// The credentials are wrong.
    WrongCredentials,
    /// The server is another machine.
    Forbidden,
    /// The server cannot be reached, or has no name here.
    Unreachable,
    /// A fault struck.
    Fault,
}

/// One request to a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Passage {
    /// What the client spoke.
    pub protocol: ProxyProtocol,
    /// `host:port` as the client gave it: by name if the proxy is to look it up. Empty where it did not come so far.
    pub target: String,
    /// How it ended.
    pub end: PassageEnd,
}
