//! What this process holds, read from `/proc`.

use std::fs;

use crate::figures::Broken;

/// Resident memory in bytes.
///
/// # Errors
///
/// [`Broken`] where there is no `/proc`.
pub fn resident() -> Result<u64, Broken> {
    let status = fs::read_to_string("/proc/self/status").map_err(no_proc)?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    Ok(kilobytes.ok_or_else(|| Broken::new("/proc/self/status has no VmRSS"))? * 1024)
}

/// Open descriptors, the one of this look not among them.
///
/// # Errors
///
/// [`Broken`] where there is no `/proc`.
pub fn descriptors() -> Result<usize, Broken> {
    Ok(fs::read_dir("/proc/self/fd").map_err(no_proc)?.count().saturating_sub(1))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn no_proc(error: std::io::Error) -> Broken {
    Broken::new(format!("this needs /proc, as on Linux: {error}"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_and_descriptors_are_noticed() {
        let before = (resident().unwrap(), descriptors().unwrap());
        let held: Vec<u8> = (0..64 << 20).map(|n: u32| n.to_le_bytes()[0]).collect();
        let file = fs::File::open("/proc/self/status").unwrap();
        let after = (resident().unwrap(), descriptors().unwrap());
        assert!(after.0 > before.0 + (32 << 20), "{before:?} {after:?}");
        // Other tests open and close files at the same time, in a program of many.
        assert!(after.1 > 0, "{before:?} {after:?}");
        drop((held, file));
    }
}
