//! `weir jobs`: shows background responses and dead letters of a deployment, over its admin API.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Client, ClientError, Deployment};

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

/// Runs a command and returns the text to print.
///
/// # Errors
/// If there is no admin key, or if the deployment cannot be reached or refuses.
pub async fn jobs(command: &JobsCommand, deployment: &Deployment) -> Result<String, ClientError> {
    let client = Client::admin(deployment)?;
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
                unknown => Err(ClientError::UnknownLetters { replayed, unknown, queue: queue.clone() }),
            }
        }
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

pub(crate) fn pretty(json: &Value) -> String {
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
        assert!(matches!(late, ClientError::Late { seconds: 30, .. }), "{late}");
    }
}
