//! A line that flips and loses bytes, the same ones for the same seed.

/// Bytes by chance (xorshift).
#[derive(Debug, Clone)]
pub struct Noise {
    state: u64,
    one_in: u32,
    /// Bytes that went through with one bit wrong.
    pub flipped: u64,
    /// Bytes that did not go through.
    pub lost: u64,
}

impl Noise {
    /// One byte in `one_in` is damaged, of which half have a bit flipped and half are lost.
    ///
    /// # Panics
    /// The seed or `one_in` is 0.
    #[must_use]
    pub const fn new(seed: u64, one_in: u32) -> Noise {
        assert!(seed != 0 && one_in != 0, "there is no such noise");
        Noise { state: seed, one_in, flipped: 0, lost: 0 }
    }

    const fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// What comes out of the line when `bytes` go in.
    pub fn on(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if !self.next().is_multiple_of(self.one_in.into()) {
                out.push(*byte);
            } else if self.next() & 1 == 0 {
                self.lost += 1;
            } else {
                self.flipped += 1;
                out.push(byte ^ (1 << (self.next() % 8)));
            }
        }
        out
    }
}
