//! Hygiene of the files that are, or would be, checked in: no path of somebody's machine, and in Rust sources
//! nothing left unfinished, switched off, unbounded, printed by a library, or too long.
//!
//! The patterns are put together from halves, so that this file does not match them.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::runner::{self, Context, Outcome};

/// The most lines that a Rust file may have.
const MAX_LINES: usize = 600;

const UNFINISHED: &[&str] = &[concat!("to", "do!"), concat!("unimple", "mented!")];
const SWITCHED_OFF: &[&str] = &[concat!("#[ig", "nore")];
const UNBOUNDED: &[&str] = &[
    concat!("un", "bounded_channel"),
    concat!("un", "bounded("),
    concat!("un", "bounded::<"),
    concat!("Un", "boundedSender"),
    concat!("Un", "boundedReceiver"),
    concat!("mpsc::chan", "nel()"),
];
const PRINTED: &[&str] = &["println!", "print!", "eprintln!", "eprint!", "dbg!"];

pub(super) fn run(context: &Context) -> Outcome {
    let paths = match paths(context) {
        Ok(paths) => paths,
        Err(reason) => return Outcome::Failed(reason),
    };
    let mut findings = Vec::new();
    for path in &paths {
        // A file that is deleted but not yet committed so, or a link to a folder, has nothing to check.
        let Ok(bytes) = fs::read(context.root.join(path)) else { continue };
        // Git's own rule for what is not text.
        if !bytes.iter().take(8000).any(|byte| *byte == 0) {
            findings.extend(check(path, &String::from_utf8_lossy(&bytes)));
        }
    }
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        Outcome::Passed(format!("{} files", paths.len()))
    } else {
        Outcome::Failed(format!("{} findings in {} files, listed above", findings.len(), paths.len()))
    }
}

/// The files under version control and those that `git add` would put there; without git, all but build outputs.
fn paths(context: &Context) -> Result<BTreeSet<String>, String> {
    let mut git = context.command("git");
    // The tree may belong to another user where a container checks it.
    git.arg("-c").arg(format!("safe.directory={}", context.root.display()));
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    if context.root.join(".git").exists() && runner::succeeds(context.command("git").arg("--version")) {
        let list = runner::stdout_of(&mut git)?;
        return Ok(list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect());
    }
    let mut paths = BTreeSet::new();
    walk(&context.root, "", &mut paths).map_err(|error| format!("listing the files: {error}"))?;
    Ok(paths)
}

fn walk(root: &Path, folder: &str, paths: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if !entry.file_type()?.is_dir() {
            paths.insert(path);
        } else if !matches!(name.as_str(), "target" | ".git" | "node_modules") {
            walk(root, &path, paths)?;
        }
    }
    Ok(())
}

/// Something that should not be there; a line of 0 stands for the whole file.
#[derive(Debug, PartialEq, Eq)]
struct Finding<'a> {
    path: &'a str,
    line: usize,
    what: String,
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

fn check<'a>(path: &'a str, text: &str) -> Vec<Finding<'a>> {
    let is_rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");
    let mut findings = Vec::new();
    let mut find = |line: usize, what: String| findings.push(Finding { path, line, what });
    let mut rules = is_rust.then(|| Rules::of(path));
    let mut count = 0;
    for line in text.lines() {
        count += 1;
        if let Some(found) = workplace(line) {
            find(count, format!("path of a machine: {found}"));
        }
        for (pattern, why) in rules.iter_mut().flat_map(|rules| rules.broken_by(line)) {
            find(count, format!("{pattern}: {why}"));
        }
    }
    if is_rust && count > MAX_LINES {
        find(0, format!("{count} lines, more than {MAX_LINES}"));
    }
    findings
}

/// A path that only means something on the machine where it was written.
fn workplace(line: &str) -> Option<&str> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    for folder in [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")] {
        for (at, _) in line.match_indices(folder) {
            let (before, from) = line.split_at(at);
            let name = &from[folder.len()..];
            let is_inside =
                before.ends_with(|last: char| is_name(last) || matches!(last, '/' | '~' | '}' | '>' | '*'));
            // Home folders are those of somebody: `<user>` and `$USER` are not.
            let is_somebodys = folder != concat!("/ho", "me/") || name.starts_with(is_name);
            if (!is_inside || before.ends_with("file://")) && is_somebodys {
                let length = name.find(|character| !is_name(character)).unwrap_or(name.len());
                return Some(&from[..folder.len() + length]);
            }
        }
    }
    None
}

/// The rules for one Rust file, applied line by line.
struct Rules {
    in_crate: bool,
    in_library: bool,
    tests: Tests,
}

/// Whether the lines being read belong to tests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tests {
    No,
    /// An attribute said that what follows it does.
    Announced,
    Yes,
}

impl Rules {
    fn of(path: &str) -> Self {
        let in_crate = path.starts_with("crates/") && path.contains("/src/");
        let is_program = path.ends_with("/main.rs") || path.contains("/bin/");
        let is_tests = path.ends_with("/tests.rs") || path.contains("/tests/");
        let tests = if is_tests { Tests::Yes } else { Tests::No };
        Self { in_crate, in_library: in_crate && !is_program, tests }
    }

