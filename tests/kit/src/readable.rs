//! Where the stores hold a text that can be read.

use std::collections::HashMap;
use std::io::Read as _;

use aws_sdk_dynamodb::types::AttributeValue;
use flate2::read::DeflateDecoder;

use crate::TestApp;

impl TestApp {
    /// The places that hold a word: items as `<pk>/<sk>`, and keys of the bucket. Bodies are unpacked.
    pub async fn places_of(&self, word: &str) -> Vec<String> {
        let holds = |packed: &[u8]| contains(packed, word) || contains(&inflate(packed), word);
        let mut places = Vec::new();
        for item in self.items().await {
            let is_here = item.values().any(|value| match value {
                AttributeValue::B(packed) => holds(packed.as_ref()),
                value => format!("{value:?}").contains(word),
            });
            if is_here {
                places.push(format!("{}/{}", part(&item, "pk"), part(&item, "sk")));
            }
        }
        let bucket = embedded::s3_client(self.connectors().s3);
        for key in self.objects().await {
            let got = bucket.get_object().bucket("weir").key(&key).send().await.expect("the object is there");
            if holds(&got.body.collect().await.expect("the object is read").into_bytes()) {
                places.push(key);
            }
        }
        places.sort();
        places
    }

    /// The keys of the bucket.
    pub async fn objects(&self) -> Vec<String> {
        let bucket = embedded::s3_client(self.connectors().s3);
        let listed = bucket.list_objects_v2().bucket("weir").send().await.expect("the bucket is listed");
        listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
    }
}

fn part<'a>(item: &'a HashMap<String, AttributeValue>, name: &str) -> &'a str {
    item[name].as_s().expect("keys are text")
}

/// The body that was packed; nothing if none was.
fn inflate(packed: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let _ = DeflateDecoder::new(packed).read_to_end(&mut body);
    body
}

fn contains(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|part| part == word.as_bytes())
}
