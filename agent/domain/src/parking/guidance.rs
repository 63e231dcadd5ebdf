//! Free bays of a street, for drivers: a number, and what a sign shows.

use serde::Serialize;

use super::occupancy::Status;

/// How the bays of a street stand, retained for apps and signs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Guidance {
    bays: u32,
    free: u32,
    occupied: u32,
    unknown: u32,
    out_of_service: u32,
    sign: String,
}

impl Guidance {
    /// Counts the bays. Only bays that are known to be free are offered.
    pub(crate) fn of(bays: impl Iterator<Item = Status>) -> Guidance {
        let mut count = Guidance::default();
        for status in bays {
            count.bays += 1;
            *match status {
                Status::Free => &mut count.free,
                Status::Occupied => &mut count.occupied,
                Status::Unknown => &mut count.unknown,
                Status::OutOfService => &mut count.out_of_service,
            } += 1;
        }
        count.sign = count.text();
        count
    }

    /// A number; `FULL`; `—` when too little is known to say either; `×` when nothing is in service.
    fn text(&self) -> String {
        let in_service = self.bays - self.out_of_service;
        if in_service == 0 {
            "×".to_owned()
        } else if self.free > 0 {
            self.free.to_string()
        } else if self.unknown > 0 {
            "—".to_owned()
        } else {
            "FULL".to_owned()
        }
    }

    /// Whether any bay is known.
    pub(crate) fn is_known(&self) -> bool {
        self.unknown < self.bays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sign_shows() {
        use Status::{Free, Occupied, OutOfService, Unknown};
        let table: [(&[Status], &str); 6] = [
            (&[Free, Free, Occupied, Unknown], "2"),
            (&[Occupied, Occupied], "FULL"),
            (&[Occupied, OutOfService], "FULL"),
            (&[Occupied, Unknown], "—"),
            (&[OutOfService], "×"),
            (&[], "×"),
        ];
        for (bays, sign) in table {
            assert_eq!(Guidance::of(bays.iter().copied()).sign, sign, "{bays:?}");
        }
    }
}
