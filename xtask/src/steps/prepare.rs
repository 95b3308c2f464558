//! What the steps need of the machine. Looks, installs what is missing where it can, and says what it did.
//!
//! Nothing is installed when `XTASK_NO_INSTALL=1`.

use std::env;

use crate::runner::{self, Context, Outcome, succeeds};

pub(super) fn run(context: &Context) -> Outcome {
    let mut installed = Vec::new();
    let mut missing = Vec::new();

    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !context.has_subcommand(subcommand) {
            if may_install() && add_component(context, component) && context.has_subcommand(subcommand) {
                installed.push(component);
            } else {
                missing.push(format!("{component} (rustup component add {component})"));
            }
        }
    }
    if !context.has_subcommand("nextest") {
        missing.push("cargo-nextest (cargo install cargo-nextest --locked)".to_owned());
    }
    if let Err(reason) = native_tls(context) {
        if install_packages(context, &["pkg-config", "libssl-dev"]) && native_tls(context).is_ok() {
            installed.push("OpenSSL headers");
        } else {
            missing.push(format!("native-tls will not be checked: {reason}"));
        }
    }
    for (program, package) in [("chromium", "chromium"), ("chromedriver", "chromium-driver")] {
        if !succeeds(context.command(program).arg("--version")) {
            if install_packages(context, &[package]) && succeeds(context.command(program).arg("--version")) {
                installed.push(program);
            } else {
                missing.push(format!("{program} (on Debian: apt-get install {package})"));
            }
        }
    }
    if !has_nats_server(context) {
        if install_packages(context, &["nats-server"]) && has_nats_server(context) {
            installed.push("nats-server");
        } else {
            let how = "on Debian and Ubuntu: apt-get install nats-server";
            missing.push(format!("nats-server ({how}): what needs it will be skipped by name"));
        }
    }
    // Without a linker this program would not be here; a C compiler by the usual name is another matter.
    if !has_c_compiler(context) {
        install_packages(context, &["gcc", "libc6-dev"]);
        if !has_c_compiler(context) {
            let how = "on Debian and Ubuntu: apt-get install gcc libc6-dev";
            return Outcome::Failed(format!("no C compiler `cc` ({how})"));
        }
        installed.push("a C compiler");
    }

    Outcome::Passed(match (installed.is_empty(), missing.is_empty()) {
        (true, true) => "nothing is missing".to_owned(),
        (false, true) => format!("installed {}", installed.join(", ")),
        (true, false) => format!("missing: {}", missing.join("; ")),
        (false, false) => format!("installed {}; missing: {}", installed.join(", "), missing.join("; ")),
    })
}

/// Whether the platform's TLS library can be built against; otherwise the reason why not.
pub(super) fn native_tls(context: &Context) -> Result<(), String> {
    let builtin = cfg!(any(windows, target_vendor = "apple"));
    if builtin || env::var_os("OPENSSL_DIR").is_some() {
        return Ok(());
    }
    if !succeeds(context.command("pkg-config").arg("--version")) {
        return Err(
            "pkg-config is not installed (on Debian and Ubuntu: apt-get install pkg-config libssl-dev)"
                .into(),
        );
    }
    if !succeeds(context.command("pkg-config").args(["--exists", "openssl"])) {
        return Err(
            "OpenSSL headers are not installed (on Debian and Ubuntu: apt-get install libssl-dev)".into()
        );
    }
    Ok(())
}

/// Whether the tests can start a server of NATS, looked for where they look for it.
pub(super) fn has_nats_server(context: &Context) -> bool {
    let named = env::var_os("NATS_SERVER_BIN").unwrap_or_else(|| "nats-server".into());
    // Debian's is not in everybody's search path.
    [named, "/usr/sbin/nats-server".into(), "/usr/local/bin/nats-server".into()]
        .into_iter()
        .any(|program| succeeds(context.command(program).arg("--version")))
}

fn has_c_compiler(context: &Context) -> bool {
    let named = env::var_os("CC").filter(|name| !name.is_empty());
    // Cargo finds the compiler of Visual Studio by itself.
    cfg!(windows) || named.is_some() || succeeds(context.command("cc").arg("--version"))
}

fn may_install() -> bool {
    env::var_os("XTASK_NO_INSTALL").is_none()
}

fn add_component(context: &Context, component: &str) -> bool {
    report(&runner::stream(context.command("rustup").args(["component", "add", component])))
}

/// Installs packages of the system by apt, as root or by `sudo` where that asks for no password.
fn install_packages(context: &Context, packages: &[&str]) -> bool {
    if !may_install() || !succeeds(context.command("apt-get").arg("--version")) {
        return false;
    }
    let is_root = runner::stdout_of(context.command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root && !succeeds(context.command("sudo").args(["-n", "true"])) {
        return false;
    }
    let apt = |args: &[&str]| {
        let mut command = context.command(if is_root { "env" } else { "sudo" });
        if !is_root {
            command.args(["-n", "env"]);
        }
        report(&runner::stream(command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args)))
    };
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);
    // Old lists may do where fresh ones cannot be had.
    apt(&["update"]);
    apt(&install)
}

fn report(result: &Result<(), String>) -> bool {
    if let Err(reason) = result {
        println!("{reason}");
    }
    result.is_ok()
}
