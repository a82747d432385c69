//! Unpacks a part while it is read.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipSliceEntry};

use crate::Problem;
use crate::watch::Watch;

/// The bytes that are unpacked at once.
const BUFFER_BYTES: usize = 32 * 1024;

/// The unpacked bytes of a part, which are counted.
pub(super) struct PartReader<'p>(BufReader<Box<dyn Read + 'p>>);

impl<'p> PartReader<'p> {
    pub(super) fn new(entry: &ZipSliceEntry<'p>, method: CompressionMethod, watch: &'p Watch) -> Result<Self, Problem> {
        let data = entry.data();
        // The archive's checksum finds a part that was damaged, or that is not of the size that its entry says.
        let unpacked: Box<dyn Read + 'p> = match method {
            CompressionMethod::STORE => Box::new(entry.verifying_reader(data)),
            CompressionMethod::DEFLATE => Box::new(entry.verifying_reader(DeflateDecoder::new(data))),
            _ => return Err(Problem::Broken("its archive uses a compression other than deflate")),
        };
        let counted: Box<dyn Read + 'p> = Box::new(Counted { unpacked, watch });
        Ok(Self(BufReader::with_capacity(BUFFER_BYTES, counted)))
    }
}

impl Read for PartReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for PartReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.0.consume(bytes);
    }
}

struct Counted<'p> {
    unpacked: Box<dyn Read + 'p>,
    watch: &'p Watch,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.unpacked.read(buffer)?;
        self.watch.unpack(bytes).map_err(Problem::into_io)?;
        Ok(bytes)
    }
}
