//! The only source of randomness, so that a simulation can repeat a run.

use rand::Rng;

/// The generator for identifiers, secrets and waiting times: the operating system's, through `rand`.
#[cfg(not(feature = "simulation"))]
#[must_use]
pub fn rng() -> impl Rng {
    system()
}

/// The generator for identifiers, secrets and waiting times: the one that [`seed`] has set for this thread, otherwise
/// the operating system's.
#[cfg(feature = "simulation")]
#[must_use]
pub fn rng() -> impl Rng {
    seeded::Chance
}

/// Makes this thread draw from `seed`. Only for simulations: the seed reveals every key.
#[cfg(feature = "simulation")]
pub fn seed(seed: u64) {
    seeded::begin(seed);
}

#[expect(clippy::disallowed_methods, reason = "this is the source that everything else draws from")]
fn system() -> impl Rng {
    rand::rng()
}

#[cfg(feature = "simulation")]
mod seeded {
    use std::cell::RefCell;
    use std::convert::Infallible;

    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _, TryRng};

    thread_local! {
        static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
    }

    pub(super) fn begin(seed: u64) {
        SEEDED.set(Some(StdRng::seed_from_u64(seed)));
    }

    pub(super) struct Chance;

    impl TryRng for Chance {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(SEEDED.with_borrow_mut(|seeded| match seeded {
                Some(seeded) => seeded.next_u32(),
                None => super::system().next_u32(),
            }))
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(SEEDED.with_borrow_mut(|seeded| match seeded {
                Some(seeded) => seeded.next_u64(),
                None => super::system().next_u64(),
            }))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            SEEDED.with_borrow_mut(|seeded| match seeded {
                Some(seeded) => seeded.fill_bytes(bytes),
                None => super::system().fill_bytes(bytes),
            });
            Ok(())
        }
    }
}
