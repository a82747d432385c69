//! Responses are read.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::erasing::read_claim;
use super::record::{read_record, read_unexpired};
use super::{ResponseRecord, ResponseRecords};
use crate::data::error::StoreError;
use crate::data::idempotency::KeyClaim;
use crate::data::item::Reader;
use crate::data::keys;
use crate::data::table::MAX_BATCH;
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

/// A body of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseBody {
    Request,
    /// The response object, once the response has ended.
    End,
}

/// Responses whose bodies are read with one call: two items of each.
const AT_ONCE: usize = MAX_BATCH / 2;
/// Bodies that are read from the bucket at the same time.
const UNPACKED_AT_ONCE: usize = 4;

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

    /// Passes one body of each of several responses to `read`, in no order. Leaves out responses that do not exist, have
    /// expired by `now`, or have no such body. No key may be there twice. Ends when `read` fails.
    ///
    /// A body can have many megabytes, so only some are in memory at the same time.
    pub async fn read_bodies<E: From<StoreError>>(
        &self,
        responses: &[ResponseKey],
        body: ResponseBody,
        now: Timestamp,
        mut read: impl FnMut(&ResponseRecord, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for some in responses.chunks(AT_ONCE) {
            let of = |key| match body {
                ResponseBody::Request => keys::response_request(key),
                ResponseBody::End => keys::response_end(key),
            };
            let items =
                self.table.get_all(some.iter().flat_map(|key| [keys::response(key), of(key)]).collect()).await?;
            let (states, bodies): (Vec<_>, Vec<_>) =
                items.iter().partition(|item| Reader(item).text("sk").is_ok_and(|sk| sk == keys::RESPONSE_STATE));
            let mut records = HashMap::new();
            for state in states {
                records.extend(read_unexpired(state, now)?.map(|record| (keys::response(&record.key).pk, record)));
            }
            let mut unpacked = Vec::new();
            for item in bodies {
                if let Some(record) = records.remove(&Reader(item).text("pk")?) {
                    unpacked.push(async { Ok::<_, StoreError>((record, self.bodies.unpack(item).await?)) });
                }
            }
            let mut unpacked = stream::iter(unpacked).buffered(UNPACKED_AT_ONCE);
            while let Some((record, body)) = unpacked.try_next().await? {
                read(&record, &body)?;
            }
        }
        Ok(())
    }

    /// Returns the request of a response.
    pub async fn request(&self, key: &ResponseKey) -> Result<Option<Bytes>, StoreError> {
        match self.table.get(keys::response_request(key)).await? {
            Some(item) => Ok(Some(self.bodies.unpack(&item).await?)),
            None => Ok(None),
        }
    }
}
