//! `weir admin-keys`: lists, makes and deletes keys of a deployment's admin API.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Client, ClientError, Deployment};

/// The command to run.
#[derive(Subcommand)]
pub enum AdminKeysCommand {
    /// List the keys, the oldest first
    List,
    /// Make a key and print it: it is shown only now
    Create {
        name: String,
        /// read, keys or all
        #[arg(long, default_value = "read")]
        scope: String,
        /// Seconds until it expires; without it never
        #[arg(long)]
        expires_in_seconds: Option<u64>,
    },
    /// Delete a key: it stops working at once
    Delete { id: String },
}

/// Runs a command and returns the text to print.
///
/// # Errors
/// If there is no admin key, or if the deployment cannot be reached or refuses.
pub async fn admin_keys(command: &AdminKeysCommand, deployment: &Deployment) -> Result<String, ClientError> {
    let client = Client::admin(deployment)?;
    match command {
        AdminKeysCommand::List => Ok(table(&client.get(&[KEYS], &[("limit", &Some("100".to_owned()))]).await?)),
        AdminKeysCommand::Create { name, scope, expires_in_seconds } => {
            let body = json!({"name": name, "scope": scope, "expires_in_seconds": expires_in_seconds});
            let made = client.post(&[KEYS], &body).await?;
            Ok(format!("{}\n", made["value"].as_str().unwrap_or_default()))
        }
        AdminKeysCommand::Delete { id } => {
            client.delete(&[KEYS, id]).await?;
            Ok(format!("deleted {id}\n"))
        }
    }
}

const KEYS: &str = "admin_api_keys";

fn table(list: &Value) -> String {
    let mut table = format!("{:<30}{:<6}{:>12}{:>12}  {}\n", "ID", "SCOPE", "EXPIRES", "LAST USED", "NAME");
    for key in list["data"].as_array().into_iter().flatten() {
        let text = |name: &str| key[name].as_str().unwrap_or("-").to_owned();
        let second = |name: &str| key[name].as_u64().map_or("-".to_owned(), |second| second.to_string());
        let (expires, used) = (second("expires_at"), second("last_used_at"));
        let _ = writeln!(table, "{:<30}{:<6}{expires:>12}{used:>12}  {}", text("id"), text("scope"), text("name"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_a_key_without_its_secret() {
        let key = json!({
            "id": "key_1", "scope": "read", "name": "Dashboard", "expires_at": 1_795_366_800_u64, "last_used_at": null,
            "redacted_value": "sk-weir-admin-...abcd",
        });
        let expected = "\
ID                            SCOPE      EXPIRES   LAST USED  NAME
key_1                         read    1795366800           -  Dashboard
";
        assert_eq!(table(&json!({"object": "list", "data": [key]})), expected);
    }
}
