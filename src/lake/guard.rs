//! Calls of the Parquet library on files that may be damaged.
//!
//! The library checks much of what it reads and not all: some damaged pages make it panic.
//!
//! Owns: the boundary. In: a call. Out: its result, or why there is none. Never: a panic that is
//! shown or goes on, or one of our own code that is taken for a damaged file.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use parquet::errors::ParquetError;

thread_local! {
    /// Panics of this thread are the library's, and become errors.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Calls the library. What it calls must not be used again after an error.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                usual(info);
            }
        }));
    });
    GUARDED.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(false);
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it is damaged: the library that reads it gave up".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_library_is_an_error() {
        assert_eq!(guarded(|| Ok(7)), Ok(7));
        assert!(guarded::<()>(|| Err(ParquetError::General("so".to_owned()))).is_err());
        let gave_up = guarded::<()>(|| panic!("a damaged page"));
        assert!(gave_up.is_err_and(|why| why.contains("damaged")));
        assert!(!GUARDED.get(), "other panics are shown");
    }
}
