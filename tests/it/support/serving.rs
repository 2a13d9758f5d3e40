//! `serve` as its operator meets it: a process with a log.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    app::{ORDERS, example_request},
    process::Scratch,
};

/// Long enough for a machine that is busy with all the other tests.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// `serve` in a process of its own.
pub struct Serving {
    child: Child,
    pub address: SocketAddr,
    operators_address: Option<SocketAddr>,
    lines: mpsc::Receiver<String>,
    heard: Vec<String>,
}

/// The program with `aqua.toml` of that folder, and nothing of our environment that it would heed.
pub fn command(scratch: &Scratch) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aqua-orders"));
    command
        .current_dir(scratch.path())
        .env("AQUA_CONFIG", "aqua.toml")
        .env("AQUA_LISTEN", "127.0.0.1:0")
        .env("AQUA_OPERATOR_LISTEN", "127.0.0.1:0")
        .env_remove("DATABASE_URL")
        .env_remove("DATABASE_URL_FILE")
        .env_remove("AQUA_CONSOLE_DATABASE_URL")
        .env_remove("AQUA_DATA_DIR")
        .env_remove("AQUA_BACKUP_FOLDER")
        .env_remove("RUST_LOG")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("OTEL_SERVICE_NAME")
        .stdin(Stdio::null());
    command
}

/// `mock` with its folder in that one, and an environment that must not matter to it.
pub fn mock_command(scratch: &Scratch, args: &[&str]) -> Command {
    let mut command = command(scratch);
    scratch.open_to_everybody();
    command
        .args(["mock", "--listen", "127.0.0.1:0"])
        .args(args)
        .env("TMPDIR", scratch.path())
        .env("AQUA_CONFIG", "there is no such file")
        .env("AQUA_DATA_DIR", "there is no such folder")
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    command
}

/// The hash of a password, as an operator gets it.
pub fn hash_password(scratch: &Scratch, password: &str) -> String {
    let mut child = command(scratch)
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The address that a log line has under that name, as text or as JSON.
fn said(line: &str, name: &str) -> Option<SocketAddr> {
    let value = line.split(&format!(" {name}=")).nth(1);
    let value = value.or_else(|| line.split(&format!("\"{name}\":\"")).nth(1))?;
    value.split([' ', '"']).next()?.parse().ok()
}

impl Serving {
    /// Starts it and waits until it serves.
    pub fn start(command: &mut Command) -> Self {
        let mut serving = Self::spawn(command);
        serving.is_ready();
        serving
    }

    /// Starts it.
    pub fn spawn(command: &mut Command) -> Self {
        Self::run(command.arg("serve"))
    }

    /// Starts `mock` and waits until it serves.
    pub fn mock(scratch: &Scratch, args: &[&str]) -> Self {
        let mut mock = Self::run(&mut mock_command(scratch, args));
        mock.is_ready();
        mock
    }

    /// Starts what serves.
    pub fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let log = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                // Nobody listens any more when the test is over.
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            operators_address: None,
            lines,
            heard: Vec::new(),
        }
    }

    /// Waits until it serves.
    pub fn is_ready(&mut self) {
        let line = self.hear("serving");
        self.address = said(&line, "listen").unwrap();
        self.operators_address = said(&line, "operator");
    }

    /// Where its operator's listener is.
    pub fn operators_address(&self) -> SocketAddr {
        self.operators_address.unwrap()
    }

    /// Waits for the log line that says this.
    pub fn hear(&mut self, what: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.heard.push(line);
                    let line = &self.heard[self.heard.len() - 1];
                    if line.contains(what) {
                        return line.clone();
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("it never said {what:?}, but:\n{}", self.heard.join("\n"))
                }
            }
        }
    }

    /// The lines that were heard.
    pub fn said_so_far(&self) -> Vec<String> {
        self.heard.clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Whether it runs still.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The most memory it had since [`Self::forget_peak`], in MiB.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = peak.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<u64>().unwrap() / 1024
    }

    /// Begins to measure anew, from what it has now.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// Its exit code, and the lines it still had to say.
    pub fn end(mut self) -> (Option<i32>, Vec<String>) {
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().collect())
    }

    pub async fn post_example(&self) -> Value {
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .post(format!("http://{}{ORDERS}", self.address))
            .body(example_request().to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
