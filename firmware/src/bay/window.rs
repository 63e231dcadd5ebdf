//! The latest readings: their mean, and whether they keep still.

use drivers::Field;
use heapless::Vec;

/// Readings that are averaged, and over which movement is judged.
const WINDOW: usize = 8;

/// The latest readings.
#[derive(Debug, Default)]
pub(super) struct Window {
    fields: Vec<Field, WINDOW>,
    next: usize,
}

impl Window {
    pub(super) fn push(&mut self, field: Field) {
        if let Some(oldest) = self.fields.get_mut(self.next) {
            *oldest = field;
        } else {
            self.fields.push(field).expect("next is below WINDOW");
        }
        self.next = (self.next + 1) % WINDOW;
    }

    /// The mean, and how far the readings lie apart on the axis where they do most; `None` until there
    /// are enough.
    pub(super) fn full(&self) -> Option<(Field, i32)> {
        if !self.fields.is_full() {
            return None;
        }
        let (x, x_spread) = self.axis(|field| field.x);
        let (y, y_spread) = self.axis(|field| field.y);
        let (z, z_spread) = self.axis(|field| field.z);
        Some((Field { x, y, z }, x_spread.max(y_spread).max(z_spread)))
    }

    /// Mean and spread of one axis. Plausible readings keep both within an i32.
    fn axis(&self, of: impl Fn(&Field) -> i32) -> (i32, i32) {
        let (mut sum, mut low, mut high) = (0, i32::MAX, i32::MIN);
        for value in self.fields.iter().map(of) {
            sum += value;
            low = low.min(value);
            high = high.max(value);
        }
        (sum / WINDOW as i32, high - low)
    }
}
