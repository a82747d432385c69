//! Simulated images: one pixel each, whose colour follows from the request and its files.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use shared::model::provider::{Failure, ProviderRequest, Reply, Whole};
use shared::model::tokens::Usage;

use super::{invalid_request, text};
use crate::answer::to_bytes;

/// OpenAI's limit.
const MAX_IMAGES: u64 = 10;
/// What an image of the simulator costs, like one of a small model.
const TOKENS_OF_AN_IMAGE: u64 = 272;

pub(super) fn images(call: &ProviderRequest, fingerprint: &str, created: u64) -> Result<Reply, Failure> {
    let prompt: String =
        call.body.get("prompt").ok_or_else(|| invalid_request("prompt", "`prompt` must be a string"))?;
    let count = call.body.get::<u64>("n").unwrap_or(1);
    if !(1..=MAX_IMAGES).contains(&count) {
        return Err(invalid_request("n", format!("`n` must be between 1 and {MAX_IMAGES}")));
    }
    let colour = |index: u64| {
        u8::from_str_radix(fingerprint.get(..2).unwrap_or_default(), 16).unwrap_or(0).wrapping_add(index as u8)
    };
    let data: Vec<_> =
        (0..count).map(|index| json!({"b64_json": BASE64_STANDARD.encode(pixel(colour(index)))})).collect();
    let (texts, images) = (text::count(&prompt), call.uploads.iter().count() as u64 * TOKENS_OF_AN_IMAGE);
    let (input, output) = (texts + images, count * TOKENS_OF_AN_IMAGE);
    let usage = json!({
        "input_tokens": input,
        "output_tokens": output,
        "total_tokens": input + output,
        "input_tokens_details": {"text_tokens": texts, "image_tokens": images},
    });
    let body = json!({
        "created": created, "data": data, "background": "opaque", "output_format": "png", "size": "1x1", "quality": "low",
        "usage": usage,
    });
    let usage = Some(Usage { input, image_input: images, output, ..Usage::default() });
    Ok(Reply::from(Whole { body: to_bytes(&body), usage, pieces: Some(count), ..Whole::default() }))
}

/// A PNG of one grey pixel.
fn pixel(grey: u8) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    // 1 x 1, 8 bits, grey, no interlacing.
    chunk(&mut png, *b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
    // The line begins with its filter, which is none.
    chunk(&mut png, *b"IDAT", &stored(&[0, grey]));
    chunk(&mut png, *b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    png.extend_from_slice(&u32::try_from(data.len()).unwrap_or(0).to_be_bytes());
    let begin = png.len();
    png.extend_from_slice(&name);
    png.extend_from_slice(data);
    let sum = crc32(&png[begin..]);
    png.extend_from_slice(&sum.to_be_bytes());
}

/// The bytes in the format of zlib, not compressed.
fn stored(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(0);
    let mut out = vec![0x78, 0x01, 0x01];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(&adler32(data).to_be_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
    let add = |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum));
    !bytes.iter().fold(u32::MAX, add)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_formats() {
        // The check values of both algorithms.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }
}
