//! How much one client, and all together, may ask for.
//!
//! A bucket for each client holds what an hour allows and fills evenly. At most [`CLIENTS_MAX`] are
//! remembered: full, those that have been quiet for an hour go, and while there are none of them, strangers
//! share one bucket. So a flood from many addresses costs a bounded amount of memory, and does not reach
//! those who were here before.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use domain::time::Monotonic;

/// Clients that are told apart.
const CLIENTS_MAX: usize = 4096;
const HOUR_MS: u64 = 3_600_000;

/// The buckets of one kind of request.
#[derive(Debug)]
pub(super) struct Limit {
    per_client: u32,
    in_all: u32,
    /// Held for one look at a time.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<IpAddr, Bucket>,
    strangers: Bucket,
    all: Bucket,
}

/// What was used, in thousandths of a request, as of a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    used_milli: u64,
    at_ms: u64,
}

impl Bucket {
    /// What has been used up until now, of `per_hour`.
    fn used(&self, per_hour: u32, now_ms: u64) -> u64 {
        let filled = now_ms.saturating_sub(self.at_ms).saturating_mul(u64::from(per_hour)) / 3600;
        self.used_milli.saturating_sub(filled)
    }

    /// Seconds until one more fits; 0: now.
    fn wait_s(&self, per_hour: u32, now_ms: u64) -> u64 {
        let over = self.used(per_hour, now_ms) + 1000;
        let over = over.saturating_sub(u64::from(per_hour) * 1000);
        (over * 3600).div_ceil(u64::from(per_hour) * 1000)
    }

    fn take(&mut self, per_hour: u32, now_ms: u64) {
        self.used_milli = self.used(per_hour, now_ms) + 1000;
        self.at_ms = now_ms;
    }
}

impl Limit {
    /// So many in an hour for one client, and for all together. Neither may be 0.
    pub(super) fn new(per_client: u32, in_all: u32) -> Limit {
        Limit { per_client, in_all, state: Mutex::default() }
    }

    /// Takes one request of `client`.
    ///
    /// # Errors
    /// Too many: the seconds after which to come again.
    pub(super) fn take(&self, client: IpAddr, now: Monotonic) -> Result<(), u64> {
        let now_ms = now.as_ms();
        // Whoever panicked while holding it left whole numbers behind.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { clients, strangers, all } = &mut *state;
        let client = network(client);
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
            clients.retain(|_, bucket| now_ms.saturating_sub(bucket.at_ms) < HOUR_MS);
        }
        let bucket = if clients.len() < CLIENTS_MAX || clients.contains_key(&client) {
            clients.entry(client).or_default()
        } else {
            strangers
        };
        let wait = bucket.wait_s(self.per_client, now_ms).max(all.wait_s(self.in_all, now_ms));
        if wait > 0 {
            return Err(wait);
        }
        bucket.take(self.per_client, now_ms);
        all.take(self.in_all, now_ms);
        Ok(())
    }
}

/// An address of the fourth version is one client; of the sixth, whoever has the network of 64 bits.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(four) => IpAddr::V4(four),
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Monotonic {
        Monotonic::from_ms(second * 1000)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_its_hour_and_all_together_have_one_too() {
        let limit = Limit::new(3, 5);
        for _ in 0..3 {
            assert_eq!(limit.take(ip("192.0.2.1"), at(10)), Ok(()));
        }
        assert_eq!(limit.take(ip("192.0.2.1"), at(10)), Err(1200));
        assert_eq!(limit.take(ip("::ffff:192.0.2.1"), at(10)), Err(1200), "the same one");
        assert_eq!(limit.take(ip("192.0.2.2"), at(10)), Ok(()));
        assert_eq!(limit.take(ip("2001:db8::1"), at(10)), Ok(()));
        assert_eq!(limit.take(ip("2001:db9::1"), at(10)), Err(720), "five were taken in all");
        // A third of an hour later one of the client's three is there again, and one of the five.
        assert_eq!(limit.take(ip("192.0.2.1"), at(1210)), Ok(()));
        assert_eq!(limit.take(ip("192.0.2.1"), at(1210)), Err(1200));
    }

    #[test]
    fn one_network_of_the_sixth_version_is_one_client() {
        let limit = Limit::new(1, 100);
        assert_eq!(limit.take(ip("2001:db8:1:2::1"), at(0)), Ok(()));
        assert!(limit.take(ip("2001:db8:1:2:ffff::9"), at(0)).is_err());
        assert_eq!(limit.take(ip("2001:db8:1:3::1"), at(0)), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_is_one_stranger_and_those_who_were_here_stay() {
        let limit = Limit::new(2, 100_000);
        let known = ip("198.51.100.7");
        limit.take(known, at(0)).unwrap();
        let flood = (0..10_000u32).map(|n| IpAddr::V4((0x0a00_0000 + n).into()));
        let taken = flood.filter(|client| limit.take(*client, at(1)).is_ok()).count();
        assert_eq!(taken, CLIENTS_MAX - 1 + 2);
        assert_eq!(limit.state.lock().unwrap().clients.len(), CLIENTS_MAX);
        assert_eq!(limit.take(known, at(1)), Ok(()));
        // An hour of quiet later the flood is forgotten.
        assert_eq!(limit.take(ip("203.0.113.1"), at(4000)), Ok(()));
        assert_eq!(limit.state.lock().unwrap().clients.len(), 1);
    }
}
