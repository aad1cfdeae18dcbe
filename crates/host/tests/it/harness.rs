//! Builds the probe once, starts hosts on it, and talks to them.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Longest wait for anything; generous, since it is only met by failures.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The probe, built with the cargo that runs the tests.
fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--profile",
                "functions",
                "--package",
                "wiber-host-probe",
                "--target",
                "wasm32-wasip2",
            ])
            .arg("--target-dir")
            .arg(target)
            .status()
            .unwrap();
        assert!(built.success(), "the probe does not build; is the target wasm32-wasip2 installed?");
        target.join("wasm32-wasip2/functions/wiber_host_probe.wasm")
    })
}

/// A running host; killed when dropped.
pub(crate) struct Host {
    child: Child,
    pub(crate) address: String,
    pub(crate) folder: TempDir,
}

/// The manifest that tests use: `granted` has a database, one host and a variable; `bare` has nothing.
pub(crate) fn manifest(granted_host: &str) -> String {
    let probe = probe().display();
    format!(
        r#"
        spin_manifest_version = 2
        [application]
        name = "probe"
        [variables]
        greeting = {{ default = "hello" }}
        host = {{ default = "{granted_host}" }}
        [[trigger.http]]
        route = "/granted/..."
        component = "granted"
        [[trigger.http]]
        route = "/bare/..."
        component = "bare"
        [component.granted]
        source = "{probe}"
        sqlite_databases = ["data"]
        allowed_outbound_hosts = ["{{{{ host }}}}"]
        [component.granted.variables]
        greeting = "{{{{ greeting }}}}, you"
        [component.bare]
        source = "{probe}"
        "#
    )
}

/// A command for a host with `manifest` in `folder`, on a free port.
pub(crate) fn command(folder: &Path, manifest: &str, flags: &[&str]) -> Command {
    let database = folder.join("data/data.db");
    std::fs::write(folder.join("spin.toml"), manifest).unwrap();
    let config = format!("[sqlite_database.data]\ntype = \"spin\"\npath = {:?}", database.display().to_string());
    std::fs::write(folder.join("runtime-config.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wiber-host"));
    command
        .arg("--manifest")
        .arg(folder.join("spin.toml"))
        .arg("--runtime-config-file")
        .arg(folder.join("runtime-config.toml"))
        // Shared by all tests and runs: compiling the probe takes a while.
        .arg("--cache-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("host-cache"))
        .args(["--listen", "127.0.0.1:0"])
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.join("stderr.log")).unwrap());
    command
}

impl Host {
    /// Starts a host with the usual manifest.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_reaching("http://127.0.0.1:1", flags)
    }

    /// Starts a host whose component `granted` may reach `host`.
    pub(crate) fn start_reaching(host: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut child = command(folder.path(), &manifest(host), flags).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").map(str::to_owned);
        let log = || std::fs::read_to_string(folder.path().join("stderr.log")).unwrap();
        let address = address.unwrap_or_else(|| panic!("the host did not start: {line} {}", log()));
        Self { child, address, folder }
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr.log")).unwrap()
    }

    /// GET, with the body as text.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.call(Method::GET, path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.call(Method::POST, path, body).await
    }

    async fn call(&self, method: Method, path: &str, body: &str) -> (u16, String) {
        let (status, body) = self.send(method, path, body.to_owned().into()).await.into_parts();
        (status.status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Bytes) -> Response<Bytes> {
        let uri = format!("http://{}{path}", self.address);
        let request = Request::builder().method(method).uri(uri).body(Full::new(body)).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let exchange = async {
            let (head, body) = client.request(request).await.unwrap().into_parts();
            Response::from_parts(head, body.collect().await.unwrap().to_bytes())
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
    }

    /// Waits until `count` requests run in the instance of `component`.
    pub(crate) async fn until_running(&self, component: &str, count: u32) {
        let begun = Instant::now();
        while self.get(&format!("/{component}/others")).await.1 != count.to_string() {
            assert!(begun.elapsed() < PATIENCE, "{count} requests do not run");
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The exit code, once the process has ended by itself.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "the host does not end: {}", self.stderr());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the host's log ---\n{}", self.stderr());
        }
    }
}

/// Starts a host that should refuse to; its exit code and log.
pub(crate) fn refused(manifest: &str, flags: &[&str]) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    let mut child = command(folder.path(), manifest, flags).spawn().unwrap();
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    let code = child.wait().unwrap().code();
    assert_eq!(told, "");
    (code, std::fs::read_to_string(folder.path().join("stderr.log")).unwrap())
}
