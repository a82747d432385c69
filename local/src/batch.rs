//! `weir batch`: submits batches, watches them and reads their results.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::client::{Client, ClientError, ProjectDeployment};
use crate::files::{get, not_read, put};
use crate::jobs::pretty;

/// The command to run.
#[derive(Subcommand)]
pub enum BatchCommand {
    /// Upload a file of requests, make a batch of it, and print its id
    Submit {
        /// One request per line: see docs/batches.md
        file: PathBuf,
        /// Wait for its end, and show how far it is
        #[arg(long)]
        watch: bool,
        /// Print the whole batch
        #[arg(long)]
        json: bool,
    },
    /// Wait for the end of a batch, and show how far it is
    Watch {
        id: String,
        /// Print the whole batch at its end
        #[arg(long)]
        json: bool,
    },
    /// Print the results of a batch that has ended, one line for each request that was answered
    Results {
        id: String,
        /// The requests that failed or were not run instead
        #[arg(long)]
        errors: bool,
        /// Write them here
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// List batches, the newest first
    List {
        /// The most to list, up to 100
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only those older than this one
        #[arg(long)]
        after: Option<String>,
        /// Print the whole answer
        #[arg(long)]
        json: bool,
    },
    /// Cancel a batch: requests that were not begun are not run
    Cancel { id: String },
}

/// Runs a command and returns the text to print after it.
///
/// # Errors
/// If there is no key, a file cannot be read or written, the deployment cannot be reached or refuses, or a watched batch does not
/// complete.
pub async fn batch(command: &BatchCommand, deployment: &ProjectDeployment) -> Result<String, ClientError> {
    let client = Client::project(deployment)?;
    match command {
        BatchCommand::Submit { file, watch, json } => {
            let made = submit(&client, file).await?;
            match watch {
                true => wait(&client, id_of(&made), *json).await,
                false => Ok(shown(&made, *json)),
            }
        }
        BatchCommand::Watch { id, json } => wait(&client, id, *json).await,
        BatchCommand::Results { id, errors, output } => {
            let batch = client.get(&["batches", id], &[]).await?;
            let (name, results) = if *errors { ("error_file_id", "errors") } else { ("output_file_id", "results") };
            let status = || batch["status"].as_str().unwrap_or_default().to_owned();
            let file_id = batch[name].as_str();
            let file_id =
                file_id.ok_or_else(|| ClientError::NoResults { id: id.clone(), results, status: status() })?;
            get(&client, file_id, output.as_deref()).await.map(|()| String::new())
        }
        BatchCommand::List { limit, after, json } => {
            let limit = Some(limit.to_string());
            let list = client.get(&["batches"], &[("limit", &limit), ("after", after)]).await?;
            Ok(if *json { pretty(&list) } else { table(&list) })
        }
        BatchCommand::Cancel { id } => Ok(shown(&client.post(&["batches", id, "cancel"], &json!({})).await?, true)),
    }
}

fn id_of(batch: &Value) -> &str {
    batch["id"].as_str().unwrap_or_default()
}

fn shown(batch: &Value, json: bool) -> String {
    if json { pretty(batch) } else { format!("{}\n", id_of(batch)) }
}

/// Uploads a file and makes a batch of it, for the endpoint that its first line names.
async fn submit(client: &Client, path: &Path) -> Result<Value, ClientError> {
    let endpoint = endpoint_of(path)?;
    let file = put(client, path, "batch").await?;
    let batch = json!({"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h"});
    client.post(&["batches"], &batch).await
}

fn endpoint_of(path: &Path) -> Result<String, ClientError> {
    let file = std::fs::File::open(path).map_err(|source| not_read(path, source))?;
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|source| not_read(path, source))?;
        let line = line.trim_start_matches('\u{feff}').trim();
        if !line.is_empty() {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            let no_endpoint = || ClientError::NoEndpoint { file: path.display().to_string() };
            return line["url"].as_str().map(str::to_owned).ok_or_else(no_endpoint);
        }
    }
    Err(ClientError::NoEndpoint { file: path.display().to_string() })
}

const POLL: Duration = Duration::from_secs(1);
/// Polls in a row that may fail: a deployment that is released again, or a network that is gone for a minute.
const MAX_FAILED: u32 = 60;

