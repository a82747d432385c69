//! Panics of this thread, also those that production code catches and those in tasks that it never joins.

use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Message and source location of the first panic.
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Forgets earlier panics, and records the first one from now on.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            record(panic);
            before(panic);
        }));
    });
    FIRST.set(None);
}

pub(crate) fn first() -> Option<String> {
    FIRST.with_borrow(Option::clone)
}

fn record(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    // The variable may be gone when the thread ends.
    let _ = FIRST.try_with(|first| {
        first.borrow_mut().get_or_insert_with(|| format!("{message}, at {location}"));
    });
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn records_a_panic_that_was_caught() {
        watch();
        let caught: std::thread::Result<()> = catch_unwind(|| panic!("on purpose"));
        assert!(caught.is_err());
        let panic = first().unwrap();
        assert!(panic.starts_with("on purpose, at ") && panic.contains("panics.rs:"), "{panic}");
        watch();
        assert_eq!(first(), None);
    }
}
