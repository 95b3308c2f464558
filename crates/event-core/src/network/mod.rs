//! What transports over a network have in common, as values: which [proxy](Proxy) leads to a server, and why a
//! certificate was refused. No socket is opened here.

mod certificate;
mod no_proxy;
mod proxy;
mod setting;
#[cfg(test)]
mod setting_tests;

pub use certificate::CertificateFault;
pub use proxy::{Proxy, ProxyScheme};
pub use setting::ProxySetting;
