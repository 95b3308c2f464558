//! What the steps need to know of the workspace, read from `cargo metadata`.

use std::collections::BTreeMap;

use serde_json::Value;

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Whether it may be published (`publish` is not `false`).
    pub(crate) publishable: bool,
    /// Its features with what each turns on, `default` included.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// The names of its example targets.
    pub(crate) examples: Vec<String>,
    /// The oldest Rust release it promises to build with.
    pub(crate) rust_version: Option<String>,
}

impl Package {
    /// Whether turning on `feature` turns on, directly or through others of this package, the platform's TLS
    /// library, which on Linux is OpenSSL and has to be installed.
    pub(crate) fn uses_native_tls(&self, feature: &str) -> bool {
        let mut seen: Vec<&str> = Vec::new();
        let mut open = vec![feature];
        while let Some(name) = open.pop() {
            let bare = name.strip_prefix("dep:").unwrap_or(name);
            if bare.rsplit('/').next() == Some("native-tls") {
                return true;
            }
            if !seen.contains(&name) {
                seen.push(name);
                open.extend(self.features.get(name).into_iter().flatten().map(String::as_str));
            }
        }
        false
    }
}

/// Reads the packages out of `cargo metadata --no-deps --format-version 1`.
pub(crate) fn parse(json: &str) -> Result<Vec<Package>, String> {
    let root: Value = serde_json::from_str(json).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = root["packages"].as_array().ok_or("cargo metadata has no list of packages")?;
    packages.iter().map(package).collect()
}

fn package(json: &Value) -> Result<Package, String> {
    let name = json["name"].as_str().ok_or("cargo metadata lists a package without a name")?;
    let features = json["features"].as_object().into_iter().flatten();
    let targets = json["targets"].as_array().into_iter().flatten();
    Ok(Package {
        name: name.to_owned(),
        // `publish = false` is an empty list of registries here.
        publishable: json["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
        features: features.map(|(name, enables)| (name.clone(), strings(enables))).collect(),
        examples: targets
            .filter(|target| strings(&target["kind"]).iter().any(|kind| kind == "example"))
            .filter_map(|target| target["name"].as_str().map(str::to_owned))
            .collect(),
        rust_version: json["rust_version"].as_str().map(str::to_owned),
    })
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"packages": [
        {"name": "lib", "publish": null, "rust_version": "1.90", "targets": [{"name": "lib", "kind": ["lib"]}],
         "features": {"default": ["rustls"], "rustls": [], "system": ["native-tls"],
                      "native-tls": ["dep:native-tls", "inner/native-tls"], "round": ["round"]}},
        {"name": "examples", "publish": [], "features": {},
         "targets": [{"name": "hello", "kind": ["example"]}, {"name": "examples", "kind": ["lib"]}]}]}"#;

    #[test]
    fn reads_publish_examples_and_version() {
        let packages = parse(JSON).unwrap();
        assert!(packages[0].publishable);
        assert_eq!(packages[0].rust_version.as_deref(), Some("1.90"));
        assert!(packages[0].examples.is_empty());
        assert!(!packages[1].publishable);
        assert_eq!(packages[1].examples, ["hello"]);
    }

    #[test]
    fn native_tls_is_found_through_other_features() {
        let package = &parse(JSON).unwrap()[0];
        assert!(package.uses_native_tls("native-tls"));
        assert!(package.uses_native_tls("system"));
        assert!(!package.uses_native_tls("rustls"));
        assert!(!package.uses_native_tls("default"));
        assert!(!package.uses_native_tls("round"));
    }

    #[test]
    fn other_json_is_refused() {
        assert!(parse("{}").is_err());
        assert!(parse("nonsense").is_err());
    }
}
