//! A deployment as commands know it: its URL, a key, and its answers.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use reqwest::multipart::Form;
use serde_json::Value;

use crate::keys::Keys;

/// The base URL of a local server.
const LOCAL: &str = "http://127.0.0.1:8080/v1";

/// The deployment and its admin key.
#[derive(Args, Clone)]
pub struct Deployment {
    /// Base URL of the deployment, ending in /v1
    #[arg(long, global = true, env = "WEIR_BASE_URL", default_value = LOCAL)]
    base_url: String,
    /// Its admin key; without it the key in the data folder
    #[arg(long, global = true, env = "WEIR_ADMIN_KEY", hide_env_values = true)]
    admin_key: Option<String>,
    /// Folder of a local server's data, for its admin key
    #[arg(long, global = true, env = "WEIR_DATA", default_value = ".weir")]
    data: String,
}

impl Deployment {
    /// A deployment with an admin key.
    #[cfg(test)]
    pub(crate) fn at(base_url: String, admin_key: &str) -> Self {
        Self { base_url, admin_key: Some(admin_key.to_owned()), data: String::new() }
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The given admin key, else that of the local server.
    pub(crate) fn admin_key(&self) -> Option<String> {
        self.admin_key.clone().or_else(|| self.local_keys().map(|keys| keys.admin_key))
    }

    /// The project key of the local server.
    pub(crate) fn project_key(&self) -> Option<String> {
        self.local_keys().map(|keys| keys.project_key)
    }

    /// The keys in the data folder, if the deployment is a local server. Another machine must not see them.
    fn local_keys(&self) -> Option<Keys> {
        Keys::read(Path::new(&self.data)).filter(|_| is_loopback(&self.base_url))
    }
}

/// A deployment, and a key of a project.
#[derive(Args, Clone)]
pub struct ProjectDeployment {
    /// Base URL of the deployment, ending in /v1
    #[arg(long, global = true, env = "WEIR_BASE_URL", default_value = LOCAL)]
    base_url: String,
    /// A key of the project; without it the key in the data folder
    #[arg(long, global = true, env = "WEIR_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Folder of a local server's data, for its key
    #[arg(long, global = true, env = "WEIR_DATA", default_value = ".weir")]
    data: String,
}

/// Whether the host of a URL is this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    url.is_some_and(|url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")))
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no admin key: pass --admin-key, set WEIR_ADMIN_KEY, or name the data folder of a local server with --data"
    )]
    NoKey,
    #[error("no API key: pass --api-key, set WEIR_API_KEY, or name the data folder of a local server with --data")]
    NoProjectKey,
    #[error("could not reach {url}; is the server running, and is --base-url right?")]
    Unreachable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url} did not answer within {seconds} s; try again, and look at the server's log")]
    Late { url: String, seconds: u64 },
    #[error("{status}: {message}")]
    Refused { status: u16, message: String },
    #[error(
        "replayed {replayed}; queue `{queue}` has no dead letter with {unknown} of the ids, see `weir jobs dead-letters --queue {queue}`"
    )]
    UnknownLetters { replayed: u64, unknown: usize, queue: String },
    #[error("{url} is no URL; it begins with http:// or https:// and ends in /v1")]
    NoUrl { url: String },
    #[error("could not {action} `{path}`")]
    File {
        action: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{file} has no line that names its `url`: see the format in docs/batches.md")]
    NoEndpoint { file: String },
    #[error("{id} has no {results}: its status is {status}")]
    NoResults { id: String, results: &'static str, status: String },
    #[error("{id} ended as {status}{reason}")]
    NotCompleted { id: String, status: String, reason: String },
    #[error("{url} is no weir: its answer is not JSON")]
    NotWeir { url: String },
}

/// The time for the next bytes of an answer. The slowest one looks through the jobs of all projects.
const WAIT: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    http: reqwest::Client,
    base_url: reqwest::Url,
    key: String,
    /// The first segment of all routes.
    family: Option<&'static str>,
}

impl Client {
    /// For the admin API, whose routes begin with `organization`.
    pub(crate) fn admin(deployment: &Deployment) -> Result<Self, ClientError> {
        let key = deployment.admin_key().ok_or(ClientError::NoKey)?;
        Self::new(deployment.base_url(), key, Some("organization"))
    }

