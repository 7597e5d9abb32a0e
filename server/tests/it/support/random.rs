//! Random numbers that can be had again: the seed is printed, and `PIKA_TEST_SEED` sets it.

pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// A new seed for every run, told so that a failure can be repeated.
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

    /// What it began with.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The next number below `limit` (xorshift64*).
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % limit
    }

    /// Numbers for somebody who draws them at the same time.
    pub(crate) fn fork(&mut self) -> Self {
        Self::seeded(self.below(1 << 53))
    }
}
