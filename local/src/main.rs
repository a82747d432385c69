//! The command line: `weir`, `weir serve`, `weir invoke`, `weir files`, `weir batch`, `weir jobs`, `weir admin-keys`, `weir providers`, `weir doctor`, `weir models`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use embedded::Place;
use local::import::{BEDROCK_PROFILES, Import};
use local::{
    AdminKeysCommand, BatchCommand, Data, Deployment, DoctorArgs, FilesCommand, Finding, JobsCommand, Look,
    ProjectDeployment, Running, Settings, Verdict, batch, check, doctor, files, invoke, jobs, raise_descriptor_limit,
    serve,
};
use shared::app::ErrorChain;
use shared::edge::config::{HttpConfig, TelemetryConfig};
use shared::edge::telemetry::LogFilter;
use shared::edge::{AllowedOrigins, BasePath, Telemetry};
use shared::model::clock::Clock;
use shared::model::secret::Secret;

/// The OpenAI API for any model provider: admitted, accounted and safe to repeat.
#[derive(Parser)]
#[command(name = "weir", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Serve everything in this process, on embedded stores (the default)
    Serve(ServeArgs),
    /// Send a recorded event through one function and print the answer
    Invoke {
        /// The function: chat, responses, respond, sweep, ...
        function: String,
        /// A file in `events/`
        event: PathBuf,
        /// The models (models.toml); without it the builtin ones
        #[arg(long, env = "WEIR_MODELS")]
        models: Option<PathBuf>,
        #[command(flatten)]
        http: HttpArgs,
    },
    /// Put, get, list and delete files of a project
    Files {
        #[command(flatten)]
        deployment: ProjectDeployment,
        #[command(subcommand)]
        command: FilesCommand,
    },
    /// Submit batches of a project, watch them and read their results
    Batch {
        #[command(flatten)]
        deployment: ProjectDeployment,
        #[command(subcommand)]
        command: BatchCommand,
    },
    /// Look at background responses and dead letters of a deployment, on this machine or elsewhere
    Jobs {
        #[command(flatten)]
        deployment: Deployment,
        #[command(subcommand)]
        command: JobsCommand,
    },
    /// List, make and delete keys of a deployment's admin API
    AdminKeys {
        #[command(flatten)]
        deployment: Deployment,
        #[command(subcommand)]
        command: AdminKeysCommand,
    },
    /// List the targets of a deployment's models, and whether their circuit breakers are open
    Providers {
        #[command(flatten)]
        deployment: Deployment,
    },
    /// Look at a deployment, on this machine or elsewhere, and name its faults
    Doctor(DoctorArgs),
    /// Work with lists of models
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// Tell all that is wrong with a models file, before it is deployed
    Check {
        /// The file
        #[arg(default_value = "models/models.toml", env = "WEIR_MODELS")]
        file: PathBuf,
        /// Also connect to the providers, and read their keys from the environment and from Secrets Manager
        #[arg(long)]
        online: bool,
    },
    /// Print a `models.toml` made from `LiteLLM`'s public price list
    Import {
        /// `model_prices_and_context_window.json`
        file: PathBuf,
        /// Provider to import the models of, as `LiteLLM` names it: openai, anthropic, gemini, ...
        #[arg(long)]
        provider: String,
        /// For `--provider bedrock`: the models of inference profiles with this prefix or `none` for those without one
        #[arg(long, value_parser = BEDROCK_PROFILES)]
        profile: Option<String>,
        /// For `--provider openai`: where the data of your project resides, if it does. Most models cost more there
        #[arg(long, value_parser = ["eu", "us"])]
        residency: Option<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum YesNo {
    Yes,
    No,
}

#[derive(Args, Clone)]
struct ServeArgs {
    /// Port on 127.0.0.1; 0 takes any free port
    #[arg(long, env = "WEIR_PORT", default_value_t = 8080)]
    port: u16,
    /// Folder of the stores, or `memory` to keep them in memory only
    #[arg(long, env = "WEIR_DATA", default_value = ".weir")]
    data: String,
    /// The models (models.toml); without it the simulator and the providers whose keys are set
    #[arg(long, env = "WEIR_MODELS")]
    models: Option<PathBuf>,
    /// Whether to serve the models of Amazon Bedrock too: `yes` or `no`. Needs AWS credentials and a region in the environment
    #[arg(long, env = "WEIR_BEDROCK", default_value = "no")]
    bedrock: YesNo,
    /// Key of the admin API; without it a key is made and kept in the folder
    #[arg(long, env = "WEIR_ADMIN_KEY", hide_env_values = true, value_parser = read_admin_key)]
    admin_key: Option<String>,
    /// Filter of the log: `info`, `warn`, `warn,shared=debug`
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    log: LogFilter,
    #[command(flatten)]
    http: HttpArgs,
}

#[derive(Args, Clone)]
struct HttpArgs {
    /// Origins whose pages may read answers: `*`, or some between commas; empty allows none
    #[arg(long, env = "WEIR_ALLOWED_ORIGINS", default_value = "*")]
    allowed_origins: AllowedOrigins,
    /// Path in front of /v1 that a proxy or a custom domain adds, such as `ai`
    #[arg(long, env = "WEIR_BASE_PATH", default_value = "")]
    base_path: BasePath,
}

impl From<HttpArgs> for HttpConfig {
    fn from(HttpArgs { allowed_origins, base_path }: HttpArgs) -> Self {
        Self { allowed_origins, base_path }
    }
}

/// A key that a header can carry. An empty variable is a mistake of a script that was to set it.
fn read_admin_key(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("the key is empty; set one, or leave the option and WEIR_ADMIN_KEY out to have one made"),
        _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("a header cannot carry the key; use letters, digits and signs of ASCII")
        }
        _ => Ok(text.to_owned()),
    }
}

