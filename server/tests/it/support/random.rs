//! Reproducible random numbers: the seed is printed, and can be set by `PIKA_TEST_SEED`.

pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// A new seed for every run, printed so that a failure can be reproduced.
    pub(crate) fn announced() -> Self {
        let seed = std::env::var("PIKA_TEST_SEED").map_or_else(
            |_| super::client::now().unsigned_abs() ^ (u64::from(std::process::id()) << 40),
            |seed| seed.parse().unwrap(),
        );
        #[expect(clippy::print_stdout, reason = "shown with a failure")]
        {
            println!("PIKA_TEST_SEED={seed}");
        }
        Self::seeded(seed)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self { seed, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// Returns the seed.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the next number below `limit` (xorshift64*).
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % limit
    }

    /// Returns a generator for concurrent use.
    pub(crate) fn fork(&mut self) -> Self {
        Self::seeded(self.below(1 << 53))
    }
}
