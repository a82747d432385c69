//! Responses are read, listed and deleted.

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::record::{read_record, read_unexpired};
use super::{ResponseRecord, ResponseRecords};
use crate::data::change::Change;
use crate::data::error::StoreError;
use crate::data::item::{Reader, number};
use crate::data::keys::{self, Key};
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;

/// A response with everything but its events.
#[derive(Debug, Clone)]
pub struct StoredResponse {
    pub record: ResponseRecord,
    /// The request, as it was stored.
    pub request: Bytes,
    /// The response object, once the response has ended.
    pub response: Option<Bytes>,
}

/// A deleted response is remembered this long, so that a worker that runs it learns of the deletion.
const TOMBSTONE_SECONDS: u64 = 2 * 86_400;

impl ResponseRecords {
    /// Returns the record of a response, expired or not.
    pub async fn get(&self, key: &ResponseKey) -> Result<Option<ResponseRecord>, StoreError> {
        self.table.get(keys::response(key)).await?.map(|item| read_record(&item)).transpose()
    }

    /// Returns a response with its request and its end, unless it has expired by `now`. One query.
    pub async fn get_stored(&self, key: &ResponseKey, now: Timestamp) -> Result<Option<StoredResponse>, StoreError> {
        let state = keys::response(key);
        let items = self.table.query(&state.pk, &state.sk, keys::RESPONSE_REQUEST).await?;
        let (mut found, mut request, mut response) = (None, None, None);
        for item in &items {
            match Reader(item).text("sk")?.as_str() {
                keys::RESPONSE_STATE => found = read_unexpired(item, now)?,
                keys::RESPONSE_REQUEST => request = Some(self.bodies.unpack(item).await?),
                _ => response = Some(self.bodies.unpack(item).await?),
            }
        }
        Ok(found.zip(request).map(|(record, request)| StoredResponse { record, request, response }))
    }

    /// Returns the request of a response.
    pub async fn request(&self, key: &ResponseKey) -> Result<Option<Bytes>, StoreError> {
        match self.table.get(keys::response_request(key)).await? {
            Some(item) => Ok(Some(self.bodies.unpack(&item).await?)),
            None => Ok(None),
        }
    }

    /// Deletes the content of a response. Its record stays for a while, so that the rest of its work is done.
    pub async fn delete(&self, key: &ResponseKey, now: Timestamp) -> Result<(), StoreError> {
        let state = keys::response(key);
        // Without the condition, a deletion of an absent response would create a record without a status.
        let tombstone = Change::new("SET deleted = :one, expires_at = :expires")
            .only_if("attribute_exists(pk)")
            .values([(":one", number(1)), (":expires", number(now.seconds() + TOMBSTONE_SECONDS))]);
        self.table.update(state.clone(), tombstone).await.map(drop)?;
        let items = self.table.query_partition(&state.pk).await?;
        let mut deletions = vec![self.table.delete(keys::job(&key.project_id, &key.response_id))];
        for item in &items {
            let sk = Reader(item).text("sk")?;
            if sk != keys::RESPONSE_STATE {
                deletions.push(self.table.delete(Key { pk: state.pk.clone(), sk }));
            }
        }
        try_join_all(deletions).await.map(drop)
    }
}
