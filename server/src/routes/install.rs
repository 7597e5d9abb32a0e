//! `GET /install/…`: what installs an agent on a machine. These are files of a directory that `docker/agent/build.sh`
//! makes; none contains a secret, and all are the same for everybody.

use std::io;
use std::path::{Path, PathBuf};

use poem::http::header;
use poem::{Body, Endpoint, Request, Response, Result};
use tokio::fs::File;
use tracing::{info, warn};

use crate::api::ApiError;
use crate::config::ServerConfig;

/// The directory beside the program that is used if none is configured.
const DIRECTORY: &str = "pika-install";

const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";

const SUMS: &str = "SHA256SUMS";
const SIGNATURE: &str = "SHA256SUMS.sig";

/// The files that are served, and their content types.
const FILES: [(&str, &str); 8] = [
    ("agent.sh", TEXT),
    (SUMS, TEXT),
    (SIGNATURE, TEXT),
    ("VERSION", TEXT),
    ("pika-agent.service", TEXT),
    ("pika-agent.openrc", TEXT),
    ("pika-agent-x86_64-linux", BINARY),
    ("pika-agent-aarch64-linux", BINARY),
];

/// Serves the files.
#[derive(Clone, Debug)]
pub(super) struct InstallFiles {
    /// `None` if they are not to be served.
    directory: Option<PathBuf>,
}

impl InstallFiles {
    pub(super) fn of_config(config: &ServerConfig) -> Self {
        let directory = config.serve_agents.then(|| {
            if config.install_dir.as_os_str().is_empty() {
                beside_program()
            } else {
                config.install_dir.clone()
            }
        });
        if let Some(directory) = &directory {
            announce(directory);
        }
        Self { directory }
    }

    /// Opens a file and returns it with its length in bytes.
    async fn open(&self, name: &str) -> Result<(File, u64), ApiError> {
        let Some(directory) = &self.directory else {
            return Err(ApiError::not_found("this server does not offer agents (server.serve_agents)"));
        };
        open(&directory.join(name)).await.map_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(name, %error, "a file that installs agents cannot be read");
            }
            ApiError::not_found(match name {
                SIGNATURE => {
                    "the programs are not signed: no release key was given when they were built. Compare the checksum \
                     of agent.sh with the one that the console shows"
                }
                _ => {
                    "this server has no agent to install for that machine: docker/agent/build.sh makes what \
                     server.install_dir needs"
                }
            })
        })
    }
}

impl Endpoint for InstallFiles {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let name = request.raw_path_param("name").unwrap_or_default();
        let Some((name, content_type)) = FILES.iter().find(|(known, _)| *known == name) else {
            return Err(ApiError::not_found("there is no such file; the script is /install/agent.sh").into());
        };
        let (file, length) = self.open(name).await?;
        let response = Response::builder()
            .content_type(content_type)
            // A new version must not be mixed with parts of the old one.
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::CONTENT_LENGTH, length);
        Ok(response.body(Body::from_async_read(file)))
    }
}

async fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path).await?;
    let metadata = file.metadata().await?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn beside_program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().unwrap_or(Path::new("")).join(DIRECTORY)
}

/// Logs what machines will find. A directory that is missing is usual where agents come as packages.
fn announce(directory: &Path) {
    if directory.join(SUMS).is_file() {
        let is_signed = directory.join(SIGNATURE).is_file();
        info!(directory = %directory.display(), is_signed, "agents can be installed from /install/agent.sh");
    }
}
