//! `weir files`: puts, gets, lists and deletes files of a project.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::client::{Client, ClientError, ProjectDeployment};
use crate::jobs::pretty;

/// The command to run.
#[derive(Subcommand)]
pub enum FilesCommand {
    /// Upload a file and print its id
    Put {
        file: PathBuf,
        /// assistants, batch, evals, `user_data` or vision
        #[arg(long, default_value = "user_data")]
        purpose: String,
        /// Print the whole answer
        #[arg(long)]
        json: bool,
    },
    /// Print the content of a file
    Get {
        id: String,
        /// Write it here instead
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// List files, the newest first
    List {
        /// Only those with this purpose
        #[arg(long)]
        purpose: Option<String>,
        /// The most to list
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only those older than this one
        #[arg(long)]
        after: Option<String>,
        /// Print the whole answer
        #[arg(long)]
        json: bool,
    },
    /// Delete a file
    Delete { id: String },
}

/// Runs a command and returns the text to print after it.
///
/// # Errors
/// If there is no key, a file cannot be read or written, or the deployment cannot be reached or refuses.
pub async fn files(command: &FilesCommand, deployment: &ProjectDeployment) -> Result<String, ClientError> {
    let client = Client::project(deployment)?;
    match command {
        FilesCommand::Put { file, purpose, json } => {
            let made = put(&client, file, purpose).await?;
            Ok(if *json { pretty(&made) } else { format!("{}\n", made["id"].as_str().unwrap_or_default()) })
        }
        FilesCommand::Get { id, output } => get(&client, id, output.as_deref()).await.map(|()| String::new()),
        FilesCommand::List { purpose, limit, after, json } => {
            let limit = Some(limit.to_string());
            let list = client.get(&["files"], &[("purpose", purpose), ("limit", &limit), ("after", after)]).await?;
            Ok(if *json { pretty(&list) } else { table(&list) })
        }
        FilesCommand::Delete { id } => {
            client.delete(&["files", id]).await?;
            Ok(format!("deleted {id}\n"))
        }
    }
}

/// The most bytes of a form: API Gateway and Lambda pass on no more than about 4.5 MB.
const FORM_BYTES: u64 = 4 * 1024 * 1024;

/// Uploads a file: in one form, or in parts if it is larger. Returns the file object.
pub(crate) async fn put(client: &Client, path: &Path, purpose: &str) -> Result<Value, ClientError> {
    let name = path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned());
    let mut file = Pieces::open(path)?;
    if file.left <= FORM_BYTES {
        let part = Part::bytes(file.next()?).file_name(name);
        return client.post_form(&["files"], Form::new().text("purpose", purpose.to_owned()).part("file", part)).await;
    }
    let upload = json!({
        "filename": name, "purpose": purpose, "bytes": file.left, "mime_type": "application/octet-stream",
    });
    let upload = client.post(&["uploads"], &upload).await?;
    let id = upload["id"].as_str().unwrap_or_default();
    let mut part_ids = Vec::new();
    while file.left > 0 {
        let form = Form::new().part("data", Part::bytes(file.next()?).file_name("part"));
        part_ids.push(client.post_form(&["uploads", id, "parts"], form).await?["id"].clone());
    }
    let done = client.post(&["uploads", id, "complete"], &json!({"part_ids": part_ids})).await?;
    Ok(done["file"].clone())
}

/// A file that is read piece by piece.
struct Pieces<'a> {
    path: &'a Path,
    file: File,
    left: u64,
}

impl<'a> Pieces<'a> {
    fn open(path: &'a Path) -> Result<Self, ClientError> {
        let file = File::open(path).map_err(|source| not_read(path, source))?;
        let left = file.metadata().map_err(|source| not_read(path, source))?.len();
        Ok(Self { path, file, left })
    }

    fn next(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut piece = vec![0; usize::try_from(self.left.min(FORM_BYTES)).unwrap_or(usize::MAX)];
        self.file.read_exact(&mut piece).map_err(|source| not_read(self.path, source))?;
        self.left -= piece.len() as u64;
        Ok(piece)
    }
}

pub(crate) fn not_read(path: &Path, source: std::io::Error) -> ClientError {
    ClientError::File { action: "read", path: path.display().to_string(), source }
}

/// Writes the content of a file to a new file, or to the standard output.
pub(crate) async fn get(client: &Client, id: &str, output: Option<&Path>) -> Result<(), ClientError> {
    let segments = ["files", id, "content"];
    let Some(path) = output else {
        return client.copy(&segments, &mut std::io::stdout(), "the standard output").await;
    };
    let name = path.display().to_string();
    let mut file =
        File::create(path).map_err(|source| ClientError::File { action: "write", path: name.clone(), source })?;
    client.copy(&segments, &mut file, &name).await
}

fn table(list: &Value) -> String {
    let mut table = format!("{:<30}{:<14}{:>12}{:>12}  {}\n", "ID", "PURPOSE", "BYTES", "EXPIRES", "NAME");
    for file in list["data"].as_array().into_iter().flatten() {
        let text = |name: &str| file[name].as_str().unwrap_or("-").to_owned();
        let number = |name: &str| file[name].as_u64().map_or("-".to_owned(), |number| number.to_string());
        let _ = writeln!(
            table,
            "{:<30}{:<14}{:>12}{:>12}  {}",
            text("id"),
            text("purpose"),
            number("bytes"),
            number("expires_at"),
            text("filename")
        );
    }
    if list["has_more"] == true {
        let _ = writeln!(table, "more: --after {}", list["last_id"].as_str().unwrap_or_default());
    }
    table
}
