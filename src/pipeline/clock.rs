//! The run's clock: how far packet time has come, and which frame's time is not believed at once.
//!
//! Owns: the clock's second. In: the times of frames, in the order read. Out: which frame must wait
//! for the next one's word. Never: the machine's clock.
//!
//! Every session's timer runs on this clock, so one frame dated far in the future would end them
//! all, and every later one would live for ever. A leap further than any session may be silent is
//! therefore believed only when the next frame does not fall back behind it: after a night without
//! packets it does not, after a damaged time stamp it does.

/// The latest second that is believed, if any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    now: Option<u32>,
    /// Seconds ahead that need no confirmation.
    stride: u32,
}

impl Clock {
    /// A clock that believes steps of up to `stride` seconds at once.
    pub(super) const fn new(stride: u32) -> Clock {
        Clock { now: None, stride }
    }

    /// The clock's second: 0 until the first frame is believed.
    pub(super) fn now(&self) -> u32 {
        self.now.unwrap_or(0)
    }

    /// Whether a frame of this second must wait for the next one's word. The first of all must.
    pub(super) fn leaps(&self, second: u32) -> bool {
        self.now.is_none_or(|now| second > now.saturating_add(self.stride))
    }

    /// Whether a frame of `next`, read after one that leapt to `second`, bears it out: it leaps,
    /// too, and does not fall far back behind it.
    pub(super) fn bears_out(&self, second: u32, next: u32) -> bool {
        self.leaps(next) && next >= second.saturating_sub(self.stride)
    }

    /// Believes a second; a step back changes nothing.
    pub(super) fn advance(&mut self, second: u32) {
        self.now = Some(self.now().max(second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs the clock over some seconds as the reader does; gives the clock that each frame is
    /// taken at, and how many were not borne out.
    fn run(stride: u32, seconds: &[u32]) -> (Vec<u32>, usize) {
        let (mut clock, mut at, mut refuted) = (Clock::new(stride), Vec::new(), 0);
        let mut held: Option<u32> = None;
        for second in seconds {
            if let Some(held) = held.take() {
                if clock.bears_out(held, *second) {
                    clock.advance(held)
                } else {
                    refuted += 1
                }
                at.push(clock.now());
            }
            if clock.leaps(*second) {
                held = Some(*second);
                continue;
            }
            clock.advance(*second);
            at.push(clock.now());
        }
        at.extend(held.map(|_| clock.now()));
        (at, refuted)
    }

    #[test]
    fn a_night_is_believed_and_a_damaged_time_is_not() {
        let night = [100, 101, 40_000, 40_001, 40_001];
        assert_eq!(run(3_600, &night), (vec![100, 101, 40_000, 40_001, 40_001], 0));
        let damaged = [100, 101, 4_000_000_000, 102, 101, 103];
        assert_eq!(run(3_600, &damaged), (vec![100, 101, 101, 102, 102, 103], 1));
        // Not so far ahead that the next frame could not be near it.
        let damaged_a_little = [100, 101, 4_000, 1_000, 1_001];
        assert_eq!(run(3_600, &damaged_a_little), (vec![100, 101, 101, 1_000, 1_001], 1));
        let damaged_at_once = [4_000_000_000, 100_000, 100_001];
        assert_eq!(run(3_600, &damaged_at_once), (vec![0, 100_000, 100_001], 1));
        let captures_years_apart = [100_000, 900_000, 90_000_000];
        assert_eq!(run(3_600, &captures_years_apart), (vec![100_000, 900_000, 900_000], 0));
    }

    proptest! {
        /// Single damaged times among orderly ones leave every orderly frame's clock as it was.
        #[test]
        fn damaged_times_move_no_timer(
            steps in proptest::collection::vec(0u32..50, 2..60),
            wild in proptest::collection::vec((any::<prop::sample::Index>(), 106_700u32..), 0..5),
        ) {
            let mut seconds: Vec<u32> = vec![100_000];
            seconds.extend(steps.iter().scan(100_000, |now, step| { *now += step; Some(*now) }));
            let (orderly, refuted) = run(3_600, &seconds);
            prop_assert_eq!((&orderly, refuted), (&seconds, 0));
            // Never before the first two, and never two in a row: those would bear each other out.
            let mut places: Vec<usize> =
                wild.iter().map(|(index, _)| index.index(seconds.len() - 1) + 1).collect();
            places.sort_unstable();
            places.dedup();
            let (mut mixed, mut is_wild) = (Vec::new(), Vec::new());
            for (i, second) in seconds.iter().enumerate() {
                mixed.push(*second);
                is_wild.push(false);
                if i + 1 < seconds.len() && places.contains(&i) {
                    mixed.push(wild[0].1);
                    is_wild.push(true);
                }
            }
            let (at, refuted) = run(3_600, &mixed);
            let kept: Vec<u32> =
                at.iter().zip(&is_wild).filter(|(_, wild)| !**wild).map(|(at, _)| *at).collect();
            prop_assert_eq!(kept, orderly);
            prop_assert_eq!(refuted, is_wild.iter().filter(|wild| **wild).count());
        }
    }
}
