//! Embeds texts by calls that are admitted and charged like every other.

use std::sync::Arc;

use crate::app::cache::CacheControl;
use crate::app::calls::{CallRequest, Calls};
use crate::app::error::Error;
use crate::app::pipeline::CallOptions;
use crate::dialects::openai_chat::Body;
use crate::dialects::openai_embeddings;
use crate::model::money::MicroUsd;
use crate::model::project::Caller;
use crate::model::provider::Endpoint;
use crate::model::vector_store::DIMENSIONS;

/// Embeds texts for the table's index.
#[derive(Clone)]
pub(in crate::app) struct Embedder(pub(in crate::app) Arc<Calls>);

/// Texts as vectors.
pub(super) struct Embeddings {
    pub(super) vectors: Vec<Vec<i16>>,
    /// Of the call.
    pub(super) cost: MicroUsd,
}

/// Why the vectors of a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the model `{model}` answered with something that is no list of {count} embeddings")]
    NoEmbeddings { model: String, count: usize },
    #[error(
        "the model `{model}` makes vectors of {numbers} numbers, and the index has {DIMENSIONS}: name another one in `vector_stores.embedding_models` of the models file"
    )]
    Length { model: String, numbers: usize },
    #[error("the model `{0}` made a vector without a direction")]
    NoDirection(String),
}

impl Embedder {
    /// Embeds texts, in their order.
    ///
    /// # Errors
    /// Those of a call of the model; `Internal` if the model does not fit the index.
    pub(super) async fn embed(
        &self,
        caller: &Caller,
        model: &str,
        texts: &[&str],
        options: &CallOptions,
    ) -> Result<Embeddings, Error> {
        let body = openai_embeddings::request(model, texts, DIMENSIONS);
        let request = CallRequest {
            endpoint: Endpoint::Embeddings,
            body: Body::parse(Endpoint::Embeddings, &body)?,
            cache_control: CacheControl::default(),
            options: options.clone(),
        };
        let mut answer = self.0.run(caller.clone(), request).await?;
        let cost = answer.metadata.cost.unwrap_or_default();
        let mut whole = Vec::new();
        while let Some(piece) = answer.body.recv().await {
            whole.extend_from_slice(&piece);
        }
        let vectors = read(&whole, model, texts.len()).map_err(Error::internal("embed the text"))?;
        Ok(Embeddings { vectors, cost })
    }
}

fn read(answer: &[u8], model: &str, count: usize) -> Result<Vec<Vec<i16>>, Unusable> {
    let wrong = || Unusable::NoEmbeddings { model: model.to_owned(), count };
    let vectors = openai_embeddings::vectors(answer, count).ok_or_else(wrong)?;
    vectors.iter().map(|vector| quantize(vector, model)).collect()
}

/// The largest number of a stored vector. Whole numbers of four digits take the fewest bytes of an item, and move no neighbour.
const LARGEST: f32 = 9_999.0;

/// The direction of a vector, in whole numbers.
fn quantize(vector: &[f32], model: &str) -> Result<Vec<i16>, Unusable> {
    if vector.len() != DIMENSIONS {
        return Err(Unusable::Length { model: model.to_owned(), numbers: vector.len() });
    }
    let largest = vector.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    if largest == 0.0 || !vector.iter().all(|number| number.is_finite()) {
        return Err(Unusable::NoDirection(model.to_owned()));
    }
    #[expect(clippy::cast_possible_truncation, reason = "no number is larger than 9,999")]
    Ok(vector.iter().map(|number| (number / largest * LARGEST).round() as i16).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(first: f32, second: f32) -> Vec<f32> {
        let mut vector = vec![0.0; DIMENSIONS];
        (vector[0], vector[1]) = (first, second);
        vector
    }

    #[test]
    fn a_vector_keeps_its_direction() {
        let direction = |first, second| quantize(&vector(first, second), "m").map(|numbers| (numbers[0], numbers[1]));
        assert_eq!(direction(0.25, -0.5).ok(), Some((5_000, -9_999)));
        assert_eq!(direction(1e-6, 0.0).ok(), Some((9_999, 0)));
    }

    #[test]
    fn a_vector_that_does_not_fit_says_what_is_wrong() {
        let why = |vector: &[f32]| quantize(vector, "m").unwrap_err().to_string();
        assert!(why(&[1.0; 256]).contains("256 numbers, and the index has 1024"));
        for nothing in [vector(0.0, 0.0), vector(f32::NAN, 1.0), vector(f32::INFINITY, 1.0)] {
            assert!(why(&nothing).contains("without a direction"));
        }
        assert!(read(b"{}", "m", 1).unwrap_err().to_string().contains("no list of 1 embeddings"));
    }
}
