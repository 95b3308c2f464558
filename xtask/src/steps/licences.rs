//! The licences of everything in the lock file, other platforms' packages among them: each must let users of the
//! published crates do what MIT or Apache-2.0 lets them do. What only tests and tools are built with may be more.

use std::collections::BTreeMap;

use serde_json::Value;
use spdx::{Expression, ParseMode};

use crate::runner::{self, Context, Outcome};

/// Permissive ones. CDLA-Permissive-2.0 is for data: root certificates.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Besides these, for what no published crate brings to its users: the driver of browsers, used as it is.
const ALLOWED_IN_TOOLS: &[&str] = &["MPL-2.0"];

/// Packages that come with a text and without an expression, and which licence the text is.
const READ: &[(&str, &str)] = &[("cloudevents-sdk", "Apache-2.0")];

pub(super) fn run(context: &Context) -> Outcome {
    let mut command = context.cargo(["metadata", "--all-features", "--format-version", "1"]);
    if context.ci {
        command.arg("--locked");
    }
    let checked = runner::stdout_of(&mut command).and_then(|json| check(&json, READ));
    let Checked { packages, findings } = match checked {
        Ok(checked) => checked,
        Err(reason) => return Outcome::Failed(reason),
    };
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        Outcome::Passed(format!("{packages} packages"))
    } else {
        Outcome::Failed(format!("{} findings in {packages} packages, listed above", findings.len()))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Checked {
    packages: usize,
    findings: Vec<String>,
}

/// Looks at what `cargo metadata --format-version 1` tells.
fn check(json: &str, read: &[(&str, &str)]) -> Result<Checked, String> {
    let root: Value = serde_json::from_str(json).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = root["packages"].as_array().ok_or("cargo metadata has no list of packages")?;
    let published = published(&root, packages)?;
    let mut findings = Vec::new();
    for package in packages {
        let [id, name, version] =
            ["id", "name", "version"].map(|key| package[key].as_str().unwrap_or_default());
        let by_hand = read.iter().find(|(read, _)| *read == name).map(|(_, licence)| *licence);
        let verdict = match (package["license"].as_str(), by_hand) {
            (Some(licence), None) | (None, Some(licence)) => judge(licence, published.get(id).copied()),
            (Some(licence), Some(_)) => {
                Err(format!("it says {licence} by itself; take it off the list of this step"))
            }
            (None, None) => {
                Err("it names no licence; read its text, and put it on the list of this step".to_owned())
            }
        };
        findings.extend(verdict.err().map(|why| format!("{name} {version}: {why}")));
    }
    for (name, _) in read {
        if packages.iter().all(|package| package["name"] != *name) {
            findings.push(format!("{name}: it is not used any more; take it off the list of this step"));
        }
    }
    Ok(Checked { packages: packages.len(), findings })
}

/// Whether a licence will do for a package; `user` is a published crate that brings the package to its users.
fn judge(licence: &str, user: Option<&str>) -> Result<(), String> {
    // Some write `MIT/Apache-2.0`, as cargo once did.
    let expression = Expression::parse_mode(licence, ParseMode::LAX)
        .map_err(|error| format!("{licence} is no licence expression: {}", error.reason))?;
    let within = |lists: &[&[&str]]| {
        expression.evaluate(|asked| {
            let asked = asked.to_string();
            lists.iter().any(|list| list.contains(&asked.as_str()))
        })
    };
    match user {
        _ if within(&[ALLOWED]) => Ok(()),
        None if within(&[ALLOWED, ALLOWED_IN_TOOLS]) => Ok(()),
        None => Err(format!("{licence} is not allowed")),
        Some(user) => Err(format!("{licence} is not allowed in what {user} brings to its users")),
    }
}

/// The ids of packages that published crates are built with, on any platform, each with one of those crates.
fn published<'a>(root: &'a Value, packages: &'a [Value]) -> Result<BTreeMap<&'a str, &'a str>, String> {
    let nodes = root["resolve"]["nodes"].as_array().ok_or("cargo metadata has no resolved dependencies")?;
    let nodes: BTreeMap<_, _> =
        nodes.iter().filter_map(|node| Some((node["id"].as_str()?, node["deps"].as_array()?))).collect();
    let members = root["workspace_members"].as_array().ok_or("cargo metadata has no workspace")?;
    let mut open: Vec<(&str, &str)> = packages
        .iter()
        // `publish = false` is an empty list of registries here.
        .filter(|package| package["publish"].as_array().is_none_or(|registries| !registries.is_empty()))
        .filter(|package| members.contains(&package["id"]))
        .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect();
    let mut published = BTreeMap::new();
    while let Some((id, user)) = open.pop() {
        if published.insert(id, user).is_some() {
            continue;
        }
        for dependency in nodes.get(id).copied().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array();
            if kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"] != "dev")) {
                open.extend(dependency["pkg"].as_str().map(|id| (id, user)));
            }
        }
    }
    Ok(published)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const USER: Option<&str> = Some("hub");

    #[test]
    fn one_of_several_by_or_will_do_and_all_of_several_by_and_must() {
        for licence in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "Apache-2.0 / MIT",
            "Unlicense/MIT",
            "MIT OR LGPL-2.1-or-later",
            "GPL-3.0-only OR (MIT AND ISC)",
            "(MIT OR GPL-3.0-only) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert_eq!(judge(licence, USER), Ok(()), "{licence}");
        }
        for licence in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "MIT AND LGPL-2.1-or-later",
            "(MIT OR Apache-2.0) AND GPL-2.0-or-later",
            // `AND` binds stronger than `OR`.
            "GPL-3.0-only AND MIT OR GPL-2.0-only",
            "Apache-2.0 WITH LLVM-exception",
            "LicenseRef-ours",
        ] {
            let refused = judge(licence, USER).unwrap_err();
            assert_eq!(refused, format!("{licence} is not allowed in what hub brings to its users"));
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        for licence in ["", "MIT OR", "non-standard", "MIT, Apache-2.0", "(MIT"] {
            let refused = judge(licence, None).unwrap_err();
            assert!(refused.starts_with(&format!("{licence} is no licence expression: ")), "{refused}");
        }
    }

    #[test]
    fn tools_may_have_more() {
        assert_eq!(judge("MPL-2.0", None), Ok(()));
        assert!(judge("MPL-2.0", USER).unwrap_err().contains("what hub brings"));
        assert!(judge("MPL-2.0 AND GPL-3.0-only", None).is_err());
    }

    /// Its name and its licence, and what it depends on, with the kinds of that.
    type Package<'a> = (&'a str, Option<&'a str>, &'a [(&'a str, Option<&'a str>)]);

    /// A published crate, `hub`, a tool, `tool`, and their dependencies.
    fn metadata(packages: &[Package<'_>]) -> String {
        let packages_json: Vec<_> = packages
            .iter()
            .map(|(name, license, _)| {
                let publish = (*name == "tool").then(|| json!([]));
                json!({"id": name, "name": name, "version": "1.0.0", "license": license, "publish": publish})
            })
            .collect();
        let nodes: Vec<_> = packages
            .iter()
            .map(|(name, _, deps)| {
                let deps: Vec<_> = deps
                    .iter()
                    .map(|(pkg, kind)| json!({"pkg": pkg, "dep_kinds": [{"kind": kind}]}))
                    .collect();
                json!({"id": name, "deps": deps})
            })
            .collect();
        json!({
            "packages": packages_json,
            "workspace_members": ["hub", "tool"],
            "resolve": {"nodes": nodes},
        })
        .to_string()
    }

    #[test]
    fn what_published_crates_bring_is_told_from_what_tests_and_tools_use() {
        let weak = Some("MPL-2.0");
        let json = metadata(&[
            ("hub", Some("MIT"), &[("wire", None), ("built", Some("build")), ("judge", Some("dev"))]),
            ("tool", Some("MIT"), &[("driver", None), ("hub", None)]),
            ("wire", Some("MIT"), &[("deep", None)]),
            ("deep", weak, &[("deep", None)]),
            ("built", weak, &[]),
            ("judge", weak, &[]),
            ("driver", weak, &[("deep", None)]),
        ]);
        let why = "1.0.0: MPL-2.0 is not allowed in what hub brings to its users";
        let findings = vec![format!("deep {why}"), format!("built {why}")];
        assert_eq!(check(&json, &[]).unwrap(), Checked { packages: 7, findings });
    }

    #[test]
    fn a_text_must_have_been_read_and_the_list_of_those_is_kept_short() {
        let json = metadata(&[("hub", Some("MIT"), &[("text", None)]), ("text", None, &[])]);
        let findings = |read: &[(&str, &str)]| check(&json, read).unwrap().findings;
        assert!(findings(&[])[0].starts_with("text 1.0.0: it names no licence"));
        assert_eq!(findings(&[("text", "Apache-2.0")]), [""; 0]);
        assert!(findings(&[("text", "GPL-3.0-only")])[0].contains("GPL-3.0-only is not allowed"));
        let stale = findings(&[("text", "MIT"), ("hub", "MIT"), ("gone", "MIT")]);
        assert_eq!(stale.len(), 2);
        assert!(stale[0].starts_with("hub 1.0.0: it says MIT by itself"), "{stale:?}");
        assert!(stale[1].starts_with("gone: it is not used any more"), "{stale:?}");
    }

    #[test]
    fn other_json_is_refused() {
        assert!(check("{}", &[]).is_err());
        assert!(check("nonsense", &[]).is_err());
    }
}
