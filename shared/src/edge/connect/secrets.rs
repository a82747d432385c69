//! Reads secrets, all at once, so that a cold start waits only as long as the slowest takes.

use std::collections::HashMap;

use aws_sdk_secretsmanager::Client;
use futures_util::future::try_join_all;

use super::{ConnectError, aws};
use crate::model::secret::Secret;

pub(super) async fn read(names: impl IntoIterator<Item = &str>) -> Result<HashMap<String, Secret>, ConnectError> {
    let mut names = names.into_iter().peekable();
    if names.peek().is_none() {
        return Ok(HashMap::new()); // The client is not made either.
    }
    let client = aws::secrets_manager();
    Ok(try_join_all(names.map(|name| read_one(&client, name))).await?.into_iter().collect())
}

async fn read_one(client: &Client, name: &str) -> Result<(String, Secret), ConnectError> {
    let wrong = |source| ConnectError::Secret { name: name.to_owned(), source };
    let answer =
        Box::pin(client.get_secret_value().secret_id(name).send()).await.map_err(|error| wrong(error.into()))?;
    let value = answer.secret_string.ok_or_else(|| wrong("it is not a string".into()))?;
    Ok((name.to_owned(), Secret::new(value.trim())))
}
