//! (j) What a program that listens costs to build, and how large it becomes: with the fewest features and with all.

use std::path::Path;
use std::time::Instant;

use interop::Failure;
use tokio::process::Command;

use crate::figures::Measurement;
use crate::party::failed;
use crate::stage::Stage;

const SMALLEST: &str = "ftrack-hub without features";
const FULL: &str = "both clients with their default features";

/// A program that listens to one service, and one that knows both.
const PROGRAMS: [(&str, &str, &str, &str); 2] = [
    (
        "smallest",
        SMALLEST,
        r#"ftrack-hub = { path = "CRATES/ftrack-hub", default-features = false }"#,
        r#"let session = ftrack_hub::Session::builder("http://127.0.0.1:1", "u", "k").build()?;
    let hub = session.event_hub();
    hub.connect().await?;
    hub.subscribe("topic=*").handle(|event: ftrack_hub::Event| async move { drop(event) }).await?;"#,
    ),
    (
        "full",
        FULL,
        r#"ftrack-hub = { path = "CRATES/ftrack-hub" }
imodelhub-events = { path = "CRATES/imodelhub-events" }"#,
        r#"let session = ftrack_hub::Session::builder("https://127.0.0.1:1", "u", "k").build()?;
    let hub = session.event_hub();
    hub.connect().await?;
    hub.subscribe("topic=*").handle(|event: ftrack_hub::Event| async move { drop(event) }).await?;
    let at = imodelhub_events::Environment::Url("https://127.0.0.1:1".to_owned());
    let token = imodelhub_events::AccessToken::bearer("t");
    let client = imodelhub_events::IModelHubClient::builder(at, token).build()?;
    client.get_global_sas_token().await?;"#,
    ),
];

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement =
        Measurement::new("j", "size of a stripped release program and time to build it from nothing");
    if stage.quick {
        measurement.notes.push("left out of a quick run: it compiles for minutes".to_owned());
        return Ok(measurement);
    }
    let folder = std::env::temp_dir().join(format!("bench-build-{}", std::process::id()));
    let outcome = measure(&mut measurement, &folder).await;
    std::fs::remove_dir_all(&folder).map_err(failed)?;
    outcome.map(|()| measurement)
}

async fn measure(measurement: &mut Measurement, folder: &Path) -> Result<(), Failure> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".."));
    for (name, what, dependencies, body) in PROGRAMS {
        let package = folder.join(name);
        std::fs::create_dir_all(package.join("src")).map_err(failed)?;
        let dependencies = dependencies.replace("CRATES", &crates.to_string_lossy());
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\ntokio = {{ version = \
             \"1\", features = [\"macros\", \"rt\"] }}\n\n[profile.release]\nstrip = true\n\n[workspace]\n"
        );
        let main = format!(
            "#[tokio::main(flavor = \"current_thread\")]\nasync fn main() -> Result<(), Box<dyn \
             std::error::Error>> {{\n    {body}\n    Ok(())\n}}\n"
        );
        std::fs::write(package.join("Cargo.toml"), manifest).map_err(failed)?;
        std::fs::write(package.join("src/main.rs"), main).map_err(failed)?;
        // The versions of the workspace, so that the figure does not depend on the day.
        let lock = crates.parent().unwrap_or(crates).join("Cargo.lock");
        std::fs::copy(lock, package.join("Cargo.lock")).map_err(failed)?;
        cargo(&package, &["fetch"]).await?;
        #[expect(clippy::disallowed_methods, reason = "measures")]
        let began = Instant::now();
        cargo(&package, &["build", "--release", "--quiet", "--offline"]).await?;
        measurement.add(what, "clean build", "s", began.elapsed().as_secs_f64());
        let program = package.join("target/release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        #[expect(clippy::cast_precision_loss, reason = "a file is smaller than 2^53 bytes")]
        let size = std::fs::metadata(program).map_err(failed)?.len() as f64;
        measurement.add(what, "size of the program", "MiB", size / 1024.0 / 1024.0);
    }
    Ok(())
}

async fn cargo(package: &Path, args: &[&str]) -> Result<(), Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(args)
        .current_dir(package)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .kill_on_drop(true);
    let output = command.output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::new(format!("cargo {}: {}", args.join(" "), output.status)).with_output(said))
}
