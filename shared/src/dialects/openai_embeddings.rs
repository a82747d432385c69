//! Embeddings that weir asks for itself: the request, and the vectors of the answer.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;

/// The body of a request for vectors of so many numbers.
#[must_use]
pub fn request(model: &str, texts: &[&str], dimensions: usize) -> Vec<u8> {
    let body = json!({"model": model, "input": texts, "dimensions": dimensions, "encoding_format": "base64"});
    body.to_string().into_bytes()
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedded>,
}

#[derive(Deserialize)]
struct Embedded {
    index: usize,
    embedding: String,
}

/// The vectors of `count` texts, in their order; `None` if the answer does not have them.
#[must_use]
pub fn vectors(answer: &[u8], count: usize) -> Option<Vec<Vec<f32>>> {
    let Answer { mut data } = serde_json::from_slice(answer).ok()?;
    data.sort_by_key(|embedded| embedded.index);
    if data.len() != count || data.iter().enumerate().any(|(n, embedded)| embedded.index != n) {
        return None;
    }
    data.iter().map(|embedded| decode(&embedded.embedding)).collect()
}

fn decode(base64: &str) -> Option<Vec<f32>> {
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|four| f32::from_le_bytes(*four)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(vectors: &[(usize, &[f32])]) -> Vec<u8> {
        let encode =
            |vector: &[f32]| BASE64_STANDARD.encode(vector.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>());
        let data: Vec<_> =
            vectors.iter().map(|(index, vector)| json!({"index": index, "embedding": encode(vector)})).collect();
        json!({ "data": data }).to_string().into_bytes()
    }

    #[test]
    fn vectors_are_put_in_the_order_of_their_texts() {
        let answer = answer(&[(1, &[0.25, -0.5]), (0, &[1.0, 2.0])]);
        assert_eq!(vectors(&answer, 2), Some(vec![vec![1.0, 2.0], vec![0.25, -0.5]]));
    }

    #[test]
    fn an_answer_without_all_vectors_has_none() {
        assert_eq!(vectors(b"{}", 1), None);
        assert_eq!(vectors(&answer(&[(0, &[1.0])]), 2), None);
        assert_eq!(vectors(&answer(&[(1, &[1.0])]), 1), None);
        assert_eq!(vectors(br#"{"data":[{"index":0,"embedding":"AAA="}]}"#, 1), None);
    }
}
