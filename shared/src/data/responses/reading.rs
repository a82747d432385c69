//! Responses are read.

use bytes::Bytes;

use super::erasing::read_claim;
use super::record::{read_record, read_unexpired};
use super::{ResponseRecord, ResponseRecords};
use crate::data::error::StoreError;
use crate::data::idempotency::KeyClaim;
use crate::data::item::Reader;
use crate::data::keys;
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
    /// The claim of the idempotency key that the request came with.
    pub claim: Option<KeyClaim>,
}

impl ResponseRecords {
    /// Returns the record of a response, expired or not.
    pub async fn get(&self, key: &ResponseKey) -> Result<Option<ResponseRecord>, StoreError> {
        self.table.get(keys::response(key)).await?.map(|item| read_record(&item)).transpose()
    }

    /// Returns a response with its request and its end, unless it has expired by `now`. One query.
    pub async fn get_stored(&self, key: &ResponseKey, now: Timestamp) -> Result<Option<StoredResponse>, StoreError> {
        let state = keys::response(key);
        let items = self.table.query(&state.pk, &state.sk, keys::RESPONSE_REQUEST).await?;
        let (mut found, mut request, mut response, mut claim) = (None, None, None, None);
        for item in &items {
            match Reader(item).text("sk")?.as_str() {
                keys::RESPONSE_STATE => found = read_unexpired(item, now)?,
                keys::RESPONSE_REQUEST => {
                    request = Some(self.bodies.unpack(item).await?);
                    claim = read_claim(item, &key.project_id)?;
                }
                _ => response = Some(self.bodies.unpack(item).await?),
            }
        }
        Ok(found.zip(request).map(|(record, request)| StoredResponse { record, request, response, claim }))
    }

    /// Returns the request of a response.
    pub async fn request(&self, key: &ResponseKey) -> Result<Option<Bytes>, StoreError> {
        match self.table.get(keys::response_request(key)).await? {
            Some(item) => Ok(Some(self.bodies.unpack(&item).await?)),
            None => Ok(None),
        }
    }
}
