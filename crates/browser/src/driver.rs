//! ChromeDriver and the browser behind it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use url::{ParseError, Url};

use crate::Failure;

/// Far longer than anything here takes; what reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A browser, and the driver that started it. Both end with this.
pub(crate) struct Browser {
    client: Client,
    _driver: Child,
    _profile: tempfile::TempDir,
}

/// The programs.
pub(crate) struct Tools {
    driver: PathBuf,
    browser: PathBuf,
}

impl Tools {
    /// Looks for both on the path; otherwise says what is missing.
    pub(crate) fn find() -> Result<Self, String> {
        let find = |names: &[&str]| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = std::env::split_paths(&path)
                .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
                .find(|file| file.is_file());
            found.ok_or_else(|| format!("{} is not installed", names[0]))
        };
        let driver = find(&["chromedriver"])?;
        let browser = find(&["chromium", "chromium-browser", "google-chrome"])?;
        Ok(Self { driver, browser })
    }
}

impl Browser {
    /// Starts a browser without a window.
    pub(crate) async fn start(tools: &Tools) -> Result<Self, Failure> {
        let mut driver = Command::new(&tools.driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let out = driver.stdout.take().ok_or("no output of chromedriver")?;
        let port = timeout(PATIENCE, port_of(out)).await.map_err(|_| "chromedriver does not start")??;
        let profile = tempfile::tempdir()?;
        let options = json!({
            "binary": tools.browser,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars",
                "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--enable-precise-memory-info", "--js-flags=--expose-gc",
                format!("--user-data-dir={}", profile.path().display()),
            ],
        });
        let Value::Object(capabilities) =
            json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}})
        else {
            return Err("capabilities are an object".into());
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await?;
        Ok(Self { client, _driver: driver, _profile: profile })
    }

    pub(crate) async fn goto(&self, url: &str) -> Result<(), Failure> {
        Ok(self.client.goto(url).await?)
    }

    /// Runs a function's body in the page; gives what it returns.
    pub(crate) async fn run(&self, script: &str, args: Vec<Value>) -> Result<Value, Failure> {
        Ok(self.client.execute(script, args).await?)
    }

    /// Waits until an expression in the page is true of it; fails with what it was last.
    pub(crate) async fn until(&self, what: &str, condition: &str) -> Result<(), Failure> {
        let script = format!("return ({condition});");
        let waiting = async {
            loop {
                match self.run(&script, vec![]).await {
                    Ok(Value::Bool(true)) => return Ok(()),
                    Ok(_) => sleep(LOOK).await,
                    Err(error) => return Err(error),
                }
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(done) => done,
            Err(_) => Err(format!("{what}: it did not come to {condition}").into()),
        }
    }

    /// The text of the first element that a selector finds.
    pub(crate) async fn text(&self, selector: &str) -> Result<String, Failure> {
        let script = "return document.querySelector(arguments[0]).textContent;";
        let text = self.run(script, vec![selector.into()]).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Presses on an element as a person does.
    pub(crate) async fn click(&self, selector: &str) -> Result<(), Failure> {
        Ok(self.client.find(fantoccini::Locator::Css(selector)).await?.click().await?)
    }

    /// Types into an element, key by key, instead of what stood there.
    pub(crate) async fn fill(&self, selector: &str, text: &str) -> Result<(), Failure> {
        let element = self.client.find(fantoccini::Locator::Css(selector)).await?;
        let select = "arguments[0].focus(); arguments[0].select();";
        self.client.execute(select, vec![serde_json::to_value(&element)?]).await?;
        Ok(element.send_keys(if text.is_empty() { "\u{e017}" } else { text }).await?)
    }

    /// Types keys on whatever has the focus.
    pub(crate) async fn press(&self, keys: &str) -> Result<(), Failure> {
        Ok(self.client.active_element().await?.send_keys(keys).await?)
    }

    /// The size of the page, in CSS pixels, and whether it is dark.
    pub(crate) async fn look(&self, width: u32, height: u32, scale: f64, dark: bool) -> Result<(), Failure> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await.map(drop)
    }

    /// The page takes this for the zone that it is in.
    pub(crate) async fn zone(&self, name: &str) -> Result<(), Failure> {
        self.devtools("Emulation.setTimezoneOverride", json!({"timezoneId": name})).await.map(drop)
    }

    /// A picture of the page, as PNG.
    pub(crate) async fn picture(&self) -> Result<Vec<u8>, Failure> {
        Ok(self.client.screenshot().await?)
    }

    /// What the console says since the last look.
    pub(crate) async fn console(&self) -> Result<Vec<String>, Failure> {
        let entries =
            self.client.issue_cmd(Asked { path: "se/log", body: json!({"type": "browser"}) }).await?;
        let line = |entry: &Value| format!("{}: {}", text_of(entry, "level"), text_of(entry, "message"));
        Ok(entries.as_array().into_iter().flatten().map(line).collect())
    }

    async fn devtools(&self, command: &str, params: Value) -> Result<Value, Failure> {
        let body = json!({"cmd": command, "params": params});
        Ok(self.client.issue_cmd(Asked { path: "goog/cdp/execute", body }).await?)
    }

    /// Ends the session and the browser.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        Ok(self.client.close().await?)
    }
}

fn text_of(entry: &Value, name: &str) -> String {
    entry[name].as_str().unwrap_or_default().to_owned()
}

/// The port that ChromeDriver took, from what it says; what it says later is read and dropped.
async fn port_of(out: impl AsyncRead + Unpin + Send + 'static) -> Result<u16, Failure> {
    let mut lines = BufReader::new(out).lines();
    while let Some(line) = lines.next_line().await? {
        let port =
            line.split_once("started successfully on port ").map(|(_, rest)| rest.trim_end_matches('.'));
        if let Some(port) = port.and_then(|port| port.parse().ok()) {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(port);
        }
    }
    Err("chromedriver ended without a port".into())
}

/// A command beyond the standard, below the session.
#[derive(Debug)]
struct Asked {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Asked {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
