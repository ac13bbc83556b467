//! Chromium without a window, told what to do by its debugging protocol over pipes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A running browser with one page.
pub struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    number: u64,
    complaints: Vec<String>,
}

impl Browser {
    /// Starts it; `None` if there is none.
    pub fn start(directory: &Path) -> Option<Browser> {
        let found = Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return None;
        }
        // It reads commands from descriptor 3 and answers on 4.
        let script = "exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --user-data-dir=\"$0\" --remote-debugging-pipe 3<&0 4>&1 about:blank";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(directory.join("browser"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, from) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let (number, complaints) = (0, Vec::new());
        let mut browser = Browser { process, to, from, session: None, number, complaints };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for part in ["Runtime.enable", "Log.enable", "Page.enable"] {
            browser.call(part, json!({}));
        }
        Some(browser)
    }

    /// Goes to a page.
    pub fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({ "url": address }));
    }

    /// What a script gives, as text.
    pub fn value(&mut self, script: &str) -> String {
        let answer = self.call("Runtime.evaluate", json!({ "expression": format!("String({script})") }));
        answer["result"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a script gives this.
    pub fn await_value(&mut self, script: &str, wanted: &str, patience: Duration) {
        let end = Instant::now() + patience;
        loop {
            let value = self.value(script);
            if value == wanted {
                return;
            }
            assert!(Instant::now() < end, "{script} gives {value}, not {wanted}; {:?}", self.complaints);
            spread::client::doze(Duration::from_millis(50));
        }
    }

    /// Its user likes pages `light` or `dark`.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Its screen has so many points.
    pub fn resize(&mut self, width: u32, height: u32) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", screen);
    }

    /// What its console has said of errors.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.clone()
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser has ended");
            let answer: Value = serde_json::from_slice(&bytes).unwrap();
            self.hear(&answer);
            if answer["id"] == json!(self.number) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn hear(&mut self, event: &Value) {
        let parameters = &event["params"];
        let wrong = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => parameters["type"] == "error",
            Some("Log.entryAdded") => parameters["entry"]["level"] == "error",
            _ => false,
        };
        if wrong {
            self.complaints.push(parameters.to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
