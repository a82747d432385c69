//! The processes of a run, which are this binary in another role. They end when this process ends, for any reason.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Failure;

/// The line that a process prints when it is ready.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) address: SocketAddr,
    #[serde(default)]
    pub(crate) key: String,
    /// Of the bucket, beside the table at `address`.
    #[serde(default)]
    pub(crate) bucket: Option<SocketAddr>,
}

/// A running process. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) ready: Ready,
}

const START: Duration = Duration::from_secs(20);

impl Process {
    /// Starts a role and waits until it is ready. Its output, log included, goes to a file in `folder`.
    pub(crate) fn start(folder: &Path, role: &str, arguments: &[&str]) -> Result<Self, Failure> {
        let output =
            tempfile::Builder::new().prefix(role).suffix(".log").tempfile_in(folder)?.into_temp_path().keep()?;
        let child = Command::new(std::env::current_exe()?)
            .arg(role)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(File::create(&output)?)
            .spawn()?;
        let unknown = Ready { address: ([0, 0, 0, 0], 0).into(), key: String::new(), bucket: None };
        let mut process = Self { child, ready: unknown };
        process.ready = process.wait_until_ready(role, &output)?;
        Ok(process)
    }

    fn wait_until_ready(&mut self, role: &str, output: &Path) -> Result<Ready, Failure> {
        let begin = Instant::now();
        while begin.elapsed() < START {
            let printed = std::fs::read_to_string(output)?;
            if let Some((line, _)) = printed.split_once('\n') {
                return Ok(serde_json::from_str(line)?);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the process `{role}` ended before it was ready: {status}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!("the process `{role}` was not ready within {START:?}").into())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.ready.address)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads the processor time of the process so far.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        cpu(&self.id().to_string())
    }

    /// Reads the resident memory of the process, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64, Failure> {
        self.status_mib("VmRSS:")
    }

    /// Reads the part of the resident memory that is the program file, in MiB.
    pub(crate) fn program_mib(&self) -> Result<f64, Failure> {
        self.status_mib("RssFile:")
    }

    /// Counts the open file descriptors.
    pub(crate) fn files(&self) -> Result<usize, Failure> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.id()))?.count())
    }

    fn status_mib(&self, field: &str) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let value = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("a field is missing in /proc")?;
        let kib: f64 = value.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

/// The memory and files of a process at one time.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// The time since the first sample.
    pub(crate) at: Duration,
    pub(crate) resident_mib: f64,
    pub(crate) files: usize,
}

/// Does some work, and meanwhile samples a process at an interval.
pub(crate) fn watch<T: Send>(
    process: &Process,
    every: Duration,
    work: impl FnOnce() -> T + Send,
) -> Result<(T, Vec<Sample>), Failure> {
    let begin = Instant::now();
    let mut samples = Vec::new();
    let done = std::thread::scope(|threads| {
        let work = threads.spawn(work);
        while !work.is_finished() {
            if let (Ok(resident_mib), Ok(files)) = (process.resident_mib(), process.files()) {
                samples.push(Sample { at: begin.elapsed(), resident_mib, files });
            }
            std::thread::sleep(every);
        }
        work.join()
    });
    Ok((done.map_err(|_| "the work panicked")?, samples))
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the processor time of this process so far.
pub(crate) fn own_cpu() -> Result<Duration, Failure> {
    cpu("self")
}

/// The unit of times in /proc is a hundredth of a second.
const TICKS_PER_SECOND: u32 = 100;

fn cpu(process: &str) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, may contain spaces. `utime` and `stime` are the 12th and 13th field after it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/stat")?;
    let ticks: Result<Vec<u32>, _> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(Duration::from_secs(1) * ticks?.iter().sum() / TICKS_PER_SECOND)
}
