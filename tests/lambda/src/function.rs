//! A function's binary, which runs in a process of its own, as on Lambda.

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
use crate::api::{Api, Invocation, RuntimeCall};

/// The longest wait for any step of a function. It only guards against a test that waits for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The longest that Lambda lets a function run.
const TIMEOUT_MS: u64 = 900_000;

/// A function that runs. It is killed when dropped.
pub struct Function {
    api: Api,
    process: Child,
    log: TempPath,
    /// The open request for an invocation.
    asked: Option<oneshot::Sender<Invocation>>,
    first_poll: Option<Duration>,
    begun: Instant,
    invocations: u64,
}

/// Resident memory of a process, in KiB: now, and at most so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub resident: u64,
    pub most: u64,
}

impl Function {
    /// Starts a bootstrap. Its environment has `variables` and Lambda's own variables only.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start(bootstrap: &Path, variables: &[(String, String)]) -> Result<Self, Failure> {
        Self::start_with(bootstrap, &[], variables).await
    }

    /// Starts a bootstrap with arguments. See [`Function::start`].
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
            .envs(lambda_variables(api.address().to_string()))
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

    /// Waits until the function asks for an invocation. Returns the time from its start to its first such request.
    ///
    /// # Errors
    /// If the function ends, posts an answer, or takes longer than a minute.
    pub async fn polled(&mut self) -> Result<Duration, Failure> {
        if self.asked.is_none() {
            match self.next_call("ask for an invocation").await? {
                RuntimeCall::Next { at, invocation } => {
                    self.asked = Some(invocation);
                    self.first_poll.get_or_insert(at - self.begun);
                }
                RuntimeCall::Post(posted) => {
                    Answer::of(posted).await?;
                    return Err(Failure::Malformed("an answer without an invocation".to_owned()));
                }
            }
        }
        Ok(self.first_poll.unwrap_or_default())
    }

    /// Whether the function has asked for an invocation by now.
    #[must_use]
    pub fn has_polled(&mut self) -> bool {
        if let (None, Ok(RuntimeCall::Next { invocation, .. })) = (&self.asked, self.api.calls.try_recv()) {
            self.asked = Some(invocation);
        }
        self.asked.is_some()
    }

    /// Sends an invocation to the function, and waits until its answer begins.
    ///
    /// # Errors
    /// [`Failure::Invocation`] if the answer is an error; another one if the function ends or asks for the next
    /// invocation.
    pub async fn invoke(&mut self, event: impl Into<Bytes>) -> Result<Answer, Failure> {
        self.polled().await?;
        self.invocations += 1;
        let deadline_ms = Clock::system().now().plus_ms(TIMEOUT_MS).0;
        let id = format!("00000000-0000-0000-0000-{:012}", self.invocations);
        if let Some(asked) = self.asked.take() {
            let _ = asked.send(Invocation { id, deadline_ms, event: event.into() });
        }
        match self.next_call("answer").await? {
            RuntimeCall::Post(posted) => Answer::of(posted).await,
            RuntimeCall::Next { .. } => Err(Failure::Malformed("it asked for another invocation first".to_owned())),
        }
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// [`Failure::Silent`] if it does not end within a minute.
    pub async fn ended(&mut self) -> Result<std::process::ExitStatus, Failure> {
        match tokio::time::timeout(PATIENCE, self.process.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => Err(Failure::Silent { awaited: "end", wrote: self.wrote() }),
        }
    }

    /// Reads the memory of the process.
    ///
    /// # Errors
    /// If the process has ended.
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

    /// Returns the output of the process so far, which is its log.
    #[must_use]
    pub fn wrote(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn next_call(&mut self, awaited: &'static str) -> Result<RuntimeCall, Failure> {
        let call = async {
            tokio::select! {
                biased;
                call = self.api.calls.recv() => Happened::Called(call),
                status = self.process.wait() => Happened::Ended(status),
            }
        };
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(Happened::Called(Some(call))) => Ok(call),
            Ok(Happened::Ended(status)) => Err(Failure::Ended { status: status?, awaited, wrote: self.wrote() }),
            Ok(Happened::Called(None)) | Err(_) => Err(Failure::Silent { awaited, wrote: self.wrote() }),
        }
    }
}

enum Happened {
    Called(Option<RuntimeCall>),
    Ended(io::Result<std::process::ExitStatus>),
}

/// Returns the variables that Lambda sets for every function.
fn lambda_variables(api: String) -> [(&'static str, String); 9] {
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
