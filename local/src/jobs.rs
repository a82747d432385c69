//! `weir jobs`: shows background responses and dead letters of a deployment, over its admin API.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::keys::Keys;

/// The deployment and its admin key.
#[derive(Args, Clone)]
pub struct Deployment {
    /// Base URL of the deployment, ending in /v1
    #[arg(long, global = true, env = "WEIR_BASE_URL", default_value = "http://127.0.0.1:8080/v1")]
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

/// Whether the host of a URL is this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    url.is_some_and(|url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")))
}

/// The command to run.
#[derive(Subcommand)]
pub enum JobsCommand {
    /// List background responses, the newest first
    List {
        /// queued, `in_progress`, completed, incomplete, failed or cancelled
        #[arg(long)]
        status: Option<String>,
        /// Only those of this project
        #[arg(long)]
        project: Option<String>,
        /// The most to list, up to 100
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only those older than this one
        #[arg(long)]
        after: Option<String>,
    },
    /// Show a background response
    Show { id: String },
    /// Cancel a background response that has not ended
    Cancel { id: String },
    /// List messages that no worker could process
    DeadLetters {
        /// respond or deliver; without it both
        #[arg(long)]
        queue: Option<String>,
    },
    /// Send dead letters to their queue again
    Replay {
        /// respond or deliver
        queue: String,
        /// Only these; without any, all
        ids: Vec<String>,
    },
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    #[error(
        "no admin key: pass --admin-key, set WEIR_ADMIN_KEY, or name the data folder of a local server with --data"
    )]
    NoKey,
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
    #[error("{url} is no weir: its answer is not JSON")]
    NotWeir { url: String },
}

/// Runs a command and returns the text to print.
///
/// # Errors
/// If there is no admin key, or if the deployment cannot be reached or refuses.
pub async fn jobs(command: &JobsCommand, deployment: &Deployment) -> Result<String, JobsError> {
    let client = Client::new(deployment)?;
    match command {
        JobsCommand::List { status, project, limit, after } => {
            let limit = Some(limit.to_string());
            let query = [("status", status), ("project_id", project), ("limit", &limit), ("after", after)];
            Ok(job_table(&client.get(&["jobs"], &query).await?))
        }
        JobsCommand::Show { id } => Ok(pretty(&client.get(&["jobs", id], &[]).await?)),
        JobsCommand::Cancel { id } => Ok(pretty(&client.post(&["jobs", id, "cancel"], &json!({})).await?)),
        JobsCommand::DeadLetters { queue } => {
            Ok(letter_table(&client.get(&["dead_letters"], &[("queue", queue)]).await?))
        }
        JobsCommand::Replay { queue, ids } => {
            let mut body = json!({"queue": queue});
            if !ids.is_empty() {
                body["ids"] = json!(ids);
            }
            let answer = client.post(&["dead_letters", "replay"], &body).await?;
            let replayed = answer["replayed"].as_u64().unwrap_or(0);
            match ids.len().saturating_sub(usize::try_from(replayed).unwrap_or(usize::MAX)) {
                0 => Ok(format!("replayed {replayed}\n")),
                unknown => Err(JobsError::UnknownLetters { replayed, unknown, queue: queue.clone() }),
            }
        }
    }
}

/// The time for an answer. The slowest one looks through the jobs of all projects.
const WAIT: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    http: reqwest::Client,
    base_url: reqwest::Url,
    key: String,
}

impl Client {
    pub(crate) fn new(deployment: &Deployment) -> Result<Self, JobsError> {
        let url = deployment.base_url.clone();
        let base_url = reqwest::Url::parse(&url).ok().filter(|url| !url.cannot_be_a_base());
        let base_url = base_url.ok_or_else(|| JobsError::NoUrl { url: url.clone() })?;
        let http = reqwest::Client::builder().timeout(WAIT).build();
        Ok(Self {
            http: http.map_err(|source| JobsError::Unreachable { url, source })?,
            base_url,
            key: deployment.admin_key().ok_or(JobsError::NoKey)?,
        })
    }

    /// The URL of a route of the admin API. Each segment is escaped, so that an id with a slash names no other route.
    fn url(&self, segments: &[&str]) -> reqwest::Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("organization").extend(segments);
        }
        url
    }

    pub(crate) async fn get(&self, segments: &[&str], query: &[(&str, &Option<String>)]) -> Result<Value, JobsError> {
        let mut url = self.url(segments);
        let present: Vec<_> = query.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?))).collect();
        if !present.is_empty() {
            url.query_pairs_mut().extend_pairs(present);
        }
        self.send(self.http.get(url)).await
    }

    pub(crate) async fn post(&self, segments: &[&str], body: &Value) -> Result<Value, JobsError> {
        let request = self.http.post(self.url(segments));
        self.send(request.header("content-type", "application/json").body(body.to_string())).await
    }

    pub(crate) async fn delete(&self, segments: &[&str]) -> Result<Value, JobsError> {
        self.send(self.http.delete(self.url(segments))).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, JobsError> {
        let url = || self.base_url.to_string();
        let failed = |source: reqwest::Error| match source.is_timeout() && !source.is_connect() {
            true => JobsError::Late { url: url(), seconds: WAIT.as_secs() },
            false => JobsError::Unreachable { url: url(), source: source.without_url() },
        };
        let answer = request.bearer_auth(&self.key).send().await.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        let json: Value = serde_json::from_str(&text).map_err(|_| JobsError::NotWeir { url: url() })?;
        if status.is_success() {
            return Ok(json);
        }
        let message = json["error"]["message"].as_str().unwrap_or("no reason given").to_owned();
        Err(JobsError::Refused { status: status.as_u16(), message })
    }
}

fn job_table(list: &Value) -> String {
    let mut table = format!("{:<30}{:<13}{:<30}{:>5}{:>12}  {}\n", "ID", "STATUS", "PROJECT", "RUNS", "COST", "MODEL");
    for job in list["data"].as_array().into_iter().flatten() {
        let text = |name: &str| job[name].as_str().unwrap_or("-").to_owned();
        let _ = writeln!(
            table,
            "{:<30}{:<13}{:<30}{:>5}{:>12}  {}",
            text("id"),
            text("status"),
            text("project_id"),
            job["runs"],
            text("cost_usd"),
            text("model")
        );
    }
    if list["has_more"] == true {
        let _ = writeln!(table, "more: --after {}", list["last_id"].as_str().unwrap_or_default());
    }
    table
}

fn letter_table(list: &Value) -> String {
    let mut table = format!("{:<40}{:<10}{}\n", "ID", "QUEUE", "MESSAGE");
    for letter in list["data"].as_array().into_iter().flatten() {
        let text = |name: &str| letter[name].as_str().unwrap_or("-").to_owned();
        let _ = writeln!(table, "{:<40}{:<10}{}", text("id"), text("queue"), text("body"));
    }
    table
}

fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_given_up() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let deployment = Deployment::at(format!("http://{}/v1", silent.local_addr().unwrap()), "admin");
        let late = jobs(&JobsCommand::Show { id: "resp_1".to_owned() }, &deployment).await.unwrap_err();
        assert!(matches!(late, JobsError::Late { seconds: 30, .. }), "{late}");
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
