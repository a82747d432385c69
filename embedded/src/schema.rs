//! The table and the bucket, as embedded stores have them. `template.yaml` defines them for AWS.

use serde_json::{Value, json};

/// The name of the table in every embedded place.
pub const TABLE: &str = "weir";
/// The name of the bucket in every embedded place.
pub const BUCKET: &str = "weir";
/// The attribute with the time at which an item expires, in Unix seconds.
const EXPIRES_AT: &str = "expires_at";

/// The requests that make the table. Its index `due` has `due_shard` (HASH) and `due_at` (RANGE, Unix milliseconds), and keys
/// only. It is sparse. Its index `vec` has vectors of 1,024 numbers, which are compared within one `vec_scope`.
pub(crate) fn requests() -> [(&'static str, Value); 2] {
    let attribute = |name, kind| json!({"AttributeName": name, "AttributeType": kind});
    let keys =
        |hash, range| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
    let table = json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            attribute("pk", "S"), attribute("sk", "S"), attribute("due_shard", "S"), attribute("due_at", "N"),
            attribute("vec_scope", "S"),
        ],
        "KeySchema": keys("pk", "sk"),
        "GlobalSecondaryIndexes": [{
            "IndexName": "due",
            "KeySchema": keys("due_shard", "due_at"),
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }],
        "VectorIndexes": [{
            "IndexName": "vec",
            "VectorAttribute": {"AttributeName": "vec"},
            "SearchSchema": [{"AttributeName": "vec_scope", "SearchSchemaElementType": "HASH"}],
            "Dimensions": 1_024,
            "DistanceFunction": "COSINE",
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }],
    });
    let expiry = json!({
        "TableName": TABLE,
        "TimeToLiveSpecification": {"AttributeName": EXPIRES_AT, "Enabled": true},
    });
    [("CreateTable", table), ("UpdateTimeToLive", expiry)]
}
