//! On a machine without Node and Python the program says what it skipped, and why; where they are required that is a
//! failure.

use std::io;
use std::path::Path;
use std::process::{Command, Output};

/// The program with no tools to be found and nothing in its cache.
fn bare(args: &[&str], ci: Option<&str>) -> io::Result<Output> {
    let nothing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-tools");
    let mut program = Command::new(env!("CARGO_BIN_EXE_interop"));
    program.args(args).env("PATH", &nothing).env("INTEROP_CACHE", &nothing).env_remove("CI");
    if let Some(ci) = ci {
        program.env("CI", ci);
    }
    program.output()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const ALL: [&str; 5] = ["--differential", "10", "--burst", "10", "--defects"];

#[test]
fn what_cannot_be_played_is_skipped_by_name_with_its_reason() {
    let output = bare(&ALL, None).expect("it runs");
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for wanted in [
        "skipped   0.00 s  emulator serves @ftrack/api 1.11.2: receives a wildcard (node is needed and does not run",
        "skipped   0.00 s  client works with socket.io 0.9.19: beats and we answer (node is needed",
        "skipped   0.00 s  emulator serves ftrack-python-api 3.1.0: receives a wildcard (python3 with venv is needed",
        "ok ",
        " passed, 0 failed, ",
        "expressions were not compared: python3",
        "nothing was published in a burst: node",
        "the defects were not tried: node",
    ] {
        assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
    }
}

#[test]
fn where_tools_are_required_a_missing_one_is_a_failure() {
    let output = bare(&["--require", "--differential", "0"], None).expect("it runs");
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains(" 0 failed, "), "nothing else fails: {}", text(&output));
}

#[test]
fn in_continuous_integration_a_missing_tool_is_a_failure() {
    assert!(!bare(&["--differential", "0"], Some("true")).expect("it runs").status.success());
    assert!(bare(&["--differential", "0"], Some("false")).expect("it runs").status.success());
}

#[test]
fn each_part_that_is_left_out_is_a_failure_where_it_is_required() {
    // Scenarios that need nothing, so that only the part can fail.
    let recorded = ["--require", "--only", "as recorded"];
    assert!(bare(&recorded, None).expect("it runs").status.success());
    for part in [&["--differential", "10"][..], &["--burst", "10"], &["--defects"]] {
        let output = bare(&[&recorded[..], part].concat(), None).expect("it runs");
        assert!(!output.status.success(), "{part:?}: {}", text(&output));
    }
}
