//! What the operating system says about this process.

use std::fs;

use serde_json::{Value, json};

/// Microseconds of processor time of this process so far, all threads, user and system.
#[cfg(unix)]
pub fn cpu_us() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a process runs for less than 2^53 ns")]
    let (seconds, nanoseconds) = (time.tv_sec as f64, time.tv_nsec as f64);
    seconds * 1e6 + nanoseconds / 1e3
}

/// Not known here.
#[cfg(not(unix))]
pub fn cpu_us() -> f64 {
    f64::NAN
}

/// Resident memory of this process now, in KiB, where `/proc` tells.
pub fn resident_kib() -> Option<f64> {
    status("VmRSS:")
}

/// And its peak.
pub fn peak_kib() -> Option<f64> {
    status("VmHWM:")
}

fn status(member: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(member))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// All of it, as an answer to the command `usage`.
pub fn report() -> Value {
    json!({ "cpu_us": cpu_us(), "resident_kib": resident_kib(), "peak_kib": peak_kib() })
}

/// Lets this process open as many descriptors as it may at most; gives how many.
#[cfg(unix)]
pub fn raise_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let got = if setrlimit(Resource::Nofile, wanted).is_ok() { limit.maximum } else { limit.current };
    got.unwrap_or(u64::MAX)
}

/// Windows has no such limit for sockets.
#[cfg(not(unix))]
pub fn raise_descriptors() -> u64 {
    u64::MAX
}