    /// The patterns that a line matches outside of comments, with what is wrong with them.
    fn broken_by(&mut self, line: &str) -> Vec<(&'static str, &'static str)> {
        let code = code_of(line);
        self.tests = match self.tests {
            // The module of tests is the last thing in a file.
            Tests::Yes => Tests::Yes,
            Tests::Announced if code.starts_with("mod ") && code.ends_with('{') => Tests::Yes,
            Tests::Announced if code.starts_with("#[") => Tests::Announced,
            _ if code == "#[cfg(test)]" => Tests::Announced,
            _ => Tests::No,
        };

        let rules = [
            (true, SWITCHED_OFF, "a test that does not run; gate it by what it needs instead"),
            (self.in_crate, UNFINISHED, "unfinished"),
            (self.in_crate, UNBOUNDED, "every queue is bounded"),
            (
                self.in_library && self.tests != Tests::Yes,
                PRINTED,
                "a library reports by tracing or by its results",
            ),
        ];
        let rules = rules.into_iter().filter(|(applies, _, _)| *applies);
        let mut broken = Vec::new();
        for (_, patterns, why) in rules {
            broken.extend(
                patterns.iter().copied().filter(|pattern| has_word(code, pattern)).map(|found| (found, why)),
            );
        }
        broken
    }
}

/// A line without its comment.
fn code_of(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with("//") {
        return "";
    }
    line.split_once(" // ").map_or(line, |(code, _)| code.trim_end())
}

/// Whether `pattern` occurs where no longer word ends with it.
fn has_word(code: &str, pattern: &str) -> bool {
    let word = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(pattern).any(|(at, _)| {
        let starts_a_word = !pattern.starts_with(word) || !code[..at].ends_with(word);
        let rest = &code[at + pattern.len()..];
        starts_a_word && !(pattern.ends_with(word) && rest.starts_with(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str = "crates/event-core/src/hub.rs";

    fn whats(path: &str, text: &str) -> Vec<String> {
        check(path, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for (folder, rest) in [("wo", "rk/main"), ("ro", "ot/.cargo"), ("ho", "me/ann/x")] {
            let path = format!("/{folder}{rest}");
            assert!(workplace(&format!("cd {path}/y")).is_some(), "{path}");
            assert!(workplace(&format!("\"{path}\"")).is_some(), "{path}");
            assert!(workplace(&format!("path+file://{path}#0.1.0")).is_some(), "{path}");
            assert!(workplace(&format!("https://example.com{path}")).is_none(), "{path}");
            assert!(workplace(&format!("$HOME/src{path}")).is_none(), "{path}");
        }
        assert_eq!(workplace(&format!("/{}e/ann/x", "hom")), Some(concat!("/ho", "me/ann")));
        assert!(workplace(&format!("/{}e/<user>/x", "hom")).is_none());
    }

    #[test]
    fn leftovers_are_found_in_library_code_only() {
        for pattern in UNFINISHED.iter().chain(UNBOUNDED) {
            let text = format!("fn f() {{\n    {pattern}\n}}\n");
            assert_eq!(check(LIBRARY, &text).len(), 1, "{pattern}");
            assert_eq!(check(LIBRARY, &text)[0].line, 2, "{pattern}");
            assert!(check("xtask/src/main.rs", &text).is_empty(), "{pattern}");
            assert!(check(LIBRARY, &format!("/// {pattern}\n")).is_empty(), "{pattern}");
        }
    }

    #[test]
    fn tests_switched_off_are_found_in_every_rust_file() {
        let text = format!("#[test]\n{}]\nfn f() {{}}\n", SWITCHED_OFF[0]);
        for path in [LIBRARY, "crates/event-core/tests/all/main.rs", "examples/src/lib.rs"] {
            assert_eq!(check(path, &text).len(), 1, "{path}");
        }
        assert!(check("docs/testing.md", &text).is_empty());
    }

    #[test]
    fn printing_is_for_programs_and_tests() {
        let text = "fn f() {\n    println!(\"x\");\n}\n";
        assert_eq!(whats(LIBRARY, text).len(), 1);
        assert!(whats(LIBRARY, text)[0].starts_with("crates/event-core/src/hub.rs:2: println!"));
        assert!(check("crates/hub-emulator/src/main.rs", text).is_empty());
        assert!(check("crates/hub-emulator/src/bin/hub.rs", text).is_empty());
        assert!(
            check(LIBRARY, &format!("#[cfg(test)]\n#[rustfmt::skip]\nmod tests {{\n{text}}}\n")).is_empty()
        );
        assert_eq!(check(LIBRARY, &format!("#[cfg(test)]\nmod tests;\n{text}")).len(), 1);
        assert!(check(LIBRARY, "writeln!(f, \"x\")?;\nmy_println!();\n").is_empty());
    }

    #[test]
    fn long_rust_files_are_found() {
        let text = "//\n".repeat(MAX_LINES);
        assert!(check(LIBRARY, &text).is_empty());
        assert_eq!(whats(LIBRARY, &format!("{text}//\n")), [format!("{LIBRARY}: 601 lines, more than 600")]);
        assert!(check("Cargo.lock", &format!("{text}//\n")).is_empty());
    }
}
