//! Panics of this thread. Product code catches its own, and nobody waits for the tasks that it spawns.

use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// What the first one said, and where.
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Forgets what there was, and watches from now on.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            keep(panic);
            before(panic);
        }));
    });
    FIRST.set(None);
}

pub(crate) fn first() -> Option<String> {
    FIRST.with_borrow(Option::clone)
}

fn keep(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    // A thread that ends may have dropped it.
    let _ = FIRST.try_with(|first| {
        first.borrow_mut().get_or_insert_with(|| format!("{message}, at {place}"));
    });
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_panic_that_somebody_caught_is_known() {
        watch();
        let caught: std::thread::Result<()> = catch_unwind(|| panic!("so it is"));
        assert!(caught.is_err());
        let panic = first().unwrap();
        assert!(panic.starts_with("so it is, at ") && panic.contains("panics.rs:"), "{panic}");
        watch();
        assert_eq!(first(), None);
    }
}
