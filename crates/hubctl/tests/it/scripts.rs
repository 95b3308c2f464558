//! Scripts with the output that they must have: `tests/cmd` without a server, `tests/session` with one.

use trycmd::TestCases;

use crate::support::{Served, hubctl};

#[test]
fn commands_without_a_server_say_what_is_written_down() {
    TestCases::new()
        .register_bin("hubctl", hubctl())
        .env("NO_COLOR", "1")
        .env("HOME", "/nonexistent")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .case("tests/cmd/*.trycmd");
}

#[test]
fn a_session_goes_as_it_is_written_down() {
    let served = Served::start(&["--user", "jane:marked-4711"]);
    TestCases::new()
        .register_bin("hubctl", hubctl())
        .env("NO_COLOR", "1")
        .env("HOME", "/nonexistent")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("FTRACK_SERVER", &served.ftrack)
        .env("FTRACK_API_USER", "jane")
        .env("FTRACK_API_KEY", "marked-4711")
        .case("tests/session/*.trycmd");
}
