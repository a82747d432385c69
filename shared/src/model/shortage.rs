//! Tells a shortage of this process from a fault of another one.

use std::error::Error;
use std::io;

/// EMFILE: the process has no file descriptor left. ENFILE: the machine has none left.
const NO_DESCRIPTOR: [i32; 2] = [24, 23];

/// Whether a connection failed, or a name was not resolved, because this process or this machine had no file descriptor left.
#[must_use]
pub fn is_shortage(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).any(lacks_descriptor)
}

fn lacks_descriptor(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(code) => NO_DESCRIPTOR.contains(&code),
        // An `io::Error` around another error returns the sources of that one, but not the error itself.
        None => error.get_ref().is_some_and(|inner| is_shortage(inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("error sending request")]
    struct Request(#[source] io::Error);

    #[test]
    fn a_shortage_is_found_among_the_causes() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        for code in NO_DESCRIPTOR {
            let short = || io::Error::from_raw_os_error(code);
            assert!(is_shortage(&Request(short())) && is_shortage(&Request(io::Error::other(Request(short())))));
            assert!(is_shortage(&io::Error::other(short())));
        }
        assert!(!is_shortage(&Request(refused())) && !is_shortage(&Request(io::Error::other(Request(refused())))));
    }
}