impl ServeArgs {
    fn settings(&self) -> Settings {
        let place = if self.data == "memory" { Place::Memory } else { Place::Folder(PathBuf::from(&self.data)) };
        Settings {
            address: ([127, 0, 0, 1], self.port).into(),
            data: Data::Embedded(place),
            models: self.models.clone(),
            bedrock: self.bedrock == YesNo::Yes,
            admin_key: self.admin_key.as_ref().map(Secret::new),
            http: self.http.clone().into(),
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // `weir jobs list | head`: the other program has read what it wanted. Shells know this status from programs that the
        // signal of a broken pipe ended.
        Err(error) if is_broken_pipe(&*error) => ExitCode::from(141),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", ErrorChain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => runtime.block_on(serve_until_stopped(&args)),
        Command::Invoke { function, event, models, http } => {
            let settings = Settings { models, http: http.into(), ..Settings::default() };
            let answer = runtime.block_on(invoke(&function, &event, &settings))?;
            Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&answer)?)?)
        }
        Command::Files { deployment, command } => {
            let printed = runtime.block_on(files(&command, &deployment))?;
            Ok(write!(std::io::stdout(), "{printed}")?)
        }
        Command::Batch { deployment, command } => {
            let printed = runtime.block_on(batch(&command, &deployment))?;
            Ok(write!(std::io::stdout(), "{printed}")?)
        }
        Command::Jobs { deployment, command } => {
            let printed = runtime.block_on(jobs(&command, &deployment))?;
            Ok(write!(std::io::stdout(), "{printed}")?)
        }
        Command::AdminKeys { deployment, command } => {
            let printed = runtime.block_on(local::admin_keys(&command, &deployment))?;
            Ok(write!(std::io::stdout(), "{printed}")?)
        }
        Command::Providers { deployment } => {
            let printed = runtime.block_on(local::providers(&deployment))?;
            Ok(write!(std::io::stdout(), "{printed}")?)
        }
        Command::Doctor(args) => print_looks(&runtime.block_on(doctor(&args))),
        Command::Models { command: ModelsCommand::Check { file, online } } => {
            let findings = runtime.block_on(check(&read(&file)?, online));
            print_findings(&file, &findings)
        }
        Command::Models { command: ModelsCommand::Import { file, provider, profile, residency } } => {
            import(&file, &provider, profile.as_deref(), residency.as_deref())
        }
    }
}

