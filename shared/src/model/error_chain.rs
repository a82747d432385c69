//! Prints an error together with its causes.

use std::error::Error;
use std::fmt;

/// Prints an error and all its sources on one line, separated by `: `.
pub struct ErrorChain<'a>(pub &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not load the project")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn prints_the_error_and_then_its_causes() {
        let error = Outer(std::io::Error::other("the connection broke"));
        assert_eq!(ErrorChain(&error).to_string(), "could not load the project: the connection broke");
    }
}
