//! The oldest Rust that the crates promise to build with. A second toolchain is not asked for: clippy's
//! `incompatible_msrv` stands in for it. Where that toolchain is installed, it is used.

use crate::runner::{self, Context, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    let version = match context.packages() {
        Ok(packages) => packages.iter().find_map(|package| package.rust_version.clone()),
        Err(reason) => return Outcome::Failed(reason),
    };
    let Some(version) = version else {
        return Outcome::Failed("no package names its rust-version".to_owned());
    };
    let installed = runner::succeeds(context.command("rustup").arg("--version")).then(|| {
        runner::stdout_of(context.command("rustup").args(["toolchain", "list"])).unwrap_or_default()
    });
    let Some(toolchain) = installed.as_deref().and_then(|list| toolchain_of(list, &version)) else {
        return Outcome::Skipped(format!(
            "no Rust {version} is installed; clippy's incompatible_msrv, denied, covers it"
        ));
    };
    let mut command = context.command("rustup");
    // The variables that choose the compiler would choose this one.
    command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    command.args(["run", toolchain, "cargo", "check", "--workspace", "--exclude", "xtask", "--locked"]);
    Outcome::from_result(runner::stream(&mut command).map(|()| format!("Rust {version}")))
}

/// The toolchain of a Rust release, such as 1.90, in the list that rustup prints.
fn toolchain_of<'a>(list: &'a str, version: &str) -> Option<&'a str> {
    list.lines().filter_map(|line| line.split_whitespace().next()).find(|name| {
        name.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchain_is_found_by_its_release() {
        let list =
            "stable-x86_64-unknown-linux-gnu (active, default)\n1.9-x\n1.90.0-x86_64-unknown-linux-gnu\n";
        assert_eq!(toolchain_of(list, "1.90"), Some("1.90.0-x86_64-unknown-linux-gnu"));
        assert_eq!(toolchain_of(list, "1.9"), Some("1.9-x"));
        assert_eq!(toolchain_of(list, "1.91"), None);
    }
}