async fn serve_until_stopped(args: &ServeArgs) -> Result<(), Failure> {
    shared::edge::telemetry::init_log(&args.log);
    raise_descriptor_limit();
    let telemetry = Telemetry::start("", &TelemetryConfig::from_env()?);
    let running = serve(&args.settings()).await?;
    print_banner(&running)?;
    running.with_telemetry(telemetry).run(wait_for_stop()).await;
    Ok(())
}

fn print_banner(running: &Running) -> Result<(), Failure> {
    let base_url = format!("http://{}/v1", running.address()?);
    let (key, admin_key) = (running.project_key.expose(), running.admin_key.expose());
    let model = running.model_names.first().map_or("MODEL", String::as_str);
    let mut out = std::io::stdout().lock();
    writeln!(out, "weir is ready.\n")?;
    writeln!(out, "  base URL   {base_url}")?;
    writeln!(out, "  API key    {key}")?;
    writeln!(out, "  admin key  {admin_key}")?;
    writeln!(out, "  models     {}\n", running.model_names.join(", "))?;
    writeln!(out, "Try it:\n")?;
    writeln!(
        out,
        "  curl {base_url}/chat/completions -H 'authorization: Bearer {key}' -H 'content-type: application/json' \
         -d '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n"
    )?;
    Ok(out.flush()?)
}

/// Resolves at ctrl-C or SIGTERM. A second ctrl-C ends the process without waiting for calls that still run.
async fn wait_for_stop() {
    wait_for_signal().await;
    tracing::info!("stopping: waiting for running calls, ctrl-C again to stop at once");
    #[expect(clippy::disallowed_methods, reason = "no platform freezes the local server after an answer")]
    tokio::spawn(async {
        wait_for_signal().await;
        std::process::exit(130);
    });
}

async fn wait_for_signal() {
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! { () = ctrl_c => {}, _ = terminate.recv() => {} }
            return;
        }
    }
    ctrl_c.await;
}

/// Prints what `weir doctor` saw.
fn print_looks(looks: &[Look]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for look in looks {
        writeln!(out, "{look}")?;
    }
    let failed = looks.iter().filter(|look| look.verdict == Verdict::Fail).count();
    if failed > 0 { Err(format!("{failed} of {} checks failed", looks.len()).into()) } else { Ok(()) }
}

/// Prints what `weir models check` found, each finding with the file and its line.
fn print_findings(file: &std::path::Path, findings: &[Finding]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for finding in findings {
        writeln!(out, "{}:{}{finding}", file.display(), if finding.line.is_some() { "" } else { " " })?;
    }
    let errors = findings.iter().filter(|finding| finding.is_error).count();
    let counted = format!("{errors} errors and {} warnings in {}", findings.len() - errors, file.display());
    if errors > 0 {
        return Err(counted.into());
    }
    Ok(writeln!(out, "{counted}")?)
}

fn read(file: &std::path::Path) -> Result<String, Failure> {
    Ok(std::fs::read_to_string(file).map_err(|error| format!("could not read `{}`: {error}", file.display()))?)
}

fn import(
    file: &std::path::Path,
    provider: &str,
    profile: Option<&str>,
    residency: Option<&str>,
) -> Result<(), Failure> {
    let json = read(file)?;
    let today = Clock::system().now().day();
    if profile.is_some() && provider != "bedrock" {
        return Err("--profile is for --provider bedrock: leave one of them out".into());
    }
    if residency.is_some() && provider != "openai" {
        return Err("--residency is for --provider openai: leave one of them out".into());
    }
    let bedrock_profile = profile.or((provider == "bedrock").then_some("none"));
    let toml = Import { litellm_provider: provider, provider, today: &today, bedrock_profile, residency }
        .models_toml(&json)?;
    Ok(write!(std::io::stdout(), "{toml}")?)
}
