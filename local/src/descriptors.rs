//! The limit of file descriptors. Each connection takes one; a call through weir takes two.

/// Raises the limit of this process to the most that the system allows without privileges. Most systems begin with 1,024, for
/// programs that would break with more.
#[cfg(unix)]
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // macOS has no maximum by default, and refuses more than 10,240 all the same.
    let wanted = [maximum, Some(10_240)];
    let raised =
        wanted.into_iter().any(|wanted| setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum }).is_ok());
    if !raised {
        tracing::warn!(limit = current, "the limit of file descriptors cannot be raised");
    }
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn raise_descriptor_limit() {}
