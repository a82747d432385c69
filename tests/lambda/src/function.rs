//! A function's binary in a process of its own, as Lambda starts it.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::model::clock::Clock;
use tempfile::TempPath;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::Failure;
use crate::answer::Answer;
use crate::api::{Api, Invocation, Move};

/// How long a function may take for anything: a guard against waiting for ever, no measure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The longest that Lambda lets a function run.
const TIMEOUT_MS: u64 = 900_000;

/// A function that runs. It is killed when dropped.
pub struct Function {
    api: Api,
    process: Child,
    log: TempPath,
    /// The invocation that it asks for.
    asked: Option<oneshot::Sender<Invocation>>,
    first_poll: Option<Duration>,
    begun: Instant,
    invocations: u64,
}

/// Memory of a process that is in RAM, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub resident: u64,
    pub most: u64,
}

impl Function {
    /// Starts a bootstrap with these variables and Lambda's own, and nothing else in its environment.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start(bootstrap: &Path, variables: &[(String, String)]) -> Result<Self, Failure> {
        Self::start_with(bootstrap, &[], variables).await
    }

    /// As [`Function::start`], with arguments.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start_with(
        bootstrap: &Path,
        arguments: &[&str],
        variables: &[(String, String)],
    ) -> Result<Self, Failure> {
        let api = Api::start().await?;
        let (output, log) = tempfile::NamedTempFile::new()?.into_parts();
        let mut command = Command::new(bootstrap);
        command
            .args(arguments)
            .env_clear()
            .envs(lambdas(api.address().to_string()))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        let begun = Instant::now();
        let process =
            command.spawn().map_err(|source| Failure::Start { path: bootstrap.display().to_string(), source })?;
        Ok(Self { api, process, log, asked: None, first_poll: None, begun, invocations: 0 })
    }

    /// Waits until it asks for an invocation, and tells how long after its start it first did.
    ///
    /// # Errors
    /// If it ends or answers something instead.
    pub async fn polled(&mut self) -> Result<Duration, Failure> {
        if self.asked.is_none() {
            match self.next_move("ask for an invocation").await? {
                Move::Polled { at, invocation } => {
                    self.asked = Some(invocation);
                    self.first_poll.get_or_insert(at - self.begun);
                }
                Move::Answers(posted) => {
                    Answer::of(posted).await?;
                    return Err(Failure::Malformed("an answer that nobody asked for".to_owned()));
                }
            }
        }
        Ok(self.first_poll.unwrap_or_default())
    }

    /// Whether it has asked for an invocation by now.
    #[must_use]
    pub fn has_polled(&mut self) -> bool {
        if let (None, Ok(Move::Polled { invocation, .. })) = (&self.asked, self.api.moves.try_recv()) {
            self.asked = Some(invocation);
        }
        self.asked.is_some()
    }

    /// Hands it an invocation, and waits until its answer begins.
    ///
    /// # Errors
    /// If it ends instead, or the answer is an error.
    pub async fn invoke(&mut self, event: impl Into<Bytes>) -> Result<Answer, Failure> {
        self.polled().await?;
        self.invocations += 1;
        let deadline_ms = Clock::system().now().plus_ms(TIMEOUT_MS).0;
        let id = format!("00000000-0000-0000-0000-{:012}", self.invocations);
        if let Some(asked) = self.asked.take() {
            let _ = asked.send(Invocation { id, deadline_ms, event: event.into() });
        }
        match self.next_move("answer").await? {
            Move::Answers(posted) => Answer::of(posted).await,
            Move::Polled { .. } => Err(Failure::Malformed("it asked for another invocation first".to_owned())),
        }
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ended(&mut self) -> Result<std::process::ExitStatus, Failure> {
        match tokio::time::timeout(PATIENCE, self.process.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => Err(Failure::Silent { awaited: "end", wrote: self.wrote() }),
        }
    }

    /// Memory of the process.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn memory(&self) -> Result<Memory, Failure> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the process has ended");
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id().ok_or_else(gone)?))?;
        let field = |name: &str| {
            let value =
                status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_end_matches("kB"));
            value.and_then(|value| value.trim().parse().ok()).ok_or_else(gone)
        };
        Ok(Memory { resident: field("VmRSS:")?, most: field("VmHWM:")? })
    }

    /// What it wrote so far, its log above all.
    #[must_use]
    pub fn wrote(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn next_move(&mut self, awaited: &'static str) -> Result<Move, Failure> {
        let made = async {
            tokio::select! {
                biased;
                made = self.api.moves.recv() => Happened::Moved(made),
                status = self.process.wait() => Happened::Ended(status),
            }
        };
        match tokio::time::timeout(PATIENCE, made).await {
            Ok(Happened::Moved(Some(made))) => Ok(made),
            Ok(Happened::Ended(status)) => Err(Failure::Ended { status: status?, awaited, wrote: self.wrote() }),
            Ok(Happened::Moved(None)) | Err(_) => Err(Failure::Silent { awaited, wrote: self.wrote() }),
        }
    }
}

enum Happened {
    Moved(Option<Move>),
    Ended(io::Result<std::process::ExitStatus>),
}

/// What Lambda tells every function.
fn lambdas(api: String) -> [(&'static str, String); 9] {
    [
        ("AWS_LAMBDA_RUNTIME_API", api),
        ("AWS_LAMBDA_FUNCTION_NAME", "weir".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "weir".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "weir".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
    ]
}