/// Waits until a batch has ended.
async fn wait(client: &Client, id: &str, json: bool) -> Result<String, ClientError> {
    let progress = Progress::new();
    let mut failed = 0;
    let batch = loop {
        match client.get(&["batches", id], &[]).await {
            Ok(batch) => {
                failed = 0;
                progress.show(&batch);
                if has_ended(&batch) {
                    break batch;
                }
            }
            Err(error) if failed < MAX_FAILED && may_pass(&error) => failed += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(POLL).await;
    };
    progress.end(&batch);
    if batch["status"] == "completed" {
        return Ok(shown(&batch, json));
    }
    if json {
        let _ = write!(std::io::stdout(), "{}", pretty(&batch));
    }
    let errors = batch["errors"]["data"].as_array().into_iter().flatten();
    let reason = errors.fold(String::new(), |mut reason, error| {
        let line = error["line"].as_u64().map(|line| format!("line {line}: ")).unwrap_or_default();
        let _ = write!(reason, "\n  {line}{}", error["message"].as_str().unwrap_or_default());
        reason
    });
    let status = batch["status"].as_str().unwrap_or_default().to_owned();
    Err(ClientError::NotCompleted { id: id.to_owned(), status, reason })
}

fn has_ended(batch: &Value) -> bool {
    ["completed", "failed", "expired", "cancelled"].iter().any(|status| batch["status"] == *status)
}

fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Late { .. } => true,
        ClientError::Refused { status, .. } => *status == 429 || *status >= 500,
        _ => false,
    }
}

/// How far a batch is: a bar on a terminal, else a line whenever something changed.
struct Progress {
    bar: ProgressBar,
    last: std::cell::RefCell<String>,
}

impl Progress {
    fn new() -> Self {
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} lines, {msg} ({eta} left)") {
            bar.set_style(style);
        }
        Self { bar, last: std::cell::RefCell::default() }
    }

    fn show(&self, batch: &Value) {
        let (done, total, message) = progress_of(batch);
        if std::io::stderr().is_terminal() {
            self.bar.set_length(total);
            self.bar.set_position(done);
            self.bar.set_message(message);
            return;
        }
        let line = format!("{done} of {total} lines, {message}");
        if *self.last.borrow() != line {
            let _ = writeln!(std::io::stderr(), "{line}");
            *self.last.borrow_mut() = line;
        }
    }

    fn end(&self, batch: &Value) {
        self.bar.finish_with_message(progress_of(batch).2);
    }
}

/// The lines that ended, all lines, and what else is to be said.
fn progress_of(batch: &Value) -> (u64, u64, String) {
    let count = |name: &str| batch["request_counts"][name].as_u64().unwrap_or_default();
    let (total, completed, failed) = (count("total"), count("completed"), count("failed"));
    let cost = batch["weir"]["cost_usd"].as_f64().unwrap_or_default();
    let status = batch["status"].as_str().unwrap_or_default();
    let mut message = format!("{failed} failed, ${cost:.6}, {status}");
    if let Some(reason) = batch["weir"]["waiting_for"].as_str() {
        let _ = write!(message, ", waiting: {reason}");
    }
    (completed + failed, total, message)
}

fn table(list: &Value) -> String {
    let mut table =
        format!("{:<31}{:<13}{:>8}{:>8}{:>8}{:>12}  {}\n", "ID", "STATUS", "LINES", "DONE", "FAILED", "COST", "MODEL");
    for batch in list["data"].as_array().into_iter().flatten() {
        let text = |name: &str| batch[name].as_str().unwrap_or("-").to_owned();
        let count = |name: &str| batch["request_counts"][name].as_u64().unwrap_or_default();
        let cost = batch["weir"]["cost_usd"].as_f64().unwrap_or_default();
        let _ = writeln!(
            table,
            "{:<31}{:<13}{:>8}{:>8}{:>8}{:>12}  {}",
            text("id"),
            text("status"),
            count("total"),
            count("completed"),
            count("failed"),
            format!("${cost:.6}"),
            text("model")
        );
    }
    if list["has_more"] == true {
        let _ = writeln!(table, "more: --after {}", list["last_id"].as_str().unwrap_or_default());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_is_done_what_it_cost_and_why_it_waits() {
        let mut batch = json!({
            "status": "in_progress", "request_counts": {"total": 10, "completed": 3, "failed": 1},
            "weir": {"cost_usd": 0.012_5, "waiting_for": null},
        });
        assert_eq!(progress_of(&batch), (4, 10, "1 failed, $0.012500, in_progress".to_owned()));
        batch["weir"]["waiting_for"] = json!("the budget is spent");
        assert!(progress_of(&batch).2.ends_with(", waiting: the budget is spent"));
    }
}
