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

/// Whether another process, which nobody has waited for, has ended; `None` where `/proc` does not tell.
pub fn has_ended(process: u32) -> Option<bool> {
    Some(stat(process)?.first()? == "Z")
}

/// Microseconds of processor time of another process so far, in steps of the kernel's clock (10 ms as a rule), where
/// `/proc` tells.
#[cfg(unix)]
pub fn cpu_us_of(process: u32) -> Option<f64> {
    let stat = stat(process)?;
    let ticks = |at: usize| stat.get(at)?.parse::<f64>().ok();
    let (user, system) = (ticks(11)?, ticks(12)?);
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let second = rustix::param::clock_ticks_per_second() as f64;
    Some((user + system) / second * 1e6)
}

/// Not known here.
#[cfg(not(unix))]
pub fn cpu_us_of(_: u32) -> Option<f64> {
    None
}

/// The members of `/proc/PID/stat` from the state on.
fn stat(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Before that stands the name, which can have anything in it.
    let (_, members) = stat.rsplit_once(')')?;
    Some(members.split_whitespace().map(str::to_owned).collect())
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_known_after_its_end() {
        let mut busy = std::process::Command::new("sh")
            .args(["-c", "n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done"])
            .spawn()
            .unwrap();
        while has_ended(busy.id()) == Some(false) {
            std::thread::yield_now();
        }
        assert!(cpu_us_of(busy.id()).unwrap() >= 10_000.0);
        busy.wait().unwrap();
        assert_eq!((has_ended(busy.id()), cpu_us_of(busy.id())), (None, None));
    }
}
