//! The two hosts of the functions: the embedded one, and Spin.

use std::path::{Path, PathBuf};

use wiber_servers::process::Spec;

use crate::binaries;

/// Which program runs the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// `wiber-host`.
    Embedded,
    /// `spin up`.
    Spin,
}

impl Host {
    /// The hosts that are here: Spin where it is on the PATH.
    #[must_use]
    pub fn present() -> Vec<Self> {
        let spin = binaries::spin().map(|_| Self::Spin);
        [Self::Embedded].into_iter().chain(spin).collect()
    }

    /// The word in the tests' names.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Spin => "spin",
        }
    }
}

/// What a host is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `spin.toml` or a variant of it.
    pub manifest: PathBuf,
    /// Where the outbox lies.
    pub runtime_config: PathBuf,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Spin variables, by their names in the manifest.
    pub variables: Vec<(String, String)>,
}

/// How it is started; its log goes into `folder`.
#[must_use]
pub fn spec(host: Host, settings: &Settings, folder: &Path) -> Spec {
    let log = folder.join("host.log");
    let spec = match host {
        Host::Embedded => {
            Spec::new("host", binaries::program("wiber-host"), log).arg("--manifest").arg(&settings.manifest)
        }
        Host::Spin => {
            let program = binaries::spin().unwrap_or_else(|| PathBuf::from("spin"));
            // As spin-up.sh starts it.
            let up = Spec::new("spin", program, log).args(["up", "--idle-instance-timeout", "1ms"]);
            up.arg("--from").arg(&settings.manifest)
        }
    };
    let spec = spec.arg("--runtime-config-file").arg(&settings.runtime_config);
    let spec = spec.arg("--listen").arg(format!("127.0.0.1:{}", settings.port)).dir(folder);
    // Compiled once for all stacks and all runs.
    let spec = spec.env("WIBER_CACHE_DIR", binaries::repository().join("target/compiled"));
    settings
        .variables
        .iter()
        .fold(spec, |spec, (name, value)| spec.env(format!("SPIN_VARIABLE_{}", name.to_uppercase()), value))
}
