//! The length of a sound, as far as its bytes bound it.

/// The most seconds that a file can last; `None` if its bytes do not bound that.
///
/// Only WAV with samples that are not compressed has a bound: each sample takes its bytes, so the size of the whole file bounds the
/// length, whatever the header says of it. Compressed silence takes next to no bytes, and the tables of MP4 can name any
/// length. A file that a decoder may read in another way has no bound: see decision 39.
#[must_use]
pub fn longest_seconds(file: &[u8]) -> Option<u64> {
    let format = only_format(file)?;
    let number = |at: usize| u32::from(u16::from_le_bytes([format[at], format[at + 1]]));
    let (tag, channels, block, bits) = (number(0), number(2), number(12), number(14));
    let samples_per_second = u32::from_le_bytes([format[4], format[5], format[6], format[7]]);
    let is_consistent = block == channels * bits / 8 && bits % 8 == 0;
    let bytes_per_second = u64::from(block) * u64::from(samples_per_second);
    if !matches!(tag, PCM | FLOAT) || !is_consistent || bytes_per_second == 0 {
        return None;
    }
    Some((file.len() as u64).div_ceil(bytes_per_second))
}

/// Values of `wFormatTag`.
const PCM: u32 = 1;
const FLOAT: u32 = 3;

/// RIFF, the length, WAVE.
const HEAD_BYTES: usize = 12;
/// The name of a chunk and its length.
const CHUNK_HEAD_BYTES: usize = 8;
/// The part of the chunk `fmt ` that all formats have.
const FORMAT_BYTES: usize = 16;

/// The content of the chunk `fmt ` of a WAV file that has one of it and one of `data`. Decoders differ in which of two they take.
fn only_format(file: &[u8]) -> Option<&[u8]> {
    let mut rest = file.get(HEAD_BYTES..)?;
    if !file.starts_with(b"RIFF") || &file[8..HEAD_BYTES] != b"WAVE" {
        return None;
    }
    let (mut format, mut has_data) = (None, false);
    while let Some((head, content)) = rest.split_at_checked(CHUNK_HEAD_BYTES) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let here = &content[..length.min(content.len())];
        match &head[..4] {
            b"fmt " if format.is_none() && here.len() >= FORMAT_BYTES => format = Some(here),
            b"data" if format.is_some() && !has_data => has_data = true,
            b"fmt " | b"data" => return None,
            _ => {}
        }
        // Chunks begin at even places.
        rest = content.get(length + length % 2..).unwrap_or_default();
    }
    format.filter(|_| has_data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with these chunks.
    fn wav(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = b"RIFF\xff\xff\xff\xffWAVE".to_vec();
        for (name, content) in chunks {
            file.extend_from_slice(*name);
            file.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
            file.extend_from_slice(content);
            file.extend_from_slice(&[0; 1][..content.len() % 2]);
        }
        file
    }

    fn format(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let block = channels * (bits / 8);
        let numbers = [&tag.to_le_bytes()[..], &channels.to_le_bytes(), &rate.to_le_bytes()];
        [&numbers.concat()[..], &(rate * u32::from(block)).to_le_bytes(), &block.to_le_bytes(), &bits.to_le_bytes()]
            .concat()
    }

    #[test]
    fn samples_that_are_not_compressed_bound_the_length_of_their_file() {
        let second = vec![0; 32_000];
        let mono = format(PCM as u16, 1, 16_000, 16);
        for (chunks, expected) in [
            (vec![(b"fmt ", &mono[..]), (b"data", &second[..])], 2),
            (vec![(b"LIST", b"odd"), (b"fmt ", &mono), (b"data", &second), (b"LIST", &second)], 3),
            (vec![(b"fmt ", &format(PCM as u16, 2, 8_000, 16)), (b"data", &second)], 2),
            (vec![(b"fmt ", &format(FLOAT as u16, 1, 4_000, 32)), (b"data", &second)], 3),
            (vec![(b"fmt ", &mono), (b"data", b"")], 1),
        ] {
            assert_eq!(longest_seconds(&wav(&chunks)), Some(expected), "{} chunks", chunks.len());
        }
    }

    #[test]
    fn the_length_that_a_header_names_does_not_matter() {
        let mut file = wav(&[(b"fmt ", &format(PCM as u16, 1, 16_000, 16)), (b"data", &[0; 32_000])]);
        let length = file.len() - 32_000 - 4..file.len() - 32_000;
        for named in [0_u32, 10, u32::MAX] {
            file[length.clone()].copy_from_slice(&named.to_le_bytes());
            let found = longest_seconds(&file);
            // With a length of 10, the samples that follow are read as further chunks.
            assert!(found.is_none_or(|seconds| seconds == 2), "{named}: {found:?}");
        }
    }

    #[test]
    fn what_a_decoder_may_read_in_another_way_has_no_bound() {
        let (slow, fast) = (format(PCM as u16, 1, 8_000, 8), format(PCM as u16, 2, 192_000, 32));
        let data = vec![0; 1_000];
        let no_rate = format(PCM as u16, 1, 0, 16);
        let mut wrong_block = slow.clone();
        wrong_block[12] = 200;
        for chunks in [
            vec![(b"fmt ", &slow[..]), (b"fmt ", &fast[..]), (b"data", &data[..])],
            vec![(b"fmt ", &fast), (b"data", &data), (b"fmt ", &slow)],
            vec![(b"fmt ", &fast), (b"data", &data), (b"data", &data)],
            vec![(b"data", &data), (b"fmt ", &slow)],
            vec![(b"fmt ", &slow[..15]), (b"data", &data)],
            vec![(b"fmt ", &format(0x11, 1, 8_000, 8)), (b"data", &data)],
            vec![(b"fmt ", &no_rate), (b"data", &data)],
            vec![(b"fmt ", &wrong_block), (b"data", &data)],
            vec![(b"fmt ", &slow)],
            vec![(b"data", &data)],
            vec![],
        ] {
            assert_eq!(longest_seconds(&wav(&chunks)), None, "{} chunks", chunks.len());
        }
        for file in [&b""[..], b"RIFF", b"ID3\x04", b"RIFF\0\0\0\0AVI fmt "] {
            assert_eq!(longest_seconds(file), None, "{file:?}");
        }
    }
}