    /// For the routes of projects.
    pub(crate) fn project(deployment: &ProjectDeployment) -> Result<Self, ClientError> {
        let ProjectDeployment { base_url, api_key, data } = deployment.clone();
        let local = Deployment { base_url, admin_key: None, data };
        let key = api_key.or_else(|| local.project_key()).ok_or(ClientError::NoProjectKey)?;
        Self::new(&local.base_url, key, None)
    }

    fn new(url: &str, key: String, family: Option<&'static str>) -> Result<Self, ClientError> {
        let base_url = reqwest::Url::parse(url).ok().filter(|url| !url.cannot_be_a_base());
        let base_url = base_url.ok_or_else(|| ClientError::NoUrl { url: url.to_owned() })?;
        let http = reqwest::Client::builder().read_timeout(WAIT).connect_timeout(WAIT).build();
        let http = http.map_err(|source| ClientError::Unreachable { url: url.to_owned(), source })?;
        Ok(Self { http, base_url, key, family })
    }

    /// The URL of a route. Each segment is escaped, so that an id with a slash names no other route.
    fn url(&self, segments: &[&str]) -> reqwest::Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(self.family).extend(segments);
        }
        url
    }

    pub(crate) async fn get(&self, segments: &[&str], query: &[(&str, &Option<String>)]) -> Result<Value, ClientError> {
        let mut url = self.url(segments);
        let present: Vec<_> = query.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?))).collect();
        if !present.is_empty() {
            url.query_pairs_mut().extend_pairs(present);
        }
        self.send(self.http.get(url)).await
    }

    pub(crate) async fn post(&self, segments: &[&str], body: &Value) -> Result<Value, ClientError> {
        let request = self.http.post(self.url(segments));
        self.send(request.header("content-type", "application/json").body(body.to_string())).await
    }

    pub(crate) async fn delete(&self, segments: &[&str]) -> Result<Value, ClientError> {
        self.send(self.http.delete(self.url(segments))).await
    }

    pub(crate) async fn post_form(&self, segments: &[&str], form: Form) -> Result<Value, ClientError> {
        self.send(self.http.post(self.url(segments)).multipart(form)).await
    }

    /// Copies a content to `out` while it arrives.
    pub(crate) async fn copy(&self, segments: &[&str], out: &mut impl Write, path: &str) -> Result<(), ClientError> {
        let request = self.http.get(self.url(segments)).bearer_auth(&self.key);
        let mut answer = request.send().await.map_err(|source| self.failure(source))?;
        if !answer.status().is_success() {
            return self.read(answer).await.map(drop);
        }
        let failed = |source| ClientError::File { action: "write", path: path.to_owned(), source };
        while let Some(piece) = answer.chunk().await.map_err(|source| self.failure(source))? {
            out.write_all(&piece).map_err(failed)?;
        }
        out.flush().map_err(failed)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, ClientError> {
        let answer = request.bearer_auth(&self.key).send().await.map_err(|source| self.failure(source))?;
        self.read(answer).await
    }

    fn failure(&self, source: reqwest::Error) -> ClientError {
        let url = self.base_url.to_string();
        match source.is_timeout() && !source.is_connect() {
            true => ClientError::Late { url, seconds: WAIT.as_secs() },
            false => ClientError::Unreachable { url, source: source.without_url() },
        }
    }

    async fn read(&self, answer: reqwest::Response) -> Result<Value, ClientError> {
        let status = answer.status();
        let text = answer.text().await.map_err(|source| self.failure(source))?;
        let not_weir = |_| ClientError::NotWeir { url: self.base_url.to_string() };
        let json: Value = serde_json::from_str(&text).map_err(not_weir)?;
        if status.is_success() {
            return Ok(json);
        }
        let message = json["error"]["message"].as_str().unwrap_or("no reason given").to_owned();
        Err(ClientError::Refused { status: status.as_u16(), message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_given_up() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let deployment = Deployment::at(format!("http://{}/v1", silent.local_addr().unwrap()), "admin");
        let late = Client::admin(&deployment).unwrap().get(&["jobs"], &[]).await.unwrap_err();
        assert!(matches!(late, ClientError::Late { seconds: 30, .. }), "{late}");
    }

    #[test]
    fn only_this_machine_is_sent_the_keys_of_the_data_folder() {
        for url in ["http://127.0.0.1:8080/v1", "http://localhost/v1", "https://localhost:1/v1", "http://[::1]:8080/v1"]
        {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["https://api.example.com/v1", "http://localhost.example.com/v1", "http://127.0.0.1.example.com", "x"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
