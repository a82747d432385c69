//! Reading responses, and taking them away.

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::{ResponseRecord, record};
use crate::data::Stores;
use crate::data::error::StoreError;
use crate::data::item::{Reader, number};
use crate::data::keys::{self, Key};
use crate::data::table::Change;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;

/// A response with everything but its events.
#[derive(Debug, Clone)]
pub struct WholeResponse {
    pub record: ResponseRecord,
    /// What was asked, as it was written.
    pub request: Bytes,
    /// The response object, once it has ended.
    pub response: Option<Bytes>,
}

/// A deleted response is remembered this long, so that a worker that runs it finds out.
const TOMBSTONE_SECONDS: u64 = 2 * 86_400;

impl Stores {
    /// The record of a response, expired or not.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn response(&self, key: &ResponseKey) -> Result<Option<ResponseRecord>, StoreError> {
        let item = self.table.get(keys::response(&key.project_id, &key.response_id)).await?;
        Ok(item.map(|item| record(&item, None)).transpose()?.flatten())
    }

    /// A response with its request and its end, unless it has expired. One query.
    ///
    /// # Errors
    /// If a store fails or an item is damaged.
    pub async fn whole_response(&self, key: &ResponseKey, now: Timestamp) -> Result<Option<WholeResponse>, StoreError> {
        let state = keys::response(&key.project_id, &key.response_id);
        let items = self.table.query(&state.pk, &state.sk, keys::RESPONSE_REQUEST).await?;
        let (mut found, mut request, mut response) = (None, None, None);
        for item in &items {
            match Reader(item).text("sk")?.as_str() {
                keys::RESPONSE_STATE => found = record(item, Some(now))?,
                keys::RESPONSE_REQUEST => request = Some(self.unpack(item).await?),
                _ => response = Some(self.unpack(item).await?),
            }
        }
        Ok(found.zip(request).map(|(record, request)| WholeResponse { record, request, response }))
    }

    /// What was asked.
    ///
    /// # Errors
    /// If a store fails or the item is damaged.
    pub async fn response_request(&self, key: &ResponseKey) -> Result<Option<Bytes>, StoreError> {
        match self.table.get(keys::response_request(&key.project_id, &key.response_id)).await? {
            Some(item) => Ok(Some(self.unpack(&item).await?)),
            None => Ok(None),
        }
    }

    /// Takes a response's content away; its record stays for a while, so that what is left to do for it is done.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn delete_response(&self, key: &ResponseKey, now: Timestamp) -> Result<(), StoreError> {
        let state = keys::response(&key.project_id, &key.response_id);
        let tombstone = Change {
            update: "SET deleted = :one, expires_at = :expires".to_owned(),
            condition: "attribute_exists(pk)".to_owned(),
            values: vec![(":one", number(1)), (":expires", number(now.seconds() + TOMBSTONE_SECONDS))],
            ..Change::default()
        };
        self.table.update(state.clone(), tombstone).await?;
        let items = self.table.partition(&state.pk).await?;
        let mut gone = vec![self.table.delete(keys::job(&key.project_id, &key.response_id))];
        for item in &items {
            let sk = Reader(item).text("sk")?;
            if sk != keys::RESPONSE_STATE {
                gone.push(self.table.delete(Key { pk: state.pk.clone(), sk }));
            }
        }
        try_join_all(gone).await.map(drop)
    }

    /// The newest background responses of a project: up to `limit`, older than the one that is named.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn jobs(
        &self,
        project_id: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ResponseRecord>, StoreError> {
        let to = keys::job(project_id, before.unwrap_or("~"));
        let pointers = self.table.query_newest(&to.pk, &to.sk, limit).await?;
        let mut ids = Vec::with_capacity(pointers.len());
        for pointer in &pointers {
            ids.push(Reader(pointer).text("sk")?);
        }
        let mut records = self.records(ids.iter().map(|id| keys::response(project_id, id)).collect()).await?;
        records.sort_by(|one, other| other.key.response_id.cmp(&one.key.response_id));
        Ok(records)
    }

    /// The background response with this id in one of the projects.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn find_job(&self, projects: &[&str], response_id: &str) -> Result<Option<ResponseRecord>, StoreError> {
        for some in projects.chunks(100) {
            let states = some.iter().map(|project| keys::response(project, response_id)).collect();
            let found = self.records(states).await?.into_iter().find(|record| record.background);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn records(&self, keys: Vec<Key>) -> Result<Vec<ResponseRecord>, StoreError> {
        let mut records = Vec::with_capacity(keys.len());
        for item in self.table.get_all(keys).await? {
            records.extend(record(&item, None)?);
        }
        Ok(records)
    }
}
